//! Pictures: fetched from Owncast, recognised, described, frozen to a file.
//!
//! A post must keep showing what was live, but Owncast's picture addresses always show *now*: so the agent keeps
//! its own copy under a name made from its bytes. [`recognise`] tells a frame of this stream from what else
//! Owncast puts under that name (pure), [`describe`] measures and shrinks, [`freeze`] keeps the files, [`take`]
//! joins them for one picture, and [`choose`] finds the one that goes with a post.

pub mod choose;
pub mod describe;
pub mod freeze;
pub mod recognise;
pub mod take;
#[cfg(test)]
mod testing;
