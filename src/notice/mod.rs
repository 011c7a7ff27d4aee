//! Notices in Owncast's chat: wording, escaping, merging, sending.
