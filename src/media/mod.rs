//! Pictures: fetched from Owncast, recognised, frozen to a file, described.
