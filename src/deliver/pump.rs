//! The pump: takes what is due from the store in windows, keeps requests in flight, writes the outcomes in groups.
//!
//! Its loop waits on: an outcome of a request, a free fast slot, outcomes on disk, new work in the store, the next due
//! attempt, the end. It starts requests while outcomes are written: a slow disk does not slow the sending.
//! Memory is bounded by the window, however long the queue in the store is. It runs on a thread of its own, so it reads
//! the store where it stands.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::classify;
use super::passes::{Pass, Shares, due, first_passes};
use super::send::{Letter, Sender, Sent};
use super::{DRAIN, DeliverOptions};
use crate::decide::blocks;
use crate::decide::delivered::{self, Ending, Job, Worth};
use crate::model::delivery::Outgoing;
use crate::model::handle::host_of;
use crate::model::record::full_key;
use crate::model::{Draft, Record, View};
use crate::net::Client;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::{DeliveryOutcome, Metrics};

/// Jobs held in memory at most.
const WINDOW: usize = 4096;
/// A request older than this gives its fast slot to the next one and goes on in the slow lane.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// Requests in the slow lane at most.
const SLOW_LANE: usize = 1024;
/// Outcomes written in one commit at most.
const OUTCOMES: usize = 256;
/// How long the first outcome waits for others: a commit costs nearly the same for one as for fifty. Shorter than the
/// slots need to run empty.
const GATHER: Duration = Duration::from_millis(5);
/// Inboxes claimed at a time: so many at most are thought to have a post that they do not have, after a crash.
const CLAIM: u32 = 256;
/// The store is looked at this often even if nothing told us to.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

enum Event {
    Done(Held, Ending),
    SlotFree,
}

/// A job in memory, with the host of its inbox.
struct Held {
    job: Job,
    host: String,
}

/// A job and how it ended.
type Outcome = (Held, Ending);

/// What is in memory for one host.
#[derive(Default)]
struct Host {
    held: usize,
    active: usize,
}

pub(super) struct Pump {
    store: Store,
    sender: Sender,
    per_host: usize,
    metrics: Arc<Metrics>,
    fast: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    events: mpsc::Sender<Event>,
    inbound: mpsc::Receiver<Event>,
    /// Jobs taken from the store and not started.
    waiting: VecDeque<Held>,
    /// Everything in memory, by activity and inbox: never taken from the store twice.
    held: HashSet<(Ulid, String)>,
    /// Inboxes with a request in flight: one at a time, so that order holds per inbox.
    busy: HashSet<String>,
    hosts: HashMap<String, Host>,
    /// The fan-outs whose first pass is not done.
    passes: HashMap<Ulid, Pass>,
    /// The activities of the last requests started.
    activities: HashMap<Ulid, Activity>,
    next_due: Option<Timestamp>,
    /// Outcomes to be written.
    done: Vec<Outcome>,
    /// The commit under way; gives back what it wrote.
    writing: Option<JoinHandle<Result<Vec<Outcome>, StoreError>>>,
    /// The store holds more than there was room for.
    more: bool,
}

/// An activity as it was at the last look, and its letter.
struct Activity {
    stored: Vec<u8>,
    outgoing: Outgoing,
    letter: Letter,
}

impl Pump {
    pub(super) fn new(store: Store, client: Client, options: DeliverOptions, metrics: Arc<Metrics>) -> Self {
        let (events, inbound) = mpsc::channel(WINDOW * 2);
        Pump {
            store,
            sender: Sender { client, key_id: options.key_id, key: options.key },
            per_host: options.per_host.max(1),
            metrics,
            fast: Arc::new(Semaphore::new(options.concurrency.max(1))),
            slow: Arc::new(Semaphore::new(SLOW_LANE)),
            events,
            inbound,
            waiting: VecDeque::new(),
            held: HashSet::new(),
            busy: HashSet::new(),
            hosts: HashMap::new(),
            passes: HashMap::new(),
            activities: HashMap::new(),
            next_due: None,
            done: Vec::new(),
            writing: None,
            more: false,
        }
    }

    pub(super) async fn run(mut self, cancel: CancellationToken) {
        if let Err(cause) = self.work(cancel).await {
            tracing::error!(target: "herald::deliver", %cause, "delivery stops");
        }
    }

    async fn work(&mut self, cancel: CancellationToken) -> Result<(), StoreError> {
        let mut written = self.store.outgoing_written();
        let mut look = true;
        loop {
            if look || (self.more && self.held.len() <= WINDOW / 2) {
                written.mark_unchanged();
                self.refill()?;
            }
            while self.dispatch().await? {}
            self.write();
            let pause = self.pause();
            look = false;
            tokio::select! {
                () = cancel.cancelled() => break,
                event = self.inbound.recv() => {
                    self.took(event);
                    tokio::time::sleep(GATHER).await;
                }
                written = finished(&mut self.writing) => self.let_go(written?),
                changed = written.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    look = true;
                }
                () = tokio::time::sleep(pause) => look = true,
            }
            while let Ok(event) = self.inbound.try_recv() {
                self.took(Some(event));
            }
        }
        self.finish().await
    }

    /// Waits for requests under way, as far as they end in time, and writes how they ended: what is not written is sent
    /// again after a restart.
    async fn finish(&mut self) -> Result<(), StoreError> {
        let deadline = tokio::time::Instant::now() + DRAIN;
        while !self.busy.is_empty() {
            self.write();
            tokio::select! {
                event = self.inbound.recv() => self.took(event),
                written = finished(&mut self.writing) => self.let_go(written?),
                () = tokio::time::sleep_until(deadline) => return Ok(()),
            }
        }
        // Nothing is under way: what waits has surely not been tried.
        let unclaimed = self.passes.keys().map(|id| (*id, 0)).collect();
        self.claim(unclaimed).await
    }

    fn took(&mut self, event: Option<Event>) {
        if let Some(Event::Done(held, ending)) = event {
            self.done.push((held, ending));
        }
    }

    fn pause(&self) -> Duration {
        let Some(due) = self.next_due else { return LOOK_AGAIN };
        let until = due.duration_since(Timestamp::now());
        if until.is_negative() {
            // Due already, but the window is full or the inbox is busy: an outcome will wake us.
            return Duration::from_millis(200);
        }
        until.unsigned_abs().min(LOOK_AGAIN).max(Duration::from_millis(1))
    }

    /// Takes due attempts and waiting inboxes from the store while there is room.
    fn refill(&mut self) -> Result<(), StoreError> {
        let room = WINDOW.saturating_sub(self.held.len());
        self.more = room == 0;
        if room == 0 {
            return Ok(());
        }
        let mut shares =
            Shares::new(self.hosts.iter().map(|(host, lane)| (host.clone(), lane.held)).collect());
        let (held, passes) = (&self.held, &mut self.passes);
        let (found, next_due) = self.store.look(|view| {
            let (mut jobs, next_due) = due(view, held, &mut shares, Timestamp::now(), room);
            first_passes(view, held, &mut shares, passes, room, &mut jobs);
            (jobs, next_due)
        })?;
        self.next_due = next_due;
        self.more = found.len() >= room || self.passes.values().any(|pass| pass.next.is_some());
        for job in found {
            let host = host_of(&job.inbox);
            self.held.insert((job.outgoing, job.inbox.clone()));
            self.hosts.entry(host.clone()).or_default().held += 1;
            self.waiting.push_back(Held { job, host });
        }
        self.metrics.delivery_queue.set(i64::try_from(self.held.len()).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Starts every waiting job that has a free slot, host and inbox, after a last look at whether it is still wanted.
    /// True if some were not: their slots are free for others.
    async fn dispatch(&mut self) -> Result<bool, StoreError> {
        let mut starting = Vec::new();
        let mut kept = VecDeque::new();
        while self.fast.available_permits() > 0
            && let Some(held) = self.waiting.pop_front()
        {
            let host = self.hosts.entry(held.host.clone()).or_default();
            if self.busy.contains(&held.job.inbox) || host.active >= self.per_host {
                kept.push_back(held);
                continue;
            }
            let Ok(permit) = Arc::clone(&self.fast).try_acquire_owned() else {
                kept.push_back(held);
                break;
            };
            self.busy.insert(held.job.inbox.clone());
            host.active += 1;
            starting.push((held, permit));
        }
        kept.append(&mut self.waiting);
        self.waiting = kept;
        if starting.is_empty() {
            return Ok(false);
        }
        let (store, activities) = (&self.store, &mut self.activities);
        let worths = store.look(|view| last_look(view, &starting, activities, Timestamp::now()))?;
        let (before, mut sending) = (self.done.len(), Vec::new());
        for ((held, permit), worth) in starting.into_iter().zip(worths) {
            match (worth, self.activities.get(&held.job.outgoing)) {
                (Worth::Send, Some(activity)) => sending.push((held, activity.letter.clone(), permit)),
                (Worth::Skip, _) => self.done.push((held, Ending::Skipped)),
                _ => self.done.push((held, Ending::Failed)),
            }
        }
        let claims = self.claims(sending.iter().map(|(held, ..)| &held.job));
        self.claim(claims).await?;
        for (held, letter, permit) in sending {
            self.start(held, letter, permit);
        }
        Ok(self.done.len() > before)
    }

    /// The claims that must be on disk before these jobs are tried.
    fn claims<'j>(&mut self, jobs: impl Iterator<Item = &'j Job>) -> Vec<(Ulid, u32)> {
        let mut claims = HashMap::new();
        for job in jobs {
            let (Some(number), Some(pass)) = (job.number, self.passes.get_mut(&job.outgoing)) else {
                continue;
            };
            if number >= pass.claimed {
                pass.claimed = number.saturating_add(CLAIM);
                claims.insert(job.outgoing, pass.claimed);
            }
        }
        claims.into_iter().collect()
    }

    async fn claim(&self, claims: Vec<(Ulid, u32)>) -> Result<(), StoreError> {
        if claims.is_empty() {
            return Ok(());
        }
        let claimed = move |view: &dyn View| {
            let mut draft = Draft::new(view);
            for (outgoing, below) in claims {
                delivered::claim(&mut draft, outgoing, below);
            }
            (draft.into_changes(), ())
        };
        self.store.commit(claimed).await
    }

    fn start(&self, held: Held, letter: Letter, permit: OwnedSemaphorePermit) {
        let (sender, events) = (self.sender.clone(), self.events.clone());
        let (slow, metrics) = (Arc::clone(&self.slow), Arc::clone(&self.metrics));
        // Only for whoever is next at this host: else a fan-out leaves thousands of idle connections behind it.
        let keep = self.hosts.get(&held.host).is_some_and(|host| host.held > 1);
        tokio::spawn(async move {
            let inbox = held.job.inbox.clone();
            let mut request = std::pin::pin!(sender.send(&inbox, &letter, keep));
            let (sent, _lane) = tokio::select! {
                sent = &mut request => (sent, Some(permit)),
                lane = slow_lane(slow) => {
                    drop(permit);
                    // A full channel means that outcomes are on their way: the pump wakes up without us.
                    let _ = events.try_send(Event::SlotFree);
                    (request.await, lane)
                }
            };
            let ending = concluded(&held, &sent, &metrics);
            let _ = events.send(Event::Done(held, ending)).await;
        });
    }

    /// Writes outcomes in one commit, unless one is under way.
    fn write(&mut self) {
        if self.done.is_empty() || self.writing.is_some() {
            return;
        }
        let (store, done) = (self.store.clone(), self.done.drain(..self.done.len().min(OUTCOMES)).collect());
        self.writing = Some(tokio::spawn(async move {
            let settle = move |view: &dyn View| {
                let done: Vec<Outcome> = done;
                let mut draft = Draft::new(view);
                for (held, ending) in &done {
                    delivered::settle(&mut draft, &held.job, *ending);
                }
                (draft.into_changes(), done)
            };
            store.commit(settle).await
        }));
    }

    /// Lets go of what is written: the next job of an inbox sees what became of the last.
    fn let_go(&mut self, written: Vec<Outcome>) {
        for (Held { job, host }, _) in written {
            if let Some(known) = self.hosts.get_mut(&host) {
                known.active = known.active.saturating_sub(1);
                known.held = known.held.saturating_sub(1);
                if known.held == 0 {
                    self.hosts.remove(&host);
                }
            }
            self.busy.remove(&job.inbox);
            self.held.remove(&(job.outgoing, job.inbox));
        }
    }
}

/// The end of the commit under way; never, if there is none.
async fn finished(
    writing: &mut Option<JoinHandle<Result<Vec<Outcome>, StoreError>>>,
) -> Result<Vec<Outcome>, StoreError> {
    let Some(commit) = writing else { return std::future::pending().await };
    let written = commit.await;
    *writing = None;
    // A commit is never cancelled and does not panic by itself; without its answer nothing is known to be written.
    written.unwrap_or(Err(StoreError::Closed))
}

/// A place in the slow lane, once the request has been running for too long for a fast slot.
async fn slow_lane(slow: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    tokio::time::sleep(SLOW_AFTER).await;
    slow.acquire_owned().await.ok()
}

/// Sorts an answer, counts it and says it in the log.
fn concluded(held: &Held, sent: &Sent, metrics: &Metrics) -> Ending {
    let Held { job, host } = held;
    let jitter = u64::from_be_bytes(crate::random::bytes());
    let ending = classify::ending(&sent.reply, job.tries, Timestamp::now(), jitter);
    let (outcome, word) = match ending {
        Ending::Reached => (DeliveryOutcome::Reached, "delivered"),
        Ending::Retry { .. } => (DeliveryOutcome::Retried, "not delivered, will be tried again"),
        Ending::Failed | Ending::Skipped => (DeliveryOutcome::Refused, "not delivered, given up"),
    };
    metrics.delivery(outcome);
    tracing::debug!(target: "herald::deliver", host, activity = %job.outgoing, attempt = job.tries + 1, why = sent.why, "{word}");
    ending
}

/// Whether each job is still wanted. Leaves in `activities` those of the jobs, as they are now.
fn last_look<T>(
    view: &dyn View,
    jobs: &[(Held, T)],
    activities: &mut HashMap<Ulid, Activity>,
    now: Timestamp,
) -> Vec<Worth> {
    let mut over: HashMap<Ulid, bool> = HashMap::new();
    let worths = jobs
        .iter()
        .map(|(Held { job, host }, _)| {
            let over = *over.entry(job.outgoing).or_insert_with(|| {
                refresh(view, job.outgoing, activities);
                let activity = activities.get(&job.outgoing);
                activity.is_none_or(|activity| delivered::over(view, &activity.outgoing, now))
            });
            match activities.get(&job.outgoing) {
                Some(activity) if !over && !blocks::host_blocked(view, host) => {
                    delivered::worth_there(view, &activity.outgoing, job)
                }
                _ => Worth::Expired,
            }
        })
        .collect();
    activities.retain(|id, _| over.contains_key(id));
    worths
}

/// Reads an activity again if it changed: a post may have been edited since.
fn refresh(view: &dyn View, id: Ulid, activities: &mut HashMap<Ulid, Activity>) {
    let stored = view.get_bytes(&full_key(Outgoing::KIND, &id.to_bytes())).unwrap_or_default();
    if activities.get(&id).is_some_and(|known| known.stored == stored) {
        return;
    }
    match crate::model::record::decode::<Outgoing>(&stored) {
        Some(outgoing) => {
            let letter = Letter::new(outgoing.body.clone());
            activities.insert(id, Activity { stored, outgoing, letter });
        }
        None => {
            activities.remove(&id);
        }
    }
}
