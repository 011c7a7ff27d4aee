//! What is remembered of actors and keys: bounded, whatever strangers make us look for (C-26).

use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use super::{FetchError, RemoteActor};
use crate::bounded::Bounded;

/// Bytes of actors remembered, keys that are documents of their own included: some 2,000 of the usual ones.
pub(super) const ACTORS: usize = 10 << 20;
/// Addresses of keys remembered that are not their owners'.
const OWNERS: usize = 2048;
/// Bytes of failures remembered.
const FAILURES: usize = 1 << 20;

/// Everything here is keyed by addresses without fragment.
pub(super) struct Memory {
    pub(super) actors: Bounded<String, Known>,
    /// Keys with an address of their own: to the actor's id.
    pub(super) owners: Bounded<String, Url>,
    /// The actor with the key that is a document of its own, by the key's address: an actor may have several, and each is
    /// as fresh as its own document.
    pub(super) adopted: Bounded<String, Known>,
    pub(super) failures: Bounded<Digest, (FetchError, Timestamp)>,
    /// Addresses that were looked for in vain, really or not, and until when that is not done again.
    pub(super) in_vain: Bounded<Digest, Timestamp>,
}

impl Memory {
    /// One that holds so many bytes of actors.
    pub(super) fn new(actors: usize) -> Self {
        Memory {
            actors: Bounded::new(actors),
            owners: Bounded::new(OWNERS),
            adopted: Bounded::new(actors / 4),
            failures: Bounded::new(FAILURES),
            in_vain: Bounded::new(FAILURES / 64),
        }
    }
}

/// What stands for an address where only whether it is the same matters: strangers choose how long addresses are.
type Digest = [u8; 32];

pub(super) fn digest(address: &Url) -> Digest {
    openssl::sha::sha256(address.as_str().as_bytes())
}

#[derive(Clone)]
pub(super) struct Known {
    pub(super) actor: Arc<RemoteActor>,
    pub(super) fetched_at: Timestamp,
}
