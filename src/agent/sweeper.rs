//! Forgets what is over, a little at a time.

use std::path::PathBuf;
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
/// Free space below which nothing of strangers is taken any more: what is ours must still be written.
const FLOOR: u64 = 64 << 20;

/// The task.
pub(super) struct Sweeper {
    pub(super) store: Store,
    pub(super) inbox: Arc<Inbox>,
    pub(super) metrics: Arc<Metrics>,
    /// Where the store is.
    pub(super) folder: PathBuf,
}

impl Sweeper {
    /// Sweeps until `stop`, or until the store is closed.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut cursor = Cursor::new();
        let mut held = 0;
        let mut full = None;
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
                full =
                    (held > MOST).then(|| format!("the store holds more than {MOST} memories of strangers"));
            }
            if next.is_empty() {
                held = 0;
            }
            self.inbox.close(full.clone().or_else(|| self.short_of_space()));
            let pause = if next.is_empty() { REST } else { PAUSE };
            cursor = next;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn short_of_space(&self) -> Option<String> {
        let disk = rustix::fs::statvfs(&self.folder).ok()?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let folder = self.folder.display();
        (free < FLOOR).then(|| format!("{} MiB are free on the disk of {folder}", free >> 20))
    }
}
