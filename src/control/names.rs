//! Whom and what an operator means: an actor id, a page, a handle, a domain.

use super::protocol::{Refusal, RefusalCode};
use crate::config::here;
use crate::decide::blocks;
use crate::model::View;
use crate::model::block::BlockTarget;
use crate::model::follower::{Follower, FollowerState};
use crate::notice::escape;

/// As many of the actors behind one name are listed.
const LISTED: usize = 10;

/// Nobody of that name.
pub(super) fn unknown(who: &str) -> Refusal {
    let message = format!("{who} does not follow; {} shows who does", here().typed("followers list"));
    Refusal { code: RefusalCode::Unknown, message }
}

/// The one follower an operator means.
pub(super) fn follower(view: &dyn View, who: &str) -> Result<Follower, Refusal> {
    let who = who.trim();
    if !is_address(who) && handle(who).is_none() {
        let message = format!(
            "{who:?} names nobody; give the handle (user@peer.example) or the actor id (https://peer.example/users/user)"
        );
        return Err(Refusal { code: RefusalCode::Unreadable, message });
    }
    one_of(found(view, who, false), who)?.ok_or_else(|| unknown(who))
}

/// What an operator wants blocked or unblocked.
pub(super) fn target(view: &dyn View, what: &str) -> Result<BlockTarget, Refusal> {
    let what = what.trim();
    let address = is_address(what);
    if !address && handle(what).is_none() {
        return blocks::parse(what).map_err(unreadable);
    }
    match one_of(found(view, what, true), what)? {
        Some(follower) => Ok(BlockTarget::Actor(follower.person.actor)),
        // An id may be blocked before anybody has heard of it; a handle says no id.
        None if address => blocks::parse(what).map_err(unreadable),
        None => Err(Refusal {
            code: RefusalCode::Unknown,
            message: format!(
                "nobody called {what} has followed here, so that the actor id is not known; give the id \
                 (https://peer.example/users/user), or the whole domain"
            ),
        }),
    }
}

fn unreadable(problem: blocks::BlockProblem) -> Refusal {
    Refusal { code: RefusalCode::Unreadable, message: problem.to_string() }
}

fn is_address(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// Everybody of that id, page or handle.
fn found(view: &dyn View, who: &str, also_left: bool) -> Vec<Follower> {
    let there = |follower: &Follower| also_left || follower.state != FollowerState::Left;
    if let Some(follower) = view.get::<Follower>(who.as_bytes()).filter(there) {
        return vec![follower];
    }
    let wanted = if is_address(who) { None } else { handle(who) };
    let mut found = Vec::new();
    view.scan::<Follower>(b"", &mut |follower| {
        let is_meant = match &wanted {
            Some(wanted) => handle(&follower.person.handle).as_ref() == Some(wanted),
            None => follower.person.url.as_deref() == Some(who),
        };
        if is_meant && there(&follower) {
            found.push(follower);
        }
        true
    });
    found
}

fn one_of(mut found: Vec<Follower>, who: &str) -> Result<Option<Follower>, Refusal> {
    if found.len() <= 1 {
        return Ok(found.pop());
    }
    let mut message = format!("{who} means {} actors; give the id of one:", found.len());
    for follower in found.iter().take(LISTED) {
        message.push_str("\n  ");
        message.push_str(&follower.person.actor);
    }
    if found.len() > LISTED {
        message.push_str("\n  …");
    }
    Err(Refusal { code: RefusalCode::Ambiguous, message })
}

/// A handle in one spelling: as lists show it, in lower case (Mastodon ignores case), the host as the network knows it.
fn handle(text: &str) -> Option<String> {
    let text = escape::plain(text, usize::MAX).to_lowercase();
    let bare = text.strip_prefix("acct:").unwrap_or(&text).trim_start_matches('@');
    let (user, host) = bare.rsplit_once('@')?;
    if user.is_empty() || host.is_empty() {
        return None;
    }
    let (name, port) = host.rsplit_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let name = url::Host::parse(name).map_or_else(|_| name.to_owned(), |name| name.to_string());
    Some(port.map_or_else(|| format!("{user}@{name}"), |port| format!("{user}@{name}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_have_one_spelling() {
        for (text, want) in [
            ("ana@peer.example", Some("ana@peer.example")),
            ("@ana@peer.example", Some("ana@peer.example")),
            ("acct:Ana@PEER.example", Some("ana@peer.example")),
            ("@ana@übung.example", Some("ana@xn--bung-zra.example")),
            ("ana@127.0.0.1:8080", Some("ana@127.0.0.1:8080")),
            ("a\u{202e}na@peer.example", Some("ana@peer.example")),
            ("@peer.example", None),
            ("ana@", None),
            ("ana", None),
            ("", None),
        ] {
            assert_eq!(handle(text).as_deref(), want, "{text:?}");
        }
    }
}
