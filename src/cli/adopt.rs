//! `adopt`: the identity of Owncast's own federation moves in.

use std::path::{Path, PathBuf};

use openssl::pkey::PKey;
use serde::Serialize;

use super::files::Places;
use super::outcome::remark;
use super::text::{json, line};
use super::{Failure, Outcome};
use crate::adopt::{AdoptedIdentity, read_identity};
use crate::config::Config;
use crate::config::keyfile::{self, Written};
use crate::model::Addresses;

/// Arguments of `adopt`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take over the actor's key, so that followers recognise the actor
    #[arg(long, required = true)]
    pub key_only: bool,
    /// Owncast's data folder, which holds owncast.db; it is only read
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Folder of the agent's database; wins over the file
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Replace another key that is there; whoever follows its actor is lost
    #[arg(long)]
    pub force: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Adopted<'a> {
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
    warnings: Vec<String>,
}

pub(super) fn adopt(places: &Places, args: &Args, as_json: bool) -> Outcome {
    let config = places.own_files(args.store.as_deref())?;
    let key_file = &config.identity.key_file;
    let folder = key_file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Failure::new(format!(
            "there is no folder {} for the key; start the service once, which makes it and then waits for the key \
             (systemctl start owncast-herald), or name the agent's folder with --store DIR",
            folder.display()
        )));
    }
    let identity = read_identity(&args.data_dir)?;
    let fingerprint = fingerprint(&identity.public_key_pem)?;
    let written = keyfile::write(key_file, &identity.private_key_pem, args.force)? == Written::Now;
    let addresses = identity.server_url.as_deref().map(|base| Addresses::new(base, &identity.username));
    let adopted = Adopted {
        server_url: identity.server_url.as_deref(),
        username: &identity.username,
        handle: addresses.as_ref().map(Addresses::handle),
        actor: addresses.as_ref().map(Addresses::actor),
        fingerprint,
        key_file,
        written,
        agent_running: places.agent_runs(),
        warnings: warnings(&identity, &config),
    };
    if as_json {
        return json(&adopted);
    }
    for warning in &adopted.warnings {
        remark(&format!("warning: {warning}"));
    }
    Ok(told(&adopted))
}

/// Names the key in a way two people can compare.
fn fingerprint(public_key: &str) -> Result<String, Failure> {
    let der = PKey::public_key_from_pem(public_key.as_bytes()).and_then(|key| key.public_key_to_der());
    let der = der.map_err(|error| Failure::new(format!("Owncast's public key cannot be read: {error}")))?;
    Ok(openssl::sha::sha256(&der).iter().map(|byte| format!("{byte:02x}")).collect())
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

fn told(adopted: &Adopted<'_>) -> String {
    let mut text = format!(
        "Found in Owncast's database:\n  server URL   {}\n  username     {}\n",
        adopted.server_url.map_or_else(|| "(none)".to_owned(), line),
        line(adopted.username)
    );
    if let (Some(handle), Some(actor)) = (&adopted.handle, &adopted.actor) {
        text.push_str(&format!("  handle       @{}\n  actor        {}\n", line(handle), line(actor)));
    }
    text.push_str(&format!("  public key   SHA-256 {}\n", adopted.fingerprint));
    let key_file = adopted.key_file.display();
    text.push_str(&match adopted.written {
        true => {
            format!("Its private key is now in {key_file}. Keep a copy: without it, followers are lost.\n")
        }
        false => format!("Its private key was in {key_file} already; nothing has changed.\n"),
    });
    text.push_str(match (adopted.agent_running, adopted.written) {
        (true, true) => "Next: restart the agent, which is running without it (systemctl restart owncast-herald).\n",
        (true, false) => "Next: if the agent was started before this key was there, restart it (systemctl restart owncast-herald).\n",
        (false, _) => "Next: start the agent (systemctl start owncast-herald).\n",
    });
    text.push_str("Then `owncast-herald status` must show this actor.\n");
    text
}
