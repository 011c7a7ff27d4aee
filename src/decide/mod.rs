//! Pure decisions: a view of the store, an event and the time in, changes out.
