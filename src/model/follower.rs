//! Followers and the distinct inboxes they are reached at.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{
    handle::Person,
    record::{Record, kind},
    view::Meta,
};

/// Where a follower stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FollowerState {
    /// Accepted: gets posts.
    Approved,
    /// Waits for the operator.
    Pending,
    /// Refused by the operator; a new Follow is refused again.
    Rejected,
    /// Set aside by a block: gets nothing, can be restored.
    Parked,
    /// Has left. Kept for a while, so that an older Follow that arrives late changes nothing.
    Left,
}

/// One follower, keyed by actor id: there is one state per pair of actors, whatever the Follow's id was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    /// Who follows.
    pub person: Person,
    /// Where it stands.
    pub state: FollowerState,
    /// State to return to when a block is lifted.
    pub parked_from: Option<FollowerState>,
    /// Where it says that it has moved to. Only shown: the account there follows if its owner wants it to.
    pub moved_to: Option<String>,
    /// Id of the newest Follow, verbatim: an Accept must repeat it. Absent for imported rows without one.
    pub follow_id: Option<String>,
    /// The actor's id as the newest Follow spells it, where that is another spelling: an Accept must repeat it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spelt: Option<String>,
    /// The newest answer to a Follow: while it waits to be delivered, a newer one takes its place.
    pub answer: Option<Ulid>,
    /// Since when, by our clock.
    pub since: Timestamp,
    /// Order of what was applied: min(signed date, arrival) of the newest Follow, Undo or Block.
    pub stamp: Timestamp,
    /// When the state last changed, by our clock: parked and left records expire from here.
    pub changed: Timestamp,
    /// The moment that names the last giving back which wrote it into a table of Owncast's. Forgotten as soon as it follows, or
    /// is answered, here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Timestamp>,
}

impl Follower {
    /// Somebody of whom it is known only that it has left: a Follow from before `stamp` changes nothing.
    pub fn left(person: Person, stamp: Timestamp, now: Timestamp) -> Self {
        Follower {
            person,
            state: FollowerState::Left,
            parked_from: None,
            moved_to: None,
            follow_id: None,
            spelt: None,
            answer: None,
            since: now,
            stamp,
            changed: now,
            given: None,
        }
    }
}

impl Record for Follower {
    const KIND: u8 = kind::FOLLOWER;
    fn key(&self) -> Vec<u8> {
        self.person.actor.as_bytes().to_vec()
    }
}

/// How many followers are in each state: kept beside them so that nobody has to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowerCounts {
    /// Accepted.
    pub approved: u64,
    /// Waiting for the operator.
    pub pending: u64,
    /// Refused.
    pub rejected: u64,
    /// Set aside by a block.
    pub parked: u64,
}

impl Meta for FollowerCounts {
    const NAME: &'static str = "follower-counts";
}

impl FollowerCounts {
    /// The counter of a state, if that state is counted.
    pub fn of(&mut self, state: FollowerState) -> Option<&mut u64> {
        match state {
            FollowerState::Approved => Some(&mut self.approved),
            FollowerState::Pending => Some(&mut self.pending),
            FollowerState::Rejected => Some(&mut self.rejected),
            FollowerState::Parked => Some(&mut self.parked),
            FollowerState::Left => None,
        }
    }
}

/// How many new followers came from the servers of one owner within a day, so that one cannot send any number of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newcomers {
    /// See [`owner_of`](super::owner::owner_of).
    pub owner: String,
    /// When the first of them came.
    pub since: Timestamp,
    /// How many came since.
    pub count: u32,
}

impl Record for Newcomers {
    const KIND: u8 = kind::NEWCOMERS;
    fn key(&self) -> Vec<u8> {
        self.owner.as_bytes().to_vec()
    }
}

/// How many distinct inboxes on the servers of one owner somebody follows through: kept beside them so that nobody has to
/// count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnersInboxes {
    /// See [`owner_of`](super::owner::owner_of).
    pub owner: String,
    /// How many.
    pub count: u32,
}

impl Record for OwnersInboxes {
    const KIND: u8 = kind::OWNERS_INBOXES;
    fn key(&self) -> Vec<u8> {
        self.owner.as_bytes().to_vec()
    }
}

/// A distinct delivery inbox: a fan-out walks these, never the followers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryInbox {
    /// Stable number; the index of its state byte in every fan-out.
    pub number: u32,
    /// The inbox address.
    pub url: String,
    /// How many approved followers are reached through it.
    pub followers: u64,
    /// When that number last changed: an inbox nobody follows through is forgotten some time after.
    pub changed: Timestamp,
    /// The Accept of the first of them. A post must not come before it: Mastodon drops posts of those nobody follows yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_by: Option<Ulid>,
    /// It refuses what is sent to it, though its server answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusals: Option<Refusals>,
}

impl DeliveryInbox {
    /// An inbox nobody follows through yet.
    pub fn new(number: u32, url: impl Into<String>, changed: Timestamp) -> Self {
        DeliveryInbox { number, url: url.into(), followers: 0, changed, opened_by: None, refusals: None }
    }
}

/// How often in a row, and since when, an inbox has refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// How often.
    pub count: u32,
    /// The first time.
    pub since: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// What it said the last time.
    pub why: String,
}

impl Record for DeliveryInbox {
    const KIND: u8 = kind::INBOX;
    fn key(&self) -> Vec<u8> {
        self.number.to_be_bytes().to_vec()
    }
}

/// How far the followers were looked at again, one after another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revisited {
    /// Where it goes on, in the order in which their turns come.
    pub place: u64,
    /// When it was somebody's turn last; absent before it has begun.
    pub last: Option<Timestamp>,
}

impl Meta for Revisited {
    const NAME: &'static str = "revisited";
}

/// How many inboxes refuse for so long that they are parked: kept beside them so that nobody has to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedInboxes {
    /// How many.
    pub count: u64,
}

impl Meta for ParkedInboxes {
    const NAME: &'static str = "parked-inboxes";
}

/// Finds the number of an inbox by its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxNumber {
    /// The inbox address.
    pub url: String,
    /// Its number.
    pub number: u32,
}

impl Record for InboxNumber {
    const KIND: u8 = kind::INBOX_NUMBER;
    fn key(&self) -> Vec<u8> {
        self.url.as_bytes().to_vec()
    }
}

/// The next free inbox number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextInbox {
    /// Numbers from here on are unused.
    pub next: u32,
}

impl Meta for NextInbox {
    const NAME: &'static str = "next-inbox";
}
