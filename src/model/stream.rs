//! The stream as it was last understood: one record that survives restarts of both sides.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::view::Meta;

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// An encoder is connected; not announced yet.
    Connecting,
    /// Announced and running.
    Live,
    /// The encoder went away a moment ago; it may be flapping.
    Lost,
    /// Over.
    Ended,
}

/// One session of streaming. It is ours: Owncast's connections come and go within it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: Ulid,
    /// Where it is.
    pub phase: Phase,
    /// `lastConnectTime` of each connection that belongs to it, oldest first, at most 32 kept.
    pub connections: Vec<Timestamp>,
    /// When its first encoder connected. This and all below are by our clock.
    pub started: Timestamp,
    /// When the encoder that is there, or was there last, connected.
    pub connected: Timestamp,
    /// When it was last seen running, to the minute: the end of a stream that nobody watched ending.
    pub seen: Timestamp,
    /// When its encoder went, as well as that is known; set while lost or ended.
    pub gone: Option<Timestamp>,
    /// Since when the encoder is waited for; set with `gone`. Later than that where nobody knows when it went.
    pub missed: Option<Timestamp>,
    /// How often it came back after it was told to be over, without having run for long since.
    pub returns: u32,
    /// The post that announced it.
    pub post: Option<Ulid>,
    /// Its title when it was last seen running.
    pub title: String,
    /// The title last told to followers.
    pub told_title: String,
    /// When followers were last told anything.
    pub told: Option<Timestamp>,
    /// It is over, and the operator wanted no post for it: nor does he if it comes back.
    pub skipped: bool,
    /// It has been over for so long that whatever comes is another one.
    pub closed: bool,
}

/// Both clocks at one moment: what tells a clock that was set from time that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// Ours.
    pub ours: Timestamp,
    /// Owncast's.
    pub owncasts: Timestamp,
}

/// The newest session, if there has been one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// The newest session.
    pub session: Option<Session>,
    /// Hash of the last picture taken, in hexadecimal: a new stream's first picture must differ.
    pub last_picture: Option<String>,
    /// Both clocks at the last look, to the minute; none while there is nothing to measure.
    pub clocks: Option<Clocks>,
}

impl Meta for Stream {
    const NAME: &'static str = "stream";
}
