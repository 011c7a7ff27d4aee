//! What the operator wants of what is under way: that it is tried at once, or given up. A bounded number of entries at a
//! time, since there may be many.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use ulid::Ulid;

use super::delivered::{self, Ending, Job};
use super::follow::ANSWER_LIFE;
use super::seen::later;
use super::{engaged, hosts, refusals};
use crate::model::delivery::{
    Attempt, CHUNK_SIZE, InboxState, Outgoing, OutgoingKind, Target, activity_of_attempt, read_chunk_key,
};
use crate::model::follower::DeliveryInbox;
use crate::model::handle::host_of;
use crate::model::host::{Resting, activity_of_resting};
use crate::model::record::{decode, full_key, kind};
use crate::model::{Draft, View};

/// Where everything that is not settled stands, in the order in which it is walked through.
const PLACES: [u8; 3] = [kind::CHUNK, kind::ATTEMPT, kind::RESTING];
/// Where that stands and, beside it, what was given up.
const WITH_GIVEN_UP: [u8; 4] = [kind::CHUNK, kind::OUTGOING, kind::ATTEMPT, kind::RESTING];

/// As many entries a chunk counts for: it may stand for thousands.
const CHUNK_WEIGHT: usize = 128;

/// Which deliveries are meant. Where both are named, those that are of both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only of this activity.
    pub activity: Option<Ulid>,
    /// Only to inboxes at this host.
    pub host: Option<String>,
}

impl Selection {
    fn of_activity(&self, id: Option<Ulid>) -> bool {
        self.activity.is_none_or(|wanted| id == Some(wanted))
    }

    fn of_host(&self, inbox: &str) -> bool {
        self.host.as_ref().is_none_or(|host| host_of(inbox) == *host)
    }
}

/// Where a walk stopped: full key of the next entry to look at. Empty to begin.
pub type Cursor = Vec<u8>;

/// What was made due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// Attempts that were to wait longer, and are due now.
    pub due: u64,
    /// Deliveries that had been given up, and are tried anew.
    pub anew: u64,
    /// Deliveries that had been given up, and stay so because their time is over.
    pub over: u64,
    /// Attempts that rest for a server; each server is asked now with one of them.
    pub resting: u64,
    /// Servers that asked to be left alone, and until when.
    pub asked: BTreeMap<String, Timestamp>,
}

impl Retried {
    /// Counts on with what a further step did.
    pub fn add(&mut self, more: Retried) {
        self.due += more.due;
        self.anew += more.anew;
        self.over += more.over;
        self.resting += more.resting;
        self.asked.extend(more.asked);
    }
}

/// Makes due now what is to be tried again later, and lets the servers for which something rests be asked; with
/// `given_up`, what was given up and is not over is tried anew. Looks at up to `look` entries from `cursor` on; returns
/// where to go on, if there is more.
pub fn retry(
    draft: &mut Draft<'_>,
    selection: &Selection,
    given_up: bool,
    cursor: &Cursor,
    now: Timestamp,
    look: usize,
) -> (Retried, Option<Cursor>) {
    let places = if given_up { &WITH_GIVEN_UP[..] } else { &PLACES[1..] };
    let (found, next) = entries(draft.view(), selection, places, cursor, look);
    let mut retried = Retried::default();
    let mut servers: BTreeSet<String> = selection.host.iter().cloned().collect();
    for Entry { kind, key, value } in found {
        match kind {
            kind::ATTEMPT => {
                let attempt: Option<Attempt> = decode(&value);
                let meant = attempt.filter(|one| one.due > now && selection.of_host(&one.inbox));
                if let Some(attempt) = meant {
                    draft.delete::<Attempt>(&key);
                    servers.insert(host_of(&attempt.inbox));
                    draft.put(&Attempt { due: now, ..attempt });
                    retried.due += 1;
                }
            }
            kind::RESTING => {
                let resting: Option<Resting> = decode(&value);
                if let Some(Resting(attempt)) = resting.filter(|one| selection.of_host(&one.0.inbox)) {
                    servers.insert(host_of(&attempt.inbox));
                    retried.resting += 1;
                }
            }
            kind::OUTGOING => {
                let outgoing = decode(&value).filter(|outgoing: &Outgoing| outgoing.given_up.is_some());
                if let Some(outgoing) = outgoing {
                    answer_anew(draft, selection, outgoing, now, &mut servers, &mut retried);
                }
            }
            _ => try_anew(draft, selection, &key, &value, now, &mut servers, &mut retried),
        }
    }
    for host in servers {
        if let Some(until) = hosts::ask_now(draft, &host, now) {
            retried.asked.insert(host, until);
        }
    }
    (retried, next)
}

/// Makes an attempt of an answer to a follower that was given up, if it is not over.
fn answer_anew(
    draft: &mut Draft<'_>,
    selection: &Selection,
    outgoing: Outgoing,
    now: Timestamp,
    servers: &mut BTreeSet<String>,
    retried: &mut Retried,
) {
    let Target::Inbox(inbox) = &outgoing.target else { return };
    if !selection.of_host(inbox) {
        return;
    }
    if !delivered::worth_a_retry(draft.view(), &outgoing, now) {
        retried.over += 1;
        return;
    }
    servers.insert(host_of(inbox));
    draft.put(&Attempt::personal(now, outgoing.id, inbox.clone()));
    draft.put(&Outgoing { given_up: None, expires: later(now, ANSWER_LIFE), ..outgoing });
    retried.anew += 1;
}

/// Makes an attempt of everything in a chunk that was given up and is not over.
fn try_anew(
    draft: &mut Draft<'_>,
    selection: &Selection,
    key: &[u8],
    states: &[u8],
    now: Timestamp,
    servers: &mut BTreeSet<String>,
    retried: &mut Retried,
) {
    let Some((id, chunk)) = read_chunk_key(key) else { return };
    let Some(outgoing) = draft.view().get::<Outgoing>(&id.to_bytes()) else { return };
    let over = delivered::over(draft.view(), &outgoing, now);
    for (byte, number) in states.iter().zip(chunk * CHUNK_SIZE..) {
        let (uncertain, state) = match InboxState::of(*byte) {
            InboxState::Failed | InboxState::Dropped => (false, InboxState::Retrying),
            InboxState::Doubtful | InboxState::DroppedInDoubt => (true, InboxState::Uncertain),
            _ => continue,
        };
        let Some(inbox) = draft.view().get::<DeliveryInbox>(&number.to_be_bytes()) else { continue };
        if !selection.of_host(&inbox.url) {
            continue;
        }
        if over {
            retried.over += 1;
            continue;
        }
        servers.insert(host_of(&inbox.url));
        refusals::forgive(draft, &inbox);
        draft.put(&Attempt { number: Some(number), uncertain, ..Attempt::personal(now, id, inbox.url) });
        delivered::mark(draft, id, number, state);
        retried.anew += 1;
    }
}

/// How many deliveries were given up, by what they are.
pub type Dropped = BTreeMap<&'static str, u64>;

/// Gives up what was to be queued of an activity later on, to those who liked, shared or answered a post; before [`give_up`],
/// or some of it would come to stand behind the walk. Returns the activity, and the inbox behind which it ends.
pub fn give_up_further(draft: &mut Draft<'_>, selection: &Selection) -> Option<(Ulid, String)> {
    let id = selection.activity.filter(|_| selection.host.is_none())?;
    Some((id, engaged::end(draft, id)?))
}

/// How much that was.
pub fn further(view: &dyn View, (id, after): &(Ulid, String)) -> Dropped {
    let many = engaged::left(view, *id, after);
    let further = (many > 0).then(|| (word_of(view, &mut BTreeMap::new(), *id), many));
    further.into_iter().collect()
}

/// Gives up what waits, is to be tried again, or rests. Looks at up to `look` entries from `cursor` on; returns where to go
/// on, if there is more.
pub fn give_up(
    draft: &mut Draft<'_>,
    selection: &Selection,
    cursor: &Cursor,
    look: usize,
) -> (Dropped, Option<Cursor>) {
    let (found, next) = entries(draft.view(), selection, &PLACES, cursor, look);
    let mut dropped = Dropped::new();
    let mut kinds = BTreeMap::new();
    for Entry { kind, key, value } in found {
        let job = match kind {
            kind::ATTEMPT => decode(&value).map(Job::of),
            kind::RESTING => decode(&value).map(Job::resting),
            _ => {
                let (id, many) = give_up_untried(draft, selection, &key, &value);
                if let Some(id) = id.filter(|_| many > 0) {
                    *dropped.entry(word_of(draft.view(), &mut kinds, id)).or_default() += many;
                }
                continue;
            }
        };
        if let Some(job) = job.filter(|job| selection.of_host(&job.inbox)) {
            *dropped.entry(word_of(draft.view(), &mut kinds, job.outgoing)).or_default() += 1;
            delivered::settle(draft, &job, Ending::Dropped);
        }
    }
    (dropped, next)
}

/// Gives up the inboxes in a chunk that the first pass has not come to. Those that it may have come to stay in doubt.
fn give_up_untried(
    draft: &mut Draft<'_>,
    selection: &Selection,
    key: &[u8],
    states: &[u8],
) -> (Option<Ulid>, u64) {
    let Some((id, chunk)) = read_chunk_key(key) else { return (None, 0) };
    let claimed = delivered::claimed(draft.view(), id).map_or(0, |claim| claim.below);
    let mut many = 0;
    for (byte, number) in states.iter().zip(chunk * CHUNK_SIZE..) {
        let state = InboxState::of(*byte);
        if !state.waits() {
            continue;
        }
        let inbox: Option<DeliveryInbox> = draft.view().get(&number.to_be_bytes());
        if selection.host.is_some() && !inbox.is_some_and(|inbox| selection.of_host(&inbox.url)) {
            continue;
        }
        let doubtful = number < claimed || state.may_have_it();
        let state = if doubtful { InboxState::DroppedInDoubt } else { InboxState::Dropped };
        delivered::mark(draft, id, number, state);
        many += 1;
    }
    (Some(id), many)
}

fn word_of(view: &dyn View, known: &mut BTreeMap<Ulid, &'static str>, id: Ulid) -> &'static str {
    let look = || view.get::<Outgoing>(&id.to_bytes()).map_or("unknown", |outgoing| word(outgoing.kind));
    known.entry(id).or_insert_with(look)
}

/// What an activity is, in the operator's words.
pub fn word(kind: OutgoingKind) -> &'static str {
    match kind {
        OutgoingKind::Accept => "accept",
        OutgoingKind::Reject => "reject",
        OutgoingKind::Create => "post",
        OutgoingKind::Update => "edit",
        OutgoingKind::Delete => "removal",
        OutgoingKind::ActorUpdate => "profile",
    }
}

/// Something that may not be settled.
struct Entry {
    kind: u8,
    /// Below its kind.
    key: Vec<u8>,
    value: Vec<u8>,
}

/// Entries of the selected activity, or of all; `look` of those walked past at most.
fn entries(
    view: &dyn View,
    selection: &Selection,
    places: &[u8],
    cursor: &Cursor,
    look: usize,
) -> (Vec<Entry>, Option<Cursor>) {
    let (mut found, mut looked, mut next) = (Vec::new(), 0, None);
    for &place in places.iter().filter(|place| cursor.first().is_none_or(|from| from <= *place)) {
        let prefix = match (place, selection.activity) {
            (kind::CHUNK | kind::OUTGOING, Some(activity)) => full_key(place, &activity.to_bytes()),
            _ => vec![place],
        };
        let from = if cursor.starts_with(&prefix) { cursor.clone() } else { prefix.clone() };
        view.scan_bytes(&prefix, &from, &mut |key, value| {
            if looked >= look {
                next = Some(key.to_vec());
                return false;
            }
            looked += if place == kind::CHUNK { CHUNK_WEIGHT } else { 1 };
            let below = key.get(1..).unwrap_or_default();
            let activity = match place {
                kind::ATTEMPT => activity_of_attempt(below),
                kind::RESTING => activity_of_resting(below),
                kind::OUTGOING => <[u8; 16]>::try_from(below).ok().map(Ulid::from_bytes),
                _ => read_chunk_key(below).map(|(activity, _)| activity),
            };
            if selection.of_activity(activity) {
                found.push(Entry { kind: place, key: below.to_vec(), value: value.to_vec() });
            }
            true
        });
        if next.is_some() {
            break;
        }
    }
    (found, next)
}
