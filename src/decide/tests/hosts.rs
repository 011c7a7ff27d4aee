//! Servers that fail, and what rests for them.

use proptest::prelude::*;

use super::*;
use crate::decide::delivered::{Ending, Job};
use crate::decide::hosts::{self, Contact, Gate, OPEN_AT, PARK_AFTER, PARK_AT};
use crate::decide::redeliver::{self, Selection};
use crate::decide::sweep::Cursor;
use crate::model::host::{Host, HostCounts, Resting, read_alarm_key};

const HOST: &str = "ill.example";
const DAY: i64 = 24 * 3600;

fn attempt(number: u32) -> Attempt {
    let inbox = format!("https://{HOST}/{number}/inbox");
    let outgoing = Ulid(u128::from(number) + 1);
    Attempt { number: Some(number), tries: 1, ..Attempt::personal(at(0), outgoing, inbox) }
}

impl World {
    fn heard(&mut self, now: i64, contact: Contact) -> Gate {
        self.act(at(now), |draft, _| hosts::heard(draft, HOST, contact, at(now), 200))
    }

    fn fail(&mut self, now: i64, times: u32) -> Gate {
        (0..times).fold(Gate::Free, |_, _| self.heard(now, Contact::Failed(None)))
    }

    fn spoke(&mut self, now: i64) {
        self.act(at(now), |draft, _| hosts::spoke(draft, HOST, at(now)));
    }

    fn set_aside(&mut self, now: i64, attempt: Attempt) {
        self.act(at(now), |draft, _| hosts::set_aside(draft, attempt, at(now)));
    }

    fn gate(&self, now: i64) -> Gate {
        hosts::gate_of(self.view(), HOST, at(now))
    }

    fn alarms(&self) -> Vec<(Timestamp, String)> {
        let mut alarms = Vec::new();
        self.view().scan_bytes(&[kind::ALARM], &[kind::ALARM], &mut |key, _| {
            alarms.extend(read_alarm_key(&key[1..]).map(|(at, host)| (at, host.to_owned())));
            true
        });
        alarms
    }

    /// Alarms and counts are what the records say, and nothing rests without an alarm.
    fn assert_hosts(&self) {
        let hosts: Vec<Host> = self.all();
        let wanted: Vec<_> = hosts.iter().filter_map(|host| Some((host.alarm?, host.host.clone()))).collect();
        let mut alarms = self.alarms();
        alarms.sort_by(|a, b| a.1.cmp(&b.1));
        assert_eq!(alarms, wanted);
        let resting: Vec<Resting> = self.all();
        assert!(resting.is_empty() || hosts.iter().any(|host| host.alarm.is_some()), "{resting:?} for ever");
        let count = |of: fn(&Host) -> bool| hosts.iter().filter(|host| of(host)).count() as u64;
        let counts: HostCounts = self.view().meta();
        let shut = count(|host| host.failures >= OPEN_AT);
        assert_eq!((counts.shut, counts.parked), (shut, count(|host| host.parked.is_some())));
        for host in &hosts {
            assert_eq!(host.failures > 0, host.since.is_some());
            assert_eq!(host.failures >= OPEN_AT, host.until.is_some());
        }
    }
}

#[test]
fn a_host_is_left_alone_after_repeated_failure_asked_once_and_believed() {
    let mut world = World::default();
    assert_eq!(world.heard(0, Contact::Answered), Gate::Free);
    assert_eq!(world.fail(1, OPEN_AT - 1), Gate::Free);
    assert_eq!(world.heard(2, Contact::Answered), Gate::Free);
    assert!(world.all::<Host>().is_empty(), "who is well has no record");
    assert_eq!(world.fail(3, OPEN_AT), Gate::Shut(at(63)));
    assert_eq!((world.gate(62), world.gate(63)), (Gate::Shut(at(63)), Gate::Probe));
    // Sent before, and late: no further news.
    assert_eq!(world.fail(4, 3), Gate::Shut(at(63)));
    assert_eq!(world.fail(70, 1), Gate::Shut(at(370)));
    assert_eq!(world.heard(400, Contact::Answered), Gate::Free);
    world.assert_hosts();
    assert!(world.all::<Host>().is_empty());
}

#[test]
fn followers_on_a_host_that_is_left_alone_are_counted() {
    let mut world = World::default();
    for (name, host) in [("ana", HOST), ("bo", HOST), ("cy", "well.example"), ("di", "ill.example.org")] {
        world.befriend(at(0), &person(name, host));
    }
    let counted = |world: &World| {
        let found = hosts::unreached(world.view());
        (found.followers, found.parked)
    };
    world.fail(1, OPEN_AT - 1);
    assert_eq!(counted(&world), (0, 0));
    world.fail(2, 1);
    assert_eq!(counted(&world), (2, 0));
    for day in 1..=10 {
        world.fail(day * DAY, 1);
    }
    assert_eq!(counted(&world), (2, 2));
    world.heard(11 * DAY, Contact::Answered);
    assert_eq!(counted(&world), (0, 0));
}

#[test]
fn what_a_host_asks_for_holds_until_then_whatever_else_it_says() {
    let mut world = World::default();
    assert_eq!(world.heard(0, Contact::Busy(at(100))), Gate::Shut(at(100)));
    assert_eq!(world.heard(1, Contact::Answered), Gate::Shut(at(100)));
    world.spoke(2);
    assert_eq!(world.heard(3, Contact::Busy(at(50))), Gate::Shut(at(100)), "the longer one counts");
    assert_eq!((world.gate(99), world.gate(100)), (Gate::Shut(at(100)), Gate::Free));
    world.fail(200, OPEN_AT);
    assert_eq!(world.heard(201, Contact::Failed(Some(at(900)))), Gate::Shut(at(900)));
    world.spoke(202);
    assert_eq!(world.gate(203), Gate::Shut(at(900)));
    assert_eq!(world.gate(900), Gate::Free, "it spoke: no probe is needed");
    world.assert_hosts();
}

#[test]
fn whoever_speaks_is_asked_again_at_once() {
    let mut world = World::default();
    world.fail(0, OPEN_AT);
    world.set_aside(1, attempt(1));
    assert_eq!(world.alarms(), [(at(60), HOST.to_owned())]);
    world.spoke(5);
    assert_eq!(world.gate(5), Gate::Line);
    assert_eq!(world.alarms(), [(at(5), HOST.to_owned())]);
    world.assert_hosts();
    world.spoke(6);
    assert_eq!(world.alarms(), [(at(5), HOST.to_owned())]);
    let rests = world.all::<Resting>().remove(0);
    world.settle(&Job::resting(rests), Ending::Reached);
    world.act(at(7), |draft, _| hosts::tidy(draft, HOST, at(5), at(7)));
    assert!(world.all::<Host>().is_empty() && world.alarms().is_empty());
}

#[test]
fn a_host_that_is_dead_for_a_week_is_parked_and_tried_with_one_thing() {
    let mut world = World::default();
    world.fail(0, OPEN_AT);
    let week = i64::try_from(PARK_AFTER.as_secs()).unwrap();
    // Two bad hours a week apart are not a dead week.
    world.fail(week + 1, 1);
    assert_eq!(hosts::parked(world.view(), &attempt(1).inbox), None);
    let mut now = week + 1;
    for _ in OPEN_AT + 1..PARK_AT {
        now += 2 * DAY;
        world.fail(now, 1);
    }
    assert_eq!(hosts::parked(world.view(), &attempt(1).inbox), Some(at(now)));
    world.assert_hosts();
    let mut aside = |number: u32, single: bool| {
        let attempt = Attempt { number: (!single).then_some(number), ..attempt(number) };
        let job = Job { attempt: None, ..Job::of(attempt) };
        world.settle(&job, Ending::SetAside { at: at(now) });
        world.all::<Resting>().len()
    };
    assert_eq!((aside(1, false), aside(2, false)), (1, 1), "one part of a fan-out");
    // It was the probe, and goes back.
    let rests = world.all::<Resting>().remove(0);
    world.settle(&Job::resting(rests), Ending::SetAside { at: at(now) });
    assert_eq!(world.all::<Resting>().len(), 1);
    let single = Job { number: None, attempt: None, ..Job::of(attempt(3)) };
    world.settle(&single, Ending::SetAside { at: at(now) });
    assert_eq!(world.all::<Resting>().len(), 2, "what is for one person is kept");
    world.spoke(now + 1);
    assert_eq!(hosts::parked(world.view(), &attempt(1).inbox), None);
    assert!(hosts::keeps(world.view(), &attempt(2)));
    world.assert_hosts();
}

/// What was given up was so because its server was dead; else all but the first would be given up at once again.
#[test]
fn what_the_operator_wants_of_a_dead_server_rests_until_that_was_asked() {
    // In the middle of a pause, and behind it.
    for wait in [1, 20 * 3600] {
        let mut world = World::default();
        let people: Vec<Person> = (0..5).map(|number| hermit(&format!("p{number}"), HOST)).collect();
        people.iter().for_each(|one| world.befriend(at(0), one));
        for day in 0..i64::from(PARK_AT) {
            world.fail(day * DAY, 1);
        }
        let mut now = i64::from(PARK_AT) * DAY - DAY + 1;
        let create = world.announce(now).create;
        let aside = |world: &mut World, jobs: Vec<Job>, now: i64| {
            jobs.iter().for_each(|job| world.settle(job, Ending::SetAside { at: at(now) }));
            world.all::<Resting>().len()
        };
        let jobs = people.iter().map(|one| world.job(create, one)).collect();
        assert_eq!(aside(&mut world, jobs, now), 1, "it is dead");
        now += wait;
        let retried = world.act(at(now), |draft, _| {
            redeliver::retry(draft, &Selection::default(), true, &Cursor::new(), at(now), 10_000).0
        });
        assert_eq!((retried.anew, retried.resting), (4, 1));
        assert_eq!((world.gate(now), hosts::parked(world.view(), &attempt(1).inbox)), (Gate::Probe, None));
        world.assert_hosts();
        let anew = world.all::<Attempt>().into_iter().map(Job::of).collect();
        assert_eq!(aside(&mut world, anew, now), 5);
        world.fail(now + 1, 1);
        assert_eq!(hosts::parked(world.view(), &attempt(1).inbox), Some(at(now + 1)), "it is dead still");
        world.assert_hosts();
    }
}

#[test]
fn what_rests_ends_with_its_activity_and_a_host_some_time_after() {
    let (mut world, ana) = (World::default(), person("ana", HOST));
    world.follow(at(0), &ana);
    let accept = Job::of(world.all::<Attempt>().remove(0));
    let post = world.announce(0);
    let create = world.job(post.create, &ana);
    world.fail(0, OPEN_AT);
    for job in [&accept, &create] {
        world.settle(job, Ending::SetAside { at: at(1) });
    }
    assert_eq!(world.inbox_state(post.create, &ana), InboxState::Retrying);
    let sweep = |world: &mut World, now: i64| {
        world.act(at(now), |draft, _| {
            crate::decide::sweep::sweep(draft, &Cursor::new(), at(now), 1000, &Default::default())
        });
        world.assert_hosts();
    };
    sweep(&mut world, 3600);
    assert_eq!(world.all::<Resting>().len(), 2);
    world.end(7200, post.id);
    sweep(&mut world, 7201);
    assert_eq!(world.inbox_state(post.create, &ana), InboxState::Failed, "the stream is over");
    assert_eq!(world.all::<Resting>().len(), 1);
    sweep(&mut world, 3 * DAY);
    assert_eq!((world.all::<Resting>().len(), world.all::<Host>().len()), (0, 1));
    sweep(&mut world, 31 * DAY);
    assert!(world.all::<Host>().is_empty() && world.alarms().is_empty());
    assert_eq!(world.view().meta::<HostCounts>(), HostCounts::default());
}

#[test]
fn what_rests_for_a_blocked_person_is_taken_back() {
    let (mut world, ana) = (World::default(), hermit("ana", HOST));
    world.follow(at(0), &ana);
    let accept = Job::of(world.all::<Attempt>().remove(0));
    let post = world.announce(0);
    let create = world.job(post.create, &ana);
    for job in [&accept, &create] {
        world.settle(job, Ending::SetAside { at: at(1) });
    }
    let target = crate::decide::blocks::parse(&ana.actor).unwrap();
    let owner = crate::model::block::BlockOwner::Operator;
    world.act(at(2), |draft, _| crate::decide::blocks::add(draft, target, owner, at(2)));
    assert!(world.all::<Resting>().is_empty());
    assert!(world.sent(OutgoingKind::Accept).is_empty());
    assert_eq!(world.inbox_state(post.create, &ana), InboxState::None);
}

#[test]
fn a_clock_that_was_ahead_shuts_nobody_out() {
    let year = 365 * DAY;
    let mut world = World::default();
    world.fail(year, OPEN_AT);
    world.set_aside(year, attempt(1));
    assert_eq!(world.gate(year), Gate::Shut(at(year + 60)));
    assert_eq!(world.gate(0), Gate::Probe, "the clock is right again");
    world.act(at(0), |draft, _| {
        crate::decide::sweep::sweep(draft, &Cursor::new(), at(0), 1000, &Default::default())
    });
    assert_eq!(world.alarms(), [(at(0), HOST.to_owned())], "what rests is looked at");
    world.assert_hosts();
    // So it is if it was ahead by less than a pause may be long.
    let mut world = World::default();
    world.fail(5 * 3600, OPEN_AT);
    world.set_aside(5 * 3600, attempt(1));
    world.heard(5 * 3600, Contact::Failed(Some(at(6 * 3600))));
    assert_eq!(world.gate(0), Gate::Probe);
    world.act(at(0), |draft, _| {
        crate::decide::sweep::sweep(draft, &Cursor::new(), at(0), 1000, &Default::default())
    });
    assert_eq!((world.gate(0), world.alarms()), (Gate::Probe, vec![(at(0), HOST.to_owned())]));
    world.assert_hosts();
    // What it asked for, likewise; and what a right clock wrote stays.
    let mut world = World::default();
    world.heard(year, Contact::Busy(at(year + 9)));
    assert_eq!(world.gate(0), Gate::Free);
    for (pause, gate) in [(6 * 3600, Gate::Shut(at(6 * 3600))), (6 * 3600 + 1, Gate::Free)] {
        let mut world = World::default();
        world.heard(0, Contact::Busy(at(pause)));
        assert_eq!(world.gate(0), gate);
    }
    let mut world = World::default();
    let mut now = 0;
    for _ in 0..OPEN_AT + 6 {
        world.fail(now, 1);
        let Gate::Shut(until) = world.gate(now) else { continue };
        let before = world.all::<Host>();
        world.act(at(now), |draft, _| {
            crate::decide::sweep::sweep(draft, &Cursor::new(), at(now), 1000, &Default::default())
        });
        assert_eq!(world.all::<Host>(), before, "nothing to mend");
        now = until.duration_since(at(0)).as_secs() + 1;
    }
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    Answered,
    Busy(i64),
    Failed(Option<i64>),
    Spoke,
    Rests(u32),
    Settled(usize),
    Tidy,
    Pass(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => Just(Happening::Answered),
        1 => (1..=6 * 3600i64).prop_map(Happening::Busy),
        8 => Just(Happening::Failed(None)),
        1 => (1..=6 * 3600i64).prop_map(|until| Happening::Failed(Some(until))),
        1 => Just(Happening::Spoke),
        4 => (0..40u32).prop_map(Happening::Rests),
        2 => (0..40usize).prop_map(Happening::Settled),
        2 => Just(Happening::Tidy),
        6 => (0..200_000i64).prop_map(Happening::Pass),
    ]
}

proptest! {
    #![proptest_config(random(200))]
    /// Whatever a host does, its records agree with each other, it is left alone for a bounded time only, and once it
    /// answers well everything goes and nothing stays behind.
    #[test]
    fn a_host_is_never_stuck(happenings in prop::collection::vec(happening(), 1..120)) {
        let (mut world, mut now) = (World::default(), 0);
        for happening in happenings {
            let before: Option<Host> = world.view().get(HOST.as_bytes());
            match happening {
                Happening::Answered => {
                    let gate = world.heard(now, Contact::Answered);
                    let asked = before.as_ref().and_then(|before| before.asked).filter(|asked| *asked > at(now));
                    match gate {
                        Gate::Shut(until) => prop_assert_eq!(Some(until), asked),
                        gate => prop_assert!(asked.is_none() && gate != Gate::Probe),
                    }
                }
                Happening::Busy(seconds) => {
                    let until = at(now + seconds);
                    let gate = world.heard(now, Contact::Busy(until));
                    prop_assert!(matches!(gate, Gate::Shut(shut) if shut >= until), "{:?}", gate);
                }
                Happening::Failed(until) => {
                    world.heard(now, Contact::Failed(until.map(|seconds| at(now + seconds))));
                }
                Happening::Spoke => world.spoke(now),
                Happening::Rests(number) => world.set_aside(now, attempt(number)),
                Happening::Settled(place) => {
                    let mut rests: Vec<Resting> = world.all();
                    if !rests.is_empty() {
                        let job = Job::resting(rests.remove(place % rests.len()));
                        world.settle(&job, Ending::Reached);
                    }
                }
                Happening::Tidy => {
                    for (alarm, host) in world.alarms().into_iter().filter(|(alarm, _)| *alarm <= at(now)) {
                        world.act(at(now), |draft, _| hosts::tidy(draft, &host, alarm, at(now)));
                    }
                }
                Happening::Pass(seconds) => now += seconds,
            }
            world.assert_hosts();
            if let Gate::Shut(until) = world.gate(now) {
                prop_assert!(until > at(now) && until <= at(now + 29 * 3600), "{}", until);
            }
        }
        now += 29 * 3600;
        let gate = world.gate(now);
        prop_assert!(!matches!(gate, Gate::Shut(_)), "{:?}", gate);
        world.heard(now, Contact::Answered);
        for rests in world.all::<Resting>() {
            world.settle(&Job::resting(rests), Ending::Reached);
            prop_assert_eq!(world.heard(now, Contact::Answered), Gate::Line);
        }
        for (alarm, host) in world.alarms() {
            world.act(at(now), |draft, _| hosts::tidy(draft, &host, alarm, at(now)));
        }
        prop_assert!(world.all::<Host>().is_empty() && world.alarms().is_empty());
    }
}
