//! Actors and keys by address, remembered for a while.

use std::fmt;
use std::ops::Index as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::runtime::Handle;
use url::{Position, Url};

use super::actor::{is_key_document, key_owner};
use super::budget::Turn;
use super::document::{Search, without_fragment};
use super::memory::{ACTORS, Known, Memory, digest};
use super::standing::Turns;
use super::{Budgets, FetchError, RemoteActor, RemoteKey, Schemes};
use crate::activitypub::signature::PrivateKey;
use crate::model::Source;
use crate::model::handle::host_of_url;
use crate::model::origin::{Origin, RemotePolicy, parse_remote, same_origin};
use crate::net::{Client, NetError};

/// How long a fetched actor is used without asking again.
pub const FRESH_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long a fetched key is used where it cannot be asked for again now.
pub const USABLE_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Shortest time between two fetches that the failures of one address can cause, whatever they are: of an address that is
/// only pretended to be asked nobody knows how it would fail, so how often it is asked must not depend on that.
pub const REFETCH_PAUSE: SignedDuration = SignedDuration::from_mins(2);
/// Longest single GET.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest whole search for an actor or key, redirects and refetches included: what bounds how long one host can hold
/// its turns.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it is remembered that a host is slow, or that nothing was found for a person who may try again.
pub(super) const TRANSIENT_FOR: SignedDuration = SignedDuration::from_mins(1);
/// A search that takes so long makes its host a slow one, whatever comes of it: it is the turns held that matter, and a
/// host that drops packets holds them as long as one that never ends its answers.
const SLOW: Duration = Duration::from_secs(2);
/// Who signs our GETs: our one actor, so that peers in secure mode answer.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Our key's id, `…#main-key`.
    pub key_id: String,
    /// Our key.
    pub key: PrivateKey,
}

/// A key and the actor that owns it.
pub type Found = (Arc<RemoteKey>, Arc<RemoteActor>);

/// What tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Fetches and remembers strangers' actors and keys. Share it behind an [`Arc`].
pub struct Fetcher {
    pub(super) client: Client,
    pub(super) signer: Signer,
    pub(super) policy: RemotePolicy,
    pub(super) clock: Clock,
    pub(super) schemes: Arc<Schemes>,
    /// Where requests are made; where they are asked for if there is none.
    pub(super) apart: Option<Handle>,
    own: Origin,
    turns: Turns,
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
        let (schemes, turns, memory) = (Arc::default(), Turns::new(budgets), Mutex::new(Memory::new(ACTORS)));
        Self { client, signer, policy, clock, schemes, apart: None, own, turns, memory }
    }

    /// The same, its requests made on a [thread of their own](super::apart), which has its own connections.
    ///
    /// # Errors
    /// The system denies what a client needs.
    pub fn apart(self, thread: Handle) -> Result<Self, NetError> {
        let client = self.client.for_another_runtime()?;
        Ok(Self { client, apart: Some(thread), ..self })
    }

    /// Another one, for what must not show in the answers of this one: it has budgets and a memory of its own.
    #[must_use]
    pub fn aside(&self) -> Self {
        Self {
            client: self.client.clone(),
            signer: self.signer.clone(),
            policy: self.policy,
            clock: Arc::clone(&self.clock),
            schemes: Arc::clone(&self.schemes),
            apart: self.apart.clone(),
            own: self.own.clone(),
            turns: Turns::new(Budgets::aside()),
            memory: Mutex::new(Memory::new(ACTORS / 8)),
        }
    }

    /// Our public origin.
    #[must_use]
    pub fn own(&self) -> &Origin {
        &self.own
    }

    /// Fetches an actor now, on the word of `source` if somebody outside causes it, whatever is remembered of it; only a
    /// recent failure answers without a request.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn actor(&self, id: &str, source: Option<Source>) -> Result<Arc<RemoteActor>, FetchError> {
        let address = without_fragment(&self.address(id)?);
        self.known_failure(&address)?;
        let turn = self.turn(&address, source).await?;
        self.known_failure(&address)?;
        self.fetch_actor(&address, &turn).await
    }

    /// An actor's document for `source`, who says that something has become of it: fetched unless that was done within
    /// [`REFETCH_PAUSE`].
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn actor_again(
        &self,
        id: &str,
        source: Option<Source>,
    ) -> Result<Arc<RemoteActor>, FetchError> {
        self.actor_unless(id, source, |known| self.age(known) < REFETCH_PAUSE).await
    }

    /// An actor's document as it was at some time since then.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn actor_since(
        &self,
        id: &str,
        source: Option<Source>,
        then: Timestamp,
    ) -> Result<Arc<RemoteActor>, FetchError> {
        self.actor_unless(id, source, |known| known.fetched_at >= then).await
    }

    async fn actor_unless(
        &self,
        id: &str,
        source: Option<Source>,
        will_do: impl Fn(&Known) -> bool,
    ) -> Result<Arc<RemoteActor>, FetchError> {
        let address = without_fragment(&self.address(id)?);
        let recent = || {
            let known = self.memory().actors.get(address.as_str()).cloned();
            known.filter(|known| will_do(known)).map(|known| known.actor)
        };
        if let Some(actor) = recent() {
            return Ok(actor);
        }
        self.known_failure(&address)?;
        let turn = self.turn(&address, source).await?;
        if let Some(actor) = recent() {
            return Ok(actor);
        }
        self.known_failure(&address)?;
        self.fetch_actor(&address, &turn).await
    }

    /// The key with this id and the actor that owns it, from memory if fetched within [`FRESH_FOR`].
    ///
    /// Understood are an actor with a fragment, a stub at `…/main-key` (GoToSocial), a key document of its own (a PEM or
    /// a Multikey) and a bare actor address. The key counts only if its owner's own document lists it (C-4).
    ///
    /// # Errors
    /// See [`FetchError`]. To whom proves nothing, only [`FetchError::Busy`] may be answered differently from the others.
    pub async fn key(&self, key_id: &str, source: Option<Source>) -> Result<Found, FetchError> {
        self.key_at(&self.address(key_id)?, source).await
    }

    /// [`Fetcher::key`] by an address that has been [parsed](parse_remote) already, under the same policy.
    ///
    /// # Errors
    /// As of [`Fetcher::key`].
    pub async fn key_at(&self, key_id: &Url, source: Option<Source>) -> Result<Found, FetchError> {
        self.refuse_own_host(key_id)?;
        if let Some(answer) = self.usable(key_id) {
            return answer;
        }
        // A fetch has a large future, and whoever asks has it within theirs: most find their key in memory.
        Box::pin(self.unknown_key(key_id, source)).await
    }

    async fn unknown_key(&self, key_id: &Url, source: Option<Source>) -> Result<Found, FetchError> {
        self.known_failure(key_id)?;
        let turn = self.turn(key_id, source).await?;
        // Somebody else may have fetched it while this call waited.
        if let Some(answer) = self.usable(key_id) {
            return answer;
        }
        self.known_failure(key_id)?;
        self.fetch_key(key_id, &turn).await
    }

    /// The key with this id as it was fetched within [`USABLE_FOR`]: for when [`Fetcher::key`] fails for the moment, so that
    /// who uses up our fetches, or a host that is away, does not silence those whom we have met lately.
    #[must_use]
    pub fn known_key(&self, key_id: &str) -> Option<Found> {
        let key_id = self.address(key_id).ok()?;
        let known = self.remembered(&key_id).filter(|known| self.age(known) < USABLE_FOR)?;
        let key = known.actor.key(&key_id).ok()?;
        Some((key, known.actor))
    }

    /// The key with this id if it was fetched within [`FRESH_FOR`].
    #[must_use]
    pub fn fresh_key(&self, key_id: &Url) -> Option<Found> {
        self.usable(key_id)?.ok()
    }

    /// Remembers an actor who has proved itself, as [another](Fetcher::aside) has read it just now.
    pub fn learn(&self, actor: &Arc<RemoteActor>) {
        let known = Known { actor: Arc::clone(actor), fetched_at: (self.clock)() };
        self.memory().actors.learn(known, true);
    }

    /// A signature by this key of this actor's was good: neither is forgotten for those who prove nothing, and what its server
    /// sends from there is looked into when they have used up what they have.
    pub fn proved(&self, actor: &RemoteActor, key: &Url, source: Option<Source>) {
        self.memory().proved(actor, digest(key));
        if let Some(source) = source {
            self.turns.proved(&authority(&actor.id), source);
        }
    }

    pub(super) fn after_a_pause(&self) -> Timestamp {
        (self.clock)().checked_add(REFETCH_PAUSE).unwrap_or(Timestamp::MAX)
    }

    /// What memory answers for a key, if it is fresh enough.
    fn usable(&self, key_id: &Url) -> Option<Result<Found, FetchError>> {
        let known = self.remembered(key_id)?;
        let age = self.age(&known);
        match known.actor.key(key_id) {
            Ok(key) if age < FRESH_FOR => Some(Ok((key, known.actor))),
            // A fresh document without this key: one address must not cause a fetch per invented fragment.
            Err(error) if age < REFETCH_PAUSE && !known.actor.elsewhere.contains(key_id) => Some(Err(error)),
            _ => None,
        }
    }

    /// A second look at a key whose signature did not verify: peers change keys without announcing it. `None` if what
    /// is remembered was fetched within [`REFETCH_PAUSE`], which means that the signature is simply wrong.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn key_fresh(&self, key_id: &str, source: Option<Source>) -> Result<Option<Found>, FetchError> {
        let key_id = self.address(key_id)?;
        let recent = || self.remembered(&key_id).is_some_and(|known| self.age(&known) < REFETCH_PAUSE);
        if recent() {
            return Ok(None);
        }
        self.known_failure(&key_id)?;
        let turn = self.turn(&key_id, source).await?;
        if recent() {
            return Ok(None);
        }
        self.known_failure(&key_id)?;
        self.fetch_key(&key_id, &turn).await.map(Some)
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

    pub(super) fn address(&self, text: &str) -> Result<Url, FetchError> {
        let url = parse_remote(text, &self.policy)?;
        self.refuse_own_host(&url)?;
        Ok(url)
    }

    pub(super) async fn turn(&self, url: &Url, source: Option<Source>) -> Result<Turn, FetchError> {
        self.turns.turn(&authority(url), source, (self.clock)()).await
    }

    async fn fetch_actor(&self, address: &Url, turn: &Turn) -> Result<Arc<RemoteActor>, FetchError> {
        let (watch, mut search) = (self.watch(turn), Search::new(turn));
        let fetched = in_time(self.resolve_actor(address, &mut search)).await;
        drop(watch);
        self.found(address, &search, &fetched);
        self.remember(address, fetched)
    }

    pub(super) async fn fetch_key(&self, key_id: &Url, turn: &Turn) -> Result<Found, FetchError> {
        let (watch, mut search) = (self.watch(turn), Search::new(turn));
        let fetched = in_time(self.resolve_key(key_id, &mut search)).await;
        drop(watch);
        self.found(key_id, &search, &fetched);
        let actor = self.remember(&without_fragment(key_id), fetched)?;
        Ok((actor.key(key_id)?, actor))
    }

    /// Which way of signing a host takes is known once it has told something in it.
    fn found(&self, address: &Url, search: &Search<'_>, fetched: &Result<RemoteActor, FetchError>) {
        if let (Some(scheme), Ok(_)) = (search.took, fetched) {
            self.schemes.took(&host_of_url(address), scheme, (self.clock)());
        }
    }

    async fn resolve_actor(&self, id: &Url, search: &mut Search<'_>) -> Result<RemoteActor, FetchError> {
        RemoteActor::read(&self.authentic(id, search).await?, &self.policy)
    }

    /// The actor that owns a key. Redirects and refetches stay within one origin, so the owner is of the key's.
    async fn resolve_key(&self, key_id: &Url, search: &mut Search<'_>) -> Result<RemoteActor, FetchError> {
        let document = self.authentic(key_id, search).await?;
        if !is_key_document(&document) {
            return RemoteActor::read(&document, &self.policy);
        }
        let owner = key_owner(&document, &self.policy)
            .ok_or_else(|| FetchError::rejected("the key document names no owner"))?;
        if !same_origin(&owner, key_id) {
            return Err(FetchError::rejected("the key document's owner is on another host"));
        }
        let mut actor = self.resolve_actor(&owner, search).await?;
        if actor.id != owner {
            return Err(FetchError::rejected("the key document's owner has another id"));
        }
        actor.adopt(&document, &self.policy);
        // A failure of the key's address, so that it is remembered as one: it is asked for by the document's own id, since a
        // fragment that somebody has invented tells nothing of the key.
        let own = document.get("id").and_then(Value::as_str).ok_or(FetchError::Denied)?;
        actor.key(&parse_remote(own, &self.policy)?)?;
        Ok(actor)
    }

    fn age(&self, known: &Known) -> SignedDuration {
        (self.clock)().duration_since(known.fetched_at)
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remembered(&self, key_id: &Url) -> Option<Known> {
        let address = key_id.index(..Position::AfterQuery);
        let mut memory = self.memory();
        if let Some(known) = memory.actors.get(address) {
            return Some(known.clone());
        }
        let place = digest(key_id);
        let owner = memory.owner(&place)?;
        let known = memory.actors.get(owner.as_str())?.clone();
        // A key that is a document of its own counts for as long as its owner's newest document lists it.
        if known.actor.elsewhere.contains(key_id)
            && let Some(adopted) = memory.adopted.get(&place)
        {
            return Some(adopted.clone());
        }
        Some(known)
    }

    /// Watches how long the host of a turn takes until this is dropped: also when nobody waits for it any more.
    pub(super) fn watch<'a>(&'a self, turn: &'a Turn) -> Watch<'a> {
        Watch { clock: &self.clock, turn, began: Instant::now() }
    }

    /// Remembers for a while that nothing can be had at an address.
    pub(super) fn remember_failure(&self, address: &Url, error: &FetchError, time: SignedDuration) {
        let until = (self.clock)().checked_add(time).unwrap_or(Timestamp::MAX);
        let place = digest(address);
        self.memory().failures.insert_weighing(error.weight(), place, (error.clone(), until));
    }

    pub(super) fn known_failure(&self, url: &Url) -> Result<(), FetchError> {
        let now = (self.clock)();
        match self.memory().failures.get(&digest(url)) {
            Some((error, until)) if now < *until => Err(error.clone()),
            _ => Ok(()),
        }
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
                let known = Known { actor: Arc::clone(&actor), fetched_at: now };
                let weight = actor.weight();
                if actor.id != *address {
                    memory.learn_owner(digest(address), actor.id.clone());
                    if actor.elsewhere.iter().any(|key| without_fragment(key) == *address) {
                        memory.adopted.insert_weighing(weight, digest(address), known.clone());
                    }
                }
                memory.failures.remove(&digest(address));
                memory.actors.learn(known, false);
                Ok(actor)
            }
            Err(error) => {
                if error == FetchError::Gone {
                    memory.actors.remove(address.as_str());
                }
                memory.in_vain.insert(digest(address), self.after_a_pause());
                drop(memory);
                self.remember_failure(address, &error, REFETCH_PAUSE);
                Err(error)
            }
        }
    }
}

/// See [`Fetcher::watch`].
pub(super) struct Watch<'a> {
    clock: &'a Clock,
    turn: &'a Turn,
    began: Instant,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.began.elapsed() >= SLOW {
            let now = (self.clock)();
            self.turn.is_slow_until(now, now.checked_add(TRANSIENT_FOR).unwrap_or(Timestamp::MAX));
        }
    }
}

fn authority(url: &Url) -> String {
    Origin::of(url).map(|origin| origin.authority()).unwrap_or_default()
}

async fn in_time(
    search: impl Future<Output = Result<RemoteActor, FetchError>>,
) -> Result<RemoteActor, FetchError> {
    let late = FetchError::Net(NetError::Timeout(SEARCH_TIMEOUT));
    tokio::time::timeout(SEARCH_TIMEOUT, search).await.unwrap_or(Err(late))
}
