//! `deliveries retry` and `deliveries drop`: in steps, so that nobody else waits long for the store.

use jiff::Timestamp;

use super::Control;
use super::deliveries::{activity_of, host_name};
use super::protocol::{DroppedDeliveries, Refusal, RefusalCode, RetriedDeliveries};
use crate::decide::redeliver::{self, Cursor, Dropped, Retried, Selection};
use crate::model::{Draft, View};

/// Entries looked at in one step.
const LOOK: usize = 512;

/// What the operator names. Nothing of that name is not the same as all.
async fn selection(
    control: &Control,
    activity: Option<String>,
    host: Option<String>,
) -> Result<Selection, Refusal> {
    let host = host.as_deref().map(host_name).transpose()?;
    let activity = match activity {
        Some(named) => Some(control.store.read(move |view| activity_of(view, &named)).await??.id),
        None => None,
    };
    Ok(Selection { activity, host })
}

pub(super) async fn retry(
    control: &Control,
    activity: Option<String>,
    host: Option<String>,
    given_up: bool,
    now: Timestamp,
) -> Result<RetriedDeliveries, Refusal> {
    let selection = selection(control, activity, host).await?;
    let mut retried = Retried::default();
    let mut from = Some(Cursor::new());
    while let Some(cursor) = from {
        let selection = selection.clone();
        let step = control.store.commit(move |view| {
            let mut draft = Draft::new(view);
            let done = redeliver::retry(&mut draft, &selection, given_up, &cursor, now, LOOK);
            (draft.into_changes(), done)
        });
        let (done, next) = step.await?;
        retried.add(done);
        from = next;
    }
    let Retried { due, anew, over, resting, asked } = retried;
    Ok(RetriedDeliveries { due, anew, over, resting, asked })
}

pub(super) async fn give_up(
    control: &Control,
    activity: Option<String>,
    host: Option<String>,
    dry_run: bool,
) -> Result<DroppedDeliveries, Refusal> {
    if activity.is_none() && host.is_none() {
        let message = "say which deliveries are to be given up: those of an activity, or those to a host";
        return Err(Refusal { code: RefusalCode::BadRequest, message: message.to_owned() });
    }
    let selection = selection(control, activity, host).await?;
    let mut dropped = further(control, selection.clone(), dry_run).await?;
    let mut from = Some(Cursor::new());
    while let Some(cursor) = from {
        let selection = selection.clone();
        let step = move |draft: &mut Draft<'_>| redeliver::give_up(draft, &selection, &cursor, LOOK);
        let (done, next) = carried_out(control, dry_run, step).await?;
        for (kind, many) in done {
            *dropped.entry(kind).or_default() += many;
        }
        from = next;
    }
    Ok(DroppedDeliveries {
        dry_run,
        dropped: dropped.values().sum(),
        kinds: dropped.into_iter().map(|(kind, many)| (kind.to_owned(), many)).collect(),
    })
}

/// Gives up what is not queued yet. How much that is, is counted beside the writer: it may take a while.
async fn further(control: &Control, selection: Selection, dry_run: bool) -> Result<Dropped, Refusal> {
    let end = move |draft: &mut Draft<'_>| redeliver::give_up_further(draft, &selection);
    match carried_out(control, dry_run, end).await? {
        Some(ended) => Ok(control.store.read(move |view| redeliver::further(view, &ended)).await?),
        None => Ok(Dropped::new()),
    }
}

/// Does something, or only finds out what would come of it.
async fn carried_out<A: Send + 'static>(
    control: &Control,
    dry_run: bool,
    step: impl FnOnce(&mut Draft<'_>) -> A + Send + 'static,
) -> Result<A, Refusal> {
    let done = if dry_run {
        control.store.read(move |view: &dyn View| step(&mut Draft::new(view))).await?
    } else {
        let commit = move |view: &dyn View| {
            let mut draft = Draft::new(view);
            let answer = step(&mut draft);
            (draft.into_changes(), answer)
        };
        control.store.commit(commit).await?
    };
    Ok(done)
}
