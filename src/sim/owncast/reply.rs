//! Answers in Owncast's manner, odd content types included.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::state::go_json;

/// An answer.
pub(super) type Reply = Response<Full<Bytes>>;

/// The connection ends without an answer: a Go handler panicked, or the fault "close" is on.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer")]
pub(super) struct Hangup;

/// What a handler gives.
pub(super) type Outcome = Result<Reply, Hangup>;

pub(super) fn with_body(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(content_type)
        && !content_type.is_empty()
    {
        reply.headers_mut().insert(CONTENT_TYPE, value);
    }
    reply
}

/// An answer of a reading endpoint: JSON that must not be cached.
pub(super) fn fresh(body: &Value) -> Reply {
    let mut reply = with_body(StatusCode::OK, "application/json", go_json(body) + "\n");
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert("expires", HeaderValue::from_static("Thu, 1 Jan 1970 00:00:00 GMT"));
    reply
}

/// `{"message":…,"success":…}`: 200, or 400 when it failed.
pub(super) fn simple(success: bool, message: &str) -> Reply {
    let status = if success { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    with_body(status, "application/json", go_json(&json!({"message": message, "success": success})) + "\n")
}

/// Bad input: 400 with `{"error":…}` labelled as plain text.
pub(super) fn bad_request(message: &str) -> Reply {
    with_body(
        StatusCode::BAD_REQUEST,
        "text/plain; charset=utf-8",
        go_json(&json!({"error": message})) + "\n",
    )
}

/// An internal error: **200** with `{"error":…}`.
pub(super) fn internal(message: &str, content_type: &str) -> Reply {
    with_body(StatusCode::OK, content_type, go_json(&json!({"error": message})) + "\n")
}

pub(super) fn empty(status: StatusCode) -> Reply {
    with_body(status, "", Bytes::new())
}

pub(super) fn text(status: StatusCode, body: &'static str) -> Reply {
    with_body(status, "text/plain; charset=utf-8", body)
}

/// Adds a header that is known to be valid.
pub(super) fn set(reply: &mut Reply, name: &'static str, value: &'static str) {
    reply.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
}
