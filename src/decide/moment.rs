//! Time and randomness, handed to a decision.

use jiff::Timestamp;
use ulid::Ulid;

/// The time of an event and the entropy for the ids it leads to.
#[derive(Clone, Debug)]
pub struct Moment {
    /// When, by our clock.
    pub now: Timestamp,
    entropy: u128,
}

impl Moment {
    /// A moment; `entropy` is 80 random bits, of which the lowest are counted up for each further id.
    pub fn new(now: Timestamp, entropy: u128) -> Self {
        Moment { now, entropy: entropy & ((1 << 80) - 1) & !(1 << 79) }
    }

    /// A fresh id. Later ids of one moment sort behind earlier ones.
    pub fn ulid(&mut self) -> Ulid {
        self.ulid_at(self.now)
    }

    /// A fresh id that sorts by another time than ours: behind what was made before our clock was set back.
    pub fn ulid_at(&mut self, at: Timestamp) -> Ulid {
        self.entropy += 1;
        Ulid::from_parts(u64::try_from(at.as_millisecond()).unwrap_or(0), self.entropy)
    }
}
