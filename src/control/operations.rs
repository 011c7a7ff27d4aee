//! Each thing that can be asked: one look at the store or one commit.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::protocol::{
    Answer, Ask, BlockKind, BlockList, BlockRow, Blocked, ChangedSetting, FollowerPage, FollowerRow, Judged,
    LARGEST_PAGE, ListedBy, Position, Refusal, RefusalCode, Reloaded, ReportList, ReportRow, ReportsCleared,
    Unblocked,
};
use super::{Control, adopt, deliveries, names, offline, preview, redeliver, status, wishes};
use crate::agent::effective::IdentityState;
use crate::config::here;
use crate::config::reload::ReloadError;
use crate::decide::follow::{NotAnswered, Verdict, judge};
use crate::decide::{Moment, blocks, hosts, refusals, reports};
use crate::model::block::{Block, BlockOwner, BlockTarget};
use crate::model::delivery::{Outgoing, OutgoingKind};
use crate::model::follower::{Follower, FollowerState};
use crate::model::record::full_key;
use crate::model::report::Report;
use crate::model::{Draft, Record, View};
use crate::store::StoreError;

/// Where Owncast's own list of blocked domains is edited.
const OWNCASTS_LIST: &str = "Owncast's admin pages, under Configuration, Social, \"Blocked domains\"";

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal { code: RefusalCode::Unavailable, message: error.to_string() }
    }
}

/// Carries out one request. Nothing has been changed when the answer is [`Answer::Refused`].
pub async fn answer(control: &Control, ask: Ask) -> Answer {
    carry_out(control, ask, Timestamp::now()).await.unwrap_or_else(Answer::Refused)
}

async fn carry_out(control: &Control, ask: Ask, now: Timestamp) -> Result<Answer, Refusal> {
    if !control.running && offline::needs_agent(&ask) {
        let message = format!("only a running agent can do this; start it ({})", here().service("start"));
        return Err(Refusal { code: RefusalCode::NotRunning, message });
    }
    Ok(match ask {
        Ask::Status => Answer::Status(Box::new(status::status(control, now).await?)),
        Ask::Followers { state, limit, after } => {
            let page = control.store.read(move |view| page(view, state, limit, after)).await?;
            Answer::Followers(page)
        }
        Ask::Approve { who } => Answer::Judged(judged(control, who, Verdict::Approve, now).await?),
        Ask::Reject { who } => Answer::Judged(judged(control, who, Verdict::Reject, now).await?),
        Ask::Remove { who } => Answer::Judged(judged(control, who, Verdict::Remove, now).await?),
        Ask::Block { what, purge } => Answer::Blocked(block(control, what, purge, now).await?),
        Ask::Unblock { what } => Answer::Unblocked(unblock(control, what, now).await?),
        Ask::Blocks => {
            let blocks: Vec<Block> = control.store.read(|view| view.all(b"")).await?;
            let mut rows: Vec<BlockRow> = blocks.into_iter().map(row_of_block).collect();
            rows.sort_by(|a, b| {
                (a.kind == BlockKind::Actor, &a.target).cmp(&(b.kind == BlockKind::Actor, &b.target))
            });
            Answer::Blocks(BlockList { blocks: rows })
        }
        Ask::Reports => {
            let reports = control.store.read(reports::all).await?;
            Answer::Reports(ReportList { reports: reports.into_iter().map(row_of_report).collect() })
        }
        Ask::ClearReports => {
            let forgotten = control
                .store
                .commit(|view| {
                    let mut draft = Draft::new(view);
                    let forgotten = reports::clear(&mut draft);
                    (draft.into_changes(), forgotten)
                })
                .await?;
            Answer::ReportsCleared(ReportsCleared { forgotten: forgotten as u64 })
        }
        Ask::Reload => Answer::Reloaded(reload(control).await?),
        Ask::Preview => Answer::Preview(Box::new(preview::preview(control, now).await?)),
        Ask::Now => Answer::Wished(wishes::announce(control, now).await?),
        Ask::Skip { undo } => Answer::Wished(wishes::skip(control, undo, now).await?),
        Ask::Message { text } => Answer::Wished(wishes::message(control, text, now).await?),
        Ask::Pause { seconds } => Answer::Wished(wishes::pause(control, seconds, now).await?),
        Ask::Resume { restored } => Answer::Wished(wishes::resume(control, restored, now).await?),
        // The file stands behind the answer: who gives it out does not ask here.
        Ask::Export => Answer::Export,
        Ask::Deliveries { limit, before } => {
            Answer::Deliveries(deliveries::newest(control, limit, before).await?)
        }
        Ask::Activity { activity, limit } => {
            Answer::Activity(deliveries::activity(control, activity, limit, now).await?)
        }
        Ask::Host { host, limit } => Answer::Host(deliveries::host(control, host, limit, now).await?),
        Ask::GivenUp { limit } => Answer::GivenUp(deliveries::given_up(control, limit, now).await?),
        Ask::Retry { activity, host, given_up } => {
            Answer::Retried(redeliver::retry(control, activity, host, given_up, now).await?)
        }
        Ask::Drop { activity, host, dry_run } => {
            Answer::Dropped(redeliver::give_up(control, activity, host, dry_run).await?)
        }
        Ask::Adopt { step } => Answer::Adopted(Box::new(adopt::step(control, step, now).await?)),
    })
}

/// The newest followers behind a place. Keeps no more than the page in memory, however many there are.
fn page(view: &dyn View, state: Option<FollowerState>, limit: u32, after: Option<Position>) -> FollowerPage {
    let limit = limit.clamp(1, LARGEST_PAGE) as usize;
    let after = after.map(|place| (Reverse(place.since), place.actor));
    let mut kept: BTreeMap<(Reverse<Timestamp>, String), FollowerRow> = BTreeMap::new();
    let (mut total, mut more) = (0, false);
    view.scan::<Follower>(b"", &mut |follower| {
        if state.map_or(follower.state == FollowerState::Left, |wanted| follower.state != wanted) {
            return true;
        }
        total += 1;
        let place = (Reverse(follower.since), follower.person.actor.clone());
        if after.as_ref().is_none_or(|after| place > *after) {
            kept.insert(place, row_of_follower(follower));
            if kept.len() > limit {
                kept.pop_last();
                more = true;
            }
        }
        true
    });
    let last = kept.last_key_value().filter(|_| more);
    let next = last.map(|((since, actor), _)| Position { since: since.0, actor: actor.clone() });
    let mut followers: Vec<FollowerRow> = kept.into_values().collect();
    for row in &mut followers {
        row.parked = not_reached(view, &row.actor);
        row.untold = untold(view, &row.actor);
    }
    FollowerPage { total, followers, next }
}

/// Since when nothing new is sent to a follower, because its server is dead or its inbox refuses.
fn not_reached(view: &dyn View, actor: &str) -> Option<Timestamp> {
    let inbox = refusals::inbox_of(view, actor)?;
    hosts::parked(view, &inbox.url).or(refusals::parked(&inbox))
}

/// Why a follower does not know what was answered to it, if it does not.
fn untold(view: &dyn View, actor: &str) -> Option<String> {
    let follower: Follower = view.get(actor.as_bytes())?;
    let answer: Outgoing = view.get(&follower.answer?.to_bytes())?;
    let says_so = match follower.state {
        FollowerState::Approved => answer.kind == OutgoingKind::Accept,
        FollowerState::Rejected => answer.kind == OutgoingKind::Reject,
        _ => false,
    };
    answer.given_up.filter(|_| says_so)
}

fn row_of_follower(follower: Follower) -> FollowerRow {
    FollowerRow {
        actor: follower.person.actor,
        handle: follower.person.handle,
        name: follower.person.name,
        url: follower.person.url,
        state: follower.state,
        moved_to: follower.moved_to,
        parked: None,
        untold: None,
        since: follower.since,
        changed: follower.changed,
    }
}

fn row_of_report(report: Report) -> ReportRow {
    let Report { actor, handle, about, text, at, .. } = report;
    ReportRow { actor, handle, about, text, at }
}

fn row_of_block(block: Block) -> BlockRow {
    let (kind, target) = spelled(block.target);
    let listed_by = match block.owner {
        BlockOwner::Owncast => ListedBy::Owncast,
        BlockOwner::Operator => ListedBy::Operator,
    };
    BlockRow { target, kind, listed_by, since: block.since }
}

fn spelled(target: BlockTarget) -> (BlockKind, String) {
    match target {
        BlockTarget::Domain(domain) => (BlockKind::Domain, domain),
        BlockTarget::Actor(actor) => (BlockKind::Actor, actor),
    }
}

async fn judged(control: &Control, who: String, verdict: Verdict, now: Timestamp) -> Result<Judged, Refusal> {
    let identity = control.effective.borrow().identity.clone();
    let addresses = match identity {
        IdentityState::Settled { addresses, .. } => addresses,
        IdentityState::Waiting(why) => {
            let message = format!("the agent does not know yet who it is, so it can answer nobody: {why}");
            return Err(Refusal { code: RefusalCode::NotYet, message });
        }
    };
    // Found outside of the writer, which a search through all followers would hold up.
    let follower = control.store.read(move |view| names::follower(view, &who)).await??;
    let (actor, handle) = (follower.person.actor, follower.person.handle);
    let (asked, mut moment) = (actor.clone(), Moment::new(now, crate::random::entropy()));
    let outcome = control
        .store
        .commit(move |view| {
            let mut draft = Draft::new(view);
            let outcome = judge(&mut draft, &mut moment, &addresses, &asked, verdict);
            (draft.into_changes(), outcome)
        })
        .await?;
    let state = match verdict {
        Verdict::Approve => FollowerState::Approved,
        Verdict::Reject => FollowerState::Rejected,
        Verdict::Remove => FollowerState::Left,
    };
    let changed = match outcome {
        Ok(()) => true,
        Err(NotAnswered::Already) => false,
        Err(NotAnswered::Unknown) => return Err(names::unknown(&actor)),
        Err(NotAnswered::Blocked) => {
            let message = format!(
                "{actor} is set aside by a block; lift the block first: {} shows them all",
                here().typed("block list")
            );
            return Err(Refusal { code: RefusalCode::NotOurs, message });
        }
    };
    Ok(Judged { actor, handle, state, changed })
}

async fn target(control: &Control, what: String) -> Result<BlockTarget, Refusal> {
    control.store.read(move |view| names::target(view, &what)).await?
}

async fn block(control: &Control, what: String, purge: bool, now: Timestamp) -> Result<Blocked, Refusal> {
    let target = target(control, what).await?;
    let wanted = target.clone();
    let (added, purged) = control
        .store
        .commit(move |view| {
            let mut draft = Draft::new(view);
            let added = blocks::add(&mut draft, wanted.clone(), BlockOwner::Operator, now);
            let purged = if purge { blocks::purge(&mut draft, &wanted, now) } else { 0 };
            (draft.into_changes(), (added, purged))
        })
        .await?;
    let (kind, target) = spelled(target);
    let (changed, parked) = (added.is_some(), added.unwrap_or(0) as u64);
    Ok(Blocked { target, kind, changed, parked, purged: purged as u64 })
}

async fn unblock(control: &Control, what: String, now: Timestamp) -> Result<Unblocked, Refusal> {
    let target = target(control, what).await?;
    let wanted = target.clone();
    let (restored, listed) = control
        .store
        .commit(move |view| {
            let listed = view.get_bytes(&full_key(Block::KIND, &wanted.key(BlockOwner::Owncast))).is_some();
            let mut draft = Draft::new(view);
            let restored = blocks::remove(&mut draft, &wanted, BlockOwner::Operator, now);
            (draft.into_changes(), (restored, listed))
        })
        .await?;
    let (kind, target) = spelled(target);
    match (restored, listed) {
        (Some(restored), _) => {
            Ok(Unblocked { target, kind, restored: restored as u64, still_listed_by_owncast: listed })
        }
        (None, true) => Err(Refusal {
            code: RefusalCode::NotOurs,
            message: format!(
                "{target} is not blocked here but on Owncast's list; remove it there: {OWNCASTS_LIST} ({}/admin)",
                control.effective.borrow().config.owncast.url
            ),
        }),
        (None, false) => Err(Refusal {
            code: RefusalCode::Unknown,
            message: format!("{target} is not blocked; {} shows what is", here().typed("block list")),
        }),
    }
}

async fn reload(control: &Control) -> Result<Reloaded, Refusal> {
    let changes = control.reload.reload().await.map_err(|error| Refusal {
        code: match error {
            ReloadError::Refused(_) => RefusalCode::BadConfiguration,
            ReloadError::Stopping => RefusalCode::Unavailable,
        },
        message: error.to_string(),
    })?;
    control.wake.notify_one();
    let rows = |changes: Vec<crate::config::Changed>| {
        let row = |change: crate::config::Changed| ChangedSetting {
            field: change.field.to_owned(),
            from: change.from,
            to: change.to,
            needs_restart: change.needs_restart,
        };
        changes.into_iter().map(row).collect()
    };
    Ok(Reloaded { changes: rows(changes), waiting: rows(control.reload.on_disk().waiting) })
}
