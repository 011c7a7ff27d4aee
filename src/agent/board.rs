//! What the agent knows about its surroundings at this moment, for `status` and the probes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How things stand with Owncast.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// Owncast answered the last time it was asked.
    pub reachable: bool,
    /// What is wrong with Owncast, in words for the operator.
    pub problem: Option<String>,
    /// Its version, once it was asked.
    pub version: Option<String>,
    /// The webhook has been seen to work.
    pub webhook: Way,
    /// The chat websocket.
    pub websocket: Way,
    /// A stream is running, by the session machine: `offline`, `connecting`, `live`, `lost`, `ended`.
    pub stream: String,
    /// Title of the running stream.
    pub title: String,
    /// When Owncast last answered.
    pub answered: Option<Timestamp>,
}

/// Whether one of the two ways on which Owncast tells us things works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum Way {
    /// Not tried yet.
    #[default]
    Untried,
    /// Proved to work.
    Works,
    /// Does not work; polling goes on.
    Broken(String),
    /// Switched off in the configuration.
    Off,
}
