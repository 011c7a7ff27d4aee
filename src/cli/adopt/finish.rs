//! `adopt --finish`: with Owncast stopped, its followers are moved out of its way.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::hand::Hand;
use super::move_in::{MovedIn, may, take, warn};
use super::{Args, command, data_dir, key, told};
use crate::adopt::live::Live;
use crate::adopt::{back, read_identity};
use crate::cli::files::Places;
use crate::cli::text::{counted, json};
use crate::cli::{Failure, Outcome};
use crate::owncast::{Api, OwncastError};

/// What `--json` prints.
#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    report: MovedIn<'a>,
    moved: u64,
    stay: u64,
    backup: Option<&'a Path>,
}

pub(super) fn finish(places: &Places, args: &Args, folder: &Path, as_json: bool) -> Outcome {
    owncast_is_stopped(places, args)?;
    let config = places.own_files(args.store.as_deref())?;
    let hand = Hand::reach_unchanged(places, args.store.as_deref())?;
    // Asked before the database is opened: what is refused leaves no copy of it.
    may(&hand, places, &config, args, &read_identity(folder)?)?;
    // Opened before anything is taken over: what cannot be moved in the end is better told at once.
    let mut live = if args.dry_run { Live::rehearse(folder) } else { Live::open(folder) }?;
    let (identity, found) = live.everything()?;
    let actors: BTreeSet<String> = found.followers.iter().map(|row| row.actor.clone()).collect();
    let taken = take(&hand, places, &config, args, &identity, found)?;
    let moved = live.in_one(|database| back::move_followers(database, &actors))?;
    let backup = live.backup().map(Path::to_owned);
    live.close()?;
    let key = key::adopted(&identity, &config, taken.key, hand.is_agent())?;
    let report = MovedIn::new(Some(key), args.dry_run, taken.tally, taken.finished);
    let done = Done { report, moved: moved.moved, stay: moved.stay, backup: backup.as_deref() };
    if as_json {
        return json(&done);
    }
    warn(&done.report);
    Ok(what_was_done(&done, places, args))
}

fn what_was_done(done: &Done<'_>, places: &Places, args: &Args) -> String {
    let mut text = told::report(&done.report, places);
    let rows = counted(done.moved, "row");
    text.push_str(&match done.backup {
        Some(_) => format!("{rows} moved into a table that Owncast does not use.\n"),
        None => format!("{rows} would be moved into a table that Owncast does not use.\n"),
    });
    if done.stay > 0 {
        text.push_str(&format!(
            "{} in Owncast's own list: not taken over, for the reasons above.\n",
            match done.stay {
                1 => "1 row stays".to_owned(),
                many => format!("{many} rows stay"),
            }
        ));
    }
    text.push_str(&match done.backup {
        Some(backup) => format!(
            "The database as it was is in {}; it holds the key.\n\
             Next: start Owncast. To undo this, with Owncast stopped once more:\n  {}\n",
            backup.display(),
            command(places, args, &format!("--give-back {}", data_dir(args.data_dir.as_deref())))
        ),
        None => told::DRY.to_owned(),
    });
    text
}

/// Refuses while Owncast answers at its address. Who else listens there, or in front of it, says nothing.
pub(super) fn owncast_is_stopped(places: &Places, args: &Args) -> Result<(), Failure> {
    let Ok(config) = places.whole(args.store.as_deref()) else { return Ok(()) };
    let url = config.owncast.url.url();
    let Ok(api) = Api::read_only(url.clone(), config.owncast.admin_user.clone(), String::new()) else {
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
    match runtime.block_on(api.status()) {
        Ok(_) | Err(OwncastError::Malformed { .. }) => Err(Failure::new(format!(
            "Owncast answers on {url}; stop it first (systemctl stop owncast, docker stop …). Nothing has changed"
        ))),
        Err(_) => Ok(()),
    }
}
