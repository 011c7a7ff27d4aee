//! Tells systemd how the agent is, and that it lives: proved each time, never assumed.
//!
//! It lives while the store's writer decides and answers, the task that watches Owncast comes round, and the runtime gives
//! this task its turn. When one of them does not, systemd hears nothing any more, and starts the agent anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::effective::{Effective, IdentityState};
use super::tell_systemd;
use crate::model::follower::FollowerCounts;
use crate::model::{Changes, View};
use crate::store::{Store, StoreError};

/// Time between two looks where no watchdog is set.
const LOOK: Duration = Duration::from_secs(30);
/// The watcher rests for a minute at most, and each of its requests has a limit of its own: when it was not seen for so
/// long, it hangs.
const HANGS: Duration = Duration::from_secs(300);

/// The task.
pub(super) struct Watchdog {
    pub(super) store: Store,
    pub(super) board: watch::Receiver<Board>,
    pub(super) effective: watch::Receiver<Arc<Effective>>,
}

impl Watchdog {
    /// Looks and tells until `stop`, or until the store is closed. Without systemd there is nobody to tell.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return;
        }
        let watchdog = sd_notify::watchdog_enabled();
        // One look may come late, and one notice may get lost.
        let pause = watchdog.map_or(LOOK, |within| within / 3);
        let mut rounds = Rounds::new(Instant::now());
        let mut told = String::new();
        loop {
            let followers = tokio::select! {
                () = stop.cancelled() => return,
                followers = followers(&self.store) => followers,
            };
            let Ok(followers) = followers else { return };
            let status = words(&self.board.borrow(), &self.effective.borrow().identity, followers);
            if status != told {
                tell_systemd(&[NotifyState::Status(&status)]);
                told = status;
            }
            // The watcher writes on the board each time it comes round, the same or not.
            let came_round = self.board.has_changed().unwrap_or(false);
            self.board.mark_unchanged();
            if rounds.go_on(came_round, Instant::now()) && watchdog.is_some() {
                tell_systemd(&[NotifyState::Watchdog]);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// Waits for the writer's turn: it answers nothing while it hangs.
async fn followers(store: &Store) -> Result<u64, StoreError> {
    let approved = |view: &dyn View| view.meta::<FollowerCounts>().approved;
    store.commit(move |view| (Changes::default(), approved(view))).await
}

/// When the watcher last came round.
struct Rounds {
    last: Instant,
    said: bool,
}

impl Rounds {
    fn new(now: Instant) -> Self {
        Rounds { last: now, said: false }
    }

    /// False once the watcher hangs.
    fn go_on(&mut self, came_round: bool, now: Instant) -> bool {
        if came_round {
            *self = Rounds::new(now);
        }
        let hangs = now.duration_since(self.last) > HANGS;
        if hangs && !self.said {
            self.said = true;
            tracing::error!(
                target: "herald::agent",
                "watching Owncast hangs; what was acknowledged is on disk, and systemd is left to start anew"
            );
        }
        !hangs
    }
}

/// How the agent is, in a line for `systemctl status`.
fn words(board: &Board, identity: &IdentityState, followers: u64) -> String {
    let who = match identity {
        IdentityState::Waiting(why) => return format!("Waiting: {why}"),
        IdentityState::Settled { addresses, .. } => addresses.handle(),
    };
    let follow = if followers == 1 { "1 follower".to_owned() } else { format!("{followers} followers") };
    match &board.problem {
        Some(problem) => format!("@{who}, {follow}; {problem}"),
        None if board.stream.is_empty() => format!("@{who}, {follow}"),
        None => format!("@{who}, {follow}; the stream is {}", board.stream),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::model::Addresses;

    #[test]
    fn a_watcher_that_does_not_come_round_for_long_hangs() {
        let start = Instant::now();
        let mut rounds = Rounds::new(start);
        assert!(rounds.go_on(false, start + HANGS), "a first round may take its time");
        assert!(rounds.go_on(true, start + HANGS));
        assert!(rounds.go_on(false, start + HANGS * 2));
        assert!(!rounds.go_on(false, start + HANGS * 2 + Duration::from_secs(1)));
        assert!(!rounds.go_on(false, start + HANGS * 3), "nor later");
        assert!(rounds.go_on(true, start + HANGS * 3), "it came round after all");
    }

    #[tokio::test]
    async fn a_writer_that_hangs_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(followers(&store).await.unwrap(), 0);
        let (go_on, held) = std::sync::mpsc::channel::<()>();
        let holding = store.clone();
        let held = tokio::spawn(async move {
            holding
                .commit(move |_| {
                    let _ = held.recv();
                    (Changes::default(), ())
                })
                .await
        });
        tokio::task::yield_now().await;
        let mut asked = std::pin::pin!(followers(&store));
        assert!(asked.as_mut().now_or_never().is_none());
        go_on.send(()).unwrap();
        held.await.unwrap().unwrap();
        assert_eq!(asked.await.unwrap(), 0);
    }

    #[test]
    fn the_line_says_who_and_how() {
        let settled = IdentityState::Settled {
            addresses: Addresses::new("https://live.example", "ana"),
            published: jiff::Timestamp::UNIX_EPOCH,
            public_key: String::new(),
        };
        let mut board = Board::default();
        assert_eq!(words(&board, &settled, 0), "@ana@live.example, 0 followers");
        board.stream = "live".into();
        assert_eq!(words(&board, &settled, 1), "@ana@live.example, 1 follower; the stream is live");
        board.problem = Some("Owncast does not answer".into());
        assert_eq!(words(&board, &settled, 2), "@ana@live.example, 2 followers; Owncast does not answer");
        let waiting = IdentityState::Waiting("choose a key".into());
        assert_eq!(words(&board, &waiting, 2), "Waiting: choose a key");
    }
}
