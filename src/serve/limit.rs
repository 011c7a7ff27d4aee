//! How often, and how many at once: for each of any number of clients or servers, in memory of a fixed size.
//!
//! A place in a table is found by a hash that nobody outside can know. Two that share a place share its limit; to use up
//! many places, somebody would need the whole rate of each.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PLACES: usize = 1 << 14;
/// How often something may be done, by each of many (a generic cell rate algorithm, without locks).
#[derive(Debug)]
pub struct Rates {
    /// The moment up to which each place has used up its rate, in microseconds.
    spent_until: Box<[AtomicU64]>,
    /// In microseconds.
    burst: u64,
    hasher: RandomState,
    began: Instant,
}

impl Rates {
    /// At once may be done what may be done in `burst` for long: a queue that was held up empties itself.
    pub fn new(burst: Duration) -> Self {
        let spent_until = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        let burst = u64::try_from(burst.as_micros()).unwrap_or(u64::MAX / 2);
        Rates { spent_until, burst, hasher: RandomState::new(), began: Instant::now() }
    }

    /// Counts one more of `who`, of whom `per_second` are allowed for long.
    ///
    /// # Errors
    /// Seconds after which it will be allowed. Nothing was counted then.
    pub fn count(&self, who: impl Hash, per_second: u32) -> Result<(), u32> {
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.count_at(who, per_second, now)
    }

    fn count_at(&self, who: impl Hash, per_second: u32, now: u64) -> Result<(), u32> {
        let cost = 1_000_000 / u64::from(per_second.max(1));
        let Some(place) = self.spent_until.get(place(&self.hasher, who)) else { return Ok(()) };
        let more = |spent: u64| {
            let then = spent.max(now) + cost;
            (then <= now + self.burst).then_some(then)
        };
        place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map(|_| ()).map_err(|spent| {
            let wait = (spent + cost).saturating_sub(now + self.burst).div_ceil(1_000_000);
            u32::try_from(wait).unwrap_or(u32::MAX).max(1)
        })
    }
}

fn place(hasher: &RandomState, who: impl Hash) -> usize {
    // The rest is smaller than the table.
    (hasher.hash_one(who) % PLACES as u64) as usize
}

/// How many of each of many there are at once.
#[derive(Debug)]
pub struct Crowd {
    held: Box<[AtomicU32]>,
    hasher: RandomState,
}

impl Default for Crowd {
    fn default() -> Self {
        Crowd { held: (0..PLACES).map(|_| AtomicU32::new(0)).collect(), hasher: RandomState::new() }
    }
}

impl Crowd {
    /// Lets one more of `who` in, if there are fewer than `most`. It has left when the answer is dropped.
    pub fn enter(&self, who: impl Hash, most: u32) -> Option<Inside<'_>> {
        let held = self.held.get(place(&self.hasher, who))?;
        let more = |count: u32| (count < most).then_some(count + 1);
        held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Inside(held))
    }
}

/// One who was let in.
#[derive(Debug)]
pub struct Inside<'a>(&'a AtomicU32);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn so_many_for_long_and_ten_times_as_many_at_once() {
        let rates = Rates::new(Duration::from_secs(10));
        let taken =
            |now: u64, tries: usize| (0..tries).filter(|_| rates.count_at("ana", 5, now).is_ok()).count();
        assert_eq!(taken(0, 1000), 50);
        assert_eq!(rates.count_at("ana", 5, 0), Err(1));
        assert_eq!(taken(SECOND, 1000), 5);
        assert_eq!((2..10).map(|second| taken(second * SECOND, 1000)).sum::<usize>(), 8 * 5);
        assert_eq!(taken(1000 * SECOND, 1000), 50, "what was not used is not saved up");
        assert!(rates.count_at("bo", 5, 1000 * SECOND).is_ok());
        // The slowest rate, and how long to wait for it.
        for _ in 0..10 {
            rates.count_at("cem", 1, 0).unwrap();
        }
        assert_eq!(rates.count_at("cem", 1, 0), Err(1));
        assert_eq!(rates.count_at("cem", 1, SECOND / 2), Err(1));
        assert!(rates.count_at("cem", 1, SECOND).is_ok());
    }

    #[test]
    fn many_who_come_once_keep_out_hardly_anybody() {
        let rates = Rates::new(Duration::from_secs(10));
        for who in 0..200_000 {
            let _ = rates.count_at(who, 5, 0);
        }
        let kept_out = (0..1000).filter(|who| rates.count_at(("honest", who), 5, 0).is_err()).count();
        assert!(kept_out < 10, "{kept_out} of 1000");
    }

    #[test]
    fn so_many_at_once_and_then_others() {
        let crowd = Crowd::default();
        let inside: Vec<_> = (0..10).filter_map(|_| crowd.enter(1, 4)).collect();
        assert_eq!(inside.len(), 4);
        assert!(crowd.enter(2, 4).is_some());
        drop(inside);
        assert!(crowd.enter(1, 4).is_some());
    }
}
