//! How much work strangers may cause us (C-25): so many fetches at once, so many per minute, in all and per host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::FetchError;
use crate::bounded::Bounded;

/// The limits. What is over them is [`FetchError::Busy`], at once or after `wait`.
#[derive(Clone, Copy, Debug)]
pub struct Budgets {
    /// Fetches at once, in all.
    pub at_once: usize,
    /// Fetches at once, per host.
    pub at_once_per_host: usize,
    /// Fetches running or waiting, in all.
    pub queue: usize,
    /// Fetches running or waiting, per host.
    pub queue_per_host: usize,
    /// Longest wait for a turn.
    pub wait: Duration,
    /// Fetches begun in one minute, in all.
    pub per_minute: u32,
    /// Fetches begun in one minute, per host.
    pub per_minute_per_host: u32,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            at_once: 16,
            at_once_per_host: 2,
            queue: 256,
            queue_per_host: 32,
            wait: Duration::from_secs(10),
            per_minute: 1200,
            per_minute_per_host: 120,
        }
    }
}

/// Hosts whose rate is remembered; more than can begin in a minute.
const RATES: usize = 4096;

pub(super) struct Budget {
    limits: Budgets,
    global: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

struct State {
    total: usize,
    hosts: HashMap<String, Host>,
    minute: Window,
    rates: Bounded<Window>,
}

struct Host {
    turns: Arc<Semaphore>,
    users: usize,
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
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
    _place: Place,
}

/// A place in the queue, given back when dropped: also when the caller gives up while waiting.
struct Place {
    state: Arc<Mutex<State>>,
    host: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.total = state.total.saturating_sub(1);
        if let Some(host) = state.hosts.get_mut(&self.host) {
            host.users = host.users.saturating_sub(1);
            if host.users == 0 {
                state.hosts.remove(&self.host);
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Budget {
    pub(super) fn new(limits: Budgets) -> Self {
        let state =
            State { total: 0, hosts: HashMap::new(), minute: Window::default(), rates: Bounded::new(RATES) };
        Self { limits, global: Arc::new(Semaphore::new(limits.at_once)), state: Arc::new(Mutex::new(state)) }
    }

    /// Waits for a turn to fetch from `host`.
    pub(super) async fn turn(&self, host: &str, now: Timestamp) -> Result<Turn, FetchError> {
        let (turns, place) = self.queue(host, now)?;
        // First the host's turn, so that a slow host's queue holds no turn of the others.
        let both = async {
            let own = turns.acquire_owned().await.ok()?;
            Some((own, Arc::clone(&self.global).acquire_owned().await.ok()?))
        };
        let permits =
            tokio::time::timeout(self.limits.wait, both).await.ok().flatten().ok_or(FetchError::Busy)?;
        Ok(Turn { _permits: permits, _place: place })
    }

    fn queue(&self, host: &str, now: Timestamp) -> Result<(Arc<Semaphore>, Place), FetchError> {
        let minute = now.as_second() / 60;
        let limits = &self.limits;
        let mut state = lock(&self.state);
        let rate = state.rates.get(host).copied().unwrap_or_default();
        let users = state.hosts.get(host).map_or(0, |host| host.users);
        if state.total >= limits.queue
            || users >= limits.queue_per_host
            || !state.minute.room(minute, limits.per_minute)
            || !rate.room(minute, limits.per_minute_per_host)
        {
            return Err(FetchError::Busy);
        }
        state.total += 1;
        state.minute.count(minute);
        let mut rate = rate;
        rate.count(minute);
        state.rates.insert(host.to_owned(), rate);
        let entry = state
            .hosts
            .entry(host.to_owned())
            .or_insert_with(|| Host { turns: Arc::new(Semaphore::new(limits.at_once_per_host)), users: 0 });
        entry.users += 1;
        let turns = Arc::clone(&entry.turns);
        Ok((turns, Place { state: Arc::clone(&self.state), host: host.to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn limits() -> Budgets {
        Budgets { wait: Duration::from_millis(20), ..Budgets::default() }
    }

    #[tokio::test]
    async fn turns_are_limited_per_host_and_in_all_and_come_back() {
        let budget = Budget::new(Budgets { at_once: 3, ..limits() });
        let first = budget.turn("a", at(0)).await.unwrap();
        let _second = budget.turn("a", at(0)).await.unwrap();
        assert_eq!(budget.turn("a", at(0)).await.err(), Some(FetchError::Busy));
        let third = budget.turn("b", at(0)).await.unwrap();
        assert_eq!(budget.turn("c", at(0)).await.err(), Some(FetchError::Busy));
        drop(first);
        assert!(budget.turn("a", at(0)).await.is_ok());
        drop(third);
        assert!(budget.turn("c", at(0)).await.is_ok());
        drop(_second);
        let state = lock(&budget.state);
        assert_eq!((state.total, state.hosts.len()), (0, 0));
    }

    #[tokio::test]
    async fn queues_and_minutes_are_limited() {
        let budget = Budget::new(Budgets { queue: 3, queue_per_host: 1, ..limits() });
        let _a = budget.turn("a", at(0)).await.unwrap();
        assert!(budget.turn("a", at(0)).await.is_err());
        let _rest = (budget.turn("b", at(0)).await.unwrap(), budget.turn("c", at(0)).await.unwrap());
        assert!(budget.turn("d", at(0)).await.is_err());

        let budget = Budget::new(Budgets { per_minute: 3, per_minute_per_host: 2, ..limits() });
        for (host, second, ok) in [
            ("a", 0, true),
            ("a", 1, true),
            ("a", 59, false),
            ("b", 2, true),
            ("c", 3, false),
            ("a", 60, true),
        ] {
            assert_eq!(budget.turn(host, at(second)).await.is_ok(), ok, "{host} at {second}");
        }
    }

    #[tokio::test]
    async fn state_stays_bounded_under_many_hosts() {
        let budget = Budget::new(Budgets { per_minute: u32::MAX, ..limits() });
        for n in 0..10_000 {
            drop(budget.turn(&format!("h{n}"), at(0)).await);
        }
        assert!(lock(&budget.state).hosts.is_empty());
    }
}
