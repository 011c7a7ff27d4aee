//! What the world can reach: accept loop, public routes, webhook listener, probes.

pub mod accept;
pub mod answer;
pub mod body;
pub mod client;
pub mod connections;
pub mod documents;
pub mod follow_page;
pub mod limit;
mod pages;
mod patient;
pub mod probes;
pub mod public;
pub mod webhook;
