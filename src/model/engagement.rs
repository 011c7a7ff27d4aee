//! Likes, announces and replies, and the memory of what has been handled.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::record::{Record, kind};

/// What somebody did with a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngagementKind {
    /// Liked it.
    Like,
    /// Shared it with their followers.
    Announce,
    /// Replied to it. Neither counted nor shown: their server shows our post, and is to learn of its edits.
    Reply,
}

/// One like, announce or reply, keyed by post, kind and actor: doing it twice is doing it once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engagement {
    /// The post; `None` when the actor itself was liked or shared.
    pub post: Option<Ulid>,
    /// Like, announce or reply.
    pub kind: EngagementKind,
    /// Who.
    pub actor: String,
    /// The inbox of who: an edit or a removal of the post goes there as well.
    pub inbox: String,
    /// Id of the activity, for an Undo that names only the id; of a reply that of the note, which is what a Delete names.
    pub activity: String,
    /// A digest of the signature that brought it, for as long as it may be sent again; empty for a reply.
    pub signature: String,
    /// When it arrived.
    pub at: Timestamp,
    /// The stamp of the newest request that brought it, where the same id came more than once: an older Undo is not of that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Timestamp>,
    /// Taken back.
    pub undone: bool,
    /// The notice by which chat was told, or is to be: it is told once, however often it is undone and done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Ulid>,
}

/// Key prefix of all engagements of a post (or of the actor itself).
pub fn engagement_prefix(post: Option<Ulid>) -> Vec<u8> {
    post.map_or([0; 16], |post| post.to_bytes()).to_vec()
}

/// Key of one engagement.
pub fn engagement_key(post: Option<Ulid>, kind: EngagementKind, actor: &str) -> Vec<u8> {
    let mut key = engagement_prefix(post);
    key.push(match kind {
        EngagementKind::Like => b'l',
        EngagementKind::Announce => b'a',
        EngagementKind::Reply => b'r',
    });
    key.extend_from_slice(actor.as_bytes());
    key
}

/// What stands for the id of an activity: ids are long, and there are many of them.
pub fn id_digest(id: &str) -> [u8; 16] {
    // Not in one call: that looks the algorithm up each time.
    let mut hash = openssl::sha::Sha256::new();
    hash.update(id.as_bytes());
    let mut digest = [0; 16];
    digest.iter_mut().zip(hash.finish()).for_each(|(place, byte)| *place = byte);
    digest
}

/// Key prefix of what says which engagements are an actor's. No address has a line break in it.
pub fn engaged_prefix(actor: &str) -> Vec<u8> {
    format!("{actor}\n").into_bytes()
}

impl Engagement {
    /// Key that says that this engagement is its actor's.
    pub fn engaged_key(&self) -> Vec<u8> {
        let mut key = engaged_prefix(&self.actor);
        let own = self.key();
        key.extend_from_slice(own.strip_suffix(self.actor.as_bytes()).unwrap_or(&own));
        key
    }
}

impl Record for Engagement {
    const KIND: u8 = kind::ENGAGEMENT;
    fn key(&self) -> Vec<u8> {
        engagement_key(self.post, self.kind, &self.actor)
    }
}

/// Something that has been handled, remembered until `expires`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What: a short tag and whose or which it is. The key, and so not in the value: there are many of these.
    #[serde(skip)]
    pub what: String,
    /// What an Undo needs to find the thing again: the engagement's key in Base64.
    pub leads_to: Option<String>,
    /// The thing was undone, by what has this stamp: whatever comes of it that is not later does nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<Timestamp>,
    /// It was undone before it came, if it is a thing at all: some undo what they have done under another id than its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
    /// When the memory may be forgotten.
    pub expires: Timestamp,
}

impl Record for Seen {
    const KIND: u8 = kind::SEEN;
    fn key(&self) -> Vec<u8> {
        self.what.as_bytes().to_vec()
    }
}
