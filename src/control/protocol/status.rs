//! The state of the whole agent, as `status` tells it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::WishList;
use crate::agent::board::{Shown, Sources};
use crate::model::delivery::{OutgoingKind, Tally};
use crate::model::follower::FollowerCounts;
use crate::model::host::{HostCounts, Unreached};
use crate::model::post::{Audience, PostState};
use crate::model::stream::Phase;

/// The state of the whole agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Release of the running agent; without one, of the program that answers.
    pub version: String,
    /// An agent runs. Without one this is what its store knows.
    pub running: bool,
    /// Identity settled and store working.
    pub ready: bool,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// What the operator should look at, one text each: what is wrong, and what to do.
    pub attention: Vec<String>,
    /// Who it is in the fediverse.
    pub identity: IdentityStatus,
    /// Owncast as it sees it.
    pub owncast: OwncastStatus,
    /// The stream.
    pub stream: StreamStatus,
    /// The newest session of streaming, if there has been one.
    pub session: Option<SessionStatus>,
    /// The newest go-live post, if there has been one.
    pub announcement: Option<Announcement>,
    /// What the operator wants of the next posts.
    pub wishes: WishList,
    /// Every way on which something is learnt from Owncast.
    pub sources: Sources,
    /// Chat notices seen in chat after they were sent.
    pub notices: Shown,
    /// Followers by state.
    pub followers: FollowerCounts,
    /// What is on its way out.
    pub deliveries: Deliveries,
    /// Number of blocks, those of Owncast's list included.
    pub blocks: u64,
    /// Number of reports from other servers that were not cleared.
    pub reports: u64,
    /// Addresses bound.
    pub listen: ListenStatus,
    /// Every key with its effective value.
    pub settings: Vec<SettingRow>,
}

/// Whether the agent knows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityWord {
    /// It does.
    Settled,
    /// It waits for something.
    Waiting,
}

/// Who the agent is in the fediverse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityStatus {
    /// Settled or waiting.
    pub state: IdentityWord,
    /// What it waits for and what to do; `None` when settled.
    pub why: Option<String>,
    /// Actor id; `None` while waiting, as all below.
    pub actor: Option<String>,
    /// `user@host`.
    pub handle: Option<String>,
    /// Id of the public key.
    pub key_id: Option<String>,
    /// How far a change of the key is; `None` while none is under way.
    pub key_change: Option<KeyChange>,
}

/// How far a change of the actor's key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyChange {
    /// Followers' servers were not told of the next key yet.
    Untold,
    /// Some of them were not reached yet.
    Telling,
    /// All were told, or given up.
    Told,
}

/// Owncast as the agent sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwncastStatus {
    /// Where it is asked.
    pub url: String,
    /// It answered the last time.
    pub reachable: bool,
    /// What is wrong with it.
    pub problem: Option<String>,
    /// Its version, once known.
    pub version: Option<String>,
    /// How far its clock is ahead of ours, in seconds (negative: behind), while that is too far.
    pub clock_offset_seconds: Option<i64>,
    /// Its row id of the agent's webhook, once that is made.
    pub webhook: Option<i64>,
}

/// The stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// `offline`, `connecting`, `live`, `lost` or `ended`; empty before it was looked at.
    pub state: String,
    /// Its title; may be empty.
    pub title: String,
}

/// A session of streaming. Owncast's connections come and go within it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub phase: Phase,
    /// When its first encoder connected.
    pub started: Timestamp,
    /// When its encoder went; only while lost or ended.
    pub gone: Option<Timestamp>,
    /// How many times an encoder has connected, as far as that is remembered.
    pub connections: usize,
}

/// A go-live post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Its address.
    pub post: String,
    /// When it was made.
    pub published: Timestamp,
    /// When it was last edited.
    pub updated: Option<Timestamp>,
    /// Where in its life it is.
    pub state: PostState,
    /// Who may see it.
    pub audience: Audience,
    /// The title in it.
    pub title: String,
    /// Likes standing.
    pub likes: u64,
    /// Shares standing.
    pub shares: u64,
    /// Where it has arrived; `None` once that is forgotten.
    pub reach: Option<Reach>,
}

/// Inboxes by what became of a post in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Received.
    pub reached: u64,
    /// Given up.
    pub failed: u64,
    /// Still to be tried, or tried again.
    pub waiting: u64,
}

/// What is on its way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliveries {
    /// Pairs of activity and inbox not settled yet.
    pub waiting: u64,
    /// Servers that do not take what is sent.
    pub hosts: HostCounts,
    /// Followers on those servers.
    pub unreached: Unreached,
    /// Activities of which some inboxes have not been tried yet, the newest few, newest first.
    pub fan_outs: Vec<FanOut>,
}

/// An activity on its first way to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOut {
    /// Its id.
    pub activity: String,
    /// What it is.
    pub kind: OutgoingKind,
    /// Address of the post it is about.
    pub post: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Its inboxes by what became of it there.
    pub inboxes: Tally,
}

/// Addresses really bound, `address:port`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenStatus {
    /// For the proxy.
    pub public: String,
    /// For Owncast's webhook.
    pub webhook: String,
    /// For probes and metrics.
    pub metrics: String,
}

/// One key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingRow {
    /// Key with its section: `go-live.delay`.
    pub field: String,
    /// Effective value; a secret is only said to be set.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}
