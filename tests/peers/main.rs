//! Servers and signers that others wrote, beside the real program.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
pub mod support;

pub mod peer;

mod fedify;
mod signers;
