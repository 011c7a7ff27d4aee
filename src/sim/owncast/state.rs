//! What a simulated Owncast knows: its database, its statistics and who is connected.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::options::{Config, FederationAction, Follower, Options, Version};

/// How many lines, requests and posts are remembered; the oldest fall out.
const REMEMBERED: usize = 20_000;

/// Go's zero time, which Owncast sends where nothing was set.
pub(super) const YEAR_ONE: &str = "0001-01-01T00:00:00Z";

/// Which kind of line stands in chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatKind {
    /// A purple card headed with the server's name (`SYSTEM`).
    System,
    /// A small dark centred line (`CHAT_ACTION`).
    Action,
    /// An ordinary line by an integration (`CHAT`, `isBot`).
    Bot,
    /// An ordinary line by a viewer (`CHAT`).
    Person,
    /// A card of Owncast's own federation (`FEDIVERSE_ENGAGEMENT_*`).
    Fediverse,
}

/// A line as it went out to the viewers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatLine {
    /// Owncast's id of the message.
    pub id: String,
    /// Kind of line.
    pub kind: ChatKind,
    /// What the sender posted, before rendering.
    pub body_sent: String,
    /// The HTML in the websocket frame.
    pub html: String,
    /// When it was broadcast.
    pub at: Timestamp,
}

/// A registered webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Owncast's number for it, starting at 1 and never used twice.
    pub id: u64,
    /// Where events are posted.
    pub url: String,
    /// Subscribed event types.
    pub events: Vec<String>,
    /// Signing secret, used from 0.3.0 on.
    pub secret: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When an event was last delivered.
    pub last_used: Option<Timestamp>,
}

/// An integration's access token.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Display name, which is also the bot's chat name.
    pub name: String,
    /// The token itself.
    pub token: String,
    /// Granted scopes.
    pub scopes: Vec<String>,
}

impl fmt::Debug for Webhook {
    /// Without address and secret: either lets somebody pose as Owncast.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("id", &self.id).field("events", &self.events).finish_non_exhaustive()
    }
}

impl fmt::Debug for AccessToken {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// An HTTP request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method in capitals.
    pub method: String,
    /// Path without the query.
    pub path: String,
}

/// A post Owncast's own federation made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPost {
    /// Short id: the note is `<server url>/federation/<id>`.
    pub id: String,
    /// What the streamer wrote, before rendering.
    pub text: String,
    /// A go-live post, not one written by hand.
    pub live: bool,
    /// When it was made.
    pub at: Timestamp,
}

/// A chat user: a viewer, or an integration with its token.
#[derive(Clone)]
pub(super) struct User {
    pub id: String,
    pub token: String,
    pub name: String,
    pub previous_names: Vec<String>,
    pub color: u64,
    pub created_at: Timestamp,
    pub name_changed_at: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    pub last_used: Option<Timestamp>,
    /// `Some` for an integration.
    pub scopes: Option<Vec<String>>,
}

impl User {
    pub fn is_bot(&self) -> bool {
        self.scopes.is_some()
    }

    /// The `user` object of websocket frames and webhooks.
    pub fn json(&self) -> Value {
        let created_at = if self.is_bot() { seconds(self.created_at) } else { self.created_at.to_string() };
        let mut user = json!({"createdAt": created_at});
        if let Some(at) = self.disabled_at {
            user["disabledAt"] = json!(at.to_string());
        }
        if !self.is_bot() {
            user["nameChangedAt"] = json!(self.name_changed_at.map_or(YEAR_ONE.into(), |at| at.to_string()));
        }
        user["id"] = json!(self.id);
        user["displayName"] = json!(self.name);
        user["previousNames"] = if self.is_bot() { Value::Null } else { json!(self.previous_names) };
        user["displayColor"] = json!(self.color);
        user["isBot"] = json!(self.is_bot());
        user["authenticated"] = json!(false);
        user
    }

    /// The `user` object as read back from the database, with an integration's scopes.
    pub fn stored_json(&self) -> Value {
        let Some(scopes) = &self.scopes else { return self.json() };
        json!({
            "createdAt": seconds(self.created_at), "id": self.id, "displayName": self.name,
            "previousNames": [self.name], "scopes": scopes, "displayColor": self.color,
            "isBot": true, "authenticated": false,
        })
    }
}

/// A message kept in the history: only those with a user come back after a reload.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub id: String,
    pub user: Value,
    pub html: String,
    pub at: Timestamp,
    pub hidden_at: Option<Timestamp>,
}

/// One connected websocket.
pub(super) struct Socket {
    pub user_id: String,
    pub outgoing: mpsc::Sender<String>,
    pub connected_at: Timestamp,
}

/// Statistics of the stream; forgotten at a restart but for the saved disconnect.
#[derive(Default)]
pub(super) struct Stream {
    pub last_connect: Option<Timestamp>,
    pub last_disconnect: Option<Timestamp>,
    /// As in the database: a connection clears the one above, not this.
    pub saved_disconnect: Option<Timestamp>,
    pub online: bool,
    pub viewers: u64,
    /// Ends the tasks that drive the current connection.
    pub running: Option<CancellationToken>,
    pub last_own_post: Option<Timestamp>,
}

/// Files in Owncast's temporary folder.
#[derive(Default)]
pub(super) struct Pictures {
    pub thumbnail: Option<Bytes>,
    pub preview: Option<Bytes>,
    /// Number of the next picture; never used twice.
    pub next: u32,
}

/// Everything behind the one lock.
pub(super) struct State {
    pub version: Version,
    pub config: Config,
    pub public_key_pem: String,
    pub installed_at: Timestamp,
    pub webhooks: Vec<Webhook>,
    pub last_webhook_id: u64,
    pub users: Vec<User>,
    pub followers: Vec<Follower>,
    pub actions: Vec<FederationAction>,
    pub own_posts: Vec<OwnPost>,
    pub stream: Stream,
    pub pictures: Pictures,
    pub lines: VecDeque<ChatLine>,
    pub history: VecDeque<Kept>,
    pub requests: VecDeque<Request>,
    pub sockets: BTreeMap<u64, Socket>,
    pub last_socket: u64,
}

impl State {
    pub fn new(options: &Options) -> State {
        State {
            version: options.version,
            config: options.config(),
            public_key_pem: options.public_key_pem.clone(),
            installed_at: Timestamp::now(),
            webhooks: Vec::new(),
            last_webhook_id: 0,
            users: Vec::new(),
            followers: options.followers.clone(),
            actions: options.actions.clone(),
            own_posts: Vec::new(),
            stream: Stream::default(),
            pictures: Pictures::default(),
            lines: VecDeque::new(),
            history: VecDeque::new(),
            requests: VecDeque::new(),
            sockets: BTreeMap::new(),
            last_socket: 0,
        }
    }

    pub fn user_by_token(&self, token: &str) -> Option<&User> {
        self.users.iter().find(|user| !token.is_empty() && user.token == token)
    }

    pub fn user_by_id(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// People watching: players, not chat sockets.
    pub fn viewers(&self) -> u64 {
        if self.stream.online { self.stream.viewers } else { 0 }
    }

    /// The `status` object of event data.
    pub fn status_json(&self) -> Value {
        json!({
            "lastConnectTime": self.stream.last_connect.map(seconds),
            "lastDisconnectTime": self.stream.last_disconnect.map(seconds),
            "versionNumber": self.version.number(),
            "streamTitle": self.config.stream_title,
            "viewerCount": self.viewers(),
            "overallMaxViewerCount": 0,
            "sessionMaxViewerCount": 0,
            "online": self.stream.online,
        })
    }
}

/// Appends, and lets the oldest fall out.
pub(super) fn remember<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == REMEMBERED {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Locks even after a panic elsewhere: a failed assertion in one test task must not hide behind a second one.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// RFC 3339 to the second, as Owncast writes times that come from its statistics or its database.
pub(super) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A random id of the look of Owncast's short ids.
pub(super) fn short_id() -> String {
    random_text(7)
}

/// A random access token.
pub(super) fn new_token() -> String {
    random_text(32)
}

fn random_text(bytes: usize) -> String {
    use base64::Engine as _;
    let mut random = vec![0; bytes];
    if openssl::rand::rand_bytes(&mut random).is_err() {
        return ulid::Ulid::generate().to_string();
    }
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)
}

/// JSON text as Go's encoder writes it: the characters that mean something in HTML are escaped.
pub(super) fn go_json(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)))
            }
            c => escaped.push(c),
        }
    }
    escaped
}
