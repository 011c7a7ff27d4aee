//! The simulated Owncast against recordings of a real one, and its misbehaviour.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod faults;
mod recorded;
mod support;
mod timeline;
mod versions;
