//! From bytes and headers to a verified activity.
