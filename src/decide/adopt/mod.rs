//! Moving in: what Owncast's own federation knows becomes ours, once, and whatever became of it here stands.
//!
//! Every row that was taken is remembered by a digest of its actor for good, so that taking it again brings nobody back who
//! has left and undoes nothing that was done here.

mod aside;
mod back;
mod posts;
mod rows;
mod undo;

use std::collections::BTreeSet;

use jiff::Timestamp;
use ulid::Ulid;
use url::Url;

use crate::model::Addresses;
use crate::model::adopted::{Accepted, Batch, Deed, Imported, SetAside, Taken, Tally};
use crate::model::block::BlockOwner;
use crate::model::follower::{Follower, FollowerState};
use crate::model::notices::{NoticeKind, Said};
use crate::model::origin::RemotePolicy;
use crate::model::record::{decode, full_key};
use crate::model::{Draft, Record, View};

use super::{blocks, followers};

pub use aside::{due, gave_up, in_vain, refetched, unaskable};
pub use back::{Standing, given, not_given_back, standing, state_there};
pub use posts::place_of;
pub use rows::{Misfit, check, one_spelling};
pub use undo::{Undone, undo};

/// Characters of a name in a long list.
pub const SHORT: usize = 16;
/// So many may leave at once, however few there are.
const FEW_LEAVERS: u64 = 5;

/// What a batch is judged by.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Our ids.
    pub addresses: Addresses,
    /// Which addresses of strangers are taken.
    pub policy: RemotePolicy,
    /// The run it belongs to.
    pub run: u64,
    /// Now.
    pub now: Timestamp,
}

/// Takes a batch over. What it answers for the second time is that all is known.
pub fn take(draft: &mut Draft<'_>, terms: &Terms, batch: &Batch) -> Tally {
    let mut tally = Tally::default();
    for entry in batch.blocked.iter().filter(|entry| !entry.trim().is_empty()) {
        match blocks::parse(entry) {
            Ok(target) => {
                let added = blocks::add(draft, target, BlockOwner::Owncast, terms.now);
                tally.blocks += u64::from(added.is_some());
            }
            Err(problem) => tally.problem(format!("an entry of Owncast's blocked domains: {problem}")),
        }
    }
    for row in &batch.followers {
        rows::take(draft, terms, row, &mut tally);
    }
    for document in &batch.documents {
        posts::take(draft, terms, document, &mut tally);
    }
    for accepted in &batch.accepted {
        tally.accepted += u64::from(remember(draft, terms, accepted));
    }
    tally
}

/// What Owncast has told in its chat is not told again. Its old posts are not among what is told here at all.
fn remember(draft: &mut Draft<'_>, terms: &Terms, accepted: &Accepted) -> bool {
    let kind = match accepted.deed {
        Deed::Follow => NoticeKind::Follow,
        Deed::Like => NoticeKind::Like,
        Deed::Announce => NoticeKind::Announce,
    };
    let ours = Url::parse(&accepted.object).ok() == Url::parse(&terms.addresses.actor()).ok();
    ours && told(draft, kind, &rows::one_spelling(&accepted.actor), accepted.at.min(terms.now))
}

/// Remembers that chat was told something of this person. False if that is known.
fn told(draft: &mut Draft<'_>, kind: NoticeKind, actor: &str, at: Timestamp) -> bool {
    if draft.view().get::<Said>(&Said::key_of(kind, actor, None)).is_some() {
        return false;
    }
    // There is no notice that waits.
    draft.put(&Said::of(kind, actor, None, Ulid::nil(), at));
    true
}

/// Nothing has happened here to a follower since it was taken. A block, which is lifted again, is no such thing.
fn untouched(follower: &Follower, taken: &Taken) -> bool {
    follower.stamp == taken.stamp && follower.parked_from.unwrap_or(follower.state) == taken.state
}

/// Whom a run has seen.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// Whoever is marked with the run.
    InRun,
    /// Whoever is among these, named by the first characters of [`Taken::name_of`]: a dry run leaves no mark.
    Among(&'a BTreeSet<String>),
}

impl Seen<'_> {
    fn saw(&self, actor: &str, taken: Option<&Taken>, terms: &Terms) -> bool {
        match self {
            Seen::InRun => taken.is_some_and(|taken| taken.run == terms.run),
            Seen::Among(names) => {
                Taken::name_of(actor).get(..SHORT).is_some_and(|short| names.contains(short))
            }
        }
    }
}

/// By what it is known who has left.
#[derive(Clone, Copy, Debug)]
pub struct Roll<'a> {
    /// Whom the run has seen in Owncast's table.
    pub seen: Seen<'a>,
    /// Whoever was taken earlier should be in it, but for who came here by itself.
    pub taken: bool,
    /// The moment that names the last giving back to this very table: whoever it wrote there should be in it, too.
    pub given_back: Option<Timestamp>,
}

impl Roll<'_> {
    /// It was written into this table, and has done nothing here since. Another table, such as an older copy in its place, may
    /// never have had it. Moments are names here and are not compared: clocks are set, and a Follow may be under way.
    fn was_given(&self, follower: &Follower) -> bool {
        self.given_back.is_some() && follower.given == self.given_back
    }
}

/// What a look for those who have left has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leavers {
    /// Have left.
    pub left: u64,
    /// Should be in the table, and follow or wait.
    pub of: u64,
}

impl Leavers {
    /// So many do not leave at once; an incomplete database looks like that.
    pub fn too_many(self) -> bool {
        self.left > FEW_LEAVERS && self.left.saturating_mul(3) > self.of
    }
}

/// Forgets whoever was taken earlier or given back, is not in Owncast's table any more, and did nothing here since. That they
/// were taken is forgotten as well, so that a table in which they stand brings them back. Looks at so many followers from
/// `from` on; answers the next to look at.
pub fn leavers(
    draft: &mut Draft<'_>,
    terms: &Terms,
    roll: &Roll<'_>,
    from: &str,
    look: usize,
) -> (Option<String>, Leavers) {
    let (mut next, mut seen, mut gone, mut count) = (None, 0, Vec::new(), Leavers::default());
    let start = full_key(Follower::KIND, from.as_bytes());
    let view = draft.view();
    view.scan_bytes(&[Follower::KIND], &start, &mut |key, value| {
        if seen == look {
            next = key.get(1..).map(|key| String::from_utf8_lossy(key).into_owned());
            return false;
        }
        seen += 1;
        let Some(follower) = decode::<Follower>(value) else { return true };
        if matches!(follower.state, FollowerState::Left | FollowerState::Rejected) {
            return true;
        }
        let taken = taken_of(view, &follower.person.actor);
        let here = roll.seen.saw(&follower.person.actor, taken.as_ref(), terms);
        let given = roll.was_given(&follower);
        let earlier = taken.filter(|taken| roll.taken && taken.run != 0 && !taken.own);
        count.of += u64::from(here || given || earlier.is_some());
        if !here && (given || earlier.is_some_and(|taken| untouched(&follower, &taken))) {
            gone.push(follower.person.actor);
        }
        true
    });
    for actor in &gone {
        followers::forget(draft, actor, terms.now);
        draft.delete::<Taken>(Taken::name_of(actor).as_bytes());
    }
    count.left += gone.len() as u64;
    if from.is_empty() && roll.taken {
        for aside in draft.view().all::<SetAside>(b"") {
            let Some(taken) = taken_of(draft.view(), &aside.row.actor) else { continue };
            count.of += 1;
            if !roll.seen.saw(&aside.row.actor, Some(&taken), terms) {
                draft.delete::<SetAside>(&aside.key());
                draft.delete::<Taken>(&taken.key());
                count.left += 1;
            }
        }
    }
    (next, count)
}

/// Whether anything of Owncast's was taken over, and not back.
pub fn has_taken(view: &dyn View) -> bool {
    [Taken::KIND, Imported::KIND].into_iter().any(|kind| {
        let mut any = false;
        view.scan_bytes(&[kind], &[kind], &mut |_, _| {
            any = true;
            false
        });
        any
    })
}

fn taken_of(view: &dyn View, actor: &str) -> Option<Taken> {
    view.get(Taken::name_of(actor).as_bytes())
}

/// In which state a row of this actor is set aside.
pub(super) fn aside_as(view: &dyn View, actor: &str) -> Option<FollowerState> {
    view.get::<SetAside>(actor.as_bytes()).map(|aside| aside.row.state)
}

/// Something became of a follower here: a row of it that is set aside counts no more, and when it left is remembered.
pub(super) fn became(draft: &mut Draft<'_>, follower: &Follower) {
    let actor = follower.person.actor.as_str();
    forget_aside(draft, actor);
    if follower.state == FollowerState::Left {
        left(draft, actor, follower.changed.max(follower.stamp));
    }
}

/// An actor wants nothing to do with us, or is no more: what Owncast knew of it brings it back no more.
pub(super) fn gone(draft: &mut Draft<'_>, actor: &str, now: Timestamp) {
    // A refusal outlives that, as it does when its row is a follower's.
    let refused = draft.view().get::<SetAside>(actor.as_bytes());
    if let Some(refused) = refused.filter(|aside| aside.row.state == FollowerState::Rejected) {
        draft.put(&SetAside { next: None, ..refused });
    } else if forget_aside(draft, actor) {
        left(draft, actor, now);
    }
}

fn forget_aside(draft: &mut Draft<'_>, actor: &str) -> bool {
    let known = draft.view().get::<SetAside>(actor.as_bytes()).is_some();
    if known {
        draft.delete::<SetAside>(actor.as_bytes());
    }
    known
}

fn left(draft: &mut Draft<'_>, actor: &str, at: Timestamp) {
    if let Some(taken) = taken_of(draft.view(), actor) {
        draft.put(&Taken { left: Some(at), ..taken });
    }
}
