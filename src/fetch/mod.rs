//! Guarded reading of strangers' documents: actors and their keys.
