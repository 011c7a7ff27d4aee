//! What the operator wants of what is under way.

use proptest::prelude::*;

use super::delivered::{crowd, numbered};
use super::*;
use crate::decide::delivered::{self, Ending, Job, Worth, state_of};
use crate::decide::hosts::{self, Contact, Gate, OPEN_AT};
use crate::decide::redeliver::{self, Cursor, Dropped, Retried, Selection};
use crate::decide::sweep;
use crate::model::host::Resting;

/// One step is enough.
const ALL: usize = 1_000_000;

fn any_of() -> Selection {
    Selection::default()
}

fn to_host(host: &str) -> Selection {
    Selection { host: Some(host.to_owned()), ..Selection::default() }
}

fn of_activity(activity: Ulid) -> Selection {
    Selection { activity: Some(activity), ..Selection::default() }
}

impl World {
    fn retry(&mut self, selection: &Selection, given_up: bool, now: i64, look: usize) -> Retried {
        let (mut all, mut from) = (Retried::default(), Some(Cursor::new()));
        while let Some(cursor) = from {
            let step = self.act(at(now), |draft, _| {
                redeliver::retry(draft, selection, given_up, &cursor, at(now), look)
            });
            all.add(step.0);
            from = step.1;
        }
        all
    }

    fn give_up(&mut self, selection: &Selection, look: usize) -> Dropped {
        let (mut all, mut from) = (Dropped::new(), Some(Cursor::new()));
        while let Some(cursor) = from {
            let step = self.act(at(9), |draft, _| redeliver::give_up(draft, selection, &cursor, look));
            for (kind, many) in step.0 {
                *all.entry(kind).or_default() += many;
            }
            from = step.1;
        }
        all
    }

    fn attempt_at(&self, number: u32) -> Attempt {
        self.all::<Attempt>().into_iter().find(|attempt| attempt.number == Some(number)).unwrap()
    }
}

/// A post to five inboxes: 0 is to be tried again at 100, 1 at 200 and may have it, 2 rests for a server that fails, 3 was
/// given up, 4 was given up in doubt.
fn scene() -> (World, Ulid) {
    let mut world = World::default();
    crowd(&mut world, 5);
    let create = world.announce(1).create;
    let retry = |due, uncertain| Ending::Retry { due: at(due), uncertain };
    for (number, ending) in
        [(0, retry(100, false)), (1, retry(200, true)), (3, Ending::Failed), (4, retry(300, true))]
    {
        let job = numbered(&world, create, number);
        world.settle(&job, ending);
    }
    let doubtful = Job::of(world.attempt_at(4));
    world.settle(&doubtful, Ending::Failed);
    world.act(at(2), |draft, _| {
        for _ in 0..OPEN_AT {
            hosts::heard(draft, "s2.example", Contact::Failed(None), at(2), 200);
        }
    });
    let resting = numbered(&world, create, 2);
    world.settle(&resting, Ending::SetAside { at: at(2) });
    (world, create)
}

fn states(world: &World, id: Ulid) -> Vec<InboxState> {
    (0..5).map(|number| state_of(world.view(), id, number)).collect()
}

#[test]
fn what_is_to_be_tried_later_is_due_now() {
    for (host, due, resting) in
        [(None, vec![0, 1], 1), (Some("s1.example"), vec![1], 0), (Some("s2.example"), vec![], 1)]
    {
        let (mut world, create) = scene();
        let before = states(&world, create);
        let selection = host.map_or_else(any_of, to_host);
        let retried = world.retry(&selection, false, 50, ALL);
        let want = Retried { due: due.len() as u64, resting, ..Retried::default() };
        assert_eq!(retried, want, "{host:?}");
        for number in [0, 1] {
            let attempt = world.attempt_at(number);
            assert_eq!(attempt.due == at(50), due.contains(&number), "{host:?} {number}");
            assert_eq!((attempt.tries, attempt.uncertain), (1, number == 1));
        }
        let gate = hosts::gate_of(world.view(), "s2.example", at(50));
        let want = if resting > 0 { Gate::Probe } else { Gate::Shut(at(62)) };
        assert_eq!(gate, want, "{host:?}");
        assert_eq!((world.all::<Attempt>().len(), world.all::<Resting>().len()), (2, 1));
        assert_eq!(states(&world, create), before, "nothing has become of anything yet");
        assert_eq!(world.retry(&selection, false, 50, ALL).due, 0, "it is due already");
    }
    let (mut world, _) = scene();
    assert_eq!(world.retry(&of_activity(Ulid(1)), true, 50, ALL), Retried::default(), "of another");
}

#[test]
fn a_server_that_asked_for_a_pause_keeps_it() {
    let (mut world, _) = scene();
    world.act(at(3), |draft, _| hosts::heard(draft, "s2.example", Contact::Failed(Some(at(900))), at(3), 0));
    let retried = world.retry(&any_of(), false, 50, ALL);
    assert_eq!(retried.asked, [("s2.example".to_owned(), at(900))].into());
    assert_eq!(hosts::gate_of(world.view(), "s2.example", at(50)), Gate::Shut(at(900)));
}

#[test]
fn what_was_given_up_is_tried_anew_while_it_is_worth_it() {
    let (mut world, create) = scene();
    let retried = world.retry(&any_of(), true, 50, ALL);
    assert_eq!((retried.due, retried.anew, retried.over), (2, 2, 0));
    let tried: Vec<_> =
        [3, 4].map(|number| world.attempt_at(number)).map(|a| (a.due, a.tries, a.uncertain)).into();
    assert_eq!(tried, [(at(50), 0, false), (at(50), 0, true)]);
    use InboxState::{Retrying, Uncertain};
    assert_eq!(states(&world, create), [Retrying, Uncertain, Retrying, Retrying, Uncertain]);

    let (mut world, create) = scene();
    let post = world.outgoing(create).post.unwrap();
    world.end(10, post);
    let retried = world.retry(&of_activity(create), true, 50, ALL);
    assert_eq!((retried.anew, retried.over), (0, 2), "the stream is over");
    assert_eq!(state_of(world.view(), create, 3), InboxState::Failed);
}

#[test]
fn what_is_given_up_is_settled_as_if_its_time_were_over() {
    use InboxState::{Doubtful, Dropped, DroppedInDoubt, Failed, Retrying};
    let (mut world, create) = scene();
    assert_eq!(world.give_up(&to_host("s2.example"), ALL), [("post", 1)].into());
    assert_eq!(states(&world, create)[..3], [Retrying, InboxState::Uncertain, Dropped]);
    assert_eq!(world.give_up(&of_activity(create), ALL), [("post", 2)].into());
    assert_eq!(states(&world, create), [Dropped, DroppedInDoubt, Dropped, Failed, Doubtful]);
    assert!(world.all::<Attempt>().is_empty() && world.all::<Resting>().is_empty());
    assert_eq!(world.give_up(&of_activity(create), ALL), redeliver::Dropped::new());
}

#[test]
fn what_was_not_tried_is_given_up_and_what_may_have_been_is_in_doubt() {
    let mut world = World::default();
    crowd(&mut world, 5);
    let create = world.announce(1).create;
    assert!(world.act(at(2), |draft, _| delivered::claim(draft, create, Default::default(), 2)));
    assert_eq!(world.give_up(&to_host("s3.example"), ALL), [("post", 1)].into());
    assert_eq!(world.fan_outs(), [create]);
    assert_eq!(world.give_up(&of_activity(create), ALL), [("post", 4)].into());
    use InboxState::{Dropped, DroppedInDoubt};
    let given_up = [DroppedInDoubt, DroppedInDoubt, Dropped, Dropped, Dropped];
    assert_eq!(states(&world, create), given_up);
    assert!(world.fan_outs().is_empty(), "the pass is done");
    assert_eq!(world.outgoing(create).cursor, world.outgoing(create).chunks);
    // Of what ends with its stream, all is tried anew when that comes back; of this, nothing is.
    let post = world.outgoing(create).post.unwrap();
    world.end(10, post);
    world.resume(11, post);
    assert_eq!(states(&world, create), given_up);
    assert!(!world.fan_outs().contains(&create));
    assert_eq!(delivered::tally(world.view(), &world.outgoing(create)).dropped, 5);
    assert_eq!(world.retry(&of_activity(create), true, 50, ALL).anew, 5, "until the operator wants it");
}

#[test]
fn an_answer_to_one_person_that_is_given_up_is_gone() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow(at(0), &ana);
    let accept = world.all::<Outgoing>()[0].id;
    assert_eq!(world.give_up(&to_host("other.example"), ALL), Dropped::new());
    assert_eq!(world.give_up(&of_activity(accept), ALL), [("accept", 1)].into());
    assert!(world.all::<Attempt>().is_empty() && world.all::<Outgoing>().is_empty());
}

#[test]
fn an_answer_that_did_not_arrive_in_time_is_kept_to_be_seen_and_tried_again() {
    const DAY: i64 = 24 * 3600;
    let again = |due| Ending::Retry { due: at(due), uncertain: false };
    for (why, before) in [
        ("status 503", again(3 * DAY + 10)),
        ("status 503", Ending::SetAside { at: at(1) }),
        ("not tried in time", Ending::SetAside { at: at(1) }),
    ] {
        let (mut world, ana) = (World::default(), person("ana", "peer.example"));
        world.follow(at(0), &ana);
        let tried = (why != "not tried in time").then(|| why.into());
        let accept = Job { why: tried, ..Job::of(world.all::<Attempt>().remove(0)) };
        world.settle(&accept, before);
        world.sweep(3 * DAY, 100);
        for attempt in world.all::<Attempt>() {
            world.settle(&Job::of(attempt), Ending::Expired { at: at(3 * DAY + 10) });
        }
        assert!(world.all::<Attempt>().is_empty() && world.all::<Resting>().is_empty());
        world.sweep(33 * DAY - 1, 100);
        assert_eq!(world.outgoing(accept.outgoing).given_up.as_deref(), Some(why), "{before:?}");
        // It is true still, and worth telling.
        let mut late = world.view.clone();
        assert_eq!(world.retry(&any_of(), true, 9 * DAY, ALL).anew, 1);
        let job = Job::of(world.all::<Attempt>().remove(0));
        let outgoing = world.outgoing(accept.outgoing);
        assert_eq!(delivered::worth(world.view(), &outgoing, &job, false, at(9 * DAY)), Worth::Send);
        world.settle(&job, Ending::Reached);
        assert!(world.all::<Outgoing>().is_empty());
        // Not so if she has left meanwhile; and some day it is forgotten.
        std::mem::swap(&mut world.view, &mut late);
        world.act(at(4 * DAY), |draft, moment| crate::decide::follow::undo(draft, moment, &ana, at(4 * DAY)));
        let retried = world.retry(&any_of(), true, 9 * DAY, ALL);
        assert_eq!((retried.anew, retried.over), (0, 1));
        world.sweep(33 * DAY, 100);
        assert!(world.all::<Outgoing>().is_empty());
    }
}

/// A request is under way while the operator decides otherwise.
#[test]
fn what_comes_of_a_request_that_was_given_up_meanwhile() {
    use InboxState::{Dropped, DroppedInDoubt, Reached};
    let again = |uncertain| Ending::Retry { due: at(500), uncertain };
    for (ending, want) in [
        (Ending::Reached, Reached),
        (again(false), Dropped),
        (again(true), DroppedInDoubt),
        (Ending::Failed, Dropped),
        (Ending::SetAside { at: at(3) }, Dropped),
        (Ending::Later { due: at(500) }, Dropped),
    ] {
        for first_pass in [false, true] {
            let mut world = World::default();
            crowd(&mut world, 5);
            let create = world.announce(1).create;
            let mut job = numbered(&world, create, 0);
            if !first_pass {
                world.settle(&job, again(false));
                job = Job::of(world.attempt_at(0));
            }
            world.give_up(&of_activity(create), ALL);
            assert_eq!(
                delivered::worth_there(world.view(), &world.outgoing(create), &job, at(4)),
                Worth::Skip
            );
            world.settle(&job, ending);
            assert_eq!(state_of(world.view(), create, 0), want, "{ending:?}");
            assert!(world.all::<Attempt>().is_empty() && world.all::<Resting>().is_empty(), "{ending:?}");
        }
    }
}

#[test]
fn what_comes_of_a_request_that_was_made_due_meanwhile() {
    for (ending, left) in
        [(Ending::Reached, 0), (Ending::Retry { due: at(500), uncertain: false }, 1), (Ending::Failed, 1)]
    {
        let (mut world, ana) = (World::default(), person("ana", "peer.example"));
        world.follow(at(0), &ana);
        let first = Job::of(world.all::<Attempt>().remove(0));
        world.settle(&first, Ending::Retry { due: at(100), uncertain: false });
        let under_way = Job::of(world.all::<Attempt>().remove(0));
        assert_eq!(world.retry(&any_of(), false, 99, ALL).due, 1);
        world.settle(&under_way, ending);
        assert_eq!(world.all::<Attempt>().len(), left, "{ending:?}");
        assert_eq!(world.all::<Outgoing>().len(), left, "{ending:?}");
    }
}

/// Counts how often all attempts are walked through.
struct Walks<'v> {
    view: &'v MemoryView,
    walks: std::cell::Cell<usize>,
}

impl View for Walks<'_> {
    fn get_bytes(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.view.get_bytes(key)
    }

    fn scan_bytes(&self, prefix: &[u8], from: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        self.walks.set(self.walks.get() + usize::from(prefix == [kind::ATTEMPT]));
        self.view.scan_bytes(prefix, from, each);
    }
}

#[test]
fn what_comes_of_many_requests_that_a_clock_made_due_is_found_in_one_walk() {
    let mut world = World::default();
    crowd(&mut world, 40);
    let create = world.announce(1).create;
    for number in 0..40 {
        world.settle(&numbered(&world, create, number), Ending::Retry { due: at(4000), uncertain: false });
    }
    let under_way: Vec<Job> = world.all::<Attempt>().into_iter().map(Job::of).collect();
    // The clock is set back, and what is due too far ahead is due now.
    let back = at(-4000);
    world.act(back, |draft, _| sweep::sweep(draft, &Vec::new(), back, 1000, &Default::default()));
    assert!(world.all::<Attempt>().iter().all(|attempt| attempt.due == back));
    // One of them rests by now.
    let moved = Job::of(world.attempt_at(7));
    world.settle(&moved, Ending::SetAside { at: back });
    let view = Walks { view: &world.view, walks: std::cell::Cell::new(0) };
    let mut draft = Draft::new(&view);
    let mut anew = delivered::Anew::of(&under_way);
    for job in &under_way {
        assert!(!delivered::settle_one_of(&mut draft, job, Ending::Reached, &mut anew));
    }
    let changes = draft.into_changes();
    assert_eq!(view.walks.get(), 1);
    world.view.apply(changes);
    assert!(world.all::<Attempt>().is_empty() && world.all::<Resting>().is_empty());
    assert_eq!(states(&world, create), [InboxState::Reached; 5]);
    assert_eq!(delivered::tally(world.view(), &world.outgoing(create)).reached, 40);
}

/// The same, and the operator changes their mind before it ends.
#[test]
fn what_comes_of_a_request_that_was_given_up_and_wanted_anew_meanwhile() {
    use InboxState::{Reached, Retrying, Uncertain};
    let again = |uncertain| Ending::Retry { due: at(500), uncertain };
    for (ending, want, left) in [
        (Ending::Reached, Reached, None),
        (again(false), Retrying, Some(false)),
        (again(true), Uncertain, Some(true)),
        (Ending::Failed, Retrying, Some(false)),
        (Ending::SetAside { at: at(3) }, Retrying, Some(false)),
    ] {
        for (first_pass, rests) in [(true, false), (false, false), (true, true), (false, true)] {
            let mut world = World::default();
            crowd(&mut world, 5);
            let create = world.announce(1).create;
            let mut job = numbered(&world, create, 0);
            if !first_pass {
                world.settle(&job, again(false));
                job = Job::of(world.attempt_at(0));
            }
            world.give_up(&of_activity(create), ALL);
            world.retry(&of_activity(create), true, 50, ALL);
            if rests {
                let anew = Job::of(world.attempt_at(0));
                world.settle(&anew, Ending::SetAside { at: at(51) });
            }
            world.settle(&job, ending);
            assert_eq!(state_of(world.view(), create, 0), want, "{ending:?}");
            let due = world.all::<Attempt>().into_iter();
            let all: Vec<_> =
                due.chain(world.all::<Resting>().into_iter().map(|resting| resting.0)).collect();
            let there: Vec<bool> =
                all.iter().filter(|one| one.number == Some(0)).map(|one| one.uncertain).collect();
            assert_eq!(there, Vec::from_iter(left), "{ending:?}, first: {first_pass}, rests: {rests}");
        }
    }
}

proptest! {
    #![proptest_config(random(60))]
    /// However small the steps are, everything is come to, and once.
    #[test]
    fn steps_of_any_size_do_the_same(
        endings in prop::collection::vec(0..5u8, 1..30), look in 1..40usize, given_up: bool, drops: bool,
    ) {
        let mut worlds = [World::default(), World::default()];
        let mut answers = Vec::new();
        for (world, look) in worlds.iter_mut().zip([ALL, look]) {
            crowd(world, endings.len() as u32);
            let create = world.announce(1).create;
            for (ending, number) in endings.iter().zip(0..) {
                let job = numbered(world, create, number);
                match ending {
                    0 => {}
                    1 => world.settle(&job, Ending::Retry { due: at(100), uncertain: false }),
                    2 => world.settle(&job, Ending::SetAside { at: at(2) }),
                    3 => world.settle(&job, Ending::Failed),
                    _ => world.settle(&job, Ending::Reached),
                }
            }
            let retried = (!drops).then(|| world.retry(&any_of(), given_up, 50, look));
            let dropped = drops.then(|| world.give_up(&any_of(), look));
            answers.push((retried, dropped));
        }
        prop_assert_eq!(&answers[0], &answers[1]);
        prop_assert_eq!(worlds[0].all::<Attempt>(), worlds[1].all::<Attempt>());
        prop_assert_eq!(worlds[0].all::<Resting>(), worlds[1].all::<Resting>());
        let of = |ending: u8| endings.iter().filter(|this| **this == ending).count() as u64;
        if let Some(retried) = &answers[0].0 {
            let anew = if given_up { of(3) } else { 0 };
            prop_assert_eq!((retried.due, retried.resting, retried.anew), (of(1), of(2), anew));
        }
        if let Some(dropped) = &answers[0].1 {
            prop_assert_eq!(dropped.values().sum::<u64>(), of(0) + of(1) + of(2));
            prop_assert!(worlds[1].fan_outs().is_empty());
        }
    }
}
