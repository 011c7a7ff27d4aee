//! What may have arrived without anybody knowing, and what waits for what.

use super::delivered::{crowd, numbered};
use super::*;
use crate::decide::delivered::{
    Ending, Job, Worth, begin_again, claim, not_begun, settle, state_of, tally, waiting, worth,
};
use crate::model::delivery::Claim;

#[test]
fn an_edit_waits_for_a_post_that_is_to_be_sent_once_more() {
    let mut world = World::default();
    crowd(&mut world, 1);
    let post = world.announce(1);
    let create = numbered(&world, post.create, 0);
    world.settle(&create, Ending::Retry { due: at(9), uncertain: true });
    let id = world.retitle(2, post.id, "B");
    let edit = numbered(&world, id, 0);
    let look = |world: &World, id: Ulid, job: &Job, now: i64| {
        worth(world.view(), &world.outgoing(id), job, false, at(now)) == Worth::Behind
    };
    let behind = |world: &World, now: i64| look(world, id, &edit, now);
    assert!(behind(&world, 3));
    assert!(!behind(&world, 24 * 3600 + 1), "the post is not sent any more");
    let retry = Job::of(world.all::<Attempt>().remove(0));
    world.settle(&retry, Ending::Retry { due: at(9), uncertain: false });
    assert!(behind(&world, 4), "it may still have arrived the first time");
    let retry = Job::of(world.all::<Attempt>().remove(0));
    world.settle(&retry, Ending::Reached);
    assert!(!behind(&world, 5));
    world.settle(&create, Ending::Retry { due: at(9), uncertain: true });
    let end = world.end(6, post.id);
    assert!(!look(&world, end, &numbered(&world, end, 0), 7));
}

#[test]
fn a_retry_whose_end_nobody_wrote_down_may_have_arrived() {
    for (not_sent, died, want, edit) in [
        (false, true, InboxState::Doubtful, Worth::Send),
        (false, false, InboxState::Failed, Worth::Skip),
        (true, true, InboxState::Failed, Worth::Skip),
    ] {
        let mut world = World::default();
        crowd(&mut world, 1);
        let post = world.announce(1);
        let first = numbered(&world, post.create, 0);
        assert!(!first.to_begin(), "the claim of the pass tells");
        world.settle(&first, Ending::Retry { due: at(9), uncertain: false });
        let mut retry = Job::of(world.all::<Attempt>().remove(0));
        assert!(retry.to_begin());
        world.act(at(9), |draft, _| begin_again(draft, &retry));
        assert_eq!(state_of(world.view(), post.create, 0), InboxState::Uncertain);
        if not_sent {
            world.act(at(9), |draft, _| not_begun(draft, &retry));
            assert_eq!(state_of(world.view(), post.create, 0), InboxState::Retrying);
        }
        if died {
            retry = Job::of(world.all::<Attempt>().remove(0));
        }
        world.settle(&retry, Ending::Failed);
        assert_eq!(state_of(world.view(), post.create, 0), want);
        let id = world.end(20, post.id);
        let job = numbered(&world, id, 0);
        assert_eq!(worth(world.view(), &world.outgoing(id), &job, false, at(21)), edit);
    }
}

#[test]
fn what_was_claimed_before_a_stream_came_back_may_have_arrived() {
    let mut world = World::default();
    crowd(&mut world, 3);
    let post = world.announce(1);
    world.act(at(2), |draft, _| claim(draft, post.create, Claim::default(), 2));
    world.end(3, post.id);
    world.resume(4, post.id);
    let (found, _) = waiting(world.view(), post.create, 0, 9, &mut |_| true);
    let found: Vec<(u32, bool)> =
        found.iter().map(|(number, state, _)| (*number, state.may_have_it())).collect();
    assert_eq!(found, [(0, true), (1, true), (2, false)]);
    assert_eq!(tally(world.view(), &world.outgoing(post.create)).waiting, 3);
    world.settle(&Job { uncertain: true, ..numbered(&world, post.create, 0) }, Ending::Failed);
    assert_eq!(state_of(world.view(), post.create, 0), InboxState::Doubtful);
}

/// Mastodon drops a post of somebody whom nobody there follows yet.
#[test]
fn a_post_waits_for_the_accept_of_its_only_reader() {
    let mut world = World::default();
    let (ana, bo) = (person("ana", "a.example"), person("bo", "a.example"));
    world.follow(at(0), &ana);
    let accept = Job::of(world.all::<Attempt>().remove(0));
    let post = world.announce(1);
    assert_eq!(world.worth(post.create, &ana, 2), Worth::Behind);
    world.settle(&accept, Ending::Retry { due: at(9), uncertain: false });
    assert_eq!(world.worth(post.create, &ana, 3), Worth::Behind);
    assert_eq!(world.worth(post.create, &ana, 3601), Worth::Send, "it may have arrived all the same");
    assert_eq!(world.worth(post.create, &ana, 4 * 24 * 3600), Worth::Expired);
    // Somebody else there reads it already.
    world.follow(at(3), &bo);
    assert_eq!(world.worth(post.create, &ana, 4), Worth::Send);
    world.act(at(5), |draft, moment| crate::decide::follow::undo(draft, moment, &bo, at(5)));
    let retry = world.all::<Attempt>().into_iter().find(|one| one.tries == 1).map(Job::of).unwrap();
    assert_eq!(world.worth(post.create, &ana, 6), Worth::Behind);
    for ending in [Ending::Reached, Ending::Failed] {
        let mut world = World { view: world.view.clone(), decisions: world.decisions };
        world.settle(&Job { why: Some("status 403".into()), ..retry.clone() }, ending);
        assert_eq!(world.worth(post.create, &ana, 7), Worth::Send, "{ending:?}");
    }
}

/// What was looked at while the stream was gone, and written when it was back.
#[test]
fn what_seemed_over_is_looked_at_again_when_that_is_written() {
    let mut world = World::default();
    crowd(&mut world, 3);
    let post = world.announce(1);
    let first = numbered(&world, post.create, 0);
    world.settle(&first, Ending::Retry { due: at(2), uncertain: false });
    let again = Job::of(world.all::<Attempt>().remove(0));
    let [untried, third] = [1, 2].map(|number| numbered(&world, post.create, number));
    world.end(3, post.id);
    let seemed_over = Ending::Expired { at: at(3) };
    assert!(world.act(at(4), |draft, _| settle(draft, &third, seemed_over)));
    world.resume(5, post.id);
    for job in [&again, &untried] {
        assert!(!world.act(at(6), |draft, _| settle(draft, job, seemed_over)), "it is to be sent after all");
    }
    assert_eq!(world.all::<Attempt>().len(), 1, "it is made again");
    let states = [0, 1, 2].map(|number| state_of(world.view(), post.create, number));
    assert_eq!(states, [InboxState::Retrying, InboxState::Waiting, InboxState::Waiting]);
}

#[test]
fn an_edit_that_a_later_one_has_overtaken_did_not_fail() {
    let mut world = World::default();
    crowd(&mut world, 2);
    let post = world.announce(1);
    for number in 0..2 {
        let job = numbered(&world, post.create, number);
        world.settle(&job, Ending::Reached);
    }
    let edit = world.retitle(2, post.id, "B");
    let late = 2 + 4 * 24 * 3600;
    world.settle(&numbered(&world, edit, 0), Ending::Retry { due: at(late), uncertain: false });
    let again = Job::of(world.all::<Attempt>().remove(0));
    world.settle(&again, Ending::Expired { at: at(late) });
    assert_eq!(state_of(world.view(), edit, 0), InboxState::Failed, "three days are over");
    let overtaken = Job { uncertain: true, ..numbered(&world, edit, 1) };
    world.retitle(3, post.id, "C");
    world.settle(&overtaken, Ending::Expired { at: at(3) });
    assert_eq!(state_of(world.view(), edit, 1), InboxState::None);
    assert_eq!(state_of(world.view(), post.create, 1), InboxState::Reached);
}
