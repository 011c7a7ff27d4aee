//! Finds an actor by handle or id, and checks what it finds as the flavour would.

use serde_json::Value;
use url::Url;

use super::SimError;
use super::dialect::{Dialect, Flavour};
use super::fetch::same_origin;
use super::judge::has_activitystreams;
use super::sign::authority;
use super::state::Inner;
use super::violation::{Fault, Rule};

/// What a server keeps of an actor elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) id: String,
    pub(crate) inbox: String,
    pub(crate) shared: Option<String>,
    pub(crate) username: String,
}

const JRD_LIMIT: usize = 64 << 10;
const ACTOR_TYPES: [&str; 5] = ["Application", "Group", "Organization", "Person", "Service"];

impl Inner {
    /// WebFinger, actor document and the way back, for `user@host`, `@user@host`, `acct:user@host` or an actor id.
    pub(crate) async fn resolve(&self, target: &str) -> Result<Remote, SimError> {
        let result = self.look_up(target).await;
        if let Err(SimError::Document { url, why }) = &result {
            self.update(|state| state.blame(url, Fault::new(Rule::Document, why.clone())));
        }
        result
    }

    async fn look_up(&self, target: &str) -> Result<Remote, SimError> {
        if target.starts_with("http://") || target.starts_with("https://") {
            let remote = self.actor_at(target).await?;
            let wrong = |why: String| SimError::Document { url: target.to_owned(), why };
            let url = Url::parse(target).map_err(|e| wrong(e.to_string()))?;
            let handle = format!("{}@{}", remote.username, authority(&url));
            let found = self.finger(&handle, self.dialect.case_exact).await?;
            if found != remote.id {
                return Err(wrong(format!("acct:{handle} leads to {found}")));
            }
            return Ok(remote);
        }
        let handle = target.trim_start_matches("acct:").trim_start_matches('@');
        let id = self.finger(handle, false).await?;
        let remote = self.actor_at(&id).await?;
        if self.dialect.case_exact {
            // GoToSocial compares the subject with the username of the document, letter case included.
            let host = handle.rsplit_once('@').map(|(_, host)| host).unwrap_or_default();
            let canonical = format!("{}@{host}", remote.username);
            self.finger(&canonical, true).await?;
        }
        Ok(remote)
    }

    /// The actor id behind a handle.
    async fn finger(&self, handle: &str, exact: bool) -> Result<String, SimError> {
        let (_, host) = handle.rsplit_once('@').ok_or_else(|| SimError::Document {
            url: handle.to_owned(),
            why: "not a handle: it lacks @host".to_owned(),
        })?;
        let mut url = Url::parse(&format!("{}://{host}/.well-known/webfinger", self.handles))
            .map_err(|e| SimError::Document { url: handle.to_owned(), why: e.to_string() })?;
        url.query_pairs_mut().append_pair("resource", &format!("acct:{handle}"));
        let wrong = |why: String| SimError::Document { url: url.to_string(), why };
        let fetched = self.get(url.as_str(), "application/jrd+json, application/json", JRD_LIMIT).await?;
        if fetched.status != 200 {
            return Err(wrong(format!("answered {}", fetched.status)));
        }
        let kind = fetched.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !matches!(kind.as_str(), "application/jrd+json" | "application/json") {
            return Err(wrong(format!("Content-Type is {:?}", fetched.content_type)));
        }
        let jrd: Value =
            serde_json::from_slice(&fetched.body).map_err(|e| wrong(format!("not JSON: {e}")))?;
        let wanted = format!("acct:{handle}");
        let subject = jrd.get("subject").and_then(Value::as_str).unwrap_or_default();
        let same = if exact { subject == wanted } else { subject.eq_ignore_ascii_case(&wanted) };
        if !same {
            return Err(wrong(format!("subject is {subject:?}, asked was {wanted:?}")));
        }
        let links = jrd.get("links").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        links
            .iter()
            .filter(|link| link.get("rel").and_then(Value::as_str) == Some("self"))
            .filter(|link| link.get("type").and_then(Value::as_str).is_some_and(super::fetch::is_activity))
            .find_map(|link| link.get("href").and_then(Value::as_str).map(str::to_owned))
            .ok_or_else(|| wrong("no self link of an ActivityPub type".into()))
    }

    /// The checked actor document at `id`, remembered.
    pub(crate) async fn actor_at(&self, id: &str) -> Result<Remote, SimError> {
        if let Some(known) = self.lock().remotes.get(id).cloned() {
            return Ok(known);
        }
        let document = self.document(id).await?;
        let remote = actor(&document, id, self.flavour, self.dialect)
            .map_err(|why| SimError::Document { url: id.to_owned(), why })?;
        self.update(|state| state.remotes.insert(id.to_owned(), remote.clone()));
        Ok(remote)
    }
}

fn text<'a>(document: &'a Value, field: &str) -> Option<&'a str> {
    document.get(field).and_then(Value::as_str)
}

/// Applies the demands of a flavour to an actor document.
fn actor(document: &Value, url: &str, flavour: Flavour, dialect: &Dialect) -> Result<Remote, String> {
    let need = |field: &str| text(document, field).ok_or_else(|| format!("{field} is missing or no string"));
    if !has_activitystreams(document) {
        return Err("@context lacks ActivityStreams".into());
    }
    let id = need("id")?;
    if id != url {
        return Err(format!("its id is {id}"));
    }
    if !ACTOR_TYPES.contains(&need("type")?) {
        return Err(format!("type {} is no actor", need("type")?));
    }
    let inbox = need("inbox")?;
    let username = need("preferredUsername")?;
    let key = document.get("publicKey").filter(|key| key.is_object()).ok_or("publicKey is no object")?;
    let pem = text(key, "publicKeyPem").ok_or("publicKeyPem is missing")?;
    if text(key, "owner") != Some(id) || !pem.starts_with("-----BEGIN PUBLIC KEY-----") {
        return Err("publicKey is of another owner or no SPKI PEM".into());
    }
    let mut local =
        vec![("inbox", inbox), ("publicKey.id", text(key, "id").ok_or("publicKey.id is missing")?)];
    let shared = document.get("endpoints").and_then(|e| text(e, "sharedInbox"));
    match flavour {
        Flavour::Misskey | Flavour::Pleroma | Flavour::Akkoma => {
            for field in ["outbox", "followers", "following"] {
                local.push((field, need(field)?));
            }
            if document.get("name").is_some_and(|name| name.as_str().is_none_or(str::is_empty)) {
                return Err("name is not a non-empty string".into());
            }
        }
        Flavour::PeerTube => {
            local.push(("outbox", need("outbox")?));
            need("url")?;
            shared.ok_or("endpoints.sharedInbox is missing")?;
        }
        Flavour::Lemmy => local.push(("outbox", need("outbox")?)),
        Flavour::Pixelfed => {
            document
                .get("manuallyApprovesFollowers")
                .and_then(Value::as_bool)
                .ok_or("manuallyApprovesFollowers is not said: read as private")?;
        }
        Flavour::Mastodon | Flavour::GoToSocial | Flavour::Friendica | Flavour::Fedify => {}
    }
    for (field, address) in local {
        if !same_origin(id, address) {
            return Err(format!("{field} {address} is on another host"));
        }
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if username.is_empty() || username.len() > 128 || (!dialect.case_exact && !username.chars().all(allowed))
    {
        return Err(format!("preferredUsername {username:?} is not accepted"));
    }
    Ok(Remote {
        id: id.to_owned(),
        inbox: inbox.to_owned(),
        shared: shared.filter(|shared| same_origin(id, shared)).map(str::to_owned),
        username: username.to_owned(),
    })
}
