//! What tests of the real program share: the program itself beside a simulated Owncast, free ports, bounded waits.
//!
//! A test crate includes it with `pub mod support;` (public, so that what one crate does not use is not dead code).

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod agent;
pub mod chance;
pub mod data_dir;
pub mod port;
pub mod stage;
pub mod wait;
