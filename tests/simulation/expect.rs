//! What must be so, told from what really happened and not from what the program remembers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use owncast_herald::decide::Rules;
use owncast_herald::decide::rules::OnEnd;
use owncast_herald::decide::stream::{Did, Offer, Sight};
use owncast_herald::model::Record;
use owncast_herald::model::delivery::{Outgoing, OutgoingKind};
use owncast_herald::model::post::{Post, PostState};
use owncast_herald::model::record::decode;
use ulid::Ulid;

use crate::truth::{Answer, Truth};

/// Seconds by which a measured time may be off: whole seconds of Owncast, and clocks apart.
const SLACK: i64 = 18;
/// Seconds between two times that are written.
const WRITTEN: i64 = 60;

/// What is expected of the operator's wishes.
#[derive(Debug, Default)]
pub struct Wanted {
    pub skip_next: bool,
    pub paused_until: Option<Timestamp>,
    pub message: Option<String>,
    pub now: bool,
}

/// The stream as anybody saw it who looked when the program looked.
#[derive(Debug)]
pub struct Seen {
    pub post: Option<Ulid>,
    /// True second in which its first connection began.
    first: i64,
    /// The newest connection: true second, and the first look at it.
    connection: i64,
    looked: i64,
    /// The last look at it running.
    running: i64,
    /// The first look at it gone, since it last ran.
    away: Option<i64>,
    pub over: bool,
    pub skipped: bool,
    /// How often it came back after its end.
    returns: u32,
    title: String,
    told: i64,
    /// Clocks set since the newest connection or since it went.
    set: i64,
    /// A clock was set while nobody looked for long: nobody can know the times.
    unsure: bool,
    deleted_by_hand: bool,
    /// Over for longer than a return may take, by the settings of some look.
    closed: bool,
}

/// Writes of one decision.
pub type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

#[derive(Debug, Default)]
pub struct Expect {
    pub posts: BTreeMap<Ulid, Post>,
    pub wanted: Wanted,
    pub seen: Option<Seen>,
    last_look: i64,
    /// A clock was set before the last look.
    set: bool,
    /// Activities about posts that are new in this decision.
    queued: Vec<Outgoing>,
    before: BTreeMap<Ulid, Post>,
    pub announced: usize,
    pub ended: usize,
    pub resumed: usize,
}

impl Expect {
    /// The post that says live.
    pub fn live(&self) -> Option<&Post> {
        let mut live = self.posts.values().filter(|post| post.state == PostState::Live);
        let one = live.next();
        assert!(live.next().is_none(), "two posts say live: {:?}", self.posts);
        one
    }

    pub fn running(&self) -> Option<&Seen> {
        self.seen.as_ref().filter(|seen| !seen.over)
    }

    /// Takes note of what a decision writes.
    pub fn written(&mut self, writes: &Writes) {
        self.before.clear();
        self.queued.clear();
        let mut made = BTreeSet::new();
        for (_, value) in writes.iter().filter(|(key, _)| key[0] == Post::KIND) {
            let post: Post = decode(value.as_ref().expect("posts are kept")).unwrap();
            if let Some(before) = self.posts.insert(post.id, post.clone()) {
                assert_eq!(before.audience, post.audience, "an audience never changes");
                assert_eq!(before.published, post.published);
                self.before.insert(post.id, before);
            } else {
                made.insert(post.id);
            }
        }
        for (_, value) in writes.iter().filter(|(key, _)| key[0] == Outgoing::KIND) {
            let Some(outgoing) = value.as_ref().and_then(|value| decode::<Outgoing>(value)) else { continue };
            let Some(post) = outgoing.post else { continue };
            // A Create that is there already is written again in newer words, or because its stream still runs.
            if outgoing.kind != OutgoingKind::Create || made.contains(&post) {
                self.queued.push(outgoing);
            }
        }
    }

    /// One of the posts is deleted by hand.
    pub fn deleted_by_hand(&mut self, id: Ulid) {
        if let Some(seen) = self.seen.as_mut().filter(|seen| seen.post == Some(id)) {
            seen.deleted_by_hand = true;
        }
    }

    /// What keeps a post from being made.
    fn held(&self, rules: &Rules, skipped: bool) -> bool {
        !self.wanted.now && (!rules.go_live || skipped || self.wanted.paused_until.is_some())
    }

    /// Before a look at an answer: what the world looks like to whoever looks.
    pub fn look(&mut self, truth: &Truth, sight: &Sight) {
        let gap = truth.now - self.last_look;
        if self.wanted.paused_until.is_some_and(|until| until <= truth.ours()) {
            self.wanted.paused_until = None;
        }
        if let Some(seen) = &mut self.seen {
            seen.set += i64::from(truth.set);
            // Set twice between two times that are written, or while nobody looked.
            seen.unsure |= truth.set && (gap > SLACK - 3 || (seen.over && seen.set > 1));
            if sight.connected.is_none() && !seen.over && seen.away.is_none() {
                (seen.away, seen.set) = (Some(truth.now), i64::from(truth.set));
            }
        }
        (self.last_look, self.set) = (truth.now, truth.set);
    }

    /// What a decision did about an answer. `complete` when no second look with a picture follows.
    pub fn did(
        &mut self,
        truth: &Truth,
        rules: &Rules,
        answer: &Answer,
        offer: &Offer,
        did: &[Did],
        complete: bool,
    ) {
        let (sight, connection) = (&answer.sight, answer.connection);
        let mut kinds: Vec<OutgoingKind> = self.queued.iter().map(|outgoing| outgoing.kind).collect();
        let mut continues = false;
        for one in did {
            match one {
                Did::Started => self.started(truth, rules, connection.expect("nobody is there")),
                Did::Continues => {
                    continues = true;
                    self.continues(rules, connection.expect("nobody is there"));
                }
                Did::Announced(id) => {
                    take(&mut kinds, OutgoingKind::Create);
                    self.announced(truth, rules, answer, offer, *id);
                }
                Did::Lost | Did::Back => {}
                Did::Resumed(id) => {
                    let (post, before) = (&self.posts[id], &self.before[id]);
                    assert_eq!((post.state, before.state), (PostState::Live, PostState::Ended));
                    if before.content != before.live_content {
                        take(&mut kinds, OutgoingKind::Update);
                        assert_eq!(post.title, sight.title, "a post that is live again has the title");
                        self.seen.as_mut().unwrap().told = truth.now;
                    }
                    assert!(!post.content.contains("It ran for"));
                    self.resumed += 1;
                    let seen = self.seen.as_ref().unwrap();
                    assert_eq!(seen.post, Some(*id));
                    assert!(!self.held(rules, seen.skipped), "live again though it is held back");
                    let seen = self.seen.as_mut().unwrap();
                    (seen.skipped, seen.returns) = (false, seen.returns + 1);
                    self.wanted.now = false;
                }
                Did::Retitled(id) => {
                    take(&mut kinds, OutgoingKind::Update);
                    let (post, before) = (&self.posts[id], &self.before[id]);
                    assert_eq!(post.state, PostState::Live);
                    assert_eq!(post.title, sight.title);
                    assert!(post.alt.contains(&sight.title));
                    assert_eq!((post.edits, post.edits <= 3), (before.edits + 1, true));
                    let seen = self.seen.as_mut().unwrap();
                    let since = truth.now - seen.told;
                    let least = i64::try_from(rules.title_edits.as_secs()).unwrap();
                    assert!(seen.unsure || since >= least - SLACK, "edited again after {since} s");
                    seen.told = truth.now;
                }
                Did::Marked(id) => {
                    take(&mut kinds, OutgoingKind::Update);
                    let (post, before) = (&self.posts[id], &self.before[id]);
                    assert_eq!(post.state, PostState::Live);
                    assert_eq!((post.sensitive, before.sensitive), (true, false), "it is told once");
                    assert_eq!(post.title, sight.title);
                    self.seen.as_mut().unwrap().told = truth.now;
                }
                Did::Ended(post, lasted) => {
                    let lasted = i64::try_from(lasted.as_secs()).unwrap();
                    self.ended(truth, rules, connection, *post, lasted, &mut kinds);
                }
            }
        }
        assert!(kinds.is_empty(), "{did:?} queues {kinds:?} besides");
        if did.is_empty() {
            assert!(self.before.is_empty(), "nothing was done, and a post was written: {:?}", self.before);
        }
        self.came(truth, rules, connection, sight, continues);
        self.live();
        if let Some(seen) = self.seen.as_mut().filter(|seen| seen.over) {
            let since = truth.now - seen.running + WRITTEN + SLACK;
            seen.closed |= since >= secs(rules.repost_after);
        }
        if complete {
            self.settled(truth, rules, sight, offer);
        }
    }

    /// A connection that was not there at the look before belongs to a stream by now.
    fn came(
        &mut self,
        truth: &Truth,
        rules: &Rules,
        connection: Option<i64>,
        sight: &Sight,
        continues: bool,
    ) {
        let (Some(connection), Some(seen)) = (connection, &mut self.seen) else { return };
        if sight.connected.is_none() || seen.over {
            return;
        }
        if seen.connection != connection {
            let gap = connection - seen.away.unwrap_or(seen.running);
            let most = secs(rules.repost_after) + WRITTEN + SLACK;
            assert!(continues || seen.unsure || gap <= most, "one stream after {gap} s");
            (seen.connection, seen.looked, seen.set) = (connection, truth.now, 0);
        }
        (seen.running, seen.away) = (truth.now, None);
        seen.title.clone_from(&sight.title);
    }

    fn started(&mut self, truth: &Truth, rules: &Rules, connection: i64) {
        // With a post that was deleted at the end, it may be the same stream.
        let returns = self.seen.as_ref().map_or(0, |old| old.returns + 1);
        if let Some(old) = &self.seen {
            assert!(old.over, "a new stream in the middle of another");
            let (gone, exactly) = self.went(truth, old);
            let repost_after = secs(rules.repost_after);
            let gap = connection - gone;
            let late = gap >= repost_after - SLACK - if exactly { 0 } else { WRITTEN };
            let ended = old.post.is_some_and(|id| self.posts[&id].state == PostState::Ended);
            let may_continue = ended || (old.skipped && old.post.is_none());
            assert!(
                old.unsure || old.closed || late || !may_continue || self.wanted.skip_next,
                "a new stream {gap} s after {old:?}"
            );
        }
        self.seen = Some(Seen {
            post: None,
            first: connection,
            connection,
            looked: truth.now,
            running: truth.now,
            away: None,
            over: false,
            skipped: std::mem::take(&mut self.wanted.skip_next),
            returns,
            title: String::new(),
            told: truth.now,
            set: 0,
            unsure: self.set,
            deleted_by_hand: false,
            closed: false,
        });
        self.wanted.now = false;
    }

    /// The earliest moment that may be taken for the end of a stream, and whether it is the true one.
    fn went(&self, truth: &Truth, seen: &Seen) -> (i64, bool) {
        // Owncast tells of the last connection that went, which may be one that nobody saw.
        let away = seen.away.filter(|away| truth.newest_before(*away) == Some(seen.connection));
        match (truth.gone.get(&seen.connection), away) {
            (Some(gone), Some(_)) if gone.known => (gone.at, true),
            (Some(gone), Some(away)) if away - seen.running < WRITTEN => (gone.at, false),
            _ => (seen.running, false),
        }
    }

    fn continues(&mut self, rules: &Rules, connection: i64) {
        assert!(!self.wanted.skip_next, "the operator wanted no post for the next stream");
        let seen = self.seen.as_mut().unwrap();
        assert!(seen.over);
        let ended = seen.post.is_some_and(|id| {
            let before = self.before.get(&id).unwrap_or(&self.posts[&id]);
            before.state == PostState::Ended
        });
        assert!(ended || seen.skipped, "nothing to continue: {seen:?}");
        let gap = seen.away.map_or(0, |away| connection - away);
        assert!(seen.unsure || gap < secs(rules.repost_after) + SLACK, "continued after {gap} s");
        seen.over = false;
    }

    fn announced(&mut self, truth: &Truth, rules: &Rules, answer: &Answer, offer: &Offer, id: Ulid) {
        let (sight, connection) = (&answer.sight, answer.connection);
        self.announced += 1;
        let held = self.held(rules, self.seen.as_ref().unwrap().skipped);
        assert!(!held, "announced though it is held back: {:?} {:?}", self.wanted, self.seen);
        let seen = self.seen.as_mut().unwrap();
        let post = &self.posts[&id];
        assert!(seen.post.replace(id).is_none(), "a second post of one stream");
        let connection = connection.expect("nobody is there");
        let gone = truth.gone.get(&connection).map(|gone| gone.at);
        assert!(gone.is_none_or(|gone| gone >= self.last_look), "announced behind its end");
        let up = truth.now - connection;
        let on_and_off = sight.online && truth.now - seen.first >= secs(rules.delay) * 3 - SLACK;
        let early = !self.wanted.now && up < secs(rules.delay) - SLACK && !on_and_off;
        assert!(seen.unsure || !early, "announced after {up} s");
        assert_eq!((post.state, &post.title), (PostState::Live, &sight.title));
        assert!(post.content.contains(&sight.title) && post.alt.contains(&sight.title));
        assert_eq!(post.audience, rules.audience);
        let real = matches!(offer, Offer::Real { .. }) && rules.with_picture;
        assert_eq!(post.picture.is_some(), real, "{offer:?}");
        match self.wanted.message.take() {
            Some(message) => assert!(post.content.contains(&message), "{post:?}"),
            None => assert!(!post.content.contains("Once "), "{post:?}"),
        }
        (seen.told, seen.skipped) = (truth.now, false);
        self.wanted.now = false;
    }

    fn ended(
        &mut self,
        truth: &Truth,
        rules: &Rules,
        connection: Option<i64>,
        post: Option<Ulid>,
        lasted: i64,
        kinds: &mut Vec<OutgoingKind>,
    ) {
        let (gone, exactly) = self.went(truth, self.seen.as_ref().unwrap());
        let seen = self.seen.as_mut().unwrap();
        assert!(!seen.over, "it is over already");
        seen.over = true;
        seen.set = 0;
        self.wanted.now = false;
        match connection {
            None => {
                let away = truth.now - gone;
                let grace = secs(rules.delay).min(30);
                assert!(seen.unsure || away >= grace - 2, "over after {away} s");
            }
            Some(connection) => {
                let gap = connection - seen.running;
                let least = secs(rules.repost_after) - SLACK;
                assert!(seen.unsure || gap >= least, "another stream after {gap} s");
            }
        }
        // From the first encoder that was seen until the last one went, as far as anybody saw that.
        let (least, most) = if exactly {
            (gone - seen.first, gone - seen.first)
        } else {
            (seen.running - WRITTEN - seen.first, seen.away.unwrap_or(seen.running) - seen.first)
        };
        let fits = lasted >= least - SLACK && lasted <= most + SLACK;
        assert!(seen.unsure || fits, "it ran for {lasted} s, not for {least} to {most} s: {seen:?}");
        let Some(id) = post else {
            let live = seen.post.is_some_and(|id| self.before.contains_key(&id));
            assert!(!live, "its post said live");
            return;
        };
        self.ended += 1;
        assert_eq!(seen.post, Some(id));
        let (after, before) = (&self.posts[&id], &self.before[&id]);
        assert_eq!(before.state, PostState::Live, "it ends once");
        match rules.on_end {
            OnEnd::Update => {
                take(kinds, OutgoingKind::Update);
                assert_eq!(after.state, PostState::Ended);
                assert_eq!(after.content.matches("It ran for").count(), 1, "{}", after.content);
                assert!(after.content.ends_with(&after.live_content), "{after:?}");
                assert_eq!(after.title, seen.title, "the last title wins");
                assert!(after.content.contains(&seen.title) && after.alt.contains(&seen.title));
            }
            OnEnd::Delete => {
                take(kinds, OutgoingKind::Delete);
                assert_eq!(after.state, PostState::Deleted);
            }
            OnEnd::Keep => {
                assert_eq!((after.state, &after.content), (PostState::Ended, &before.content));
            }
        }
    }

    /// After a look that was carried out to its end.
    fn settled(&mut self, truth: &Truth, rules: &Rules, sight: &Sight, offer: &Offer) {
        let live = self.live().map(|post| post.id);
        let Some(seen) = &self.seen else { return };
        let lost = WRITTEN * seen.set;
        if sight.connected.is_none() {
            let waited = seen.away.map_or(0, |away| truth.now - away);
            // Whoever comes and goes is waited for longer, but no longer than for a return.
            let longest = if seen.returns < 2 { 0 } else { secs(rules.repost_after) };
            let grace = secs(rules.delay).min(30).max((30 << (seen.returns.max(1) - 1).min(10)).min(longest));
            let over = seen.over || seen.unsure || waited < grace + SLACK + lost;
            assert!(over, "not over after {waited} s: {seen:?}");
            assert!(!seen.over || live.is_none(), "a stream that is over is shown live");
            return;
        }
        let up = truth.now - seen.looked;
        let picture = !rules.with_picture || matches!(offer, Offer::Real { .. });
        let deadline = if picture { secs(rules.delay) } else { secs(rules.delay).max(90) };
        let due = up > deadline + lost + SLACK && sight.online;
        if due && !seen.unsure && !seen.deleted_by_hand && !self.held(rules, seen.skipped) {
            assert!(live.is_some(), "not shown live after {up} s: {seen:?}");
        }
        if let Some(id) = live {
            assert_eq!(seen.post, Some(id), "another stream's post says live");
            let post = &self.posts[&id];
            let since = truth.now - seen.told;
            let behind =
                post.title != sight.title && post.edits < 3 && since > secs(rules.title_edits) + lost + SLACK;
            assert!(seen.unsure || !behind, "the title is {since} s behind: {} {seen:?}", post.title);
        }
    }
}

fn secs(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap()
}

/// One activity of a kind must be queued.
fn take(kinds: &mut Vec<OutgoingKind>, kind: OutgoingKind) {
    let index = kinds.iter().position(|one| *one == kind);
    kinds.swap_remove(index.unwrap_or_else(|| panic!("no {kind:?} is queued")));
}
