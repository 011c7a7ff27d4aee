//! Addresses of many servers on one machine: 127.0.0.0/8 is all ours.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context as _;

/// Servers with an address each, in one part of 127.0.0.0/8.
#[derive(Clone, Copy, Debug)]
pub struct Part(u8);

/// Those that a fan-out goes to.
pub const RECEIVERS: Part = Part(100);
/// Those of the people who like.
pub const PEOPLE: Part = Part(101);
/// Those of people who follow and mean it.
pub const HONEST: Part = Part(102);

/// Servers in one network: none of them ends in 0 or 255.
const PER_NETWORK: usize = 250;

impl Part {
    /// Where a server is.
    pub fn address(self, number: usize) -> anyhow::Result<Ipv4Addr> {
        let network = u8::try_from(number / PER_NETWORK).context("more servers than addresses for them")?;
        let last = u8::try_from(number % PER_NETWORK + 1)?;
        Ok(Ipv4Addr::new(127, self.0, network, last))
    }
}

/// Which server is there.
pub fn number(address: SocketAddr) -> Option<usize> {
    let IpAddr::V4(address) = address.ip() else { return None };
    let [_, _, network, last] = address.octets();
    Some(usize::from(network) * PER_NETWORK + usize::from(last.checked_sub(1)?))
}
