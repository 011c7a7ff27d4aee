//! Rules of the decisions, tried as a hostile or merely unlucky world would try them.

mod abandon;
mod adopt;
mod audience;
mod blocks;
mod delivered;
mod engage;
mod engaged;
mod follow;
mod gone;
mod hosts;
mod in_doubt;
mod profile;
mod publish;
mod redeliver;
mod refusals;
mod reports;
mod revisit;
mod schedule;
mod schemes;
mod stream;
mod stream_clocks;
mod stream_gaps;
mod stream_life;
mod stream_words;
mod sweep;
mod wishes;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ulid::Ulid;

use super::engage::Sent;
use super::rules::OnEnd;
use super::{Moment, Rules};
use crate::model::delivery::{Attempt, InboxState, Outgoing, OutgoingKind, Target};
use crate::model::engagement::{Engagement, Engagers, engagement_key};
use crate::model::facts::Facts;
use crate::model::follower::{
    DeliveryInbox, Follower, FollowerCounts, FollowerState, InboxNumber, OwnersInboxes,
};
use crate::model::handle::Person;
use crate::model::notices::Notice;
use crate::model::post::{Audience, Picture, Post, Shows};
use crate::model::record::{decode, full_key, kind};
use crate::model::view::MemoryView;
use crate::model::{Addresses, Draft, Record, View};

/// Seconds after an arbitrary noon; may be negative.
fn at(seconds: i64) -> Timestamp {
    let noon: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
    noon + SignedDuration::from_secs(seconds)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn rules() -> Rules {
    Rules {
        addresses: Addresses::new("https://live.example", "streamer"),
        go_live: true,
        delay: secs(60),
        repost_after: secs(900),
        title_edits: secs(600),
        on_end: OnEnd::Update,
        with_picture: true,
        audience: Audience::Public,
        manual_approval: false,
        message: None,
        language: None,
    }
}

fn facts() -> Facts {
    Facts { known: true, name: "Ada".to_owned(), ..Facts::default() }
}

fn picture() -> Picture {
    Picture {
        name: "5f2c.jpg".to_owned(),
        media_type: "image/jpeg".to_owned(),
        width: 1280,
        height: 720,
        blurhash: None,
        shows: Shows::Still,
    }
}

/// A like or announce under this id, with this signature and of this time.
fn sent<'a>(id: &'a str, signature: &'a str, stamp: i64) -> Sent<'a> {
    Sent { id, signature, stamp: at(stamp) }
}

/// So many random cases; what fails becomes a test of its own, not a file of seeds.
fn random(cases: u32) -> proptest::prelude::ProptestConfig {
    proptest::prelude::ProptestConfig { cases, failure_persistence: None, ..Default::default() }
}

/// Somebody at a server with a shared inbox.
fn person(name: &str, host: &str) -> Person {
    let actor = format!("https://{host}/users/{name}");
    Person {
        inbox: format!("{actor}/inbox"),
        shared_inbox: Some(format!("https://{host}/inbox")),
        handle: format!("{name}@{host}"),
        name: Some(name.to_owned()),
        icon: None,
        url: None,
        actor,
    }
}

/// Somebody at a server without one.
fn hermit(name: &str, host: &str) -> Person {
    Person { shared_inbox: None, ..person(name, host) }
}

/// A store in memory; every decision is one batch, as on the writer.
#[derive(Clone, Default)]
struct World {
    view: MemoryView,
    decisions: u128,
}

impl World {
    fn act<T>(&mut self, now: Timestamp, decide: impl FnOnce(&mut Draft<'_>, &mut Moment) -> T) -> T {
        self.decisions += 1;
        let mut moment = Moment::new(now, self.decisions << 20);
        let mut draft = Draft::new(&self.view);
        let outcome = decide(&mut draft, &mut moment);
        let changes = draft.into_changes();
        self.view.apply(changes);
        outcome
    }

    fn view(&self) -> &dyn View {
        &self.view
    }

    fn all<R: Record>(&self) -> Vec<R> {
        self.view().all(b"")
    }

    /// Somebody follows right now.
    fn follow(&mut self, now: Timestamp, person: &Person) -> super::follow::Followed {
        let id = Some(format!("{}#follow", person.actor));
        self.act(now, |draft, moment| super::follow::follow(draft, moment, &rules(), person.clone(), id, now))
    }

    /// Somebody follows, and knows that it does: the Accept has arrived.
    fn befriend(&mut self, now: Timestamp, person: &Person) {
        self.follow(now, person);
        let answer = self.follower(person).and_then(|follower| follower.answer);
        let accept = self.all::<Attempt>().into_iter().find(|attempt| Some(attempt.outgoing) == answer);
        let accept = super::delivered::Job::of(accept.unwrap());
        self.act(now, |draft, _| super::delivered::settle(draft, &accept, super::delivered::Ending::Reached));
    }

    fn follower(&self, person: &Person) -> Option<Follower> {
        self.view().get(person.actor.as_bytes())
    }

    fn state(&self, person: &Person) -> Option<FollowerState> {
        self.follower(person).map(|follower| follower.state)
    }

    fn post(&self, id: Ulid) -> Post {
        self.view().get(&id.to_bytes()).unwrap()
    }

    fn sent(&self, kind: OutgoingKind) -> Vec<Outgoing> {
        self.all::<Outgoing>().into_iter().filter(|outgoing| outgoing.kind == kind).collect()
    }

    fn notices(&self) -> Vec<Notice> {
        super::waiting::all(self.view(), usize::MAX)
    }

    /// Number of the inbox of an address.
    fn number(&self, url: &str) -> u32 {
        self.view().get::<InboxNumber>(url.as_bytes()).unwrap().number
    }

    /// State of a person's delivery inbox in a fan-out.
    fn inbox_state(&self, outgoing: Ulid, person: &Person) -> InboxState {
        super::delivered::state_of(self.view(), outgoing, self.number(person.delivery_inbox()))
    }

    fn fan_outs(&self) -> Vec<Ulid> {
        let mut open = Vec::new();
        self.view().scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, _| {
            open.push(Ulid::from_bytes(key[1..].try_into().unwrap()));
            true
        });
        open
    }

    /// Counts and delivery inboxes are what a recount of the followers says.
    fn assert_consistent(&self) {
        let followers: Vec<Follower> = self.all();
        let mut recount = FollowerCounts::default();
        let mut through = std::collections::BTreeMap::<String, u64>::new();
        for follower in &followers {
            if let Some(count) = recount.of(follower.state) {
                *count += 1;
            }
            assert_eq!(
                follower.parked_from.is_some(),
                follower.state == FollowerState::Parked,
                "{follower:?}"
            );
            if follower.state == FollowerState::Approved {
                *through.entry(follower.person.delivery_inbox().to_owned()).or_default() += 1;
            }
        }
        assert_eq!(self.view().meta::<FollowerCounts>(), recount);
        let mut owners = std::collections::BTreeMap::<String, u32>::new();
        for url in through.keys() {
            *owners.entry(crate::model::owner::owner_of(url)).or_default() += 1;
        }
        let counted = self.all::<OwnersInboxes>().into_iter().map(|of| (of.owner, of.count));
        assert_eq!(counted.collect::<std::collections::BTreeMap<_, _>>(), owners);
        let inboxes: Vec<DeliveryInbox> = self.all();
        for inbox in &inboxes {
            assert_eq!(inbox.followers, through.remove(&inbox.url).unwrap_or(0), "{}", inbox.url);
            assert_eq!(self.number(&inbox.url), inbox.number);
        }
        assert!(through.is_empty(), "no record of {through:?}");
        assert_eq!(self.all::<InboxNumber>().len(), inboxes.len());
        // Whoever did something with a post is listed among its own, once, and nobody else is.
        let mut listed = Vec::new();
        self.view().scan_bytes(&[kind::ENGAGERS], &[kind::ENGAGERS], &mut |key, value| {
            let engagers: Engagers = decode(value).unwrap();
            assert!(!engagers.who.is_empty());
            let post = Some(Ulid::from_bytes(key[1..17].try_into().unwrap()));
            let keys = engagers.who.iter().map(|who| engagement_key(post, who.kind, &who.actor));
            listed.extend(keys.map(|engagement| (engagement, key[1..].to_vec())));
            true
        });
        listed.sort();
        let engagements = self.all::<Engagement>().into_iter().filter_map(|engagement| {
            assert!(full_key(kind::ENGAGEMENT, &engagement.key()).len() <= 22);
            let at = Engagers::key_at(engagement.post?, engagement.listed.unwrap());
            Some((engagement.key(), at.to_vec()))
        });
        assert_eq!(listed, engagements.collect::<Vec<_>>());
        // An answer that waits has its attempt.
        let due: std::collections::BTreeSet<Ulid> =
            self.all::<Attempt>().into_iter().map(|attempt| attempt.outgoing).collect();
        for answer in self.all::<Outgoing>() {
            let waits = matches!(answer.target, Target::Inbox(_)) && answer.given_up.is_none();
            assert!(!waits || due.contains(&answer.id), "{answer:?}");
        }
    }
}
