//! Follows: answers, order, repeats, and the books kept beside them.

use proptest::prelude::*;

use super::*;
use crate::decide::follow::{
    AsSent, Followed, NotAnswered, OF_AN_OWNER, Verdict, counts_again, follow, judge, undo,
};
use crate::decide::followers::INBOXES_OF_AN_OWNER;
use crate::decide::{blocks, delivered, followers, gone, seen};
use crate::model::block::BlockOwner;
use crate::model::follower::FollowerState::{Approved, Left, Parked, Pending, Rejected};

fn manual() -> Rules {
    Rules { manual_approval: true, ..rules() }
}

impl World {
    fn follow_as(&mut self, now: i64, rules: &Rules, person: &Person, id: &str, stamp: i64) -> Followed {
        self.act(at(now), |draft, moment| {
            follow(draft, moment, rules, person.clone(), Some(id.to_owned()), at(stamp))
        })
    }

    fn unfollow(&mut self, now: i64, person: &Person, stamp: i64) -> bool {
        self.act(at(now), |draft, moment| undo(draft, moment, person, at(stamp)))
    }

    fn judge(&mut self, now: i64, person: &Person, verdict: Verdict) -> Result<(), NotAnswered> {
        let addresses = rules().addresses;
        self.act(at(now), |draft, moment| judge(draft, moment, &addresses, &person.actor, verdict))
    }

    /// Every answer so far, as kind, personal inbox and the id of the embedded Follow.
    fn answers(&self) -> Vec<(OutgoingKind, String, Option<String>)> {
        self.all::<Outgoing>()
            .into_iter()
            .map(|outgoing| {
                let body: serde_json::Value = serde_json::from_str(&outgoing.body).unwrap();
                assert_eq!(body["type"], format!("{:?}", outgoing.kind));
                assert_eq!(body["object"]["type"], "Follow");
                assert_eq!(body["object"]["object"], rules().addresses.actor());
                assert_eq!(body["to"][0], body["object"]["actor"]);
                let Target::Inbox(inbox) = outgoing.target else { panic!("an answer goes to one inbox") };
                (outgoing.kind, inbox, body["object"]["id"].as_str().map(str::to_owned))
            })
            .collect()
    }
}

#[test]
fn a_follow_is_accepted_at_its_personal_inbox() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    assert_eq!(world.follow_as(0, &rules(), &ana, "https://PEER.example/f/1#x", 0), Followed::Accepted);
    let answer = (OutgoingKind::Accept, ana.inbox.clone(), Some("https://PEER.example/f/1#x".to_owned()));
    assert_eq!(world.answers(), [answer]);
    let attempts: Vec<Attempt> = world.all();
    assert_eq!((attempts.len(), attempts[0].due, attempts[0].number), (1, at(0), None));
    assert_eq!(world.notices().len(), 1);
    world.assert_consistent();
}

#[test]
fn the_answer_repeats_the_follower_as_the_follow_spells_it() {
    let (mut world, ana) = (World::default(), person("%C3%A4", "peer.example"));
    let spelt = |world: &World| {
        let answers = world.all::<Outgoing>();
        let body: serde_json::Value = serde_json::from_str(&answers.last().unwrap().body).unwrap();
        (body["object"]["actor"].as_str().unwrap().to_owned(), body["to"][0].as_str().unwrap().to_owned())
    };
    let sent = "https://PEER.example:443/users/ä".to_owned();
    let follow_as = |world: &mut World, now: i64, actor: Option<String>| {
        let sent = AsSent { id: Some(now.to_string()), actor };
        world.act(at(now), |draft, moment| follow(draft, moment, &rules(), ana.clone(), sent, at(now)))
    };
    assert_eq!(follow_as(&mut world, 0, Some(sent.clone())), Followed::Accepted);
    assert_eq!(spelt(&world), (sent.clone(), sent.clone()));
    let (accept, attempt) = (world.all::<Outgoing>().remove(0), world.all::<Attempt>().remove(0));
    let job = delivered::Job::of(attempt);
    assert_eq!(delivered::worth(world.view(), &accept, &job, false, at(0)), delivered::Worth::Send);
    // The operator's answer, too; and the newest Follow decides.
    world.judge(1, &ana, Verdict::Reject).unwrap();
    assert_eq!(spelt(&world), (sent.clone(), sent));
    assert_eq!(follow_as(&mut world, 2, None), Followed::Refused);
    assert_eq!(spelt(&world), (ana.actor.clone(), ana.actor.clone()));
    assert_eq!(world.all::<Follower>().len(), 1);
}

#[test]
fn a_follow_without_an_id_is_accepted_without_one() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.act(at(0), |draft, moment| follow(draft, moment, &rules(), ana.clone(), None, at(0)));
    assert_eq!(world.answers(), [(OutgoingKind::Accept, ana.inbox.clone(), None)]);
}

#[test]
fn a_repeat_is_accepted_again_with_its_own_id_and_told_once() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow_as(0, &rules(), &ana, "one", 0);
    // A new id as from Mastodon, then the same again as from Misskey.
    assert_eq!(world.follow_as(5, &rules(), &ana, "two", 5), Followed::AcceptedAgain);
    assert_eq!(world.follow_as(6, &rules(), &ana, "two", 6), Followed::AcceptedAgain);
    let ids: Vec<_> = world.answers().into_iter().filter_map(|(_, _, id)| id).collect();
    assert_eq!(ids, ["two"], "the newest takes the place of those that wait");
    assert_eq!(world.notices().len(), 1);
    assert_eq!(world.follower(&ana).unwrap().since, at(0));
    world.assert_consistent();
}

#[test]
fn the_same_id_follows_again_after_leaving() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    for now in [0, 10, 20] {
        assert_eq!(world.follow_as(now, &rules(), &ana, "same", now), Followed::Accepted, "{now}");
        assert_eq!(world.state(&ana), Some(Approved));
        assert!(world.unfollow(now + 5, &ana, now + 5));
        assert_eq!(world.state(&ana), Some(Left));
        world.assert_consistent();
    }
    assert_eq!(world.notices().len(), 1, "told once ever");
}

#[test]
fn the_operator_decides_where_follows_wait() {
    let (mut world, ana, bo) =
        (World::default(), person("ana", "peer.example"), person("bo", "peer.example"));
    for (who, id) in [(&ana, "a1"), (&ana, "a2"), (&bo, "b1")] {
        assert_eq!(world.follow_as(0, &manual(), who, id, 0), Followed::Waits);
    }
    assert!(world.answers().is_empty() && world.notices().is_empty());
    assert_eq!(world.judge(1, &ana, Verdict::Approve), Ok(()));
    assert_eq!(world.judge(1, &ana, Verdict::Approve), Err(NotAnswered::Already));
    assert_eq!(world.judge(2, &bo, Verdict::Reject), Ok(()));
    let want = [
        (OutgoingKind::Accept, ana.inbox.clone(), Some("a2".to_owned())),
        (OutgoingKind::Reject, bo.inbox.clone(), Some("b1".to_owned())),
    ];
    assert_eq!(world.answers(), want);
    assert_eq!(world.notices().len(), 1);
    assert_eq!(world.judge(3, &person("cy", "peer.example"), Verdict::Approve), Err(NotAnswered::Unknown));
    // Approved stays approved where approval is asked for now.
    assert_eq!(world.follow_as(4, &manual(), &ana, "a3", 4), Followed::AcceptedAgain);
    world.assert_consistent();
}

#[test]
fn refused_stays_refused() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow_as(0, &manual(), &ana, "1", 0);
    world.judge(1, &ana, Verdict::Reject).unwrap();
    // Neither a repeat, nor leaving and coming back, nor a switch to automatic, nor a Block and its Undo help.
    assert_eq!(world.follow_as(2, &manual(), &ana, "2", 2), Followed::Refused);
    assert!(!world.unfollow(3, &ana, 3));
    assert_eq!(world.follow_as(4, &rules(), &ana, "3", 4), Followed::Refused);
    world.act(at(5), |draft, moment| crate::decide::gone::blocked_us(draft, moment, &ana, at(5)));
    assert_eq!(world.follow_as(6, &rules(), &ana, "4", 6), Followed::Refused);
    assert!(world.answers().iter().all(|(kind, ..)| *kind == OutgoingKind::Reject));
    assert_eq!(world.answers().len(), 1);
    assert_eq!(world.state(&ana), Some(Rejected));
    assert!(world.notices().is_empty());
    // Only the operator lets them in.
    world.judge(7, &ana, Verdict::Approve).unwrap();
    assert_eq!(world.state(&ana), Some(Approved));
    world.assert_consistent();
}

#[test]
fn who_is_removed_may_follow_again() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow_as(0, &rules(), &ana, "1", 0);
    world.judge(1, &ana, Verdict::Remove).unwrap();
    assert_eq!(world.answers(), [(OutgoingKind::Reject, ana.inbox.clone(), Some("1".to_owned()))]);
    assert_eq!(world.judge(2, &ana, Verdict::Remove), Err(NotAnswered::Unknown));
    assert_eq!(world.follow_as(3, &rules(), &ana, "2", 3), Followed::Accepted);
    assert_eq!(world.notices().len(), 1);
    world.assert_consistent();
}

#[test]
fn an_undo_that_came_first_stops_the_older_follow_only() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    assert!(world.unfollow(10, &ana, 9));
    assert_eq!(world.follow_as(11, &rules(), &ana, "1", 8), Followed::Ignored);
    assert!(world.answers().is_empty() && world.notices().is_empty());
    assert_eq!(world.follow_as(12, &rules(), &ana, "1", 11), Followed::Accepted);
    // An Undo from before that Follow comes late.
    assert!(!world.unfollow(13, &ana, 10));
    assert_eq!(world.state(&ana), Some(Approved));
}

#[test]
fn an_undo_by_id_alone_that_came_first_stops_the_older_follow_only() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.act(at(10), |draft, moment| {
        crate::decide::engage::undo(draft, moment, &ana.actor, Some("1"), None, at(9))
    });
    assert_eq!(world.follow_as(11, &rules(), &ana, "1", 8), Followed::Ignored);
    assert!(world.answers().is_empty() && world.state(&ana).is_none());
    // Where ids are used again, a later one is another.
    assert_eq!(world.follow_as(12, &rules(), &ana, "1", 10), Followed::Accepted);
    world.assert_consistent();
}

#[test]
fn equal_stamps_count_in_the_order_of_arrival() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow_as(0, &rules(), &ana, "1", 0);
    world.unfollow(0, &ana, 0);
    assert_eq!(world.state(&ana), Some(Left));
    world.follow_as(0, &rules(), &ana, "1", 0);
    assert_eq!(world.state(&ana), Some(Approved));
}

/// As the inbox does: what repeats a signature is not looked at, unless it counts again.
fn repeats(world: &mut World, now: i64, who: &Person, undoes: bool) -> bool {
    world.act(at(now), |draft, _| {
        let again = counts_again(draft.view(), undoes, &who.actor, at(now));
        seen::first_time(draft, &who.actor, if undoes { "undo" } else { "follow" }, again, at(now))
    })
}

#[test]
fn the_same_bytes_leave_again_after_a_follow_and_only_then() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let leaves =
        |world: &mut World, now: i64| repeats(world, now, &ana, true) && world.unfollow(now, &ana, 0);
    let follows = |world: &mut World, now: i64| {
        repeats(world, now, &ana, false)
            && world.follow_as(now, &rules(), &ana, "same", 0) != Followed::Ignored
    };
    // Undo, Follow and Undo within one second, from software that uses its ids again: none of them stands for another.
    for _ in 0..3 {
        assert!(leaves(&mut world, 0));
        assert!(!leaves(&mut world, 0), "nothing came since");
        assert_eq!(world.state(&ana), Some(Left));
        assert!(follows(&mut world, 0));
        assert!(!follows(&mut world, 0));
        assert_eq!(world.state(&ana), Some(Approved));
    }
    // Whoever kept the bytes takes nobody away who has followed in a later second.
    assert!(leaves(&mut world, 0));
    world.follow_as(1, &rules(), &ana, "same", 1);
    assert!(!leaves(&mut world, 2));
    assert_eq!(world.state(&ana), Some(Approved));
}

#[test]
fn one_owner_sends_so_many_new_followers_a_day() {
    let mut world = World::default();
    let of = |number: u32, host: &str| person(&format!("p{number}"), host);
    world.follow(at(0), &person("ana", "x.evil.example"));
    for number in 1..OF_AN_OWNER {
        let follower = of(number, &format!("s{}.evil.example", number % 7));
        assert_eq!(world.follow(at(5), &follower), Followed::Accepted, "{number}");
    }
    let more = of(OF_AN_OWNER, "s.evil.example");
    let before = world.view.len();
    assert_eq!(world.follow(at(10), &more), Followed::TooMany(24 * 3600 - 10));
    assert_eq!(world.view.len(), before, "nothing is kept of it");
    // Those who are known follow as ever, and so does everybody else.
    assert_eq!(world.follow(at(11), &of(3, "s3.evil.example")), Followed::AcceptedAgain);
    assert_eq!(world.follow(at(12), &of(1, "honest.example")), Followed::Accepted);
    assert_eq!(world.follow(at(24 * 3600 - 1), &more), Followed::TooMany(1));
    assert_eq!(world.follow(at(24 * 3600), &more), Followed::Accepted);
    // Our clock was set back: nobody waits for a day that does not come.
    assert_eq!(world.follow(at(-30 * 24 * 3600), &of(1, "s.evil.example")), Followed::Accepted);
    world.assert_consistent();
}

#[test]
fn one_owner_has_so_many_inboxes_and_who_shares_one_never_meets_that() {
    let mut world = World::default();
    let own = |number: u32| hermit(&format!("p{number}"), &format!("s{}.evil.example", number % 7));
    let day = |number: u32| at(i64::from(number / OF_AN_OWNER) * 24 * 3600);
    for number in 0..INBOXES_OF_AN_OWNER {
        assert_eq!(world.follow(day(number), &own(number)), Followed::Accepted, "{number}");
    }
    let now = day(2 * OF_AN_OWNER);
    let before = world.view.len();
    let more = own(INBOXES_OF_AN_OWNER);
    assert_eq!(world.follow(now, &more), Followed::TooManyInboxes);
    assert_eq!(world.view.len(), before, "nothing is kept of it");
    // Who is reached follows as ever, and so does everybody else.
    assert_eq!(world.follow(now, &own(3)), Followed::AcceptedAgain);
    assert_eq!(world.follow(now, &hermit("ana", "honest.example")), Followed::Accepted);
    // Nor do those take an inbox of their own who shared one when there was room.
    world.act(now, |draft, moment| undo(draft, moment, &own(0), now));
    let sharing = [person("a", "s1.evil.example"), person("b", "s1.evil.example")];
    assert!(sharing.iter().all(|person| world.follow(now, person) == Followed::Accepted));
    let alone = Person { shared_inbox: None, name: Some("Eve".into()), ..sharing[0].clone() };
    assert_eq!(world.follow(now, &alone), Followed::TooManyInboxes);
    assert!(world.act(now, |draft, _| followers::refresh(draft, &alone, now)));
    assert!(!world.act(now, |draft, moment| gone::still_there(draft, moment, &alone)));
    let kept = world.follower(&alone).unwrap().person;
    assert_eq!((kept.delivery_inbox(), &kept.name), (sharing[0].delivery_inbox(), &alone.name));
    // One that is left makes room for one.
    world.act(now, |draft, moment| undo(draft, moment, &sharing[1], now));
    assert_eq!(world.follow(now, &alone), Followed::AcceptedAgain);
    assert_eq!(world.follow(now, &more), Followed::TooManyInboxes);
    world.act(now, |draft, moment| undo(draft, moment, &alone, now));
    assert_eq!(world.follow(now, &more), Followed::Accepted);
    world.assert_consistent();
}

#[test]
fn who_comes_and_goes_is_one_newcomer() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    for now in 0..50 {
        world.follow_as(now, &rules(), &ana, &now.to_string(), now);
        world.unfollow(now, &ana, now);
    }
    let newcomers: Vec<crate::model::follower::Newcomers> = world.all();
    assert_eq!(newcomers.iter().map(|of| of.count).collect::<Vec<_>>(), [1]);
}

#[test]
fn what_lets_old_bytes_count_again_goes_with_the_follower() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let counts = |world: &World| crate::decide::follow::counts_again(world.view(), false, &ana.actor, at(9));
    world.follow_as(0, &rules(), &ana, "1", 0);
    world.unfollow(5, &ana, 5);
    assert!(counts(&world));
    world.act(at(7), |draft, _| crate::decide::followers::forget(draft, &ana.actor, at(7)));
    assert!(!counts(&world));
}

#[test]
fn the_same_bytes_follow_again_after_an_undo_and_only_then() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    let follow_again = |world: &mut World, now: i64| {
        repeats(world, now, &ana, false)
            && world.follow_as(now, &rules(), &ana, "same", 0) != Followed::Ignored
    };
    assert!(follow_again(&mut world, 0));
    assert!(!follow_again(&mut world, 0));
    for _ in 0..2 {
        assert!(world.unfollow(0, &ana, 0));
        assert!(follow_again(&mut world, 0));
        assert!(!follow_again(&mut world, 0));
        assert_eq!(world.state(&ana), Some(Approved));
    }
    // Nobody comes back by it whom the operator has removed, nor who has left by a later Undo.
    world.judge(1, &ana, Verdict::Remove).unwrap();
    assert!(!follow_again(&mut world, 2));
    world.follow_as(3, &rules(), &ana, "other", 3);
    world.unfollow(4, &ana, 4);
    assert!(!follow_again(&mut world, 5));
    assert_eq!(world.state(&ana), Some(Left));
}

#[test]
fn another_shared_inbox_moves_the_follower_to_it() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    world.follow(at(0), &person("bo", "peer.example"));
    world.follow(at(0), &ana);
    let moved = Person { shared_inbox: Some("https://peer.example/other".to_owned()), ..ana.clone() };
    world.follow(at(1), &moved);
    world.follow(at(2), &Person { shared_inbox: None, ..ana });
    let counts: Vec<(String, u64)> =
        world.all::<DeliveryInbox>().into_iter().map(|inbox| (inbox.url, inbox.followers)).collect();
    let url = |path: &str| format!("https://peer.example/{path}");
    assert_eq!(counts, [(url("inbox"), 1), (url("other"), 0), (url("users/ana/inbox"), 1)]);
    world.assert_consistent();
}

#[test]
fn an_answer_that_is_no_longer_true_is_not_sent() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    // The answer that waits, as somebody has it who took it to send.
    let taken = |world: &World| {
        let outgoing = world.all::<Outgoing>().pop().unwrap();
        let attempt = world.all::<Attempt>().into_iter().find(|a| a.outgoing == outgoing.id).unwrap();
        (outgoing, delivered::Job::of(attempt))
    };
    let worth = |world: &World, (outgoing, job): &(Outgoing, delivered::Job)| {
        delivered::worth(world.view(), outgoing, job, false, at(9))
    };
    world.follow_as(0, &rules(), &ana, "1", 0);
    let accept = taken(&world);
    assert_eq!(worth(&world, &accept), delivered::Worth::Send);
    // The Accept is still being retried when the operator removes them: it must not arrive behind the Reject.
    world.judge(1, &ana, Verdict::Remove).unwrap();
    let reject = taken(&world);
    assert_eq!(worth(&world, &accept), delivered::Worth::Expired);
    assert_eq!(worth(&world, &reject), delivered::Worth::Send);
    world.follow_as(2, &rules(), &ana, "2", 2);
    let accept = taken(&world);
    assert_eq!(worth(&world, &accept), delivered::Worth::Send);
    assert_eq!(worth(&world, &reject), delivered::Worth::Expired);
    // Blocked: nothing goes their way.
    let target = blocks::parse("peer.example").unwrap();
    world.act(at(3), |draft, _| blocks::add(draft, target, BlockOwner::Operator, at(3)));
    assert_eq!(world.state(&ana), Some(Parked));
    assert_eq!(worth(&world, &accept), delivered::Worth::Expired);
    assert_eq!(worth(&world, &reject), delivered::Worth::Expired);
}

#[test]
fn whoever_follows_again_and_again_has_one_answer_waiting() {
    let (mut world, ana) = (World::default(), person("ana", "peer.example"));
    for now in 0..20 {
        world.follow_as(now, &rules(), &ana, &now.to_string(), now);
        // What was tried in vain meanwhile is tried again later.
        for job in world.all::<Attempt>().into_iter().map(delivered::Job::of) {
            let gone = world.view().get::<Outgoing>(&job.outgoing.to_bytes()).is_none();
            let again = delivered::Ending::Retry { due: at(now + 60), uncertain: false };
            world.settle(&job, if gone { delivered::Ending::Failed } else { again });
        }
        if now % 3 == 0 {
            world.unfollow(now, &ana, now);
        }
        world.assert_consistent();
    }
    assert_eq!((world.answers().len(), world.all::<Attempt>().len()), (1, 1));
    assert_eq!(world.answers()[0].2.as_deref(), Some("19"));
    // Answered at last: the next Follow is answered, too.
    let job = delivered::Job::of(world.all::<Attempt>().remove(0));
    world.settle(&job, delivered::Ending::Reached);
    assert!(world.answers().is_empty());
    world.follow_as(20, &rules(), &ana, "20", 20);
    assert_eq!(world.answers()[0].2.as_deref(), Some("20"));
    // Nobody answers an account that is no more.
    world.act(at(21), |draft, moment| crate::decide::gone::deleted(draft, moment, &ana.actor));
    assert!(world.answers().is_empty());
}

proptest! {
    #![proptest_config(random(100))]
    /// Follow and Undo in any order of arrival, repeated, with equal ids: the newest stamp decides.
    #[test]
    fn any_order_ends_in_the_state_of_the_newest_stamp(
        sent in prop::collection::vec((any::<bool>(), 0..6i64), 1..20),
    ) {
        let (mut world, ana) = (World::default(), person("ana", "peer.example"));
        let (mut newest, mut accepts) = (None::<(i64, bool)>, 0);
        for (now, (follows, stamp)) in (100..).zip(sent) {
            let counts = newest.is_none_or(|(newest, _)| stamp >= newest);
            if follows {
                let got = world.follow_as(now, &rules(), &ana, "same", stamp);
                prop_assert_eq!(got != Followed::Ignored, counts);
                accepts += usize::from(counts);
            } else {
                prop_assert_eq!(world.unfollow(now, &ana, stamp), counts);
            }
            if counts { newest = Some((stamp, follows)); }
            let want = newest.map(|(_, follows)| if follows { Approved } else { Left });
            prop_assert_eq!(world.state(&ana), want);
            world.assert_consistent();
        }
        prop_assert_eq!(world.answers().len(), accepts.min(1));
        prop_assert!(world.notices().len() <= 1);
    }

    /// Whatever people, operators and blocks do, counts and inboxes are those of a recount.
    #[test]
    fn the_books_always_balance(
        events in prop::collection::vec((0..9u8, 0..4usize, 0..3u8), 1..60),
    ) {
        let names = ["ana", "bo", "cy", "di"];
        let mut world = World::default();
        for (now, (what, who, variant)) in (0..).zip(events) {
            let host = if who < 2 { "a.example" } else { "x.a.example" };
            let mut who = person(names[who], host);
            if variant == 1 { who.shared_inbox = None; }
            let rules = if variant == 2 { manual() } else { rules() };
            let target = blocks::parse(if variant == 0 { &who.actor } else { host }).unwrap();
            let owner = if variant == 1 { BlockOwner::Operator } else { BlockOwner::Owncast };
            match what {
                0..=2 => { world.follow_as(now, &rules, &who, "id", now); }
                3 => { world.unfollow(now, &who, now); }
                4 => {
                    let verdict = [Verdict::Approve, Verdict::Reject, Verdict::Remove][usize::from(variant)];
                    let _ = world.judge(now, &who, verdict);
                }
                5 => { world.act(at(now), |draft, _| blocks::add(draft, target, owner, at(now))); }
                6 => { world.act(at(now), |draft, _| blocks::remove(draft, &target, owner, at(now))); }
                7 => world.act(at(now), |draft, moment| crate::decide::gone::deleted(draft, moment, &who.actor)),
                _ => {
                    world.act(at(now), |draft, moment| {
                        crate::decide::gone::blocked_us(draft, moment, &who, at(now));
                    });
                }
            }
            world.assert_consistent();
        }
        let waiting = world.all::<Follower>().into_iter().filter(|f| f.state == Pending).count();
        prop_assert_eq!(world.view().meta::<FollowerCounts>().pending, u64::try_from(waiting).unwrap());
    }
}
