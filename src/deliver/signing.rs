//! Signatures on threads of their own: while one request is signed, others are on their way. Who sends signs, too, while many wait
//! and there is nothing to send.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot};
use url::Url;

use super::lower_priority;
use crate::activitypub::signature::{Form, Message, PrivateKey, SignError};

/// Requests that wait to be signed at most; more wait for a place here.
const WAITING: usize = 1024;
/// What waits is handed back together, so many at once: the thread that sends then wakes up less often, which costs as much as
/// a good part of the sending.
const TOGETHER: usize = 8;
/// With no more than these the threads that sign are done in a moment, and a second core would only have to warm up.
const A_MOMENT: usize = 128;
/// A runtime that was back within this time had nothing else to do.
const IDLE: Duration = Duration::from_micros(20);

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
    signer: Arc<Signer>,
}

/// What signs, on whichever thread.
#[derive(Debug)]
struct Signer {
    waiting: Mutex<mpsc::Receiver<Unsent>>,
    /// Many wait.
    many: Notify,
    /// See [`IDLE`].
    idle: Duration,
    ended: AtomicBool,
    key_id: String,
    key: PrivateKey,
}

impl Signing {
    /// Starts so many threads of low priority that sign with `key`, whose public part is found at `key_id`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(threads: usize, key_id: &str, key: &PrivateKey) -> std::io::Result<Self> {
        let signing = Signing::new(key_id, key, IDLE);
        for _ in 0..threads.max(1) {
            let signer = Arc::clone(&signing.signer);
            std::thread::Builder::new().name("sign".into()).spawn(move || {
                lower_priority();
                signer.sign_all();
            })?;
        }
        Ok(signing)
    }

    /// Nothing is signed yet.
    fn new(key_id: &str, key: &PrivateKey, idle: Duration) -> Self {
        let (unsent, waiting) = mpsc::channel(WAITING);
        let signer = Arc::new(Signer {
            waiting: Mutex::new(waiting),
            many: Notify::new(),
            idle,
            ended: AtomicBool::new(false),
            key_id: key_id.to_owned(),
            key: key.clone(),
        });
        Signing { unsent, signer }
    }

    /// Signs on the calling runtime, too, while many wait and that has nothing else to do: never while something came in or is to go out. For a
    /// runtime of one thread: another would have it done before what came in.
    pub(super) fn help(&self) -> impl Future<Output = ()> + use<> {
        let signer = Arc::clone(&self.signer);
        async move { signer.sign_some().await }
    }

    /// Where our public key is found.
    pub(super) fn key_id(&self) -> &str {
        &self.signer.key_id
    }

    /// Signs nothing more: what waits is told that we are gone.
    pub(super) fn end(&self) {
        self.signer.ended.store(true, Ordering::Relaxed);
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
        if self.unsent.max_capacity() - self.unsent.capacity() > A_MOMENT {
            self.signer.many.notify_one();
        }
        Ok(answer.await.map_err(|_| Unsigned::Gone)??)
    }
}

type Signed = (oneshot::Sender<Result<HeaderMap, SignError>>, Result<HeaderMap, SignError>);

impl Signer {
    /// Until nobody can hand anything in any more.
    fn sign_all(&self) {
        let mut turn = Vec::with_capacity(TOGETHER);
        loop {
            let mut next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if next.blocking_recv_many(&mut turn, TOGETHER) == 0 {
                return;
            }
            let more = next.len() > A_MOMENT;
            drop(next);
            if more {
                // Who would have helped may have found the lock held.
                self.many.notify_one();
            }
            let done: Vec<_> = turn.drain(..).filter_map(|unsent| self.sign(unsent)).collect();
            for (signed, headers) in done {
                // Nobody waits any longer if the program stops.
                let _ = signed.send(headers);
            }
        }
    }

    /// Whatever waits while the calling runtime is idle; for ever.
    async fn sign_some(&self) {
        loop {
            self.many.notified().await;
            loop {
                let left = Instant::now();
                tokio::task::yield_now().await;
                if !self.many_wait() {
                    break;
                }
                if left.elapsed() > self.idle {
                    continue;
                }
                let Some(unsent) = self.next() else { break };
                if let Some((signed, headers)) = self.sign(unsent) {
                    let _ = signed.send(headers);
                }
            }
        }
    }

    /// Whether there is more than the threads which do nothing else are about to take.
    fn many_wait(&self) -> bool {
        self.waiting.try_lock().is_ok_and(|waiting| waiting.len() > A_MOMENT)
    }

    /// What waits, unless a thread that does nothing else is about to take it.
    fn next(&self) -> Option<Unsent> {
        self.waiting.try_lock().ok()?.try_recv().ok()
    }

    /// `None` if nothing more is signed.
    fn sign(&self, unsent: Unsent) -> Option<Signed> {
        if self.ended.load(Ordering::Relaxed) {
            return None;
        }
        let Unsent { form, url, digest, content_type, signed } = unsent;
        let (digest, content_type) = (Some(&*digest), Some(content_type));
        let message =
            Message { method: &Method::POST, url: &url, date: Timestamp::now(), digest, content_type };
        let headers = form.sign(&message, &self.key_id, &self.key);
        Some((signed, headers.map(|headers| headers.into_iter().collect())))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use futures_util::stream::FuturesUnordered;

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
    async fn an_idle_runtime_signs_while_many_wait() {
        let key = PrivateKey::generate().unwrap();
        let signing = Signing::new("https://a.example/u#main-key", &key, Duration::MAX);
        let helping = tokio::spawn(signing.help());
        let url = Url::parse("https://peer.example/inbox").unwrap();
        let post = || signing.post(Form::Plain(Scheme::Cavage), &url, "SHA-256=x".into(), "text/plain");
        // Nobody else signs here.
        let mut requests: FuturesUnordered<_> = (0..A_MOMENT + 20).map(|_| post()).collect();
        for _ in 0..20 {
            let headers = requests.next().await.unwrap().unwrap();
            assert!(headers.contains_key("signature"), "{headers:?}");
        }
        signing.end();
        let oldest = tokio::select! {
            oldest = requests.next() => oldest,
            newest = post() => Some(newest),
        };
        assert!(matches!(oldest, Some(Err(Unsigned::Gone))), "{oldest:?}");
        helping.abort();
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
