//! Durable delivery of activities to inboxes.
