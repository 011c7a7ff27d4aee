//! Several simulated fediverse servers on loopback.
