//! Name, connection, certificate and clock, as seen from outside; pure.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use jiff::Timestamp;
use openssl::asn1::Asn1Time;
use openssl::x509::X509;

use super::ask::Seen;
use super::{Code, Finding};
use crate::net::{NetError, guard};

/// A certificate that ends within so many days should have been renewed: most are a month before.
const SOON: i32 = 14;
/// Clocks this far apart are looked at,
const CLOCK_YELLOW: u64 = 10;
/// and this far apart break signatures with some servers.
const CLOCK_RED: u64 = 120;

/// What a name leads to.
pub(super) fn dns(host: &str, found: &Result<Vec<SocketAddr>, String>, allow: &[IpNet]) -> Finding {
    const CURE: &str =
        "set an A record, and an AAAA record if the server has IPv6, for it where the domain is managed";
    let found = match found {
        Ok(found) if found.is_empty() => {
            return Finding::red(Code::Dns, format!("{host} has no address"), CURE);
        }
        Ok(found) => found,
        Err(why) => return Finding::red(Code::Dns, format!("{host} is not found: {why}"), CURE),
    };
    let list =
        |addresses: &[IpAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let all: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
    let closed: Vec<IpAddr> = all.iter().copied().filter(|ip| !guard::allowed(*ip, allow)).collect();
    if !closed.is_empty() {
        return Finding::yellow(
            Code::Dns,
            format!("{host} leads from here to {}, which other servers cannot reach", list(&closed)),
            "if others get other addresses (a hosts file, split DNS), ask from another machine as well; else set its public address",
        );
    }
    let missing = if all.iter().any(IpAddr::is_ipv6) { "" } else { "; no IPv6, which is well" };
    Finding::green(Code::Dns, format!("{host} leads to {}{missing}", list(&all)))
}

/// Whether somebody answers at an address, asked from this address of ours.
pub(super) fn reach(at: SocketAddr, from: Option<IpAddr>, outcome: &Result<Seen, NetError>) -> Finding {
    // Behind a router that translates addresses, its public one may lead nowhere from within.
    let within = from.is_some_and(|from| from.is_ipv4() && !guard::allowed(from, &[]));
    let elsewhere = if within && guard::allowed(at.ip(), &[]) {
        "; if that is the address of your own router, it may just not lead its own network there: ask from elsewhere, such as a phone without Wi-Fi"
    } else {
        ""
    };
    match outcome {
        Ok(_) => Finding::green(Code::Reach, format!("{at} answers")),
        Err(NetError::Ourselves(why)) => Finding::unchecked(
            Code::Reach,
            format!("{at} cannot be asked from here ({why}); ask from a machine that has {}", family(at)),
        ),
        Err(NetError::Tls(why)) => Finding::red(
            Code::Reach,
            format!("{at}: the certificate is not accepted ({why})"),
            format!(
                "let the proxy show a certificate of this host, with its chain, from an authority that everybody trusts{elsewhere}"
            ),
        ),
        Err(error) => Finding::red(
            Code::Reach,
            format!("{at}: {error}"),
            format!(
                "let the proxy listen there and the firewall let it through; if the server has no {}, remove that address from DNS{elsewhere}",
                family(at)
            ),
        ),
    }
}

/// `IPv4` or `IPv6`.
pub(super) fn family(at: SocketAddr) -> &'static str {
    if at.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// How long the certificate is good for.
pub(super) fn certificate(host: &str, der: &[u8], now: Timestamp) -> Finding {
    const CURE: &str = "renew it (certbot renew, or look why the proxy does not)";
    let left = || {
        let certificate = X509::from_der(der).ok()?;
        let now = Asn1Time::from_unix(now.as_second()).ok()?;
        Some((now.diff(certificate.not_after()).ok()?.days, certificate.not_after().to_string()))
    };
    match left() {
        None => Finding::unchecked(Code::Certificate, format!("the certificate of {host} cannot be read")),
        Some((days, until)) if days < SOON => Finding::yellow(
            Code::Certificate,
            format!("the certificate of {host} ends in {days} days, on {until}"),
            CURE,
        ),
        Some((days, _)) => {
            Finding::green(Code::Certificate, format!("the certificate of {host} is good for {days} days"))
        }
    }
}

/// Our clock against somebody else's, who is so many seconds ahead (negative: behind).
pub(super) fn clock(whose: &str, ahead: i64) -> Finding {
    const CURE: &str = "set both clocks by NTP (timedatectl set-ntp true): signatures carry the time";
    let (seconds, side) = (ahead.unsigned_abs(), if ahead < 0 { "behind" } else { "ahead of" });
    let text = format!("{whose} is {seconds} s {side} this machine's clock");
    match seconds {
        CLOCK_RED.. => Finding::red(Code::Clock, text, CURE),
        CLOCK_YELLOW.. => Finding::yellow(Code::Clock, text, CURE),
        _ => Finding::green(Code::Clock, format!("{whose} agrees with this machine's clock")),
    }
}

/// How far ahead of ours another clock is that showed this between two moments of ours.
pub(super) fn ahead(theirs: Timestamp, (before, after): (Timestamp, Timestamp)) -> i64 {
    let seconds = |ours: Timestamp| theirs.as_second() - ours.as_second();
    match () {
        () if theirs < before => seconds(before),
        () if theirs > after => seconds(after),
        () => 0,
    }
}

/// How far ahead the clock of who gave this answer is.
pub(super) fn date_ahead(seen: &Seen) -> Option<i64> {
    let date = httpdate::parse_http_date(seen.header("date")).ok()?;
    Some(ahead(Timestamp::try_from(date).ok()?, seen.between?))
}
