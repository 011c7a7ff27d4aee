//! What a server says of somebody whose address a person has typed (RFC 7033).

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use url::Url;

use super::document::MAX_REDIRECTS;
use super::fetcher::TRANSIENT_FOR;
use super::{FetchError, Fetcher};
use crate::activitypub::json;
use crate::model::Source;
use crate::model::origin::Origin;
use crate::net::Limits;

/// Largest document read.
const MAX_BYTES: usize = 64 * 1024;
/// A person waits for this.
const PATIENCE: Duration = Duration::from_secs(8);

/// A WebFinger document and who it is from.
#[derive(Debug)]
pub struct Described {
    /// The document.
    pub document: Value,
    /// The host asked, and the one that answered in the end: an address's domain may leave its accounts to another host.
    pub origins: [Origin; 2],
}

impl Fetcher {
    /// Asks `host` about `user`, on the word of `source`.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn webfinger(
        &self,
        user: &str,
        host: &str,
        source: Option<Source>,
    ) -> Result<Described, FetchError> {
        let scheme = if self.policy.allow_http { "http" } else { "https" };
        let mut url = self.address(&format!("{scheme}://{host}/.well-known/webfinger"))?;
        url.query_pairs_mut().append_pair("resource", &format!("acct:{user}@{host}"));
        self.known_failure(&url)?;
        let late = FetchError::Net(crate::net::NetError::Timeout(PATIENCE));
        let found =
            tokio::time::timeout(PATIENCE, self.described(url.clone(), source)).await.unwrap_or(Err(late));
        // A person may try again soon, once their server is well.
        found.inspect_err(|error| match error {
            FetchError::Busy => {}
            error => self.remember_failure(&url, error, TRANSIENT_FOR),
        })
    }

    async fn described(&self, asked: Url, source: Option<Source>) -> Result<Described, FetchError> {
        let origin = |url: &Url| Origin::of(url).ok_or(FetchError::NotFound);
        let limits = Limits { max_bytes: MAX_BYTES, timeout: PATIENCE };
        let mut url = asked.clone();
        for _ in 0..=MAX_REDIRECTS {
            self.refuse_own_host(&url)?;
            let turn = self.turn(&url, source).await?;
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static("application/jrd+json, application/json"));
            let watch = self.watch(&turn);
            let answer = self.exchange(&url, headers, limits).await?;
            drop(watch);
            match answer.status.as_u16() {
                200 if is_json(&answer.headers) => {
                    let document = json::parse(&answer.body)
                        .map_err(|problem| FetchError::rejected(problem.to_string()))?;
                    return Ok(Described { document, origins: [origin(&asked)?, origin(&url)?] });
                }
                200 => return Err(FetchError::rejected("it is not JSON")),
                301 | 302 | 303 | 307 | 308 => url = self.location(&url, &answer.headers)?,
                404 => return Err(FetchError::NotFound),
                410 => return Err(FetchError::Gone),
                other => return Err(FetchError::Status(other)),
            }
        }
        Err(FetchError::rejected("it redirects more than 3 times"))
    }
}

/// RFC 7033 knows one type; older servers say that it is plain JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(essence.as_str(), "application/jrd+json" | "application/json" | "application/activity+json")
}
