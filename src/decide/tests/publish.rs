//! Who gets a post and who gets what follows it.

use std::collections::BTreeSet;

use super::delivered::numbered;
use super::*;
use crate::decide::delivered::{Ending, Job, Worth, settle, worth};
use crate::decide::engage::{Engaged, Ours, engage, replied};
use crate::decide::publish::Announcement;
use crate::decide::{blocks, publish};
use crate::model::block::BlockOwner;
use crate::model::delivery::{CHUNK_SIZE, chunk_key};
use crate::model::engagement::EngagementKind;
use crate::model::follower::NextInbox;
use crate::model::post::PostState;
use crate::model::record::full_key;

impl World {
    pub(super) fn announce(&mut self, now: i64) -> Post {
        self.announce_to(now, Audience::Public)
    }

    pub(super) fn announce_to(&mut self, now: i64, audience: Audience) -> Post {
        self.act(at(now), |draft, moment| {
            let what = Announcement { session: Ulid(1), template: "", title: "Etching", picture: None };
            publish::announce(draft, moment, &Rules { audience, ..rules() }, &facts(), what)
        })
    }

    /// A new title; with the id of its Update.
    pub(super) fn retitle(&mut self, now: i64, post: Ulid, title: &str) -> Ulid {
        let post = self.post(post);
        self.queues(now, |draft, moment| publish::retitle(draft, moment, &rules(), &facts(), post, title))
    }

    pub(super) fn end(&mut self, now: i64, post: Ulid) -> Ulid {
        let post = self.post(post);
        self.queues(now, |draft, moment| {
            let title = post.title.clone();
            let ended = publish::Ended { title: &title, lasted: secs(60) };
            publish::end(draft, moment, &rules(), &facts(), post, ended);
        })
    }

    pub(super) fn resume(&mut self, now: i64, post: Ulid) {
        let ended = self.post(post);
        self.act(at(now), |draft, moment| {
            publish::resume(draft, moment, &rules(), &facts(), ended, "Etching")
        });
    }

    pub(super) fn delete(&mut self, now: i64, post: Ulid) -> Ulid {
        let post = self.post(post);
        self.queues(now, |draft, moment| publish::delete(draft, moment, &rules(), post))
    }

    /// The id of the one activity that a decision queues.
    fn queues(&mut self, now: i64, decide: impl FnOnce(&mut Draft<'_>, &mut Moment)) -> Ulid {
        let ids =
            |world: &World| -> BTreeSet<Ulid> { world.all::<Outgoing>().iter().map(|o| o.id).collect() };
        let before = ids(self);
        self.act(at(now), decide);
        let new: Vec<Ulid> = ids(self).difference(&before).copied().collect();
        assert_eq!(new.len(), 1);
        new[0]
    }

    pub(super) fn job(&self, outgoing: Ulid, person: &Person) -> Job {
        numbered(self, outgoing, self.number(person.delivery_inbox()))
    }

    pub(super) fn settle(&mut self, job: &Job, ending: Ending) {
        self.act(at(0), |draft, _| settle(draft, job, ending));
    }

    pub(super) fn outgoing(&self, id: Ulid) -> Outgoing {
        self.view().get(&id.to_bytes()).unwrap()
    }

    pub(super) fn worth(&self, outgoing: Ulid, person: &Person, now: i64) -> Worth {
        worth(self.view(), &self.outgoing(outgoing), &self.job(outgoing, person), false, at(now))
    }

    /// Personal deliveries of an activity, by inbox.
    pub(super) fn singles(&self, outgoing: Ulid) -> Vec<String> {
        let all: Vec<Attempt> = self.all();
        all.into_iter().filter(|attempt| attempt.outgoing == outgoing).map(|attempt| attempt.inbox).collect()
    }
}

#[test]
fn a_post_goes_once_to_each_inbox_somebody_follows_through() {
    let mut world = World::default();
    let (ana, bo, cy) = (person("ana", "a.example"), person("bo", "a.example"), hermit("cy", "c.example"));
    let left = person("di", "d.example");
    for who in [&ana, &bo, &cy, &left] {
        world.befriend(at(0), who);
    }
    world.act(at(1), |draft, moment| crate::decide::follow::undo(draft, moment, &left, at(1)));
    let post = world.announce(2);
    assert_eq!(world.inbox_state(post.create, &ana), InboxState::Waiting);
    assert_eq!(world.inbox_state(post.create, &cy), InboxState::Waiting);
    assert_eq!(world.inbox_state(post.create, &left), InboxState::None);
    let create = world.outgoing(post.create);
    assert_eq!((create.chunks, create.cursor, create.post), (1, 0, Some(post.id)));
    assert_eq!(world.fan_outs(), [post.create]);
    // Who follows after it went out does not get it.
    let late = person("ed", "e.example");
    world.befriend(at(3), &late);
    assert_eq!(world.inbox_state(post.create, &late), InboxState::None);
}

#[test]
fn pending_refused_and_blocked_followers_get_nothing() {
    let mut world = World::default();
    let (ana, bo) = (person("ana", "a.example"), person("bo", "b.example"));
    world.befriend(at(0), &ana);
    world.befriend(at(0), &bo);
    let target = blocks::parse("b.example").unwrap();
    world.act(at(1), |draft, _| blocks::add(draft, target, BlockOwner::Operator, at(1)));
    let post = world.announce(2);
    assert_eq!(world.inbox_state(post.create, &bo), InboxState::None);
    // Blocked while it waits: not sent any more.
    let target = blocks::parse(&ana.actor).unwrap();
    assert_eq!(world.worth(post.create, &ana, 3), Worth::Send);
    world.act(at(3), |draft, _| blocks::add(draft, target, BlockOwner::Operator, at(3)));
    assert_eq!(world.worth(post.create, &ana, 3), Worth::Expired);
}

#[test]
fn a_fan_out_that_has_nobody_is_done_at_once() {
    let mut world = World::default();
    let post = world.announce(0);
    assert_eq!((world.outgoing(post.create).chunks, world.fan_outs()), (0, vec![]));
    // Inboxes that nobody follows through any more leave no open fan-out either.
    let ana = person("ana", "a.example");
    world.befriend(at(1), &ana);
    world.act(at(2), |draft, moment| crate::decide::follow::undo(draft, moment, &ana, at(2)));
    let post = world.announce(3);
    world.retitle(4, post.id, "B");
    world.delete(5, post.id);
    world.act(at(6), |draft, moment| publish::actor_changed(draft, moment, |id| id.to_string()));
    assert_eq!(world.fan_outs(), []);
    for outgoing in
        world.all::<Outgoing>().iter().filter(|outgoing| outgoing.target != Target::Inbox(ana.inbox.clone()))
    {
        assert_eq!(outgoing.cursor, outgoing.chunks, "{:?}", outgoing.kind);
    }
}

#[test]
fn chunks_end_where_they_should() {
    for (inboxes, chunks) in [(1u32, 1u32), (CHUNK_SIZE - 1, 1), (CHUNK_SIZE, 1), (CHUNK_SIZE + 1, 2)] {
        let mut world = World::default();
        world.act(at(0), |draft, _| {
            for number in 0..inboxes {
                let url = format!("https://s{number}.example/inbox");
                draft.put(&InboxNumber { url: url.clone(), number });
                draft.put(&DeliveryInbox { followers: 1, ..DeliveryInbox::new(number, url, at(0)) });
            }
            draft.put_meta(&NextInbox { next: inboxes });
        });
        let post = world.announce(1);
        let update = world.end(2, post.id);
        for id in [post.create, update] {
            assert_eq!(world.outgoing(id).chunks, chunks, "{inboxes}");
            let sizes: Vec<usize> = (0..=chunks)
                .filter_map(|chunk| world.view().get_bytes(&full_key(kind::CHUNK, &chunk_key(id, chunk))))
                .map(|states| states.len())
                .collect();
            assert_eq!(sizes.iter().sum::<usize>(), inboxes as usize);
            assert_eq!(sizes.len(), chunks as usize);
            assert!(sizes.iter().all(|size| *size <= CHUNK_SIZE as usize));
            let state = |number| crate::decide::delivered::state_of(world.view(), id, number);
            assert_eq!(state(inboxes - 1), InboxState::Waiting);
            assert_eq!(state(inboxes), InboxState::None);
        }
    }
}

#[test]
fn an_edit_goes_only_where_the_post_may_be() {
    for (ending, while_live, want) in [
        (Some(Ending::Reached), Worth::Send, Worth::Send),
        (Some(Ending::Retry { due: at(9), uncertain: true }), Worth::Behind, Worth::Send),
        (Some(Ending::Retry { due: at(9), uncertain: false }), Worth::Skip, Worth::Skip),
        (Some(Ending::Failed), Worth::Skip, Worth::Skip),
        (None, Worth::Skip, Worth::Skip),
    ] {
        let (mut world, ana) = (World::default(), person("ana", "a.example"));
        world.befriend(at(0), &ana);
        let post = world.announce(1);
        if let Some(ending) = ending {
            let job = world.job(post.create, &ana);
            world.settle(&job, ending);
        }
        let update = world.retitle(2, post.id, "B");
        assert_eq!(world.worth(update, &ana, 3), while_live, "{ending:?}");
        let delete = world.delete(4, post.id);
        assert_eq!(world.worth(delete, &ana, 5), want, "{ending:?}");
        assert_eq!(world.worth(update, &ana, 5), Worth::Expired, "nothing behind a Delete");
    }
    // Given up without knowing: it may be there.
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    world.befriend(at(0), &ana);
    let post = world.announce(1);
    let job = Job { uncertain: true, ..world.job(post.create, &ana) };
    world.settle(&job, Ending::Failed);
    let update = world.end(2, post.id);
    assert_eq!(world.worth(update, &ana, 3), Worth::Send);
}

#[test]
fn a_waiting_post_goes_out_in_its_newest_words_or_not_at_all() {
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    world.befriend(at(0), &ana);
    let post = world.announce(1);
    world.retitle(2, post.id, "Breadboards");
    let create = world.outgoing(post.create);
    assert!(create.body.contains("Breadboards") && create.body.contains("\"Create\""));
    assert_eq!(world.worth(post.create, &ana, 3), Worth::Send);
    let update = world.end(4, post.id);
    assert_eq!(world.worth(post.create, &ana, 5), Worth::Expired, "the stream is over");
    assert_eq!(world.worth(update, &ana, 5), Worth::Skip);
}

#[test]
fn an_edit_that_a_later_one_overtook_is_not_sent_behind_it() {
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    world.befriend(at(0), &ana);
    let post = world.announce(1);
    let job = world.job(post.create, &ana);
    world.settle(&job, Ending::Reached);
    let first = world.retitle(2, post.id, "B");
    assert_eq!(world.worth(first, &ana, 2), Worth::Send);
    // In the same second, and with the clock set back.
    let second = world.retitle(2, post.id, "C");
    assert_eq!((world.worth(first, &ana, 2), world.worth(second, &ana, 2)), (Worth::Expired, Worth::Send));
    let third = world.end(-3600, post.id);
    assert_eq!(world.worth(third, &ana, -3600), Worth::Send);
    let overtaken = [first, second, third].map(|id| world.worth(id, &ana, -3600));
    assert_eq!(overtaken.iter().filter(|worth| **worth == Worth::Send).count(), 1);
}

#[test]
fn what_follows_a_post_sorts_behind_it_though_the_clock_was_set_back() {
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    world.befriend(at(0), &ana);
    let post = world.announce(1);
    let mut ids = vec![post.create];
    ids.push(world.retitle(-3600, post.id, "B"));
    ids.push(world.end(-7200, post.id));
    ids.push(world.delete(-7100, post.id));
    assert!(ids.is_sorted(), "per inbox, what was made first goes first: {ids:?}");
}

#[test]
fn who_engaged_gets_the_edits_besides_the_followers() {
    let mut world = World::default();
    let (ana, bo, cy) = (person("ana", "a.example"), person("bo", "b.example"), person("cy", "a.example"));
    world.befriend(at(0), &ana);
    let post = world.announce(1);
    let job = world.job(post.create, &ana);
    world.settle(&job, Ending::Reached);
    for (who, id) in [(&bo, "1"), (&cy, "2")] {
        for kind in [EngagementKind::Like, EngagementKind::Announce] {
            world.act(at(2), |draft, moment| {
                engage(draft, moment, kind, who, Ours::Post(post.id), sent(id, id, 2))
            });
        }
    }
    let update = world.retitle(3, post.id, "B");
    assert_eq!(world.singles(update), [bo.delivery_inbox()], "cy's server gets it as a follower's");
    let delete = world.delete(4, post.id);
    assert_eq!(world.singles(delete), [bo.delivery_inbox()]);
}

#[test]
fn who_replied_gets_the_edits_and_counts_for_nothing() {
    let (mut world, bo) = (World::default(), person("bo", "b.example"));
    let post = world.announce(1);
    let mut reply = |now, to| world.act(at(now), |draft, moment| replied(draft, moment, &bo, to, "1"));
    assert_eq!(reply(2, post.id), Engaged::Counted);
    assert_eq!((reply(3, post.id), reply(3, Ulid(404))), (Engaged::Nothing, Engaged::NotOurs));
    assert_eq!((world.post(post.id).likes, world.post(post.id).shares), (0, 0));
    let update = world.retitle(4, post.id, "B");
    assert_eq!(world.singles(update), [bo.delivery_inbox()]);
    let delete = world.delete(5, post.id);
    assert_eq!(world.singles(delete), [bo.delivery_inbox()]);
    let late = world.act(at(6), |draft, moment| replied(draft, moment, &bo, post.id, "2"));
    assert_eq!(late, Engaged::NotOurs, "the post is gone");
}

#[test]
fn who_engaged_gets_the_edits_though_the_post_was_not_delivered_there() {
    for ending in [Some(Ending::Failed), Some(Ending::Retry { due: at(9), uncertain: false }), None] {
        let (mut world, ana) = (World::default(), person("ana", "a.example"));
        world.befriend(at(0), &ana);
        let post = world.announce(1);
        if let Some(ending) = ending {
            let job = world.job(post.create, &ana);
            world.settle(&job, ending);
        }
        // The server has the post after all: fetched, or from somebody's boost.
        let like = EngagementKind::Like;
        world.act(at(2), |draft, moment| {
            engage(draft, moment, like, &ana, Ours::Post(post.id), sent("1", "1", 2))
        });
        let update = world.end(3, post.id);
        assert_eq!(world.singles(update), [ana.delivery_inbox()], "{ending:?}");
        assert_eq!(world.inbox_state(update, &ana), InboxState::None, "once");
    }
}

#[test]
fn blocked_people_who_engaged_get_nothing() {
    let (mut world, bo) = (World::default(), person("bo", "b.example"));
    let post = world.announce(1);
    let like = EngagementKind::Like;
    world
        .act(at(2), |draft, moment| engage(draft, moment, like, &bo, Ours::Post(post.id), sent("1", "1", 2)));
    let target = blocks::parse(&bo.actor).unwrap();
    world.act(at(3), |draft, _| blocks::add(draft, target, BlockOwner::Operator, at(3)));
    let update = world.end(4, post.id);
    assert!(world.singles(update).is_empty());
}

#[test]
fn an_edit_does_not_wait_for_an_inbox_that_was_forgotten() {
    let mut world = World::default();
    let (ana, bo) = (person("ana", "a.example"), person("bo", "b.example"));
    world.befriend(at(0), &ana);
    world.befriend(at(0), &bo);
    let post = world.announce(1);
    for who in [&ana, &bo] {
        let job = world.job(post.create, who);
        world.settle(&job, Ending::Reached);
    }
    // A stream that runs for weeks, in which somebody left long ago.
    world.act(at(2), |draft, moment| crate::decide::follow::undo(draft, moment, &bo, at(2)));
    let weeks = 20 * 24 * 3600;
    world.act(at(weeks), |draft, _| {
        crate::decide::sweep::sweep(draft, &Vec::new(), at(weeks), 10_000, &Default::default());
    });
    let update = world.retitle(weeks, post.id, "B");
    let job = world.job(update, &ana);
    world.settle(&job, Ending::Reached);
    assert!(world.fan_outs().is_empty());
}

#[test]
fn who_was_kept_from_a_post_by_its_end_gets_it_when_the_stream_comes_back() {
    let mut world = World::default();
    let (ana, bo) = (person("ana", "a.example"), person("bo", "b.example"));
    world.befriend(at(0), &ana);
    world.befriend(at(0), &bo);
    let post = world.announce(1);
    let job = world.job(post.create, &ana);
    world.settle(&job, Ending::Reached);
    world.end(100, post.id);
    assert_eq!(world.worth(post.create, &bo, 101), Worth::Expired);
    let job = world.job(post.create, &bo);
    world.settle(&job, Ending::Failed);
    assert!(!world.fan_outs().contains(&post.create));
    world.resume(200, post.id);
    assert_eq!(world.post(post.id).state, PostState::Live);
    assert_eq!(world.inbox_state(post.create, &bo), InboxState::Waiting);
    assert_eq!(world.inbox_state(post.create, &ana), InboxState::Reached);
    assert!(world.fan_outs().contains(&post.create));
    assert_eq!(world.outgoing(post.create).cursor, 0);
    assert_eq!(world.worth(post.create, &bo, 201), Worth::Send);
    let update = world.sent(OutgoingKind::Update).pop().unwrap().id;
    assert_eq!((world.worth(update, &ana, 201), world.worth(update, &bo, 201)), (Worth::Send, Worth::Skip));
}

#[test]
fn a_post_that_comes_back_does_not_wait_for_an_inbox_that_was_forgotten() {
    let mut world = World::default();
    let people = ["ana", "bo", "cy", "di"].map(|name| person(name, &format!("{name}.example")));
    people.iter().for_each(|who| world.befriend(at(0), who));
    let [ana, bo, cy, di] = &people;
    let post = world.announce(1);
    let job = world.job(post.create, ana);
    world.settle(&job, Ending::Reached);
    let job = Job { uncertain: true, ..world.job(post.create, bo) };
    world.settle(&job, Ending::Failed);
    let job = world.job(post.create, cy);
    world.settle(&job, Ending::Failed);
    for who in [bo, cy, di] {
        world.act(at(3), |draft, moment| crate::decide::follow::undo(draft, moment, who, at(3)));
    }
    let weeks = 20 * 24 * 3600;
    let sweep = |world: &mut World| {
        let none = Default::default();
        world.act(at(weeks), |draft, _| {
            crate::decide::sweep::sweep(draft, &Vec::new(), at(weeks), 10_000, &none);
        });
        world.all::<DeliveryInbox>().into_iter().map(|inbox| inbox.url).collect::<Vec<_>>()
    };
    assert_eq!(sweep(&mut world), [ana, di].map(|who| who.delivery_inbox()), "one is still to be come to");
    world.end(weeks, post.id);
    world.resume(weeks + 1, post.id);
    let create = world.job(post.create, di);
    world.settle(&create, Ending::Skipped);
    assert!(!world.fan_outs().contains(&post.create), "nobody else is waited for");
    for update in world.sent(OutgoingKind::Update) {
        world.settle(&Job { outgoing: update.id, ..create.clone() }, Ending::Skipped);
    }
    assert_eq!(sweep(&mut world), [ana.delivery_inbox()]);
}

#[test]
fn every_activity_has_an_id_of_its_own_and_expires() {
    let (mut world, ana) = (World::default(), person("ana", "a.example"));
    world.befriend(at(0), &ana);
    let post = world.announce(1);
    world.retitle(2, post.id, "B");
    world.end(3, post.id);
    world.delete(4, post.id);
    let all: Vec<Outgoing> = world.all();
    let ids: BTreeSet<String> = all
        .iter()
        .map(|outgoing| serde_json::from_str::<serde_json::Value>(&outgoing.body).unwrap()["id"].to_string())
        .collect();
    assert_eq!(ids.len(), all.len());
    for outgoing in &all {
        assert!(outgoing.expires > outgoing.created);
    }
    let day = 24 * 3600;
    let long = world.announce(10);
    assert_eq!(world.worth(long.create, &ana, 10 + day - 1), Worth::Send);
    assert_eq!(world.worth(long.create, &ana, 10 + day), Worth::Expired);
}
