//! Reports from other servers: kept for the operator, a bounded number of them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::Moment;
use crate::model::handle::Person;
use crate::model::owner::owner_of;
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
    make_room(draft, draft.view().all(&Report::prefix_of_server(&report.actor)), OF_A_SERVER);
    let mut by_owner: BTreeMap<String, Vec<Report>> = BTreeMap::new();
    let mut all = 0;
    draft.view().scan::<Report>(b"", &mut |report| {
        all += 1;
        by_owner.entry(owner_of(&report.actor)).or_default().push(report);
        true
    });
    let theirs = by_owner.remove(&owner_of(&report.actor)).unwrap_or_default();
    if theirs.len() >= OF_AN_OWNER {
        make_room(draft, theirs, OF_AN_OWNER);
    } else if all >= IN_ALL {
        by_owner.insert(owner_of(&report.actor), theirs);
        let most = by_owner.into_values().max_by_key(|theirs| (theirs.len(), oldest(theirs)));
        let most = most.unwrap_or_default();
        let one_less = most.len();
        make_room(draft, most, one_less);
    }
    draft.put(&report);
    true
}

/// Of as many reports those go that are older.
fn oldest(reports: &[Report]) -> Option<std::cmp::Reverse<Timestamp>> {
    reports.iter().map(|report| std::cmp::Reverse(report.at)).max()
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

/// Removes the oldest of these, so that there are fewer than `most`.
fn make_room(draft: &mut Draft<'_>, mut there: Vec<Report>, most: usize) {
    if there.len() >= most {
        there.sort_by_key(|report| report.at);
        let over = there.len() + 1 - most;
        there.iter().take(over).for_each(|report| draft.delete::<Report>(&report.key()));
    }
}
