//! A simulated Owncast that answers as the recorded one does.
