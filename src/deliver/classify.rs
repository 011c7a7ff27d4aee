//! Pure: what an answer or a failure means, and when to try again.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::delivered::Ending;
use crate::decide::seen::later;

/// Pauses before each further attempt. The first is short: most failures are a restart or a moment's overload.
const PAUSES: [Duration; 9] = [
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
/// A refused signature may be a clock or a key on its way: tried again this often.
const UNAUTHORISED_TRIES: u32 = 3;
/// What a peer may ask us to wait.
const RETRY_AFTER: std::ops::RangeInclusive<u64> = 1..=6 * 3600;

/// What came of sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An HTTP status, and the pause the peer asked for.
    Status(u16, Option<Duration>),
    /// No connection: surely not received.
    NotConnected,
    /// The request went out and no answer came: may have been received.
    NoAnswer,
    /// The address may not be dialled, or is no address. No retry helps.
    Refused,
}

/// The pause before attempt `tries + 1`, with ±20 % jitter from `entropy`; `None` when it is time to give up.
pub fn pause(tries: u32, entropy: u64) -> Option<Duration> {
    let base = PAUSES.get(tries as usize)?;
    let permille = 800 + u32::try_from(entropy % 401).unwrap_or(0);
    Some(*base * permille / 1000)
}

/// Decides how an attempt ended. `tries` counts those before it.
///
/// Statuses as peers mean them: 401, 408, 425, 429 and 5xx other than 501 may pass, every other refusal is final, a
/// redirect of a POST is not followed.
pub fn ending(reply: &Reply, tries: u32, now: Timestamp, entropy: u64) -> Ending {
    let again = |uncertain: bool, asked: Option<Duration>| match pause(tries, entropy) {
        Some(pause) => {
            Ending::Retry { due: later(now, asked.map_or(pause, |asked| asked.max(pause))), uncertain }
        }
        None => Ending::Failed,
    };
    match reply {
        Reply::Status(200..=299, _) => Ending::Reached,
        Reply::Status(401, asked) if tries < UNAUTHORISED_TRIES => again(false, *asked),
        Reply::Status(408 | 425 | 429 | 503, asked) => again(false, *asked),
        Reply::Status(501, _) => Ending::Failed,
        Reply::Status(500..=599, asked) => again(true, *asked),
        Reply::Status(..) | Reply::Refused => Ending::Failed,
        Reply::NotConnected => again(false, None),
        Reply::NoAnswer => again(true, None),
    }
}

/// Reads `Retry-After`: seconds or an HTTP date (RFC 9110 §10.2.3), clamped to what we are ready to wait.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let seconds = match value.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = Timestamp::try_from(httpdate::parse_http_date(value.trim()).ok()?).ok()?;
            u64::try_from(at.duration_since(now).as_secs()).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds.clamp(*RETRY_AFTER.start(), *RETRY_AFTER.end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn statuses_mean_what_peers_mean() {
        for (status, tries, want) in [
            (200, 0, "reached"),
            (202, 0, "reached"),
            (204, 5, "reached"),
            (301, 0, "failed"),
            (400, 0, "failed"),
            (401, 0, "retry"),
            (401, 3, "failed"),
            (403, 0, "failed"),
            (404, 0, "failed"),
            (408, 0, "retry"),
            (410, 0, "failed"),
            (429, 0, "retry"),
            (500, 0, "uncertain"),
            (501, 0, "failed"),
            (503, 0, "retry"),
            (504, 8, "uncertain"),
            (504, 9, "failed"),
        ] {
            let got = match ending(&Reply::Status(status, None), tries, NOW, 7) {
                Ending::Reached => "reached",
                Ending::Failed => "failed",
                Ending::Retry { uncertain: true, .. } => "uncertain",
                Ending::Retry { .. } => "retry",
                Ending::Skipped => "skipped",
            };
            assert_eq!(got, want, "{status} after {tries}");
        }
    }

    #[test]
    fn pauses_grow_and_jitter() {
        let mut last = Duration::ZERO;
        for tries in 0..9 {
            let (low, high) = (pause(tries, 0).unwrap(), pause(tries, 400).unwrap());
            assert!(low < high && low > last, "{tries}: {low:?} {high:?} after {last:?}");
            last = high;
        }
        assert_eq!(pause(9, 0), None);
    }

    #[test]
    fn retry_after_is_read_and_clamped() {
        for (text, want) in [
            ("120", Some(120)),
            ("0", Some(1)),
            ("999999999", Some(6 * 3600)),
            ("Fri, 02 Jan 1970 00:01:00 GMT", Some(60)),
            ("Thu, 01 Jan 1970 00:01:00 GMT", Some(1)),
            ("soon", None),
        ] {
            let now = later(NOW, Duration::from_secs(24 * 3600));
            assert_eq!(retry_after(text, now).map(|d| d.as_secs()), want, "{text}");
        }
        let asked = ending(&Reply::Status(429, Some(Duration::from_secs(3600))), 0, NOW, 0);
        assert_eq!(asked, Ending::Retry { due: later(NOW, Duration::from_secs(3600)), uncertain: false });
    }
}
