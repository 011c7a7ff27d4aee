//! A simulated Owncast and a simulated fediverse, used by `demo` and by the tests.

pub mod demo;
pub mod fediverse;
pub mod owncast;
