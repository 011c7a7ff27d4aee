//! Which way of signing each server takes: most take the one that is tried first, the others are remembered.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::activitypub::signature::Scheme;
use crate::bounded::Bounded;

/// How long a server is asked in the other scheme first. Then it is asked as everybody is: it may have been updated.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Servers remembered.
const SERVERS: usize = 4096;

/// Whether an answer may mean that the request's signature is of a scheme which the server does not verify. One that
/// verifies none of ours answers so too.
#[must_use]
pub fn refuses_scheme(status: u16) -> bool {
    matches!(status, 400 | 401)
}

/// The servers that take RFC 9421 and refuse cavage, as far as they were met lately. Forgotten at the end of the
/// process, which costs one request more at each of them.
#[derive(Debug)]
pub struct Schemes {
    rfc9421: Mutex<Bounded<Timestamp>>,
}

impl Default for Schemes {
    fn default() -> Self {
        Schemes { rfc9421: Mutex::new(Bounded::new(SERVERS)) }
    }
}

impl Schemes {
    /// The scheme to try first at `host`.
    #[must_use]
    pub fn first(&self, host: &str, now: Timestamp) -> Scheme {
        let mut known = self.rfc9421.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(host) {
            Some(until) if now < *until => Scheme::Rfc9421,
            Some(_) => {
                known.remove(host);
                Scheme::Cavage
            }
            None => Scheme::Cavage,
        }
    }

    /// Remembers which scheme `host` took, after it had refused the other one.
    pub fn took(&self, host: &str, scheme: Scheme, now: Timestamp) {
        let mut known = self.rfc9421.lock().unwrap_or_else(PoisonError::into_inner);
        match scheme {
            Scheme::Cavage => known.remove(host),
            Scheme::Rfc9421 => {
                known.insert(host.to_owned(), now.checked_add(REMEMBERED_FOR).unwrap_or(Timestamp::MAX));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_took_the_other_scheme_is_asked_in_it_first_for_a_week() {
        let (schemes, now) = (Schemes::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(schemes.first("new.example", now), Scheme::Cavage);
        schemes.took("new.example", Scheme::Rfc9421, now);
        assert_eq!(schemes.first("new.example", now), Scheme::Rfc9421);
        assert_eq!(schemes.first("other.example", now), Scheme::Cavage);
        let later = now + REMEMBERED_FOR;
        assert_eq!(schemes.first("new.example", later), Scheme::Cavage, "it may have been updated");
        schemes.took("new.example", Scheme::Rfc9421, later);
        schemes.took("new.example", Scheme::Cavage, later);
        assert_eq!(schemes.first("new.example", later), Scheme::Cavage);
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
