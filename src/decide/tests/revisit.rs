//! Everybody's turn comes, nobody's too often, and never many at once.

use std::collections::BTreeMap;

use super::delivered::crowd;
use super::*;
use crate::decide::followers::change_state;
use crate::decide::revisit::{AT_LEAST, AT_MOST, EVERY, FAN_OUT, PAGE, Page, Turn, concerns, turn, visited};
use crate::model::owner::owner_of;

impl World {
    fn turn(&mut self, now: i64) -> Turn {
        self.act(at(now), |draft, _| turn(draft, at(now)))
    }

    fn people(&mut self, approved: u64) {
        self.act(at(0), |draft, _| draft.put_meta(&FollowerCounts { approved, ..FollowerCounts::default() }));
    }

    /// Everybody in the order in which they are asked, with a restart after so many.
    fn round(&self, restart: usize) -> Vec<String> {
        let (mut page, mut place, mut asked) = (Page::default(), 0, Vec::new());
        loop {
            page.fill(self.view(), place);
            let Some((_, actor)) = page.take() else { return asked };
            asked.push(actor);
            place = page.place();
            if place == 0 {
                return asked;
            }
            if asked.len() == restart {
                page = Page::default();
            }
        }
    }
}

#[test]
fn the_pace_is_that_of_the_number_of_followers() {
    let month = i64::try_from(EVERY.as_secs()).unwrap();
    let mut world = World::default();
    assert_eq!(world.turn(0), Turn::Later(AT_MOST), "nobody is asked at the first look");
    for (people, since, want) in [
        (0, month, Turn::Later(AT_MOST)),
        (1, 0, Turn::Later(AT_MOST)),
        (1, month - 60, Turn::Later(secs(60))),
        (1, month, Turn::Now(7)),
        (2, month / 2, Turn::Now(7)),
        (100_000, 0, Turn::Later(Duration::from_millis(25_920))),
        (100_000, 25, Turn::Later(AT_LEAST)),
        (100_000, 26, Turn::Now(7)),
        (100_000, 10 * month, Turn::Now(7)),
        (u64::MAX, 0, Turn::Later(AT_LEAST)),
        // A clock that was ahead.
        (1, -month, Turn::Now(7)),
    ] {
        world.people(people);
        world.act(at(0), |draft, _| visited(draft, 7, at(0)));
        assert_eq!(world.turn(since), want, "{people} {since}");
    }
    // However long it was nobody's turn, only one's comes.
    world.people(100_000);
    world.act(at(10 * month), |draft, _| visited(draft, 8, at(10 * month)));
    assert_eq!(world.turn(10 * month), Turn::Later(Duration::from_millis(25_920)));
}

#[test]
fn nobody_is_asked_while_a_fan_out_runs() {
    let mut world = World::default();
    crowd(&mut world, 1);
    world.people(1);
    let long = 40 * 24 * 3600;
    world.act(at(0), |draft, _| visited(draft, 0, at(0)));
    world.announce(1);
    assert_eq!(world.turn(long), Turn::Later(FAN_OUT));
}

#[test]
fn a_round_comes_to_everybody_once_and_mixes_servers() {
    let mut world = World::default();
    let crowd = PAGE * 2 + 100;
    for number in 0..crowd {
        // Every third is of one server.
        let host = if number % 3 == 0 { "large.example".to_owned() } else { format!("s{number}.example") };
        let person = person(&format!("n{number}"), &host);
        world.act(at(0), |draft, _| {
            let left = Follower::left(person, at(0), at(0));
            draft.put(&Follower { state: FollowerState::Approved, ..left });
        });
    }
    let asked = world.round(usize::MAX);
    let mut times = BTreeMap::<&str, u32>::new();
    asked.iter().for_each(|actor| *times.entry(actor).or_default() += 1);
    assert_eq!((asked.len(), times.len()), (crowd, crowd));
    // At the end of a round there may be no other.
    let mixed = asked[..crowd - PAGE / 2].windows(2);
    assert!(mixed.into_iter().all(|two| owner_of(&two[0]) != owner_of(&two[1])));
    // A restart asks some of a page twice, and leaves nobody out.
    for restart in [1, 77, PAGE, PAGE + 9] {
        let again = world.round(restart);
        let everybody: std::collections::BTreeSet<_> = again.iter().collect();
        assert!(everybody.len() == crowd && again.len() < crowd + PAGE, "{restart}: {}", again.len());
    }
}

#[test]
fn only_those_are_asked_about_whom_it_concerns() {
    for (state, want) in [
        (FollowerState::Approved, true),
        (FollowerState::Pending, true),
        (FollowerState::Rejected, false),
        (FollowerState::Parked, false),
        (FollowerState::Left, false),
    ] {
        let (mut world, ana) = (World::default(), person("ana", "peer.example"));
        assert!(!concerns(world.view(), &ana.actor));
        world.follow(at(0), &ana);
        world.act(at(1), |draft, _| change_state(draft, &ana.actor, state, at(1)));
        assert_eq!(concerns(world.view(), &ana.actor), want, "{state:?}");
        let target = crate::decide::blocks::parse("peer.example").unwrap();
        world.act(at(2), |draft, _| {
            crate::decide::blocks::add(draft, target, crate::model::block::BlockOwner::Operator, at(2))
        });
        assert!(!concerns(world.view(), &ana.actor), "who is blocked is not asked");
    }
}
