//! When to try again: pauses that grow from seconds to a day, each a little different.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::delivery::OutgoingKind;

/// Pauses before each further attempt of what is still worth telling after days. The first is short: most failures are
/// a restart or a moment's overload.
const PATIENT: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(12 * 3600),
    Duration::from_secs(24 * 3600),
];
/// Longest pause of a go-live post: it helps nobody who learns of the stream hours later.
const PROMPT: Duration = Duration::from_secs(30 * 60);
/// Attempts of a go-live post, which ends with its stream: those of a day.
const PROMPT_TRIES: u32 = 50;

/// What waits for something else is looked at no less often.
const LONGEST_BEHIND: Duration = Duration::from_secs(3600);
/// The entropy of the longest pause.
const MOST_JITTER: u64 = 400;

/// Pauses of a host that has failed too often, by how often it failed since.
const BREAKER: [Duration; 7] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(12 * 3600),
    Duration::from_secs(24 * 3600),
];

/// The pause before attempt `tries + 1` of an activity; `None` when it is time to give up. `entropy` is random.
pub fn attempt(kind: OutgoingKind, tries: u32, entropy: u64) -> Option<Duration> {
    let base = match kind {
        OutgoingKind::Create if tries < PROMPT_TRIES => {
            PATIENT.get(tries as usize).copied().unwrap_or(PROMPT).min(PROMPT)
        }
        OutgoingKind::Create => return None,
        _ => *PATIENT.get(tries as usize)?,
    };
    Some(jittered(base, entropy))
}

/// No attempt is due further ahead than this, after so many: what is was written by a clock that was ahead, or is for a
/// server that asked for a longer pause, which is kept with the server.
pub fn furthest(kind: OutgoingKind, tries: u32) -> Duration {
    let pause = tries.checked_sub(1).and_then(|before| attempt(kind, before, MOST_JITTER));
    pause.unwrap_or_default().max(LONGEST_BEHIND) + Duration::from_secs(60)
}

/// The pause of a host that failed `beyond` times more than it may.
pub fn breaker(beyond: u32, entropy: u64) -> Duration {
    let [.., longest] = BREAKER;
    jittered(BREAKER.get(beyond as usize).copied().unwrap_or(longest), entropy)
}

/// When to look again at what waits for an earlier activity to arrive: soon at first, then ever less often.
pub fn behind(made: Timestamp, now: Timestamp) -> Duration {
    let age = now.duration_since(made);
    let age = if age.is_negative() { Duration::ZERO } else { age.unsigned_abs() };
    (age / 2).clamp(Duration::from_millis(500), LONGEST_BEHIND)
}

/// ±20 %: those who failed together do not come back together.
fn jittered(base: Duration, entropy: u64) -> Duration {
    let permille = 800 + u32::try_from(entropy % (MOST_JITTER + 1)).unwrap_or(0);
    base * permille / 1000
}
