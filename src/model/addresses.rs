//! Every id and address of ours, built in one place from the base URL and the username.

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// The collection of everybody; only the full URI is understood by all peers (Lemmy refuses `as:Public`).
pub const PUBLIC: &str = "https://www.w3.org/ns/activitystreams#Public";

/// The identity's two parts, verbatim from Owncast, and everything that follows from them.
///
/// The ids are those of Owncast's built-in federation, so that taking over is invisible to peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Public URL without a trailing slash, for instance `https://live.example`.
    pub base: String,
    /// The local part of the handle.
    pub username: String,
}

impl Addresses {
    /// Builds the addresses; a trailing slash of `base` is dropped.
    pub fn new(base: &str, username: &str) -> Self {
        Addresses { base: base.trim_end_matches('/').to_owned(), username: username.to_owned() }
    }

    /// Host with its port unless it is the scheme's default: what a peer sends in `Host` and shows in a handle.
    pub fn host(&self) -> &str {
        let rest = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or(rest);
        match self.base.split_once("://") {
            Some(("https", _)) => authority.strip_suffix(":443").unwrap_or(authority),
            Some(("http", _)) => authority.strip_suffix(":80").unwrap_or(authority),
            _ => authority,
        }
    }

    /// Path part of the base URL, empty or starting with a slash and without one at the end.
    pub fn path_prefix(&self) -> &str {
        let rest = self.base.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').map_or("", |at| rest.get(at..).unwrap_or(""))
    }

    /// `user@host`, as people write it.
    pub fn handle(&self) -> String {
        format!("{}@{}", self.username, self.host())
    }

    /// The watch page: what people open.
    pub fn watch_page(&self) -> String {
        format!("{}/", self.base)
    }

    /// The actor's id.
    pub fn actor(&self) -> String {
        format!("{}/federation/user/{}", self.base, self.username)
    }

    /// Whether both are one actor, however its address is spelt.
    pub fn is_same(&self, other: &Addresses) -> bool {
        let parsed = |addresses: &Addresses| url::Url::parse(&addresses.actor()).ok();
        self == other || parsed(self).is_some_and(|actor| parsed(other) == Some(actor))
    }

    /// Whether an id is the actor's, byte for byte.
    pub fn is_actor(&self, id: &str) -> bool {
        let user =
            id.strip_prefix(self.base.as_str()).and_then(|rest| rest.strip_prefix("/federation/user/"));
        user == Some(self.username.as_str())
    }

    /// The id of the one key; it never changes (GoToSocial pins it).
    pub fn key_id(&self) -> String {
        format!("{}#main-key", self.actor())
    }

    /// The personal inbox, which is the shared inbox too.
    pub fn inbox(&self) -> String {
        format!("{}/inbox", self.actor())
    }

    /// The outbox collection.
    pub fn outbox(&self) -> String {
        format!("{}/outbox", self.actor())
    }

    /// The followers collection, which is also an audience.
    pub fn followers(&self) -> String {
        format!("{}/followers", self.actor())
    }

    /// The following collection, always empty.
    pub fn following(&self) -> String {
        format!("{}/following", self.actor())
    }

    /// Pinned posts: the live one.
    pub fn featured(&self) -> String {
        format!("{}/collections/featured", self.actor())
    }

    /// A Note's id, which is its `url` too (Pixelfed keeps one post per `url`).
    pub fn note(&self, post: Ulid) -> String {
        format!("{}/federation/{post}", self.base)
    }

    /// The Create activity of a Note.
    pub fn create(&self, post: Ulid) -> String {
        format!("{}/activity", self.note(post))
    }

    /// Any other activity of ours: Accept, Reject, Update, Delete.
    pub fn activity(&self, id: Ulid) -> String {
        format!("{}/federation/activities/{id}", self.base)
    }

    /// The page on which visitors say where they want to follow from.
    pub fn follow_page(&self) -> String {
        format!("{}/federation/follow", self.base)
    }

    /// A frozen picture by its file name.
    pub fn media(&self, name: &str) -> String {
        format!("{}/federation/media/{name}", self.base)
    }

    /// The ULID of a Note address of ours, if it is one.
    pub fn post_of(&self, id: &str) -> Option<Ulid> {
        let rest = id.strip_prefix(self.base.as_str())?.strip_prefix("/federation/")?;
        // Ulid::from_string takes lower case too; an id is one exact string.
        let ulid = Ulid::from_string(rest).ok()?;
        (ulid.to_string() == rest).then_some(ulid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_owncast() {
        let a = Addresses::new("https://live.example/", "streamer");
        assert_eq!(a.actor(), "https://live.example/federation/user/streamer");
        assert!(
            a.is_actor(&a.actor()) && !a.is_actor(&a.key_id()) && !a.is_actor(&a.inbox()) && !a.is_actor("")
        );
        assert_eq!(a.key_id(), "https://live.example/federation/user/streamer#main-key");
        assert_eq!(a.inbox(), "https://live.example/federation/user/streamer/inbox");
        assert_eq!(a.handle(), "streamer@live.example");
        assert_eq!(a.path_prefix(), "");
    }

    #[test]
    fn an_actor_is_one_however_its_address_is_spelt() {
        let ours = Addresses::new("https://live.example", "ana");
        for (base, username, same) in [
            ("https://live.example/", "ana", true),
            ("HTTPS://Live.Example:443", "ana", true),
            ("https://live.example", "Ana", false),
            ("https://radio.example", "ana", false),
            ("", "ana", false),
        ] {
            assert_eq!(Addresses::new(base, username).is_same(&ours), same, "{base} {username}");
        }
    }

    #[test]
    fn host_keeps_only_an_unusual_port() {
        for (base, host, prefix) in [
            ("https://a.example:443", "a.example", ""),
            ("https://a.example:8443", "a.example:8443", ""),
            ("http://127.0.0.1:80/live", "127.0.0.1", "/live"),
            ("http://127.0.0.1:8080/live/", "127.0.0.1:8080", "/live"),
        ] {
            let a = Addresses::new(base, "u");
            assert_eq!((a.host(), a.path_prefix()), (host, prefix), "{base}");
        }
    }

    #[test]
    fn only_an_exact_note_id_is_a_post() {
        let a = Addresses::new("https://live.example", "u");
        let id = Ulid(77);
        assert_eq!(a.post_of(&a.note(id)), Some(id));
        for other in [
            a.create(id),
            a.note(id).to_lowercase(),
            format!("{}?x", a.note(id)),
            format!("https://evil.example/federation/{id}"),
            a.actor(),
        ] {
            assert_eq!(a.post_of(&other), None, "{other}");
        }
    }
}
