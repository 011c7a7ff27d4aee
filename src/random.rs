//! Randomness from the system, for the shell: pure rooms are handed it.

/// 128 random bits.
pub fn entropy() -> u128 {
    u128::from_be_bytes(bytes())
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
