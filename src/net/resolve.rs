//! Name resolution that hands out only addresses which may be dialled.
//!
//! The check sits between the lookup and the dial of the same request, so that a name cannot answer well once and
//! badly the second time (DNS rebinding).

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

use super::guard::allowed;

/// Why a name gave no address. Travels inside reqwest's error.
#[derive(Debug, Error)]
pub(super) enum ResolveError {
    /// Addresses exist, and none may be dialled.
    #[error("{0} has no address that may be dialled")]
    Refused(String),
    /// The lookup failed.
    #[error("{0} cannot be resolved: {1}")]
    Lookup(String, std::io::Error),
}

/// The system's resolver behind the address guard.
pub(super) struct GuardedResolver {
    pub(super) allow: Arc<[IpNet]>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = Arc::clone(&self.allow);
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0))
                .await
                .map_err(|error| ResolveError::Lookup(host.to_owned(), error))?;
            let good = keep_allowed(host, found, &allow)?;
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

fn keep_allowed(
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
    allow: &[IpNet],
) -> Result<Vec<SocketAddr>, ResolveError> {
    let good: Vec<_> = found.filter(|address| allowed(address.ip(), allow)).collect();
    if good.is_empty() { Err(ResolveError::Refused(host.to_owned())) } else { Ok(good) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_addresses_of_a_name_are_dropped_and_nothing_left_is_a_refusal() {
        let run = |found: &[&str], allow: &[IpNet]| {
            keep_allowed("x", found.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)), allow)
                .map(|good| good.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>())
                .map_err(|error| error.to_string())
        };
        assert_eq!(run(&["10.0.0.1", "8.8.8.8", "::1"], &[]).unwrap(), ["8.8.8.8"]);
        assert!(run(&["10.0.0.1", "fe80::1"], &[]).is_err() && run(&[], &[]).is_err());
        assert_eq!(run(&["10.0.0.1"], &["10.0.0.0/8".parse().unwrap()]).unwrap(), ["10.0.0.1"]);
    }
}
