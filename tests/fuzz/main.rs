//! Whatever strangers write: it is read or refused, it means one thing, and it takes no liberties.
//!
//! Each target reads its corpus (`tests/fuzz/corpus`, and the fixtures), and what becomes of it by random changes. The
//! same inputs are tried in every run; `HERALD_FUZZ_SEED=<n>` tries others, and `HERALD_FUZZ_CASE=<n>` the one that a
//! failure named. `HERALD_TEST_SIZE` is `quick`, or `full` for fifty times as many, of another seed in each run. What is
//! found is kept in the corpus.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/chance.rs"]
pub mod chance;

mod activities;
mod actors;
mod chat;
mod configuration;
mod mutate;
mod run;
mod signatures;
mod webfinger;
