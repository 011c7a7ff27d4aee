//! Posts and the activities about them.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use ulid::Ulid;

use super::{ACTIVITY_STREAMS, date, hashtag, with_context};
use crate::model::{
    Addresses,
    addresses::PUBLIC,
    post::{Audience, Picture, Post},
};

/// A Note without `@context`, to be embedded in something that has one.
///
/// `url` is the Note's own id: Pixelfed keeps one post per `url`. The post's language is the one key of `contentMap`, from
/// which Mastodon and GoToSocial take it; where nobody knows it, there is none. There is no `summary`, which everybody
/// would show as a content warning, and no `interactionPolicy`: without stamps a quote would stay pending for ever on
/// Mastodon 4.5 (FEP-044f).
pub fn note(addresses: &Addresses, post: &Post) -> Value {
    let id = addresses.note(post.id);
    let (to, cc) = audience(addresses, post.audience);
    let attachment: Vec<Value> =
        post.picture.iter().map(|picture| image(addresses, picture, &post.alt)).collect();
    let tags: Vec<Value> = post.tags.iter().map(|tag| hashtag(tag)).collect();
    let mut document = json!({
        "id": id,
        "type": "Note",
        "attributedTo": addresses.actor(),
        "to": to,
        "cc": cc,
        "published": date(post.published),
        "url": id,
        "content": post.content,
        "sensitive": post.sensitive,
        "tag": tags,
        "attachment": attachment,
        "replies": format!("{id}/replies"),
        "likes": {"id": format!("{id}/likes"), "type": "Collection", "totalItems": post.likes},
        "shares": {"id": format!("{id}/shares"), "type": "Collection", "totalItems": post.shares},
    });
    let mut insert = |name: &str, value: Value| {
        if let Some(fields) = document.as_object_mut() {
            fields.insert(name.to_owned(), value);
        }
    };
    if let Some(language) = &post.language {
        insert("contentMap", Map::from_iter([(language.clone(), post.content.clone().into())]).into());
    }
    if let Some(updated) = post.updated {
        insert("updated", date(updated).into());
    }
    document
}

/// A Note as served at its own address.
pub fn note_document(addresses: &Addresses, post: &Post) -> Value {
    with_context(context(), note(addresses, post))
}

/// The Create that brings a post to followers and stands in the outbox.
pub fn create(addresses: &Addresses, post: &Post) -> Value {
    with_context(context(), create_item(addresses, post))
}

/// A Create without `@context`, for a page of the outbox.
pub(super) fn create_item(addresses: &Addresses, post: &Post) -> Value {
    let (to, cc) = audience(addresses, post.audience);
    json!({
        "id": addresses.create(post.id),
        "type": "Create",
        "actor": addresses.actor(),
        "published": date(post.published),
        "to": to,
        "cc": cc,
        "object": note(addresses, post),
    })
}

/// The edit of a post: the whole Note, with the same id, `published` and audience.
///
/// Mastodon takes it only if `updated` is later than what it has.
pub fn update(addresses: &Addresses, post: &Post, activity: Ulid, updated: Timestamp) -> Value {
    let (to, cc) = audience(addresses, post.audience);
    let edited = Post { updated: Some(updated), ..post.clone() };
    with_context(
        context(),
        json!({
            "id": addresses.activity(activity),
            "type": "Update",
            "actor": addresses.actor(),
            "published": date(updated),
            "to": to,
            "cc": cc,
            "object": note(addresses, &edited),
        }),
    )
}

/// The removal of a post. It repeats the post's audience, so that servers pass it on to whom the post went.
pub fn delete(addresses: &Addresses, post: &Post, activity: Ulid) -> Value {
    let (to, cc) = audience(addresses, post.audience);
    with_context(
        ACTIVITY_STREAMS.into(),
        json!({
            "id": addresses.activity(activity),
            "type": "Delete",
            "actor": addresses.actor(),
            "to": to,
            "cc": cc,
            "object": {"id": addresses.note(post.id), "type": "Tombstone"},
        }),
    )
}

/// What a deleted post's address answers, with status 410: Misskey, Lemmy and Pleroma look there to believe a Delete.
pub fn tombstone(addresses: &Addresses, post: &Post) -> Value {
    let mut document = json!({
        "@context": ACTIVITY_STREAMS,
        "id": addresses.note(post.id),
        "type": "Tombstone",
        "formerType": "Note",
        "published": date(post.published),
    });
    if let (Some(over), Some(fields)) = (post.over, document.as_object_mut()) {
        fields.insert("deleted".to_owned(), date(over).into());
    }
    document
}

/// `to` and `cc`. A post for followers names the public collection nowhere.
fn audience(addresses: &Addresses, audience: Audience) -> (Vec<String>, Vec<String>) {
    match audience {
        Audience::Public => (vec![PUBLIC.to_owned()], vec![addresses.followers()]),
        Audience::Followers => (vec![addresses.followers()], Vec::new()),
    }
}

/// The terms a Note uses beyond ActivityStreams.
pub(super) fn context() -> Value {
    json!([
        ACTIVITY_STREAMS,
        {
            "Hashtag": "as:Hashtag",
            "sensitive": "as:sensitive",
            "toot": "http://joinmastodon.org/ns#",
            "blurhash": "toot:blurhash",
            "focalPoint": {"@container": "@list", "@id": "toot:focalPoint"},
        }
    ])
}

/// The alternative text stands in `summary`, which GoToSocial and Mastodon 4.6 read first, and in `name`, which the
/// others read.
fn image(addresses: &Addresses, picture: &Picture, alt: &str) -> Value {
    let mut document = json!({
        "type": "Image",
        "mediaType": picture.media_type,
        "url": addresses.media(&picture.name),
        "name": alt,
        "summary": alt,
        "width": picture.width,
        "height": picture.height,
        "focalPoint": [0.0, 0.0],
    });
    if let (Some(blurhash), Some(fields)) = (&picture.blurhash, document.as_object_mut()) {
        fields.insert("blurhash".to_owned(), blurhash.clone().into());
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activitypub::vocab::samples::{addresses, assert_covers, post, recorded, time};

    #[test]
    fn a_create_has_all_that_the_recorded_one_has() {
        let ours = create(&addresses(), &post(Audience::Public));
        // Lists stay lists here, `audience` is read by nobody, and the context carries its terms inline.
        let except =
            ["/@context", "/to", "/audience", "/object/to", "/object/audience", "/object/attachment"];
        assert_covers(&recorded("go-live-create"), &ours, &except, "");
        let note = &ours["object"];
        assert_eq!(note["url"], note["id"]);
        assert_eq!(ours["id"], format!("{}/activity", note["id"].as_str().unwrap()));
        assert_eq!(ours["to"], json!([PUBLIC]));
        assert_eq!(ours["cc"], json!([addresses().followers()]));
        assert_eq!((&ours["to"], &ours["cc"]), (&note["to"], &note["cc"]));
        assert_eq!(note["contentMap"], json!({"en": "<p>Hi</p>"}));
        assert_eq!(note["tag"][1]["href"], "https://owncast.directory/tags/%C3%9Cbung");
        assert_eq!(note["attachment"][0]["mediaType"], "image/png");
        assert_eq!(note["attachment"][0]["name"], note["attachment"][0]["summary"]);
        assert_eq!(note["likes"]["totalItems"], 3);
        assert_eq!(note["shares"]["totalItems"], 2);
        assert!(note.get("@context").is_none() && note.get("summary").is_none());
    }

    #[test]
    fn a_post_for_followers_names_the_public_nowhere() {
        let a = addresses();
        let mut post = post(Audience::Followers);
        post.over = Some(time());
        for document in [
            note(&a, &post),
            note_document(&a, &post),
            create(&a, &post),
            update(&a, &post, Ulid(5), time()),
            delete(&a, &post, Ulid(5)),
            tombstone(&a, &post),
        ] {
            let text = document.to_string();
            assert!(!text.contains("#Public") && !text.contains("as:Public"), "{text}");
        }
        let create = create(&a, &post);
        assert_eq!(create["to"], json!([a.followers()]));
        assert_eq!(create["object"]["to"], json!([a.followers()]));
        assert_eq!(create["cc"], json!([]));
    }

    #[test]
    fn an_edit_keeps_id_date_and_audience() {
        let a = addresses();
        let post = Post { language: Some("de".to_owned()), ..post(Audience::Public) };
        let later = time() + std::time::Duration::from_secs(60);
        let create = create(&a, &post);
        let update = update(&a, &post, Ulid(9), later);
        assert_eq!(update["id"], a.activity(Ulid(9)));
        assert_eq!(update["object"]["updated"], "2026-11-21T02:05:42Z");
        assert!(create["object"].get("updated").is_none());
        for same in ["id", "published", "to", "cc", "contentMap", "url"] {
            assert_eq!(create["object"][same], update["object"][same], "{same}");
        }
        assert!(update["object"]["contentMap"].get("de").is_some());
    }

    #[test]
    fn a_post_in_nobody_knows_which_language_is_marked_with_none() {
        let post = Post { language: None, ..post(Audience::Public) };
        let note = note(&addresses(), &post);
        assert!(note.get("contentMap").is_none() && note["content"] == "<p>Hi</p>");
    }

    #[test]
    fn a_removal_has_id_context_and_the_audience() {
        let a = addresses();
        let mut post = post(Audience::Public);
        let delete = delete(&a, &post, Ulid(9));
        assert_eq!(delete["@context"], ACTIVITY_STREAMS);
        assert_eq!(delete["id"], a.activity(Ulid(9)));
        assert_eq!(delete["to"], json!([PUBLIC]));
        assert_eq!(delete["cc"], json!([a.followers()]));
        assert_eq!(delete["object"], json!({"id": a.note(post.id), "type": "Tombstone"}));

        post.over = Some(time());
        let gone = tombstone(&a, &post);
        assert_eq!(gone["formerType"], "Note");
        assert_eq!(gone["deleted"], "2026-11-21T02:04:42Z");
    }

    #[test]
    fn without_picture_and_tags_the_lists_are_empty() {
        let mut post = post(Audience::Public);
        post.picture = None;
        post.tags.clear();
        let note = note(&addresses(), &post);
        assert_eq!(note["attachment"], json!([]));
        assert_eq!(note["tag"], json!([]));
    }
}
