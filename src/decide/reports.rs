//! Reports from other servers: kept for the operator, a bounded number of them.

use std::time::Duration;

use super::Moment;
use crate::model::handle::Person;
use crate::model::report::Report;
use crate::model::{Draft, Record, View};

/// Reports kept of one server; a further one takes the place of its oldest.
pub const OF_A_SERVER: usize = 20;
/// Reports kept in all; a further one takes the place of the oldest.
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
    make_room(draft, &Report::prefix_of_server(&report.actor), OF_A_SERVER);
    make_room(draft, b"", IN_ALL);
    draft.put(&report);
    true
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

fn make_room(draft: &mut Draft<'_>, prefix: &[u8], most: usize) {
    let mut there: Vec<Report> = draft.view().all(prefix);
    if there.len() >= most {
        there.sort_by_key(|report| report.at);
        let over = there.len() + 1 - most;
        there.iter().take(over).for_each(|report| draft.delete::<Report>(&report.key()));
    }
}
