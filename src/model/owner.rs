//! Who pays for a name: what strangers may leave here is bounded for each of those, since names below one's own cost
//! nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Labels under which countries register names: `peer.co.uk` is somebody's, `co.uk` is everybody's.
const SECOND_LEVELS: [&str; 9] = ["ac", "co", "com", "edu", "gov", "ne", "net", "or", "org"];

/// Whose an actor id is: the last two labels of its host, or three below a country's second level; of an address the
/// network of 24 or 64 bits. Empty for an id without a host.
///
/// That is a guess: whoever registers names below one of their own, as dynamic DNS does, counts as one with all of them.
/// So what is bounded by it must be bounded with room, and for a time only.
#[must_use]
pub fn owner_of(actor: &str) -> String {
    let rest = actor.split_once("://").map_or("", |(_, rest)| rest);
    owner_of_host(rest.split(['/', '?', '#']).next().unwrap_or_default())
}

/// As [`owner_of`], of a host with or without a port.
#[must_use]
pub fn owner_of_host(host: &str) -> String {
    if let Some(v6) = host.strip_prefix('[') {
        let address = v6.split(']').next().unwrap_or_default();
        return match address.parse::<Ipv6Addr>() {
            Ok(v6) => format!("{}/64", Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            Err(_) => String::new(),
        };
    }
    let name = host.split(':').next().unwrap_or_default();
    if let Ok(v4) = name.parse::<Ipv4Addr>() {
        let [a, b, c, _] = v4.octets();
        return format!("{}/24", Ipv4Addr::new(a, b, c, 0));
    }
    let mut labels = name.rsplitn(4, '.');
    let (top, second, third) = (labels.next(), labels.next(), labels.next());
    match (top, second, third) {
        (Some(top), Some(second), Some(third)) if top.len() == 2 && SECOND_LEVELS.contains(&second) => {
            format!("{third}.{second}.{top}")
        }
        (Some(top), Some(second), _) => format!("{second}.{top}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_one_that_is_paid_for_are_its_owners() {
        for (actor, owner) in [
            ("https://evil.example/users/a", "evil.example"),
            ("https://a.evil.example/users/a", "evil.example"),
            ("https://x.y.z.evil.example:8443/users/a", "evil.example"),
            ("https://a.evil.example?x=/y", "evil.example"),
            ("https://peer.co.uk/u", "peer.co.uk"),
            ("https://a.peer.co.uk/u", "peer.co.uk"),
            ("https://co.uk/u", "co.uk"),
            ("https://a.abc.de/u", "abc.de"),
            ("https://a.com.example/u", "com.example"),
            ("https://localhost:4711/u", "localhost"),
            ("http://127.0.0.9:4711/u", "127.0.0.0/24"),
            ("http://[2a00:1:2:3:4::5]:4711/u", "2a00:1:2:3::/64"),
            ("http://[nonsense/u", ""),
            ("nonsense", ""),
            ("", ""),
        ] {
            assert_eq!(owner_of(actor), owner, "{actor}");
        }
    }
}
