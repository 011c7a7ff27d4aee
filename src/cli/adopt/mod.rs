//! `adopt`: what lived in Owncast's own federation moves in, and back out.

mod back;
mod finish;
mod hand;
mod key;
mod move_in;
mod told;
mod undo;

use std::path::{Path, PathBuf};

use super::files::Places;
use super::{Failure, Outcome};
use crate::adopt::interrupted;
use crate::config::quoted;

/// Arguments of `adopt`.
#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Owncast's data folder, which holds owncast.db: of a service, below /home, or of a Docker volume
    ///
    /// It is only read, by way of a copy, except by --finish and --give-back.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Take over the actor's key and nothing else
    #[arg(long, conflicts_with_all = ["dry_run", "catch_up", "api", "undo", "finish", "give_back"])]
    pub key_only: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Once more, after the proxy leads to the agent: take whoever followed or left in between
    #[arg(long, conflicts_with_all = ["undo", "finish", "give_back"])]
    pub catch_up: bool,
    /// Take the list of followers from Owncast's API, without its database: their servers are asked for the rest
    ///
    /// The running agent asks. There is neither key nor post to be had in this way.
    #[arg(long, conflicts_with_all = ["data_dir", "undo", "finish", "give_back"])]
    pub api: bool,
    /// With Owncast stopped: move its followers out of its way, so that it sends them nothing any more
    #[arg(long, conflicts_with_all = ["undo", "give_back"])]
    pub finish: bool,
    /// With Owncast stopped: give followers, blocks and posts back to it
    #[arg(long, conflicts_with = "undo")]
    pub give_back: bool,
    /// With --give-back: leave Owncast's database as it is, and make a changed copy of it in this folder
    ///
    /// For who cannot be root of the whole machine, as inside of a container. What is left to do by hand is printed.
    #[arg(long, value_name = "DIR", requires = "give_back", conflicts_with = "dry_run")]
    pub to: Option<PathBuf>,
    /// Take back what was taken over and has not changed since
    ///
    /// Says whose followers these are, and asks before it does it.
    #[arg(long, conflicts_with = "data_dir")]
    pub undo: bool,
    /// With --undo: ask nothing
    #[arg(long, requires = "undo")]
    pub yes: bool,
    /// Folder of the agent's database; wins over the file
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Set another key aside that is there, though whoever follows its actor is lost; believe that many have left at once
    ///
    /// With --catch-up and --finish the key that is there stays, whatever it is: after a change of keys Owncast has the old one.
    #[arg(long)]
    pub force: bool,
}

pub(super) fn adopt(places: &Places, args: &Args, as_json: bool) -> Outcome {
    if args.undo {
        return undo::undo(places, args, as_json);
    }
    let data_dir = match args.data_dir.as_deref() {
        Some(data_dir) => data_dir,
        None if args.api => return move_in::from_api(places, args, as_json),
        None => return Err(nothing_named(places, args)),
    };
    interrupted::listen()?;
    match () {
        () if args.key_only => key::key_only(places, args, data_dir, as_json),
        () if args.give_back => back::give_back(places, args, data_dir, as_json),
        () if args.finish => finish::finish(places, args, data_dir, as_json),
        () => move_in::from_database(places, args, data_dir, as_json),
    }
}

/// What it needs, for who does not know yet.
fn nothing_named(places: &Places, args: &Args) -> Failure {
    let typed = [
        (args.key_only, "--key-only "),
        (args.dry_run, "--dry-run "),
        (args.catch_up, "--catch-up "),
        (args.finish, "--finish "),
        (args.give_back, "--give-back "),
    ];
    let typed: String = typed.iter().filter(|(given, _)| *given).map(|(_, option)| *option).collect();
    let api = match args.key_only || args.finish || args.give_back {
        true => String::new(),
        false => format!(
            "\nWhere it is not at hand, the running agent asks Owncast's API for the followers, and their servers for the rest; \
             this takes neither key nor posts:\n  {}",
            command(places, args, &format!("{typed}--api"))
        ),
    };
    Failure {
        code: 2,
        ..Failure::new(format!(
            "Owncast's data folder is not named. It holds owncast.db: the folder \"data\" beside Owncast's program, or the volume \
             that is /app/data in its container (`docker inspect` shows where that lies):\n  {}{api}",
            command(places, args, &format!("{typed}--data-dir DIR"))
        ))
    }
}

/// `adopt` of this agent and store, to be typed.
fn command(places: &Places, args: &Args, rest: &str) -> String {
    let store = args.store.as_deref().map_or_else(String::new, |store| {
        let store = std::path::absolute(store).unwrap_or_else(|_| store.to_owned());
        format!("--store {} ", quoted(store.as_os_str()))
    });
    places.command(&format!("adopt {store}{rest}"))
}

/// Where Owncast's data folder is, to be typed; a name to be replaced where it is not known.
fn data_dir(data_dir: Option<&Path>) -> String {
    let folder = data_dir.map_or_else(
        || "DIR".to_owned(),
        |folder| {
            let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
            quoted(folder.as_os_str())
        },
    );
    format!("--data-dir {folder}")
}

/// A number for a run, larger than any before.
fn run_number() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// What needs an actor that has lived.
fn never_federated() -> Failure {
    Failure::new(
        "Owncast has no server URL, without which it never federated: there is nothing to take over but the key \
         (--key-only). Nothing has changed",
    )
}
