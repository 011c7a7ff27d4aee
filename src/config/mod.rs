//! `agent.toml` as written, the validated configuration, and secrets.
