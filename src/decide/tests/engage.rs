//! Likes and announces: counted once, taken back by whatever the Undo names, told once.

use proptest::prelude::*;

use super::*;
use crate::decide::engage::{Engaged, Ours, engage, forget, ours, undo};
use crate::decide::shares::Shares;
use crate::decide::sweep::{Cursor, sweep};
use crate::decide::{publish, waiting};
use crate::model::engagement::EngagementKind;
use crate::model::engagement::EngagementKind::{Announce, Like};
use crate::model::notices::NoticeKind;

impl World {
    fn posted(&mut self, now: i64) -> Ulid {
        self.act(at(now), |draft, moment| {
            let what =
                publish::Announcement { session: Ulid(1), template: "", title: "Etching", picture: None };
            publish::announce(draft, moment, &rules(), &facts(), what).id
        })
    }

    fn engage(&mut self, now: i64, kind: EngagementKind, who: &Person, what: Ours, id: &str) -> Engaged {
        let signature = self.decisions.to_string();
        self.signed(now, kind, who, what, id, &signature)
    }

    fn signed(
        &mut self,
        now: i64,
        kind: EngagementKind,
        who: &Person,
        what: Ours,
        id: &str,
        signature: &str,
    ) -> Engaged {
        let sent = sent(id, signature, now);
        self.act(at(now), |draft, moment| engage(draft, moment, kind, who, what, sent))
    }

    /// What was signed at `stamp` comes.
    fn late(&mut self, now: i64, stamp: i64, who: &Person, what: Ours, id: &str) -> Engaged {
        let signature = self.decisions.to_string();
        let sent = sent(id, &signature, stamp);
        self.act(at(now), |draft, moment| engage(draft, moment, Like, who, what, sent))
    }

    fn undo(
        &mut self,
        now: i64,
        who: &Person,
        inner: Option<&str>,
        about: Option<(EngagementKind, Ours)>,
    ) -> Engaged {
        self.act(at(now), |draft, moment| undo(draft, moment, &who.actor, inner, about, at(now)))
    }

    /// Likes and shares as counted; they are always those of a recount.
    fn counts(&self, post: Ulid) -> (u64, u64) {
        let standing = |kind| {
            let all = self.all::<Engagement>();
            all.iter().filter(|e| e.post == Some(post) && e.kind == kind && !e.undone).count() as u64
        };
        self.assert_consistent();
        let counted = self.post(post);
        assert_eq!((counted.likes, counted.shares), (standing(Like), standing(Announce)));
        (counted.likes, counted.shares)
    }
}

#[test]
fn only_ids_of_ours_are_ours() {
    let a = rules().addresses;
    for (object, want) in [
        (a.actor(), Some(Ours::Actor)),
        (a.note(Ulid(5)), Some(Ours::Post(Ulid(5)))),
        (a.create(Ulid(5)), Some(Ours::Post(Ulid(5)))),
        (format!("{}/likes", a.note(Ulid(5))), None),
        (format!("{}#x", a.note(Ulid(5))), None),
        (format!("{}/activity/activity", a.note(Ulid(5))), None),
        (a.inbox(), None),
        ("https://peer.example/notes/1".to_owned(), None),
        (String::new(), None),
    ] {
        assert_eq!(ours(&a, &object), want, "{object}");
    }
}

#[test]
fn a_like_counts_once_and_is_told_once() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let post = Ours::Post(world.posted(0));
    let Ours::Post(id) = post else { panic!() };
    for (now, activity, want) in
        [(1, "1", Engaged::Counted), (2, "1", Engaged::Nothing), (3, "2", Engaged::Nothing)]
    {
        assert_eq!(world.engage(now, Like, &ana, post, activity), want);
        assert_eq!(world.counts(id), (1, 0));
    }
    assert_eq!(world.engage(4, Announce, &ana, post, "3"), Engaged::Counted);
    assert_eq!(world.counts(id), (1, 1));
    let notices = world.notices();
    assert_eq!(notices.len(), 2);
    assert!(notices.iter().all(|notice| notice.live_post && notice.actor == ana.actor));
}

#[test]
fn taken_back_and_done_again_is_counted_and_not_told_again() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let id = world.posted(0);
    for round in 0..3 {
        let activity = format!("like {round}");
        assert_eq!(world.engage(round, Like, &ana, Ours::Post(id), &activity), Engaged::Counted);
        assert_eq!(world.counts(id), (1, 0));
        assert_eq!(world.undo(round, &ana, Some(&activity), None), Engaged::Counted);
        assert_eq!(world.undo(round, &ana, Some(&activity), None), Engaged::Nothing);
        assert_eq!(world.counts(id), (0, 0));
    }
    assert_eq!(world.notices().len(), 1);
}

#[test]
fn who_was_told_of_is_not_told_of_again_by_going_and_coming_back() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let id = world.posted(0);
    for round in 0..3 {
        let activity = format!("like {round}");
        assert_eq!(world.engage(10 * round, Like, &ana, Ours::Post(id), &activity), Engaged::Counted);
        assert_eq!(world.notices().len(), usize::from(round == 0), "{round}");
        world.act(at(10 * round + 1), |draft, _| forget(draft, &ana.actor));
        assert!(world.notices().is_empty(), "nobody is told of who is gone");
    }
}

#[test]
fn however_many_come_at_once_each_is_told_once_and_can_be_taken_back() {
    let mut world = World::default();
    let (id, crowd) = (world.posted(0), 150);
    let who = |number: usize| person(&format!("n{number}"), "peer.example");
    for number in 0..crowd {
        world.engage(1, Like, &who(number), Ours::Post(id), "like");
    }
    let mut records = 0;
    world.view().scan_bytes(&[kind::NOTICE], &[kind::NOTICE], &mut |_, value| {
        records += 1;
        assert!(value.len() < 8 * 1024, "it is written anew with each: {}", value.len());
        true
    });
    assert!((2..crowd).contains(&records), "{records}");
    let all = world.notices();
    assert!(all.is_sorted_by_key(|notice| notice.id));
    let told: Vec<&str> = all.iter().map(|notice| notice.actor.as_str()).collect();
    assert_eq!(told, (0..crowd).map(|number| who(number).actor).collect::<Vec<_>>());
    // Whoever goes is not told of, and whatever is said is taken out, wherever it stands.
    let gone = [0, 3, crowd - 1];
    for number in gone {
        world.act(at(2), |draft, _| forget(draft, &who(number).actor));
    }
    assert_eq!(world.notices().len(), crowd - gone.len());
    let said: Vec<Ulid> = world.notices().iter().step_by(2).map(|notice| notice.id).collect();
    world.act(at(3), |draft, _| waiting::take(draft, said.clone()));
    let left = world.notices();
    assert_eq!(left.len(), crowd - gone.len() - said.len());
    assert!(left.iter().all(|notice| !said.contains(&notice.id)));
    world.act(at(4), |draft, _| {
        waiting::add(draft, &all[1]);
        waiting::take(draft, left.iter().map(|notice| notice.id));
    });
    assert_eq!(world.notices(), all[1..2]);
}

#[test]
fn an_undo_is_found_by_id_or_by_what_it_embeds() {
    for (inner, about, works) in [
        (Some("like"), None, true),
        (None, Some(Like), true),
        // Pixelfed names another id than the Like had.
        (Some("other"), Some(Like), true),
        (Some("other"), None, false),
        (Some("other"), Some(Announce), false),
        (None, None, false),
    ] {
        let (mut world, ana) = (World::default(), person("ana", "peer.example"));
        let id = world.posted(0);
        world.engage(1, Like, &ana, Ours::Post(id), "like");
        let about = about.map(|kind| (kind, Ours::Post(id)));
        let want = if works { Engaged::Counted } else { Engaged::Nothing };
        assert_eq!(world.undo(2, &ana, inner, about), want, "{inner:?} {about:?}");
        assert_eq!(world.counts(id), (u64::from(!works), 0));
    }
}

#[test]
fn nobody_takes_back_what_another_did() {
    let mut world = World::default();
    let (ana, bo) = (person("ana", "peer.example"), person("bo", "peer.example"));
    let id = world.posted(0);
    world.engage(1, Like, &ana, Ours::Post(id), "like");
    assert_eq!(world.undo(2, &bo, Some("like"), Some((Like, Ours::Post(id)))), Engaged::Nothing);
    assert_eq!(world.counts(id), (1, 0));
    // And bo's Undo did not poison ana's id.
    world.undo(3, &ana, Some("like"), None);
    assert_eq!(world.engage(4, Like, &ana, Ours::Post(id), "again"), Engaged::Counted);
}

#[test]
fn an_undo_that_came_first_is_remembered_for_some_hours() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let id = world.posted(0);
    world.undo(1, &ana, Some("like"), None);
    assert_eq!(world.late(2, 0, &ana, Ours::Post(id), "like"), Engaged::Nothing);
    assert_eq!(world.engage(3, Like, &ana, Ours::Post(id), "another"), Engaged::Counted);
    assert_eq!(world.counts(id), (1, 0));
    let bo = person("bo", "peer.example");
    world.undo(1, &bo, Some("like"), None);
    assert_eq!(world.late(6 * 3600 + 2, 0, &bo, Ours::Post(id), "like"), Engaged::Counted);
    // What was refused for now is signed anew when it is tried again, after the Undo that was not.
    let cy = person("cy", "peer.example");
    world.undo(5, &cy, Some("like"), None);
    assert_eq!(world.late(30, 30, &cy, Ours::Post(id), "like"), Engaged::Nothing);
    assert_eq!(world.late(31, 30, &cy, Ours::Post(id), "like"), Engaged::Nothing);
    assert_eq!(
        world.late(40, 40, &cy, Ours::Post(id), "like"),
        Engaged::Counted,
        "another, under an id used again"
    );
}

#[test]
fn a_like_from_before_its_undo_stays_undone() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let id = world.posted(0);
    world.engage(1, Like, &ana, Ours::Post(id), "like");
    world.undo(5, &ana, Some("like"), Some((Like, Ours::Post(id))));
    // It was signed anew because the answer was lost, and comes late; one that was signed after the Undo is another like.
    for (now, stamp) in [(6, 3), (86_400, 5)] {
        assert_eq!(world.late(now, stamp, &ana, Ours::Post(id), "like"), Engaged::Nothing);
        assert_eq!(world.counts(id), (0, 0));
    }
    assert_eq!(world.late(86_401, 6, &ana, Ours::Post(id), "like"), Engaged::Counted);
    assert_eq!(world.counts(id), (1, 0));
}

#[test]
fn software_that_uses_ids_again_can_like_take_back_and_like_again() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let id = world.posted(0);
    let about = Some((Like, Ours::Post(id)));
    for round in 0..3 {
        let now = 10 * round;
        assert_eq!(world.engage(now, Like, &ana, Ours::Post(id), "like"), Engaged::Counted, "{round}");
        assert_eq!(world.counts(id), (1, 0));
        assert_eq!(world.undo(now + 1, &ana, Some("like"), about), Engaged::Counted, "{round}");
        assert_eq!(world.undo(now + 1, &ana, Some("like"), about), Engaged::Nothing, "{round}");
        assert_eq!(world.counts(id), (0, 0));
    }
    assert_eq!(world.notices().len(), 1);
    // An Undo that is late is not of what came since under the same id, whether or not that one was late as well.
    let late = |world: &mut World, stamp: i64| {
        world.act(at(99), |draft, moment| undo(draft, moment, &ana.actor, Some("like"), about, at(stamp)))
    };
    world.engage(40, Like, &ana, Ours::Post(id), "like");
    assert_eq!(late(&mut world, 39), Engaged::Nothing);
    world.engage(50, Like, &ana, Ours::Post(id), "like");
    world.late(51, 45, &ana, Ours::Post(id), "like");
    assert_eq!(late(&mut world, 49), Engaged::Nothing);
    assert_eq!(world.counts(id), (1, 0));
    assert_eq!(late(&mut world, 60), Engaged::Counted);
    assert_eq!(world.counts(id), (0, 0));
}

#[test]
fn an_undo_of_an_older_like_does_not_take_back_the_newer() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let id = world.posted(0);
    world.engage(1, Like, &ana, Ours::Post(id), "old");
    // Old undone, new done; the Undo comes last, and twice.
    world.engage(2, Like, &ana, Ours::Post(id), "new");
    // The day after, too: what was overtaken is remembered for as long as that.
    world.engage(2, Like, &ana, Ours::Post(id), "newest");
    for (now, old) in [(3, "old"), (4, "old"), (86_400, "new")] {
        world.act(at(now), |draft, _| sweep(draft, &Cursor::new(), at(now), 1000, &Shares::default()));
        assert_eq!(world.undo(now, &ana, Some(old), Some((Like, Ours::Post(id)))), Engaged::Nothing);
    }
    assert_eq!(world.counts(id), (1, 0));
    assert_eq!(world.undo(86_401, &ana, Some("newest"), None), Engaged::Counted);
    assert_eq!(world.counts(id), (0, 0));
}

#[test]
fn an_undo_that_is_signed_anew_takes_back_nothing_that_came_since() {
    // Whether or not it came before what it undoes.
    for early in [false, true] {
        let (mut world, ana) = (World::default(), person("ana", "peer.example"));
        let id = world.posted(0);
        let about = Some((Like, Ours::Post(id)));
        if early {
            world.undo(2, &ana, Some("old"), about);
            assert_eq!(world.late(3, 1, &ana, Ours::Post(id), "old"), Engaged::Nothing);
        } else {
            world.engage(1, Like, &ana, Ours::Post(id), "old");
            assert_eq!(world.undo(2, &ana, Some("old"), about), Engaged::Counted);
        }
        world.engage(4, Like, &ana, Ours::Post(id), "new");
        for now in [5, 6] {
            assert_eq!(world.undo(now, &ana, Some("old"), about), Engaged::Nothing, "{early}");
        }
        assert_eq!(world.counts(id), (1, 0));
    }
}

#[test]
fn an_undo_under_an_id_of_its_own_works_each_time() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let id = world.posted(0);
    for round in 0..3 {
        let now = 10 * round;
        assert_eq!(world.engage(now, Like, &ana, Ours::Post(id), "like"), Engaged::Counted, "{round}");
        let undo = world.undo(now + 1, &ana, Some("other"), Some((Like, Ours::Post(id))));
        assert_eq!(undo, Engaged::Counted, "{round}");
    }
}

#[test]
fn software_without_ids_can_like_take_back_and_like_again() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let id = world.posted(0);
    let note = rules().addresses.note(id);
    for round in 0..3 {
        assert_eq!(world.engage(round, Like, &ana, Ours::Post(id), &note), Engaged::Counted);
        assert_eq!(world.engage(round, Announce, &ana, Ours::Post(id), &note), Engaged::Counted);
        assert_eq!(world.undo(round, &ana, None, Some((Like, Ours::Post(id)))), Engaged::Counted);
        assert_eq!(world.counts(id), (0, 1));
        assert_eq!(world.undo(round, &ana, None, Some((Announce, Ours::Post(id)))), Engaged::Counted);
    }
}

#[test]
fn what_is_deleted_or_never_was_is_not_ours() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let id = world.posted(0);
    world.engage(1, Like, &ana, Ours::Post(id), "like");
    let post = world.post(id);
    world.act(at(2), |draft, moment| publish::delete(draft, moment, &rules(), post));
    let before = world.view.len();
    assert_eq!(world.engage(3, Announce, &ana, Ours::Post(id), "share"), Engaged::NotOurs);
    assert_eq!(world.engage(3, Like, &ana, Ours::Post(Ulid(9)), "like 2"), Engaged::NotOurs);
    assert_eq!(world.view.len(), before, "nothing is kept of it");
    world.undo(4, &ana, Some("like"), None);
    assert_eq!(world.counts(id), (0, 0));
}

#[test]
fn old_posts_are_counted_in_silence() {
    for (age, told) in [(36 * 3600, 1), (36 * 3600 + 1, 0), (-60, 1)] {
        let (mut world, ana) = (World::default(), person("ana", "peer.example"));
        let id = world.posted(0);
        assert_eq!(world.engage(age, Like, &ana, Ours::Post(id), "like"), Engaged::Counted);
        assert_eq!((world.counts(id), world.notices().len()), ((1, 0), told), "{age}");
    }
}

#[test]
fn the_actor_itself_can_be_liked() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    assert_eq!(world.engage(0, Announce, &ana, Ours::Actor, "share"), Engaged::Counted);
    let notices = world.notices();
    assert_eq!((notices.len(), notices[0].kind, notices[0].live_post), (1, NoticeKind::Announce, false));
    assert_eq!(world.undo(1, &ana, Some("share"), None), Engaged::Counted);
}

#[test]
fn forgetting_an_actor_takes_only_theirs_back() {
    let mut world = World::default();
    let (ana, anabel) = (person("ana", "peer.example"), person("anabel", "peer.example"));
    let (one, two) = (world.posted(0), world.posted(1));
    for who in [&ana, &anabel] {
        world.engage(2, Like, who, Ours::Post(one), "like");
        world.engage(2, Announce, who, Ours::Post(two), "share");
    }
    world.undo(3, &ana, Some("like"), None);
    world.act(at(4), |draft, _| forget(draft, &ana.actor));
    assert_eq!((world.counts(one), world.counts(two)), ((1, 0), (0, 1)));
    assert!(world.all::<Engagement>().iter().all(|engagement| engagement.actor == anabel.actor));
}

/// A view that counts the entries that were looked at.
struct Counting<'a>(&'a MemoryView, std::cell::Cell<usize>);

impl View for Counting<'_> {
    fn get_bytes(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get_bytes(key)
    }

    fn scan_bytes(&self, prefix: &[u8], from: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        self.0.scan_bytes(prefix, from, &mut |key, value| {
            self.1.set(self.1.get() + 1);
            each(key, value)
        });
    }
}

#[test]
fn forgetting_an_actor_looks_at_nobody_else() {
    let mut world = World::default();
    let id = world.posted(0);
    for number in 0..200 {
        world.engage(1, Like, &person(&format!("n{number}"), "peer.example"), Ours::Post(id), "like");
    }
    let counting = Counting(&world.view, std::cell::Cell::new(0));
    let mut draft = Draft::new(&counting);
    forget(&mut draft, &person("n7", "peer.example").actor);
    assert!(!draft.is_empty());
    assert!(counting.1.get() <= 2, "{}", counting.1.get());
}

#[test]
fn an_id_that_is_used_again_is_not_a_request_that_is_sent_again() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let id = world.posted(0);
    let post = Ours::Post(id);
    let about = Some((Like, post));
    assert_eq!(world.signed(1, Like, &ana, post, "like", "a"), Engaged::Counted);
    // Nobody got the answer, so it was signed anew; then taken back by software that names no ids.
    assert_eq!(world.signed(2, Like, &ana, post, "like", "b"), Engaged::Nothing);
    assert_eq!(world.undo(3, &ana, None, about), Engaged::Counted);
    for seen in ["a", "b"] {
        assert_eq!(world.signed(4, Like, &ana, post, "like", seen), Engaged::Nothing, "{seen}");
    }
    assert_eq!(world.signed(5, Like, &ana, post, "like", "c"), Engaged::Counted);
    world.act(at(6), |draft, _| forget(draft, &ana.actor));
    for seen in ["a", "b", "c"] {
        assert_eq!(world.signed(7, Like, &ana, post, "like", seen), Engaged::Nothing, "{seen}");
    }
    assert_eq!(world.counts(id), (0, 0));
}

proptest! {
    #![proptest_config(random(200))]
    #[test]
    fn what_is_sent_again_changes_no_count(
        events in prop::collection::vec((0..7u8, any::<bool>(), 0..2usize, 0..3u8, any::<prop::sample::Index>()), 1..40),
    ) {
        let (mut world, ana) = (World::default(), person("ana", "peer.example"));
        let posts = [world.posted(0), world.posted(0)];
        let mut sent = Vec::new();
        for (now, (what, like, post, activity, which)) in (1..).zip(events) {
            let (kind, activity) = (if like { Like } else { Announce }, activity.to_string());
            let post = Ours::Post(posts[post]);
            match what {
                0..=2 => {
                    sent.push((kind, post, activity.clone(), format!("at {now}")));
                    world.signed(now, kind, &ana, post, &activity, &format!("at {now}"));
                }
                3 => { world.undo(now, &ana, Some(&activity), None); }
                4 => { world.undo(now, &ana, None, Some((kind, post))); }
                5 => { world.undo(now, &ana, Some(&activity), Some((kind, post))); }
                _ => world.act(at(now), |draft, _| forget(draft, &ana.actor)),
            }
            if !sent.is_empty() {
                let before = posts.map(|post| world.counts(post));
                let (kind, post, activity, signature) = which.get(&sent).clone();
                let again = world.signed(now, kind, &ana, post, &activity, &signature);
                prop_assert_eq!(again, Engaged::Nothing);
                prop_assert_eq!(posts.map(|post| world.counts(post)), before);
            }
        }
    }

    #[test]
    fn counts_are_those_of_a_recount(
        events in prop::collection::vec((0..7u8, 0..3usize, any::<bool>(), 0..3u8), 1..60),
    ) {
        let mut world = World::default();
        let id = world.posted(0);
        for (now, (what, who, like, activity)) in (1..).zip(events) {
            let who = person(["ana", "bo", "cy"][who], "peer.example");
            let (kind, activity) = (if like { Like } else { Announce }, activity.to_string());
            let about = Some((kind, Ours::Post(id)));
            match what {
                0..=2 => { world.engage(now, kind, &who, Ours::Post(id), &activity); }
                3 => { world.undo(now, &who, Some(&activity), None); }
                4 => { world.undo(now, &who, Some(&activity), about); }
                5 => { world.undo(now, &who, None, about); }
                _ => world.act(at(now), |draft, _| forget(draft, &who.actor)),
            }
            let (likes, shares) = world.counts(id);
            prop_assert!(likes <= 3 && shares <= 3);
        }
        let told: std::collections::BTreeSet<_> =
            world.notices().into_iter().map(|notice| (notice.kind, notice.actor)).collect();
        prop_assert_eq!(told.len(), world.notices().len());
    }
}
