//! Blocks: by whole labels, by either owner, with parking and restoring.

use proptest::prelude::*;

use super::*;
use crate::decide::blocks::{
    BlockProblem, actor_blocked, add, follow_owncast, host_blocked, parse, purge, remove,
};
use crate::decide::delivered::Ending;
use crate::decide::follow::Followed;
use crate::model::block::{Block, BlockOwner, BlockTarget};
use crate::model::follower::FollowerState::{Approved, Left, Parked, Pending, Rejected};

const OURS: BlockOwner = BlockOwner::Operator;
const THEIRS: BlockOwner = BlockOwner::Owncast;

impl World {
    fn block(&mut self, now: i64, target: &str, owner: BlockOwner) -> Option<usize> {
        let target = parse(target).unwrap();
        let parked = self.act(at(now), |draft, _| add(draft, target, owner, at(now)));
        self.assert_consistent();
        parked
    }

    fn unblock(&mut self, now: i64, target: &str, owner: BlockOwner) -> Option<usize> {
        let target = parse(target).unwrap();
        let restored = self.act(at(now), |draft, _| remove(draft, &target, owner, at(now)));
        self.assert_consistent();
        restored
    }

    fn sync(&mut self, now: i64, listed: &[&str]) -> Vec<BlockProblem> {
        let listed: Vec<String> = listed.iter().map(|entry| (*entry).to_owned()).collect();
        let problems = self.act(at(now), |draft, _| follow_owncast(draft, &listed, at(now)));
        self.assert_consistent();
        problems
    }
}

#[test]
fn what_an_operator_types_is_read_as_meant_or_refused() {
    let domain = |name: &str| Some(BlockTarget::Domain(name.to_owned()));
    for (text, want) in [
        ("peer.example", domain("peer.example")),
        ("  PEER.Example.\n", domain("peer.example")),
        ("*.peer.example", domain("peer.example")),
        ("@peer.example", domain("peer.example")),
        ("bücher.example", domain("xn--bcher-kva.example")),
        ("BÜCHER.example", domain("xn--bcher-kva.example")),
        ("xn--bcher-kva.example", domain("xn--bcher-kva.example")),
        ("192.0.2.7", domain("192.0.2.7")),
        ("[2001:DB8::1]", domain("[2001:db8::1]")),
        (
            "https://peer.example/users/Ana",
            Some(BlockTarget::Actor("https://peer.example/users/Ana".to_owned())),
        ),
        ("example", None),
        ("*.", None),
        ("com.", None),
        (
            "https://Peer.Example:443/users/ana#main-key",
            Some(BlockTarget::Actor("https://peer.example/users/ana".into())),
        ),
        ("1", None),
        ("0x7f.1", None),
        (".com", None),
        ("a..example", None),
        ("", None),
        ("https://peer.example", None),
        ("https://peer.example/", None),
        ("peer.example/users/ana", None),
        ("ana@peer.example", None),
        ("peer example", None),
        ("https://", None),
    ] {
        assert_eq!(parse(text).ok(), want, "{text:?}");
    }
    assert_eq!(parse("example"), Err(BlockProblem::SingleLabel("example".to_owned())));
    assert!(parse("localhost").unwrap_err().to_string().contains("single label"));
}

#[test]
fn a_domain_is_blocked_by_whole_labels() {
    for (blocked, host, want) in [
        ("a.example", "a.example", true),
        ("a.example", "x.a.example", true),
        ("a.example", "x.y.a.example:8443", true),
        ("a.example", "a.example:443", true),
        ("a.example", "a.example.", true),
        ("a.example", "banana.example", false),
        ("a.example", "ba.example", false),
        ("a.example", "example", false),
        ("a.example", "a.example.org", false),
        ("a.example", "", false),
        ("x.a.example", "a.example", false),
        ("192.0.2.7", "192.0.2.7:81", true),
        ("[2001:db8::1]", "[2001:db8::1]:81", true),
        ("[2001:db8::1]", "[2001:db8::1]", true),
        ("[2001:db8::1]", "[2001:db8::2]", false),
        ("bücher.example", "www.xn--bcher-kva.example", true),
    ] {
        let mut world = World::default();
        world.block(0, blocked, OURS);
        assert_eq!(host_blocked(world.view(), host), want, "{host} with {blocked} blocked");
    }
}

#[test]
fn an_actor_is_blocked_by_its_whole_id_or_its_host() {
    let mut world = World::default();
    world.block(0, "https://peer.example/users/ana", OURS);
    for (actor, want) in [
        ("https://peer.example/users/ana", true),
        ("https://peer.example/users/anabel", false),
        ("https://peer.example/users/an", false),
        ("https://other.example/users/ana", false),
        ("not an address", false),
    ] {
        assert_eq!(actor_blocked(world.view(), actor), want, "{actor}");
    }
    world.block(1, "other.example", THEIRS);
    assert!(actor_blocked(world.view(), "https://BÜCHER.other.example:8443/users/zoe"));
    assert!(!host_blocked(world.view(), "peer.example"));
}

#[test]
fn a_block_parks_and_its_end_restores() {
    let mut world = World::default();
    let (ana, bo, cy) = (person("ana", "x.a.example"), person("bo", "a.example"), person("cy", "b.example"));
    for who in [&ana, &bo, &cy] {
        world.follow(at(0), who);
    }
    let pending = person("di", "a.example");
    let manual = Rules { manual_approval: true, ..rules() };
    world.act(at(0), |draft, moment| {
        crate::decide::follow::follow(draft, moment, &manual, pending.clone(), None, at(0))
    });
    let answers = world.all::<Outgoing>().len();
    assert_eq!(world.block(1, "a.example", OURS), Some(3));
    assert_eq!(world.block(1, "a.example", OURS), None, "it stands");
    let states = |world: &World| [&ana, &bo, &cy, &pending].map(|who| world.state(who).unwrap());
    assert_eq!(states(&world), [Parked, Parked, Approved, Parked]);
    // A new Follow of a parked follower does not free it.
    assert_eq!(world.follow(at(2), &ana), Followed::Ignored);
    assert_eq!(world.unblock(3, "a.example", OURS), Some(3));
    assert_eq!(world.unblock(3, "a.example", OURS), None);
    assert_eq!(states(&world), [Approved, Approved, Approved, Pending]);
    assert_eq!(world.all::<Outgoing>().len(), answers, "nobody is told");
}

#[test]
fn who_left_or_was_refused_is_not_revived_by_the_end_of_a_block() {
    let mut world = World::default();
    let (ana, bo, cy) = (person("ana", "a.example"), person("bo", "a.example"), person("cy", "a.example"));
    for who in [&ana, &bo, &cy] {
        world.follow(at(0), who);
    }
    let verdict = crate::decide::follow::Verdict::Reject;
    let addresses = rules().addresses;
    world
        .act(at(1), |draft, moment| {
            crate::decide::follow::judge(draft, moment, &addresses, &cy.actor, verdict)
        })
        .unwrap();
    world.block(2, "a.example", OURS);
    world.act(at(3), |draft, moment| crate::decide::follow::undo(draft, moment, &bo, at(3)));
    assert_eq!(world.unblock(4, "a.example", OURS), Some(1));
    assert_eq!([&ana, &bo, &cy].map(|who| world.state(who).unwrap()), [Approved, Left, Rejected]);
}

#[test]
fn who_is_covered_twice_is_freed_by_the_last_block() {
    let (mut world, ana) = (World::default(), person("ana", "x.a.example"));
    world.follow(at(0), &ana);
    assert_eq!(world.block(1, "a.example", OURS), Some(1));
    for (now, target, owner) in [(2, "a.example", THEIRS), (3, "x.a.example", OURS), (4, &*ana.actor, OURS)] {
        assert_eq!(world.block(now, target, owner), Some(0), "parked already");
    }
    for (now, target, owner, freed) in [
        (5, "a.example", OURS, 0),
        (6, "x.a.example", OURS, 0),
        (7, &*ana.actor, OURS, 0),
        (8, "a.example", THEIRS, 1),
    ] {
        assert_eq!(world.unblock(now, target, owner), Some(freed), "{target}");
    }
    assert_eq!(world.state(&ana), Some(Approved));
}

#[test]
fn owncasts_list_moves_its_own_entries_only() {
    let (mut world, ana, bo) = (World::default(), person("ana", "a.example"), person("bo", "b.example"));
    world.follow(at(0), &ana);
    world.follow(at(0), &bo);
    world.block(1, "a.example", OURS);
    assert_eq!(world.sync(2, &["a.example", "B.example", "", " "]), []);
    assert_eq!([&ana, &bo].map(|who| world.state(who).unwrap()), [Parked, Parked]);
    let before = world.all::<Block>();
    assert_eq!(world.sync(3, &["b.example", "a.example"]), []);
    assert_eq!(world.all::<Block>(), before, "the same list changes nothing");
    let problems = world.sync(4, &["example", "a b", "b.example"]);
    assert_eq!(problems.len(), 2);
    world.sync(5, &[]);
    assert_eq!([&ana, &bo].map(|who| world.state(who).unwrap()), [Parked, Approved], "ours stands");
    let left = world.all::<Block>();
    assert_eq!((left.len(), left[0].owner), (1, OURS));
    // The other way round: Owncast's entry is not lifted by hand.
    world.sync(6, &["a.example"]);
    assert_eq!(world.unblock(7, "a.example", OURS), Some(0));
    assert_eq!(world.state(&ana), Some(Parked));
}

#[test]
fn what_is_on_its_way_to_a_blocked_person_is_taken_back() {
    let (mut world, ana, bo) = (World::default(), hermit("ana", "a.example"), person("bo", "b.example"));
    world.follow(at(0), &ana);
    world.follow(at(0), &bo);
    let (first, second) = (world.announce(1), world.announce(2));
    let job = world.job(second.create, &bo);
    world.settle(&job, Ending::Reached);
    let job = world.job(first.create, &ana);
    world.settle(&job, Ending::Retry { due: at(9), uncertain: true });
    world.block(3, &ana.actor, OURS);
    assert!(world.all::<Attempt>().iter().all(|attempt| attempt.inbox != ana.inbox));
    for post in [&first, &second] {
        assert_eq!(world.inbox_state(post.create, &ana), InboxState::None);
    }
    // Nobody waits for the second any more: its first pass is done.
    assert_eq!(world.fan_outs(), [first.create]);
    let update = world.end(4, second.id);
    assert_eq!(world.inbox_state(update, &ana), InboxState::None);
}

#[test]
fn a_purge_is_for_good() {
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    world.follow(at(0), &ana);
    world.block(1, "a.example", OURS);
    let target = parse("a.example").unwrap();
    assert_eq!(world.act(at(2), |draft, _| purge(draft, &target, at(2))), 1);
    assert_eq!(world.state(&ana), None);
    assert_eq!(world.unblock(3, "a.example", OURS), Some(0));
    world.assert_consistent();
}

proptest! {
    #![proptest_config(random(300))]
    #[test]
    fn a_host_is_covered_exactly_if_its_last_labels_are_the_block(
        host in prop::collection::vec("[ab]{1,2}", 1..5),
        blocked in prop::collection::vec("[ab]{1,2}", 2..4),
    ) {
        let mut world = World::default();
        world.block(0, &blocked.join("."), OURS);
        prop_assert_eq!(host_blocked(world.view(), &host.join(".")), host.ends_with(&blocked));
    }
}
