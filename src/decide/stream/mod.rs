//! The session machine: from what Owncast says now to posts, once each, whatever restarts in between.

mod clock;
mod posts;

use std::time::Duration;

use jiff::Timestamp;
use ulid::Ulid;

use self::clock::{Passed, between, passed, shift};
use super::wishes::Hold;
use super::{Moment, Rules};
use crate::model::Draft;
use crate::model::facts::Facts;
use crate::model::post::{Picture, PostState};
use crate::model::stream::{Clocks, Phase, Session, Stream};
use crate::model::wishes::{Skip, Wishes};

/// Connections remembered of one session: enough to recognise a flapping encoder's.
const CONNECTIONS: usize = 32;
/// The clocks, and when a stream was seen, are written at most this often.
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// A connection that holds this long shows that the stream does not come and go.
const STEADY: Duration = Duration::from_secs(3600);

/// One answer of Owncast about the stream. All times but `at` are Owncast's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Our clock at the answer, which may be decided about much later.
    pub at: Timestamp,
    /// Owncast's clock at the answer.
    pub server_time: Timestamp,
    /// When the encoder connected; `None` while there is none.
    pub connected: Option<Timestamp>,
    /// When the last encoder went.
    pub disconnected: Option<Timestamp>,
    /// Viewers can watch.
    pub online: bool,
    /// The stream's title.
    pub title: String,
}

/// What is known of the picture when a sight is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Nobody has looked yet.
    NotAsked,
    /// Looked: there is no real picture of this stream yet.
    NoneYet,
    /// A real picture of this stream, frozen.
    Real {
        /// The frozen file.
        picture: Picture,
        /// Hash of the bytes as Owncast served them, in hexadecimal.
        source: String,
    },
}

/// What a sight led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// An encoder connected: a new session.
    Started,
    /// The session continues one that was over.
    Continues,
    /// A post went out; with its id.
    Announced(Ulid),
    /// The encoder went away.
    Lost,
    /// The encoder came back in time.
    Back,
    /// The post says live again; with its id.
    Resumed(Ulid),
    /// The post has a new title; with its id.
    Retitled(Ulid),
    /// The post is marked as not safe for work, and has the title of now; with its id.
    Marked(Ulid),
    /// The stream is over; with its post, if that said live until now, and how long it ran.
    Ended(Option<Ulid>, Duration),
}

/// The outcome of a sight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What happened, in order.
    pub did: Vec<Did>,
    /// The post is due: look for what goes into it, and show this sight again with an [`Offer`].
    pub is_due: bool,
}

/// Looks at one answer of Owncast and decides everything that follows.
pub fn sight(
    draft: &mut Draft<'_>,
    moment: &mut Moment,
    rules: &Rules,
    facts: &Facts,
    sight: &Sight,
    offer: &Offer,
) -> Outcome {
    let (stream, wishes): (Stream, Wishes) = (draft.view().meta(), draft.view().meta());
    let mut machine = Machine {
        draft,
        moment,
        rules,
        facts,
        sight,
        passed: None,
        stream: stream.clone(),
        wishes: wishes.clone(),
        outcome: Outcome::default(),
    };
    machine.measure();
    match sight.connected {
        Some(connected) => machine.connected(connected, offer),
        None => machine.disconnected(),
    }
    if *offer == Offer::NotAsked {
        machine.set_the_clocks(&stream);
    }
    let (after, wanted, outcome) = (machine.stream, machine.wishes, machine.outcome);
    if after != stream {
        draft.put_meta(&after);
    }
    if wanted != wishes {
        draft.put_meta(&wanted);
    }
    outcome
}

/// What keeps a session, or the next one if none runs, from being announced.
pub fn hold(wishes: &Wishes, rules: &Rules, running: Option<Ulid>, now: Timestamp) -> Option<Hold> {
    if let Some(since) = wishes.restored {
        return Some(Hold::Restored(since));
    }
    if running.is_some() && wishes.now == running {
        return None;
    }
    let skipped = running.map_or(Skip::Next, Skip::Session);
    if !rules.go_live {
        Some(Hold::Off)
    } else if wishes.skip == Some(skipped) {
        Some(Hold::Skipped)
    } else {
        wishes.paused_until.filter(|until| *until > now).map(Hold::Paused)
    }
}

struct Machine<'a, 'v> {
    draft: &'a mut Draft<'v>,
    moment: &'a mut Moment,
    rules: &'a Rules,
    facts: &'a Facts,
    sight: &'a Sight,
    /// Since the last look that was written.
    passed: Option<Passed>,
    stream: Stream,
    wishes: Wishes,
    outcome: Outcome,
}

impl Machine<'_, '_> {
    fn clocks(&self) -> Clocks {
        Clocks { ours: self.sight.at, owncasts: self.sight.server_time }
    }

    /// Learns how much time has passed, and takes the session along if our clock was set.
    fn measure(&mut self) {
        // A pause that is over does not begin again when the clock is set back.
        self.wishes.paused_until = self.wishes.paused_until.filter(|until| *until > self.moment.now);
        let Some(since) = self.stream.clocks else { return };
        let passed = passed(since, self.clocks());
        if let Some(session) = self.stream.session.as_mut().filter(|_| !passed.ours.is_zero()) {
            shift(session, passed.ours, self.sight.at);
        }
        self.passed = Some(passed);
    }

    /// Remembers both clocks while anything is measured by them, with every change and once a minute.
    fn set_the_clocks(&mut self, before: &Stream) {
        let now = self.sight.at;
        let Some(session) = &mut self.stream.session else { return };
        if session.phase == Phase::Ended
            && session.gone.is_none_or(|gone| between(gone, now) >= self.rules.repost_after)
        {
            session.closed = true;
            self.stream.clocks = None;
            return;
        }
        let due = self.passed.is_none_or(|passed| {
            passed.elapsed >= SEEN_EVERY || !passed.ours.is_zero() || !passed.owncasts.is_zero()
        });
        if due || before.session.as_ref() != Some(session) {
            if self.sight.connected.is_some() {
                session.seen = now;
            }
            self.stream.clocks = Some(self.clocks());
            self.runs_still();
        }
    }

    fn connected(&mut self, connected: Timestamp, offer: &Offer) {
        let began = self.began(connected);
        let mut session = match self.stream.session.take() {
            Some(session) if session.phase == Phase::Ended => self.after_the_end(session, connected, began),
            Some(session) if self.is_another_stream(&session, connected, began) => {
                // It ended while nobody watched: settle that one first, then look again.
                let gone = session.gone.unwrap_or(session.seen);
                let ended = self.end(session, gone);
                self.after_the_end(ended, connected, began)
            }
            Some(session) => session,
            None => self.fresh(connected, began),
        };
        if !session.connections.contains(&connected) {
            session.connections.push(connected);
            let excess = session.connections.len().saturating_sub(CONNECTIONS);
            session.connections.drain(..excess);
            session.connected = began;
        }
        session.title.clone_from(&self.sight.title);
        if session.phase == Phase::Lost {
            session.phase = if self.says_live(&session) { Phase::Live } else { Phase::Connecting };
            (session.gone, session.missed) = (None, None);
            self.outcome.did.push(Did::Back);
        }
        match session.post {
            None => self.announce(&mut session, offer),
            Some(post) => {
                if session.phase == Phase::Connecting {
                    self.resume(&mut session, post);
                }
                if session.phase == Phase::Live {
                    self.retitle(&mut session, post);
                }
            }
        }
        self.stream.session = Some(session);
    }

    /// The session's post is out and says that the stream runs: not so before a continued one is online again.
    fn says_live(&self, session: &Session) -> bool {
        self.post_of(session).is_some_and(|post| post.state == PostState::Live)
    }

    /// How long ago something was that Owncast dates and that we see for the first time.
    fn ago(&self, dated: Timestamp) -> Duration {
        let by_owncast = between(dated, self.sight.server_time);
        self.passed.map_or(by_owncast, |passed| passed.ago(by_owncast))
    }

    /// When a connection we have not seen began, by our clock. It may be seen much later than that.
    fn began(&self, connected: Timestamp) -> Timestamp {
        self.sight.at.checked_sub(self.ago(connected)).unwrap_or(self.sight.at)
    }

    /// A connection we have not seen, so long after the last sighting that the stream in between must have ended.
    fn is_another_stream(&self, session: &Session, connected: Timestamp, began: Timestamp) -> bool {
        let away = session.gone.unwrap_or(session.seen);
        !session.connections.contains(&connected)
            && between(away, began) >= self.rules.repost_after + SEEN_EVERY
    }

    fn fresh(&mut self, connected: Timestamp, began: Timestamp) -> Session {
        self.outcome.did.push(Did::Started);
        let id = self.moment.ulid();
        if self.wishes.skip == Some(Skip::Next) {
            self.wishes.skip = Some(Skip::Session(id));
        }
        Session {
            id,
            phase: Phase::Connecting,
            connections: vec![connected],
            started: began,
            connected: began,
            seen: self.sight.at,
            gone: None,
            missed: None,
            returns: 0,
            post: None,
            title: String::new(),
            told_title: String::new(),
            told: None,
            skipped: false,
            closed: false,
        }
    }

    /// A connection after an end: the same stream again if that ended a moment ago, and was announced or was not to be.
    fn after_the_end(&mut self, session: Session, connected: Timestamp, began: Timestamp) -> Session {
        let gone = session.gone.unwrap_or(session.seen);
        let recent = !session.closed && between(gone, began) < self.rules.repost_after;
        let post = self.post_of(&session).map(|post| post.state);
        if !recent
            || self.wishes.skip == Some(Skip::Next)
            || !(post == Some(PostState::Ended) || (session.skipped && session.post.is_none()))
        {
            // A post that was deleted at the end cannot say live again: its stream comes back all the same.
            let returns = if recent && post == Some(PostState::Deleted) { session.returns + 1 } else { 0 };
            return Session { returns, ..self.fresh(connected, began) };
        }
        self.outcome.did.push(Did::Continues);
        if session.skipped {
            self.wishes.skip = Some(Skip::Session(session.id));
        }
        Session { phase: Phase::Connecting, gone: None, missed: None, skipped: false, ..session }
    }

    fn disconnected(&mut self) {
        let Some(mut session) = self.stream.session.take() else { return };
        if matches!(session.phase, Phase::Connecting | Phase::Live) {
            session.phase = Phase::Lost;
            let (gone, missed) = self.went(&session);
            (session.gone, session.missed) = (Some(gone), Some(missed));
            if between(session.connected, gone) >= STEADY {
                session.returns = 0;
            }
            self.outcome.did.push(Did::Lost);
        }
        let now = self.sight.at;
        // What was not announced edits no post.
        let returns = if session.post.is_some() { session.returns } else { 0 };
        if session.phase == Phase::Lost
            && between(session.missed.unwrap_or(now), now) >= self.rules.grace(returns)
        {
            let gone = session.gone.unwrap_or(now);
            session = self.end(session, gone);
        }
        self.stream.session = Some(session);
    }

    /// When the encoder went, and since when it is waited for, by our clock. Owncast's word counts if it can be about
    /// this connection: after a restart Owncast tells of an earlier one, or nothing. Whoever watched all along waits
    /// from now on, whatever is said.
    fn went(&self, session: &Session) -> (Timestamp, Timestamp) {
        let now = self.sight.at;
        let watched = between(session.seen, now) < SEEN_EVERY * 2;
        let connected = session.connections.last();
        match self.sight.disconnected.filter(|at| connected.is_none_or(|connected| at >= connected)) {
            Some(at) => {
                let gone = now.checked_sub(self.ago(at)).unwrap_or(now).max(session.seen.min(now));
                (gone, if watched { now } else { gone })
            }
            None if watched => (now, now),
            None => (session.seen, now),
        }
    }

    fn end(&mut self, mut session: Session, gone: Timestamp) -> Session {
        session.phase = Phase::Ended;
        (session.gone, session.missed) = (Some(gone), Some(gone));
        let lasted = between(session.started, gone);
        let post = self.end_post(&mut session, lasted);
        self.outcome.did.push(Did::Ended(post, lasted));
        session
    }
}
