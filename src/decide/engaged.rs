//! Edits and removals of a post go to those who liked, shared or answered it, too, whether they follow or not. There may
//! be far more of them than fit into one commit, so they are queued page by page, in the order of their inboxes.

use std::collections::{BTreeSet, HashMap};

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
/// Of these, the inboxes of one owner at most: names below one's own cost nothing, nor do Likes from all of them, and what
/// edits and removals are owed for them must not grow with it. Whoever has many people has a shared inbox.
pub const PAGE_OF_AN_OWNER: usize = 200;

/// Inboxes of those who liked, shared or answered a post, except where they are blocked.
pub fn inboxes(view: &dyn View, post: Ulid) -> BTreeSet<String> {
    let mut inboxes = BTreeSet::new();
    each(view, post, &mut |engagement| {
        if !inboxes.contains(&engagement.inbox) && !blocks::actor_blocked(view, &engagement.actor) {
            inboxes.insert(engagement.inbox);
        }
    });
    inboxes
}

fn each(view: &dyn View, post: Ulid, each: &mut dyn FnMut(Engager)) {
    view.scan::<Engagers>(&post.to_bytes(), &mut |engagers| {
        engagers.who.into_iter().for_each(&mut *each);
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
    let mut first = First::default();
    inboxes.into_iter().for_each(|inbox| first.offer(inbox));
    let (inboxes, more) = first.page();
    queue(draft, &Page { outgoing, after: String::new(), inboxes, more }, now);
}

/// The first of some inboxes in order: a page, and whether there are more.
#[derive(Default)]
struct First {
    inboxes: BTreeSet<String>,
    of_owners: HashMap<String, usize>,
}

impl First {
    /// Whether an inbox has no place here, whoever it belongs to.
    fn is_behind(&self, inbox: &str) -> bool {
        self.inboxes.len() > PAGE && self.inboxes.last().is_some_and(|last| last.as_str() <= inbox)
    }

    /// Takes an inbox, unless there are enough of its owner.
    fn offer(&mut self, inbox: String) {
        if self.is_behind(&inbox) || self.inboxes.contains(&inbox) {
            return;
        }
        let of_owner = self.of_owners.entry(owner_of(&inbox)).or_default();
        if *of_owner == PAGE_OF_AN_OWNER {
            return;
        }
        *of_owner += 1;
        self.inboxes.insert(inbox);
        if self.inboxes.len() > PAGE + 1
            && let Some(last) = self.inboxes.pop_last()
            && let Some(of_owner) = self.of_owners.get_mut(&owner_of(&last))
        {
            *of_owner -= 1;
        }
    }

    fn page(self) -> (Vec<String>, bool) {
        let more = self.inboxes.len() > PAGE;
        (self.inboxes.into_iter().take(PAGE).collect(), more)
    }
}

/// The next page of every activity that is not queued to all of them. Looks at all engagements of a post, so it is made
/// outside the writer.
pub fn next_pages(view: &dyn View, now: Timestamp) -> Vec<Page> {
    let mut open = Vec::new();
    view.scan_bytes(&[kind::FURTHER], &[kind::FURTHER], &mut |key, after| {
        let id = key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok()).map(Ulid::from_bytes);
        open.extend(id.map(|id| (id, String::from_utf8_lossy(after).into_owned())));
        true
    });
    open.into_iter().map(|(id, after)| next_page(view, id, after, now)).collect()
}

fn next_page(view: &dyn View, id: Ulid, after: String, now: Timestamp) -> Page {
    let mut page = Page { outgoing: id, after, inboxes: Vec::new(), more: false };
    // Of what is over, as an edit that a later one overtook, nothing more is queued.
    let outgoing: Option<Outgoing> = view.get(&id.to_bytes());
    let outgoing = outgoing.filter(|outgoing| !delivered::over(view, outgoing, now));
    let Some(post) = outgoing.and_then(|outgoing| outgoing.post) else { return page };
    // More than a page of those that are behind are never held.
    let mut first = First::default();
    each(view, post, &mut |Engager { inbox, actor, .. }| {
        if inbox <= page.after || first.is_behind(&inbox) || blocks::actor_blocked(view, &actor) {
            return;
        }
        let number = view.get::<InboxNumber>(inbox.as_bytes()).map(|known| known.number);
        let follows = |number| delivered::state_of(view, id, number) != InboxState::None;
        if !number.is_some_and(follows) {
            first.offer(inbox);
        }
    });
    (page.inboxes, page.more) = first.page();
    page
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
    for inbox in &page.inboxes {
        draft.put(&Attempt::personal(now, page.outgoing, inbox.clone()));
    }
    match page.inboxes.last().filter(|_| page.more) {
        Some(last) => draft.put_raw(kind::FURTHER, &id, last.clone().into_bytes()),
        None => draft.delete_raw(kind::FURTHER, &id),
    }
}
