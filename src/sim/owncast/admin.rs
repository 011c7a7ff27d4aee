//! The admin API below `/api/admin/`.

use std::sync::Arc;

use base64::Engine as _;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::options::{FollowerState, Version};
use super::reply::{Outcome, Reply, bad_request, empty, fresh, internal, set, simple, text};
use super::server::Call;
use super::state::{State, User, Webhook, lock, new_token, seconds, short_id};
use super::{Shared, federation, settings, talk, webhook};

const SCOPES: [&str; 3] = ["CAN_SEND_MESSAGES", "CAN_SEND_SYSTEM_MESSAGES", "HAS_ADMIN_ACCESS"];

/// Everything below `/api/admin/`, after Basic authentication.
pub(super) fn answer(shared: &Arc<Shared>, call: &Call) -> Outcome {
    let mut reply = if authorised(shared, call) {
        route(shared, call)?
    } else {
        let mut reply = text(StatusCode::UNAUTHORIZED, "Unauthorized\n");
        set(&mut reply, "www-authenticate", "Basic realm=\"Owncast Authenticated Request\"");
        set(&mut reply, "x-content-type-options", "nosniff");
        reply
    };
    set(&mut reply, "access-control-allow-credentials", "true");
    set(
        &mut reply,
        "access-control-allow-headers",
        "Origin, X-Requested-With, Content-Type, Accept, Authorization",
    );
    set(&mut reply, "access-control-allow-origin", "http://localhost:3000");
    Ok(reply)
}

fn authorised(shared: &Shared, call: &Call) -> bool {
    let credentials = call.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let decoded =
        credentials.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text.trim()).ok());
    let state = lock(&shared.state);
    decoded.is_some_and(|given| given == format!("admin:{}", state.config.admin_password).into_bytes())
}

fn route(shared: &Arc<Shared>, call: &Call) -> Outcome {
    let path = call.path.trim_start_matches("/api/admin/");
    if let Some(setting) = path.strip_prefix("config/") {
        return settings::change(shared, call, setting);
    }
    Ok(match path {
        "status" => fresh(&status(&lock(&shared.state))),
        "serverconfig" if lock(&shared.faults).hide_settings => empty(StatusCode::INTERNAL_SERVER_ERROR),
        "serverconfig" => fresh(&settings::server_config(&lock(&shared.state))),
        "webhooks" => fresh(&webhooks(&lock(&shared.state))),
        "webhooks/create" => create_webhook(shared, call),
        "webhooks/delete" => delete_webhook(shared, call),
        "accesstokens" => fresh(&tokens(&lock(&shared.state))),
        "accesstokens/create" => create_token(shared, call),
        "accesstokens/delete" => delete_token(shared, call),
        "chat/messages" => fresh(&talk::history(&lock(&shared.state), true)),
        "chat/clients" => fresh(&talk::clients(&lock(&shared.state))),
        "chat/messagevisibility" => return talk::visibility(shared, call),
        "followers" => fresh(&federation::followers_page(shared, &lock(&shared.state), call)),
        "followers/pending" => fresh(&federation::followers_in(&lock(&shared.state), FollowerState::Pending)),
        "followers/blocked" => fresh(&federation::followers_in(&lock(&shared.state), FollowerState::Blocked)),
        "followers/approve" => federation::approve(shared, call),
        "federation/actions" => fresh(&federation::actions(&lock(&shared.state), call)),
        "federation/send" => return federation::send(shared, call),
        "disconnect" if shared.disconnect(false) => simple(true, "inbound stream disconnected"),
        "disconnect" => simple(false, "no inbound stream connected"),
        _ => empty(StatusCode::NOT_FOUND),
    })
}

fn status(state: &State) -> Value {
    let connected = state.stream.last_connect;
    let broadcaster = connected.map(|at| {
        json!({
            "time": at.to_string(), "remoteAddr": "127.0.0.1:36244",
            "streamDetails": {
                "videoCodec": "H.264", "audioCodec": "AAC", "encoder": "Lavf59.27.100", "width": 640,
                "height": 360, "videoBitrate": 0, "audioBitrate": 67, "framerate": 25,
            },
        })
    });
    let broadcast = connected.map(|_| {
        json!({
            "outputSettings": [{
                "name": "", "videoPassthrough": false, "audioPassthrough": true, "videoBitrate": 1200,
                "audioBitrate": 0, "cpuUsageLevel": 2, "framerate": 24,
            }],
            "latencyLevel": {"level": 2},
        })
    });
    json!({
        "broadcaster": broadcaster, "currentBroadcast": broadcast, "health": null,
        "streamTitle": state.config.stream_title, "versionNumber": state.version.number(),
        "viewerCount": state.viewers(), "overallPeakViewerCount": 0, "sessionPeakViewerCount": 0,
        "online": state.stream.online,
    })
}

fn webhook_json(webhook: &Webhook, version: Version, timestamp: String) -> Value {
    let mut shown = json!({
        "timestamp": timestamp, "lastUsed": webhook.last_used.map(seconds), "url": webhook.url,
        "events": webhook.events, "id": webhook.id,
    });
    if version >= Version::V0_3 {
        shown["secret"] = json!(webhook.secret);
    }
    shown
}

fn webhooks(state: &State) -> Value {
    let listed = state.webhooks.iter();
    listed.map(|webhook| webhook_json(webhook, state.version, seconds(webhook.created_at))).collect()
}

fn create_webhook(shared: &Shared, call: &Call) -> Reply {
    let Ok(request) = serde_json::from_slice::<Value>(&call.body) else {
        return bad_request("unable to decode request");
    };
    let strings = |value: &Value| serde_json::from_value::<Vec<String>>(value.clone()).unwrap_or_default();
    let (url, events) = (request["url"].as_str().unwrap_or_default(), strings(&request["events"]));
    let mut state = lock(&shared.state);
    if events.iter().any(|event| !webhook::known_event(state.version, event)) {
        return bad_request("one or more invalid event provided");
    }
    state.last_webhook_id += 1;
    let webhook = Webhook {
        id: state.last_webhook_id,
        url: url.to_owned(),
        events,
        secret: request["secret"].as_str().unwrap_or_default().to_owned(),
        created_at: Timestamp::now(),
        last_used: None,
    };
    let reply = fresh(&webhook_json(&webhook, state.version, webhook.created_at.to_string()));
    state.webhooks.push(webhook);
    reply
}

fn delete_webhook(shared: &Shared, call: &Call) -> Reply {
    let request: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let Some(id) = request["id"].as_u64() else { return bad_request("unable to decode request") };
    let mut state = lock(&shared.state);
    let before = state.webhooks.len();
    state.webhooks.retain(|webhook| webhook.id != id);
    if state.webhooks.len() == before {
        return internal(&format!("{id} not found"), "text/plain; charset=utf-8");
    }
    simple(true, "deleted webhook")
}

fn token_json(user: &User, scopes: &[String], created: bool) -> Value {
    let mut shown =
        json!({"createdAt": if created { user.created_at.to_string() } else { seconds(user.created_at) }});
    if let Some(at) = user.last_used.filter(|_| !created) {
        shown["lastUsedAt"] = json!(seconds(at));
    }
    // The answer to the creation has neither the id nor the bot mark that the list has.
    shown["id"] = json!(if created { "" } else { &user.id });
    shown["accessToken"] = json!(user.token);
    shown["displayName"] = json!(user.name);
    shown["scopes"] = json!(scopes);
    shown["displayColor"] = json!(user.color);
    shown["isBot"] = json!(!created);
    shown
}

fn tokens(state: &State) -> Value {
    let bots = state.users.iter().filter(|user| user.disabled_at.is_none());
    bots.filter_map(|user| Some(token_json(user, user.scopes.as_ref()?, false))).collect()
}

fn create_token(shared: &Shared, call: &Call) -> Reply {
    let request: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let scopes: Vec<String> = serde_json::from_value(request["scopes"].clone()).unwrap_or_default();
    if scopes.is_empty() || scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
        return bad_request("one or more invalid scopes provided");
    }
    let name = request["name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return bad_request("name is required");
    }
    let now = Timestamp::now();
    let user = User {
        id: short_id(),
        token: new_token(),
        previous_names: vec![name.clone()],
        name,
        color: 2,
        created_at: now,
        name_changed_at: None,
        disabled_at: None,
        last_used: Some(now),
        scopes: Some(scopes.clone()),
    };
    let reply = fresh(&token_json(&user, &scopes, true));
    lock(&shared.state).users.push(user);
    reply
}

/// Deleting what is not there succeeds too.
fn delete_token(shared: &Shared, call: &Call) -> Reply {
    let request: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let Some(token) = request["token"].as_str().filter(|token| !token.is_empty()) else {
        return bad_request("must provide a token");
    };
    lock(&shared.state).users.retain(|user| user.token != token);
    simple(true, "deleted token")
}
