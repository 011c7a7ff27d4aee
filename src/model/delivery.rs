//! Activities on their way out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::record::{Record, kind};

/// What an outgoing activity is, as far as its delivery cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutgoingKind {
    /// Answer to a Follow.
    Accept,
    /// Refusal or removal of a follower.
    Reject,
    /// A new post. Worthless once its stream is over.
    Create,
    /// An edit of a post.
    Update,
    /// A removal of a post.
    Delete,
    /// The actor's own document changed.
    ActorUpdate,
}

/// Where an outgoing activity goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One personal inbox; its attempt record is written with it.
    Inbox(String),
    /// Every distinct inbox marked waiting in its chunks.
    Everybody,
    /// Those whom the named earlier activity reached or may have reached. Who never got a post never gets its edit
    /// (Mastodon and GoToSocial would show the edit as a new post).
    ReachedBy(Ulid),
}

/// One activity: its body is stored once, however many inboxes it goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Sortable id: the order of making is the order per inbox.
    pub id: Ulid,
    /// What it is.
    pub kind: OutgoingKind,
    /// The post it is about.
    pub post: Option<Ulid>,
    /// The JSON document as sent.
    pub body: String,
    /// Where it goes.
    pub target: Target,
    /// When it was made.
    pub created: Timestamp,
    /// After this it is not sent any more.
    pub expires: Timestamp,
    /// Number of chunks of its fan-out.
    pub chunks: u32,
    /// The first chunk that may still hold waiting inboxes; equal to `chunks` when the first pass is done.
    pub cursor: u32,
    /// Why its single delivery was given up; kept for the operator to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
}

impl Record for Outgoing {
    const KIND: u8 = kind::OUTGOING;
    fn key(&self) -> Vec<u8> {
        self.id.to_bytes().to_vec()
    }
}

/// Inboxes per chunk of state bytes.
pub const CHUNK_SIZE: u32 = 4096;

/// Key of a chunk: the activity, then the chunk's number.
pub fn chunk_key(outgoing: Ulid, chunk: u32) -> Vec<u8> {
    let mut key = outgoing.to_bytes().to_vec();
    key.extend_from_slice(&chunk.to_be_bytes());
    key
}

/// Reads the key of a chunk.
pub fn read_chunk_key(key: &[u8]) -> Option<(Ulid, u32)> {
    let (id, chunk) = key.split_first_chunk::<16>()?;
    Some((Ulid::from_bytes(*id), u32::from_be_bytes(<[u8; 4]>::try_from(chunk).ok()?)))
}

/// How far the first pass of a fan-out is claimed: what its record says. Empty for a pass that has not begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// The inboxes below this number may have been tried.
    pub below: u32,
    /// Another number each time that the fan-out is opened again, which begins a new pass.
    pub opening: u32,
}

impl Claim {
    /// Reads the record; what is not of this kind is a pass that has not begun.
    pub fn read(value: &[u8]) -> Claim {
        let number = |bytes: Option<&[u8]>| {
            bytes.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map_or(0, u32::from_be_bytes)
        };
        Claim { below: number(value.get(..4)), opening: number(value.get(4..8)) }
    }

    /// The record.
    pub fn write(self) -> Vec<u8> {
        [self.below.to_be_bytes(), self.opening.to_be_bytes()].concat()
    }
}

/// What is known of one inbox in one fan-out: one byte in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum InboxState {
    /// Not a recipient.
    None = 0,
    /// Not tried yet.
    Waiting = 1,
    /// Tried, surely not received; an attempt record says when next.
    Retrying = 2,
    /// Tried, perhaps received (no answer came); an attempt record says when next.
    Uncertain = 3,
    /// Received.
    Reached = 4,
    /// Given up.
    Failed = 5,
    /// Given up without knowing whether it was received.
    Doubtful = 6,
    /// Not tried yet by whom it waits for; perhaps received from a process that died, or before the stream came back.
    Claimed = 7,
    /// Given up at the operator's word.
    Dropped = 8,
    /// The same, without knowing whether it was received.
    DroppedInDoubt = 9,
}

impl InboxState {
    /// Reads a state byte; unknown ones count as not a recipient.
    pub fn of(byte: u8) -> InboxState {
        match byte {
            1 => InboxState::Waiting,
            2 => InboxState::Retrying,
            3 => InboxState::Uncertain,
            4 => InboxState::Reached,
            5 => InboxState::Failed,
            6 => InboxState::Doubtful,
            7 => InboxState::Claimed,
            8 => InboxState::Dropped,
            9 => InboxState::DroppedInDoubt,
            _ => InboxState::None,
        }
    }

    /// The activity was received, or may have been.
    pub fn may_have_it(self) -> bool {
        use InboxState::{Claimed, Doubtful, DroppedInDoubt, Reached, Uncertain};
        matches!(self, Uncertain | Reached | Doubtful | Claimed | DroppedInDoubt)
    }

    /// Nothing more is to come of it, though it is not known to have been received.
    pub fn given_up(self) -> bool {
        use InboxState::{Doubtful, Dropped, DroppedInDoubt, Failed};
        matches!(self, Failed | Doubtful | Dropped | DroppedInDoubt)
    }

    /// It was given up at the operator's word.
    pub fn dropped(self) -> bool {
        matches!(self, InboxState::Dropped | InboxState::DroppedInDoubt)
    }

    /// The first pass of a fan-out has not come to it.
    pub fn waits(self) -> bool {
        matches!(self, InboxState::Waiting | InboxState::Claimed)
    }
}

/// How many inboxes of an activity are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Not tried yet.
    pub waiting: u64,
    /// Tried, surely not received, to be tried again.
    pub retrying: u64,
    /// Tried, perhaps received, to be tried again.
    pub uncertain: u64,
    /// Received.
    pub reached: u64,
    /// Given up.
    pub failed: u64,
    /// Given up without knowing whether it was received.
    pub doubtful: u64,
    /// Given up at the operator's word.
    pub dropped: u64,
    /// Of those, without knowing whether it was received.
    pub dropped_in_doubt: u64,
}

impl Tally {
    /// Counts the inboxes of a chunk.
    pub fn count(&mut self, states: &[u8]) {
        for byte in states {
            self.add(InboxState::of(*byte));
        }
    }

    /// Counts one inbox.
    pub fn add(&mut self, state: InboxState) {
        match state {
            InboxState::None => {}
            InboxState::Waiting | InboxState::Claimed => self.waiting += 1,
            InboxState::Retrying => self.retrying += 1,
            InboxState::Uncertain => self.uncertain += 1,
            InboxState::Reached => self.reached += 1,
            InboxState::Failed => self.failed += 1,
            InboxState::Doubtful => self.doubtful += 1,
            InboxState::Dropped => self.dropped += 1,
            InboxState::DroppedInDoubt => {
                self.dropped += 1;
                self.dropped_in_doubt += 1;
            }
        }
    }

    /// Inboxes of which something is still to come.
    pub fn open(&self) -> u64 {
        self.waiting + self.retrying + self.uncertain
    }

    /// Inboxes given up.
    pub fn given_up(&self) -> u64 {
        self.failed + self.doubtful + self.dropped
    }

    /// Of those, how many may have received it.
    pub fn given_up_in_doubt(&self) -> u64 {
        self.doubtful + self.dropped_in_doubt
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.open() + self.reached + self.given_up()
    }
}

/// One attempt that is due at some time: the retry of an inbox in a fan-out, or a single delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it is due. Part of the key, first, so that the first key is the next job.
    pub due: Timestamp,
    /// Which activity.
    pub outgoing: Ulid,
    /// Which inbox.
    pub inbox: String,
    /// Its number in the fan-out; `None` for a single delivery.
    pub number: Option<u32>,
    /// Attempts made so far.
    pub tries: u32,
    /// How many of them ended with a refused signature.
    pub unauthorised: u32,
    /// An earlier attempt may have been received.
    pub uncertain: bool,
    /// What came of the last attempt, in [`WHY`] characters at most; `None` before the first.
    pub why: Option<String>,
    /// Its activity's time was over when it was put off, though it came due before and was not tried since: it is owed still.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owed: bool,
}

/// Characters of the reason that an attempt keeps.
pub const WHY: usize = 160;

impl Attempt {
    /// The first attempt at the inbox of one person.
    pub fn personal(due: Timestamp, outgoing: Ulid, inbox: String) -> Self {
        Attempt {
            due,
            outgoing,
            inbox,
            number: None,
            tries: 0,
            unauthorised: 0,
            uncertain: false,
            why: None,
            owed: false,
        }
    }
}

impl Record for Attempt {
    const KIND: u8 = kind::ATTEMPT;
    fn key(&self) -> Vec<u8> {
        attempt_key(self.due, self.outgoing, &self.inbox)
    }
}

/// When an attempt is due, by its key.
pub fn due_of_attempt(key: &[u8]) -> Option<Timestamp> {
    let (millis, _) = key.split_first_chunk::<8>()?;
    Timestamp::from_millisecond(i64::try_from(u64::from_be_bytes(*millis)).ok()?).ok()
}

/// Which activity an attempt is for, by its key.
pub fn activity_of_attempt(key: &[u8]) -> Option<Ulid> {
    let id = key.get(8..24).and_then(|id| <[u8; 16]>::try_from(id).ok())?;
    Some(Ulid::from_bytes(id))
}

/// Key of an attempt.
pub fn attempt_key(due: Timestamp, outgoing: Ulid, inbox: &str) -> Vec<u8> {
    let millis = u64::try_from(due.as_millisecond()).unwrap_or(0);
    let mut key = millis.to_be_bytes().to_vec();
    key.extend_from_slice(&outgoing.to_bytes());
    key.extend_from_slice(inbox.as_bytes());
    key
}
