//! Edits and removals of a post go to those who liked, shared or answered it, too, whether they follow or not. There may
//! be far more of them than fit into one commit, so they are queued page by page, in the order of their inboxes.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use ulid::Ulid;

use super::{blocks, delivered};
use crate::model::delivery::{Attempt, InboxState, Outgoing};
use crate::model::engagement::{Engager, Engagers};
use crate::model::follower::InboxNumber;
use crate::model::owner::owner_of;
use crate::model::record::{full_key, kind};
use crate::model::{Draft, View};

/// Inboxes queued in one commit.
pub const PAGE: usize = 1000;
/// The inboxes of one owner at most: names below one's own cost nothing, nor do Likes from all of them, and what edits and
/// removals are owed for them must not grow with it. Whoever has many people has a shared inbox. Those count that were there
/// first: who got one edit gets those behind it, too, whoever comes meanwhile.
pub const OF_AN_OWNER: usize = 200;

/// Inboxes of those who liked, shared or answered a post, except where they are blocked.
pub fn inboxes(view: &dyn View, post: Ulid) -> BTreeSet<String> {
    let mut inboxes = BTreeSet::new();
    each(view, post, &mut |inbox| {
        inboxes.insert(inbox.to_owned());
    });
    inboxes
}

/// Each of these inboxes once, in the order in which they were first there.
fn each(view: &dyn View, post: Ulid, each: &mut dyn FnMut(&str)) {
    let mut known: HashSet<String> = HashSet::new();
    let mut of_owners: HashMap<String, usize> = HashMap::new();
    view.scan::<Engagers>(&post.to_bytes(), &mut |engagers| {
        for Engager { inbox, actor, .. } in engagers.who {
            if known.contains(&inbox) {
                continue;
            }
            let of_owner = of_owners.entry(owner_of(&inbox)).or_default();
            if *of_owner < OF_AN_OWNER && !blocks::actor_blocked(view, &actor) {
                *of_owner += 1;
                each(&inbox);
                known.insert(inbox);
            }
        }
        true
    });
}

/// Some of the inboxes to which an activity goes on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The activity.
    pub outgoing: Ulid,
    /// The inbox behind which these are.
    pub after: String,
    /// In order.
    pub inboxes: Vec<String>,
    /// More are behind them.
    pub more: bool,
}

/// Queues an activity to the first page of `inboxes`, and remembers where to go on.
pub fn begin(draft: &mut Draft<'_>, outgoing: Ulid, inboxes: BTreeSet<String>, now: Timestamp) {
    let more = inboxes.len() > PAGE;
    let inboxes = inboxes.into_iter().take(PAGE).collect();
    queue(draft, &Page { outgoing, after: String::new(), inboxes, more }, now);
}

/// The next page of every activity that is not queued to all of them. Looks at all engagements of a post, so it is made
/// outside the writer.
pub fn next_pages(view: &dyn View) -> Vec<Page> {
    let mut open = Vec::new();
    view.scan_bytes(&[kind::FURTHER], &[kind::FURTHER], &mut |key, after| {
        let id = key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok()).map(Ulid::from_bytes);
        open.extend(id.map(|id| (id, String::from_utf8_lossy(after).into_owned())));
        true
    });
    open.into_iter().map(|(id, after)| next_page(view, id, after)).collect()
}

fn next_page(view: &dyn View, id: Ulid, after: String) -> Page {
    let mut first = BTreeSet::new();
    each_behind(view, id, &after, &mut |inbox| {
        let is_behind =
            first.len() > PAGE && first.last().is_some_and(|last: &String| last.as_str() <= inbox);
        if is_behind || is_told_as_follower(view, id, inbox) {
            return;
        }
        first.insert(inbox.to_owned());
        if first.len() > PAGE + 1 {
            first.pop_last();
        }
    });
    let more = first.len() > PAGE;
    Page { outgoing: id, after, inboxes: first.into_iter().take(PAGE).collect(), more }
}

/// Each inbox behind that one to which an activity goes on its own, or as to a follower, in no order.
fn each_behind(view: &dyn View, id: Ulid, after: &str, to: &mut dyn FnMut(&str)) {
    // Of an edit that a later one overtook nothing more is queued. Of one whose time is over the rest is owed.
    let outgoing: Option<Outgoing> = view.get(&id.to_bytes());
    let outgoing = outgoing.filter(|outgoing| delivered::still_true(view, outgoing));
    let Some(post) = outgoing.and_then(|outgoing| outgoing.post) else { return };
    each(view, post, &mut |inbox| {
        if inbox > after {
            to(inbox);
        }
    });
}

fn is_told_as_follower(view: &dyn View, id: Ulid, inbox: &str) -> bool {
    let number = view.get::<InboxNumber>(inbox.as_bytes()).map(|known| known.number);
    number.is_some_and(|number| delivered::state_of(view, id, number) != InboxState::None)
}

/// To how many inboxes behind that one an activity would go on its own. Looks at all engagements of a post, as [`next_pages`].
pub fn left(view: &dyn View, id: Ulid, after: &str) -> u64 {
    let mut left = 0;
    each_behind(view, id, after, &mut |inbox| left += u64::from(!is_told_as_follower(view, id, inbox)));
    left
}

/// Queues nothing more of an activity; returns the inbox behind which it ends, if there was more.
pub fn end(draft: &mut Draft<'_>, id: Ulid) -> Option<String> {
    let id = id.to_bytes();
    let after = draft.view().get_bytes(&full_key(kind::FURTHER, &id))?;
    draft.delete_raw(kind::FURTHER, &id);
    Some(String::from_utf8_lossy(&after).into_owned())
}

/// Queues a page, unless it has been queued already.
pub fn go_on(draft: &mut Draft<'_>, page: &Page, now: Timestamp) {
    let stands = draft.view().get_bytes(&full_key(kind::FURTHER, &page.outgoing.to_bytes()));
    if stands.is_some_and(|after| after == page.after.as_bytes()) {
        queue(draft, page, now);
    }
}

fn queue(draft: &mut Draft<'_>, page: &Page, now: Timestamp) {
    let id = page.outgoing.to_bytes();
    let outgoing: Option<Outgoing> = draft.view().get(&id);
    let owed = outgoing.is_some_and(|outgoing| outgoing.expires <= now);
    for inbox in &page.inboxes {
        draft.put(&Attempt { owed, ..Attempt::personal(now, page.outgoing, inbox.clone()) });
    }
    match page.inboxes.last().filter(|_| page.more) {
        Some(last) => draft.put_raw(kind::FURTHER, &id, last.clone().into_bytes()),
        None => draft.delete_raw(kind::FURTHER, &id),
    }
}
