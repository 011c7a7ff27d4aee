//! What anybody may read: the page, `/api/status`, `/api/config`, `/api/followers`.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Shared;
use super::federation::followers_page;
use super::html;
use super::options::{FollowerState, Version};
use super::reply::{Reply, fresh, set, with_body};
use super::server::Call;
use super::state::{State, lock, seconds};

/// Name of the build, which is not where a version should be read from.
pub(super) fn build_name(version: Version) -> String {
    format!("Owncast v{} (simulated build)", version.number())
}

/// The public reading endpoints, or `None` for another path.
pub(super) fn answer(shared: &Shared, call: &Call) -> Option<Reply> {
    let state = lock(&shared.state);
    match call.path.as_str() {
        "/" => Some(with_body(StatusCode::OK, "text/html; charset=utf-8", page(&state))),
        "/api/status" => Some(fresh(&status(shared, &state))),
        "/api/followers" => Some(fresh(&followers_page(shared, &state, call))),
        "/api/config" => {
            let mut reply = fresh(&config(&state));
            set(&mut reply, "access-control-allow-origin", "*");
            Some(reply)
        }
        _ => None,
    }
}

/// The web page, of which nothing but its name is imitated.
fn page(state: &State) -> String {
    let name = html::escaped(&state.config.name);
    format!("<!DOCTYPE html><html lang=\"en\"><head><title>{name}</title></head><body></body></html>")
}

/// `/api/status`; `viewerCount` is left out when it is 0.
pub(super) fn status(shared: &Shared, state: &State) -> Value {
    let told = |at: Option<Timestamp>| at.map(|at| seconds(shared.shifted(at)));
    let mut status = json!({
        "serverTime": shared.clock().to_string(),
        "lastConnectTime": told(state.stream.last_connect),
        "lastDisconnectTime": told(state.stream.last_disconnect),
        "versionNumber": state.version.number(),
        "streamTitle": state.config.stream_title,
    });
    if state.viewers() > 0 {
        status["viewerCount"] = json!(state.viewers());
    }
    status["online"] = json!(state.stream.online);
    status
}

fn config(state: &State) -> Value {
    let config = &state.config;
    let host = config.server_url.split("://").nth(1).unwrap_or_default();
    let mut federation = json!({});
    if config.federation_enabled {
        federation["account"] = json!(format!("{}@{host}", config.username));
        let approved = state.followers.iter().filter(|follower| follower.state == FollowerState::Approved);
        match approved.count() {
            0 => {}
            count => federation["followerCount"] = json!(count),
        }
    }
    federation["enabled"] = json!(config.federation_enabled);
    let handles = config.social_handles.iter().map(|handle| {
        let icon = format!("/img/platformlogos/{}.svg", handle.platform);
        json!({"platform": handle.platform, "url": handle.url, "icon": icon})
    });
    let handles: Value = handles.collect();
    let mut page = json!({
        "appearanceVariables": {}, "name": config.name, "customStyles": "", "offlineMessage": "",
        "logo": "/logo", "version": build_name(state.version), "extraPageContent": "",
        "summary": config.summary, "tags": config.tags, "socialHandles": handles,
        "externalActions": config.external_actions,
        "notifications": {"browser": {"publicKey": "BKsimulated", "enabled": true}},
        "federation": federation, "maxSocketPayloadSize": 2048, "hideViewerCount": false,
        "chatDisabled": config.chat_disabled, "nsfw": config.nsfw,
    });
    if !config.stream_title.is_empty() {
        page["streamTitle"] = json!(config.stream_title);
    }
    if state.version == Version::V0_1_3 {
        page["viewerPasswordEnabled"] = json!(false);
    } else {
        page["chatSpamProtectionDisabled"] = json!(true);
        page["chatRequireAuthentication"] = json!(false);
    }
    page["authentication"] = json!({"indieAuthEnabled": !config.server_url.is_empty()});
    page
}
