//! Which way of signing each server takes: most take the one that is tried first, the others are remembered.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::activitypub::signature::Scheme;
use crate::bounded::Bounded;
use crate::decide::schemes::{BELIEVED_FOR, Known, holds};
use crate::model::owner::owner_of_host;

/// Servers remembered of each kind.
const SERVERS: usize = 4096;
/// Where the other scheme is refused in a way that may pass, it is tried so often: as often as one 401 is.
const IN_VAIN: u32 = 4;

/// Whether an answer may mean that the request's signature is of a scheme which the server does not verify. One that
/// verifies none of ours answers so too.
#[must_use]
pub fn refuses_scheme(status: u16) -> bool {
    matches!(status, 400 | 401)
}

/// The servers that take RFC 9421 and refuse cavage, as far as they were met lately. What is learnt from what is read there and
/// from what is delivered stands apart: strangers choose what is read. Deliveries keep theirs in the store, since each server
/// that is forgotten costs one request more.
#[derive(Debug)]
pub struct Schemes {
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    rfc9421: Bounded<String, Timestamp>,
    /// That forbade something and did not take it in the other scheme either: until when that counts, and how often.
    forbade: Bounded<String, (Timestamp, u32)>,
    /// Since this was asked for last.
    changed: bool,
}

impl Default for Schemes {
    fn default() -> Self {
        let (rfc9421, forbade) = (Bounded::new(SERVERS), Bounded::new(SERVERS));
        Schemes { memory: Mutex::new(Memory { rfc9421, forbade, changed: false }) }
    }
}

impl Memory {
    fn insert(&mut self, host: String, until: Timestamp) {
        self.rfc9421.insert_of(&owner_of_host(&host), 1, host, until);
    }
}

impl Schemes {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scheme to try first at `host`.
    #[must_use]
    pub fn first(&self, host: &str, now: Timestamp) -> Scheme {
        match self.memory().rfc9421.get(host) {
            Some(until) if holds(*until, now) => Scheme::Rfc9421,
            _ => Scheme::Cavage,
        }
    }

    /// Remembers which scheme `host` took, after it had refused the other one.
    pub fn took(&self, host: &str, scheme: Scheme, now: Timestamp) {
        let mut memory = self.memory();
        match scheme {
            Scheme::Cavage => memory.rfc9421.remove(host),
            Scheme::Rfc9421 => {
                memory.insert(host.to_owned(), now.checked_add(BELIEVED_FOR).unwrap_or(Timestamp::MAX));
                // What it forbids from now on is another question.
                memory.forbade.remove(host);
            }
        }
        memory.changed = true;
    }

    /// Remembers nothing of `host` any longer: it refused what it asked for itself.
    pub fn doubts(&self, host: &str) {
        let mut memory = self.memory();
        memory.changed |= memory.rfc9421.get(host).is_some();
        memory.rfc9421.remove(host);
    }

    /// Whether a 403 of `host` may be a refusal of the scheme. Some answer so, but most mean something else by it: where the
    /// other one was of no use, not again for a week.
    #[must_use]
    pub fn may_forbid(&self, host: &str, now: Timestamp) -> bool {
        let tried = |(until, times): &(Timestamp, u32)| *times >= IN_VAIN && holds(*until, now);
        !self.memory().forbade.get(host).is_some_and(|one| tried(one))
    }

    /// Remembers what `host` answered to the other scheme, too, after a 403.
    pub fn forbade(&self, host: &str, other: u16, now: Timestamp) {
        let times = match other {
            408 | 425 | 429 | 503 => return,
            401 | 500 | 502.. => 1,
            _ => IN_VAIN,
        };
        let until = now.checked_add(BELIEVED_FOR).unwrap_or(Timestamp::MAX);
        let mut memory = self.memory();
        let before = memory.forbade.get(host).filter(|(until, _)| holds(*until, now)).map_or(0, |one| one.1);
        let value = (until, before.saturating_add(times));
        memory.forbade.insert_of(&owner_of_host(host), 1, host.to_owned(), value);
    }

    /// Takes in what was kept.
    pub fn remember(&self, known: Known) {
        let mut memory = self.memory();
        known.into_iter().for_each(|(host, until)| memory.insert(host, until));
    }

    /// All that is known, to be kept, if it has changed since it was asked for.
    #[must_use]
    pub fn changed(&self, now: Timestamp) -> Option<Known> {
        let mut memory = self.memory();
        if !std::mem::take(&mut memory.changed) {
            return None;
        }
        let all = memory.rfc9421.iter().filter(|(_, until)| holds(**until, now));
        Some(all.map(|(host, until)| (host.clone(), *until)).collect())
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn who_took_the_other_scheme_is_asked_in_it_first_for_a_week() {
        let (schemes, now) = (Schemes::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(schemes.first("new.example", now), Scheme::Cavage);
        schemes.took("new.example", Scheme::Rfc9421, now);
        assert_eq!(schemes.first("new.example", now), Scheme::Rfc9421);
        assert_eq!(schemes.first("other.example", now), Scheme::Cavage);
        let later = now + BELIEVED_FOR;
        assert_eq!(schemes.first("new.example", later), Scheme::Cavage, "it may have been updated");
        schemes.took("new.example", Scheme::Rfc9421, later);
        schemes.took("new.example", Scheme::Cavage, later);
        assert_eq!(schemes.first("new.example", later), Scheme::Cavage);
    }

    #[test]
    fn who_refuses_what_it_asked_for_is_asked_as_everybody() {
        let (schemes, now) = (Schemes::default(), Timestamp::UNIX_EPOCH);
        schemes.doubts("a.example");
        assert_eq!(schemes.changed(now), None, "nothing was known of it");
        schemes.took("a.example", Scheme::Rfc9421, now);
        assert_eq!(schemes.changed(now).map(|known| known.len()), Some(1));
        schemes.doubts("a.example");
        assert_eq!(schemes.first("a.example", now), Scheme::Cavage);
        assert_eq!(schemes.changed(now), Some(Known::new()));
    }

    #[test]
    fn what_was_kept_is_known_to_the_next_process() {
        let (schemes, now) = (Schemes::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(schemes.changed(now), None, "nothing is to be written");
        for number in 0..SERVERS + 1 {
            schemes.took(&format!("s{number}.example"), Scheme::Rfc9421, now);
        }
        schemes.took("s4096.example", Scheme::Cavage, now);
        let known = schemes.changed(now).unwrap();
        assert!(known.len() < SERVERS && known.contains_key("s4095.example"), "{}", known.len());
        assert_eq!(schemes.changed(now), None, "it is written once");
        let next = Schemes::default();
        next.remember(known.clone());
        assert_eq!(next.first("s4095.example", now), Scheme::Rfc9421);
        assert_eq!(next.first("s4096.example", now), Scheme::Cavage);
        assert_eq!(next.changed(now), None, "it stands there");
        next.took("new.example", Scheme::Rfc9421, now);
        assert_eq!(next.changed(now).unwrap().len(), known.len() + 1);
        // Of a clock that was ahead, or over.
        for now in [now - BELIEVED_FOR, now + BELIEVED_FOR] {
            next.took("s4096.example", Scheme::Cavage, now);
            assert_eq!(next.first("s4095.example", now), Scheme::Cavage);
            assert_eq!(next.changed(now), Some(Known::new()));
        }
    }

    #[test]
    fn who_forbids_both_is_asked_in_one_for_a_week() {
        let (schemes, start, week) = (Schemes::default(), Timestamp::UNIX_EPOCH, BELIEVED_FOR);
        let asks = |host: &str, now| schemes.may_forbid(host, now);
        assert!(asks("a.example", start));
        for busy in [408, 425, 429, 503] {
            (0..2 * IN_VAIN).for_each(|_| schemes.forbade("a.example", busy, start));
        }
        assert!(asks("a.example", start), "that was no answer to the question");
        schemes.forbade("a.example", 403, start);
        assert!(!asks("a.example", start) && asks("b.example", start));
        assert!(
            !asks("a.example", start + week - SignedDuration::from_secs(1))
                && asks("a.example", start + week)
        );
        assert!(asks("a.example", start - week), "by a clock that was ahead");
        // Our key may not have been to be had, or the server broke just then.
        for (tried, other) in [401, 500, 502, 401].into_iter().enumerate() {
            assert!(asks("b.example", start), "{tried}");
            schemes.forbade("b.example", other, start);
        }
        assert!(!asks("b.example", start));
        schemes.forbade("b.example", 401, start + week);
        assert!(asks("b.example", start + week), "what was a week ago does not count");
        // What it took last may be what it forbids now.
        schemes.took("a.example", Scheme::Rfc9421, start);
        assert!(asks("a.example", start));
        schemes.forbade("a.example", 403, start);
        assert!(!asks("a.example", start));
        assert!(schemes.changed(start).is_some());
        for number in 0..2 * SERVERS {
            schemes.forbade(&format!("s{number}.example"), 403, start);
        }
        assert!(asks("a.example", start), "it is forgotten when there are many");
        assert_eq!(schemes.changed(start), None, "nothing of that is kept");
    }

    #[test]
    fn only_two_answers_speak_of_the_signature() {
        for (status, want) in
            [(400, true), (401, true), (403, false), (404, false), (202, false), (500, false)]
        {
            assert_eq!(refuses_scheme(status), want, "{status}");
        }
    }
}
