//! The listener that Owncast calls: one secret path, answered at once, and a probe. Nothing else is ever here, so it
//! may face a container network.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use openssl::memcmp;
use tokio::sync::mpsc;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::answer::{Answer, JSON, Problem, json_answer};
use super::body;
use crate::owncast::webhook::{self, Hint, SIGNATURE_HEADER};

/// Owncast's bodies are below 2 KiB.
const BODY_BYTES: usize = 64 * 1024;
const BODY_TIME: Duration = Duration::from_secs(5);
/// Signatures remembered against a replay: many more than fit into the window in earnest.
const REMEMBERED: usize = 1024;

/// The door in the webhook listener.
pub struct Door {
    path: String,
    secret: String,
    signed: AtomicBool,
    seen: Mutex<VecDeque<[u8; 32]>>,
    hints: mpsc::Sender<Hint>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("signed", &self.signed).finish_non_exhaustive()
    }
}

impl Door {
    /// A door at `/herald/hook/<path>`. Hints that find the channel full are dropped: the watcher is about to look
    /// anyway.
    pub fn new(path: String, secret: String, hints: mpsc::Sender<Hint>) -> Self {
        Door { path, secret, signed: AtomicBool::new(false), seen: Mutex::default(), hints }
    }

    /// From now on a signature is required (Owncast 0.3 and later), or not.
    pub fn require_signature(&self, required: bool) {
        self.signed.store(required, Ordering::Relaxed);
    }

    fn knock(&self, signature: Option<&str>, body: &[u8]) -> Result<Answer, Problem> {
        let refused =
            || Problem::new(StatusCode::UNAUTHORIZED, "webhook-signature", "the signature is not Owncast's");
        if self.signed.load(Ordering::Relaxed) {
            let signed = webhook::verify(&self.secret, signature.unwrap_or_default(), body, Timestamp::now())
                .map_err(|_| refused())?;
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.contains(&signed.mac) {
                return Err(refused());
            }
            seen.push_back(signed.mac);
            if seen.len() > REMEMBERED {
                seen.pop_front();
            }
        }
        let hint = webhook::parse(body).map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "bad-webhook", "this is not a webhook of Owncast")
        })?;
        // Full means that the watcher has hints enough to look.
        let _ = self.hints.try_send(hint);
        Ok(json_answer(StatusCode::OK, JSON, &serde_json::json!({ "taken": true })))
    }
}

/// The webhook listener's routes.
pub fn routes(door: Arc<Door>) -> BoxedFilter<(Answer,)> {
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method: Method, path: warp::path::FullPath, headers: http::HeaderMap, stream| {
            let door = Arc::clone(&door);
            async move {
                let answer = async {
                    let path = path.as_str();
                    if path == "/livez" && (method == Method::GET || method == Method::HEAD) {
                        return Ok(json_answer(StatusCode::OK, JSON, &serde_json::json!({ "live": true })));
                    }
                    let knocked =
                        path.strip_prefix(crate::owncast::provision::HOOK_PREFIX).unwrap_or_default();
                    let known = knocked.len() == door.path.len()
                        && memcmp::eq(knocked.as_bytes(), door.path.as_bytes());
                    if !known || method != Method::POST {
                        return Err(Problem::not_found());
                    }
                    let signature = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
                    let body = body::read(stream, BODY_BYTES, BODY_TIME).await?;
                    door.knock(signature, &body)
                };
                answer.await.unwrap_or_else(|problem: Problem| problem.answer())
            }
        })
        .boxed()
}
