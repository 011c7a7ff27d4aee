//! The one outgoing HTTP client and the guard of the addresses it may dial.

mod client;
mod error;
pub mod guard;
mod resolve;

pub use client::{Answer, Client, ClientOptions, Limits};
pub use error::NetError;

#[cfg(test)]
pub(crate) mod test_server;
