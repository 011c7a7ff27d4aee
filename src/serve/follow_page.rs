//! The remote-follow page: who types a handle is sent to the own server's page for following us.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use url::Url;

use super::answer::{Answer, Document, HTML, Problem};
use super::documents::{Settled, see_other};
use super::pages::STYLE;
use crate::activitypub::html::escape;
use crate::activitypub::json;
use crate::decide::publish::LANGUAGE;
use crate::model::origin::{Origin, RemotePolicy, parse_remote};
use crate::net::{Client, Limits};

/// The link in a person's WebFinger document that tells where to follow somebody (OStatus 1.0).
const SUBSCRIBE: &str = "http://ostatus.org/schema/1.0/subscribe";
/// A person waits for this.
const LIMITS: Limits = Limits { max_bytes: 64 * 1024, timeout: Duration::from_secs(8) };
/// Look-ups at once: anybody can cause them.
const AT_ONCE: usize = 4;

/// Looks up strangers' WebFinger documents through the guarded client.
#[derive(Debug)]
pub struct Remote {
    client: OnceLock<(Client, RemotePolicy)>,
    room: tokio::sync::Semaphore,
}

impl Default for Remote {
    fn default() -> Self {
        Remote { client: OnceLock::new(), room: tokio::sync::Semaphore::new(AT_ONCE) }
    }
}

impl Remote {
    /// Hands over the client, once.
    pub fn settle(&self, client: Client, policy: RemotePolicy) {
        if self.client.set((client, policy)).is_err() {
            tracing::error!(target: "herald::serve", "the remote-follow page was opened twice");
        }
    }

    /// Where `user@host` can follow `us`. The template must be of the host asked, and have one place for us.
    async fn subscribe_address(&self, handle: &str, us: &str) -> Result<Url, String> {
        let (client, policy) =
            self.client.get().ok_or("This server is still starting. Try again in a minute.")?;
        let bare = handle.trim().trim_start_matches('@');
        let (user, host) = bare
            .split_once('@')
            .filter(|(user, host)| {
                !user.is_empty() && !host.is_empty() && !host.contains(['@', '/', '?', '#', '\\'])
            })
            .ok_or("Write your address as name@server, such as ana@peer.example.")?;
        let scheme = if policy.allow_http { "http" } else { "https" };
        let mut url = parse_remote(&format!("{scheme}://{host}/.well-known/webfinger"), policy)
            .map_err(|problem| format!("{host} cannot be asked: {problem}"))?;
        url.query_pairs_mut().append_pair("resource", &format!("acct:{user}@{host}"));
        let _room = self
            .room
            .try_acquire()
            .map_err(|_| "Many people are following right now. Try again in a moment.")?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/jrd+json, application/json"));
        let no_answer = || format!("{host} did not tell where you can follow. Is the address right?");
        let answer = client.get(&url, headers, LIMITS).await.map_err(|_| no_answer())?;
        if answer.status != StatusCode::OK {
            return Err(no_answer());
        }
        let document = json::parse(&answer.body).map_err(|_| no_answer())?;
        let template = document
            .get("links")
            .and_then(|links| links.as_array())
            .and_then(|links| {
                links.iter().find(|link| link.get("rel").and_then(|rel| rel.as_str()) == Some(SUBSCRIBE))
            })
            .and_then(|link| link.get("template")?.as_str())
            .filter(|template| template.matches("{uri}").count() == 1)
            .ok_or_else(no_answer)?;
        let encoded: String = url::form_urlencoded::byte_serialize(us.as_bytes()).collect();
        let target = parse_remote(&template.replace("{uri}", &encoded), policy).map_err(|_| no_answer())?;
        if Origin::of(&target) != Origin::of(&url) {
            return Err(format!(
                "{host} points to another server for following; follow {us} by searching for it there."
            ));
        }
        Ok(target)
    }
}

/// The form.
pub(super) fn form(settled: &Settled) -> Document {
    Document::new(page(settled, "", None), HTML, 300)
}

/// Sends the person to the own server, or shows the form again with what was wrong.
pub(super) async fn redirect(
    remote: &Arc<Remote>,
    settled: &Settled,
    body: &[u8],
) -> Result<Answer, Problem> {
    let handle = url::form_urlencoded::parse(body)
        .find_map(|(name, value)| (name == "account").then_some(value))
        .unwrap_or_default();
    match remote.subscribe_address(&handle, &settled.addresses.handle()).await {
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
         <meta name=\"viewport\" content=\"width=device-width\"><title>Follow {name}</title><style>{STYLE}</style>\
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
