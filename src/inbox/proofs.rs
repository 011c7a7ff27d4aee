//! Signatures found good a moment ago: the same request sent again costs no second verification.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::bounded::Bounded;
use crate::fetch::Clock;

/// How long a verdict counts.
const LIFE: SignedDuration = SignedDuration::from_mins(2);
/// Verdicts remembered.
const MOST: usize = 4096;

/// Remembers good verdicts alone: a bad one may change, since keys are looked for anew.
pub struct Proofs {
    clock: Clock,
    good: Mutex<Bounded<[u8; 32], Timestamp>>,
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proofs").finish_non_exhaustive()
    }
}

impl Proofs {
    /// None are known yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Proofs { clock, good: Mutex::new(Bounded::new(MOST)) }
    }

    /// Whether this is proved, by `verify` if that was not found a moment ago. `what` stands for key, signature and
    /// everything that is signed.
    pub(super) fn hold(&self, what: [u8; 32], verify: impl FnOnce() -> bool) -> bool {
        let now = (self.clock)();
        let good = || self.good.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back makes nothing last longer.
        let fresh =
            |since: &mut Timestamp| (SignedDuration::ZERO..LIFE).contains(&now.duration_since(*since));
        if good().get(&what).is_some_and(fresh) {
            return true;
        }
        let proved = verify();
        if proved {
            good().insert(what, now);
        }
        proved
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn what_was_proved_a_moment_ago_is_not_proved_again() {
        let now = Arc::new(AtomicI64::new(1_800_000_000));
        let clock = Arc::clone(&now);
        let proofs =
            Proofs::new(Arc::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()));
        // The verdict, and whether anything was verified for it.
        let asked = |what: u8, good: bool| {
            let mut verified = false;
            let held = proofs.hold([what; 32], || {
                verified = true;
                good
            });
            (held, verified)
        };
        assert_eq!((asked(1, true), asked(1, false)), ((true, true), (true, false)));
        // What is wrong is looked at each time.
        assert_eq!((asked(2, false), asked(2, true)), ((false, true), (true, true)));
        now.fetch_add(LIFE.as_secs() - 1, Ordering::SeqCst);
        assert_eq!(asked(1, false), (true, false));
        now.fetch_add(1, Ordering::SeqCst);
        assert_eq!((asked(1, true), asked(1, false)), ((true, true), (true, false)));
        now.fetch_sub(1, Ordering::SeqCst);
        assert_eq!(asked(1, false), (false, true));
    }
}
