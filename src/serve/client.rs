//! Who a request comes from: the other end of the connection, or whom a proxy names.

use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use ipnet::IpNet;
use tokio::sync::watch;

use super::answer::Problem;
use super::limit::{Crowd, Inside, Rates};
use crate::agent::effective::Effective;
use crate::model::Source;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Most addresses of an `X-Forwarded-For` that are looked at, the nearest first.
const HOPS: usize = 16;

/// What is known of a request's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// It is this one.
    Known(Source),
    /// A trusted proxy does not say.
    Untold,
    /// It came through this private address, which is not trusted to name anybody: a proxy, most likely, that nobody has
    /// listed, and so everybody. Whether it names somebody does not matter: not every proxy does by itself.
    Unlisted(IpAddr),
}

impl Client {
    /// Reads the connection and its headers. Of `X-Forwarded-For` the last address that is no proxy of ours counts:
    /// everything before it anybody can write.
    #[must_use]
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
        let peer = peer.to_canonical();
        let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
        let told = |address: IpAddr| match is_private(address) {
            true => Client::Unlisted(address),
            false => Client::Known(Source::of(address)),
        };
        if !is_trusted(peer) {
            return told(peer);
        }
        let named = headers.get_all(FORWARDED_FOR).iter().rev();
        // A header may hold any byte: one that is no text spoils its own piece and none after it.
        let nearest_first = named.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut nearest = peer;
        for name in nearest_first.take(HOPS) {
            match std::str::from_utf8(name).ok().and_then(address) {
                Some(hop) if is_trusted(hop) => nearest = hop,
                Some(client) => return told(client),
                // Whoever it is, it came from there; what nobody can read must not be what frees from every limit.
                None => return Client::Known(Source::of(nearest)),
            }
        }
        Client::Untold
    }

    /// Whom the limits of one client hold for; `None` where nobody can be told from anybody else.
    #[must_use]
    pub fn source(self) -> Option<Source> {
        match self {
            Client::Known(source) => Some(source),
            Client::Untold | Client::Unlisted(_) => None,
        }
    }
}

/// Whether an address is one of a machine, of a container network or of a local one. Addresses that only documents use
/// are not.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let carriers = first == 100 && second & 0xc0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || carriers
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => match text.split_once(':') {
            Some((v4, port)) if !port.contains(':') => v4,
            _ => text,
        },
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// Requests of one client at a time.
const AT_ONCE: u32 = 100;
/// What all clients of one IPv6 [site](crate::model::Site) may do together, times what one of them may.
const OF_A_SITE: u32 = 8;
/// A client may ask at once what it may ask in so long.
const BURST: Duration = Duration::from_secs(10);

/// A request that was let in: of its client, and of the network around that.
type Admitted<'a> = (Inside<'a>, Option<Inside<'a>>);

/// What every client may do.
#[derive(Debug)]
pub struct ClientLimits {
    rates: Rates,
    inside: Crowd,
    hinted: AtomicBool,
    refused: Ids,
}

impl Default for ClientLimits {
    fn default() -> Self {
        ClientLimits {
            rates: Rates::new(BURST),
            inside: Crowd::default(),
            hinted: AtomicBool::new(false),
            refused: Ids::default(),
        }
    }
}

impl ClientLimits {
    /// Lets a request in, until the answer is dropped.
    pub(super) fn admit(
        &self,
        source: Source,
        effective: &watch::Receiver<Arc<Effective>>,
    ) -> Result<Admitted<'_>, Problem> {
        let per_second = effective.borrow().config.limits.requests_per_client;
        let too_often = |who: &dyn Display, most: u32, seconds: u32| {
            Problem::too_many(format!("at most {most} requests a second are taken from {who}"), seconds)
        };
        let too_many = |who: &dyn Display, most: u32| {
            Problem::too_many(format!("at most {most} requests at a time are taken from {who}"), 1)
        };
        self.rates.count(source, per_second).map_err(|seconds| too_often(&source, per_second, seconds))?;
        let inside = self.inside.enter(source, AT_ONCE).ok_or_else(|| too_many(&source, AT_ONCE))?;
        let Some(site) = source.site() else { return Ok((inside, None)) };
        let per_second = per_second.saturating_mul(OF_A_SITE);
        self.rates.count(site, per_second).map_err(|seconds| too_often(&site, per_second, seconds))?;
        let most = AT_ONCE * OF_A_SITE;
        let beside = self.inside.enter(site, most).ok_or_else(|| too_many(&site, most))?;
        Ok((inside, Some(beside)))
    }

    /// Says once that a proxy is not listed.
    pub(super) fn hint(&self, client: Client) {
        let Client::Unlisted(proxy) = client else { return };
        if self.hinted.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(
            target: "herald::serve",
            %proxy,
            "requests come from {proxy}, which may be a proxy and is not believed, so limits for each client's address \
             are off for them; if it is your proxy, add \"{proxy}\" to [listen] trusted-proxies and let it send \
             X-Forwarded-For"
        );
    }

    /// A name for a refusal that no other of this process has.
    pub(super) fn request_id(&self) -> String {
        self.refused.next()
    }
}

/// Ids that tell nobody how many there were between two of them: digests of a counter under a key that nobody outside has.
#[derive(Debug, Default)]
struct Ids {
    given: AtomicU64,
    key: RandomState,
}

impl Ids {
    fn next(&self) -> String {
        format!("{:016x}", self.key.hash_one(self.given.fetch_add(1, Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, forwarded: &[impl AsRef<[u8]>], trusted: &[&str]) -> Client {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_ref()).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        Client::of(peer.parse().unwrap(), &headers, &trusted)
    }

    fn known(address: &str) -> Client {
        Client::Known(Source::of(address.parse().unwrap()))
    }

    #[test]
    fn who_is_believed_and_who_counts() {
        let proxies: &[&str] = &["127.0.0.0/8", "::1/128", "10.1.0.0/16"];
        let local = IpAddr::from([192, 168, 1, 2]);
        for (peer, forwarded, want) in [
            // From the open internet: whatever it says.
            ("8.8.4.4", &[] as &[&str], known("8.8.4.4")),
            ("8.8.4.4", &["1.1.1.1"], known("8.8.4.4")),
            ("2a00::1", &["1.1.1.1"], known("2a00::1")),
            // Our proxies, one or several behind each other; what a client has written itself is before them.
            ("127.0.0.1", &["8.8.4.4"], known("8.8.4.4")),
            ("::ffff:127.0.0.1", &["8.8.4.4"], known("8.8.4.4")),
            ("::1", &["1.1.1.1, 8.8.4.4"], known("8.8.4.4")),
            ("127.0.0.1", &["1.1.1.1,8.8.4.4 , 10.1.2.3"], known("8.8.4.4")),
            ("127.0.0.1", &["1.1.1.1", "8.8.4.4", "10.1.2.3, 127.0.0.1"], known("8.8.4.4")),
            ("127.0.0.1", &["8.8.4.4:4711"], known("8.8.4.4")),
            ("127.0.0.1", &["[2a00::1]:4711"], known("2a00::1")),
            ("127.0.0.1", &["2a00::1"], known("2a00::1")),
            ("127.0.0.1", &["::ffff:8.8.4.4"], known("8.8.4.4")),
            // They name nobody.
            ("127.0.0.1", &[], Client::Untold),
            ("127.0.0.1", &["127.0.0.1"], Client::Untold),
            // Nobody that can be read: whatever is behind the nearest that can.
            ("127.0.0.1", &["1.1.1.1, unknown"], known("127.0.0.1")),
            ("127.0.0.1", &["1.1.1.1, "], known("127.0.0.1")),
            ("127.0.0.1", &["unknown, 10.1.2.3"], known("10.1.2.3")),
            ("127.0.0.1", &["ü, 8.8.4.4"], known("8.8.4.4")),
            ("127.0.0.1", &["ü", "8.8.4.4, 10.1.2.3"], known("8.8.4.4")),
            // A proxy that was forgotten, whatever it says, or somebody of the same network, who cannot be told from one.
            ("192.168.1.2", &[], Client::Unlisted(local)),
            ("192.168.1.2", &["8.8.4.4"], Client::Unlisted(local)),
            ("::ffff:192.168.1.2", &["8.8.4.4"], Client::Unlisted(local)),
            ("127.0.0.1", &["8.8.4.4, 192.168.1.2"], Client::Unlisted(local)),
            ("127.0.0.1", &["8.8.4.4, 192.168.1.2, 10.1.2.3"], Client::Unlisted(local)),
        ] {
            assert_eq!(client(peer, forwarded, proxies), want, "{peer} {forwarded:?}");
        }
        for spoilt in [b"\xff, 8.8.4.4".as_slice(), b"1.1.1.1\x80,8.8.4.4", b"\xc3,8.8.4.4,127.0.0.1"] {
            assert_eq!(client("127.0.0.1", &[spoilt], proxies), known("8.8.4.4"), "{spoilt:?}");
        }
        assert_eq!(client("127.0.0.1", &[b"8.8.4.4, \xff"], proxies), known("127.0.0.1"));
        let silent: [&str; 0] = [];
        for private in
            ["127.0.0.1", "10.9.9.9", "172.17.0.2", "100.64.0.1", "169.254.1.1", "::1", "fd00::1", "fe80::1"]
        {
            assert_eq!(client(private, &silent, &[]), Client::Unlisted(private.parse().unwrap()));
        }
        for public in ["8.8.4.4", "172.32.0.1", "100.128.0.1", "203.0.113.1", "2a00::1"] {
            assert_eq!(client(public, &silent, &[]), known(public));
        }
        let many = "127.0.0.1,".repeat(10_000) + "127.0.0.1";
        assert_eq!(client("127.0.0.1", &[&many], proxies), Client::Untold);
    }

    #[test]
    fn no_two_refusals_have_one_name() {
        let ids = Ids::default();
        let names: std::collections::HashSet<String> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(names.len(), 10_000);
    }

    #[test]
    fn two_names_do_not_tell_how_many_were_between() {
        // A counter that was only shuffled, as by SplitMix64, is read off what comes out.
        let unshuffled = |name: &str| {
            let undo = |id: u64, by: u32| id ^ (id >> by) ^ (id >> (2 * by));
            let id = undo(u64::from_str_radix(name, 16).unwrap(), 31).wrapping_mul(0x3196_42b2_d24d_8ec3);
            undo(undo(id, 27).wrapping_mul(0x96de_1b17_3f11_9089), 30)
        };
        let ids = Ids::default();
        let names: Vec<String> = (0..100).map(|_| ids.next()).collect();
        for read in [unshuffled, |name: &str| u64::from_str_radix(name, 16).unwrap()] {
            let counts: Vec<u64> = names.iter().map(|name| read(name)).collect();
            let steps = counts.windows(2).map(|two| two[1].wrapping_sub(two[0]));
            assert_eq!(steps.collect::<std::collections::HashSet<_>>().len(), 99);
        }
    }

    #[test]
    fn an_ipv6_client_has_64_bits_to_itself() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("2a00:1:2:3::1"), of("2a00:1:2:3:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2a00:1:2:3::1"), of("2a00:1:2:4::1"));
        assert_ne!(of("8.8.4.4"), of("8.8.4.5"));
        assert_eq!(of("::ffff:8.8.4.4").to_string(), "8.8.4.4");
        assert_eq!(of("2a00:1:2:3::1").to_string(), "2a00:1:2:3::/64");
        let site = |text: &str| of(text).site().map(|site| site.to_string());
        assert_eq!(site("2a00:1:2:3::1").as_deref(), Some("2a00:1:2::/48"));
        assert_eq!(site("::ffff:8.8.4.4"), None);
        assert_eq!(of("2a00:1:2:3::1").site(), of("2a00:1:2:ffff::1").site());
        assert_ne!(of("2a00:1:2:3::1").site(), of("2a00:1:3:3::1").site());
    }
}
