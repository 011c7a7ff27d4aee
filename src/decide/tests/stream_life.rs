//! The session machine through restarts, clock steps, title changes, ends of every kind, and random lives.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::stream::{Show, announced, real};
use super::*;
use crate::decide::publish;
use crate::decide::stream::{Did, Offer, Sight};
use crate::model::post::PostState;
use crate::model::record::{decode, encode};
use crate::model::stream::{Phase, Stream};

/// A show whose post is out, at 100 s.
pub(super) fn live(rules: Rules) -> Show {
    let mut show = Show::new(rules);
    show.connect(0);
    show.watch(0..=100);
    assert_eq!(show.states(), [PostState::Live]);
    show
}

#[test]
fn a_continued_stream_that_flaps_before_it_is_online_says_live_again() {
    let mut show = live(rules());
    show.drop_encoder(100);
    show.watch(100..=200);
    show.connect(300);
    show.not_online();
    assert_eq!(show.look(300), [Did::Continues]);
    show.drop_encoder(305);
    assert_eq!(show.look(305), [Did::Lost]);
    show.connect(310);
    show.watch(310..=400);
    assert_eq!((show.states(), show.phase()), (vec![PostState::Live], Some(Phase::Live)));
}

#[test]
fn a_post_deleted_by_hand_stays_deleted_when_its_stream_comes_back() {
    let mut show = live(rules());
    show.drop_encoder(100);
    show.watch(100..=200);
    show.connect(300);
    show.not_online();
    show.look(300);
    let post = show.posts().remove(0);
    show.world.act(at(302), |draft, moment| publish::delete(draft, moment, &rules(), post));
    show.connect(300);
    show.watch(305..=400);
    assert_eq!(show.states(), [PostState::Deleted]);
}

#[test]
fn a_post_deleted_by_hand_is_neither_edited_nor_replaced() {
    let mut show = live(rules());
    let post = show.posts().remove(0);
    show.world.act(at(101), |draft, moment| publish::delete(draft, moment, &rules(), post));
    show.title = "Another".to_owned();
    show.watch(105..=2000);
    show.drop_encoder(2000);
    show.watch(2000..=2100);
    assert_eq!((show.states(), show.updates()), (vec![PostState::Deleted], 0));
}

#[test]
fn a_stream_that_began_in_time_continues_however_late_it_is_seen() {
    // Ended and settled at 100, back at 500; the program was down from 200 to 2000.
    let mut show = live(rules());
    show.drop_encoder(100);
    show.watch(100..=200);
    show.connect(500);
    assert!(matches!(show.watch(2000..=2100)[..], [Did::Continues, Did::Resumed(_)]));
    assert_eq!(show.states(), [PostState::Live]);
    // The same when the end was not seen either.
    let mut show = live(rules());
    show.connect(500);
    show.watch(2000..=2100);
    assert_eq!(show.states(), [PostState::Live]);
}

#[test]
fn with_no_time_for_a_return_every_stream_is_a_new_one() {
    let mut show = live(Rules { repost_after: secs(0), delay: secs(0), ..rules() });
    show.drop_encoder(100);
    show.look(100);
    // Owncast's times are not exact: the next connection may look older than the end before it.
    show.connect(99);
    let did = show.look(100);
    assert!(matches!(did[..], [Did::Started, Did::Announced(_)]), "{did:?}");
}

#[test]
fn a_stream_that_ended_and_another_that_began_while_nobody_watched_are_two() {
    let mut show = live(rules());
    show.connect(9000);
    let did = show.watch(9500..=9600);
    assert!(matches!(did[..], [Did::Ended(Some(_), _), Did::Started, Did::Announced(_)]), "{did:?}");
    assert_eq!(show.states(), [PostState::Ended, PostState::Live]);
    let Did::Ended(_, lasted) = did[0] else { panic!() };
    assert!(lasted <= secs(160), "it was last seen at about 100 s, not at {lasted:?}");
}

#[test]
fn a_stream_nobody_saw_ending_ran_until_it_was_last_seen() {
    // Owncast crashed and was started again hours later: it cannot say when the encoder went.
    for disconnected in [None, Some(at(-50_000))] {
        let mut show = live(rules());
        let rules = rules();
        let sight = Sight {
            at: at(10_000),
            server_time: at(10_000),
            connected: None,
            disconnected,
            online: false,
            title: String::new(),
        };
        let mut look = |now| {
            show.world.act(at(now), |draft, moment| {
                let sight = Sight { at: at(now), server_time: at(now), ..sight.clone() };
                crate::decide::stream::sight(draft, moment, &rules, &facts(), &sight, &Offer::NotAsked).did
            })
        };
        assert_eq!(look(10_000), [Did::Lost], "its encoder may be about to come back");
        assert_eq!(look(10_029), []);
        let did = look(10_030);
        let [Did::Ended(Some(_), lasted)] = &did[..] else { panic!("{did:?}") };
        assert!(*lasted <= secs(160), "{disconnected:?}: {lasted:?}");
    }
    let mut show = live(rules());
    show.drop_encoder(5000);
    let Some(Did::Ended(_, lasted)) = show.look(10_000).pop() else { panic!() };
    assert_eq!(lasted, secs(5000), "Owncast's own word is believed");
}

#[test]
fn an_end_is_not_put_off_by_a_clock_set_back() {
    let mut show = live(rules());
    show.drop_encoder(100);
    show.look(100);
    // One hour back while lost.
    let ended = (-3495..-3400).step_by(5).find(|now| {
        let did = show.look_with(*now, *now, &Offer::NotAsked).did;
        matches!(did[..], [Did::Ended(..)])
    });
    assert!(ended.is_some_and(|now| now <= -3460), "{ended:?}");
}

#[test]
fn a_clock_set_back_after_an_end_does_not_widen_the_time_for_a_return() {
    let mut show = live(rules());
    show.drop_encoder(100);
    show.watch(100..=200);
    (-3400..-3300).step_by(5).for_each(|now| drop(show.look(now)));
    // Twenty minutes of real time after the end.
    show.connect(-2200);
    show.watch(-2200..=-2000);
    assert_eq!(show.posts().len(), 2);
}

#[test]
fn a_clock_set_back_while_connecting_delays_the_post_by_the_delay_at_most() {
    for offer in [real(), Offer::NoneYet] {
        let mut show = Show::new(rules());
        show.offer = offer;
        show.connect(0);
        show.watch(0..=30);
        let out = (-3570..-3300).step_by(5).find(|now| !announced(&show.look(*now)).is_empty());
        assert!(out.is_some_and(|now| now <= -3570 + 90), "{out:?}");
    }
}

#[test]
fn clock_steps_in_a_running_stream_neither_end_nor_repeat_it() {
    for step in [-3600, 3600, -86_400, 86_400] {
        for owncast_too in [true, false] {
            let mut show = live(rules());
            for now in (105..400).step_by(5) {
                let server = if owncast_too { now + step } else { now };
                assert!(show.look_with(now + step, server, &real()).did.is_empty(), "{step} at {now}");
            }
            assert_eq!((show.states(), show.updates()), (vec![PostState::Live], 0));
        }
    }
}

#[test]
fn the_last_title_wins_as_far_as_edits_are_allowed() {
    let mut show = live(rules());
    let mut edits = Vec::new();
    for now in (105..6000).step_by(5) {
        // A new title each minute: at most one edit in ten minutes, and three in all.
        show.title = format!("Title {}", now / 60);
        if show.look(now).iter().any(|did| matches!(did, Did::Retitled(_))) {
            edits.push(now);
            assert_eq!(show.posts()[0].title, show.title);
        }
    }
    assert_eq!(edits.len(), 3);
    assert!(edits.windows(2).all(|pair| pair[1] - pair[0] >= 600), "{edits:?}");
    assert_eq!(show.updates(), 3);

    let mut show = live(rules());
    for (now, title) in [(110, "B"), (120, "C"), (130, "Etching"), (140, "D")] {
        show.title = title.to_owned();
        show.look(now);
    }
    assert_eq!((show.watch(145..=2000).len(), show.posts()[0].title.as_str()), (1, "D"));
    let mut back = live(rules());
    back.title = "B".to_owned();
    back.watch(105..=200);
    back.title = "Etching".to_owned();
    assert!(back.watch(205..=2000).is_empty(), "the title is the one told already");
}

#[test]
fn ends_do_what_the_operator_wants() {
    for (on_end, state, updates, deletes) in [
        (OnEnd::Update, PostState::Ended, 1, 0),
        (OnEnd::Delete, PostState::Deleted, 0, 1),
        (OnEnd::Keep, PostState::Ended, 0, 0),
    ] {
        let mut show = live(Rules { on_end, ..rules() });
        let words = show.posts()[0].content.clone();
        show.drop_encoder(200);
        show.watch(200..=4000);
        assert_eq!(show.states(), [state], "{on_end:?}");
        assert_eq!((show.updates(), show.world.sent(OutgoingKind::Delete).len()), (updates, deletes));
        assert_eq!(show.posts()[0].content != words, on_end == OnEnd::Update, "{on_end:?}");
    }
}

#[test]
fn a_deleted_post_is_never_used_again() {
    let mut show = live(Rules { on_end: OnEnd::Delete, ..rules() });
    show.drop_encoder(200);
    show.watch(200..=300);
    show.connect(310);
    let did = show.watch(310..=400);
    assert!(matches!(did[..], [Did::Started, Did::Announced(_)]), "{did:?}");
    assert_eq!(show.states(), [PostState::Deleted, PostState::Live]);
}

#[test]
fn a_kept_post_continues_in_silence() {
    let mut show = live(Rules { on_end: OnEnd::Keep, ..rules() });
    show.drop_encoder(200);
    show.watch(200..=300);
    show.connect(310);
    show.watch(310..=400);
    assert_eq!((show.states(), show.updates()), (vec![PostState::Live], 0));
}

#[test]
fn the_audience_is_fixed_when_a_post_is_made() {
    for (first, later) in [(Audience::Followers, Audience::Public), (Audience::Public, Audience::Followers)] {
        let mut show = live(Rules { audience: first, title_edits: secs(0), ..rules() });
        show.rules.audience = later;
        show.title = "Another".to_owned();
        show.look(110);
        show.drop_encoder(200);
        show.watch(200..=300);
        show.connect(310);
        show.watch(310..=400);
        assert_eq!(show.posts()[0].audience, first);
        let bodies: Vec<_> = show.world.all::<Outgoing>().into_iter().filter(|o| o.post.is_some()).collect();
        assert_eq!(bodies.len(), 4);
        for outgoing in bodies {
            let public = outgoing.body.contains("activitystreams#Public");
            assert_eq!(public, first == Audience::Public, "{:?}", outgoing.kind);
        }
    }
}

#[test]
fn every_edit_is_dated_later_than_the_one_before() {
    let mut show = live(Rules { delay: secs(0), title_edits: secs(0), ..rules() });
    // Title, end, return and title within one second, then the clock an hour back.
    show.title = "B".to_owned();
    show.look(100);
    show.drop_encoder(100);
    show.look(100);
    show.connect(100);
    show.title = "C".to_owned();
    show.look(100);
    show.title = "D".to_owned();
    show.look(103);
    show.drop_encoder(-3000);
    show.look(-3000);
    let mut dates = vec![show.posts()[0].published.to_string()];
    for update in show.world.sent(OutgoingKind::Update) {
        let body: serde_json::Value = serde_json::from_str(&update.body).unwrap();
        dates.push(body["object"]["updated"].as_str().unwrap().to_owned());
    }
    assert_eq!(dates.len(), 6);
    let different: BTreeSet<String> = dates.iter().map(|date| date[..19].to_owned()).collect();
    assert_eq!(different.len(), dates.len(), "{dates:?}");
}

/// What happens between two looks.
#[derive(Clone, Debug)]
enum Step {
    Connect,
    Drop,
    /// Owncast restarts: offline, and no word of when the encoder went.
    Crash,
    Title(u8),
    Picture(bool),
    /// The program writes its state and reads it back, as over a restart; then so many seconds of not looking.
    Restart(i64),
    Clock(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Connect),
        4 => Just(Step::Drop),
        1 => Just(Step::Crash),
        2 => (0..4u8).prop_map(Step::Title),
        2 => any::<bool>().prop_map(Step::Picture),
        2 => (0..5000i64).prop_map(Step::Restart),
        1 => prop_oneof![Just(-3600i64), Just(3600)].prop_map(Step::Clock),
    ]
}

proptest! {
    #![proptest_config(random(150))]
    #[test]
    fn whatever_happens_a_session_is_announced_once_and_over_once(
        steps in prop::collection::vec((step(), 0..400i64), 1..40),
        on_end in prop_oneof![Just(OnEnd::Update), Just(OnEnd::Delete), Just(OnEnd::Keep)],
        delay in prop_oneof![Just(0u64), Just(60), Just(120)],
        repost_after in prop_oneof![Just(0u64), Just(900)],
    ) {
        let mut show = Show::new(Rules { on_end, delay: secs(delay), repost_after: secs(repost_after), ..rules() });
        let (mut now, mut ends, mut connected, mut stepped) = (0i64, BTreeMap::<Ulid, usize>::new(), None, false);
        for (step, wait) in steps {
            match step {
                // Owncast takes one encoder at a time.
                Step::Connect if connected.is_none() => { show.connect(now); connected = Some(now); stepped = false; }
                Step::Connect => {}
                Step::Drop => { show.drop_encoder(now); connected = None; }
                Step::Crash => { show.crash(); connected = None; }
                Step::Title(n) => show.title = format!("Title {n}"),
                Step::Picture(is) => show.offer = if is { real() } else { Offer::NoneYet },
                Step::Restart(away) => {
                    let stream: Stream = show.world.view().meta();
                    prop_assert_eq!(decode::<Stream>(&encode(&stream)), Some(stream));
                    now += away;
                }
                Step::Clock(by) => { now += by; stepped = true; }
            }
            let mut looks = vec![now];
            looks.extend((0..wait).step_by(25).map(|by| now + by));
            now += wait;
            for look in looks {
                for did in show.look(look) {
                    match did {
                        Did::Announced(_) => {
                            prop_assert!(connected.is_some(), "announced with nobody there");
                            let up = look - connected.unwrap_or_default();
                            prop_assert!(stepped || up >= i64::try_from(delay).unwrap(), "after {} s", up);
                        }
                        Did::Ended(Some(post), _) => *ends.entry(post).or_default() += 1,
                        _ => {}
                    }
                }
                let live = show.states().iter().filter(|state| **state == PostState::Live).count();
                prop_assert!(live <= 1);
                let stream: Stream = show.world.view().meta();
                let session = stream.session.filter(|session| session.phase != Phase::Ended);
                let of_live = show.posts().into_iter().find(|post| post.state == PostState::Live);
                if let Some(post) = of_live {
                    prop_assert_eq!(session.and_then(|session| session.post), Some(post.id));
                }
            }
        }
        // Let the last stream end, or stand announced.
        let watched = (now..now + 300).step_by(15);
        for look in watched {
            for did in show.look(look) {
                if let Did::Ended(Some(post), _) = did { *ends.entry(post).or_default() += 1; }
            }
        }
        if connected.is_some() {
            prop_assert_eq!(show.phase(), Some(Phase::Live));
            prop_assert!(show.states().contains(&PostState::Live));
        } else {
            prop_assert!(!show.states().contains(&PostState::Live));
        }
        let posts = show.posts();
        let sessions: BTreeSet<Ulid> = posts.iter().map(|post| post.session).collect();
        prop_assert_eq!(sessions.len(), posts.len(), "one post per session");
        let sent: Vec<Outgoing> = show.world.all();
        for post in &posts {
            let of = |kind| sent.iter().filter(|o| o.post == Some(post.id) && o.kind == kind).count();
            prop_assert_eq!(of(OutgoingKind::Create), 1);
            let ended = ends.get(&post.id).copied().unwrap_or(0);
            prop_assert!(of(OutgoingKind::Delete) <= 1);
            prop_assert!(post.edits <= 3);
            let for_titles = usize::try_from(post.edits).unwrap();
            // An end and a return for each time it ended, besides the titles.
            prop_assert!(of(OutgoingKind::Update) <= 2 * ended + for_titles);
        }
    }
}
