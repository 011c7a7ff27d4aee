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

/// Activities that are kept though no job looked at is one of theirs: others will come.
const KEPT: usize = 16;

/// An activity as it was at the last look, and its letter.
pub(super) struct Activity {
    stored: Vec<u8>,
    pub(super) outgoing: Outgoing,
    pub(super) letter: Letter,
}

/// Whether each job is still wanted. Leaves in `activities` those of the jobs, as they are now, and a few more.
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
    if activities.len() > KEPT {
        activities.retain(|id, _| over.contains_key(id));
    }
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
            // Its cursor has moved, or its time; seldom its words.
            let known = activities.remove(&id).filter(|known| known.outgoing.body == outgoing.body);
            let letter = known.map_or_else(|| Letter::new(outgoing.body.clone()), |known| known.letter);
            activities.insert(id, Activity { stored, outgoing, letter });
        }
        None => {
            activities.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::activitypub::signature::Scheme;
    use crate::model::Draft;
    use crate::model::delivery::{Attempt, OutgoingKind, Target};
    use crate::model::view::MemoryView;

    #[test]
    fn a_letter_is_made_once_for_the_same_words() {
        let (mut view, mut activities, now) = (MemoryView::default(), HashMap::new(), Timestamp::UNIX_EPOCH);
        let inbox = "https://peer.example/inbox";
        let mut look = |number: u128, cursor: u32, body: &str| {
            let mut draft = Draft::new(&view);
            draft.put(&Outgoing {
                id: Ulid(number),
                kind: OutgoingKind::Delete,
                post: None,
                body: body.to_owned(),
                target: Target::Everybody,
                created: now,
                expires: crate::decide::seen::later(now, std::time::Duration::from_secs(60)),
                chunks: 9,
                cursor,
                given_up: None,
            });
            let changes = draft.into_changes();
            view.apply(changes);
            let job = Job::of(Attempt::personal(now, Ulid(number), inbox.to_owned()));
            last_look(&view, [(&job, "peer.example")].into_iter(), &mut activities, now);
            assert!(activities.len() <= KEPT, "{}", activities.len());
            activities[&Ulid(number)].letter.digest(Scheme::Cavage)
        };
        let first = look(1, 0, "words");
        assert!(Arc::ptr_eq(&first, &look(1, 1, "words")), "the cursor moved");
        look(2, 0, "others");
        assert!(Arc::ptr_eq(&first, &look(1, 2, "words")), "another was looked at");
        assert!(!Arc::ptr_eq(&first, &look(1, 2, "new words")));
        for number in 3..40 {
            look(number, 0, "more");
        }
    }
}
