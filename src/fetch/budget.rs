//! How much work strangers may cause us (C-25): so many fetches at once, so many per minute, in all, per host, per owner of
//! hosts, per client that causes them, and per client at one host.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::FetchError;
use crate::bounded::Bounded;
use crate::model::owner::owner_of_host;
use crate::model::{Network, Source};

/// A limit of its own.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Fetches at once.
    pub at_once: usize,
    /// Fetches running or waiting.
    pub queue: usize,
    /// Fetches begun in one minute, and in all requests: no fetch begins once there were so many. Of a client it is what one
    /// alone may begin; the second has as large a part of what is left, so that many are needed to leave nothing.
    pub per_minute: u32,
}

/// What is kept for those who have caused few fetches.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Turns.
    pub at_once: usize,
    /// Places to wait.
    pub queue: usize,
    /// So many are few of one client,
    pub few: u32,
    /// and so many of one [`Network`].
    pub few_of_network: u32,
    /// Fetches of a minute, for clients and networks that have caused none in it: many clients with two each, or searches of
    /// many requests, leave nothing to anybody new otherwise.
    pub per_minute: u32,
}

/// The limits. What is over them is [`FetchError::Busy`], at once or after `wait`.
#[derive(Clone, Copy, Debug)]
pub struct Budgets {
    /// In all.
    pub all: Share,
    /// Of one host.
    pub host: Share,
    /// Of all hosts of one [owner](owner_of_host): names below one's own cost nothing.
    pub owner: Share,
    /// Caused by one client.
    pub source: Share,
    /// Caused by one client at the hosts of one owner: less than a host's, so that who invents keys of it leaves something of
    /// its fetches to others.
    pub source_at_owner: Share,
    /// Caused by all clients of one [`Network`].
    pub network: Share,
    /// Caused by the same at the hosts of one owner.
    pub network_at_owner: Share,
    /// Of all turns and places, what is kept for those who have caused few fetches in this minute.
    pub kept: Kept,
    /// Of all hosts together that lately took long: so many at once.
    pub slow_at_once: usize,
    /// Of the same, so many running or waiting.
    pub slow_queue: usize,
    /// Of the same, so many running or waiting that one client causes; one of them at once.
    pub slow_queue_of_source: usize,
    /// Of the same, so many running or waiting that one [`Network`] causes at the hosts of one owner, who have a
    /// [part](SLOW_PLACES) of them: who makes a host slow must not hold all that it has.
    pub slow_queue_of_network_at_owner: usize,
    /// So many slow hosts of one owner make all of theirs slow: each name below one's own would be a host that nobody knows.
    pub slow_hosts_of_owner: u32,
    /// Longest wait for a turn.
    pub wait: Duration,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            all: Share { at_once: 16, queue: 256, per_minute: 1800 },
            host: Share { at_once: 2, queue: 32, per_minute: 120 },
            owner: Share { at_once: 4, queue: 64, per_minute: 400 },
            source: Share { at_once: 4, queue: 64, per_minute: 240 },
            source_at_owner: Share { at_once: 1, queue: 16, per_minute: 24 },
            network: Share { at_once: 8, queue: 128, per_minute: 400 },
            network_at_owner: Share { at_once: 1, queue: 24, per_minute: 40 },
            kept: Kept { at_once: 4, queue: 64, few: 8, few_of_network: 64, per_minute: 600 },
            slow_at_once: 4,
            slow_queue: 32,
            slow_queue_of_source: 8,
            slow_queue_of_network_at_owner: 2,
            slow_hosts_of_owner: 3,
            wait: Duration::from_secs(10),
        }
    }
}

impl Budgets {
    /// For what is looked into beside the answers: less of everything.
    pub(super) fn aside() -> Self {
        let all = Share { at_once: 8, queue: 64, per_minute: 375 };
        let kept = Kept { at_once: 2, queue: 16, per_minute: 75, ..Self::default().kept };
        Self { all, kept, slow_at_once: 2, slow_queue: 16, ..Self::default() }
    }

    /// For clients that have proved signatures of the host that is asked: what strangers use up is not theirs. Who waits for long
    /// here waits with strangers instead.
    pub(super) fn of_proven() -> Self {
        let most = Share { at_once: 4, queue: 64, per_minute: 300 };
        let alone = Share { at_once: 2, queue: 32, per_minute: 200 };
        Self {
            all: Share { at_once: 8, queue: 128, per_minute: 900 },
            host: most,
            owner: most,
            source: alone,
            source_at_owner: alone,
            network: alone,
            network_at_owner: alone,
            kept: Kept { at_once: 0, queue: 0, per_minute: 0, ..Self::default().kept },
            slow_queue_of_network_at_owner: usize::MAX,
            slow_hosts_of_owner: u32::MAX,
            wait: Duration::from_secs(3),
            ..Self::default()
        }
    }
}

/// Rates remembered of each kind; more than can begin in a minute.
const RATES: usize = 4096;
/// Of the turns of slow hosts one owner's have so large a part at once,
const SLOW_TURNS: usize = 2;
/// and so large a part of the places: otherwise a few that never answer keep out whoever is called slow as well.
const SLOW_PLACES: usize = 4;
/// What is left to every client for as long as anything is.
const LEAST: u32 = 2;

pub(super) struct Budget {
    limits: Budgets,
    all: Arc<Semaphore>,
    /// Of all, what is not kept.
    common: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Places held in all, and by those who have caused many.
    total: usize,
    many: usize,
    slow: usize,
    minute: Window,
    /// Turns alone: how many requests they made must not show in what is left to whom.
    turns: Window,
    /// Of these, what was begun of what is kept.
    of_kept: Window,
    hosts: Lanes<String>,
    owners: Lanes<String>,
    sources: Lanes<Source>,
    pairs: Lanes<(Source, String)>,
    networks: Lanes<Network>,
    network_pairs: Lanes<(Network, String)>,
    slow_sources: Lanes<Source>,
    slow_of_owners: Lanes<String>,
    slow_hosts: Bounded<String, Timestamp>,
    slow_owners: Bounded<String, (Timestamp, u32)>,
    slow_hosts_of_owner: u32,
}

impl State {
    fn is_slow(&mut self, host: &str, owner: &str, now: Timestamp) -> bool {
        self.slow_hosts.get(host).is_some_and(|until| now < *until)
            || self
                .slow_owners
                .get(owner)
                .is_some_and(|(until, hosts)| now < *until && *hosts >= self.slow_hosts_of_owner)
    }

    fn is_slow_until(&mut self, host: &str, owner: &str, now: Timestamp, until: Timestamp) {
        let known = self.slow_hosts.get(host).is_some_and(|until| now < *until);
        self.slow_hosts.insert(host.to_owned(), until);
        let others = self.slow_owners.get(owner).filter(|(until, _)| now < *until).map_or(0, |owner| owner.1);
        self.slow_owners.insert(owner.to_owned(), (until, others + u32::from(!known)));
    }
}

/// Who waits and how much was begun, by some key.
struct Lanes<K> {
    limit: Share,
    open: HashMap<K, Lane>,
    rates: Bounded<K, Window>,
}

struct Lane {
    turns: Arc<Semaphore>,
    users: usize,
}

impl<K: Hash + Eq + Clone> Lanes<K> {
    fn new(limit: Share) -> Self {
        Lanes { limit, open: HashMap::new(), rates: Bounded::new(RATES) }
    }

    fn held(&self, key: &K) -> usize {
        self.open.get(key).map_or(0, |lane| lane.users)
    }

    fn has_place(&self, key: &K) -> bool {
        self.held(key) < self.limit.queue
    }

    fn begun(&mut self, key: &K, minute: i64) -> u32 {
        self.rates.get(key).map_or(0, |rate| rate.begun(minute))
    }

    /// How many may still begin.
    fn left(&mut self, key: &K, minute: i64) -> u32 {
        self.limit.per_minute.saturating_sub(self.begun(key, minute))
    }

    fn has_room(&mut self, key: &K, minute: i64) -> bool {
        self.has_place(key) && self.left(key, minute) > 0
    }

    /// Whether a client may begin one more of each of these.
    fn may(&mut self, key: &K, minute: i64, parts: &[Part]) -> bool {
        let (begun, most) = (self.begun(key, minute), self.limit.per_minute);
        self.has_place(key) && begun < most && parts.iter().all(|part| part.allows(begun, most))
    }

    fn enter(&mut self, key: &K, minute: i64) -> Arc<Semaphore> {
        self.count(key, minute);
        let turns = self.limit.at_once;
        let lane = self
            .open
            .entry(key.clone())
            .or_insert_with(|| Lane { turns: Arc::new(Semaphore::new(turns)), users: 0 });
        lane.users += 1;
        Arc::clone(&lane.turns)
    }

    fn count(&mut self, key: &K, minute: i64) {
        let mut rate = self.rates.get(key).copied().unwrap_or_default();
        rate.count(minute);
        self.rates.insert(key.clone(), rate);
    }

    fn leave(&mut self, key: &K) {
        if let Some(lane) = self.open.get_mut(key) {
            lane.users = lane.users.saturating_sub(1);
            if lane.users == 0 {
                self.open.remove(key);
            }
        }
    }
}

/// Requests counted in the minute that is running.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    minute: i64,
    begun: u32,
}

impl Window {
    fn begun(self, minute: i64) -> u32 {
        if self.minute == minute { self.begun } else { 0 }
    }

    fn count(&mut self, minute: i64) {
        *self = Self { minute, begun: self.begun(minute) + 1 };
    }
}

/// What is left of a minute's fetches, and how many there were.
#[derive(Clone, Copy, Debug)]
struct Part {
    left: u32,
    of: u32,
}

impl Part {
    /// Whether a client who has begun so many may begin one more, if it may begin `most` when it is alone.
    fn allows(self, begun: u32, most: u32) -> bool {
        let of_others = u64::from(self.of.saturating_sub(most));
        begun < LEAST || u64::from(begun) * of_others < u64::from(self.left) * u64::from(most)
    }
}

/// Most requests of one search: a key of its own and its actor, with a redirect and a refusal of each way of signing.
const ASKS: u32 = 8;

/// The right to fetch, given back when dropped.
pub(super) struct Turn {
    _permits: Vec<OwnedSemaphorePermit>,
    place: Place,
    asked: AtomicU32,
}

impl Turn {
    /// A request is made. The first is paid for by the turn; each further one, which a redirect or a refusal asks for,
    /// counts among all. It does not count for its host or its client: what is left to them shows, and a search that is
    /// only pretended, for a key of somebody who is blocked, makes none. So there are few of them.
    pub(super) fn asks(&self, now: Timestamp) -> Result<(), FetchError> {
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            0 => {}
            ASKS.. => return Err(FetchError::rejected(format!("it is not found with {ASKS} requests"))),
            _ => lock(&self.place.state).minute.count(now.as_second() / 60),
        }
        Ok(())
    }

    /// The host took long: until then it shares a few turns and places with others of its kind, of those who spend what this
    /// turn was taken from. A few such hosts could hold all turns for ever else; but its other addresses, which may be well,
    /// are asked all the same.
    pub(super) fn is_slow_until(&self, now: Timestamp, until: Timestamp) {
        let Place { state, host, owner, .. } = &self.place;
        lock(state).is_slow_until(host, owner, now, until);
    }
}

/// A place in the queue, given back when dropped: also when the caller gives up while waiting.
struct Place {
    state: Arc<Mutex<State>>,
    host: String,
    owner: String,
    source: Option<Source>,
    slow: bool,
    many: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let host = std::mem::take(&mut self.host);
        let mut state = lock(&self.state);
        state.total = state.total.saturating_sub(1);
        state.many = state.many.saturating_sub(usize::from(self.many));
        if self.slow {
            state.slow = state.slow.saturating_sub(1);
            state.slow_of_owners.leave(&self.owner);
        }
        state.hosts.leave(&host);
        state.owners.leave(&self.owner);
        if let Some(source) = self.source {
            if self.slow {
                state.slow_sources.leave(&source);
            }
            state.networks.leave(&source.network());
            state.network_pairs.leave(&(source.network(), self.owner.clone()));
            state.sources.leave(&source);
            state.pairs.leave(&(source, std::mem::take(&mut self.owner)));
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Budget {
    pub(super) fn new(limits: Budgets) -> Self {
        let state = State {
            total: 0,
            many: 0,
            slow: 0,
            minute: Window::default(),
            turns: Window::default(),
            of_kept: Window::default(),
            hosts: Lanes::new(limits.host),
            owners: Lanes::new(limits.owner),
            sources: Lanes::new(limits.source),
            pairs: Lanes::new(limits.source_at_owner),
            networks: Lanes::new(limits.network),
            network_pairs: Lanes::new(limits.network_at_owner),
            slow_sources: Lanes::new(Share {
                at_once: 1,
                queue: limits.slow_queue_of_source,
                per_minute: u32::MAX,
            }),
            slow_of_owners: Lanes::new(Share {
                at_once: (limits.slow_at_once / SLOW_TURNS).max(1),
                queue: limits.slow_queue / SLOW_PLACES,
                per_minute: u32::MAX,
            }),
            slow_hosts: Bounded::new(RATES),
            slow_owners: Bounded::new(RATES),
            slow_hosts_of_owner: limits.slow_hosts_of_owner,
        };
        Self {
            limits,
            all: Arc::new(Semaphore::new(limits.all.at_once)),
            common: Arc::new(Semaphore::new(limits.all.at_once.saturating_sub(limits.kept.at_once).max(1))),
            slow: Arc::new(Semaphore::new(limits.slow_at_once)),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Waits for a turn to fetch from `host`, which `source` causes if somebody outside does.
    pub(super) async fn turn(
        &self,
        host: &str,
        source: Option<Source>,
        now: Timestamp,
    ) -> Result<Turn, FetchError> {
        let (lanes, place) = self.queue(host, source, now)?;
        // The narrowest first, so that who waits for a slow host holds no turn of the others.
        let all = async {
            let mut permits = Vec::with_capacity(lanes.len() + 3);
            for lane in lanes {
                permits.push(lane.acquire_owned().await.ok()?);
            }
            if lock(&self.state).is_slow(&place.host, &place.owner, now) {
                permits.push(Arc::clone(&self.slow).acquire_owned().await.ok()?);
            }
            if place.many {
                permits.push(Arc::clone(&self.common).acquire_owned().await.ok()?);
            }
            permits.push(Arc::clone(&self.all).acquire_owned().await.ok()?);
            Some(permits)
        };
        let permits =
            tokio::time::timeout(self.limits.wait, all).await.ok().flatten().ok_or(FetchError::Busy)?;
        Ok(Turn { _permits: permits, place, asked: AtomicU32::new(0) })
    }

    /// Takes a place, and tells which turns to wait for, in this order.
    fn queue(
        &self,
        host: &str,
        source: Option<Source>,
        now: Timestamp,
    ) -> Result<(Vec<Arc<Semaphore>>, Place), FetchError> {
        let minute = now.as_second() / 60;
        let (host, owner) = (host.to_owned(), owner_of_host(host));
        let pair = source.map(|source| (source, owner.clone()));
        let network = source.map(Source::network);
        let network_pair = network.map(|network| (network, owner.clone()));
        let mut state = lock(&self.state);
        let slow = state.is_slow(&host, &owner, now);
        let Budgets { all, host: of_host, owner: of_owner, kept, .. } = self.limits;
        let many = source.is_some_and(|source| {
            state.sources.begun(&source, minute) >= kept.few
                || state.networks.begun(&source.network(), minute) >= kept.few_of_network
        });
        let first = source.is_none_or(|source| {
            state.sources.begun(&source, minute) == 0 && state.networks.begun(&source.network(), minute) == 0
        });
        let kept_of_minute = kept.per_minute.min(all.per_minute / 3);
        let of_all = all.per_minute - kept_of_minute;
        let common = state.minute.begun(minute) < of_all;
        let whole = Part { left: of_all.saturating_sub(state.turns.begun(minute)), of: of_all };
        let at_host = Part { left: state.hosts.left(&host, minute), of: of_host.per_minute };
        let at_owner = Part { left: state.owners.left(&owner, minute), of: of_owner.per_minute };
        let room = state.total < all.queue
            && (!many || state.many < all.queue.saturating_sub(kept.queue))
            && (!slow || state.slow < self.limits.slow_queue && state.slow_of_owners.has_place(&owner))
            && (common || first && state.of_kept.begun(minute) < kept_of_minute)
            && state.hosts.has_room(&host, minute)
            && state.owners.has_room(&owner, minute)
            && source.is_none_or(|source| {
                state.sources.may(&source, minute, &[whole])
                    && (!slow || state.slow_sources.has_place(&source))
            })
            && pair.as_ref().is_none_or(|pair| state.pairs.may(pair, minute, &[at_host, at_owner]))
            && network.is_none_or(|network| state.networks.may(&network, minute, &[whole]))
            && network_pair.as_ref().is_none_or(|pair| {
                state.network_pairs.may(pair, minute, &[at_host, at_owner])
                    && (!slow || state.network_pairs.held(pair) < self.limits.slow_queue_of_network_at_owner)
            });
        if !room {
            return Err(FetchError::Busy);
        }
        state.total += 1;
        state.many += usize::from(many);
        state.slow += usize::from(slow);
        state.minute.count(minute);
        state.turns.count(minute);
        if !common {
            state.of_kept.count(minute);
        }
        let mut lanes = Vec::with_capacity(8);
        lanes.extend(source.filter(|_| slow).map(|source| state.slow_sources.enter(&source, minute)));
        lanes.extend(slow.then(|| state.slow_of_owners.enter(&owner, minute)));
        lanes.extend(pair.map(|pair| state.pairs.enter(&pair, minute)));
        lanes.extend(source.map(|source| state.sources.enter(&source, minute)));
        lanes.extend(network_pair.map(|pair| state.network_pairs.enter(&pair, minute)));
        lanes.extend(network.map(|network| state.networks.enter(&network, minute)));
        lanes.push(state.hosts.enter(&host, minute));
        lanes.push(state.owners.enter(&owner, minute));
        Ok((lanes, Place { state: Arc::clone(&self.state), host, owner, source, slow, many }))
    }
}

#[cfg(test)]
mod tests;
