//! What happens to a POST: knob, verification, record, effect, answer.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming as Body;
use jiff::Timestamp;
use openssl::sha::sha256;
use serde_json::Value;

use super::dialect::{Flavour, Policy};
use super::fetch::is_activity;
use super::judge;
use super::listen::{Answered, Hangup};
use super::person;
use super::routes::plain;
use super::state::{Answer, FollowState, Inner, KEPT, Received, State, push};
use super::timeline;
use super::verify::{self, Incoming};
use super::violation::{Fault, Rule};

const BODY_LIMIT: usize = 1 << 20;

/// Work an activity causes that needs the network.
enum Job {
    Media(String),
    Accept { name: String, follow: Value },
    Refresh(String),
}

/// Takes a POST to the shared inbox, or to that of the person named.
pub(crate) async fn receive(inner: Arc<Inner>, person: Option<String>, parts: Parts, body: Body) -> Answered {
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return Ok(plain(413, "larger than 1 MiB"));
    };
    let raw = body.to_bytes();
    let path = parts.uri.path().to_owned();
    let answer = inner.update(|state| state.take_answer(&path));
    let at = Timestamp::now();
    let json: Value = serde_json::from_slice(&raw).unwrap_or(Value::Null);
    let (verdict, remarks) = judge_request(&inner, &parts, &raw, &json).await;
    let status = match (&answer, &verdict) {
        (Answer::Hang | Answer::Drop | Answer::Refuse, _) => None,
        (Answer::Status(status) | Answer::RetryAfter { status, .. }, _) => Some(*status),
        (Answer::Redirect(_), _) => Some(308),
        (Answer::Gone, _) => Some(410),
        (_, Ok(())) => Some(inner.dialect.taken),
        (_, Err(fault)) if fault.rule == Rule::ContentType && inner.flavour == Flavour::GoToSocial => {
            Some(406)
        }
        (_, Err(_)) => Some(inner.dialect.refused),
    };
    let effective = verdict.is_ok() && answer.takes_effect();
    let jobs = inner.update(|state| {
        let subject = json.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        for fault in remarks {
            state.blame(&subject, fault);
        }
        if let Err(fault) = &verdict {
            state.blame(&subject, fault.clone());
        }
        let jobs = if effective { apply(state, &inner, person.as_deref(), &json, &raw) } else { Vec::new() };
        state.in_doubt |= answer.leaves_in_doubt();
        state.received_total += 1;
        let received = Received {
            at,
            inbox: path,
            digest_ok: digest_holds(&parts.headers, &raw),
            headers: parts.headers,
            body: json,
            raw,
            verdict: verdict.clone().map_err(|fault| fault.to_string()),
            answered: status,
            effective,
        };
        push(&mut state.received, received);
        jobs
    });
    for job in jobs {
        let worker = inner.clone();
        inner.spawn(async move { work(worker, job).await });
    }
    respond(answer, status, &verdict).await
}

async fn respond(answer: Answer, status: Option<u16>, verdict: &Result<(), Fault>) -> Answered {
    let mut header = None;
    match answer {
        Answer::Hang => return std::future::pending().await,
        Answer::Drop | Answer::Refuse => return Err(Hangup),
        Answer::Slow(delay) => tokio::time::sleep(delay).await,
        Answer::RetryAfter { after, .. } => header = Some((http::header::RETRY_AFTER, after)),
        Answer::Redirect(to) => header = Some((http::header::LOCATION, to)),
        Answer::Ok | Answer::Status(_) | Answer::Gone => {}
    }
    let text = verdict.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let mut response: Response<Full<Bytes>> = plain(status.unwrap_or(500), &text);
    if let Some((name, value)) = header
        && let Ok(value) = value.parse()
    {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// The verdict on the request as a whole, and what this flavour forgives.
async fn judge_request(
    inner: &Inner,
    parts: &Parts,
    raw: &Bytes,
    json: &Value,
) -> (Result<(), Fault>, Vec<Fault>) {
    let kind = parts.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !is_activity(kind) {
        return (Err(Fault::new(Rule::ContentType, format!("Content-Type is {kind:?}"))), Vec::new());
    }
    let request = Incoming {
        method: parts.method.as_str(),
        target: parts.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers: &parts.headers,
        body: Some(raw),
        authority: &inner.authority(),
        now: inner.now(),
    };
    let (signer, remarks) = match check(inner, &request).await {
        Ok(found) => found,
        Err(fault) => return (Err(fault), Vec::new()),
    };
    if !json.is_object() {
        return (Err(Fault::new(Rule::Body, "not a JSON object")), remarks);
    }
    let actor = json.get("actor").and_then(Value::as_str).unwrap_or_default();
    if actor != signer {
        let detail = format!("signed by {signer}, actor is {actor:?}");
        return (Err(Fault::new(Rule::Signer, detail)), remarks);
    }
    (Ok(()), remarks)
}

/// Verifies a signature, with one look at a fresh copy of the key. Gives the signer's actor id.
pub(crate) async fn check(inner: &Inner, request: &Incoming<'_>) -> Result<(String, Vec<Fault>), Fault> {
    let only = inner.lock().rfc9421_only;
    let policy = match only {
        true => Policy { cavage: false, rfc9421: true, ..inner.dialect.policy },
        false => inner.dialect.policy,
    };
    let claim = verify::read(request, &policy)?;
    let key = inner.key(&claim.key_id, false).await?;
    if claim.verify(&key.pem).is_ok() {
        return Ok((key.owner, claim.remarks));
    }
    let key = inner.key(&claim.key_id, true).await?;
    claim.verify(&key.pem)?;
    Ok((key.owner, claim.remarks))
}

fn digest_holds(headers: &HeaderMap, raw: &[u8]) -> bool {
    let sum = STANDARD.encode(sha256(raw));
    ["digest", "content-digest"]
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok())
        .any(|value| value.contains(&sum))
}

/// Lets a verified activity take effect.
fn apply(state: &mut State, inner: &Inner, person: Option<&str>, body: &Value, raw: &[u8]) -> Vec<Job> {
    let id = body.get("id").and_then(Value::as_str).unwrap_or_default();
    let kind = body.get("type").and_then(Value::as_str).unwrap_or_default();
    for fault in judge::activity(body, raw.len(), state.followers_only) {
        state.blame(id, fault);
    }
    let sum = sha256(raw);
    // Follow and Undo carry the same id again from several peers: they are never repeats.
    if !id.is_empty() && !matches!(kind, "Follow" | "Undo") {
        if state.seen.len() >= KEPT {
            state.seen.clear();
        }
        match state.seen.insert(id.to_owned(), sum) {
            Some(before) => {
                state.duplicates += 1;
                if before != sum {
                    state.blame(id, Fault::new(Rule::IdReused, "the same id with another body"));
                }
                return Vec::new();
            }
            None => tracing::trace!(activity = id, kind, server = inner.name, "taken"),
        }
    }
    let actor = body.get("actor").and_then(Value::as_str).unwrap_or_default();
    let about_actor = judge::object_id(body) == Some(actor);
    match kind {
        "Accept" | "Reject" => {
            answer_to_follow(state, inner, person, body, kind == "Accept");
            Vec::new()
        }
        "Create" => timeline::create(state, body).map(Job::Media).into_iter().collect(),
        "Update" if about_actor => vec![Job::Refresh(actor.to_owned())],
        "Update" => {
            timeline::update(state, body, inner.dialect.edits_notes).map(Job::Media).into_iter().collect()
        }
        "Delete" if about_actor => {
            state.remotes.remove(actor);
            for local in state.people.values_mut() {
                local.follows.retain(|follow| follow.target != actor);
                local.followers.remove(actor);
            }
            Vec::new()
        }
        "Delete" => {
            timeline::delete(state, body);
            Vec::new()
        }
        "Follow" => take_follow(state, inner, actor, body).into_iter().collect(),
        "Undo" => {
            undo_follow(state, inner, actor, body);
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn take_follow(state: &mut State, inner: &Inner, actor: &str, body: &Value) -> Option<Job> {
    let name = judge::object_id(body)?.strip_prefix(&inner.actor(""))?.to_owned();
    let auto = state.auto_accept;
    let local = state.people.get_mut(&name).filter(|local| !local.gone)?;
    if !auto {
        return None;
    }
    let id = body.get("id").and_then(Value::as_str).unwrap_or_default();
    local.followers.insert(actor.to_owned(), id.to_owned());
    Some(Job::Accept { name, follow: body.clone() })
}

/// Removes a follower, found by the embedded Follow's target or by the Follow's id alone.
fn undo_follow(state: &mut State, inner: &Inner, actor: &str, body: &Value) {
    let undone = judge::object_id(body).unwrap_or_default();
    let target = body.get("object").and_then(judge::object_id);
    for (name, local) in &mut state.people {
        let by_id = local.followers.get(actor).is_some_and(|follow| follow == undone);
        if by_id || target == Some(inner.actor(name).as_str()) {
            local.followers.remove(actor);
        }
    }
}

fn answer_to_follow(state: &mut State, inner: &Inner, person: Option<&str>, body: &Value, accepted: bool) {
    let id = body.get("id").and_then(Value::as_str).unwrap_or_default();
    let actor = body.get("actor").and_then(Value::as_str).unwrap_or_default();
    let embedded = judge::embedded_follow(body);
    if person.is_none() {
        state.blame(id, Fault::new(Rule::AcceptInbox, "it came to the shared inbox"));
        if inner.dialect.accept_personal {
            return;
        }
    }
    let follow_id = match embedded {
        Ok((follow, _, target)) if target == actor => follow,
        Ok((follow, _, target)) => {
            let detail = format!("{actor} answers a Follow of {target}: {follow}");
            state.blame(id, Fault::new(Rule::AcceptUnknown, detail));
            return;
        }
        Err(fault) => {
            state.blame(id, fault);
            if inner.dialect.accept_embeds {
                return;
            }
            judge::object_id(body).unwrap_or_default()
        }
    };
    let follower = embedded_actor(body);
    let found = state.people.iter_mut().find_map(|(name, local)| {
        let theirs = follower.is_none_or(|actor| actor == inner.actor(name));
        local.follows.iter_mut().find(|follow| {
            let sent = follow.id == follow_id || follow.earlier.iter().any(|id| id == follow_id);
            theirs && sent && follow.target == actor
        })
    });
    match found {
        Some(follow) => {
            follow.state = if accepted { FollowState::Accepted } else { FollowState::Rejected };
        }
        None => {
            let detail = format!("nobody here sent {follow_id:?} to {actor}");
            state.blame(id, Fault::new(Rule::AcceptUnknown, detail));
        }
    }
}

fn embedded_actor(body: &Value) -> Option<&str> {
    body.get("object").and_then(|object| object.get("actor")).and_then(Value::as_str)
}

async fn work(inner: Arc<Inner>, job: Job) {
    match job {
        Job::Media(note) => timeline::fetch_media(inner, note).await,
        Job::Accept { name, follow } => person::accept(inner, &name, &follow).await,
        Job::Refresh(actor) => {
            inner.update(|state| state.remotes.remove(&actor));
            // A bad document is filed as a fault; a silent host is not the server's business.
            let _ = inner.resolve(&actor).await;
        }
    }
}
