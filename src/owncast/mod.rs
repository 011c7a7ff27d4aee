//! Everything that speaks to Owncast.
