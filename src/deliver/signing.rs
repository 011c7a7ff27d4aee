//! Signatures on threads of their own: while one request is signed, others are on their way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, Method};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use super::lower_priority;
use crate::activitypub::signature::{Form, Message, PrivateKey, SignError};

/// Requests that wait to be signed at most; more wait for a place here.
const WAITING: usize = 1024;
/// What waits is handed back together, so many at once: the thread that sends then wakes up less often, which costs as much as
/// a good part of the sending.
const TOGETHER: usize = 8;

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

/// A POST to be signed.
struct Unsent {
    form: Form,
    url: Url,
    digest: Arc<str>,
    content_type: &'static str,
    signed: oneshot::Sender<Result<HeaderMap, SignError>>,
}

/// Hands requests to the threads that sign; they end with the last of its clones.
#[derive(Clone, Debug)]
pub(super) struct Signing {
    unsent: mpsc::Sender<Unsent>,
    ended: Arc<AtomicBool>,
    key_id: Arc<str>,
}

impl Signing {
    /// Starts so many threads of low priority that sign with `key`, whose public part is found at `key_id`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(threads: usize, key_id: &str, key: &PrivateKey) -> std::io::Result<Self> {
        let (unsent, waiting) = mpsc::channel(WAITING);
        let (waiting, ended) = (Arc::new(Mutex::new(waiting)), Arc::new(AtomicBool::new(false)));
        let key_id = Arc::<str>::from(key_id);
        for _ in 0..threads.max(1) {
            let (waiting, ended) = (Arc::clone(&waiting), Arc::clone(&ended));
            let (key_id, key) = (Arc::clone(&key_id), key.clone());
            std::thread::Builder::new().name("sign".into()).spawn(move || {
                lower_priority();
                sign_all(&waiting, &ended, &key_id, &key);
            })?;
        }
        Ok(Signing { unsent, ended, key_id })
    }

    /// Where our public key is found.
    pub(super) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Signs nothing more: what waits is told that we are gone.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// The headers of a POST that is signed at the moment its turn comes, with the digest of its body in the scheme's form.
    ///
    /// # Errors
    /// See [`Unsigned`].
    pub(super) async fn post(
        &self,
        form: Form,
        url: &Url,
        digest: Arc<str>,
        content_type: &'static str,
    ) -> Result<HeaderMap, Unsigned> {
        let (signed, answer) = oneshot::channel();
        let unsent = Unsent { form, url: url.clone(), digest, content_type, signed };
        self.unsent.send(unsent).await.map_err(|_| Unsigned::Gone)?;
        Ok(answer.await.map_err(|_| Unsigned::Gone)??)
    }
}

fn sign_all(waiting: &Mutex<mpsc::Receiver<Unsent>>, ended: &AtomicBool, key_id: &str, key: &PrivateKey) {
    let mut turn = Vec::with_capacity(TOGETHER);
    loop {
        let mut next = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if next.blocking_recv_many(&mut turn, TOGETHER) == 0 {
            return;
        }
        drop(next);
        let wanted = turn.drain(..).filter(|_| !ended.load(Ordering::Relaxed));
        let done: Vec<_> = wanted.map(|unsent| sign(unsent, key_id, key)).collect();
        for (signed, headers) in done {
            // Nobody waits any longer if the program stops.
            let _ = signed.send(headers);
        }
    }
}

type Signed = (oneshot::Sender<Result<HeaderMap, SignError>>, Result<HeaderMap, SignError>);

fn sign(unsent: Unsent, key_id: &str, key: &PrivateKey) -> Signed {
    let Unsent { form, url, digest, content_type, signed } = unsent;
    let (digest, content_type) = (Some(&*digest), Some(content_type));
    let message = Message { method: &Method::POST, url: &url, date: Timestamp::now(), digest, content_type };
    let headers = form.sign(&message, key_id, key);
    (signed, headers.map(|headers| headers.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activitypub::signature::Scheme;

    #[tokio::test]
    async fn each_gets_the_signature_of_its_own_request() {
        let key = PrivateKey::generate().unwrap();
        for threads in [1, 3] {
            let signing = Signing::start(threads, "https://a.example/u#main-key", &key).unwrap();
            let requests = (0..40).map(|number| {
                let (signing, form) =
                    (signing.clone(), Form::Plain([Scheme::Cavage, Scheme::Rfc9421][number % 2]));
                async move {
                    let url = Url::parse(&format!("https://peer{number}.example/inbox")).unwrap();
                    let headers = signing.post(form, &url, format!("x={number}").into(), "text/plain").await;
                    (number, headers.unwrap())
                }
            });
            for (number, headers) in futures_util::future::join_all(requests).await {
                assert!(headers.contains_key("signature"), "{headers:?}");
                let digest = ["digest", "content-digest"][number % 2];
                assert_eq!(headers.get(digest).unwrap(), &format!("x={number}"));
            }
        }
    }

    #[tokio::test]
    async fn what_cannot_be_signed_holds_up_nobody() {
        let key = PrivateKey::generate().unwrap();
        let signing = Signing::start(1, "https://a.example/u#main-key", &key).unwrap();
        let (none, url) = (Url::parse("data:x").unwrap(), Url::parse("https://peer.example/inbox").unwrap());
        let unsigned =
            signing.post(Form::Plain(Scheme::Cavage), &none, "SHA-256=x".into(), "text/plain").await;
        assert!(matches!(unsigned, Err(Unsigned::Impossible(_))), "{unsigned:?}");
        signing.post(Form::Plain(Scheme::Cavage), &url, "SHA-256=x".into(), "text/plain").await.unwrap();
        signing.end();
        let unsigned =
            signing.post(Form::Plain(Scheme::Cavage), &url, "SHA-256=x".into(), "text/plain").await;
        assert!(matches!(unsigned, Err(Unsigned::Gone)), "{unsigned:?}");
    }
}
