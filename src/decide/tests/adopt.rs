//! Moving in: every row is taken once, and what became of it here stands.

mod again;

use std::collections::BTreeSet;

use super::*;
use crate::decide::adopt::{self, Leavers, Misfit, Roll, Seen, Standing, Terms, Undone, check};
use crate::decide::{blocks, follow, followers, gone};
use crate::model::adopted::{Accepted, Batch, Deed, Document, Imported, Row, SetAside, Taken, Tally};
use crate::model::block::{Block, BlockOwner};
use crate::model::follower::FollowerState::{Approved, Left, Parked, Pending, Rejected};
use crate::model::notices::{NoticeKind, Said};
use crate::model::origin::{OriginError, RemotePolicy};

fn terms(now: Timestamp, run: u64) -> Terms {
    Terms { addresses: rules().addresses, policy: RemotePolicy::default(), run, now }
}

fn row(name: &str, host: &str, state: FollowerState, since: i64) -> Row {
    let actor = format!("https://{host}/users/{name}");
    Row {
        inbox: format!("{actor}/inbox"),
        shared_inbox: None,
        username: format!("{name}@{host}"),
        name: Some(name.to_owned()),
        icon: None,
        state,
        follow_id: Some(format!("https://{host}/follows/{name}")),
        follow: Some((actor.clone(), rules().addresses.actor())),
        since: at(since),
        actor,
    }
}

fn batch(followers: &[Row]) -> Batch {
    Batch { followers: followers.to_vec(), ..Batch::empty(&rules().addresses, 1, false) }
}

/// Whoever was taken earlier should be there.
const EARLIER: Roll<'_> = Roll { seen: Seen::InRun, taken: true, given_back: None };

impl World {
    fn adopt(&mut self, now: i64, run: u64, batch: Batch) -> Tally {
        self.act(at(now), |draft, _| adopt::take(draft, &terms(at(now), run), &batch))
    }

    fn leavers(&mut self, now: i64, run: u64, look: usize) -> Leavers {
        self.missing(now, run, look, &EARLIER)
    }

    fn missing(&mut self, now: i64, run: u64, look: usize, roll: &Roll<'_>) -> Leavers {
        let (mut from, mut all) = (Some(String::new()), Leavers::default());
        while let Some(next) = from {
            let (further, left) =
                self.act(at(now), |draft, _| adopt::leavers(draft, &terms(at(now), run), roll, &next, look));
            all = Leavers { left: all.left + left.left, of: all.of + left.of };
            from = further;
        }
        all
    }
}

#[test]
fn rows_are_taken_once_in_all_states_and_nothing_is_sent_or_said() {
    let rows = [
        row("ana", "a.example", Approved, -100),
        row("bo", "b.example", Pending, -90),
        row("cy", "c.example", Rejected, -80),
    ];
    let mut world = World::default();
    let first = world.adopt(0, 1, batch(&rows));
    let counts = |tally: &Tally| (tally.approved, tally.pending, tally.rejected);
    assert_eq!((counts(&first), first.taken, first.known), ((1, 1, 1), 3, 0));
    let states = FollowerCounts { approved: 1, pending: 1, rejected: 1, parked: 0 };
    assert_eq!(world.view().meta::<FollowerCounts>(), states);
    assert!(world.notices().is_empty() && world.all::<Outgoing>().is_empty());
    let ana = world.follower(&hermit("ana", "a.example")).unwrap();
    assert_eq!((ana.since, ana.follow_id.as_deref()), (at(-100), Some("https://a.example/follows/ana")));
    let before = world.all::<Follower>();
    let second = world.adopt(50, 2, batch(&rows));
    assert_eq!((counts(&second), second.taken, second.known), ((1, 1, 1), 0, 3));
    assert_eq!(world.all::<Follower>(), before);
    // Let in later by the operator, and following anew: neither is news in chat.
    world.act(at(60), |draft, moment| {
        follow::judge(draft, moment, &rules().addresses, &rows[1].actor, follow::Verdict::Approve).unwrap();
    });
    world.follow(at(61), &hermit("ana", "a.example"));
    assert!(world.notices().is_empty());
    world.assert_consistent();
}

#[test]
fn whoever_left_or_was_answered_here_stays_so() {
    let rows = ["ana", "bo", "cy", "di"].map(|name| row(name, "peer.example", Approved, -100));
    let [ana, bo, cy, di] = ["ana", "bo", "cy", "di"].map(|name| hermit(name, "peer.example"));
    let mut world = World::default();
    world.adopt(0, 1, batch(&rows));
    world.act(at(1), |draft, moment| follow::undo(draft, moment, &ana, at(1)));
    world.act(at(2), |draft, moment| {
        follow::judge(draft, moment, &rules().addresses, &bo.actor, follow::Verdict::Reject).unwrap();
        follow::judge(draft, moment, &rules().addresses, &cy.actor, follow::Verdict::Remove).unwrap();
        gone::deleted(draft, moment, &di.actor);
    });
    // Long after, when nothing is left but that they were taken.
    world.act(at(3), |draft, _| {
        followers::forget(draft, &ana.actor, at(3));
        followers::forget(draft, &cy.actor, at(3));
    });
    for run in 2..4 {
        let again = world.adopt(1000, run, batch(&rows));
        assert_eq!((again.kept, again.taken, again.changed), (4, 0, 0), "{again:?}");
    }
    let states = [&ana, &bo, &cy, &di].map(|who| world.state(who));
    assert_eq!(states, [None, Some(Rejected), None, None]);
    // A Follow that Owncast took after they had left is a new one.
    let newer = row("ana", "peer.example", Approved, 500);
    assert_eq!(world.adopt(1001, 5, batch(&[newer])).taken, 1);
    assert_eq!(world.state(&ana), Some(Approved));
    let stored: String = world.all::<Taken>().iter().map(|taken| format!("{taken:?}")).collect();
    assert!(!stored.contains("peer.example"), "whoever has gone is not named: {stored}");
    world.assert_consistent();
}

#[test]
fn what_changed_in_owncast_meanwhile_is_taken_where_nothing_happened_here() {
    let mut world = World::default();
    let pending = row("ana", "peer.example", Pending, -10);
    world.adopt(0, 1, batch(std::slice::from_ref(&pending)));
    let approved = Row { state: Approved, ..pending.clone() };
    assert_eq!(world.adopt(1, 2, batch(std::slice::from_ref(&approved))).changed, 1);
    assert_eq!(world.state(&hermit("ana", "peer.example")), Some(Approved));
    assert!(world.notices().is_empty());
    // Whoever came here by itself, and is in Owncast's list from before.
    let bo = person("bo", "peer.example");
    world.follow(at(2), &bo);
    let tally = world.adopt(3, 3, batch(&[row("bo", "peer.example", Rejected, -10)]));
    assert_eq!((tally.known, world.state(&bo)), (1, Some(Approved)));
    world.assert_consistent();
}

#[test]
fn followers_in_between_are_caught_up_with() {
    let mut world = World::default();
    let rows: Vec<Row> =
        (0..9).map(|number| row(&format!("p{number}"), "a.example", Approved, -50)).collect();
    world.adopt(0, 1, batch(&rows));
    // One of those who are not in the table any more has followed here, which is newer than anything there.
    let here = hermit("p1", "a.example");
    world.follow(at(5), &here);
    let mut then = rows[3..].to_vec();
    then.push(row("new", "b.example", Approved, 2));
    assert_eq!(world.adopt(10, 2, batch(&then)).taken, 1);
    let names: BTreeSet<String> =
        then.iter().map(|row| Taken::name_of(&row.actor)[..adopt::SHORT].to_owned()).collect();
    let dry = world.act(at(10), |draft, _| {
        let mut other = Draft::new(draft.view());
        let roll = Roll { seen: Seen::Among(&names), ..EARLIER };
        adopt::leavers(&mut other, &terms(at(10), 9), &roll, "", 100).1
    });
    assert_eq!(dry, Leavers { left: 2, of: 10 });
    assert_eq!(world.leavers(10, 2, 2), dry);
    assert_eq!((world.state(&here), world.state(&hermit("p0", "a.example"))), (Some(Approved), None));
    assert_eq!(world.view().meta::<FollowerCounts>().approved, 8);
    assert_eq!(world.leavers(11, 2, 100), Leavers { left: 0, of: 8 });
    world.assert_consistent();
    // It was an old copy: the whole one brings them back.
    assert_eq!(world.adopt(12, 3, batch(&rows)).taken, 2);
    assert_eq!(world.state(&hermit("p0", "a.example")), Some(Approved));
}

#[test]
fn blocks_count_by_whole_labels_and_set_aside() {
    let mut world = World::default();
    let mut all = batch(&[
        row("ana", "a.example", Approved, -9),
        row("bo", "x.a.example", Approved, -9),
        row("cy", "banana.example", Approved, -9),
        row("di", "a.example", Rejected, -9),
    ]);
    all.blocked = ["a.example", " ", "bad", "a.example"].map(str::to_owned).to_vec();
    let tally = world.adopt(0, 1, all.clone());
    assert_eq!((tally.blocks, tally.parked, tally.taken), (1, 2, 2));
    assert!(tally.problems.len() == 1 && tally.problems[0].contains("\"bad\""), "{:?}", tally.problems);
    let state = |world: &World, name, host| world.state(&hermit(name, host));
    assert_eq!(state(&world, "bo", "x.a.example"), Some(Parked));
    assert_eq!(state(&world, "cy", "banana.example"), Some(Approved));
    assert_eq!(state(&world, "di", "a.example"), Some(Rejected));
    assert_eq!(world.all::<Block>()[0].owner, BlockOwner::Owncast);
    // A block of ours is not undone by taking the row again, and a lifted one brings back who was parked by it.
    let target = blocks::parse("banana.example").unwrap();
    world.act(at(1), |draft, _| blocks::add(draft, target, BlockOwner::Operator, at(1)));
    world.adopt(2, 2, all);
    assert_eq!(state(&world, "cy", "banana.example"), Some(Parked));
    let target = blocks::parse("a.example").unwrap();
    world.act(at(3), |draft, _| blocks::remove(draft, &target, BlockOwner::Owncast, at(3)));
    assert_eq!(state(&world, "ana", "a.example"), Some(Approved));
    world.assert_consistent();
}

#[test]
fn rows_are_looked_at_like_any_actor() {
    let good = row("ana", "a.example", Approved, 0);
    let with = |change: fn(&mut Row)| {
        let mut row = good.clone();
        change(&mut row);
        check(&row, &terms(at(0), 1)).err()
    };
    for (wrong, want) in [
        (with(|_| {}), None),
        (with(|row| row.follow_id = None), None),
        (with(|row| row.follow = None), None),
        (with(|row| row.actor = "http://a.example/u".into()), Some(Misfit::Id(OriginError::Scheme))),
        (with(|row| row.actor = "https://a.example:9301/u".into()), Some(Misfit::Id(OriginError::Port))),
        (with(|row| row.actor = "https://localhost/u".into()), Some(Misfit::Id(OriginError::LocalName))),
        (with(|row| row.actor = "https://live.example/users/x".into()), Some(Misfit::OwnHost)),
        (with(|row| row.inbox.clear()), Some(Misfit::NoInbox)),
        (with(|row| row.inbox = "inbox".into()), Some(Misfit::Inbox(OriginError::Scheme))),
        (with(|row| row.inbox = "https://victim.example/inbox".into()), Some(Misfit::ForeignInbox)),
        (with(|row| row.follow_id = Some("https://evil.example/f".into())), Some(Misfit::ForeignFollow)),
        (
            with(|row| row.follow = Some(("https://evil.example/u".into(), rules().addresses.actor()))),
            Some(Misfit::ForeignFollow),
        ),
        (
            with(|row| row.follow = Some((row.actor.clone(), "https://other.example/u".into()))),
            Some(Misfit::ForeignFollow),
        ),
    ] {
        assert_eq!(wrong, want);
    }
    let hostile = Row {
        shared_inbox: Some("https://victim.example/inbox".into()),
        icon: Some("javascript:alert(1)".into()),
        name: Some("ü".repeat(10_000)),
        username: "@".into(),
        ..good.clone()
    };
    let person = check(&hostile, &terms(at(0), 1)).unwrap();
    assert_eq!((person.shared_inbox, person.icon, person.handle.as_str()), (None, None, "ana@a.example"));
    assert_eq!(person.name.map(|name| name.chars().count()), Some(500));
}

#[test]
fn what_cannot_be_believed_waits_for_its_own_server() {
    let mut world = World::default();
    let inboxless = |name: &str, state| Row { inbox: String::new(), ..row(name, "a.example", state, -5) };
    let rows = [
        inboxless("ana", Approved),
        inboxless("bo", Rejected),
        inboxless("cy", Approved),
        inboxless("di", Approved),
        Row { actor: "https://localhost/u".into(), ..row("el", "a.example", Approved, -5) },
    ];
    let tally = world.adopt(0, 1, batch(&rows));
    assert_eq!((tally.set_aside, tally.taken), (5, 0));
    assert_eq!((tally.reasons.get("no inbox is known"), tally.reasons.len()), (Some(&4), 1));
    assert_eq!((tally.unaskable.values().sum::<u64>(), adopt::unaskable(world.view())), (1, 1));
    assert!(world.all::<Follower>().is_empty() && world.all::<DeliveryInbox>().is_empty());
    let (due, next) = adopt::due(world.view(), at(0), 10);
    assert_eq!((due.len(), next), (4, None), "nobody is asked at an address that is none");
    // Asked in vain, gone, followed by itself meanwhile, and found.
    let [ana, bo, cy, di] = ["ana", "bo", "cy", "di"].map(|name| person(name, "a.example"));
    world.act(at(1), |draft, _| {
        adopt::in_vain(draft, &cy.actor, at(1));
        adopt::gave_up(draft, &di.actor, at(1));
        for found in [&ana, &bo] {
            adopt::refetched(draft, &terms(at(1), 0), found).unwrap();
        }
    });
    assert_eq!((world.state(&ana), world.state(&bo)), (Some(Approved), Some(Rejected)));
    assert_eq!(world.follower(&ana).unwrap().person, ana, "what its server says counts");
    let (due, next) = adopt::due(world.view(), at(1), 10);
    assert_eq!((due.len(), next), (0, Some(at(1 + 15 * 60))));
    world.follow(at(2), &cy);
    assert_eq!(world.all::<SetAside>().len(), 1);
    let again = world.adopt(3, 2, batch(&rows));
    assert_eq!((again.taken, again.set_aside), (0, 0), "{again:?}");
    assert_eq!(world.state(&di), None);
    world.assert_consistent();
}

#[test]
fn who_is_blocked_is_not_asked_and_nobody_is_asked_for_ever() {
    let mut world = World::default();
    let waiting = Row { inbox: String::new(), ..row("ana", "a.example", Approved, -5) };
    world.adopt(0, 1, batch(std::slice::from_ref(&waiting)));
    let server = blocks::parse("a.example").unwrap();
    world.act(at(1), |draft, _| blocks::add(draft, server.clone(), BlockOwner::Operator, at(1)));
    assert_eq!(adopt::due(world.view(), at(1), 10), (vec![], None));
    world.act(at(2), |draft, _| blocks::remove(draft, &server, BlockOwner::Operator, at(2)));
    let (mut now, mut tries) = (2, 0);
    loop {
        let (due, next) = adopt::due(world.view(), at(now), 10);
        match (due.as_slice(), next) {
            ([actor], None) => {
                tries += 1;
                let again = world.act(at(now), |draft, _| adopt::in_vain(draft, actor, at(now)));
                assert_eq!(again, tries < 100, "{tries}");
            }
            ([], Some(next)) => now = next.as_second() - at(0).as_second(),
            ([], None) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!((80..110).contains(&(now / 86_400)), "asked for three months, not {now} s");
    assert!(world.all::<SetAside>().is_empty());
    let again = world.adopt(now + 1, 2, batch(&[waiting]));
    assert_eq!((again.kept, again.set_aside), (1, 0), "and not from the start with the next run");
}

#[test]
fn a_row_that_waits_goes_when_its_actor_does() {
    let ana = person("ana", "a.example");
    let waiting = Row { inbox: String::new(), ..row("ana", "a.example", Approved, -5) };
    type End = fn(&mut Draft<'_>, &mut Moment, &Person);
    let ends: [End; 3] = [
        |draft, moment, ana| {
            follow::undo(draft, moment, ana, at(1));
        },
        |draft, moment, ana| gone::deleted(draft, moment, &ana.actor),
        |draft, moment, ana| gone::blocked_us(draft, moment, ana, at(1)),
    ];
    for end in ends {
        let mut world = World::default();
        world.adopt(0, 1, batch(std::slice::from_ref(&waiting)));
        assert!(gone::is_known(world.view(), &ana.actor));
        world.act(at(1), |draft, moment| end(draft, moment, &ana));
        assert!(world.all::<SetAside>().is_empty());
        let again = world.adopt(9, 2, batch(std::slice::from_ref(&waiting)));
        assert_eq!((again.kept, again.set_aside), (1, 0));
    }
}

#[test]
fn taking_it_back_takes_what_is_untouched_and_nothing_else() {
    let mut world = World::default();
    let mut all = batch(&["ana", "bo", "cy"].map(|name| row(name, "a.example", Approved, -5)));
    all.followers.push(Row { inbox: String::new(), ..row("di", "a.example", Approved, -5) });
    let json = format!(
        "{{\"id\":\"https://live.example/federation/x\",\"to\":\"{}\"}}",
        crate::model::addresses::PUBLIC
    );
    all.documents.push(Document { id: "https://live.example/federation/x".into(), json, at: at(-9) });
    world.adopt(0, 1, all.clone());
    let (bo, own) = (hermit("bo", "a.example"), person("own", "b.example"));
    world.follow(at(1), &bo);
    world.follow(at(1), &own);
    world.act(at(1), |draft, moment| follow::undo(draft, moment, &hermit("cy", "a.example"), at(1)));
    let undone = world.act(at(2), |draft, _| adopt::undo(draft, "", 100, at(2)));
    assert_eq!(undone, (None, Undone { followers: 2, kept: 1, posts: 1 }));
    let left = [("ana", None), ("bo", Some(Approved)), ("cy", Some(Left)), ("di", None)];
    for (name, state) in left {
        assert_eq!(world.state(&hermit(name, "a.example")), state, "{name}");
    }
    assert_eq!(world.state(&own), Some(Approved));
    assert!(world.all::<SetAside>().is_empty() && world.all::<Imported>().is_empty());
    world.assert_consistent();
    // And once more from the start; whoever has left meanwhile stays away.
    let again = world.adopt(3, 2, all);
    assert_eq!((again.taken, again.set_aside, again.kept, again.posts), (1, 1, 2, 1), "{again:?}");
}

#[test]
fn posts_keep_their_place_and_their_readers() {
    let public = crate::model::addresses::PUBLIC;
    let ours = rules().addresses;
    let document = |id: &str, fields: &str| Document {
        id: id.to_owned(),
        json: format!("{{\"id\":\"{id}\",\"attributedTo\":\"{}\"{fields}}}", ours.actor()),
        at: at(0),
    };
    let to = |who: &str| format!(",\"to\":{who}");
    let base = "https://live.example/federation";
    let mut world = World::default();
    let mut all = Batch::empty(&ours, 1, false);
    all.documents = vec![
        document(&format!("{base}/E_Q_LRgdR"), &to(&format!("\"{public}\""))),
        document(&format!("{base}/event/7/activity"), &to(&format!("[\"x\",\"{public}\"]"))),
        document(&format!("{base}/private"), &to(&format!("\"{}/followers\"", ours.actor()))),
        document(&format!("{base}/deleted"), ",\"type\":\"Tombstone\""),
        document("https://evil.example/federation/x", &to(&format!("\"{public}\""))),
        document(&format!("{base}/"), ""),
        Document { id: format!("{base}/y"), json: "{\"id\":\"other\"}".into(), at: at(0) },
        Document { id: format!("{base}/z"), json: "no".into(), at: at(0) },
        Document {
            id: format!("{base}/w"),
            json: format!("{{\"id\":\"{base}/w\",\"attributedTo\":\"https://evil.example/u\"}}"),
            at: at(0),
        },
    ];
    let tally = world.adopt(0, 1, all.clone());
    assert_eq!((tally.posts, tally.problems.len()), (4, 5), "{:?}", tally.problems);
    let seen: Vec<(String, bool, bool)> =
        world.all::<Imported>().into_iter().map(|post| (post.place, post.public, post.gone)).collect();
    let want = [
        ("E_Q_LRgdR", true, false),
        ("deleted", true, true),
        ("event/7/activity", true, false),
        ("private", false, false),
    ];
    assert_eq!(seen, want.map(|(place, public, gone)| (place.to_owned(), public, gone)));
    assert_eq!(world.adopt(1, 2, all).posts_known, 4);
    let below = Addresses::new("https://übung.example/tv/", "u");
    let place = |id: &str| adopt::place_of(&below, id);
    assert_eq!(place("https://xn--bung-zra.example/tv/federation/a").as_deref(), Some("a"));
    for other in
        ["https://xn--bung-zra.example/federation/a", "https://xn--bung-zra.example/tv/federation/a?b"]
    {
        assert_eq!(place(other), None, "{other}");
    }
}

#[test]
fn what_was_told_in_chat_is_not_told_again() {
    let mut world = World::default();
    let accepted = |deed, object: &str| Accepted {
        actor: "https://a.example/users/ana".to_owned(),
        deed,
        object: object.to_owned(),
        at: at(-9),
    };
    let ours = rules().addresses.actor();
    let mut all = Batch::empty(&rules().addresses, 1, false);
    all.accepted = vec![
        accepted(Deed::Follow, &ours),
        accepted(Deed::Like, &ours),
        accepted(Deed::Announce, "https://live.example/federation/old"),
    ];
    assert_eq!((world.adopt(0, 1, all.clone()).accepted, world.adopt(1, 2, all).accepted), (2, 0));
    let told: Vec<NoticeKind> = world.all::<Said>().iter().map(|said| said.kind).collect();
    assert_eq!(told, [NoticeKind::Follow, NoticeKind::Like]);
    world.follow(at(2), &person("ana", "a.example"));
    assert!(world.notices().is_empty());
}

#[test]
fn where_a_row_stands_when_it_goes_back() {
    let mut world = World::default();
    let mut rows = ["ana", "bo"].map(|name| row(name, "a.example", Approved, -5)).to_vec();
    rows.push(Row { inbox: String::new(), ..row("cy", "a.example", Approved, -5) });
    world.adopt(0, 1, batch(&rows));
    world.act(at(1), |draft, _| followers::forget(draft, &rows[1].actor, at(1)));
    let stands = |name: &str| adopt::standing(world.view(), &format!("https://a.example/users/{name}"));
    assert_eq!(
        ["ana", "bo", "cy", "di"].map(stands),
        [Standing::Here(Approved), Standing::Left, Standing::Aside, Standing::Unknown]
    );
}
