//! The actor document.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{ACTIVITY_STREAMS, date, hashtag, is_web_address, with_context};
use crate::{
    activitypub::html::{escape, hashtags, paragraphs},
    model::{Addresses, facts::Facts, post::Picture},
};

/// The actor as served and as sent in an Update: a `Service` whose ids are those of Owncast's built-in federation.
///
/// `published` is shown as the date of joining. `public_key_pem` is the public half in SPKI PEM. The name falls back to
/// the username, since Misskey refuses an empty one; `manuallyApprovesFollowers` is always there, since Pixelfed takes
/// its absence as private; icon and banner are the frozen logo, whose address changes with its bytes because peers
/// keep a file as long as its address stays. `discoverable` and `indexable` are a consent, which a private stream does not
/// give.
pub fn actor(
    addresses: &Addresses,
    facts: &Facts,
    published: Timestamp,
    manually_approves: bool,
    public_key_pem: &str,
) -> Value {
    let name = if facts.name.trim().is_empty() { addresses.username.as_str() } else { facts.name.trim() };
    let tags: Vec<Value> = hashtags(&facts.tags, "").iter().map(|tag| hashtag(tag)).collect();
    let mut document = json!({
        "id": addresses.actor(),
        "type": "Service",
        "preferredUsername": addresses.username,
        "webfinger": addresses.handle(),
        "name": name,
        "summary": paragraphs(&facts.summary),
        "url": addresses.watch_page(),
        "inbox": addresses.inbox(),
        "outbox": addresses.outbox(),
        "followers": addresses.followers(),
        "following": addresses.following(),
        "featured": addresses.featured(),
        "endpoints": {"sharedInbox": addresses.inbox()},
        "manuallyApprovesFollowers": manually_approves,
        "discoverable": !facts.private,
        "indexable": !facts.private,
        "published": date(published),
        "attachment": links(addresses, facts),
        "tag": tags,
        "publicKey": {
            "id": addresses.key_id(),
            "owner": addresses.actor(),
            "publicKeyPem": public_key_pem,
        },
    });
    if let (Some(logo), Some(fields)) = (&facts.logo, document.as_object_mut()) {
        fields.insert("icon".to_owned(), image(addresses, logo));
        fields.insert("image".to_owned(), image(addresses, logo));
    }
    with_context(context(), document)
}

/// The terms the actor uses, inline: a JSON-LD processor needs to load nothing but the two well-known contexts.
fn context() -> Value {
    json!([
        ACTIVITY_STREAMS,
        "https://w3id.org/security/v1",
        {
            "manuallyApprovesFollowers": "as:manuallyApprovesFollowers",
            "toot": "http://joinmastodon.org/ns#",
            "featured": {"@id": "toot:featured", "@type": "@id"},
            "discoverable": "toot:discoverable",
            "indexable": "toot:indexable",
            "schema": "http://schema.org#",
            "PropertyValue": "schema:PropertyValue",
            "value": "schema:value",
            "Hashtag": "as:Hashtag",
            "webfinger": "https://purl.archive.org/socialweb/webfinger#webfinger",
        }
    ])
}

fn image(addresses: &Addresses, picture: &Picture) -> Value {
    let mut fields = Map::new();
    fields.insert("type".to_owned(), "Image".into());
    fields.insert("mediaType".to_owned(), picture.media_type.clone().into());
    fields.insert("url".to_owned(), addresses.media(&picture.name).into());
    fields.insert("width".to_owned(), picture.width.into());
    fields.insert("height".to_owned(), picture.height.into());
    Value::Object(fields)
}

/// The stream's own page first, then what the streamer lists, as rows of the profile. Mastodon keeps at most 50.
fn links(addresses: &Addresses, facts: &Facts) -> Vec<Value> {
    let page = addresses.watch_page();
    std::iter::once(("Stream".to_owned(), page))
        .chain(facts.social_handles.iter().map(|handle| (title_case(&handle.platform), handle.url.clone())))
        .take(50)
        .filter(|(name, url)| !name.is_empty() && is_web_address(url))
        .map(|(name, url)| {
            let shown = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).trim_end_matches('/');
            json!({
                "type": "PropertyValue",
                "name": name,
                "value": format!(
                    "<a href=\"{}\" rel=\"me nofollow noopener\" target=\"_blank\">{}</a>",
                    escape(&url),
                    escape(shown)
                ),
            })
        })
        .collect()
}

/// A row's name is plain text to most peers and markup to a few: it holds nothing that the two read differently.
fn title_case(platform: &str) -> String {
    let plain: String =
        platform.trim().chars().filter(|c| !matches!(c, '<' | '>' | '&' | '"' | '\'')).collect();
    let mut letters = plain.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        activitypub::vocab::samples::{addresses, assert_covers, facts, recorded, time},
        model::facts::SocialHandle,
    };

    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n";

    #[test]
    fn it_has_every_field_of_the_recorded_actor_and_the_same_ids() {
        let ours = actor(&addresses(), &facts(), time(), false, PEM);
        let theirs = recorded("actor");
        // Our context has an object of inline terms in another place.
        assert_covers(&theirs, &ours, &["/@context"], "");
        for same in ["id", "type", "inbox", "outbox", "followers", "preferredUsername", "name"] {
            assert_eq!(theirs[same], ours[same], "{same}");
        }
        for same in ["id", "owner"] {
            assert_eq!(theirs["publicKey"][same], ours["publicKey"][same], "{same}");
        }
        assert_eq!(ours["url"], "https://live.example/");
        assert_eq!(ours["endpoints"]["sharedInbox"], ours["inbox"]);
        assert_eq!(ours["icon"]["url"], "https://live.example/federation/media/5f2c.png");
        assert_eq!(ours["icon"]["mediaType"], "image/png");
        assert_eq!(ours["published"], "2026-11-21T02:04:42Z");
        assert_eq!(ours["summary"], "<p>Soldering **live**, every week</p>");
    }

    #[test]
    fn tags_are_words_and_arrays_stay_arrays() {
        let mut facts = facts();
        let names: Vec<String> = actor(&addresses(), &facts, time(), true, PEM)["tag"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tag| tag["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["#owncast", "#electronics", "#Übung", "#3dprinting"]);

        facts.social_handles.clear();
        facts.tags.clear();
        let plain = actor(&addresses(), &facts, time(), true, PEM);
        assert_eq!(plain["attachment"].as_array().map(Vec::len), Some(1));
        assert_eq!(plain["tag"], json!([]));
        assert_eq!(plain["manuallyApprovesFollowers"], true);
    }

    #[test]
    fn a_private_stream_does_not_ask_to_be_found() {
        for private in [false, true] {
            let ours = actor(&addresses(), &Facts { private, ..facts() }, time(), private, PEM);
            for consent in ["discoverable", "indexable"] {
                assert_eq!(ours[consent], !private, "{consent}");
            }
        }
    }

    #[test]
    fn what_the_operator_typed_cannot_be_markup() {
        let mut facts = facts();
        facts.summary = "<script>x</script>\n\nsecond".to_owned();
        facts.social_handles = vec![
            SocialHandle { platform: "evil\"<".to_owned(), url: "https://x.example/\"><script>".to_owned() },
            SocialHandle { platform: "js".to_owned(), url: "javascript:alert(1)".to_owned() },
        ];
        facts.name = "  ".to_owned();
        facts.logo = None;
        let ours = actor(&addresses(), &facts, time(), false, PEM);
        assert_eq!(ours["summary"], "<p>&lt;script&gt;x&lt;/script&gt;</p><p>second</p>");
        assert_eq!(ours["name"], "streamer");
        assert!(ours.get("icon").is_none());
        let rows = ours["attachment"].as_array().unwrap();
        assert_eq!(rows.len(), 2);
        assert!(!rows[1].to_string().contains("<script"));
        assert_eq!(rows[1]["name"], "Evil");
    }
}
