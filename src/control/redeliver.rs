//! `deliveries retry` and `deliveries drop`: in steps, so that nobody else waits long for the store.

use jiff::Timestamp;

use super::Control;
use super::deliveries::{activity_of, host_name};
use super::protocol::{DroppedDeliveries, Refusal, RefusalCode, RetriedDeliveries};
use crate::decide::redeliver::{self, Cursor, Dropped, Retried, Selection};
use crate::model::Draft;

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
    let mut dropped = Dropped::new();
    let mut from = Some(Cursor::new());
    while let Some(cursor) = from {
        let selection = selection.clone();
        let (done, next) = if dry_run {
            let look = move |view: &dyn crate::model::View| {
                redeliver::give_up(&mut Draft::new(view), &selection, &cursor, LOOK)
            };
            control.store.read(look).await?
        } else {
            let step = control.store.commit(move |view| {
                let mut draft = Draft::new(view);
                let done = redeliver::give_up(&mut draft, &selection, &cursor, LOOK);
                (draft.into_changes(), done)
            });
            step.await?
        };
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
