//! The pump: takes what is due from the store in windows, keeps requests in flight, writes the outcomes in groups.
//!
//! It starts requests while outcomes are written: a slow disk does not slow the sending. Memory is bounded by the window,
//! however long the queue in the store is. It runs on a thread of its own, so it reads the store where it stands.

mod finish;
mod judge;
mod refill;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::DeliverOptions;
use super::batch::{Batch, Written};
use super::hosts::{Host, Hosts, May};
use super::lanes::{slow_lane, slow_places};
use super::look::{Activity, last_look};
use super::outage::Outage;
use super::outcome::{Held, Outcome, concluded};
use super::owners::Owners;
use super::passes::{OVERDUE, Pass, begin};
use super::send::{Letter, Sender};
use crate::decide::delivered::{Ending, Worth};
use crate::decide::engaged::Page;
use crate::decide::hosts::{Contact, Gate};
use crate::decide::seen::later;
use crate::decide::{schedule, schemes};
use crate::model::delivery::OutgoingKind;
use crate::model::{Draft, View};
use crate::net::After;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::{DeliveryOutcome, Metrics};

/// Jobs held in memory at most.
const WINDOW: usize = 6144;
/// Outcomes written in one commit at most.
const OUTCOMES: usize = 256;
/// How long the first outcome waits for others: a commit costs nearly the same for one as for fifty, and with servers that take a
/// second to answer outcomes come one by one.
const GATHER: Duration = Duration::from_millis(25);
/// Nor does it wait for more than these, or than a quarter of those under way: something may wait for their hosts.
const GATHERED: usize = 128;
/// The store is looked at this often even if nothing told us to.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// What is learnt of the servers' ways of signing is written no more often: all of it is compared each time.
const KEEP_AGAIN: Duration = Duration::from_secs(60);

enum Event {
    Done(Box<Outcome>),
    SlotFree,
}

pub(super) struct Pump {
    store: Store,
    sender: Sender,
    metrics: Arc<Metrics>,
    fast: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    doubts: mpsc::Sender<String>,
    events: mpsc::Sender<Event>,
    inbound: mpsc::Receiver<Event>,
    /// Everything in memory, by activity and inbox: never taken from the store twice.
    held: HashSet<(Ulid, String)>,
    /// Inboxes with a request in flight: one at a time, so that order holds per inbox.
    busy: HashSet<String>,
    /// What waits and what is under way by host.
    hosts: Hosts,
    owners: Owners,
    /// The fan-outs whose first pass is not done.
    passes: BTreeMap<Ulid, Pass>,
    /// The activities of the last requests started.
    activities: HashMap<Ulid, Activity>,
    next_due: Option<Timestamp>,
    /// How often to look while something is due whose turn has not come.
    overdue: Duration,
    /// Outcomes to be written.
    done: Vec<Outcome>,
    /// Attempts of which the store is to know before they are made again, with their places: not told yet,
    asking: Vec<(Held, OwnedSemaphorePermit)>,
    /// being told in the commit under way,
    asked: Vec<(Held, OwnedSemaphorePermit)>,
    /// and told.
    begun: Vec<(Held, OwnedSemaphorePermit)>,
    /// What is to be queued to those who liked, shared or answered a post.
    further: Vec<Page>,
    /// Whether there is more of that was not looked at.
    look_further: bool,
    /// Whether it is ourselves who reach nobody,
    outage: Outage,
    /// and the servers for whose fault that was taken.
    forgiven: Vec<String>,
    /// When it was last said that clocks differ.
    clock_told: Option<Instant>,
    /// Alarms for which nothing rests, to be removed.
    idle: Vec<(Timestamp, String)>,
    /// The commit under way; gives back what it wrote.
    writing: Option<JoinHandle<Result<Written, StoreError>>>,
    /// The store holds more than there was room for.
    more: bool,
    /// When it was last written which way of signing each server takes.
    schemes_kept: Option<Instant>,
    /// Something was written that may be work.
    look: bool,
    /// When the store was last looked at.
    looked: Instant,
}

impl Pump {
    /// Inboxes that refused us as moved or gone are told to `doubts`.
    pub(super) fn new(
        store: Store,
        sender: Sender,
        options: &DeliverOptions,
        metrics: Arc<Metrics>,
        doubts: mpsc::Sender<String>,
    ) -> Self {
        let (events, inbound) = mpsc::channel(WINDOW * 2);
        Pump {
            store,
            sender,
            metrics,
            fast: Arc::new(Semaphore::new(options.concurrency.max(1))),
            slow: Arc::new(Semaphore::new(slow_places(options.concurrency))),
            doubts,
            events,
            inbound,
            held: HashSet::new(),
            busy: HashSet::new(),
            hosts: Hosts::new(options.per_host),
            owners: Owners::default(),
            passes: BTreeMap::new(),
            activities: HashMap::new(),
            next_due: None,
            overdue: OVERDUE,
            done: Vec::new(),
            asking: Vec::new(),
            asked: Vec::new(),
            begun: Vec::new(),
            further: Vec::new(),
            look_further: false,
            outage: Outage::new(Instant::now()),
            forgiven: Vec::new(),
            clock_told: None,
            idle: Vec::new(),
            writing: None,
            more: false,
            schemes_kept: None,
            look: true,
            looked: Instant::now(),
        }
    }

    pub(super) async fn run(mut self, cancel: CancellationToken) {
        if let Err(cause) = self.work(cancel).await {
            tracing::error!(target: "herald::deliver", %cause, "delivery stops");
        }
    }

    async fn work(&mut self, cancel: CancellationToken) -> Result<(), StoreError> {
        let mut written = self.store.outgoing_written();
        self.sender.schemes.remember(self.store.look(schemes::known)?);
        loop {
            if self.look || (self.more && self.held.len() <= WINDOW - WINDOW / 4) {
                if self.hosts.waiting() > 0 {
                    // What was read can be signed while more is read: also what waits for a claim that was just written.
                    while self.dispatch()? {}
                    tokio::task::yield_now().await;
                    if self.writing.as_ref().is_some_and(JoinHandle::is_finished) {
                        let written = finished(&mut self.writing).await?;
                        self.let_go(written);
                        while self.dispatch()? {}
                        tokio::task::yield_now().await;
                    }
                }
                written.mark_unchanged();
                self.refill()?;
            }
            while self.dispatch()? {}
            self.write();
            let pause = self.pause();
            tokio::select! {
                () = cancel.cancelled() => break,
                event = self.inbound.recv() => {
                    self.took(event);
                    self.gather().await;
                }
                written = finished(&mut self.writing) => self.let_go(written?),
                changed = written.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.look = true;
                }
                () = tokio::time::sleep(pause) => self.look = true,
            }
            while let Ok(event) = self.inbound.try_recv() {
                self.took(Some(event));
            }
        }
        self.finish().await
    }

    /// Notes an outcome. A host that answered is free for its next request; its inbox is only once that is on disk, so that
    /// order holds, and so is a host that did not answer, which may have to be left alone.
    fn took(&mut self, event: Option<Event>) {
        let Some(Event::Done(outcome)) = event else { return };
        let mut outcome = *outcome;
        self.judge(&mut outcome);
        self.ends_for_owner(&outcome.held.owner);
        let host = &outcome.held.host;
        if outcome.contact == Some(Contact::Answered) && !self.hosts.in_memory(host).1 {
            self.hosts.leaves(host);
            outcome.held.left = true;
        }
        self.done.push(outcome);
    }

    /// One that was under way for an owner is so no more.
    fn ends_for_owner(&mut self, owner: &str) {
        self.owners.ends(owner);
        self.hosts.owner_has_place(owner);
    }

    /// Waits for more outcomes, not so long that the sending runs dry.
    async fn gather(&mut self) {
        let enough = (self.outage.under_way() / 4).clamp(1, GATHERED);
        let more = async {
            for _ in 1..enough {
                let event = self.inbound.recv().await;
                self.took(event);
            }
        };
        let _ = tokio::time::timeout(GATHER, more).await;
    }

    /// How long to wait for something to happen before looking again, counted from the last look: on a busy day
    /// something happens all the time.
    fn pause(&self) -> Duration {
        let since = self.looked.elapsed();
        let rest = LOOK_AGAIN.saturating_sub(since);
        let held_up = self.outage.wait(Instant::now()).filter(|_| self.hosts.waiting() > 0);
        let rest = held_up.map_or(rest, |held_up| held_up.min(rest));
        let Some(due) = self.next_due else { return rest };
        let until = due.duration_since(Timestamp::now());
        if until.is_negative() || until.is_zero() {
            // Due already, but it is not its turn.
            return self.overdue.saturating_sub(since);
        }
        until.unsigned_abs().min(rest).max(Duration::from_millis(1))
    }

    /// Starts every waiting job that has a free slot, host and inbox and of which the store knows that it may have been
    /// made, after a last look at whether it is still wanted. True if some were not: their slots are free for others.
    fn dispatch(&mut self) -> Result<bool, StoreError> {
        let mut starting = std::mem::take(&mut self.begun);
        let places = self.outage.places(Instant::now());
        if places > 0 && self.hosts.all_ready_are(|host| !self.outage.untried(host)) {
            self.outage.all_were_tried();
        }
        for _ in 0..places {
            let Ok(permit) = Arc::clone(&self.fast).try_acquire_owned() else { break };
            let (busy, owners, outage, passes) = (&self.busy, &self.owners, &self.outage, &mut self.passes);
            let may = |held: &Held| {
                if !owners.has_place(&held.owner) {
                    May::OwnerIsFull
                } else if busy.contains(&held.job.inbox) {
                    May::AfterOthers
                } else if !begin(passes, &held.job) {
                    May::Unclaimed
                } else {
                    May::Start
                }
            };
            let Some(held) = self.hosts.start(|host| outage.untried(host), may) else { break };
            self.busy.insert(held.job.inbox.clone());
            self.owners.begins(&held.owner);
            starting.push((Held { started: true, ..held }, permit));
        }
        if starting.is_empty() {
            return Ok(false);
        }
        let (store, activities) = (&self.store, &mut self.activities);
        let now = Timestamp::now();
        let looks = store.look(|view| {
            last_look(view, starting.iter().map(|(held, _)| (&held.job, held.host.as_str())), activities, now)
        })?;
        let (before, mut sending) = (self.done.len(), Vec::new());
        for ((held, permit), worth) in starting.into_iter().zip(looks) {
            let ending = match (worth, self.activities.get(&held.job.outgoing)) {
                (Worth::Send, Some(_)) if !held.begun => {
                    self.outage.lets_out(&held.host, Instant::now());
                    self.asking.push((Held { begun: true, ..held }, permit));
                    continue;
                }
                (Worth::Send, Some(activity)) => {
                    self.outage.lets_out(&held.host, Instant::now());
                    sending.push((held, activity.outgoing.kind, activity.letter.clone(), permit));
                    continue;
                }
                (Worth::Behind, Some(activity)) => {
                    Ending::Later { due: later(now, schedule::behind(activity.outgoing.created, now)) }
                }
                (Worth::Skip, _) => Ending::Skipped,
                _ => Ending::Expired { at: now },
            };
            match ending {
                Ending::Expired { .. } => self.metrics.delivery(DeliveryOutcome::Expired),
                Ending::Skipped => self.metrics.delivery(DeliveryOutcome::Dropped),
                _ => {}
            }
            self.ends_for_owner(&held.owner);
            self.done.push(Outcome::unasked(held, ending, now));
        }
        for (held, kind, letter, permit) in sending {
            self.start(held, kind, letter, permit);
        }
        Ok(self.done.len() > before)
    }

    fn start(&mut self, held: Held, kind: OutgoingKind, letter: Letter, permit: OwnedSemaphorePermit) {
        let (sender, events, doubts) = (self.sender.clone(), self.events.clone(), self.doubts.clone());
        let (slow, metrics) = (Arc::clone(&self.slow), Arc::clone(&self.metrics));
        let after = self.hosts.get_mut(&held.host).map_or(After::Close, Host::after);
        self.outage.begins();
        tokio::spawn(async move {
            let (inbox, host) = (held.job.inbox.clone(), held.host.clone());
            // Waiting for a signature makes no server slow.
            let signed = sender.sign(&inbox, &host, &letter).await;
            let send = async {
                match signed {
                    Ok(signed) => sender.send(signed, &host, &letter, after).await,
                    Err(unsigned) => unsigned,
                }
            };
            let mut request = std::pin::pin!(send);
            let (sent, _lane) = tokio::select! {
                sent = &mut request => (sent, Some(permit)),
                lane = slow_lane(slow) => {
                    drop(permit);
                    // A full channel means that outcomes are on their way: the pump wakes up without us.
                    let _ = events.try_send(Event::SlotFree);
                    (request.await, lane)
                }
            };
            let outcome = concluded(held, kind, &sent, &metrics, &doubts);
            let _ = events.send(Event::Done(Box::new(outcome))).await;
        });
    }

    /// Writes outcomes and claims in one commit, unless one is under way.
    fn write(&mut self) {
        if self.writing.is_some() {
            return;
        }
        let schemes = match self.schemes_kept {
            Some(kept) if kept.elapsed() < KEEP_AGAIN => None,
            _ => self.sender.schemes.changed(Timestamp::now()),
        };
        if schemes.is_some() {
            self.schemes_kept = Some(Instant::now());
        }
        let claims = self.passes.iter().filter_map(|(id, pass)| Some((*id, pass.claim, pass.to_claim()?)));
        let batch = Batch {
            claims: claims.collect(),
            done: self.done.drain(..self.done.len().min(OUTCOMES)).collect(),
            forgiven: std::mem::take(&mut self.forgiven),
            idle: self.idle.drain(..self.idle.len().min(OUTCOMES)).collect(),
            beginning: self.asking.iter().map(|(held, _)| held.job.clone()).collect(),
            further: std::mem::take(&mut self.further),
            schemes,
        };
        if batch.is_empty() {
            return;
        }
        self.asked.append(&mut self.asking);
        let (store, now, entropy) =
            (self.store.clone(), Timestamp::now(), u64::from_be_bytes(crate::random::bytes()));
        self.writing = Some(tokio::spawn(async move {
            let write = move |view: &dyn View| {
                let mut draft = Draft::new(view);
                let written = batch.write(&mut draft, now, entropy);
                (draft.into_changes(), written)
            };
            store.commit(write).await
        }));
    }

    /// Lets go of what is written: the next job of an inbox sees what became of the last. What waits for a host that is
    /// to be left alone from now on is set aside.
    fn let_go(&mut self, written: Written) {
        let claimed = !written.claimed.is_empty();
        for (id, from, below) in written.claimed {
            if let Some(pass) = self.passes.get_mut(&id) {
                pass.claimed(from, below);
                self.look |= below.is_none();
            }
        }
        self.begun.append(&mut self.asked);
        self.look |= written.taken_back | std::mem::take(&mut self.look_further);
        if claimed {
            self.hosts.claimed();
        }
        for (id, number) in written.not_over {
            if let Some(pass) = self.passes.get_mut(&id) {
                pass.read_again(number);
            }
        }
        let mut shut = HashSet::new();
        for (held, gate) in written.settled {
            self.owners.lets_go(&held.owner);
            if held.started {
                self.busy.remove(&held.job.inbox);
            }
            // What rests there was passed by for as long as a probe was under way.
            self.look |= self.hosts.lets_go(&held);
            self.held.remove(&(held.job.outgoing, held.job.inbox));
            if let Some(Gate::Shut(until)) = gate {
                tracing::debug!(target: "herald::deliver", host = held.host, %until, "left alone for a while");
                shut.insert(held.host);
            }
        }
        let now = Timestamp::now();
        for held in shut.iter().flat_map(|host| self.hosts.waits_no_more(host)) {
            self.done.push(Outcome::unasked(held, Ending::SetAside { at: now }, now));
        }
    }
}

/// The end of the commit under way; never, if there is none.
async fn finished(
    writing: &mut Option<JoinHandle<Result<Written, StoreError>>>,
) -> Result<Written, StoreError> {
    let Some(commit) = writing else { return std::future::pending().await };
    let written = commit.await;
    *writing = None;
    // A commit is never cancelled and does not panic by itself; without its answer nothing is known to be written.
    written.unwrap_or(Err(StoreError::Closed))
}
