//! `/ws`: who may connect, what they hear, what they may say.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use super::options::SocketRefusal;
use super::reply::{Reply, empty, text};
use super::state::{Socket, User, go_json, lock, short_id};
use super::{Shared, webhook};

/// Frames waiting for one client before it is dropped.
const WAITING: usize = 256;
/// Messages of viewers beyond this many bytes are not shown.
const LONGEST: usize = 2048;

type Client = WebSocketStream<TokioIo<Upgraded>>;

/// Answers the upgrade request; refusals before the upgrade are HTTP 200 with a text, as in Owncast.
pub(super) fn answer(shared: &Arc<Shared>, mut request: http::Request<Incoming>, token: String) -> Reply {
    let refusal = lock(&shared.faults).refuse_sockets;
    match refusal {
        SocketRefusal::None => {}
        SocketRefusal::TooMany => return text(StatusCode::OK, "ERROR_MAX_CONNECTIONS_EXCEEDED"),
        SocketRefusal::Banned => return empty(StatusCode::FORBIDDEN),
    }
    if lock(&shared.state).config.chat_disabled {
        return text(StatusCode::OK, "CHAT_DISABLED");
    }
    let Some(key) = request.headers().get("sec-websocket-key") else {
        return text(StatusCode::BAD_REQUEST, "Bad Request\n");
    };
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let upgrade = hyper::upgrade::on(&mut request);
    let serving = shared.clone();
    shared.spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let client = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            serve(serving, client, &token).await;
        }
    });
    let mut reply = empty(StatusCode::SWITCHING_PROTOCOLS);
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    reply.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = accept {
        reply.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    reply
}

async fn serve(shared: Arc<Shared>, mut client: Client, token: &str) {
    let user = lock(&shared.state).user_by_token(token).cloned();
    let refusal = match &user {
        None if token.is_empty() => None,
        None => Some(json!({"type": "ERROR_NEEDS_REGISTRATION"})),
        Some(user) if user.disabled_at.is_some() => Some(json!({"type": "ERROR_USER_DISABLED"})),
        Some(user) => {
            let user = user.clone();
            stay(shared, client, user).await;
            return;
        }
    };
    // The refused hear why over the open socket; that they are gone already is no concern of the server's.
    if let Some(refusal) = refusal {
        let _ = client.send(Message::text(go_json(&refusal))).await;
    }
    let _ = client.close(None).await;
}

async fn stay(shared: Arc<Shared>, client: Client, user: User) {
    let (outgoing, queue) = mpsc::channel(WAITING);
    let (number, first) = {
        let mut state = lock(&shared.state);
        let first = !state.sockets.values().any(|socket| socket.user_id == user.id);
        state.last_socket += 1;
        let number = state.last_socket;
        let socket =
            Socket { user_id: user.id.clone(), outgoing: outgoing.clone(), connected_at: Timestamp::now() };
        state.sockets.insert(number, socket);
        (number, first)
    };
    let _ = outgoing.try_send(go_json(&user_info(&user)));
    drop(outgoing);
    if first {
        joined(&shared, &user);
    }
    shared.touch();
    talk(&shared, client, queue, &user.id).await;
    lock(&shared.state).sockets.remove(&number);
    shared.touch();
    part_later(&shared, user.id);
}

async fn talk(shared: &Arc<Shared>, client: Client, mut queue: mpsc::Receiver<String>, user_id: &str) {
    let (mut sink, mut stream) = client.split();
    let every = shared.pace.ping_every;
    let mut pings = interval_at(Instant::now() + every, every);
    loop {
        tokio::select! {
            text = queue.recv() => {
                // The queue closes when the server dropped this client for not draining it.
                let Some(mut text) = text else { break };
                // What waits goes along in the same frame, one object a line.
                while let Ok(more) = queue.try_recv() {
                    text.push('\n');
                    text.push_str(&more);
                }
                if sink.send(Message::text(text)).await.is_err() {
                    break;
                }
            }
            _ = pings.tick() => {
                if sink.send(Message::Ping(bytes::Bytes::new())).await.is_err() {
                    break;
                }
            }
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => hear(shared, user_id, &text),
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    let _ = sink.close().await;
}

fn hear(shared: &Arc<Shared>, user_id: &str, text: &str) {
    let Ok(event) = serde_json::from_str::<Value>(text) else { return };
    let Some(user) = lock(&shared.state).user_by_id(user_id).cloned() else { return };
    match event["type"].as_str() {
        Some("CHAT") if text.len() <= LONGEST => {
            shared.heard(&user, event["body"].as_str().unwrap_or_default())
        }
        Some("NAME_CHANGE") => rename(shared, user, event["newName"].as_str().unwrap_or_default()),
        Some("COLOR_CHANGE") => {
            let user = change(shared, user_id, |user| {
                user.color = event["newColor"].as_u64().filter(|color| *color <= 7).unwrap_or(user.color);
            });
            tell_own_sockets(shared, user);
        }
        _ => {}
    }
}

fn rename(shared: &Arc<Shared>, user: User, name: &str) {
    let name: String = name.chars().take(30).collect();
    let forbidden = {
        let state = lock(&shared.state);
        let reserved = state.users.iter().any(|other| other.is_bot() && other.name == name);
        reserved || state.config.forbidden_usernames.iter().any(|other| other.eq_ignore_ascii_case(&name))
    };
    if name.is_empty() || name == user.name || forbidden {
        return;
    }
    let Some(renamed) = change(shared, &user.id, |user| {
        user.name = name;
        user.name_changed_at = Some(Timestamp::now());
    }) else {
        return;
    };
    shared.broadcast(&json!({
        "id": short_id(), "oldName": user.name, "timestamp": Timestamp::now().to_string(),
        "type": "NAME_CHANGE", "user": renamed.json(),
    }));
    let data = webhook::name_event(&lock(&shared.state), &renamed);
    shared.raise("NAME_CHANGE", data);
    tell_own_sockets(shared, Some(renamed));
}

fn change(shared: &Shared, id: &str, how: impl FnOnce(&mut User)) -> Option<User> {
    let mut state = lock(&shared.state);
    let user = state.users.iter_mut().find(|user| user.id == id)?;
    how(user);
    Some(user.clone())
}

fn tell_own_sockets(shared: &Shared, user: Option<User>) {
    let Some(user) = user else { return };
    let text = go_json(&user_info(&user));
    for socket in lock(&shared.state).sockets.values().filter(|socket| socket.user_id == user.id) {
        let _ = socket.outgoing.try_send(text.clone());
    }
}

fn user_info(user: &User) -> Value {
    json!({
        "user": user.stored_json(), "timestamp": Timestamp::now().to_string(), "type": "CONNECTED_USER_INFO",
        "id": short_id(),
    })
}

fn joined(shared: &Arc<Shared>, user: &User) {
    let data = {
        let state = lock(&shared.state);
        if !state.stream.online || !state.config.chat_join_messages {
            return;
        }
        webhook::presence_event(&state, user)
    };
    shared.broadcast(&presence("USER_JOINED", user));
    shared.raise("USER_JOINED", data);
}

/// `USER_PARTED` comes some seconds after the last socket closed, unless the user came back.
fn part_later(shared: &Arc<Shared>, user_id: String) {
    let parting = shared.clone();
    shared.spawn(async move {
        sleep(parting.pace.part_after).await;
        let (user, shown, data) = {
            let state = lock(&parting.state);
            let Some(user) = state.user_by_id(&user_id).cloned() else { return };
            if state.sockets.values().any(|socket| socket.user_id == user_id) {
                return;
            }
            let data = webhook::presence_event(&state, &user);
            (user, state.config.chat_join_messages && state.stream.online, data)
        };
        if shown {
            parting.broadcast(&presence("USER_PARTED", &user));
        }
        parting.raise("USER_PARTED", data);
    });
}

fn presence(kind: &str, user: &User) -> Value {
    json!({"id": short_id(), "timestamp": Timestamp::now().to_string(), "type": kind, "user": user.json()})
}
