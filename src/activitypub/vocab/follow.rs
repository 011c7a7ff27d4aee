//! Answers to a Follow, and the news that the actor changed.

use serde_json::{Value, json};
use ulid::Ulid;

use super::{ACTIVITY_STREAMS, with_context};
use crate::model::{Addresses, addresses::PUBLIC};

/// The Accept of a Follow, for the follower's personal inbox (PeerTube refuses it elsewhere).
///
/// `follow_id` is repeated byte for byte, since Pleroma, Akkoma and Mastodon look the Follow up by that string;
/// `follower` is the actor id as it was sent, which Misskey maps back. Old Pixelfed sends no id, and imported followers
/// may have none: then the embedded Follow has none either.
pub fn accept(addresses: &Addresses, activity: Ulid, follow_id: Option<&str>, follower: &str) -> Value {
    answer("Accept", addresses, activity, follow_id, follower)
}

/// The Reject of a Follow: it refuses a pending one and removes a standing one.
pub fn reject(addresses: &Addresses, activity: Ulid, follow_id: Option<&str>, follower: &str) -> Value {
    answer("Reject", addresses, activity, follow_id, follower)
}

fn answer(
    kind: &str,
    addresses: &Addresses,
    activity: Ulid,
    follow_id: Option<&str>,
    follower: &str,
) -> Value {
    let mut follow = json!({"type": "Follow", "actor": follower, "object": addresses.actor()});
    if let (Some(id), Some(fields)) = (follow_id, follow.as_object_mut()) {
        fields.insert("id".to_owned(), id.into());
    }
    json!({
        "@context": ACTIVITY_STREAMS,
        "id": addresses.activity(activity),
        "type": kind,
        "actor": addresses.actor(),
        "to": [follower],
        "object": follow,
    })
}

/// The Update that carries the whole actor, so that nobody has to fetch it.
///
/// `document` is what [`super::actor::actor`] made; its `@context` moves to the activity.
pub fn actor_update(addresses: &Addresses, document: Value, activity: Ulid) -> Value {
    let mut object = document;
    let context = object
        .as_object_mut()
        .and_then(|fields| fields.shift_remove("@context"))
        .unwrap_or_else(|| ACTIVITY_STREAMS.into());
    with_context(
        context,
        json!({
            "id": addresses.activity(activity),
            "type": "Update",
            "actor": addresses.actor(),
            "to": [PUBLIC],
            "cc": [addresses.followers()],
            "object": object,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activitypub::vocab::{
        actor::actor,
        samples::{addresses, assert_covers, facts, recorded, time},
    };

    #[test]
    fn the_follow_is_repeated_byte_for_byte() {
        let a = addresses();
        let follower = "https://peer.example/users/Ana";
        for id in [
            "https://peer.example/users/Ana#follows/7",
            "https://peer.example/follows/a/b?x=%7E%2f",
            "https://PEER.example:443/./x",
        ] {
            let ours = accept(&a, Ulid(3), Some(id), follower);
            assert_covers(&recorded("accept"), &ours, &[], "");
            assert_eq!(
                ours["object"],
                json!({"type": "Follow", "actor": follower, "object": a.actor(), "id": id})
            );
            assert_eq!(ours["to"], json!([follower]));
            assert_eq!(ours["id"], a.activity(Ulid(3)));
        }
    }

    #[test]
    fn a_follow_without_an_id_is_embedded_without_one() {
        let ours = reject(&addresses(), Ulid(3), None, "https://peer.example/u");
        assert_eq!(ours["type"], "Reject");
        assert!(ours["object"].get("id").is_none());
    }

    #[test]
    fn an_actor_update_carries_the_whole_actor() {
        let a = addresses();
        let whole = actor(&a, &facts(), time(), false, "PEM");
        let ours = actor_update(&a, whole.clone(), Ulid(4));
        // Owncast names itself a Person and sends only the id; the object here is whole.
        assert_covers(&recorded("actor-update"), &ours, &["/@context", "/actor", "/cc", "/object"], "");
        assert_eq!(ours["@context"], whole["@context"]);
        assert_eq!(ours["object"]["id"], a.actor());
        assert!(ours["object"].get("@context").is_none());
        assert_eq!(ours["to"], json!([PUBLIC]));
    }
}
