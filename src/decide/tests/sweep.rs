//! Forgetting: what is over, nothing else, a little at a time.

use proptest::prelude::*;

use super::*;
use crate::decide::delivered::{Ending, Job, Worth, worth};
use crate::decide::engage::{Ours, engage, replied, undo};
use crate::decide::shares::{Shares, Tally};
use crate::decide::sweep::{Cursor, PARKED_LIFE};
use crate::decide::{blocks, seen, sweep};
use crate::model::block::BlockOwner;
use crate::model::engagement::{EngagementKind, Seen};
use crate::model::follower::FollowerState::{Approved, Left, Parked};
use crate::model::notices::Said;
use crate::model::origin::MAX_KEPT_BYTES;

const DAY: i64 = 24 * 3600;
const ANA: &str = "https://a.example/users/ana";

impl World {
    /// Looks at everything, so many entries at a time. Returns how often it had to.
    pub(super) fn sweep(&mut self, now: i64, look: usize) -> usize {
        let entries = self.view.len();
        let mut cursor = Cursor::new();
        for round in 1.. {
            let none = Shares::default();
            cursor = self.act(at(now), |draft, _| sweep::sweep(draft, &cursor, at(now), look, &none).next);
            if cursor.is_empty() {
                self.assert_consistent();
                return round;
            }
            assert!(round <= entries / look + 1, "it goes on for ever");
        }
        unreachable!()
    }
}

#[test]
fn memories_go_when_their_time_is_over() {
    let mut world = World::default();
    world.act(at(0), |draft, _| {
        assert!(seen::first_time(draft, ANA, "hash", false, at(0)));
        assert!(!seen::first_time(draft, ANA, "hash", false, at(1)));
        seen::undone(draft, "https://a.example/u", "like", at(0), true, at(0));
    });
    let life = i64::try_from(seen::SIGNATURE_MEMORY.as_secs()).unwrap();
    let undone = i64::try_from(seen::UNDONE_MEMORY.as_secs()).unwrap();
    for (now, left) in [(life - 1, 2), (life, 1), (undone - 1, 1), (undone, 0)] {
        world.sweep(now, 1);
        assert_eq!(world.all::<Seen>().len(), left, "{now}");
    }
    assert!(world.act(at(undone), |draft, _| seen::first_time(draft, ANA, "hash", false, at(undone))));
}

#[test]
fn only_those_who_left_or_are_parked_are_forgotten() {
    let mut world = World::default();
    let (ana, bo, cy) = (person("ana", "a.example"), person("bo", "b.example"), person("cy", "c.example"));
    for who in [&ana, &bo, &cy] {
        world.follow(at(0), who);
    }
    for job in world.all::<Attempt>().into_iter().map(Job::of) {
        world.settle(&job, Ending::Reached);
    }
    world.act(at(0), |draft, moment| crate::decide::follow::undo(draft, moment, &bo, at(0)));
    let target = blocks::parse("c.example").unwrap();
    world.act(at(0), |draft, _| blocks::add(draft, target, BlockOwner::Operator, at(0)));
    let states = |world: &World| [&ana, &bo, &cy].map(|who| world.state(who));
    let left = i64::try_from(seen::SIGNATURE_MEMORY.as_secs()).unwrap();
    let parked = i64::try_from(PARKED_LIFE.as_secs()).unwrap();
    for (now, want) in [
        (-3600, [Some(Approved), Some(Left), Some(Parked)]),
        (left, [Some(Approved), Some(Left), Some(Parked)]),
        (left + 1, [Some(Approved), None, Some(Parked)]),
        (parked, [Some(Approved), None, Some(Parked)]),
        (parked + 1, [Some(Approved), None, None]),
        (1000 * DAY, [Some(Approved), None, None]),
    ] {
        world.sweep(now, 3);
        assert_eq!(states(&world), want, "{now}");
    }
    let inboxes: Vec<String> = world.all::<DeliveryInbox>().into_iter().map(|inbox| inbox.url).collect();
    assert_eq!(inboxes, [ana.delivery_inbox()], "those that nobody follows through go too");
    // A number is never used for another inbox.
    world.follow(at(1001 * DAY), &bo);
    assert_eq!(world.number(bo.delivery_inbox()), 3);
}

#[test]
fn fan_outs_go_a_week_after_their_stream_with_all_that_is_theirs() {
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    world.follow(at(0), &ana);
    let post = world.announce(0);
    world.retitle(1, post.id, "B");
    // Running for weeks, or nobody told us that it is over: still needed.
    world.sweep(30 * DAY, 7);
    assert_eq!(world.sent(OutgoingKind::Create).len(), 1);
    let job = world.job(post.create, &ana);
    world.settle(&job, Ending::Reached);
    let edit = world.end(30 * DAY, post.id);
    world.settle(&world.job(edit, &ana), Ending::Reached);
    world.sweep(37 * DAY - 1, 7);
    assert_eq!((world.sent(OutgoingKind::Create).len(), world.sent(OutgoingKind::Update).len()), (1, 2));
    world.sweep(37 * DAY, 7);
    let mut kinds = std::collections::BTreeSet::new();
    world.view().scan_bytes(b"", b"", &mut |key, _| {
        kinds.insert(char::from(key[0]));
        true
    });
    for gone in [kind::OUTGOING, kind::CHUNK, kind::FANOUT] {
        assert!(!kinds.contains(&char::from(gone)), "{}", char::from(gone));
    }
    assert_eq!(world.all::<Post>().len(), 1, "the post keeps its address");
}

#[test]
fn answers_and_news_of_the_actor_go_when_they_expire() {
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    world.follow(at(0), &ana);
    let document = |id: Ulid| id.to_string();
    let news =
        world.act(at(0), |draft, moment| crate::decide::publish::actor_changed(draft, moment, document));
    world.settle(&world.job(news, &ana), Ending::Reached);
    world.sweep(3 * DAY - 1, 100);
    assert_eq!(world.all::<Outgoing>().len(), 2);
    // The attempt finds its activity gone, and goes with it.
    let job = Job::of(world.all::<Attempt>().remove(0));
    world.settle(&job, Ending::Failed);
    world.sweep(3 * DAY, 100);
    assert!(world.all::<Outgoing>().is_empty() && world.fan_outs().is_empty());
}

#[test]
fn what_somebody_is_to_get_still_is_kept_however_far_the_clock_jumps_within_a_month() {
    let (ana, bo) = (person("ana", "a.example"), person("bo", "b.example"));
    let again = Ending::Retry { due: at(100), uncertain: false };
    // The first pass of each is open, or something is to be tried again.
    for ending in [None, Some(again)] {
        for removed in [false, true] {
            let mut world = World::default();
            world.befriend(at(0), &ana);
            world.befriend(at(0), &bo);
            let document = |id: Ulid| id.to_string();
            let news = world
                .act(at(0), |draft, moment| crate::decide::publish::actor_changed(draft, moment, document));
            let post = world.announce(1);
            for who in [&ana, &bo] {
                world.settle(&world.job(post.create, who), Ending::Reached);
            }
            let overtaken = world.retitle(2, post.id, "B");
            let told = if removed { world.delete(3, post.id) } else { world.end(3, post.id) };
            for activity in [news, told] {
                world.settle(&world.job(activity, &ana), ending.unwrap_or(Ending::Reached));
                if ending.is_some() {
                    world.settle(&world.job(activity, &bo), Ending::Reached);
                }
            }
            let mut never = world.view.clone();
            world.sweep(30 * DAY, 7);
            let kept: Vec<Ulid> = world.all::<Outgoing>().into_iter().map(|outgoing| outgoing.id).collect();
            assert_eq!(kept, [news, post.create, told], "{ending:?} {removed}");
            let who = if ending.is_some() { &ana } else { &bo };
            for activity in [news, told] {
                let attempt = world.all::<Attempt>().into_iter().find(|attempt| attempt.outgoing == activity);
                let job = attempt.map_or_else(|| world.job(activity, who), Job::of);
                let looked = worth(world.view(), &world.outgoing(activity), &job, false, at(30 * DAY));
                assert_eq!(looked, Worth::Send);
                world.settle(&job, Ending::Reached);
            }
            assert!(world.view().get::<Outgoing>(&overtaken.to_bytes()).is_none());
            world.sweep(30 * DAY + 1, 7);
            assert!(world.all::<Outgoing>().is_empty(), "everybody has it");
            std::mem::swap(&mut world.view, &mut never);
            world.sweep(37 * DAY + 3, 7);
            assert!(world.all::<Outgoing>().is_empty(), "nobody ever gets it");
        }
    }
}

#[test]
fn that_an_answer_did_not_arrive_is_kept_for_who_still_follows() {
    let (mut world, ana, bo) = (World::default(), person("ana", "a.example"), person("bo", "b.example"));
    for who in [&ana, &bo] {
        world.follow(at(0), who);
    }
    for attempt in world.all::<Attempt>() {
        let job = Job { why: Some("status 403".into()), ..Job::of(attempt) };
        world.settle(&job, Ending::Failed);
    }
    world.act(at(1), |draft, moment| crate::decide::follow::undo(draft, moment, &ana, at(1)));
    for (now, left) in [(3 * DAY - 1, 2), (3 * DAY, 1), (33 * DAY - 1, 1), (33 * DAY, 0)] {
        world.sweep(now, 100);
        assert_eq!(world.all::<Outgoing>().len(), left, "{now}");
    }
}

#[test]
fn that_something_was_told_is_forgotten_once_nothing_more_is_told_of_the_post() {
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    world.follow(at(0), &ana);
    let post = Ours::Post(world.announce(0).id);
    let like = |world: &mut World, now: i64, id: &str| {
        world.act(at(now), |draft, moment| {
            engage(draft, moment, EngagementKind::Like, &ana, post, sent(id, id, now));
            crate::decide::engage::undo(draft, moment, &ana.actor, Some(id), None, at(now))
        })
    };
    like(&mut world, 1, "1");
    world.sweep(7 * DAY + 1, 5);
    assert_eq!((world.notices().len(), world.all::<Engagement>().len()), (2, 1), "it says that it was told");
    world.sweep(7 * DAY + 2, 5);
    assert!(world.all::<Engagement>().is_empty());
    like(&mut world, 7 * DAY + 2, "2");
    assert_eq!(world.notices().len(), 2, "one for the follow, one for the likes");
    assert_eq!(world.all::<Said>().len(), 1, "a follow is told once a year");
}

#[test]
fn what_was_taken_back_or_overtaken_goes_soon() {
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    let (bo, hours) = (person("bo", "b.example"), 3600);
    let post = Ours::Post(world.announce(0).id);
    let like = |world: &mut World, who: &Person, now: i64, id: &str| {
        let signature = format!("{} {id}", who.actor);
        world.act(at(now), |draft, moment| {
            engage(draft, moment, EngagementKind::Like, who, post, sent(id, &signature, now));
        });
    };
    like(&mut world, &ana, 0, "1");
    // The same like under many ids: only the newest is one for long.
    for n in 1..50 {
        like(&mut world, &ana, n, &format!("{}", n + 1));
    }
    like(&mut world, &bo, 0, "bo");
    world.act(at(1), |draft, moment| undo(draft, moment, &bo.actor, Some("bo"), None, at(1)));
    assert_eq!((world.all::<Engagement>().len(), world.all::<Seen>().len()), (2, 99));
    let mut memories = |now: i64| {
        world.sweep(now, 7);
        world.assert_consistent();
        let swept = world
            .act(at(now), |draft, _| sweep::sweep(draft, &Cursor::new(), at(now), 1000, &Shares::default()));
        let counted = swept.left.all();
        let all = (world.all::<Engagement>().len(), world.all::<Seen>().len());
        assert_eq!(counted as usize, all.0 + all.1 + world.all::<Said>().len() + world.notices().len());
        all
    };
    assert_eq!(memories(5 * hours), (2, 50), "no signature is good for so long");
    assert_eq!(memories(8 * DAY), (1, 50), "an Undo of what was overtaken, or a repeat of bo's, may be late");
    assert_eq!(memories(31 * DAY), (1, 0), "ana's like");
    assert_eq!(memories(366 * DAY), (0, 0));
}

/// Bytes of all records of these kinds, with their keys.
fn room_of(world: &World, kinds: &[u8]) -> usize {
    let mut bytes = 0;
    for kind in kinds {
        world.view().scan_bytes(&[*kind], &[*kind], &mut |key, value| {
            bytes += key.len() + value.len();
            true
        });
    }
    bytes
}

#[test]
fn a_memory_counts_as_the_room_that_it_takes() {
    let mut world = World::default();
    let post = Ours::Post(world.announce(0).id);
    let mut swept = |length: usize| {
        let who = hermit(&"x".repeat(length), &format!("s{length}.example"));
        world.act(at(0), |draft, moment| {
            let (activity, signature) = ("y".repeat(length), length.to_string());
            engage(draft, moment, EngagementKind::Like, &who, post, sent(&activity, &signature, 0));
            seen::undone(draft, &who.actor, &activity, at(0), true, at(0));
        });
        let tally = world
            .act(at(1), |draft, _| sweep::sweep(draft, &Cursor::new(), at(1), 1000, &Shares::default()).left);
        let bytes = room_of(&world, &[kind::ENGAGEMENT, kind::ENGAGERS, kind::NOTICE, kind::SEEN]);
        assert!(bytes as u64 <= 1024 * tally.all(), "{bytes} bytes count for {}", tally.all());
        tally.all()
    };
    // Like, notice and undone: what people leave counts for one each.
    assert_eq!(swept(40), 3);
    assert_eq!(swept(470), 3 + 7);
}

#[test]
fn an_inbox_far_longer_than_its_actor_is_counted_short_by_half_a_kibibyte_at_most() {
    let mut announced = World::default();
    let post = announced.announce(0).id;
    for length in 1..=MAX_KEPT_BYTES {
        let mut world = announced.clone();
        let who = hermit("a", "a.example");
        let inbox = format!("{}/{}", who.actor, "x".repeat(MAX_KEPT_BYTES - who.actor.len() - 1));
        let who = Person { inbox, ..who };
        let note = "y".repeat(length);
        world.act(at(0), |draft, moment| replied(draft, moment, &who, post, &note));
        let all = world
            .act(at(1), |draft, _| sweep::sweep(draft, &Cursor::new(), at(1), 1000, &Shares::default()).left);
        let bytes = room_of(&world, &[kind::ENGAGEMENT, kind::ENGAGERS]);
        assert!(all.all() > 0 && bytes as u64 <= 1536 * all.all(), "{bytes} bytes count for {}", all.all());
    }
}

/// One with any number of names below its own, and two others, who leave what strangers can.
fn crowd(world: &mut World, post: Ours, from: usize, many: usize) {
    let manual = Rules { manual_approval: true, ..rules() };
    for number in from..from + many {
        let honest = number % 40 == 0;
        let host = match honest {
            true => ["a.example", "b.example"][number / 40 % 2].to_owned(),
            false => format!("s{number}.evil.example"),
        };
        let who = person(&format!("p{number}"), &host);
        world.act(at(0), |draft, moment| {
            seen::first_time(draft, &who.actor, &number.to_string(), false, at(0));
            let (activity, signature) = (number.to_string(), format!("like {number}"));
            engage(draft, moment, EngagementKind::Like, &who, post, sent(&activity, &signature, 0));
            let id = Some("follow".to_owned());
            crate::decide::follow::follow(draft, moment, &manual, who.clone(), id, at(0));
        });
    }
}

#[test]
fn whoever_leaves_too_much_makes_way_and_nobody_else_does() {
    let mut world = World::default();
    let post = Ours::Post(world.announce(0).id);
    let ana = person("ana", "x.evil.example");
    world.follow(at(0), &ana);
    crowd(&mut world, post, 0, 800);
    let swept = |world: &mut World, now: i64, shares: &Shares| -> Tally {
        let left = world
            .act(at(now), |draft, _| sweep::sweep(draft, &Cursor::new(), at(now), usize::MAX, shares).left);
        world.assert_consistent();
        left
    };
    let all = swept(&mut world, 1, &Shares::default());
    let of_honest = |world: &World| {
        let is_honest = |text: &str| text.contains(".example") && !text.contains("evil.example");
        // Notices of one moment share a record, whosever they are.
        let mut count = world.notices().iter().filter(|notice| is_honest(&notice.actor)).count();
        world.view().scan_bytes(b"", b"", &mut |key, value| {
            let is_one = key[0] != kind::NOTICE && is_honest(&String::from_utf8_lossy(value));
            count += usize::from(is_one);
            true
        });
        count
    };
    let honest = of_honest(&world);
    // There is room for all that is there: nobody loses anything.
    let shares = all.shares(all.all(), u64::MAX);
    assert!(shares.is_empty());
    assert_eq!(swept(&mut world, 2, &shares), all);
    let shares = all.shares(1000, u64::MAX);
    assert!(shares.used_up("evil.example") && !shares.used_up("a.example"));
    let left = swept(&mut world, 3, &shares);
    assert!((800..1000).contains(&left.all()), "{}", left.all());
    assert_eq!(of_honest(&world), honest);
    assert_eq!(world.state(&ana), Some(Approved), "who really follows makes way for nobody");
    assert!(left.shares(1000, u64::MAX).is_empty(), "they are taken again");
    // What is forgotten can be done again, and is no more than was there before.
    crowd(&mut world, post, 0, 800);
    let again = swept(&mut world, 4, &Shares::default());
    assert!(again.all() <= all.all(), "{} {}", again.all(), all.all());
}

proptest! {
    #![proptest_config(random(60))]
    #[test]
    fn however_little_is_looked_at_at_once_the_end_is_the_same(
        look in 1..40usize,
        left in prop::collection::vec((any::<bool>(), 0..20_000i64), 0..30),
        now in 0..40_000i64,
    ) {
        let mut world = World::default();
        for (number, (leaves, when)) in left.into_iter().enumerate() {
            let who = person(&format!("p{number}"), &format!("s{}.example", number % 7));
            world.follow(at(when), &who);
            world.act(at(when), |draft, _| seen::first_time(draft, &who.actor, &number.to_string(), false, at(when)));
            if leaves {
                world.act(at(when), |draft, moment| crate::decide::follow::undo(draft, moment, &who, at(when)));
            }
        }
        let mut whole = World { view: world.view.clone(), decisions: 0 };
        whole.sweep(now, usize::MAX);
        world.sweep(now, look);
        let entries = |world: &World| {
            let mut all = Vec::new();
            world.view().scan_bytes(b"", b"", &mut |key, value| {
                all.push((key.to_vec(), value.to_vec()));
                true
            });
            all
        };
        prop_assert_eq!(entries(&world), entries(&whole));
    }
}
