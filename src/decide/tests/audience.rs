//! What is for followers is for those who are accepted, and for nobody who is not any more.

use super::*;
use crate::decide::delivered::{Ending, Job, Worth, worth};
use crate::decide::engage::{Engaged, Ours, engage, replied};
use crate::decide::followers::change_state;
use crate::model::engagement::EngagementKind::{Announce, Like};
use crate::model::notices::NoticeKind;

const STATES: [FollowerState; 5] = [
    FollowerState::Approved,
    FollowerState::Pending,
    FollowerState::Rejected,
    FollowerState::Parked,
    FollowerState::Left,
];

impl World {
    /// Somebody who has followed stands so now.
    fn stands(&mut self, now: i64, who: &Person, state: FollowerState) {
        assert!(self.act(at(now), |draft, _| change_state(draft, &who.actor, state, at(now))));
    }
}

#[test]
fn a_post_for_followers_is_liked_shared_and_answered_by_the_approved_alone() {
    for audience in [Audience::Public, Audience::Followers] {
        for state in STATES.map(Some).into_iter().chain([None]) {
            let (mut world, ana) = (World::default(), hermit("ana", "a.example"));
            if let Some(state) = state {
                world.befriend(at(0), &ana);
                world.stands(1, &ana, state);
            }
            let post = world.announce_to(2, audience).id;
            let counts = audience == Audience::Public || state == Some(FollowerState::Approved);
            let want = if counts { Engaged::Counted } else { Engaged::NotOurs };
            for (kind, id) in [(Like, "like"), (Announce, "share")] {
                let sent = sent(id, id, 3);
                let did = world
                    .act(at(3), |draft, moment| engage(draft, moment, kind, &ana, Ours::Post(post), sent));
                assert_eq!(did, want, "{audience:?} {state:?} {kind:?}");
            }
            let note = "https://a.example/notes/1";
            let did = world.act(at(3), |draft, moment| replied(draft, moment, &ana, post, note));
            assert_eq!(did, want, "{audience:?} {state:?}");
            let told = world.notices().iter().filter(|notice| notice.kind != NoticeKind::Follow).count();
            assert_eq!(told, if counts { 2 } else { 0 }, "{audience:?} {state:?}");
            let edit = world.end(4, post);
            let to: Vec<String> = counts.then(|| ana.inbox.clone()).into_iter().collect();
            assert_eq!(world.singles(edit), to, "{audience:?} {state:?}");
            world.assert_consistent();
        }
    }
}

#[test]
fn an_edit_of_a_post_for_followers_goes_only_where_somebody_is_approved_still() {
    for audience in [Audience::Public, Audience::Followers] {
        for state in STATES {
            let mut world = World::default();
            // One who got the post, and one who came too late for that and liked it.
            let (ana, bo) = (person("ana", "a.example"), hermit("bo", "b.example"));
            world.befriend(at(0), &ana);
            let post = world.announce_to(1, audience);
            world.settle(&world.job(post.create, &ana), Ending::Reached);
            world.befriend(at(2), &bo);
            world.likes(post.id, &bo);
            let edit = world.retitle(3, post.id, "B");
            // It is queued already.
            for who in [&ana, &bo] {
                world.stands(4, who, state);
            }
            let there = |world: &World, outgoing: Ulid| {
                let single = world.all::<Attempt>().into_iter().find(|attempt| attempt.outgoing == outgoing);
                let whole = world.outgoing(outgoing);
                let single = worth(world.view(), &whole, &Job::of(single.unwrap()), false, at(5));
                [world.worth(outgoing, &ana, 5), single]
            };
            let sees = audience == Audience::Public || state == FollowerState::Approved;
            let want = if sees { Worth::Send } else { Worth::Skip };
            assert_eq!(there(&world, edit), [want; 2], "{audience:?} {state:?}");
            let edit = world.end(5, post.id);
            assert_eq!(there(&world, edit), [want; 2], "{audience:?} {state:?}");
            // Whoever has the post learns that it is gone.
            let removal = world.delete(6, post.id);
            assert_eq!(there(&world, removal), [Worth::Send; 2], "{audience:?} {state:?}");
        }
    }
}

#[test]
fn an_inbox_gets_the_edit_for_the_last_follower_behind_it() {
    let mut world = World::default();
    let (ana, eve) = (person("ana", "a.example"), person("eve", "a.example"));
    for who in [&ana, &eve] {
        world.befriend(at(0), who);
    }
    let post = world.announce_to(1, Audience::Followers);
    world.settle(&world.job(post.create, &ana), Ending::Reached);
    let edit = world.end(2, post.id);
    world.stands(3, &eve, FollowerState::Left);
    assert_eq!(world.worth(edit, &ana, 4), Worth::Send);
    world.stands(3, &ana, FollowerState::Rejected);
    assert_eq!(world.worth(edit, &ana, 4), Worth::Skip);
}
