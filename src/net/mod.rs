//! The one outgoing HTTP client and the guard of the addresses it may dial.

mod client;
mod error;
pub mod guard;
mod opened;
mod resolve;
mod tls;

pub use client::{After, Answer, Client, ClientOptions, Limits};
pub use error::NetError;
pub(crate) use resolve::LOOKUPS;
pub(crate) use tls::connector as tls_connector;

#[cfg(test)]
pub(crate) mod test_server;
