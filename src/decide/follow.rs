//! Follow, Undo(Follow), and the operator's answers to them.

use std::time::Duration;

use jiff::Timestamp;

use super::seen::{self, later};
use super::{Moment, Rules, adopt, followers, refusals, waiting};
use crate::activitypub::vocab;
use crate::model::delivery::{Attempt, Outgoing, OutgoingKind, Target};
use crate::model::follower::{Follower, FollowerState, Newcomers};
use crate::model::handle::Person;
use crate::model::notices::{Notice, NoticeKind, Said};
use crate::model::owner::owner_of;
use crate::model::{Addresses, Draft, View};

/// An Accept or Reject is worth sending for this long.
pub(super) const ANSWER_LIFE: Duration = Duration::from_secs(3 * 24 * 3600);

/// New followers taken within [`DAY`] from the servers of one owner. Most streams have fewer in all.
pub const OF_AN_OWNER: u32 = 3000;
/// How long new followers of an owner are counted together.
pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// What became of a Follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// A new follower, accepted.
    Accepted,
    /// Was accepted before; the Accept goes out again, since the peer may have lost it.
    AcceptedAgain,
    /// Waits for the operator.
    Waits,
    /// Refused before, refused again.
    Refused,
    /// Older than what is known, or set aside by a block: nothing changed.
    Ignored,
    /// So many are new of this owner's that no more are taken for so many seconds: nothing changed.
    TooMany(u32),
    /// So many inboxes of this owner's are delivered to that there is no room for another one: nothing changed.
    TooManyInboxes,
}

/// What the answer to a Follow repeats of it byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AsSent {
    /// Its id; some send none.
    pub id: Option<String>,
    /// The actor's id, where the Follow spells it otherwise than it is kept here.
    pub actor: Option<String>,
}

impl From<Option<String>> for AsSent {
    fn from(id: Option<String>) -> Self {
        AsSent { id, actor: None }
    }
}

/// Somebody follows. `stamp` is min(signed date, arrival): ids cannot order Follows, since several peers reuse them.
pub fn follow(
    draft: &mut Draft<'_>,
    moment: &mut Moment,
    rules: &Rules,
    person: Person,
    sent: impl Into<AsSent>,
    stamp: Timestamp,
) -> Followed {
    let AsSent { id: follow_id, actor: spelt } = sent.into();
    let known: Option<Follower> = draft.view().get(person.actor.as_bytes());
    if known.as_ref().is_some_and(|known| stamp < known.stamp || known.state == FollowerState::Parked) {
        return Followed::Ignored;
    }
    // Undone by its id alone, before it came.
    let undone = |id| seen::undone_since(draft.view(), &person.actor, id, stamp, moment.now);
    if follow_id.as_deref().and_then(undone).is_some() {
        return Followed::Ignored;
    }
    let before = known.as_ref().map(|known| known.state);
    // Who comes and goes is no newcomer each time; who was only ever heard to leave is.
    let is_new =
        known.as_ref().is_none_or(|known| known.state == FollowerState::Left && known.follow_id.is_none());
    let state = match before {
        Some(FollowerState::Approved) => FollowerState::Approved,
        Some(FollowerState::Rejected) => FollowerState::Rejected,
        // An answer that was given, or is owed, where the actor moved in from counts before its row is believed.
        _ => match adopt::aside_as(draft.view(), &person.actor) {
            Some(aside @ (FollowerState::Rejected | FollowerState::Pending)) => aside,
            _ if rules.manual_approval => FollowerState::Pending,
            _ => FollowerState::Approved,
        },
    };
    if state == FollowerState::Approved && !followers::has_room(draft.view(), known.as_ref(), &person) {
        return Followed::TooManyInboxes;
    }
    if is_new && let Err(seconds) = welcome(draft, &person.actor, moment.now) {
        return Followed::TooMany(seconds);
    }
    let again = known.as_ref().filter(|known| known.state == state);
    let mut follower = Follower {
        person,
        state,
        parked_from: None,
        moved_to: None,
        follow_id,
        spelt,
        answer: known.as_ref().and_then(|known| known.answer),
        since: again.map_or(moment.now, |known| known.since),
        stamp,
        changed: again.map_or(moment.now, |known| known.changed),
        given: None,
    };
    let addresses = &rules.addresses;
    let followed = match (state, before) {
        (FollowerState::Approved, Some(FollowerState::Approved)) => {
            answer(draft, moment, addresses, &mut follower, OutgoingKind::Accept);
            Followed::AcceptedAgain
        }
        (FollowerState::Approved, _) => {
            answer(draft, moment, addresses, &mut follower, OutgoingKind::Accept);
            tell(draft, moment, &follower);
            Followed::Accepted
        }
        (FollowerState::Rejected, _) => {
            answer(draft, moment, addresses, &mut follower, OutgoingKind::Reject);
            Followed::Refused
        }
        _ => Followed::Waits,
    };
    followers::settle(draft, &follower);
    refusals::spoke(draft, &follower.person.actor);
    seen::followed(draft, &follower.person.actor);
    followed
}

/// Counts one more new follower, or says for how many seconds there were too many of the same owner.
fn welcome(draft: &mut Draft<'_>, actor: &str, now: Timestamp) -> Result<(), u32> {
    let owner = owner_of(actor);
    let known: Option<Newcomers> = draft.view().get(owner.as_bytes());
    let known = known.filter(|known| later(known.since, DAY) > now && known.since <= now);
    let Newcomers { since, count, .. } =
        known.unwrap_or(Newcomers { owner: String::new(), since: now, count: 0 });
    if count >= OF_AN_OWNER {
        let seconds = later(since, DAY).duration_since(now).as_secs();
        return Err(u32::try_from(seconds).unwrap_or_default().max(1));
    }
    draft.put(&Newcomers { owner, since, count: count + 1 });
    Ok(())
}

/// Whether a Follow, or an Undo of one, counts although the very same bytes came before.
///
/// Where ids are used again, a Follow, its Undo and the next Follow within one second are signed alike, and what came last
/// is to count. So each counts again once the other has come since: it is no older than what it changes, for its stamp
/// would be.
pub fn counts_again(view: &dyn View, undoes: bool, actor: &str, now: Timestamp) -> bool {
    match undoes {
        false => seen::has_unfollowed(view, actor, now),
        true => {
            view.get::<Follower>(actor.as_bytes()).is_some_and(|known| known.state != FollowerState::Left)
        }
    }
}

/// Somebody takes a Follow back. Matched by the pair of actors, never by id. True if something changed.
pub fn undo(draft: &mut Draft<'_>, moment: &Moment, person: &Person, stamp: Timestamp) -> bool {
    let known: Option<Follower> = draft.view().get(person.actor.as_bytes());
    let left = match known {
        Some(known) if stamp < known.stamp => return false,
        // A refusal by the operator outlives the Undo; a parked follower who leaves is not restored later.
        Some(known) if known.state == FollowerState::Rejected => {
            draft.put(&Follower { stamp, ..known });
            return false;
        }
        Some(known) => {
            Follower { state: FollowerState::Left, parked_from: None, stamp, changed: moment.now, ..known }
        }
        None if adopt::aside_as(draft.view(), &person.actor) == Some(FollowerState::Rejected) => {
            return false;
        }
        // The Undo came first: remembered, so that the older Follow behind it changes nothing.
        None => Follower::left(person.clone(), stamp, moment.now),
    };
    followers::settle(draft, &left);
    seen::unfollowed(draft, &person.actor, moment.now);
    true
}

/// The operator's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let a pending or refused follower in.
    Approve,
    /// Refuse a pending follower, now and later.
    Reject,
    /// Remove a follower; it may follow again.
    Remove,
}

/// Why an answer could not be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAnswered {
    /// No such follower.
    Unknown,
    /// It is in that state already.
    Already,
    /// It is set aside by a block; lift that first.
    Blocked,
}

/// Carries out the operator's answer and tells the follower's server: an Accept or Reject that embeds the Follow.
pub fn judge(
    draft: &mut Draft<'_>,
    moment: &mut Moment,
    addresses: &Addresses,
    actor: &str,
    verdict: Verdict,
) -> Result<(), NotAnswered> {
    let known: Option<Follower> = draft.view().get(actor.as_bytes());
    let Some(mut follower) = known.filter(|known| known.state != FollowerState::Left) else {
        return Err(NotAnswered::Unknown);
    };
    let state = match verdict {
        Verdict::Approve => FollowerState::Approved,
        Verdict::Reject => FollowerState::Rejected,
        Verdict::Remove => FollowerState::Left,
    };
    if follower.state == FollowerState::Parked {
        return Err(NotAnswered::Blocked);
    }
    if follower.state == state {
        return Err(NotAnswered::Already);
    }
    follower.state = state;
    follower.changed = moment.now;
    follower.given = None;
    match verdict {
        Verdict::Approve => {
            answer(draft, moment, addresses, &mut follower, OutgoingKind::Accept);
            tell(draft, moment, &follower);
        }
        Verdict::Reject | Verdict::Remove => {
            answer(draft, moment, addresses, &mut follower, OutgoingKind::Reject)
        }
    }
    followers::settle(draft, &follower);
    Ok(())
}

/// Queues an Accept or Reject to the follower's personal inbox (PeerTube refuses it at a shared one). It takes the place
/// of an answer that still waits: who follows again and again from a server that is down leaves one behind, not one each.
fn answer(
    draft: &mut Draft<'_>,
    moment: &mut Moment,
    addresses: &Addresses,
    follower: &mut Follower,
    kind: OutgoingKind,
) {
    let id = moment.ulid();
    withdraw(draft, follower);
    follower.answer = Some(id);
    let actor = follower.spelt.as_deref().unwrap_or(&follower.person.actor);
    let follow_id = follower.follow_id.as_deref();
    let body = match kind {
        OutgoingKind::Reject => vocab::follow::reject(addresses, id, follow_id, actor),
        _ => vocab::follow::accept(addresses, id, follow_id, actor),
    };
    let inbox = follower.person.inbox.clone();
    draft.put(&Outgoing {
        id,
        kind,
        post: None,
        body: body.to_string(),
        target: Target::Inbox(inbox.clone()),
        created: moment.now,
        expires: later(moment.now, ANSWER_LIFE),
        chunks: 0,
        cursor: 0,
        given_up: None,
    });
    draft.put(&Attempt::personal(moment.now, id, inbox));
}

/// Takes back the answer to a follower, if it still waits. Its attempt finds it gone, and goes with it.
pub(super) fn withdraw(draft: &mut Draft<'_>, follower: &Follower) {
    if let Some(id) = follower.answer {
        draft.delete::<Outgoing>(&id.to_bytes());
    }
}

/// Queues the chat notice of a new follower: one per follower, ever.
fn tell(draft: &mut Draft<'_>, moment: &mut Moment, follower: &Follower) {
    let person = &follower.person;
    if draft.view().get::<Said>(&Said::key_of(NoticeKind::Follow, &person.actor, None)).is_some() {
        return;
    }
    let id = moment.ulid();
    draft.put(&Said::of(NoticeKind::Follow, &person.actor, None, id, moment.now));
    waiting::add(draft, &Notice::of(id, NoticeKind::Follow, person, false, moment.now));
}
