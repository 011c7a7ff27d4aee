//! `adopt --key-only`: the identity of Owncast's own federation moves in, and nothing else.

use std::path::Path;

use serde::Serialize;

use super::Args;
use crate::adopt::{AdoptedIdentity, read_identity};
use crate::cli::files::Places;
use crate::cli::outcome::remark;
use crate::cli::text::{json, line};
use crate::cli::{Failure, Outcome};
use crate::config::Config;
use crate::config::keyfile::{self, Written};
use crate::model::Addresses;

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Adopted<'a> {
    server_url: Option<&'a str>,
    username: &'a str,
    handle: Option<String>,
    actor: Option<String>,
    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER), in hexadecimal.
    fingerprint: String,
    key_file: &'a Path,
    /// False if the same key was there already.
    written: bool,
    agent_running: bool,
    pub(super) warnings: Vec<String>,
}

pub(super) fn key_only(places: &Places, args: &Args, data_dir: &Path, as_json: bool) -> Outcome {
    let config = places.own_files(args.store.as_deref())?;
    let key_file = &config.identity.key_file;
    folder_of(places, key_file)?;
    let identity = read_identity(data_dir)?;
    let written = take_key(&identity, &config, args.force)?;
    let adopted = adopted(&identity, &config, written, places.agent_runs())?;
    if as_json {
        return json(&adopted);
    }
    for warning in &adopted.warnings {
        remark(&format!("warning: {warning}"));
    }
    Ok(told(&adopted, places))
}

/// The folder that the key goes to, which the service has made.
pub(super) fn folder_of<'a>(places: &Places, key_file: &'a Path) -> Result<&'a Path, Failure> {
    let folder = key_file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Failure::new(format!(
        "there is no folder {} for the key; start the service once, which makes it and then waits for the key \
         ({}), or name the agent's folder with --store DIR",
        folder.display(),
        places.systemctl("start")
    )))
}

/// Writes the key. False if it was there already.
pub(super) fn take_key(identity: &AdoptedIdentity, config: &Config, force: bool) -> Result<bool, Failure> {
    let written = keyfile::write(&config.identity.key_file, &identity.private_key_pem, force)?;
    Ok(written == Written::Now)
}

/// What there is to be told of a key.
pub(super) fn adopted<'a>(
    identity: &'a AdoptedIdentity,
    config: &'a Config,
    written: bool,
    agent_running: bool,
) -> Result<Adopted<'a>, Failure> {
    let addresses = identity.server_url.as_deref().map(|base| Addresses::new(base, &identity.username));
    Ok(Adopted {
        server_url: identity.server_url.as_deref(),
        username: &identity.username,
        handle: addresses.as_ref().map(Addresses::handle),
        actor: addresses.as_ref().map(Addresses::actor),
        fingerprint: fingerprint(&identity.public_key_pem)?,
        key_file: &config.identity.key_file,
        written,
        agent_running,
        warnings: warnings(identity, config),
    })
}

/// Names the key in a way two people can compare.
fn fingerprint(public_key: &str) -> Result<String, Failure> {
    keyfile::fingerprint_of_public(public_key)
        .ok_or_else(|| Failure::new("Owncast's public key cannot be read"))
}

/// What of the copy or of the configuration stands between this key and its followers.
fn warnings(identity: &AdoptedIdentity, config: &Config) -> Vec<String> {
    let mut warnings = identity.warnings.clone();
    if identity.server_url.is_none() {
        warnings.push(
            "Owncast has no server URL, without which it never federated: nobody can have followed this actor".to_owned(),
        );
    }
    let differ = |set: Option<&str>, adopted: Option<&str>| match (set, adopted) {
        (Some(set), Some(adopted)) => set.trim_end_matches('/') != adopted.trim_end_matches('/'),
        _ => false,
    };
    let public_url = config.identity.public_url.as_ref().map(ToString::to_string);
    if differ(public_url.as_deref(), identity.server_url.as_deref()) {
        warnings
            .push("[identity] public-url is another one than Owncast's: that is another actor".to_owned());
    }
    if differ(config.identity.username.as_deref(), Some(&identity.username)) {
        warnings.push("[identity] username is another one than Owncast's: that is another actor".to_owned());
    }
    warnings
}

pub(super) fn found(adopted: &Adopted<'_>) -> String {
    let mut text = format!(
        "Found in Owncast's database:\n  server URL   {}\n  username     {}\n",
        adopted.server_url.map_or_else(|| "(none)".to_owned(), line),
        line(adopted.username)
    );
    if let (Some(handle), Some(actor)) = (&adopted.handle, &adopted.actor) {
        text.push_str(&format!("  handle       @{}\n  actor        {}\n", line(handle), line(actor)));
    }
    text.push_str(&format!("  public key   SHA-256 {}\n", adopted.fingerprint));
    text
}

impl Adopted<'_> {
    /// The key is new there, beside a running agent.
    pub(super) fn replaced(&self) -> bool {
        self.written && self.agent_running
    }

    /// What became of the key itself.
    pub(super) fn fate(&self, dry_run: bool) -> String {
        let key_file = self.key_file.display();
        match (dry_run, self.written) {
            (true, _) => format!("Its private key would be kept in {key_file}.\n"),
            (false, true) => format!(
                "Its private key is now in {key_file}. Keep a copy: without it, followers are lost.\n"
            ),
            (false, false) => {
                format!("Its private key was in {key_file} already; nothing has changed there.\n")
            }
        }
    }
}

fn told(adopted: &Adopted<'_>, places: &Places) -> String {
    let mut text = found(adopted);
    text.push_str(&adopted.fate(false));
    let (what, verb) = match (adopted.agent_running, adopted.written) {
        (true, true) => ("restart the agent, which is running without it", "restart"),
        (true, false) => ("if the agent was started before this key was there, restart it", "restart"),
        (false, _) => ("start the agent", "start"),
    };
    text.push_str(&format!(
        "Next: {what} ({}).\nThen `{}` must show this actor.\n",
        places.systemctl(verb),
        places.command("status")
    ));
    text
}
