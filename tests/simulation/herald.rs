//! The program beside that Owncast: its pure decisions over a store in memory, which is all that a crash leaves.

use std::time::Duration;

use jiff::Timestamp;
use owncast_herald::decide::engage::{Ours, Sent, engage};
use owncast_herald::decide::rules::OnEnd;
use owncast_herald::decide::stream::{Offer, Outcome, sight};
use owncast_herald::decide::wishes::{self, NotNow, Skipped};
use owncast_herald::decide::{Moment, Rules, follow, publish, sweep};
use owncast_herald::model::engagement::EngagementKind;
use owncast_herald::model::facts::Facts;
use owncast_herald::model::handle::Person;
use owncast_herald::model::post::{Audience, Picture, PostState, Shows};
use owncast_herald::model::view::MemoryView;
use owncast_herald::model::{Addresses, Changes, Draft};

use crate::chance::Chance;
use crate::expect::{Expect, Writes};
use crate::peers::{Peers, person};
use crate::truth::{Answer, Truth};

pub struct Life {
    pub chance: Chance,
    truth: Truth,
    view: MemoryView,
    rules: Rules,
    facts: Facts,
    pub expect: Expect,
    peers: Peers,
    people: Vec<(Person, bool)>,
    decisions: u128,
    /// Where the last sweep stopped.
    swept: sweep::Cursor,
    messages: u32,
    /// Seconds between two looks, at least and at most.
    tempo: (i64, i64),
    trace: bool,
}

const TEMPO: [(i64, i64); 4] = [(1, 6), (10, 40), (90, 700), (900, 7200)];

impl Life {
    pub fn new(seed: u64, trace: bool) -> Life {
        let mut chance = Chance::new(seed);
        let truth = Truth::new(&mut chance);
        let people =
            [("ana", "a", true), ("bo", "a", true), ("cy", "b", false), ("di", "c", true), ("ed", "d", true)];
        Life {
            truth,
            view: MemoryView::default(),
            rules: Rules {
                addresses: Addresses::new("https://live.example", "streamer"),
                go_live: true,
                delay: Duration::from_secs(60),
                repost_after: Duration::from_secs(900),
                title_edits: Duration::from_secs(600),
                on_end: OnEnd::Update,
                with_picture: true,
                audience: Audience::Public,
                manual_approval: false,
                message: None,
                language: None,
            },
            facts: Facts { known: true, name: "Ada".to_owned(), ..Facts::default() },
            expect: Expect::default(),
            peers: Peers::new(trace),
            people: people
                .map(|(name, host, shared)| (person(name, &format!("{host}.example"), shared), false))
                .to_vec(),
            decisions: 0,
            swept: sweep::Cursor::new(),
            messages: 0,
            tempo: TEMPO[0],
            trace,
            chance,
        }
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>7} {}", self.truth.now, what());
        }
    }

    /// Decides, and answers what is to be written.
    fn decided<T>(
        &mut self,
        now: Timestamp,
        decide: impl Fn(&mut Draft<'_>, &mut Moment) -> T,
    ) -> (T, Writes) {
        self.decisions += 1;
        let moment = Moment::new(now, self.decisions << 20);
        let mut draft = Draft::new(&self.view);
        let outcome = decide(&mut draft, &mut moment.clone());
        let writes = draft.into_changes().into_writes();
        if self.chance.percent(5) {
            // Died before it was written, and decided again by the next process.
            let mut draft = Draft::new(&self.view);
            decide(&mut draft, &mut moment.clone());
            assert_eq!(draft.into_changes().into_writes(), writes, "the same view, another decision");
        }
        (outcome, writes)
    }

    fn apply(&mut self, writes: Writes) {
        self.peers.wrote(&writes);
        self.view.apply(Changes::of(writes));
    }

    fn commit<T>(&mut self, decide: impl Fn(&mut Draft<'_>, &mut Moment) -> T) -> T {
        let (outcome, writes) = self.decided(self.truth.ours(), decide);
        self.apply(writes);
        outcome
    }

    /// One thing happens.
    pub fn step(&mut self) {
        if self.chance.percent(1) {
            self.tempo = TEMPO[self.chance.weighted(&[6, 3, 2, 1])];
        }
        match self.chance.weighted(&[500, 300, 40, 30, 15, 30, 40, 12, 12, 20, 5, 10]) {
            0 => {
                let wait = self.chance.within(self.tempo.0..=self.tempo.1);
                self.truth.pass(&mut self.chance, wait);
                self.look();
            }
            1 => {
                let now = self.truth.ours();
                if self.peers.step(&mut self.chance, &mut self.view, now, false) == Some(true) {
                    self.crash();
                }
            }
            2 => {
                self.truth.retitle(&mut self.chance);
                self.say(|| format!("title {:?}", self.truth.title));
            }
            3 => self.configure(),
            4 => {
                let set = self.truth.set_clock(&mut self.chance);
                self.say(|| format!("clock {set:?}"));
            }
            5 => self.wish(),
            6 => self.come_or_go(),
            7 => {
                self.truth.restart(&mut self.chance);
                self.say(|| "Owncast restarts".to_owned());
            }
            8 => {
                self.truth.cut(&mut self.chance);
                self.say(|| "Owncast is out of reach".to_owned());
            }
            9 => {
                self.crash();
                let away = self.chance.pick(&[1, 5, 60, 1000, 4000]);
                let away = self.chance.within(0..=away);
                self.truth.pass(&mut self.chance, away);
            }
            10 => {
                let from = self.swept.clone();
                let nobody = Default::default();
                self.swept =
                    self.commit(|draft, moment| sweep::sweep(draft, &from, moment.now, 40, &nobody)).next;
            }
            _ => self.engage(),
        }
    }

    fn crash(&mut self) {
        self.say(|| "the program dies".to_owned());
        self.peers.crash(&self.view);
    }

    /// One look at Owncast, as the watcher does it; the program may die anywhere in it.
    fn look(&mut self) {
        let Some(answer) = self.truth.answer() else { return };
        if self.chance.percent(2) {
            // Decided, but never written.
            self.decided_about(&answer, &Offer::NotAsked);
            return self.crash();
        }
        self.expect.look(&self.truth, &answer.sight);
        self.truth.set = false;
        let first = self.decide(&answer, &Offer::NotAsked, |outcome| !outcome.is_due);
        if !first.is_due {
            return;
        }
        let real = self.truth.has_picture();
        let fetching = self.chance.pick(&[0, 0, 1, 3, 20]);
        self.truth.pass(&mut self.chance, fetching);
        if self.chance.percent(3) {
            return self.crash();
        }
        let picture = Picture {
            name: "5f2c.jpg".to_owned(),
            media_type: "image/jpeg".to_owned(),
            width: 1280,
            height: 720,
            blurhash: None,
            shows: Shows::Still,
        };
        let offer = if real { Offer::Real { picture, source: "ab".to_owned() } } else { Offer::NoneYet };
        self.decide(&answer, &offer, |_| true);
    }

    fn decided_about(&mut self, answer: &Answer, offer: &Offer) -> (Outcome, Writes) {
        let (rules, facts) = (self.rules.clone(), self.facts.clone());
        self.decided(self.truth.ours(), |draft, moment| {
            sight(draft, moment, &rules, &facts, &answer.sight, offer)
        })
    }

    /// Decides about one answer, writes it, and compares it with what must be so.
    fn decide(&mut self, answer: &Answer, offer: &Offer, complete: fn(&Outcome) -> bool) -> Outcome {
        let (outcome, writes) = self.decided_about(answer, offer);
        self.expect.written(&writes);
        self.apply(writes);
        if !outcome.did.is_empty() {
            self.say(|| format!("{:?} {:?}", outcome.did, self.expect.live().map(|post| &post.title)));
        }
        self.expect.did(&self.truth, &self.rules, answer, offer, &outcome.did, complete(&outcome));
        if self.chance.percent(10) && complete(&outcome) {
            // Died behind it, or told the same thing twice.
            let (again, writes) = self.decided_about(answer, offer);
            assert!(again.did.is_empty(), "done twice: {again:?}");
            assert!(writes.is_empty(), "the same sight is written twice: {writes:?}");
        }
        outcome
    }

    fn configure(&mut self) {
        let seconds = Duration::from_secs;
        match self.chance.within(1..=9) {
            1 => self.rules.delay = seconds(self.chance.pick(&[0, 20, 60, 60, 120])),
            2 => self.rules.repost_after = seconds(self.chance.pick(&[0, 300, 900, 3600])),
            3 => self.rules.title_edits = seconds(self.chance.pick(&[60, 600])),
            4 => {
                self.rules.on_end =
                    self.chance.pick(&[OnEnd::Update, OnEnd::Update, OnEnd::Delete, OnEnd::Keep])
            }
            5 => self.rules.audience = self.chance.pick(&[Audience::Public, Audience::Followers]),
            6 => self.rules.with_picture = self.chance.percent(70),
            7 => self.rules.go_live = self.chance.percent(80),
            8 => self.facts.nsfw = self.chance.percent(30),
            _ => {
                self.rules.message = self.chance.pick(&[
                    None,
                    Some("Hello. {title}".to_owned()),
                    Some("The stream is over. Not yet.".to_owned()),
                ])
            }
        }
        self.say(|| format!("{:?}", self.rules));
    }

    /// The operator wants something.
    fn wish(&mut self) {
        let running = self.expect.running().is_some();
        let announced = self.expect.running().and_then(|seen| seen.post);
        let announced = announced.filter(|id| self.expect.posts[id].state != PostState::Ended);
        let wanted = &mut self.expect.wanted;
        match self.chance.within(1..=14) {
            1..=2 => {
                let skipped = self.commit(|draft, _| wishes::skip(draft));
                self.say(|| format!("skip: {skipped:?}"));
                let wanted = &mut self.expect.wanted;
                wanted.now = false;
                let this = match (running, announced) {
                    (false, _) => {
                        assert_eq!(skipped, Skipped::Next);
                        false
                    }
                    (true, Some(post)) => {
                        assert_eq!(skipped, Skipped::NextSinceAnnounced(post));
                        false
                    }
                    (true, None) => {
                        assert!(matches!(skipped, Skipped::ThisSession(_)), "{skipped:?}");
                        true
                    }
                };
                wanted.skip_next = !this;
                if let Some(seen) = self.expect.seen.as_mut().filter(|seen| !seen.over) {
                    seen.skipped = this;
                }
            }
            3 => {
                let known = wanted.skip_next || self.expect.running().is_some_and(|seen| seen.skipped);
                self.expect.wanted.skip_next = false;
                if let Some(seen) = self.expect.seen.as_mut().filter(|seen| !seen.over) {
                    seen.skipped = false;
                }
                assert_eq!(self.commit(|draft, _| wishes::unskip(draft)), known);
            }
            4..=6 => {
                self.messages += 1;
                let message = self.chance.percent(80).then(|| format!("Once {}.", self.messages));
                self.expect.wanted.message.clone_from(&message);
                self.commit(|draft, _| wishes::message(draft, message.clone()));
            }
            7 => {
                let until = self.truth.ours() + Duration::from_secs(self.chance.pick(&[30, 600, 7200]));
                (wanted.paused_until, wanted.now) = (Some(until), false);
                self.commit(|draft, _| wishes::pause(draft, until));
                self.say(|| format!("pause until {until}"));
            }
            8..=9 => {
                wanted.paused_until = None;
                self.commit(|draft, moment| wishes::resume(draft, moment.now));
            }
            _ => {
                let answer = self.commit(|draft, _| wishes::now(draft));
                self.say(|| format!("now: {answer:?}"));
                match (running, announced) {
                    (false, _) => assert_eq!(answer, Err(NotNow::NoStream)),
                    (true, Some(post)) => assert_eq!(answer, Err(NotNow::Announced(post))),
                    (true, None) => {
                        assert!(answer.is_ok(), "{answer:?}");
                        self.expect.wanted.now = true;
                    }
                }
            }
        }
    }

    fn come_or_go(&mut self) {
        let index = usize::try_from(self.chance.within(0..=4)).unwrap();
        let (who, follows) = self.people[index].clone();
        self.people[index].1 = !follows;
        let (rules, stamp) = (self.rules.clone(), self.truth.ours());
        if follows {
            self.commit(|draft, moment| follow::undo(draft, moment, &who, stamp));
        } else {
            let id = Some(format!("{}#follow", who.actor));
            self.commit(|draft, moment| {
                follow::follow(draft, moment, &rules, who.clone(), id.clone(), stamp)
            });
        }
    }

    /// Somebody likes the newest post, whether or not it came from us; now and then the operator deletes it.
    fn engage(&mut self) {
        let Some((&id, post)) = self.expect.posts.last_key_value() else { return };
        if self.chance.percent(5) && post.state != PostState::Deleted {
            let (rules, post) = (self.rules.clone(), post.clone());
            let (_, writes) = self.decided(self.truth.ours(), |draft, moment| {
                publish::delete(draft, moment, &rules, post.clone());
            });
            self.expect.written(&writes);
            self.expect.deleted_by_hand(id);
            self.apply(writes);
            return;
        }
        let index = usize::try_from(self.chance.within(0..=4)).unwrap();
        let who = self.people[index].0.clone();
        if post.state != PostState::Deleted {
            self.peers.knows(who.delivery_inbox(), id);
        }
        let activity = self.decisions.to_string();
        let stamp = self.truth.ours();
        self.commit(|draft, moment| {
            let sent = Sent { id: &activity, signature: &activity, stamp };
            engage(draft, moment, EngagementKind::Like, &who, Ours::Post(id), sent)
        });
    }

    /// Everybody is well, nothing happens any more, and time goes by.
    pub fn come_to_rest(&mut self) {
        let began = self.truth.ours();
        let mut idle = 0;
        while idle < 3 {
            let now = self.truth.ours();
            match self.peers.step(&mut self.chance, &mut self.view, now, true) {
                Some(_) => idle = 0,
                None => {
                    idle += 1;
                    self.truth.now += 30_000;
                }
            }
        }
        self.peers.assert_all_know(&self.view, self.expect.live(), began);
    }
}
