//! Moves an identity that lived in Owncast's own federation in here.
