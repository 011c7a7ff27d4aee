//! What a server serves: WebFinger, NodeInfo, actors, key stubs and empty collections.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming as Body;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::dialect::KeyShape;
use super::inbox;
use super::listen::Answered;
use super::state::{Answer, Document, Inner, RequestSeen, push};
use super::verify::Incoming;

/// A short answer.
pub(crate) fn plain(status: u16, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::IM_A_TEAPOT);
    response
}

fn typed(content_type: &'static str, value: &Value) -> Response<Full<Bytes>> {
    let mut response = plain(200, &value.to_string());
    response.headers_mut().insert("content-type", http::HeaderValue::from_static(content_type));
    response
}

fn activity(value: &Value) -> Response<Full<Bytes>> {
    typed("application/activity+json; charset=utf-8", value)
}

fn custom(document: &Document) -> Response<Full<Bytes>> {
    let mut response = plain(document.status, "");
    *response.body_mut() = Full::new(document.body.clone());
    let kind = ("content-type".to_owned(), document.content_type.clone());
    for (name, value) in std::iter::once(&kind).chain(&document.headers) {
        let name = name.parse::<http::HeaderName>();
        if let (Ok(name), Ok(value)) = (name, value.parse::<http::HeaderValue>()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Answers one request, at the time that this server takes it to be.
pub(crate) async fn route(inner: Arc<Inner>, request: Request<Body>) -> Answered {
    let clock = Arc::clone(&inner);
    let mut response = answer(inner, request).await?;
    if let Ok(date) = httpdate::fmt_http_date(clock.now().into()).parse() {
        response.headers_mut().insert("date", date);
    }
    Ok(response)
}

async fn answer(inner: Arc<Inner>, request: Request<Body>) -> Answered {
    let (parts, body) = request.into_parts();
    if parts.method == Method::POST {
        let path = parts.uri.path().to_owned();
        let named = path.strip_prefix(inner.dialect.actors).and_then(|rest| rest.strip_suffix("/inbox"));
        let known = named.map(|name| inner.lock().people.get(name).map(|person| person.gone));
        match known {
            Some(Some(false)) => return inbox::receive(inner, named.map(str::to_owned), parts, body).await,
            Some(Some(true)) => return Ok(noted(&inner, &parts, plain(410, "gone"))),
            _ if path == "/inbox" && inner.lock().shared_inbox => {
                return inbox::receive(inner, None, parts, body).await;
            }
            _ => return Ok(noted(&inner, &parts, plain(404, "no such inbox"))),
        }
    }
    let hangs = matches!(inner.lock().answer, Answer::Hang);
    if hangs {
        note(&inner, &parts, None);
        return std::future::pending().await;
    }
    let response = document(&inner, &parts).await;
    Ok(noted(&inner, &parts, response))
}

fn noted(inner: &Inner, parts: &Parts, response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    note(inner, parts, Some(response.status().as_u16()));
    response
}

/// Writes the request down.
fn note(inner: &Inner, parts: &Parts, status: Option<u16>) {
    let header = |name: &str| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let request = RequestSeen {
        at: Timestamp::now(),
        method: parts.method.to_string(),
        target: parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        signed: parts.headers.contains_key("signature"),
        accept: header("accept"),
        user_agent: header("user-agent"),
        status,
    };
    inner.update(|state| {
        state.requests_total += 1;
        push(&mut state.requests, request);
    });
}

async fn document(inner: &Arc<Inner>, parts: &Parts) -> Response<Full<Bytes>> {
    let path = parts.uri.path();
    let placed = inner.lock().documents.get(path).map(custom);
    if let Some(response) = placed {
        return response;
    }
    match path {
        "/.well-known/webfinger" => return webfinger(inner, parts.uri.query().unwrap_or_default()),
        "/.well-known/nodeinfo" => {
            let href = format!("{}/nodeinfo/2.0", inner.origin());
            let rel = "http://nodeinfo.diaspora.software/ns/schema/2.0";
            return typed("application/json", &json!({"links": [{"rel": rel, "href": href}]}));
        }
        "/nodeinfo/2.0" => return typed("application/json", &nodeinfo(inner)),
        "/actor" => return instance(inner, true).await,
        "/actor/main-key" if inner.dialect.key == KeyShape::Stub => return instance(inner, false).await,
        _ => {}
    }
    let Some(rest) = path.strip_prefix(inner.dialect.actors) else { return plain(404, "nothing here") };
    let (name, part) = rest.split_once('/').unwrap_or((rest, ""));
    let gone = inner.lock().people.get(name).map(|person| person.gone);
    match gone {
        None => return plain(404, "nobody here"),
        Some(true) => return plain(410, "gone"),
        Some(false) => {}
    }
    let stub = part == "main-key" && inner.dialect.key == KeyShape::Stub;
    if !stub && inner.lock().signed_gets {
        let request = Incoming {
            method: parts.method.as_str(),
            target: parts.uri.path_and_query().map_or("/", |target| target.as_str()),
            headers: &parts.headers,
            body: None,
            authority: &inner.authority(),
            now: inner.now(),
        };
        if let Err(fault) = inbox::check(inner, &request).await {
            return plain(401, &fault.to_string());
        }
    }
    match part {
        "" => person(inner, name, true).await,
        "main-key" if stub => person(inner, name, false).await,
        "followers" | "following" | "outbox" => {
            let count = match (part, inner.lock().people.get(name)) {
                ("followers", Some(person)) => person.followers.len(),
                ("following", Some(person)) => person.follows.len(),
                _ => 0,
            };
            activity(&json!({
                "@context": "https://www.w3.org/ns/activitystreams",
                "id": format!("{}/{part}", inner.actor(name)),
                "type": "OrderedCollection",
                "totalItems": count,
            }))
        }
        _ => plain(404, "nothing here"),
    }
}

fn webfinger(inner: &Inner, query: &str) -> Response<Full<Bytes>> {
    let resource = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "resource")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let host = inner.authority();
    let asked = match resource.strip_prefix("acct:").and_then(|acct| acct.rsplit_once('@')) {
        Some((name, at)) if at == host => name.to_owned(),
        Some(_) => return plain(404, "not of this host"),
        None => resource.strip_prefix(&inner.actor("")).unwrap_or_default().to_owned(),
    };
    let state = inner.lock();
    let found = state.people.iter().find(|(name, person)| name.eq_ignore_ascii_case(&asked) && !person.gone);
    let Some((name, _)) = found else { return plain(404, "nobody here") };
    typed(
        "application/jrd+json; charset=utf-8",
        &json!({
            "subject": format!("acct:{name}@{host}"),
            "aliases": [inner.actor(name)],
            "links": [{"rel": "self", "type": "application/activity+json", "href": inner.actor(name)}],
        }),
    )
}

fn nodeinfo(inner: &Inner) -> Value {
    json!({
        "version": "2.0",
        "software": {"name": inner.dialect.software, "version": "simulated"},
        "protocols": ["activitypub"],
        "services": {"inbound": [], "outbound": []},
        "openRegistrations": false,
        "usage": {"users": {"total": inner.lock().people.len()}},
        "metadata": {"nodeName": inner.name},
    })
}

async fn instance(inner: &Inner, full: bool) -> Response<Full<Bytes>> {
    let Ok(keys) = inner.instance_keys().await else { return plain(500, "no key") };
    let id = inner.instance_actor();
    let mut actor = skeleton(inner, &id, "Application", &inner.authority(), &keys.pem);
    if full {
        actor.insert("inbox".into(), json!(format!("{}/inbox", inner.origin())));
        actor.insert("outbox".into(), json!(format!("{id}/outbox")));
    }
    activity(&Value::Object(actor))
}

async fn person(inner: &Inner, name: &str, full: bool) -> Response<Full<Bytes>> {
    let Ok(sender) = inner.sender(name).await else { return plain(500, "no key") };
    let id = inner.actor(name);
    let mut actor = skeleton(inner, &id, "Person", name, &sender.keys.pem);
    if full {
        if inner.dialect.multikey {
            let keys =
                inner.edwards(name).await.and_then(|sender| Ok((sender.keys.multibase()?, sender.key_id)));
            let Ok((multibase, key_id)) = keys else { return plain(500, "no key") };
            let method =
                json!({"id": key_id, "type": "Multikey", "controller": id, "publicKeyMultibase": multibase});
            actor.insert("assertionMethod".into(), json!([method]));
        }
        let state = inner.lock();
        let Some(person) = state.people.get(name) else { return plain(404, "nobody here") };
        actor.insert("name".into(), json!(person.display));
        for part in ["inbox", "outbox", "followers", "following"] {
            actor.insert(part.into(), json!(format!("{id}/{part}")));
        }
        actor.insert("url".into(), json!(format!("{}/@{name}", inner.origin())));
        actor.insert("manuallyApprovesFollowers".into(), json!(!state.auto_accept));
        if state.shared_inbox {
            let shared = format!("{}/inbox", inner.origin());
            actor.insert("endpoints".into(), json!({"sharedInbox": shared}));
        }
        for (field, value) in &person.overrides {
            actor.insert(field.clone(), value.clone());
        }
    }
    activity(&Value::Object(actor))
}

/// What even a stub says: who, and with which key.
fn skeleton(inner: &Inner, id: &str, kind: &str, username: &str, pem: &str) -> Map<String, Value> {
    let mut actor = Map::new();
    actor.insert(
        "@context".into(),
        json!(["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"]),
    );
    actor.insert("id".into(), json!(id));
    actor.insert("type".into(), json!(kind));
    actor.insert("preferredUsername".into(), json!(username));
    actor.insert(
        "publicKey".into(),
        json!({"id": inner.dialect.key_id(id), "owner": id, "publicKeyPem": pem}),
    );
    actor
}
