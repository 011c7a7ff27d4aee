//! Another actor begins with nothing of the one before.

use std::collections::BTreeSet;

use super::*;
use crate::decide::engage::{Ours, engage};
use crate::decide::{abandon::abandon, blocks};
use crate::model::block::{Block, BlockOwner};
use crate::model::engagement::EngagementKind;
use crate::model::facts::{Facts, Identity, Profile};
use crate::model::stream::Stream;

#[test]
fn everything_of_the_actor_that_was_goes_and_nothing_else() {
    let mut world = World::default();
    let (ana, bo) = (person("ana", "a.example"), hermit("bo", "b.example"));
    world.follow(at(0), &ana);
    world.follow(at(0), &bo);
    world.announce(1);
    world.act(at(1), |draft, moment| {
        engage(draft, moment, EngagementKind::Like, &ana, Ours::Actor, sent("like", "signature", 1))
    });
    let target = blocks::parse("b.example").unwrap();
    world.act(at(2), |draft, moment| {
        blocks::add(draft, target, BlockOwner::Operator, at(2));
        for moved_in in [kind::IMPORTED, kind::TAKEN, kind::SET_ASIDE] {
            draft.put_raw(moved_in, b"x", vec![0]);
        }
        draft.put_meta(&facts());
        let addresses = Some(rules().addresses);
        let taken_message = Some("Live!".to_owned());
        draft.put_meta(&Identity { addresses, published: Some(at(0)), taken_message });
        let last_picture = Some("5f2c".to_owned());
        draft.put_meta(&Stream { last_picture, ..Stream::default() });
        let actor = serde_json::json!({"id": "a"});
        crate::decide::profile::look(draft, moment, &rules().addresses, actor);
    });
    let given_up = world.act(at(3), |draft, _| abandon(draft));
    assert_eq!(given_up, 1);
    world.assert_consistent();
    let mut kinds = BTreeSet::new();
    world.view().scan_bytes(b"", b"", &mut |key, _| {
        kinds.insert(key[0]);
        true
    });
    assert_eq!(Vec::from_iter(kinds), [kind::BLOCK, kind::META]);
    assert_eq!(world.all::<Block>().len(), 1);
    assert_eq!(world.view().meta::<Facts>(), facts(), "what Owncast said is of Owncast");
    assert_eq!(world.view().meta::<Profile>(), Profile::default());
    assert_eq!(world.view().meta::<Stream>(), Stream::default());
    let identity: Identity = world.view().meta();
    assert_eq!((identity.addresses, identity.taken_message.as_deref()), (None, Some("Live!")));
    // The new actor's first follower and post.
    world.follow(at(4), &ana);
    world.announce(5);
    world.assert_consistent();
}
