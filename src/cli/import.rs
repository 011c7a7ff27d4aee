//! `import`: a file made by `export` becomes the store.

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::export::inside;
use super::files::Places;
use super::offline::Owner;
use super::text::{json, line};
use super::{Failure, Outcome};
use crate::backup::{Contents, Counts, Imported, Place, check, import as restore};
use crate::config::keyfile;

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file that export wrote, or - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Set aside the store that is there, and another key; nothing of them is lost
    #[arg(long)]
    pub replace: bool,
    /// Go on with the key that is in its place, though the backup was made with another: the key was changed since
    #[arg(long)]
    pub keep_key: bool,
    /// Only say whether the file is whole and what is in it
    #[arg(long, conflicts_with_all = ["replace", "keep_key"])]
    pub check: bool,
    /// Folder of the agent's database; wins over the file
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told<'a> {
    made: Timestamp,
    version: &'a str,
    actor: Option<&'a str>,
    sha256: &'a str,
    /// SHA-256 of the public key that the actor had (SubjectPublicKeyInfo, DER), in hexadecimal.
    key_fingerprint: Option<&'a str>,
    counts: &'a Counts,
    imported: bool,
    set_aside: Option<&'a Path>,
    key_set_aside: Option<&'a Path>,
    next_key_set_aside: Option<&'a Path>,
    has_key: Option<bool>,
    /// A change of keys was under way when the file was made, and the next key is not here.
    lacks_next_key: Option<bool>,
    /// Pictures that were damaged before the file was made, and were left out.
    damaged_pictures: Option<usize>,
}

pub(super) fn import(places: &Places, args: &Args, as_json: bool) -> Outcome {
    let file = opened(&args.file)?;
    let named = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", args.file.display()));
    if args.check {
        let contents = check(BufReader::new(file)).map_err(|error| named(&error))?;
        return if as_json { json(&of(&contents, None)) } else { Ok(checked(&contents)) };
    }
    if places.agent_runs() {
        return Err(Failure::new(format!(
            "an agent is running with this store; stop it first ({})",
            places.systemctl("stop")
        )));
    }
    let config = places.own_files(args.store.as_deref())?;
    let folder = &config.store.path;
    if let Some(owner) = Owner::instead_of_root(folder) {
        return as_owner(owner, places, args, file, as_json);
    }
    if rustix::process::geteuid().is_root() && !folder.exists() {
        let folder = folder.display();
        return Err(Failure::new(format!(
            "there is no folder {folder} yet, and one that root makes is of no use to the agent; make it for the user that \
             runs it: install -d -m 0700 -o owncast-herald -g owncast-herald {folder}"
        )));
    }
    let place = Place {
        store: folder.clone(),
        key_file: config.identity.key_file.clone(),
        replace: args.replace,
        keep_key: args.keep_key,
    };
    let imported = restore(file, &place, Timestamp::now())
        .map_err(|error| Failure { code: error.exit_code(), ..named(&error) })?;
    if as_json { json(&of(&imported.contents, Some(&imported))) } else { Ok(told(&imported, &place, places)) }
}

/// Root opens the file, which may lie where nobody else may look, and leaves the rest to the owner of the store.
fn as_owner(owner: Owner, places: &Places, args: &Args, file: File, as_json: bool) -> Outcome {
    let mut command = owner.program(places.arguments());
    command.args(["import", "-"]).args(as_json.then_some("--json"));
    command.args(args.replace.then_some("--replace")).args(args.keep_key.then_some("--keep-key"));
    if let Some(store) = &args.store {
        command.arg("--store").arg(store);
    }
    let ended = command.stdin(file).status();
    match ended.map(|status| status.code()) {
        Ok(Some(0)) => Ok(String::new()),
        Ok(code) => Err(Failure {
            message: format!("{} was not imported", args.file.display()),
            code: code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
            result: String::new(),
        }),
        Err(cause) => Err(Failure::new(format!("this cannot be done as the owner of the store: {cause}"))),
    }
}

/// The file, which is read twice: what comes through a pipe is kept meanwhile.
fn opened(path: &Path) -> Result<File, Failure> {
    let failed = |cause: io::Error| Failure::new(format!("{} cannot be read: {cause}", path.display()));
    if path.as_os_str() != "-" {
        return File::open(path).map_err(failed);
    }
    let mut given = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
    if given.metadata().map_err(failed)?.is_file() {
        return Ok(given);
    }
    let mut kept = tempfile::tempfile().map_err(failed)?;
    io::copy(&mut given, &mut kept).map_err(failed)?;
    kept.rewind().map_err(failed)?;
    Ok(kept)
}

fn of<'a>(contents: &'a Contents, imported: Option<&'a Imported>) -> Told<'a> {
    let Contents { header, counts, sha256, key: _ } = contents;
    Told {
        made: header.made,
        version: &header.version,
        actor: header.actor.as_deref(),
        sha256,
        key_fingerprint: header.key_fingerprint.as_deref(),
        counts,
        imported: imported.is_some(),
        set_aside: imported.and_then(|imported| imported.set_aside.as_deref()),
        key_set_aside: imported.and_then(|imported| imported.key_set_aside.as_deref()),
        next_key_set_aside: imported.and_then(|imported| imported.next_key_set_aside.as_deref()),
        has_key: imported.map(|imported| imported.has_key),
        lacks_next_key: imported.map(|imported| imported.lacks_next_key),
        damaged_pictures: imported.map(|imported| imported.damaged_pictures),
    }
}

fn of_whom(contents: &Contents) -> String {
    let header = &contents.header;
    let whose = header.handle.as_deref().map_or_else(String::new, |handle| format!(" of @{}", line(handle)));
    let made = header.made.strftime("%Y-%m-%d %H:%M UTC");
    format!("{whose}, made {made} by version {}: {}", line(&header.version), inside(contents))
}

fn checked(contents: &Contents) -> String {
    let key = if contents.counts.with_key { "is" } else { "is not" };
    let mut text =
        format!("The file is whole. It is a backup{}. The private key {key} in it.\n", of_whom(contents));
    if let Some(fingerprint) = &contents.header.key_fingerprint {
        text.push_str(&format!("The key has the fingerprint SHA-256 {}.\n", line(fingerprint)));
    }
    text
}

fn told(imported: &Imported, place: &Place, places: &Places) -> String {
    let mut text = format!("Restored from a backup{}.\n", of_whom(&imported.contents));
    if let Some(old) = &imported.set_aside {
        text.push_str(&format!("The store that was there is in {}.\n", old.display()));
    }
    if let Some(old) = &imported.key_set_aside {
        text.push_str(&format!("The key that was there is in {}.\n", old.display()));
    }
    if let Some(next) = &imported.next_key_set_aside {
        text.push_str(&format!("The key that was to follow it is in {}.\n", next.display()));
    }
    if !imported.registered {
        text.push_str(&format!(
            "What the agent that was here has made in Owncast could not be found out. If this one complains of another \
             owncast-herald once it may send again, after the last of these steps, start it once with: {}\n",
            places.command("run --replace")
        ));
    }
    if imported.damaged_pictures > 0 {
        text.push_str(&format!(
            "Pictures that were damaged on their disk before this backup was made, and were left out: {}. An older backup may \
             have them whole.\n",
            imported.damaged_pictures
        ));
    }
    let mut steps = Vec::new();
    if !imported.has_key {
        let wanted = imported.contents.header.key_fingerprint.as_deref();
        let wanted =
            wanted.map_or_else(String::new, |wanted| format!(" (fingerprint SHA-256 {})", line(wanted)));
        steps.push(format!(
            "put the actor's key{wanted} into its place, {}: {}",
            place.key_file.display(),
            places.command("key import FILE")
        ));
    }
    if imported.lacks_next_key {
        steps.push(format!(
            "a change of keys was under way, and some servers may know the new key already: copy {} of the old machine to \
             this one; if the change was finished since: {}",
            keyfile::next_file(&place.key_file).display(),
            places.command("key import FILE --force")
        ));
    }
    steps.extend([
        format!(
            "make sure that the old machine's agent is stopped, and stays so: there, {}",
            places.systemctl("disable --now")
        ),
        format!("start this one: {}", places.systemctl("start")),
        format!("look whether all is there: {}", places.command("status")),
        format!("let it send: {}", places.command("resume --restored")),
    ]);
    text.push_str("Nothing is sent or announced before the last of these steps:\n");
    for (number, step) in (1..).zip(steps) {
        text.push_str(&format!("  {number}. {step}\n"));
    }
    text
}
