//! Posts: what went out, and what became of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::engagement::EngagementKind;
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
    /// Language of the text, as it was known when the post was made (BCP 47). Edits keep to it.
    pub language: Option<String>,
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
    /// The outgoing edit or removal that was made last.
    pub last: Option<Ulid>,
    /// Title edits made so far.
    pub edits: u32,
    /// Likes standing. They and the shares are the last fields: they are counted without a look at the others.
    pub likes: u64,
    /// Announces standing.
    pub shares: u64,
}

/// What of a post decides on what becomes of a like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Standing {
    /// When it was made.
    pub published: Timestamp,
    /// Who may see it.
    pub audience: Audience,
    /// Where in its life it is.
    pub state: PostState,
}

/// In front of the likes in a record's bytes. Nothing in a text is like it, where quotes are escaped.
const LIKES: &[u8] = b",\"likes\":";
/// In front of the shares, behind the likes.
const SHARES: &str = ",\"shares\":";

impl Post {
    /// A record's bytes with one like or share more or fewer; `None` if there is nothing to count. A post that everybody likes
    /// at once is not read and written anew with each.
    pub fn counted(mut record: Vec<u8>, what: EngagementKind, up: bool) -> Option<Vec<u8>> {
        let at = record.windows(LIKES.len()).rposition(|some| some == LIKES)?;
        let counts = std::str::from_utf8(record.get(at + LIKES.len()..)?).ok()?;
        let (likes, shares) = counts.strip_suffix('}')?.split_once(SHARES)?;
        let (mut likes, mut shares): (u64, u64) = (likes.parse().ok()?, shares.parse().ok()?);
        let count = match what {
            EngagementKind::Like => &mut likes,
            EngagementKind::Announce => &mut shares,
            EngagementKind::Reply => return None,
        };
        *count = if up { count.saturating_add(1) } else { count.saturating_sub(1) };
        record.truncate(at + LIKES.len());
        record.extend_from_slice(format!("{likes}{SHARES}{shares}}}").as_bytes());
        Some(record)
    }
}

impl Record for Post {
    const KIND: u8 = kind::POST;
    fn key(&self) -> Vec<u8> {
        self.id.to_bytes().to_vec()
    }
}
