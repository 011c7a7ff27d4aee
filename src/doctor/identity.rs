//! Whether what the fediverse sees belongs together: handle, actor, key; pure.

use serde_json::Value;

use super::ask::Seen;
use super::paths::proxy_cure;
use super::{Code, Finding};
use crate::config::here;
use crate::model::Addresses;

/// WebFinger leads from the handle to the actor.
pub(super) fn webfinger(seen: &Seen, ours: &Addresses) -> Finding {
    let (handle, actor) = (ours.handle(), ours.actor());
    let red = |text: String| Finding::red(Code::Webfinger, text, proxy_cure());
    let Some(document) = seen.json().filter(|_| seen.status == 200) else {
        return red(format!("@{handle} is not found: WebFinger answers {}", seen.status));
    };
    let subject = document.get("subject").and_then(Value::as_str).unwrap_or_default();
    if !subject.eq_ignore_ascii_case(&format!("acct:{handle}")) {
        return red(format!("WebFinger for @{handle} answers for {subject:?}"));
    }
    let links = document.get("links").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let own = |link: &&Value| link.get("rel").and_then(Value::as_str) == Some("self");
    let led = links.iter().find(own).and_then(|link| link.get("href")?.as_str()).unwrap_or_default();
    if led != actor {
        return red(format!("WebFinger for @{handle} leads to {led:?}, and the actor is {actor}"));
    }
    Finding::green(Code::Webfinger, format!("@{handle} leads to {actor}"))
}

/// The public keys (PEM) that the actor may show.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// That of the key file, which will sign after the next start at the latest.
    pub(super) file: Option<String>,
    /// That of the next key, while a change is under way.
    pub(super) next: Option<String>,
    /// The one that the running agent shows.
    pub(super) agent: Option<String>,
}

/// The actor that is seen is ours, with our key.
pub(super) fn actor(seen: &Seen, ours: &Addresses, keys: &Keys) -> Finding {
    const OTHER: &str =
        "the proxy leads to another actor's server, or a cache keeps an older answer; see `path`";
    let id = ours.actor();
    let red = |text: String, cure: &str| Finding::red(Code::Actor, text, cure);
    let Some(document) = seen.json().filter(|_| seen.status == 200) else {
        return red(format!("{id} is no actor: it answers {}", seen.status), OTHER);
    };
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    for (what, pointer, wanted) in [
        ("id", "/id", &id),
        ("preferredUsername", "/preferredUsername", &ours.username),
        ("inbox", "/inbox", &ours.inbox()),
        ("key id", "/publicKey/id", &ours.key_id()),
        ("key's owner", "/publicKey/owner", &id),
    ] {
        if text(pointer) != wanted {
            return red(
                format!("the actor's {what} is {:?} in public, and should be {wanted}", text(pointer)),
                OTHER,
            );
        }
    }
    let shown = text("/publicKey/publicKeyPem");
    let is = |key: &Option<String>| key.as_deref().is_some_and(|key| same_key(key, shown));
    let green = |with: &str| Finding::green(Code::Actor, format!("{id} is ours, with {with}"));
    match () {
        () if is(&keys.file) => green("the key in the key file"),
        () if is(&keys.next) => green("the next key: a change of keys is under way"),
        () if keys.file.is_some() && is(&keys.agent) => red(
            format!(
                "{id} shows the key that the agent has started with, and another one is in the key file by now: other servers will refuse what is signed with that"
            ),
            &format!("put the right one back ({}), then restart the agent", here().typed("key import FILE")),
        ),
        () if keys.file.is_none() && is(&keys.agent) => {
            green("the key that the agent shows; the key file was not seen")
        }
        () if keys.file.is_some() || keys.agent.is_some() => {
            red(format!("{id} shows another key than ours: other servers refuse what is sent"), OTHER)
        }
        () => Finding::unchecked(
            Code::Actor,
            format!("{id} looks like ours; its key cannot be compared from here"),
        ),
    }
}

/// Compares keys, not their spelling.
fn same_key(a: &str, b: &str) -> bool {
    let read = |pem: &str| openssl::pkey::PKey::public_key_from_pem(pem.as_bytes()).ok();
    match (read(a), read(b)) {
        (Some(a), Some(b)) => a.public_eq(&b),
        _ => false,
    }
}
