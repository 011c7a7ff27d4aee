//! RSA keys of the double: one of its own for a named person, shared ones where identity does not matter.

use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
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
        let private = PKey::from_rsa(Rsa::generate(2048)?)?;
        let pem = String::from_utf8_lossy(&private.public_key_to_pem()?).into_owned();
        Ok(Keys { private, pem })
    }

    /// PKCS#1 v1.5 over SHA-256: what every peer verifies.
    pub(crate) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let mut signer = Signer::new(MessageDigest::sha256(), &self.private)?;
        signer.sign_oneshot_to_vec(text)
    }
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
