//! Sources of events: each one a task that hints, while Owncast's answers decide.
