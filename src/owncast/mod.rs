//! Everything that speaks to Owncast.
//!
//! - [`api`] asks and tells: one client, typed answers, [`OwncastError`] by cure.
//! - [`provision`] settles the one webhook and the one access token that are ours.
//! - [`webhook`] reads what Owncast calls us with; it is pure.
//! - [`websocket`] holds one chat connection; [`frames`] reads its frames and is pure.
//! - [`versions`] knows which Owncast can do what.
//!
//! Nothing here is trusted further than Owncast itself: bodies are bounded, secrets never reach a log.

mod answer;
pub mod api;
mod error;
pub mod footprint;
pub mod frames;
pub mod life;
pub mod provision;
#[cfg(test)]
pub(crate) mod testing;
mod transport;
pub mod types;
pub mod versions;
pub mod webhook;
pub mod websocket;

pub use crate::model::Secret;
pub use api::Api;
pub use error::OwncastError;
