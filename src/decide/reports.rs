//! Reports from other servers: kept for the operator, a bounded number of them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::Moment;
use crate::model::handle::{Person, host_of};
use crate::model::owner::owner_of_host;
use crate::model::record::decode;
use crate::model::report::Report;
use crate::model::{Draft, Record, View};

/// Reports kept of one server; a further one takes the place of its oldest.
pub const OF_A_SERVER: usize = 20;
/// Reports kept of all the servers of one owner; a further one takes the place of their oldest.
pub const OF_AN_OWNER: usize = 2 * OF_A_SERVER;
/// Reports kept in all; a further one takes the place of the oldest of whose there are most.
pub const IN_ALL: usize = 500;
/// Reports are kept this long.
pub const LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// A server reports us. `about` is what of ours it names. False if this report is known.
pub fn keep(
    draft: &mut Draft<'_>,
    moment: &Moment,
    person: &Person,
    activity: &str,
    about: Vec<String>,
    text: Option<String>,
) -> bool {
    let report = Report {
        actor: person.actor.clone(),
        handle: person.handle.clone(),
        activity: activity.to_owned(),
        about,
        text,
        at: moment.now,
    };
    if draft.view().get::<Report>(&report.key()).is_some() {
        return false;
    }
    let server = host_of(&report.actor);
    let owner = owner_of_host(&server);
    let (mut all, mut of_server) = (0, 0);
    let mut by_owner: BTreeMap<String, usize> = BTreeMap::new();
    each_kept(draft.view(), &mut |key, _| {
        let theirs = Report::server_in(key);
        all += 1;
        of_server += usize::from(theirs == server);
        *by_owner.entry(owner_of_host(theirs)).or_default() += 1;
    });
    let most = by_owner.values().copied().max().unwrap_or_default();
    if of_server >= OF_A_SERVER {
        drop_oldest(draft, |theirs| theirs == server);
    } else if by_owner.get(&owner).is_some_and(|theirs| *theirs >= OF_AN_OWNER) {
        drop_oldest(draft, |theirs| owner_of_host(theirs) == owner);
    } else if all >= IN_ALL {
        drop_oldest(draft, |theirs| by_owner.get(&owner_of_host(theirs)) == Some(&most));
    }
    draft.put(&report);
    true
}

/// Calls with the key below the prefix, and the bytes, of each report. Most that is asked of them stands in the keys, and to
/// read all of them takes the writer's time, which everybody waits for.
fn each_kept(view: &dyn View, each: &mut dyn FnMut(&[u8], &[u8])) {
    view.scan_bytes(&[Report::KIND], &[Report::KIND], &mut |key, value| {
        each(key.get(1..).unwrap_or_default(), value);
        true
    });
}

/// When a report arrived, and nothing else of it.
#[derive(Deserialize)]
struct Arrived {
    at: Timestamp,
}

/// Removes the oldest report of these servers.
fn drop_oldest(draft: &mut Draft<'_>, whose: impl Fn(&str) -> bool) {
    let mut oldest: Option<(Timestamp, Vec<u8>)> = None;
    each_kept(draft.view(), &mut |key, value| {
        let at = whose(Report::server_in(key)).then(|| decode::<Arrived>(value)).flatten();
        if let Some(Arrived { at }) = at
            && oldest.as_ref().is_none_or(|(known, _)| at < *known)
        {
            oldest = Some((at, key.to_vec()));
        }
    });
    if let Some((_, key)) = oldest {
        draft.delete::<Report>(&key);
    }
}

/// All reports, newest first.
pub fn all(view: &dyn View) -> Vec<Report> {
    let mut all: Vec<Report> = view.all(b"");
    all.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.key().cmp(&b.key())));
    all
}

/// The operator has read them. Returns how many there were.
pub fn clear(draft: &mut Draft<'_>) -> usize {
    let all: Vec<Report> = draft.view().all(b"");
    all.iter().for_each(|report| draft.delete::<Report>(&report.key()));
    all.len()
}
