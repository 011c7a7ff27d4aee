//! Pure: what an answer or a failure means for the activity, for its host and for the followers behind the inbox.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::delivered::Ending;
use crate::decide::hosts::{Contact, LONGEST_ASKED};
use crate::decide::schedule;
use crate::decide::seen::later;
use crate::model::delivery::OutgoingKind;

/// A refused signature may be a key on its way: tried again this often.
const UNAUTHORISED_TRIES: u32 = 3;
/// Clocks that differ by so many seconds more than this are reason enough to refuse a signature with 401. The strictest peers
/// take what is a minute ahead of them.
const CLOCKS_DIFFER: u64 = 60;
/// Some say 400 or 403 for it (PeerTube does), which mean other things, too, of a server whose clock is a little off.
const CLOCKS_DIFFER_MUCH: u64 = 300;
/// Shortest pause of what this machine cannot send, or not with the right time: a clock is set within seconds of having a
/// network.
const OUR_PAUSE: Duration = Duration::from_secs(10);
/// What a peer may ask us to wait, in seconds.
const RETRY_AFTER: std::ops::RangeInclusive<u64> = 1..=LONGEST_ASKED.as_secs();
/// How long a host is left alone that has too much to do and does not say for how long.
const BUSY: Duration = Duration::from_secs(30);

/// What came of sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An HTTP status, and the pause the peer asked for.
    Status(u16, Option<Duration>),
    /// The signature was refused by a server whose clock is so many seconds ahead of ours, or behind.
    OtherTime(i64),
    /// No connection: surely not received.
    NotConnected,
    /// Nothing was sent, for a reason on our own side.
    NotSent,
    /// Nothing was sent, since too much else was on its way.
    Crowded,
    /// Nothing was sent, since the program stops.
    Stopped,
    /// The request went out and no answer came: may have been received.
    NoAnswer,
    /// It is no address, not https, or our own. No retry helps.
    Refused,
}

/// What a reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// For the activity at this inbox.
    pub ending: Ending,
    /// For the host; `None` if it was not asked.
    pub contact: Option<Contact>,
    /// The inbox may have moved, or be gone with those who follow through it: their own documents must tell.
    pub look_up: bool,
    /// The request itself is at fault, which no peer can mend.
    pub ours: bool,
}

/// A job as far as its reply goes.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What is sent.
    pub kind: OutgoingKind,
    /// When it was made.
    pub made: Timestamp,
    /// Attempts before this one,
    pub tries: u32,
    /// and how many of them ended with a refused signature.
    pub unauthorised: u32,
}

/// Sorts a reply.
///
/// Statuses as peers mean them: 401, 408, 425, 429 and 5xx other than 501 may pass, every other refusal is final, a
/// redirect of a POST is not followed. 502 and 504 come from a proxy that does not know what became of the request. What is
/// refused for the sake of a clock is no attempt, nor is what this machine could not send: when that is set right, all of it
/// can be.
pub fn meaning(reply: &Reply, about: About, now: Timestamp, entropy: u64) -> Meaning {
    let About { kind, made, tries, unauthorised } = about;
    let again = |uncertain: bool, asked: Option<Duration>| match schedule::attempt(kind, tries, entropy) {
        Some(pause) => {
            Ending::Retry { due: later(now, asked.map_or(pause, |asked| asked.max(pause))), uncertain }
        }
        None => Ending::Failed,
    };
    // No attempt: what hinders it is not the server's, and may pass soon.
    let once_more = || Ending::Later { due: later(now, schedule::behind(made, now).max(OUR_PAUSE)) };
    let asked_until = |asked: Option<Duration>| asked.map(|asked| later(now, asked));
    let (answered, no_answer) = (Some(Contact::Answered), Some(Contact::Failed(None)));
    // A pause that is asked for is kept with the host.
    let passes = |asked: Option<Duration>| {
        Some(asked.map_or(Contact::Answered, |asked| Contact::Busy(later(now, asked))))
    };
    let (ending, contact) = match *reply {
        Reply::Status(200..=299, _) => (Ending::Reached, answered),
        Reply::Status(401, asked) if unauthorised < UNAUTHORISED_TRIES => {
            (again(false, asked), passes(asked))
        }
        Reply::Status(408 | 425, asked) => (again(false, asked), passes(asked)),
        Reply::Status(429, asked) => {
            (again(false, asked), Some(Contact::Busy(later(now, asked.unwrap_or(BUSY)))))
        }
        Reply::Status(503, asked) => (again(false, asked), Some(Contact::Failed(asked_until(asked)))),
        Reply::Status(501, _) => (Ending::Failed, answered),
        Reply::Status(500..=599, asked) => (again(true, asked), Some(Contact::Failed(asked_until(asked)))),
        Reply::Status(..) => (Ending::Failed, answered),
        Reply::OtherTime(_) => (once_more(), answered),
        Reply::NotSent | Reply::Crowded => (once_more(), None),
        Reply::Stopped => (Ending::Later { due: now }, None),
        Reply::NotConnected => (again(false, None), no_answer),
        Reply::NoAnswer => (again(true, None), no_answer),
        Reply::Refused => (Ending::Failed, None),
    };
    Meaning {
        ending,
        contact,
        look_up: matches!(reply, Reply::Status(300..=399 | 404 | 410, _)),
        ours: matches!(reply, Reply::Status(400 | 405 | 406 | 411 | 413 | 415, _)),
    }
}

/// Reads `Retry-After`: seconds or an HTTP date (RFC 9110 §10.2.3), clamped to what we are ready to wait.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let seconds = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is longer than we wait in any case.
        value.parse().unwrap_or(u64::MAX)
    } else {
        let at = Timestamp::try_from(httpdate::parse_http_date(value).ok()?).ok()?;
        u64::try_from(at.duration_since(now).as_secs()).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds.clamp(*RETRY_AFTER.start(), *RETRY_AFTER.end())))
}

/// By how many seconds the clock behind the `Date` of an answer is ahead of ours, if that may be why it is a refusal.
pub fn clocks_differ(status: u16, date: &str, now: Timestamp) -> Option<i64> {
    let most = match status {
        401 => CLOCKS_DIFFER,
        400 | 403 => CLOCKS_DIFFER_MUCH,
        _ => return None,
    };
    let theirs = Timestamp::try_from(httpdate::parse_http_date(date).ok()?).ok()?;
    let ahead = theirs.duration_since(now).as_secs();
    (ahead.unsigned_abs() > most).then_some(ahead)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const MINUTE: Duration = Duration::from_secs(60);
    /// Statuses that mean something of their own.
    const TELLING: [u16; 11] = [200, 400, 401, 408, 410, 425, 429, 500, 501, 503, 504];

    fn sorted(reply: &Reply, tries: u32) -> Meaning {
        let about = About { kind: OutgoingKind::Update, made: NOW, tries, unauthorised: tries };
        meaning(reply, about, NOW, 7)
    }

    fn ending(ending: Ending) -> &'static str {
        match ending {
            Ending::Reached => "reached",
            Ending::Failed => "failed",
            Ending::Retry { uncertain: true, .. } => "uncertain",
            Ending::Retry { .. } => "retry",
            _ => "other",
        }
    }

    fn host(contact: Option<Contact>) -> &'static str {
        match contact {
            None => "not asked",
            Some(Contact::Answered) => "well",
            Some(Contact::Busy(_)) => "busy",
            Some(Contact::Failed(_)) => "ill",
        }
    }

    #[test]
    fn statuses_mean_what_peers_mean() {
        for (status, tries, want, of_host, look_up) in [
            (200, 0, "reached", "well", false),
            (202, 0, "reached", "well", false),
            (204, 5, "reached", "well", false),
            (301, 0, "failed", "well", true),
            (303, 0, "failed", "well", true),
            (308, 0, "failed", "well", true),
            (400, 0, "failed", "well", false),
            (401, 0, "retry", "well", false),
            (401, 2, "retry", "well", false),
            (401, 3, "failed", "well", false),
            (402, 0, "failed", "well", false),
            (403, 0, "failed", "well", false),
            (404, 0, "failed", "well", true),
            (405, 0, "failed", "well", false),
            (406, 0, "failed", "well", false),
            (408, 0, "retry", "well", false),
            (410, 0, "failed", "well", true),
            (413, 0, "failed", "well", false),
            (422, 0, "failed", "well", false),
            (425, 0, "retry", "well", false),
            (429, 0, "retry", "busy", false),
            (429, 9, "failed", "busy", false),
            (500, 0, "uncertain", "ill", false),
            (501, 0, "failed", "well", false),
            (502, 0, "uncertain", "ill", false),
            (503, 0, "retry", "ill", false),
            (504, 8, "uncertain", "ill", false),
            (504, 9, "failed", "ill", false),
            (530, 0, "uncertain", "ill", false),
        ] {
            let got = sorted(&Reply::Status(status, None), tries);
            assert_eq!(
                (ending(got.ending), host(got.contact), got.look_up),
                (want, of_host, look_up),
                "{status}"
            );
        }
        for (reply, want, of_host) in [
            (Reply::NotConnected, "retry", "ill"),
            (Reply::NoAnswer, "uncertain", "ill"),
            (Reply::Refused, "failed", "not asked"),
        ] {
            let got = sorted(&reply, 0);
            assert_eq!(
                (ending(got.ending), host(got.contact), got.look_up),
                (want, of_host, false),
                "{reply:?}"
            );
        }
        assert!(sorted(&Reply::Status(413, None), 0).ours && !sorted(&Reply::Status(403, None), 0).ours);
    }

    #[test]
    fn what_is_asked_for_is_waited_for_by_the_activity_and_the_host() {
        let hour = Duration::from_secs(3600);
        for (status, asked, contact) in [
            (429, Some(hour), Contact::Busy(later(NOW, hour))),
            (429, None, Contact::Busy(later(NOW, BUSY))),
            (401, Some(hour), Contact::Busy(later(NOW, hour))),
            (408, Some(hour), Contact::Busy(later(NOW, hour))),
            (425, None, Contact::Answered),
            (503, Some(hour), Contact::Failed(Some(later(NOW, hour)))),
            (500, None, Contact::Failed(None)),
        ] {
            let got = sorted(&Reply::Status(status, asked), 0);
            assert_eq!(got.contact, Some(contact), "{status} {asked:?}");
            if let (Some(asked), Ending::Retry { due, .. }) = (asked, got.ending) {
                assert_eq!(due, later(NOW, asked));
            }
        }
    }

    #[test]
    fn a_refused_signature_is_tried_again_however_much_failed_before() {
        for (tries, unauthorised, want) in
            [(3, 0, "retry"), (9, 2, "failed"), (8, 2, "retry"), (3, 3, "failed")]
        {
            let about = About { kind: OutgoingKind::Accept, made: NOW, tries, unauthorised };
            let got = meaning(&Reply::Status(401, None), about, NOW, 7);
            assert_eq!(ending(got.ending), want, "{tries} {unauthorised}");
        }
    }

    #[test]
    fn what_is_our_own_fault_costs_no_attempt_however_often() {
        for (age, pause) in [(0, 10), (10, 10), (60, 30), (3600, 1800), (20 * 3600, 3600)] {
            let now = later(NOW, Duration::from_secs(age));
            for tries in [0, 3, 100] {
                let about = About { kind: OutgoingKind::Create, made: NOW, tries, unauthorised: tries };
                let due = later(now, Duration::from_secs(pause));
                for (reply, contact) in [
                    (Reply::OtherTime(-7200), Some(Contact::Answered)),
                    (Reply::NotSent, None),
                    (Reply::Crowded, None),
                ] {
                    let got = meaning(&reply, about, now, 7);
                    assert_eq!((got.ending, got.contact), (Ending::Later { due }, contact));
                }
                let stopped = meaning(&Reply::Stopped, about, now, 7);
                assert_eq!((stopped.ending, stopped.contact), (Ending::Later { due: now }, None));
            }
        }
    }

    #[test]
    fn a_date_tells_how_far_clocks_are_apart() {
        let now = later(NOW, Duration::from_secs(7200));
        for (date, ahead) in [
            ("Thu, 01 Jan 1970 02:00:00 GMT", None),
            ("Thu, 01 Jan 1970 02:01:00 GMT", None),
            ("Thu, 01 Jan 1970 01:59:00 GMT", None),
            ("Thu, 01 Jan 1970 02:01:01 GMT", Some(61)),
            ("Thu, 01 Jan 1970 01:58:59 GMT", Some(-61)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(-7200)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", None),
            ("today", None),
            ("", None),
        ] {
            let got = clocks_differ(401, date, now);
            assert!(got == ahead || date.contains("9999"), "{date}: {got:?}");
            let much = ahead.filter(|ahead| ahead.abs() > 300);
            for (status, want) in [(400, much), (403, much), (404, None), (500, None), (202, None)] {
                let got = clocks_differ(status, date, now);
                assert!(got == want || date.contains("9999"), "{status} {date}: {got:?}");
            }
        }
    }

    #[test]
    fn retry_after_is_read_and_clamped() {
        for (text, want) in [
            ("120", Some(120)),
            (" 120 ", Some(120)),
            ("0", Some(1)),
            ("999999999", Some(6 * 3600)),
            ("99999999999999999999999", Some(6 * 3600)),
            ("Fri, 02 Jan 1970 00:01:00 GMT", Some(60)),
            ("Thu, 01 Jan 1970 00:01:00 GMT", Some(1)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(6 * 3600)),
            ("soon", None),
            ("", None),
            ("-5", None),
            ("1.5", None),
        ] {
            let now = later(NOW, Duration::from_secs(24 * 3600));
            assert_eq!(retry_after(text, now).map(|d| d.as_secs()), want, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_is_tried_for_ever_or_before_it_is_wanted(
            status in 100u16..1000, asked in prop::option::of(1u64..30_000), entropy: u64,
        ) {
            let asked = asked.map(Duration::from_secs);
            let mut ended = false;
            for tries in 0..100 {
                let reply = Reply::Status(status, asked);
                let got = meaning(&reply, About { kind: OutgoingKind::Create, made: NOW, tries, unauthorised: 0 }, NOW, entropy);
                match got.ending {
                    Ending::Retry { due, .. } => {
                        prop_assert!(!ended, "tried again after the end");
                        prop_assert!(asked.is_none_or(|asked| due >= later(NOW, asked)));
                    }
                    _ => ended = true,
                }
                prop_assert_eq!(got.ending == Ending::Reached, (200..300).contains(&status));
            }
            prop_assert!(ended);
        }

        #[test]
        fn what_a_reply_tells_of_the_host_and_of_arrival_depends_on_nothing_else(
            status in prop_oneof![100u16..600, prop::sample::select(TELLING.to_vec())],
            way in 0..8u8, kind in 0..3usize, tries in 0..60u32, entropy: u64,
        ) {
            let kind = [OutgoingKind::Create, OutgoingKind::Accept, OutgoingKind::Delete][kind];
            let reply = match way {
                0 => Reply::NotConnected,
                1 => Reply::NoAnswer,
                2 => Reply::Refused,
                _ => Reply::Status(status, None),
            };
            let about = About { kind, made: NOW, tries, unauthorised: tries };
            let got = meaning(&reply, about, NOW, entropy);
            let broken = matches!(reply, Reply::Status(500..=599, _)) && reply != Reply::Status(501, None);
            let silent = matches!(reply, Reply::NotConnected | Reply::NoAnswer);
            prop_assert_eq!(host(got.contact), match reply {
                Reply::Refused => "not asked",
                Reply::Status(429, _) => "busy",
                _ if broken || silent => "ill",
                _ => "well",
            });
            let base = schedule::attempt(kind, tries, 0);
            match got.ending {
                Ending::Retry { due, uncertain } => {
                    let unknown = broken && reply != Reply::Status(503, None);
                    prop_assert_eq!(uncertain, unknown || reply == Reply::NoAnswer);
                    let passes = matches!(reply, Reply::Status(401 | 408 | 425 | 429, _));
                    prop_assert!(broken || silent || passes, "{:?} will not pass", reply);
                    prop_assert!(base.is_some_and(|base| due >= later(NOW, base)), "too soon");
                }
                Ending::Failed => {
                    let given_up = base.is_none()
                        || !(broken || silent || matches!(reply, Reply::Status(401 | 408 | 425 | 429, _)))
                        || (reply == Reply::Status(401, None) && tries >= UNAUTHORISED_TRIES);
                    prop_assert!(given_up, "{:?} after {} tries", reply, tries);
                }
                ending => prop_assert_eq!(ending, Ending::Reached),
            }
            prop_assert!(!got.look_up || !broken, "a broken server tells nothing of its people");
        }

        #[test]
        fn retry_after_never_panics_and_stays_in_bounds(text in ".{0,40}", at in -1_000_000_000i64..4_000_000_000) {
            let now = Timestamp::from_second(at).unwrap();
            if let Some(pause) = retry_after(&text, now) {
                prop_assert!(pause >= Duration::from_secs(1) && pause <= MINUTE * 360);
            }
        }
    }
}
