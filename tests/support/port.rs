//! Ports for programs that must be told one before they start.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that Linux takes ports of outgoing connections from, so that none of these is taken in between.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1 that nobody listens on and that this process has not given out yet.
pub fn free_port() -> u16 {
    // Test programs that run at the same time begin at different places.
    let start = (std::process::id() % u32::from(COUNT / 64)) as u16 * 64;
    let free = (0..COUNT).find_map(|_| {
        let port = FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    });
    free.expect("a free port on 127.0.0.1")
}
