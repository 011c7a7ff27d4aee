//! Clocks that are set, ours and Owncast's, in every state of a session.

use super::stream::{Show, announced, real};
use super::*;
use crate::decide::delivered::{Ending, Job, Worth};
use crate::decide::stream::{Did, Offer};
use crate::model::post::PostState;
use crate::model::stream::Stream;

const HOUR: i64 = 3600;

/// A show and how far both clocks were set.
struct Stepped {
    show: Show,
    ours: i64,
    owncasts: i64,
}

impl Stepped {
    fn new(rules: Rules) -> Stepped {
        Stepped { show: Show::new(rules), ours: 0, owncasts: 0 }
    }

    fn connect(&mut self, now: i64) {
        self.show.connect(now + self.owncasts);
    }

    fn leave(&mut self, now: i64) {
        self.show.drop_encoder(now + self.owncasts);
    }

    /// Polls every five seconds of true time.
    fn watch(&mut self, seconds: std::ops::RangeInclusive<i64>) -> Vec<(i64, Did)> {
        let mut did = Vec::new();
        for now in seconds.step_by(5) {
            let (ours, owncasts) = (now + self.ours, now + self.owncasts);
            let first = self.show.look_with(ours, owncasts, &Offer::NotAsked);
            did.extend(first.did.into_iter().map(|one| (now, one)));
            if first.is_due {
                let offer = self.show.offer.clone();
                let second = self.show.look_with(ours, owncasts, &offer);
                did.extend(second.did.into_iter().map(|one| (now, one)));
            }
            self.sane(now);
        }
        did
    }

    /// No time that is still measured from is ahead of our clock.
    fn sane(&self, now: i64) {
        let now = at(now + self.ours);
        let session = self.show.world.view().meta::<Stream>().session;
        if let Some(session) = session.filter(|session| !session.closed) {
            let times = [session.started, session.connected, session.seen];
            let all = times.into_iter().chain(session.gone).chain(session.missed).chain(session.told);
            assert!(all.into_iter().all(|time| time <= now), "{session:?} at {now}");
            assert!(session.started <= session.connected, "{session:?}");
        }
    }
}

#[test]
fn a_look_that_takes_long_is_no_clock_that_was_set() {
    let session = |show: &Show| show.world.view().meta::<Stream>().session.unwrap();
    // A stream that is seen for the first time.
    let mut show = Show::new(rules());
    show.connect(0);
    show.late = 80;
    let outcome = show.look_with(20, 20, &Offer::NotAsked);
    let seen = session(&show);
    assert_eq!([seen.started, seen.connected, seen.seen], [at(0), at(0), at(20)]);
    assert!(!outcome.is_due, "it may have gone since");
    // One that runs, and one that goes.
    for gone in [false, true] {
        let mut show = Show::new(rules());
        show.connect(0);
        show.watch(0..=100);
        if gone {
            show.drop_encoder(102);
        }
        show.late = 80;
        show.look_with(105, 105, &Offer::NotAsked);
        let seen = session(&show);
        assert_eq!([seen.started, seen.connected], [at(0), at(0)]);
        if gone {
            assert_eq!((seen.gone, seen.missed), (Some(at(102)), Some(at(105))));
            assert!(show.watch(110..=130).is_empty(), "it is waited for as ever");
        }
    }
}

/// Each clock set forward and back.
fn steps() -> impl Iterator<Item = (i64, i64)> {
    [(HOUR, 0), (-HOUR, 0), (0, HOUR), (0, -HOUR), (-HOUR, -HOUR)].into_iter()
}

#[test]
fn while_connecting_the_post_goes_out_when_it_is_due() {
    for (ours, owncasts) in steps() {
        for offer in [real(), Offer::NoneYet] {
            let mut stepped = Stepped::new(rules());
            stepped.show.offer = offer.clone();
            stepped.connect(0);
            stepped.watch(0..=25);
            (stepped.ours, stepped.owncasts) = (ours, owncasts);
            let did = stepped.watch(30..=300);
            let out = did.iter().find(|(_, did)| matches!(did, Did::Announced(_))).map(|(now, _)| *now);
            let due = if offer == Offer::NoneYet { 90 } else { 60 };
            // Both set back at once look like no time at all.
            let late = if ours == owncasts { 30 } else { 0 };
            assert!(out.is_some_and(|out| out >= due && out <= due + late), "{ours} {owncasts}: {out:?}");
        }
    }
}

#[test]
fn while_connecting_before_the_first_look_the_post_is_not_early() {
    // Owncast's clock is set between the connection and the first look at it.
    for step in [HOUR, -HOUR] {
        let mut stepped = Stepped::new(rules());
        stepped.connect(0);
        stepped.watch(0..=20);
        stepped.leave(20);
        stepped.watch(25..=200);
        stepped.connect(203);
        stepped.owncasts = step;
        let did = stepped.watch(205..=400);
        let [(205, Did::Started), (out, Did::Announced(_))] = did[..] else { panic!("{did:?}") };
        assert!((260..=270).contains(&out), "{step}: {out}");
    }
}

#[test]
fn while_live_title_edits_are_neither_blocked_nor_let_through_early() {
    for (ours, owncasts) in steps() {
        let mut stepped = Stepped::new(rules());
        stepped.connect(0);
        stepped.watch(0..=100);
        stepped.show.title = "B".to_owned();
        stepped.watch(105..=300);
        (stepped.ours, stepped.owncasts) = (ours, owncasts);
        let did = stepped.watch(305..=1500);
        let [(edited, Did::Retitled(_))] = did[..] else { panic!("{ours} {owncasts}: {did:?}") };
        assert!((660..=730).contains(&edited), "{ours} {owncasts}: at {edited}");
        stepped.watch(1505..=1995);
        stepped.leave(2000);
        let did = stepped.watch(2000..=2100);
        let [_, (_, Did::Ended(Some(_), lasted))] = did[..] else { panic!("{did:?}") };
        let lasted = i64::try_from(lasted.as_secs()).unwrap();
        assert!((1930..=2000).contains(&lasted), "{ours} {owncasts}: it ran for {lasted} s");
    }
}

#[test]
fn while_lost_the_grace_stays_what_it_is() {
    for (ours, owncasts) in steps() {
        for back in [None, Some(425)] {
            let mut stepped = Stepped::new(rules());
            stepped.connect(0);
            stepped.watch(0..=400);
            stepped.leave(402);
            stepped.watch(405..=415);
            (stepped.ours, stepped.owncasts) = (ours, owncasts);
            let mut did = stepped.watch(420..=424);
            if let Some(back) = back {
                stepped.connect(back);
            }
            did.extend(stepped.watch(425..=600));
            let both = ours == owncasts;
            match (&did[..], back) {
                ([(425, Did::Back)], Some(_)) => assert_eq!(stepped.show.updates(), 0),
                ([(ended, Did::Ended(Some(_), lasted))], None) => {
                    assert!(
                        (435..=if both { 455 } else { 435 }).contains(ended),
                        "{ours} {owncasts}: {ended}"
                    );
                    assert!((400..=404).contains(&lasted.as_secs()), "{lasted:?}");
                }
                _ => panic!("{ours} {owncasts} {back:?}: {did:?}"),
            }
        }
    }
}

#[test]
fn in_the_moment_it_goes_owncasts_word_is_read_by_the_right_clock() {
    for (ours, owncasts) in steps() {
        let mut stepped = Stepped::new(rules());
        stepped.connect(0);
        stepped.watch(0..=395);
        // It goes, and then a clock is set, before anybody looks.
        stepped.leave(397);
        (stepped.ours, stepped.owncasts) = (ours, owncasts);
        let did = stepped.watch(400..=600);
        let [(400, Did::Lost), (ended, Did::Ended(Some(_), lasted))] = did[..] else { panic!("{did:?}") };
        assert!((430..=435).contains(&ended), "{ours} {owncasts}: {ended}");
        assert!((340..=401).contains(&lasted.as_secs()), "{ours} {owncasts}: {lasted:?}");
    }
}

#[test]
fn after_the_end_the_time_for_a_return_stays_what_it_is() {
    for (ours, owncasts) in steps() {
        for (back, posts) in [(1200, 1), (1450, 2)] {
            let mut stepped = Stepped::new(rules());
            stepped.connect(0);
            stepped.watch(0..=400);
            stepped.leave(400);
            stepped.watch(400..=600);
            (stepped.ours, stepped.owncasts) = (ours, owncasts);
            stepped.watch(605..=back - 5);
            stepped.connect(back);
            stepped.watch(back..=back + 100);
            assert_eq!(stepped.show.posts().len(), posts, "{ours} {owncasts}: back at {back}");
            assert!(stepped.show.states().contains(&PostState::Live));
        }
    }
}

#[test]
fn long_after_the_end_a_clock_set_back_makes_nothing_recent() {
    let mut stepped = Stepped::new(rules());
    stepped.connect(0);
    stepped.watch(0..=400);
    stepped.leave(400);
    stepped.watch(400..=1500);
    for back in 1..=3 {
        stepped.ours = -HOUR * back;
        stepped.watch(1500 + 100 * back..=1550 + 100 * back);
    }
    stepped.connect(2000);
    let did: Vec<Did> = stepped.watch(2000..=2100).into_iter().map(|(_, did)| did).collect();
    assert_eq!(announced(&did).len(), 1, "{did:?}");
}

#[test]
fn a_clock_set_far_ahead_keeps_nobody_from_what_is_live() {
    const DAYS: i64 = 30 * 24 * HOUR;
    // A machine that starts without knowing the time; Owncast is beside us, or is not.
    for (ours, owncasts) in [(DAYS, DAYS), (DAYS, 0)] {
        let mut stepped = Stepped::new(rules());
        let [bo, cy, di, ed] = ["bo", "cy", "di", "ed"].map(|name| person(name, &format!("{name}.example")));
        for who in [&bo, &cy, &di, &ed] {
            stepped.show.world.befriend(at(-86_400), who);
        }
        stepped.connect(0);
        stepped.watch(0..=100);
        let create = stepped.show.posts()[0].create;
        let world = &mut stepped.show.world;
        for (who, uncertain) in [(&bo, false), (&cy, true)] {
            world.settle(&world.job(create, who), Ending::Retry { due: at(130), uncertain });
        }
        world.settle(&world.job(create, &ed), Ending::Reached);
        (stepped.ours, stepped.owncasts) = (ours, owncasts);
        // The first pass and the retries are looked at before the stream is.
        let jobs = [world.job(create, &di)].into_iter().chain(world.all().into_iter().map(Job::of));
        for job in jobs.filter(|job| job.outgoing == create).collect::<Vec<_>>() {
            world.settle(&job, Ending::Expired { at: at(102 + ours) });
        }
        assert!(stepped.watch(105..=105).is_empty());
        let states = [&bo, &cy, &di, &ed].map(|who| stepped.show.world.inbox_state(create, who));
        use InboxState::{Claimed, Reached, Waiting};
        assert_eq!(states, [Waiting, Claimed, Waiting, Reached], "{owncasts}");
        assert!(stepped.show.world.fan_outs().contains(&create));
        assert_eq!(stepped.show.world.worth(create, &bo, 106 + ours), Worth::Send);
        // That is done once.
        let world = &mut stepped.show.world;
        world.settle(&world.job(create, &bo), Ending::Failed);
        stepped.watch(110..=600);
        assert_eq!(stepped.show.world.inbox_state(create, &bo), InboxState::Failed);
        stepped.leave(605);
        stepped.watch(605..=700);
        assert_eq!(stepped.show.world.worth(create, &di, 700 + ours), Worth::Expired);
    }
}

#[test]
fn a_post_is_worth_telling_while_its_stream_is_seen_to_run() {
    let mut show = Show::new(rules());
    let bo = person("bo", "bo.example");
    show.world.befriend(at(-86_400), &bo);
    show.connect(0);
    show.watch(0..=100);
    let create = show.posts()[0].create;
    let mut ends = std::collections::BTreeSet::new();
    let last = 5 * 24 * HOUR;
    for now in (100..=last).step_by(900) {
        show.look(now);
        assert_eq!(show.world.worth(create, &bo, now), Worth::Send, "{now}");
        ends.insert(show.world.outgoing(create).expires);
    }
    assert!(ends.len() <= 11, "written {} times", ends.len());
    // Nobody sees it any more.
    assert_eq!(show.world.worth(create, &bo, last + 24 * HOUR), Worth::Expired);
}

#[test]
fn what_is_true_is_told_once_more_however_late_it_is_but_not_that_a_stream_runs() {
    let mut world = World::default();
    let [ana, bo, cy] = ["ana", "bo", "cy"].map(|name| person(name, &format!("{name}.example")));
    for who in [&ana, &bo, &cy] {
        world.befriend(at(0), who);
    }
    let post = world.announce(1);
    for who in [&ana, &bo, &cy] {
        world.settle(&world.job(post.create, who), Ending::Reached);
    }
    let edit = world.end(5, post.id);
    world.settle(&world.job(edit, &bo), Ending::Retry { due: at(100), uncertain: false });
    world.settle(&world.job(edit, &cy), Ending::SetAside { at: at(100) });
    let late = 30 * 24 * HOUR;
    let worth = |world: &World, job: &Job, now: i64| {
        crate::decide::delivered::worth(world.view(), &world.outgoing(job.outgoing), job, false, at(now))
    };
    // It was not tried, or was to be tried again long ago.
    assert_eq!(world.worth(edit, &ana, late), Worth::Send);
    let again = Job::of(world.all::<Attempt>().remove(0));
    assert_eq!(worth(&world, &again, late), Worth::Send);
    world.settle(&again, Ending::Expired { at: at(late) });
    assert_eq!(world.inbox_state(edit, &bo), InboxState::Retrying);
    // That is done once; and what rests for a server that fails is no business of ours.
    world.settle(&again, Ending::Retry { due: at(late + 5), uncertain: false });
    let once_more = Job::of(world.all::<Attempt>().remove(0));
    assert_eq!(worth(&world, &once_more, late + 5), Worth::Expired);
    let rests = Job::resting(world.all().remove(0));
    assert_eq!(worth(&world, &rests, late), Worth::Expired);
    // What a later edit tells, too, or a stream that nobody has seen for so long.
    let another = world.announce(6);
    assert_eq!(world.worth(another.create, &ana, late), Worth::Expired);
    world.resume(7, post.id);
    assert_eq!(world.worth(edit, &ana, late), Worth::Expired);
}

#[test]
fn a_life_that_a_clock_ahead_has_written_is_taken_back() {
    let mut stepped = Stepped::new(rules());
    let bo = person("bo", "bo.example");
    stepped.show.world.befriend(at(-86_400), &bo);
    stepped.connect(0);
    stepped.watch(0..=100);
    let create = stepped.show.posts()[0].create;
    stepped.ours = 30 * 24 * HOUR;
    stepped.watch(105..=200);
    stepped.ours = 0;
    stepped.watch(205..=300);
    // From then on nobody sees whether it runs.
    assert_eq!(stepped.show.world.worth(create, &bo, 300), Worth::Send);
    assert_eq!(stepped.show.world.worth(create, &bo, 300 + 24 * HOUR), Worth::Expired);
}

#[test]
fn what_is_owed_and_was_not_tried_stays_owed() {
    for aside in [false, true] {
        let mut world = World::default();
        let ana = person("ana", "ana.example");
        world.befriend(at(0), &ana);
        let post = world.announce(1);
        world.settle(&world.job(post.create, &ana), Ending::Reached);
        let edit = world.end(5, post.id);
        world.settle(&world.job(edit, &ana), Ending::Retry { due: at(100), uncertain: false });
        let mut job = Job::of(world.all::<Attempt>().remove(0));
        // Our network is down, other servers tell of another time, or this one is to be asked something else.
        for late in (4 * 24..5 * 24).map(|hours| hours * HOUR) {
            world.settle(&job, Ending::Expired { at: at(late) });
            let put_off = if aside {
                Ending::SetAside { at: at(late) }
            } else {
                Ending::Later { due: at(late + HOUR) }
            };
            world.settle(&job, put_off);
            world.sweep(late + 1, 100);
            let again = world.all().into_iter().map(Job::of);
            job = again.chain(world.all().into_iter().map(Job::resting)).next().unwrap();
        }
        assert_eq!(world.inbox_state(edit, &ana), InboxState::Retrying, "{aside}");
        // It is tried once.
        world.settle(&job, Ending::Retry { due: at(5 * 24 * HOUR), uncertain: false });
        world.settle(&Job::of(world.all().remove(0)), Ending::Expired { at: at(5 * 24 * HOUR) });
        assert_eq!(world.inbox_state(edit, &ana), InboxState::Failed, "{aside}");
    }
}
