//! What a server asks of others: signed GETs by its instance actor, signed POSTs by its people, keys.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use url::Url;

use super::keys::{self, Keys};
use super::sign::{self, Scheme, SignOptions, Signing};
use super::state::Inner;
use super::violation::{Fault, Rule};
use super::{Reply, SimError};

/// Both spellings, as Pixelfed and Lemmy look at them literally.
pub(crate) const ACCEPT: &str =
    "application/activity+json, application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"";

const DOCUMENT_LIMIT: usize = 1 << 20;
const REPLY_LIMIT: usize = 64 << 10;
/// A key is fetched again after a failed check, but not more often than this.
const REFETCH: Duration = Duration::from_millis(500);

/// An answer to a GET.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// A key of somebody elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct KnownKey {
    pub(crate) pem: String,
    pub(crate) owner: String,
    fetched: Instant,
}

/// Who signs a request.
pub(crate) struct Sender {
    pub(crate) key_id: String,
    pub(crate) keys: Arc<Keys>,
}

/// Whether a content type says ActivityPub, parameters apart from the profile ignored.
pub(crate) fn is_activity(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    match parts.next().map(str::to_ascii_lowercase).as_deref() {
        Some("application/activity+json") => true,
        Some("application/ld+json") => {
            parts.any(|part| part.replace('"', "") == "profile=https://www.w3.org/ns/activitystreams")
        }
        _ => false,
    }
}

async fn collect(mut response: reqwest::Response, limit: usize) -> Result<Bytes, reqwest::Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        let room = limit.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if body.len() >= limit {
            break;
        }
    }
    Ok(body.freeze())
}

impl Inner {
    /// The instance actor: what signs fetches, readable by everybody so that no two servers wait for each other.
    pub(crate) fn instance_actor(&self) -> String {
        format!("{}/actor", self.origin())
    }

    /// The instance actor's key.
    pub(crate) async fn instance_keys(&self) -> Result<Arc<Keys>, SimError> {
        keys::shared(usize::from(self.address.port())).await
    }

    async fn instance_sender(&self) -> Result<Sender, SimError> {
        Ok(Sender { key_id: self.dialect.key_id(&self.instance_actor()), keys: self.instance_keys().await? })
    }

    /// A signed GET, cut at `limit` bytes.
    pub(crate) async fn get(&self, url: &str, accept: &str, limit: usize) -> Result<Fetched, SimError> {
        let parsed = parse(url)?;
        let sender = self.instance_sender().await?;
        let signing = Signing {
            dialect: self.dialect,
            key_id: &sender.key_id,
            keys: &sender.keys,
            now: self.now(),
            method: "GET",
            url: &parsed,
            body: None,
            accept: Some(accept),
        };
        let mut request = self.client.get(parsed.clone()).header("user-agent", self.user_agent());
        for (name, value) in sign::headers(&signing, &SignOptions::default(), Scheme::Cavage)? {
            request = request.header(name, value);
        }
        let transport = |source| SimError::Transport { url: url.to_owned(), source };
        let response = request.send().await.map_err(transport)?;
        let status = response.status().as_u16();
        let content_type = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let body = collect(response, limit).await.map_err(transport)?;
        Ok(Fetched { status, content_type, body })
    }

    /// A JSON document that says it is ActivityPub.
    pub(crate) async fn document(&self, url: &str) -> Result<Value, SimError> {
        let wrong = |why: String| SimError::Document { url: url.to_owned(), why };
        let fetched = self.get(url, ACCEPT, DOCUMENT_LIMIT).await?;
        if fetched.status != 200 {
            return Err(wrong(format!("answered {}", fetched.status)));
        }
        if !is_activity(&fetched.content_type) {
            return Err(wrong(format!("Content-Type is {:?}", fetched.content_type)));
        }
        serde_json::from_slice(&fetched.body).map_err(|e| wrong(format!("not JSON: {e}")))
    }

    /// A signed POST, with the flavour's second knock on 400 and 401.
    pub(crate) async fn post(
        &self,
        sender: &Sender,
        inbox: &str,
        body: &[u8],
        options: &SignOptions,
    ) -> Result<Reply, SimError> {
        let url = parse(inbox)?;
        let signing = Signing {
            dialect: self.dialect,
            key_id: &sender.key_id,
            keys: &sender.keys,
            now: self.now(),
            method: "POST",
            url: &url,
            body: Some(body),
            accept: None,
        };
        let knocks: &[Scheme] = match options.scheme {
            Some(Scheme::Cavage) => &[Scheme::Cavage],
            Some(Scheme::Rfc9421) => &[Scheme::Rfc9421],
            None if self.dialect.rfc9421_first => &[Scheme::Rfc9421, Scheme::Cavage],
            None => &[Scheme::Cavage],
        };
        let wire = options.swapped_body.as_deref().unwrap_or(body);
        let mut reply = Reply { status: 0, body: String::new() };
        for scheme in knocks {
            let mut request = self.client.post(url.clone()).header("user-agent", self.user_agent());
            for (name, value) in sign::headers(&signing, options, *scheme)? {
                request = request.header(name, value);
            }
            let transport = |source| SimError::Transport { url: inbox.to_owned(), source };
            let response = request.body(wire.to_vec()).send().await.map_err(transport)?;
            let status = response.status().as_u16();
            let text = collect(response, REPLY_LIMIT).await.map_err(transport)?;
            reply = Reply { status, body: String::from_utf8_lossy(&text).into_owned() };
            if !matches!(status, 400 | 401) {
                break;
            }
        }
        Ok(reply)
    }

    fn user_agent(&self) -> String {
        format!("{}/simulated (+{}/)", self.dialect.software, self.origin())
    }

    /// The key behind a key id: from memory, or fetched and confirmed by its owner.
    pub(crate) async fn key(&self, key_id: &str, again: bool) -> Result<KnownKey, Fault> {
        let known = self.lock().remote_keys.get(key_id).cloned();
        if let Some(key) = known.filter(|key| !again || key.fetched.elapsed() < REFETCH) {
            return Ok(key);
        }
        let fault = |why: String| Fault::new(Rule::Key, format!("{key_id}: {why}"));
        let url = key_id.split('#').next().unwrap_or(key_id);
        let document = self.document(url).await.map_err(|e| fault(e.to_string()))?;
        let (pem, owner) = listed_key(&document, key_id).ok_or_else(|| fault("not listed there".into()))?;
        if !same_origin(key_id, &owner) {
            return Err(fault(format!("its owner {owner} is on another host")));
        }
        if url != owner {
            let actor = self.document(&owner).await.map_err(|e| fault(e.to_string()))?;
            let confirmed =
                listed_key(&actor, key_id).is_some_and(|found| found == (pem.clone(), owner.clone()));
            if !confirmed || actor.get("id").and_then(Value::as_str) != Some(owner.as_str()) {
                return Err(fault(format!("its owner {owner} does not list it back")));
            }
        } else if document.get("id").and_then(Value::as_str) != Some(url) {
            return Err(fault("the document there has another id".into()));
        }
        let key = KnownKey { pem, owner, fetched: Instant::now() };
        self.update(|state| state.remote_keys.insert(key_id.to_owned(), key.clone()));
        Ok(key)
    }
}

/// PEM and owner of the key `key_id` in an actor, stub or key document.
fn listed_key(document: &Value, key_id: &str) -> Option<(String, String)> {
    let listed = document.get("publicKey").unwrap_or(document);
    let keys = match listed {
        Value::Array(many) => many.as_slice(),
        one => std::slice::from_ref(one),
    };
    let key = keys.iter().find(|key| key.get("id").and_then(Value::as_str) == Some(key_id))?;
    let field = |name: &str| key.get(name).and_then(Value::as_str).map(str::to_owned);
    Some((field("publicKeyPem")?, field("owner")?))
}

fn parse(url: &str) -> Result<Url, SimError> {
    Url::parse(url).map_err(|e| SimError::Document { url: url.to_owned(), why: format!("not a URL: {e}") })
}

/// Whether two addresses share scheme, host and port.
pub(crate) fn same_origin(a: &str, b: &str) -> bool {
    match (Url::parse(a), Url::parse(b)) {
        (Ok(a), Ok(b)) => a.host().is_some() && a.origin() == b.origin(),
        _ => false,
    }
}
