//! Coming and going more than once, and what of it is not to be believed.

use super::*;

/// A row that only its own server can complete.
fn inboxless(name: &str, state: FollowerState) -> Row {
    Row { inbox: String::new(), ..row(name, "a.example", state, -5) }
}

#[test]
fn an_actor_is_one_however_it_is_spelt() {
    let spelt =
        |actor: &str| Row { actor: actor.to_owned(), follow: None, ..row("ana", "m.example", Approved, -5) };
    let spellings = ["https://m.example", "https://m.example/", "HTTPS://M.example:443"];
    for first in spellings {
        let mut world = World::default();
        let inboxless = Row { inbox: String::new(), ..spelt("https://M.example/users/bö") };
        let tally = world.adopt(0, 1, batch(&[spelt(first), inboxless]));
        assert_eq!((tally.taken, tally.set_aside), (1, 1), "{first}");
        assert_eq!(world.all::<Follower>()[0].person.actor, "https://m.example/");
        for again in spellings {
            assert_eq!(world.adopt(1, 2, batch(&[spelt(again)])).known, 1, "{first} {again}");
        }
        // Its document names it in one spelling, and is its own.
        let found =
            Person { actor: "https://m.example/users/b%C3%B6".to_owned(), ..person("x", "m.example") };
        let state = world.act(at(2), |draft, _| adopt::refetched(draft, &terms(at(2), 0), &found));
        assert_eq!(state, Some(Approved), "{first}");
    }
}

#[test]
fn many_who_leave_at_once_are_not_believed() {
    for (left, of, too_many) in [(0, 0, false), (5, 5, false), (6, 17, true), (6, 18, false), (40, 100, true)]
    {
        assert_eq!(Leavers { left, of }.too_many(), too_many, "{left} of {of}");
    }
}

#[test]
fn an_answer_that_was_given_in_owncast_counts_before_its_row_is_believed() {
    let mut world = World::default();
    world.adopt(
        0,
        1,
        batch(&[inboxless("ana", Rejected), inboxless("bo", Pending), inboxless("cy", Approved)]),
    );
    let [ana, bo, cy] = ["ana", "bo", "cy"].map(|name| person(name, "a.example"));
    // Neither an Undo nor a new account nor a block is the way around a refusal.
    world.act(at(1), |draft, moment| {
        assert!(!follow::undo(draft, moment, &ana, at(1)));
        gone::deleted(draft, moment, &ana.actor);
        gone::blocked_us(draft, moment, &ana, at(1));
    });
    assert_eq!(adopt::due(world.view(), at(2), 10).0.len(), 2, "whoever is gone is not asked for");
    for who in [&ana, &bo, &cy] {
        world.follow(at(3), who);
    }
    let states = [&ana, &bo, &cy].map(|who| world.state(who));
    assert_eq!(states, [Some(Rejected), Some(Pending), Some(Approved)]);
    assert!(world.all::<SetAside>().is_empty() && world.notices().is_empty());
    world.assert_consistent();
}

#[test]
fn a_follow_that_may_be_forged_lets_nobody_in() {
    let forged = |state| Row {
        follow_id: Some("https://evil.example/follows/1".into()),
        ..row("ana", "a.example", state, -5)
    };
    let ana = person("ana", "a.example");
    let mut world = World::default();
    let tally = world.adopt(0, 1, batch(&[forged(Approved)]));
    assert_eq!((tally.set_aside, tally.taken), (1, 0));
    let state = world.act(at(1), |draft, _| adopt::refetched(draft, &terms(at(1), 0), &ana));
    assert_eq!((state, world.follower(&ana).unwrap().follow_id), (Some(Pending), None));
    assert_eq!(world.adopt(2, 2, batch(&[forged(Approved)])).known, 1);
    // Nor does it when its row changes.
    let later = Row { since: at(-4), ..forged(Approved) };
    assert_eq!(world.adopt(3, 3, batch(&[later])).changed, 1);
    assert_eq!(world.state(&ana), Some(Pending));
    world.act(at(4), |draft, moment| {
        follow::judge(draft, moment, &rules().addresses, &ana.actor, follow::Verdict::Approve).unwrap();
    });
    assert_eq!(world.adopt(5, 4, batch(&[forged(Approved)])).kept, 1);
    assert_eq!(world.state(&ana), Some(Approved));
    world.assert_consistent();
}

#[test]
fn the_api_and_the_database_say_the_same() {
    let mut world = World::default();
    let whole = row("ana", "a.example", Approved, -5);
    let less = |since| Row { inbox: String::new(), follow: None, follow_id: None, since, ..whole.clone() };
    world.adopt(0, 1, batch(std::slice::from_ref(&whole)));
    let before = world.all::<Follower>();
    // With a fraction, and without any time.
    for since in [whole.since + SignedDuration::from_millis(400), Timestamp::UNIX_EPOCH] {
        let tally = world.adopt(1, 2, batch(&[less(since)]));
        assert_eq!((tally.known, tally.changed), (1, 0));
    }
    assert_eq!(world.all::<Follower>(), before);
    // Who has left is not brought back by a row that does not tell since when.
    let ana = hermit("ana", "a.example");
    world.act(at(2), |draft, moment| follow::undo(draft, moment, &ana, at(2)));
    assert_eq!(world.adopt(3, 3, batch(&[less(Timestamp::UNIX_EPOCH)])).kept, 1);
    assert_eq!(world.state(&ana), Some(Left));
}

#[test]
fn whoever_had_left_before_anything_was_taken_stays_away() {
    let mut world = World::default();
    let (ana, bo) = (hermit("ana", "a.example"), hermit("bo", "a.example"));
    let rows = [row("ana", "a.example", Approved, -5), row("bo", "a.example", Approved, -5)];
    for who in [&ana, &bo] {
        world.follow(at(0), who);
    }
    world.act(at(1), |draft, moment| follow::undo(draft, moment, &ana, at(1)));
    let tally = world.adopt(2, 1, batch(&rows));
    assert_eq!((tally.kept, tally.known), (1, 1));
    world.act(at(3), |draft, moment| follow::undo(draft, moment, &bo, at(3)));
    // Some time after, when nobody who has left is kept.
    for who in [&ana, &bo] {
        world.act(at(4), |draft, _| followers::forget(draft, &who.actor, at(4)));
    }
    let again = world.adopt(5, 2, batch(&rows));
    assert_eq!((again.kept, again.taken), (2, 0));
}

#[test]
fn what_becomes_in_owncast_of_those_given_back_counts_again() {
    let mut world = World::default();
    let [ana, bo, cy, di] = ["ana", "bo", "cy", "di"].map(|name| hermit(name, "a.example"));
    for who in [&ana, &bo, &cy, &di] {
        world.follow(at(0), who);
    }
    let target = blocks::parse(&cy.actor).unwrap();
    world.act(at(1), |draft, _| blocks::add(draft, target, BlockOwner::Operator, at(1)));
    assert_eq!((world.state(&cy), adopt::not_given_back(world.view(), None)), (Some(Parked), 3));
    world.act(at(2), |draft, moment| {
        for (who, state) in [(&ana, Approved), (&bo, Approved), (&cy, Rejected)] {
            adopt::given(draft, &who.actor, state, at(2), true);
        }
        // It became another one while it was given back.
        follow::judge(draft, moment, &rules().addresses, &di.actor, follow::Verdict::Reject).unwrap();
        adopt::given(draft, &di.actor, Approved, at(2), true);
    });
    assert_eq!(adopt::not_given_back(world.view(), None), 0);
    // What Owncast itself says counts for more: an older copy may have been put back.
    let listed = BTreeSet::from([bo.actor.clone()]);
    assert_eq!(adopt::not_given_back(world.view(), Some(&listed)), 1);
    let undone = world.act(at(3), |draft, _| adopt::undo(draft, "", 100, at(3)).1);
    assert_eq!(undone, Undone { followers: 0, kept: 3, posts: 0 }, "they came by themselves");
    // Whoever is missing may have been given to a copy that is in nobody's use; the others come back as they went.
    let there = |name: &str, state| row(name, "a.example", state, 0);
    let rows = [there("bo", Approved), there("cy", Rejected), there("di", Approved)];
    let tally = world.adopt(100, 1, batch(&rows));
    assert_eq!((tally.known, tally.changed, tally.taken), (3, 0, 0), "{tally:?}");
    let names: BTreeSet<String> =
        rows.iter().map(|row| Taken::name_of(&row.actor)[..adopt::SHORT].to_owned()).collect();
    let roll = Roll { seen: Seen::Among(&names), ..EARLIER };
    let dry = world.act(at(100), |draft, _| adopt::leavers(draft, &terms(at(100), 9), &roll, "", 10).1);
    assert_eq!((dry, world.leavers(100, 1, 10)), (Leavers { left: 0, of: 2 }, Leavers { left: 0, of: 2 }));
    let states = [&ana, &bo, &cy, &di].map(|who| world.state(who));
    assert_eq!(states, [Some(Approved), Some(Approved), Some(Parked), Some(Rejected)]);
    // Who was given to that table and is gone has left.
    let rows = [there("ana", Approved), there("cy", Rejected), there("di", Approved)];
    let tally = world.adopt(200, 2, batch(&rows));
    assert_eq!((tally.known, tally.kept), (2, 1));
    let roll = Roll { given_back: Some(at(2)), ..EARLIER };
    assert_eq!(world.missing(200, 2, 10, &roll), Leavers { left: 1, of: 3 });
    assert_eq!((world.state(&ana), world.state(&bo)), (Some(Approved), None));
    world.assert_consistent();
}

/// Who of them is gone after a run that sees these rows, by that roll; and of how many. A dry run says the same.
fn gone_of(world: &World, rows: &[Row], roll: &Roll<'_>, names: &[&'static str]) -> (Vec<&'static str>, u64) {
    let mut world = world.clone();
    world.adopt(100, 2, batch(rows));
    let seen = rows.iter().map(|row| Taken::name_of(&row.actor)[..adopt::SHORT].to_owned()).collect();
    let dry = world.clone().missing(100, 9, 1, &Roll { seen: Seen::Among(&seen), ..*roll });
    let left = world.missing(100, 2, 1, roll);
    assert_eq!(dry, left, "a dry run says the same");
    world.assert_consistent();
    let gone: Vec<&str> =
        names.iter().copied().filter(|name| world.state(&hermit(name, "a.example")).is_none()).collect();
    assert_eq!(gone.len() as u64, left.left);
    (gone, left.of)
}

#[test]
fn whoever_was_given_back_and_is_not_in_that_table_any_more_has_left() {
    let names = ["ana", "bo", "cy", "di", "el", "fy"];
    let [ana, bo, cy, di, el, fy] = names.map(|name| hermit(name, "a.example"));
    for in_place in [true, false] {
        let mut world = World::default();
        world.adopt(
            0,
            1,
            batch(&[row("ana", "a.example", Approved, -5), row("bo", "a.example", Approved, -5)]),
        );
        for who in [&cy, &di, &fy] {
            world.follow(at(5), who);
        }
        // Given back at 10, all but the one who comes in between.
        let everybody = [&ana, &bo, &cy, &di, &fy];
        world.act(at(11), |draft, moment| {
            everybody.iter().for_each(|who| adopt::given(draft, &who.actor, Approved, at(10), in_place));
            // Refused here and let in again: that is another one than the one in the table.
            for verdict in [follow::Verdict::Reject, follow::Verdict::Approve] {
                follow::judge(draft, moment, &rules().addresses, &fy.actor, verdict).unwrap();
            }
        });
        world.follow(at(12), &el);
        // Then cy follows here once more, and of all of them only ana is still in Owncast's table.
        world.follow(at(90), &cy);
        let here = [row("ana", "a.example", Approved, -5)];
        let left = |given_back, taken| gone_of(&world, &here, &Roll { given_back, taken, ..EARLIER }, &names);
        assert_eq!(left(Some(at(10)), false), (vec!["bo", "di"], 3));
        assert_eq!(left(Some(at(10)), true), (vec!["bo", "di"], 3));
        // Another table in its place may never have had whoever it was not read from.
        let taken_from = if in_place { (vec![], 1) } else { (vec!["bo"], 2) };
        assert_eq!(left(Some(at(3)), true), taken_from);
        assert_eq!(left(None, true), taken_from);
        assert_eq!(left(None, false), (vec![], 1));
    }
}

#[test]
fn whoever_came_here_by_itself_is_not_owncasts_once_it_was_given_back() {
    let [ana, bo, cy] = ["ana", "bo", "cy"].map(|name| hermit(name, "a.example"));
    let there = |name: &str, since| row(name, "a.example", Approved, since);
    let mut world = World::default();
    world.adopt(0, 1, batch(&[there("ana", -5), there("cy", -5)]));
    world.follow(at(1), &bo);
    // Of what was taken of cy nothing is left.
    world.act(at(2), |draft, moment| follow::undo(draft, moment, &cy, at(2)));
    world.follow(at(3), &cy);
    world.act(at(10), |draft, _| {
        [&ana, &bo, &cy].iter().for_each(|who| adopt::given(draft, &who.actor, Approved, at(10), true));
    });
    let back = [there("ana", -5), there("bo", 1), there("cy", 3)];
    assert_eq!(world.adopt(20, 2, batch(&back)).known, 3);
    // And once more, when bo has followed anew there.
    let mut anew = world.clone();
    assert_eq!(anew.adopt(30, 3, batch(&[there("bo", 25)])).changed, 1);
    for world in [&world, &anew] {
        // A copy from before, in which neither of them ever was.
        let mut older = world.clone();
        assert_eq!(older.adopt(40, 4, batch(&back[..1])).known, 1);
        assert_eq!(older.leavers(40, 4, 10), Leavers { left: 0, of: 1 });
        let mut undone = world.clone();
        let done = undone.act(at(40), |draft, _| adopt::undo(draft, "", 100, at(40)).1);
        assert_eq!(done, Undone { followers: 1, kept: 2, posts: 0 });
        let states = [&ana, &bo, &cy].map(|who| undone.state(who));
        assert_eq!(states, [None, Some(Approved), Some(Approved)]);
    }
}

#[test]
fn whoever_was_not_written_into_a_table_has_not_left_it_whatever_the_clocks_say() {
    let names = ["ana", "bo", "cy", "di"];
    let [ana, bo, cy, di] = names.map(|name| hermit(name, "a.example"));
    let here = [row("ana", "a.example", Approved, 5)];
    // The second clock is ahead, and set right afterwards.
    for named in [10, 10_000] {
        for in_place in [true, false] {
            let mut world = World::default();
            world.follow(at(5), &ana);
            world.follow(at(5), &bo);
            world.act(at(11), |draft, _| {
                [&ana, &bo]
                    .iter()
                    .for_each(|who| adopt::given(draft, &who.actor, Approved, at(named), in_place));
            });
            // It came just before, and was written behind what was read.
            world.follow(at(9), &cy);
            world.follow(at(12), &di);
            // Its server's clock is slow.
            world.act(at(30), |draft, moment| {
                follow::follow(draft, moment, &rules(), bo.clone(), None, at(6));
            });
            let roll = Roll { given_back: Some(at(named)), taken: true, ..EARLIER };
            assert_eq!(gone_of(&world, &here, &roll, &names), (vec![], 1), "{named} {in_place}");
        }
    }
}

#[test]
fn a_stamp_is_as_public_as_what_is_quoted() {
    let base = "https://live.example/federation";
    let ours = rules().addresses;
    let post = |name: &str, to: &str| Document {
        id: format!("{base}/{name}"),
        json: format!("{{\"type\":\"Note\",\"id\":\"{base}/{name}\",\"to\":\"{to}\"}}"),
        at: at(-9),
    };
    let stamp = |name: &str, target: &str| Document {
        id: format!("{base}/{name}"),
        json: format!(
            "{{\"type\":\"QuoteAuthorization\",\"id\":\"{base}/{name}\",\"attributedTo\":\"{}\",\
             \"interactingObject\":\"https://a.example/notes/1\",\"interactionTarget\":\"{target}\"}}",
            ours.actor()
        ),
        at: at(-8),
    };
    let mut all = Batch::empty(&ours, 1, false);
    all.documents = vec![
        post("open", crate::model::addresses::PUBLIC),
        post("closed", &format!("{}/followers", ours.actor())),
        stamp("s1", &format!("{base}/open")),
        stamp("s2", &format!("{base}/closed")),
        stamp("s3", &format!("{base}/unknown")),
        stamp("s4", "https://a.example/federation/open"),
    ];
    let mut world = World::default();
    assert_eq!(world.adopt(0, 1, all).posts, 6);
    let public: Vec<String> =
        world.all::<Imported>().into_iter().filter(|post| post.public).map(|post| post.place).collect();
    assert_eq!(public, ["open", "s1"]);
}
