//! The activities people send, in the shape their software gives them.

use openssl::sha::sha256;
use serde_json::{Map, Value, json};
use ulid::Ulid;

use super::dialect::Flavour;
use super::judge::PUBLIC;

const CONTEXT: &str = "https://www.w3.org/ns/activitystreams";

/// Who makes an activity.
pub(crate) struct Author<'a> {
    pub(crate) flavour: Flavour,
    pub(crate) origin: &'a str,
    pub(crate) actor: &'a str,
    /// Counts this person's activities.
    pub(crate) made: u64,
}

fn unique() -> Ulid {
    Ulid::generate()
}

/// A short stable name of an address, for the peers whose ids are made of database rows.
fn row(address: &str) -> String {
    sha256(address.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn activity(id: String, kind: &str, actor: &str, object: Value) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("@context".into(), json!(CONTEXT));
    map.insert("id".into(), json!(id));
    map.insert("type".into(), json!(kind));
    map.insert("actor".into(), json!(actor));
    map.insert("object".into(), object);
    map
}

/// A Follow. Misskey, PeerTube, Pixelfed and Friendica give the same id every time.
pub(crate) fn follow(author: &Author<'_>, target: &str) -> Value {
    let Author { flavour, origin, actor, made } = *author;
    let id = match flavour {
        Flavour::Mastodon => format!("{actor}#follows/{made}"),
        Flavour::GoToSocial => format!("{actor}/follow/{}", unique()),
        Flavour::Misskey => format!("{origin}/follows/{}/{}", row(actor), row(target)),
        Flavour::Pleroma | Flavour::Akkoma => format!("{origin}/activities/{}", unique()),
        Flavour::PeerTube => format!("{actor}/follows/{}", row(target)),
        Flavour::Pixelfed => format!("{actor}#follow/{target}"),
        Flavour::Friendica => format!("{origin}/activity/{}", row(&format!("{actor} {target}"))),
        Flavour::Lemmy => format!("{origin}/activities/follow/{}", unique()),
        Flavour::Fedify => format!("{actor}#follow/{}", unique()),
    };
    let mut map = activity(id, "Follow", actor, json!(target));
    match flavour {
        Flavour::Pleroma | Flavour::Akkoma => {
            map.insert("to".into(), json!([target]));
            map.insert("cc".into(), json!([]));
            map.insert("state".into(), json!("pending"));
        }
        Flavour::GoToSocial => {
            map.insert("to".into(), json!(target));
        }
        Flavour::Friendica => {
            map.insert("to".into(), json!([target]));
            map.insert("instrument".into(), json!({"type": "Application", "name": "Friendica"}));
        }
        _ => {}
    }
    Value::Object(map)
}

/// An Undo of an activity this author made.
pub(crate) fn undo(author: &Author<'_>, original: &Value) -> Value {
    let Author { flavour, origin, actor, .. } = *author;
    let inner_id = original.get("id").and_then(Value::as_str).unwrap_or_default();
    let mut object = original.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("@context");
    }
    let id = match flavour {
        Flavour::Mastodon | Flavour::Misskey | Flavour::Pixelfed | Flavour::PeerTube => {
            format!("{inner_id}/undo")
        }
        Flavour::GoToSocial => format!("{actor}/undo/{}", unique()),
        _ => format!("{origin}/activities/undo/{}", unique()),
    };
    let is_follow = original.get("type").and_then(Value::as_str) == Some("Follow");
    match (flavour, object.as_object_mut()) {
        // The inner id of Pixelfed's Undo is not the id of its Follow.
        (Flavour::Pixelfed, Some(map)) if is_follow => {
            map.insert("id".into(), json!(inner_id.replace("#follow/", "#follows/")));
        }
        (Flavour::Pleroma, _) => object = json!(inner_id),
        _ => {}
    }
    let mut map = activity(id, "Undo", actor, object);
    match flavour {
        Flavour::Misskey => {
            map.insert("published".into(), json!(jiff::Timestamp::now()));
        }
        Flavour::GoToSocial => {
            map.insert("to".into(), original.get("to").cloned().unwrap_or(Value::Null));
        }
        _ => {}
    }
    Value::Object(map)
}

/// A Like of a note.
pub(crate) fn like(author: &Author<'_>, note: &str) -> Value {
    let Author { flavour, origin, actor, made } = *author;
    let id = match flavour {
        Flavour::Mastodon => format!("{actor}#likes/{made}"),
        Flavour::GoToSocial => format!("{actor}/liked/{}", unique()),
        _ => format!("{origin}/likes/{}", unique()),
    };
    let mut map = activity(id, "Like", actor, json!(note));
    if flavour == Flavour::Misskey {
        map.insert("content".into(), json!("❤"));
        map.insert("_misskey_reaction".into(), json!("❤"));
    }
    Value::Object(map)
}

/// A reaction: `EmojiReact`, or a Like with `content` as Misskey sends it.
pub(crate) fn react(author: &Author<'_>, note: &str, emoji: &str) -> Value {
    let id = format!("{}/reactions/{}", author.origin, unique());
    let kind = if author.flavour == Flavour::Misskey { "Like" } else { "EmojiReact" };
    let mut map = activity(id, kind, author.actor, json!(note));
    map.insert("content".into(), json!(emoji));
    if author.flavour == Flavour::Misskey {
        map.insert("_misskey_reaction".into(), json!(emoji));
    }
    Value::Object(map)
}

/// An Announce of a note.
pub(crate) fn announce(author: &Author<'_>, note: &str, note_author: &str) -> Value {
    let Author { origin, actor, made, .. } = *author;
    let id = match author.flavour {
        Flavour::Mastodon => format!("{actor}/statuses/{made}/activity"),
        _ => format!("{origin}/announces/{}", unique()),
    };
    let mut map = activity(id, "Announce", actor, json!(note));
    map.insert("published".into(), json!(jiff::Timestamp::now()));
    map.insert("to".into(), json!([PUBLIC]));
    map.insert("cc".into(), json!([note_author, format!("{actor}/followers")]));
    Value::Object(map)
}

/// An Accept that embeds the Follow as it came.
pub(crate) fn accept(author: &Author<'_>, follow: &Value) -> Value {
    let id = format!("{}#accepts/{}", author.actor, unique());
    let field = |name: &str| follow.get(name).cloned().unwrap_or(Value::Null);
    let object = json!({
        "id": field("id"), "type": "Follow", "actor": field("actor"), "object": field("object"),
    });
    let mut map = activity(id, "Accept", author.actor, object);
    map.insert("to".into(), json!([field("actor")]));
    Value::Object(map)
}

/// The Delete of the author itself, as Mastodon sends it to every inbox it knows.
pub(crate) fn delete_self(author: &Author<'_>) -> Value {
    let mut map = activity(format!("{}#delete", author.actor), "Delete", author.actor, json!(author.actor));
    map.insert("to".into(), json!([PUBLIC]));
    Value::Object(map)
}
