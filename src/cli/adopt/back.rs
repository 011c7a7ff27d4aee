//! `adopt --give-back`: with Owncast stopped, followers, blocks and posts go back into its database.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::finish::owncast_is_stopped;
use super::hand::Hand;
use super::move_in::may;
use super::{Args, told};
use crate::activitypub::signature::PrivateKey;
use crate::adopt::back::{self, Given, Giving};
use crate::adopt::live::Live;
use crate::adopt::{interrupted, read_identity};
use crate::cli::files::{Places, unexpected};
use crate::cli::text::{counted, json};
use crate::cli::{Failure, Outcome};
use crate::config::{keyfile, quoted};
use crate::control::protocol::adopt::{Adopted, Adopting};
use crate::model::adopted::{Document, Row};

/// Actors asked about at a time.
const ACTORS: usize = 300;

/// What `--json` prints.
#[derive(Serialize)]
struct Done {
    #[serde(flatten)]
    given: Given,
    dry_run: bool,
    backup: Option<PathBuf>,
    /// Where the changed copy is that is to be put into place.
    copy: Option<PathBuf>,
    /// The last Update, if the agent runs.
    update: Option<String>,
}

pub(super) fn give_back(places: &Places, args: &Args, data_dir: &Path, as_json: bool) -> Outcome {
    owncast_is_stopped(places, args)?;
    let config = places.own_files(args.store.as_deref())?;
    let hand = Hand::reach_unchanged(places, args.store.as_deref())?;
    // Asked before the database is opened: what is refused leaves no copy of it.
    let (of, _) = may(&hand, &read_identity(data_dir)?)?;
    let mut live = match &args.to {
        Some(to) => Live::aside(data_dir, to),
        None if args.dry_run => Live::rehearse(data_dir),
        None => Live::open(data_dir),
    }?;
    let (identity, found) = live.everything()?;
    let known: Vec<String> = found.followers.iter().map(|row| row.actor.clone()).collect();
    let (blocked, go_live_message) = settings(&hand)?;
    let mut giving = Giving {
        ours: of.actor(),
        rows: followers(&hand)?,
        left: left(&hand, &known)?,
        posts: posts(&hand)?,
        blocked: found.blocked,
        go_live_message,
        key: None,
        now: Timestamp::now(),
    };
    for domain in blocked {
        if !giving.blocked.contains(&domain) {
            giving.blocked.push(domain);
        }
    }
    // While it is changed, followers are told of the next one.
    let key = keyfile::read_announced(&config.identity.key_file)?.pem;
    let pair = PrivateKey::from_pem(key.expose()).map_err(|error| Failure::new(error.to_string()))?;
    let public = pair.public_pem().map_err(|error| Failure::new(error.to_string()))?;
    if !same_key(&public, &identity.public_key_pem) {
        giving.key = Some((key, public));
    }
    let given = live.in_one(|database| back::give(database, &giving))?;
    let backup = live.backup().map(Path::to_owned);
    live.close()?;
    let update = match args.dry_run {
        true => None,
        false => {
            mark(&hand, &giving.rows)?;
            match hand.step(Adopting::GivenBack)? {
                Adopted::GivenBack(update) => update,
                _ => return Err(unexpected()),
            }
        }
    };
    let copy = args.to.as_ref().map(|to| to.join("owncast.db"));
    let done = Done { given, dry_run: args.dry_run, backup, copy, update };
    if as_json { json(&done) } else { Ok(what_was_done(&done, places, data_dir)) }
}

fn same_key(one: &str, other: &str) -> bool {
    let known = keyfile::fingerprint_of_public(one);
    known.is_some() && known == keyfile::fingerprint_of_public(other)
}

fn followers(hand: &Hand<'_>) -> Result<Vec<Row>, Failure> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        interrupted::check()?;
        let Adopted::FollowersBack { rows, next } = hand.step(Adopting::FollowersBack { after })? else {
            return Err(unexpected());
        };
        all.extend(rows);
        match next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}

fn posts(hand: &Hand<'_>) -> Result<Vec<Document>, Failure> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        interrupted::check()?;
        let Adopted::PostsBack { posts, next } = hand.step(Adopting::PostsBack { after })? else {
            return Err(unexpected());
        };
        all.extend(posts);
        match next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}

fn left(hand: &Hand<'_>, known: &[String]) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for actors in known.chunks(ACTORS) {
        interrupted::check()?;
        let Adopted::Left(left) = hand.step(Adopting::Left { actors: actors.to_vec() })? else {
            return Err(unexpected());
        };
        all.extend(left);
    }
    Ok(all)
}

/// What becomes of them in Owncast counts again, should they come back.
fn mark(hand: &Hand<'_>, rows: &[Row]) -> Result<(), Failure> {
    for rows in rows.chunks(ACTORS) {
        let followers = rows.iter().map(|row| (row.actor.clone(), row.state)).collect();
        let Adopted::Given = hand.step(Adopting::Given { followers })? else {
            return Err(unexpected());
        };
    }
    Ok(())
}

fn settings(hand: &Hand<'_>) -> Result<(Vec<String>, Option<String>), Failure> {
    match hand.step(Adopting::SettingsBack)? {
        Adopted::SettingsBack { blocked, go_live_message } => Ok((blocked, go_live_message)),
        _ => Err(unexpected()),
    }
}

/// How the copy gets into its place. Written over, the database keeps its owner and mode.
fn by_hand(copy: &Path, data_dir: &Path) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (copy, place) = (absolute(copy), absolute(data_dir).join("owncast.db"));
    let beside = |suffix: &str| quoted(&OsString::from_iter([place.as_os_str(), OsStr::new(suffix)]));
    format!(
        "Nothing has changed in Owncast's database yet. The changed copy is {}; it holds the key. While Owncast is still stopped, \
         keep the files of the old one somewhere, and put the copy into their place:\n  cp {} {}\n  rm -f {} {}\n",
        copy.display(),
        quoted(copy.as_os_str()),
        beside(""),
        beside("-wal"),
        beside("-shm")
    )
}

fn what_was_done(done: &Done, places: &Places, data_dir: &Path) -> String {
    let given = &done.given;
    let mut text = format!(
        "{}: {} new there, {} removed who have left, {}, {} in all.\n",
        if done.dry_run { "Would give back" } else { "Gave back" },
        counted(given.added, "follower"),
        given.removed,
        counted(given.posts, "post"),
        counted(given.blocked, "blocked domain")
    );
    if given.key_written {
        text.push_str(
            "Owncast's key was another one; the agent's stands there now, since followers know it.\n",
        );
    }
    match (&done.backup, &done.copy) {
        (Some(backup), _) => {
            text.push_str(&format!("The database as it was is in {}; it holds the key.\n", backup.display()));
        }
        (None, Some(copy)) => text.push_str(&by_hand(copy, data_dir)),
        (None, None) => {
            text.push_str(told::DRY);
            return text;
        }
    }
    if done.update.is_some() {
        text.push_str(&format!(
            "Followers are told of the profile a last time: let the agent run until they were ({}).\n",
            places.command("deliveries")
        ));
    }
    text.push_str(&format!(
        "Next: take the agent's lines out of the proxy, so that nobody follows here any more, and run this once more: it \
         gives back who followed meanwhile. Then stop the agent, start Owncast, and take out of it what the agent made there:\n  \
         {}\n  {}\n",
        places.systemctl("disable --now"),
        places.command("disconnect")
    ));
    text
}
