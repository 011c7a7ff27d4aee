//! The pump: takes what is due from the store in windows, keeps requests in flight, writes the outcomes in groups.
//!
//! Its loop waits on: an outcome of a request, a free fast slot, new work in the store, the next due attempt, the end.
//! Memory is bounded by the window, however long the queue in the store is.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::classify;
use super::send::{Letter, Sender, Sent};
use super::{DRAIN, DeliverOptions};
use crate::decide::blocks;
use crate::decide::delivered::{self, Ending, Job, Worth};
use crate::model::delivery::{Attempt, Outgoing};
use crate::model::handle::host_of;
use crate::model::record::{full_key, kind};
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
/// The store is looked at this often even if nothing told us to.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

enum Event {
    Done(Job, Ending),
    SlotFree,
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
    waiting: VecDeque<Job>,
    /// Everything in memory, by activity and inbox: never taken from the store twice.
    held: HashSet<(Ulid, String)>,
    /// Inboxes with a request in flight: one at a time, so that order holds per inbox.
    busy: HashSet<String>,
    hosts: HashMap<String, usize>,
    /// How far each fan-out has been read.
    read_to: HashMap<Ulid, Option<u32>>,
    letters: HashMap<Ulid, Letter>,
    next_due: Option<Timestamp>,
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
            read_to: HashMap::new(),
            letters: HashMap::new(),
            next_due: None,
        }
    }

    pub(super) async fn run(mut self, cancel: CancellationToken) {
        let mut written = self.store.outgoing_written();
        loop {
            written.mark_unchanged();
            if let Err(cause) = self.refill().await {
                tracing::error!(target: "herald::deliver", %cause, "delivery stops");
                return;
            }
            if let Err(cause) = self.dispatch().await {
                tracing::error!(target: "herald::deliver", %cause, "delivery stops");
                return;
            }
            let pause = self.pause();
            let mut done = Vec::new();
            tokio::select! {
                () = cancel.cancelled() => return self.finish().await,
                event = self.inbound.recv() => self.took(event, &mut done),
                changed = written.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(pause) => {}
            }
            while done.len() < OUTCOMES {
                match self.inbound.try_recv() {
                    Ok(event) => self.took(Some(event), &mut done),
                    Err(_) => break,
                }
            }
            if let Err(cause) = self.write(done).await {
                tracing::error!(target: "herald::deliver", %cause, "delivery stops");
                return;
            }
        }
    }

    /// Writes the outcomes of requests that are under way, as far as they come in time: what is not written is sent again.
    async fn finish(&mut self) {
        let deadline = tokio::time::Instant::now() + DRAIN;
        while !self.busy.is_empty() {
            let Ok(event) = tokio::time::timeout_at(deadline, self.inbound.recv()).await else { return };
            let mut done = Vec::new();
            self.took(event, &mut done);
            if self.write(done).await.is_err() {
                return;
            }
        }
    }

    fn took(&mut self, event: Option<Event>, done: &mut Vec<(Job, Ending)>) {
        if let Some(Event::Done(job, ending)) = event {
            done.push((job, ending));
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
    async fn refill(&mut self) -> Result<(), StoreError> {
        let room = WINDOW.saturating_sub(self.held.len());
        if room == 0 {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        let read_to = std::mem::take(&mut self.read_to);
        let now = Timestamp::now();
        let (found, held, read_to, next_due) = self
            .store
            .read(move |view| {
                let (mut jobs, next_due) = due(view, &held, now, room);
                let mut read_to = read_to;
                first_passes(view, &held, &mut read_to, room, &mut jobs);
                (jobs, held, read_to, next_due)
            })
            .await?;
        (self.held, self.read_to, self.next_due) = (held, read_to, next_due);
        for job in found {
            self.held.insert((job.outgoing, job.inbox.clone()));
            self.waiting.push_back(job);
        }
        self.metrics.delivery_queue.set(i64::try_from(self.held.len()).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Starts every waiting job that has a free slot, host and inbox, after a last look at whether it is still wanted.
    async fn dispatch(&mut self) -> Result<(), StoreError> {
        let mut starting = Vec::new();
        let mut kept = VecDeque::new();
        while let Some(job) = self.waiting.pop_front() {
            let host = host_of(&job.inbox);
            if self.busy.contains(&job.inbox) || self.hosts.get(&host).is_some_and(|n| *n >= self.per_host) {
                kept.push_back(job);
                continue;
            }
            let Ok(permit) = Arc::clone(&self.fast).try_acquire_owned() else {
                kept.push_back(job);
                break;
            };
            self.busy.insert(job.inbox.clone());
            *self.hosts.entry(host).or_default() += 1;
            starting.push((job, permit));
        }
        kept.append(&mut self.waiting);
        self.waiting = kept;
        if starting.is_empty() {
            return Ok(());
        }
        let jobs: Vec<Job> = starting.iter().map(|(job, _)| job.clone()).collect();
        let now = Timestamp::now();
        let (worths, bodies) = self.store.read(move |view| last_look(view, &jobs, now)).await?;
        self.letters.retain(|id, _| bodies.contains_key(id));
        for (id, body) in bodies {
            let known = self.letters.get(&id).is_some_and(|letter| letter.body.as_ref() == body.as_bytes());
            if !known {
                self.letters.insert(id, Letter::new(body));
            }
        }
        let mut over = Vec::new();
        for ((job, permit), worth) in starting.into_iter().zip(worths) {
            match (worth, self.letters.get(&job.outgoing)) {
                (Worth::Send, Some(letter)) => self.start(job, letter.clone(), permit),
                (Worth::Skip, _) => over.push((job, Ending::Skipped)),
                _ => over.push((job, Ending::Failed)),
            }
        }
        self.write(over).await
    }

    fn start(&self, job: Job, letter: Letter, permit: OwnedSemaphorePermit) {
        let (sender, events) = (self.sender.clone(), self.events.clone());
        let (slow, metrics) = (Arc::clone(&self.slow), Arc::clone(&self.metrics));
        tokio::spawn(async move {
            let inbox = job.inbox.clone();
            let mut request = std::pin::pin!(sender.send(&inbox, &letter));
            let (sent, _lane) = tokio::select! {
                sent = &mut request => (sent, Some(permit)),
                lane = slow_lane(slow) => {
                    drop(permit);
                    // A full channel means that outcomes are on their way: the pump wakes up without us.
                    let _ = events.try_send(Event::SlotFree);
                    (request.await, lane)
                }
            };
            let ending = concluded(&job, &sent, &metrics);
            let _ = events.send(Event::Done(job, ending)).await;
        });
    }

    /// Writes outcomes in one commit, then lets their inboxes go: the next job of an inbox sees what became of the last.
    async fn write(&mut self, done: Vec<(Job, Ending)>) -> Result<(), StoreError> {
        if done.is_empty() {
            return Ok(());
        }
        let written = done.clone();
        self.store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                for (job, ending) in &written {
                    delivered::settle(&mut draft, job, *ending);
                }
                (draft.into_changes(), ())
            })
            .await?;
        for (job, _) in done {
            let host = host_of(&job.inbox);
            if let Some(active) = self.hosts.get_mut(&host) {
                *active = active.saturating_sub(1);
                if *active == 0 {
                    self.hosts.remove(&host);
                }
            }
            self.busy.remove(&job.inbox);
            self.held.remove(&(job.outgoing, job.inbox));
        }
        Ok(())
    }
}

/// A place in the slow lane, once the request has been running for too long for a fast slot.
async fn slow_lane(slow: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    tokio::time::sleep(SLOW_AFTER).await;
    slow.acquire_owned().await.ok()
}

/// Sorts an answer, counts it and says it in the log.
fn concluded(job: &Job, sent: &Sent, metrics: &Metrics) -> Ending {
    let jitter = u64::from_be_bytes(crate::random::bytes());
    let ending = classify::ending(&sent.reply, job.tries, Timestamp::now(), jitter);
    let host = host_of(&job.inbox);
    let (outcome, word) = match ending {
        Ending::Reached => (DeliveryOutcome::Reached, "delivered"),
        Ending::Retry { .. } => (DeliveryOutcome::Retried, "not delivered, will be tried again"),
        Ending::Failed | Ending::Skipped => (DeliveryOutcome::Refused, "not delivered, given up"),
    };
    metrics.delivery(outcome);
    tracing::debug!(target: "herald::deliver", host, activity = %job.outgoing, attempt = job.tries + 1, why = sent.why, "{word}");
    ending
}

/// Attempts that are due, oldest first; and when the next one is that is not.
fn due(
    view: &dyn View,
    held: &HashSet<(Ulid, String)>,
    now: Timestamp,
    room: usize,
) -> (Vec<Job>, Option<Timestamp>) {
    let (mut jobs, mut next) = (Vec::new(), None);
    view.scan::<Attempt>(b"", &mut |attempt| {
        if attempt.due > now {
            next = Some(attempt.due);
            return false;
        }
        if !held.contains(&(attempt.outgoing, attempt.inbox.clone())) {
            jobs.push(Job::of(attempt));
        }
        jobs.len() < room
    });
    (jobs, next)
}

/// Waiting inboxes of the fan-outs whose first pass is not done, oldest activity first.
fn first_passes(
    view: &dyn View,
    held: &HashSet<(Ulid, String)>,
    read_to: &mut HashMap<Ulid, Option<u32>>,
    room: usize,
    jobs: &mut Vec<Job>,
) {
    let mut open = BTreeSet::new();
    view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, _| {
        let id = key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok());
        open.extend(id.map(Ulid::from_bytes));
        true
    });
    read_to.retain(|id, _| open.contains(id));
    for id in open {
        let Some(from) = *read_to.entry(id).or_insert(Some(0)) else { continue };
        let room = room.saturating_sub(jobs.len());
        if room == 0 {
            return;
        }
        let (found, next) = delivered::waiting(view, id, from, room);
        read_to.insert(id, next);
        jobs.extend(found.into_iter().filter(|(_, inbox)| !held.contains(&(id, inbox.url.clone()))).map(
            |(number, inbox)| Job {
                outgoing: id,
                inbox: inbox.url,
                number: Some(number),
                tries: 0,
                uncertain: false,
                attempt: None,
            },
        ));
    }
}

/// Whether each job is still wanted, and the bodies of those activities.
fn last_look(view: &dyn View, jobs: &[Job], now: Timestamp) -> (Vec<Worth>, HashMap<Ulid, String>) {
    let mut outgoing: HashMap<Ulid, Option<Outgoing>> = HashMap::new();
    let worths = jobs
        .iter()
        .map(|job| {
            let record = outgoing.entry(job.outgoing).or_insert_with(|| {
                view.get_bytes(&full_key(Outgoing::KIND, &job.outgoing.to_bytes()))
                    .and_then(|bytes| crate::model::record::decode(&bytes))
            });
            match record {
                Some(record) => {
                    let blocked = blocks::host_blocked(view, &host_of(&job.inbox));
                    delivered::worth(view, record, job, blocked, now)
                }
                None => Worth::Expired,
            }
        })
        .collect();
    let bodies = outgoing.into_iter().filter_map(|(id, record)| Some((id, record?.body))).collect();
    (worths, bodies)
}
