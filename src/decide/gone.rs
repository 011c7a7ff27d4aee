//! Actors that are no more, or want nothing to do with us.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use super::delivered::state_of;
use super::seen::later;
use super::{Moment, adopt, blocks, engage, follow, followers, waiting};
use crate::model::adopted::SetAside;
use crate::model::delivery::{InboxState, Outgoing};
use crate::model::engagement::{Engagement, Seen, engagements_of};
use crate::model::follower::{Follower, FollowerState, InboxNumber};
use crate::model::handle::Person;
use crate::model::notices::{NoticeKind, Said};
use crate::model::record::{decode, full_key};
use crate::model::report::Report;
use crate::model::{Draft, Record, View};

/// An actor that is not found must still not be found so long after: a server that is being mended answers 404, too.
pub const MISSING_FOR: Duration = Duration::from_secs(24 * 3600);
/// That an actor was not found is remembered this long.
const MISSING_MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);

/// Whether anything of an actor is remembered that its end would change.
pub fn is_known(view: &dyn View, actor: &str) -> bool {
    let acted = format!("a\n{actor}\n").into_bytes();
    let prefixes = [
        full_key(Seen::KIND, &acted),
        full_key(Engagement::KIND, &engagements_of(actor)),
        full_key(Report::KIND, &Report::prefix_of_actor(actor)),
    ];
    view.get::<Follower>(actor.as_bytes()).is_some()
        || view.get::<SetAside>(actor.as_bytes()).is_some()
        || prefixes.iter().any(|prefix| {
            let mut known = false;
            view.scan_bytes(prefix, prefix, &mut |_, _| {
                known = true;
                false
            });
            known
        })
}

/// An actor deleted itself: nothing of theirs stays, but that the operator has refused them, if so. Deleting an account
/// for a moment would be the way around it.
pub fn deleted(draft: &mut Draft<'_>, moment: &Moment, actor: &str) {
    let known: Option<Follower> = draft.view().get(actor.as_bytes());
    if let Some(known) = &known {
        follow::withdraw(draft, known);
    }
    if known.is_none_or(|known| known.state != FollowerState::Rejected) {
        followers::forget(draft, actor, moment.now);
    }
    adopt::gone(draft, actor, moment.now);
    engage::forget(draft, actor);
    forget_mark(draft, actor);
    for report in draft.view().all::<Report>(&Report::prefix_of_actor(actor)) {
        draft.delete::<Report>(&report.key());
    }
    // Chat is not told of who is gone.
    if let Some(said) = draft.view().get::<Said>(&Said::key_of(NoticeKind::Follow, actor, None)) {
        waiting::take(draft, [said.notice]);
    }
}

/// An actor says that it has moved: kept for the operator to see. Nobody is added: the account there follows if its
/// owner wants it to. False if that actor does not follow, or said so before.
pub fn moved(draft: &mut Draft<'_>, actor: &str, target: &str) -> bool {
    let known: Option<Follower> = draft.view().get(actor.as_bytes());
    let Some(known) = known.filter(|known| known.moved_to.as_deref() != Some(target)) else { return false };
    draft.put(&Follower { moved_to: Some(target.to_owned()), ..known });
    true
}

/// An actor blocked us: it stops following, quietly.
pub fn blocked_us(draft: &mut Draft<'_>, moment: &Moment, person: &Person, stamp: Timestamp) {
    adopt::gone(draft, &person.actor, moment.now);
    let left = match draft.view().get::<Follower>(person.actor.as_bytes()) {
        Some(known) if stamp < known.stamp => return,
        // A refusal by the operator outlives the Block, as it does an Undo.
        Some(known) if known.state == FollowerState::Rejected => {
            draft.put(&Follower { stamp, ..known });
            return;
        }
        Some(known) => {
            Follower { state: FollowerState::Left, parked_from: None, stamp, changed: moment.now, ..known }
        }
        None if adopt::aside_as(draft.view(), &person.actor) == Some(FollowerState::Rejected) => return,
        // It came before the Follow that it ends.
        None => Follower::left(person.clone(), stamp, moment.now),
    };
    followers::settle(draft, &left);
}

/// An actor's document was not found. Forgets it if that has been so for [`MISSING_FOR`]; true if it did. What its inbox
/// has taken meanwhile shows that it was there: then it starts anew.
pub fn missing(draft: &mut Draft<'_>, moment: &Moment, actor: &str) -> bool {
    let what = mark(actor);
    let known: Option<Seen> = draft.view().get(what.as_bytes());
    let since = |mark: &Seen| mark.expires.checked_sub(MISSING_MEMORY).unwrap_or(moment.now);
    let known = known.filter(|mark| mark.expires > moment.now);
    let known = known.filter(|mark| !reached_since(draft.view(), actor, since(mark)));
    let Some(first) = known else {
        put_mark(draft, moment, what);
        return false;
    };
    let long_enough = first.expires <= later(moment.now, MISSING_MEMORY - MISSING_FOR);
    if long_enough {
        deleted(draft, moment, actor);
    }
    long_enough
}

/// Somebody says that an actor is gone whose document was not found: it is looked for again. That it is said once more does not
/// make it so.
pub fn doubted(draft: &mut Draft<'_>, moment: &Moment, actor: &str) {
    let what = mark(actor);
    let known: Option<Seen> = draft.view().get(what.as_bytes());
    if known.is_none_or(|mark| mark.expires <= moment.now) {
        put_mark(draft, moment, what);
    }
}

fn put_mark(draft: &mut Draft<'_>, moment: &Moment, what: String) {
    let expires = later(moment.now, MISSING_MEMORY);
    draft.put(&Seen { what, leads_to: None, undone: None, early: false, expires });
}

/// What it is remembered by that an actor was not found.
fn mark(actor: &str) -> String {
    format!("m\n{actor}")
}

fn forget_mark(draft: &mut Draft<'_>, actor: &str) {
    let what = mark(actor);
    if draft.view().get::<Seen>(what.as_bytes()).is_some() {
        draft.delete::<Seen>(what.as_bytes());
    }
}

/// Actors that were not found, at most so many, behind the one named `after`. Who is blocked is not asked.
pub fn not_found(view: &dyn View, after: Option<&str>, most: usize) -> Vec<String> {
    let prefix = full_key(Seen::KIND, mark("").as_bytes());
    let from = after.map_or_else(|| prefix.clone(), |after| full_key(Seen::KIND, mark(after).as_bytes()));
    let mut actors = Vec::new();
    view.scan_bytes(&prefix, &from, &mut |key, _| {
        let actor = key.get(prefix.len()..).and_then(|actor| std::str::from_utf8(actor).ok());
        let actor = actor.filter(|actor| Some(*actor) != after && !blocks::actor_blocked(view, actor));
        actors.extend(actor.map(str::to_owned));
        actors.len() < most
    });
    actors
}

/// Whether a fan-out that was made after `since` came to an actor's own inbox. One that it shares takes what comes for
/// others, too.
fn reached_since(view: &dyn View, actor: &str, since: Timestamp) -> bool {
    let Some(follower) = view.get::<Follower>(actor.as_bytes()) else { return false };
    if follower.person.shared_inbox.is_some() {
        return false;
    }
    let inbox = follower.person.delivery_inbox();
    let Some(known) = view.get::<InboxNumber>(inbox.as_bytes()) else { return false };
    let mut reached = false;
    view.scan::<Outgoing>(b"", &mut |outgoing| {
        reached =
            outgoing.created > since && state_of(view, outgoing.id, known.number) == InboxState::Reached;
        !reached
    });
    reached
}

/// An actor's document is there: what it says of itself counts from now on. True if it is reached elsewhere now.
pub fn still_there(draft: &mut Draft<'_>, moment: &Moment, person: &Person) -> bool {
    forget_mark(draft, &person.actor);
    let inboxes = |draft: &Draft<'_>| {
        let known: Option<Follower> = draft.view().get(person.actor.as_bytes());
        known.map(|known| (known.person.inbox, known.person.shared_inbox))
    };
    let before = inboxes(draft);
    followers::refresh(draft, person, moment.now);
    before != inboxes(draft)
}

/// Actors of followers who are reached at an inbox, at most so many, behind the one named `after`; and whether these were
/// the last. An inbox is of its actor's own origin.
pub fn behind(view: &dyn View, inbox: &str, after: Option<&str>, most: usize) -> (Vec<String>, bool) {
    let Ok(url) = Url::parse(inbox) else { return (Vec::new(), true) };
    let prefix = full_key(Follower::KIND, format!("{}/", url.origin().ascii_serialization()).as_bytes());
    let from = after.map(|actor| full_key(Follower::KIND, actor.as_bytes()));
    let from = from.filter(|from| from.starts_with(&prefix)).unwrap_or_else(|| prefix.clone());
    let (mut actors, mut last) = (Vec::new(), true);
    view.scan_bytes(&prefix, &from, &mut |_, value| {
        let Some(follower) = decode::<Follower>(value) else { return true };
        let person = &follower.person;
        if after != Some(&person.actor)
            && !matches!(follower.state, FollowerState::Left | FollowerState::Parked)
            && (person.inbox == inbox || person.shared_inbox.as_deref() == Some(inbox))
        {
            last = actors.len() < most;
            if last {
                actors.push(follower.person.actor);
            }
        }
        last
    });
    (actors, last)
}

/// How far the followers behind each inbox were looked at, so that the next look goes on from there: among the first there
/// may always be some who are still well. Of so many inboxes at most; of others, a look begins anew.
#[derive(Debug)]
pub struct Rounds {
    most: usize,
    stopped: BTreeMap<String, String>,
}

impl Rounds {
    /// Of `most` inboxes.
    pub fn new(most: usize) -> Self {
        Rounds { most, stopped: BTreeMap::new() }
    }

    /// The follower after whom to go on.
    pub fn after(&self, inbox: &str) -> Option<String> {
        self.stopped.get(inbox).cloned()
    }

    /// Remembers that these were looked at, and whether they were the last: then the round begins anew. The documents of the
    /// first so many told what is so; the round goes on from the one that did not, unless that is the one it began with, who
    /// would keep it from everybody behind.
    pub fn looked(&mut self, inbox: String, actors: &[String], told: usize, last: bool) {
        let stopped = match told {
            told if told >= actors.len() => actors.last().filter(|_| !last),
            told => actors.get(told.saturating_sub(1)),
        };
        let Some(stopped) = stopped else {
            self.stopped.remove(&inbox);
            return;
        };
        if !self.stopped.contains_key(&inbox) && self.stopped.len() >= self.most {
            self.stopped.pop_first();
        }
        self.stopped.insert(inbox, stopped.clone());
    }
}
