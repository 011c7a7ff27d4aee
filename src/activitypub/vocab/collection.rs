//! The collections of the actor and of its posts.

use serde_json::{Value, json};

use super::{
    ACTIVITY_STREAMS,
    note::{context, create_item, note},
    with_context,
};
use crate::model::{
    Addresses,
    post::{Audience, Post, PostState},
};

/// Items on one page of the outbox and of the followers.
pub const PAGE_SIZE: usize = 20;

/// Where a page stands in its collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its number, from 1.
    pub number: u64,
    /// More items come after it.
    pub has_next: bool,
}

/// The outbox: how many public posts there are, and where they begin. Misskey and Lemmy refuse an actor without one.
pub fn outbox(addresses: &Addresses, total: u64) -> Value {
    root(&addresses.outbox(), total, true)
}

/// One page of the outbox, newest first: Creates with their Notes.
///
/// Posts for followers and deleted ones are left out whatever was passed.
pub fn outbox_page(addresses: &Addresses, page: Page, posts: &[Post]) -> Value {
    let items = public(posts).map(|post| create_item(addresses, post)).collect();
    with_context(context(), page_of(&addresses.outbox(), page, items))
}

/// The followers. `shown` decides whether anybody may read who they are: Mastodon takes a missing `first` as hidden.
pub fn followers(addresses: &Addresses, total: u64, shown: bool) -> Value {
    root(&addresses.followers(), total, shown)
}

/// One page of the followers' actor ids. Serve it only when the list is shown.
pub fn followers_page(addresses: &Addresses, page: Page, actors: &[String]) -> Value {
    let items = actors.iter().map(|actor| Value::from(actor.as_str())).collect();
    with_context(ACTIVITY_STREAMS.into(), page_of(&addresses.followers(), page, items))
}

/// Whom the stream follows: nobody.
pub fn following(addresses: &Addresses) -> Value {
    json!({
        "@context": ACTIVITY_STREAMS,
        "id": addresses.following(),
        "type": "OrderedCollection",
        "totalItems": 0,
        "orderedItems": [],
    })
}

/// Pinned posts: the live one, whole, if it is public. Mastodon reads this at each refresh of the actor.
pub fn featured(addresses: &Addresses, posts: &[Post]) -> Value {
    let items: Vec<Value> = public(posts)
        .filter(|post| post.state == PostState::Live)
        .map(|post| note(addresses, post))
        .collect();
    with_context(
        context(),
        json!({
            "id": addresses.featured(),
            "type": "OrderedCollection",
            "totalItems": items.len(),
            "orderedItems": items,
        }),
    )
}

/// Replies to a post: none are republished here. The page is embedded, so that Mastodon makes no second request.
pub fn replies(addresses: &Addresses, post: &Post) -> Value {
    let id = format!("{}/replies", addresses.note(post.id));
    json!({
        "@context": ACTIVITY_STREAMS,
        "id": id,
        "type": "Collection",
        "totalItems": 0,
        "first": {"id": format!("{id}?page=1"), "type": "CollectionPage", "partOf": id, "items": []},
    })
}

/// How many like a post; who they are is not told.
pub fn likes(addresses: &Addresses, post: &Post) -> Value {
    count(&format!("{}/likes", addresses.note(post.id)), post.likes)
}

/// How many shared a post; who they are is not told.
pub fn shares(addresses: &Addresses, post: &Post) -> Value {
    count(&format!("{}/shares", addresses.note(post.id)), post.shares)
}

fn count(id: &str, total: u64) -> Value {
    json!({"@context": ACTIVITY_STREAMS, "id": id, "type": "Collection", "totalItems": total})
}

fn public(posts: &[Post]) -> impl Iterator<Item = &Post> {
    posts.iter().filter(|post| post.audience == Audience::Public && post.state != PostState::Deleted)
}

fn root(id: &str, total: u64, paged: bool) -> Value {
    let mut document = json!({
        "@context": ACTIVITY_STREAMS,
        "id": id,
        "type": "OrderedCollection",
        "totalItems": total,
    });
    if let (true, Some(fields)) = (paged, document.as_object_mut()) {
        fields.insert("first".to_owned(), format!("{id}?page=1").into());
    }
    document
}

fn page_of(id: &str, page: Page, items: Vec<Value>) -> Value {
    let mut document = json!({
        "id": format!("{id}?page={}", page.number),
        "type": "OrderedCollectionPage",
        "partOf": id,
        "orderedItems": items,
    });
    if let Some(fields) = document.as_object_mut() {
        if page.has_next {
            fields.insert("next".to_owned(), format!("{id}?page={}", page.number.saturating_add(1)).into());
        }
        if page.number > 1 {
            fields.insert("prev".to_owned(), format!("{id}?page={}", page.number - 1).into());
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activitypub::vocab::samples::{addresses, assert_covers, post, recorded};
    use ulid::Ulid;

    #[test]
    fn roots_and_pages_have_what_the_recorded_ones_have() {
        let a = addresses();
        let page = Page { number: 1, has_next: false };
        for (name, ours, except) in [
            ("outbox", outbox(&a, 0), vec![]),
            // Owncast's page holds an empty collection in place of its posts; ours is a list of them.
            ("outbox-page", outbox_page(&a, page, &[]), vec!["/@context", "/orderedItems"]),
            ("followers", followers(&a, 0, true), vec![]),
            ("followers-page", followers_page(&a, page, &[]), vec![]),
        ] {
            assert_covers(&recorded(name), &ours, &except, "");
            assert_eq!(recorded(name)["id"], ours["id"]);
        }
    }

    #[test]
    fn the_outbox_holds_public_posts_only() {
        let a = addresses();
        let gone = Post { id: Ulid(80), state: PostState::Deleted, ..post(Audience::Public) };
        let hidden = Post { id: Ulid(81), ..post(Audience::Followers) };
        let posts = [post(Audience::Public), gone, hidden];
        let page = outbox_page(&a, Page { number: 2, has_next: true }, &posts);
        let items = page["orderedItems"].as_array().unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!(items[0]["type"], "Create");
        assert_eq!(items[0]["object"]["id"], a.note(Ulid(77)));
        assert_eq!(page["next"], format!("{}?page=3", a.outbox()));
        assert_eq!(page["prev"], format!("{}?page=1", a.outbox()));
        assert_eq!(page["partOf"], a.outbox());
    }

    #[test]
    fn hidden_followers_are_a_number() {
        let a = addresses();
        let hidden = followers(&a, 12, false);
        assert_eq!(hidden["totalItems"], 12);
        assert!(hidden.get("first").is_none());
        let shown =
            followers_page(&a, Page { number: 1, has_next: false }, &["https://p.example/u".to_owned()]);
        assert_eq!(shown["orderedItems"], json!(["https://p.example/u"]));
        assert!(shown.get("next").is_none() && shown.get("prev").is_none());
    }

    #[test]
    fn only_the_live_public_post_is_pinned() {
        let a = addresses();
        let ended = Post { state: PostState::Ended, ..post(Audience::Public) };
        let pinned = featured(&a, &[ended, post(Audience::Followers), post(Audience::Public)]);
        assert_eq!(pinned["totalItems"], 1);
        assert_eq!(pinned["orderedItems"][0]["type"], "Note");
        assert_eq!(following(&a)["totalItems"], 0);
    }

    #[test]
    fn counts_of_a_post_agree_with_its_note() {
        let a = addresses();
        let post = post(Audience::Public);
        let note = note(&a, &post);
        for (field, document) in [("likes", likes(&a, &post)), ("shares", shares(&a, &post))] {
            assert_eq!(note[field]["id"], document["id"]);
            assert_eq!(note[field]["totalItems"], document["totalItems"]);
        }
        assert_eq!(note["replies"], replies(&a, &post)["id"]);
    }
}
