//! Which IP addresses may be dialled on a stranger's word: globally routed unicast only (C-20).
//!
//! IPv4 refuses the special ranges of the IANA registry; IPv6 allows only `2000::/3` minus its special ranges, which is
//! what GoToSocial does and what survives new allocations. An IPv4-mapped address is judged as the IPv4 address it
//! is; every other embedding (IPv4-compatible, NAT64, 6to4, Teredo) is refused whole.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Refused IPv4 networks: IANA special-purpose registry, multicast, reserved, AS112 and AMT.
const REFUSED_V4: [([u8; 4], u8); 19] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([192, 175, 48, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    ([255, 255, 255, 255], 32),
];

/// Refused networks inside `2000::/3`: IETF protocol assignments with Teredo and ORCHID, documentation, 6to4, AS112.
const REFUSED_V6: [([u16; 8], u8); 5] = [
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// Whether `ip` may be dialled. `allow` are the operator's exceptions (`federation.allow-private-addresses`); a mapped
/// IPv4 address is looked up in it in both spellings.
#[must_use]
pub fn allowed(ip: IpAddr, allow: &[IpNet]) -> bool {
    let plain = match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    };
    if allow.iter().any(|net| net.contains(&ip) || net.contains(&plain)) {
        return true;
    }
    match plain {
        IpAddr::V4(v4) => !REFUSED_V4.iter().any(|(net, bits)| in_v4(v4, *net, *bits)),
        IpAddr::V6(v6) => {
            in_v6(v6, [0x2000, 0, 0, 0, 0, 0, 0, 0], 3)
                && !REFUSED_V6.iter().any(|(net, bits)| in_v6(v6, *net, *bits))
        }
    }
}

fn in_v4(ip: Ipv4Addr, net: [u8; 4], bits: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
    (u32::from(ip) ^ u32::from_be_bytes(net)) & mask == 0
}

fn in_v6(ip: Ipv6Addr, net: [u16; 8], bits: u8) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    (u128::from(ip) ^ u128::from(Ipv6Addr::from(net))) & mask == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> bool {
        allowed(text.parse().unwrap(), &[])
    }

    #[test]
    fn every_special_range_is_refused_at_both_ends() {
        for net in [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/128",
            "::1/128",
            "::/96",
            "::ffff:0:0:0/96",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "100::/64",
            "100:0:0:1::/64",
            "2001::/23",
            "2001::/32",
            "2001:db8::/32",
            "2002::/16",
            "2620:4f:8000::/48",
            "3fff::/20",
            "4000::/3",
            "5f00::/16",
            "fc00::/7",
            "fe80::/10",
            "fec0::/10",
            "ff00::/8",
        ] {
            let net: IpNet = net.parse().unwrap();
            assert!(!allowed(net.network(), &[]), "first of {net}");
            assert!(!allowed(net.broadcast(), &[]), "last of {net}");
            assert!(allowed(net.network(), &[net]) && allowed(net.broadcast(), &[net]), "exception {net}");
            if let IpAddr::V4(v4) = net.network() {
                assert!(!allowed(IpAddr::V6(v4.to_ipv6_mapped()), &[]), "mapped {net}");
                assert!(!allowed(IpAddr::V6(v4.to_ipv6_compatible()), &[]), "compatible {net}");
                assert!(allowed(IpAddr::V6(v4.to_ipv6_mapped()), &[net]), "mapped exception {net}");
            }
        }
    }

    #[test]
    fn the_open_internet_is_allowed_right_up_to_the_edges() {
        for ip in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "8.8.8.8",
            "::ffff:8.8.8.8",
            "2000::1",
            "2001:200::",
            "2001:db7:ffff::1",
            "2001:db9::",
            "2003::",
            "2606:4700:4700::1111",
            "2620:4f:7fff::1",
            "2620:4f:8001::",
            "3fff:1000::",
            "3ffe::1",
        ] {
            assert!(verdict(ip), "{ip}");
        }
    }

    #[test]
    fn metadata_services_and_translated_loopback_are_refused() {
        for ip in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:0:7f00:1::",
            "fd00:ec2::254",
            "0.0.0.0",
            "::",
            "255.255.255.255",
        ] {
            assert!(!verdict(ip), "{ip}");
        }
    }

    #[test]
    fn an_exception_opens_nothing_else() {
        let allow: [IpNet; 2] = ["127.0.0.0/8".parse().unwrap(), "fd00:1::/32".parse().unwrap()];
        assert!(
            allowed("127.0.0.1".parse().unwrap(), &allow) && allowed("fd00:1::5".parse().unwrap(), &allow)
        );
        assert!(!allowed("10.0.0.1".parse().unwrap(), &allow) && !allowed("::1".parse().unwrap(), &allow));
    }
}
