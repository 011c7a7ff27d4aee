//! One signed GET of an ActivityPub document: redirects, content type, and whose document it is.

use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use url::Url;

use super::budget::Turn;
use super::{FetchError, Fetcher, RemoteActor, Signer, apart, refuses_scheme};
use crate::activitypub::json;
use crate::activitypub::signature::{Form, Message, Scheme};
use crate::model::handle::host_of_url;
use crate::model::origin::{parse_remote, same_origin};
use crate::net::{Answer, Limits};

/// Most redirects followed (C-21).
pub(super) const MAX_REDIRECTS: usize = 3;
/// Both spellings, in the form that Pixelfed, Lemmy and old Owncast compare literally.
const ACCEPTED: &str =
    "application/activity+json, application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"";
const AS_PROFILE: &str = "https://www.w3.org/ns/activitystreams";

/// A search for an actor or a key, all of it at one host.
pub(super) struct Search<'a> {
    turn: &'a Turn,
    /// The way of signing that the host took after it had refused another. It counts beyond this search only if that finds what
    /// it is for: whoever has a page on a host can have it refuse one and answer the other, and some answer what they do not
    /// verify with less than the whole.
    pub(super) took: Option<Scheme>,
}

impl<'a> Search<'a> {
    pub(super) fn new(turn: &'a Turn) -> Self {
        Search { turn, took: None }
    }
}

impl Fetcher {
    /// Fetches a document and makes sure that it is the one at its own id (C-3): the `id`, without fragment, equals
    /// the address it came from; if not, but on the same host, it is fetched once more from that `id`.
    pub(super) async fn authentic(&self, start: &Url, search: &mut Search<'_>) -> Result<Value, FetchError> {
        let (document, came_from) = self.get(start, search).await?;
        let id = self.id_of(&document)?;
        if id == came_from {
            return Ok(document);
        }
        if !same_origin(&id, &came_from) {
            return Err(FetchError::rejected("its id is on another host than its address"));
        }
        let (document, came_from) = self.get(&id, search).await?;
        if self.id_of(&document)? != came_from {
            return Err(FetchError::rejected("its id is not its address"));
        }
        Ok(document)
    }

    /// The document's id without fragment. A 200 without id is a stripped document for those who may not read it.
    fn id_of(&self, document: &Value) -> Result<Url, FetchError> {
        let id = document.get("id").and_then(Value::as_str).ok_or(FetchError::Denied)?;
        Ok(without_fragment(&parse_remote(id, &self.policy)?))
    }

    /// The document and the address that finally gave it.
    async fn get(&self, start: &Url, search: &mut Search<'_>) -> Result<(Value, Url), FetchError> {
        let mut url = without_fragment(start);
        for _ in 0..=MAX_REDIRECTS {
            self.refuse_own_host(&url)?;
            let first = search.took.unwrap_or_else(|| self.schemes.first(&host_of_url(&url), (self.clock)()));
            let (mut answer, scheme) = self.knock(&url, first, search).await?;
            if (first, scheme) == (Scheme::Rfc9421, Scheme::Rfc9421) && self.is_stripped(&answer, &url) {
                self.doubt(&url, search);
                (answer, _) = self.knock(&url, Scheme::Cavage, search).await?;
            }
            match answer.status.as_u16() {
                200 => return Ok((read(&answer)?, url)),
                301 | 302 | 303 | 307 | 308 => url = self.next(&url, &answer.headers)?,
                401 | 403 => return Err(FetchError::Denied),
                404 => return Err(FetchError::NotFound),
                410 => return Err(FetchError::Gone),
                other => return Err(FetchError::Status(other)),
            }
        }
        Err(FetchError::rejected("it redirects more than 3 times"))
    }

    /// Asks in this scheme, and once more, as the server asks for or else in the other one, where that is refused, as peers in
    /// secure mode do. What is answered, and to which scheme.
    async fn knock(
        &self,
        url: &Url,
        first: Scheme,
        search: &mut Search<'_>,
    ) -> Result<(Answer, Scheme), FetchError> {
        let answer = self.ask(url, Form::Plain(first), search.turn).await?;
        if !refuses_scheme(answer.status.as_u16()) {
            return Ok((answer, first));
        }
        let form = Form::after(first, &answer.headers, &self.signer.key_id, false);
        let then = form.scheme();
        let second = self.ask(url, form, search.turn).await?;
        let refused = refuses_scheme(second.status.as_u16());
        if second.status.is_success() {
            search.took = Some(then);
        } else if then == first && refused {
            self.doubt(url, search);
        }
        // Of two refusals the clearer one.
        Ok(if answer.status == 401 && refused { (answer, first) } else { (second, then) })
    }

    /// What is known of how this host is asked is not believed any longer.
    fn doubt(&self, url: &Url, search: &mut Search<'_>) {
        search.took = None;
        self.schemes.doubts(&host_of_url(url));
    }

    /// Whether this is what those see who may not read a document, or whose signature is not understood.
    fn is_stripped(&self, answer: &Answer, url: &Url) -> bool {
        if answer.status != 200 {
            return false;
        }
        let Ok(document) = read(answer) else { return false };
        match self.id_of(&document) {
            Ok(id) => id == *url && RemoteActor::read(&document, &self.policy) == Err(FetchError::Denied),
            Err(error) => error == FetchError::Denied,
        }
    }

    /// One GET, signed once.
    async fn ask(&self, url: &Url, form: Form, turn: &Turn) -> Result<Answer, FetchError> {
        turn.asks((self.clock)())?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        let Signer { key_id, key } = &self.signer;
        let message =
            Message { method: &Method::GET, url, date: (self.clock)(), digest: None, content_type: None };
        headers.extend(form.sign(&message, key_id, key)?);
        let limits = Limits { max_bytes: json::MAX_BYTES, timeout: super::fetcher::TIMEOUT };
        self.exchange(url, headers, limits).await
    }

    pub(super) async fn exchange(
        &self,
        url: &Url,
        headers: HeaderMap,
        limits: Limits,
    ) -> Result<Answer, FetchError> {
        apart::get(self.apart.as_ref(), &self.client, url, headers, limits).await
    }

    /// Where a redirect of an actor or key leads, if it may be followed: not to another origin.
    fn next(&self, from: &Url, headers: &HeaderMap) -> Result<Url, FetchError> {
        let next = self.location(from, headers)?;
        if !same_origin(from, &next) {
            return Err(FetchError::rejected("it redirects to another host or scheme"));
        }
        Ok(next)
    }

    /// Where a redirect leads, if that is an address.
    pub(super) fn location(&self, from: &Url, headers: &HeaderMap) -> Result<Url, FetchError> {
        let mut all = headers.get_all(LOCATION).iter();
        let location = match (all.next().and_then(|value| value.to_str().ok()), all.next()) {
            (Some(location), None) => location,
            _ => return Err(FetchError::rejected("it redirects without one readable Location")),
        };
        if location.contains('\\') || location.contains(char::is_whitespace) {
            return Err(FetchError::rejected("it redirects to an ambiguous address"));
        }
        let joined =
            from.join(location).map_err(|_| FetchError::rejected("it redirects to no valid address"))?;
        Ok(without_fragment(&parse_remote(joined.as_str(), &self.policy)?))
    }
}

fn read(answer: &Answer) -> Result<Value, FetchError> {
    if !is_activity(&answer.headers) {
        return Err(FetchError::rejected(
            "its content type is neither application/activity+json nor application/ld+json with the ActivityStreams \
             profile",
        ));
    }
    json::parse(&answer.body).map_err(|problem| FetchError::rejected(problem.to_string()))
}

pub(super) fn without_fragment(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    url
}

/// C-6: an uploaded file must not become an actor (Mastodon CVE-2024-25623).
fn is_activity(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(Ok(value)), None) = (values.next().map(HeaderValue::to_str), values.next()) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    match essence.as_str() {
        "application/activity+json" => true,
        "application/ld+json" => parts.any(|part| {
            part.split_once('=').is_some_and(|(name, profiles)| {
                name.trim().eq_ignore_ascii_case("profile")
                    && profiles
                        .trim()
                        .trim_matches('"')
                        .split_ascii_whitespace()
                        .any(|profile| profile == AS_PROFILE)
            })
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_types_of_activitypub_count() {
        let check = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| {
                headers.append(CONTENT_TYPE, value.parse().unwrap());
            });
            is_activity(&headers)
        };
        for good in [
            "application/activity+json",
            "Application/Activity+JSON; charset=utf-8",
            "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"",
            "application/ld+json;profile=https://www.w3.org/ns/activitystreams; charset=utf-8",
            "application/ld+json; profile=\"https://w3id.org/x https://www.w3.org/ns/activitystreams\"",
        ] {
            assert!(check(&[good]), "{good}");
        }
        for bad in [
            "text/html",
            "application/json",
            "application/ld+json",
            "application/ld+json; profile=\"https://example.com/\"",
            "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams2\"",
            "image/png",
            "application/activity+jsonx",
            "text/plain; x=application/activity+json",
            "",
        ] {
            assert!(!check(&[bad]), "{bad}");
        }
        assert!(!check(&[]) && !check(&["application/activity+json", "text/html"]));
    }
}
