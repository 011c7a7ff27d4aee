//! What moves in from Owncast's own federation: its rows as they were found, and what is remembered of having taken them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::addresses::Addresses;
use super::follower::FollowerState;
use super::record::{Record, kind};
use super::secret::fingerprint;

/// A follower as Owncast's table or its API says. Nothing in it is believed before it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The actor's id.
    pub actor: String,
    /// Its inbox; empty where only the API was at hand.
    pub inbox: String,
    /// Its server's shared inbox, which Owncast keeps from 0.3 on.
    pub shared_inbox: Option<String>,
    /// `user@host`, the host without its port.
    pub username: String,
    /// Display name.
    pub name: Option<String>,
    /// Address of the avatar.
    pub icon: Option<String>,
    /// Approved, pending or rejected.
    pub state: FollowerState,
    /// Id of the Follow.
    pub follow_id: Option<String>,
    /// Who followed whom by the Follow as Owncast kept it.
    pub follow: Option<(String, String)>,
    /// When it followed.
    pub since: Timestamp,
}

/// A post of Owncast's, or another thing that it keeps under an address of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its id.
    pub id: String,
    /// Its JSON as stored.
    pub json: String,
    /// When it was made.
    pub at: Timestamp,
}

/// What Owncast remembers of an activity that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// A Follow.
    Follow,
    /// A Like.
    Like,
    /// A share.
    Announce,
}

/// An activity that Owncast took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Who did it.
    pub actor: String,
    /// What.
    pub deed: Deed,
    /// To what: our actor, or a post.
    pub object: String,
    /// When.
    pub at: Timestamp,
}

/// Some of what was found: as much as is handed over at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Whose it is: another actor's is refused.
    pub of: Addresses,
    /// Which run it belongs to: a number that grows.
    pub run: u64,
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
    /// Followers.
    pub followers: Vec<Row>,
    /// Posts.
    pub documents: Vec<Document>,
    /// Activities that were taken.
    pub accepted: Vec<Accepted>,
    /// Owncast's blocked domains as they were typed.
    pub blocked: Vec<String>,
}

impl Batch {
    /// Without anything in it.
    pub fn empty(of: &Addresses, run: u64, dry_run: bool) -> Self {
        Batch {
            of: of.clone(),
            run,
            dry_run,
            followers: Vec::new(),
            documents: Vec::new(),
            accepted: Vec::new(),
            blocked: Vec::new(),
        }
    }
}

/// What became of batches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows of approved followers in Owncast.
    pub approved: u64,
    /// Rows of followers who wait there for an answer.
    pub pending: u64,
    /// Rows of followers rejected or blocked there.
    pub rejected: u64,
    /// Of all rows: new here.
    pub taken: u64,
    /// Taken before, and changed in Owncast since: changed here, too.
    pub changed: u64,
    /// Taken before, or known here already; nothing is done.
    pub known: u64,
    /// Taken before, and have left here, or were answered otherwise here: that stands.
    pub kept: u64,
    /// New here, and set aside by a block.
    pub parked: u64,
    /// Set aside until the actor's own document was read.
    pub set_aside: u64,
    /// Taken before, and not in Owncast's table any more: have left.
    pub left: u64,
    /// Posts that are new here.
    pub posts: u64,
    /// Posts that were here already.
    pub posts_known: u64,
    /// Activities remembered.
    pub accepted: u64,
    /// Blocked domains that are new here.
    pub blocks: u64,
    /// Why rows are set aside until their servers were asked, by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Why rows are set aside of which nobody can be asked, by reason.
    pub unaskable: BTreeMap<String, u64>,
    /// What could not be taken, each with its reason; at most [`PROBLEMS`].
    pub problems: Vec<String>,
}

/// Problems named one by one.
pub const PROBLEMS: usize = 50;

impl Tally {
    /// Names a problem, if not too many were named before.
    pub fn problem(&mut self, text: String) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(text);
        }
    }

    /// Adds what became of another batch.
    pub fn add(&mut self, other: Tally) {
        let Tally { reasons, unaskable, problems, .. } = &other;
        for (mine, theirs) in [(&mut self.reasons, reasons), (&mut self.unaskable, unaskable)] {
            for (reason, count) in theirs {
                *mine.entry(reason.clone()).or_default() += count;
            }
        }
        problems.iter().for_each(|problem| self.problem(problem.clone()));
        for (mine, theirs) in [
            (&mut self.approved, other.approved),
            (&mut self.pending, other.pending),
            (&mut self.rejected, other.rejected),
            (&mut self.taken, other.taken),
            (&mut self.changed, other.changed),
            (&mut self.known, other.known),
            (&mut self.kept, other.kept),
            (&mut self.parked, other.parked),
            (&mut self.set_aside, other.set_aside),
            (&mut self.left, other.left),
            (&mut self.posts, other.posts),
            (&mut self.posts_known, other.posts_known),
            (&mut self.accepted, other.accepted),
            (&mut self.blocks, other.blocks),
        ] {
            *mine += theirs;
        }
    }
}

/// What is remembered of a row that was taken, for as long as the store lives: taking it again must bring nobody back who
/// has left. It does not tell who it is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// SHA-256 of the actor's id, in hexadecimal.
    pub who: String,
    /// SHA-256 of what the row said.
    pub row: String,
    /// The state that was taken.
    pub state: FollowerState,
    /// When the row's Follow was: the stamp of the follower that was made of it.
    pub stamp: Timestamp,
    /// When the follower left, if it did; nothing older brings it back.
    pub left: Option<Timestamp>,
    /// The last run that saw the row; 0 once it was given back, until a run sees it there.
    pub run: u64,
    /// The follower came here by itself, and its row, if there is one, was made of it by giving it back. So it is not undone, and
    /// an older copy of that table may never have had it.
    #[serde(default)]
    pub own: bool,
}

impl Taken {
    /// What names an actor here.
    pub fn name_of(actor: &str) -> String {
        fingerprint(actor)
    }
}

impl Record for Taken {
    const KIND: u8 = kind::TAKEN;
    fn key(&self) -> Vec<u8> {
        self.who.as_bytes().to_vec()
    }
}

/// A row that breaks the rules for actors. Nothing is sent there; the actor's own document decides what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// As it was found.
    pub row: Row,
    /// What is wrong with it.
    pub why: String,
    /// Its Follow may be forged: the actor's document cannot tell, and so the operator decides.
    pub doubted: bool,
    /// How often the actor's document was asked for in vain.
    pub tries: u32,
    /// When it is asked for next; `None` where its address forbids that.
    pub next: Option<Timestamp>,
}

impl Record for SetAside {
    const KIND: u8 = kind::SET_ASIDE;
    fn key(&self) -> Vec<u8> {
        self.row.actor.as_bytes().to_vec()
    }
}

/// A post of Owncast's, which goes on to answer under its old address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// What its address has behind `/federation/`.
    pub place: String,
    /// Its JSON as Owncast stored it.
    pub json: String,
    /// Anybody may read it.
    pub public: bool,
    /// It was deleted.
    pub gone: bool,
    /// When it was made.
    pub at: Timestamp,
}

impl Record for Imported {
    const KIND: u8 = kind::IMPORTED;
    fn key(&self) -> Vec<u8> {
        self.place.as_bytes().to_vec()
    }
}
