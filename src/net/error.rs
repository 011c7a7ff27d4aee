//! What can go wrong in one HTTP exchange, by what the caller does about it.

use std::error::Error as StdError;

use thiserror::Error;

use super::resolve::ResolveError;

/// Why an exchange gave no usable answer. Any HTTP status is an answer, not an error.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NetError {
    /// The name leads only to addresses that must not be dialled, or the address is such a literal.
    #[error("{0} leads to an address that must not be dialled (see federation.allow-private-addresses)")]
    RefusedAddress(String),
    /// Not https, and http is not allowed.
    #[error("{0} is not https (see federation.allow-http)")]
    RefusedScheme(String),
    /// Our own host: fetching from ourselves helps only an attacker (C-28).
    #[error("{0} is our own host")]
    OwnHost(String),
    /// The request was sent, or may have been, and the exchange did not end before its deadline.
    #[error("no complete answer within {0:?}")]
    Timeout(std::time::Duration),
    /// Name not found, connection refused or not made in time: no request was sent.
    #[error("no connection: {0}")]
    Connect(String),
    /// Our own side lacks something: file descriptors, memory, a route to the network. It says nothing of the peer.
    #[error("not sent, for want of something on this machine: {0}")]
    Ourselves(String),
    /// Too much else was to be looked up: no request was sent. It says nothing of the peer, nor of our network.
    #[error("not sent: {0}")]
    Crowded(String),
    /// The TLS handshake or the certificate failed: no request was sent.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The body is larger than this caller reads.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The body is encoded although no encoding was offered.
    #[error("the answer has the content encoding {0:?}, none was offered")]
    Encoding(String),
    /// What came back is not HTTP, or ended in the middle.
    #[error("the answer is broken: {0}")]
    Protocol(String),
    /// This client cannot be built or used: configuration, not the peer.
    #[error("the HTTP client is not usable: {0}")]
    Client(String),
}

impl NetError {
    /// Whether the same exchange may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Timeout(_)
                | Self::Connect(_)
                | Self::Ourselves(_)
                | Self::Crowded(_)
                | Self::Tls(_)
                | Self::Protocol(_)
        )
    }

    /// Sorts what reqwest reports; the address is not repeated, the caller knows it.
    pub(crate) fn from_reqwest(error: reqwest::Error, timeout: std::time::Duration) -> Self {
        let error = error.without_url();
        // Timeouts and TLS failures on the way to a connection included: nothing can have arrived then. The same failures
        // later tell nothing about what arrived.
        let connecting = error.is_connect();
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
        let mut last = error.to_string();
        while let Some(inner) = cause {
            match inner.downcast_ref() {
                Some(ResolveError::Refused(host)) => return Self::RefusedAddress(host.clone()),
                Some(ResolveError::Crowded(_)) => return Self::Crowded(inner.to_string()),
                Some(ResolveError::CrowdedByOwner(_) | ResolveError::Lookup(..)) | None => {}
            }
            if connecting && inner.downcast_ref().is_some_and(of_ourselves) {
                return Self::Ourselves(inner.to_string());
            }
            if connecting && (inner.is::<openssl::ssl::Error>() || inner.is::<openssl::error::ErrorStack>()) {
                return Self::Tls(inner.to_string());
            }
            last = inner.to_string();
            cause = inner.source();
        }
        if error.is_builder() {
            Self::Client(last)
        } else if connecting {
            Self::Connect(last)
        } else if error.is_timeout() {
            Self::Timeout(timeout)
        } else {
            Self::Protocol(last)
        }
    }
}

/// Whether the system denied something that has nothing to do with the peer.
fn of_ourselves(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
        Errno::NETUNREACH,
        Errno::NETDOWN,
    ]
    .iter()
    .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
