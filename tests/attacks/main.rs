//! Attacks on the real program through its real socket. Tests are named after the number of the check they try.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
pub mod support;

mod addresses;
mod blocks;
mod bodies;
mod defects;
mod dialects;
mod documents;
mod effects;
mod floods;
mod follow_page;
mod keys;
mod limits;
mod list;
mod mallory;
mod names;
mod order;
mod origins;
mod pitfalls;
mod private;
mod rfc9421;
mod signatures;
mod silence;
mod target;
mod who;
