//! What there is to do in the place of what was taken back.

use std::collections::{BTreeSet, HashMap, HashSet};

use ulid::Ulid;

use super::Job;
use crate::model::delivery::{Attempt, activity_of_attempt};
use crate::model::handle::host_of;
use crate::model::host::{activity_of_resting, resting_prefix};
use crate::model::record::{decode, full_key, kind};
use crate::model::{Draft, View};

/// Attempts that were made for the jobs of one batch since these were taken from the store. To find them all attempts are
/// walked through; that is done once for the whole batch, and only if one of its jobs was taken back: after a clock was set
/// back it may be each of them.
#[derive(Debug)]
pub struct Anew<'j> {
    jobs: Vec<&'j Job>,
    found: Option<Found>,
}

/// Full keys by activity and inbox.
type Found = HashMap<(Ulid, String), Vec<Vec<u8>>>;

impl<'j> Anew<'j> {
    /// For these jobs, and no others.
    pub fn of(jobs: impl IntoIterator<Item = &'j Job>) -> Self {
        Anew { jobs: jobs.into_iter().collect(), found: None }
    }

    /// Full keys and records of what there is to do for a job.
    pub(super) fn at(&mut self, draft: &Draft<'_>, job: &Job) -> Vec<(Vec<u8>, Attempt)> {
        let found = self.found.get_or_insert_with(|| find(draft.view(), &self.jobs));
        let keys = found.get(&(job.outgoing, job.inbox.clone())).into_iter().flatten();
        // What the batch has written so far is behind the walk.
        let stored = |key: &Vec<u8>| Some((key.clone(), decode(&draft.view().get_bytes(key)?)?));
        keys.filter_map(stored).collect()
    }
}

fn find(view: &dyn View, jobs: &[&Job]) -> Found {
    let wanted: HashSet<(Ulid, &str)> = jobs.iter().map(|job| (job.outgoing, job.inbox.as_str())).collect();
    let mut found = Found::new();
    let mut take = |key: &[u8], activity: Option<Ulid>, inbox: Option<&[u8]>| {
        let inbox = inbox.and_then(|inbox| str::from_utf8(inbox).ok());
        if let Some((activity, inbox)) = activity.zip(inbox).filter(|of| wanted.contains(of)) {
            found.entry((activity, inbox.to_owned())).or_default().push(key.to_vec());
        }
        true
    };
    view.scan_bytes(&[kind::ATTEMPT], &[kind::ATTEMPT], &mut |key, _| {
        let below = key.get(1..).unwrap_or_default();
        take(key, activity_of_attempt(below), below.get(24..))
    });
    for host in jobs.iter().map(|job| host_of(&job.inbox)).collect::<BTreeSet<_>>() {
        let prefix = full_key(kind::RESTING, &resting_prefix(&host));
        view.scan_bytes(&prefix, &prefix, &mut |key, _| {
            let below = key.get(1..).unwrap_or_default();
            take(key, activity_of_resting(below), key.get(prefix.len() + 16..))
        });
    }
    found
}
