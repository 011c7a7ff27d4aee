//! People elsewhere: what we keep of an actor so that we can name and reach it.

use serde::{Deserialize, Serialize};

/// What is known of a remote actor that did something here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The actor's id, byte for byte as it names itself.
    pub actor: String,
    /// Its personal inbox, on the actor's own host.
    pub inbox: String,
    /// Its server's shared inbox, if that is on the same host.
    pub shared_inbox: Option<String>,
    /// `user@host`.
    pub handle: String,
    /// Display name as sent; never shown unescaped.
    pub name: Option<String>,
    /// Address of its avatar.
    pub icon: Option<String>,
    /// Its page for people, if it names one.
    pub url: Option<String>,
}

impl Person {
    /// The inbox a public activity goes to: one delivery serves everybody on that server.
    pub fn delivery_inbox(&self) -> &str {
        self.shared_inbox.as_deref().unwrap_or(&self.inbox)
    }
}

/// Longest name of a user, in characters.
pub const LONGEST_USER: usize = 64;

/// A user's name, if it is one: letters and digits of any script, and the few signs that servers let stand between them.
///
/// Whoever runs a server writes there what they like, and it is shown in front of the server's name: with a blank it
/// would speak, and with an `@` name another server.
pub fn user_name(text: &str) -> Option<&str> {
    // Letters without ink.
    let inked = |c: char| !matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
    let allowed = |c: char| (c.is_alphanumeric() && inked(c)) || matches!(c, '-' | '_' | '.' | '~');
    let named = text.contains(char::is_alphanumeric) && text.chars().all(allowed);
    (named && text.chars().count() <= LONGEST_USER).then_some(text)
}

/// What an actor is called in front of its host: as it says, if that is a [name](user_name), else after the last part of
/// its id's path, else its host.
pub fn user_of(said: Option<&str>, actor: &url::Url) -> String {
    let last = || actor.path_segments()?.rfind(|part| !part.is_empty());
    let user = said.map(str::trim).and_then(user_name);
    let user = user.or_else(|| user_name(last()?.trim_start_matches('@'))).or(actor.host_str());
    user.unwrap_or_default().to_owned()
}

/// Host of an absolute URL, lower case, with its port if it is not the scheme's default. Empty if there is none.
pub fn host_of(id: &str) -> String {
    url::Url::parse(id).map(|url| host_of_url(&url)).unwrap_or_default()
}

/// [`host_of`] an address that has been parsed already.
pub fn host_of_url(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    match url.port() {
        Some(port) if !host.is_empty() => format!("{host}:{port}"),
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_cannot_speak_nor_name_another_server() {
        for good in [
            "ana",
            "Ana_B",
            "a.b-c~d",
            "blog.example",
            "alice.bsky.social",
            "änne",
            "アンナ",
            "7",
            &"x".repeat(64),
        ] {
            assert_eq!(user_name(good), Some(good));
        }
        for bad in [
            "",
            "...",
            "gargron@mastodon.social",
            "ADMIN: this stream has moved",
            "a b",
            "a\u{a0}b",
            "a/b",
            "a:b",
            "a%20b",
            "\u{202e}ana",
            "an\u{200b}a",
            "\u{3164}",
            "ana\u{3164}\u{3164}b",
            "ana\u{ff20}b",
            "<b>",
            "😀",
            &"x".repeat(65),
        ] {
            assert_eq!(user_name(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn who_has_no_usable_name_is_called_after_the_id() {
        for (said, actor, want) in [
            (Some(" ana "), "https://peer.example/u/9", "ana"),
            (Some("gargron@mastodon.social"), "https://peer.example/u/9", "9"),
            (None, "https://peer.example/@ana", "ana"),
            (None, "https://peer.example/u/gargron@mastodon.social---", "peer.example"),
            (Some(""), "https://peer.example/u/%C3%A4", "peer.example"),
            (None, "https://peer.example/?author=1", "peer.example"),
        ] {
            assert_eq!(user_of(said, &url::Url::parse(actor).unwrap()), want, "{said:?} {actor}");
        }
    }
}
