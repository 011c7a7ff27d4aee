//! Chat notices waiting to be said.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::engagement::id_digest;
use super::handle::Person;
use super::owner::owner_of;
use super::record::{Record, kind, with_another};

/// A record takes no more notices once it has so many bytes: it is written anew with each.
const FULL: usize = 3 * 1024;
/// Where it begins in a key who was told of.
const WHO_AT: usize = 17;

/// What a notice tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// Somebody follows.
    Follow,
    /// Somebody liked a post.
    Like,
    /// Somebody shared a post.
    Announce,
}

/// A notice that has not been said yet. Written in the same batch as what it tells of, as one of some [`Waiting`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its id; the order of ids is the order of events.
    pub id: Ulid,
    /// What it tells.
    pub kind: NoticeKind,
    /// Who.
    pub actor: String,
    /// Display name as sent by the peer: untrusted.
    pub name: Option<String>,
    /// `user@host`: untrusted too.
    pub handle: String,
    /// The person's page or actor id.
    pub link: String,
    /// True if it is about the post of the stream that is running (worded "this stream").
    pub live_post: bool,
    /// When it happened.
    pub at: Timestamp,
}

impl Notice {
    /// What is told of a person.
    pub fn of(id: Ulid, kind: NoticeKind, person: &Person, live_post: bool, at: Timestamp) -> Self {
        Notice {
            id,
            kind,
            actor: person.actor.clone(),
            name: person.name.clone(),
            handle: person.handle.clone(),
            link: person.url.clone().unwrap_or_else(|| person.actor.clone()),
            live_post,
            at,
        }
    }

    /// About so many bytes are needed to keep it.
    pub fn bytes(&self) -> usize {
        let texts = [Some(&self.actor), self.name.as_ref(), Some(&self.handle), Some(&self.link)];
        200 + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// Notices that wait to be said, and came at about the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Where they stand: at the [key](Waiting::shared_key) that they share, or at the id of the only one. Not in the value.
    #[serde(skip)]
    pub key: [u8; 16],
    /// In the order in which they came. The last field: more are written behind it.
    pub notices: Vec<Notice>,
}

impl Waiting {
    /// The key that the notice of this id shares with those of the same millisecond. No id is like it: each has some entropy.
    pub fn shared_key(id: Ulid) -> [u8; 16] {
        Ulid::from_parts(id.timestamp_ms(), 0).to_bytes()
    }

    /// A record's bytes with one more notice; `None` if it takes no more.
    pub fn and(record: Vec<u8>, notice: &Notice) -> Option<Vec<u8>> {
        with_another(record, notice, FULL)
    }
}

impl Record for Waiting {
    const KIND: u8 = kind::NOTICE;
    fn key(&self) -> Vec<u8> {
        self.key.to_vec()
    }
}

/// That a follow was told once, or a like or share of somebody who is gone since: it never is again. That of anybody else
/// stands with the like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// What was told.
    pub kind: NoticeKind,
    /// Who, as [`Said::who`] says it.
    pub who: String,
    /// About which post; `None` for a follow or the actor itself.
    pub post: Option<Ulid>,
    /// The notice, which may wait still: whoever deletes itself is not told of.
    pub notice: Ulid,
    /// When.
    pub at: Timestamp,
}

impl Said {
    /// That a notice of this actor was queued.
    pub fn of(kind: NoticeKind, actor: &str, post: Option<Ulid>, notice: Ulid, at: Timestamp) -> Said {
        Said { kind, who: Said::who(actor), post, notice, at }
    }

    /// An actor, by a digest and the owner of its server: whoever deletes itself is named nowhere any more, and is no news
    /// when it comes again.
    fn who(actor: &str) -> String {
        format!("{} {}", STANDARD_NO_PAD.encode(id_digest(actor)), owner_of(actor))
    }

    /// The owner of the server of whom a key is of.
    pub fn owner_in(key: &[u8]) -> Option<&str> {
        Some(std::str::from_utf8(key.get(WHO_AT..)?).ok()?.split_once(' ')?.1)
    }

    /// The key of a person, kind and post.
    pub fn key_of(kind: NoticeKind, actor: &str, post: Option<Ulid>) -> Vec<u8> {
        Said::key_by(kind, &Said::who(actor), post)
    }

    fn key_by(kind: NoticeKind, who: &str, post: Option<Ulid>) -> Vec<u8> {
        let mut key = match kind {
            NoticeKind::Follow => b"f".to_vec(),
            NoticeKind::Like => b"l".to_vec(),
            NoticeKind::Announce => b"a".to_vec(),
        };
        key.extend_from_slice(&post.map_or([0; 16], |post| post.to_bytes()));
        key.extend_from_slice(who.as_bytes());
        key
    }
}

impl Record for Said {
    const KIND: u8 = kind::SAID;
    fn key(&self) -> Vec<u8> {
        Said::key_by(self.kind, &self.who, self.post)
    }
}
