//! What the operator wants of the next posts.

use super::stream::{Show, announced, real};
use super::stream_life::live;
use super::*;
use crate::decide::stream::{Did, Offer};
use crate::decide::wishes::{self, Hold, NotNow, Skipped};
use crate::model::post::PostState;
use crate::model::stream::Stream;
use crate::model::wishes::Wishes;

impl Show {
    fn want<T>(&mut self, now: i64, how: impl FnOnce(&mut Draft<'_>) -> T) -> T {
        self.world.act(at(now), |draft, _| how(draft))
    }

    fn wishes(&self) -> Wishes {
        self.world.view().meta()
    }

    fn hold(&self, now: i64) -> Option<Hold> {
        wishes::hold(self.world.view(), &self.rules, at(now))
    }

    fn session(&self) -> Ulid {
        self.world.view().meta::<Stream>().session.unwrap().id
    }
}

/// A show whose encoder is connected and not announced yet, at 30 s.
fn connecting() -> Show {
    let mut show = Show::new(rules());
    show.connect(0);
    show.watch(0..=30);
    show
}

#[test]
fn what_is_skipped_is_this_stream_or_the_next() {
    let mut show = Show::new(rules());
    assert_eq!(show.want(0, wishes::skip), Skipped::Next);
    let mut show = connecting();
    let session = show.session();
    assert_eq!(show.want(31, wishes::skip), Skipped::ThisSession(session));
    let mut show = live(rules());
    let post = show.posts()[0].id;
    assert_eq!(show.want(101, wishes::skip), Skipped::NextSinceAnnounced(post));
    show.drop_encoder(200);
    show.watch(200..=300);
    assert_eq!(show.want(301, wishes::skip), Skipped::Next);
}

#[test]
fn a_skipped_stream_is_never_announced_and_the_one_behind_it_is() {
    for next in [true, false] {
        let mut show = if next { Show::new(rules()) } else { connecting() };
        show.want(31, wishes::skip);
        if next {
            assert_eq!(show.hold(31), Some(Hold::Skipped));
            show.connect(32);
        }
        show.watch(35..=500);
        assert_eq!(show.hold(500), Some(Hold::Skipped));
        // Flapping within the grace and beyond it.
        for (gone, back) in [(500, 510), (600, 700), (800, 1600)] {
            show.drop_encoder(gone);
            show.watch(gone..=back - 5);
            show.connect(back);
            show.watch(back..=back + 95);
            assert!(show.posts().is_empty(), "{next}: back at {back}");
        }
        show.drop_encoder(2000);
        show.watch(2000..=2100);
        assert_eq!(show.wishes(), Wishes::default(), "forgotten when it is over");
        show.connect(4000);
        assert_eq!(announced(&show.watch(4000..=4100)).len(), 1);
    }
}

#[test]
fn a_skipped_stream_does_not_continue_the_post_of_the_one_before() {
    let mut show = live(rules());
    show.want(101, wishes::skip);
    show.drop_encoder(200);
    show.watch(200..=300);
    show.connect(310);
    assert_eq!(show.watch(310..=500), [Did::Started]);
    assert_eq!((show.states(), show.updates()), (vec![PostState::Ended], 1));
}

#[test]
fn a_skip_can_be_taken_back_while_the_stream_runs() {
    let mut show = connecting();
    assert!(!show.want(31, wishes::unskip));
    show.want(31, wishes::skip);
    show.watch(35..=300);
    assert!(show.want(301, wishes::unskip));
    assert_eq!(announced(&show.look(305)).len(), 1);
}

#[test]
fn nothing_is_announced_during_a_pause_and_what_runs_then_is_announced_after_it() {
    let mut show = connecting();
    show.want(31, |draft| wishes::pause(draft, at(1000)));
    assert_eq!(show.hold(31), Some(Hold::Paused(at(1000))));
    assert!(show.watch(35..=995).is_empty());
    assert_eq!(announced(&show.look(1000)).len(), 1);
    assert_eq!(show.wishes().paused_until, None);
    // One that is over by then is not.
    let mut show = connecting();
    show.want(31, |draft| wishes::pause(draft, at(1000)));
    show.drop_encoder(900);
    show.watch(35..=2000);
    assert!(show.posts().is_empty());
    // Taken back early.
    let mut show = connecting();
    show.want(31, |draft| wishes::pause(draft, at(100_000)));
    show.watch(35..=200);
    assert!(show.want(201, |draft| wishes::resume(draft, at(201))));
    assert!(!show.want(201, |draft| wishes::resume(draft, at(201))));
    assert_eq!(announced(&show.look(205)).len(), 1);
}

#[test]
fn what_is_out_stays_true_during_a_pause() {
    let mut show = live(rules());
    show.want(101, |draft| wishes::pause(draft, at(3000)));
    show.drop_encoder(200);
    show.watch(200..=300);
    assert_eq!((show.states(), show.updates()), (vec![PostState::Ended], 1));
    // It comes back: nobody is told before the pause is over.
    show.connect(310);
    assert_eq!(show.watch(310..=2995), [Did::Continues]);
    assert_eq!((show.states(), show.updates()), (vec![PostState::Ended], 1));
    assert!(matches!(show.look(3000)[..], [Did::Resumed(_)]));
}

#[test]
fn a_message_is_for_one_post_and_that_post_keeps_it() {
    let mut show = Show::new(Rules { message: Some("Always {title}".to_owned()), ..rules() });
    show.want(0, |draft| wishes::message(draft, Some("Only today: {title}".to_owned())));
    // A stream that has no post does not use it up.
    show.connect(0);
    show.watch(0..=20);
    show.drop_encoder(20);
    show.watch(20..=100);
    show.connect(200);
    show.watch(200..=300);
    assert_eq!(show.posts()[0].content, "<p>Only today: Etching</p>");
    assert_eq!(show.wishes(), Wishes::default());
    show.title = "B".to_owned();
    show.watch(305..=1000);
    assert_eq!(show.posts()[0].content, "<p>Only today: B</p>");
    show.drop_encoder(1000);
    show.watch(1000..=1100);
    show.title = "C".to_owned();
    show.connect(1200);
    show.watch(1200..=1300);
    assert_eq!(show.posts()[0].content, "<p>Only today: C</p>");
    show.drop_encoder(2000);
    show.watch(2000..=2100);
    show.connect(4000);
    show.watch(4000..=4100);
    assert_eq!(show.posts()[1].content, "<p>Always C</p>");
    // Taken back, it is used for none.
    show.want(4100, |draft| wishes::message(draft, Some("No".to_owned())));
    show.want(4100, |draft| wishes::message(draft, None));
    assert_eq!(show.wishes(), Wishes::default());
}

#[test]
fn by_hand_a_stream_is_announced_at_once_whatever_holds_it_back() {
    type Held = fn(&mut Show);
    let held: [(&str, Held); 5] = [
        ("delay", |show| show.rules.delay = secs(3600)),
        ("pause", |show| show.want(31, |draft| wishes::pause(draft, at(100_000)))),
        ("skip", |show| {
            show.want(31, wishes::skip);
        }),
        ("switched off", |show| show.rules.go_live = false),
        ("not online", Show::not_online),
    ];
    for (what, hold) in held {
        for offer in [real(), Offer::NoneYet] {
            let mut show = connecting();
            show.offer = offer.clone();
            hold(&mut show);
            let session = show.session();
            assert_eq!(show.want(32, wishes::now), Ok(session), "{what}");
            assert_eq!(show.hold(32), None, "{what}");
            assert_eq!(announced(&show.look(35)).len(), 1, "{what}");
            let post = show.posts().remove(0);
            assert_eq!(post.picture.is_some(), offer != Offer::NoneYet);
            assert_eq!(show.want(36, wishes::now), Err(NotNow::Announced(post.id)));
            let left = show.wishes();
            assert_eq!((left.now, left.skip), (None, None), "{what}");
            // The end is told as ever.
            show.drop_encoder(50);
            show.rules.delay = secs(60);
            show.watch(50..=200);
            assert_eq!(show.states(), [PostState::Ended], "{what}");
        }
    }
}

#[test]
fn by_hand_needs_a_stream_and_is_forgotten_with_it() {
    let mut show = Show::new(rules());
    assert_eq!(show.want(0, wishes::now), Err(NotNow::NoStream));
    show.connect(0);
    show.look(0);
    show.drop_encoder(5);
    show.look(5);
    assert!(show.want(6, wishes::now).is_ok(), "it may be back in a moment");
    show.watch(10..=100);
    assert_eq!(show.wishes(), Wishes::default());
    assert_eq!(show.want(101, wishes::now), Err(NotNow::NoStream));
    show.connect(200);
    assert!(announced(&show.watch(200..=255)).is_empty());
}

#[test]
fn of_skip_and_now_the_later_counts() {
    let mut show = connecting();
    show.want(31, wishes::now).unwrap();
    show.want(32, wishes::skip);
    show.watch(35..=500);
    assert!(show.posts().is_empty());
    show.want(501, wishes::now).unwrap();
    assert_eq!(announced(&show.look(505)).len(), 1);
}

#[test]
fn a_stream_that_came_back_can_be_made_live_by_hand() {
    let mut show = live(rules());
    show.want(101, |draft| wishes::pause(draft, at(100_000)));
    show.drop_encoder(200);
    show.watch(200..=300);
    show.connect(310);
    show.watch(310..=400);
    show.want(401, wishes::now).unwrap();
    assert!(matches!(show.look(405)[..], [Did::Resumed(_)]));
    assert_eq!((show.states(), show.wishes().now), (vec![PostState::Live], None));
}

#[test]
fn a_preview_is_the_post_and_writes_nothing() {
    let mut show = connecting();
    show.rules.message = Some("Live: {title} {tags}".to_owned());
    show.rules.audience = Audience::Followers;
    show.facts.nsfw = true;
    show.title = "Etching #pcb".to_owned();
    for message in [None, Some("Once {title}".to_owned())] {
        show.want(31, |draft| wishes::message(draft, message.clone()));
        let preview = |show: &Show, offer: &Offer| {
            wishes::preview(show.world.view(), at(31), &show.rules, &show.facts, &show.title, offer)
        };
        let shown = preview(&show, &real());
        assert_eq!(preview(&show, &Offer::NoneYet).picture, None);
        assert_eq!(shown.message_for_this_post, message.is_some());
        assert!(shown.text.ends_with("Etching #pcb"), "{}", shown.text);
        assert_eq!(shown.hold, None);
        let mut other = connecting();
        (other.rules, other.facts, other.title) =
            (show.rules.clone(), show.facts.clone(), show.title.clone());
        other.want(31, |draft| wishes::message(draft, message.clone()));
        other.watch(35..=100);
        let post = other.posts().remove(0);
        assert_eq!(
            (shown.content, shown.tags, shown.audience, shown.sensitive, shown.picture, shown.alt),
            (post.content, post.tags, post.audience, post.sensitive, post.picture, post.alt)
        );
    }
    assert!(show.posts().is_empty());
}

#[test]
fn what_was_restored_announces_nothing_until_it_is_resumed_whatever_else_is_wished() {
    let mut show = connecting();
    show.want(31, wishes::now).unwrap();
    show.want(31, |draft| wishes::restore(draft, at(31)));
    assert_eq!(show.want(32, wishes::now), Err(NotNow::Restored(at(31))));
    show.want(32, |draft| wishes::pause(draft, at(40)));
    show.watch(32..=400);
    assert_eq!((show.posts().len(), show.hold(400)), (0, Some(Hold::Restored(at(31)))));
    assert!(
        !show.want(401, |draft| wishes::resume(draft, at(401))),
        "the pause is over, and that is all it ends"
    );
    show.watch(401..=402);
    assert_eq!((show.posts().len(), show.hold(402)), (0, Some(Hold::Restored(at(31)))));
    assert!(show.want(402, wishes::release));
    assert!(!show.want(402, wishes::release));
    show.watch(403..=404);
    assert_eq!((show.posts().len(), show.hold(404)), (1, None));
}
