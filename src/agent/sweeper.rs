//! Forgets what is over, a little at a time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::decide::sweep::{PAUSE, Round, sweep};
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
    /// Memories of strangers that the store may hold.
    pub(super) most: u64,
}

impl Sweeper {
    /// Sweeps until `stop`, or until the store is closed.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut round = Round::new(self.most);
        loop {
            let (from, look, shares) = (round.cursor().clone(), round.look(), Arc::clone(round.shares()));
            let now = Timestamp::now();
            let swept = self
                .store
                .commit(move |view| {
                    let mut draft = Draft::new(view);
                    let swept = sweep(&mut draft, &from, now, look, &shares);
                    let counts: FollowerCounts = draft.view().meta();
                    (draft.into_changes(), (swept, counts.approved))
                })
                .await;
            let Ok((swept, followers)) = swept else { return };
            self.metrics.followers.set(i64::try_from(followers).unwrap_or(i64::MAX));
            round.looked(swept);
            self.inbox.share(Arc::clone(round.shares()));
            self.inbox.close(round.is_full());
            let pause = if round.may_rest() { REST } else { PAUSE };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::watch;

    use super::*;
    use crate::activitypub::signature::PrivateKey;
    use crate::decide::seen;
    use crate::inbox::testing::{LONG, Request, effective, engine, ours};
    use crate::model::Record;
    use crate::model::engagement::Seen;
    use crate::serve::answer::Problem;

    const SERVERS: usize = 30;
    const OF_EACH: usize = 90;

    /// A Follow by somebody of a server that is not there.
    async fn arrives(inbox: &Inbox, key: &PrivateKey) -> Problem {
        let actor = "http://127.0.0.1:9/users/eve";
        let activity = serde_json::json!({"type": "Follow", "actor": actor, "object": ours().actor()});
        let request = Request::signed(&activity, &format!("{actor}#main-key"), key);
        inbox.receive(request.arriving(None).await).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_full_store_takes_nothing_until_there_is_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let metrics = Arc::new(Metrics::new());
        let (_effective, effective) = watch::channel(Arc::new(effective(folder.path())));
        let (inbox, _departures) = Inbox::closed(store.clone(), effective, Arc::clone(&metrics));
        let key = PrivateKey::generate().unwrap();
        inbox.settle(engine(&key, Arc::new(Timestamp::now)));
        let fill = |view: &dyn crate::model::View| {
            let mut draft = Draft::new(view);
            for number in 0..SERVERS * OF_EACH {
                let actor = format!("https://s{}.example/users/u", number % SERVERS);
                seen::first_time(&mut draft, &actor, &number.to_string(), false, Timestamp::now());
            }
            (draft.into_changes(), ())
        };
        store.commit(fill).await.unwrap();
        let most = (SERVERS * OF_EACH - 1) as u64;
        let sweeper = Sweeper { store: store.clone(), inbox: Arc::clone(&inbox), metrics, most };
        let stop = CancellationToken::new();
        let sweeping = tokio::spawn(sweeper.run(stop.clone()));
        let answered = async |want: &str| {
            let began = Instant::now();
            loop {
                let problem = arrives(&inbox, &key).await;
                if problem.code == want {
                    return problem;
                }
                assert!(began.elapsed() < LONG, "{} instead of {want}", problem.code);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let full = answered("store-full").await;
        assert_eq!((full.status.as_u16(), full.retry_after), (503, Some(3600)));
        // Some of it is over: what comes is looked at again, and its sender's key cannot be had.
        store
            .commit(|view| {
                let mut draft = Draft::new(view);
                let mut keys = Vec::new();
                draft.view().scan_bytes(&[Seen::KIND], &[Seen::KIND], &mut |key, _| {
                    keys.push(key[1..].to_vec());
                    keys.len() < SERVERS
                });
                keys.iter().for_each(|key| draft.delete::<Seen>(key));
                (draft.into_changes(), ())
            })
            .await
            .unwrap();
        answered("key-unavailable").await;
        stop.cancel();
        sweeping.await.unwrap();
    }
}
