//! What moving in says at its end.

use super::move_in::{Compared, MovedIn};
use super::{Args, command, data_dir, key};
use crate::cli::files::Places;
use crate::cli::text::{counted, line};
use crate::control::protocol::adopt::{Finished, OwncastCounts};
use crate::model::adopted::Tally;

/// The end of every dry run.
pub(super) const DRY: &str = "Nothing has changed: this was a dry run.\n";

/// The report, and what comes next.
pub(super) fn moved_in(moved: &MovedIn<'_>, places: &Places, args: &Args) -> String {
    let mut text = report(moved, places);
    text.push_str(&next(moved, places, args));
    text
}

/// The report.
pub(super) fn report(moved: &MovedIn<'_>, places: &Places) -> String {
    let MovedIn { key, dry_run, found, now, .. } = moved;
    let mut text = key.as_ref().map(key::found).unwrap_or_default();
    text.push_str(&format!(
        "Followers in Owncast: {} approved, {} pending, {} rejected\n",
        found.approved, found.pending, found.rejected
    ));
    text.push_str(if *dry_run { "Would be taken over:\n" } else { "Taken over:\n" });
    text.push_str(&rows(found));
    for (title, reasons) in [
        ("Set aside until their own servers were asked; nothing is sent to them before:", &found.reasons),
        ("Set aside for good, since no server can be asked; nothing is sent to them:", &found.unaskable),
    ] {
        if !reasons.is_empty() {
            text.push_str(&format!("{title}\n"));
        }
        for (reason, count) in reasons {
            text.push_str(&format!("  {count:>6}  {}\n", line(reason)));
        }
    }
    if !found.problems.is_empty() {
        text.push_str("Not taken:\n");
        found.problems.iter().for_each(|problem| text.push_str(&format!("  {}\n", line(problem))));
    }
    text.push_str(&standing(now));
    if let Some(warning) = differing(moved) {
        text.push_str(&warning);
    }
    if let Some(key) = key {
        text.push_str(&key.fate());
        if key.replaced() {
            text.push_str(&format!(
                "The agent goes on with the key that was there until it is restarted: {}\n",
                places.systemctl("restart")
            ));
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
        "Here now: {} approved, {} pending, {} rejected, {} set aside by blocks, {} to be asked for{}; {} of Owncast's\n",
        here.approved,
        here.pending,
        here.rejected,
        here.parked,
        now.set_aside.saturating_sub(now.unaskable),
        match now.unaskable {
            0 => String::new(),
            many => format!(", {many} set aside for good"),
        },
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

/// What differs between here and Owncast, and what that may mean.
fn differing(moved: &MovedIn<'_>) -> Option<String> {
    let Compared { ours, theirs, held } = moved.compared()?;
    let [ours_in_all, theirs_in_all] = [ours, theirs].map(|counts| counts.iter().sum::<u64>());
    let pairs = ["approved", "pending", "rejected"].iter().zip(ours.iter().zip(theirs));
    let pairs: Vec<String> = pairs
        .filter(|(_, (ours, theirs))| *ours != theirs)
        .map(|(state, (ours, theirs))| format!("{ours} {state} here and {theirs} there"))
        .collect();
    let database = [moved.found.approved, moved.found.pending, moved.found.rejected];
    let why = if moved.key.is_some() && database != theirs {
        "The database holds others than Owncast counts: see that it is this Owncast's, and not an old copy; if somebody has \
         followed or left meanwhile, --catch-up takes it"
            .to_owned()
    } else if held > 0 && ours_in_all + held == theirs_in_all {
        format!("These are the {} set aside, see above", counted(held, "follower"))
    } else {
        "Who has followed or left here since is not in Owncast's list, and who was not taken is told above"
            .to_owned()
    };
    Some(format!("WARNING: these counts differ from Owncast's own: {}. {why}.\n", pairs.join(", ")))
}

fn next(moved: &MovedIn<'_>, places: &Places, args: &Args) -> String {
    if moved.dry_run {
        return DRY.to_owned();
    }
    let from = match args.api {
        true => "--api".to_owned(),
        false => data_dir(args.data_dir.as_deref()),
    };
    if args.catch_up {
        return format!(
            "Next: see how the agent is, then, with Owncast stopped, keep it from sending anything of its own to these \
             followers:\n  {}\n  {}\n",
            places.command("status"),
            command(places, args, &format!("--finish {}", data_dir(args.data_dir.as_deref())))
        );
    }
    format!(
        "Next: lead the proxy to the agent, then take whoever followed or left in between:\n  {}\n\
         To take this back:\n  {}\n",
        command(places, args, &format!("--catch-up {from}")),
        command(places, args, "--undo")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::follower::FollowerCounts;

    fn moved(here: [u64; 3], theirs: [u64; 3], set_aside: u64) -> MovedIn<'static> {
        let [approved, pending, rejected] = here;
        let here = FollowerCounts { approved, pending, rejected, ..FollowerCounts::default() };
        let [approved, pending, rejected] = theirs;
        let owncast = Some(OwncastCounts { approved, pending, rejected });
        let now = Finished { here, owncast, set_aside, ..Finished::default() };
        let found = Tally { approved, pending, rejected, ..Tally::default() };
        MovedIn { key: None, dry_run: false, found, counts_differ: false, now }
    }

    #[test]
    fn counts_that_differ_are_warned_of() {
        assert_eq!(differing(&moved([6, 2, 2], [6, 2, 2], 0)), None);
        let warning = differing(&moved([6, 2, 2], [0, 2, 0], 0)).unwrap();
        assert!(warning.contains("6 approved here and 0 there, 2 rejected here and 0 there"), "{warning}");
        let warning = differing(&moved([5, 2, 2], [6, 2, 2], 1)).unwrap();
        assert!(warning.contains("the 1 follower set aside"), "{warning}");
    }

    #[test]
    fn who_can_never_be_asked_for_is_told_apart() {
        let now = Finished { set_aside: 3, unaskable: 1, ..Finished::default() };
        let text = standing(&now);
        assert!(text.contains(" 2 to be asked for, 1 set aside for good; 0 posts"), "{text}");
        let mut moved = moved([0; 3], [0; 3], 3);
        moved.found.reasons.insert("no inbox is known".to_owned(), 2);
        moved.found.unaskable.insert("its id is on our own host".to_owned(), 1);
        let text = report(&moved, &Places::default());
        let [asked, for_good] = [
            "were asked; nothing is sent to them before:\n       2  no inbox",
            "can be asked; nothing is sent to them:\n       1  its id",
        ];
        assert!(text.contains(asked) && text.contains(for_good), "{text}");
    }

    #[test]
    fn what_is_next_can_be_typed() {
        let places = Places { instance: "radio".parse().ok(), ..Places::default() };
        let args = Args { data_dir: Some("/srv/my stream".into()), ..Args::default() };
        let text = next(&moved([1, 0, 0], [1, 0, 0], 0), &places, &args);
        let whole = "\n  sudo owncast-herald --instance radio adopt ";
        for rest in ["--catch-up --data-dir '/srv/my stream'\n", "--undo\n"] {
            assert!(text.contains(&format!("{whole}{rest}")), "{text}");
        }
        let args = Args { catch_up: true, ..args };
        let text = next(&moved([1, 0, 0], [1, 0, 0], 0), &places, &args);
        assert!(text.contains(&format!("{whole}--finish --data-dir '/srv/my stream'\n")), "{text}");
    }
}
