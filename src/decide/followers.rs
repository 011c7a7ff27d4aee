//! The bookkeeping of followers: state, counts and delivery inboxes change together or not at all.

use jiff::Timestamp;

use super::adopt;
use crate::model::Draft;
use crate::model::follower::{
    DeliveryInbox, Follower, FollowerCounts, FollowerState, InboxNumber, NextInbox, OwnersInboxes,
};
use crate::model::handle::Person;
use crate::model::owner::owner_of;
use crate::model::{Record, View};

/// Distinct inboxes on the servers of one owner that followers may lead to by themselves: each is signed for and posted to
/// for every post, and all of them may be one machine. A server whose people share an inbox has one.
pub const INBOXES_OF_AN_OWNER: u32 = 5000;

/// Writes a follower, and moves counts and delivery inboxes from what was stored to what is now.
pub fn settle(draft: &mut Draft<'_>, follower: &Follower) {
    let before: Option<Follower> = draft.view().get(follower.person.actor.as_bytes());
    let mut counts: FollowerCounts = draft.view().meta();
    if let Some(before) = &before {
        if let Some(count) = counts.of(before.state) {
            *count = count.saturating_sub(1);
        }
        if before.state == FollowerState::Approved {
            leave_inbox(draft, before.person.delivery_inbox(), follower.changed);
        }
    }
    if let Some(count) = counts.of(follower.state) {
        *count += 1;
    }
    if follower.state == FollowerState::Approved {
        enter_inbox(draft, follower);
    }
    draft.put_meta(&counts);
    draft.put(follower);
    adopt::became(draft, follower);
}

/// Moves a stored follower to another state. False if there is no such follower.
pub fn change_state(draft: &mut Draft<'_>, actor: &str, state: FollowerState, now: Timestamp) -> bool {
    let Some(mut follower) = draft.view().get::<Follower>(actor.as_bytes()) else { return false };
    follower.parked_from = (state == FollowerState::Parked).then_some(follower.state);
    follower.state = state;
    follower.changed = now;
    settle(draft, &follower);
    true
}

/// What an actor's document says now is what is shown, and where it is reached. False if that was known, or nobody
/// knows the actor.
pub fn refresh(draft: &mut Draft<'_>, person: &Person, now: Timestamp) -> bool {
    let known: Option<Follower> = draft.view().get(person.actor.as_bytes());
    let Some(known) = known.filter(|known| known.person != *person) else { return false };
    let person = reachable(draft.view(), &known, person);
    let elsewhere = known.person.delivery_inbox() != person.delivery_inbox();
    let changed = if elsewhere { now } else { known.changed };
    settle(draft, &Follower { person, changed, ..known });
    true
}

/// Whether there is room for a follower to be reached where this person says.
pub(super) fn has_room(view: &dyn View, known: Option<&Follower>, person: &Person) -> bool {
    let url = person.delivery_inbox();
    let before = known.filter(|known| known.state == FollowerState::Approved);
    let before = before.map(|known| known.person.delivery_inbox());
    let through = |url: &str| followers_through(view, url);
    before == Some(url)
        || through(url) > 0
        // The one that is left makes room for the other.
        || before.is_some_and(|before| through(before) == 1)
        || owners_inboxes(view, url).count < INBOXES_OF_AN_OWNER
}

/// What a follower's document says now, reached where it was if there is no room elsewhere.
pub(super) fn reachable(view: &dyn View, known: &Follower, person: &Person) -> Person {
    let mut person = person.clone();
    if known.state == FollowerState::Approved && !has_room(view, Some(known), &person) {
        person.inbox.clone_from(&known.person.inbox);
        person.shared_inbox.clone_from(&known.person.shared_inbox);
    }
    person
}

/// Whether an actor follows and is accepted.
pub(super) fn is_approved(view: &dyn View, actor: &str) -> bool {
    let known: Option<Follower> = view.get(actor.as_bytes());
    known.is_some_and(|known| known.state == FollowerState::Approved)
}

/// How many approved followers are reached through an inbox.
pub(super) fn followers_through(view: &dyn View, url: &str) -> u64 {
    let number = view.get::<InboxNumber>(url.as_bytes());
    let inbox = number.and_then(|known| view.get::<DeliveryInbox>(&known.number.to_be_bytes()));
    inbox.map_or(0, |inbox| inbox.followers)
}

fn owners_inboxes(view: &dyn View, url: &str) -> OwnersInboxes {
    let owner = owner_of(url);
    view.get(owner.as_bytes()).unwrap_or(OwnersInboxes { owner, count: 0 })
}

/// Counts an inbox that came into use, or out of it.
fn count_inbox(draft: &mut Draft<'_>, url: &str, used: bool) {
    let mut inboxes = owners_inboxes(draft.view(), url);
    inboxes.count = if used { inboxes.count.saturating_add(1) } else { inboxes.count.saturating_sub(1) };
    match inboxes.count {
        0 => draft.delete::<OwnersInboxes>(&inboxes.key()),
        _ => draft.put(&inboxes),
    }
}

/// Removes every trace of a follower.
pub fn forget(draft: &mut Draft<'_>, actor: &str, now: Timestamp) -> bool {
    let known = change_state(draft, actor, FollowerState::Left, now);
    draft.delete::<Follower>(actor.as_bytes());
    // With the stamps gone, nothing may let the bytes of an old Follow count again.
    super::seen::followed(draft, actor);
    known
}

fn enter_inbox(draft: &mut Draft<'_>, follower: &Follower) {
    let (url, now) = (follower.person.delivery_inbox(), follower.changed);
    let number = match draft.view().get::<InboxNumber>(url.as_bytes()) {
        Some(known) => known.number,
        None => {
            let next: NextInbox = draft.view().meta();
            draft.put_meta(&NextInbox { next: next.next.saturating_add(1) });
            draft.put(&InboxNumber { url: url.to_owned(), number: next.next });
            next.next
        }
    };
    let known: Option<DeliveryInbox> = draft.view().get(&number.to_be_bytes());
    let mut inbox = known.unwrap_or_else(|| DeliveryInbox::new(number, url, now));
    if inbox.followers == 0 {
        inbox.opened_by = follower.answer;
        count_inbox(draft, url, true);
    }
    inbox.followers += 1;
    inbox.changed = now;
    draft.put(&inbox);
}

fn leave_inbox(draft: &mut Draft<'_>, url: &str, now: Timestamp) {
    let Some(known) = draft.view().get::<InboxNumber>(url.as_bytes()) else { return };
    let key = known.number.to_be_bytes();
    let Some(mut inbox) = draft.view().get::<DeliveryInbox>(&key) else { return };
    if inbox.followers == 1 {
        count_inbox(draft, url, false);
    }
    inbox.followers = inbox.followers.saturating_sub(1);
    inbox.changed = now;
    // The record stays at zero followers: an edit or a removal of an earlier post still goes there. A fan-out of a
    // new post passes it by.
    draft.put(&inbox);
}
