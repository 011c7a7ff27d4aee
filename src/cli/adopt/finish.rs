//! `adopt --finish`: with Owncast stopped, its followers are moved out of its way.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::Args;
use super::hand::Hand;
use super::move_in::take;
use crate::adopt::live::Live;
use crate::adopt::{back, read_everything};
use crate::cli::files::Places;
use crate::cli::text::{counted, json};
use crate::cli::{Failure, Outcome};

/// How long Owncast may take to be found at its address.
const LISTENS: Duration = Duration::from_secs(2);

/// What `--json` prints.
#[derive(Serialize)]
struct Done<'a> {
    moved: usize,
    left: u64,
    dry_run: bool,
    backup: Option<&'a Path>,
}

pub(super) fn finish(places: &Places, args: &Args, data_dir: &Path, as_json: bool) -> Outcome {
    owncast_is_stopped(places, args)?;
    let config = places.own_files(args.store.as_deref())?;
    let (identity, found) = read_everything(data_dir)?;
    let hand = Hand::reach_unchanged(places, args.store.as_deref())?;
    // Opened before anything is taken over: what cannot be moved in the end is better told at once.
    let mut live = if args.dry_run { Live::rehearse(data_dir) } else { Live::open(data_dir) }?;
    let taken = take(&hand, &config, args, &identity, found)?;
    let moved = live.in_one(back::move_followers)?;
    let backup = live.backup().map(Path::to_owned);
    live.close()?;
    let done = Done { moved, left: taken.finished.left, dry_run: args.dry_run, backup: backup.as_deref() };
    if as_json {
        return json(&done);
    }
    let rows = counted(moved as u64, "row");
    let Some(backup) = &backup else {
        return Ok(format!(
            "{rows} would be moved out of Owncast's way. Nothing has changed: this was a dry run.\n"
        ));
    };
    Ok(format!(
        "{rows} moved into a table that Owncast does not use; its own list of followers is empty now.\n\
         The database as it was is in {}.\n\
         Next: start Owncast. `owncast-herald adopt --give-back` undoes this.\n",
        backup.display()
    ))
}

/// Refuses while something answers where Owncast does.
pub(super) fn owncast_is_stopped(places: &Places, args: &Args) -> Result<(), Failure> {
    let Ok(config) = places.whole(args.store.as_deref()) else { return Ok(()) };
    let url = config.owncast.url.url();
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Ok(()) };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = (host, port).to_socket_addrs().into_iter().flatten();
    for address in addresses {
        if TcpStream::connect_timeout(&address, LISTENS).is_ok() {
            return Err(Failure::new(format!(
                "Owncast answers on {url}; stop it first (systemctl stop owncast, docker stop …). Nothing has changed"
            )));
        }
    }
    Ok(())
}
