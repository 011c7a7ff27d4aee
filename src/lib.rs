//! owncast-herald federates an Owncast live stream over ActivityPub.
//!
//! Data passes through the rooms in this order:
//!
//! ```text
//! watch ─ hints ─► decide ─ Changes ─► store ─► deliver ─► other servers
//!                     ▲                   └──► notice  ─► Owncast's chat
//! serve ─ bytes ─► inbox (Verified<Activity>)
//! ```
//!
//! `model`, `decide` and `activitypub` are pure: no IO, no clock, no randomness of their own.

pub mod activitypub;
pub mod adopt;
pub mod agent;
pub mod backup;
mod bounded;
pub mod cli;
pub mod config;
pub mod control;
pub mod decide;
pub mod deliver;
pub mod doctor;
pub mod fetch;
pub mod inbox;
pub mod media;
pub mod model;
pub mod net;
pub mod notice;
pub mod owncast;
pub mod proxy_config;
pub mod random;
pub mod serve;
pub mod sim;
pub mod store;
pub mod telemetry;
pub mod watch;
