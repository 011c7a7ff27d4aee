//! What moving in says at its end.

use std::path::Path;

use super::key;
use super::move_in::MovedIn;
use crate::cli::text::{counted, line};
use crate::control::protocol::adopt::{Finished, OwncastCounts};
use crate::model::adopted::Tally;

/// The end of every dry run.
pub(super) const DRY: &str = "Nothing has changed: this was a dry run.\n";

/// The report, and what comes next.
pub(super) fn moved_in(moved: &MovedIn<'_>, catch_up: bool, data_dir: Option<&Path>) -> String {
    let mut text = report(moved);
    text.push_str(&next(moved, catch_up, data_dir));
    text
}

/// The report.
pub(super) fn report(moved: &MovedIn<'_>) -> String {
    let MovedIn { key, dry_run, found, now } = moved;
    let mut text = key.as_ref().map(key::found).unwrap_or_default();
    text.push_str(&format!(
        "Followers in Owncast: {} approved, {} pending, {} rejected\n",
        found.approved, found.pending, found.rejected
    ));
    text.push_str(if *dry_run { "Would be taken over:\n" } else { "Taken over:\n" });
    text.push_str(&rows(found));
    if !found.reasons.is_empty() {
        text.push_str("Set aside until their own servers were asked; nothing is sent to them before:\n");
        for (reason, count) in &found.reasons {
            text.push_str(&format!("  {count:>6}  {}\n", line(reason)));
        }
    }
    if !found.problems.is_empty() {
        text.push_str("Not taken:\n");
        found.problems.iter().for_each(|problem| text.push_str(&format!("  {}\n", line(problem))));
    }
    text.push_str(&standing(now));
    if let Some(key) = key {
        text.push_str(&key.fate(*dry_run));
        if key.replaced() && !dry_run {
            text.push_str("An agent that ran with another key goes on with it until it is restarted (systemctl restart owncast-herald).\n");
        }
    }
    text
}

fn rows(found: &Tally) -> String {
    let rows = [
        (found.taken, "followers, new here", true),
        (found.changed, "followers, changed in Owncast since the last time", false),
        (found.known, "followers, known already", false),
        (found.kept, "followers of whom something has become here, which stands", false),
        (found.parked, "followers, set aside by a block", false),
        (found.set_aside, "followers, set aside: their rows cannot be believed as they are", false),
        (found.left, "followers who have left", false),
        (found.posts, "posts, new here", true),
        (found.posts_known, "posts, known already", false),
        (found.blocks, "blocked domains, each with everything below it", false),
        (found.accepted, "activities that are not told in chat again", false),
    ];
    let shown = rows.iter().filter(|(count, _, always)| *always || *count > 0);
    shown.map(|(count, what, _)| format!("  {count:>6}  {what}\n")).collect()
}

fn standing(now: &Finished) -> String {
    let here = now.here;
    let mut text = format!(
        "Here now: {} approved, {} pending, {} rejected, {} set aside by blocks, {} to be asked for; {} of Owncast's\n",
        here.approved,
        here.pending,
        here.rejected,
        here.parked,
        now.set_aside,
        counted(now.posts, "post")
    );
    match (&now.owncast, &now.owncast_problem) {
        (Some(OwncastCounts { approved, pending, rejected }), _) => text.push_str(&format!(
            "Owncast's own count: {approved} approved, {pending} pending, {rejected} rejected\n"
        )),
        (None, Some(problem)) => {
            text.push_str(&format!("Owncast's own count is not known: {}\n", line(problem)))
        }
        (None, None) => {}
    }
    text
}

fn next(moved: &MovedIn<'_>, catch_up: bool, data_dir: Option<&Path>) -> String {
    if moved.dry_run {
        return DRY.to_owned();
    }
    let from = data_dir.map_or("--api".to_owned(), |dir| format!("--data-dir {}", dir.display()));
    if catch_up {
        return "Next: owncast-herald status. With Owncast stopped, `owncast-herald adopt --finish` keeps it from sending \
                anything of its own to these followers.\n"
            .to_owned();
    }
    format!(
        "Next: lead the proxy to the agent, then take whoever followed or left in between:\n  \
         owncast-herald adopt --catch-up {from}\n\
         To take this back: owncast-herald adopt --undo\n"
    )
}
