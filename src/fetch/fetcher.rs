//! Actors and keys by address, remembered for a while.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::actor::{is_key_document, key_owner};
use super::budget::{Budget, Turn};
use super::document::without_fragment;
use super::{Budgets, FetchError, RemoteActor, RemoteKey, Schemes};
use crate::activitypub::signature::PrivateKey;
use crate::bounded::Bounded;
use crate::model::origin::{Origin, RemotePolicy, parse_remote, same_origin};
use crate::net::{Client, NetError};

/// How long a fetched actor is used without asking again.
pub const FRESH_FOR: SignedDuration = SignedDuration::from_hours(1);
/// Shortest time between two fetches that one key's failures can cause.
pub const REFETCH_PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// Longest single GET.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest whole search for an actor or key, redirects and refetches included: what bounds how long one host can hold
/// its turns.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a final failure is remembered.
const FINAL_FOR: SignedDuration = SignedDuration::from_mins(15);
/// How long a failure that may pass is remembered.
const TRANSIENT_FOR: SignedDuration = SignedDuration::from_mins(1);
/// Actors remembered; some 4 KiB each.
const ACTORS: usize = 4096;
/// Failures remembered.
const FAILURES: usize = 8192;

/// Who signs our GETs: our one actor, so that peers in secure mode answer.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Our key's id, `…#main-key`.
    pub key_id: String,
    /// Our key.
    pub key: PrivateKey,
}

/// What tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Fetches and remembers strangers' actors and keys. Share it behind an [`Arc`].
pub struct Fetcher {
    pub(super) client: Client,
    pub(super) signer: Signer,
    pub(super) policy: RemotePolicy,
    pub(super) clock: Clock,
    pub(super) schemes: Arc<Schemes>,
    own: Origin,
    budget: Budget,
    memory: Mutex<Memory>,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("own", &self.own)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Everything here is keyed by addresses without fragment and bounded (C-26).
struct Memory {
    actors: Bounded<Known>,
    /// Key documents with an address of their own: to the actor's id.
    owners: Bounded<Url>,
    /// By address, and by origin for a host that does not answer in time.
    failures: Bounded<(FetchError, Timestamp)>,
}

#[derive(Clone)]
struct Known {
    actor: Arc<RemoteActor>,
    fetched_at: Timestamp,
}

impl Fetcher {
    /// A fetcher with the default [`Budgets`]. `own` is our public origin, which is never asked.
    #[must_use]
    pub fn new(client: Client, signer: Signer, policy: RemotePolicy, own: Origin, clock: Clock) -> Self {
        Self::with_budgets(client, signer, policy, own, clock, Budgets::default())
    }

    /// A fetcher with budgets of one's own.
    #[must_use]
    pub fn with_budgets(
        client: Client,
        signer: Signer,
        policy: RemotePolicy,
        own: Origin,
        clock: Clock,
        budgets: Budgets,
    ) -> Self {
        let memory = Memory {
            actors: Bounded::new(ACTORS),
            owners: Bounded::new(ACTORS),
            failures: Bounded::new(FAILURES),
        };
        let (schemes, budget, memory) = (Arc::default(), Budget::new(budgets), Mutex::new(memory));
        Self { client, signer, policy, clock, schemes, own, budget, memory }
    }

    /// Which way of signing each server takes, for whoever else asks them something.
    #[must_use]
    pub fn schemes(&self) -> &Arc<Schemes> {
        &self.schemes
    }

    /// Our public origin.
    #[must_use]
    pub fn own(&self) -> &Origin {
        &self.own
    }

    /// Fetches an actor now, whatever is remembered of it; only a recent failure answers without a request.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn actor(&self, id: &str) -> Result<Arc<RemoteActor>, FetchError> {
        let address = without_fragment(&self.address(id)?);
        self.known_failure(&address)?;
        let _turn = self.turn(&address).await?;
        self.known_failure(&address)?;
        let fetched = in_time(self.resolve_actor(&address)).await;
        self.remember(&address, fetched)
    }

    /// The key with this id and the actor that owns it, from memory if fetched within [`FRESH_FOR`].
    ///
    /// Understood are an actor with a fragment, a stub at `…/main-key` (GoToSocial), a key document of its own (a PEM or
    /// a Multikey) and a bare actor address. The key counts only if its owner's own document lists it (C-4).
    ///
    /// # Errors
    /// See [`FetchError`]; answer 503 where it [is transient](FetchError::is_transient), else 401.
    pub async fn key(&self, key_id: &str) -> Result<(RemoteKey, Arc<RemoteActor>), FetchError> {
        let key_id = self.address(key_id)?;
        let usable = |known: Known| {
            let age = self.age(&known);
            match known.actor.key(&key_id) {
                Ok(key) if age < FRESH_FOR => Some(Ok((key, known.actor))),
                // A fresh document without this key: one address must not cause a fetch per invented fragment.
                Err(error) if age < REFETCH_PAUSE && !known.actor.elsewhere.contains(&key_id) => {
                    Some(Err(error))
                }
                _ => None,
            }
        };
        if let Some(answer) = self.remembered(&key_id).and_then(usable) {
            return answer;
        }
        self.known_failure(&key_id)?;
        let _turn = self.turn(&key_id).await?;
        // Somebody else may have fetched it while this call waited.
        if let Some(answer) = self.remembered(&key_id).and_then(usable) {
            return answer;
        }
        self.known_failure(&key_id)?;
        self.fetch_key(&key_id).await
    }

    /// A second look at a key whose signature did not verify: peers change keys without announcing it. `None` if what
    /// is remembered was fetched within [`REFETCH_PAUSE`], which means that the signature is simply wrong.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn key_fresh(&self, key_id: &str) -> Result<Option<(RemoteKey, Arc<RemoteActor>)>, FetchError> {
        let key_id = self.address(key_id)?;
        let recent = || self.remembered(&key_id).is_some_and(|known| self.age(&known) < REFETCH_PAUSE);
        if recent() {
            return Ok(None);
        }
        self.known_failure(&key_id)?;
        let _turn = self.turn(&key_id).await?;
        if recent() {
            return Ok(None);
        }
        self.known_failure(&key_id)?;
        self.fetch_key(&key_id).await.map(Some)
    }

    /// Refuses our own host under any of its ports, or where it has a port of its own (tests), that one.
    pub(super) fn refuse_own_host(&self, url: &Url) -> Result<(), FetchError> {
        let default_port = self.own.authority() == self.own.host;
        let same_port = url.port_or_known_default() == Some(self.own.port);
        if url.host_str() == Some(self.own.host.as_str()) && (default_port || same_port) {
            return Err(FetchError::OwnHost);
        }
        Ok(())
    }

    fn address(&self, text: &str) -> Result<Url, FetchError> {
        let url = parse_remote(text, &self.policy)?;
        self.refuse_own_host(&url)?;
        Ok(url)
    }

    async fn turn(&self, url: &Url) -> Result<Turn, FetchError> {
        let host = Origin::of(url).map(|origin| origin.authority()).unwrap_or_default();
        self.budget.turn(&host, (self.clock)()).await
    }

    async fn fetch_key(&self, key_id: &Url) -> Result<(RemoteKey, Arc<RemoteActor>), FetchError> {
        let fetched = in_time(self.resolve_key(key_id)).await;
        let actor = self.remember(&without_fragment(key_id), fetched)?;
        Ok((actor.key(key_id)?, actor))
    }

    async fn resolve_actor(&self, id: &Url) -> Result<RemoteActor, FetchError> {
        RemoteActor::read(&self.authentic(id).await?, &self.policy)
    }

    /// The actor that owns a key. Redirects and refetches stay within one origin, so the owner is of the key's.
    async fn resolve_key(&self, key_id: &Url) -> Result<RemoteActor, FetchError> {
        let document = self.authentic(key_id).await?;
        if !is_key_document(&document) {
            return RemoteActor::read(&document, &self.policy);
        }
        let owner = key_owner(&document, &self.policy)
            .ok_or_else(|| FetchError::rejected("the key document names no owner"))?;
        if !same_origin(&owner, key_id) {
            return Err(FetchError::rejected("the key document's owner is on another host"));
        }
        let mut actor = self.resolve_actor(&owner).await?;
        if actor.id != owner {
            return Err(FetchError::rejected("the key document's owner has another id"));
        }
        actor.adopt(&document, &self.policy);
        // A failure of the key's address, so that it is remembered as one.
        actor.key(key_id)?;
        Ok(actor)
    }

    fn age(&self, known: &Known) -> SignedDuration {
        (self.clock)().duration_since(known.fetched_at)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self, key_id: &Url) -> Option<Known> {
        let address = without_fragment(key_id);
        let mut memory = self.memory();
        if let Some(known) = memory.actors.get(address.as_str()) {
            return Some(known.clone());
        }
        let owner = memory.owners.get(address.as_str())?.clone();
        memory.actors.get(owner.as_str()).cloned()
    }

    fn known_failure(&self, url: &Url) -> Result<(), FetchError> {
        let now = (self.clock)();
        let address = without_fragment(url).to_string();
        let host = Origin::of(url).map(|origin| origin.to_string());
        let mut memory = self.memory();
        for place in [Some(address), host].into_iter().flatten() {
            if let Some((error, until)) = memory.failures.get(&place)
                && now < *until
            {
                return Err(error.clone());
            }
        }
        Ok(())
    }

    /// Keeps what came of asking `address`, good or bad.
    fn remember(
        &self,
        address: &Url,
        fetched: Result<RemoteActor, FetchError>,
    ) -> Result<Arc<RemoteActor>, FetchError> {
        let now = (self.clock)();
        let mut memory = self.memory();
        match fetched {
            Ok(actor) => {
                let actor = Arc::new(actor);
                if actor.id != *address {
                    memory.owners.insert(address.to_string(), actor.id.clone());
                }
                let known = Known { actor: Arc::clone(&actor), fetched_at: now };
                memory.failures.remove(address.as_str());
                memory.actors.insert(actor.id.to_string(), known);
                Ok(actor)
            }
            Err(error) => {
                if error == FetchError::Gone {
                    memory.actors.remove(address.as_str());
                }
                let keep = if error.is_transient() { TRANSIENT_FOR } else { FINAL_FOR };
                let until = now.checked_add(keep).unwrap_or(Timestamp::MAX);
                memory.failures.insert(address.to_string(), (error.clone(), until));
                // Its next key would hold a turn as long: a few such hosts could hold all turns for ever.
                if let (FetchError::Net(NetError::Timeout(_)), Some(host)) = (&error, Origin::of(address)) {
                    memory.failures.insert(host.to_string(), (error.clone(), until));
                }
                Err(error)
            }
        }
    }
}

async fn in_time(
    search: impl Future<Output = Result<RemoteActor, FetchError>>,
) -> Result<RemoteActor, FetchError> {
    let late = FetchError::Net(NetError::Timeout(SEARCH_TIMEOUT));
    tokio::time::timeout(SEARCH_TIMEOUT, search).await.unwrap_or(Err(late))
}
