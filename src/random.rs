//! Randomness from the system, for the shell: pure rooms are handed it.

use std::cell::RefCell;

/// So many are drawn at once.
const DRAWN: usize = 64;

/// 128 random bits for ids. They are drawn many at a time: to ask the library costs as much for one as for all of them.
pub fn entropy() -> u128 {
    thread_local! {
        static LEFT: RefCell<Vec<u128>> = const { RefCell::new(Vec::new()) };
    }
    LEFT.with_borrow_mut(|left| {
        if left.is_empty() {
            let drawn = bytes::<{ 16 * DRAWN }>();
            left.extend(drawn.as_chunks().0.iter().map(|bytes| u128::from_be_bytes(*bytes)));
        }
        left.pop().unwrap_or_else(|| u128::from_be_bytes(bytes()))
    })
}

/// 64 random bits for pauses that are not to be the same for all; drawn as those of [`entropy`].
pub fn jitter() -> u64 {
    u64::try_from(entropy() >> 64).unwrap_or_default()
}

/// Random bytes, never weak ones.
///
/// A system that cannot give any is broken beyond what a server may go on with: keys, ids and secret paths would be
/// guessable. The process ends, and says why.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(cause) = openssl::rand::rand_bytes(&mut bytes) {
        tracing::error!(%cause, "the system gives no random bytes");
        std::process::abort();
    }
    bytes
}

/// Random bytes in hexadecimal, twice as many characters.
pub fn hex<const N: usize>() -> String {
    bytes::<N>().iter().map(|byte| format!("{byte:02x}")).collect()
}
