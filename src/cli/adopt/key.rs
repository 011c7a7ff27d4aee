//! `adopt --key-only`: the identity of Owncast's own federation moves in, and nothing else.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Args;
use crate::adopt::{AdoptedIdentity, read_identity};
use crate::cli::files::Places;
use crate::cli::key::{Put, put};
use crate::cli::outcome::remark;
use crate::cli::text::{json, line};
use crate::cli::{Failure, Outcome};
use crate::config::Config;
use crate::config::keyfile;
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
    /// False if the same key was there already, or another one stays.
    written: bool,
    /// Another key is there, as after a change of keys, and the agent goes on with it.
    another_stays: bool,
    /// Where the key is that was there before.
    set_aside: Option<PathBuf>,
    #[serde(skip)]
    fate: Fate,
    agent_running: bool,
    pub(super) warnings: Vec<String>,
}

pub(super) fn key_only(places: &Places, args: &Args, data_dir: &Path, as_json: bool) -> Outcome {
    let config = places.own_files(args.store.as_deref())?;
    let key_file = &config.identity.key_file;
    folder_of(places, key_file)?;
    let identity = read_identity(data_dir)?;
    let fate = take_key(&identity, &config, args)?;
    let adopted = adopted(&identity, &config, fate, places.agent_runs())?;
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

/// What becomes of the key that was found.
#[derive(Debug)]
pub(super) enum Fate {
    /// It would be taken.
    Wanted,
    /// It was taken.
    Taken(Put),
    /// Another one stays.
    AnotherStays,
}

/// Takes the key. Whose followers they are is known by now: where the agent was given them before, a key that differs is newer
/// than Owncast's, which somebody else may have by now, and no force puts that back along with the followers.
pub(super) fn take_key(identity: &AdoptedIdentity, config: &Config, args: &Args) -> Result<Fate, Failure> {
    if another_stays(identity, config, args)? {
        return Ok(Fate::AnotherStays);
    }
    if args.dry_run {
        return Ok(Fate::Wanted);
    }
    Ok(Fate::Taken(put(&config.identity.key_file, &identity.private_key_pem, args.force)?))
}

/// Whether a key is there that differs from Owncast's, and that stays.
pub(super) fn another_stays(
    identity: &AdoptedIdentity,
    config: &Config,
    args: &Args,
) -> Result<bool, Failure> {
    let (file, theirs) = (&config.identity.key_file, &identity.private_key_pem);
    let again = args.catch_up || args.finish;
    Ok(again && keyfile::fingerprint_in(file).is_some() && keyfile::differs(file, theirs)?)
}

/// What there is to be told of a key.
pub(super) fn adopted<'a>(
    identity: &'a AdoptedIdentity,
    config: &'a Config,
    fate: Fate,
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
        written: matches!(&fate, Fate::Taken(put) if put.written),
        another_stays: matches!(fate, Fate::AnotherStays),
        set_aside: match &fate {
            Fate::Taken(put) => put.aside.clone(),
            Fate::Wanted | Fate::AnotherStays => None,
        },
        fate,
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
    /// Another key was there, beside a running agent. One that waited for its key takes it by itself.
    pub(super) fn replaced(&self) -> bool {
        self.set_aside.is_some() && self.agent_running
    }

    /// What became of the key itself.
    pub(super) fn fate(&self) -> String {
        let key_file = self.key_file.display();
        match &self.fate {
            Fate::Wanted => format!("Its private key would be kept in {key_file}.\n"),
            Fate::Taken(put) if put.written => format!(
                "Its private key is now in {key_file}. Keep a copy: without it, followers are lost.\n{}",
                put.told()
            ),
            Fate::Taken(_) => {
                format!("Its private key was in {key_file} already; nothing has changed there.\n")
            }
            Fate::AnotherStays => format!(
                "Another key is in {key_file}, as after a change of keys, and stays. Only --key-only --force puts Owncast's \
                 into its place, and sets that one aside.\n"
            ),
        }
    }
}

fn told(adopted: &Adopted<'_>, places: &Places) -> String {
    let mut text = found(adopted);
    text.push_str(&adopted.fate());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activitypub::signature::PrivateKey;
    use crate::config::{Overrides, Secret};

    fn key() -> Secret {
        Secret::new(PrivateKey::generate().and_then(|key| key.to_pem()).unwrap())
    }

    #[test]
    fn a_key_that_followed_owncasts_stays_and_no_key_goes_without_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        let text = format!("owncast.url = \"http://127.0.0.1:8080\"\nstore.path = {:?}\n", folder.path());
        std::fs::write(&file, text).unwrap();
        let config = Config::load(Some(&file), Overrides::default(), &|_| None).unwrap();
        let key_file = &config.identity.key_file;
        let private = PrivateKey::generate().unwrap();
        let identity = AdoptedIdentity {
            private_key_pem: Secret::new(private.to_pem().unwrap()),
            public_key_pem: private.public_pem().unwrap(),
            server_url: None,
            username: "ana".to_owned(),
            warnings: Vec::new(),
        };
        let take = |args: Args| take_key(&identity, &config, &args);
        let Ok(Fate::Taken(first)) = take(Args::default()) else { panic!("it is taken") };
        assert!(first.written && first.aside.is_none());
        let beside_agent = |put| adopted(&identity, &config, Fate::Taken(put), true).unwrap();
        assert!(!beside_agent(first).replaced(), "the agent has waited for its key");
        let newer = key();
        keyfile::write(key_file, &newer, true).unwrap();
        for (catch_up, finish, force) in
            [(true, false, false), (false, true, false), (true, false, true), (false, true, true)]
        {
            for dry_run in [true, false] {
                let fate = take(Args { catch_up, finish, force, dry_run, ..Args::default() });
                assert!(matches!(fate, Ok(Fate::AnotherStays)), "{fate:?}");
            }
        }
        assert!(take(Args::default()).is_err());
        assert_eq!(keyfile::read(key_file).unwrap().pem, newer);
        let Ok(Fate::Taken(forced)) = take(Args { force: true, ..Args::default() }) else {
            panic!("it is forced")
        };
        assert!(forced.written && forced.told().contains("The key that was there is in"));
        assert_eq!(keyfile::read(forced.aside.as_ref().unwrap()).unwrap().pem, newer);
        assert_eq!(keyfile::read(key_file).unwrap().pem, identity.private_key_pem);
        assert!(beside_agent(forced).replaced());
        // What is damaged is no newer key.
        std::fs::write(key_file, "cut o").unwrap();
        assert!(take(Args { catch_up: true, ..Args::default() }).is_err());
    }
}
