//! Inboxes that refuse for long, while their servers answer.

use super::*;
use crate::decide::delivered::{Ending, Job, Worth};
use crate::decide::hosts::Contact;
use crate::decide::refusals::{self, PARK_AT};
use crate::decide::sweep::{Cursor, sweep};
use crate::model::follower::ParkedInboxes;

const DAY: i64 = 24 * 3600;

impl World {
    fn ends(&mut self, now: i64, job: &Job, ending: Ending, contact: Option<Contact>) {
        self.act(at(now), |draft, _| refusals::heard(draft, job, ending, contact, at(now)));
    }

    fn refuses(&mut self, now: i64, job: &Job) {
        self.ends(now, job, Ending::Failed, Some(Contact::Answered));
    }

    fn inbox(&self, person: &Person) -> DeliveryInbox {
        refusals::inbox_of(self.view(), &person.actor).unwrap()
    }

    fn parked_inboxes(&self) -> u64 {
        self.view().meta::<ParkedInboxes>().count
    }
}

/// Ana follows, her Accept has arrived, and a post waits for her.
fn world() -> (World, Person, Post, Job) {
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    world.befriend(at(0), &ana);
    let post = world.announce(1);
    let job = Job { why: Some("status 403".into()), ..world.job(post.create, &ana) };
    (world, ana, post, job)
}

#[test]
fn an_inbox_that_refuses_for_a_week_is_tried_once_a_day() {
    let (mut world, ana, post, job) = world();
    for time in 0..i64::from(PARK_AT) - 1 {
        world.refuses(time, &job);
    }
    let refusals = world.inbox(&ana).refusals.unwrap();
    assert_eq!((refusals.count, refusals.since, refusals.why.as_str()), (PARK_AT - 1, at(0), "status 403"));
    assert_eq!(refusals::parked(&world.inbox(&ana)), None, "often, but in one bad hour");
    assert_eq!(world.worth(post.create, &ana, 5), Worth::Send);
    world.refuses(7 * DAY, &job);
    assert_eq!(refusals::parked(&world.inbox(&ana)), Some(at(7 * DAY)));
    assert_eq!(world.parked_inboxes(), 1);
    let another = world.announce(7 * DAY + 1);
    assert_eq!(world.worth(another.create, &ana, 7 * DAY + 2), Worth::Expired);
    let later = world.announce(8 * DAY + 1);
    assert_eq!(world.worth(later.create, &ana, 8 * DAY + 2), Worth::Send);
    world.refuses(8 * DAY + 3, &world.job(later.create, &ana));
    assert_eq!(world.parked_inboxes(), 1);
    // Its follower is there still, and a clock that was ahead does not keep them out.
    assert_eq!(world.state(&ana), Some(FollowerState::Approved));
    assert!(!refusals::left_alone(&world.inbox(&ana), at(3)));
    let taken = world.job(later.create, &ana);
    world.ends(9 * DAY, &taken, Ending::Reached, Some(Contact::Answered));
    assert_eq!((world.inbox(&ana).refusals, world.parked_inboxes()), (None, 0));
}

#[test]
fn who_speaks_is_sent_to_again() {
    let (mut world, ana, post, job) = world();
    let spoke = |world: &mut World, actor: &str| world.act(at(0), |draft, _| refusals::spoke(draft, actor));
    for time in 0..10 {
        world.refuses(time * DAY, &job);
    }
    spoke(&mut world, &person("bo", "a.example").actor);
    assert_eq!(world.parked_inboxes(), 1, "nobody of whom anything is known");
    spoke(&mut world, &ana.actor);
    assert_eq!((world.inbox(&ana).refusals, world.parked_inboxes()), (None, 0));
    assert_eq!(world.worth(post.create, &ana, 2), Worth::Send);
}

#[test]
fn only_a_refusal_of_the_inbox_itself_counts() {
    let (mut world, ana, _, job) = world();
    let due = at(9);
    for (ending, contact) in [
        (Ending::Failed, None),
        (Ending::Failed, Some(Contact::Failed(None))),
        (Ending::Failed, Some(Contact::Busy(due))),
        (Ending::Retry { due, uncertain: false }, Some(Contact::Answered)),
        (Ending::Skipped, None),
        (Ending::Reached, Some(Contact::Answered)),
    ] {
        world.ends(1, &job, ending, contact);
        assert_eq!(world.inbox(&ana).refusals, None, "{ending:?} {contact:?}");
    }
    world.refuses(1, &Job { number: None, ..job });
    assert_eq!(world.inbox(&ana).refusals, None);
}

#[test]
fn a_peer_that_refuses_edits_is_not_parked() {
    let (mut world, ana, post, create) = world();
    world.settle(&create, Ending::Reached);
    let edit = world.retitle(2, post.id, "B");
    for day in 0..20 {
        world.refuses(day * DAY, &Job { outgoing: edit, ..create.clone() });
    }
    assert_eq!((world.inbox(&ana).refusals, world.parked_inboxes()), (None, 0));
}

#[test]
fn a_new_follower_there_and_the_operator_revive_an_inbox() {
    for by_operator in [false, true] {
        let (mut world, ana, post, job) = world();
        world.settle(&job, Ending::Failed);
        for day in 0..10 {
            world.refuses(day * DAY, &job);
        }
        assert_eq!(world.parked_inboxes(), 1);
        if by_operator {
            let all = crate::decide::redeliver::Selection::default();
            world.act(at(9 * DAY), |draft, _| {
                crate::decide::redeliver::retry(draft, &all, true, &vec![], at(5), 1000)
            });
            assert!(world.all::<Attempt>().iter().any(|attempt| attempt.outgoing == post.create));
        } else {
            world.follow(at(9 * DAY), &person("bo", "a.example"));
        }
        assert_eq!((world.inbox(&ana).refusals, world.parked_inboxes()), (None, 0), "{by_operator}");
    }
}

#[test]
fn an_inbox_that_is_forgotten_is_not_counted() {
    let (mut world, ana, _, job) = world();
    for time in 0..10 {
        world.refuses(time * DAY, &job);
    }
    world.settle(&job, Ending::Failed);
    world.act(at(10), |draft, moment| crate::decide::follow::undo(draft, moment, &ana, at(10)));
    assert_eq!(world.parked_inboxes(), 1);
    world.act(at(40 * DAY), |draft, _| {
        sweep(draft, &Cursor::new(), at(40 * DAY), 10_000, &Default::default())
    });
    assert_eq!((world.all::<DeliveryInbox>(), world.parked_inboxes()), (vec![], 0));
    world.assert_consistent();
}
