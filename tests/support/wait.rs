//! Bounded waiting for what can only be seen by looking again.

use std::time::{Duration, Instant};

/// Bound of a wait for something that takes a moment; reaching it is a failure. Longer than the agent's longest pause between
/// two looks at Owncast's settings, and as much again for a machine that has much to do.
pub const LONG: Duration = Duration::from_secs(60);

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Looks until there is something to see, and answers it. Panics with `what` when `timeout` passes before.
pub async fn eventually<T>(what: &str, timeout: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {timeout:?} in vain: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
