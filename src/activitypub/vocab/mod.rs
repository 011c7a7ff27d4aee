//! The vocabulary: one shape for each thing we emit, tolerant reading of what others send.
//!
//! What is emitted keeps arrays as arrays even with one element (Pixelfed, Lemmy and PeerTube demand it), spells the
//! public collection out (Lemmy refuses `as:Public`) and gives every activity an `id` and a `@context` (GoToSocial
//! drops activities without an id, Pixelfed those without a context).

pub mod actor;
pub mod collection;
pub mod discovery;
pub mod follow;
pub mod note;
pub mod read;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The ActivityStreams context, the only one that activities without extra terms need.
pub const ACTIVITY_STREAMS: &str = "https://www.w3.org/ns/activitystreams";

/// The media type of every ActivityPub document of ours: the one spelling that all peers take (Lemmy and Pixelfed
/// compare exactly).
pub const ACTIVITY_JSON: &str = "application/activity+json";

/// A point in time as documents carry it: RFC 3339 in UTC with whole seconds, as Mastodon and Owncast write it.
pub fn date(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// Puts `@context` in front of a document that has none; documents with one keep their own.
fn with_context(context: Value, document: Value) -> Value {
    let Value::Object(fields) = document else { return document };
    let mut whole = Map::with_capacity(fields.len() + 1);
    whole.insert("@context".to_owned(), context);
    whole.extend(fields);
    Value::Object(whole)
}

/// A hashtag object: `name` with the sign, `href` on the Owncast directory.
fn hashtag(tag: &str) -> Value {
    json!({"type": "Hashtag", "name": format!("#{tag}"), "href": super::html::hashtag_url(tag)})
}

/// Only such an address is made a link: a `javascript:` one, typed or sent, stays out.
fn is_web_address(address: &str) -> bool {
    url::Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
pub(crate) mod samples {
    //! Values that the tests of this room share.

    use jiff::Timestamp;
    use serde_json::Value;
    use ulid::Ulid;

    use crate::model::{
        Addresses,
        facts::{Facts, SocialHandle},
        post::{Audience, Picture, Post, PostState, Shows},
    };

    /// The identity of the recorded Owncast.
    pub fn addresses() -> Addresses {
        Addresses::new("https://live.example", "streamer")
    }

    /// A point in time in the recorded session.
    pub fn time() -> Timestamp {
        "2026-11-21T02:04:42.313Z".parse().unwrap()
    }

    /// The configuration of the recorded Owncast.
    pub fn facts() -> Facts {
        Facts {
            known: true,
            version: "0.1.3".to_owned(),
            server_url: "https://live.example".to_owned(),
            username: "streamer".to_owned(),
            name: "Ada's <workshop> & friends".to_owned(),
            summary: "Soldering **live**, every week".to_owned(),
            tags: ["owncast", "electronics", "Übung", "3d printing"].map(str::to_owned).to_vec(),
            social_handles: vec![SocialHandle {
                platform: "mastodon".to_owned(),
                url: "https://social.example/@ada".to_owned(),
            }],
            logo: Some(picture()),
            ..Facts::default()
        }
    }

    /// A frozen picture.
    pub fn picture() -> Picture {
        Picture {
            name: "5f2c.png".to_owned(),
            media_type: "image/png".to_owned(),
            width: 1280,
            height: 720,
            blurhash: Some("LEHV6nWB2yk8pyo0adR*.7kCMdnj".to_owned()),
            shows: Shows::Still,
        }
    }

    /// A live post to `audience`.
    pub fn post(audience: Audience) -> Post {
        Post {
            id: Ulid(77),
            session: Ulid(1),
            published: time(),
            updated: None,
            content: "<p>Hi</p>".to_owned(),
            live_content: "<p>Hi</p>".to_owned(),
            template: String::new(),
            language: Some("en".to_owned()),
            tags: vec!["owncast".to_owned(), "Übung".to_owned()],
            title: "Etching".to_owned(),
            sensitive: false,
            audience,
            picture: Some(picture()),
            alt: "A workbench".to_owned(),
            state: PostState::Live,
            over: None,
            create: Ulid(78),
            last: None,
            edits: 0,
            likes: 3,
            shares: 2,
        }
    }

    /// What a real Owncast answered, by name.
    pub fn recorded(name: &str) -> Value {
        let all = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/owncast/documents.json"));
        serde_json::from_str::<Value>(all).unwrap()[name].take()
    }

    /// Every field of `theirs` is in `ours` with the same JSON type, apart from the listed paths.
    pub fn assert_covers(theirs: &Value, ours: &Value, except: &[&str], path: &str) {
        if except.contains(&path) {
            return;
        }
        assert_eq!(
            std::mem::discriminant(theirs),
            std::mem::discriminant(ours),
            "{path}: {theirs} became {ours}"
        );
        match theirs {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let here = format!("{path}/{key}");
                    if except.contains(&here.as_str()) {
                        continue;
                    }
                    let mine = ours.get(key).unwrap_or_else(|| panic!("{here} is missing in {ours}"));
                    assert_covers(value, mine, except, &here);
                }
            }
            Value::Array(items) => {
                if let Some(first) = items.first() {
                    let mine = ours.get(0).unwrap_or_else(|| panic!("{path} is empty"));
                    assert_covers(first, mine, except, &format!("{path}/0"));
                }
            }
            _ => {}
        }
    }
}
