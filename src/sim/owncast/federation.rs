//! The documents and tables of Owncast's own federation. It signs and delivers nothing.

use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::options::{FederationAction, Follower, FollowerState, Version};
use super::public::build_name;
use super::reply::{Outcome, Reply, bad_request, empty, simple, with_body};
use super::server::Call;
use super::state::{OwnPost, State, go_json, lock, seconds};
use super::{Shared, chat, webhook};

const ACTIVITY: &str = "application/activity+json";
const CONTEXT: &str = "https://www.w3.org/ns/activitystreams";
const PUBLIC: &str = "https://www.w3.org/ns/activitystreams#Public";

/// The only media types that are not sent to the web page; other spellings of the same types are.
const ACCEPTED: [&str; 4] = [
    "application/json",
    "application/json+activity",
    ACTIVITY,
    "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"",
];

/// The public addresses of Owncast's own federation, or `None` for another path.
pub(super) fn answer(shared: &Shared, call: &Call) -> Option<Reply> {
    let state = lock(&shared.state);
    let path = call.path.as_str();
    let federated = path.starts_with("/federation/");
    let known = matches!(
        path,
        "/.well-known/webfinger"
            | "/.well-known/nodeinfo"
            | "/.well-known/x-nodeinfo2"
            | "/nodeinfo/2.0"
            | "/api/v1/instance"
    );
    if path == "/.well-known/host-meta" {
        return Some(host_meta(&state));
    }
    if !federated && !known {
        return None;
    }
    if !state.config.federation_enabled {
        return Some(empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    let base = state.config.server_url.as_str();
    Some(match path {
        "/.well-known/webfinger" => webfinger(&state, &call.query("resource").unwrap_or_default()),
        "/.well-known/nodeinfo" => activity(&json!({"links": [{
            "rel": "http://nodeinfo.diaspora.software/ns/schema/2.0", "href": format!("{base}/nodeinfo/2.0"),
        }]})),
        "/nodeinfo/2.0" => activity(&nodeinfo(&state)),
        "/.well-known/x-nodeinfo2" => activity(&x_nodeinfo2(&state)),
        "/api/v1/instance" => activity(&instance(&state)),
        _ if !negotiated(call) => to_the_page(),
        _ => document(&state, call),
    })
}

fn activity(body: &Value) -> Reply {
    with_body(StatusCode::OK, ACTIVITY, go_json(body))
}

/// One of four exact spellings in `Accept` or `Content-Type`; anything else is taken for a browser.
fn negotiated(call: &Call) -> bool {
    let accept = call.header("accept").unwrap_or_default();
    let named = accept.split(',').any(|kind| ACCEPTED.contains(&kind));
    named || call.header("content-type").is_some_and(|kind| ACCEPTED.contains(&kind))
}

fn to_the_page() -> Reply {
    let body = "<a href=\"/\">Temporary Redirect</a>.\n\n";
    let mut reply = with_body(StatusCode::TEMPORARY_REDIRECT, "text/html; charset=utf-8", body);
    reply.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
    reply
}

fn host_meta(state: &State) -> Reply {
    let base = &state.config.server_url;
    if !state.config.federation_enabled && state.version >= Version::V0_3 {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    if base.is_empty() {
        return empty(StatusCode::NOT_FOUND);
    }
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\t<XRD xmlns=\"http://docs.oasis-open.org/ns/xri/xrd-1.0\">\n\
         \t\t<Link rel=\"lrdd\" type=\"application/json\" template=\"{base}/.well-known/webfinger?resource={{uri}}\"/>\n\
         \t</XRD>"
    );
    with_body(StatusCode::OK, "text/xml; charset=utf-8", body)
}

fn webfinger(state: &State, resource: &str) -> Reply {
    let Some((user, host)) = resource.strip_prefix("acct:").and_then(|account| account.split_once('@'))
    else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let base = state.config.server_url.as_str();
    if base.split("://").nth(1) != Some(host) {
        return empty(StatusCode::NOT_IMPLEMENTED);
    }
    if user != state.config.username {
        return empty(StatusCode::NOT_FOUND);
    }
    let actor = format!("{base}/federation/user/{user}");
    let body = json!({
        "aliases": [actor], "subject": resource,
        "links": [
            {"rel": "self", "type": ACTIVITY, "href": actor},
            {"rel": "http://webfinger.net/rel/profile-page", "type": "text/html", "href": actor},
            {"rel": "http://webfinger.net/rel/avatar", "type": "image/png", "href": format!("{base}/logo/external")},
            {"rel": "alternate", "type": "application/x-mpegURL", "href": format!("{base}/hls/stream.m3u8")},
        ],
    });
    with_body(StatusCode::OK, "application/jrd+json", go_json(&body))
}

fn nodeinfo(state: &State) -> Value {
    json!({
        "version": "2.0", "services": {"outbound": [], "inbound": []},
        "software": {"name": "owncast", "version": state.version.number()}, "protocols": ["activitypub"],
        "usage": {
            "users": {"total": 1, "activeMonth": 1, "activeHalfyear": 1}, "localPosts": state.own_posts.len(),
        },
        "openRegistrations": false, "metadata": {"chat_enabled": !state.config.chat_disabled},
    })
}

fn x_nodeinfo2(state: &State) -> Value {
    let base = &state.config.server_url;
    json!({
        "server": {"baseUrl": base, "version": state.version.number(), "name": "owncast", "software": "owncast"},
        "organization": {"name": state.config.name, "contact": base}, "version": state.version.number(),
        "services": {"outbound": ["activitypub"], "inbound": ["activitypub"]}, "protocols": ["activitypub"],
        "usage": {
            "users": {"activeWeek": 1, "total": 1, "activeMonth": 1, "activeHalfyear": 1},
            "localPosts": state.own_posts.len(), "localComments": 0,
        },
        "openRegistrations": false,
    })
}

fn instance(state: &State) -> Value {
    let base = &state.config.server_url;
    json!({
        "uri": base, "title": state.config.name, "short_description": state.config.summary,
        "description": state.config.summary, "version": build_name(state.version),
        "thumbnail": format!("{base}/logo/external"), "languages": null,
        "stats": {"user_count": 1, "status_count": state.own_posts.len(), "domain_count": 0},
        "registrations": false, "approval_required": false, "invites_enabled": false,
    })
}

/// Actor, collections and notes. Names are compared to the letter; there is no following collection.
fn document(state: &State, call: &Call) -> Reply {
    let actor = format!("{}/federation/user/{}", state.config.server_url, state.config.username);
    let mut parts = call.path.trim_start_matches("/federation/").splitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("user"), Some(name), rest) if name == state.config.username => match (rest, call.query("page"))
        {
            (None, _) => activity(&actor_document(state, &actor)),
            // Whatever comes is accepted and, here, goes nowhere.
            (Some("inbox"), _) if call.method == "POST" => empty(StatusCode::ACCEPTED),
            (Some(name @ ("followers" | "outbox")), None) => {
                let id = format!("{actor}/{name}");
                let total = if name == "outbox" { state.own_posts.len() } else { approved(state).count() };
                activity(&json!({
                    "@context": CONTEXT, "first": format!("{id}?page=1"), "id": id, "totalItems": total,
                    "type": "OrderedCollection",
                }))
            }
            (Some(name @ ("followers" | "outbox")), Some(page)) => {
                let id = format!("{actor}/{name}");
                activity(&json!({
                    "@context": CONTEXT, "id": format!("{id}?page={page}"),
                    "orderedItems": if name == "outbox" { lost_posts() } else { follower_items(state) },
                    "partOf": id, "type": "OrderedCollectionPage",
                }))
            }
            _ => empty(StatusCode::NOT_FOUND),
        },
        (Some(id), None, None) if !state.config.private => {
            match state.own_posts.iter().find(|post| post.id == id) {
                Some(post) => activity(&note(state, &actor, post)),
                None => empty(StatusCode::NOT_FOUND),
            }
        }
        _ => empty(StatusCode::NOT_FOUND),
    }
}

/// Outbox pages look empty whatever was posted.
fn lost_posts() -> Value {
    json!({"type": "OrderedCollection"})
}

/// A single follower is a bare text, not a list of one.
fn follower_items(state: &State) -> Value {
    let mut items: Vec<Value> = approved(state).map(|follower| json!(follower.iri)).collect();
    if items.len() == 1 { items.remove(0) } else { Value::Array(items) }
}

fn actor_document(state: &State, actor: &str) -> Value {
    let config = &state.config;
    let base = config.server_url.as_str();
    let link = |name: &str, url: &str| {
        let value =
            format!("<a href=\"{url}\" rel=\"me nofollow noopener noreferrer\" target=\"_blank\">{url}</a>");
        json!({"name": name, "type": "PropertyValue", "value": value})
    };
    let mut attachment = vec![link("Stream", base)];
    for handle in &config.social_handles {
        let mut name = handle.platform.clone();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        attachment.push(link(&name, &handle.url));
    }
    attachment.push(link("Owncast", "https://owncast.online"));
    let picture = json!({"type": "Image", "url": format!("{base}/logo/external?uc=")});
    json!({
        "@context": ["https://w3id.org/security/v1", CONTEXT, "http://joinmastodon.org/ns"],
        "attachment": attachment, "discoverable": true, "followers": format!("{actor}/followers"),
        "icon": picture, "id": actor, "image": picture, "inbox": format!("{actor}/inbox"),
        "manuallyApprovesFollowers": config.private, "name": config.name, "outbox": format!("{actor}/outbox"),
        "preferredUsername": config.username,
        "publicKey": {"id": format!("{actor}#main-key"), "owner": actor, "publicKeyPem": state.public_key_pem},
        "published": seconds(state.installed_at), "summary": config.summary,
        "tag": config.tags.iter().map(|tag| hashtag(tag)).collect::<Value>(), "type": "Service", "url": actor,
    })
}

fn hashtag(tag: &str) -> Value {
    let mut href = String::from("https://directory.owncast.online/tags/");
    for byte in tag.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                href.push(char::from(byte))
            }
            _ => href.push_str(&format!("%{byte:02X}")),
        }
    }
    json!({"href": href, "name": format!("#{tag}"), "type": "Hashtag"})
}

fn note(state: &State, actor: &str, post: &OwnPost) -> Value {
    json!({
        "@context": CONTEXT, "attributedTo": actor, "audience": PUBLIC, "content": chat::render(&post.text),
        "id": format!("{}/federation/{}", state.config.server_url, post.id), "published": seconds(post.at),
        "to": PUBLIC, "type": "Note",
    })
}

fn approved(state: &State) -> impl Iterator<Item = &Follower> {
    state.followers.iter().filter(|follower| follower.state == FollowerState::Approved)
}

fn follower_json(follower: &Follower) -> Value {
    let disabled = (follower.state == FollowerState::Blocked).then(|| seconds(follower.at));
    json!({
        "link": follower.iri, "name": follower.name, "username": follower.username, "image": follower.image,
        "timestamp": seconds(follower.at), "disabledAt": disabled,
    })
}

/// Pending or blocked followers: a plain list without paging.
pub(super) fn followers_in(state: &State, wanted: FollowerState) -> Value {
    state.followers.iter().filter(|follower| follower.state == wanted).map(follower_json).collect()
}

fn number(call: &Call, name: &str, default: i64) -> i64 {
    call.query(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Cut as SQL's `LIMIT` and `OFFSET` do: a negative limit means all.
fn page(items: Vec<Value>, offset: i64, limit: i64) -> Value {
    let total = items.len();
    let offset = usize::try_from(offset).unwrap_or_default();
    let results: Vec<Value> =
        items.into_iter().skip(offset).take(usize::try_from(limit).unwrap_or(total)).collect();
    json!({"results": results, "total": total})
}

/// Approved followers, newest first; `offset` counts rows.
pub(super) fn followers_page(shared: &Shared, state: &State, call: &Call) -> Value {
    let mut followers: Vec<&Follower> = approved(state).collect();
    followers.sort_by_key(|follower| std::cmp::Reverse(follower.at));
    let items: Vec<Value> = followers.into_iter().map(follower_json).collect();
    let counted = items.len() + lock(&shared.faults).slipped_followers;
    let mut page = page(items, number(call, "offset", 0), number(call, "limit", 50));
    page["total"] = counted.into();
    page
}

/// Accepted activities, newest first; `offset` counts **pages**.
pub(super) fn actions(state: &State, call: &Call) -> Value {
    let mut actions: Vec<&FederationAction> = state.actions.iter().collect();
    actions.sort_by_key(|action| std::cmp::Reverse(action.at));
    let items = actions.into_iter().map(|action| {
        json!({
            "timestamp": action.at.to_string(), "iri": action.iri, "actorIRI": action.actor, "type": action.kind,
        })
    });
    let limit = number(call, "limit", 50);
    page(items.collect(), number(call, "offset", 0).saturating_mul(limit.max(0)), limit)
}

/// `POST /api/admin/federation/send`: before 0.3.0 it does not look at the federation switch.
pub(super) fn send(shared: &Shared, call: &Call) -> Outcome {
    let request: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let text = request["value"].as_str().ok_or(super::reply::Hangup)?;
    {
        let state = lock(&shared.state);
        if state.version >= Version::V0_3 && !state.config.federation_enabled {
            return Ok(simple(false, "Federation is disabled"));
        }
    }
    shared.post_own(text, false);
    Ok(simple(true, "sent"))
}

/// `POST /api/admin/followers/approve` with `{"actorIRI","approved"}`; false rejects or blocks.
pub(super) fn approve(shared: &Arc<Shared>, call: &Call) -> Reply {
    let request: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let Some(iri) = request["actorIRI"].as_str() else {
        return bad_request("unable to handle follower state");
    };
    let approved = request["approved"].as_bool().unwrap_or_default();
    let changed = {
        let mut state = lock(&shared.state);
        let Some(follower) = state.followers.iter_mut().find(|follower| follower.iri == iri) else {
            return bad_request("follower not found");
        };
        follower.state = if approved { FollowerState::Approved } else { FollowerState::Blocked };
        follower.clone()
    };
    if approved {
        tell(shared, &changed);
    }
    simple(true, if approved { "follower approved" } else { "follower blocked" })
}

/// Owncast's own inbox takes a follow.
pub(super) fn receive_follow(shared: &Arc<Shared>, follower: Follower) {
    {
        let mut state = lock(&shared.state);
        let iri = format!("{}/federation/user/{}", state.config.server_url, state.config.username);
        let kind = "FEDIVERSE_ENGAGEMENT_FOLLOW".to_owned();
        state.actions.push(FederationAction { at: Timestamp::now(), iri, actor: follower.iri.clone(), kind });
        state.followers.retain(|known| known.iri != follower.iri);
        state.followers.push(follower.clone());
    }
    shared.touch();
    if follower.state == FollowerState::Approved {
        tell(shared, &follower);
    }
}

fn tell(shared: &Arc<Shared>, follower: &Follower) {
    shared.say_follow(follower);
    let data =
        webhook::follow_event(&lock(&shared.state), &follower.name, &follower.username, &follower.image);
    shared.raise("FEDIVERSE_ENGAGEMENT_FOLLOW", data);
}
