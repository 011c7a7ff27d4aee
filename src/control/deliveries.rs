//! `deliveries`: what became of what was sent, and what is on its way. Counted chunk by chunk and walked through entry by
//! entry, however much there is; what is told of it is bounded.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use ulid::Ulid;
use url::Url;

use super::Control;
use super::protocol::{
    ActivityPage, ActivityReport, ActivityRow, GivenUp, GivenUpRow, HostActivity, HostReport, HostShare,
    HostState, LARGEST_REPORT, Refusal, RefusalCode,
};
use crate::agent::effective::Effective;
use crate::config::here;
use crate::decide::{delivered, hosts};
use crate::model::View;
use crate::model::delivery::{
    Attempt, CHUNK_SIZE, InboxState, Outgoing, Target, activity_of_attempt, chunk_key,
};
use crate::model::follower::DeliveryInbox;
use crate::model::handle::host_of;
use crate::model::host::{Host, Resting, activity_of_resting, resting_prefix};
use crate::model::post::Post;
use crate::model::record::{decode, full_key, kind};

/// The one activity that is meant by its id, or by the id or address of the post it announced.
pub(super) fn activity_of(view: &dyn View, named: &str) -> Result<Outgoing, Refusal> {
    let written = named.trim();
    let id = written
        .split(['/', '#'])
        .rev()
        .find_map(|part| Ulid::from_string(part).ok().filter(|id| id.to_string().eq_ignore_ascii_case(part)));
    let Some(id) = id else {
        let message = format!(
            "{written:?} names no activity; give an id that {} shows, or the address of a post",
            here().typed("deliveries")
        );
        return Err(Refusal { code: RefusalCode::Unreadable, message });
    };
    let of_post = || view.get(&view.get::<Post>(&id.to_bytes())?.create.to_bytes());
    view.get(&id.to_bytes()).or_else(of_post).ok_or_else(|| Refusal {
        code: RefusalCode::Unknown,
        message: format!(
            "no activity {id} is known (any more); {} lists those that are, and what is over is forgotten after a week",
            here().typed("deliveries")
        ),
    })
}

/// A host by its name, or by an address on it.
pub(super) fn host_name(named: &str) -> Result<String, Refusal> {
    let written = named.trim();
    let address = if written.contains("://") { written.to_owned() } else { format!("https://{written}/") };
    let url = Url::parse(&address).ok().filter(|url| url.username().is_empty() && url.has_host());
    let host = url.map(|url| host_of(url.as_str())).filter(|host| !host.is_empty());
    host.ok_or_else(|| Refusal {
        code: RefusalCode::Unreadable,
        message: format!("{written:?} is no host; give its name (peer.example) or an address on it"),
    })
}

fn limited(limit: u32) -> usize {
    limit.clamp(1, LARGEST_REPORT) as usize
}

/// Everything about every delivery that is to be tried again: the activity's id, the attempt, and whether it rests.
fn attempts(view: &dyn View, wanted: impl Fn(Ulid) -> bool, each: &mut dyn FnMut(Attempt, bool)) {
    view.scan_bytes(&[kind::ATTEMPT], &[kind::ATTEMPT], &mut |key, value| {
        if activity_of_attempt(&key[1..]).is_some_and(&wanted)
            && let Some(attempt) = decode::<Attempt>(value)
        {
            each(attempt, false);
        }
        true
    });
    view.scan_bytes(&[kind::RESTING], &[kind::RESTING], &mut |key, value| {
        if activity_of_resting(&key[1..]).is_some_and(&wanted)
            && let Some(Resting(attempt)) = decode(value)
        {
            each(attempt, true);
        }
        true
    });
}

/// How things stand with an attempt that no state byte stands for, which is to one inbox alone.
fn state_alone(attempt: &Attempt) -> Option<InboxState> {
    let state = match (attempt.uncertain, attempt.tries) {
        (true, _) => InboxState::Uncertain,
        (false, 0) => InboxState::Waiting,
        (false, _) => InboxState::Retrying,
    };
    attempt.number.is_none().then_some(state)
}

fn add_attempt(row: &mut ActivityRow, attempt: &Attempt, rests: bool) {
    row.resting += u64::from(rests);
    if let Some(state) = state_alone(attempt) {
        row.inboxes.add(state);
    }
}

fn row_of(view: &dyn View, effective: &Effective, outgoing: &Outgoing) -> ActivityRow {
    let post = outgoing.post.and_then(|post| Some(effective.addresses()?.note(post)));
    let to = match &outgoing.target {
        Target::Inbox(inbox) => Some(inbox.clone()),
        Target::Everybody | Target::ReachedBy(_) => None,
    };
    let mut inboxes = delivered::tally(view, outgoing);
    if outgoing.given_up.is_some() {
        inboxes.add(InboxState::Failed);
    }
    ActivityRow {
        id: outgoing.id.to_string(),
        kind: outgoing.kind,
        post,
        to,
        created: outgoing.created,
        expires: outgoing.expires,
        first_pass: view.get_bytes(&full_key(kind::FANOUT, &outgoing.id.to_bytes())).is_some(),
        inboxes,
        resting: 0,
    }
}

/// The newest activities.
pub(super) async fn newest(
    control: &Control,
    limit: u32,
    before: Option<String>,
) -> Result<ActivityPage, Refusal> {
    let effective = control.effective.borrow().clone();
    let limit = limited(limit);
    control.store.read(move |view| newest_of(view, &effective, limit, before.as_deref())).await?
}

fn newest_of(
    view: &dyn View,
    effective: &Effective,
    limit: usize,
    before: Option<&str>,
) -> Result<ActivityPage, Refusal> {
    let before = match before {
        Some(named) => Some(Ulid::from_string(named).map_err(|_| Refusal {
            code: RefusalCode::Unreadable,
            message: format!("{named:?} is no id of an activity"),
        })?),
        None => None,
    };
    // Ids sort by time; only ids are held, one more than are told.
    let mut ids: VecDeque<Ulid> = VecDeque::new();
    view.scan_bytes(&[kind::OUTGOING], &[kind::OUTGOING], &mut |key, _| {
        let id = key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok()).map(Ulid::from_bytes);
        if id.is_some_and(|id| before.is_some_and(|before| id >= before)) {
            return false;
        }
        ids.extend(id);
        if ids.len() > limit + 1 {
            ids.pop_front();
        }
        true
    });
    let more = ids.len() > limit;
    if more {
        ids.pop_front();
    }
    let mut rows: BTreeMap<Ulid, ActivityRow> = ids
        .iter()
        .filter_map(|id| Some((*id, row_of(view, effective, &view.get::<Outgoing>(&id.to_bytes())?))))
        .collect();
    let shown: std::collections::BTreeSet<Ulid> = rows.keys().copied().collect();
    attempts(view, |id| shown.contains(&id), &mut |attempt, rests| {
        if let Some(row) = rows.get_mut(&attempt.outgoing) {
            add_attempt(row, &attempt, rests);
        }
    });
    let next = ids.front().filter(|_| more).map(Ulid::to_string);
    Ok(ActivityPage { activities: rows.into_values().rev().collect(), next })
}

/// How one activity fares, by host.
pub(super) async fn activity(
    control: &Control,
    named: String,
    limit: u32,
    now: Timestamp,
) -> Result<ActivityReport, Refusal> {
    let effective = control.effective.borrow().clone();
    let limit = limited(limit);
    control.store.read(move |view| activity_report(view, &effective, &named, limit, now)).await?
}

fn activity_report(
    view: &dyn View,
    effective: &Effective,
    named: &str,
    limit: usize,
    now: Timestamp,
) -> Result<ActivityReport, Refusal> {
    let outgoing = activity_of(view, named)?;
    let mut row = row_of(view, effective, &outgoing);
    let mut shares = Shares { rows: BTreeMap::new(), limit, beyond: std::collections::BTreeSet::new() };
    attempts(view, |id| id == outgoing.id, &mut |attempt, rests| {
        add_attempt(&mut row, &attempt, rests);
        let Some(share) = shares.at(&attempt.inbox) else { return };
        share.open += 1;
        share.resting |= rests;
        if !rests && share.next.is_none_or(|next| attempt.due < next) {
            share.next = Some(attempt.due);
        }
        if attempt.tries >= share.tries {
            share.tries = attempt.tries;
            share.why = attempt.why.or(share.why.take());
        }
    });
    each_given_up(view, &outgoing, &mut |inbox, _| {
        let Some(inbox) = inbox else { return };
        if let Some(share) = shares.at(&inbox.url) {
            share.given_up += 1;
            share.refused = share.refused.take().or(refused(&inbox));
        }
    });
    let mut hosts: Vec<HostShare> = shares.rows.into_values().collect();
    for share in &mut hosts {
        let Some(host) = view.get::<Host>(share.host.as_bytes()) else { continue };
        share.failures = host.failures;
        if share.resting && share.next.is_none() {
            share.next = hosts::ready(&host, now);
        }
    }
    Ok(ActivityReport { activity: row, hosts, more: shares.beyond.len() as u64 })
}

/// Rows by host, the first so many of them.
struct Shares {
    rows: BTreeMap<String, HostShare>,
    limit: usize,
    /// Hosts for which there was no room: only their names.
    beyond: std::collections::BTreeSet<String>,
}

impl Shares {
    fn at(&mut self, inbox: &str) -> Option<&mut HostShare> {
        let host = host_of(inbox);
        if !self.rows.contains_key(&host) && self.rows.len() >= self.limit {
            self.beyond.insert(host);
            return None;
        }
        let empty = HostShare {
            host: host.clone(),
            open: 0,
            given_up: 0,
            tries: 0,
            next: None,
            resting: false,
            why: None,
            refused: None,
            failures: 0,
        };
        Some(self.rows.entry(host).or_insert(empty))
    }
}

/// Why a part of a fan-out was given up is not kept; this is, and may be of another post.
fn refused(inbox: &DeliveryInbox) -> Option<String> {
    inbox.refusals.as_ref().map(|refusals| refusals.why.clone())
}

/// Every inbox of a fan-out that was given up, and how.
fn each_given_up(
    view: &dyn View,
    outgoing: &Outgoing,
    each: &mut dyn FnMut(Option<DeliveryInbox>, InboxState),
) {
    for chunk in 0..outgoing.chunks {
        let key = full_key(kind::CHUNK, &chunk_key(outgoing.id, chunk));
        let states = view.get_bytes(&key).unwrap_or_default();
        for (byte, number) in states.iter().zip(chunk * CHUNK_SIZE..) {
            let state = InboxState::of(*byte);
            if state.given_up() {
                each(view.get(&number.to_be_bytes()), state);
            }
        }
    }
}

/// What was given up, of the newest activities first.
pub(super) async fn given_up(control: &Control, limit: u32, now: Timestamp) -> Result<GivenUp, Refusal> {
    let limit = limited(limit);
    Ok(control.store.read(move |view| given_up_of(view, limit, now)).await?)
}

fn given_up_of(view: &dyn View, limit: usize, now: Timestamp) -> GivenUp {
    let mut ids = Vec::new();
    view.scan_bytes(&[kind::OUTGOING], &[kind::OUTGOING], &mut |key, _| {
        ids.extend(key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok()));
        true
    });
    let mut found = GivenUp { deliveries: Vec::new(), more: 0 };
    for outgoing in ids.iter().rev().filter_map(|id| view.get::<Outgoing>(id)) {
        if found.deliveries.len() >= limit {
            found.more +=
                delivered::tally(view, &outgoing).given_up() + u64::from(outgoing.given_up.is_some());
            continue;
        }
        let can_be_retried = delivered::worth_a_retry(view, &outgoing, now);
        if let (Some(why), Target::Inbox(inbox)) = (&outgoing.given_up, &outgoing.target) {
            found.deliveries.push(GivenUpRow {
                activity: outgoing.id.to_string(),
                kind: outgoing.kind,
                created: outgoing.created,
                inbox: Some(inbox.clone()),
                doubtful: false,
                dropped: false,
                can_be_retried,
                why: Some(why.clone()),
                refused: None,
                failures: hosts::failures(view, &host_of(inbox)),
            });
        }
        each_given_up(view, &outgoing, &mut |inbox, state| {
            if found.deliveries.len() >= limit {
                found.more += 1;
                return;
            }
            found.deliveries.push(GivenUpRow {
                activity: outgoing.id.to_string(),
                kind: outgoing.kind,
                created: outgoing.created,
                why: None,
                refused: inbox.as_ref().and_then(refused),
                failures: inbox.as_ref().map_or(0, |inbox| hosts::failures(view, &host_of(&inbox.url))),
                inbox: inbox.map(|inbox| inbox.url),
                doubtful: state.may_have_it(),
                dropped: state.dropped(),
                can_be_retried,
            });
        });
    }
    found
}

/// What is known of a host.
pub(super) async fn host(
    control: &Control,
    named: String,
    limit: u32,
    now: Timestamp,
) -> Result<HostReport, Refusal> {
    let (host, limit) = (host_name(&named)?, limited(limit));
    control.store.read(move |view| host_report(view, host, limit, now)).await?
}

fn host_report(view: &dyn View, host: String, limit: usize, now: Timestamp) -> Result<HostReport, Refusal> {
    let record: Option<Host> = view.get(host.as_bytes());
    let (mut inboxes, mut followers, mut numbers) = (0, 0, Vec::new());
    hosts::inboxes_of(view, &host, &mut |number, through| {
        numbers.push(number);
        inboxes += u64::from(through > 0);
        followers += through;
    });
    let mut pending = Pending { rows: Vec::new(), more: 0, untried: 0, limit };
    view.scan_bytes(&[kind::ATTEMPT], &[kind::ATTEMPT], &mut |key, value| {
        let inbox = key.get(25..).and_then(|inbox| str::from_utf8(inbox).ok());
        if inbox.is_some_and(|inbox| host_of(inbox) == host) {
            pending.add(view, decode(value), true);
        }
        true
    });
    view.scan::<Resting>(&resting_prefix(&host), &mut |Resting(attempt)| {
        pending.add(view, Some(attempt), false);
        true
    });
    if record.is_none() && numbers.is_empty() && pending.rows.is_empty() {
        return Err(Refusal {
            code: RefusalCode::Unknown,
            message: format!(
                "nothing is known of {host}: nobody follows from there, and nothing is on its way there"
            ),
        });
    }
    let known = record.unwrap_or_else(|| Host::well(&host, now));
    Ok(HostReport {
        state: state_of(&known, now),
        failures: known.failures,
        since: known.since,
        until: hosts::ready(&known, now).filter(|until| *until > now),
        parked: known.parked,
        inboxes,
        followers,
        untried: untried(view, &numbers) + pending.untried,
        again: pending.rows.len() as u64 + pending.more - pending.untried,
        pending: pending.rows,
        more: pending.more,
        host,
    })
}

fn state_of(host: &Host, now: Timestamp) -> HostState {
    if host.parked.is_some() {
        HostState::Parked
    } else if host.failures >= hosts::OPEN_AT {
        HostState::Shut
    } else if host.asked.is_some_and(|asked| asked > now) {
        HostState::Asked
    } else if host.failures > 0 {
        HostState::Failing
    } else {
        HostState::Well
    }
}

/// The first so many deliveries of those that stand by themselves.
struct Pending {
    rows: Vec<HostActivity>,
    more: u64,
    /// How many of all were not tried yet.
    untried: u64,
    limit: usize,
}

impl Pending {
    fn add(&mut self, view: &dyn View, attempt: Option<Attempt>, due: bool) {
        let Some(attempt) = attempt else { return };
        self.untried += u64::from(state_alone(&attempt).is_some_and(InboxState::waits));
        if self.rows.len() >= self.limit {
            self.more += 1;
            return;
        }
        self.rows.push(HostActivity {
            activity: attempt.outgoing.to_string(),
            kind: view.get::<Outgoing>(&attempt.outgoing.to_bytes()).map(|outgoing| outgoing.kind),
            inbox: attempt.inbox,
            tries: attempt.tries,
            due: due.then_some(attempt.due),
            uncertain: attempt.uncertain,
            why: attempt.why,
        });
    }
}

/// Inboxes of these numbers that the first pass of a fan-out has not come to.
fn untried(view: &dyn View, numbers: &[u32]) -> u64 {
    let mut untried = 0;
    view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, _| {
        if let Some(id) = key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok()) {
            let waits = |number: &&u32| delivered::state_of(view, Ulid::from_bytes(id), **number).waits();
            untried += numbers.iter().filter(waits).count() as u64;
        }
        true
    });
    untried
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Changes;
    use crate::model::view::MemoryView;

    #[test]
    fn what_goes_to_one_inbox_alone_counts_as_not_tried_before_it_was() {
        let now = Timestamp::UNIX_EPOCH;
        let attempt = |id| Attempt::personal(now, Ulid(id), "https://peer.example/inbox".to_owned());
        let mut changes = Changes::none();
        changes.put(&attempt(1));
        changes.put(&Attempt { tries: 1, ..attempt(2) });
        changes.put(&Attempt { uncertain: true, ..attempt(3) });
        // A part of a fan-out that was given up, and is tried anew.
        changes.put(&Attempt { number: Some(7), ..attempt(4) });
        changes.put(&Resting(attempt(5)));
        let mut view = MemoryView::default();
        view.apply(changes);
        for limit in [1, 20] {
            let report = host_report(&view, "peer.example".to_owned(), limit, now).unwrap();
            assert_eq!((report.untried, report.again), (2, 3), "{limit}");
            assert_eq!(report.pending.len() as u64 + report.more, 5);
        }
    }
}
