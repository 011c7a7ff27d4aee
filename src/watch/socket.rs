//! The chat websocket: one connection, never opened while a stream is live, since viewers would see the join.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Memory, Watcher, fresh};
use crate::agent::board::Way;
use crate::model::stream::Phase;
use crate::owncast::websocket::{Closed, Socket, SocketEvent};

/// Pause after a connection ended before the next is tried.
const AGAIN: Duration = Duration::from_secs(10);

/// The connection's task.
pub(super) struct Running {
    task: JoinHandle<()>,
    cancel: CancellationToken,
    started: Timestamp,
}

impl Running {
    /// Closes the connection and waits for it.
    pub(super) async fn stop(self) {
        self.cancel.cancel();
        let _ = self.task.await;
    }
}

impl Watcher {
    /// Opens the connection if there is none and nobody would see it.
    pub(super) async fn keep_socket(
        &self,
        memory: &mut Memory,
        phase: Option<Phase>,
        events: &mpsc::Sender<SocketEvent>,
        cancel: &CancellationToken,
    ) {
        if self.observer.is_some() {
            return;
        }
        if !self.config.borrow().owncast.websocket {
            if let Some(socket) = memory.socket.take() {
                socket.stop().await;
            }
            self.board.send_modify(|board| board.sources.websocket.way = Way::Off("switched off".to_owned()));
            return;
        }
        let quiet = matches!(phase, None | Some(Phase::Ended));
        let chat_disabled = self.effective.borrow().facts.chat_disabled;
        let wait = memory.socket.as_ref().is_some_and(|socket| {
            !socket.task.is_finished() || fresh(socket.started, Timestamp::now(), AGAIN)
        });
        let Some(token) = self.token.borrow().clone() else { return };
        if wait || !quiet || chat_disabled {
            return;
        }
        let socket = match Socket::new(self.api.base()) {
            Ok(socket) => socket,
            Err(error) => {
                self.board.send_modify(|board| board.sources.websocket.way = Way::Broken(error.to_string()));
                return;
            }
        };
        let (events, own) = (events.clone(), cancel.child_token());
        let stop = own.clone();
        let task = tokio::spawn(async move {
            socket.run(&token, &events, &stop).await;
        });
        memory.socket = Some(Running { task, cancel: own, started: Timestamp::now() });
    }

    /// Something came over the websocket.
    pub(super) fn heard(&self, memory: &mut Memory, event: SocketEvent) {
        match event {
            SocketEvent::Connected { display_name } => {
                tracing::info!(target: "herald::owncast", name = display_name, "connected to Owncast's chat");
                self.board.send_modify(|board| board.sources.websocket.way = Way::Works);
            }
            SocketEvent::Closed { reason } => {
                if reason == Closed::UnknownToken {
                    memory.provisioned = None;
                }
                if reason != Closed::Ourselves {
                    tracing::info!(target: "herald::owncast", %reason, "the chat connection ended");
                    self.board
                        .send_modify(|board| board.sources.websocket.way = Way::Broken(reason.to_string()));
                }
            }
            // Each of these only wakes the loop, which then looks for itself.
            SocketEvent::Visibility { .. }
            | SocketEvent::System { .. }
            | SocketEvent::Action { .. }
            | SocketEvent::Chat { .. }
            | SocketEvent::Other => {}
        }
    }
}
