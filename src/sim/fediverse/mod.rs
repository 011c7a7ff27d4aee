//! Several simulated fediverse servers on loopback, for `demo` and for the tests.
//!
//! Every [`Server`] speaks real HTTP on its own loopback address and behaves as one [`Flavour`]: it signs as that peer
//! signs, checks as strictly as that peer checks, and writes down every protocol fault it sees ([`Violation`]). Its
//! [`Person`]s discover, follow, like, boost and undo. The double shares no code with the agent's own signatures or
//! vocabulary: a mistake there must not be mirrored here.

mod dialect;
mod discover;
mod fetch;
mod inbox;
mod judge;
mod keys;
mod listen;
mod person;
mod routes;
mod server;
mod shapes;
mod sign;
mod sink;
mod state;
mod timeline;
mod verify;
mod violation;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

pub use dialect::Flavour;
pub use person::{Followed, Person};
pub use server::Server;
pub use sign::{Scheme, SignOptions, SigningKey};
pub use sink::Sink;
pub use state::{Answer, Document, FollowState, Received, RequestSeen};
pub use timeline::{MediaSeen, PostSeen};
pub use violation::{Rule, Violation};

/// What a request of the double was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Body as text, at most 64 KiB of it; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Reply {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why the double could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A loopback address could not be bound.
    #[error("cannot listen on {address}: {source}; for many inboxes raise `ulimit -n`")]
    Bind {
        /// The address tried.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A request got no answer.
    #[error("no answer from {url}: {source}")]
    Transport {
        /// The address asked.
        url: String,
        /// What the HTTP client said.
        source: reqwest::Error,
    },
    /// The HTTP client could not be built.
    #[error("cannot build an HTTP client: {0}")]
    Client(reqwest::Error),
    /// A document is not what a peer of this flavour accepts.
    #[error("{url}: {why}")]
    Document {
        /// Where the document is.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A key could not be made or used.
    #[error("key: {0}")]
    Key(#[from] openssl::error::ErrorStack),
    /// There is nothing to undo, or no such person.
    #[error("{0}")]
    Unknown(String),
}

/// Numbers loopback addresses, so that every server is a host of its own.
#[derive(Debug, Default)]
pub(crate) struct Loopback(AtomicU32);

impl Loopback {
    /// The next address: `127.0.0.2`, `127.0.0.3`, … They start over after 15 million.
    pub(crate) fn next(&self) -> Ipv4Addr {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        let part = |value: u32| u8::try_from(value % 250).unwrap_or(0);
        Ipv4Addr::new(127, part(n / 62_500), part(n / 250), part(n) + 2)
    }

    /// Leaves out what is left of this network of 24 bits.
    fn next_network(&self) {
        let next = |n: u32| Some((n / 250 + 1) * 250);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}

/// A small fediverse. Dropping it stops all its servers and sinks.
#[derive(Debug)]
pub struct Fediverse {
    addresses: Arc<Loopback>,
    authority: Option<reqwest::Certificate>,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Fediverse {
    /// An empty fediverse. Needs a Tokio runtime.
    pub async fn start() -> Fediverse {
        Fediverse::trusting(None)
    }

    /// A fediverse that looks up handles over TLS, and trusts this authority (PEM) beside the system's.
    ///
    /// # Errors
    /// [`SimError::Client`] if that is no certificate.
    pub async fn over_tls(authority: &[u8]) -> Result<Fediverse, SimError> {
        let authority = reqwest::Certificate::from_pem(authority).map_err(SimError::Client)?;
        Ok(Fediverse::trusting(Some(authority)))
    }

    fn trusting(authority: Option<reqwest::Certificate>) -> Fediverse {
        let stop = CancellationToken::new();
        Fediverse { addresses: Arc::default(), authority, stop: stop.clone(), _guard: stop.drop_guard() }
    }

    /// Starts a server on the next loopback address with a free port. `name` is what it calls itself in NodeInfo.
    ///
    /// # Errors
    /// [`SimError::Bind`] without a free address, [`SimError::Client`] or [`SimError::Key`] if TLS or OpenSSL refuse.
    pub async fn server(&self, name: &str, flavour: Flavour) -> Result<Server, SimError> {
        let authority = self.authority.clone();
        Server::start(name, flavour, self.addresses.next(), authority, self.stop.child_token()).await
    }

    /// What is started from now on is on another network of 24 bits: those of one network count as one owner's.
    pub fn next_network(&self) {
        self.addresses.next_network();
    }

    /// Starts `count` inboxes, each on a loopback address of its own, which count and answer but do not judge.
    ///
    /// # Errors
    /// [`SimError::Bind`] if the system has not that many sockets for us: one is needed for each.
    pub async fn sink(&self, count: usize) -> Result<Sink, SimError> {
        Sink::start(count, count, &self.addresses, self.stop.child_token()).await
    }

    /// As [`Fediverse::sink`], with `count` inboxes spread over `hosts` addresses.
    ///
    /// # Errors
    /// [`SimError::Bind`] if the system has not `hosts` sockets for us.
    pub async fn sink_on(&self, count: usize, hosts: usize) -> Result<Sink, SimError> {
        Sink::start(count, hosts, &self.addresses, self.stop.child_token()).await
    }
}

/// The client every part of the double sends with: no redirects, no proxy, bounded in time.
///
/// It sends from `source`, so that limits per source address meet as many sources as there are servers.
pub(crate) fn client(
    source: Option<Ipv4Addr>,
    authority: Option<reqwest::Certificate>,
) -> Result<reqwest::Client, SimError> {
    reqwest::Client::builder()
        .tls_certs_merge(authority)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .local_address(source.map(std::net::IpAddr::from))
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(30))
        .pool_idle_timeout(Duration::from_secs(5))
        .pool_max_idle_per_host(8)
        .build()
        .map_err(SimError::Client)
}
