//! Tells followers of a changed profile.
//!
//! A task of its own, since the settings of the moment tell it everything: it waits for them to change and for the end of
//! the quiet time, and works while Owncast is away.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::activitypub::vocab::actor::actor;
use crate::agent::effective::{Effective, IdentityState};
use crate::decide::Moment;
use crate::decide::profile::{AT_MOST, Looked, look};
use crate::model::Draft;
use crate::store::{Store, StoreError};

/// The task that compares the profile with what followers were told.
#[derive(Debug)]
pub struct Teller {
    /// Where it is kept what they were told.
    pub store: Store,
    /// Settings of the moment.
    pub effective: watch::Receiver<Arc<Effective>>,
}

impl Teller {
    /// Tells until `cancel`, or until the store is closed.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), StoreError> {
        loop {
            let effective = Arc::clone(&self.effective.borrow_and_update());
            let pause = self.look(&effective).await?;
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                changed = self.effective.changed() => if changed.is_err() { return Ok(()) },
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks once. Returns how long to wait if nothing changes.
    async fn look(&self, effective: &Effective) -> Result<Duration, StoreError> {
        let IdentityState::Settled { addresses, published, public_key } = &effective.identity else {
            return Ok(AT_MOST);
        };
        if !effective.facts.known || self.store.room().low {
            return Ok(AT_MOST);
        }
        let manual = effective.manual_approval();
        let document = actor(addresses, &effective.facts, *published, manual, public_key);
        let (addresses, mut moment) =
            (addresses.clone(), Moment::new(Timestamp::now(), crate::random::entropy()));
        let looked = self
            .store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                let looked = look(&mut draft, &mut moment, &addresses, document);
                (draft.into_changes(), looked)
            })
            .await?;
        Ok(match looked {
            Looked::Known => AT_MOST,
            Looked::Told(update) => {
                tracing::info!(target: "herald::watch", %update, "the profile changed; followers are told");
                AT_MOST
            }
            Looked::Waits(due) => {
                let left = due.duration_since(Timestamp::now());
                if left.is_negative() { Duration::from_millis(1) } else { left.unsigned_abs().min(AT_MOST) }
            }
        })
    }
}
