//! The session machine where it could not watch: restarts of either side, breaks, and settings that changed meanwhile.

use super::stream::{Show, announced, real};
use super::stream_life::live;
use super::*;
use crate::decide::stream::{Did, Offer};
use crate::model::post::PostState;

#[test]
fn owncast_restarted_with_an_old_end_is_waited_for_as_ever() {
    for saved in [-50_000, -1] {
        let mut show = live(rules());
        show.watch(105..=158);
        show.crash_with_saved_end(saved);
        assert_eq!(show.watch(160..=185), [Did::Lost], "{saved}");
        show.connect(186);
        assert_eq!(show.watch(190..=400), [Did::Back]);
        assert_eq!((show.states(), show.updates()), (vec![PostState::Live], 0));
        // It does not come back: the post is over in time, and ran until it was seen gone.
        show.crash_with_saved_end(saved);
        let did = show.watch(405..=440);
        let [Did::Lost, Did::Ended(Some(_), lasted)] = did[..] else { panic!("{did:?}") };
        assert_eq!(lasted, secs(405));
    }
    // Before the post is out.
    let mut show = Show::new(rules());
    show.connect(0);
    show.watch(0..=30);
    show.crash_with_saved_end(-50_000);
    assert_eq!(show.watch(35..=60), [Did::Lost]);
    show.connect(61);
    assert_eq!(show.watch(65..=120), [Did::Back]);
    assert_eq!(announced(&show.watch(121..=130)).len(), 1);
    // Both were restarted, and the program was there first.
    let mut show = live(rules());
    show.crash_with_saved_end(-50_000);
    assert_eq!(show.watch(400..=425), [Did::Lost]);
    show.connect(426);
    assert_eq!(show.watch(430..=600), [Did::Back]);
    assert_eq!(show.updates(), 0);
}

#[test]
fn a_stream_ran_from_its_first_encoder_on_however_late_it_was_seen() {
    for (owncasts_clock, first_look) in [(0, 0), (0, 3000), (-40_000, 3000), (40_000, 3000)] {
        let mut show = Show::new(rules());
        show.connect(owncasts_clock);
        for now in (first_look..4000).step_by(5) {
            show.look_with(now, now + owncasts_clock, &real());
        }
        show.drop_encoder(4000 + owncasts_clock);
        show.look_with(4000, 4000 + owncasts_clock, &real());
        show.connect(4010 + owncasts_clock);
        show.look_with(4010, 4010 + owncasts_clock, &real());
        show.drop_encoder(5000 + owncasts_clock);
        let did = show.look_with(5100, 5100 + owncasts_clock, &real()).did;
        assert!(
            matches!(did[..], [Did::Lost, Did::Ended(Some(_), lasted)] if lasted == secs(5000)),
            "{did:?}"
        );
        assert!(show.posts()[0].content.contains("It ran for 1 h 23 min."));
    }
}

#[test]
fn coming_and_going_beyond_the_grace_is_one_post_that_says_how_things_are() {
    let mut show = live(rules());
    for round in 1..=5 {
        let start = round * 1000;
        show.watch(start - 600..=start);
        show.drop_encoder(start);
        let ended = show.watch(start..=start + 295);
        assert!(matches!(ended[..], [Did::Lost, Did::Ended(Some(_), _)]), "{ended:?}");
        assert_eq!(show.states(), [PostState::Ended]);
        show.connect(start + 300);
        let back = show.watch(start + 300..=start + 400);
        assert!(matches!(back[..], [Did::Continues, Did::Resumed(_)]), "{back:?}");
        assert_eq!(
            (show.states(), show.updates()),
            (vec![PostState::Live], usize::try_from(2 * round).unwrap())
        );
    }
    // Too late for once, it is another stream with a post of its own, which comes and goes as well.
    show.drop_encoder(6000);
    show.watch(6000..=6995);
    show.connect(7000);
    let did = show.watch(7000..=7100);
    assert!(matches!(did[..], [Did::Started, Did::Announced(_)]), "{did:?}");
    show.drop_encoder(7200);
    show.watch(7200..=7300);
    show.connect(7400);
    show.watch(7400..=7500);
    assert_eq!(show.states(), [PostState::Ended, PostState::Live]);
}

#[test]
fn an_encoder_that_comes_and_goes_all_day_does_not_edit_the_post_all_day() {
    for on_end in [OnEnd::Update, OnEnd::Delete] {
        for away in [35, 95, 400, 890] {
            let mut show = live(Rules { on_end, ..rules() });
            let mut now = 105;
            while now < 12 * 3600 {
                show.drop_encoder(now);
                show.watch(now..=now + away - 5);
                show.connect(now + away);
                show.watch(now + away..=now + away + 100);
                now += away + 105;
            }
            let told = |kind| show.world.sent(kind).len();
            let told = [OutgoingKind::Create, OutgoingKind::Update, OutgoingKind::Delete].map(told);
            assert!(told.iter().sum::<usize>() <= 15, "{on_end:?}, away for {away} s: {told:?}");
            assert_eq!(show.states().last(), Some(&PostState::Live));
        }
    }
}

#[test]
fn a_stream_that_keeps_connecting_anew_is_announced_once_it_is_old_enough() {
    for (offer, due) in [(real(), 180..=230), (Offer::NoneYet, 270..=320)] {
        let mut show = Show::new(rules());
        show.offer = offer;
        let mut out = None;
        for start in (0..600).step_by(50) {
            show.connect(start);
            show.not_online();
            let mut did = show.watch(start..=start + 9);
            assert_eq!(announced(&did), [], "there is nothing to watch at {start}");
            show.connect(start);
            for now in (start + 10..=start + 40).step_by(5) {
                did = show.look(now);
                out = out.or(announced(&did).first().map(|_| now));
            }
            show.drop_encoder(start + 42);
            show.watch(start + 45..=start + 49);
        }
        assert!(out.is_some_and(|out| due.contains(&out)), "{out:?}");
        assert_eq!((show.states(), show.updates()), (vec![PostState::Live], 0));
    }
}

#[test]
fn who_has_run_steadily_since_is_waited_for_no_longer_than_at_first() {
    let mut show = live(rules());
    for round in 1..=4 {
        let start = round * 1000;
        show.drop_encoder(start);
        show.watch(start..=start + 295);
        show.connect(start + 300);
        show.watch(start + 300..=start + 400);
    }
    show.watch(4405..=7900);
    show.drop_encoder(7901);
    let did = show.watch(7905..=7940);
    assert!(matches!(did[..], [Did::Lost, Did::Ended(Some(_), _)]), "{did:?}");
}

#[test]
fn whatever_went_on_while_nobody_looked_is_caught_up_with() {
    type Meanwhile = fn(&mut Show);
    let later: [(&str, Meanwhile, &[PostState]); 5] = [
        ("nothing", |_| {}, &[PostState::Live]),
        ("a short break", |show| show.connect(500), &[PostState::Live]),
        ("the end", |show| show.drop_encoder(500), &[PostState::Ended]),
        ("another stream", |show| show.connect(4000), &[PostState::Ended, PostState::Live]),
        ("Owncast restarted", Show::crash, &[PostState::Ended]),
    ];
    for (what, meanwhile, states) in later {
        // Announced and live; or lost a moment ago.
        for lost in [false, true] {
            let mut show = live(rules());
            if lost {
                show.drop_encoder(102);
                assert_eq!(show.look(105), [Did::Lost]);
                if what == "nothing" {
                    show.connect(110);
                }
            }
            meanwhile(&mut show);
            show.watch(5000..=5200);
            assert_eq!(show.states(), states, "{what}, lost: {lost}");
        }
        // Not announced yet, or over.
        let mut show = Show::new(rules());
        show.connect(0);
        show.watch(0..=20);
        meanwhile(&mut show);
        let did = show.watch(5000..=5200);
        let running = states.last() == Some(&PostState::Live);
        assert_eq!(announced(&did).len(), usize::from(running), "{what}");
        let mut show = live(rules());
        show.drop_encoder(110);
        show.watch(110..=200);
        let before = show.updates();
        meanwhile(&mut show);
        show.watch(5000..=5200);
        let want: &[PostState] = match what {
            "a short break" => &[PostState::Live],
            "another stream" => &[PostState::Ended, PostState::Live],
            _ => &[PostState::Ended],
        };
        assert_eq!(show.states(), want, "{what}");
        assert_eq!(show.updates() - before, usize::from(what == "a short break"));
    }
}

#[test]
fn settings_that_change_in_mid_stream_count_from_then_on() {
    // The delay grows beyond the stream, and shrinks again.
    let mut show = Show::new(rules());
    show.connect(0);
    show.watch(0..=30);
    show.rules.delay = secs(600);
    assert!(show.watch(35..=300).is_empty());
    show.rules.delay = secs(120);
    assert_eq!(announced(&show.look(305)).len(), 1);
    // Longer than the stream: never.
    let mut show = Show::new(Rules { delay: secs(3600), ..rules() });
    show.connect(0);
    show.watch(0..=3590);
    show.drop_encoder(3590);
    show.watch(3590..=8000);
    assert!(show.posts().is_empty());
    // Switched off while it is live: its post is still true to the end, and does not come back.
    let mut show = live(rules());
    show.rules.go_live = false;
    show.title = "B".to_owned();
    assert!(matches!(show.watch(105..=2000)[..], [Did::Retitled(_)]));
    show.drop_encoder(2000);
    show.watch(2000..=2100);
    show.connect(2200);
    show.watch(2200..=2300);
    assert_eq!((show.states(), show.updates()), (vec![PostState::Ended], 2));
    show.rules.go_live = true;
    assert!(matches!(show.look(2305)[..], [Did::Resumed(_)]));
}
