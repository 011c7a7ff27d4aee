//! The other servers: what they were sent, what arrived, and the pump that sends.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use owncast_herald::decide::delivered::{self, Ending, Job, Worth};
use owncast_herald::model::delivery::{Attempt, Claim, InboxState, Outgoing, OutgoingKind};
use owncast_herald::model::follower::DeliveryInbox;
use owncast_herald::model::handle::Person;
use owncast_herald::model::post::{Audience, Post, PostState};
use owncast_herald::model::record::kind;
use owncast_herald::model::view::MemoryView;
use owncast_herald::model::{Draft, View};
use ulid::Ulid;

use crate::chance::Chance;
use crate::expect::Writes;

/// A follower whose server has one inbox for all, or one for each.
pub fn person(name: &str, host: &str, shared: bool) -> Person {
    let actor = format!("https://{host}/users/{name}");
    Person {
        inbox: format!("{actor}/inbox"),
        shared_inbox: shared.then(|| format!("https://{host}/inbox")),
        handle: format!("{name}@{host}"),
        name: None,
        icon: None,
        url: None,
        actor,
    }
}

/// A post as a server shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    content: String,
    updated: Option<String>,
    deleted: bool,
}

/// The first pass of a fan-out, as the pump keeps it in memory.
struct Pass {
    inherited: u32,
    claim: Claim,
}

/// The other servers, and the sender's memory, which a crash empties.
#[derive(Default)]
pub struct Peers {
    /// Tells what is sent.
    trace: bool,
    held: Vec<Job>,
    /// It takes long to write how deliveries end.
    slow: bool,
    /// How deliveries ended that is not written yet, oldest first.
    ended: Vec<(Job, Ending)>,
    /// Something to be sent was written since the last look at it.
    written: bool,
    passes: BTreeMap<Ulid, Pass>,
    shown: BTreeMap<(String, Ulid), Shown>,
    /// Inbox and post: the post was sent there, or may have been when the sender died.
    sent: BTreeSet<(String, Ulid)>,
    /// Inbox and post: known there by another way.
    known: BTreeSet<(String, Ulid)>,
    /// Inbox and post whose last word was given up.
    behind: BTreeSet<(String, Ulid)>,
    reached: BTreeSet<(String, Ulid)>,
    /// Inboxes and activities that they want nothing of.
    refused: BTreeSet<(String, Ulid)>,
}

impl Peers {
    pub fn new(trace: bool) -> Peers {
        Peers { trace, ..Peers::default() }
    }

    /// Looks again if there is more to be sent.
    pub fn wrote(&mut self, writes: &Writes) {
        self.written |=
            writes.iter().any(|(key, _)| matches!(key[0], kind::OUTGOING | kind::FANOUT | kind::ATTEMPT));
    }

    /// The sender dies: what it had claimed may have been sent.
    pub fn crash(&mut self, view: &MemoryView) {
        let passes = std::mem::take(&mut self.passes);
        for (id, pass) in passes {
            let Some(outgoing) = (view as &dyn View).get::<Outgoing>(&id.to_bytes()) else { continue };
            let (Some(post), OutgoingKind::Create) = (outgoing.post, outgoing.kind) else { continue };
            let (waiting, _) = delivered::waiting(view, id, 0, 1000, &mut |_| true);
            for (_, _, inbox) in waiting.into_iter().filter(|(number, ..)| *number < pass.claim.below) {
                self.sent.insert((inbox.url, post));
            }
        }
        self.held.clear();
        self.ended.clear();
    }

    /// Somebody at this inbox came to know a post: what follows it goes there too.
    pub fn knows(&mut self, inbox: &str, post: Ulid) {
        self.known.insert((inbox.to_owned(), post));
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("        {}", what());
        }
    }

    /// Everything in memory.
    fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.held.iter().chain(self.ended.iter().map(|(job, _)| job))
    }

    /// Writes how deliveries ended. What has happened since they did may be written already.
    fn write(&mut self, view: &mut MemoryView) {
        let mut draft = Draft::new(&*view);
        for (job, ending) in self.ended.drain(..) {
            self.written |= !delivered::settle(&mut draft, &job, ending);
            if let Ending::Expired { at } = ending {
                assert_over(draft.view(), &job, at);
            }
            if ending == Ending::Reached {
                self.reached.insert((job.inbox, job.outgoing));
            }
        }
        let changes = draft.into_changes();
        view.apply(changes);
    }

    fn refill(&mut self, view: &dyn View, now: Timestamp) {
        let held: BTreeSet<(Ulid, String)> =
            self.jobs().map(|job| (job.outgoing, job.inbox.clone())).collect();
        let mut found = Vec::new();
        view.scan::<Attempt>(b"", &mut |attempt| {
            if attempt.due <= now && !held.contains(&(attempt.outgoing, attempt.inbox.clone())) {
                found.push(Job::of(attempt.clone()));
            }
            attempt.due <= now
        });
        let mut open = BTreeMap::new();
        view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, value| {
            let id = Ulid::from_bytes(key[1..].try_into().unwrap());
            open.insert(id, Claim::read(value));
            true
        });
        self.passes.retain(|id, _| open.contains_key(id));
        for (id, claim) in open {
            let anew = Pass { inherited: claim.below, claim };
            let pass = self.passes.entry(id).or_insert(anew);
            if claim.opening != pass.claim.opening {
                *pass = Pass { inherited: claim.below, claim };
            }
            let inherited = pass.inherited;
            let (waiting, _) =
                delivered::waiting(view, id, 0, 100, &mut |inbox| !held.contains(&(id, inbox.url.clone())));
            // What was claimed when a stream came back may have been sent, as far as anybody knows.
            let post = view.get::<Outgoing>(&id.to_bytes()).and_then(|outgoing| outgoing.post);
            for (_, _, inbox) in waiting.iter().filter(|(_, state, _)| state.may_have_it()) {
                self.sent.extend(post.map(|post| (inbox.url.clone(), post)));
            }
            found.extend(waiting.into_iter().map(|(number, state, inbox)| Job {
                outgoing: id,
                inbox: inbox.url,
                number: Some(number),
                tries: 0,
                unauthorised: 0,
                uncertain: number < inherited || state.may_have_it(),
                attempt: None,
                owed: false,
                why: None,
            }));
        }
        self.held.extend(found);
    }

    /// One delivery, to any of its ends. True if the sender died in it.
    pub fn step(
        &mut self,
        chance: &mut Chance,
        view: &mut MemoryView,
        now: Timestamp,
        well: bool,
    ) -> Option<bool> {
        if self.written || self.held.is_empty() || chance.percent(15) {
            self.written = false;
            self.refill(view, now);
        }
        // One request at a time per inbox, until its end is written: the oldest activity first.
        let busy = |inbox: &str| self.ended.iter().any(|(job, _)| job.inbox == inbox);
        let free: Vec<&str> = self.held.iter().map(|job| &*job.inbox).filter(|inbox| !busy(inbox)).collect();
        // A disk may be slow: much happens before an end is written then.
        let soon = if self.slow && !well { 2 } else { 50 };
        if !self.ended.is_empty() && chance.percent(soon) {
            self.slow = chance.percent(30);
            self.write(view);
            return Some(false);
        }
        if free.is_empty() {
            return (!self.ended.is_empty()).then_some(false);
        }
        let inbox = chance.pick(&free).to_owned();
        let of_inbox = self.held.iter().enumerate().filter(|(_, job)| job.inbox == inbox);
        let index = of_inbox.min_by_key(|(_, job)| job.outgoing).map(|(index, _)| index).unwrap();
        let job = self.held.remove(index);
        let Some(outgoing) = (&*view as &dyn View).get::<Outgoing>(&job.outgoing.to_bytes()) else {
            self.ended.push((job, Ending::Failed));
            return Some(false);
        };
        let ending = match delivered::worth(view, &outgoing, &job, false, now) {
            Worth::Skip => {
                // Some overtaken, some for followers only where none is any more.
                if self.has_nobody_for(view, &outgoing, &inbox) {
                    self.gave_up(view, &outgoing, &inbox);
                }
                Ending::Skipped
            }
            Worth::Expired => {
                self.gave_up(view, &outgoing, &inbox);
                let post = outgoing.post.and_then(|id| (&*view as &dyn View).get::<Post>(&id.to_bytes()));
                if post.is_some_and(|post| post.state == PostState::Live) {
                    // Nobody follows there any more, or it is too late.
                    self.refused.insert((inbox.clone(), outgoing.id));
                }
                Ending::Expired { at: now }
            }
            Worth::Behind => Ending::Later { due: now + std::time::Duration::from_secs(5) },
            Worth::Send => {
                if self.claim(view, &job) && !well && chance.percent(3) {
                    self.say(|| format!("{:?} {} to {inbox}: dies", outgoing.kind, outgoing.id));
                    return Some(true);
                }
                self.check(view, &outgoing, &job);
                let how = if well { 0 } else { chance.weighted(&[12, 2, 2, 2, 1, 1]) };
                let due = now + std::time::Duration::from_secs(chance.within(1..=300).unsigned_abs());
                if matches!(how, 0 | 2 | 4) {
                    self.arrives(&outgoing, &inbox);
                }
                self.say(|| format!("{:?} {} to {inbox}: {how}", outgoing.kind, outgoing.id));
                match how {
                    0 => Ending::Reached,
                    1 => Ending::Retry { due, uncertain: false },
                    2 | 3 => Ending::Retry { due, uncertain: true },
                    4 => {
                        // Sent, and dead before the outcome was written: what was written before tells of it.
                        return Some(true);
                    }
                    _ => {
                        self.gave_up(view, &outgoing, &inbox);
                        self.refused.insert((inbox.clone(), outgoing.id));
                        Ending::Failed
                    }
                }
            }
        };
        self.ended.push((job, ending));
        Some(false)
    }

    /// Writes that an inbox is about to be tried. False if that needs no writing.
    fn claim(&mut self, view: &mut MemoryView, job: &Job) -> bool {
        if job.to_begin() {
            let mut draft = Draft::new(&*view);
            delivered::begin_again(&mut draft, job);
            let changes = draft.into_changes();
            view.apply(changes);
            let create = (&*view as &dyn View).get::<Outgoing>(&job.outgoing.to_bytes());
            let post = create.filter(|outgoing| outgoing.kind == OutgoingKind::Create);
            self.sent.extend(post.and_then(|outgoing| Some((job.inbox.clone(), outgoing.post?))));
            return true;
        }
        let Some(number) = job.number.filter(|_| job.attempt.is_none()) else { return false };
        let Some(pass) = self.passes.get_mut(&job.outgoing).filter(|pass| number >= pass.claim.below) else {
            return false;
        };
        let from = pass.claim;
        pass.claim.below = number + 1;
        let mut draft = Draft::new(&*view);
        assert!(delivered::claim(&mut draft, job.outgoing, from, number + 1), "another claim stands");
        let changes = draft.into_changes();
        view.apply(changes);
        true
    }

    /// What must be so of everything that is sent.
    fn check(&mut self, view: &MemoryView, outgoing: &Outgoing, job: &Job) {
        let Some(id) = outgoing.post else { return };
        let there = (job.inbox.clone(), id);
        assert!(
            !self.reached.contains(&(job.inbox.clone(), outgoing.id)),
            "sent again though it is known to have arrived: {outgoing:?}"
        );
        let post: Post = (view as &dyn View).get(&id.to_bytes()).unwrap();
        if outgoing.kind == OutgoingKind::Create {
            assert_eq!(post.state, PostState::Live, "a post is sent whose stream is over");
            assert!(!outgoing.body.contains("It ran for"), "{}", outgoing.body);
            assert!(outgoing.body.contains(&post.title), "not its newest words: {}", outgoing.body);
            self.sent.insert(there);
        } else {
            let may = self.sent.contains(&there) || self.known.contains(&there);
            assert!(may, "{:?} of a post that {} was never sent", outgoing.kind, job.inbox);
        }
    }

    /// Whether an activity is about a post for followers, and an inbox has none now.
    fn has_nobody_for(&self, view: &MemoryView, outgoing: &Outgoing, inbox: &str) -> bool {
        let view: &dyn View = view;
        let post = outgoing.post.and_then(|id| view.get::<Post>(&id.to_bytes()));
        let inboxes = view.all::<DeliveryInbox>(b"");
        post.is_some_and(|post| post.audience == Audience::Followers)
            && !inboxes.iter().any(|known| known.url == inbox && known.followers > 0)
    }

    fn gave_up(&mut self, view: &MemoryView, outgoing: &Outgoing, inbox: &str) {
        let Some(id) = outgoing.post.filter(|_| outgoing.kind != OutgoingKind::Create) else { return };
        let post: Post = (view as &dyn View).get(&id.to_bytes()).unwrap();
        let last = post.updated.is_none_or(|updated| updated <= outgoing.created);
        if last || outgoing.kind == OutgoingKind::Delete {
            self.behind.insert((inbox.to_owned(), id));
        }
    }

    /// A server takes an activity as Mastodon does: an edit only if it is dated later than what it has.
    fn arrives(&mut self, outgoing: &Outgoing, inbox: &str) {
        let Some(post) = outgoing.post else { return };
        let there = (inbox.to_owned(), post);
        let body: serde_json::Value = serde_json::from_str(&outgoing.body).unwrap();
        let text = |pointer: &str| body.pointer(pointer).and_then(|value| value.as_str()).map(str::to_owned);
        let (content, updated) = (text("/object/content"), text("/object/updated"));
        match (outgoing.kind, self.shown.get_mut(&there)) {
            (OutgoingKind::Create, None) => {
                let shown = Shown { content: content.unwrap(), updated, deleted: false };
                self.shown.insert(there, shown);
            }
            (OutgoingKind::Update, Some(shown)) if !shown.deleted && shown.updated < updated => {
                *shown = Shown { content: content.unwrap(), updated, deleted: false };
            }
            (OutgoingKind::Delete, Some(shown)) => shown.deleted = true,
            _ => {}
        }
    }

    /// In the end everybody who shows a post shows the last of it, and who was to get a post that is live has it.
    pub fn assert_all_know(&self, view: &MemoryView, live: Option<&Post>, now: Timestamp) {
        let create = live.and_then(|post| (view as &dyn View).get::<Outgoing>(&post.create.to_bytes()));
        for inbox in (view as &dyn View).all::<DeliveryInbox>(b"") {
            let Some(create) = create.as_ref().filter(|create| create.expires > now) else { break };
            let state = delivered::state_of(view, create.id, inbox.number);
            let refused = self.refused.contains(&(inbox.url.clone(), create.id)) || inbox.followers == 0;
            assert!(state != InboxState::Failed || refused, "{} never got what is live", inbox.url);
        }
        for (there, shown) in self.shown.iter().filter(|(there, _)| !self.behind.contains(there)) {
            let post: Post = (view as &dyn View).get(&there.1.to_bytes()).unwrap();
            assert_eq!(shown.deleted, post.state == PostState::Deleted, "at {}: {post:?}", there.0);
            if !shown.deleted {
                assert_eq!(shown.content, post.content, "at {}: {post:?}", there.0);
            }
        }
        for outgoing in (view as &dyn View).all::<Outgoing>(b"").iter().filter(|one| one.post.is_some()) {
            for number in 0..16 {
                let state = delivered::state_of(view, outgoing.id, number);
                let waits =
                    matches!(state, InboxState::Waiting | InboxState::Retrying | InboxState::Uncertain);
                let attempts = (view as &dyn View).all::<Attempt>(b"");
                assert!(!waits, "{number} is {state:?} in {:?}: {attempts:?}", outgoing.kind);
            }
        }
    }
}

/// What is given up because its time is over is not what is live, for somebody who follows.
fn assert_over(view: &dyn View, job: &Job, at: Timestamp) {
    let Some(outgoing) = view.get::<Outgoing>(&job.outgoing.to_bytes()) else { return };
    let (Some(number), OutgoingKind::Create) = (job.number, outgoing.kind) else { return };
    let post: Post = view.get(&outgoing.post.unwrap().to_bytes()).unwrap();
    let follows = view.get::<DeliveryInbox>(&number.to_be_bytes()).is_some_and(|inbox| inbox.followers > 0);
    let live = follows && post.state == PostState::Live && outgoing.expires > at;
    let given_up = delivered::state_of(view, outgoing.id, number) == InboxState::Failed;
    assert!(!live || !given_up, "{} is kept from what is live", job.inbox);
}
