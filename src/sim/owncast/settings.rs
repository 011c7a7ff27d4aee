//! `/api/admin/serverconfig`, and the setters below `/api/admin/config/`.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::Shared;
use super::options::{Config, SocialHandle, Version};
use super::reply::{Hangup, Outcome, empty, simple};
use super::server::Call;
use super::state::{State, lock};

/// What stands in `adminPassword` once passwords are hashed.
const HASHED: &str = "$2a$10$simulatedsimulatedsimulatedsimulatedsimulatedsimulat";

/// The complete configuration, secrets included, as the real one gives it.
pub(super) fn server_config(state: &State) -> Value {
    let config = &state.config;
    let newest = state.version >= Version::V0_3;
    let handles =
        config.social_handles.iter().map(|handle| json!({"platform": handle.platform, "url": handle.url}));
    let handles: Value = handles.collect();
    let mut all = json!({
        "instanceDetails": {
            "appearanceVariables": {}, "version": "", "welcomeMessage": "", "offlineMessage": "",
            "logo": "logo.png", "name": config.name, "extraPageContent": "", "streamTitle": config.stream_title,
            "customStyles": "", "customJavascript": "", "summary": config.summary, "tags": config.tags,
            "socialHandles": handles, "nsfw": config.nsfw,
        },
        "notifications": {
            "browser": {"goLiveMessage": "I've gone live!", "enabled": true}, "discord": {"enabled": false},
        },
        "yp": {"instanceUrl": config.server_url, "enabled": false},
        "ffmpegPath": "/usr/bin/ffmpeg",
        "adminPassword": if newest { HASHED } else { &config.admin_password },
        "webServerIP": "0.0.0.0",
        "videoCodec": "libx264",
        "videoServingEndpoint": "",
        "s3": {"enabled": false, "forcePathStyle": false},
        "federation": {
            "username": config.username, "goLiveMessage": config.go_live_message,
            "blockedDomains": config.blocked_domains, "enabled": config.federation_enabled,
            "isPrivate": config.private, "showEngagement": config.show_engagement,
        },
        "supportedCodecs": ["libx264", "h264_nvenc", "h264_omx", "h264_vaapi"],
        "externalActions": config.external_actions,
        "forbiddenUsernames": config.forbidden_usernames,
        "suggestedUsernames": [],
        "streamKeys": [{"key": "abc123", "comment": "Default stream key"}],
        "videoSettings": {
            "videoQualityVariants": [{
                "name": "1.2Mbps@24fps", "videoPassthrough": false, "audioPassthrough": true,
                "videoBitrate": 1200, "audioBitrate": 0, "cpuUsageLevel": 2, "framerate": 24,
            }],
            "latencyLevel": 2,
        },
        "rtmpServerPort": 1935,
        "webServerPort": 8080,
        "chatDisabled": config.chat_disabled,
        "chatJoinMessagesEnabled": config.chat_join_messages,
        "chatEstablishedUserMode": false,
        "disableSearchIndexing": false,
        "streamKeyOverridden": false,
        "hideViewerCount": false,
    });
    if newest {
        all["federation"]["enableQuotes"] = json!(false);
        all["federation"]["hideFollowersTab"] = json!(false);
        all["instanceDetails"]["autoplay"] = json!(true);
        all["schedule"] = json!({"enabled": false, "reminderMessage": ""});
        all["rtmpServerAddress"] = json!("");
        all["chatSpamProtectionEnabled"] = json!(true);
        all["chatSlurFilterEnabled"] = json!(false);
        all["chatRequireAuthentication"] = json!(false);
    } else if state.version == Version::V0_1_3 {
        all["viewerPasswordEnabled"] = json!(false);
        all["viewerPassword"] = json!("");
    }
    all
}

/// `POST /api/admin/config/<setting>` with `{"value": …}`. A value of the wrong type makes the real handler panic, so the
/// connection is closed.
pub(super) fn change(shared: &Arc<Shared>, call: &Call, setting: &str) -> Outcome {
    if call.method != "POST" {
        return Ok(simple(false, &format!("{} not supported", call.method)));
    }
    let request: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let Some(value) = request.get("value") else {
        return Ok(simple(false, "unable to parse provided value"));
    };
    if lock(&shared.faults).refuse_settings {
        return Ok(simple(false, "the setting could not be saved"));
    }
    if setting == "streamtitle" {
        shared.retitle(text(value)?);
        return Ok(simple(true, "changed"));
    }
    let outcome = apply(&mut lock(&shared.state).config, setting, value);
    shared.touch();
    Ok(match outcome? {
        Some((success, message)) => simple(success, message),
        None => empty(StatusCode::NOT_FOUND),
    })
}

type Applied = Result<Option<(bool, &'static str)>, Hangup>;

fn apply(config: &mut Config, setting: &str, value: &Value) -> Applied {
    let message = match setting {
        "serverurl" => {
            let Some(url) = acceptable_url(text(value)?) else {
                return Ok(Some((false, "server url value invalid")));
            };
            config.server_url = url;
            "server url set"
        }
        "name" => put(&mut config.name, text(value)?),
        "serversummary" => put(&mut config.summary, text(value)?),
        "adminpass" => put(&mut config.admin_password, text(value)?),
        "nsfw" => put(&mut config.nsfw, flag(value)?),
        "tags" => put(&mut config.tags, texts(value)?),
        "socialhandles" => {
            config.social_handles = list(value)?.iter().map(social_handle).collect();
            "social handles updated"
        }
        "externalactions" => {
            config.external_actions = list(value)?.iter().map(external_action).collect();
            "external actions update"
        }
        "chat/disable" => {
            config.chat_disabled = flag(value)?;
            "chat disabled status updated"
        }
        "chat/joinmessagesenabled" => {
            config.chat_join_messages = flag(value)?;
            "chat join message status updated"
        }
        "federation/enable" => {
            config.federation_enabled = flag(value)?;
            "federation features saved"
        }
        "federation/private" => {
            config.private = flag(value)?;
            "federation private saved"
        }
        "federation/showengagement" => {
            config.show_engagement = flag(value)?;
            "federation show engagement saved"
        }
        "federation/username" => {
            text(value)?.clone_into(&mut config.username);
            "username saved"
        }
        "federation/livemessage" => {
            text(value)?.clone_into(&mut config.go_live_message);
            "message saved"
        }
        "federation/blockdomains" => {
            config.blocked_domains = texts(value)?;
            "saved"
        }
        _ => return Ok(None),
    };
    Ok(Some((true, message)))
}

fn put<T>(place: &mut T, value: impl Into<T>) -> &'static str {
    *place = value.into();
    "changed"
}

fn text(value: &Value) -> Result<&str, Hangup> {
    value.as_str().ok_or(Hangup)
}

fn flag(value: &Value) -> Result<bool, Hangup> {
    value.as_bool().ok_or(Hangup)
}

fn list(value: &Value) -> Result<&[Value], Hangup> {
    value.as_array().map(Vec::as_slice).ok_or(Hangup)
}

fn texts(value: &Value) -> Result<Vec<String>, Hangup> {
    list(value)?.iter().map(|item| text(item).map(str::to_owned)).collect()
}

fn social_handle(value: &Value) -> SocialHandle {
    let part = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    SocialHandle { platform: part("platform"), url: part("url") }
}

fn external_action(value: &Value) -> Value {
    let part = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    json!({
        "url": part("url"), "html": part("html"), "title": part("title"), "description": part("description"),
        "icon": part("icon"), "color": part("color"),
        "openExternally": value["openExternally"].as_bool().unwrap_or_default(),
    })
}

/// The address without its trailing slash, unless it is none or leads to a private network.
fn acceptable_url(given: &str) -> Option<String> {
    let parsed = url::Url::parse(given).ok()?;
    let host = parsed.host_str()?;
    let private = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_private() || address.is_loopback(),
        Ok(IpAddr::V6(address)) => address.is_loopback(),
        Err(_) => false,
    };
    (!private).then(|| given.trim_end_matches('/').to_owned())
}
