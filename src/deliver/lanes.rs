//! Fast slots are for requests that are answered soon; what takes longer goes on in a lane of its own, so that servers that
//! are slow or dead never hold up the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A request older than this gives its fast slot to the next one.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// Requests in the slow lane at most.
pub(super) const SLOW_LANE: usize = 1024;

/// A place in the slow lane, once the request has been running for too long for a fast slot.
pub(super) async fn slow_lane(slow: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    tokio::time::sleep(SLOW_AFTER).await;
    slow.acquire_owned().await.ok()
}
