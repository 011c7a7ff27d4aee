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
use crate::owncast::webhook::{self, Hint, SIGNATURE_HEADER, SIGNATURE_WINDOW, SignatureError, Signed};

/// Owncast's bodies are below 2 KiB.
const BODY_BYTES: usize = 64 * 1024;
const BODY_TIME: Duration = Duration::from_secs(5);
/// Signatures remembered against a replay: many more than fit into the window in earnest, since only Owncast makes
/// them. When they do fill it, calls are refused, and polling finds what they would have told.
const REMEMBERED: usize = 4096;

/// The door in the webhook listener.
pub struct Door {
    path: String,
    secret: String,
    signed: AtomicBool,
    seen: Mutex<VecDeque<Signed>>,
    refusals: Mutex<Refusals>,
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
        Door {
            path,
            secret,
            signed: AtomicBool::new(false),
            seen: Mutex::default(),
            refusals: Mutex::default(),
            hints,
        }
    }

    /// The calls at the right address that were refused for their signature.
    pub fn refusals(&self) -> Refusals {
        *self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a signature is required (Owncast 0.3 and later), or not.
    pub fn require_signature(&self, required: bool) {
        self.signed.store(required, Ordering::Relaxed);
    }

    /// Remembers a signature for as long as it would pass. False when it was here before, or cannot be remembered.
    fn is_new(&self, signed: Signed, now: Timestamp) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|old| now.duration_since(old.at).unsigned_abs() <= SIGNATURE_WINDOW);
        let new = seen.len() < REMEMBERED && !seen.contains(&signed);
        if new {
            seen.push_back(signed);
        }
        new
    }

    fn knock(&self, signature: Option<&str>, body: &[u8], now: Timestamp) -> Result<Answer, Problem> {
        if self.signed.load(Ordering::Relaxed) {
            let refused = || {
                // No 401, which has to say how else to sign: Owncast signs in one way.
                Problem::new(StatusCode::FORBIDDEN, "webhook-signature", "the signature is not Owncast's")
            };
            let signed =
                webhook::verify(&self.secret, signature.unwrap_or_default(), body, now).map_err(|why| {
                    let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
                    *refusals = Refusals { count: refusals.count + 1, last: Some(why) };
                    refused()
                })?;
            if !self.is_new(signed, now) {
                return Err(refused());
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

/// Calls at the right address that were refused for their signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// How many.
    pub count: u64,
    /// What was wrong with the last.
    pub last: Option<SignatureError>,
}

/// The webhook listener's routes.
pub fn routes(door: Arc<Door>) -> BoxedFilter<(Answer,)> {
    let room = body::Room::default();
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method: Method, path: warp::path::FullPath, headers: http::HeaderMap, stream| {
            let (door, room) = (Arc::clone(&door), room.clone());
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
                    let body = room.read(None, stream, BODY_BYTES, BODY_TIME).await?;
                    door.knock(signature, &body, Timestamp::now())
                };
                answer.await.unwrap_or_else(|problem: Problem| problem.answer())
            }
        })
        .boxed()
}

#[cfg(test)]
mod tests {
    use openssl::hash::MessageDigest;
    use openssl::pkey::PKey;
    use openssl::sign::Signer;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn sign(secret: &str, second: i64, body: &str) -> String {
        let key = PKey::hmac(secret.as_bytes()).unwrap();
        let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
        signer.update(format!("{second}.{body}").as_bytes()).unwrap();
        let mac: String = signer.sign_to_vec().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={second}.s={mac}")
    }

    fn door(room: usize) -> (Door, mpsc::Receiver<Hint>) {
        let (sender, hints) = mpsc::channel(room);
        (Door::new("path".to_owned(), "s3cret".to_owned(), sender), hints)
    }

    /// Status of the answer.
    fn knock(door: &Door, signature: Option<&str>, body: &str, now: i64) -> u16 {
        match door.knock(signature, body.as_bytes(), at(now)) {
            Ok(_) => 200,
            Err(problem) => problem.answer().status().as_u16(),
        }
    }

    const BODY: &str = r#"{"type":"STREAM_STARTED"}"#;

    #[test]
    fn without_signatures_the_path_is_enough_and_with_them_it_is_not() {
        let (door, mut hints) = door(8);
        assert_eq!(knock(&door, None, BODY, NOW), 200);
        assert!(hints.try_recv().is_ok());
        door.require_signature(true);
        let good = sign("s3cret", NOW, BODY);
        let table = [
            (None, SignatureError::Malformed),
            (Some("x".to_owned()), SignatureError::Malformed),
            (Some(sign("abc123", NOW, BODY)), SignatureError::Wrong),
            (Some(sign("s3cret", NOW, "{}")), SignatureError::Wrong),
            (Some(sign("s3cret", NOW - 301, BODY)), SignatureError::Stale),
            (Some(sign("s3cret", NOW + 301, BODY)), SignatureError::Stale),
        ];
        for (count, (signature, why)) in (1..).zip(table) {
            assert_eq!(knock(&door, signature.as_deref(), BODY, NOW), 403, "{signature:?}");
            assert_eq!(door.refusals(), Refusals { count, last: Some(why) });
        }
        assert!(hints.try_recv().is_err(), "none of these is a hint");
        assert_eq!(knock(&door, Some(&good), BODY, NOW), 200);
        assert!(hints.try_recv().is_ok());
    }

    #[test]
    fn a_replay_is_refused_for_as_long_as_its_signature_holds() {
        let (door, mut hints) = door(8);
        door.require_signature(true);
        // Owncast's clock is ahead: it signs for longer.
        let signature = sign("s3cret", NOW + 299, BODY);
        assert_eq!(knock(&door, Some(&signature), BODY, NOW), 200);
        for later in [0, 1, 299, 598, 599, 600, 10_000] {
            assert_eq!(knock(&door, Some(&signature), BODY, NOW + later), 403, "{later}");
        }
        assert!(hints.try_recv().is_ok() && hints.try_recv().is_err());
    }

    #[test]
    fn more_signatures_than_can_be_remembered_are_refused_until_the_window_moves_on() {
        let (door, _hints) = door(1);
        door.require_signature(true);
        let body = |number: usize| format!(r#"{{"type":"X","eventData":{{"id":"{number}"}}}}"#);
        for number in 0..REMEMBERED {
            let body = body(number);
            assert_eq!(knock(&door, Some(&sign("s3cret", NOW, &body)), &body, NOW), 200, "{number}");
        }
        let first = sign("s3cret", NOW, &body(0));
        assert_eq!(knock(&door, Some(&first), &body(0), NOW), 403, "the oldest is still known");
        let more = body(REMEMBERED);
        assert_eq!(knock(&door, Some(&sign("s3cret", NOW, &more)), &more, NOW), 403);
        let later = NOW + 301;
        assert_eq!(knock(&door, Some(&sign("s3cret", later, &more)), &more, later), 200);
    }

    #[test]
    fn what_is_no_webhook_is_no_hint() {
        let (door, mut hints) = door(8);
        assert_eq!(knock(&door, None, "hello", NOW), 400);
        assert!(hints.try_recv().is_err());
    }
}
