//! Who we are: settled once, from configuration or Owncast, never changed by itself.

use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use super::{Memory, Setback, Watcher};
use crate::activitypub::signature::PrivateKey;
use crate::agent::effective::{IdentityState, another_actor};
use crate::config::{Config, Secret, here, keyfile, run_once};
use crate::model::facts::{Facts, Identity};
use crate::model::{Addresses, Draft};
use crate::owncast::footprint::Footprint;
use crate::owncast::life;
use crate::owncast::provision::HOOK_PREFIX;

impl Watcher {
    /// Settles the identity if it is not, and takes over Owncast's own go-live message once it is.
    pub(super) async fn settle_identity(&mut self, memory: &mut Memory) -> Result<(), Setback> {
        let (facts, mut stored): (Facts, Identity) =
            self.store.read(|view| (view.meta(), view.meta())).await?;
        let config = std::sync::Arc::clone(&self.config.borrow());
        let identity = match self.identity(&config, &facts, &mut stored).await {
            Ok(identity) => identity,
            Err(Setback::Identity(why)) => {
                if self.effective.borrow().identity != IdentityState::Waiting(why.clone()) {
                    tracing::error!(target: "herald::agent", "{why}");
                }
                IdentityState::Waiting(why)
            }
            Err(other) => return Err(other),
        };
        let newly = self.effective.borrow().identity != identity;
        if let (true, IdentityState::Settled { addresses, .. }) = (newly, &identity) {
            tracing::info!(
                target: "herald::agent",
                handle = addresses.handle(),
                public_url = addresses.base,
                actor = addresses.actor(),
                "the identity is settled"
            );
        }
        self.publish(facts, identity, &stored);
        self.warn_of_another_actor(memory);
        self.keep_one_post(memory, &config).await
    }

    /// Says that another actor is asked for, once for each.
    fn warn_of_another_actor(&self, memory: &mut Memory) {
        let effective = std::sync::Arc::clone(&self.effective.borrow());
        let other = effective.other_identity();
        if let (Some(ours), Some(other)) = (effective.addresses(), &other)
            && memory.warned_of.as_ref() != Some(other)
        {
            tracing::warn!(target: "herald::agent", "{}", another_actor(ours, other));
        }
        if other.is_none() && memory.warned_of.is_some() {
            tracing::info!(target: "herald::agent", "public URL and username are the actor's own again");
        }
        memory.warned_of = other;
    }

    async fn identity(
        &self,
        config: &Config,
        facts: &Facts,
        stored: &mut Identity,
    ) -> Result<IdentityState, Setback> {
        let wanted_base =
            config.identity.public_url.as_ref().map_or(facts.server_url.as_str(), |url| url.as_str());
        let wanted_user = config.identity.username.as_deref().unwrap_or(&facts.username);
        let key_file = &config.identity.key_file;
        if let (Some(addresses), Some(published)) = (&stored.addresses, stored.published) {
            // Settled once in this process is settled: reading and checking the key costs as much as many deliveries.
            let known = self.effective.borrow().identity.clone();
            if matches!(known, IdentityState::Settled { .. }) {
                return Ok(known);
            }
            let key = read_key(key_file)?.ok_or_else(|| {
                Setback::Identity(format!(
                    "the key of {} is missing: {} is not there. Put your copy of it back with '{}', or import Owncast's with '{}'",
                    addresses.actor(),
                    key_file.display(),
                    here().typed("key import FILE"),
                    here().typed(&format!("adopt --key-only {DATA}"))
                ))
            })?;
            // While a change of keys is under way, others are told of the next one, signed with this one.
            let announced = read_key(&keyfile::next_file(key_file))?;
            return settled(addresses.clone(), published, announced.as_ref().unwrap_or(&key));
        }
        if wanted_base.is_empty() {
            return Err(Setback::Identity(
                "Owncast has no server URL. Set it in Owncast's admin page under Configuration, General, Server URL; or set [identity] public-url".into(),
            ));
        }
        let theirs = self.api.actor_document(&facts.username).await?;
        let addresses = addresses_of(config, theirs.as_ref(), wanted_base, wanted_user);
        let key = match read_key(key_file)? {
            Some(key) => key,
            None => {
                if !self.permissions.new_identity
                    && let Some(trace) = self.trace_of_life(theirs.is_some()).await?
                {
                    return Err(Setback::Identity(lived_before(&addresses, &trace)));
                }
                if let Some(observer) = &self.observer {
                    observer.would_once(&format!("make a key for the actor, in {}", key_file.display()));
                }
                new_key(self.observer.is_none().then_some(key_file.as_path()))?
            }
        };
        let published = theirs
            .as_ref()
            .and_then(|actor| actor.get("published")?.as_str()?.parse::<Timestamp>().ok())
            .unwrap_or_else(Timestamp::now);
        let taken_message = stored.taken_message.clone();
        *stored = Identity { addresses: Some(addresses.clone()), published: Some(published), taken_message };
        self.remember(stored.clone()).await?;
        settled(addresses, published, &key)
    }

    async fn remember(&self, identity: Identity) -> Result<(), Setback> {
        self.store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                draft.put_meta(&identity);
                (draft.into_changes(), ())
            })
            .await?;
        Ok(())
    }

    /// A sign that other servers know this actor with another key; `None` if there is none.
    async fn trace_of_life(&self, has_document: bool) -> Result<Option<Trace>, Setback> {
        let webhooks = self.api.webhooks().await?;
        let ours: Footprint = self.store.read(|view| view.meta()).await?;
        let of_an_agent = |url: &str| url.contains(HOOK_PREFIX) && !url.ends_with(&ours.path);
        let by_an_agent = webhooks.iter().any(|webhook| of_an_agent(&webhook.url));
        let traces = life::signs(&self.api, has_document).await?;
        Ok(match (by_an_agent, traces.is_empty()) {
            (true, _) => Some(Trace::OfAnAgent),
            (false, false) => Some(Trace::OfOwncast(traces.join(", "))),
            (false, true) => None,
        })
    }
}

/// Where Owncast's database is.
const DATA: &str = "--data-dir <Owncast's data folder>";

/// Who has been this actor before.
enum Trace {
    /// Another agent, whose webhook is still in Owncast: the key is in its store.
    OfAnAgent,
    /// Owncast itself, as these signs tell.
    OfOwncast(String),
}

fn settled(addresses: Addresses, published: Timestamp, key: &PrivateKey) -> Result<IdentityState, Setback> {
    let public_key = key.public_pem().map_err(|error| Setback::Identity(error.to_string()))?;
    Ok(IdentityState::Settled { addresses, published, public_key })
}

/// Base and username verbatim from Owncast's own actor document where it serves one: that is what peers have stored.
fn addresses_of(config: &Config, theirs: Option<&Value>, base: &str, username: &str) -> Addresses {
    let fixed = config.identity.public_url.is_some() || config.identity.username.is_some();
    let id = theirs.and_then(|actor| actor.get("id")?.as_str());
    match id.and_then(|id| id.split_once("/federation/user/")) {
        Some((base, username)) if !fixed => Addresses::new(base, username),
        _ => Addresses::new(base, username),
    }
}

fn lived_before(addresses: &Addresses, trace: &Trace) -> String {
    let (actor, until) = (addresses.actor(), "the identity is settled");
    match trace {
        Trace::OfAnAgent => format!(
            "{actor} has lived before: another owncast-herald is registered in Owncast, and other servers know the actor by the key in its store. A new key would lock it out of servers that remember the old one. Either run that one with its own store; or bring key and followers here: stop it and say 'owncast-herald [-i ITS-NAME] export FILE --with-key' there, stop this one and say '{}' here, start this one, and say '{}' once it is where the proxy leads (/usr/share/doc/owncast-herald/BACKUP.md); or give up the old followers with {}",
            here().typed("import --replace FILE"),
            here().typed("resume --restored"),
            run_once("--replace --new-identity", until)
        ),
        Trace::OfOwncast(signs) => format!(
            "{actor} has lived before ({signs}), and other servers know it by Owncast's key. A new key would lock it out of servers that remember the old one. Either move in with '{}', which takes over its key and followers, or give up the old followers with {}",
            here().typed(&format!("adopt {DATA}")),
            run_once("--new-identity", until)
        ),
    }
}

fn read_key(path: &Path) -> Result<Option<PrivateKey>, Setback> {
    match keyfile::read(path) {
        Ok(found) => {
            let key = PrivateKey::from_pem(found.pem.expose());
            key.map(Some)
                .map_err(|error| Setback::Identity(format!("the key in {}: {error}", path.display())))
        }
        Err(keyfile::KeyFileError::Missing { .. }) => Ok(None),
        Err(other) => Err(Setback::Identity(other.to_string())),
    }
}

/// Makes a key, and keeps it where it is to be kept at all.
fn new_key(path: Option<&Path>) -> Result<PrivateKey, Setback> {
    let broken = |error: &dyn std::fmt::Display| Setback::Identity(format!("no key can be made: {error}"));
    let key = PrivateKey::generate().map_err(|error| broken(&error))?;
    if let Some(path) = path {
        let pem = key.to_pem().map_err(|error| broken(&error))?;
        keyfile::write(path, &Secret::new(pem), false)?;
        tracing::info!(target: "herald::agent", file = %path.display(), "made a key; a copy of this file is your backup of the identity");
    }
    Ok(key)
}
