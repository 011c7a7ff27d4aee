//! The real program on real sockets, beside a simulated Owncast and among simulated fediverse servers.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
pub mod support;

mod addresses;
mod adopt;
mod adopt_interrupted;
mod backup;
mod bad_start;
mod chat;
mod configuration;
mod deliveries;
mod delivery;
mod doctor;
mod first_start;
mod followers;
mod instances;
mod live;
mod observe;
mod operator;
mod pictures;
mod private;
mod proxy_config;
mod releases;
mod reload;
mod restarts;
mod setup;
mod take_over;
mod watching;
