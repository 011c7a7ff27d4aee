//! What the world can reach: accept loop, public routes, webhook listener, probes.

pub mod accept;
pub mod answer;
pub mod body;
pub mod client;
pub mod documents;
pub mod follow_page;
mod pages;
pub mod probes;
pub mod public;
pub mod webhook;
