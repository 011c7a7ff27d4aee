//! `adopt --give-back`: with Owncast stopped, followers, blocks and posts go back into its database.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::finish::owncast_is_stopped;
use super::hand::Hand;
use super::{Args, command, data_dir, told};
use crate::activitypub::signature::PrivateKey;
use crate::adopt::back::{self, Given, Giving};
use crate::adopt::live::Live;
use crate::adopt::{AdoptError, AdoptedIdentity, interrupted, read_identity};
use crate::cli::files::{Places, unexpected};
use crate::cli::text::{counted, json, line};
use crate::cli::{Failure, Outcome};
use crate::config::{keyfile, quoted};
use crate::control::protocol::adopt::{Adopted, Adopting};
use crate::model::Addresses;
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
    let ours = ours(&hand, places, &read_identity(data_dir)?)?;
    let mut live = match &args.to {
        Some(to) => Live::aside(data_dir, to),
        None if args.dry_run => Live::rehearse(data_dir),
        None => Live::open(data_dir),
    }?;
    let (identity, found) = live.everything()?;
    let now = Timestamp::now();
    let known: Vec<String> = found.followers.iter().map(|row| row.actor.clone()).collect();
    let mut giving = Giving {
        ours: ours.actor(),
        rows: followers(&hand)?,
        left: left(&hand, &known)?,
        posts: posts(&hand)?,
        blocked: found.blocked,
        blocked_actors: Vec::new(),
        go_live_message: None,
        key: None,
        now,
    };
    settings(&hand, &mut giving)?;
    // While it is changed, followers are told of the next one.
    let key = keyfile::read_announced(&config.identity.key_file)?.pem;
    let pair = PrivateKey::from_pem(key.expose()).map_err(|error| Failure::new(error.to_string()))?;
    let public = pair.public_pem().map_err(|error| Failure::new(error.to_string()))?;
    if !same_key(&public, &identity.public_key_pem) {
        giving.key = Some((key, public));
    }
    let given = live.in_one(|database| back::give(database, &giving))?;
    let backup = live.backup().map(Path::to_owned);
    closed(live.close(), places, args)?;
    let copy = args.to.as_ref().map(|to| to.join("owncast.db"));
    let update = match args.dry_run {
        true => None,
        false => mark(&hand, &giving, args.to.is_none())
            .map_err(|cause| unmarked(cause, backup.as_deref(), copy.as_deref(), places, args))?,
    };
    let done = Done { given, dry_run: args.dry_run, backup, copy, update };
    if as_json { json(&done) } else { Ok(what_was_done(&done, places, data_dir)) }
}

/// Who we are, which Owncast has to be as well: followers of one actor do not follow another.
fn ours(hand: &Hand<'_>, places: &Places, identity: &AdoptedIdentity) -> Result<Addresses, Failure> {
    let Adopted::Whose(ours) = hand.step(Adopting::Whose)? else { return Err(unexpected()) };
    let Some(ours) = ours else {
        return Err(Failure::new(format!(
            "the agent does not know yet who it is, and so not whether these are Owncast's followers. Start Owncast and the agent \
             ({}), wait until `{}` shows its actor, stop Owncast, and run this once more. Nothing has changed",
            places.systemctl("start"),
            places.command("status")
        )));
    };
    match another_in_owncast(&ours, identity) {
        Some(other) => Err(Failure::new(other)),
        None => Ok(ours),
    }
}

/// What is to be set back in Owncast first, if its actor is another one by now.
fn another_in_owncast(ours: &Addresses, identity: &AdoptedIdentity) -> Option<String> {
    let server_url = identity.server_url.as_deref();
    let theirs = Addresses::new(server_url.unwrap_or_default(), &identity.username);
    if theirs.is_same(ours) {
        return None;
    }
    Some(format!(
        "these are the followers of {}, and Owncast has {} and the username {:?}: as that it would be another actor, whom none of \
         them follows. Start Owncast, set its server URL to {:?} (Configuration, General) and its username to {:?} \
         (Configuration, Social), stop it, and run this once more. Nothing has changed",
        ours.actor(),
        server_url.map_or_else(|| "no server URL".to_owned(), |url| format!("the server URL {url:?}")),
        identity.username,
        ours.base,
        ours.username
    ))
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

/// What becomes of them in Owncast counts again, should they come back. Answers the last Update.
fn mark(hand: &Hand<'_>, giving: &Giving, in_place: bool) -> Result<Option<String>, Failure> {
    for rows in giving.rows.chunks(ACTORS) {
        let followers = rows.iter().map(|row| (row.actor.clone(), row.state)).collect();
        let given = Adopting::Given { followers, at: giving.now, in_place };
        let Adopted::Given = hand.step_to_the_end(given)? else { return Err(unexpected()) };
    }
    match hand.step_to_the_end(Adopting::GivenBack)? {
        Adopted::GivenBack(update) => Ok(update),
        _ => Err(unexpected()),
    }
}

/// What was written in place stands, though it could not be closed, and the agent is not told of it. Of a copy there may be
/// nothing.
fn closed(closed: Result<(), AdoptError>, places: &Places, args: &Args) -> Result<(), Failure> {
    let in_place = args.to.is_none() && !args.dry_run;
    closed.map_err(|error| {
        let cause = Failure::from(error);
        // It has named the copy of before.
        if in_place { unmarked(cause, None, None, places, args) } else { cause }
    })
}

/// What has been done where the agent could not be told of it.
fn unmarked(
    cause: Failure,
    backup: Option<&Path>,
    copy: Option<&Path>,
    places: &Places,
    args: &Args,
) -> Failure {
    let done = match (copy, backup) {
        (Some(copy), _) => {
            let copy = copy.display();
            format!("The changed copy {copy} is written all the same, and holds the key: remove it first")
        }
        (None, backup) => format!(
            "Owncast's database is written all the same{}",
            backup.map_or_else(String::new, |backup| format!(
                ", and as it was it is in {}, which holds the key",
                backup.display()
            ))
        ),
    };
    let to = args.to.as_ref().map_or_else(String::new, |to| {
        let to = std::path::absolute(to).unwrap_or_else(|_| to.clone());
        format!(" --to {}", quoted(to.as_os_str()))
    });
    let again = format!("--give-back {}{to}", data_dir(args.data_dir.as_deref()));
    let message = format!(
        "{}\n{done}. The agent does not remember yet whom it gave back. Once it can be asked ({}), run this again:\n  {}",
        cause.message,
        places.command("status"),
        command(places, args, &again)
    );
    Failure { message, ..cause }
}

/// Blocks and the go-live message, beside what Owncast has of them.
fn settings(hand: &Hand<'_>, giving: &mut Giving) -> Result<(), Failure> {
    let Adopted::SettingsBack { blocked, blocked_actors, go_live_message } =
        hand.step(Adopting::SettingsBack)?
    else {
        return Err(unexpected());
    };
    for domain in blocked {
        if !giving.blocked.contains(&domain) {
            giving.blocked.push(domain);
        }
    }
    giving.blocked_actors = blocked_actors;
    giving.go_live_message = go_live_message;
    Ok(())
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
        "{}: {} new there, {} removed who have left, {}, {} in all, {}.\n",
        if done.dry_run { "Would give back" } else { "Gave back" },
        counted(given.added, "follower"),
        given.removed,
        counted(given.posts, "post"),
        counted(given.blocked, "blocked domain"),
        counted(given.blocked_actors, "blocked account")
    );
    if !given.not_blocked.is_empty() {
        text.push_str(
            "Blocks of these accounts are not given back: Owncast blocks single accounts among its followers alone, and these \
             are none of them. Should one follow, block it there, or its whole domain:\n",
        );
        given.not_blocked.iter().for_each(|actor| text.push_str(&format!("  {}\n", line(actor))));
    }
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
         gives back who followed meanwhile. Then stop the agent, start Owncast, see that its federation is on (Configuration, Social), \
         without which nobody answers for the actor, and take out of it what the agent made there:\n  \
         {}\n  {}\n",
        places.systemctl("disable --now"),
        places.command("disconnect")
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn owncast_has_to_be_the_same_actor_to_get_followers_back() {
        let ours = Addresses::new("https://live.example", "ana");
        let said = |server_url: Option<&str>, username: &str| {
            let identity = AdoptedIdentity {
                private_key_pem: Secret::new(""),
                public_key_pem: String::new(),
                server_url: server_url.map(str::to_owned),
                username: username.to_owned(),
                warnings: Vec::new(),
            };
            another_in_owncast(&ours, &identity)
        };
        assert_eq!(said(Some("https://live.example/"), "ana"), None);
        for (server_url, username, part) in [
            (Some("https://tv.example"), "ana", "the server URL \"https://tv.example\""),
            (Some("https://live.example"), "bo", "the username \"bo\""),
            (None, "streamer", "no server URL"),
        ] {
            let said = said(server_url, username).unwrap();
            for part in [part, "set its server URL to \"https://live.example\"", "its username to \"ana\""] {
                assert!(said.contains(part), "{part} is not in {said}");
            }
            assert!(!said.contains("--key-only") && !said.contains("a store of its own"), "{said}");
        }
    }

    #[test]
    fn what_was_written_in_place_is_to_be_given_back_once_more_where_it_could_not_be_closed() {
        let places = Places::default();
        let said = |args: &Args| {
            let error = AdoptError::NotFolded {
                path: "/o/owncast.db".into(),
                reason: "disk I/O error".to_owned(),
                backup: "/o/before".into(),
            };
            closed(Err(error), &places, args).unwrap_err().message
        };
        let in_place = Args { data_dir: Some("/o".into()), ..Args::default() };
        let told = said(&in_place);
        assert!(told.starts_with("all of it is written, but what is in /o/owncast.db-wal"), "{told}");
        assert!(told.contains("does not remember yet") && told.ends_with("adopt --give-back --data-dir /o"));
        assert_eq!(told.matches("/o/before").count(), 1, "{told}");
        for other in [Args { to: Some("/to".into()), ..in_place }, Args { dry_run: true, ..Args::default() }]
        {
            assert!(!said(&other).contains("does not remember yet"));
        }
        closed(Ok(()), &places, &Args::default()).unwrap();
    }
}
