//! The calls to Owncast's HTTP API, typed.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::error::{OwncastError, shown};
use super::transport::{Credentials, PICTURE_LIMIT, Transport};
use super::types::{
    FollowerEntry, FollowerList, Picture, PictureBytes, ServerConfig, Status, Token, Webhook, WireConfig,
    WireList, WireStatus,
};
use crate::model::Secret;

pub use super::transport::Timeouts;

/// Largest list of followers or actor document read, bytes.
const LIST_LIMIT: usize = 16 * 1024 * 1024;

/// A client of one Owncast; cheap to clone, all clones share connections and the password.
#[derive(Clone)]
pub struct Api(Arc<Transport>);

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Api").field(&self.0.base().as_str()).finish()
    }
}

impl Api {
    /// A client of the Owncast at `base` (its own address; a path is kept). Nothing is sent yet.
    ///
    /// # Errors
    /// [`OwncastError::Address`] when `base` is not http(s) or holds credentials, a query or a fragment.
    pub fn new(base: Url, user: String, password: impl Into<Secret>) -> Result<Api, OwncastError> {
        Api::with_timeouts(base, user, password, Timeouts::default())
    }

    /// [`Api::new`] with other limits of time.
    ///
    /// # Errors
    /// As [`Api::new`].
    pub fn with_timeouts(
        base: Url,
        user: String,
        password: impl Into<Secret>,
        timeouts: Timeouts,
    ) -> Result<Api, OwncastError> {
        Ok(Api(Arc::new(Transport::new(base, user, password.into(), timeouts)?)))
    }

    /// Owncast's address as given.
    pub fn base(&self) -> &Url {
        self.0.base()
    }

    /// Replaces the admin user and password from the next call on, in all clones.
    pub fn set_admin(&self, user: String, password: impl Into<Secret>) {
        self.0.set_admin(user, password.into());
    }

    /// [`Api::new`], for looking only: every call that could change something in Owncast is
    /// [`OwncastError::ReadOnly`].
    ///
    /// # Errors
    /// As [`Api::new`].
    pub fn read_only(base: Url, user: String, password: impl Into<Secret>) -> Result<Api, OwncastError> {
        let transport = Transport::new(base, user, password.into(), Timeouts::default())?;
        Ok(Api(Arc::new(transport.read_only())))
    }

    // ---- reading ----

    /// `GET /api/status`, which needs no password.
    ///
    /// # Errors
    /// [`OwncastError`]; JSON without Owncast's `versionNumber` is [`OwncastError::NotOwncast`].
    pub async fn status(&self) -> Result<Status, OwncastError> {
        let url = self.0.at(&["api", "status"]);
        let value = self.0.get_json(url.clone(), Credentials::Nobody).await?;
        require(&value, &["versionNumber"], &url)?;
        let wire: WireStatus = shape(value, &url, "the status")?;
        let malformed = || OwncastError::Malformed { url: shown(&url), what: "the status has no clock" };
        Ok(Status {
            server_time: wire.server_time.ok_or_else(malformed)?,
            last_connect_time: wire.last_connect_time,
            last_disconnect_time: wire.last_disconnect_time,
            version_number: wire.version_number,
            stream_title: wire.stream_title,
            online: wire.online,
        })
    }

    /// `GET /api/admin/serverconfig`, reduced to what is needed; it also proves the password.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn server_config(&self) -> Result<ServerConfig, OwncastError> {
        let url = self.0.at(&["api", "admin", "serverconfig"]);
        let value = self.0.get_json(url.clone(), Credentials::Admin).await?;
        require(&value, &["federation", "instanceDetails"], &url)?;
        shape::<WireConfig>(value, &url, "the server configuration").map(ServerConfig::from)
    }

    /// Owncast's own actor document; `None` while its federation is off (405) or for another name (404).
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn actor_document(&self, username: &str) -> Result<Option<Value>, OwncastError> {
        let url = self.0.at(&["federation", "user", username]);
        let raw = self.0.get(url, Credentials::Nobody, "application/activity+json", LIST_LIMIT).await?;
        if matches!(raw.status.as_u16(), 404 | 405) {
            return Ok(None);
        }
        raw.answer().json().map(Some)
    }

    /// Approved followers, newest first; `offset` and `limit` count rows.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn followers(&self, offset: u32, limit: u32) -> Result<FollowerList, OwncastError> {
        let mut url = self.0.at(&["api", "admin", "followers"]);
        url.set_query(Some(&format!("offset={offset}&limit={limit}")));
        self.list(url).await
    }

    /// Followers waiting for approval, all of them.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn pending(&self) -> Result<FollowerList, OwncastError> {
        self.list(self.0.at(&["api", "admin", "followers", "pending"])).await
    }

    /// Rejected and blocked followers, all of them.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn blocked(&self) -> Result<FollowerList, OwncastError> {
        self.list(self.0.at(&["api", "admin", "followers", "blocked"])).await
    }

    /// How many activities Owncast itself accepted in its life: more than zero means that its actor has lived.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn federation_actions_total(&self) -> Result<u64, OwncastError> {
        let mut url = self.0.at(&["api", "admin", "federation", "actions"]);
        url.set_query(Some("offset=0&limit=1"));
        let value = self.0.get_json(url.clone(), Credentials::Admin).await?;
        Ok(shape::<WireList<serde::de::IgnoredAny>>(value, &url, "the list of federation actions")?.split().0)
    }

    /// A picture, unchecked: see `media::recognise` before believing it.
    ///
    /// # Errors
    /// [`OwncastError`]; a missing picture is [`OwncastError::NotOwncast`], since Owncast always has a stand-in.
    pub async fn picture(&self, picture: Picture) -> Result<PictureBytes, OwncastError> {
        let url = match picture {
            Picture::Thumbnail => self.0.at(&["thumbnail.jpg"]),
            Picture::Preview => self.0.at(&["preview.gif"]),
            Picture::Logo => self.0.at(&["logo"]),
            Picture::LogoExternal => self.0.at(&["logo", "external"]),
        };
        let raw = self.0.get(url, Credentials::Nobody, "image/*", PICTURE_LIMIT).await?;
        raw.answer().check_status()?;
        let page = raw.content_type.to_ascii_lowercase().contains("html");
        if !raw.status.is_success() || raw.body.is_empty() || page {
            return Err(raw.answer().not_owncast());
        }
        Ok(PictureBytes { bytes: raw.body, content_type: raw.content_type })
    }

    // ---- webhooks and tokens ----

    /// All registered webhooks, also other people's.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, OwncastError> {
        let url = self.0.at(&["api", "admin", "webhooks"]);
        let value = self.0.get_json(url.clone(), Credentials::Admin).await?;
        Ok(shape::<Option<Vec<Webhook>>>(value, &url, "the list of webhooks")?.unwrap_or_default())
    }

    /// Registers a webhook. `secret` signs its calls from Owncast 0.3 on; older ones ignore it. One unknown
    /// event makes Owncast refuse the whole call.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn create_webhook(
        &self,
        webhook: &Url,
        events: &[&str],
        secret: &Secret,
    ) -> Result<Webhook, OwncastError> {
        let url = self.0.at(&["api", "admin", "webhooks", "create"]);
        let body = json!({ "url": webhook.as_str(), "events": events, "secret": secret.expose() });
        let value = self.0.post(url.clone(), Credentials::Admin, &body).await?;
        shape(value, &url, "the new webhook")
    }

    /// Deletes a webhook; `false` when there was none of that id.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn delete_webhook(&self, id: i64) -> Result<bool, OwncastError> {
        let url = self.0.at(&["api", "admin", "webhooks", "delete"]);
        match self.0.post(url, Credentials::Admin, &json!({ "id": id })).await {
            Ok(_) => Ok(true),
            Err(OwncastError::Refused { message, .. }) if message.contains("not found") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All access tokens, also other people's.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn tokens(&self) -> Result<Vec<Token>, OwncastError> {
        let url = self.0.at(&["api", "admin", "accesstokens"]);
        let value = self.0.get_json(url.clone(), Credentials::Admin).await?;
        Ok(shape::<Option<Vec<Token>>>(value, &url, "the list of access tokens")?.unwrap_or_default())
    }

    /// Makes an access token; its `id` is empty in this answer.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn create_token(&self, name: &str, scopes: &[&str]) -> Result<Token, OwncastError> {
        let url = self.0.at(&["api", "admin", "accesstokens", "create"]);
        let body = json!({ "name": name, "scopes": scopes });
        let value = self.0.post(url.clone(), Credentials::Admin, &body).await?;
        shape(value, &url, "the new access token")
    }

    /// Deletes an access token; Owncast answers the same when there was none.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn delete_token(&self, token: &Secret) -> Result<(), OwncastError> {
        let body = json!({ "token": token.expose() });
        self.admin_post(&["api", "admin", "accesstokens", "delete"], &body).await
    }

    // ---- telling ----

    /// Sets Owncast's own go-live message; empty stops its own go-live post.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn set_go_live_message(&self, message: &str) -> Result<(), OwncastError> {
        let body = json!({ "value": message });
        self.admin_post(&["api", "admin", "config", "federation", "livemessage"], &body).await
    }

    /// All external actions in Owncast's own shape, whoever made them.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn external_actions(&self) -> Result<Vec<Value>, OwncastError> {
        let url = self.0.at(&["api", "admin", "serverconfig"]);
        let mut config = self.0.get_json(url.clone(), Credentials::Admin).await?;
        require(&config, &["federation", "instanceDetails"], &url)?;
        let actions = config.get_mut("externalActions").map(Value::take).unwrap_or_default();
        Ok(shape::<Option<Vec<Value>>>(actions, &url, "the list of external actions")?.unwrap_or_default())
    }

    /// Makes Owncast raise a VISIBILITY-UPDATE with `id` on its webhooks and its websocket, which viewers do
    /// not see as long as no chat message has that id. It always sends one id: an empty list makes
    /// Owncast's handler panic.
    ///
    /// # Errors
    /// [`OwncastError`].
    pub async fn probe(&self, id: &str) -> Result<(), OwncastError> {
        let body = json!({ "idArray": [id], "visible": true });
        self.admin_post(&["api", "admin", "chat", "messagevisibility"], &body).await
    }

    /// Says a system message: a card headed with the server's name. `body` is markdown in which raw HTML is
    /// kept: everything from a stranger must be escaped before. "Sent" says nothing about having been shown.
    ///
    /// # Errors
    /// [`OwncastError`]; [`OwncastError::WrongToken`] when the token is gone.
    pub async fn say_system(&self, token: &Secret, body: &str) -> Result<(), OwncastError> {
        self.say("system", token, body).await
    }

    /// Says an action: a small centred line. Owncast renders `body` twice and puts it unsanitised into every
    /// viewer's page.
    ///
    /// # Errors
    /// As [`Api::say_system`].
    pub async fn say_action(&self, token: &Secret, body: &str) -> Result<(), OwncastError> {
        self.say("action", token, body).await
    }

    /// Says an ordinary chat line by the bot named like the token; the only kind that stays in the history.
    ///
    /// # Errors
    /// As [`Api::say_system`].
    pub async fn say_bot(&self, token: &Secret, body: &str) -> Result<(), OwncastError> {
        self.say("send", token, body).await
    }

    async fn say(&self, kind: &str, token: &Secret, body: &str) -> Result<(), OwncastError> {
        let url = self.0.at(&["api", "integrations", "chat", kind]);
        self.0.post(url, Credentials::Token(token), &json!({ "body": body })).await.map(|_| ())
    }

    async fn admin_post(&self, path: &[&str], body: &Value) -> Result<(), OwncastError> {
        self.0.post(self.0.at(path), Credentials::Admin, body).await.map(|_| ())
    }

    async fn list(&self, url: Url) -> Result<FollowerList, OwncastError> {
        let raw = self.0.get(url.clone(), Credentials::Admin, "application/json", LIST_LIMIT).await?;
        let list = shape::<WireList<FollowerEntry>>(raw.answer().json()?, &url, "a list of followers")?;
        let (total, entries) = list.split();
        Ok(FollowerList { total, entries })
    }
}

/// Reads a shape; what did not fit is not shown, since it may be a secret in the wrong place.
fn shape<T: DeserializeOwned>(value: Value, url: &Url, what: &'static str) -> Result<T, OwncastError> {
    serde_json::from_value(value).map_err(|_| OwncastError::Malformed { url: shown(url), what })
}

/// Other software's JSON lacks Owncast's landmarks.
fn require(value: &Value, landmarks: &[&str], url: &Url) -> Result<(), OwncastError> {
    match landmarks.iter().find(|landmark| value.get(**landmark).is_none()) {
        None => Ok(()),
        Some(landmark) => {
            Err(OwncastError::NotOwncast { url: shown(url), answered: format!("JSON without `{landmark}`") })
        }
    }
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
