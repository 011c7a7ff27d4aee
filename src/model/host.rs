//! Other servers that are not well, and what is set aside for them; and those that are signed to in another way. A server that
//! is well and verifies what all do has no record here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::delivery::Attempt;
use super::handle::host_of;
use super::record::{Record, kind};
use super::view::Meta;

/// What is known of a server that failed, or that asked to be left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Lower case, with its port if it is not the scheme's default.
    pub host: String,
    /// Failures since it last answered.
    pub failures: u32,
    /// When the first of them was.
    pub since: Option<Timestamp>,
    /// Nothing is tried before this, because it failed so often.
    pub until: Option<Timestamp>,
    /// Nothing is tried before this, by its own word.
    pub asked: Option<Timestamp>,
    /// Since when it counts as dead: new activities are not kept for it, its followers are.
    pub parked: Option<Timestamp>,
    /// When what rests for it is looked at; present for as long as something may rest.
    pub alarm: Option<Timestamp>,
    /// When any of this last changed.
    pub changed: Timestamp,
}

impl Host {
    /// A server of which nothing bad is known.
    pub fn well(host: &str, now: Timestamp) -> Self {
        Host {
            host: host.to_owned(),
            failures: 0,
            since: None,
            until: None,
            asked: None,
            parked: None,
            alarm: None,
            changed: now,
        }
    }
}

impl Record for Host {
    const KIND: u8 = kind::HOST;
    fn key(&self) -> Vec<u8> {
        self.host.as_bytes().to_vec()
    }
}

/// A server that verifies RFC 9421 and refuses cavage, which nearly all verify and which is therefore tried first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rfc9421Only {
    /// As that of [`Host`].
    pub host: String,
    /// Until when that is believed: it may be updated.
    pub until: Timestamp,
}

impl Record for Rfc9421Only {
    const KIND: u8 = kind::SCHEME;
    fn key(&self) -> Vec<u8> {
        self.host.as_bytes().to_vec()
    }
}

/// An attempt that is not due at any time, but when its host is well again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resting(pub Attempt);

impl Record for Resting {
    const KIND: u8 = kind::RESTING;
    fn key(&self) -> Vec<u8> {
        let mut key = resting_prefix(&host_of(&self.0.inbox));
        key.extend_from_slice(&self.0.outgoing.to_bytes());
        key.extend_from_slice(self.0.inbox.as_bytes());
        key
    }
}

/// Prefix of the keys of what rests for a host, which are in the order in which the activities were made.
pub fn resting_prefix(host: &str) -> Vec<u8> {
    let mut key = host.as_bytes().to_vec();
    // No host holds a line feed.
    key.push(b'\n');
    key
}

/// Which activity something that rests is for, by its key.
pub fn activity_of_resting(key: &[u8]) -> Option<Ulid> {
    let host = key.iter().position(|byte| *byte == b'\n')?;
    let id = key.get(host + 1..host + 17).and_then(|id| <[u8; 16]>::try_from(id).ok())?;
    Some(Ulid::from_bytes(id))
}

/// Key of an alarm.
pub fn alarm_key(at: Timestamp, host: &str) -> Vec<u8> {
    let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
    let mut key = millis.to_be_bytes().to_vec();
    key.extend_from_slice(host.as_bytes());
    key
}

/// Reads the key of an alarm.
pub fn read_alarm_key(key: &[u8]) -> Option<(Timestamp, &str)> {
    let (millis, host) = key.split_first_chunk::<8>()?;
    let millis = i64::try_from(u64::from_be_bytes(*millis)).ok()?;
    Some((Timestamp::from_millisecond(millis).ok()?, str::from_utf8(host).ok()?))
}

/// How many servers are not well: kept beside them so that nobody has to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCounts {
    /// Failed so often that they are asked one thing at a time, after a pause.
    pub shut: u64,
    /// Of these, dead for so long that nothing new is kept for them.
    pub parked: u64,
}

impl Meta for HostCounts {
    const NAME: &'static str = "host-counts";
}
