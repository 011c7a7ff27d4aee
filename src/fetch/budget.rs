//! How much work strangers may cause us (C-25): so many fetches at once, so many per minute, in all, per host, per client
//! that causes them, and per client at one host.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::FetchError;
use crate::bounded::Bounded;
use crate::model::{Site, Source};

/// A limit of its own.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Fetches at once.
    pub at_once: usize,
    /// Fetches running or waiting.
    pub queue: usize,
    /// Fetches begun in one minute, and in all requests: no fetch begins once there were so many.
    pub per_minute: u32,
}

/// The limits. What is over them is [`FetchError::Busy`], at once or after `wait`.
#[derive(Clone, Copy, Debug)]
pub struct Budgets {
    /// In all.
    pub all: Share,
    /// Of one host.
    pub host: Share,
    /// Caused by one client.
    pub source: Share,
    /// Caused by one client at one host: less than the host's, so that who invents keys of a host leaves something of its
    /// fetches to others.
    pub source_at_host: Share,
    /// Caused by all clients of one IPv6 [`Site`].
    pub site: Share,
    /// Caused by the same at one host.
    pub site_at_host: Share,
    /// Of all hosts together that lately took long: so many at once.
    pub slow_at_once: usize,
    /// Of the same, so many running or waiting.
    pub slow_queue: usize,
    /// Longest wait for a turn.
    pub wait: Duration,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            all: Share { at_once: 16, queue: 256, per_minute: 1200 },
            host: Share { at_once: 2, queue: 32, per_minute: 120 },
            source: Share { at_once: 6, queue: 64, per_minute: 300 },
            source_at_host: Share { at_once: 1, queue: 16, per_minute: 60 },
            site: Share { at_once: 10, queue: 128, per_minute: 800 },
            site_at_host: Share { at_once: 1, queue: 24, per_minute: 90 },
            slow_at_once: 4,
            slow_queue: 32,
            wait: Duration::from_secs(10),
        }
    }
}

impl Budgets {
    /// For what is looked into beside the answers: less of everything.
    pub(super) fn aside() -> Self {
        let all = Share { at_once: 8, queue: 64, per_minute: 300 };
        Self { all, slow_at_once: 2, slow_queue: 16, ..Self::default() }
    }
}

/// Rates remembered of each kind; more than can begin in a minute.
const RATES: usize = 4096;

pub(super) struct Budget {
    limits: Budgets,
    all: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

struct State {
    total: usize,
    slow: usize,
    minute: Window,
    hosts: Lanes<String>,
    sources: Lanes<Source>,
    pairs: Lanes<(Source, String)>,
    sites: Lanes<Site>,
    site_pairs: Lanes<(Site, String)>,
    slow_until: Bounded<String, Timestamp>,
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

    fn has_room(&mut self, key: &K, minute: i64) -> bool {
        let rate = self.rates.get(key).copied().unwrap_or_default();
        let users = self.open.get(key).map_or(0, |lane| lane.users);
        users < self.limit.queue && rate.room(minute, self.limit.per_minute)
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
    fn room(self, minute: i64, limit: u32) -> bool {
        self.minute != minute || self.begun < limit
    }

    fn count(&mut self, minute: i64) {
        let begun = if self.minute == minute { self.begun + 1 } else { 1 };
        *self = Self { minute, begun };
    }
}

/// The right to fetch, given back when dropped.
pub(super) struct Turn {
    _permits: Vec<OwnedSemaphorePermit>,
    place: Place,
    asked: AtomicBool,
}

impl Turn {
    /// A request is made. The first is paid for by the turn; each further one, which a redirect or a refusal asks for,
    /// counts among all. It does not count for its host or its client: what is left to them shows, and a search that is
    /// only pretended, for a key of somebody who is blocked, makes none.
    pub(super) fn asks(&self, now: Timestamp) {
        if self.asked.swap(true, Ordering::Relaxed) {
            lock(&self.place.state).minute.count(now.as_second() / 60);
        }
    }
}

/// A place in the queue, given back when dropped: also when the caller gives up while waiting.
struct Place {
    state: Arc<Mutex<State>>,
    host: String,
    source: Option<Source>,
    slow: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let host = std::mem::take(&mut self.host);
        let mut state = lock(&self.state);
        state.total = state.total.saturating_sub(1);
        state.slow = state.slow.saturating_sub(usize::from(self.slow));
        state.hosts.leave(&host);
        if let Some(source) = self.source {
            if let Some(site) = source.site() {
                state.sites.leave(&site);
                state.site_pairs.leave(&(site, host.clone()));
            }
            state.sources.leave(&source);
            state.pairs.leave(&(source, host));
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
            slow: 0,
            minute: Window::default(),
            hosts: Lanes::new(limits.host),
            sources: Lanes::new(limits.source),
            pairs: Lanes::new(limits.source_at_host),
            sites: Lanes::new(limits.site),
            site_pairs: Lanes::new(limits.site_at_host),
            slow_until: Bounded::new(RATES),
        };
        Self {
            limits,
            all: Arc::new(Semaphore::new(limits.all.at_once)),
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
            let mut permits = Vec::with_capacity(lanes.len() + 2);
            for lane in lanes {
                permits.push(lane.acquire_owned().await.ok()?);
            }
            if self.is_slow(host, now) {
                permits.push(Arc::clone(&self.slow).acquire_owned().await.ok()?);
            }
            permits.push(Arc::clone(&self.all).acquire_owned().await.ok()?);
            Some(permits)
        };
        let permits =
            tokio::time::timeout(self.limits.wait, all).await.ok().flatten().ok_or(FetchError::Busy)?;
        Ok(Turn { _permits: permits, place, asked: AtomicBool::new(false) })
    }

    /// A host took long: until then it shares a few turns and places with others of its kind. A few such hosts could
    /// hold all turns for ever else; but its other addresses, which may be well, are asked all the same.
    pub(super) fn is_slow_until(&self, host: &str, until: Timestamp) {
        lock(&self.state).slow_until.insert(host.to_owned(), until);
    }

    fn is_slow(&self, host: &str, now: Timestamp) -> bool {
        lock(&self.state).slow_until.get(host).is_some_and(|until| now < *until)
    }

    /// Takes a place, and tells which turns to wait for, in this order.
    fn queue(
        &self,
        host: &str,
        source: Option<Source>,
        now: Timestamp,
    ) -> Result<(Vec<Arc<Semaphore>>, Place), FetchError> {
        let minute = now.as_second() / 60;
        let host = host.to_owned();
        let pair = source.map(|source| (source, host.clone()));
        let site = source.and_then(Source::site);
        let site_pair = site.map(|site| (site, host.clone()));
        let mut state = lock(&self.state);
        let slow = state.slow_until.get(&host).is_some_and(|until| now < *until);
        let room = state.total < self.limits.all.queue
            && (!slow || state.slow < self.limits.slow_queue)
            && state.minute.room(minute, self.limits.all.per_minute)
            && state.hosts.has_room(&host, minute)
            && source.is_none_or(|source| state.sources.has_room(&source, minute))
            && pair.as_ref().is_none_or(|pair| state.pairs.has_room(pair, minute))
            && site.is_none_or(|site| state.sites.has_room(&site, minute))
            && site_pair.as_ref().is_none_or(|pair| state.site_pairs.has_room(pair, minute));
        if !room {
            return Err(FetchError::Busy);
        }
        state.total += 1;
        state.slow += usize::from(slow);
        state.minute.count(minute);
        let mut lanes = Vec::with_capacity(5);
        lanes.extend(pair.map(|pair| state.pairs.enter(&pair, minute)));
        lanes.extend(source.map(|source| state.sources.enter(&source, minute)));
        lanes.extend(site_pair.map(|pair| state.site_pairs.enter(&pair, minute)));
        lanes.extend(site.map(|site| state.sites.enter(&site, minute)));
        lanes.push(state.hosts.enter(&host, minute));
        Ok((lanes, Place { state: Arc::clone(&self.state), host, source, slow }))
    }
}

#[cfg(test)]
mod tests;
