//! Many inboxes that count and answer: the far side of a load test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use http::{Method, Request};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming as Body;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::dialect::Flavour;
use super::fetch::Sender;
use super::keys;
use super::listen::{self, Answered, Door, Hangup};
use super::routes::plain;
use super::sign::SignOptions;
use super::state::Inner;
use super::verify::{self, Incoming};
use super::{Loopback, SimError};

const BODY_LIMIT: usize = 1 << 20;

/// Inboxes spread over loopback addresses. Each belongs to an actor whose document is served too, so that the inbox can
/// be won by a real Follow. The actors share four keys.
#[derive(Debug)]
pub struct Sink {
    hosts: Vec<Host>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Host {
    origin: String,
    door: Door,
}

#[derive(Debug)]
struct Shared {
    counts: Vec<AtomicU64>,
    failed: AtomicU64,
    latency_us: AtomicU64,
    silent: AtomicUsize,
    verifies: AtomicBool,
    /// Signs its follows and fetches, and knows the keys of those who write.
    inner: Inner,
}

impl Sink {
    pub(crate) async fn start(
        inboxes: usize,
        hosts: usize,
        addresses: &Loopback,
        stop: CancellationToken,
    ) -> Result<Sink, SimError> {
        let hosts = hosts.clamp(1, inboxes.max(1));
        let unspecified = SocketAddr::from(([127, 0, 0, 1], 0));
        let inner =
            Inner::new("sink", Flavour::Mastodon, unspecified, super::client(None, None)?, stop.clone());
        let shared = Arc::new(Shared {
            counts: (0..inboxes).map(|_| AtomicU64::new(0)).collect(),
            failed: AtomicU64::new(0),
            latency_us: AtomicU64::new(0),
            silent: AtomicUsize::new(usize::MAX),
            verifies: AtomicBool::new(false),
            inner,
        });
        let mut list = Vec::with_capacity(hosts);
        for index in 0..hosts {
            let (listener, bound) = listen::bind(SocketAddr::from((addresses.next(), 0))).await?;
            let state = shared.clone();
            let door = listen::serve(listener, bound, stop.clone(), move |request| {
                answer(state.clone(), bound, index, request)
            });
            list.push(Host { origin: format!("http://{bound}"), door });
        }
        Ok(Sink { hosts: list, shared })
    }

    fn actor(&self, inbox: usize) -> Option<String> {
        let host = self.hosts.get(inbox % self.hosts.len().max(1))?;
        Some(format!("{}/users/{inbox}", host.origin))
    }

    /// The actors, one for each inbox.
    pub fn actors(&self) -> Vec<String> {
        (0..self.shared.counts.len()).filter_map(|inbox| self.actor(inbox)).collect()
    }

    /// The inboxes. Inbox `i` is on host `i` modulo the number of hosts.
    pub fn urls(&self) -> Vec<String> {
        self.actors().iter().map(|actor| format!("{actor}/inbox")).collect()
    }

    /// POSTs that came to each inbox, in the order of [`Sink::urls`]; with verification on, only good ones.
    pub fn received_counts(&self) -> Vec<u64> {
        self.shared.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// All POSTs together.
    pub fn received(&self) -> u64 {
        self.received_counts().iter().sum()
    }

    /// POSTs whose signature failed; always zero without verification.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// How long every answer to a POST takes.
    pub fn set_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.shared.latency_us.store(micros, Ordering::Relaxed);
    }

    /// Whether every POST's signature is verified, by Mastodon's rules. Off at first.
    pub fn set_verify(&self, on: bool) {
        self.shared.verifies.store(on, Ordering::Relaxed);
    }

    /// Closes the ports of this share of the hosts, the first ones, and opens all others. Returns how many are closed.
    pub async fn set_dead(&self, fraction: f64) -> usize {
        let dead = share(fraction, self.hosts.len());
        for (index, host) in self.hosts.iter().enumerate() {
            host.door.set(index >= dead).await;
        }
        dead
    }

    /// Lets this share of the hosts, the last ones, take requests without ever answering. Returns how many do.
    pub fn set_silent(&self, fraction: f64) -> usize {
        let silent = share(fraction, self.hosts.len());
        self.shared.silent.store(self.hosts.len() - silent, Ordering::Relaxed);
        silent
    }

    /// Sends a Follow of `target` to `inbox` from every actor here, `at_once` at a time. Returns how many were answered
    /// with 2xx.
    ///
    /// # Errors
    /// [`SimError::Key`] if no key can be made.
    pub async fn follow_all(&self, target: &str, inbox: &str, at_once: usize) -> Result<usize, SimError> {
        let mut work = Vec::new();
        for (index, actor) in self.actors().into_iter().enumerate() {
            let sender = Sender { key_id: format!("{actor}#main-key"), keys: keys::shared(index).await? };
            let follow = json!({
                "@context": "https://www.w3.org/ns/activitystreams",
                "id": format!("{actor}#follows/1"), "type": "Follow", "actor": actor, "object": target,
            });
            work.push((sender, follow.to_string()));
        }
        let options = SignOptions::default();
        let good = futures_util::stream::iter(work)
            .map(|(sender, body)| {
                let options = &options;
                async move { self.shared.inner.post(&sender, inbox, body.as_bytes(), options).await }
            })
            .buffer_unordered(at_once.max(1))
            .filter(|reply| std::future::ready(reply.as_ref().is_ok_and(|reply| reply.is_success())))
            .count()
            .await;
        Ok(good)
    }

    /// Waits until the sum of all counts is at least `count`. False after `timeout`.
    pub async fn wait_received(&self, timeout: Duration, count: u64) -> bool {
        let look = |_: &super::state::State| (self.received() >= count).then_some(());
        self.shared.inner.wait(timeout, look).await.is_some()
    }
}

fn share(fraction: f64, of: usize) -> usize {
    // A share of a count: rounding to the nearest whole host is what is meant.
    ((fraction.clamp(0.0, 1.0) * of as f64).round() as usize).min(of)
}

async fn answer(shared: Arc<Shared>, at: SocketAddr, host: usize, request: Request<Body>) -> Answered {
    let (parts, body) = request.into_parts();
    if host >= shared.silent.load(Ordering::Relaxed) {
        return std::future::pending().await;
    }
    let path = parts.uri.path();
    let named = path.strip_prefix("/users/").unwrap_or_default();
    let (number, part) = named.split_once('/').unwrap_or((named, ""));
    let Some((number, count)) = number.parse().ok().and_then(|n: usize| Some((n, shared.counts.get(n)?)))
    else {
        return Ok(plain(404, "nothing here"));
    };
    if parts.method != Method::POST {
        let keys = keys::shared(number).await.map_err(|_| Hangup)?;
        return Ok(document(at, number, &keys.pem));
    }
    if part != "inbox" {
        return Ok(plain(404, "nothing here"));
    }
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return Ok(plain(413, "larger than 1 MiB"));
    };
    let verified = match shared.verifies.load(Ordering::Relaxed) {
        true => verify(&shared.inner, at, &parts, &body.to_bytes()).await,
        false => true,
    };
    // Counted on arrival: a sender that gives up on a slow answer was heard all the same.
    if verified { count } else { &shared.failed }.fetch_add(1, Ordering::Relaxed);
    shared.inner.update(|_| ());
    let latency = Duration::from_micros(shared.latency_us.load(Ordering::Relaxed));
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    Ok(plain(if verified { 202 } else { 401 }, ""))
}

async fn verify(inner: &Inner, at: SocketAddr, parts: &http::request::Parts, body: &[u8]) -> bool {
    let request = Incoming {
        method: "POST",
        target: parts.uri.path(),
        headers: &parts.headers,
        body: Some(body),
        authority: &at.to_string(),
        now: Timestamp::now(),
    };
    let Ok(claim) = verify::read(&request, &inner.dialect.policy) else { return false };
    let Ok(key) = inner.key(&claim.key_id, false).await else { return false };
    claim.verify(&key.pem).is_ok()
}

fn document(at: SocketAddr, number: usize, pem: &str) -> http::Response<http_body_util::Full<bytes::Bytes>> {
    let id = format!("http://{at}/users/{number}");
    let actor: Value = json!({
        "@context": ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"],
        "id": id, "type": "Person", "preferredUsername": number.to_string(),
        "inbox": format!("{id}/inbox"), "outbox": format!("{id}/outbox"),
        "followers": format!("{id}/followers"), "following": format!("{id}/following"),
        "publicKey": {"id": format!("{id}#main-key"), "owner": id, "publicKeyPem": pem},
    });
    let mut response = plain(200, &actor.to_string());
    let kind = http::HeaderValue::from_static("application/activity+json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}
