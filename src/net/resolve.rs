//! Name resolution that hands out only addresses which may be dialled.
//!
//! The check sits between the lookup and the dial of the same request, so that a name cannot answer well once and
//! badly the second time (DNS rebinding). It is made at every dial, of what was remembered too.
//!
//! A lookup holds a thread of the system's resolver, and cannot be called off. So each name is looked up once for all who wait
//! for it, so many names at a time, and who gives up waiting for a turn leaves nothing behind. Names below one's own cost
//! nothing, so whoever has thousands and a name server that is silent has few of the turns.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout_at;

use super::guard::allowed;
use crate::bounded::Bounded;
use crate::model::owner::owner_of_host;

/// Why a name gave no address. Travels inside reqwest's error.
#[derive(Debug, Error)]
pub(super) enum ResolveError {
    /// Addresses exist, and none may be dialled.
    #[error("{0} has no address that may be dialled")]
    Refused(String),
    /// The lookup failed.
    #[error("{0} cannot be resolved: {1}")]
    Lookup(String, String),
    /// Its turn did not come in time, for names of others.
    #[error("{0} was not looked up: too many other names were")]
    Crowded(String),
    /// Nor did it for names of its own owner.
    #[error("{0} was not looked up: too many other names of its owner were")]
    CrowdedByOwner(String),
}

/// How long a looked-up name is used again. The system's resolver does not tell how long it may be; public servers
/// allow a minute and more.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// How long a name is not asked for again that was not found. A name server that is dead holds a thread for ten seconds and
/// more, longer than anybody waits for it.
const NOT_FOUND_FOR: Duration = Duration::from_secs(30);
/// Names remembered.
const NAMES: usize = 4096;
/// Names looked up at once by one client.
pub(crate) const LOOKUPS: usize = 128;
/// Of those, names of one owner.
const OF_AN_OWNER: usize = 16;

/// What a name leads to.
type Addresses = Result<Vec<SocketAddr>, String>;

/// What a name was found to lead to, and when.
#[derive(Debug)]
struct Found(Addresses, Instant);

/// What is known of names.
#[derive(Debug)]
struct Known {
    found: Bounded<String, Found>,
    /// Lookups under way: as many as have a thread.
    under_way: HashMap<String, watch::Receiver<Option<Addresses>>>,
}

/// How things stand with a name.
enum Standing {
    Found(Addresses),
    UnderWay(watch::Receiver<Option<Addresses>>),
    /// To be looked up by whoever asked, and told.
    Yours(watch::Sender<Option<Addresses>>),
    Unknown,
}

/// Names looked up lately, and those being looked up.
#[derive(Clone, Debug)]
pub(super) struct Names(Arc<Mutex<Known>>);

impl Default for Names {
    fn default() -> Self {
        let (found, under_way) = (Bounded::new(NAMES), HashMap::new());
        Names(Arc::new(Mutex::new(Known { found, under_way })))
    }
}

impl Names {
    /// How things stand with a name; with `may_look` it is the caller's to look up, if nobody does.
    fn standing(&self, name: &str, now: Instant, may_look: bool) -> Standing {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Found(found, at)) = known.found.get(name) {
            let life = if found.is_ok() { REMEMBERED_FOR } else { NOT_FOUND_FOR };
            if now.saturating_duration_since(*at) < life {
                return Standing::Found(found.clone());
            }
        }
        // A lookup ends without a word if the runtime ends that made it.
        if let Some(lookup) = known.under_way.get(name).filter(|lookup| lookup.has_changed().is_ok()) {
            return Standing::UnderWay(lookup.clone());
        }
        if !may_look {
            return Standing::Unknown;
        }
        let (tell, told) = watch::channel(None);
        known.under_way.insert(name.to_owned(), told);
        Standing::Yours(tell)
    }

    fn remember(&self, name: &str, found: Addresses, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.under_way.remove(name);
        known.found.insert_of(&owner_of_host(name), 1, name.to_owned(), Found(found, now));
    }
}

/// A turn to look up a name.
struct Place {
    _of_owner: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// The places of each owner of whom some name is looked up, or waits for it.
type Owners = Arc<Mutex<HashMap<String, Weak<Semaphore>>>>;

/// The lookups of one client.
#[derive(Clone, Debug)]
pub(super) struct Lookups {
    names: Names,
    places: Arc<Semaphore>,
    owners: Owners,
    /// How long a name may wait for its turn: the rest of the time for a connection is for the connection.
    patience: Duration,
}

impl Lookups {
    pub(super) fn new(names: Names, connect_timeout: Duration) -> Self {
        let places = Arc::new(Semaphore::new(LOOKUPS));
        Lookups { names, places, owners: Owners::default(), patience: connect_timeout / 2 }
    }

    fn of_owner(&self, name: &str) -> Arc<Semaphore> {
        let owner = owner_of_host(name);
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = owners.get(&owner).and_then(Weak::upgrade) {
            return places;
        }
        owners.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(OF_AN_OWNER));
        owners.insert(owner, Arc::downgrade(&places));
        places
    }

    /// Waits for a turn. Who waits for those of its own owner takes none away from others.
    async fn turn(&self, name: &str) -> Result<Place, ResolveError> {
        let until = tokio::time::Instant::now() + self.patience;
        let turn = async |places: Arc<Semaphore>| {
            timeout_at(until, places.acquire_owned()).await.ok().and_then(Result::ok)
        };
        let of_owner = turn(self.of_owner(name)).await;
        let of_owner = of_owner.ok_or_else(|| ResolveError::CrowdedByOwner(name.to_owned()))?;
        let of_all = turn(Arc::clone(&self.places)).await;
        let of_all = of_all.ok_or_else(|| ResolveError::Crowded(name.to_owned()))?;
        Ok(Place { _of_owner: of_owner, _of_all: of_all })
    }

    /// What a name leads to: as it is remembered, as somebody is just asking, or by asking with `look`.
    async fn addresses<L, F>(&self, name: &str, look: L) -> Result<Addresses, ResolveError>
    where
        L: FnOnce(String) -> F,
        F: Future<Output = Addresses> + Send + 'static,
    {
        let mut place: Option<Place> = None;
        loop {
            match self.names.standing(name, Instant::now(), place.is_some()) {
                Standing::Found(found) => return Ok(found),
                Standing::UnderWay(mut lookup) => {
                    place = None;
                    if let Ok(found) = lookup.wait_for(Option::is_some).await
                        && let Some(found) = found.clone()
                    {
                        return Ok(found);
                    }
                }
                Standing::Unknown => place = Some(self.turn(name).await?),
                Standing::Yours(tell) => {
                    let (names, lookup, name) = (self.names.clone(), look(name.to_owned()), name.to_owned());
                    // Goes on, and is remembered, even if nobody waits for it any more.
                    let lookup = tokio::spawn(async move {
                        let _place = place;
                        let found = lookup.await;
                        names.remember(&name, found.clone(), Instant::now());
                        tell.send_replace(Some(found.clone()));
                        found
                    });
                    return Ok(lookup.await.unwrap_or_else(|cause| Err(cause.to_string())));
                }
            }
        }
    }
}

/// Asks the system.
async fn ask_system(name: String) -> Addresses {
    let found = tokio::net::lookup_host((name.as_str(), 0)).await;
    found.map(Iterator::collect).map_err(|cause| cause.to_string())
}

/// The system's resolver behind the address guard.
pub(super) struct GuardedResolver {
    pub(super) allow: Arc<[IpNet]>,
    pub(super) lookups: Lookups,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allow, lookups) = (Arc::clone(&self.allow), self.lookups.clone());
        Box::pin(async move {
            let host = name.as_str();
            let found = lookups.addresses(host, ask_system).await?;
            let found = found.map_err(|why| ResolveError::Lookup(host.to_owned(), why))?;
            let good = keep_allowed(host, found.into_iter(), &allow)?;
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

    impl Names {
        fn known(&self, name: &str, now: Instant) -> Option<Addresses> {
            match self.standing(name, now, false) {
                Standing::Found(found) => Some(found),
                _ => None,
            }
        }
    }

    fn good() -> Addresses {
        Ok(vec![SocketAddr::from(([8, 8, 8, 8], 0))])
    }

    #[test]
    fn a_name_is_looked_up_again_after_a_minute() {
        let (names, now) = (Names::default(), Instant::now());
        assert_eq!(names.known("x.example", now), None);
        names.remember("x.example", good(), now);
        assert_eq!(names.known("x.example", now + Duration::from_secs(59)), Some(good()));
        assert_eq!(names.known("x.example", now + Duration::from_secs(60)), None);
        names.remember("z.example", Err("no such name".into()), now);
        assert!(names.known("z.example", now + Duration::from_secs(29)).is_some_and(|found| found.is_err()));
        assert_eq!(names.known("z.example", now + Duration::from_secs(30)), None);
        assert_eq!(names.known("y.example", now), None);
    }

    /// A name server that answers when it is told to, and counts what it is asked.
    #[derive(Clone)]
    struct Lame {
        asked: Arc<Mutex<Vec<String>>>,
        answer: watch::Sender<bool>,
    }

    impl Lame {
        fn new() -> Self {
            Lame { asked: Arc::default(), answer: watch::Sender::new(false) }
        }

        fn look(
            &self,
        ) -> impl FnOnce(String) -> std::pin::Pin<Box<dyn Future<Output = Addresses> + Send>> + use<>
        {
            let lame = self.clone();
            move |name| {
                lame.asked.lock().unwrap().push(name);
                let mut answer = lame.answer.subscribe();
                Box::pin(async move {
                    answer.wait_for(|answer| *answer).await.unwrap();
                    good()
                })
            }
        }

        async fn asked(&self, many: usize) {
            while self.asked.lock().unwrap().len() < many {
                tokio::task::yield_now().await;
            }
        }
    }

    fn lookups(places: usize) -> Lookups {
        let all = Lookups::new(Names::default(), Duration::from_secs(5));
        Lookups { places: Arc::new(Semaphore::new(places)), ..all }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_for_all_who_ask() {
        let (lookups, lame) = (lookups(2), Lame::new());
        let ask = || {
            let (lookups, look) = (lookups.clone(), lame.look());
            tokio::spawn(async move { lookups.addresses("x.example", look).await.unwrap() })
        };
        let asking: Vec<_> = (0..20).map(|_| ask()).collect();
        lame.asked(1).await;
        assert_eq!(lookups.places.available_permits(), 1);
        lame.answer.send_replace(true);
        for asked in asking {
            assert_eq!(asked.await.unwrap(), good());
        }
        assert_eq!(lame.asked.lock().unwrap().len(), 1);
        assert_eq!(lookups.places.available_permits(), 2);
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing_behind_and_whose_turn_does_not_come_is_not_blamed() {
        let (lookups, lame) = (lookups(1), Lame::new());
        let hasty = Lookups { patience: Duration::from_millis(1), ..lookups.clone() };
        let ask = |name: &'static str| {
            let (lookups, look) = (lookups.clone(), lame.look());
            async move { lookups.addresses(name, look).await }
        };
        // It holds its place though nobody waits for it any more, since the system cannot be told.
        assert!(tokio::time::timeout(Duration::from_millis(1), ask("lame.example")).await.is_err());
        for many in 0..20 {
            assert!(
                tokio::time::timeout(Duration::from_millis(1), ask("other.example")).await.is_err(),
                "{many}"
            );
        }
        let crowded = hasty.addresses("other.example", lame.look()).await.unwrap_err();
        assert!(matches!(crowded, ResolveError::Crowded(_)), "{crowded}");
        assert_eq!(*lame.asked.lock().unwrap(), ["lame.example"]);
        lame.answer.send_replace(true);
        assert_eq!(ask("lame.example").await.unwrap(), good());
        assert_eq!(ask("other.example").await.unwrap(), good());
        assert_eq!(*lame.asked.lock().unwrap(), ["lame.example", "other.example"]);
    }

    #[tokio::test]
    async fn whose_name_server_is_silent_holds_up_its_own_names_only() {
        let lookups = Lookups { patience: Duration::from_secs(3600), ..lookups(OF_AN_OWNER + 1) };
        let hasty = Lookups { patience: Duration::from_millis(1), ..lookups.clone() };
        let lame = Lame::new();
        let asking: Vec<_> = (0..OF_AN_OWNER + 20)
            .map(|number| {
                let (lookups, look) = (lookups.clone(), lame.look());
                tokio::spawn(async move { lookups.addresses(&format!("n{number}.evil.example"), look).await })
            })
            .collect();
        lame.asked(OF_AN_OWNER).await;
        let crowded = hasty.addresses("one.evil.example", lame.look()).await.unwrap_err();
        assert!(matches!(crowded, ResolveError::CrowdedByOwner(_)), "{crowded}");
        assert_eq!(hasty.addresses("peer.example", |_| async { good() }).await.unwrap(), good());
        lame.answer.send_replace(true);
        for asked in asking {
            assert_eq!(asked.await.unwrap().unwrap(), good());
        }
        assert_eq!(hasty.addresses("peer.org", |_| async { good() }).await.unwrap(), good());
        assert_eq!(lookups.owners.lock().unwrap().len(), 1, "of the others nothing is kept");
        assert_eq!(lookups.places.available_permits(), OF_AN_OWNER + 1);
    }

    #[test]
    fn the_names_of_one_owner_push_out_nobody_elses() {
        let (names, now) = (Names::default(), Instant::now());
        for number in 0..2 * NAMES {
            names.remember(&format!("s{}.example", number % 100), good(), now);
            names.remember(&format!("n{number}.evil.example"), good(), now);
        }
        for number in 0..NAMES {
            names.remember(&format!("m{number}.evil.example"), good(), now);
        }
        assert!((0..100).all(|number| names.known(&format!("s{number}.example"), now).is_some()));
    }

    #[test]
    fn a_lookup_that_ended_without_a_word_is_made_anew() {
        let (names, now) = (Names::default(), Instant::now());
        assert!(matches!(names.standing("x.example", now, false), Standing::Unknown));
        let first = names.standing("x.example", now, true);
        assert!(matches!(first, Standing::Yours(_)));
        assert!(matches!(names.standing("x.example", now, true), Standing::UnderWay(_)));
        drop(first);
        assert!(matches!(names.standing("x.example", now, true), Standing::Yours(_)));
    }

    /// Two clients of one process may not be allowed the same, and what a name says may change.
    #[tokio::test]
    async fn what_is_remembered_is_checked_at_every_dial() {
        let names = Names::default();
        let ask = |allow: &[&str]| {
            let allow: Vec<IpNet> = allow.iter().map(|net| net.parse().unwrap()).collect();
            let lookups = Lookups::new(names.clone(), Duration::from_secs(5));
            let resolver = GuardedResolver { allow: allow.into(), lookups };
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
