//! `export` and `backup`: everything that is kept, in one file.

mod folder;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Seek, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use folder::Folder;

use super::files::{Places, unexpected};
use super::offline::{self, Owner};
use super::text::{counted, json};
use super::{Failure, Outcome};
use crate::backup::{Contents, Exporter, Keys, Line, Reader, Sealer, check};
use crate::config::{Secret, here, keyfile};
use crate::control::client::{self, ClientError};
use crate::control::protocol::{Answer, Ask};
use crate::store::exit_code_of;

/// How the names of backups begin and end.
const NAME: (&str, &str) = ("owncast-herald-", ".jsonl");

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write, or - for standard output
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Put the actor's private key into it: whoever has the file can then speak as the stream's account
    #[arg(long)]
    pub with_key: bool,
    /// Write over a file that is there; with - also the key to a terminal
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// Folder for the backups
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// How many to keep; older ones are removed once the new one is complete
    #[arg(long, value_name = "NUMBER", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: u32,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Exported<'a> {
    file: &'a Path,
    bytes: u64,
    sha256: &'a str,
    actor: Option<&'a str>,
    counts: &'a crate::backup::Counts,
    removed: Vec<PathBuf>,
}

pub(super) fn export(places: &Places, args: &Args, as_json: bool) -> Outcome {
    if args.file.as_os_str() == "-" {
        let out = io::stdout();
        if args.with_key && out.is_terminal() && !args.force {
            return Err(Failure::new(
                "the private key is not written to a terminal; name a file, or force it with --force",
            ));
        }
        write(places, args.with_key, &mut out.lock(), Reading::WhenItLikes)?;
        return Ok(String::new());
    }
    let (folder, name) = Folder::of(&args.file)
        .map_err(|cause| Failure::new(format!("cannot write {}: {cause}", args.file.display())))?;
    let heirs = offline::heirs(places);
    let (contents, bytes) = to_file(places, (&folder, &name), &heirs, args.with_key, args.force)?;
    told(&args.file, &contents, bytes, Vec::new(), as_json)
}

pub(super) fn backup(places: &Places, args: &BackupArgs, as_json: bool) -> Outcome {
    let heirs = offline::heirs(places);
    let folder = Folder::open_or_make(&args.folder, &heirs)
        .map_err(|cause| Failure::new(format!("cannot use the folder {}: {cause}", args.folder.display())))?;
    let stamp = Timestamp::now().strftime("%Y%m%d-%H%M%S");
    let name = OsString::from(format!("{}{stamp}{}", NAME.0, NAME.1));
    let (contents, bytes) = to_file(places, (&folder, &name), &heirs, false, false)?;
    let removed = prune(&folder, args.keep as usize)?;
    told(&folder.path_of(&name), &contents, bytes, removed, as_json)
}

fn told(file: &Path, contents: &Contents, bytes: u64, removed: Vec<PathBuf>, as_json: bool) -> Outcome {
    let Contents { header, counts, sha256, key: _ } = contents;
    if as_json {
        let actor = header.actor.as_deref();
        return json(&Exported { file, bytes, sha256, actor, counts, removed });
    }
    let mut text =
        format!("Everything is in {} ({} kB): {}.\n", file.display(), bytes.div_ceil(1000), inside(contents));
    text.push_str(&match counts.with_key {
        true => {
            "The private key is in it: whoever has the file can speak as the stream's account.\n".to_owned()
        }
        false => format!(
            "The private key is not in it, and nothing can be restored without it. A copy: {}\n",
            here().typed("key export FILE")
        ),
    });
    if !removed.is_empty() {
        text.push_str(&format!("Removed: {}.\n", counted(removed.len() as u64, "older backup")));
    }
    Ok(text)
}

/// What is in a file, in a few words.
pub(super) fn inside(contents: &Contents) -> String {
    let counts = &contents.counts;
    let of = |name: &str, noun: &str| counted(counts.of(name), noun);
    let parts = [
        of("follower", "follower"),
        of("block", "block"),
        of("post", "post"),
        counted(counts.media, "picture"),
    ];
    parts.join(", ")
}

/// Writes a file that is there whole or not at all, readable to nobody else from its first byte on, and reads it again.
fn to_file(
    places: &Places,
    (folder, name): (&Folder, &OsStr),
    heirs: &[u32],
    with_key: bool,
    force: bool,
) -> Result<(Contents, u64), Failure> {
    let path = folder.path_of(name);
    let failed = |doing: &'static str| {
        let path = path.display();
        move |cause: io::Error| of_file(format!("cannot {doing} {path}: {cause}"), &cause)
    };
    if !force && folder.has(name) {
        return Err(Failure::new(format!(
            "{} is there already; name another file, or write over it with --force",
            path.display()
        )));
    }
    let mut unfinished = folder.unfinished(heirs).map_err(failed("write"))?;
    write_file(places, with_key, &mut unfinished.file)?;
    unfinished.file.sync_all().map_err(failed("write"))?;
    unfinished.file.rewind().map_err(failed("read again"))?;
    let bytes = unfinished.file.metadata().map_err(failed("read again"))?.len();
    let contents =
        check(BufReader::new(&unfinished.file)).map_err(|error| Failure::new(error.to_string()))?;
    unfinished.place(name, force).map_err(failed("write"))?;
    Ok((contents, bytes))
}

/// As [`write`], where root leaves the opening of a store to its owner and hands over the open file.
fn write_file(places: &Places, with_key: bool, file: &mut File) -> Result<(), Failure> {
    let owner = places.stored().ok().and_then(|config| Owner::instead_of_root(&config.store.path));
    if let Some(owner) = owner.filter(|_| !places.agent_runs()) {
        let mut command = owner.program(places.arguments());
        command.args(["export", "-"]).args(with_key.then_some("--with-key"));
        let out = file.try_clone().map_err(|cause| Failure::new(cause.to_string()))?;
        let ended = command.stdout(out).status();
        return match ended.map(|status| status.code()) {
            Ok(Some(0)) => Ok(()),
            Ok(code) => Err(Failure {
                message: "the export was not made".to_owned(),
                code: code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
                result: String::new(),
            }),
            Err(cause) => {
                Err(Failure::new(format!("the export cannot be made as the owner of the store: {cause}")))
            }
        };
    }
    write(places, with_key, file, Reading::AtOnce)
}

/// How what is written is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// By a disk.
    AtOnce,
    /// By a program that may first wait for somebody to type a passphrase; the agent would not wait for that long.
    WhenItLikes,
}

/// Writes everything, out of the running agent or out of the store of one that does not run.
fn write(places: &Places, with_key: bool, out: &mut dyn Write, reading: Reading) -> Result<(), Failure> {
    let key = with_key.then(|| key(places)).transpose()?;
    let mut out = BufWriter::with_capacity(256 * 1024, out);
    match client::ask_on(&places.sockets()?, &Ask::Export) {
        Ok((Answer::Export, stream)) if reading == Reading::AtOnce => pass_on(stream, key, &mut out)?,
        Ok((Answer::Export, stream)) => pass_on(taken(stream)?, key, &mut out)?,
        Ok(_) => return Err(unexpected()),
        Err(nobody @ ClientError::NoAgent { .. }) if places.socket.is_none() => {
            let (config, store) = offline::store(places, nobody)?;
            let keys = Keys::of(&config.identity.key_file, key);
            offline::runtime()?.block_on(async {
                let folder = &config.store.path;
                let mut exporter = Exporter::new(store, folder, keys, Timestamp::now()).await?;
                while let Some(block) = exporter.next().await? {
                    out.write_all(&block).map_err(unwritten)?;
                }
                Ok::<(), Failure>(())
            })?;
        }
        Err(other) => return Err(other.into()),
    }
    out.flush().map_err(unwritten)
}

fn of_file(message: String, cause: &io::Error) -> Failure {
    Failure { code: exit_code_of(cause), ..Failure::new(message) }
}

fn unwritten(cause: io::Error) -> Failure {
    of_file(format!("the export cannot be written: {cause}"), &cause)
}

/// The key is read here and not asked of the agent: who may open the socket need not be one who may have the key.
fn key(places: &Places) -> Result<Secret, Failure> {
    let config = places.own_files(None)?;
    let file = &config.identity.key_file;
    if keyfile::next_file(file).exists() {
        return Err(Failure::new(format!(
            "a change of the actor's key is under way, and a backup holds one key: whoever restored it would sign with one \
             that others may refuse by then. Finish the change first ({}), or leave --with-key out",
            places.typed("key rotate --finish")
        )));
    }
    Ok(keyfile::read(file)?.pem)
}

/// Takes all that the agent says into a file without a name. The key is not in it.
fn taken(mut from: impl Read) -> Result<BufReader<File>, Failure> {
    let failed = |cause: io::Error| {
        let folder = std::env::temp_dir();
        of_file(format!("the export cannot be kept in {} for a moment: {cause}", folder.display()), &cause)
    };
    let mut kept = tempfile::tempfile().map_err(failed)?;
    io::copy(&mut from, &mut kept).map_err(failed)?;
    kept.rewind().map_err(failed)?;
    Ok(BufReader::new(kept))
}

/// Checks what comes from the agent while it is written, with the key put in if there is one.
fn pass_on(from: impl BufRead, mut key: Option<Secret>, out: &mut dyn Write) -> Result<(), Failure> {
    let broken = |error: crate::backup::FileError| {
        Failure::new(format!(
            "the agent broke the export off ({error}); its log says why ({})",
            here().journal()
        ))
    };
    let mut reader = Reader::open(from).map_err(broken)?;
    let mut sealer = Sealer::default();
    let mut put = |line: &Line, sealer: &mut Sealer| {
        let bytes = line.to_bytes();
        sealer.add(line, &bytes);
        out.write_all(&bytes).map_err(unwritten)
    };
    put(&Line::Header(reader.header().clone()), &mut sealer)?;
    while let Some(line) = reader.line().map_err(broken)? {
        if matches!(line, Line::Media { .. } | Line::End { .. })
            && let Some(pem) = key.take()
        {
            put(&Line::Key(pem), &mut sealer)?;
        }
        if !matches!(line, Line::End { .. }) {
            put(&line, &mut sealer)?;
        }
    }
    out.write_all(&sealer.seal().to_bytes()).map_err(unwritten)
}

/// Removes the oldest backups, and nothing that is not one. Their names sort by time.
fn prune(folder: &Folder, keep: usize) -> Result<Vec<PathBuf>, Failure> {
    let failed = |cause: io::Error| {
        Failure::new(format!("cannot remove old backups in {}: {cause}", folder.path.display()))
    };
    let is_stamp = |stamp: &str| stamp.len() == 15 && stamp.chars().all(|c| c.is_ascii_digit() || c == '-');
    let stamp = |name: &OsString| {
        let stamp = name.to_str().and_then(|name| name.strip_prefix(NAME.0)?.strip_suffix(NAME.1));
        stamp.is_some_and(is_stamp)
    };
    let mut backups = folder.names().map_err(failed)?;
    backups.retain(stamp);
    backups.sort();
    backups.truncate(backups.len().saturating_sub(keep));
    for name in &backups {
        folder.remove(name).map_err(failed)?;
    }
    Ok(backups.iter().map(|name| folder.path_of(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_oldest_backups_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "owncast-herald-20260101-000000.jsonl",
            "owncast-herald-20260102-000000.jsonl",
            "owncast-herald-20260103-000000.jsonl",
            "owncast-herald-before-the-move.jsonl",
            "owncast-herald-20250101-000000.jsonl.gpg",
        ];
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), "").unwrap());
        let open = Folder::open(folder.path()).unwrap();
        assert_eq!(prune(&open, 2).unwrap(), [folder.path().join(names[0])]);
        assert_eq!(prune(&open, 2).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
    }

    #[test]
    fn the_agent_does_not_wait_for_whoever_reads_a_pipe() {
        let (here, mut agent) = std::os::unix::net::UnixStream::pair().unwrap();
        // Far more than a socket holds. It is all taken before anybody reads any of it.
        let all: Vec<u8> = (0..4_000_000_u32).map(|number| (number % 251) as u8).collect();
        let sent = all.clone();
        let agent = std::thread::spawn(move || agent.write_all(&sent));
        let mut kept = taken(here).unwrap();
        agent.join().unwrap().unwrap();
        let mut read = Vec::new();
        kept.read_to_end(&mut read).unwrap();
        assert!(read == all);
    }
}
