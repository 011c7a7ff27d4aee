//! The client through which everything leaves that is for strangers.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use ipnet::IpNet;
use native_tls::TlsConnector;
use url::{Host, Url};

use super::error::NetError;
use super::opened::Opened;
use super::resolve::{GuardedResolver, Lookups, Names};
use super::{guard, tls};
use crate::bounded::Bounded;

/// Most of a POST's answer that is read, in bytes; the rest is dropped with its connection.
const POST_ANSWER_BYTES: usize = 64 * 1024;
/// Longest that it is waited for.
const POST_ANSWER_TIME: Duration = Duration::from_secs(1);
/// Idle connections kept per host, where little is asked at once.
const IDLE_PER_HOST: usize = 1;
/// Hosts remembered that were asked lately.
const ASKED: usize = 1024;
/// Most header lines of an answer.
const MAX_HEADERS: usize = 100;
/// Most bytes of an HTTP/2 header block.
const MAX_HEADER_BYTES: u32 = 16 * 1024;

/// How a client for strangers behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// `User-Agent`: `name/version (+https://stream.example/)`; some peers refuse library defaults.
    pub user_agent: String,
    /// Longest wait for a connection including TLS.
    pub connect_timeout: Duration,
    /// Longest whole exchange, from name lookup to the last byte of the body.
    pub timeout: Duration,
    /// Networks that may be dialled beside the open internet.
    pub allow_private: Vec<IpNet>,
    /// Speak http beside https.
    pub allow_http: bool,
    /// PEM file with authorities to trust beside the system's.
    pub extra_ca: Option<PathBuf>,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Our own public hosts, never asked (C-28): `host` means every port, `host:port` that one only.
    pub own_hosts: Vec<String>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            allow_private: Vec::new(),
            allow_http: false,
            extra_ca: None,
            idle_timeout: Duration::from_secs(3),
            own_hosts: Vec::new(),
        }
    }
}

/// What one GET may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body, in bytes.
    pub max_bytes: usize,
    /// Longest whole exchange; the client's own if that is shorter.
    pub timeout: Duration,
}

/// A complete answer of any status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status, redirects included: they are never followed here.
    pub status: StatusCode,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The body, at most as long as asked for.
    pub body: Bytes,
}

/// The outgoing HTTP client. Every address is checked at the moment of dialling. Never follows redirects, uses no proxy of
/// the environment, keeps no cookies, offers no compression. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    /// Keeps connections for a while.
    pooled: reqwest::Client,
    /// Keeps none, not even those of HTTP/2, which a pool shares and cannot be told to close.
    lone: reqwest::Client,
    /// Whom it asked last, and when. A large server has many actors, and is kept connected; most others have one.
    asked: Arc<Mutex<Bounded<String, Instant>>>,
    opened: Opened,
    shared: Arc<Shared>,
}

/// What all clients of the process have in common.
#[derive(Debug)]
struct Shared {
    options: ClientOptions,
    tls: TlsConnector,
    allow: Arc<[IpNet]>,
    names: Names,
}

/// Whether a connection is wanted again in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// For the next request to the same host.
    Keep,
    /// No more, but a kept one may be used. One of HTTP/2 is shared and stays until it has been idle for long enough.
    Last,
    /// Nothing else is on its way there: an idle connection only costs both sides memory.
    Close,
}

impl Client {
    /// A client of the calling runtime.
    ///
    /// # Errors
    /// [`NetError::Client`] if the extra authorities cannot be read or TLS cannot start.
    pub fn new(mut options: ClientOptions) -> Result<Self, NetError> {
        let tls = tls::connector(options.extra_ca.as_deref())?;
        let allow: Arc<[IpNet]> = options.allow_private.iter().copied().collect();
        options.own_hosts.iter_mut().for_each(|host| host.make_ascii_lowercase());
        Self::build(Arc::new(Shared { options, tls, allow, names: Names::default() }), IDLE_PER_HOST)
    }

    /// The same client for another tokio runtime: connections belong to the one that opened them. The authorities and
    /// the looked-up names are shared.
    ///
    /// # Errors
    /// [`NetError::Client`] if the system denies what it needs.
    pub fn for_another_runtime(&self) -> Result<Self, NetError> {
        Self::build(Arc::clone(&self.shared), IDLE_PER_HOST)
    }

    /// The same for a runtime that asks one host for this much at once.
    ///
    /// # Errors
    /// [`NetError::Client`] if the system denies what it needs.
    pub fn for_many_requests(&self, at_once_per_host: usize) -> Result<Self, NetError> {
        Self::build(Arc::clone(&self.shared), at_once_per_host)
    }

    /// When this client or its clones last opened a connection, TLS included.
    #[must_use]
    pub fn last_opened(&self) -> Option<Instant> {
        self.opened.last()
    }

    fn build(shared: Arc<Shared>, idle_per_host: usize) -> Result<Self, NetError> {
        let lookups = Lookups::new(shared.names.clone(), shared.options.connect_timeout);
        let opened = Opened::default();
        let build = |idle| {
            builder(&shared, &lookups, idle)
                .connector_layer(opened.clone())
                .build()
                .map_err(|error| NetError::from_reqwest(error, shared.options.timeout))
        };
        let (pooled, lone) = (build(idle_per_host)?, build(0)?);
        let asked = Arc::new(Mutex::new(Bounded::new(ASKED)));
        Ok(Self { pooled, lone, asked, opened, shared })
    }

    /// Fetches `url`. The body is read whole, or not at all.
    ///
    /// # Errors
    /// See [`NetError`].
    pub async fn get(&self, url: &Url, headers: HeaderMap, limits: Limits) -> Result<Answer, NetError> {
        let timeout = limits.timeout.min(self.shared.options.timeout);
        let exchange = async {
            let after = if self.asks_again(url) { After::Keep } else { After::Close };
            let response = self.send(Method::GET, url, headers, None, after).await?;
            check_encoding(response.headers())?;
            let length = response
                .headers()
                .get(CONTENT_LENGTH)
                .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            if length.is_some_and(|length| length > limits.max_bytes as u64) {
                return Err(NetError::TooLarge(limits.max_bytes));
            }
            read_whole(response, limits.max_bytes, timeout).await
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(NetError::Timeout(timeout)))
    }

    /// Whether its host was asked so lately that a kept connection would still be open; it is asked now.
    fn asks_again(&self, url: &Url) -> bool {
        let now = Instant::now();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = asked
            .get(url.authority())
            .is_some_and(|last| now.saturating_duration_since(*last) < self.shared.options.idle_timeout);
        asked.insert(url.authority().to_owned(), now);
        lately
    }

    /// Posts `body` to `url`. Once a status has arrived this is a success whatever becomes of the answer's body, of
    /// which at most 64 KiB are read: the peer has acted, and repeating the request would only act twice.
    ///
    /// # Errors
    /// See [`NetError`].
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        after: After,
    ) -> Result<Answer, NetError> {
        let timeout = self.shared.options.timeout;
        let deadline = tokio::time::Instant::now() + timeout;
        let send = self.send(Method::POST, url, headers, Some(body), after);
        let response =
            tokio::time::timeout_at(deadline, send).await.unwrap_or(Err(NetError::Timeout(timeout)))?;
        Ok(read_some(response, deadline).await)
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        body: Option<Bytes>,
        after: After,
    ) -> Result<reqwest::Response, NetError> {
        self.shared.check(url)?;
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let http = if after == After::Close { &self.lone } else { &self.pooled };
        if after != After::Keep {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let mut request = http.request(method, url.clone()).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        request.send().await.map_err(|error| NetError::from_reqwest(error, self.shared.options.timeout))
    }
}

impl Shared {
    /// What can be said before any name is looked up; IP literals never reach the resolver.
    fn check(&self, url: &Url) -> Result<(), NetError> {
        let shown = || url.host_str().unwrap_or("an address without host").to_owned();
        if url.scheme() != "https" && !(self.options.allow_http && url.scheme() == "http") {
            return Err(NetError::RefusedScheme(shown()));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            Some(Host::Domain(_)) => None,
            None => return Err(NetError::RefusedAddress(shown())),
        };
        if literal.is_some_and(|ip| !guard::allowed(ip, &self.allow)) {
            return Err(NetError::RefusedAddress(shown()));
        }
        let host = shown();
        let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        if self.options.own_hosts.iter().any(|own| *own == host || *own == with_port) {
            return Err(NetError::OwnHost(host));
        }
        Ok(())
    }
}

fn builder(shared: &Shared, lookups: &Lookups, idle_per_host: usize) -> reqwest::ClientBuilder {
    let options = &shared.options;
    reqwest::Client::builder()
        .user_agent(&options.user_agent)
        .tls_backend_preconfigured(shared.tls.clone())
        .https_only(!options.allow_http)
        .dns_resolver(GuardedResolver { allow: Arc::clone(&shared.allow), lookups: lookups.clone() })
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(options.connect_timeout)
        // Whether an idle one is still there need not be asked, so short is it kept: each of these is a call to the system.
        .tcp_keepalive(None)
        .tcp_keepalive_interval(None)
        .tcp_keepalive_retries(None)
        .pool_max_idle_per_host(idle_per_host)
        .pool_idle_timeout(options.idle_timeout)
        .http1_max_headers(MAX_HEADERS)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
}

fn check_encoding(headers: &HeaderMap) -> Result<(), NetError> {
    for value in headers.get_all(CONTENT_ENCODING) {
        let text = String::from_utf8_lossy(value.as_bytes());
        if !text.trim().is_empty() && !text.trim().eq_ignore_ascii_case("identity") {
            return Err(NetError::Encoding(text.chars().take(40).collect()));
        }
    }
    Ok(())
}

async fn read_whole(
    mut response: reqwest::Response,
    max_bytes: usize,
    timeout: Duration,
) -> Result<Answer, NetError> {
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| NetError::from_reqwest(error, timeout))? {
        if body.len() + chunk.len() > max_bytes {
            return Err(NetError::TooLarge(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body: body.freeze() })
}

async fn read_some(mut response: reqwest::Response, deadline: tokio::time::Instant) -> Answer {
    // What was asked is answered by the status: who sends the rest slowly holds up the next request.
    let deadline = deadline.min(tokio::time::Instant::now() + POST_ANSWER_TIME);
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let mut body = BytesMut::new();
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(deadline, response.chunk()).await {
        let room = POST_ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Answer { status, headers, body: body.freeze() }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
