//! Followers that moved in with rows that break the rules: their own servers are asked, one after another.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::decide::adopt::{Terms, due, gave_up, in_vain, refetched};
use crate::fetch::{FetchError, Fetcher};
use crate::model::follower::FollowerState;
use crate::model::origin::RemotePolicy;
use crate::model::{Addresses, Draft};
use crate::store::{Store, StoreError};

/// Actors asked for between two looks at the store.
const AT_ONCE: usize = 20;
/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest wait for the next one that is due.
const REST: Duration = Duration::from_secs(600);

/// The task.
#[derive(Debug)]
pub struct Refetcher {
    /// Where the rows are.
    pub store: Store,
    /// Asks, within the bounds that hold for everybody.
    pub fetcher: Arc<Fetcher>,
    /// Our ids.
    pub addresses: Addresses,
    /// Which addresses of strangers are taken.
    pub policy: RemotePolicy,
}

impl Refetcher {
    /// Works until `stop`, or until the store is closed.
    pub async fn run(self, stop: CancellationToken) {
        let asking = async {
            while self.look().await.is_ok() {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = asking => {}
        }
    }

    /// Asks for those that are due; waits for the next if none is.
    async fn look(&self) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let mut written = self.store.anything_written();
        let (actors, next) = self.store.read(move |view| due(view, now, AT_ONCE)).await?;
        if actors.is_empty() {
            let wait = next.map_or(REST, |next| next.duration_since(now).unsigned_abs().min(REST));
            // What is written may be more rows.
            let more = tokio::time::timeout(wait, written.changed()).await;
            return if matches!(more, Ok(Err(_))) { Err(StoreError::Closed) } else { Ok(()) };
        }
        for actor in actors {
            self.ask(actor).await?;
        }
        Ok(())
    }

    async fn ask(&self, actor: String) -> Result<(), StoreError> {
        let found = self.fetcher.actor(&actor, None).await;
        let terms =
            Terms { addresses: self.addresses.clone(), policy: self.policy, run: 0, now: Timestamp::now() };
        let who = actor.clone();
        let outcome = self
            .store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                let outcome = match found {
                    Ok(found) if found.id.as_str() == who => {
                        match refetched(&mut draft, &terms, found.person()) {
                            Some(FollowerState::Pending) => "its server knows it: it waits for an answer",
                            Some(_) => "its server knows it: it follows as it did",
                            None => "it has come by itself meanwhile",
                        }
                    }
                    Err(FetchError::Gone) => {
                        gave_up(&mut draft, &who, terms.now);
                        "it exists no more"
                    }
                    Ok(_) | Err(_) => match in_vain(&mut draft, &who, terms.now) {
                        true => "its document cannot be had; it is asked for again later",
                        false => "its document could not be had for months, and it is asked for no more",
                    },
                };
                (draft.into_changes(), outcome)
            })
            .await?;
        tracing::info!(target: "herald::agent", actor, "a follower of Owncast's was set aside: {outcome}");
        Ok(())
    }
}
