//! Addresses of many servers on one machine: 127.0.0.0/8 is all ours.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context as _;

/// Servers with an address each, from one second number of 127.0.0.0/8 on.
#[derive(Clone, Copy, Debug)]
pub struct Part(u8);

/// Those that a fan-out goes to: the last part, since there may be more of them than fit into one network.
pub const RECEIVERS: Part = Part(110);
/// Those of the people who like.
pub const PEOPLE: Part = Part(101);
/// Those of people who follow and mean it.
pub const HONEST: Part = Part(102);

/// Servers in one network: none of them ends in 0 or 255.
const PER_NETWORK: usize = 250;
/// Networks with one second number.
const NETWORKS: usize = 256;

impl Part {
    /// Where a server is.
    pub fn address(self, number: usize) -> anyhow::Result<Ipv4Addr> {
        // One after the other in networks of 24 bits, as servers of different owners are.
        let place = number / NETWORKS;
        let second = u8::try_from(usize::from(self.0) + place / PER_NETWORK)
            .context("more servers than addresses for them")?;
        let third = u8::try_from(number % NETWORKS)?;
        let last = u8::try_from(place % PER_NETWORK + 1)?;
        Ok(Ipv4Addr::new(127, second, third, last))
    }

    /// Which server is there.
    pub fn number(self, address: SocketAddr) -> Option<usize> {
        let IpAddr::V4(address) = address.ip() else { return None };
        let [_, second, third, last] = address.octets();
        let place =
            usize::from(second.checked_sub(self.0)?) * PER_NETWORK + usize::from(last.checked_sub(1)?);
        Some(place * NETWORKS + usize::from(third))
    }
}
