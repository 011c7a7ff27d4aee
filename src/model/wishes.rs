//! What the operator wants of the next posts, kept until it is used up or taken back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::view::Meta;

/// Which stream is to have no post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    /// The next session that starts; it becomes [`Skip::Session`] when it does.
    Next,
    /// This session.
    Session(Ulid),
}

/// The operator's wishes. Each survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// A stream that is not announced. Gone when that session is over.
    pub skip: Option<Skip>,
    /// Nothing is announced before this moment. A stream that still runs then is announced then; what is already out
    /// is still edited at its end, since it would be untrue otherwise.
    pub paused_until: Option<Timestamp>,
    /// Text of the next post instead of the configured one. Gone when that post is made.
    pub message: Option<String>,
    /// Restored from a backup at this moment, and not resumed since: nothing is announced or sent, whatever else is wished.
    /// The machine that the backup was made on may still be at work.
    pub restored: Option<Timestamp>,
    /// Announce this running session at once: no delay, no waiting for a picture, even while paused or skipped.
    pub now: Option<Ulid>,
}

impl Meta for Wishes {
    const NAME: &'static str = "wishes";
}
