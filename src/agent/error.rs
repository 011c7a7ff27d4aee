//! Why an agent cannot start or go on, each with what to do.

use std::io;
use std::net::SocketAddr;

use crate::config::ConfigError;
use crate::control::SocketError;
use crate::media::freeze::ShelfError;
use crate::owncast::OwncastError;
use crate::store::StoreError;

/// Ends an agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The configuration is wrong or incomplete.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Owncast's address cannot be used.
    #[error(transparent)]
    Owncast(#[from] OwncastError),
    /// The store cannot be opened or used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of pictures cannot be used.
    #[error("{0}: {source}; make the store folder writable for the user that runs owncast-herald", source = .0.source)]
    Shelf(#[from] ShelfError),
    /// The configuration names another actor than the one that is followed.
    #[error("{0}")]
    AnotherActor(String),
    /// A listener's address is taken or not ours.
    #[error(
        "[listen] {field} = \"{address}\" cannot be used: {cause}; {}",
        unbound(.cause)
    )]
    Bind {
        /// Key below `[listen]`.
        field: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The administration socket cannot be made.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The disk failed while running.
    #[error("the store's disk failed; check the disk and its free space. What was acknowledged is on disk")]
    DiskFailed,
    /// A task ended that never should while the agent runs.
    #[error("{0} ended; what was acknowledged is on disk, and a restart goes on from there")]
    TaskEnded(&'static str),
    /// The system refused something it never should.
    #[error("the system refused: {0}")]
    System(io::Error),
}

/// What to do about an address that cannot be listened on.
fn unbound(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there, or set another address",
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address, or not yet, as while its container network is not up: set one that it has"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 are not for the agent's user: set another",
        _ => "set another address",
    }
}

impl AgentError {
    /// Exit code after sysexits.h: 78 is a configuration that a restart does not cure, 74 a failed disk.
    pub fn exit_code(&self) -> u8 {
        match self {
            AgentError::Config(error) => error.exit_code(),
            AgentError::Owncast(_) | AgentError::AnotherActor(_) => 78,
            AgentError::DiskFailed => 74,
            _ => 1,
        }
    }
}
