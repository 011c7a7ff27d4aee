//! Pure: what an activity is about, seen from the outside, before anything is believed of it.

use std::collections::BTreeSet;

use crate::activitypub::vocab::read::{Incoming, Kind};
use crate::decide::engage::{Ours, ours};
use crate::model::Addresses;

/// Most things of ours that a report is kept to be about.
const MOST_REPORTED: usize = 20;

/// What to do with an activity, judged by itself alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sifted {
    /// It cannot matter here: 202, no work.
    Ignore,
    /// An actor deletes, changes or moves itself, or deletes something. That matters only of those we know, and the key of
    /// one who is deleted may be gone.
    OfItself,
    /// Verify it and see.
    Verify,
}

/// Judges by type and object only. The store is not asked: what is answered here must not tell who follows.
pub fn sift(incoming: &Incoming, addresses: &Addresses) -> Sifted {
    let object = &incoming.object;
    let about_us = |id: &Option<String>| id.as_deref().is_some_and(|id| same_id(id, &addresses.actor()));
    let about_ours = |id: &Option<String>| id.as_deref().is_some_and(|id| ours(addresses, id).is_some());
    let verify = match incoming.kind {
        Kind::Follow | Kind::Block => about_us(&object.id),
        Kind::Like | Kind::EmojiReact | Kind::Announce => about_ours(&object.id),
        Kind::Undo => match &object.kind {
            // Only the id: it may be one of theirs that we know.
            None => object.id.is_some(),
            Some(Kind::Follow) => object.object.is_none() || about_us(&object.object),
            Some(Kind::Like | Kind::EmojiReact | Kind::Announce) => {
                object.object.is_none() || about_ours(&object.object)
            }
            Some(_) => false,
        },
        // Of a post it may be a reply to ours: that is seen as late, for the same reason.
        Kind::Delete if object.id.is_some() => return Sifted::OfItself,
        Kind::Update | Kind::Move if of_itself(incoming) => return Sifted::OfItself,
        Kind::Create => about_ours(&object.in_reply_to),
        Kind::Flag => !reported(incoming, addresses).is_empty(),
        _ => false,
    };
    if verify { Sifted::Verify } else { Sifted::Ignore }
}

/// Whether it is about its own actor.
pub(super) fn of_itself(incoming: &Incoming) -> bool {
    incoming.object.id.as_deref().is_some_and(|id| same_id(id, &incoming.actor))
}

/// What of ours a report names: each once and as we spell it, since one address can be spelt in any number of ways and at
/// any length.
pub fn reported(incoming: &Incoming, addresses: &Addresses) -> Vec<String> {
    let actor = addresses.actor();
    let named = incoming.object.id.iter().chain(&incoming.more);
    let own = named.filter_map(|id| match ours(addresses, id) {
        Some(Ours::Post(post)) => Some(addresses.note(post)),
        Some(Ours::Actor) => Some(actor.clone()),
        None => same_id(id, &actor).then(|| actor.clone()),
    });
    let mut told = BTreeSet::new();
    own.filter(|id| told.insert(id.clone())).take(MOST_REPORTED).collect()
}

/// Ids are compared as URLs: a peer may write the host in capitals or name the default port.
pub(super) fn same_id(theirs: &str, ours: &str) -> bool {
    theirs == ours
        || matches!((url::Url::parse(theirs), url::Url::parse(ours)), (Ok(theirs), Ok(ours)) if theirs == ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_about_us_is_looked_at() {
        let addresses = Addresses::new("https://live.example", "u");
        let actor = addresses.actor();
        let note = addresses.note(ulid::Ulid(5));
        let they = "https://peer.example/a";
        for (kind, object, want) in [
            ("Follow", json!(actor), Sifted::Verify),
            ("Follow", json!({"id": actor, "type": "Service"}), Sifted::Verify),
            ("Follow", json!("https://LIVE.example:443/federation/user/u"), Sifted::Verify),
            ("Follow", json!("https://live.example/federation/user/v"), Sifted::Ignore),
            ("Like", json!(note), Sifted::Verify),
            ("Announce", json!({"id": note}), Sifted::Verify),
            ("Announce", json!(actor), Sifted::Verify),
            ("Like", json!("https://peer.example/n/1"), Sifted::Ignore),
            ("Undo", json!("https://peer.example/likes/1"), Sifted::Verify),
            ("Undo", json!({"type": "Follow", "object": actor}), Sifted::Verify),
            ("Undo", json!({"type": "Follow", "object": they}), Sifted::Ignore),
            ("Undo", json!({"type": "Like", "object": note}), Sifted::Verify),
            ("Undo", json!({"type": "Block", "object": actor}), Sifted::Ignore),
            ("Delete", json!(they), Sifted::OfItself),
            ("Delete", json!({"id": they, "type": "Person"}), Sifted::OfItself),
            ("Update", json!({"id": they, "type": "Person"}), Sifted::OfItself),
            ("Update", json!({"id": "https://peer.example/n/1", "type": "Note"}), Sifted::Ignore),
            ("Move", json!(they), Sifted::OfItself),
            ("Move", json!("https://peer.example/b"), Sifted::Ignore),
            ("EmojiReact", json!(note), Sifted::Verify),
            ("Undo", json!({"type": "EmojiReact", "object": note}), Sifted::Verify),
            ("Flag", json!([they, note]), Sifted::Verify),
            ("Flag", json!([they]), Sifted::Ignore),
            ("QuoteRequest", json!(note), Sifted::Ignore),
            ("Delete", json!({"id": "https://peer.example/n/1", "type": "Tombstone"}), Sifted::OfItself),
            ("Delete", json!({"type": "Tombstone"}), Sifted::Ignore),
            ("Update", json!({"id": "https://PEER.example/a", "type": "Person"}), Sifted::OfItself),
            ("Block", json!(actor), Sifted::Verify),
            ("Create", json!({"type": "Note", "id": "https://peer.example/n/2"}), Sifted::Ignore),
            (
                "Create",
                json!({"type": "Note", "id": "https://peer.example/n/2", "inReplyTo": note}),
                Sifted::Verify,
            ),
            ("View", json!(note), Sifted::Ignore),
        ] {
            let activity =
                json!({"type": kind, "actor": they, "id": "https://peer.example/x", "object": object});
            let incoming = Incoming::parse(&activity).unwrap();
            assert_eq!(sift(&incoming, &addresses), want, "{activity}");
        }
    }

    #[test]
    fn a_report_is_about_each_thing_once_as_we_spell_it() {
        let addresses = Addresses::new("https://live.example", "u");
        let (actor, note) = (addresses.actor(), addresses.note(ulid::Ulid(5)));
        let about = |object: serde_json::Value| {
            let flag = json!({"type": "Flag", "actor": "https://peer.example/a", "object": object});
            reported(&Incoming::parse(&flag).unwrap(), &addresses)
        };
        let spelt = |n: usize| format!("https://LIVE.example:443/federation/user/{}u", "x/../".repeat(1 + n));
        let ways: Vec<String> = (0..60).map(spelt).collect();
        assert_eq!(about(json!(ways)), std::slice::from_ref(&actor));
        assert_eq!(
            about(json!([note, "https://peer.example/n", format!("{note}/activity"), actor, note])),
            [note.clone(), actor.clone()]
        );
        let posts: Vec<String> = (0..60).map(|n| addresses.note(ulid::Ulid(n))).collect();
        assert_eq!(about(json!(posts)), posts[..MOST_REPORTED]);
    }
}
