//! Ready, alive, and getting on: what probes and the service manager's watchdog ask.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Shared by everybody who starts up, and by the probes.
#[derive(Debug, Clone, Default)]
pub struct Health {
    unready: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    /// Whether deliveries get on.
    pub delivery: Progress,
}

impl Health {
    /// Not ready for `part` until the latch is released.
    #[must_use = "without its latch a part is never ready"]
    pub fn hold(&self, part: &'static str) -> Latch {
        *self.parts().entry(part).or_default() += 1;
        Latch { health: self.clone(), part }
    }

    /// Ready when no part holds a latch.
    ///
    /// # Errors
    /// The parts that are not ready, in alphabetical order.
    pub fn ready(&self) -> Result<(), Vec<&'static str>> {
        let parts = self.parts();
        if parts.is_empty() { Ok(()) } else { Err(parts.keys().copied().collect()) }
    }

    /// Alive as long as anybody can ask.
    pub const fn live(&self) -> bool {
        true
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.unready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by a part until it is ready. Dropped without [`Latch::release`] it stays closed for good: a part that failed
/// on the way is not ready.
#[derive(Debug)]
pub struct Latch {
    health: Health,
    part: &'static str,
}

impl Latch {
    /// The part is ready.
    pub fn release(self) {
        let mut parts = self.health.parts();
        if let Some(count) = parts.get_mut(self.part) {
            *count -= 1;
            if *count == 0 {
                parts.remove(self.part);
            }
        }
    }
}

/// Marks that work under way moves. An idle worker is not a stuck one.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    last: Arc<Mutex<Option<Instant>>>,
}

impl Progress {
    /// Something moved at `now`, and there is more to do.
    pub fn mark(&self, now: Instant) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Nothing is left to do for now.
    pub fn idle(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// For how long nothing has moved although there is work; `None` when idle.
    pub fn stalled_for(&self, now: Instant) -> Option<Duration> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|last| now.saturating_duration_since(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_every_part_has_released() {
        let health = Health::default();
        assert_eq!(health.ready(), Ok(()));
        let (store, public, more) = (health.hold("store"), health.hold("public"), health.hold("store"));
        assert_eq!(health.ready(), Err(vec!["public", "store"]));
        store.release();
        public.release();
        assert_eq!(health.ready(), Err(vec!["store"]));
        more.release();
        assert_eq!(health.clone().ready(), Ok(()));
        assert!(health.live());
    }

    #[test]
    fn a_part_that_failed_is_never_ready() {
        let health = Health::default();
        drop(health.hold("store"));
        assert_eq!(health.ready(), Err(vec!["store"]));
    }

    #[test]
    fn only_a_busy_worker_can_stall() {
        let progress = Progress::default();
        let start = Instant::now();
        let later = start + Duration::from_secs(60);
        assert_eq!(progress.stalled_for(later), None);
        progress.mark(start);
        assert_eq!(progress.stalled_for(later), Some(Duration::from_secs(60)));
        progress.mark(later);
        assert_eq!(progress.stalled_for(start), Some(Duration::ZERO), "a mark from the future is no stall");
        progress.idle();
        assert_eq!(progress.stalled_for(later), None);
    }
}
