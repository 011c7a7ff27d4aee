//! Whom work is counted for before anything is proved.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A client's address, as limits see it: an IPv4 address, or the 64 bits of an IPv6 address that one household or rented
/// machine has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

/// The network of 48 bits that an IPv6 client is in: anybody may have one to itself, and so 65,536 [sources](Source). A
/// provider's customers may be many in one, so it has several times what one of them has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site(Ipv6Addr);

/// What addresses are rented out or taken over in: the 24 bits around an IPv4 address, the [site](Site) of an IPv6 one. Not
/// everybody there is one person, so nobody is refused for it who would not be for what all others have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Source {
    /// What a client at this address counts as.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Source(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(first_bits(v6, 64)),
            v4 => v4,
        })
    }

    /// The network around it; an IPv4 address stands for itself alone.
    #[must_use]
    pub fn site(self) -> Option<Site> {
        match self.0 {
            IpAddr::V6(v6) => Some(Site(first_bits(v6, 48))),
            IpAddr::V4(_) => None,
        }
    }

    /// What is likely somebody's who has this one.
    #[must_use]
    pub fn network(self) -> Network {
        match self.0 {
            IpAddr::V6(v6) => Network(IpAddr::V6(first_bits(v6, 48))),
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Network(IpAddr::V4(Ipv4Addr::new(a, b, c, 0)))
            }
        }
    }
}

fn first_bits(v6: Ipv6Addr, bits: u32) -> Ipv6Addr {
    let rest = 128 - bits;
    Ipv6Addr::from_bits(v6.to_bits() >> rest << rest)
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/48", self.0)
    }
}
