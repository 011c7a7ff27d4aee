//! Sources of events. Webhook and websocket only hint; the truth is what Owncast answers now.
//!
//! One task asks Owncast: its loop waits on a hint, the next poll, a changed configuration, the end. Everything it
//! learns goes through a decision into the store, and from there to everybody else.

mod facts;
mod identity;
pub mod profile;
mod settle;
mod socket;
mod stream;
mod takeover;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::agent::board::{Board, Way};
use crate::agent::effective::{Effective, IdentityState};
use crate::config::Config;
use crate::config::keyfile::KeyFileError;
use crate::media::freeze::Shelf;
use crate::model::facts::{Facts, Identity};
use crate::model::stream::{Phase, Stream};
use crate::owncast::webhook::{Hint, Kind};
use crate::owncast::websocket::SocketEvent;
use crate::owncast::{Api, OwncastError, Secret};
use crate::serve::webhook::Door;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Metrics;

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
    /// The webhook listener's address as Owncast reaches it.
    pub webhook_base: String,
    /// What only the command line can say.
    pub permissions: Permissions,
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

/// Pauses between attempts while Owncast does not answer.
const BACK_OFF: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// Configuration has no event in Owncast: it is read this often.
const FACTS_EVERY: Duration = Duration::from_secs(30);
/// The logo has no event either, and costs more than a few fields.
const LOGO_EVERY: Duration = Duration::from_secs(300);
/// A post is made from facts no older than this.
const FACTS_FRESH: Duration = Duration::from_secs(2);

/// What the loop remembers between rounds; all of it can be lost.
struct Memory {
    facts_read: Option<Timestamp>,
    /// When webhook and token were last found in place.
    provisioned: Option<Timestamp>,
    failures: usize,
    said: String,
    logos: Vec<crate::media::recognise::Hash>,
    probe: Option<Probe>,
    /// Why the stream's picture was refused last.
    picture_problem: Option<String>,
    /// Why Owncast's go-live message could not be changed the last time.
    take_over_problem: Option<String>,
    /// When the logo was last looked at.
    logo_read: Option<Timestamp>,
    /// The other identity that was warned of.
    warned_of: Option<crate::model::Addresses>,
    socket: Option<socket::Running>,
}

/// A probe on its way through Owncast.
struct Probe {
    id: String,
    sent: Timestamp,
    /// Probes sent before this one without an echo.
    lost: u32,
}

impl Watcher {
    /// Watches until `cancel`, or until the store is closed.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), WatchError> {
        let (socket_events, mut socket_inbound) = mpsc::channel(64);
        let mut memory = Memory {
            facts_read: None,
            provisioned: None,
            failures: 0,
            said: String::new(),
            logos: Vec::new(),
            probe: None,
            picture_problem: None,
            take_over_problem: None,
            logo_read: None,
            warned_of: None,
            socket: None,
        };
        loop {
            let pause = match self.round(&mut memory, &socket_events, &cancel).await {
                Ok(pause) => {
                    self.recovered(&mut memory);
                    pause
                }
                Err(Setback::Store(error)) => return Err(error.into()),
                Err(setback) => self.failed(&mut memory, &setback),
            };
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
                    self.republish().await?;
                    // What is taken over from Owncast, and what is not, follows at once.
                    memory.facts_read = None;
                },
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
        if let Some(socket) = memory.socket.take() {
            socket.stop().await;
        }
        Ok(())
    }

    /// One look at everything that is due. Returns how long to wait if nothing hints.
    async fn round(
        &mut self,
        memory: &mut Memory,
        socket_events: &mpsc::Sender<SocketEvent>,
        cancel: &CancellationToken,
    ) -> Result<Duration, Setback> {
        let now = Timestamp::now();
        if !memory.facts_read.is_some_and(|read| fresh(read, now, FACTS_EVERY)) {
            self.read_facts(memory).await?;
            self.settle_identity(memory).await?;
        }
        let provisioned = self.keep_footprint(memory, now).await;
        // Another agent at work here must not be worked against; everything else leaves polling, which is enough.
        if let Err(error @ Setback::AnotherAgent(_)) = provisioned {
            return Err(error);
        }
        let phase = self.look_at_stream(memory).await?;
        provisioned?;
        self.judge_probe(memory).await?;
        self.keep_socket(memory, phase, socket_events, cancel).await;
        let config = self.config.borrow();
        let quick = |span: Duration| (span / 4).clamp(Duration::from_millis(100), Duration::from_secs(2));
        Ok(match phase {
            _ if memory.probe.is_some() => Duration::from_millis(250),
            Some(Phase::Connecting) => quick(config.go_live.delay),
            Some(Phase::Lost) => quick(config.go_live.delay.min(Duration::from_secs(30))),
            Some(Phase::Live) => Duration::from_secs(3),
            Some(Phase::Ended) | None => Duration::from_secs(5),
        })
    }

    fn recovered(&self, memory: &mut Memory) {
        if memory.failures > 0 {
            tracing::info!(target: "herald::owncast", "Owncast answers again");
            // It may be another one, or an older one from a backup.
            memory.provisioned = None;
        }
        memory.failures = 0;
        memory.said.clear();
        self.metrics.owncast_up.set(1);
        self.board.send_modify(|board| {
            board.reachable = true;
            board.problem = None;
            board.answered = Some(Timestamp::now());
        });
    }

    /// Says what is wrong, once for each problem, and how long to wait.
    fn failed(&self, memory: &mut Memory, setback: &Setback) -> Duration {
        let problem = setback.to_string();
        if memory.said != problem {
            tracing::warn!(target: "herald::owncast", "{problem}");
            memory.said.clone_from(&problem);
        }
        if let Setback::Owncast(OwncastError::WrongToken { .. }) = setback {
            memory.provisioned = None;
        }
        let reachable = !matches!(setback, Setback::Owncast(error) if error.is_transient());
        self.metrics.owncast_up.set(i64::from(reachable));
        self.board.send_modify(|board| {
            board.reachable = reachable;
            board.problem = Some(problem);
        });
        let pause = BACK_OFF.get(memory.failures).or(BACK_OFF.last()).copied().unwrap_or(FACTS_EVERY);
        memory.failures += 1;
        // What needs the operator does not need haste: a wrong password asked again and again fills Owncast's log.
        if reachable { pause.max(Duration::from_secs(5)) } else { pause }
    }

    fn hinted(&self, memory: &mut Memory, hint: Hint) {
        match hint.kind {
            Kind::Visibility { ids } => {
                if memory.probe.as_ref().is_some_and(|probe| ids.contains(&probe.id)) {
                    memory.probe = None;
                    tracing::info!(target: "herald::owncast", "the webhook works");
                    self.board.send_modify(|board| board.webhook = Way::Works);
                }
            }
            Kind::StreamStarted | Kind::StreamStopped | Kind::TitleChanged => {
                tracing::debug!(target: "herald::watch", kind = ?hint.kind, "Owncast hints");
                // What goes into a post may have been changed a moment before.
                memory.facts_read = None;
                if hint.kind == Kind::StreamStarted {
                    memory.logo_read = None;
                }
            }
            Kind::Other => {}
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
