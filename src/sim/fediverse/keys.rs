//! Keys of the double: an RSA and an Ed25519 key for a named person, shared ones where identity does not matter.

use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use tokio::sync::OnceCell;

use super::SimError;

/// A key pair.
pub(crate) struct Keys {
    private: PKey<Private>,
    /// Public half, SPKI PEM.
    pub(crate) pem: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    fn generate() -> Result<Keys, ErrorStack> {
        Keys::of(PKey::from_rsa(Rsa::generate(2048)?)?)
    }

    /// An Ed25519 key, which takes no time to make.
    pub(crate) fn edwards() -> Result<Keys, ErrorStack> {
        Keys::of(PKey::generate_ed25519()?)
    }

    fn of(private: PKey<Private>) -> Result<Keys, ErrorStack> {
        let pem = String::from_utf8_lossy(&private.public_key_to_pem()?).into_owned();
        Ok(Keys { private, pem })
    }

    /// RFC 9421's name of what [`Keys::sign`] does.
    pub(crate) fn algorithm(&self) -> &'static str {
        if self.private.id() == Id::ED25519 { "ed25519" } else { "rsa-v1_5-sha256" }
    }

    /// PKCS#1 v1.5 over SHA-256, which every peer verifies, or Ed25519.
    pub(crate) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let mut signer = match self.private.id() {
            Id::ED25519 => Signer::new_without_digest(&self.private)?,
            _ => Signer::new(MessageDigest::sha256(), &self.private)?,
        };
        signer.sign_oneshot_to_vec(text)
    }

    /// `publicKeyMultibase` of an Ed25519 key: base58btc of its multicodec.
    pub(crate) fn multibase(&self) -> Result<String, ErrorStack> {
        let mut bytes = vec![0xed, 0x01];
        bytes.extend(self.private.raw_public_key()?);
        Ok(format!("z{}", base58(&bytes)))
    }
}

/// base58btc of bytes that do not begin with zero.
fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u32> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit * 256;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    digits.iter().rev().filter_map(|digit| ALPHABET.get(*digit as usize)).map(|b| char::from(*b)).collect()
}

/// Makes a new key off the runtime's own threads.
pub(crate) async fn fresh() -> Result<Arc<Keys>, SimError> {
    match tokio::task::spawn_blocking(Keys::generate).await {
        Ok(made) => Ok(Arc::new(made?)),
        Err(stopped) => {
            Err(SimError::Unknown(format!("the runtime stopped while a key was made: {stopped}")))
        }
    }
}

const SHARED: usize = 4;
static POOL: [OnceCell<Arc<Keys>>; SHARED] = [const { OnceCell::const_new() }; SHARED];
static STRAY: OnceCell<Arc<Keys>> = OnceCell::const_new();

/// One of four keys made once per process: making thousands would take minutes.
pub(crate) async fn shared(index: usize) -> Result<Arc<Keys>, SimError> {
    match POOL.get(index % SHARED) {
        Some(cell) => cell.get_or_try_init(fresh).await.cloned(),
        None => fresh().await,
    }
}

/// A key that belongs to no actor.
pub(crate) async fn stray() -> Result<Arc<Keys>, SimError> {
    STRAY.get_or_try_init(fresh).await.cloned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn base58_is_bitcoins() {
        assert_eq!(super::base58(b"hello world"), "StV1DL6CwTryKyV");
        assert!(super::Keys::edwards().unwrap().multibase().unwrap().starts_with("z6Mk"));
    }
}
