//! What the pump reads in the store: what is due, what waits in a fan-out, and whether it is still wanted.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use ulid::Ulid;

use super::send::Letter;
use crate::decide::blocks;
use crate::decide::delivered::{self, Job, Worth};
use crate::model::delivery::{Attempt, Outgoing};
use crate::model::record::{full_key, kind};
use crate::model::{Record, View};

/// A job in memory, with the host of its inbox.
pub(super) struct Held {
    pub(super) job: Job,
    pub(super) host: String,
}

/// An activity as it was at the last look, and its letter.
pub(super) struct Activity {
    stored: Vec<u8>,
    outgoing: Outgoing,
    pub(super) letter: Letter,
}

/// Attempts that are due, oldest first; and when the next one is that is not.
pub(super) fn due(
    view: &dyn View,
    held: &HashSet<(Ulid, String)>,
    now: Timestamp,
    room: usize,
) -> (Vec<Job>, Option<Timestamp>) {
    let (mut jobs, mut next) = (Vec::new(), None);
    view.scan::<Attempt>(b"", &mut |attempt| {
        if attempt.due > now {
            next = Some(attempt.due);
            return false;
        }
        if !held.contains(&(attempt.outgoing, attempt.inbox.clone())) {
            jobs.push(Job::of(attempt));
        }
        jobs.len() < room
    });
    (jobs, next)
}

/// Waiting inboxes of the fan-outs whose first pass is not done, oldest activity first.
pub(super) fn first_passes(
    view: &dyn View,
    held: &HashSet<(Ulid, String)>,
    read_to: &mut HashMap<Ulid, Option<u32>>,
    room: usize,
    jobs: &mut Vec<Job>,
) {
    let mut open = BTreeSet::new();
    view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, _| {
        let id = key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok());
        open.extend(id.map(Ulid::from_bytes));
        true
    });
    read_to.retain(|id, _| open.contains(id));
    for id in open {
        let Some(from) = *read_to.entry(id).or_insert(Some(0)) else { continue };
        let room = room.saturating_sub(jobs.len());
        if room == 0 {
            return;
        }
        let (found, next) = delivered::waiting(view, id, from, room);
        read_to.insert(id, next);
        jobs.extend(found.into_iter().filter(|(_, inbox)| !held.contains(&(id, inbox.url.clone()))).map(
            |(number, inbox)| Job {
                outgoing: id,
                inbox: inbox.url,
                number: Some(number),
                tries: 0,
                uncertain: false,
                attempt: None,
            },
        ));
    }
}

/// Whether each job is still wanted. Leaves in `activities` those of the jobs, as they are now.
pub(super) fn last_look<T>(
    view: &dyn View,
    jobs: &[(Held, T)],
    activities: &mut HashMap<Ulid, Activity>,
    now: Timestamp,
) -> Vec<Worth> {
    let mut over: HashMap<Ulid, bool> = HashMap::new();
    let worths = jobs
        .iter()
        .map(|(Held { job, host }, _)| {
            let over = *over.entry(job.outgoing).or_insert_with(|| {
                refresh(view, job.outgoing, activities);
                let activity = activities.get(&job.outgoing);
                activity.is_none_or(|activity| delivered::over(view, &activity.outgoing, now))
            });
            match activities.get(&job.outgoing) {
                Some(activity) if !over && !blocks::host_blocked(view, host) => {
                    delivered::worth_there(view, &activity.outgoing, job)
                }
                _ => Worth::Expired,
            }
        })
        .collect();
    activities.retain(|id, _| over.contains_key(id));
    worths
}

/// Reads an activity again if it changed: a post may have been edited since.
fn refresh(view: &dyn View, id: Ulid, activities: &mut HashMap<Ulid, Activity>) {
    let stored = view.get_bytes(&full_key(Outgoing::KIND, &id.to_bytes())).unwrap_or_default();
    if activities.get(&id).is_some_and(|known| known.stored == stored) {
        return;
    }
    match crate::model::record::decode::<Outgoing>(&stored) {
        Some(outgoing) => {
            let letter = Letter::new(outgoing.body.clone());
            activities.insert(id, Activity { stored, outgoing, letter });
        }
        None => {
            activities.remove(&id);
        }
    }
}
