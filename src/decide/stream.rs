//! The session machine: from what Owncast says now to posts, once each, whatever restarts in between.

use std::time::Duration;

use jiff::Timestamp;
use ulid::Ulid;

use super::rules::OnEnd;
use super::{Moment, Rules, publish};
use crate::model::Draft;
use crate::model::facts::Facts;
use crate::model::post::{Picture, Post, PostState};
use crate::model::stream::{Phase, Session, Stream};

/// Connections remembered of one session: enough to recognise a flapping encoder's.
const CONNECTIONS: usize = 32;
/// The last sighting is written at most this often: it only dates the end of a stream nobody watched ending.
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// A post is edited for a new title this often at most: each edit notifies those who boosted it.
const TITLE_EDITS: u32 = 3;

/// One answer of Owncast about the stream. All times but `title` are Owncast's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
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
    /// The stream is over; with its post, if it had one, and how long it ran.
    Ended(Option<Ulid>, Duration),
}

/// The outcome of a sight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What happened, in order.
    pub did: Vec<Did>,
    /// The post is due: look for a picture and show this sight again with an [`Offer`].
    pub wants_picture: bool,
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
    let stream: Stream = draft.view().meta();
    let mut machine =
        Machine { draft, moment, rules, facts, sight, stream: stream.clone(), outcome: Outcome::default() };
    match sight.connected {
        Some(connected) => machine.connected(connected, offer),
        None => machine.disconnected(),
    }
    let (after, outcome) = (machine.stream, machine.outcome);
    if after != stream {
        draft.put_meta(&after);
    }
    outcome
}

struct Machine<'a, 'v> {
    draft: &'a mut Draft<'v>,
    moment: &'a mut Moment,
    rules: &'a Rules,
    facts: &'a Facts,
    sight: &'a Sight,
    stream: Stream,
    outcome: Outcome,
}

impl Machine<'_, '_> {
    fn connected(&mut self, connected: Timestamp, offer: &Offer) {
        let mut session = match self.stream.session.take() {
            Some(session) if session.phase != Phase::Ended && self.is_another_stream(&session, connected) => {
                // It ended while nobody watched: settle that one first, then look again.
                let seen = session.seen;
                self.end(session, seen);
                match self.stream.session.take() {
                    Some(ended) => self.after_the_end(ended, connected),
                    None => self.fresh(connected),
                }
            }
            Some(session) if session.phase == Phase::Ended => self.after_the_end(session, connected),
            Some(session) => session,
            None => self.fresh(connected),
        };
        if !session.connections.contains(&connected) {
            session.connections.push(connected);
            let excess = session.connections.len().saturating_sub(CONNECTIONS);
            session.connections.drain(..excess);
        }
        if session.phase == Phase::Lost {
            session.phase = if self.says_live(&session) { Phase::Live } else { Phase::Connecting };
            session.gone = None;
            self.outcome.did.push(Did::Back);
        }
        let now = self.moment.now;
        if session.seen > now || !between(session.seen, now, SEEN_EVERY) {
            session.seen = now;
        }
        // A clock that was set back: what it says now is all there is to measure from.
        session.started = session.started.min(now);
        match (session.phase, session.post) {
            (Phase::Connecting, None) => self.announce(&mut session, connected, offer),
            (Phase::Connecting, Some(post)) if self.sight.online => self.resume(&mut session, post),
            (Phase::Live, Some(post)) => self.retitle(&mut session, post),
            _ => {}
        }
        self.stream.session = Some(session);
    }

    /// The session's post is out and says that the stream runs: not so before a continued one is online again.
    fn says_live(&self, session: &Session) -> bool {
        let post = session.post.and_then(|id| self.draft.view().get::<Post>(&id.to_bytes()));
        post.is_some_and(|post| post.state == PostState::Live)
    }

    /// When a connection began, by our clock. It may be seen much later than that.
    fn began(&self, connected: Timestamp) -> Timestamp {
        let up = publish::lasted(connected, self.sight.server_time);
        self.moment.now.checked_sub(up).unwrap_or(self.moment.now)
    }

    /// A connection we have not seen, so long after the last sighting that the stream in between must have ended.
    fn is_another_stream(&self, session: &Session, connected: Timestamp) -> bool {
        let away = session.gone.unwrap_or(session.seen);
        !session.connections.contains(&connected)
            && !between(away, self.began(connected), self.rules.repost_after + SEEN_EVERY)
    }

    fn fresh(&mut self, connected: Timestamp) -> Session {
        self.outcome.did.push(Did::Started);
        Session {
            id: self.moment.ulid(),
            phase: Phase::Connecting,
            connections: vec![connected],
            started: self.moment.now,
            seen: self.moment.now,
            gone: None,
            post: None,
            told_title: String::new(),
        }
    }

    /// A connection after an end: the same stream again if it was announced and ended a moment ago.
    fn after_the_end(&mut self, session: Session, connected: Timestamp) -> Session {
        let gone = session.gone.unwrap_or(session.seen);
        let may_return = !self.rules.repost_after.is_zero();
        let recent = may_return && between(gone, self.began(connected), self.rules.repost_after);
        let post = session.post.and_then(|id| self.draft.view().get::<Post>(&id.to_bytes()));
        match post {
            Some(post) if recent && post.state == PostState::Ended => {
                self.outcome.did.push(Did::Continues);
                Session { phase: Phase::Connecting, gone: None, seen: self.moment.now, ..session }
            }
            _ => self.fresh(connected),
        }
    }

    fn announce(&mut self, session: &mut Session, connected: Timestamp, offer: &Offer) {
        // Owncast's clock can only be before its own connection if it was set back: then ours has to do.
        let up = if self.sight.server_time < connected {
            publish::lasted(session.started, self.moment.now)
        } else {
            publish::lasted(connected, self.sight.server_time)
        };
        if !self.rules.go_live || up < self.rules.delay {
            return;
        }
        let picture = match offer {
            _ if !self.rules.with_picture => None,
            Offer::NotAsked => {
                self.outcome.wants_picture = true;
                return;
            }
            Offer::NoneYet if up < self.rules.picture_deadline() => return,
            Offer::NoneYet => None,
            Offer::Real { picture, source } => {
                self.stream.last_picture = Some(source.clone());
                Some(picture.clone())
            }
        };
        let title = &self.sight.title;
        let post =
            publish::announce(self.draft, self.moment, self.rules, self.facts, session.id, title, picture);
        session.phase = Phase::Live;
        session.post = Some(post.id);
        session.told_title.clone_from(title);
        self.outcome.did.push(Did::Announced(post.id));
    }

    fn resume(&mut self, session: &mut Session, id: Ulid) {
        session.phase = Phase::Live;
        let post = self.draft.view().get::<Post>(&id.to_bytes());
        // A post that was deleted meanwhile stays deleted.
        if let Some(post) = post.filter(|post| post.state == PostState::Ended) {
            publish::resume(self.draft, self.moment, self.rules, post);
            self.outcome.did.push(Did::Resumed(id));
        }
    }

    fn retitle(&mut self, session: &mut Session, id: Ulid) {
        if self.sight.title == session.told_title {
            return;
        }
        let Some(post) = self.draft.view().get::<Post>(&id.to_bytes()) else { return };
        let last = post.updated.unwrap_or(post.published);
        if post.state != PostState::Live
            || post.edits >= TITLE_EDITS
            || between(last, self.moment.now, self.rules.title_edits)
        {
            return;
        }
        publish::retitle(self.draft, self.moment, self.rules, self.facts, post, &self.sight.title);
        session.told_title.clone_from(&self.sight.title);
        self.outcome.did.push(Did::Retitled(id));
    }

    fn disconnected(&mut self) {
        let Some(mut session) = self.stream.session.take() else { return };
        match session.phase {
            Phase::Ended => {
                // A clock that was set back must not widen the time in which a stream may come back.
                session.gone = session.gone.map(|gone| gone.min(self.moment.now));
                self.stream.session = Some(session);
            }
            Phase::Connecting | Phase::Live => {
                session.phase = Phase::Lost;
                session.gone = Some(self.went_at(&session));
                self.outcome.did.push(Did::Lost);
                self.lost(session);
            }
            Phase::Lost => self.lost(session),
        }
    }

    fn lost(&mut self, mut session: Session) {
        // A clock that was set back must not keep a stream alive for as long as it was set back.
        let gone = session.gone.unwrap_or(self.moment.now).min(self.moment.now);
        session.gone = Some(gone);
        if between(gone, self.moment.now, self.rules.grace()) {
            self.stream.session = Some(session);
        } else {
            self.end(session, gone);
        }
    }

    /// When the encoder went, by our clock: Owncast's own word where it fits what we saw.
    fn went_at(&self, session: &Session) -> Timestamp {
        let now = self.moment.now;
        let seen = session.seen.min(now);
        let ago = self.sight.disconnected.map(|at| publish::lasted(at, self.sight.server_time));
        match ago.map(|ago| now.checked_sub(ago).unwrap_or(now)) {
            Some(at) => at.max(seen),
            // Owncast was restarted and does not know. Watched all along, it went just now.
            None if between(seen, now, SEEN_EVERY * 2) => now,
            None => seen,
        }
    }

    fn end(&mut self, mut session: Session, gone: Timestamp) {
        session.phase = Phase::Ended;
        session.gone = Some(gone);
        let lasted = publish::lasted(session.started, gone);
        let post = session.post.and_then(|id| self.draft.view().get::<Post>(&id.to_bytes()));
        if let Some(post) = post.filter(|post| post.state == PostState::Live) {
            match self.rules.on_end {
                OnEnd::Update => publish::end(self.draft, self.moment, self.rules, post, lasted),
                OnEnd::Delete => publish::delete(self.draft, self.moment, self.rules, post),
                OnEnd::Keep => publish::end_quietly(self.draft, self.moment, post),
            }
        }
        self.outcome.did.push(Did::Ended(session.post, lasted));
        self.stream.session = Some(session);
    }
}

/// True while less than `span` has passed since `since`. A clock that was set back counts as no time passed; one
/// that jumped is bounded by what the caller does next.
fn between(since: Timestamp, now: Timestamp, span: Duration) -> bool {
    let passed = now.duration_since(since);
    passed.is_negative() || passed.unsigned_abs() < span
}
