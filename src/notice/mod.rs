//! Notices in Owncast's chat: wording, escaping, merging, sending.

pub mod confirm;
pub mod escape;
pub mod merge;
pub mod send;
pub mod wording;
