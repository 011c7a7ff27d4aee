//! What is said on the administration socket: one line of JSON asks, one line of JSON answers.
//!
//! Both sides are of the same release as a rule; the version says so when they are not. What the command line prints
//! with `--json` is the data of an [`Answer`], so these names are an interface: they are added to, not changed.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::follower::FollowerState;

pub mod adopt;
mod blocks;
mod deliveries;
mod status;
mod wishes;

pub use blocks::{BlockKind, BlockList, BlockRow, Blocked, ListedBy, Unblocked};
pub use deliveries::{
    ActivityPage, ActivityReport, ActivityRow, DroppedDeliveries, GivenUp, GivenUpRow, HostActivity,
    HostReport, HostShare, HostState, RetriedDeliveries,
};
pub use status::{
    Announcement, Deliveries, FanOut, IdentityStatus, IdentityWord, KeyChange, ListenStatus, OwncastStatus,
    Reach, SessionStatus, SettingRow, Status, StreamStatus,
};
pub use wishes::{Held, PostPreview, PreviewPicture, Running, SkippedStream, Wish, WishList, Wished};

/// Version of the protocol; counted up when an old side would misunderstand a new one.
pub const VERSION: u32 = 1;

/// Bytes of a request, its newline included. A batch of what moves in fits, and the longest post alone.
pub const LONGEST_REQUEST: usize = 1024 * 1024;

/// Bytes of an answer. A page of [`LARGEST_PAGE`] followers with long names fits.
pub const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
/// Followers in one answer at most.
pub const LARGEST_PAGE: u32 = 5_000;
/// Rows of a report on deliveries at most.
pub const LARGEST_REPORT: u32 = 1_000;

/// What can be asked of a running agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
pub enum Ask {
    /// How it is.
    Status,
    /// Who follows, newest first.
    Followers {
        /// Only those in this state; `None` for all who have not left.
        state: Option<FollowerState>,
        /// How many, at most [`LARGEST_PAGE`].
        limit: u32,
        /// Only those behind this place: the `next` of an earlier page.
        after: Option<Position>,
    },
    /// Let a follower in.
    Approve {
        /// Actor id, page, or `user@host`.
        who: String,
    },
    /// Refuse a follower, now and later.
    Reject {
        /// Actor id, page, or `user@host`.
        who: String,
    },
    /// Remove a follower, who may follow again.
    Remove {
        /// Actor id, page, or `user@host`.
        who: String,
    },
    /// Block a domain or an actor.
    Block {
        /// Domain, actor id, page, or `user@host` of somebody who follows.
        what: String,
        /// Forget the followers it sets aside.
        purge: bool,
    },
    /// Lift a block made here.
    Unblock {
        /// As for [`Ask::Block`].
        what: String,
    },
    /// What is blocked.
    Blocks,
    /// What other servers reported.
    Reports,
    /// Forget what other servers reported.
    ClearReports,
    /// Read the configuration again.
    Reload,
    /// The post as it would go out now.
    Preview,
    /// Announce the running stream at once.
    Now,
    /// Make no post for the running stream, or for the next one.
    Skip {
        /// Take that back.
        undo: bool,
    },
    /// Give the next post another text.
    Message {
        /// The text; `None` takes it back.
        text: Option<String>,
    },
    /// Announce nothing for a while.
    Pause {
        /// How long.
        seconds: u64,
    },
    /// End the pause. While everything was restored from a backup, refused unless that is meant.
    Resume {
        /// End the hold after a restore, too.
        restored: bool,
    },
    /// Everything that is kept, as a file: it follows behind the answer.
    Export,
    /// What was sent and is being sent, newest first.
    Deliveries {
        /// How many activities, at most [`LARGEST_REPORT`].
        limit: u32,
        /// Only older ones than this: the `next` of an earlier page.
        before: Option<String>,
    },
    /// How one activity fares.
    Activity {
        /// Its id, or the id or address of a post.
        activity: String,
        /// How many hosts, at most [`LARGEST_REPORT`].
        limit: u32,
    },
    /// What is known of a host, and what is on its way there.
    Host {
        /// Its name, or an address on it.
        host: String,
        /// How many deliveries, at most [`LARGEST_REPORT`].
        limit: u32,
    },
    /// Deliveries that were given up, of the newest activities first.
    GivenUp {
        /// How many, at most [`LARGEST_REPORT`].
        limit: u32,
    },
    /// Try now what is to be tried later. All of it, where neither is named.
    Retry {
        /// Only of this activity, named as in [`Ask::Activity`].
        activity: Option<String>,
        /// Only to this host, named as in [`Ask::Host`].
        host: Option<String>,
        /// Also what was given up and is not over.
        given_up: bool,
    },
    /// Give up what is on its way. One of both must be named.
    Drop {
        /// Only of this activity, named as in [`Ask::Activity`].
        activity: Option<String>,
        /// Only to this host, named as in [`Ask::Host`].
        host: Option<String>,
        /// Only say what would be given up.
        dry_run: bool,
    },
    /// A step of moving in from Owncast's own federation, or back.
    Adopt {
        /// Which.
        step: adopt::Adopting,
    },
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer", content = "data")]
pub enum Answer {
    /// To [`Ask::Status`].
    Status(Box<Status>),
    /// To [`Ask::Followers`].
    Followers(FollowerPage),
    /// To [`Ask::Approve`], [`Ask::Reject`] and [`Ask::Remove`].
    Judged(Judged),
    /// To [`Ask::Block`].
    Blocked(Blocked),
    /// To [`Ask::Unblock`].
    Unblocked(Unblocked),
    /// To [`Ask::Blocks`].
    Blocks(BlockList),
    /// To [`Ask::Reports`].
    Reports(ReportList),
    /// To [`Ask::ClearReports`].
    ReportsCleared(ReportsCleared),
    /// To [`Ask::Reload`].
    Reloaded(Reloaded),
    /// To [`Ask::Preview`].
    Preview(Box<PostPreview>),
    /// To [`Ask::Now`], [`Ask::Skip`], [`Ask::Message`], [`Ask::Pause`] and [`Ask::Resume`].
    Wished(Wished),
    /// To [`Ask::Deliveries`].
    Deliveries(ActivityPage),
    /// To [`Ask::Activity`].
    Activity(ActivityReport),
    /// To [`Ask::Host`].
    Host(HostReport),
    /// To [`Ask::GivenUp`].
    GivenUp(GivenUp),
    /// To [`Ask::Retry`].
    Retried(RetriedDeliveries),
    /// To [`Ask::Drop`].
    Dropped(DroppedDeliveries),
    /// To [`Ask::Export`]: the file follows, up to the end of the connection.
    Export,
    /// To [`Ask::Adopt`].
    Adopted(Box<adopt::Adopted>),
    /// Nothing was done.
    Refused(Refusal),
}

/// Why nothing was done, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For machines.
    pub code: RefusalCode,
    /// What is in the way and what to do about it.
    pub message: String,
}

/// Why nothing was done, by what the asker can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// The request cannot be understood; the sides may be of different releases.
    BadRequest,
    /// A name, domain or id that means nothing.
    Unreadable,
    /// Nobody and nothing of that name is known.
    Unknown,
    /// The name means several; ask again with one of the ids listed.
    Ambiguous,
    /// It is somebody else's to change.
    NotOurs,
    /// There is nothing to do it with: no stream runs, or it is announced already.
    NothingToDo,
    /// Possible later, once the agent has settled who it is.
    NotYet,
    /// The configuration on disk is bad.
    BadConfiguration,
    /// The store failed or the agent is stopping.
    Unavailable,
    /// Only a running agent can do it.
    NotRunning,
}

/// A place in the list of followers, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// When the follower at this place came.
    pub since: Timestamp,
    /// Its actor id.
    pub actor: String,
}

/// Some of the followers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowerPage {
    /// How many there are in all that were asked for, on all pages.
    pub total: u64,
    /// Those of this page, newest first.
    pub followers: Vec<FollowerRow>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Position>,
}

/// One follower. Handle, name and page are strangers' words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowerRow {
    /// Actor id.
    pub actor: String,
    /// `user@host`.
    pub handle: String,
    /// Display name.
    pub name: Option<String>,
    /// Page for people.
    pub url: Option<String>,
    /// Where it stands.
    pub state: FollowerState,
    /// Where it says that it has moved to.
    pub moved_to: Option<String>,
    /// Since when nothing new is sent there, because its server is dead or its inbox refuses.
    pub parked: Option<Timestamp>,
    /// Why our answer to it did not arrive, if it was given up: it does not know that it follows, or that it may not.
    pub untold: Option<String>,
    /// When it came.
    pub since: Timestamp,
    /// When its state last changed.
    pub changed: Timestamp,
}

/// What became of an answer to a follower.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Actor id.
    pub actor: String,
    /// `user@host`.
    pub handle: String,
    /// Where the follower stands now.
    pub state: FollowerState,
    /// False if it stood there before.
    pub changed: bool,
}

/// What other servers reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportList {
    /// Newest first.
    pub reports: Vec<ReportRow>,
}

/// One report. Handle and text are strangers' words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// Actor id of who reports, often a server's own actor.
    pub actor: String,
    /// `user@host`.
    pub handle: String,
    /// What of ours it is about: the actor, posts, or both.
    pub about: Vec<String>,
    /// What the reporter wrote.
    pub text: Option<String>,
    /// When it arrived.
    pub at: Timestamp,
}

/// The reports were forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportsCleared {
    /// How many there were.
    pub forgotten: u64,
}

/// What reading the configuration again changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Every key whose value is another one than at the last look.
    pub changes: Vec<ChangedSetting>,
    /// Every key whose new value waits for a restart, also from earlier looks.
    pub waiting: Vec<ChangedSetting>,
}

/// One changed key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedSetting {
    /// Key with its section.
    pub field: String,
    /// Old value.
    pub from: String,
    /// New value.
    pub to: String,
    /// The agent goes on with the old one until it is restarted.
    pub needs_restart: bool,
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    v: u32,
    body: T,
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// Why a line could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The other side speaks another version.
    #[error(
        "the other side speaks version {theirs} of the administration protocol, this one version {VERSION}"
    )]
    OtherVersion {
        /// Its version.
        theirs: u32,
    },
    /// Not a line of this protocol.
    #[error("this is not understood: {0}")]
    NotUnderstood(String),
}

/// One line with its newline.
///
/// # Errors
/// What cannot be written as JSON; of the types here, nothing.
pub fn line<T: Serialize>(body: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(&Line { v: VERSION, body })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a line; the version is looked at before the rest, which another version may write otherwise.
///
/// # Errors
/// Another version, or another text.
pub fn read_line<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LineError> {
    let not_understood = |error: serde_json::Error| LineError::NotUnderstood(error.to_string());
    let version: Versioned = serde_json::from_slice(bytes).map_err(not_understood)?;
    if version.v != VERSION {
        return Err(LineError::OtherVersion { theirs: version.v });
    }
    serde_json::from_slice::<Line<T>>(bytes).map(|line| line.body).map_err(not_understood)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_they_say() {
        let ask = Ask::Followers {
            state: Some(FollowerState::Pending),
            limit: 2,
            after: Some(Position { since: Timestamp::UNIX_EPOCH, actor: "https://a.example/u".to_owned() }),
        };
        let bytes = line(&ask).unwrap();
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            concat!(
                r#"{"v":1,"body":{"ask":"followers","state":"pending","limit":2,"#,
                r#""after":{"since":"1970-01-01T00:00:00Z","actor":"https://a.example/u"}}}"#,
                "\n"
            )
        );
        assert_eq!(read_line(&bytes), Ok(ask));
        let answer = Answer::Refused(Refusal { code: RefusalCode::NotYet, message: "a\nb".to_owned() });
        let bytes = line(&answer).unwrap();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1, "one line, whatever is in it");
        assert_eq!(read_line(&bytes), Ok(answer));
    }

    #[test]
    fn another_version_is_told_before_the_rest_is_read() {
        let other = read_line::<Ask>(br#"{"v":2,"body":{"ask":"dance"}}"#);
        assert_eq!(other, Err(LineError::OtherVersion { theirs: 2 }));
        for text in ["", "{}", "[]", r#"{"v":1}"#, r#"{"v":1,"body":{"ask":"dance"}}"#] {
            assert!(matches!(read_line::<Ask>(text.as_bytes()), Err(LineError::NotUnderstood(_))), "{text}");
        }
    }
}
