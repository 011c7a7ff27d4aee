//! Pure types that every room shares: addresses, records and the view decisions look at.

pub mod addresses;
pub mod adopted;
pub mod block;
pub mod delivery;
pub mod draft;
pub mod engagement;
pub mod facts;
pub mod follower;
pub mod handle;
pub mod host;
pub mod notices;
pub mod origin;
pub mod owner;
pub mod post;
pub mod record;
pub mod report;
pub mod secret;
pub mod source;
pub mod stood;
pub mod stream;
pub mod view;
pub mod wishes;

pub use addresses::Addresses;
pub use draft::Draft;
pub use record::{Changes, Record};
pub use secret::Secret;
pub use source::{Network, Site, Source};
pub use view::View;

#[cfg(test)]
mod tests;
