//! Actors that delete themselves or block us.

use super::*;
use crate::decide::engage::{Ours, engage};
use crate::decide::follow::Followed;
use crate::decide::{follow, followers, gone, reports};
use crate::model::delivery::{InboxState, OutgoingKind, Target, chunk_key};
use crate::model::engagement::EngagementKind;
use crate::model::follower::FollowerState::{Approved, Left, Rejected};
use crate::model::record::kind;
use crate::model::report::Report;

#[test]
fn who_deletes_itself_leaves_nothing_behind() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow(at(0), &ana);
    world.act(at(1), |draft, moment| {
        engage(
            draft,
            moment,
            EngagementKind::Like,
            &ana,
            Ours::Actor,
            sent("https://peer.example/likes/1", "", 1),
        )
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
fn who_deletes_itself_is_not_told_of_and_has_reported_nothing() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let bob = person("bob", "peer.example");
    for who in [&ana, &bob] {
        world.follow(at(0), who);
        world.act(at(1), |draft, moment| {
            reports::keep(draft, moment, who, "https://peer.example/flags/1", Vec::new(), None)
        });
    }
    world.act(at(2), |draft, moment| gone::deleted(draft, moment, &ana.actor));
    assert_eq!(world.notices().iter().map(|notice| notice.actor.as_str()).collect::<Vec<_>>(), [&bob.actor]);
    assert_eq!(world.all::<Report>().iter().map(|report| &report.actor).collect::<Vec<_>>(), [&bob.actor]);
    // But for an attempt, which goes when it finds its Accept gone, nothing names her any more; and yet an account that
    // comes and goes is no news each time.
    let mut named = Vec::new();
    world.view().scan_bytes(&[], &[], &mut |key, value| {
        let record = format!("{}{}", String::from_utf8_lossy(key), String::from_utf8_lossy(value));
        named.extend((record.contains(&ana.actor) && key[0] != kind::ATTEMPT).then_some(record));
        true
    });
    assert_eq!(named, Vec::<String>::new());
    world.follow(at(3), &ana);
    assert_eq!(world.notices().len(), 1);
}

#[test]
fn who_has_moved_is_marked_and_nobody_is_added() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let target = "https://new.example/users/ana";
    let moved = |world: &mut World| world.act(at(5), |draft, _| gone::moved(draft, &ana.actor, target));
    assert!(!moved(&mut world), "nobody knows her");
    world.follow(at(0), &ana);
    assert!(moved(&mut world));
    assert!(!moved(&mut world), "again");
    let follower = world.follower(&ana).unwrap();
    assert_eq!((follower.moved_to.as_deref(), follower.state), (Some(target), Approved));
    assert_eq!(world.all::<Follower>().len(), 1);
    // Who follows again from there has not moved.
    world.follow(at(9), &ana);
    assert_eq!(world.follower(&ana).unwrap().moved_to, None);
    world.assert_consistent();
}

#[test]
fn what_a_profile_says_now_is_shown() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let refresh = |world: &mut World, now, who: &Person| {
        world.act(at(now), |draft, m| followers::refresh(draft, who, m.now))
    };
    let renamed = Person { name: Some("Ana B.".to_owned()), ..ana.clone() };
    assert!(!refresh(&mut world, 0, &renamed), "nobody knows her");
    world.follow(at(0), &ana);
    assert!(!refresh(&mut world, 1, &ana));
    assert!(refresh(&mut world, 2, &renamed));
    let follower = world.follower(&ana).unwrap();
    assert_eq!((&follower.person, follower.changed, follower.stamp), (&renamed, at(0), at(0)));
    let elsewhere = hermit("ana", "peer.example");
    assert!(refresh(&mut world, 3, &elsewhere));
    assert_eq!(world.follower(&ana).unwrap().changed, at(3));
    world.assert_consistent();
}

#[test]
fn a_refusal_outlives_the_account() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow(at(0), &ana);
    world.act(at(1), |draft, moment| {
        crate::decide::followers::change_state(draft, &ana.actor, Rejected, moment.now)
    });
    world.act(at(2), |draft, moment| gone::deleted(draft, moment, &ana.actor));
    assert_eq!(world.state(&ana), Some(Rejected));
    world.assert_consistent();
}

#[test]
fn who_blocks_us_stops_following_in_silence() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow(at(10), &ana);
    let sent = world.all::<Outgoing>().len();
    let block = |world: &mut World, now: i64, stamp: i64| {
        world.act(at(now), |draft, moment| gone::blocked_us(draft, moment, &ana, at(stamp)));
    };
    block(&mut world, 11, 9);
    assert_eq!(world.state(&ana), Some(Approved), "a Block from before the Follow");
    block(&mut world, 12, 12);
    assert_eq!(world.state(&ana), Some(Left));
    assert_eq!(world.all::<Outgoing>().len(), sent);
    world.assert_consistent();
}

#[test]
fn a_block_that_came_first_stops_the_older_follow_only() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let follow = |world: &mut World, now: i64, stamp: i64| {
        world.act(at(now), |draft, moment| {
            follow::follow(draft, moment, &rules(), ana.clone(), None, at(stamp))
        })
    };
    world.act(at(10), |draft, moment| gone::blocked_us(draft, moment, &ana, at(9)));
    assert_eq!(follow(&mut world, 11, 8), Followed::Ignored);
    assert_eq!(world.state(&ana), Some(Left));
    assert!(world.all::<Outgoing>().is_empty() && world.notices().is_empty());
    assert_eq!(follow(&mut world, 12, 11), Followed::Accepted);
    world.assert_consistent();
}

#[test]
fn who_is_not_found_is_forgotten_if_that_stays_so_for_a_day() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow(at(0), &ana);
    let missing = |world: &mut World, now: i64| {
        world.act(at(now), |draft, moment| gone::missing(draft, moment, &ana.actor))
    };
    assert!(!missing(&mut world, 10));
    assert!(!missing(&mut world, 10 + 24 * 3600 - 1));
    // Found again: it starts anew.
    assert!(!world.act(at(90_000), |draft, moment| gone::still_there(draft, moment, &ana)));
    assert!(!missing(&mut world, 100_000));
    assert_eq!(world.state(&ana), Some(Approved));
    assert!(missing(&mut world, 100_000 + 24 * 3600));
    assert_eq!(world.state(&ana), None);
    world.assert_consistent();
}

#[test]
fn that_somebody_is_gone_is_not_so_because_it_is_said_twice() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow(at(0), &ana);
    for now in [10, 10 + 24 * 3600, 10 + 48 * 3600] {
        world.act(at(now), |draft, moment| gone::doubted(draft, moment, &ana.actor));
        assert_eq!(world.state(&ana), Some(Approved));
        assert_eq!(gone::not_found(world.view(), None, 9), [ana.actor.as_str()]);
    }
    // Nor is who is blocked asked.
    let target = crate::decide::blocks::parse("peer.example").unwrap();
    world.act(at(20), |draft, _| {
        crate::decide::blocks::add(draft, target, crate::model::block::BlockOwner::Operator, at(20))
    });
    assert!(gone::not_found(world.view(), None, 9).is_empty());
}

#[test]
fn who_was_reached_between_two_outages_is_not_gone() {
    let (mut world, ana) = (World::default(), hermit("ana", "peer.example"));
    let bo = person("bo", "peer.example");
    for who in [&ana, &bo] {
        world.follow(at(0), who);
    }
    let missing = |world: &mut World, now: i64| {
        world.act(at(now), |draft, moment| gone::missing(draft, moment, &ana.actor))
    };
    assert!(!missing(&mut world, 10));
    assert!(!world.act(at(10), |draft, moment| gone::missing(draft, moment, &bo.actor)));
    world.act(at(50_000), |draft, moment| {
        let id = moment.ulid();
        draft.put(&Outgoing {
            id,
            kind: OutgoingKind::Create,
            post: None,
            body: String::new(),
            target: Target::Everybody,
            created: moment.now,
            expires: at(99_000),
            chunks: 1,
            cursor: 1,
            given_up: None,
        });
        draft.put_raw(kind::CHUNK, &chunk_key(id, 0), vec![InboxState::Reached as u8; 2]);
    });
    // Where an inbox is shared it is the others who are reached.
    assert!(world.act(at(10 + 24 * 3600), |draft, moment| gone::missing(draft, moment, &bo.actor)));
    assert!(!missing(&mut world, 1_000_000), "that it was not found is an old story");
    assert!(!missing(&mut world, 1_000_010));
    assert!(missing(&mut world, 1_000_000 + 24 * 3600), "and this one is true");
}

#[test]
fn those_who_were_not_found_are_looked_at_page_by_page() {
    let mut world = World::default();
    let who: Vec<Person> = (0..5).map(|number| person(&format!("n{number}"), "peer.example")).collect();
    for who in &who {
        assert!(!world.act(at(0), |draft, moment| gone::missing(draft, moment, &who.actor)));
    }
    let page = |after: Option<&str>| gone::not_found(world.view(), after, 2);
    let names =
        |range: std::ops::Range<usize>| who[range].iter().map(|who| who.actor.clone()).collect::<Vec<_>>();
    assert_eq!(page(None), names(0..2));
    assert_eq!(page(Some(&who[1].actor)), names(2..4));
    assert_eq!(page(Some(&who[3].actor)), names(4..5));
    // Whoever was last may have been found meanwhile.
    world.act(at(1), |draft, moment| gone::still_there(draft, moment, &who[1]));
    assert_eq!(gone::not_found(world.view(), Some(&who[1].actor), 2), names(2..4));
    assert!(gone::not_found(world.view(), None, 9).iter().all(|actor| *actor != who[1].actor));
}

#[test]
fn who_moved_to_another_inbox_is_reached_there() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let moved = Person { shared_inbox: Some("https://peer.example/new".to_owned()), ..ana.clone() };
    let look = |world: &mut World, now: i64, who: &Person| {
        world.act(at(now), |draft, moment| gone::still_there(draft, moment, who))
    };
    assert!(!look(&mut world, 0, &moved), "of a stranger it changes nothing");
    world.follow(at(0), &ana);
    assert!(!look(&mut world, 1, &ana));
    assert!(look(&mut world, 2, &moved));
    assert_eq!(world.follower(&ana).unwrap().person, moved);
    world.assert_consistent();
    let renamed = Person {
        name: Some("Anna".to_owned()),
        icon: Some("https://peer.example/a.png".to_owned()),
        ..moved
    };
    assert!(!look(&mut world, 3, &renamed), "it is reached where it was");
    assert_eq!(world.follower(&ana).unwrap().person, renamed);
    world.assert_consistent();
}

#[test]
fn only_those_are_asked_about_who_are_reached_at_the_inbox() {
    let mut world = World::default();
    let (ana, bo) = (person("ana", "peer.example"), person("bo", "peer.example"));
    for who in [&ana, &bo, &hermit("cy", "peer.example"), &person("di", "peer.example.org")] {
        world.follow(at(0), who);
    }
    let behind = |world: &World, inbox: &str, most| gone::behind(world.view(), inbox, None, most).0;
    assert_eq!(behind(&world, ana.delivery_inbox(), 9), [ana.actor.as_str(), &bo.actor]);
    assert_eq!(behind(&world, ana.delivery_inbox(), 1), [ana.actor.as_str()]);
    assert_eq!(behind(&world, &bo.inbox, 9), [bo.actor.as_str()]);
    assert!(behind(&world, "https://peer.example/none", 9).is_empty());
    assert!(behind(&world, "no address", 9).is_empty());
}

#[test]
fn everybody_behind_an_inbox_is_looked_at_in_rounds() {
    let mut world = World::default();
    for number in 0..120 {
        world.follow(at(0), &person(&format!("n{number:03}"), "peer.example"));
    }
    world.follow(at(0), &hermit("alone", "peer.example"));
    world.follow(at(0), &person("ana", "peer.example.org"));
    let inbox = "https://peer.example/inbox";
    let mut rounds = gone::Rounds::new(1);
    for round in 0..2 {
        let mut seen = std::collections::BTreeSet::new();
        for many in [50, 50, 20] {
            let (actors, last) = gone::behind(world.view(), inbox, rounds.after(inbox).as_deref(), 50);
            assert_eq!((actors.len(), last), (many, many == 20), "round {round}");
            rounds.looked(inbox.to_owned(), &actors, actors.len(), last);
            seen.extend(actors);
        }
        assert_eq!(seen.len(), 120, "round {round}");
    }
    // Who was looked at last may have left meanwhile, and exactly as many as are looked at are all.
    let (actors, _) = gone::behind(world.view(), inbox, None, 50);
    world.act(at(1), |draft, moment| gone::deleted(draft, moment, &actors[49]));
    let (next, _) = gone::behind(world.view(), inbox, Some(&actors[49]), 50);
    assert_eq!(next[0], person("n050", "peer.example").actor);
    assert!(gone::behind(world.view(), inbox, None, 119).1);
    let (one, last) = gone::behind(world.view(), &hermit("alone", "peer.example").inbox, None, 50);
    assert_eq!((one.len(), last), (1, true));
    // Who could not be asked is asked again, but keeps nobody waiting.
    for (told, last, next) in
        [(50, false, 49), (50, true, 50), (7, false, 6), (7, true, 6), (1, true, 0), (0, true, 0)]
    {
        rounds.looked(inbox.to_owned(), &actors, told, last);
        assert_eq!(rounds.after(inbox), actors.get(next).cloned(), "{told} {last}");
    }
    // Room for one.
    rounds.looked("https://a.example/inbox".to_owned(), &actors, actors.len(), false);
    rounds.looked(inbox.to_owned(), &actors, actors.len(), false);
    assert_eq!(rounds.after("https://a.example/inbox"), None);
}

/// Counts what is looked at.
struct Counting<'a> {
    view: &'a dyn View,
    looked: std::cell::Cell<usize>,
}

impl View for Counting<'_> {
    fn get_bytes(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.looked.set(self.looked.get() + 1);
        self.view.get_bytes(key)
    }

    fn scan_bytes(&self, prefix: &[u8], from: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        self.view.scan_bytes(prefix, from, &mut |key, value| {
            self.looked.set(self.looked.get() + 1);
            each(key, value)
        });
    }
}

#[test]
fn a_flood_of_deletes_costs_little_however_much_others_have_left() {
    let mut world = World::default();
    let ours = [Ours::Actor, Ours::Post(world.announce(0).id)];
    for number in 0..500 {
        let who = person(&format!("p{number}"), &format!("s{}.example", number % 50));
        world.follow(at(0), &who);
        for (what, of) in ours.into_iter().enumerate() {
            let id = format!("{}#{what}", who.actor);
            world.act(at(1), |draft, moment| {
                engage(draft, moment, EngagementKind::Like, &who, of, sent(&id, &id, 1))
            });
        }
    }
    assert_eq!(world.notices().len(), 1500);
    let who = person("p7", "s7.example");
    let counting = Counting { view: world.view(), looked: Default::default() };
    let mut draft = Draft::new(&counting);
    assert!(gone::is_known(draft.view(), &who.actor));
    gone::deleted(&mut draft, &Moment::new(at(2), 1 << 70), &who.actor);
    let changes = draft.into_changes();
    assert!(counting.looked.get() < 100, "{} looked at", counting.looked.get());
    world.view.apply(changes);
    world.assert_consistent();
    assert_eq!(world.notices().len(), 1497);
    assert!(world.notices().iter().all(|notice| notice.actor != who.actor));
    assert!(!world.view().all::<Follower>(b"").iter().any(|follower| follower.person.actor == who.actor));
}
