//! Name resolution that hands out only addresses which may be dialled.
//!
//! The check sits between the lookup and the dial of the same request, so that a name cannot answer well once and
//! badly the second time (DNS rebinding). It is made at every dial, of what was remembered too.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

use super::guard::allowed;
use crate::bounded::Bounded;

/// Why a name gave no address. Travels inside reqwest's error.
#[derive(Debug, Error)]
pub(super) enum ResolveError {
    /// Addresses exist, and none may be dialled.
    #[error("{0} has no address that may be dialled")]
    Refused(String),
    /// The lookup failed.
    #[error("{0} cannot be resolved: {1}")]
    Lookup(String, String),
}

/// How long a looked-up name is used again. The system's resolver does not tell how long it may be; public servers
/// allow a minute and more.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// How long a name is not asked for again that was not found. A name server that is dead holds a thread for ten seconds and
/// more, longer than anybody waits for it.
const NOT_FOUND_FOR: Duration = Duration::from_secs(30);
/// Names remembered.
const NAMES: usize = 4096;

/// What a name was found to lead to, and when.
#[derive(Debug)]
struct Found(Result<Vec<SocketAddr>, String>, Instant);

/// Names looked up lately.
#[derive(Clone, Debug)]
pub(super) struct Names(Arc<Mutex<Bounded<String, Found>>>);

impl Default for Names {
    fn default() -> Self {
        Names(Arc::new(Mutex::new(Bounded::new(NAMES))))
    }
}

impl Names {
    fn known(&self, name: &str, now: Instant) -> Option<Result<Vec<SocketAddr>, String>> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Found(found, at) = names.get(name)?;
        let life = if found.is_ok() { REMEMBERED_FOR } else { NOT_FOUND_FOR };
        (now.saturating_duration_since(*at) < life).then(|| found.clone())
    }

    fn remember(&self, name: &str, found: Result<Vec<SocketAddr>, String>, now: Instant) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned(), Found(found, now));
    }
}

/// The system's resolver behind the address guard.
pub(super) struct GuardedResolver {
    pub(super) allow: Arc<[IpNet]>,
    pub(super) names: Names,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allow, names) = (Arc::clone(&self.allow), self.names.clone());
        Box::pin(async move {
            let host = name.as_str();
            let found = match names.known(host, Instant::now()) {
                Some(found) => found,
                None => looked_up(host.to_owned(), names).await,
            };
            let found = found.map_err(|why| ResolveError::Lookup(host.to_owned(), why))?;
            let good = keep_allowed(host, found.into_iter(), &allow)?;
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

/// Asks the system, and remembers what it says even if nobody waits for it any more.
async fn looked_up(host: String, names: Names) -> Result<Vec<SocketAddr>, String> {
    let lookup = tokio::spawn(async move {
        let found = tokio::net::lookup_host((host.as_str(), 0)).await;
        let found = found.map(Iterator::collect).map_err(|cause| cause.to_string());
        names.remember(&host, found.clone(), Instant::now());
        found
    });
    lookup.await.unwrap_or_else(|cause| Err(cause.to_string()))
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
    fn a_name_is_looked_up_again_after_a_minute() {
        let (names, now) = (Names::default(), Instant::now());
        let found = vec![SocketAddr::from(([8, 8, 8, 8], 0))];
        assert_eq!(names.known("x.example", now), None);
        names.remember("x.example", Ok(found.clone()), now);
        assert_eq!(names.known("x.example", now + Duration::from_secs(59)), Some(Ok(found)));
        assert_eq!(names.known("x.example", now + Duration::from_secs(60)), None);
        names.remember("z.example", Err("no such name".into()), now);
        assert!(names.known("z.example", now + Duration::from_secs(29)).is_some_and(|found| found.is_err()));
        assert_eq!(names.known("z.example", now + Duration::from_secs(30)), None);
        assert_eq!(names.known("y.example", now), None);
    }

    /// Two clients of one process may not be allowed the same, and what a name says may change.
    #[tokio::test]
    async fn what_is_remembered_is_checked_at_every_dial() {
        let names = Names::default();
        let ask = |allow: &[&str]| {
            let allow: Vec<IpNet> = allow.iter().map(|net| net.parse().unwrap()).collect();
            let resolver = GuardedResolver { allow: allow.into(), names: names.clone() };
            let name: Name = "localhost".parse().unwrap();
            async move { resolver.resolve(name).await.map(Iterator::count) }
        };
        assert!(ask(&["127.0.0.0/8", "::1/128"]).await.is_ok());
        assert!(names.known("localhost", Instant::now()).is_some());
        for _ in 0..2 {
            let refused = ask(&[]).await.unwrap_err();
            assert!(matches!(refused.downcast_ref(), Some(ResolveError::Refused(_))), "{refused}");
        }
    }

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
