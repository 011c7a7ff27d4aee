//! One bounded HTTP exchange with Owncast: addresses, credentials, time and size limits, redirects.

use std::sync::RwLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{Method, StatusCode};
use reqwest::redirect::Policy;
use serde_json::Value;
use url::Url;

use super::answer::{Answer, Door};
use super::error::{OwncastError, root_cause, shown};
use crate::model::Secret;

/// Largest JSON answer read, bytes: a server configuration with long page texts stays far below.
const JSON_LIMIT: usize = 1024 * 1024;
/// Largest picture read, bytes.
pub(super) const PICTURE_LIMIT: usize = 16 * 1024 * 1024;
/// Redirects followed for one GET, all within Owncast's own origin.
const MAX_REDIRECTS: usize = 3;
/// How the agent names itself to Owncast.
const USER_AGENT: &str = concat!("owncast-herald/", env!("CARGO_PKG_VERSION"));

/// How long Owncast may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// To accept a connection.
    pub connect: Duration,
    /// From the request to the last byte of the answer.
    pub total: Duration,
}

impl Default for Timeouts {
    /// 3 s and 10 s: Owncast is a neighbour, but may be busy encoding.
    fn default() -> Self {
        Timeouts { connect: Duration::from_secs(3), total: Duration::from_secs(10) }
    }
}

/// The credentials of one call.
pub(super) enum Credentials<'a> {
    Nobody,
    Admin,
    Token(&'a Secret),
}

/// A body with its label and status.
pub(super) struct Raw {
    pub url: String,
    pub door: Door,
    pub status: StatusCode,
    pub content_type: String,
    pub body: Bytes,
}

impl Raw {
    pub fn answer(&self) -> Answer<'_> {
        Answer {
            url: &self.url,
            door: self.door,
            status: self.status,
            content_type: &self.content_type,
            body: &self.body,
        }
    }
}

/// The connection pool to one Owncast. No proxies from the environment, no cookies and no Origin header:
/// newer Owncasts check both for browsers, and Basic auth alone passes.
pub(super) struct Transport {
    client: reqwest::Client,
    base: Url,
    admin: RwLock<(String, Secret)>,
    read_only: bool,
}

impl Transport {
    pub fn new(base: Url, user: String, password: Secret, timeouts: Timeouts) -> Result<Self, OwncastError> {
        let base = checked_base(&base)?;
        let client = http_client(&base)
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.total)
            .pool_max_idle_per_host(2)
            .pool_idle_timeout(Duration::from_secs(60))
            .build()
            .map_err(|error| OwncastError::Unreachable {
                url: shown(&base),
                reason: root_cause(&error),
                arrived: false,
            })?;
        Ok(Transport { client, base, admin: RwLock::new((user, password)), read_only: false })
    }

    pub fn base(&self) -> &Url {
        &self.base
    }

    pub fn set_admin(&self, user: String, password: Secret) {
        *self.admin.write().unwrap_or_else(std::sync::PoisonError::into_inner) = (user, password);
    }

    /// From now on everything but a GET is refused here, whoever asks for it.
    pub fn read_only(self) -> Self {
        Transport { read_only: true, ..self }
    }

    /// An address below the base; `segments` are escaped.
    pub fn at(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// GET with JSON as the answer.
    pub async fn get_json(&self, url: Url, credentials: Credentials<'_>) -> Result<Value, OwncastError> {
        self.get(url, credentials, "application/json", JSON_LIMIT).await?.answer().json()
    }

    /// GET; redirects inside Owncast's own origin are followed, others are an answer of somebody else.
    pub async fn get(
        &self,
        mut url: Url,
        credentials: Credentials<'_>,
        accept: &str,
        limit: usize,
    ) -> Result<Raw, OwncastError> {
        for _ in 0..=MAX_REDIRECTS {
            let request = self.authorise(self.client.request(Method::GET, url.clone()), &credentials);
            let response = request.header(ACCEPT, accept).send().await.map_err(|e| failed(&url, &e))?;
            let target = redirect_target(&url, &response);
            match target {
                None => return read(response, &url, door(&credentials), limit).await,
                Some(target) if target.origin() == self.base.origin() => url = target,
                Some(target) => {
                    let answered = format!("a redirect to {}", target.origin().ascii_serialization());
                    return Err(OwncastError::NotOwncast { url: shown(&url), answered });
                }
            }
        }
        Err(OwncastError::NotOwncast { url: shown(&url), answered: "a loop of redirects".to_owned() })
    }

    /// POST of a JSON body with JSON as the answer; never redirected, since a redirect may turn it into a GET.
    pub async fn post(
        &self,
        url: Url,
        credentials: Credentials<'_>,
        body: &Value,
    ) -> Result<Value, OwncastError> {
        if self.read_only {
            return Err(OwncastError::ReadOnly { url: shown(&url) });
        }
        let request = self.authorise(self.client.request(Method::POST, url.clone()), &credentials);
        let response = request
            .header(ACCEPT, "application/json")
            .json(body)
            .send()
            .await
            .map_err(|e| failed(&url, &e))?;
        read(response, &url, door(&credentials), JSON_LIMIT).await?.answer().json()
    }

    fn authorise(
        &self,
        request: reqwest::RequestBuilder,
        credentials: &Credentials<'_>,
    ) -> reqwest::RequestBuilder {
        match credentials {
            Credentials::Nobody => request,
            Credentials::Admin => {
                let (user, password) =
                    self.admin.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
                request.basic_auth(user, Some(password.expose()))
            }
            Credentials::Token(token) => request.bearer_auth(token.expose()),
        }
    }
}

/// Owncast's address, fit for joining paths: http(s), a host, no credentials, query or fragment.
pub(super) fn checked_base(base: &Url) -> Result<Url, OwncastError> {
    let refuse = |reason| Err(OwncastError::Address { url: shown(base), reason });
    if !matches!(base.scheme(), "http" | "https") {
        return refuse("only http:// and https:// addresses work");
    }
    if !base.username().is_empty() || base.password().is_some() {
        return refuse("it holds a user name or a password, which belong into settings of their own");
    }
    if base.query().is_some() || base.fragment().is_some() {
        return refuse("it has a query or a fragment");
    }
    Ok(base.clone())
}

fn door(credentials: &Credentials<'_>) -> Door {
    match credentials {
        Credentials::Nobody => Door::Public,
        Credentials::Admin => Door::Admin,
        Credentials::Token(_) => Door::Integration,
    }
}

fn redirect_target(url: &Url, response: &reqwest::Response) -> Option<Url> {
    if !response.status().is_redirection() {
        return None;
    }
    url.join(response.headers().get(LOCATION)?.to_str().ok()?).ok()
}

/// Maps a network failure; the address is kept out of the reason because reqwest shows it with its query.
pub(super) fn failed(url: &Url, error: &reqwest::Error) -> OwncastError {
    let cause = root_cause(error);
    let reason = if error.is_timeout() {
        "it took too long".to_owned()
    } else if url.scheme() == "https" && cause.contains("wrong version number") {
        // OpenSSL's words for an answer that is not TLS.
        "what answers there does not speak TLS; write http:// if Owncast is asked directly".to_owned()
    } else {
        cause
    };
    OwncastError::Unreachable { url: shown(url), reason, arrived: !error.is_connect() }
}

/// What clients of the Owncast at `base` have in common. Over http no certificate is ever looked at, and the system's
/// authorities, some megabytes, are left out.
pub(super) fn http_client(base: &Url) -> reqwest::ClientBuilder {
    let builder =
        reqwest::Client::builder().user_agent(USER_AGENT).no_proxy().referer(false).redirect(Policy::none());
    if base.scheme() == "http" { builder.tls_certs_only([]) } else { builder }
}

/// Reads a body up to `limit` bytes.
pub(super) async fn read(
    mut response: reqwest::Response,
    url: &Url,
    door: Door,
    limit: usize,
) -> Result<Raw, OwncastError> {
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let mut body = bytes::BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| failed(url, &e))? {
        if body.len() + chunk.len() > limit {
            return Err(OwncastError::Malformed { url: shown(url), what: "an answer far too large" });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Raw { url: shown(url), door, status, content_type, body: body.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_without_showing_credentials() {
        for good in ["http://127.0.0.1:8080", "https://live.example/owncast/"] {
            assert!(checked_base(&Url::parse(good).unwrap()).is_ok(), "{good}");
        }
        for bad in ["ftp://x.example", "http://admin:hunter2@x.example", "http://x.example/?a=hunter2"] {
            let text = checked_base(&Url::parse(bad).unwrap()).unwrap_err().to_string();
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn paths_are_joined_below_the_base_and_escaped() {
        for (base, expected) in [
            ("http://h", "http://h/federation/user/a%2Fb"),
            ("http://h/sub/", "http://h/sub/federation/user/a%2Fb"),
            ("http://h/sub", "http://h/sub/federation/user/a%2Fb"),
        ] {
            let transport = Transport::new(
                Url::parse(base).unwrap(),
                "admin".to_owned(),
                Secret::from("x"),
                Timeouts::default(),
            )
            .unwrap();
            assert_eq!(transport.at(&["federation", "user", "a/b"]).as_str(), expected);
        }
    }
}
