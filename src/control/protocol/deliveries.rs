//! What became of what was sent, and what is on its way.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::delivery::{OutgoingKind, Tally};

/// Some of the activities sent, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityPage {
    /// Those of this page.
    pub activities: Vec<ActivityRow>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
}

/// One activity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityRow {
    /// Its id here.
    pub id: String,
    /// What it is.
    pub kind: OutgoingKind,
    /// Address of the post it is about.
    pub post: Option<String>,
    /// The inbox, if it is for one person.
    pub to: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// After this it is not sent any more.
    pub expires: Timestamp,
    /// Some inboxes have not been tried yet.
    pub first_pass: bool,
    /// Its inboxes by what became of it there.
    pub inboxes: Tally,
    /// Of those to be tried again, how many rest until their server is well.
    pub resting: u64,
}

/// How one activity fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityReport {
    /// The activity.
    pub activity: ActivityRow,
    /// Hosts where it is to be tried again or was given up, in alphabetical order.
    pub hosts: Vec<HostShare>,
    /// How many further hosts there are.
    pub more: u64,
}

/// How an activity fares at one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostShare {
    /// The host.
    pub host: String,
    /// Inboxes there at which it is to be tried again.
    pub open: u64,
    /// Inboxes there at which it was given up.
    pub given_up: u64,
    /// Attempts made at the inbox that was tried most.
    pub tries: u32,
    /// When it is tried next; `None` if that depends on the host alone, or never.
    pub next: Option<Timestamp>,
    /// What is open rests until the host is well.
    pub resting: bool,
    /// What came of the last attempt at what is open.
    pub why: Option<String>,
    /// What an inbox there said of the post that it refused last, this one or another.
    pub refused: Option<String>,
    /// How often the host has failed since it last answered.
    pub failures: u32,
}

/// How things stand with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// Nothing bad is known of it.
    Well,
    /// It failed lately, and is tried as others are.
    Failing,
    /// It failed so often that it is left alone for a while, then asked one thing.
    Shut,
    /// It asked to be left alone.
    Asked,
    /// It has been dead for so long that nothing new is kept for it.
    Parked,
}

/// What is known of a host, and what is on its way there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// The host.
    pub host: String,
    /// How things stand.
    pub state: HostState,
    /// Failures since it last answered.
    pub failures: u32,
    /// When the first of them was.
    pub since: Option<Timestamp>,
    /// Nothing is tried before this.
    pub until: Option<Timestamp>,
    /// Since when it counts as dead.
    pub parked: Option<Timestamp>,
    /// Distinct inboxes there through which somebody follows.
    pub inboxes: u64,
    /// Followers there.
    pub followers: u64,
    /// Deliveries that were not tried yet: to inboxes there that the first pass of a fan-out has not come to, and to one of
    /// them alone.
    pub untried: u64,
    /// Deliveries to be tried again.
    pub again: u64,
    /// Those, and those to one inbox alone: what is due next first, then what rests.
    pub pending: Vec<HostActivity>,
    /// How many further ones there are.
    pub more: u64,
}

/// A delivery to be tried at some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostActivity {
    /// The activity.
    pub activity: String,
    /// What it is; `None` once the activity is forgotten.
    pub kind: Option<OutgoingKind>,
    /// The inbox.
    pub inbox: String,
    /// Attempts made.
    pub tries: u32,
    /// When it is due; `None` while it rests.
    pub due: Option<Timestamp>,
    /// An earlier attempt may have arrived.
    pub uncertain: bool,
    /// What came of the last attempt.
    pub why: Option<String>,
}

/// Deliveries that were given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Those of the newest activities first.
    pub deliveries: Vec<GivenUpRow>,
    /// How many further ones there are.
    pub more: u64,
}

/// A delivery that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUpRow {
    /// The activity.
    pub activity: String,
    /// What it is.
    pub kind: OutgoingKind,
    /// When the activity was made.
    pub created: Timestamp,
    /// The inbox; `None` once it is forgotten.
    pub inbox: Option<String>,
    /// Nobody knows whether it arrived.
    pub doubtful: bool,
    /// It was given up at the operator's word.
    pub dropped: bool,
    /// It is still worth sending.
    pub can_be_retried: bool,
    /// What came of the last attempt; kept of answers to followers only.
    pub why: Option<String>,
    /// What the inbox said of the post that it refused last, this one or another.
    pub refused: Option<String>,
    /// How often its host has failed since it last answered.
    pub failures: u32,
}

/// What was made due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetriedDeliveries {
    /// Deliveries that were to wait longer.
    pub due: u64,
    /// Deliveries that had been given up.
    pub anew: u64,
    /// Deliveries that had been given up, and whose time is over.
    pub over: u64,
    /// Deliveries that rest for servers, each of which is asked now with one of them.
    pub resting: u64,
    /// Servers that asked to be left alone, and until when.
    pub asked: BTreeMap<String, Timestamp>,
}

/// What was given up, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedDeliveries {
    /// Nothing was done.
    pub dry_run: bool,
    /// How many deliveries.
    pub dropped: u64,
    /// How many by what they are.
    pub kinds: BTreeMap<String, u64>,
}
