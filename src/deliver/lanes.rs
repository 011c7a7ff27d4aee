//! Fast slots are for requests that are answered soon; what takes longer goes on in a lane of its own, so that servers that
//! are slow or dead never hold up the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// A request older than this gives its fast slot to the next one,
const SLOW_AFTER: Duration = Duration::from_millis(100);
/// unless the alarm comes later than this: then it is this machine that is busy, perhaps with handshakes, and more of them would
/// only wait for each other.
const LATE: Duration = Duration::from_millis(20);
/// A machine may be busy for as long as a stream lasts: so often is looked again.
const LOOKS: usize = 8;
/// Requests under way at most. With all that comes in, descriptors stay under 4,096.
const UNDER_WAY: usize = 2048;
/// Places in the slow lane at most: owners have shares of these.
const SLOW_LANE: usize = 1536;

/// Places in the slow lane beside so many fast slots, of which there are 1,024 at most.
pub(super) fn slow_places(fast: usize) -> usize {
    UNDER_WAY.saturating_sub(fast).min(SLOW_LANE)
}

/// A place in the slow lane, once the signed request has been under way for too long for a fast slot.
pub(super) async fn slow_lane(slow: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    for look in 1.. {
        let alarm = Instant::now() + SLOW_AFTER;
        sleep_until(alarm).await;
        if is_slow(alarm.elapsed(), look) {
            break;
        }
    }
    slow.acquire_owned().await.ok()
}

/// Whether it is the server that takes long, if so many alarms were heard, the last one so late.
fn is_slow(late: Duration, look: usize) -> bool {
    late < LATE || look >= LOOKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_makes_no_server_slow_for_a_while() {
        for (late, look, want) in
            [(0, 1, true), (19, 1, true), (20, 1, false), (5_000, 7, false), (5_000, 8, true)]
        {
            assert_eq!(is_slow(Duration::from_millis(late), look), want, "{late} ms, {look}");
        }
    }

    #[test]
    fn more_fast_slots_leave_less_to_what_is_slow() {
        for (fast, slow) in [(1, 1536), (512, 1536), (600, 1448), (1024, 1024)] {
            assert_eq!(slow_places(fast), slow, "{fast}");
        }
    }

    #[tokio::test]
    async fn a_place_is_waited_for_and_held() {
        let lane = Arc::new(Semaphore::new(1));
        let begun = Instant::now();
        let place = slow_lane(Arc::clone(&lane)).await;
        assert!(begun.elapsed() >= SLOW_AFTER && lane.available_permits() == 0);
        drop(place);
        assert_eq!(lane.available_permits(), 1);
    }
}
