//! `key`: the actor's private key, without which nobody is followed any more.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::files::{Places, unexpected};
use super::offline;
use super::text::json;
use super::{Failure, Outcome};
use crate::activitypub::signature::PrivateKey;
use crate::config::Secret;
use crate::config::keyfile::{self, KeyFileError, Written};
use crate::control::protocol::{Answer, Ask, KeyChange};

/// What a new key means, said before it is made.
const CONSEQUENCES: &str = "\
A new key is rarely needed: if somebody else has, or may have, a copy of the one in use. What happens:
  - Followers' servers are told of the new key, in a message signed with the old one. Some (GoToSocial) accept a new key
    in no other way, so a server that does not get that message will refuse this account for good.
  - Until the change is finished, everything goes on being signed with the old key. Servers that know the new one already
    refuse that for a while, and get it later.
  - Servers that nobody follows from learn of the new key when the old one does not fit; most ask again at once.
  - The old key is kept in a file beside the new one.
If the key is known to strangers, do it; else leave it. To begin: ";

/// What to do with the key.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write a copy of the private key to a file that only you may read
    Export(ExportArgs),
    /// Put a copy of the private key into its place
    Import(ImportArgs),
    /// Show where the key is and its fingerprint, never the key
    Show,
    /// Change to a new key, in two steps
    ///
    /// The first step makes the new key, of which followers' servers are told after a restart in a message signed with the
    /// old one. The second, --finish, makes it the one in use.
    Rotate(RotateArgs),
}

/// Arguments of `key export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The file to write, or - for standard output
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write over another key; with - also to a terminal
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `key import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// The file with the key (PEM)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Set another key aside that is there; whoever follows its actor is lost
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `key rotate`.
#[derive(Debug, clap::Args)]
pub struct RotateArgs {
    /// Begin, after you have read what it means
    #[arg(long)]
    pub yes: bool,
    /// Make the new key the one in use, once others were told of it
    #[arg(long, conflicts_with = "yes")]
    pub finish: bool,
    /// Finish although not everybody was told
    #[arg(long, requires = "finish")]
    pub force: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told<'a> {
    file: &'a Path,
    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER), in hexadecimal.
    fingerprint: String,
    /// The same of the next key, while a change is under way.
    next_fingerprint: Option<String>,
    /// False if it stood so before.
    changed: bool,
    /// Where the key is that was there before.
    set_aside: Option<PathBuf>,
    warning: Option<String>,
}

pub(super) fn key(places: &Places, command: Command, as_json: bool) -> Outcome {
    let config = places.own_files(None)?;
    let file = &config.identity.key_file;
    let (mut told, mut text) = match command {
        Command::Export(args) => return export(places, file, &args, as_json),
        Command::Import(args) => import(places, file, &args)?,
        Command::Show => show(places, file)?,
        Command::Rotate(args) if args.finish => finish(places, file, args.force)?,
        Command::Rotate(args) => rotate(places, file, args.yes)?,
    };
    told.warning = keyfile::warning(file, &config.store.path);
    if let Some(warning) = &told.warning {
        text.push_str(&format!("Warning       {warning}\n"));
    }
    if as_json { json(&told) } else { Ok(text) }
}

fn told<'a>(file: &'a Path, changed: bool, set_aside: Option<PathBuf>) -> Result<Told<'a>, Failure> {
    let key = keyfile::read(file)?;
    let next_fingerprint = match keyfile::read(&keyfile::next_file(file)) {
        Ok(next) => Some(fingerprint(&next.pem)?),
        Err(KeyFileError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let fingerprint = fingerprint(&key.pem)?;
    Ok(Told { file, fingerprint, next_fingerprint, changed, set_aside, warning: None })
}

fn fingerprint(key: &Secret) -> Result<String, Failure> {
    keyfile::fingerprint(key).map_err(|error| Failure::new(error.to_string()))
}

fn show<'a>(places: &Places, file: &'a Path) -> Result<(Told<'a>, String), Failure> {
    let told = told(file, false, None)?;
    let mut text = format!("Key file      {}\nFingerprint   SHA-256 {}\n", file.display(), told.fingerprint);
    if let Some(next) = &told.next_fingerprint {
        let finish = places.command("key rotate --finish");
        text.push_str(&format!("Next key      SHA-256 {next} ({finish})\n"));
    }
    Ok((told, text))
}

fn export(places: &Places, file: &Path, args: &ExportArgs, as_json: bool) -> Outcome {
    let pem = keyfile::read(file)?.pem;
    if args.file.as_os_str() != "-" {
        let written =
            keyfile::write_copy(&args.file, &pem, args.force, &offline::heirs(places))? == Written::Now;
        let told = Told { changed: written, ..told(&args.file, written, None)? };
        let text = format!(
            "The private key is in {}, which only you may read. Whoever has it can speak as the stream's account.\n{}",
            args.file.display(),
            if keyfile::next_file(file).exists() {
                format!(
                    "A change of keys is under way: take another copy when it is finished ({}).\n",
                    places.command("key rotate --finish")
                )
            } else {
                String::new()
            }
        );
        return if as_json { json(&told) } else { Ok(text) };
    }
    let mut out = io::stdout();
    if out.is_terminal() && !args.force {
        return Err(Failure::new(
            "the private key is not written to a terminal; name a file, or force it with --force",
        ));
    }
    let written = out.write_all(pem.expose().as_bytes()).and_then(|()| out.flush());
    written.map_err(|cause| Failure::new(format!("standard output cannot be written: {cause}")))?;
    Ok(String::new())
}

/// What became of a key, and of those whose place it took.
#[derive(Debug, Default)]
pub(super) struct Put {
    /// False if it was there already.
    pub(super) written: bool,
    /// Where the key is that was there.
    pub(super) aside: Option<PathBuf>,
    /// Where the key is that was to follow that one.
    next_aside: Option<PathBuf>,
}

impl Put {
    /// What is set aside, to be told.
    pub(super) fn told(&self) -> String {
        let mut text = String::new();
        if let Some(aside) = &self.aside {
            text.push_str(&format!("The key that was there is in {}.\n", aside.display()));
        }
        if let Some(next) = &self.next_aside {
            text.push_str(&format!(
                "The change of that key is given up; the one that was to follow it is in {}.\n",
                next.display()
            ));
        }
        text
    }
}

/// Puts a key into its place. Another one that is there is refused, or by force set aside: there may be no other copy of it.
pub(super) fn put(file: &Path, key: &Secret, force: bool) -> Result<Put, KeyFileError> {
    let mut put = Put::default();
    if force && keyfile::differs(file, key)? {
        let stamp = stamp();
        put.aside = Some(keyfile::keep_copy(file, &stamp)?);
        // The next key is told of in the name of the one that goes.
        put.next_aside = keyfile::set_next_aside(file, &stamp)?;
    }
    put.written = keyfile::write(file, key, put.aside.is_some())? == Written::Now;
    Ok(put)
}

fn import<'a>(places: &Places, file: &'a Path, args: &ImportArgs) -> Result<(Told<'a>, String), Failure> {
    let key = keyfile::read(&args.file)?.pem;
    let put = put(file, &key, args.force)?;
    let mut text = match put.written {
        true => format!("The key is now in {}.\n", file.display()),
        false => format!("The key was in {} already; nothing has changed.\n", file.display()),
    };
    text.push_str(&put.told());
    if put.written && places.agent_runs() {
        text.push_str(&format!(
            "The agent goes on with the one before until it is restarted: {}\n",
            places.systemctl("restart")
        ));
    }
    Ok((told(file, put.written, put.aside)?, text))
}

fn rotate<'a>(places: &Places, file: &'a Path, yes: bool) -> Result<(Told<'a>, String), Failure> {
    keyfile::read(file)?;
    if keyfile::next_file(file).exists() {
        return Err(Failure::new(format!(
            "a change of the key is under way already; `{}` says how far it is, and `{}` ends it",
            places.command("status"),
            places.command("key rotate --finish")
        )));
    }
    if !yes {
        return Err(Failure::new(format!("{CONSEQUENCES}{}", places.command("key rotate --yes"))));
    }
    let made = PrivateKey::generate().and_then(|key| key.to_pem());
    let pem = made.map_err(|error| Failure::new(format!("no key can be made: {error}")))?;
    keyfile::write(&keyfile::next_file(file), &Secret::new(pem), false)?;
    let verb = if places.agent_runs() { "restart" } else { "start" };
    let text = format!(
        "The new key is made, and not in use yet.\n\
         1. {verb} the agent: {}. It tells followers' servers of the new key, after half a minute.\n\
         2. `{}` says when all were told. Then: {}\n",
        places.systemctl(verb),
        places.command("status"),
        places.command("key rotate --finish")
    );
    Ok((told(file, true, None)?, text))
}

fn finish<'a>(places: &Places, file: &'a Path, force: bool) -> Result<(Told<'a>, String), Failure> {
    if !keyfile::next_file(file).exists() {
        return Err(Failure::new(format!(
            "no change of the key is under way; `{}` tells what one means",
            places.command("key rotate")
        )));
    }
    if !force {
        let Answer::Status(status) = places.ask(&Ask::Status)? else { return Err(unexpected()) };
        let why = match status.identity.key_change {
            Some(KeyChange::Told) => None,
            Some(KeyChange::Telling) => {
                Some("some servers were not reached yet, and some will not accept the new key without that")
            }
            Some(KeyChange::Untold) | None => {
                Some("followers' servers were not told of the new key yet; the agent must run for a minute")
            }
        };
        if let Some(why) = why {
            return Err(Failure::new(format!(
                "{why}. `{}` says how far it is; --force finishes all the same",
                places.command("status")
            )));
        }
    }
    let aside = keyfile::change_to_next(file, &stamp())?;
    let mut text = format!(
        "The new key is in its place. The one before is in {}; keep it for some weeks.\n\
         Backups made before are of no use without that one, so now: {}, and a new backup.\n",
        aside.display(),
        places.command("key export FILE")
    );
    if places.agent_runs() {
        text.push_str(&format!(
            "The agent signs with the one before until it is restarted: {}\n",
            places.systemctl("restart")
        ));
    }
    Ok((told(file, true, Some(aside))?, text))
}

fn stamp() -> String {
    Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_key_is_given_up_with_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let places = Places { socket: Some(path("nobody.sock")), ..Places::default() };
        let (file, next) = (path("actor-key.pem"), path("actor-key.pem.next"));
        for place in [&file, &next, &path("copy.pem")] {
            let pem = PrivateKey::generate().and_then(|key| key.to_pem()).unwrap();
            keyfile::write(place, &Secret::new(pem), false).unwrap();
        }
        let from = |name: &str, force| ImportArgs { file: path(name), force };
        assert!(import(&places, &file, &from("copy.pem", false)).is_err());
        let (told, _) = import(&places, &file, &from("actor-key.pem", true)).unwrap();
        assert!(!told.changed && next.exists(), "the same key goes on with its change");
        let (told, text) = import(&places, &file, &from("copy.pem", true)).unwrap();
        assert!(told.changed && told.set_aside.is_some() && told.next_fingerprint.is_none());
        assert!(!next.exists() && text.contains("given up"), "{text}");
    }
}
