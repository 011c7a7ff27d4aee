//! `adopt`: followers, posts and blocks move in together with the key.

use std::path::Path;

use serde::Serialize;

use super::hand::Hand;
use super::key::{self, Adopted as Key};
use super::{Args, command, data_dir, never_federated, run_number, told};
use crate::adopt::{AdoptedIdentity, Found, batches, interrupted, read_everything};
use crate::cli::files::{Places, unexpected};
use crate::cli::outcome::remark;
use crate::cli::text::json;
use crate::cli::{Failure, Outcome};
use crate::config::Config;
use crate::control::protocol::adopt::{Adopted, Adopting, Finished, OwncastCounts, short_name};
use crate::model::Addresses;
use crate::model::adopted::{Batch, Tally};

/// Actors that a dry run can tell apart from those that have left.
const MOST_PRESENT: usize = 40_000;

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct MovedIn<'a> {
    /// The key; absent where only the API was asked.
    #[serde(flatten)]
    pub(super) key: Option<Key<'a>>,
    /// Nothing was done.
    pub(super) dry_run: bool,
    /// What became of what was found.
    pub(super) found: Tally,
    /// How things stand.
    pub(super) now: Finished,
    /// These are other numbers of followers than Owncast has.
    pub(super) counts_differ: bool,
}

/// Numbers of followers that are not the same: approved, pending, rejected.
pub(super) struct Compared {
    pub(super) ours: [u64; 3],
    pub(super) theirs: [u64; 3],
    /// Set aside here, and counted by Owncast in some state.
    pub(super) held: u64,
}

impl<'a> MovedIn<'a> {
    /// The result, compared with Owncast's own count.
    pub(super) fn new(key: Option<Key<'a>>, dry_run: bool, found: Tally, now: Finished) -> MovedIn<'a> {
        let moved = MovedIn { key, dry_run, found, now, counts_differ: false };
        MovedIn { counts_differ: moved.compared().is_some(), ..moved }
    }

    /// What is here, or would be, against what Owncast counts; `None` if that is the same or not known.
    pub(super) fn compared(&self) -> Option<Compared> {
        let OwncastCounts { approved, pending, rejected } = self.now.owncast?;
        let theirs = [approved, pending, rejected];
        let (found, here) = (&self.found, self.now.here);
        let (ours, held) = match self.dry_run {
            true => ([found.approved, found.pending, found.rejected], 0),
            false => ([here.approved, here.pending, here.rejected], here.parked + self.now.set_aside),
        };
        (ours != theirs).then_some(Compared { ours, theirs, held })
    }
}

/// Reads the database, then hands everything over.
pub(super) fn from_database(places: &Places, args: &Args, data_dir: &Path, as_json: bool) -> Outcome {
    let config = places.own_files(args.store.as_deref())?;
    key::folder_of(places, &config.identity.key_file)?;
    let (identity, found) = read_everything(data_dir)?;
    let hand = Hand::reach(places, args.store.as_deref())?;
    let taken = take(&hand, places, &config, args, &identity, found)?;
    let key = key::adopted(&identity, &config, taken.key, hand.is_agent())?;
    let moved = MovedIn::new(Some(key), args.dry_run, taken.tally, taken.finished);
    answer(&moved, places, args, as_json)
}

/// What was taken from a database.
pub(super) struct Taken {
    pub(super) tally: Tally,
    pub(super) finished: Finished,
    pub(super) key: key::Fate,
}

/// Asks whether this actor may be taken over. Answers who it is, and the number of the run.
pub(super) fn may(
    hand: &Hand<'_>,
    places: &Places,
    config: &Config,
    args: &Args,
    identity: &AdoptedIdentity,
) -> Result<(Addresses, u64), Failure> {
    let base = identity.server_url.as_deref().ok_or_else(never_federated)?;
    let (of, run) = (Addresses::new(base, &identity.username), run_number());
    hand.step(Adopting::Take { batch: Batch::empty(&of, run, true) })?;
    // Only what was taken over once can have got another key since.
    if key::another_stays(identity, config, args)? && !has_taken(hand)? {
        return Err(Failure::new(format!(
            "nothing of Owncast's was taken over yet, and {} holds another key than Owncast's: it would stay, and these \
             followers' servers would believe nothing that it signs. Nothing has changed. Move in first:\n  {}\nThat takes \
             Owncast's key as well. It is refused, too, for as long as the other one is in its place; --force sets that one \
             aside, and whoever follows by it is lost",
            config.identity.key_file.display(),
            command(places, args, &data_dir(args.data_dir.as_deref()))
        )));
    }
    Ok((of, run))
}

fn has_taken(hand: &Hand<'_>) -> Result<bool, Failure> {
    match hand.step(Adopting::HasTaken)? {
        Adopted::HasTaken(any) => Ok(any),
        _ => Err(unexpected()),
    }
}

/// Hands over what was found: first the question whether it may, then the key, then everything else.
pub(super) fn take(
    hand: &Hand<'_>,
    places: &Places,
    config: &Config,
    args: &Args,
    identity: &AdoptedIdentity,
    found: Found,
) -> Result<Taken, Failure> {
    let (of, run) = may(hand, places, config, args, identity)?;
    let key = key::take_key(identity, config, args)?;
    let unreadable = found.unreadable.clone();
    let nobody = found.followers.is_empty();
    let incomplete = found.wal_is_missing && !args.force;
    let leavers = args.catch_up || args.finish;
    let given_back = found.given_back;
    let looks = leavers || given_back.is_some();
    let present = present(&found, args.dry_run && looks);
    if looks && nobody {
        remark("warning: Owncast's list of followers is empty; nobody is taken for having left");
    }
    if looks && incomplete {
        remark(
            "warning: there is no owncast.db-wal, and without it the list of followers may be an old one; nobody is taken \
             for having left (--force does so nevertheless)",
        );
    }
    if args.dry_run && looks && present.is_none() {
        remark("warning: these are so many that a dry run does not tell who has left");
    }
    let believed = !nobody && !incomplete && present.is_some();
    let (leavers, given_back) = (leavers && believed, given_back.filter(|_| believed));
    let mut tally = Tally::default();
    for batch in batches(found, &of, run, args.dry_run) {
        interrupted::check()?;
        tally.add(took(hand.step(Adopting::Take { batch })?)?);
    }
    unreadable.into_iter().for_each(|problem| tally.problem(problem));
    let present = present.unwrap_or_default();
    let (force, dry_run) = (args.force, args.dry_run);
    let finish = Adopting::Finish { of: Some(of), run, leavers, given_back, present, force, dry_run };
    let finished = finished(hand.step(finish)?)?;
    tally.left = finished.left;
    Ok(Taken { tally, finished, key })
}

/// Whoever is in the table, for a dry run that tells who is not; `None` if these are too many.
fn present(found: &Found, wanted: bool) -> Option<Vec<String>> {
    if !wanted {
        return Some(Vec::new());
    }
    let names: Vec<String> = found.followers.iter().map(|row| short_name(&row.actor)).collect();
    (names.len() <= MOST_PRESENT).then_some(names)
}

/// Lets the running agent ask Owncast.
pub(super) fn from_api(places: &Places, args: &Args, as_json: bool) -> Outcome {
    let hand = Hand::Agent(places);
    let (run, dry_run) = (run_number(), args.dry_run);
    let Adopted::TookFromApi { tally: mut found, whole } =
        hand.step(Adopting::TakeFromApi { run, dry_run })?
    else {
        return Err(unexpected());
    };
    if args.catch_up && dry_run {
        remark("warning: a dry run from the API does not tell who has left");
    }
    if args.catch_up && !whole {
        remark(
            "warning: Owncast's list of followers changed while it was read; nobody is taken for having left. Run this once \
             more",
        );
    }
    let leavers = args.catch_up && !dry_run && whole && found.approved + found.pending > 0;
    let (present, force) = (Vec::new(), args.force);
    // The API does not tell to which database it belongs.
    let given_back = None;
    let finish = Adopting::Finish { of: None, run, leavers, given_back, present, force, dry_run };
    let now = finished(hand.step(finish)?)?;
    found.left = now.left;
    answer(&MovedIn::new(None, dry_run, found, now), places, args, as_json)
}

fn took(adopted: Adopted) -> Result<Tally, Failure> {
    match adopted {
        Adopted::Took(tally) => Ok(tally),
        _ => Err(unexpected()),
    }
}

fn finished(adopted: Adopted) -> Result<Finished, Failure> {
    match adopted {
        Adopted::Finished(finished) => Ok(finished),
        _ => Err(unexpected()),
    }
}

fn answer(moved: &MovedIn<'_>, places: &Places, args: &Args, as_json: bool) -> Outcome {
    if as_json {
        return json(moved);
    }
    warn(moved);
    Ok(told::moved_in(moved, places, args))
}

/// What of the copy and the key is to be known.
pub(super) fn warn(moved: &MovedIn<'_>) {
    for warning in moved.key.iter().flat_map(|key| &key.warnings) {
        remark(&format!("warning: {warning}"));
    }
}
