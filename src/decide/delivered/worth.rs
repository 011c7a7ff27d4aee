//! Whether something is still to be sent: much may have happened since it was queued.

use std::time::Duration;

use jiff::Timestamp;
use ulid::Ulid;
use url::Url;

use super::super::seen::later;
use super::super::{engage, followers, refusals};
use super::{Job, state_of, taken_back};
use crate::model::View;
use crate::model::delivery::{InboxState, Outgoing, OutgoingKind, Target};
use crate::model::facts::Profile;
use crate::model::follower::{DeliveryInbox, Follower, FollowerState};
use crate::model::post::{Audience, Post, PostState};

/// A post waits at most so long for the Accept of its only reader.
const ACCEPT_FIRST: Duration = Duration::from_secs(3600);

/// Whether an activity is still worth sending to an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Send it.
    Send,
    /// Not yet: something else goes first at this inbox.
    Behind,
    /// It has no business there: the inbox never got the post this is about, or nobody there may see it any more.
    Skip,
    /// Its time is over.
    Expired,
}

/// Decides, at the last moment, whether a job is still to be done. `blocked` is the answer for the inbox's host.
pub fn worth(view: &dyn View, outgoing: &Outgoing, job: &Job, blocked: bool, now: Timestamp) -> Worth {
    if blocked || over(view, outgoing, now) && !owed(view, outgoing, job) {
        Worth::Expired
    } else {
        worth_there(view, outgoing, job, now)
    }
}

/// Whether a job is to be done though the time of its activity is over. It was due before: we were not there to do it, or our
/// clock has jumped ahead. Whatever is true is told once more then, also when that has to be put off; only of a stream nobody
/// knows any more whether it runs. It ends with its activity, which is kept for a month longer at most.
pub fn owed(view: &dyn View, outgoing: &Outgoing, job: &Job) -> bool {
    outgoing.kind != OutgoingKind::Create
        && (job.owed || job.was_due_before(outgoing.expires))
        && still_true(view, outgoing)
}

/// Whether an activity's time is over, whoever it is for: asked once for many jobs.
pub fn over(view: &dyn View, outgoing: &Outgoing, now: Timestamp) -> bool {
    outgoing.expires <= now || !still_true(view, outgoing)
}

/// Whether what was given up of an activity is worth another try if the operator wants that. An answer to a follower is for as
/// long as it says what is so: until then the follower does not know.
pub fn worth_a_retry(view: &dyn View, outgoing: &Outgoing, now: Timestamp) -> bool {
    match outgoing.target {
        Target::Inbox(_) => still_true(view, outgoing),
        Target::Everybody | Target::ReachedBy(_) => !over(view, outgoing, now),
    }
}

/// Whether an activity whose time is not over has any business at the inbox of `job`.
pub fn worth_there(view: &dyn View, outgoing: &Outgoing, job: &Job, now: Timestamp) -> Worth {
    if taken_back(view, job) || out_of_sight(view, outgoing, job) {
        return Worth::Skip;
    }
    match (&outgoing.target, job.number) {
        (Target::ReachedBy(create), Some(number)) => match state_of(view, *create, number) {
            // A post that is still on its way to this inbox goes out in its newest words; one that failed stays unknown.
            state if !state.may_have_it() => Worth::Skip,
            // Nobody knows whether the post arrived, and it is to be sent once more. Behind that, the order there is the
            // order in which things were made.
            InboxState::Uncertain | InboxState::Claimed if still_sent(view, *create, now) => Worth::Behind,
            _ => Worth::Send,
        },
        (Target::Everybody, Some(number)) => match view.get::<DeliveryInbox>(&number.to_be_bytes()) {
            Some(inbox) if inbox.followers > 0 && !refusals::left_alone(&inbox, now) => {
                if waits_for_accept(view, &inbox, now) { Worth::Behind } else { Worth::Send }
            }
            // Everybody behind this inbox left, was removed or was blocked since the activity was queued; or it has refused
            // for long.
            _ => Worth::Expired,
        },
        _ => Worth::Send,
    }
}

/// Whether it is an edit of a post for followers, and nobody who follows is reached at the inbox of `job` any more. A removal
/// tells nothing, and goes wherever the post may be.
fn out_of_sight(view: &dyn View, outgoing: &Outgoing, job: &Job) -> bool {
    let post = outgoing.post.filter(|_| outgoing.kind == OutgoingKind::Update);
    let post = post.and_then(|post| engage::standing(view, post));
    post.is_some_and(|post| post.audience == Audience::Followers)
        && followers::followers_through(view, &job.inbox) == 0
}

/// Whether the only follower behind an inbox has not been told yet that it follows. An Accept that does not arrive for
/// long may have arrived all the same: it keeps nothing waiting.
fn waits_for_accept(view: &dyn View, inbox: &DeliveryInbox, now: Timestamp) -> bool {
    let Some(accept) = inbox.opened_by.filter(|_| inbox.followers == 1) else { return false };
    let made: Option<Outgoing> = view.get(&accept.to_bytes());
    made.is_some_and(|made| later(made.created, ACCEPT_FIRST) > now) && still_sent(view, accept, now)
}

/// Whether an activity may be sent still.
fn still_sent(view: &dyn View, id: Ulid, now: Timestamp) -> bool {
    let outgoing: Option<Outgoing> = view.get(&id.to_bytes());
    outgoing.is_some_and(|outgoing| outgoing.given_up.is_none() && !over(view, &outgoing, now))
}

/// Whether an edit has nothing to tell any more, since a later one tells it: its end is no failure.
pub(super) fn overtaken(view: &dyn View, outgoing: &Outgoing) -> bool {
    matches!(outgoing.kind, OutgoingKind::Update | OutgoingKind::ActorUpdate) && !still_true(view, outgoing)
}

/// Whether an activity still says what is so. A retry must not undo what a later activity has told.
pub fn still_true(view: &dyn View, outgoing: &Outgoing) -> bool {
    let post: Option<Post> = outgoing.post.and_then(|id| view.get(&id.to_bytes()));
    match outgoing.kind {
        OutgoingKind::Create => post.is_some_and(|post| post.state == PostState::Live),
        // A later edit, or the removal, goes to the same inboxes.
        OutgoingKind::Update => post.is_some_and(|post| {
            post.state != PostState::Deleted && post.updated.is_none_or(|updated| updated <= outgoing.created)
        }),
        OutgoingKind::Accept => {
            answered(&outgoing.body).is_none_or(|actor| state(view, &actor) == Some(FollowerState::Approved))
        }
        OutgoingKind::Reject => answered(&outgoing.body).is_none_or(|actor| {
            matches!(state(view, &actor), None | Some(FollowerState::Rejected | FollowerState::Left))
        }),
        // A later one tells everything that this one would.
        OutgoingKind::ActorUpdate => view.meta::<Profile>().update.is_none_or(|newest| newest == outgoing.id),
        OutgoingKind::Delete => true,
    }
}

/// Whose Follow an Accept or Reject answers, in the spelling in which followers are kept.
fn answered(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let spelt = body.pointer("/object/actor")?.as_str()?;
    Some(Url::parse(spelt).map_or_else(|_| spelt.to_owned(), String::from))
}

fn state(view: &dyn View, actor: &str) -> Option<FollowerState> {
    view.get::<Follower>(actor.as_bytes()).map(|follower| follower.state)
}
