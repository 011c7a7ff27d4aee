//! What the operator and Owncast want, as far as decisions need it.

use std::time::Duration;

use crate::model::Addresses;
use crate::model::post::Audience;

/// How long an encoder may be away at most before the stream counts as over.
const GRACE: Duration = Duration::from_secs(30);
/// A stream that has come back this often after its end is waited for longer than that.
const RETURNS: u32 = 2;

/// What happens to a post when its stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEnd {
    /// Edit it: it is over, and how long it ran.
    Update,
    /// Delete it.
    Delete,
    /// Leave it as it is.
    Keep,
}

/// The effective settings of this moment: configuration where it is set, Owncast's answer where it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Our ids.
    pub addresses: Addresses,
    /// Whether go-live posts are made.
    pub go_live: bool,
    /// How long a stream must run before it is announced.
    pub delay: Duration,
    /// How long after the end of an announced stream a new one continues it.
    pub repost_after: Duration,
    /// The least time between two title edits of a post.
    pub title_edits: Duration,
    /// What happens to a post at the end.
    pub on_end: OnEnd,
    /// Whether a picture goes with a post.
    pub with_picture: bool,
    /// Audience of new posts.
    pub audience: Audience,
    /// Follows wait for the operator.
    pub manual_approval: bool,
    /// Go-live text: the operator's, or Owncast's; `None` for the built-in one.
    pub message: Option<String>,
    /// Language of new posts (BCP 47), if the operator says it.
    pub language: Option<String>,
}

impl Rules {
    /// After this long a post goes out without a picture rather than not at all.
    pub fn picture_deadline(&self) -> Duration {
        self.delay.max(Duration::from_secs(90))
    }

    /// How long an encoder may be away before the stream counts as over. A stream that was not waited for long is
    /// not waited for long when it goes either; one that has come back again and again after its end is waited for ever
    /// longer, up to the time for a return: each end and each return is told to everybody.
    pub fn grace(&self, returns: u32) -> Duration {
        let first = self.delay.min(GRACE);
        let doublings = (returns + 1).saturating_sub(RETURNS).min(16);
        let longer = first.max(Duration::from_secs(1)) * 2_u32.pow(doublings);
        if doublings == 0 { first } else { longer.min(self.repost_after).max(first) }
    }
}
