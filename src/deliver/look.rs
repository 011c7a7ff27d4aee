//! Pure: the last look at what is about to be sent. Much may have happened since it was queued.

use std::collections::HashMap;

use jiff::Timestamp;
use ulid::Ulid;

use super::send::Letter;
use crate::decide::blocks;
use crate::decide::delivered::{self, Job, Worth};
use crate::model::delivery::Outgoing;
use crate::model::record::{decode, full_key};
use crate::model::{Record, View};

/// An activity as it was at the last look, and its letter.
pub(super) struct Activity {
    stored: Vec<u8>,
    pub(super) outgoing: Outgoing,
    pub(super) letter: Letter,
}

/// Whether each job is still wanted. Leaves in `activities` those of the jobs, as they are now.
pub(super) fn last_look<'j>(
    view: &dyn View,
    jobs: impl Iterator<Item = (&'j Job, &'j str)>,
    activities: &mut HashMap<Ulid, Activity>,
    now: Timestamp,
) -> Vec<Worth> {
    let mut over: HashMap<Ulid, bool> = HashMap::new();
    let looks = jobs
        .map(|(job, host)| {
            let over = *over.entry(job.outgoing).or_insert_with(|| {
                refresh(view, job.outgoing, activities);
                let activity = activities.get(&job.outgoing);
                activity.is_none_or(|activity| delivered::over(view, &activity.outgoing, now))
            });
            match activities.get(&job.outgoing) {
                Some(activity)
                    if (!over || delivered::owed(view, &activity.outgoing, job))
                        && !blocks::host_blocked(view, host) =>
                {
                    delivered::worth_there(view, &activity.outgoing, job, now)
                }
                _ => Worth::Expired,
            }
        })
        .collect();
    activities.retain(|id, _| over.contains_key(id));
    looks
}

/// Reads an activity again if it changed: a post may have been edited since.
fn refresh(view: &dyn View, id: Ulid, activities: &mut HashMap<Ulid, Activity>) {
    let stored = view.get_bytes(&full_key(Outgoing::KIND, &id.to_bytes())).unwrap_or_default();
    if activities.get(&id).is_some_and(|known| known.stored == stored) {
        return;
    }
    match decode::<Outgoing>(&stored) {
        Some(outgoing) => {
            let letter = Letter::new(outgoing.body.clone());
            activities.insert(id, Activity { stored, outgoing, letter });
        }
        None => {
            activities.remove(&id);
        }
    }
}
