//! Whether those who follow through an inbox that refused us as moved or gone are there still: their own documents tell.
//!
//! One question at a time, each a guarded and bounded fetch; nobody is removed on the word of an inbox alone.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::decide::gone::Rounds;
use crate::decide::{Moment, gone};
use crate::fetch::{FetchError, Fetcher};
use crate::model::{Draft, View};
use crate::random::entropy;
use crate::store::{Store, StoreError};

/// Inboxes that wait to be looked into; of more, the next delivery there will remind us.
pub(super) const WAITING: usize = 64;
/// People looked up for one inbox at a time.
const PEOPLE: usize = 50;
/// Inboxes of which it is remembered how far their people were looked up.
const INBOXES: usize = 1024;

pub(super) struct Confirmer {
    pub(super) store: Store,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) inboxes: mpsc::Receiver<String>,
}

impl Confirmer {
    /// Works until nobody asks any more, or the store is closed.
    pub(super) async fn run(mut self) {
        let mut rounds = Rounds::new(INBOXES);
        while let Some(inbox) = self.inboxes.recv().await {
            if self.look_into(&mut rounds, inbox).await.is_err() {
                return;
            }
        }
    }

    async fn look_into(&self, rounds: &mut Rounds, inbox: String) -> Result<(), StoreError> {
        let (asked, after) = (inbox.clone(), rounds.after(&inbox));
        let look = move |view: &dyn View| gone::behind(view, &asked, after.as_deref(), PEOPLE);
        let (people, last) = self.store.read(look).await?;
        rounds.looked(inbox, &people, last);
        for actor in people {
            match self.fetcher.actor(&actor, None).await {
                Err(FetchError::Gone) => self.gone(actor, false).await?,
                Err(FetchError::NotFound) => self.gone(actor, true).await?,
                Ok(found) if found.id.as_str() == actor => {
                    let moment = Moment::new(Timestamp::now(), entropy());
                    let person = Arc::clone(found.person());
                    let there = move |draft: &mut Draft<'_>| gone::still_there(draft, &moment, &person);
                    if self.decide(there).await? {
                        tracing::info!(target: "herald::deliver", actor, "a follower's inbox has moved");
                    }
                }
                // Nothing is known then.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    async fn gone(&self, actor: String, perhaps: bool) -> Result<(), StoreError> {
        let (moment, who) = (Moment::new(Timestamp::now(), entropy()), actor.clone());
        let forget = move |draft: &mut Draft<'_>| {
            if perhaps {
                return gone::missing(draft, &moment, &who);
            }
            gone::deleted(draft, &moment, &who);
            true
        };
        if self.decide(forget).await? {
            tracing::info!(target: "herald::deliver", actor, "a follower exists no more and was removed");
        }
        Ok(())
    }

    async fn decide(
        &self,
        decision: impl FnOnce(&mut Draft<'_>) -> bool + Send + 'static,
    ) -> Result<bool, StoreError> {
        let decide = |view: &dyn View| {
            let mut draft = Draft::new(view);
            let outcome = decision(&mut draft);
            (draft.into_changes(), outcome)
        };
        self.store.commit(decide).await
    }
}
