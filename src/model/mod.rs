//! Pure types that every room shares.
