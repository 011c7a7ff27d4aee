//! Chat notices waiting to be said.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::record::{Record, kind};

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

/// A notice that has not been said yet. Written in the same batch as what it tells of.
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

impl Record for Notice {
    const KIND: u8 = kind::NOTICE;
    fn key(&self) -> Vec<u8> {
        self.id.to_bytes().to_vec()
    }
}

/// That a notice of this person, kind and post was queued once: it never is again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// What was told.
    pub kind: NoticeKind,
    /// Who.
    pub actor: String,
    /// About which post; `None` for a follow or the actor itself.
    pub post: Option<Ulid>,
    /// The notice, for as long as it waits: whoever deletes itself is not told of.
    pub notice: Ulid,
    /// When.
    pub at: Timestamp,
}

impl Said {
    /// The key of a person, kind and post.
    pub fn key_of(kind: NoticeKind, actor: &str, post: Option<Ulid>) -> Vec<u8> {
        let mut key = match kind {
            NoticeKind::Follow => b"f".to_vec(),
            NoticeKind::Like => b"l".to_vec(),
            NoticeKind::Announce => b"a".to_vec(),
        };
        key.extend_from_slice(&post.map_or([0; 16], |post| post.to_bytes()));
        key.extend_from_slice(actor.as_bytes());
        key
    }
}

impl Record for Said {
    const KIND: u8 = kind::SAID;
    fn key(&self) -> Vec<u8> {
        Said::key_of(self.kind, &self.actor, self.post)
    }
}
