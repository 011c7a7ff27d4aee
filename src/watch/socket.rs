//! The chat websocket: one connection, never opened while a stream is live, since viewers would see the join.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Watcher;
use super::memory::Memory;
use super::pace::{Tick, socket_again};
use crate::agent::board::Way;
use crate::owncast::websocket::{Closed, Socket, SocketEvent};
use crate::telemetry::metrics::Confirmation;

/// A connection that lived this long was a good one: the next failure is the first.
const GOOD: Duration = Duration::from_secs(60);

/// The connection's task.
pub(super) struct Running {
    task: JoinHandle<()>,
    cancel: CancellationToken,
}

impl Running {
    /// Closes the connection and waits for it.
    pub(super) async fn stop(self) {
        self.cancel.cancel();
        let _ = self.task.await;
    }
}

/// What is remembered of the connection.
#[derive(Default)]
pub(super) struct Keeper {
    pub(super) running: Option<Running>,
    /// When Owncast welcomed us on it.
    welcomed: Option<Tick>,
    /// Not before this is another tried.
    again: Tick,
    /// Ends in a row.
    ends: u32,
    /// The last end that was said.
    said: Option<Closed>,
}

impl Keeper {
    /// There is another token: what the old one was refused for does not count.
    pub(super) fn take_token(&mut self) {
        self.again = Tick::ZERO;
        self.ends = 0;
    }
}

impl Watcher {
    /// Opens the connection if there is none and nobody would see it.
    pub(super) async fn keep_socket(
        &self,
        memory: &mut Memory,
        events: &mpsc::Sender<SocketEvent>,
        cancel: &CancellationToken,
    ) {
        if self.observer.is_some() {
            return;
        }
        if !self.config.borrow().owncast.websocket {
            if let Some(socket) = memory.socket.running.take() {
                socket.stop().await;
            }
            memory.socket = Keeper::default();
            self.show_socket(Way::Off("switched off".to_owned()));
            return;
        }
        if memory.socket.running.is_some() || memory.now() < memory.socket.again {
            return;
        }
        if let Some(why) = self.held_back(memory) {
            self.show_socket(Way::Off(why.to_owned()));
            return;
        }
        let Some(token) = self.token.borrow().clone() else { return };
        let socket = match Socket::new(self.api.base()) {
            Ok(socket) => socket,
            Err(error) => {
                self.show_socket(Way::Broken(error.to_string()));
                return;
            }
        };
        let (events, own) = (events.clone(), cancel.child_token());
        let stop = own.clone();
        let task = tokio::spawn(async move {
            socket.run(&token, &events, &stop).await;
        });
        memory.socket.welcomed = None;
        memory.socket.running = Some(Running { task, cancel: own });
    }

    /// Why no connection is opened now.
    fn held_back(&self, memory: &Memory) -> Option<&'static str> {
        let chat_disabled = self.effective.borrow().facts.chat_disabled;
        match memory.is_quiet() {
            None => Some("waits until Owncast has told its status"),
            Some(false) => Some("waits for the end of the stream, since viewers would see the agent join"),
            Some(true) if chat_disabled => Some("chat is switched off in Owncast"),
            Some(true) if memory.rival => Some("another agent is at work here"),
            Some(true) if self.token.borrow().is_none() => Some("waits for an access token"),
            Some(true) => None,
        }
    }

    /// When another connection is tried, if that is a matter of time alone.
    pub(super) fn socket_wants(&self, memory: &Memory) -> Option<Tick> {
        let waits = memory.socket.running.is_none()
            && memory.socket.again > memory.now()
            && self.config.borrow().owncast.websocket;
        waits.then_some(memory.socket.again)
    }

    fn show_socket(&self, way: Way) {
        self.board.send_if_modified(|board| {
            let same = board.sources.websocket.way == way;
            if !same {
                board.sources.websocket.way = way;
            }
            !same
        });
    }

    /// Something came over the websocket. Most of it is chat, which is none of our business.
    pub(super) fn heard(&self, memory: &mut Memory, event: SocketEvent) {
        let mut lag = None;
        match event {
            SocketEvent::Closed { reason } => return self.socket_ended(memory, reason),
            SocketEvent::Connected { display_name } => {
                tracing::info!(target: "herald::owncast", name = display_name, "connected to Owncast's chat");
                memory.socket.welcomed = Some(memory.now());
                memory.socket.said = None;
            }
            // Owncast says starts, ends and titles as action lines; so do we with some notices, which come back here.
            SocketEvent::Action { body, .. } => {
                if !self.confirmed(&body) {
                    let now = memory.now();
                    memory.hurry.hint(&mut memory.status, now);
                }
            }
            SocketEvent::System { body, .. } | SocketEvent::Chat { body, is_bot: true, .. } => {
                self.confirmed(&body);
            }
            SocketEvent::Alive { round_trip } => lag = Some(round_trip),
            SocketEvent::Chat { .. } | SocketEvent::Visibility { .. } | SocketEvent::Other => {}
        }
        self.board.send_modify(|board| board.sources.websocket.came(Timestamp::now(), lag));
    }

    fn confirmed(&self, html: &str) -> bool {
        let ours = self.confirmations.shown(html);
        if ours {
            self.metrics.confirmations(Confirmation::Confirmed, 1);
            self.board.send_modify(|board| board.notices.confirmed += 1);
        }
        ours
    }

    fn socket_ended(&self, memory: &mut Memory, reason: Closed) {
        if reason == Closed::Ourselves {
            return;
        }
        let now = memory.now();
        let keeper = &mut memory.socket;
        keeper.running = None;
        if keeper.welcomed.take().is_some_and(|at| now.saturating_sub(at) >= GOOD) {
            keeper.ends = 0;
        }
        keeper.again = now + socket_again(&reason, keeper.ends);
        keeper.ends = keeper.ends.saturating_add(1);
        if keeper.said.as_ref() != Some(&reason) {
            tracing::info!(target: "herald::owncast", %reason, "the chat connection ended");
        }
        self.board.send_modify(|board| board.sources.websocket.failed(reason.to_string()));
        keeper.said = Some(reason.clone());
        if matches!(reason, Closed::UnknownToken | Closed::UserDisabled) {
            // Chat would be refused as well.
            self.token.send_replace(None);
            memory.refuse_token();
        }
        if reason == Closed::ChatDisabled {
            memory.facts_read = None;
        }
    }
}
