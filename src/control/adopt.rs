//! Moving in, and back: each step is some decisions, made by the agent, or by the command line where no agent runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::Control;
use super::protocol::adopt::{Adopted, Adopting, Finished, OwncastCounts, Undone};
use super::protocol::{Refusal, RefusalCode};
use crate::activitypub::vocab;
use crate::agent::effective::{Effective, IdentityState, named_instead};
use crate::config::Config;
use crate::decide::Moment;
use crate::decide::adopt::{self, Leavers, Roll, Seen, Standing, Terms};
use crate::decide::publish;
use crate::model::adopted::{Batch, Document, Imported, Row, SetAside, Tally};
use crate::model::block::{Block, BlockTarget};
use crate::model::facts::{Facts, Identity, Profile};
use crate::model::follower::{Follower, FollowerCounts, FollowerState};
use crate::model::origin::RemotePolicy;
use crate::model::post::{Audience, Post, PostState};
use crate::model::record::full_key;
use crate::model::{Addresses, Draft, Record, View};
use crate::owncast::types::FollowerEntry;
use crate::owncast::{Api, OwncastError};
use crate::store::Store;

/// Followers looked at in one decision.
const LOOK: usize = 500;
/// Followers or posts in one answer.
const PAGE: usize = 500;
/// Rows asked of Owncast's API at a time.
const API_PAGE: u32 = 500;

/// What the steps are made with.
#[derive(Debug)]
pub struct Hands<'a> {
    /// Where everything goes.
    pub store: &'a Store,
    /// The configuration.
    pub config: &'a Config,
    /// Settings of the moment, where an agent runs.
    pub effective: Option<Arc<Effective>>,
    /// Owncast, where it can be asked.
    pub api: Option<&'a Api>,
}

/// A step asked of the running agent.
pub(super) async fn step(control: &Control, step: Adopting, now: Timestamp) -> Result<Adopted, Refusal> {
    let effective = Arc::clone(&control.effective.borrow());
    let config = Arc::clone(&effective.config);
    let done = matches!(step, Adopting::Finish { dry_run: false, .. });
    let hands =
        Hands { store: &control.store, config: &config, effective: Some(effective), api: Some(&control.api) };
    let answer = carry_out(&hands, step, now).await?;
    if done {
        // An agent that waited for the key need not wait for its next look.
        control.wake.notify_one();
    }
    Ok(answer)
}

/// Carries a step out.
///
/// # Errors
/// What is in the way; nothing of that step is done then.
pub async fn carry_out(hands: &Hands<'_>, step: Adopting, now: Timestamp) -> Result<Adopted, Refusal> {
    Ok(match step {
        Adopting::Take { batch } => Adopted::Took(take(hands, batch, now).await?),
        Adopting::TakeFromApi { run, dry_run } => {
            let (tally, whole) = take_from_api(hands, run, dry_run, now).await?;
            Adopted::TookFromApi { tally, whole }
        }
        Adopting::Finish { of, run, leavers, given_back, present, force, dry_run } => {
            let terms = terms(hands, of.as_ref(), run, now).await?;
            let missing = Missing { taken: leavers, given_back };
            let left = match leavers || given_back.is_some() {
                true => say_goodbye(hands, &terms, missing, present, force, dry_run).await?,
                false => 0,
            };
            Adopted::Finished(finished(hands, left, dry_run).await?)
        }
        Adopting::Undo { dry_run } => Adopted::Undone(undo(hands, dry_run, now).await?),
        Adopting::Whose => {
            let stored: Identity = hands.store.read(|view| view.meta()).await?;
            Adopted::Whose(stored.addresses)
        }
        Adopting::HasTaken => Adopted::HasTaken(hands.store.read(adopt::has_taken).await?),
        Adopting::FollowersBack { after } => {
            let (rows, next) = hands.store.read(move |view| followers_back(view, after)).await?;
            Adopted::FollowersBack { rows, next }
        }
        Adopting::PostsBack { after } => {
            let (posts, next) = hands.store.read(move |view| posts_back(view, after)).await?;
            Adopted::PostsBack { posts, next }
        }
        Adopting::SettingsBack => {
            let (blocks, stored): (Vec<Block>, Identity) =
                hands.store.read(|view| (view.all(b""), view.meta())).await?;
            let (mut blocked, mut blocked_actors) = (Vec::new(), Vec::new());
            for block in blocks {
                match block.target {
                    BlockTarget::Domain(domain) => blocked.push(domain),
                    BlockTarget::Actor(actor) => blocked_actors.push(actor),
                }
            }
            blocked.dedup();
            blocked_actors.dedup();
            Adopted::SettingsBack { blocked, blocked_actors, go_live_message: stored.taken_message }
        }
        Adopting::Left { actors } => {
            let left = move |view: &dyn View| {
                let gone = |actor: &String| adopt::standing(view, actor) == Standing::Left;
                actors.into_iter().filter(gone).collect()
            };
            Adopted::Left(hands.store.read(left).await?)
        }
        Adopting::Given { followers, at, in_place } => {
            let mark = move |draft: &mut Draft<'_>| {
                followers.iter().for_each(|(actor, state)| adopt::given(draft, actor, *state, at, in_place));
            };
            decide(hands.store, false, mark).await?;
            Adopted::Given
        }
        Adopting::GivenBack => Adopted::GivenBack(last_words(hands, now).await?),
    })
}

/// What is judged by: our own ids if we have any, which must be those of what is handed over.
async fn terms(
    hands: &Hands<'_>,
    of: Option<&Addresses>,
    run: u64,
    now: Timestamp,
) -> Result<Terms, Refusal> {
    let (stored, facts): (Identity, Facts) = hands.store.read(|view| (view.meta(), view.meta())).await?;
    let settled = stored.addresses.is_some();
    // Who waits for the key knows already whose it has to be.
    let to_be = |of: &Addresses| named_instead(hands.config, &facts, of).unwrap_or_else(|| of.clone());
    let Some(addresses) = stored.addresses.or_else(|| of.map(to_be)) else {
        let message =
            "the agent does not know yet who it is; give it the key first, with --data-dir".to_owned();
        return Err(Refusal { code: RefusalCode::NotYet, message });
    };
    if let Some(of) = of.filter(|of| !of.is_same(&addresses)) {
        let (theirs, ours) = (of.actor(), addresses.actor());
        let message = match settled {
            true => format!(
                "this database is of {theirs}, and the agent is {ours}: followers of another actor cannot be taken over. \
                 Nothing has changed. If the agent is to become that actor, give it a store of its own"
            ),
            false => format!(
                "this database is of {theirs}, and the agent is to be {ours}, as its own Owncast says, or [identity]: it is \
                 another Owncast's, or was copied before the server URL or username was changed. Nothing has changed. Name \
                 the data folder of the Owncast that this agent watches"
            ),
        };
        return Err(Refusal { code: RefusalCode::NotOurs, message });
    }
    let policy = RemotePolicy {
        allow_http: hands.config.federation.allow_http,
        allow_private: !hands.config.federation.allow_private_addresses.is_empty(),
    };
    Ok(Terms { addresses, policy, run, now })
}

/// Decides; what is only asked for is not written.
async fn decide<R: Send + 'static>(
    store: &Store,
    dry_run: bool,
    decision: impl FnOnce(&mut Draft<'_>) -> R + Send + 'static,
) -> Result<R, Refusal> {
    if dry_run {
        return Ok(store.read(|view| decision(&mut Draft::new(view))).await?);
    }
    let decided = store.commit(|view| {
        let mut draft = Draft::new(view);
        let answer = decision(&mut draft);
        (draft.into_changes(), answer)
    });
    Ok(decided.await?)
}

async fn take(hands: &Hands<'_>, batch: Batch, now: Timestamp) -> Result<Tally, Refusal> {
    let terms = terms(hands, Some(&batch.of), batch.run, now).await?;
    let room = hands.store.room();
    if room.low {
        return Err(Refusal { code: RefusalCode::Unavailable, message: room.to_string() });
    }
    decide(hands.store, batch.dry_run, move |draft| {
        let tally = adopt::take(draft, &terms, &batch);
        // Followers know Owncast's own document: ours is told to them once, when things are quiet.
        if tally.taken + tally.changed > 0 {
            let profile: Profile = draft.view().meta();
            draft.put_meta(&Profile { told: Some(String::new()), ..profile });
        }
        tally
    })
    .await
}

fn unreachable(error: &OwncastError) -> Refusal {
    Refusal { code: RefusalCode::Unavailable, message: error.to_string() }
}

/// Answers, too, whether all of it is of one moment: lists that are asked page by page shift while they are.
async fn take_from_api(
    hands: &Hands<'_>,
    run: u64,
    dry_run: bool,
    now: Timestamp,
) -> Result<(Tally, bool), Refusal> {
    let terms = terms(hands, None, run, now).await?;
    let Some(api) = hands.api else {
        let message = "Owncast's API is asked by the running agent; start it first".to_owned();
        return Err(Refusal { code: RefusalCode::NotYet, message });
    };
    let mut rows = Vec::new();
    let mut from = 0;
    let total = loop {
        let page = api.followers(from, API_PAGE).await.map_err(|error| unreachable(&error))?;
        let got = u32::try_from(page.entries.len()).unwrap_or(API_PAGE);
        rows.extend(page.entries.into_iter().map(|entry| row_of(entry, FollowerState::Approved)));
        from = from.saturating_add(got);
        if got == 0 || u64::from(from) >= page.total {
            break page.total;
        }
    };
    let different = rows.iter().map(|row: &Row| row.actor.as_str()).collect::<BTreeSet<_>>().len();
    let mut whole = different as u64 == total;
    let pending = api.pending().await.map_err(|error| unreachable(&error))?;
    let blocked = api.blocked().await.map_err(|error| unreachable(&error))?;
    for (list, state) in [(pending, FollowerState::Pending), (blocked, FollowerState::Rejected)] {
        whole &= list.entries.len() as u64 == list.total;
        rows.extend(list.entries.into_iter().map(|entry| row_of(entry, state)));
    }
    whole &= api.followers(0, 1).await.map_err(|error| unreachable(&error))?.total == total;
    let mut tally = Tally::default();
    for rows in rows.chunks(LOOK) {
        let batch = Batch { followers: rows.to_vec(), ..Batch::empty(&terms.addresses, run, dry_run) };
        tally.add(take(hands, batch, now).await?);
    }
    Ok((tally, whole))
}

fn row_of(entry: FollowerEntry, state: FollowerState) -> Row {
    Row {
        actor: adopt::one_spelling(&entry.link),
        inbox: String::new(),
        shared_inbox: None,
        username: entry.username,
        name: Some(entry.name).filter(|name| !name.is_empty()),
        icon: Some(entry.image).filter(|image| !image.is_empty()),
        state,
        follow_id: None,
        follow: None,
        // Not newer than anything that is known of it here.
        since: entry.timestamp.unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

/// Who is missing, if nobody has seen them: see [`Roll`].
#[derive(Clone, Copy)]
struct Missing {
    taken: bool,
    given_back: Option<Timestamp>,
}

/// Takes leave of whoever has left, unless these are too many to believe.
async fn say_goodbye(
    hands: &Hands<'_>,
    terms: &Terms,
    missing: Missing,
    present: Vec<String>,
    force: bool,
    dry_run: bool,
) -> Result<u64, Refusal> {
    let present: Option<Arc<BTreeSet<String>>> = dry_run.then(|| Arc::new(present.into_iter().collect()));
    let would = find_leavers(hands, terms, missing, present.as_ref(), true).await?;
    if would.too_many() && !force {
        let message = format!(
            "{} of {} followers that were taken over or given back earlier are not in Owncast's list any more: that looks like \
             an old or incomplete database. Nobody is taken for having left; everybody who is in the list was looked at. Copy \
             owncast.db together with owncast.db-wal, or, if they did leave, add --force",
            would.left, would.of
        );
        return Err(Refusal { code: RefusalCode::NothingToDo, message });
    }
    if dry_run {
        return Ok(would.left);
    }
    Ok(find_leavers(hands, terms, missing, None, false).await?.left)
}

async fn find_leavers(
    hands: &Hands<'_>,
    terms: &Terms,
    Missing { taken, given_back }: Missing,
    present: Option<&Arc<BTreeSet<String>>>,
    dry_run: bool,
) -> Result<Leavers, Refusal> {
    let (mut from, mut all) = (String::new(), Leavers::default());
    loop {
        let (terms, present) = (terms.clone(), present.cloned());
        let (next, found) = decide(hands.store, dry_run, move |draft| {
            let seen = present.as_deref().map_or(Seen::InRun, Seen::Among);
            adopt::leavers(draft, &terms, &Roll { seen, taken, given_back }, &from, LOOK)
        })
        .await?;
        all.left += found.left;
        all.of += found.of;
        match next {
            Some(next) => from = next,
            None => return Ok(all),
        }
    }
}

async fn finished(hands: &Hands<'_>, left: u64, dry_run: bool) -> Result<Finished, Refusal> {
    let (here, set_aside, unaskable, posts) = hands
        .store
        .read(|view| {
            let set_aside = count(view, SetAside::KIND);
            (view.meta::<FollowerCounts>(), set_aside, adopt::unaskable(view), count(view, Imported::KIND))
        })
        .await?;
    let counted = match hands.api {
        Some(api) => Some(counts(api).await),
        None => None,
    };
    if !dry_run {
        tracing::info!(
            target: "herald::agent",
            followers = here.approved, pending = here.pending, set_aside, posts, left,
            "moved in from Owncast's own federation"
        );
    }
    let (owncast, owncast_problem) = match counted {
        Some(Ok(counts)) => (Some(counts), None),
        Some(Err(error)) => (None, Some(error.to_string())),
        None => (None, None),
    };
    Ok(Finished { left, here, set_aside, unaskable, posts, owncast, owncast_problem })
}

fn count(view: &dyn View, kind: u8) -> u64 {
    let mut number = 0;
    view.scan_bytes(&[kind], &[kind], &mut |_, _| {
        number += 1;
        true
    });
    number
}

async fn counts(api: &Api) -> Result<OwncastCounts, OwncastError> {
    Ok(OwncastCounts {
        approved: api.followers(0, 1).await?.total,
        pending: api.pending().await?.total,
        rejected: api.blocked().await?.total,
    })
}

async fn undo(hands: &Hands<'_>, dry_run: bool, now: Timestamp) -> Result<Undone, Refusal> {
    let stored: Identity = hands.store.read(|view| view.meta()).await?;
    let actor = stored.addresses.map(|addresses| addresses.actor());
    let (mut from, mut all) = (String::new(), Undone { actor, ..Undone::default() });
    loop {
        let (next, undone) =
            decide(hands.store, dry_run, move |draft| adopt::undo(draft, &from, LOOK, now)).await?;
        all.followers += undone.followers;
        all.kept += undone.kept;
        all.posts += undone.posts;
        match next {
            Some(next) => from = next,
            None => return Ok(all),
        }
    }
}

/// Rows of Owncast's, in the order of their actors. Whoever is set aside by a block is blocked there as well.
fn followers_back(view: &dyn View, after: Option<String>) -> (Vec<Row>, Option<String>) {
    let (mut rows, mut last, mut more) = (Vec::new(), None, false);
    let from = full_key(Follower::KIND, after.as_deref().unwrap_or_default().as_bytes());
    view.scan_bytes(&[Follower::KIND], &from, &mut |_, value| {
        let Some(follower) = crate::model::record::decode::<Follower>(value) else { return true };
        if after.as_ref() == Some(&follower.person.actor) {
            return true;
        }
        more = rows.len() == PAGE;
        if more {
            return false;
        }
        last = Some(follower.person.actor.clone());
        rows.extend(row_back(follower));
        true
    });
    (rows, last.filter(|_| more))
}

fn row_back(follower: Follower) -> Option<Row> {
    let state = adopt::state_there(follower.state)?;
    let person = follower.person;
    Some(Row {
        actor: person.actor,
        inbox: person.inbox,
        shared_inbox: person.shared_inbox,
        username: person.handle,
        name: person.name,
        icon: person.icon,
        state,
        follow_id: follower.follow_id,
        follow: None,
        since: follower.since,
    })
}

/// Public posts as Owncast keeps its own, oldest first: ours, whose streams are over or not, since the address is what counts.
fn posts_back(view: &dyn View, after: Option<String>) -> (Vec<Document>, Option<String>) {
    let Some(addresses) = view.meta::<Identity>().addresses else { return (Vec::new(), None) };
    let (mut posts, mut last, mut more) = (Vec::new(), None, false);
    let known = after.as_deref().and_then(|after| ulid::Ulid::from_string(after).ok());
    let from = full_key(Post::KIND, &known.map(|id| id.to_bytes()).unwrap_or_default());
    view.scan_bytes(&[Post::KIND], &from, &mut |_, value| {
        let Some(post) = crate::model::record::decode::<Post>(value) else { return true };
        if known == Some(post.id) {
            return true;
        }
        more = posts.len() == PAGE;
        if more {
            return false;
        }
        last = Some(post.id.to_string());
        if post.audience == Audience::Public && post.state != PostState::Deleted {
            let json = vocab::note::note_document(&addresses, &post).to_string();
            posts.push(Document { id: addresses.note(post.id), json, at: post.published });
        }
        true
    });
    (posts, last.filter(|_| more))
}

/// Queues the actor's document to all followers a last time.
async fn last_words(hands: &Hands<'_>, now: Timestamp) -> Result<Option<String>, Refusal> {
    let Some(effective) = &hands.effective else { return Ok(None) };
    let IdentityState::Settled { addresses, published, public_key } = &effective.identity else {
        return Ok(None);
    };
    let manual = effective.manual_approval();
    let actor = vocab::actor::actor(addresses, &effective.facts, *published, manual, public_key);
    let (addresses, mut moment) = (addresses.clone(), Moment::new(now, crate::random::entropy()));
    let update = decide(hands.store, false, move |draft| {
        publish::actor_changed(draft, &mut moment, |id| {
            vocab::follow::actor_update(&addresses, actor, id).to_string()
        })
    });
    Ok(Some(update.await?.to_string()))
}
