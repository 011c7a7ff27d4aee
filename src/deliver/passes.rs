//! Pure: what the store holds that is to be sent now.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use ulid::Ulid;

use crate::decide::delivered::{self, Job};
use crate::model::View;
use crate::model::delivery::Attempt;
use crate::model::record::kind;

/// The first pass of a fan-out.
pub(super) struct Pass {
    /// Number of the inbox where reading goes on; `None` when all are read.
    pub(super) next: Option<u32>,
    /// An earlier process may have tried the inboxes below this number, and died before it could say so.
    pub(super) inherited: u32,
    /// This process may try the inboxes below this number.
    pub(super) claimed: u32,
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
    passes: &mut HashMap<Ulid, Pass>,
    room: usize,
    jobs: &mut Vec<Job>,
) {
    let mut open = BTreeMap::new();
    view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, value| {
        let id = key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok());
        open.extend(id.map(|id| (Ulid::from_bytes(id), delivered::claimed(value))));
        true
    });
    passes.retain(|id, _| open.contains_key(id));
    for (id, claimed) in open {
        let pass = passes.entry(id).or_insert(Pass { next: Some(0), inherited: claimed, claimed });
        let Some(from) = pass.next else { continue };
        let room = room.saturating_sub(jobs.len());
        if room == 0 {
            return;
        }
        let (found, next) = delivered::waiting(view, id, from, room);
        pass.next = next;
        let inherited = pass.inherited;
        jobs.extend(found.into_iter().filter(|(_, inbox)| !held.contains(&(id, inbox.url.clone()))).map(
            |(number, inbox)| Job {
                outgoing: id,
                inbox: inbox.url,
                number: Some(number),
                tries: 0,
                uncertain: number < inherited,
                attempt: None,
            },
        ));
    }
}
