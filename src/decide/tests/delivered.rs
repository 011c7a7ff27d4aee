//! What becomes of deliveries, in any order and through any crash.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::decide::delivered::{
    Ending, Job, Worth, begin_again, claim, over, settle, state_of, tally, waiting, worth,
};
use crate::model::delivery::{CHUNK_SIZE, Claim, chunk_key};
use crate::model::facts::Profile;
use crate::model::follower::NextInbox;
use crate::model::host::Resting;
use crate::model::post::PostState;

/// So many inboxes with a follower each.
pub(super) fn crowd(world: &mut World, inboxes: u32) {
    world.act(at(0), |draft, _| {
        for number in 0..inboxes {
            let url = format!("https://s{number}.example/inbox");
            draft.put(&InboxNumber { url: url.clone(), number });
            draft.put(&DeliveryInbox { followers: 1, ..DeliveryInbox::new(number, url, at(0)) });
        }
        draft.put_meta(&NextInbox { next: inboxes });
    });
}

pub(super) fn numbered(world: &World, outgoing: Ulid, number: u32) -> Job {
    let inbox: DeliveryInbox = world.view().get(&number.to_be_bytes()).unwrap();
    Job {
        outgoing,
        inbox: inbox.url,
        number: Some(number),
        tries: 0,
        unauthorised: 0,
        uncertain: false,
        attempt: None,
        why: None,
        owed: false,
    }
}

#[test]
fn an_outcome_is_one_state_and_one_attempt_at_most() {
    let due = at(30);
    for (uncertain_before, ending, state, attempt) in [
        (false, Ending::Reached, InboxState::Reached, None),
        (true, Ending::Reached, InboxState::Reached, None),
        (false, Ending::Failed, InboxState::Failed, None),
        (true, Ending::Failed, InboxState::Doubtful, None),
        (false, Ending::Skipped, InboxState::None, None),
        (false, Ending::Retry { due, uncertain: false }, InboxState::Retrying, Some(false)),
        (false, Ending::Retry { due, uncertain: true }, InboxState::Uncertain, Some(true)),
        (true, Ending::Retry { due, uncertain: false }, InboxState::Uncertain, Some(true)),
        (false, Ending::Later { due }, InboxState::Retrying, Some(false)),
        (true, Ending::Later { due }, InboxState::Uncertain, Some(true)),
    ] {
        let mut world = World::default();
        crowd(&mut world, 2);
        let post = world.announce(1);
        let job = Job { uncertain: uncertain_before, tries: 4, ..numbered(&world, post.create, 0) };
        world.settle(&job, ending);
        assert_eq!(state_of(world.view(), post.create, 0), state, "{ending:?}");
        assert_eq!(state_of(world.view(), post.create, 1), InboxState::Waiting);
        let attempts: Vec<Attempt> = world.all();
        let got: Vec<_> = attempts.iter().map(|a| (a.due, a.tries, a.number, a.uncertain)).collect();
        let tries = if matches!(ending, Ending::Later { .. }) { 4 } else { 5 };
        let want: Vec<_> = attempt.map(|uncertain| (due, tries, Some(0), uncertain)).into_iter().collect();
        assert_eq!(got, want, "{ending:?}");
    }
}

#[test]
fn a_retry_replaces_the_attempt_it_came_from() {
    let mut world = World::default();
    crowd(&mut world, 1);
    let post = world.announce(1);
    let mut job = numbered(&world, post.create, 0);
    for (tries, due) in [(1, 10), (2, 20), (3, 20)] {
        world.settle(&job, Ending::Retry { due: at(due), uncertain: false });
        let mut attempts: Vec<Attempt> = world.all();
        assert_eq!(attempts.len(), 1);
        assert_eq!((attempts[0].tries, attempts[0].due), (tries, at(due)));
        job = Job::of(attempts.remove(0));
    }
    world.settle(&job, Ending::Reached);
    assert!(world.all::<Attempt>().is_empty());
}

#[test]
fn what_is_set_aside_is_as_it_was_and_in_the_order_of_making() {
    let mut world = World::default();
    crowd(&mut world, 1);
    let post = world.announce(1);
    let create = Job { tries: 3, uncertain: true, ..numbered(&world, post.create, 0) };
    let update = world.retitle(2, post.id, "B");
    let update = numbered(&world, update, 0);
    for job in [&update, &create] {
        world.settle(job, Ending::SetAside { at: at(3) });
    }
    assert!(world.all::<Attempt>().is_empty());
    assert_eq!(state_of(world.view(), post.create, 0), InboxState::Uncertain);
    let back: Vec<Job> = world.all::<Resting>().into_iter().map(Job::resting).collect();
    let plain = |job: &Job| Job { attempt: None, ..job.clone() };
    assert_eq!(back.iter().map(plain).collect::<Vec<_>>(), [create, update]);
    for job in &back {
        world.settle(job, Ending::Reached);
    }
    assert!(world.all::<Resting>().is_empty());
}

#[test]
fn an_answer_that_was_given_up_is_kept_to_be_seen() {
    let mut world = World::default();
    let ana = person("ana", "a.example");
    world.follow(at(0), &ana);
    let accept = Job { why: Some("status 403".into()), ..Job::of(world.all::<Attempt>().remove(0)) };
    world.settle(&accept, Ending::Failed);
    assert!(world.all::<Attempt>().is_empty());
    assert_eq!(world.outgoing(accept.outgoing).given_up.as_deref(), Some("status 403"));
    // Who follows again gets a new one.
    world.follow(at(1), &ana);
    assert_eq!(world.sent(OutgoingKind::Accept).iter().filter(|accept| accept.given_up.is_some()).count(), 0);
}

#[test]
fn a_single_delivery_leaves_nothing_behind() {
    for ending in [Ending::Reached, Ending::Failed] {
        let (mut world, ana) = (World::default(), person("ana", "peer.example"));
        world.follow(at(0), &ana);
        let job = Job::of(world.all::<Attempt>().remove(0));
        world.settle(&job, Ending::Retry { due: at(5), uncertain: true });
        assert_eq!((world.all::<Attempt>().len(), world.all::<Outgoing>().len()), (1, 1));
        let job = Job::of(world.all::<Attempt>().remove(0));
        world.settle(&job, ending);
        assert_eq!((world.all::<Attempt>().len(), world.all::<Outgoing>().len()), (0, 0));
    }
}

#[test]
fn nothing_is_sent_that_is_blocked_or_expired() {
    let mut world = World::default();
    crowd(&mut world, 1);
    let post = world.announce(1);
    let (outgoing, job) = (world.outgoing(post.create), numbered(&world, post.create, 0));
    assert_eq!(worth(world.view(), &outgoing, &job, true, at(1)), Worth::Expired);
    assert_eq!(worth(world.view(), &outgoing, &job, false, at(1)), Worth::Send);
    assert_eq!(worth(world.view(), &outgoing, &job, false, outgoing.expires), Worth::Expired);
}

#[test]
fn the_cursor_moves_past_chunks_that_are_done_in_any_order() {
    let mut world = World::default();
    crowd(&mut world, 2 * CHUNK_SIZE + 1);
    let post = world.announce(1);
    let cursor = |world: &World| world.outgoing(post.create).cursor;
    let finish = |world: &mut World, numbers: std::ops::Range<u32>| {
        let jobs: Vec<Job> = numbers.map(|number| numbered(world, post.create, number)).collect();
        for group in jobs.chunks(512) {
            world.act(at(2), |draft, _| {
                for job in group {
                    settle(draft, job, Ending::Reached);
                }
            });
        }
    };
    assert_eq!((world.outgoing(post.create).chunks, cursor(&world)), (3, 0));
    finish(&mut world, 2 * CHUNK_SIZE..2 * CHUNK_SIZE + 1);
    assert_eq!(cursor(&world), 0, "the last chunk is done, the first is not");
    finish(&mut world, 1..CHUNK_SIZE);
    assert_eq!(cursor(&world), 0);
    finish(&mut world, 0..1);
    assert_eq!(cursor(&world), 1);
    let (found, next) = waiting(world.view(), post.create, 0, 3, &mut |_| true);
    let numbers: Vec<u32> = found.iter().map(|(number, ..)| *number).collect();
    assert_eq!((numbers, next), ((CHUNK_SIZE..CHUNK_SIZE + 3).collect(), Some(CHUNK_SIZE + 3)));
    assert_eq!(world.fan_outs(), [post.create]);
    finish(&mut world, CHUNK_SIZE..2 * CHUNK_SIZE);
    assert_eq!((cursor(&world), world.fan_outs()), (3, vec![]));
    assert_eq!(waiting(world.view(), post.create, 0, 10, &mut |_| true), (vec![], None));
}

#[test]
fn waiting_inboxes_are_given_out_once_in_order() {
    let mut world = World::default();
    crowd(&mut world, CHUNK_SIZE + 5);
    let post = world.announce(1);
    let job = numbered(&world, post.create, 3);
    world.settle(&job, Ending::Failed);
    for step in [1000, 4096, 5000] {
        let (mut from, mut all) = (Some(0), Vec::new());
        while let Some(position) = from {
            let (found, next) = waiting(world.view(), post.create, position, step, &mut |_| true);
            assert!(found.len() <= step);
            all.extend(found.into_iter().map(|(number, ..)| number));
            from = next;
        }
        let want: Vec<u32> = (0..CHUNK_SIZE + 5).filter(|number| *number != 3).collect();
        assert_eq!(all, want, "{step}");
    }
    assert_eq!(waiting(world.view(), Ulid(4), 0, 5, &mut |_| true), (vec![], None), "of nothing");
}

#[test]
fn outcomes_of_what_was_swept_meanwhile_do_no_harm() {
    let mut world = World::default();
    crowd(&mut world, 1);
    let job = Job { outgoing: Ulid(9), ..numbered(&world, Ulid(9), 0) };
    world.settle(&job, Ending::Reached);
    world.settle(&Job { number: None, ..job }, Ending::Failed);
    assert!(world.all::<Outgoing>().is_empty() && world.all::<Attempt>().is_empty());
}

/// The worker as the store sees it: a list in memory that a crash empties.
#[derive(Default)]
struct Worker {
    held: Vec<Job>,
}

impl Worker {
    fn refill(&mut self, world: &World, now: Timestamp) {
        let known: BTreeSet<(Ulid, String)> =
            self.held.iter().map(|job| (job.outgoing, job.inbox.clone())).collect();
        let due = world.all::<Attempt>().into_iter().filter(|attempt| attempt.due <= now).map(Job::of);
        let first = world.fan_outs().into_iter().flat_map(|id| {
            let (found, _) = waiting(world.view(), id, 0, 100, &mut |_| true);
            found.into_iter().map(move |(number, _, inbox)| Job {
                outgoing: id,
                inbox: inbox.url,
                number: Some(number),
                tries: 0,
                unauthorised: 0,
                uncertain: false,
                attempt: None,
                why: None,
                owed: false,
            })
        });
        let rested = world.all::<Resting>().into_iter().map(Job::resting);
        let fresh =
            due.chain(rested).chain(first).filter(|job| !known.contains(&(job.outgoing, job.inbox.clone())));
        self.held.extend(fresh.collect::<Vec<_>>());
    }
}

#[derive(Clone, Debug)]
enum Happening {
    /// The job at this place comes to this end.
    Outcome(usize, u8),
    Crash,
    Retitle,
    End,
    Delete,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        30 => (0..100usize, 0..6u8).prop_map(|(at, how)| Happening::Outcome(at, how)),
        3 => Just(Happening::Crash),
        1 => Just(Happening::Retitle),
        1 => Just(Happening::End),
        1 => Just(Happening::Delete),
    ]
}

proptest! {
    #![proptest_config(random(100))]
    /// The store alone is enough to go on from: nothing is lost, and nothing goes out again once it is known to be
    /// there.
    #[test]
    fn every_inbox_comes_to_an_end_through_any_crash(happenings in prop::collection::vec(happening(), 1..120)) {
        let mut world = World::default();
        crowd(&mut world, 8);
        let post = world.announce(1);
        let mut worker = Worker::default();
        let mut reached = BTreeSet::<(Ulid, String)>::new();
        let mut has_post = BTreeMap::<String, bool>::new();
        let mut edited = BTreeSet::<String>::new();
        let mut over = false;
        // In the end every server answers well.
        let finish = std::iter::repeat_n(None, 400);
        for (now, happening) in (2i64..).zip(happenings.into_iter().map(Some).chain(finish)) {
            worker.refill(&world, at(now));
            let first = Happening::Outcome(0, 0);
            match happening.unwrap_or(first) {
                Happening::Crash => worker = Worker::default(),
                Happening::Retitle if !over => { world.retitle(now, post.id, &now.to_string()); }
                Happening::End if !over => { world.end(now, post.id); over = true; }
                Happening::Delete if !over => { world.delete(now, post.id); over = true; }
                Happening::Outcome(place, how) if !worker.held.is_empty() => {
                    // One request at a time per inbox: the oldest activity of the inbox first.
                    let inbox = worker.held[place % worker.held.len()].inbox.clone();
                    let at_inbox = worker.held.iter().enumerate().filter(|(_, job)| job.inbox == inbox);
                    let index = at_inbox.min_by_key(|(_, job)| job.outgoing).map(|(index, _)| index).unwrap();
                    let job = worker.held.remove(index);
                    let Some(outgoing) = world.view().get::<Outgoing>(&job.outgoing.to_bytes()) else {
                        prop_assert!(false, "a job of nothing");
                        return Ok(());
                    };
                    let ending = match worth(world.view(), &outgoing, &job, false, at(now)) {
                        Worth::Skip => Ending::Skipped,
                        Worth::Expired => Ending::Failed,
                        Worth::Send if how == 5 => Ending::SetAside { at: at(now) },
                        Worth::Behind => Ending::Later { due: at(now + 3) },
                        Worth::Send => {
                            if job.to_begin() {
                                world.act(at(now), |draft, _| begin_again(draft, &job));
                            }
                            let this = (job.outgoing, inbox.clone());
                            prop_assert!(!reached.contains(&this), "sent again though it is known to be there");
                            let may = how == 0 || how == 2;
                            if outgoing.kind != OutgoingKind::Create {
                                prop_assert!(has_post.get(&inbox) == Some(&true), "an edit of an unknown post");
                                edited.insert(inbox.clone());
                            } else {
                                prop_assert!(!edited.contains(&inbox), "a post behind its edit");
                            }
                            if outgoing.kind == OutgoingKind::Create && may {
                                has_post.insert(inbox.clone(), true);
                            }
                            match how {
                                0 => { reached.insert(this); Ending::Reached }
                                1 => Ending::Retry { due: at(now + 3), uncertain: false },
                                2 => Ending::Retry { due: at(now + 3), uncertain: true },
                                3 => Ending::Failed,
                                // Sent, and killed before the outcome was written.
                                _ => { has_post.insert(inbox, true); worker = Worker::default(); continue; }
                            }
                        }
                    };
                    world.settle(&job, ending);
                }
                _ => {}
            }
        }
        prop_assert!(world.fan_outs().is_empty(), "open: {:?}", world.fan_outs());
        prop_assert!(world.all::<Attempt>().is_empty() && world.all::<Resting>().is_empty());
        for outgoing in world.all::<Outgoing>() {
            prop_assert_eq!(outgoing.cursor, outgoing.chunks);
            for number in 0..8 {
                let state = state_of(world.view(), outgoing.id, number);
                let last = matches!(
                    state,
                    InboxState::None | InboxState::Reached | InboxState::Failed | InboxState::Doubtful
                );
                prop_assert!(last, "{:?} of {:?}", state, outgoing.kind);
                let known = world.view().get::<DeliveryInbox>(&number.to_be_bytes()).unwrap();
                if reached.contains(&(outgoing.id, known.url)) {
                    prop_assert_eq!(state, InboxState::Reached);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(random(300))]
    /// An activity is over when its time is, and when something later has told otherwise; and then for good.
    #[test]
    fn an_activity_is_over_when_it_is_not_true_any_more(
        kind in 0..4usize, state in 0..4usize, updated in prop::option::of(0..4i64), made in 0..4i64,
        life in 1..6i64, now in 0..12i64, newest in 0..3u8,
    ) {
        let kind = [OutgoingKind::Create, OutgoingKind::Update, OutgoingKind::Delete, OutgoingKind::ActorUpdate][kind];
        let mut world = World::default();
        crowd(&mut world, 1);
        let mut post = world.announce(0);
        let state = [Some(PostState::Live), Some(PostState::Ended), Some(PostState::Deleted), None][state];
        post.updated = updated.map(at);
        let outgoing = Outgoing {
            kind,
            created: at(made),
            expires: at(made + life),
            post: Some(post.id),
            ..world.outgoing(post.create)
        };
        let update = match newest {
            0 => None,
            1 => Some(outgoing.id),
            _ => Some(Ulid(7)),
        };
        world.act(at(0), |draft, _| {
            match state {
                Some(state) => draft.put(&Post { state, ..post.clone() }),
                None => draft.delete::<Post>(&post.id.to_bytes()),
            }
            draft.put_meta(&Profile { update, ..Profile::default() });
        });
        let said = match kind {
            OutgoingKind::Create => state == Some(PostState::Live),
            OutgoingKind::Update => {
                matches!(state, Some(PostState::Live | PostState::Ended)) && updated.is_none_or(|at| at <= made)
            }
            OutgoingKind::ActorUpdate => newest != 2,
            _ => true,
        };
        let is_over = |now: i64| over(world.view(), &outgoing, at(now));
        prop_assert_eq!(is_over(now), !said || now >= made + life);
        prop_assert!(!is_over(now) || is_over(now + 1), "not for good");
    }

    /// Whatever order outcomes are written in, the cursor stands at the first chunk in which something waits, the pass is
    /// open for as long as anything does, and exactly that is given out.
    #[test]
    fn the_cursor_passes_by_nothing_that_waits(
        numbers in prop::collection::btree_set(0..3 * CHUNK_SIZE, 1..25), order in any::<u64>(), from in 0..3 * CHUNK_SIZE,
        endings in prop::collection::vec(0..5u8, 25),
    ) {
        let mut world = World::default();
        let id = Ulid(9);
        world.act(at(0), |draft, _| {
            for chunk in 0..3 {
                let mut states = vec![InboxState::None as u8; CHUNK_SIZE as usize];
                for number in numbers.iter().filter(|number| **number / CHUNK_SIZE == chunk) {
                    states[(number % CHUNK_SIZE) as usize] = InboxState::Waiting as u8;
                    let url = format!("https://s{number}.example/inbox");
                    draft.put(&DeliveryInbox { followers: 1, ..DeliveryInbox::new(*number, url, at(0)) });
                }
                draft.put_raw(kind::CHUNK, &chunk_key(id, chunk), states);
            }
            draft.put_raw(kind::FANOUT, &id.to_bytes(), Vec::new());
            draft.put(&Outgoing {
                id,
                kind: OutgoingKind::ActorUpdate,
                post: None,
                body: String::new(),
                target: Target::Everybody,
                created: at(0),
                expires: at(9),
                chunks: 3,
                cursor: 0, given_up: None,
});
        });
        let mut left: Vec<u32> = numbers.iter().copied().collect();
        for ending in endings {
            if left.is_empty() {
                break;
            }
            let number = left.remove((order.rotate_left(left.len() as u32) % left.len() as u64) as usize);
            let ending = match ending {
                0 => Ending::Reached,
                1 => Ending::Failed,
                2 => Ending::Skipped,
                3 => Ending::SetAside { at: at(1) },
                _ => Ending::Retry { due: at(5), uncertain: false },
            };
            let job = numbered(&world, id, number);
            world.settle(&job, ending);
            let first = left.iter().min().map_or(3, |number| number / CHUNK_SIZE);
            // It moves only when a chunk is done: at the start it may stand before chunks without recipients.
            let cursor = world.outgoing(id).cursor;
            prop_assert!(cursor <= first, "{} is passed by", first);
            prop_assert!(cursor == first || left.iter().any(|one| one / CHUNK_SIZE == number / CHUNK_SIZE));
            prop_assert_eq!(world.fan_outs().len(), usize::from(!left.is_empty()));
            let (found, next) = waiting(world.view(), id, from, 100, &mut |_| true);
            let given: Vec<u32> = found.iter().map(|(number, ..)| *number).collect();
            let want: Vec<u32> = left.iter().copied().filter(|number| *number >= from).collect();
            prop_assert_eq!((given, next), (want, None));
            let tally = tally(world.view(), &world.outgoing(id));
            prop_assert_eq!(tally.waiting, left.len() as u64);
            world.act(at(2), |draft, _| claim(draft, id, Claim::default(), number));
            prop_assert_eq!(world.fan_outs().len(), usize::from(!left.is_empty()), "a pass that is done is not opened");
        }
    }
}
