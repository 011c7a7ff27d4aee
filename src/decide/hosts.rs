//! Servers that fail are left alone for a while, then asked one thing; what is for them rests until they answer.
//!
//! A server that is well has no record, so that a delivery that goes well writes nothing here.

use std::time::Duration;

use jiff::Timestamp;

use super::schedule;
use super::seen::later;
use crate::model::delivery::Attempt;
use crate::model::follower::{DeliveryInbox, InboxNumber};
use crate::model::handle::host_of;
use crate::model::host::{Host, HostCounts, Resting, Unreached, alarm_key, resting_prefix};
use crate::model::record::{full_key, kind};
use crate::model::{Draft, Record, View};

/// Failures in a row after which a host is left alone.
pub const OPEN_AT: u32 = 5;
/// A host that has not answered for so long is parked,
pub const PARK_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// if it failed at least that often: two bad hours a week apart are not a dead week.
pub const PARK_AT: u32 = 10;

/// No pause that follows from failures is longer: the longest of [`schedule::breaker`] with its jitter, and some more.
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 3600);
/// Nobody is left alone for longer than this by their own word.
pub const LONGEST_ASKED: Duration = Duration::from_secs(6 * 3600);

/// Whether a host may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// At any time: nothing bad is known of it.
    Free,
    /// It is well, but something rests for it and goes first.
    Line,
    /// Its pause is over: one request, on which it depends how things go on.
    Probe,
    /// Not before this time.
    Shut(Timestamp),
}

/// What an attempt told of the host, whatever became of the activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// It answered: it is alive.
    Answered,
    /// It is alive and wants to be left alone until then.
    Busy(Timestamp),
    /// No connection, no answer, or that of a server that is broken; and until when it wants to be left alone.
    Failed(Option<Timestamp>),
}

/// Whether a host may be asked now; `None` is a host without a record.
pub fn gate(host: Option<&Host>, now: Timestamp) -> Gate {
    let Some(host) = host else { return Gate::Free };
    match ready(host, now) {
        Some(ready) if ready > now => Gate::Shut(ready),
        _ if host.failures >= OPEN_AT => Gate::Probe,
        _ if host.alarm.is_some() => Gate::Line,
        _ => Gate::Free,
    }
}

/// Whether what is known of a host was written by a clock that was ahead of ours, and a few seconds are no more than the time
/// that passes while it is written.
fn of_another_time(host: &Host, now: Timestamp) -> bool {
    host.changed > later(now, Duration::from_secs(60))
}

/// When a host may be asked again; `None` if it may be at any time. What was written by a clock that was ahead, or lies
/// further ahead than any pause, does not hold.
pub fn ready(host: &Host, now: Timestamp) -> Option<Timestamp> {
    if of_another_time(host, now) {
        return None;
    }
    let until = host.until.map(|until| if until > later(now, LONGEST_PAUSE) { now } else { until });
    until.max(host.asked.filter(|asked| *asked <= later(now, LONGEST_ASKED)))
}

/// Takes back what was written of a host by a clock that was ahead of ours, if anything was: what rests for it would rest
/// until then.
pub fn mend(draft: &mut Draft<'_>, host: &Host, now: Timestamp) {
    let ahead = |at: Option<Timestamp>, most: Duration| at.is_some_and(|at| at > later(now, most));
    let another = of_another_time(host, now);
    if !another
        && !ahead(host.until, LONGEST_PAUSE)
        && !ahead(host.asked, LONGEST_ASKED)
        && !ahead(host.alarm, LONGEST_PAUSE)
    {
        return;
    }
    let mended = Host {
        since: host.since.map(|since| since.min(now)),
        until: host.until.map(|until| if another || ahead(Some(until), LONGEST_PAUSE) { now } else { until }),
        asked: host.asked.filter(|asked| !another && !ahead(Some(*asked), LONGEST_ASKED)),
        parked: host.parked.map(|parked| parked.min(now)),
        changed: now,
        ..host.clone()
    };
    save(draft, mended, now);
}

/// Whether the host of this name may be asked now.
pub fn gate_of(view: &dyn View, host: &str, now: Timestamp) -> Gate {
    gate(view.get::<Host>(host.as_bytes()).as_ref(), now)
}

/// How often a host failed since it last answered.
pub fn failures(view: &dyn View, host: &str) -> u32 {
    view.get::<Host>(host.as_bytes()).map_or(0, |host| host.failures)
}

/// Since when the server of this inbox is parked, if it is: its followers are kept, and get nothing until it speaks.
pub fn parked(view: &dyn View, inbox: &str) -> Option<Timestamp> {
    view.get::<Host>(host_of(inbox).as_bytes())?.parked
}

/// What is known of a host after an attempt.
pub fn after(host: Host, contact: Contact, now: Timestamp, entropy: u64) -> Host {
    let asked = match contact {
        Contact::Answered | Contact::Failed(None) => host.asked,
        Contact::Busy(until) | Contact::Failed(Some(until)) => host.asked.max(Some(until)),
    };
    match contact {
        Contact::Answered | Contact::Busy(_) => {
            Host { asked, alarm: host.alarm, ..Host::well(&host.host, now) }
        }
        // Sent before the pause began: it tells nothing new.
        Contact::Failed(_) if host.until.is_some_and(|until| until > now) && !of_another_time(&host, now) => {
            Host { asked, ..host }
        }
        Contact::Failed(_) => {
            let failures = host.failures.saturating_add(1);
            let since = host.since.unwrap_or(now);
            let beyond = failures.checked_sub(OPEN_AT);
            let age = now.duration_since(since);
            let dead = failures >= PARK_AT && age.is_positive() && age.unsigned_abs() >= PARK_AFTER;
            Host {
                failures,
                since: Some(since),
                until: beyond.map(|beyond| later(now, schedule::breaker(beyond, entropy))),
                asked,
                parked: host.parked.or(dead.then_some(now)),
                changed: now,
                ..host
            }
        }
    }
}

/// Writes what an attempt told of a host. Returns whether it may be asked now.
pub fn heard(draft: &mut Draft<'_>, host: &str, contact: Contact, now: Timestamp, entropy: u64) -> Gate {
    let known: Option<Host> = draft.view().get(host.as_bytes());
    let nothing_new = known.as_ref().is_none_or(|known| known.failures == 0 && known.alarm.is_some());
    if nothing_new && contact == Contact::Answered {
        return gate(known.as_ref(), now);
    }
    let host = after(known.unwrap_or_else(|| Host::well(host, now)), contact, now, entropy);
    gate(save(draft, host, now).as_ref(), now)
}

/// A host signed something valid, or its failures were ours: it is alive, whatever its inbox did. What it asked for still holds.
pub fn spoke(draft: &mut Draft<'_>, host: &str, now: Timestamp) {
    let known: Option<Host> = draft.view().get(host.as_bytes());
    if let Some(known) = known.filter(|known| known.failures > 0) {
        save(draft, after(known, Contact::Answered, now, 0), now);
    }
}

/// The operator wants a host to be asked now, however often it failed: with one thing, on which it depends how things go
/// on. It is not taken for dead before that, or nothing else that is wanted would be kept for it. What it asked for itself
/// still holds; returns until when, if so.
pub fn ask_now(draft: &mut Draft<'_>, host: &str, now: Timestamp) -> Option<Timestamp> {
    let known: Host = draft.view().get(host.as_bytes())?;
    let asked = known.asked.filter(|asked| *asked > now);
    if known.until.is_some_and(|until| until > now) || known.parked.is_some() {
        save(draft, Host { until: known.until.map(|until| until.min(now)), parked: None, ..known }, now);
    }
    asked
}

/// True if an attempt is kept until its host is well. For a parked host one part of a fan-out is, to try it with.
pub fn keeps(view: &dyn View, attempt: &Attempt) -> bool {
    let host = host_of(&attempt.inbox);
    attempt.number.is_none() || parked(view, &attempt.inbox).is_none() || nothing_rests(view, &host)
}

/// Sets an attempt aside until its host is well.
pub fn set_aside(draft: &mut Draft<'_>, attempt: Attempt, now: Timestamp) {
    let name = host_of(&attempt.inbox);
    draft.put(&Resting(attempt));
    let known: Option<Host> = draft.view().get(name.as_bytes());
    let host = known.unwrap_or_else(|| Host::well(&name, now));
    if host.alarm.is_none() {
        save(draft, Host { alarm: Some(now), ..host }, now);
    }
}

/// Looks whether anything rests for a host whose alarm was at `at`; if nothing does, the alarm goes.
pub fn tidy(draft: &mut Draft<'_>, host: &str, at: Timestamp, now: Timestamp) {
    let known: Option<Host> = draft.view().get(host.as_bytes());
    if !nothing_rests(draft.view(), host) && known.as_ref().is_some_and(|known| known.alarm == Some(at)) {
        return;
    }
    draft.delete_raw(kind::ALARM, &alarm_key(at, host));
    if let Some(known) = known.filter(|known| known.alarm == Some(at)) {
        save(draft, Host { alarm: None, ..known }, now);
    }
}

/// Takes back everything that rests for one inbox, and says what that was.
pub fn recall(draft: &mut Draft<'_>, inbox: &str) -> Vec<Attempt> {
    let mut found = Vec::new();
    draft.view().scan::<Resting>(&resting_prefix(&host_of(inbox)), &mut |Resting(attempt)| {
        if attempt.inbox == inbox {
            found.push(attempt);
        }
        true
    });
    for attempt in &found {
        draft.delete::<Resting>(&Resting(attempt.clone()).key());
    }
    found
}

/// Forgets a host of which nothing was heard for long.
pub fn forget(draft: &mut Draft<'_>, host: &Host) {
    if nothing_rests(draft.view(), &host.host) {
        if let Some(at) = host.alarm {
            draft.delete_raw(kind::ALARM, &alarm_key(at, &host.host));
        }
        draft.delete::<Host>(host.host.as_bytes());
        recount(draft, Some(host), None);
    }
}

fn nothing_rests(view: &dyn View, host: &str) -> bool {
    let prefix = full_key(kind::RESTING, &resting_prefix(host));
    let mut nothing = true;
    view.scan_bytes(&prefix, &prefix, &mut |_, _| {
        nothing = false;
        false
    });
    nothing
}

/// The key of an alarm has milliseconds. Nobody looks before the host may be asked: that look would find it shut.
fn whole(at: Timestamp) -> Timestamp {
    let begun = i64::from(at.subsec_nanosecond() % 1_000_000 != 0);
    Timestamp::from_millisecond(at.as_millisecond().saturating_add(begun)).unwrap_or(at)
}

/// Writes a host, moves its alarm to when it may be asked, and counts. A host that is well again has no record.
fn save(draft: &mut Draft<'_>, mut host: Host, now: Timestamp) -> Option<Host> {
    let before: Option<Host> = draft.view().get(host.host.as_bytes());
    host.alarm = host.alarm.map(|_| whole(ready(&host, now).unwrap_or(now)));
    if let Some(at) = before.as_ref().and_then(|before| before.alarm).filter(|at| host.alarm != Some(*at)) {
        draft.delete_raw(kind::ALARM, &alarm_key(at, &host.host));
    }
    if let Some(at) = host.alarm {
        draft.put_raw(kind::ALARM, &alarm_key(at, &host.host), Vec::new());
    }
    let well = host.failures == 0 && host.alarm.is_none() && host.asked.is_none_or(|asked| asked <= now);
    let host = (!well).then_some(host);
    match (&before, &host) {
        (_, Some(host)) => draft.put(host),
        (Some(before), None) => draft.delete::<Host>(before.host.as_bytes()),
        (None, None) => {}
    }
    recount(draft, before.as_ref(), host.as_ref());
    host
}

/// Calls `each` with the inboxes of a host: the number of each, and how many followers are reached through it.
pub fn inboxes_of(view: &dyn View, host: &str, each: &mut dyn FnMut(u32, u64)) {
    for scheme in ["https", "http"] {
        view.scan::<InboxNumber>(format!("{scheme}://{host}/").as_bytes(), &mut |known| {
            let inbox = view.get::<DeliveryInbox>(&known.number.to_be_bytes());
            each(known.number, inbox.map_or(0, |inbox| inbox.followers));
            true
        });
    }
}

/// How many followers are on hosts that are left alone.
pub fn unreached(view: &dyn View) -> Unreached {
    let mut shut = Vec::new();
    view.scan::<Host>(b"", &mut |host| {
        shut.extend(Some(host).filter(|host| host.failures >= OPEN_AT));
        true
    });
    let mut unreached = Unreached::default();
    for host in shut {
        inboxes_of(view, &host.host, &mut |_, followers| {
            unreached.followers += followers;
            unreached.parked += if host.parked.is_some() { followers } else { 0 };
        });
    }
    unreached
}

fn recount(draft: &mut Draft<'_>, before: Option<&Host>, after: Option<&Host>) {
    let shut = |host: Option<&Host>| u64::from(host.is_some_and(|host| host.failures >= OPEN_AT));
    let parked = |host: Option<&Host>| u64::from(host.is_some_and(|host| host.parked.is_some()));
    if shut(before) == shut(after) && parked(before) == parked(after) {
        return;
    }
    let counts: HostCounts = draft.view().meta();
    draft.put_meta(&HostCounts {
        shut: (counts.shut + shut(after)).saturating_sub(shut(before)),
        parked: (counts.parked + parked(after)).saturating_sub(parked(before)),
    });
}
