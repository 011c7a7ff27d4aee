//! Actors that say that they delete themselves: looked into after they were answered.
//!
//! Whether somebody is known here must show neither in the answer nor in how long it takes, and a look may take long: the
//! key of who deletes itself is often gone already.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::gate::{self, Claim};
use super::{Inbox, Took, refusal};

/// Departures that wait.
pub(super) const WAITING: usize = 256;
/// Departures looked into at once.
const AT_ONCE: usize = 8;

/// The task that looks into departures.
#[derive(Debug)]
pub struct Departures {
    inbox: Arc<Inbox>,
    queue: mpsc::Receiver<Claim>,
}

impl Departures {
    pub(super) fn new(inbox: Arc<Inbox>, queue: mpsc::Receiver<Claim>) -> Self {
        Departures { inbox, queue }
    }

    /// Works until `stop`. What waits then is left: whoever has gone is noticed at the next delivery.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut looking = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(_) = looking.join_next() => {}
                Some(claim) = self.queue.recv(), if looking.len() < AT_ONCE => {
                    let inbox = Arc::clone(&self.inbox);
                    looking.spawn(async move { inbox.see_off(claim).await });
                }
            }
        }
    }
}

impl Inbox {
    async fn see_off(&self, claim: Claim) {
        let Some(engine) = self.engine.get() else { return };
        let took = match gate::left(engine, &self.store, claim).await {
            Some(verified) => self.apply(engine, verified).await,
            None => Ok(Took::Ignored),
        };
        self.metrics.inbox(match &took {
            Ok(took) => took.counted(),
            Err(problem) => refusal(problem),
        });
    }
}
