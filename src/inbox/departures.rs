//! Actors that say of themselves that they are deleted, changed or moved: looked into after they were answered.
//!
//! Whether somebody is known here must show neither in the answer nor in how long it takes, and a look may take long: the
//! key of who deletes itself is often gone already.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gate::{self, Claim, Left};
use super::places::{Later, PLACES, Placed, Turns, Waits};
use super::{Engine, Inbox, Took, Verified, refusal};
use crate::activitypub::vocab::read::Kind;
use crate::decide::{Moment, gone};
use crate::model::Draft;
use crate::random::entropy;
use crate::serve::answer::Problem;
use crate::telemetry::metrics::InboxOutcome;

/// How long a departure is put off of which nothing can be told now: for longer than a failure is remembered, and into
/// another minute of the budgets. Its sender was told that it was taken, and does not send it again.
const PUT_OFF_FOR: Duration = Duration::from_secs(150);
/// How often, at most.
const PUT_OFF: u32 = 5;
/// How long a proved Delete is put off where more come than are taken from its server,
const PACE: Duration = Duration::from_secs(1);
/// and how often. It holds no turn meanwhile, since others that are known wait for theirs.
const PATIENCE: u32 = 30;

/// What an actor says of itself, until it has been looked into.
pub(super) struct Departure {
    owner: String,
    /// See [`Claim::same`]; and the stage belongs to it, since what is proved is not what anybody may claim.
    same: Option<String>,
    stage: Stage,
    /// How often it was put off in this stage.
    put_off: u32,
}

enum Stage {
    Claimed(Box<Claim>),
    /// A Delete that came too fast.
    Proved(Box<Verified>),
}

impl Departure {
    /// One that came too fast, from now on.
    fn proved(owner: String, same: Option<String>, verified: Box<Verified>) -> Self {
        let same = same.map(|same| format!("proved {same}"));
        Departure { owner, same, stage: Stage::Proved(verified), put_off: 0 }
    }
}

impl Waits for Departure {
    fn owner(&self) -> &str {
        &self.owner
    }

    fn same(&self) -> Option<&str> {
        self.same.as_deref()
    }
}

/// Where departures wait until the task takes them up, which it does at once.
pub(super) type Waiting = mpsc::Sender<Departure>;

/// What the task takes up.
pub(super) type Queue = mpsc::Receiver<Departure>;

pub(super) fn waiting() -> (Waiting, Queue) {
    mpsc::channel(PLACES)
}

/// Takes one in, if there is a place. That there is none must not show: places are held by those who are known here.
pub(super) fn take(waiting: &Waiting, claim: Claim) -> bool {
    let (owner, same) = (claim.owner(), claim.same());
    let stage = Stage::Claimed(Box::new(claim));
    waiting.try_send(Departure { owner, same, stage, put_off: 0 }).is_ok()
}

/// What comes of a turn.
enum Looked {
    /// It is over.
    Over,
    /// It cannot be told for now.
    Later(Departure),
    /// It is proved, and more come of its server than are taken.
    TooFast(Departure),
}

/// Those that are put off, by their stage: each is for another pause and as often as another number, and one makes room in
/// [`Turns`] for any other.
struct PutOff {
    claimed: Later<Departure>,
    proved: Later<Departure>,
}

impl PutOff {
    fn new(claimed_for: Duration) -> Self {
        PutOff { claimed: Later::new(claimed_for, PUT_OFF), proved: Later::new(PACE, PATIENCE) }
    }

    /// Puts off one once more.
    fn put_off(&mut self, departure: Departure, now: Instant) -> Placed<Departure> {
        let times = departure.put_off;
        match departure.stage {
            Stage::Claimed(_) => self.claimed.put_off(departure, times, now),
            Stage::Proved(_) => self.proved.put_off(departure, times, now),
        }
    }

    /// When the time of the next one comes.
    fn next(&self) -> Option<Instant> {
        [self.claimed.next(), self.proved.next()].into_iter().flatten().min()
    }

    /// One whose time has come.
    fn due(&mut self, now: Instant) -> Option<Departure> {
        let (departure, times) = self.claimed.due(now).or_else(|| self.proved.due(now))?;
        Some(Departure { put_off: times, ..departure })
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
        let mut put_off = PutOff::new(self.put_off_for);
        loop {
            let next = put_off.next();
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = looking.join_next_with_id() => {
                    let (task, looked) = ended.unwrap_or_else(|error| (error.id(), Looked::Over));
                    if let Some(owner) = whose.remove(&task) {
                        turns.over(&owner);
                    }
                    match looked {
                        Looked::Over => {}
                        Looked::Later(departure) => {
                            self.put_off(&mut put_off, departure, InboxOutcome::KeyUnavailable);
                        }
                        Looked::TooFast(departure) => {
                            self.put_off(&mut put_off, departure, InboxOutcome::OverLimit);
                        }
                    }
                }
                Some(departure) = self.queue.recv() => self.wait(&mut turns, &mut put_off, departure),
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    let now = Instant::now();
                    while let Some(departure) = put_off.due(now) {
                        self.wait(&mut turns, &mut put_off, departure);
                    }
                }
            }
            while let Some(departure) = turns.next() {
                let (inbox, owner) = (Arc::clone(&self.inbox), departure.owner.clone());
                let task = looking.spawn(async move { inbox.see_off(departure).await });
                whose.insert(task.id(), owner);
            }
        }
    }

    /// Has one wait for its turn, if it is of somebody whom it matters of.
    fn wait(&self, turns: &mut Turns<Departure>, put_off: &mut PutOff, departure: Departure) {
        let counts = match &departure.stage {
            Stage::Claimed(claim) => self.inbox.store.look(|view| claim.counts(view)),
            Stage::Proved(_) => Ok(true),
        };
        let outcome = match counts {
            Ok(true) => {
                let again = departure.put_off > 0;
                match turns.wait(departure, again) {
                    Placed::Waits => return,
                    Placed::Overtaken(_) => InboxOutcome::Duplicate,
                    Placed::Full(departure) => {
                        return self.put_off(put_off, departure, InboxOutcome::Overloaded);
                    }
                }
            }
            Ok(false) => InboxOutcome::Ignored,
            Err(_) => InboxOutcome::StoreFailed,
        };
        self.inbox.metrics.inbox(outcome);
    }

    /// It is looked into once more after a while; if that was done often enough, or if too many are put off, it has come to
    /// this.
    fn put_off(&self, put_off: &mut PutOff, departure: Departure, outcome: InboxOutcome) {
        match put_off.put_off(departure, Instant::now()) {
            Placed::Waits => {}
            Placed::Overtaken(_) => self.inbox.metrics.inbox(InboxOutcome::Duplicate),
            Placed::Full(_) => self.inbox.metrics.inbox(outcome),
        }
    }
}

impl Inbox {
    /// Looks into one.
    async fn see_off(&self, departure: Departure) -> Looked {
        let Some(engine) = self.engine.get() else { return Looked::Over };
        let Departure { owner, same, stage, put_off } = departure;
        let took = match stage {
            Stage::Proved(verified) => match self.paced(engine, verified).await {
                Ok(took) => took,
                Err(verified) => {
                    return Looked::TooFast(Departure {
                        owner,
                        same,
                        stage: Stage::Proved(verified),
                        put_off,
                    });
                }
            },
            Stage::Claimed(claim) => match gate::left(engine, claim).await {
                Left::Proved(verified) => match self.paced(engine, verified).await {
                    Ok(took) => took,
                    Err(verified) => return Looked::TooFast(Departure::proved(owner, same, verified)),
                },
                Left::Missing(actor) => self.missing(actor).await,
                Left::Unproved => Ok(Took::Ignored),
                Left::Later(claim) => {
                    tracing::debug!(target: "herald::inbox", server = claim.server(), "what an actor says of itself is looked into later");
                    return Looked::Later(Departure { owner, same, stage: Stage::Claimed(claim), put_off });
                }
            },
        };
        self.metrics.inbox(match &took {
            Ok(took) => took.counted(),
            Err(problem) => refusal(problem),
        });
        Looked::Over
    }

    /// Applies what is proved, or gives it back to wait where more come than are taken from its server: a Delete is not sent
    /// again.
    async fn paced(
        &self,
        engine: &Engine,
        verified: Box<Verified>,
    ) -> Result<Result<Took, Problem>, Box<Verified>> {
        match self.pace(&verified) {
            Ok(()) => Ok(self.apply(engine, *verified).await),
            Err(_) if verified.activity().kind == Kind::Delete => Err(verified),
            Err(problem) => Ok(Err(problem)),
        }
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
    use std::path::Path;

    use jiff::SignedDuration;
    use serde_json::json;
    use tokio::sync::watch;

    use super::*;
    use crate::activitypub::signature::PrivateKey;
    use crate::inbox::gate::Checked;
    use crate::inbox::testing::{LONG, Request, effective, engine};
    use crate::model::follower::Follower;
    use crate::model::handle::Person;
    use crate::model::{Changes, Source, View};
    use crate::net::test_server::{TestServer, answer};
    use crate::serve::limit::Rates;
    use crate::store::Store;
    use crate::telemetry::metrics::Metrics;

    /// An inbox that takes nothing of any server.
    fn slow(folder: &Path, key: &PrivateKey) -> Inbox {
        let store = Store::open(&folder.join("store")).unwrap();
        let (_effective, effective) = watch::channel(Arc::new(effective(folder)));
        let (inbox, departures) = Inbox::closed(store, effective, Arc::new(Metrics::new()));
        drop(departures);
        let inbox = Inbox { rates: Rates::new(Duration::ZERO), ..Arc::into_inner(inbox).unwrap() };
        inbox.settle(engine(key, Arc::new(Timestamp::now)));
        inbox
    }

    /// The Delete of an actor by itself.
    fn delete(actor: &str, key: &PrivateKey) -> Request {
        let delete = json!({"type": "Delete", "actor": actor, "object": actor});
        Request::signed(&delete, &format!("{actor}#main-key"), key)
    }

    /// What is to be looked into of a request, put off so many times.
    async fn claimed(inbox: &Inbox, request: &Request, put_off: u32) -> Departure {
        claimed_from(inbox, request, None, put_off).await
    }

    async fn claimed_from(
        inbox: &Inbox,
        request: &Request,
        source: Option<Source>,
        put_off: u32,
    ) -> Departure {
        let checked = gate::check(inbox.engine.get().unwrap(), request.arriving(source).await);
        let Ok(Checked::Leaving(claim)) = checked else { panic!("it is not looked into") };
        let (owner, same, stage) = (claim.owner(), claim.same(), Stage::Claimed(Box::new(claim)));
        Departure { owner, same, stage, put_off }
    }

    /// What came of it where it comes too fast.
    async fn too_fast(inbox: &Inbox, departure: Departure) -> Departure {
        match inbox.see_off(departure).await {
            Looked::TooFast(departure) => departure,
            _ => panic!("it is not put off"),
        }
    }

    #[tokio::test]
    async fn a_delete_that_comes_too_fast_holds_no_turn() {
        let server = TestServer::start(|_, _| answer(410, &[], "")).await;
        let (folder, key) = (tempfile::tempdir().unwrap(), PrivateKey::generate().unwrap());
        let inbox = slow(folder.path(), &key);
        let request = delete(server.url("/u/a").as_str(), &key);
        let departure = too_fast(&inbox, claimed(&inbox, &request, 3).await).await;
        let asked = server.hits().len();
        let departure = too_fast(&inbox, Departure { put_off: departure.put_off + 1, ..departure }).await;
        assert_eq!((departure.put_off, server.hits().len()), (1, asked), "it is proved once");
    }

    #[tokio::test]
    async fn what_is_proved_is_not_overtaken_by_what_is_claimed() {
        let server = TestServer::start(|_, _| answer(410, &[], "")).await;
        let (folder, key) = (tempfile::tempdir().unwrap(), PrivateKey::generate().unwrap());
        let inbox = slow(folder.path(), &key);
        let actor = server.url("/u/a").to_string();
        let request = delete(&actor, &key);
        inbox.store.commit(follower(&actor)).await.unwrap();
        let departures = Departures::new(Arc::new(inbox), waiting().1);
        let inbox = &departures.inbox;
        let from = Source::of([203, 0, 113, 1].into());
        let proved = too_fast(inbox, claimed_from(inbox, &request, Some(from), 0).await).await;
        let (mut turns, mut put_off) = (Turns::default(), PutOff::new(PUT_OFF_FOR));
        let claim = claimed_from(inbox, &request, Some(from), 0).await;
        departures.wait(&mut turns, &mut put_off, claim);
        departures.wait(&mut turns, &mut put_off, Departure { put_off: 1, ..proved });
        let stages = std::iter::from_fn(|| turns.next()).map(|waits| matches!(waits.stage, Stage::Proved(_)));
        assert_eq!(stages.collect::<Vec<_>>(), [false, true]);
    }

    #[tokio::test]
    async fn what_makes_room_is_put_off_as_its_own_stage_says() {
        let server = TestServer::start(|_, _| answer(410, &[], "")).await;
        let (folder, key) = (tempfile::tempdir().unwrap(), PrivateKey::generate().unwrap());
        let actor = server.url("/u/a").to_string();
        let request = delete(&actor, &key);
        let inbox = slow(folder.path(), &key);
        inbox.store.commit(follower(&actor)).await.unwrap();
        let departures = Departures::new(Arc::new(inbox), waiting().1);
        let inbox = &departures.inbox;
        for out_is_proved in [true, false] {
            let proved = too_fast(inbox, claimed(inbox, &request, 0).await).await;
            let claim = claimed(inbox, &request, 0).await;
            let (out, comes) = if out_is_proved { (proved, claim) } else { (claim, proved) };
            let (mut turns, mut put_off) = (Turns::default(), PutOff::new(PUT_OFF_FOR));
            for _ in 1..PLACES {
                departures.wait(&mut turns, &mut put_off, claimed(inbox, &request, 0).await);
            }
            // A claim is not looked into any more after so many times; what is proved is.
            let times = if out_is_proved { PUT_OFF } else { PUT_OFF - 1 };
            departures.wait(&mut turns, &mut put_off, Departure { put_off: times, ..out });
            assert_eq!(put_off.next(), None, "there are places for all");
            let before = Instant::now();
            departures.wait(&mut turns, &mut put_off, Departure { owner: "b.example".to_owned(), ..comes });
            let pause = if out_is_proved { PACE } else { PUT_OFF_FOR };
            let due = put_off.next().expect("it is put off, and not lost");
            assert!((before + pause..=Instant::now() + pause).contains(&due), "for {pause:?}");
            let out = put_off.due(due).unwrap();
            assert_eq!((matches!(out.stage, Stage::Proved(_)), out.put_off), (out_is_proved, times + 1));
        }
    }

    /// Somebody who has followed.
    fn follower(actor: &str) -> impl FnOnce(&dyn View) -> (Changes, ()) + use<> {
        let person = Person {
            actor: actor.to_owned(),
            inbox: format!("{actor}/inbox"),
            shared_inbox: None,
            handle: "a@127.0.0.1".to_owned(),
            name: None,
            icon: None,
            url: None,
        };
        move |view| {
            let mut draft = Draft::new(view);
            draft.put(&Follower::left(person, Timestamp::now(), Timestamp::now()));
            (draft.into_changes(), ())
        }
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
        store.commit(follower(&actor)).await.unwrap();
        let stop = CancellationToken::new();
        let departures = Departures { put_off_for: Duration::from_millis(200), ..departures };
        let running = tokio::spawn(departures.run(stop.clone()));
        let request = delete(&actor, &key);
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
