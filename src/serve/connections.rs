//! The open connections of a listener: how many, whose, and which is given up when there is no room for another.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::model::{Site, Source};
use crate::net::guard;

/// A connection on which nothing has come for less than this is not given up for another.
const GRACE: Duration = Duration::from_millis(500);
/// What all clients of one IPv6 [site](Site) may have open together, times what one of them may.
const OF_A_SITE: usize = 4;
/// What stands for a connection that waits for nobody but us.
const WORKING: u64 = u64::MAX;

/// Which peers are listed as proxies, and so may be everybody; by default nobody is. Asked for each connection, because
/// the list may change.
pub struct Proxies(Box<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl Proxies {
    /// Those of whom `listed` says so.
    pub fn new(listed: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Proxies(Box::new(listed))
    }
}

impl Default for Proxies {
    fn default() -> Self {
        Proxies::new(|_| false)
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxies")
    }
}

/// All connections of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    most_of_one: usize,
    proxies: Proxies,
    state: Mutex<State>,
    freed: Notify,
    began: Instant,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, Arc<Connection>>,
    clients: HashMap<Source, usize>,
    sites: HashMap<Site, usize>,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Since when the client has been waited for, in milliseconds, or [`WORKING`].
    waits_since: AtomicU64,
    given_up: CancellationToken,
    began: Instant,
}

impl Connection {
    /// From now on its client is waited for: a request, or more of one.
    pub fn waits(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(WORKING - 1);
        self.waits_since.store(now, Ordering::Relaxed);
    }

    /// From now on its client waits for us.
    pub fn works(&self) {
        self.waits_since.store(WORKING, Ordering::Relaxed);
    }
}

/// Whether a connection may stay.
pub(super) enum Entry {
    In(Open),
    /// Its client has as many as one may have.
    TooMany,
    /// There is no room.
    Full,
}

/// A connection's place; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) connection: Arc<Connection>,
    all: Arc<Connections>,
    number: u64,
    client: Option<Source>,
}

impl Open {
    /// Whether it may be a proxy's, and so everybody's.
    pub(super) fn is_shared(&self) -> bool {
        self.client.is_none()
    }

    /// Returns when the connection is to be closed for another.
    pub(super) async fn given_up(&self) {
        self.connection.given_up.cancelled().await;
    }
}

fn leave<K: Hash + Eq>(open: &mut HashMap<K, usize>, who: &K) {
    if let Some(count) = open.get_mut(who) {
        *count -= 1;
        if *count == 0 {
            open.remove(who);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.all.state();
        state.open.remove(&self.number);
        if let Some(client) = self.client {
            leave(&mut state.clients, &client);
            if let Some(site) = client.site() {
                leave(&mut state.sites, &site);
            }
        }
        drop(state);
        self.all.freed.notify_one();
    }
}

impl Connections {
    pub(super) fn new(most: usize, most_of_one: usize, proxies: Proxies) -> Arc<Self> {
        let (freed, began) = (Notify::new(), Instant::now());
        Arc::new(Connections { most, most_of_one, proxies, state: Mutex::default(), freed, began })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from `peer`. Many on the open internet are one client's; from a private address they may
    /// be a proxy's, and so everybody's, as those of a listed proxy are wherever it is.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Entry {
        let peer = peer.to_canonical();
        let one = guard::allowed(peer, &[]) && !(self.proxies.0)(peer);
        let client = one.then(|| Source::of(peer));
        let mut state = self.state();
        if let Some(client) = client {
            let of_client = state.clients.get(&client).copied().unwrap_or_default();
            let site = client.site();
            let of_site = site.and_then(|site| state.sites.get(&site).copied()).unwrap_or_default();
            if of_client >= self.most_of_one || of_site >= self.most_of_one * OF_A_SITE {
                return Entry::TooMany;
            }
            // Nobody makes room for who may not enter.
            if state.open.len() >= self.most {
                return Entry::Full;
            }
            state.clients.insert(client, of_client + 1);
            if let Some(site) = site {
                state.sites.insert(site, of_site + 1);
            }
        }
        if state.open.len() >= self.most {
            return Entry::Full;
        }
        let connection = Arc::new(Connection {
            waits_since: AtomicU64::new(0),
            given_up: CancellationToken::new(),
            began: self.began,
        });
        connection.waits();
        let number = state.next;
        state.next += 1;
        state.open.insert(number, Arc::clone(&connection));
        Entry::In(Open { connection, all: Arc::clone(self), number, client })
    }

    /// Gives up the connection whose client has been waited for longest, if that is long at all.
    pub(super) fn give_one_up(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let latest = now.saturating_sub(u64::try_from(GRACE.as_millis()).unwrap_or_default());
        let state = self.state();
        // One that was given up a moment ago is about to end.
        if state.open.values().any(|open| open.given_up.is_cancelled()) {
            return;
        }
        let since = |open: &Arc<Connection>| open.waits_since.load(Ordering::Relaxed);
        let longest = state.open.values().min_by_key(|open| since(open));
        if let Some(longest) = longest.filter(|open| since(open) <= latest) {
            longest.given_up.cancel();
        }
    }

    /// Returns when a connection has ended, or one may have waited long enough to be given up.
    pub(super) async fn freed(&self) {
        let _ = tokio::time::timeout(GRACE / 10, self.freed.notified()).await;
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.state().open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_of_the_open_internet_has_so_many_and_a_proxy_has_all() {
        let listed: IpAddr = [8, 8, 8, 8].into();
        let all = Connections::new(100, 3, Proxies::new(move |peer| peer == listed));
        let enter = |peer: &str| match all.enter(peer.parse().unwrap()) {
            Entry::In(open) => Some(open),
            Entry::TooMany | Entry::Full => None,
        };
        let held: Vec<Open> = (0..10).filter_map(|_| enter("8.8.4.4")).collect();
        assert_eq!(held.len(), 3);
        let other: Vec<Open> = (0..10).filter_map(|n| enter(&format!("2a00::{n:x}"))).collect();
        assert_eq!(other.len(), 3, "one network of 64 bits");
        let listed: Vec<Open> = (0..10).filter_map(|_| enter("8.8.8.8")).collect();
        assert_eq!(listed.len(), 10, "a proxy on the open internet");
        drop(listed);
        let proxied: Vec<Open> = (0..200).filter_map(|_| enter("127.0.0.1")).collect();
        assert_eq!(proxied.len(), 94);
        drop((held, other));
        assert!(enter("8.8.4.4").is_some());
        drop(proxied);
        let site: Vec<Open> = (0..40).filter_map(|n| enter(&format!("2a00:1:2:{n:x}::1"))).collect();
        assert_eq!(site.len(), 3 * OF_A_SITE, "one network of 48 bits");
        assert!(enter("2a00:1:3::1").is_some());
        drop(site);
        let state = all.state();
        assert_eq!((state.open.len(), state.clients.len(), state.sites.len()), (0, 0, 0));
    }
}
