//! An inbox for tests: its engine, and requests as they arrive.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use super::{Arrival, Engine, Proofs};
use crate::activitypub::signature::{PrivateKey, digest, sign_request};
use crate::agent::effective::{Effective, IdentityState};
use crate::config::{Config, Overrides};
use crate::fetch::{Clock, Fetcher, Signer};
use crate::model::facts::{Facts, Identity};
use crate::model::origin::{Origin, RemotePolicy};
use crate::model::{Addresses, Source};
use crate::net::{Client, ClientOptions};
use crate::serve::body::Room;

/// Longer than anything takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Our ids.
pub(crate) fn ours() -> Addresses {
    Addresses::new("https://live.example", "ana")
}

/// A configuration like any other.
pub(crate) fn effective(folder: &Path) -> Effective {
    let file = folder.join("agent.toml");
    std::fs::write(&file, "owncast.url = \"http://127.0.0.1:8080\"\n").unwrap();
    let config = Config::load(Some(&file), Overrides::default(), &|_| None).unwrap();
    let identity = IdentityState::Waiting(String::new());
    Effective::new(Arc::new(config), Facts::default(), identity, &Identity::default())
}

/// What asks servers on the loopback, signed with this key.
pub(crate) fn engine(key: &PrivateKey, clock: Clock) -> Engine {
    let client = Client::new(ClientOptions {
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http: true,
        ..ClientOptions::default()
    });
    let policy = RemotePolicy { allow_http: true, allow_private: true };
    let signer = Signer { key_id: ours().key_id(), key: key.clone() };
    let own = Origin::of(&Url::parse(&ours().base).unwrap()).unwrap();
    let fetcher = Fetcher::new(client.unwrap(), signer, policy, own, Arc::clone(&clock));
    let (aside, proofs) = (Arc::new(fetcher.aside()), Arc::new(Proofs::new(clock)));
    Engine { addresses: Arc::new(ours()), policy, fetcher: Arc::new(fetcher), aside, proofs }
}

/// A request to our inbox.
pub(crate) struct Request {
    target: String,
    headers: HeaderMap,
    body: String,
}

impl Request {
    /// One that was signed a moment ago.
    pub(crate) fn signed(activity: &Value, key_id: &str, key: &PrivateKey) -> Request {
        let (body, inbox) = (activity.to_string(), Url::parse(&ours().inbox()).unwrap());
        let (digest, kind) = (digest::header_value(body.as_bytes()), "application/activity+json");
        let now = Timestamp::now();
        let made = sign_request(&Method::POST, &inbox, now, Some(&digest), Some(kind), key_id, key).unwrap();
        let mut headers: HeaderMap = made.into_iter().collect();
        headers.insert("host", "live.example".parse().unwrap());
        headers.insert("content-type", kind.parse().unwrap());
        Request { target: inbox.path().to_owned(), headers, body }
    }

    /// As it arrives from somewhere.
    pub(crate) async fn arriving(&self, source: Option<Source>) -> Arrival<'_> {
        let parts = futures_util::stream::iter([Ok::<_, warp::Error>(Bytes::from(self.body.clone()))]);
        let body = Room::default().read(None, parts, 10_000, LONG).await.unwrap();
        Arrival { target: &self.target, headers: &self.headers, body, source }
    }
}
