//! One request: signed at the moment of sending, sent, its answer sorted.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use url::Url;

use super::classify::{Reply, retry_after};
use crate::activitypub::signature::{PrivateKey, digest, sign_request};
use crate::net::{Client, NetError};

/// The media type of what we send.
const ACTIVITY: &str = "application/activity+json";

/// A body and its digest: made once per activity, sent to every inbox.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    body: Bytes,
    digest: String,
}

impl Letter {
    pub(super) fn new(body: String) -> Self {
        let body = Bytes::from(body);
        Letter { digest: digest::header_value(&body), body }
    }
}

/// What sends.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) client: Client,
    pub(super) key_id: String,
    pub(super) key: PrivateKey,
}

/// What came back, with a word for the log.
pub(super) struct Sent {
    pub(super) reply: Reply,
    pub(super) why: String,
}

impl Sender {
    /// Signs and sends one request. `keep`: the connection will be wanted again in a moment.
    pub(super) async fn send(&self, inbox: &str, letter: &Letter, keep: bool) -> Sent {
        let refused = |why: String| Sent { reply: Reply::Refused, why };
        let Ok(url) = Url::parse(inbox) else { return refused("the inbox is not an address".into()) };
        let now = Timestamp::now();
        let signed = sign_request(
            &Method::POST,
            &url,
            now,
            Some(&letter.digest),
            Some(ACTIVITY),
            &self.key_id,
            &self.key,
        );
        let mut headers: HeaderMap = match signed {
            Ok(headers) => headers.into_iter().collect(),
            Err(cause) => return refused(cause.to_string()),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(ACTIVITY));
        if !keep {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        match self.client.post(&url, headers, letter.body.clone()).await {
            Ok(answer) => {
                let asked: Option<Duration> = answer
                    .headers
                    .get(RETRY_AFTER)
                    .and_then(|value| value.to_str().ok())
                    .and_then(|value| retry_after(value, now));
                let why = format!("status {}", answer.status.as_u16());
                Sent { reply: Reply::Status(answer.status.as_u16(), asked), why }
            }
            Err(cause) => {
                let reply = match &cause {
                    NetError::Connect(_) | NetError::Tls(_) => Reply::NotConnected,
                    NetError::Timeout(_)
                    | NetError::Protocol(_)
                    | NetError::TooLarge(_)
                    | NetError::Encoding(_) => Reply::NoAnswer,
                    _ => Reply::Refused,
                };
                Sent { reply, why: cause.to_string() }
            }
        }
    }
}
