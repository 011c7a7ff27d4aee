//! Sources of events. Webhook and websocket only hint; the truth is what Owncast answers now.
//!
//! One task asks Owncast: its loop waits on a hint, the next poll, a changed configuration, the end. Everything it
//! learns goes through a decision into the store, and from there to everybody else.
//!
//! What it asks has two lanes that fail apart: the public status, which is the truth about the stream, and everything
//! behind the admin password. `pace.rs` decides when to look at what next.

mod facts;
mod foresee;
mod hook;
mod identity;
mod lanes;
mod memory;
mod pace;
pub mod profile;
mod settle;
mod socket;
mod stream;
mod takeover;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::agent::board::Board;
use crate::agent::effective::{Effective, IdentityState};
use crate::agent::observe::Observer;
use crate::config::Config;
use crate::config::keyfile::KeyFileError;
use crate::media::freeze::Shelf;
use crate::model::facts::{Facts, Identity};
use crate::model::stream::{Phase, Stream};
use crate::notice::confirm::Confirmations;
use crate::owncast::webhook::{Hint, Kind};
use crate::owncast::websocket::SocketEvent;
use crate::owncast::{Api, OwncastError, Secret};
use crate::serve::webhook::Door;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::{Confirmation, Metrics};
use memory::Memory;

/// What only the command line can say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Make a new key although this actor has lived before.
    pub new_identity: bool,
    /// Take over from another agent that has left its webhook in Owncast.
    pub replace: bool,
}

/// Everything the watcher works with.
#[derive(Debug)]
pub struct Watcher {
    /// Speaks to Owncast.
    pub api: Api,
    /// Where everything is kept.
    pub store: Store,
    /// Frozen pictures.
    pub shelf: Shelf,
    /// The configuration, as it changes.
    pub config: watch::Receiver<Arc<Config>>,
    /// Where the settings of the moment are published.
    pub effective: watch::Sender<Arc<Effective>>,
    /// Where the state of affairs is published.
    pub board: watch::Sender<Board>,
    /// The access token, for whoever speaks in chat.
    pub token: watch::Sender<Option<Secret>>,
    /// The webhook listener's door.
    pub door: Arc<Door>,
    /// Hints from it.
    pub hints: mpsc::Receiver<Hint>,
    /// Where the webhook listener really listens.
    pub webhook_bound: std::net::SocketAddr,
    /// Chat messages on their way.
    pub confirmations: Arc<Confirmations>,
    /// What only the command line can say.
    pub permissions: Permissions,
    /// Told what would be done in Owncast, which is then left undone.
    pub observer: Option<Observer>,
    /// Makes it look at once: the operator wants something of the next post, or has asked for a reload.
    pub wake: Arc<Notify>,
    /// Counted.
    pub metrics: Arc<Metrics>,
}

/// Why the watcher ended.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The store is closed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a step did not work; it is tried again.
#[derive(Debug, thiserror::Error)]
enum Setback {
    #[error(transparent)]
    Owncast(#[from] OwncastError),
    #[error("{0}")]
    AnotherAgent(String),
    #[error("{0}")]
    Webhook(String),
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    #[error("{0}")]
    Identity(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Configuration has no event in Owncast: it is read this often.
const FACTS_EVERY: Duration = Duration::from_secs(30);
/// The logo has no event either, and costs more than a few fields.
const LOGO_EVERY: Duration = Duration::from_secs(300);
/// A post is made from facts no older than this.
const FACTS_FRESH: Duration = Duration::from_secs(2);
/// The same for one that goes out without a picture after it was waited for.
const FACTS_WAITING: Duration = Duration::from_secs(10);
/// The loop wakes at least this often.
const REST: Duration = Duration::from_secs(60);

impl Watcher {
    /// Watches until `cancel`, or until the store is closed.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), WatchError> {
        let (socket_events, mut socket_inbound) = mpsc::channel(64);
        let mut token = self.token.subscribe();
        let mut memory = Memory::new();
        self.follow_config(&mut memory);
        loop {
            // A call that hangs must not hold up the stop: what was begun in Owncast is found again at the next start.
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                done = self.round(&mut memory, &socket_events, &cancel) => done?,
            }
            let pause = self.next(&memory).saturating_sub(memory.now());
            tokio::select! {
                () = cancel.cancelled() => break,
                hint = self.hints.recv() => match hint {
                    Some(hint) => self.hinted(&mut memory, hint),
                    None => break,
                },
                event = socket_inbound.recv() => if let Some(event) = event {
                    self.heard(&mut memory, event);
                },
                changed = self.config.changed() => if changed.is_ok() {
                    self.follow_config(&mut memory);
                    self.republish().await?;
                    // What is taken over from Owncast, and what is not, follows at once.
                    memory.facts_read = None;
                },
                changed = token.changed() => if changed.is_ok() && token.borrow_and_update().is_none() {
                    memory.refuse_token();
                },
                () = self.wake.notified() => {
                    memory.facts_read = None;
                    let now = memory.now();
                    // The operator may have set the password right in Owncast.
                    memory.admin.open(now);
                    memory.hurry.hint(&mut memory.status, now);
                }
                () = tokio::time::sleep(pause) => {}
            }
            // What came together is looked at once.
            while let Ok(hint) = self.hints.try_recv() {
                self.hinted(&mut memory, hint);
            }
            while let Ok(event) = socket_inbound.try_recv() {
                self.heard(&mut memory, event);
            }
        }
        if let Some(socket) = memory.socket.running.take() {
            socket.stop().await;
        }
        Ok(())
    }

    /// One look at everything that is due.
    async fn round(
        &mut self,
        memory: &mut Memory,
        socket_events: &mpsc::Sender<SocketEvent>,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        self.count_confirmations();
        if self.hook_is_due(memory) {
            match self.keep_hook(memory).await {
                Ok(false) => {}
                kept => self.admin_answered(memory, kept.map(|_| ()))?,
            }
        }
        let status = if memory.status.is_due(memory.now()) { self.ask_status(memory).await } else { None };
        if memory.status.works() {
            self.look_after(memory).await?;
        }
        if let Some((at, status)) = status {
            memory.see_connection(&status);
            // Another agent at work here must not be worked against.
            let looked =
                if memory.rival { Ok(memory.phase) } else { self.look_at_stream(memory, (at, status)).await };
            match looked {
                Ok(phase) => memory.phase = phase,
                Err(Setback::Store(error)) => return Err(error),
                Err(other) => {
                    tracing::warn!(target: "herald::watch", "the stream was not looked at: {other}")
                }
            }
            let mood = self.mood(memory);
            memory.status.next(memory.now() + mood.pause(&memory.hurry, memory.now()));
        }
        self.keep_socket(memory, socket_events, cancel).await;
        Ok(())
    }

    /// When something is due next, as the board shows it for each source.
    fn next(&self, memory: &Memory) -> pace::Tick {
        let now = memory.now();
        let watching = memory.status.works();
        let admin = watching.then(|| memory.admin_wants(now).max(memory.admin.due()));
        let hook = if watching { self.hook_wants(memory) } else { None };
        let socket = self.socket_wants(memory);
        let wall = Timestamp::now();
        let at = |tick: pace::Tick| wall.checked_add(tick.saturating_sub(now)).ok();
        self.board.send_modify(|board| {
            board.sources.status.next = at(memory.status.due());
            board.sources.admin.next = admin.and_then(at);
            board.sources.webhook.next = memory.hook.next_trial().and_then(at);
            board.sources.websocket.next = socket.and_then(at);
        });
        let due = [Some(memory.status.due()), admin, hook, socket];
        due.into_iter().flatten().min().unwrap_or(now).min(now + REST)
    }

    fn mood(&self, memory: &Memory) -> pace::Mood {
        let board = self.board.borrow();
        pace::Mood {
            phase: memory.phase,
            delay: self.config.borrow().go_live.delay,
            told: memory.hook.is_proved() && board.sources.websocket.way == crate::agent::board::Way::Works,
        }
    }

    /// What came over the webhook. It only makes the loop look sooner.
    fn hinted(&self, memory: &mut Memory, hint: Hint) {
        self.hook_called(memory, &hint.kind);
        match hint.kind {
            Kind::StreamStarted | Kind::StreamStopped | Kind::TitleChanged => {
                tracing::debug!(target: "herald::watch", kind = ?hint.kind, "Owncast hints");
                // What goes into a post may have been changed a moment before.
                memory.facts_read = None;
                if hint.kind == Kind::StreamStarted {
                    memory.logo_read = None;
                }
                let now = memory.now();
                memory.hurry.hint(&mut memory.status, now);
            }
            Kind::Visibility { .. } | Kind::Other => {}
        }
    }

    /// Takes from a changed configuration what is asked or offered differently now.
    fn follow_config(&mut self, memory: &mut Memory) {
        let config = Arc::clone(&self.config.borrow_and_update());
        let owncast = &config.owncast;
        // A running agent that had a password never loses it to a reload.
        if let Ok(password) = owncast.admin_password.get() {
            let admin = (owncast.admin_user.clone(), password.fingerprint());
            if memory.admin_user.as_ref() != Some(&admin) {
                memory.admin_user = Some(admin);
                self.api.set_admin(owncast.admin_user.clone(), password.clone());
                memory.admin.open(memory.now());
            }
        }
        let base = config.listen.webhook_base(self.webhook_bound);
        if memory.webhook_base != base {
            memory.webhook_base = base;
            memory.hook.doubt();
            memory.footprint = memory.now();
        }
    }

    fn count_confirmations(&self) {
        let lost = self.confirmations.lost(Instant::now());
        if lost > 0 {
            self.metrics.confirmations(Confirmation::Unconfirmed, lost);
            self.board.send_modify(|board| board.notices.unconfirmed += lost);
            tracing::debug!(target: "herald::notice", messages = lost, "sent, and not seen in chat");
        }
    }

    /// Computes the settings of the moment anew and publishes them if they differ in anything.
    async fn republish(&self) -> Result<(), StoreError> {
        let (facts, stored): (Facts, Identity) = self.store.read(|view| (view.meta(), view.meta())).await?;
        let identity = self.effective.borrow().identity.clone();
        self.publish(facts, identity, &stored);
        Ok(())
    }

    fn publish(&self, facts: Facts, identity: IdentityState, stored: &Identity) {
        let config = Arc::clone(&self.config.borrow());
        let new = Effective::new(config, facts, identity, stored);
        self.effective.send_if_modified(|old| {
            let same = old.facts == new.facts
                && old.identity == new.identity
                && old.taken_message == new.taken_message
                && Arc::ptr_eq(&old.config, &new.config);
            if !same {
                *old = Arc::new(new);
            }
            !same
        });
    }

    fn show_stream(&self, stream: &Stream, title: &str) {
        let state = match stream.session.as_ref().map(|session| session.phase) {
            None => "offline",
            Some(Phase::Connecting) => "connecting",
            Some(Phase::Live) => "live",
            Some(Phase::Lost) => "lost",
            Some(Phase::Ended) => "ended",
        };
        self.board.send_if_modified(|board| {
            let same = board.stream == state && board.title == title;
            if !same {
                state.clone_into(&mut board.stream);
                title.clone_into(&mut board.title);
            }
            !same
        });
    }
}

/// True while `span` has not passed since `since`; a clock that was set back does not make things fresh for longer.
fn fresh(since: Timestamp, now: Timestamp, span: Duration) -> bool {
    now.duration_since(since).unsigned_abs() < span
}
