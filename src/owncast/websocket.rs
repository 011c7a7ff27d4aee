//! One connection to Owncast's chat websocket. It gives hints and confirms notices; whether and when to connect
//! again is the caller's decision, because a connect during a stream shows viewers a join line.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::answer::Door;
use super::error::{OwncastError, one_line, root_cause, shown};
use super::frames::{self, Frame, MAX_MESSAGE};
use super::transport::{checked_base, failed, http_client, read};
use crate::model::Secret;

/// A live Owncast answers our pings: when nothing came for this long, the connection is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// Pings that may go unanswered within [`SILENCE`].
const UNANSWERED: u32 = 2;
/// Time to connect and be upgraded.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time to say good-bye when cancelled.
const GOODBYE: Duration = Duration::from_secs(1);
/// Most of a refusal's body that is read, bytes; the known ones have one word.
const REFUSAL_LIMIT: usize = 64 * 1024;

/// What one connection reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketEvent {
    /// Owncast accepted the token; always first, once.
    Connected {
        /// The name the agent appears under.
        display_name: String,
    },
    /// Chat messages were shown or hidden; the probe's echo.
    Visibility {
        /// The messages' ids, at most 64.
        ids: Vec<String>,
    },
    /// A system message was shown.
    System {
        /// Message id.
        id: String,
        /// Rendered HTML.
        body: String,
    },
    /// An action line was shown.
    Action {
        /// Message id.
        id: String,
        /// Rendered HTML.
        body: String,
    },
    /// A chat line was shown.
    Chat {
        /// Message id.
        id: String,
        /// Rendered HTML, from a stranger.
        body: String,
        /// Chosen by its author.
        display_name: String,
        /// Said by an access token.
        is_bot: bool,
    },
    /// Owncast answered a ping.
    Alive {
        /// Time from the ping to its answer.
        round_trip: Duration,
    },
    /// Something else happened in chat.
    Other,
    /// The connection is over; last, once.
    Closed {
        /// Why.
        reason: Closed,
    },
}

/// Why a connection ended, by what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The agent stops, or nobody listens to the events any more.
    #[error("the agent closed it")]
    Ourselves,
    /// Chat is switched off in Owncast: pointless until `chatDisabled` turns false.
    #[error("chat is switched off in Owncast")]
    ChatDisabled,
    /// Owncast has no file descriptors to spare: later.
    #[error(
        "Owncast takes no more chat connections (ERROR_MAX_CONNECTIONS_EXCEEDED); raise its limit of open files"
    )]
    TooManyConnections,
    /// Our address is banned in Owncast's chat.
    #[error("Owncast's chat bans this machine's address (HTTP 403); remove the IP ban in its admin page")]
    Banned,
    /// The token is unknown or gone: provision again.
    #[error("Owncast does not know the agent's access token any more")]
    UnknownToken,
    /// The token's user is disabled: by a moderator, or because the token was deleted. Provision again.
    #[error("Owncast has disabled the user of the agent's access token, as it does when a token is deleted")]
    UserDisabled,
    /// No websocket there: a proxy without upgrade, or another service.
    #[error("what answers at {url} is not Owncast's chat: {answered}; use Owncast's own address")]
    NotOwncast {
        /// Where, without the token.
        url: String,
        /// What came instead.
        answered: String,
    },
    /// Not reachable, or broken off: later.
    #[error("the connection failed: {0}")]
    Lost(String),
    /// Owncast closed it in good order.
    #[error("Owncast closed the connection")]
    ByOwncast,
    /// Nothing came for a minute, not even an answer to our pings.
    #[error("Owncast was silent for too long")]
    Silent,
}

/// One websocket connection, to be run as a task.
#[derive(Debug)]
pub struct Socket {
    client: reqwest::Client,
    address: Url,
    silence: Duration,
}

impl Socket {
    /// A connection to `<base>/ws`; nothing is sent yet. The upgrade goes through an HTTP client of the same
    /// kind as the API's, so that a refusal's body can be read whole.
    ///
    /// # Errors
    /// [`OwncastError::Address`] as for [`super::Api::new`].
    pub fn new(base: &Url) -> Result<Socket, OwncastError> {
        let mut address = checked_base(base)?;
        if let Ok(mut path) = address.path_segments_mut() {
            path.pop_if_empty().push("ws");
        }
        let client = http_client(&address)
            .http1_only()
            .pool_max_idle_per_host(0)
            .connect_timeout(Duration::from_secs(3))
            .build()
            .map_err(|error| OwncastError::Unreachable {
                url: shown(base),
                reason: root_cause(&error),
                arrived: false,
            })?;
        Ok(Socket { client, address, silence: SILENCE })
    }

    /// Holds one connection until it ends or `cancel` fires. Events wait for room in the channel: a listener
    /// that stops reading stops the socket, and Owncast then drops it. Returns what the
    /// last event says; only a cancelled run into a full channel leaves that event out.
    pub async fn run(
        &self,
        token: &Secret,
        events: &mpsc::Sender<SocketEvent>,
        cancel: &CancellationToken,
    ) -> Closed {
        let reason = tokio::select! {
            biased;
            () = cancel.cancelled() => Closed::Ourselves,
            connected = tokio::time::timeout(HANDSHAKE, self.connect(token)) => match connected {
                Ok(Ok(stream)) => self.listen(stream, events, cancel).await,
                Ok(Err(reason)) => reason,
                Err(_) => Closed::Lost("no answer to the upgrade".to_owned()),
            },
        };
        tokio::select! {
            biased;
            // Nobody left to tell is no loss.
            _ = events.send(SocketEvent::Closed { reason: reason.clone() }) => {}
            // A full channel must not hold up the agent's stop.
            () = cancel.cancelled() => {}
        }
        reason
    }

    async fn connect(&self, token: &Secret) -> Result<WebSocketStream<reqwest::Upgraded>, Closed> {
        let mut address = self.address.clone();
        address.query_pairs_mut().append_pair("accessToken", token.expose());
        let key = generate_key();
        let lost = |error: &reqwest::Error| Closed::Lost(failed(&self.address, error).to_string());
        let response = self
            .client
            .get(address)
            .header(CONNECTION, HeaderValue::from_static("Upgrade"))
            .header(UPGRADE, HeaderValue::from_static("websocket"))
            .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
            .header(SEC_WEBSOCKET_KEY, &key)
            .send()
            .await
            .map_err(|error| lost(&error))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let raw = read(response, &self.address, Door::Public, REFUSAL_LIMIT)
                .await
                .map_err(|error| Closed::Lost(error.to_string()))?;
            return Err(refusal(&self.address, raw.status, &raw.body));
        }
        let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            let answered = "an upgrade to something else".to_owned();
            return Err(Closed::NotOwncast { url: shown(&self.address), answered });
        }
        let upgraded = response.upgrade().await.map_err(|error| lost(&error))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .write_buffer_size(0)
            .max_write_buffer_size(64 * 1024)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
    }

    async fn listen(
        &self,
        mut stream: WebSocketStream<reqwest::Upgraded>,
        events: &mpsc::Sender<SocketEvent>,
        cancel: &CancellationToken,
    ) -> Closed {
        let (mut welcomed, mut unanswered) = (false, 0);
        let every = self.silence / (UNANSWERED + 1);
        let mut pings = interval_at(Instant::now() + every, every);
        // A listener that held us up for long must not make us send what was missed.
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pinged = None;
        loop {
            // Reading also answers pings: tungstenite queues the pong and sends it with the next read.
            let message = tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    let _ = tokio::time::timeout(GOODBYE, stream.close(None)).await;
                    return Closed::Ourselves;
                }
                message = stream.next() => message,
                _ = pings.tick() => {
                    if unanswered == UNANSWERED {
                        return Closed::Silent;
                    }
                    unanswered += 1;
                    pinged = Some(Instant::now());
                    match tokio::time::timeout(every, stream.send(Message::Ping(Bytes::new()))).await {
                        Ok(Ok(())) => continue,
                        Ok(Err(error)) => return ended(&error),
                        Err(_) => return Closed::Silent,
                    }
                }
            };
            unanswered = 0;
            let frames = match message {
                None => return Closed::ByOwncast,
                Some(Err(error)) => return ended(&error),
                Some(Ok(Message::Text(text))) => frames::parse(text.as_str()),
                Some(Ok(Message::Close(_))) => {
                    let _ = tokio::time::timeout(GOODBYE, stream.flush()).await;
                    return Closed::ByOwncast;
                }
                Some(Ok(Message::Pong(_))) => {
                    if let Some(at) = pinged.take() {
                        let alive = SocketEvent::Alive { round_trip: at.elapsed() };
                        if let Some(ended) = tell(alive, events, cancel).await {
                            return ended;
                        }
                    }
                    continue;
                }
                Some(Ok(_)) => continue,
            };
            for frame in frames {
                let event = match frame {
                    Frame::NeedsRegistration => return Closed::UnknownToken,
                    Frame::UserDisabled => return Closed::UserDisabled,
                    Frame::Welcome { display_name } if !welcomed => {
                        welcomed = true;
                        SocketEvent::Connected { display_name }
                    }
                    Frame::Welcome { .. } | Frame::Other => SocketEvent::Other,
                    Frame::Visibility { ids } => SocketEvent::Visibility { ids },
                    Frame::System { id, body } => SocketEvent::System { id, body },
                    Frame::Action { id, body } => SocketEvent::Action { id, body },
                    Frame::Chat { id, body, display_name, is_bot } => {
                        SocketEvent::Chat { id, body, display_name, is_bot }
                    }
                };
                if let Some(ended) = tell(event, events, cancel).await {
                    return ended;
                }
            }
        }
    }
}

/// Passes an event on. Answers how the connection ends when it has to: nobody listens any more, or we are to stop.
async fn tell(
    event: SocketEvent,
    events: &mpsc::Sender<SocketEvent>,
    cancel: &CancellationToken,
) -> Option<Closed> {
    let sent = tokio::select! {
        biased;
        () = cancel.cancelled() => return Some(Closed::Ourselves),
        sent = events.send(event) => sent,
    };
    sent.is_err().then_some(Closed::Ourselves)
}

/// Owncast refuses with HTTP 200 and one word; others in their own ways.
fn refusal(url: &Url, status: StatusCode, body: &[u8]) -> Closed {
    let text = String::from_utf8_lossy(body);
    match (status.as_u16(), text.trim()) {
        (200, "CHAT_DISABLED") => Closed::ChatDisabled,
        (200, "ERROR_MAX_CONNECTIONS_EXCEEDED") => Closed::TooManyConnections,
        (401, _) => Closed::UnknownToken,
        (403, _) => Closed::Banned,
        (408 | 429 | 500..=599, _) => Closed::Lost(format!("HTTP {} instead of an upgrade", status.as_u16())),
        (code, text) => {
            let first = one_line(text.lines().next().unwrap_or_default());
            let answered = format!("HTTP {code} {first:?} instead of an upgrade");
            Closed::NotOwncast { url: shown(url), answered }
        }
    }
}

fn ended(error: &WsError) -> Closed {
    match error {
        WsError::ConnectionClosed | WsError::AlreadyClosed => Closed::ByOwncast,
        other => Closed::Lost(root_cause(other)),
    }
}

#[cfg(test)]
#[path = "websocket_tests.rs"]
mod tests;
