//! Webhooks as Owncast's workers post them: no time-out, no retry, any status taken for success.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::{Value, json};

use super::Shared;
use super::options::Version;
use super::state::{State, User, Webhook, YEAR_ONE, go_json, lock, short_id};

/// Event names a subscription may hold, by version.
pub(super) fn known_event(version: Version, name: &str) -> bool {
    matches!(
        name,
        "CHAT"
            | "USER_JOINED"
            | "USER_PARTED"
            | "NAME_CHANGE"
            | "VISIBILITY-UPDATE"
            | "STREAM_STARTED"
            | "STREAM_STOPPED"
            | "STREAM_TITLE_UPDATED"
    ) || (version >= Version::V0_2 && name == "FEDIVERSE_ENGAGEMENT_FOLLOW")
}

/// `STREAM_STARTED`, `STREAM_STOPPED` and `STREAM_TITLE_UPDATED`.
pub(super) fn stream_event(state: &State) -> Value {
    let mut data = json!({
        "id": short_id(), "name": state.config.name, "status": state.status_json(),
        "streamTitle": state.config.stream_title, "summary": state.config.summary,
        "timestamp": Timestamp::now().to_string(),
    });
    if state.version >= Version::V0_2 {
        data["serverURL"] = json!(state.config.server_url);
    }
    data
}

/// `CHAT`: what a viewer said.
pub(super) fn chat_event(
    state: &State,
    user: &User,
    id: &str,
    raw: &str,
    html: &str,
    at: Timestamp,
) -> Value {
    with_surroundings(
        state,
        json!({
            "user": user.json(), "timestamp": at.to_string(), "body": html, "rawBody": raw, "id": id,
            "visible": true,
        }),
    )
}

/// `USER_JOINED` and `USER_PARTED`.
pub(super) fn presence_event(state: &State, user: &User) -> Value {
    with_surroundings(
        state,
        json!({"timestamp": Timestamp::now().to_string(), "id": short_id(), "user": user.json()}),
    )
}

/// `NAME_CHANGE`: on 0.1.3 the client's own object, so without an id and in year 1.
pub(super) fn name_event(state: &State, user: &User) -> Value {
    if state.version >= Version::V0_2 {
        let data = json!({"id": short_id(), "timestamp": Timestamp::now().to_string(), "user": user.json(), "newName": user.name});
        return with_surroundings(state, data);
    }
    json!({"timestamp": YEAR_ONE, "type": "NAME_CHANGE", "id": "", "user": user.json(), "newName": user.name})
}

/// `VISIBILITY-UPDATE`: Go's field names on 0.1.3, the API's later.
pub(super) fn visibility_event(state: &State, id: &str, ids: &Value, visible: bool, at: Timestamp) -> Value {
    if state.version >= Version::V0_2 {
        let data =
            json!({"id": id, "timestamp": at.to_string(), "user": null, "visible": visible, "ids": ids});
        return with_surroundings(state, data);
    }
    json!({
        "timestamp": at.to_string(), "id": id, "user": null, "body": "", "MessageIDs": ids, "Visible": visible,
    })
}

/// `FEDIVERSE_ENGAGEMENT_FOLLOW`: never with `status`.
pub(super) fn follow_event(state: &State, name: &str, username: &str, image: &str) -> Value {
    let mut data = json!({
        "id": short_id(), "timestamp": Timestamp::now().to_string(), "name": name, "username": username,
        "image": image,
    });
    if state.version >= Version::V0_3 {
        data["serverURL"] = json!(state.config.server_url);
    }
    data
}

fn with_surroundings(state: &State, mut data: Value) -> Value {
    if state.version >= Version::V0_2 {
        data["status"] = state.status_json();
        data["serverURL"] = json!(state.config.server_url);
    }
    data
}

impl Shared {
    /// Posts an event to everybody who subscribed to it, each delivery from a task of its own.
    pub(super) fn raise(self: &Arc<Self>, event: &str, data: Value) {
        let faults = *lock(&self.faults);
        if faults.lose_webhooks {
            return;
        }
        let body = go_json(&json!({"eventData": data, "type": event}));
        let (version, webhooks) = {
            let state = lock(&self.state);
            (state.version, state.webhooks.clone())
        };
        for webhook in webhooks {
            if !webhook.events.iter().any(|subscribed| subscribed == event) {
                continue;
            }
            for _ in 0..=faults.repeat_webhooks {
                self.post(version, &webhook, body.clone(), faults.delay_webhooks);
            }
        }
    }

    fn post(self: &Arc<Self>, version: Version, webhook: &Webhook, body: String, delay: Duration) {
        let (shared, id, url, secret) =
            (self.clone(), webhook.id, webhook.url.clone(), webhook.secret.clone());
        self.spawn(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let mut call = shared
                .client
                .post(&url)
                .header("User-Agent", "Go-http-client/1.1")
                .header("Content-Type", "application/json")
                .header("Accept-Encoding", "gzip");
            if version >= Version::V0_3
                && let Some(signature) = signature(&secret, shared.clock().as_second(), &body)
            {
                call = call.header("Owncast-Signature", signature);
            }
            if call.body(body).send().await.is_ok() {
                let mut state = lock(&shared.state);
                if let Some(webhook) = state.webhooks.iter_mut().find(|webhook| webhook.id == id) {
                    webhook.last_used = Some(Timestamp::now());
                }
                drop(state);
                shared.touch();
            }
        });
    }
}

/// `t=<unix seconds>.s=<hex of HMAC-SHA256(secret, "<t>." + body)>`, Owncast 0.3.0's header.
fn signature(secret: &str, at: i64, body: &str) -> Option<String> {
    let key = PKey::hmac(secret.as_bytes()).ok()?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key).ok()?;
    signer.update(format!("{at}.{body}").as_bytes()).ok()?;
    let digest = signer.sign_to_vec().ok()?;
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("t={at}.s={hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_a_hex_hmac_over_time_and_body() {
        // Computed with `openssl dgst -sha256 -hmac key`.
        assert_eq!(
            signature("key", 1, "{}").as_deref(),
            Some("t=1.s=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224")
        );
    }
}
