//! Actors that say of themselves that they are deleted, changed or moved: looked into after they were answered.
//!
//! Whether somebody is known here must show neither in the answer nor in how long it takes, and a look may take long: the
//! key of who deletes itself is often gone already.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gate::{self, Claim, Left};
use super::{Inbox, Took, refusal};
use crate::activitypub::vocab::read::Kind;
use crate::decide::{Moment, gone};
use crate::model::Draft;
use crate::random::entropy;
use crate::serve::answer::Problem;
use crate::telemetry::metrics::InboxOutcome;

/// Departures that wait or are looked into; more are left, as their inboxes will tell that somebody is gone.
const PLACES: usize = 256;
/// Departures looked into at once.
const AT_ONCE: usize = 8;
/// Of those, so many of one owner's servers: one that does not answer holds each for as long as a search may take.
const AT_ONCE_OF_ONE: usize = 2;
/// Places of one owner's servers, and so many more are put off.
const PLACES_OF_ONE: usize = PLACES / 4;
/// How long a departure is put off of which nothing can be told now: for longer than a failure is remembered, and into
/// another minute of the budgets. Its sender was told that it was taken, and does not send it again.
const PUT_OFF_FOR: Duration = Duration::from_secs(150);
/// How often, at most.
const PUT_OFF: u32 = 5;
/// How long a proved Delete waits where more come than are taken from its server,
const PACE: Duration = Duration::from_secs(1);
/// and how often.
const PATIENCE: u32 = 30;

/// A departure, how often it was put off, and its place until it has been looked into.
pub(super) struct Departure {
    claim: Box<Claim>,
    put_off: u32,
    _place: OwnedSemaphorePermit,
}

/// Where departures wait.
#[derive(Debug)]
pub(super) struct Waiting {
    places: Arc<Semaphore>,
    queue: mpsc::Sender<Departure>,
}

/// What the task takes up.
pub(super) type Queue = mpsc::Receiver<Departure>;

pub(super) fn waiting() -> (Waiting, Queue) {
    let (queue, queued) = mpsc::channel(PLACES);
    (Waiting { places: Arc::new(Semaphore::new(PLACES)), queue }, queued)
}

impl Waiting {
    /// Takes one in, if there is a place. That there is none must not show: places are held by those who are known here.
    pub(super) fn take(&self, claim: Claim) -> bool {
        let departure = self.placed(Box::new(claim), 0);
        departure.is_ok_and(|departure| self.queue.try_send(departure).is_ok())
    }

    /// Gives the claim back where there is no place for it.
    fn placed(&self, claim: Box<Claim>, put_off: u32) -> Result<Departure, Box<Claim>> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Ok(Departure { claim, put_off, _place: place }),
            Err(_) => Err(claim),
        }
    }
}

/// The task that looks into departures.
#[derive(Debug)]
pub struct Departures {
    inbox: Arc<Inbox>,
    queue: Queue,
    put_off_for: Duration,
}

impl Departures {
    pub(super) fn new(inbox: Arc<Inbox>, queue: Queue) -> Self {
        Departures { inbox, queue, put_off_for: PUT_OFF_FOR }
    }

    /// Works until `stop`. What waits then is left: whoever has gone is noticed at the next delivery.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut looking = JoinSet::new();
        let mut whose: HashMap<Id, String> = HashMap::new();
        let mut turns = Turns::default();
        let mut later = Later::new(self.put_off_for);
        loop {
            let next = later.next().unwrap_or_else(Instant::now);
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = looking.join_next_with_id() => {
                    let (task, again) = ended.unwrap_or_else(|error| (error.id(), None));
                    if let Some(owner) = whose.remove(&task) {
                        turns.over(&owner);
                    }
                    if let Some((claim, put_off)) = again {
                        self.put_off(&mut later, claim, put_off, InboxOutcome::KeyUnavailable);
                    }
                }
                Some(departure) = self.queue.recv() => self.wait(&mut turns, &mut later, departure),
                () = tokio::time::sleep_until(next), if later.next().is_some() => {
                    while let Some((claim, put_off)) = later.due(Instant::now()) {
                        match self.inbox.leaving.placed(claim, put_off) {
                            Ok(departure) => self.wait(&mut turns, &mut later, departure),
                            Err(claim) => self.put_off(&mut later, claim, put_off, InboxOutcome::Overloaded),
                        }
                    }
                }
            }
            while looking.len() < AT_ONCE
                && let Some((owner, departure)) = turns.next()
            {
                let inbox = Arc::clone(&self.inbox);
                let task = looking.spawn(async move { inbox.see_off(departure).await });
                whose.insert(task.id(), owner);
            }
        }
    }

    /// Has one wait for its turn, if it is of somebody whom it matters of.
    fn wait(&self, turns: &mut Turns<Departure>, later: &mut Later<Box<Claim>>, departure: Departure) {
        let outcome = match self.inbox.store.look(|view| departure.claim.counts(view)) {
            Ok(true) => match turns.wait(departure.claim.owner(), departure) {
                Ok(()) => return,
                Err(departure) => {
                    let Departure { claim, put_off, .. } = departure;
                    return self.put_off(later, claim, put_off, InboxOutcome::Overloaded);
                }
            },
            Ok(false) => InboxOutcome::Ignored,
            Err(_) => InboxOutcome::StoreFailed,
        };
        self.inbox.metrics.inbox(outcome);
    }

    /// It is looked into once more after a while; if that was done often enough, or if too many are put off, it has come to
    /// this.
    fn put_off(&self, later: &mut Later<Box<Claim>>, claim: Box<Claim>, put_off: u32, outcome: InboxOutcome) {
        if !later.put_off(claim.owner(), claim, put_off, Instant::now()) {
            self.inbox.metrics.inbox(outcome);
        }
    }
}

/// Those that are put off, in the order in which their time comes.
#[derive(Debug)]
struct Later<T> {
    pause: Duration,
    waiting: VecDeque<PutOff<T>>,
}

#[derive(Debug)]
struct PutOff<T> {
    due: Instant,
    owner: String,
    one: T,
    times: u32,
}

impl<T> Later<T> {
    fn new(pause: Duration) -> Self {
        Later { pause, waiting: VecDeque::new() }
    }

    /// Whether there was a place for one more of that owner, which was put off so many times before.
    fn put_off(&mut self, owner: String, one: T, times: u32, now: Instant) -> bool {
        let of_one = self.waiting.iter().filter(|waits| waits.owner == owner).count();
        let fits = times < PUT_OFF && self.waiting.len() < PLACES && of_one < PLACES_OF_ONE;
        if fits {
            self.waiting.push_back(PutOff { due: now + self.pause, owner, one, times: times + 1 });
        }
        fits
    }

    /// When the time of the next one comes.
    fn next(&self) -> Option<Instant> {
        self.waiting.front().map(|waits| waits.due)
    }

    /// One whose time has come, and how often it was put off.
    fn due(&mut self, now: Instant) -> Option<(T, u32)> {
        self.waiting.pop_front_if(|waits| waits.due <= now).map(|waits| (waits.one, waits.times))
    }
}

/// Whose turn it is: the one that has waited longest of those whose owners have a turn left.
#[derive(Debug)]
struct Turns<T> {
    waiting: VecDeque<(String, T)>,
    owners: HashMap<String, Owner>,
}

#[derive(Debug, Default)]
struct Owner {
    waiting: usize,
    looking: usize,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Turns { waiting: VecDeque::new(), owners: HashMap::new() }
    }
}

impl<T> Turns<T> {
    /// Gives it back where there is no place for one more of that owner.
    fn wait(&mut self, owner: String, one: T) -> Result<(), T> {
        let of = self.owners.entry(owner.clone()).or_default();
        if of.waiting + of.looking >= PLACES_OF_ONE {
            return Err(one);
        }
        of.waiting += 1;
        self.waiting.push_back((owner, one));
        Ok(())
    }

    fn next(&mut self) -> Option<(String, T)> {
        let free = |owner: &str| self.owners.get(owner).is_none_or(|of| of.looking < AT_ONCE_OF_ONE);
        let first = self.waiting.iter().position(|(owner, _)| free(owner))?;
        let (owner, one) = self.waiting.remove(first)?;
        if let Some(of) = self.owners.get_mut(&owner) {
            of.waiting -= 1;
            of.looking += 1;
        }
        Some((owner, one))
    }

    fn over(&mut self, owner: &str) {
        let Some(of) = self.owners.get_mut(owner) else { return };
        of.looking -= 1;
        if of.waiting + of.looking == 0 {
            self.owners.remove(owner);
        }
    }
}

impl Inbox {
    /// Looks into one. What can be told later only comes back, with how often it was put off.
    async fn see_off(&self, departure: Departure) -> Option<(Box<Claim>, u32)> {
        let Departure { claim, put_off, _place } = departure;
        let engine = self.engine.get()?;
        let took = match gate::left(engine, claim).await {
            Left::Proved(verified) => {
                let mut paced = self.pace(&verified);
                // A Delete is not sent again: it waits, as do others of its owner behind it.
                for _ in 0..PATIENCE {
                    if paced.is_ok() || verified.activity().kind != Kind::Delete {
                        break;
                    }
                    tokio::time::sleep(PACE).await;
                    paced = self.pace(&verified);
                }
                match paced {
                    Ok(()) => self.apply(engine, *verified).await,
                    Err(problem) => Err(problem),
                }
            }
            Left::Missing(actor) => self.missing(actor).await,
            Left::Unproved => Ok(Took::Ignored),
            Left::Later(claim) => {
                tracing::debug!(target: "herald::inbox", server = claim.server(), "what an actor says of itself is looked into later");
                return Some((claim, put_off));
            }
        };
        self.metrics.inbox(match &took {
            Ok(took) => took.counted(),
            Err(problem) => refusal(problem),
        });
        None
    }

    /// Remembers that an actor's document was not found: it is looked for again, and forgotten if that stays so.
    async fn missing(&self, actor: String) -> Result<Took, Problem> {
        tracing::info!(target: "herald::inbox", actor, "somebody says that an actor is deleted, and its document is not found");
        let moment = Moment::new(Timestamp::now(), entropy());
        let marked = self.store.commit(move |view| {
            let mut draft = Draft::new(view);
            gone::doubted(&mut draft, &moment, &actor);
            (draft.into_changes(), ())
        });
        match marked.await {
            Ok(()) => Ok(Took::Ignored),
            Err(_) => Err(Problem::busy("store-closed", "the program is stopping or its disk failed", 30)),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;
    use tokio::sync::watch;

    use super::*;
    use crate::activitypub::signature::PrivateKey;
    use crate::inbox::testing::{LONG, Request, effective, engine};
    use crate::model::View;
    use crate::model::follower::Follower;
    use crate::model::handle::Person;
    use crate::net::test_server::{TestServer, answer};
    use crate::store::Store;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn a_server_that_does_not_answer_holds_two_turns_and_some_places() {
        let mut turns = Turns::default();
        let wait =
            |turns: &mut Turns<u32>, server: &str, number| turns.wait(server.to_owned(), number).is_ok();
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
        assert!(turns.owners.is_empty(), "{turns:?}");
    }

    #[test]
    fn what_is_put_off_comes_back_in_turn_and_a_few_times() {
        let (now, pause) = (Instant::now(), Duration::from_secs(9));
        let mut later = Later::new(pause);
        assert!(later.put_off("a".to_owned(), 1, 0, now));
        assert!(later.put_off("b".to_owned(), 2, PUT_OFF - 1, now + pause / 2));
        assert!(!later.put_off("b".to_owned(), 3, PUT_OFF, now), "often enough");
        assert_eq!((later.next(), later.due(now)), (Some(now + pause), None));
        assert_eq!((later.due(now + pause), later.due(now + pause)), (Some((1, 1)), None));
        assert_eq!(later.due(now + 2 * pause), Some((2, PUT_OFF)));
        assert_eq!(later.next(), None);
        let put_off = |later: &mut Later<u32>, server: u32| {
            (0..1000).filter(|one| later.put_off(server.to_string(), *one, 0, now)).count()
        };
        let placed = (0..9).map(|server| put_off(&mut later, server)).collect::<Vec<_>>();
        assert_eq!((placed[0], placed.iter().sum()), (PLACES_OF_ONE, PLACES));
    }

    #[tokio::test]
    async fn what_cannot_be_told_now_is_looked_into_later() {
        // Each second is many to whatever remembers failures.
        let (began, epoch) = (Instant::now(), Timestamp::now());
        let clock =
            move || epoch + SignedDuration::from_secs(began.elapsed().as_millis().try_into().unwrap());
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let server =
            TestServer::start(move |_, _| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => answer(503, &[], ""),
                _ => answer(410, &[], ""),
            })
            .await;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let (_effective, effective) = watch::channel(Arc::new(effective(folder.path())));
        let (inbox, departures) = Inbox::closed(store.clone(), effective, Arc::new(Metrics::new()));
        let key = PrivateKey::generate().unwrap();
        inbox.settle(engine(&key, Arc::new(clock)));
        let actor = server.url("/u/a").to_string();
        let person = Person {
            actor: actor.clone(),
            inbox: format!("{actor}/inbox"),
            shared_inbox: None,
            handle: "a@127.0.0.1".to_owned(),
            name: None,
            icon: None,
            url: None,
        };
        let knows = move |view: &dyn View| {
            let mut draft = Draft::new(view);
            draft.put(&Follower::left(person, Timestamp::now(), Timestamp::now()));
            (draft.into_changes(), ())
        };
        store.commit(knows).await.unwrap();
        let stop = CancellationToken::new();
        let departures = Departures { put_off_for: Duration::from_millis(200), ..departures };
        let running = tokio::spawn(departures.run(stop.clone()));
        let delete = json!({"type": "Delete", "actor": actor, "object": actor});
        let request = Request::signed(&delete, &format!("{actor}#main-key"), &key);
        let mut written = store.anything_written();
        inbox.receive(request.arriving(None).await).await.unwrap();
        let is_known = || store.look(|view| view.get::<Follower>(actor.as_bytes()).is_some()).unwrap();
        while is_known() {
            tokio::time::timeout(LONG, written.changed()).await.expect("it is forgotten").unwrap();
        }
        stop.cancel();
        running.await.unwrap();
    }
}
