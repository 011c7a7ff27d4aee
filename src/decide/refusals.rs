//! Inboxes that refuse what is sent to them though their servers answer: asked ever less often, never forgotten.
//!
//! An inbox that takes what it is sent has no record of it, so that a delivery that goes well writes nothing here.

use std::time::Duration;

use jiff::Timestamp;

use super::delivered::{Ending, Job};
use super::hosts::Contact;
use super::seen::later;
use crate::model::delivery::{Outgoing, OutgoingKind, WHY};
use crate::model::follower::{DeliveryInbox, Follower, InboxNumber, ParkedInboxes, Refusals};
use crate::model::{Draft, View};

/// An inbox that has refused for so long is parked,
pub const PARK_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// if it did so that often.
pub const PARK_AT: u32 = 5;
/// A parked inbox is tried with one thing in so long: a little less than a day, so that a stream at the same hour of each day
/// is tried each time.
pub const TRY_AGAIN: Duration = Duration::from_secs(20 * 3600);

/// Since when an inbox is parked, if it is: its followers are kept, and get nothing until it takes something or one of
/// them speaks.
pub fn parked(inbox: &DeliveryInbox) -> Option<Timestamp> {
    let refusals = inbox.refusals.as_ref()?;
    let dead = refusals.count >= PARK_AT && longer(refusals.since, refusals.last, PARK_AFTER);
    dead.then(|| later(refusals.since, PARK_AFTER))
}

/// Whether an inbox is to be left alone now.
pub fn left_alone(inbox: &DeliveryInbox, now: Timestamp) -> bool {
    // What was written by a clock that was ahead does not hold.
    let lately =
        inbox.refusals.as_ref().is_some_and(|known| known.last <= now && !longer(known.last, now, TRY_AGAIN));
    lately && parked(inbox).is_some()
}

/// Writes what an attempt told of its inbox. Only an answer of its server does, whether that is well is for
/// [`hosts`](super::hosts); and only an answer to a post: there are peers that refuse edits, or profiles.
pub fn heard(draft: &mut Draft<'_>, job: &Job, ending: Ending, contact: Option<Contact>, at: Timestamp) {
    let Some(number) = job.number else { return };
    let refused = match (ending, contact) {
        (Ending::Reached, _) => false,
        (Ending::Failed, Some(Contact::Answered)) => true,
        _ => return,
    };
    let post = || {
        let outgoing: Option<Outgoing> = draft.view().get(&job.outgoing.to_bytes());
        outgoing.is_some_and(|outgoing| outgoing.kind == OutgoingKind::Create)
    };
    if refused && !post() {
        return;
    }
    let Some(inbox) = draft.view().get::<DeliveryInbox>(&number.to_be_bytes()) else { return };
    if !refused && inbox.refusals.is_none() {
        return;
    }
    let refusals = refused.then(|| {
        let why = job.why.as_deref().unwrap_or_default().chars().take(WHY).collect();
        match &inbox.refusals {
            Some(known) => {
                Refusals { count: known.count.saturating_add(1), since: known.since, last: at, why }
            }
            None => Refusals { count: 1, since: at, last: at, why },
        }
    });
    save(draft, &inbox, refusals);
}

/// An actor has sent something valid: what is for it is sent again, whatever its inbox did.
pub fn spoke(draft: &mut Draft<'_>, actor: &str) {
    if draft.view().meta::<ParkedInboxes>().count == 0 {
        return;
    }
    if let Some(inbox) = inbox_of(draft.view(), actor) {
        forgive(draft, &inbox);
    }
}

/// What an inbox has refused is forgotten: somebody there speaks, or the operator wants it tried.
pub fn forgive(draft: &mut Draft<'_>, inbox: &DeliveryInbox) {
    if inbox.refusals.is_some() {
        save(draft, inbox, None);
    }
}

/// An inbox is forgotten.
pub fn forget(draft: &mut Draft<'_>, inbox: &DeliveryInbox) {
    save(draft, inbox, None);
    draft.delete::<DeliveryInbox>(&inbox.number.to_be_bytes());
    draft.delete::<InboxNumber>(inbox.url.as_bytes());
}

/// The inbox through which a follower is reached.
pub fn inbox_of(view: &dyn View, actor: &str) -> Option<DeliveryInbox> {
    let follower: Follower = view.get(actor.as_bytes())?;
    let known: InboxNumber = view.get(follower.person.delivery_inbox().as_bytes())?;
    view.get(&known.number.to_be_bytes())
}

fn save(draft: &mut Draft<'_>, before: &DeliveryInbox, refusals: Option<Refusals>) {
    let after = DeliveryInbox { refusals, ..before.clone() };
    let (was, is) = (parked(before).is_some(), parked(&after).is_some());
    if was != is {
        let known: ParkedInboxes = draft.view().meta();
        let count = (known.count + u64::from(is)).saturating_sub(u64::from(was));
        draft.put_meta(&ParkedInboxes { count });
    }
    draft.put(&after);
}

fn longer(since: Timestamp, until: Timestamp, than: Duration) -> bool {
    let age = until.duration_since(since);
    age.is_positive() && age.unsigned_abs() >= than
}
