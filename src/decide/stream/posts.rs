//! What a session does to its post.

use std::time::Duration;

use ulid::Ulid;

use super::clock::between;
use super::{Did, Machine, Offer, hold};
use crate::decide::publish;
use crate::decide::rules::OnEnd;
use crate::model::post::{Post, PostState};
use crate::model::stream::{Phase, Session};
use crate::model::wishes::Skip;

/// A post is edited for a new title this often at most: each edit notifies those who boosted it.
const TITLE_EDITS: u32 = 3;
/// A stream whose encoder keeps connecting anew must be so many times as old as one whose encoder stays.
const ON_AND_OFF: u32 = 3;

impl Machine<'_, '_> {
    /// The operator wants this session announced whatever else holds it back.
    fn by_hand(&self, session: &Session) -> bool {
        self.wishes.now == Some(session.id)
    }

    fn held(&self, session: &Session) -> bool {
        hold(&self.wishes, self.rules, Some(session.id), self.moment.now).is_some()
    }

    pub(super) fn post_of(&self, session: &Session) -> Option<Post> {
        session.post.and_then(|id| self.draft.view().get(&id.to_bytes()))
    }

    /// Its encoder has been there for so long; or keeps connecting anew, and there is something to watch all the same.
    fn has_run(&self, session: &Session, span: Duration) -> bool {
        // By the time of what was seen, however late that is decided on.
        let now = self.sight.at;
        let on_and_off = self.sight.online && between(session.started, now) >= span * ON_AND_OFF;
        between(session.connected, now) >= span || on_and_off
    }

    pub(super) fn announce(&mut self, session: &mut Session, offer: &Offer) {
        let by_hand = self.by_hand(session);
        if self.held(session) || !(by_hand || self.has_run(session, self.rules.delay)) {
            return;
        }
        let picture = match offer {
            Offer::NotAsked => {
                self.outcome.is_due = true;
                return;
            }
            _ if !self.rules.with_picture => None,
            Offer::NoneYet if by_hand || self.has_run(session, self.rules.picture_deadline()) => None,
            Offer::NoneYet => return,
            Offer::Real { picture, source } => {
                self.stream.last_picture = Some(source.clone());
                Some(picture.clone())
            }
        };
        let once = self.wishes.message.take();
        let template = once.as_ref().or(self.rules.message.as_ref()).map_or("", |text| text);
        let what = publish::Announcement { session: session.id, template, title: &self.sight.title, picture };
        let post = publish::announce(self.draft, self.moment, self.rules, self.facts, what);
        session.phase = Phase::Live;
        session.post = Some(post.id);
        self.told(session);
        self.outcome.did.push(Did::Announced(post.id));
    }

    /// Makes the post of a continued session say live again, once there is something to watch.
    pub(super) fn resume(&mut self, session: &mut Session, id: Ulid) {
        let over = self.post_of(session).filter(|post| post.state == PostState::Ended);
        match over {
            Some(_) if self.held(session) || !(self.sight.online || self.by_hand(session)) => {}
            Some(post) => {
                let before = post.content.clone();
                publish::resume(self.draft, self.moment, self.rules, self.facts, post, &self.sight.title);
                session.phase = Phase::Live;
                session.returns += 1;
                self.fulfilled(session);
                // A post that was kept as it was says nothing new.
                if self.post_of(session).is_some_and(|post| post.content != before) {
                    self.told(session);
                }
                self.outcome.did.push(Did::Resumed(id));
            }
            // It was live all the time, or was deleted meanwhile and stays so.
            None if self.sight.online => session.phase = Phase::Live,
            None => {}
        }
    }

    pub(super) fn retitle(&mut self, session: &mut Session, id: Ulid) {
        let lately = session.told.is_some_and(|told| between(told, self.moment.now) < self.rules.title_edits);
        let titled = session.title != session.told_title && !lately;
        if !titled && !self.facts.nsfw {
            return;
        }
        let Some(post) = self.post_of(session).filter(|post| post.state == PostState::Live) else { return };
        // That the stream is not safe is told at once and in any case: it is told once.
        let unmarked = self.facts.nsfw && !post.sensitive;
        if unmarked || (titled && post.edits < TITLE_EDITS) {
            publish::retitle(self.draft, self.moment, self.rules, self.facts, post, &session.title);
            self.told(session);
            self.outcome.did.push(if unmarked { Did::Marked(id) } else { Did::Retitled(id) });
        }
    }

    /// Followers know what is so now; what the operator wanted of this session is done.
    fn told(&mut self, session: &mut Session) {
        session.told_title.clone_from(&session.title);
        session.told = Some(self.moment.now);
        self.fulfilled(session);
    }

    fn fulfilled(&mut self, session: &Session) -> bool {
        let skipped = self.wishes.skip == Some(Skip::Session(session.id));
        if skipped {
            self.wishes.skip = None;
        }
        if self.by_hand(session) {
            self.wishes.now = None;
        }
        skipped
    }

    /// What is said to be live, and is seen to be, is worth telling, whatever the clock says.
    pub(super) fn runs_still(&mut self) {
        let session = self.stream.session.as_ref().filter(|_| self.sight.connected.is_some());
        let post = session.and_then(|session| self.post_of(session));
        if let Some(post) = post.filter(|post| post.state == PostState::Live) {
            publish::runs_still(self.draft, self.moment, post.create);
        }
    }

    /// Settles the post of a session that is over. Answers it if it said live until now.
    pub(super) fn end_post(&mut self, session: &mut Session, lasted: Duration) -> Option<Ulid> {
        session.skipped = self.fulfilled(session);
        let post = self.post_of(session).filter(|post| post.state == PostState::Live)?;
        let id = post.id;
        match self.rules.on_end {
            OnEnd::Update => {
                let ended = publish::Ended { title: &session.title, lasted };
                publish::end(self.draft, self.moment, self.rules, self.facts, post, ended);
                self.told(session);
            }
            OnEnd::Delete => publish::delete(self.draft, self.moment, self.rules, post),
            OnEnd::Keep => publish::end_quietly(self.draft, self.moment, post),
        }
        Some(id)
    }
}
