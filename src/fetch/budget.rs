//! How much work strangers may cause us (C-25): so many fetches at once, so many per minute, in all, per host, per client
//! that causes them, and per client at one host.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::FetchError;
use crate::bounded::Bounded;
use crate::model::Source;

/// A limit of its own.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Fetches at once.
    pub at_once: usize,
    /// Fetches running or waiting.
    pub queue: usize,
    /// Fetches begun in one minute.
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
            slow_at_once: 4,
            slow_queue: 32,
            wait: Duration::from_secs(10),
        }
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
        let mut rate = self.rates.get(key).copied().unwrap_or_default();
        rate.count(minute);
        self.rates.insert(key.clone(), rate);
        let turns = self.limit.at_once;
        let lane = self
            .open
            .entry(key.clone())
            .or_insert_with(|| Lane { turns: Arc::new(Semaphore::new(turns)), users: 0 });
        lane.users += 1;
        Arc::clone(&lane.turns)
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

/// Fetches begun in the minute that is running.
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
    _place: Place,
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
        Ok(Turn { _permits: permits, _place: place })
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
        let mut state = lock(&self.state);
        let slow = state.slow_until.get(&host).is_some_and(|until| now < *until);
        let room = state.total < self.limits.all.queue
            && (!slow || state.slow < self.limits.slow_queue)
            && state.minute.room(minute, self.limits.all.per_minute)
            && state.hosts.has_room(&host, minute)
            && source.is_none_or(|source| state.sources.has_room(&source, minute))
            && pair.as_ref().is_none_or(|pair| state.pairs.has_room(pair, minute));
        if !room {
            return Err(FetchError::Busy);
        }
        state.total += 1;
        state.slow += usize::from(slow);
        state.minute.count(minute);
        let mut lanes = Vec::with_capacity(3);
        lanes.extend(pair.map(|pair| state.pairs.enter(&pair, minute)));
        lanes.extend(source.map(|source| state.sources.enter(&source, minute)));
        lanes.push(state.hosts.enter(&host, minute));
        Ok((lanes, Place { state: Arc::clone(&self.state), host, source, slow }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn from(n: u16) -> Option<Source> {
        Some(Source::of([10, 0, (n >> 8) as u8, n as u8].into()))
    }

    const MANY: Share = Share { at_once: 1000, queue: 1000, per_minute: u32::MAX };

    fn limits() -> Budgets {
        Budgets { wait: Duration::from_millis(20), ..Budgets::default() }
    }

    #[tokio::test]
    async fn turns_are_limited_per_host_and_in_all_and_come_back() {
        let budget = Budget::new(Budgets { all: Share { at_once: 3, ..limits().all }, ..limits() });
        let first = budget.turn("a", None, at(0)).await.unwrap();
        let _second = budget.turn("a", None, at(0)).await.unwrap();
        assert_eq!(budget.turn("a", None, at(0)).await.err(), Some(FetchError::Busy));
        let third = budget.turn("b", None, at(0)).await.unwrap();
        assert_eq!(budget.turn("c", None, at(0)).await.err(), Some(FetchError::Busy));
        drop(first);
        assert!(budget.turn("a", None, at(0)).await.is_ok());
        drop(third);
        assert!(budget.turn("c", None, at(0)).await.is_ok());
        drop(_second);
        let state = lock(&budget.state);
        assert_eq!((state.total, state.hosts.open.len()), (0, 0));
    }

    #[tokio::test]
    async fn queues_and_minutes_are_limited() {
        let budget = Budget::new(Budgets {
            all: Share { queue: 3, ..limits().all },
            host: Share { queue: 1, ..limits().host },
            ..limits()
        });
        let _a = budget.turn("a", None, at(0)).await.unwrap();
        assert!(budget.turn("a", None, at(0)).await.is_err());
        let _rest =
            (budget.turn("b", None, at(0)).await.unwrap(), budget.turn("c", None, at(0)).await.unwrap());
        assert!(budget.turn("d", None, at(0)).await.is_err());

        let budget = Budget::new(Budgets {
            all: Share { per_minute: 3, ..limits().all },
            host: Share { per_minute: 2, ..limits().host },
            ..limits()
        });
        for (host, second, ok) in [
            ("a", 0, true),
            ("a", 1, true),
            ("a", 59, false),
            ("b", 2, true),
            ("c", 3, false),
            ("a", 60, true),
        ] {
            assert_eq!(budget.turn(host, None, at(second)).await.is_ok(), ok, "{host} at {second}");
        }
    }

    #[tokio::test]
    async fn one_client_leaves_a_host_and_all_hosts_to_others() {
        let budget = Budget::new(limits());
        let mut begun = 0;
        while budget.turn("victim", from(1), at(0)).await.is_ok() {
            begun += 1;
        }
        assert_eq!(begun, limits().source_at_host.per_minute);
        assert!(budget.turn("victim", from(2), at(0)).await.is_ok());
        // Nor is one client everybody: it has so many fetches in a minute, at whatever hosts.
        let mut hosts = 0;
        while budget.turn(&format!("h{hosts}"), from(1), at(0)).await.is_ok() {
            hosts += 1;
        }
        assert_eq!(begun + hosts, limits().source.per_minute);
        assert!(budget.turn("other", from(2), at(0)).await.is_ok());
        assert!(budget.turn("victim", from(1), at(60)).await.is_ok());
    }

    #[tokio::test]
    async fn one_client_holds_one_turn_of_a_host_and_some_of_all() {
        let budget = Budget::new(limits());
        let mut held = vec![budget.turn("victim", from(1), at(0)).await.unwrap()];
        assert_eq!(budget.turn("victim", from(1), at(0)).await.err(), Some(FetchError::Busy));
        held.push(budget.turn("victim", from(2), at(0)).await.unwrap());
        while let Ok(turn) = budget.turn(&format!("h{}", held.len()), from(1), at(0)).await {
            held.push(turn);
        }
        assert_eq!(held.len() - 1, limits().source.at_once);
        assert!(budget.turn("other", from(2), at(0)).await.is_ok());
        drop(held);
        let state = lock(&budget.state);
        assert!(state.sources.open.is_empty() && state.pairs.open.is_empty() && state.hosts.open.is_empty());
    }

    #[tokio::test]
    async fn slow_hosts_share_a_few_turns() {
        let budget = Budget::new(limits());
        let slow = |n: usize| format!("slow{n}");
        for n in 0..20 {
            budget.is_slow_until(&slow(n), at(60));
        }
        let mut held = Vec::new();
        for n in 0..20 {
            held.extend(budget.turn(&slow(n), None, at(0)).await);
        }
        assert_eq!(held.len(), limits().slow_at_once);
        assert!(budget.turn("well", None, at(0)).await.is_ok());
        assert!(budget.turn(&slow(19), None, at(60)).await.is_ok(), "and not for ever");
    }

    #[tokio::test]
    async fn who_waits_for_slow_hosts_leaves_places_to_others() {
        let budget = Budget::new(Budgets { wait: Duration::from_secs(3600), ..limits() });
        let slow = |n: usize| format!("slow{}", n % 20);
        for n in 0..20 {
            budget.is_slow_until(&slow(n), at(60));
        }
        let hosts: Vec<String> = (0..1000).map(slow).collect();
        let mut waiting: Vec<_> = hosts.iter().map(|host| Box::pin(budget.turn(host, None, at(0)))).collect();
        let mut turns = Vec::new();
        let mut refused = 0;
        for turn in &mut waiting {
            match futures_util::poll!(turn) {
                std::task::Poll::Ready(Ok(turn)) => turns.push(turn),
                std::task::Poll::Ready(Err(_)) => refused += 1,
                std::task::Poll::Pending => {}
            }
        }
        assert_eq!((turns.len(), refused), (limits().slow_at_once, 1000 - limits().slow_queue));
        assert!(budget.turn("well", None, at(0)).await.is_ok());
        drop((waiting, turns));
        let state = lock(&budget.state);
        assert_eq!((state.total, state.slow), (0, 0));
    }

    #[tokio::test]
    async fn state_stays_bounded_under_many_hosts_and_clients() {
        let all = Share { per_minute: u32::MAX, ..limits().all };
        let budget = Budget::new(Budgets { all, source: MANY, ..limits() });
        for n in 0..10_000 {
            drop(budget.turn(&format!("h{n}"), from(n), at(0)).await);
        }
        let state = lock(&budget.state);
        assert!(state.hosts.open.is_empty() && state.sources.open.is_empty() && state.pairs.open.is_empty());
        let rates = [state.hosts.rates.len(), state.sources.rates.len(), state.pairs.rates.len()];
        assert!(rates.iter().all(|held| *held <= RATES), "{rates:?}");
    }
}
