//! Moving in from Owncast's own federation, and back: whoever may read Owncast's database hands over what it holds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::Addresses;
use crate::model::adopted::{Batch, Document, Row, Tally};
use crate::model::follower::{FollowerCounts, FollowerState};

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum Adopting {
    /// Take a batch over.
    Take {
        /// What was found.
        batch: Batch,
    },
    /// Take over what Owncast's API tells, which is less: no inboxes, no posts.
    TakeFromApi {
        /// A number that grows from run to run.
        run: u64,
        /// Do nothing.
        dry_run: bool,
    },
    /// All batches of a run were handed over.
    Finish {
        /// Whose they were; `None` for what the API told.
        of: Option<Addresses>,
        /// The run.
        run: u64,
        /// Whoever was taken earlier and not seen in this run has left.
        leavers: bool,
        /// The moment that names the last giving back to the very table that was read: whoever it gave there and is not in it
        /// any more has left, too.
        given_back: Option<Timestamp>,
        /// For a dry run, which leaves no mark: names of everybody seen, as [`short_name`] makes them.
        present: Vec<String>,
        /// However many have left.
        force: bool,
        /// Do nothing.
        dry_run: bool,
    },
    /// Take back what was taken over and has not changed since.
    Undo {
        /// Do nothing.
        dry_run: bool,
    },
    /// Whose followers these are.
    Whose,
    /// Whether anything was taken over before.
    HasTaken,
    /// Followers as rows of Owncast's.
    FollowersBack {
        /// Only those behind this actor.
        after: Option<String>,
    },
    /// Posts as Owncast keeps them.
    PostsBack {
        /// Only those behind this one.
        after: Option<String>,
    },
    /// What of the settings goes back.
    SettingsBack,
    /// Which of these have left here.
    Left {
        /// Actor ids.
        actors: Vec<String>,
    },
    /// These were written into Owncast's table, or into that of a copy.
    Given {
        /// Actor ids, each with the state of its row.
        followers: Vec<(String, FollowerState)>,
        /// What names this giving back, there and here.
        at: Timestamp,
        /// It is the table that Owncast uses.
        in_place: bool,
    },
    /// Everything was given back: tell followers of the profile a last time.
    GivenBack,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step", content = "data")]
pub enum Adopted {
    /// Of a batch.
    Took(Tally),
    /// Of what the API told.
    TookFromApi {
        /// What became of it.
        tally: Tally,
        /// Nothing changed while it was asked page by page: who is not in it has left.
        whole: bool,
    },
    /// Of a run.
    Finished(Finished),
    /// Of taking back.
    Undone(Undone),
    /// Whose they are; `None` where nobody knows yet who we are.
    Whose(Option<Addresses>),
    /// Whether anything was.
    HasTaken(bool),
    /// Some of the followers.
    FollowersBack {
        /// As rows.
        rows: Vec<Row>,
        /// Where to go on.
        next: Option<String>,
    },
    /// Some of the posts.
    PostsBack {
        /// As documents.
        posts: Vec<Document>,
        /// Where to go on.
        next: Option<String>,
    },
    /// Settings.
    SettingsBack {
        /// Blocked domains, whoever blocked them.
        blocked: Vec<String>,
        /// Blocked actors.
        blocked_actors: Vec<String>,
        /// The go-live message that was taken over.
        go_live_message: Option<String>,
    },
    /// Who has left.
    Left(Vec<String>),
    /// It is remembered who was given back.
    Given,
    /// The Update that is queued; `None` where nobody knows yet who we are.
    GivenBack(Option<String>),
}

/// How things stand at the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// How many have left.
    pub left: u64,
    /// Who follows now.
    pub here: FollowerCounts,
    /// Rows that are set aside.
    pub set_aside: u64,
    /// Of those, the ones of which nobody can be asked.
    pub unaskable: u64,
    /// Posts of Owncast's that answer here.
    pub posts: u64,
    /// What Owncast's API counts; `None` if it was not asked or did not answer.
    pub owncast: Option<OwncastCounts>,
    /// Why it did not.
    pub owncast_problem: Option<String>,
}

/// Followers as Owncast's API counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwncastCounts {
    /// Approved.
    pub approved: u64,
    /// Waiting for an answer.
    pub pending: u64,
    /// Rejected or blocked.
    pub rejected: u64,
}

/// What was taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// Whose followers these are; `None` where nobody knows yet who we are.
    pub actor: Option<String>,
    /// Followers.
    pub followers: u64,
    /// Followers who stay, since something has become of them here.
    pub kept: u64,
    /// Posts.
    pub posts: u64,
}

/// A short name of an actor, for long lists.
pub fn short_name(actor: &str) -> String {
    let mut name = crate::model::adopted::Taken::name_of(actor);
    name.truncate(crate::decide::adopt::SHORT);
    name
}
