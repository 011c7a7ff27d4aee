//! The unix socket on which the command line asks a running agent.

pub mod adopt;
mod attention;
pub mod client;
mod deliveries;
mod key_change;
mod names;
pub mod offline;
pub mod operations;
mod preview;
pub mod protocol;
mod redeliver;
pub mod server;
mod status;
mod wishes;

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use crate::agent::board::Board;
use crate::agent::effective::Effective;
use crate::config::reload::ReloadHandle;
use crate::owncast::Api;
use crate::store::Store;

pub use server::{SocketError, bind, run};

/// Addresses really bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// For the proxy.
    pub public: SocketAddr,
    /// For Owncast's webhook.
    pub webhook: SocketAddr,
    /// For probes and metrics.
    pub metrics: SocketAddr,
}

/// What the answers are made of.
#[derive(Clone, Debug)]
pub struct Control {
    /// Followers, blocks, posts.
    pub store: Store,
    /// Settings and identity of the moment.
    pub effective: watch::Receiver<Arc<Effective>>,
    /// How things stand with Owncast.
    pub board: watch::Receiver<Board>,
    /// Addresses really bound.
    pub listening: Listening,
    /// Reads the configuration again.
    pub reload: ReloadHandle,
    /// When the agent started.
    pub started: Timestamp,
    /// Asks Owncast for what a preview shows.
    pub api: Api,
    /// Makes the watcher look at Owncast at once.
    pub wake: Arc<Notify>,
    /// An agent runs; without one, what is asked is answered out of its store.
    pub running: bool,
}

#[cfg(test)]
mod tests;
