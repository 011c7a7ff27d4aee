//! The simulated Owncast against recordings of a real one, and its misbehaviour.

mod faults;
mod recorded;
mod support;
mod timeline;
mod versions;
