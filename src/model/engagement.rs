//! Likes, announces and replies, and the memory of what has been handled.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::record::{Record, kind, with_another};

/// A record of [`Engagers`] takes no more once it has so many bytes: it is written anew with each.
const FULL: usize = 3 * 1024;

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

impl EngagementKind {
    /// The last byte of its keys.
    pub fn key_end(self) -> u8 {
        match self {
            EngagementKind::Like => b'l',
            EngagementKind::Announce => b'a',
            EngagementKind::Reply => b'r',
        }
    }
}

/// One like, announce or reply, keyed by actor, post and kind: doing it twice is doing it once, and an actor that is no more
/// is forgotten without a look at all the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engagement {
    /// The post; `None` when the actor itself was liked or shared.
    pub post: Option<Ulid>,
    /// Like, announce or reply.
    pub kind: EngagementKind,
    /// Who.
    pub actor: String,
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
    /// Which of the post's [`Engagers`] have it among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<u64>,
}

/// Key prefix of all engagements of an actor, and of nobody else unless somebody has looked for such a one for long.
pub fn engagements_of(actor: &str) -> Vec<u8> {
    let digest = id_digest(actor);
    digest.get(..10).unwrap_or(&digest).to_vec()
}

/// Key of one engagement. The database is quicker by half with keys of up to 22 bytes: of the actor there is a digest in it,
/// and of the post its time and the part of its id that differs among posts of the same moment.
pub fn engagement_key(post: Option<Ulid>, kind: EngagementKind, actor: &str) -> Vec<u8> {
    let mut key = engagements_of(actor);
    let post = post.map_or([0; 16], |post| post.to_bytes());
    key.extend(post.iter().take(6).chain(post.iter().skip(12)));
    key.push(kind.key_end());
    key
}

/// One of [`Engagers`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engager {
    /// What.
    pub kind: EngagementKind,
    /// Who.
    pub actor: String,
    /// The inbox of who: an edit or a removal of the post goes there as well.
    pub inbox: String,
}

/// Some who liked, announced or answered a post, at about the same time. They share a record: when everybody likes a stream at
/// once, one for each would be half of what is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engagers {
    /// Where they stand: see [`Engagers::key_at`]. Not in the value.
    #[serde(skip)]
    pub key: [u8; 24],
    /// At least one. The last field: more are written behind it.
    pub who: Vec<Engager>,
}

impl Engagers {
    /// The key of those who are listed at this number: the millisecond in which they came, or one of the next if that was full.
    pub fn key_at(post: Ulid, listed: u64) -> [u8; 24] {
        let mut key = [0; 24];
        let bytes = post.to_bytes().into_iter().chain(listed.to_be_bytes());
        key.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
        key
    }

    /// A record's bytes with one more; `None` if it takes no more.
    pub fn and(record: Vec<u8>, engager: &Engager) -> Option<Vec<u8>> {
        with_another(record, engager, FULL)
    }
}

impl Record for Engagers {
    const KIND: u8 = kind::ENGAGERS;
    fn key(&self) -> Vec<u8> {
        self.key.to_vec()
    }
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
