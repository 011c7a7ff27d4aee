//! Actors that delete themselves or block us.

use super::*;
use crate::decide::engage::{Ours, engage};
use crate::decide::gone;
use crate::model::engagement::{Engagement, EngagementKind};
use crate::model::follower::FollowerState::{Approved, Left};

#[test]
fn who_deletes_itself_leaves_nothing_behind() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow(at(0), &ana);
    world.act(at(1), |draft, moment| {
        engage(draft, moment, EngagementKind::Like, &ana, Ours::Actor, "https://peer.example/likes/1")
    });
    world.act(at(2), |draft, moment| gone::deleted(draft, moment, &ana.actor));
    assert_eq!(world.state(&ana), None);
    assert!(world.all::<Engagement>().is_empty());
    world.assert_consistent();
    // Of a stranger it changes nothing.
    let before = world.view.len();
    world.act(at(3), |draft, moment| gone::deleted(draft, moment, "https://peer.example/users/zoe"));
    assert_eq!(world.view.len(), before);
}

#[test]
fn who_blocks_us_stops_following_in_silence() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow(at(10), &ana);
    let sent = world.all::<Outgoing>().len();
    let block = |world: &mut World, now: i64, stamp: i64| {
        world.act(at(now), |draft, moment| gone::blocked_us(draft, moment, &ana.actor, at(stamp)));
    };
    block(&mut world, 11, 9);
    assert_eq!(world.state(&ana), Some(Approved), "a Block from before the Follow");
    block(&mut world, 12, 12);
    assert_eq!(world.state(&ana), Some(Left));
    assert_eq!(world.all::<Outgoing>().len(), sent);
    world.assert_consistent();
}
