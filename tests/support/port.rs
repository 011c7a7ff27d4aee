//! Ports for programs that must be told one before they start.

use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};

use tokio::net::TcpSocket;

/// Below the range that Linux takes ports of outgoing connections from, so that none of these is taken in between.
const FIRST: u16 = 20_000;
/// Ports that belong to one test program from the first of them that it gives out until it ends.
const BLOCK: u16 = 64;
const BLOCKS: u16 = 187;

/// The blocks of this program: while it runs, no other one gives out their ports.
static OURS: Mutex<Blocks> = Mutex::new(Blocks { held: Vec::new(), next: 0, end: 0 });

struct Blocks {
    /// Names that one process at a time can have, and whose end takes them away.
    held: Vec<UnixDatagram>,
    /// The ports left of the newest one.
    next: u16,
    end: u16,
}

/// A port of 127.0.0.1 that nobody listens on, and that no test program has given out that still runs.
pub fn free_port() -> u16 {
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if ours.next == ours.end {
            let (name, first) =
                (0..BLOCKS).find_map(take).expect("a block of ports that no other test program has");
            ours.held.push(name);
            (ours.next, ours.end) = (first, first + BLOCK);
        }
        let port = ours.next;
        ours.next += 1;
        if nobody_listens(port) {
            return port;
        }
    }
}

/// Binds, and does not listen: of that a program which is just being started may hold a copy for a while without standing in
/// anybody's way.
fn nobody_listens(port: u16) -> bool {
    TcpSocket::new_v4().is_ok_and(|socket| {
        socket.set_reuseaddr(true).is_ok() && socket.bind((Ipv4Addr::LOCALHOST, port).into()).is_ok()
    })
}

/// Takes a block, if nobody has it, this program included.
fn take(block: u16) -> Option<(UnixDatagram, u16)> {
    let first = FIRST + block * BLOCK;
    let name = SocketAddr::from_abstract_name(format!("owncast-herald-test-ports-{first}")).ok()?;
    Some((UnixDatagram::bind_addr(&name).ok()?, first))
}
