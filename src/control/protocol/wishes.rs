//! What the operator wants of the next posts, and the next post itself.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::post::Audience;

/// What was wished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// The running stream is announced at once.
    Now,
    /// A stream has no post.
    Skip,
    /// That was taken back.
    SkipUndone,
    /// The next post has another text.
    Message,
    /// That was taken back.
    MessageCleared,
    /// Nothing is announced for a while.
    Pause,
    /// The pause is over.
    Resume,
    /// The hold after a restore is over, and the pause if there was one.
    Released,
}

/// A wish is kept, and what follows from all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wished {
    /// What was wished.
    pub wish: Wish,
    /// False if it was so before.
    pub changed: bool,
    /// The stream that runs, if one does.
    pub running: Option<Running>,
    /// Everything that is wished now.
    pub wishes: WishList,
    /// What keeps the running stream, or the next one if that is announced or none runs, from being announced.
    pub held: Option<Held>,
    /// How long a stream must run before it is announced.
    pub delay_seconds: u64,
}

/// A stream that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its title; may be empty.
    pub title: String,
    /// Address of the post that announces it; `None` if there is none yet.
    pub post: Option<String>,
}

/// Everything that is wished.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WishList {
    /// The stream that has no post.
    pub skip: Option<SkippedStream>,
    /// Nothing is announced before this moment.
    pub paused_until: Option<Timestamp>,
    /// Text of the next post.
    pub message: Option<String>,
    /// Restored from a backup at this moment, and not resumed since: nothing is announced or sent.
    pub restored: Option<Timestamp>,
    /// The running stream is announced at the next look at Owncast.
    pub now: bool,
}

/// Which stream has no post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkippedStream {
    /// The one that runs.
    This,
    /// The one that starts next.
    Next,
}

/// What keeps a post from being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Held {
    /// Go-live posts are switched off.
    Off,
    /// The operator wants none for this stream.
    Skip,
    /// The operator wants none for a while.
    Pause {
        /// Until when.
        until: Timestamp,
    },
    /// Everything was restored from a backup, and nothing is sent before the operator says so.
    Restored {
        /// When.
        since: Timestamp,
    },
}

/// A post as it would go out now. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostPreview {
    /// Its text.
    pub text: String,
    /// The same as HTML, as it would be sent.
    pub html: String,
    /// The stream's title in it; may be empty.
    pub title: String,
    /// Owncast does not answer, and title and text are made from what it said last.
    pub from_memory: bool,
    /// Hashtags without `#`.
    pub tags: Vec<String>,
    /// Marked as not safe for work.
    pub sensitive: bool,
    /// Who may see it.
    pub audience: Audience,
    /// Followers it would go to.
    pub followers: u64,
    /// Inboxes it would be delivered to: followers on one server share one.
    pub inboxes: u64,
    /// The picture that would go with it.
    pub picture: Option<PreviewPicture>,
    /// Why there is none.
    pub no_picture: Option<String>,
    /// The text is the operator's message for this one post.
    pub message_for_this_post: bool,
    /// The stream that runs, if one does.
    pub running: Option<Running>,
    /// What keeps it from going out.
    pub held: Option<Held>,
}

/// A picture, kept for looking at until the next preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewPicture {
    /// Where it is.
    pub file: PathBuf,
    /// `image/jpeg`, `image/png` or `image/gif`.
    pub media_type: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Size of the file.
    pub bytes: u64,
    /// Alternative text.
    pub alt: String,
}
