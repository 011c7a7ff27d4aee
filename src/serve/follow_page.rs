//! The remote-follow page: who types a handle is sent to the own server's page for following us.

use std::sync::{Arc, OnceLock};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use http::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::answer::{Answer, Document, HTML, Problem};
use super::documents::{Settled, see_other};
use super::pages::STYLE;
use crate::activitypub::html::escape;
use crate::decide::publish::LANGUAGE;
use crate::fetch::{Described, FetchError, Fetcher};
use crate::model::Source;
use crate::model::origin::{Origin, RemotePolicy, parse_remote};

/// The link in a person's WebFinger document that tells where to follow somebody (OStatus 1.0).
const SUBSCRIBE: &str = "http://ostatus.org/schema/1.0/subscribe";
/// What a browser says of the page that makes a request (Fetch Metadata).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What the page that holds the form tells browsers to say of it. Without it one that has been told otherwise by a proxy
/// (`Referrer-Policy: no-referrer`) sends the form with `Origin: null`, as another site's page could. It stands in the page,
/// since of several headers the last counts, which may be the proxy's, and the page's own word counts after all of them.
const REFERRER: &str = "<meta name=\"referrer\" content=\"same-origin\">";
/// What a form is.
const FORM: &str = "application/x-www-form-urlencoded";

/// Looks up strangers' WebFinger documents with the guarded fetcher: anybody can cause that.
#[derive(Debug, Default)]
pub struct Remote {
    fetcher: OnceLock<(Arc<Fetcher>, RemotePolicy)>,
}

impl Remote {
    /// Hands over the fetcher, once.
    pub fn settle(&self, fetcher: Arc<Fetcher>, policy: RemotePolicy) {
        if self.fetcher.set((fetcher, policy)).is_err() {
            tracing::error!(target: "herald::serve", "the remote-follow page was opened twice");
        }
    }

    /// Where `user@host` can follow `us`.
    async fn subscribe_address(&self, handle: &str, us: &str, source: Option<Source>) -> Result<Url, String> {
        let (fetcher, policy) =
            self.fetcher.get().ok_or("This server does not look up others yet. Try again later.")?;
        let bare = handle.trim().trim_start_matches('@');
        let (user, host) = bare
            .split_once('@')
            .filter(|(user, host)| {
                !user.is_empty() && !host.is_empty() && !host.contains(['@', '/', '?', '#', '\\'])
            })
            .ok_or("Write your address as name@server, such as ana@peer.example.")?;
        let described = fetcher.webfinger(user, host, source).await.map_err(|error| match error {
            FetchError::Busy => "Many people are following right now. Try again in a minute.".to_owned(),
            FetchError::Address(problem) => format!("{host} cannot be asked: {problem}"),
            FetchError::OwnHost => {
                format!("{us} is the stream itself. Write the address of your own account.")
            }
            _ => no_answer(host),
        })?;
        target(&described, us, policy).map_err(|problem| match problem {
            BadTemplate::Unusable => no_answer(host),
            BadTemplate::Elsewhere => {
                format!(
                    "{host} points to another server for following; follow {us} by searching for it there."
                )
            }
        })
    }
}

fn no_answer(host: &str) -> String {
    format!("{host} did not tell where you can follow. Is the address right?")
}

/// Why nobody is sent to where a server says that one can follow.
#[derive(Debug, PartialEq, Eq)]
pub enum BadTemplate {
    /// There is none, or it is no address with exactly one place for us.
    Unusable,
    /// It is of neither the host asked nor the one that answered: anybody could be sent anywhere.
    Elsewhere,
}

/// Where a server says that `us` can be followed.
///
/// # Errors
/// See [`BadTemplate`].
pub fn target(described: &Described, us: &str, policy: &RemotePolicy) -> Result<Url, BadTemplate> {
    let links = described.document.get("links").and_then(Value::as_array).ok_or(BadTemplate::Unusable)?;
    let template = links
        .iter()
        .find(|link| link.get("rel").and_then(Value::as_str) == Some(SUBSCRIBE))
        .and_then(|link| link.get("template")?.as_str())
        .filter(|template| template.matches("{uri}").count() == 1)
        .ok_or(BadTemplate::Unusable)?;
    let encoded: String = url::form_urlencoded::byte_serialize(us.as_bytes()).collect();
    let target =
        parse_remote(&template.replace("{uri}", &encoded), policy).map_err(|_| BadTemplate::Unusable)?;
    let origin = Origin::of(&target).ok_or(BadTemplate::Unusable)?;
    if described.origins.contains(&origin) { Ok(target) } else { Err(BadTemplate::Elsewhere) }
}

/// The form.
pub(super) fn form(settled: &Settled) -> Document {
    Document::new(page(settled, "", None), HTML, 300)
}

/// Takes a form that our own page has sent. Any other page could make its visitors send one, each of whom may cause
/// fetches, and would lead them through us to wherever it likes.
///
/// # Errors
/// It is another page's, or no form.
pub(super) fn own_form(settled: &Settled, headers: &HeaderMap) -> Result<(), Problem> {
    let ours = || Url::parse(&settled.addresses.base).ok().and_then(|base| Origin::of(&base));
    let own = match (headers.get(FETCH_SITE), headers.get(ORIGIN)) {
        (Some(site), _) => site == "same-origin" || site == "none",
        // Browsers send the former to secure addresses alone, and old ones never.
        (None, Some(origin)) => {
            let origin = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok());
            origin.and_then(|origin| Origin::of(&origin)).is_some_and(|origin| Some(origin) == ours())
        }
        (None, None) => true,
    };
    if !own {
        let page = format!("{}/federation/follow", settled.addresses.base);
        let detail =
            format!("this form was sent by a page of another site; open {page} and send it from there");
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign-form", detail));
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM) {
        return Ok(());
    }
    let detail = format!("the Content-Type must be {FORM}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail))
}

/// Sends the person to the own server, or shows the form again with what was wrong.
pub(super) async fn redirect(
    remote: &Arc<Remote>,
    settled: &Settled,
    body: &[u8],
    source: Option<Source>,
) -> Result<Answer, Problem> {
    let handle = url::form_urlencoded::parse(body)
        .find_map(|(name, value)| (name == "account").then_some(value))
        .unwrap_or_default();
    match remote.subscribe_address(&handle, &settled.addresses.handle(), source).await {
        Ok(to) => Ok(see_other(to.as_str())),
        Err(problem) => {
            let mut answer = Document::new(page(settled, &handle, Some(&problem)), HTML, 0)
                .answer(&Method::GET, &HeaderMap::new());
            *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok(answer)
        }
    }
}

fn page(settled: &Settled, typed: &str, problem: Option<&str>) -> String {
    let name = escape(&settled.facts.name);
    let us = escape(&format!("@{}", settled.addresses.handle()));
    let problem = problem.map(|text| format!("<p class=\"problem\" role=\"alert\">{}</p>", escape(text)));
    format!(
        "<!doctype html>\n<html lang=\"{LANGUAGE}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">{REFERRER}<title>Follow {name}</title><style>{STYLE}</style>\
         </head><body><main><h1>Follow {name}</h1>{problem}\
         <form method=\"post\"><label for=\"account\">Your fediverse address</label>\
         <input id=\"account\" name=\"account\" placeholder=\"you@server\" value=\"{typed}\" \
         autocapitalize=\"none\" autocomplete=\"username\" required>\
         <button>Follow</button></form>\
         <p>Or search for <strong>{us}</strong> on your own server.</p>\
         <p><a href=\"{watch}\">Back to the stream</a></p></main></body></html>\n",
        problem = problem.unwrap_or_default(),
        typed = escape(typed),
        watch = escape(&settled.addresses.watch_page()),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_asked_server_sends_people_on_and_only_to_itself() {
        let origin = |text: &str| Origin::of(&Url::parse(text).unwrap()).unwrap();
        let to = |template: Value| {
            let described = Described {
                document: json!({"links": [{"rel": "self"}, {"rel": SUBSCRIBE, "template": template}]}),
                origins: [origin("https://ana.example"), origin("https://social.ana.example")],
            };
            target(&described, "live@stream.example", &RemotePolicy::default()).map(String::from)
        };
        for (template, want) in [
            (
                "https://ana.example/follow?uri={uri}",
                Ok("https://ana.example/follow?uri=live%40stream.example"),
            ),
            (
                "https://social.ana.example/authorize_interaction?uri={uri}&x=1",
                Ok("https://social.ana.example/authorize_interaction?uri=live%40stream.example&x=1"),
            ),
            ("http://ana.example/follow?uri={uri}", Err(BadTemplate::Unusable)),
            ("javascript:alert('{uri}')", Err(BadTemplate::Unusable)),
            ("//ana.example/follow?uri={uri}", Err(BadTemplate::Unusable)),
            ("https://ana.example/follow", Err(BadTemplate::Unusable)),
            ("https://ana.example/{uri}?uri={uri}", Err(BadTemplate::Unusable)),
            ("https://ana.example\\@evil.example/{uri}", Err(BadTemplate::Unusable)),
            ("https://x@ana.example/{uri}", Err(BadTemplate::Unusable)),
            ("https://evil.example/follow?uri={uri}", Err(BadTemplate::Elsewhere)),
            ("https://other.ana.example/follow?uri={uri}", Err(BadTemplate::Elsewhere)),
            ("https://{uri}.evil.example/", Err(BadTemplate::Unusable)),
        ] {
            assert_eq!(to(json!(template)), want.map(str::to_owned), "{template}");
        }
        assert_eq!(to(json!(7)), Err(BadTemplate::Unusable));
        assert_eq!(to(json!(null)), Err(BadTemplate::Unusable));
    }
}
