//! Posts: what went out, and what became of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::record::{Record, kind};

/// Who may see a post. Fixed when it is made: an edit never changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// Everybody.
    Public,
    /// Followers only: never in a public collection, every address of it answers 404.
    Followers,
}

/// Where in its life a post is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PostState {
    /// The stream it announces is running.
    Live,
    /// The stream is over.
    Ended,
    /// Deleted: its address answers 410 with a Tombstone.
    Deleted,
}

/// What a picture shows, for those who cannot see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shows {
    /// A frame of the stream.
    Still,
    /// A few seconds of the stream.
    Preview,
    /// The stream's logo.
    Logo,
}

/// A frozen picture that goes with a post or with the actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// File name below the media folder and the media address.
    pub name: String,
    /// True media type, from the bytes.
    pub media_type: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Placeholder, at most 5 components each way (Mastodon).
    pub blurhash: Option<String>,
    /// What is to be seen on it.
    pub shows: Shows,
}

/// One post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Its id, from which every address follows.
    pub id: Ulid,
    /// The stream session it announces.
    pub session: Ulid,
    /// When it was made.
    pub published: Timestamp,
    /// When it was last edited.
    pub updated: Option<Timestamp>,
    /// Safe HTML made by us, as shown now.
    pub content: String,
    /// The text while the stream runs: what an ended post returns to when its stream comes back.
    pub live_content: String,
    /// What the text was made from, as it was written for this post; empty for the built-in one. Edits keep to it.
    pub template: String,
    /// Hashtags without `#`, in order, without repeats.
    pub tags: Vec<String>,
    /// The stream title when the text was made.
    pub title: String,
    /// Not safe for work.
    pub sensitive: bool,
    /// Who may see it.
    pub audience: Audience,
    /// The frozen snapshot.
    pub picture: Option<Picture>,
    /// Alternative text of the picture.
    pub alt: String,
    /// Where in its life it is.
    pub state: PostState,
    /// When the stream ended or the post was deleted.
    pub over: Option<Timestamp>,
    /// The outgoing Create, whose fan-out knows who was reached.
    pub create: Ulid,
    /// Title edits made so far.
    pub edits: u32,
    /// Likes standing.
    pub likes: u64,
    /// Announces standing.
    pub shares: u64,
}

impl Record for Post {
    const KIND: u8 = kind::POST;
    fn key(&self) -> Vec<u8> {
        self.id.to_bytes().to_vec()
    }
}
