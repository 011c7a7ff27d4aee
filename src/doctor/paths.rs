//! Who answered at an address of ours; pure.

use http::Method;

use super::ask::{Question, Seen};
use super::{Code, Finding};
use crate::config::here;
use crate::model::Addresses;
use crate::net::NetError;
use crate::serve::public::HELD;

pub(super) const ACTIVITY: &str = "application/activity+json";
pub(super) const LD_JSON: &str = "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const JRD: &str = "application/jrd+json, application/json";
const ANY: &str = "*/*";

/// How the lines for the proxy are had.
pub(super) fn proxy_cure() -> String {
    format!(
        "{} (or caddy, apache, traefik) prints the lines for your proxy",
        here().command("proxy-config nginx")
    )
}

/// An address of ours, and what is asked there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// As it is shown.
    pub(super) name: String,
    pub(super) question: Question,
    /// A page for people: proxies may change its bytes.
    page: bool,
}

/// Everything of ours that the proxy has to send to us.
pub(super) fn places(ours: &Addresses, newest_post: Option<&str>) -> Vec<Place> {
    let get = |name: &str, target: String, accept: &'static str| Place {
        name: name.to_owned(),
        question: Question { method: Method::GET, target, accept },
        page: accept == BROWSER,
    };
    let prefix = ours.path_prefix();
    let actor = format!("{prefix}/federation/user/{}", ours.username);
    let plain = |path: &str| get(path, path.to_owned(), ANY);
    let below = |path: &str| get(&format!("{prefix}{path}"), format!("{prefix}{path}"), ANY);
    let mut places = vec![
        get("/.well-known/webfinger", webfinger(ours), JRD),
        plain("/.well-known/host-meta"),
        plain("/.well-known/nodeinfo"),
        plain("/.well-known/x-nodeinfo2"),
        below("/nodeinfo/2.0"),
        below("/nodeinfo/2.1"),
        below("/api/v1/instance"),
        below("/api/followers"),
        get(&actor, actor.clone(), ACTIVITY),
        get(&format!("{actor} (as ld+json)"), actor.clone(), LD_JSON),
        get(&format!("{actor} (in a browser)"), actor.clone(), BROWSER),
        get(&format!("{actor}/outbox"), format!("{actor}/outbox"), ACTIVITY),
        get(&format!("{actor}/followers"), format!("{actor}/followers"), ACTIVITY),
        get(&format!("{actor}/following"), format!("{actor}/following"), ACTIVITY),
        get(&format!("{prefix}/federation/follow"), format!("{prefix}/federation/follow"), BROWSER),
    ];
    places.push(Place {
        name: format!("{actor}/inbox"),
        question: Question { method: Method::POST, target: format!("{actor}/inbox"), accept: ACTIVITY },
        page: false,
    });
    let post = newest_post.and_then(|post| post.strip_prefix(&ours.base));
    places.extend(post.map(|path| get("the newest post", format!("{prefix}{path}"), ACTIVITY)));
    places
}

/// The target at which the actor is looked up by its handle.
pub(super) fn webfinger(ours: &Addresses) -> String {
    let resource = format!("acct:{}", ours.handle());
    let query =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("resource", &resource).finish();
    format!("/.well-known/webfinger?{query}")
}

/// Who gave an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// An agent, which may be another one; with the code of its refusal, if it is one.
    Agent(Option<String>),
    /// Owncast, whose own federation is off.
    OwncastOff,
    /// Owncast's page, API or federation.
    Owncast,
    /// Something that wants a human to prove being one.
    Challenge,
    /// A proxy that reaches nobody.
    Unreached,
    /// A proxy or a firewall that lets nobody in.
    Forbidden,
    /// Something that limits requests.
    Limited,
    /// Somebody who sends on.
    Redirect(String),
    /// A page for people.
    Page,
    /// Anybody.
    Other,
}

/// Tells by the answer alone.
pub(super) fn who(seen: &Seen) -> Who {
    let text = seen.text();
    let html = seen.kind() == "text/html" || text.trim_start().starts_with("<!DOCTYPE html");
    if seen.kind() == "application/problem+json" {
        let code = seen.json().and_then(|problem| Some(problem.get("code")?.as_str()?.to_owned()));
        return Who::Agent(Some(code.unwrap_or_default()));
    }
    if is_challenge(seen, &text, html) {
        return Who::Challenge;
    }
    let etag = seen.header("etag").trim_start_matches("W/").trim_matches('"');
    let documents = etag.len() == 24 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
    match seen.status {
        200 | 303 if documents || seen.header("cache-control") == "private, no-store" => Who::Agent(None),
        405 if text.trim().is_empty() => Who::OwncastOff,
        307 if seen.header("location") == "/" => Who::Owncast,
        404 if text.trim() == "404 page not found" => Who::Owncast,
        301 | 302 | 303 | 307 | 308 => Who::Redirect(seen.header("location").to_owned()),
        502..=504 | 520..=527 => Who::Unreached,
        401 | 403 => Who::Forbidden,
        429 => Who::Limited,
        200 if html && text.contains("owncast") => Who::Owncast,
        _ if html => Who::Page,
        200 if !seen.header("signature").is_empty() || text.contains("owncast") => Who::Owncast,
        _ => Who::Other,
    }
}

/// Pages that a browser gets past and a server never does.
fn is_challenge(seen: &Seen, text: &str, html: bool) -> bool {
    const SIGNS: [&str; 7] = [
        "challenge-platform",
        "cf-chl",
        "just a moment...",
        "ddos-guard",
        "anubis_challenge",
        "captcha",
        "checking your browser",
    ];
    let lower = text.to_ascii_lowercase();
    seen.header("cf-mitigated") == "challenge" || html && SIGNS.iter().any(|sign| lower.contains(sign))
}

/// Judges one address of ours. `direct` is what the agent itself answers there, if it runs.
pub(super) fn judge(
    place: &Place,
    family: &str,
    through: &Result<Seen, NetError>,
    direct: Option<&Seen>,
) -> Finding {
    let at = format!("{} ({family})", place.name);
    let seen = match through {
        Ok(seen) => seen,
        Err(error) => return Finding::red(Code::Path, format!("{at}: {error}"), proxy_cure()),
    };
    let red = |text: String, cure: &str| Finding::red(Code::Path, format!("{at}: {text}"), cure);
    let found = who(seen);
    if let Some(direct) = direct
        && same(place, seen, direct)
    {
        return match &found {
            Who::Agent(Some(code)) if code == "identity-unknown" => {
                red("reaches the agent, which does not know yet who it is".into(), "see `identity`")
            }
            Who::Agent(Some(code)) if code == HELD => Finding::unchecked(
                Code::Path,
                format!("{at} reaches the agent, which takes nothing there yet; see `held`"),
            ),
            _ => Finding::green(Code::Path, format!("{at} is answered by the agent")),
        };
    }
    match found {
        Who::Agent(_) if direct.is_none() => {
            red("another agent answers than the one asked for, which does not run".into(), "stop the other one, or point the proxy to this one's [listen] public")
        }
        Who::Agent(_) => red(
            "an agent answers otherwise than this one does: another one, or a cache in between".into(),
            "point the proxy to this one's [listen] public, and let no cache keep these paths",
        ),
        Who::OwncastOff => red("Owncast answers (405, its own federation is off): the proxy does not send this path to the agent".into(), &proxy_cure()),
        Who::Owncast => red("Owncast answers: the proxy does not send this path to the agent".into(), &proxy_cure()),
        Who::Challenge => red(
            "a page that wants a human stands in between; other servers never get past it".into(),
            "exempt the paths of the fediverse from it (Cloudflare: a rule that skips challenges and bot fighting for them)",
        ),
        Who::Unreached if direct.is_none() => Finding::yellow(
            Code::Path,
            format!("{at}: the proxy sends it to somebody who does not answer ({}), as it would while no agent runs", seen.status),
            format!("start the agent ({}) and ask again", here().service("start")),
        ),
        Who::Unreached => red(
            format!("the proxy does not reach the agent ({})", seen.status),
            "let the proxy send it to the address of [listen] public; from another machine or container that has to be one it reaches. Where SELinux rules (Fedora, Enterprise Linux), nginx and httpd reach nobody before: setsebool -P httpd_can_network_connect 1",
        ),
        Who::Forbidden => red(
            format!("somebody in between lets nobody in ({})", seen.status),
            "exempt the paths of the fediverse from passwords and firewall rules: other servers come without a login",
        ),
        Who::Limited => red(
            "somebody in between limits requests (429)".into(),
            "let the paths of the fediverse through: the agent has limits of its own",
        ),
        Who::Redirect(to) => red(
            format!("is sent on to {:?} ({})", shorten(&to), seen.status),
            "let the proxy hand these paths to the agent as they are: signed requests are not sent on",
        ),
        Who::Page => red(format!("a page for people answers ({}{})", seen.status, title(seen)), &proxy_cure()),
        Who::Other => red(
            format!("somebody else answers ({}, {:?})", seen.status, shorten(seen.header("content-type"))),
            &proxy_cure(),
        ),
    }
}

/// Whether both are one answer. Of a page only its kind is compared.
fn same(place: &Place, through: &Seen, direct: &Seen) -> bool {
    let alike = through.status == direct.status && through.kind() == direct.kind();
    // Problems name their request.
    let whole = place.page || direct.status >= 400 || through.body == direct.body;
    alike && whole && through.header("location") == direct.header("location")
}

/// The title of a page, in brackets' company.
fn title(seen: &Seen) -> String {
    let text = seen.text();
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let rest = text.get(start + 7..)?;
        rest.split('<').next().map(str::trim).filter(|title| !title.is_empty())
    });
    title.map_or_else(String::new, |title| format!(", {:?}", shorten(title)))
}

pub(super) fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
