//! Guarded reading of strangers' documents: actors and their keys.
//!
//! Everything here is caused by input that nobody has verified yet, so every step is bounded: how many fetches run,
//! how many a host may cause, how much is read, how long a failure is remembered, and what may be believed of what
//! came back. A document speaks only for the address it was fetched from.

mod actor;
pub mod apart;
mod budget;
mod document;
mod error;
mod fetcher;
mod memory;
mod pretend;
mod schemes;
mod shapes;
mod standing;
#[cfg(test)]
mod tests;
mod webfinger;

pub use actor::{RemoteActor, RemoteKey};
pub use budget::{Budgets, Kept, Share};
pub use error::FetchError;
pub use fetcher::{Clock, FRESH_FOR, Fetcher, Found, REFETCH_PAUSE, Signer, USABLE_FOR};
pub use schemes::{Schemes, refuses_scheme};
pub use webfinger::Described;
