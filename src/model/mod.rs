//! Pure types that every room shares.

pub mod origin;
