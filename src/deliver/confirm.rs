//! Whether those who follow through an inbox that refused us as moved or gone are there still: their own documents tell.
//!
//! One question at a time, each a guarded and bounded fetch; nobody is removed on the word of an inbox alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

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
/// The pause before more people of the same inbox are looked up: their server and our budget for it are to be spared.
const PAUSE: Duration = Duration::from_secs(60);
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
        // Where more is to be found out, and when to go on there.
        let mut further: VecDeque<(Instant, String)> = VecDeque::new();
        loop {
            let next = further.front().map_or_else(Instant::now, |(at, _)| *at);
            let inbox = tokio::select! {
                told = self.inboxes.recv() => match told {
                    Some(inbox) => inbox,
                    None => return,
                },
                () = tokio::time::sleep_until(next), if !further.is_empty() => match further.pop_front() {
                    Some((_, inbox)) => inbox,
                    None => continue,
                },
            };
            let Ok(more) = self.look_into(&mut rounds, inbox.clone()).await else { return };
            if more && further.len() < WAITING && further.iter().all(|(_, waits)| *waits != inbox) {
                further.push_back((Instant::now() + PAUSE, inbox));
            }
        }
    }

    /// Asks some of those behind an inbox. Whether others are to be asked soon: if somebody had moved or was gone, they may
    /// have, too.
    async fn look_into(&self, rounds: &mut Rounds, inbox: String) -> Result<bool, StoreError> {
        let (asked, after) = (inbox.clone(), rounds.after(&inbox));
        let look = move |view: &dyn View| gone::behind(view, &asked, after.as_deref(), PEOPLE);
        let (people, last) = self.store.read(look).await?;
        let (mut changed, mut busy, mut told) = (false, false, None);
        for (number, actor) in people.iter().enumerate() {
            match self.fetcher.actor(actor, None).await {
                Err(FetchError::Gone) => changed |= self.gone(actor.clone(), false).await?,
                Err(FetchError::NotFound) => changed |= self.gone(actor.clone(), true).await?,
                Ok(found) if found.id.as_str() == actor => {
                    let moment = Moment::new(Timestamp::now(), entropy());
                    let person = Arc::clone(found.person());
                    let there = move |draft: &mut Draft<'_>| gone::still_there(draft, &moment, &person);
                    if self.decide(there).await? {
                        changed = true;
                        tracing::info!(target: "herald::deliver", actor, "a follower's inbox has moved");
                    }
                }
                // Those behind would not be asked either.
                Err(FetchError::Busy) => {
                    (busy, told) = (true, told.or(Some(number)));
                    break;
                }
                Err(cause) if cause.is_transient() => told = told.or(Some(number)),
                // Nothing is known then, and would not be if it were asked again.
                Ok(_) | Err(_) => {}
            }
        }
        let told = told.unwrap_or(people.len());
        let more = busy || changed && (told < people.len() || !last);
        if !busy || told > 0 {
            rounds.looked(inbox, &people, told, last);
        }
        Ok(more)
    }

    async fn gone(&self, actor: String, perhaps: bool) -> Result<bool, StoreError> {
        let (moment, who) = (Moment::new(Timestamp::now(), entropy()), actor.clone());
        let forget = move |draft: &mut Draft<'_>| {
            if perhaps {
                return gone::missing(draft, &moment, &who);
            }
            gone::deleted(draft, &moment, &who);
            true
        };
        let forgotten = self.decide(forget).await?;
        if forgotten {
            tracing::info!(target: "herald::deliver", actor, "a follower exists no more and was removed");
        }
        Ok(forgotten)
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
