//! Forgets what is over, a little at a time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::decide::sweep::{Cursor, sweep};
use crate::model::Draft;
use crate::model::follower::FollowerCounts;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// Entries looked at in one go: some milliseconds of the writer's time.
const LOOK: usize = 1000;
/// Pause between two goes.
const PAUSE: Duration = Duration::from_secs(10);
/// Pause after the whole store was looked at.
const REST: Duration = Duration::from_secs(600);

/// Sweeps until `stop`, or until the store is closed.
pub(super) async fn run(store: Store, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut cursor = Cursor::new();
    loop {
        let from = cursor.clone();
        let now = Timestamp::now();
        let swept = store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                let next = sweep(&mut draft, &from, now, LOOK);
                let counts: FollowerCounts = draft.view().meta();
                (draft.into_changes(), (next, counts.approved))
            })
            .await;
        let Ok((next, followers)) = swept else { return };
        metrics.followers.set(i64::try_from(followers).unwrap_or(i64::MAX));
        let pause = if next.is_empty() { REST } else { PAUSE };
        cursor = next;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
