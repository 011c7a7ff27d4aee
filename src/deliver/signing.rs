//! Signatures on threads of their own: while one request is signed, others are on their way.

use std::sync::Arc;

use http::{HeaderMap, Method};
use jiff::Timestamp;
use tokio::runtime::{Builder, Handle, Runtime};
use url::Url;

use super::lower_priority;
use crate::activitypub::signature::{PrivateKey, Scheme, SignError};

/// Why a request was not signed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsigned {
    /// It cannot be.
    #[error(transparent)]
    Impossible(#[from] SignError),
    /// The program stops, or a thread broke; nothing is known of the request.
    #[error("the threads that sign are gone")]
    Gone,
}

/// Signs on the threads of [`threads`]; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Signing {
    threads: Handle,
    key_id: Arc<str>,
    key: PrivateKey,
}

/// Threads of low priority that do nothing but sign.
///
/// # Errors
/// The system gives none.
pub(super) fn threads(count: usize) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(count.max(1)).thread_name("sign").on_thread_start(lower_priority).build()
}

impl Signing {
    /// With `key`, whose public part is found at `key_id`.
    pub(super) fn new(threads: Handle, key_id: String, key: PrivateKey) -> Self {
        Signing { threads, key_id: key_id.into(), key }
    }

    /// The headers of a POST that is signed at the moment its turn comes, with the digest of its body in the scheme's form.
    ///
    /// # Errors
    /// See [`Unsigned`].
    pub(super) async fn post(
        &self,
        scheme: Scheme,
        url: &Url,
        digest: Arc<str>,
        content_type: &'static str,
    ) -> Result<HeaderMap, Unsigned> {
        let (Signing { key_id, key, .. }, url) = (self.clone(), url.clone());
        let signed = self.threads.spawn(async move {
            let (digest, content_type) = (Some(&*digest), Some(content_type));
            scheme.signs()(&Method::POST, &url, Timestamp::now(), digest, content_type, &key_id, &key)
        });
        Ok(signed.await.map_err(|_| Unsigned::Gone)??.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::generate().unwrap()
    }

    #[tokio::test]
    async fn what_is_signed_elsewhere_is_the_same() {
        let threads = threads(1).unwrap();
        let signing = Signing::new(threads.handle().clone(), "https://a.example/u#main-key".into(), key());
        let url = Url::parse("https://peer.example/inbox").unwrap();
        for (scheme, header) in [(Scheme::Cavage, "digest"), (Scheme::Rfc9421, "content-digest")] {
            let headers = signing.post(scheme, &url, "sha-256=:x:".into(), "text/plain").await.unwrap();
            assert!(headers.contains_key("signature"), "{headers:?}");
            assert_eq!(headers.get(header).unwrap(), "sha-256=:x:");
        }
        threads.shutdown_background();
    }

    #[tokio::test]
    async fn without_threads_nothing_is_signed_and_nobody_waits() {
        let threads = threads(1).unwrap();
        let signing = Signing::new(threads.handle().clone(), "https://a.example/u#main-key".into(), key());
        threads.shutdown_background();
        let url = Url::parse("https://peer.example/inbox").unwrap();
        let unsigned = signing.post(Scheme::Cavage, &url, "SHA-256=x".into(), "text/plain").await;
        assert!(matches!(unsigned, Err(Unsigned::Gone)), "{unsigned:?}");
    }
}
