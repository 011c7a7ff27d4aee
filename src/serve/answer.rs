//! Answers: documents with an ETag, problems with a code, each for GET and HEAD alike.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};

/// The answer type of every route.
pub type Answer = Response<warp::hyper::body::Bytes>;

/// The one spelling that Lemmy's and Pixelfed's exact comparisons take.
pub const ACTIVITY_JSON: &str = "application/activity+json";
/// WebFinger's own type.
pub const JRD_JSON: &str = "application/jrd+json";
/// Plain JSON.
pub const JSON: &str = "application/json";
/// Pages for people.
pub const HTML: &str = "text/html; charset=utf-8";

/// What a 401 challenges to (RFC 9110 §15.5.2), as the older scheme writes it,
const CHALLENGE: &str = r#"Signature realm="federation",headers="(request-target) host date digest""#;
/// and by RFC 9421 (section 5), where a key is named in any case.
const ACCEPT_SIGNATURE: &str = r#"sig1=("@method" "@target-uri" "content-digest");created"#;

/// A document that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Document {
    body: Bytes,
    etag: HeaderValue,
    content_type: HeaderValue,
    cache: HeaderValue,
    vary: bool,
}

impl Document {
    /// A document that is the same for every `Accept`, kept by caches for `seconds`.
    pub fn new(body: impl Into<Bytes>, content_type: &'static str, seconds: u32) -> Self {
        let cache = HeaderValue::try_from(format!("public, max-age={seconds}"))
            .unwrap_or(HeaderValue::from_static("public"));
        Document::with(body.into(), HeaderValue::from_static(content_type), cache, false)
    }

    /// A document whose address answers something else to another `Accept`. Shared caches must not keep it: several
    /// ignore `Vary` and would serve a page where JSON was asked for.
    pub fn negotiated(body: impl Into<Bytes>, content_type: &'static str) -> Self {
        let cache = HeaderValue::from_static("private, max-age=180");
        Document::with(body.into(), HeaderValue::from_static(content_type), cache, true)
    }

    /// A file that never changes.
    pub fn immutable(body: Bytes, content_type: &str) -> Self {
        let content_type = HeaderValue::try_from(content_type)
            .unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let cache = HeaderValue::from_static("public, max-age=31536000, immutable");
        Document::with(body, content_type, cache, false)
    }

    fn with(body: Bytes, content_type: HeaderValue, cache: HeaderValue, vary: bool) -> Self {
        let hash = openssl::sha::sha256(&body);
        let etag: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::try_from(format!("\"{etag}\"")).unwrap_or(HeaderValue::from_static("\"0\""));
        Document { body, etag, content_type, cache, vary }
    }

    /// Bytes of its body.
    pub fn size(&self) -> usize {
        self.body.len()
    }

    /// Answers a GET or HEAD: 304 where the client has it already.
    pub fn answer(&self, method: &Method, headers: &HeaderMap) -> Answer {
        let known =
            headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
                let ours = self.etag.to_str().unwrap_or_default();
                value.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == ours)
            });
        let mut answer = Response::new(Bytes::new());
        let length = self.body.len();
        if known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            answer.headers_mut().insert(CONTENT_TYPE, self.content_type.clone());
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            if method != Method::HEAD {
                *answer.body_mut() = self.body.clone();
            }
        }
        let out = answer.headers_mut();
        out.insert(ETAG, self.etag.clone());
        out.insert(CACHE_CONTROL, self.cache.clone());
        out.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        if self.vary {
            out.insert(VARY, HeaderValue::from_static("Accept"));
        }
        answer
    }
}

/// What a route made.
#[derive(Debug)]
pub enum Rendered {
    /// A document: the same for everybody until something is written or a setting changes.
    Document(Document),
    /// An answer to this one request.
    Answer(Answer),
}

impl From<Document> for Rendered {
    fn from(document: Document) -> Self {
        Rendered::Document(document)
    }
}

impl From<Answer> for Rendered {
    fn from(answer: Answer) -> Self {
        Rendered::Answer(answer)
    }
}

/// What went wrong, for whoever has to find out why: a stable code and a sentence (after RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable, kebab-case; listed in `FEDERATION.md`.
    pub code: &'static str,
    /// What failed and what was expected.
    pub detail: String,
    /// Seconds after which the same request may succeed.
    pub retry_after: Option<u32>,
    /// The methods the address takes, for a 405 (RFC 9110 §15.5.6).
    pub allow: Option<&'static str>,
}

impl Problem {
    /// A problem that repeating does not cure.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Problem { status, code, detail: detail.into(), retry_after: None, allow: None }
    }

    /// Something that passes: 503 with `Retry-After`.
    pub fn busy(code: &'static str, detail: impl Into<String>, seconds: u32) -> Self {
        Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code,
            detail: detail.into(),
            retry_after: Some(seconds),
            allow: None,
        }
    }

    /// More than one client or server may have: 429 with `Retry-After`.
    pub fn too_many(detail: impl Into<String>, seconds: u32) -> Self {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail);
        Problem { retry_after: Some(seconds), ..problem }
    }

    /// Nothing at this address.
    pub fn not_found() -> Self {
        Problem::new(StatusCode::NOT_FOUND, "not-found", "nothing is at this address")
    }

    /// The address takes other methods: these, as `Allow` lists them.
    pub fn method(allow: &'static str) -> Self {
        let detail = format!("this address takes {allow}");
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail);
        Problem { allow: Some(allow), ..problem }
    }

    /// The answer.
    pub fn answer(&self) -> Answer {
        let body = json!({ "status": self.status.as_u16(), "code": self.code, "detail": self.detail });
        let mut answer = json_answer(self.status, "application/problem+json", &body);
        if self.status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
            answer.headers_mut().insert("accept-signature", HeaderValue::from_static(ACCEPT_SIGNATURE));
        }
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        answer
    }
}

/// A JSON answer that nobody keeps.
pub fn json_answer(status: StatusCode, content_type: &'static str, body: &Value) -> Answer {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// What a client would rather have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wants {
    /// A document for programs.
    Activity,
    /// A page for people.
    Page,
    /// Whatever there is.
    Anything,
}

/// Reads `Accept`: whoever names an ActivityPub type, with any parameters and spacing, gets the document; who names
/// HTML before it, or nothing of the kind, gets the page. Who takes anything, or does not say, does not tell: programs do so that
/// read documents, and those that make a preview of a page.
pub fn wants(headers: &HeaderMap) -> Wants {
    let mut any = false;
    for value in headers.get_all(http::header::ACCEPT) {
        let Ok(value) = value.to_str() else { continue };
        for item in value.split(',') {
            any = true;
            let kind = item.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            match kind.as_str() {
                "application/activity+json" | "application/ld+json" | "application/json" => {
                    return Wants::Activity;
                }
                "text/html" | "application/xhtml+xml" => return Wants::Page,
                _ => {}
            }
        }
    }
    if any
        && !headers.get_all(http::header::ACCEPT).iter().any(|v| v.to_str().is_ok_and(|v| v.contains("*/*")))
    {
        return Wants::Page;
    }
    Wants::Anything
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activitypub::signature::Challenge;

    #[test]
    fn accept_is_read_as_peers_write_it() {
        for (accept, want) in [
            ("application/activity+json", Wants::Activity),
            ("application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"", Wants::Activity),
            ("application/ld+json;profile=\"https://www.w3.org/ns/activitystreams\";q=0.9", Wants::Activity),
            ("application/activity+json, application/ld+json", Wants::Activity),
            ("Application/Activity+JSON; charset=utf-8", Wants::Activity),
            ("application/json", Wants::Activity),
            ("*/*", Wants::Anything),
            ("application/activity+json, */*;q=0.1", Wants::Activity),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Wants::Page),
            ("text/html", Wants::Page),
            ("image/png", Wants::Page),
            ("image/avif,image/webp,*/*;q=0.8", Wants::Anything),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(wants(&headers), want, "{accept}");
        }
        assert_eq!(wants(&HeaderMap::new()), Wants::Anything);
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let document = Document::negotiated("{}", ACTIVITY_JSON);
        let first = document.answer(&Method::GET, &HeaderMap::new());
        assert_eq!((first.status(), first.body().as_ref()), (StatusCode::OK, b"{}".as_ref()));
        assert_eq!(first.headers()[VARY], "Accept");
        let head = document.answer(&Method::HEAD, &HeaderMap::new());
        assert_eq!((head.body().len(), &head.headers()[CONTENT_LENGTH]), (0, &HeaderValue::from(2)));
        for known in [first.headers()[ETAG].to_str().unwrap().to_owned(), "*".into(), "\"x\", W/*".into()] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::try_from(known.clone()).unwrap());
            let want = if known.contains("W/") { StatusCode::OK } else { StatusCode::NOT_MODIFIED };
            assert_eq!(document.answer(&Method::GET, &headers).status(), want, "{known}");
        }
    }

    #[test]
    fn a_401_says_how_else_to_sign() {
        let problem = |status| Problem::new(status, "not-covered", "the digest is not signed").answer();
        let unsigned = problem(StatusCode::UNAUTHORIZED);
        let challenge = unsigned.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.starts_with("Signature realm="), "{challenge}");
        let asked = Challenge::read(unsigned.headers(), "https://peer.example/u#main-key", true);
        assert!(asked.is_some(), "it is read as peers write it");
        let forbidden = problem(StatusCode::FORBIDDEN);
        assert!(!forbidden.headers().contains_key(WWW_AUTHENTICATE));
        assert_eq!(Challenge::read(forbidden.headers(), "", true), None);
    }
}
