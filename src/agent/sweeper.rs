//! Forgets what is over, a little at a time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::decide::sweep::{Cursor, LOOK, MOST, PAUSE, memories, sweep};
use crate::inbox::Inbox;
use crate::model::Draft;
use crate::model::follower::FollowerCounts;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// Pause after the whole store was looked at.
const REST: Duration = Duration::from_secs(600);

/// The task.
pub(super) struct Sweeper {
    pub(super) store: Store,
    pub(super) inbox: Arc<Inbox>,
    pub(super) metrics: Arc<Metrics>,
}

impl Sweeper {
    /// Sweeps until `stop`, or until the store is closed.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut cursor = Cursor::new();
        let mut held = 0;
        let mut full = false;
        loop {
            let from = cursor.clone();
            let now = Timestamp::now();
            let swept = self
                .store
                .commit(move |view| {
                    let mut draft = Draft::new(view);
                    let next = sweep(&mut draft, &from, now, LOOK);
                    let counts: FollowerCounts = draft.view().meta();
                    let kept = memories(draft.view(), &from, &next);
                    (draft.into_changes(), (next, kept, counts.approved))
                })
                .await;
            let Ok((next, kept, followers)) = swept else { return };
            self.metrics.followers.set(i64::try_from(followers).unwrap_or(i64::MAX));
            held += kept;
            if next.is_empty() || held > MOST {
                full = held > MOST;
            }
            if next.is_empty() {
                held = 0;
            }
            self.inbox.close(full);
            let pause = if next.is_empty() { REST } else { PAUSE };
            cursor = next;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
