//! Actors that say of themselves that they are deleted, changed or moved: looked into after they were answered.
//!
//! Whether somebody is known here must show neither in the answer nor in how long it takes, and a look may take long: the
//! key of who deletes itself is often gone already.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::gate::{self, Claim};
use super::{Inbox, Took, refusal};
use crate::telemetry::metrics::InboxOutcome;

/// Departures that wait or are looked into; more are left, as their inboxes will tell that somebody is gone.
const PLACES: usize = 256;
/// Departures looked into at once.
const AT_ONCE: usize = 8;
/// Of those, so many of one server: one that does not answer holds each for as long as a search may take.
const AT_ONCE_OF_ONE: usize = 2;
/// Places of one server; what is beyond them is left, as its inboxes will tell that somebody is gone.
const PLACES_OF_ONE: usize = PLACES / 4;

/// A claim, and its place until it has been looked into.
type Placed = (Claim, OwnedSemaphorePermit);

/// Where departures wait.
#[derive(Debug)]
pub(super) struct Waiting {
    places: Arc<Semaphore>,
    queue: mpsc::Sender<Placed>,
}

pub(super) fn waiting() -> (Waiting, mpsc::Receiver<Placed>) {
    let (queue, queued) = mpsc::channel(PLACES);
    (Waiting { places: Arc::new(Semaphore::new(PLACES)), queue }, queued)
}

impl Waiting {
    /// Takes one in, if there is a place. That there is none must not show: places are held by those who are known here.
    pub(super) fn take(&self, claim: Claim) -> bool {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return false };
        self.queue.try_send((claim, place)).is_ok()
    }
}

/// The task that looks into departures.
#[derive(Debug)]
pub struct Departures {
    inbox: Arc<Inbox>,
    queue: mpsc::Receiver<Placed>,
}

impl Departures {
    pub(super) fn new(inbox: Arc<Inbox>, queue: mpsc::Receiver<Placed>) -> Self {
        Departures { inbox, queue }
    }

    /// Works until `stop`. What waits then is left: whoever has gone is noticed at the next delivery.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut looking = JoinSet::new();
        let mut whose: HashMap<Id, String> = HashMap::new();
        let mut turns = Turns::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = looking.join_next_with_id() => {
                    let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
                    if let Some(server) = whose.remove(&task) {
                        turns.over(&server);
                    }
                }
                Some(placed) = self.queue.recv() => {
                    let (claim, _) = &placed;
                    let outcome = match self.inbox.store.look(|view| claim.counts(view)) {
                        Ok(true) if turns.wait(claim.server(), placed) => None,
                        Ok(true) => Some(InboxOutcome::Overloaded),
                        Ok(false) => Some(InboxOutcome::Ignored),
                        Err(_) => Some(InboxOutcome::StoreFailed),
                    };
                    outcome.inspect(|outcome| self.inbox.metrics.inbox(*outcome));
                }
            }
            while looking.len() < AT_ONCE
                && let Some((server, placed)) = turns.next()
            {
                let inbox = Arc::clone(&self.inbox);
                let task = looking.spawn(async move {
                    let (claim, _place) = placed;
                    inbox.see_off(claim).await;
                });
                whose.insert(task.id(), server);
            }
        }
    }
}

/// Whose turn it is: the one that has waited longest of those whose servers have a turn left.
#[derive(Debug)]
struct Turns<T> {
    waiting: VecDeque<(String, T)>,
    servers: HashMap<String, Server>,
}

#[derive(Debug, Default)]
struct Server {
    waiting: usize,
    looking: usize,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Turns { waiting: VecDeque::new(), servers: HashMap::new() }
    }
}

impl<T> Turns<T> {
    /// Whether there was a place for one more of that server.
    fn wait(&mut self, server: String, one: T) -> bool {
        let of = self.servers.entry(server.clone()).or_default();
        if of.waiting + of.looking >= PLACES_OF_ONE {
            return false;
        }
        of.waiting += 1;
        self.waiting.push_back((server, one));
        true
    }

    fn next(&mut self) -> Option<(String, T)> {
        let free = |server: &str| self.servers.get(server).is_none_or(|of| of.looking < AT_ONCE_OF_ONE);
        let first = self.waiting.iter().position(|(server, _)| free(server))?;
        let (server, one) = self.waiting.remove(first)?;
        if let Some(of) = self.servers.get_mut(&server) {
            of.waiting -= 1;
            of.looking += 1;
        }
        Some((server, one))
    }

    fn over(&mut self, server: &str) {
        let Some(of) = self.servers.get_mut(server) else { return };
        of.looking -= 1;
        if of.waiting + of.looking == 0 {
            self.servers.remove(server);
        }
    }
}

impl Inbox {
    async fn see_off(&self, claim: Claim) {
        let Some(engine) = self.engine.get() else { return };
        let took = match gate::left(engine, claim).await {
            Some(verified) => match self.pace(&verified) {
                Ok(()) => self.apply(engine, verified).await,
                Err(problem) => Err(problem),
            },
            None => Ok(Took::Ignored),
        };
        self.metrics.inbox(match &took {
            Ok(took) => took.counted(),
            Err(problem) => refusal(problem),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_answer_holds_two_turns_and_some_places() {
        let mut turns = Turns::default();
        let wait = |turns: &mut Turns<u32>, server: &str, number| turns.wait(server.to_owned(), number);
        let placed = (0..1000).filter(|number| wait(&mut turns, "dead", *number)).count();
        assert_eq!(placed, PLACES_OF_ONE);
        assert!(wait(&mut turns, "well", 2000));
        let next = |turns: &mut Turns<u32>| turns.next().map(|(_, number)| number);
        assert_eq!([next(&mut turns), next(&mut turns), next(&mut turns)], [Some(0), Some(1), Some(2000)]);
        assert_eq!(next(&mut turns), None);
        turns.over("well");
        turns.over("dead");
        assert_eq!(next(&mut turns), Some(2));
        assert!(wait(&mut turns, "dead", 3000));
        for _ in 0..PLACES_OF_ONE {
            turns.over("dead");
            while turns.next().is_some() {}
        }
        assert!(turns.waiting.is_empty());
        turns.over("dead");
        assert!(turns.servers.is_empty(), "{turns:?}");
    }
}
