//! Time that passed, told from clocks that were set. There are two clocks, ours and Owncast's; either may be set at any
//! moment, and a jump of one that the other does not make is no time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::stream::{Clocks, Session};

/// The clocks may move so far apart between two looks without one having been set: an answer takes its time.
const APART: Duration = Duration::from_secs(15);

/// What happened between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// How much time, as well as it can be known.
    pub elapsed: Duration,
    /// How far our clock was set.
    pub ours: SignedDuration,
    /// How far Owncast's clock was set.
    pub owncasts: SignedDuration,
}

/// Compares both clocks with what they said at an earlier look.
pub(super) fn passed(since: Clocks, now: Clocks) -> Passed {
    let ours = now.ours.duration_since(since.ours);
    let owncasts = now.owncasts.duration_since(since.owncasts);
    let agree = (ours - owncasts).unsigned_abs() <= APART;
    let elapsed = if agree {
        ours.max(SignedDuration::ZERO)
    } else if ours.is_negative() || owncasts.is_negative() {
        ours.max(owncasts).max(SignedDuration::ZERO)
    } else {
        ours.min(owncasts)
    };
    Passed {
        elapsed: elapsed.unsigned_abs(),
        ours: ours - elapsed,
        owncasts: if agree { SignedDuration::ZERO } else { owncasts - elapsed },
    }
}

impl Passed {
    /// How long ago something was by Owncast's clock that happened since the earlier look.
    pub(super) fn ago(&self, by_owncast: Duration) -> Duration {
        if by_owncast <= self.elapsed {
            return by_owncast;
        }
        // Longer ago than the earlier look: the clock was set meanwhile.
        let said = SignedDuration::try_from(by_owncast).unwrap_or(SignedDuration::MAX);
        let ago = said.saturating_sub(self.owncasts).max(SignedDuration::ZERO);
        ago.unsigned_abs().min(self.elapsed)
    }
}

/// Moves the times of a session with our clock, so that what passed between them and now stays what it was.
pub(super) fn shift(session: &mut Session, by: SignedDuration, now: Timestamp) {
    let moved = |at: Timestamp| at.checked_add(by).unwrap_or(now).min(now);
    session.started = moved(session.started);
    session.connected = moved(session.connected);
    session.seen = moved(session.seen);
    session.gone = session.gone.map(moved);
    session.missed = session.missed.map(moved);
    session.told = session.told.map(moved);
}

/// The time from one moment to a later one; none if it is not later.
pub(super) fn between(since: Timestamp, now: Timestamp) -> Duration {
    let passed = now.duration_since(since);
    if passed.is_negative() { Duration::ZERO } else { passed.unsigned_abs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_one_clock_is_no_time() {
        let at = |seconds: i64| Timestamp::from_second(1_000_000 + seconds).unwrap();
        for (ours, owncasts, elapsed, our_step, owncasts_step) in [
            (5, 5, 5, 0, 0),
            (5, 14, 5, 0, 0),
            (7200, 7200, 7200, 0, 0),
            (3605, 5, 5, 3600, 0),
            (-3595, 5, 5, -3600, 0),
            (5, 3605, 5, 0, 3600),
            (5, -3595, 5, 0, -3600),
            (-3595, -3595, 0, -3595, 0),
            (-3595, 3605, 3605, -7200, 0),
            (-2, 1, 0, -2, 0),
            (-7000, -3595, 0, -7000, -3595),
        ] {
            let since = Clocks { ours: at(0), owncasts: at(90_000) };
            let now = Clocks { ours: at(ours), owncasts: at(90_000 + owncasts) };
            let want = Passed {
                elapsed: Duration::from_secs(elapsed),
                ours: SignedDuration::from_secs(our_step),
                owncasts: SignedDuration::from_secs(owncasts_step),
            };
            assert_eq!(passed(since, now), want, "{ours} {owncasts}");
        }
    }

    #[test]
    fn what_is_said_to_be_before_the_last_look_was_dated_by_another_clock() {
        let seconds = Duration::from_secs;
        for (step, said, ago) in
            [(0, 3, 3), (3600, 3, 3), (3600, 3604, 4), (3600, 9000, 10), (0, 20, 10), (-3600, 0, 0)]
        {
            let passed = Passed {
                elapsed: seconds(10),
                ours: SignedDuration::ZERO,
                owncasts: SignedDuration::from_secs(step),
            };
            assert_eq!(passed.ago(seconds(said)), seconds(ago), "{step} {said}");
        }
    }
}
