//! Saying things in chat: the integration API, Owncast's own lines and cards, and what viewers type.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::options::{Faults, Follower, Version};
use super::reply::{Outcome, Reply, bad_request, empty, fresh, internal, set, simple, text, with_body};
use super::server::Call;
use super::state::{ChatKind, ChatLine, Kept, State, User, go_json, lock, remember, short_id};
use super::{Shared, chat, webhook};

/// Everything below `/api/integrations/`, or `None` for an unknown path.
pub(super) fn answer(shared: &Arc<Shared>, call: &Call) -> Option<Outcome> {
    let (scope, reads) = match call.path.as_str() {
        "/api/integrations/chat/system" | "/api/integrations/chat/action" => {
            ("CAN_SEND_SYSTEM_MESSAGES", false)
        }
        "/api/integrations/chat/send" => ("CAN_SEND_MESSAGES", false),
        "/api/integrations/chat" | "/api/integrations/clients" => ("HAS_ADMIN_ACCESS", true),
        _ => return None,
    };
    let Some(user) = bearer(shared, call, scope) else {
        return Some(Ok(text(StatusCode::UNAUTHORIZED, "unauthorized")));
    };
    let mut reply = if reads {
        let state = lock(&shared.state);
        fresh(&if call.path.ends_with("/chat") { history(&state, false) } else { clients(&state) })
    } else {
        say(shared, call, &user)
    };
    set(&mut reply, "access-control-allow-origin", "*");
    Some(Ok(reply))
}

/// The integration whose token and scope allow the call; no scope implies another.
fn bearer(shared: &Shared, call: &Call, scope: &str) -> Option<User> {
    let token = call.header("authorization")?.strip_prefix("Bearer ")?;
    let mut state = lock(&shared.state);
    let user = state.users.iter_mut().find(|user| user.token == token && user.disabled_at.is_none())?;
    user.scopes.as_ref().filter(|scopes| scopes.iter().any(|granted| granted == scope))?;
    user.last_used = Some(Timestamp::now());
    Some(user.clone())
}

fn say(shared: &Arc<Shared>, call: &Call, user: &User) -> Reply {
    let version = lock(&shared.state).version;
    if version >= Version::V0_2 && call.method != "POST" {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let message: Value = match serde_json::from_slice(&call.body) {
        Ok(message) => message,
        Err(_) => return internal(&go_decode_error(&call.body), "application/json"),
    };
    let body = match &message["body"] {
        Value::String(body) => body.as_str(),
        Value::Null if version >= Version::V0_3 => return bad_request("no message body provided"),
        Value::Null => "",
        _ => {
            let problem = "json: cannot unmarshal into Go struct field .body of type string";
            return internal(problem, "application/json");
        }
    };
    match call.path.as_str() {
        "/api/integrations/chat/system" => shared.say_system(body),
        "/api/integrations/chat/action" => {
            shared.say_action(body, chat::action(body));
        }
        _ if body.is_empty() => return bad_request("invalid message contents"),
        _ => shared.say_as(user, body),
    }
    simple(true, "sent")
}

/// The message of Go's JSON decoder, which Owncast passes on.
fn go_decode_error(body: &[u8]) -> String {
    match String::from_utf8_lossy(body).trim_start().chars().next() {
        None => "EOF".to_owned(),
        Some(first) if !matches!(first, '{' | '[' | '"') => {
            format!("invalid character '{first}' looking for beginning of value")
        }
        Some(_) => "unexpected EOF".to_owned(),
    }
}

/// Messages that have a user, as the history endpoints list them.
pub(super) fn history(state: &State, hidden_too: bool) -> Value {
    let kept = state.history.iter().filter(|kept| hidden_too || kept.hidden_at.is_none());
    kept.map(|kept| {
        let mut line = json!({
            "timestamp": kept.at.to_string(), "type": "CHAT", "id": kept.id, "user": kept.user,
            "body": kept.html,
        });
        if let Some(at) = kept.hidden_at {
            line["hiddenAt"] = json!(at.to_string());
        }
        line
    })
    .collect()
}

/// Connected chat clients, as the admin page lists them.
pub(super) fn clients(state: &State) -> Value {
    let sockets = state.sockets.iter().filter_map(|(id, socket)| {
        let user = state.user_by_id(&socket.user_id)?;
        Some(json!({
            "connectedAt": socket.connected_at.to_string(), "geo": null, "user": user.stored_json(),
            "userAgent": "", "ipAddress": "127.0.0.1", "id": id, "messageCount": 0,
        }))
    });
    sockets.collect()
}

/// `/api/admin/chat/messagevisibility`: hides or shows, tells webhooks and viewers, whether the ids exist or not.
pub(super) fn visibility(shared: &Arc<Shared>, call: &Call) -> Outcome {
    let Ok(request) = serde_json::from_slice::<Value>(&call.body) else {
        return Ok(bad_request(&go_decode_error(&call.body)));
    };
    let ids: Vec<String> = serde_json::from_value(request["idArray"].clone()).unwrap_or_default();
    if ids.is_empty() {
        return Err(super::reply::Hangup);
    }
    let visible = request["visible"].as_bool().unwrap_or_default();
    let (event, at, data) = {
        let mut state = lock(&shared.state);
        let at = Timestamp::now();
        for kept in state.history.iter_mut().filter(|kept| ids.contains(&kept.id)) {
            kept.hidden_at = (!visible).then_some(at);
        }
        let event = short_id();
        let data = webhook::visibility_event(&state, &event, &json!(ids), visible, at);
        (event, at, data)
    };
    shared.broadcast(&json!({
        "id": event, "ids": ids, "timestamp": at.to_string(), "type": "VISIBILITY-UPDATE", "visible": visible,
    }));
    shared.raise("VISIBILITY-UPDATE", data);
    Ok(simple(true, "changed"))
}

impl Shared {
    /// Sends one event to every socket. Who does not drain its queue is dropped, as in Owncast.
    pub(super) fn broadcast(&self, event: &Value) {
        let Faults { lose_frames, .. } = *lock(&self.faults);
        if !lose_frames {
            let text = go_json(event);
            lock(&self.state).sockets.retain(|_, socket| socket.outgoing.try_send(text.clone()).is_ok());
        }
        self.touch();
    }

    fn line(&self, kind: ChatKind, body: &str, html: &str) -> ChatLine {
        let line = ChatLine {
            id: short_id(),
            kind,
            body_sent: body.to_owned(),
            html: html.to_owned(),
            at: Timestamp::now(),
        };
        remember(&mut lock(&self.state).lines, line.clone());
        line
    }

    fn say_system(&self, body: &str) {
        let line = self.line(ChatKind::System, body, &chat::system(body));
        let name = lock(&self.state).config.name.clone();
        self.broadcast(&json!({
            "body": line.html, "id": line.id, "timestamp": line.at.to_string(), "type": "SYSTEM",
            "user": {"displayName": name},
        }));
    }

    fn say_action(&self, body: &str, html: String) {
        let line = self.line(ChatKind::Action, body, &html);
        self.broadcast(&json!({
            "body": line.html, "id": line.id, "timestamp": line.at.to_string(), "type": "CHAT_ACTION",
        }));
    }

    /// A line of Owncast's own, which it renders once only.
    pub(super) fn say_own_action(&self, body: &str) {
        self.say_action(body, chat::render(body));
    }

    fn say_as(&self, user: &User, body: &str) {
        let line = self.line(ChatKind::Bot, body, &chat::sent(body));
        self.keep(user, &line);
        self.broadcast(&chat_frame(user, &line));
    }

    fn keep(&self, user: &User, line: &ChatLine) {
        let kept = Kept {
            id: line.id.clone(),
            user: user.stored_json(),
            html: line.html.clone(),
            at: line.at,
            hidden_at: None,
        };
        remember(&mut lock(&self.state).history, kept);
    }

    /// A viewer says something over the websocket; the only thing that raises a `CHAT` webhook.
    pub(super) fn heard(self: &Arc<Self>, user: &User, body: &str) {
        let html = chat::spoken(body);
        if html.is_empty() {
            return;
        }
        let line = self.line(ChatKind::Person, body, &html);
        self.keep(user, &line);
        self.broadcast(&chat_frame(user, &line));
        let data = webhook::chat_event(&lock(&self.state), user, &line.id, body, &line.html, line.at);
        self.raise("CHAT", data);
    }

    /// A card of Owncast's own federation, shown unless chat or engagement is off.
    pub(super) fn say_follow(&self, follower: &Follower) {
        let name = {
            let state = lock(&self.state);
            if state.config.chat_disabled || !state.config.show_engagement {
                return;
            }
            state.config.name.clone()
        };
        let body = format!("{}  followed this stream.", follower.name);
        let line = self.line(ChatKind::Fediverse, &body, &chat::render(&body));
        let image = (!follower.image.is_empty()).then_some(&follower.image);
        self.broadcast(&json!({
            "body": line.html, "id": line.id, "image": image, "link": follower.iri,
            "timestamp": line.at.to_string(), "title": follower.username,
            "type": "FEDIVERSE_ENGAGEMENT_FOLLOW", "user": {"displayName": name},
        }));
    }
}

fn chat_frame(user: &User, line: &ChatLine) -> Value {
    json!({
        "body": line.html, "id": line.id, "timestamp": line.at.to_string(), "type": "CHAT",
        "user": user.json(), "visible": true,
    })
}

/// `POST /api/chat/register` and `GET /api/chat`, or `None` for another path.
pub(super) fn public(shared: &Shared, call: &Call) -> Option<Reply> {
    let mut reply = match call.path.as_str() {
        "/api/chat/register" => register(shared, call),
        "/api/chat" => {
            let state = lock(&shared.state);
            match state.user_by_token(&call.query("accessToken").unwrap_or_default()) {
                Some(_) => fresh(&history(&state, false)),
                None => text(StatusCode::UNAUTHORIZED, "unauthorized"),
            }
        }
        _ => return None,
    };
    set(&mut reply, "access-control-allow-origin", "*");
    Some(reply)
}

fn register(shared: &Shared, call: &Call) -> Reply {
    let mut state = lock(&shared.state);
    if state.config.chat_disabled {
        return with_body(StatusCode::OK, "text/plain; charset=utf-8", "CHAT_DISABLED");
    }
    let request: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let wanted: String = request["displayName"].as_str().unwrap_or_default().chars().take(30).collect();
    let id = short_id();
    let taken = wanted.is_empty()
        || state.config.forbidden_usernames.iter().any(|name| name.eq_ignore_ascii_case(&wanted))
        || state.users.iter().any(|user| user.is_bot() && user.name == wanted);
    let name = if taken { format!("viewer-{}", &id[..4]) } else { wanted };
    let user = User {
        id,
        token: super::state::new_token(),
        previous_names: vec![name.clone()],
        name,
        color: 5,
        created_at: Timestamp::now(),
        name_changed_at: None,
        disabled_at: None,
        last_used: None,
        scopes: None,
    };
    let body = json!({"id": user.id, "accessToken": user.token, "displayName": user.name});
    state.users.push(user);
    fresh(&body)
}
