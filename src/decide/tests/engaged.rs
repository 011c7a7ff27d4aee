//! Edits to those who liked, shared or answered a post, however many they are.

use std::collections::BTreeSet;

use super::*;
use crate::decide::delivered::{Ending, Job, Worth, worth};
use crate::decide::engage::{Engaged, Ours, engage, has_replied, replied, undo, unreplied};
use crate::decide::engaged::{self, OF_AN_OWNER, PAGE};
use crate::decide::redeliver::{self, Selection};
use crate::model::engagement::EngagementKind;

impl World {
    pub(super) fn likes(&mut self, post: Ulid, who: &Person) {
        let id = format!("{}#like", who.actor);
        self.act(at(2), |draft, moment| {
            engage(draft, moment, EngagementKind::Like, who, Ours::Post(post), sent(&id, &id, 2));
        });
    }

    /// Sends everything that is queued on its own, page by page; answers how often each inbox got something.
    fn send_all(&mut self) -> std::collections::BTreeMap<String, u32> {
        let mut sent = std::collections::BTreeMap::new();
        for _ in 0..100 {
            let due: Vec<Attempt> = self.all::<Attempt>();
            assert!(due.len() <= PAGE, "{}", due.len());
            for attempt in due {
                *sent.entry(attempt.inbox.clone()).or_default() += 1;
                self.settle(&Job::of(attempt), Ending::Reached);
            }
            let pages = engaged::next_pages(self.view());
            if pages.is_empty() {
                return sent;
            }
            // A page that was made twice is queued once.
            for page in pages.iter().chain(&pages) {
                self.act(at(9), |draft, _| engaged::go_on(draft, page, at(9)));
            }
        }
        panic!("no end");
    }
}

#[test]
fn an_edit_goes_once_to_each_of_thousands() {
    let mut world = World::default();
    let (ana, bo) = (person("ana", "a.example"), person("bo", "b.example"));
    world.befriend(at(0), &ana);
    let post = world.announce(1);
    world.settle(&world.job(post.create, &ana), Ending::Reached);
    world.likes(post.id, &ana);
    let mut wanted = BTreeSet::new();
    for number in 0..PAGE * 2 + 7 {
        let fan = hermit("fan", &format!("s{number}.example"));
        wanted.insert(fan.inbox.clone());
        world.likes(post.id, &fan);
        // Two of one server are reached through one inbox.
        world.likes(post.id, &person(&format!("bo{number}"), "b.example"));
    }
    wanted.insert(bo.delivery_inbox().to_owned());
    let blocked = hermit("eve", "evil.example");
    world.likes(post.id, &blocked);
    let target = crate::decide::blocks::parse("evil.example").unwrap();
    world.act(at(3), |draft, _| {
        crate::decide::blocks::add(draft, target, crate::model::block::BlockOwner::Operator, at(3))
    });
    let edit = world.end(4, post.id);
    let sent = world.send_all();
    assert!(sent.values().all(|times| *times == 1));
    assert_eq!(sent.into_keys().collect::<BTreeSet<_>>(), wanted, "who follows gets it as a follower");
    assert_eq!(world.inbox_state(edit, &ana), InboxState::Waiting);
}

#[test]
fn what_was_swept_meanwhile_is_not_gone_on_with() {
    let mut world = World::default();
    let post = world.announce(1);
    for number in 0..PAGE + 3 {
        world.likes(post.id, &hermit("fan", &format!("s{number}.example")));
    }
    let edit = world.end(4, post.id);
    world.act(at(5), |draft, _| draft.delete::<Outgoing>(&edit.to_bytes()));
    assert_eq!(world.send_all().len(), PAGE);
    assert!(engaged::next_pages(world.view()).is_empty());
}

#[test]
fn of_what_the_operator_gives_up_nothing_more_is_queued() {
    let mut world = World::default();
    let post = world.announce(1);
    for number in 0..PAGE + 3 {
        world.likes(post.id, &hermit("fan", &format!("s{number}.example")));
    }
    let edit = world.end(4, post.id);
    let of = |host: Option<&str>| Selection { activity: Some(edit), host: host.map(str::to_owned) };
    let further = |world: &mut World, selection: &Selection| {
        let ended = world.act(at(5), |draft, _| redeliver::give_up_further(draft, selection));
        ended.map(|ended| redeliver::further(world.view(), &ended))
    };
    let pages = engaged::next_pages(world.view());
    assert_eq!(further(&mut world, &of(Some("s1.example"))), None, "to the others it goes on");
    assert_eq!(further(&mut world, &of(None)), Some([("edit", 3)].into()));
    assert_eq!(further(&mut world, &of(None)), None);
    // Also of a page that was made before.
    world.act(at(6), |draft, _| engaged::go_on(draft, &pages[0], at(6)));
    assert_eq!((world.all::<Attempt>().len(), engaged::next_pages(world.view())), (PAGE, Vec::new()));
    let (dropped, _) =
        world.act(at(7), |draft, _| redeliver::give_up(draft, &of(None), &Vec::new(), usize::MAX));
    assert_eq!(dropped, [("edit", PAGE as u64)].into());
    assert!(world.send_all().is_empty());
}

#[test]
fn nobody_is_left_out_because_the_clock_has_jumped_between_two_pages() {
    let mut world = World::default();
    let post = world.announce(1);
    for number in 0..PAGE + 3 {
        world.likes(post.id, &hermit("fan", &format!("s{number}.example")));
    }
    let edit = world.end(4, post.id);
    for attempt in world.all::<Attempt>() {
        world.settle(&Job::of(attempt), Ending::Reached);
    }
    let late = 30 * 24 * 3600;
    world.sweep(late, 100);
    let pages = engaged::next_pages(world.view());
    world.act(at(late), |draft, _| engaged::go_on(draft, &pages[0], at(late)));
    world.sweep(late, 100);
    let rest = world.all::<Attempt>();
    assert_eq!(rest.len(), 3);
    for job in rest.into_iter().map(Job::of) {
        let outgoing = world.outgoing(edit);
        assert_eq!(worth(world.view(), &outgoing, &job, false, at(late + 1)), Worth::Send);
        world.settle(&job, Ending::Reached);
    }
    world.sweep(late, 100);
    assert!(world.all::<Outgoing>().is_empty());
}

#[test]
fn a_reply_is_no_like_and_a_like_no_reply() {
    let (mut world, fan) = (World::default(), person("fan", "a.example"));
    let post = world.announce(1).id;
    let (like, note) = (format!("{}#like", fan.actor), "https://a.example/notes/1");
    world.likes(post, &fan);
    assert_eq!(world.act(at(3), |draft, moment| replied(draft, moment, &fan, post, note)), Engaged::Counted);
    assert!(has_replied(world.view(), &fan.actor, note) && !has_replied(world.view(), &fan.actor, &like));
    assert!(!world.act(at(4), |draft, _| unreplied(draft, &fan.actor, &like)));
    let mut undone =
        |id| world.act(at(5), |draft, moment| undo(draft, moment, &fan.actor, Some(id), None, at(5)));
    assert_eq!((undone(note), undone(&like)), (Engaged::Nothing, Engaged::Counted));
    assert!(world.act(at(6), |draft, _| unreplied(draft, &fan.actor, note)));
    assert!(!has_replied(world.view(), &fan.actor, note));
}

#[test]
fn of_one_owner_of_thousands_of_inboxes_those_count_that_were_there_first() {
    let mut world = World::default();
    let post = world.announce(1);
    let (mut first, mut others) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..PAGE * 3 {
        let fan = hermit("fan", &format!("n{number}.evil.example"));
        world.likes(post.id, &fan);
        if number < OF_AN_OWNER {
            first.insert(fan.inbox);
        }
        if number % 2 == 0 {
            let fan = hermit("fan", &format!("n{number}.example"));
            others.insert(fan.inbox.clone());
            world.likes(post.id, &fan);
        }
    }
    world.retitle(4, post.id, "B");
    let parts = |world: &mut World| -> (BTreeSet<String>, BTreeSet<String>) {
        world.send_all().into_keys().partition(|inbox| inbox.contains("evil"))
    };
    assert_eq!(parts(&mut world), (first.clone(), others.clone()), "nobody else is missed");
    // Who comes later, and stands before them in the order of inboxes, takes nobody's place.
    for number in 0..OF_AN_OWNER {
        world.likes(post.id, &hermit("fan", &format!("a{number}.evil.example")));
    }
    world.end(5, post.id);
    assert_eq!(parts(&mut world), (first, others));
}
