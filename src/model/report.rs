//! Reports from other servers about the stream or its posts, for the operator.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::handle::host_of;
use super::record::{Record, kind};

/// One report (`Flag`), keyed by server, reporter and the activity's id: sent twice, it is kept once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who reports: often a server's own actor, so that nobody learns who complained.
    pub actor: String,
    /// `user@host` of that actor.
    pub handle: String,
    /// The activity's id; empty where none was sent.
    pub activity: String,
    /// What it is about: our actor, posts of ours, or both.
    pub about: Vec<String>,
    /// What the reporter wrote, as sent: untrusted.
    pub text: Option<String>,
    /// When it arrived.
    pub at: Timestamp,
}

impl Report {
    /// Key prefix of all reports of an actor.
    pub fn prefix_of_actor(actor: &str) -> Vec<u8> {
        format!("{}\n{actor}\n", host_of(actor)).into_bytes()
    }

    /// The server of whom a key is of.
    pub fn server_in(key: &[u8]) -> &str {
        let server = key.split(|byte| *byte == b'\n').next().unwrap_or_default();
        std::str::from_utf8(server).unwrap_or_default()
    }
}

impl Record for Report {
    const KIND: u8 = kind::REPORT;
    fn key(&self) -> Vec<u8> {
        let mut key = Report::prefix_of_actor(&self.actor);
        key.extend_from_slice(self.activity.as_bytes());
        key
    }
}
