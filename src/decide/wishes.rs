//! The operator's wishes about posts, set by hand and used by the session machine.

use jiff::Timestamp;
use ulid::Ulid;

use super::{Rules, publish, stream};
use crate::activitypub::html;
use crate::model::facts::Facts;
use crate::model::post::{Audience, Picture, Post, PostState};
use crate::model::stream::{Phase, Session, Stream};
use crate::model::wishes::{Skip, Wishes};
use crate::model::{Draft, View};

/// Which stream will have no post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// The one that runs.
    ThisSession(Ulid),
    /// The one that starts next: none runs.
    Next,
    /// The one that starts next: the one that runs is announced already, by this post.
    NextSinceAnnounced(Ulid),
}

/// Why a stream cannot be announced by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// No stream is running.
    NoStream,
    /// It is announced already, by this post.
    Announced(Ulid),
    /// Restored from a backup at this moment, and not released since: nothing is sent at all.
    Restored(Timestamp),
}

/// What keeps a post from being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Go-live posts are switched off.
    Off,
    /// The operator wants no post for this stream, or for the next if none runs.
    Skipped,
    /// The operator wants none before this moment.
    Paused(Timestamp),
    /// Restored from a backup at this moment, and not released since.
    Restored(Timestamp),
}

/// A post as it would be made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Its HTML.
    pub content: String,
    /// The same as plain text.
    pub text: String,
    /// Hashtags without `#`.
    pub tags: Vec<String>,
    /// Who would see it.
    pub audience: Audience,
    /// Marked as not safe for work.
    pub sensitive: bool,
    /// The picture that would go with it.
    pub picture: Option<Picture>,
    /// Alternative text of the picture.
    pub alt: String,
    /// The text is the operator's message for this one post.
    pub message_for_this_post: bool,
    /// What keeps it from being made, if anything does.
    pub hold: Option<Hold>,
}

/// Wants no post for the running stream, or for the next one if none runs or the running one has its post.
pub fn skip(draft: &mut Draft<'_>) -> Skipped {
    let (which, skipped) = match (running(draft.view()), announced(draft.view())) {
        (Some(_), Some(post)) => (Skip::Next, Skipped::NextSinceAnnounced(post)),
        (Some(session), None) => (Skip::Session(session.id), Skipped::ThisSession(session.id)),
        (None, _) => (Skip::Next, Skipped::Next),
    };
    change(draft, |wishes| {
        wishes.skip = Some(which);
        // The later wish counts.
        wishes.now = None;
    });
    skipped
}

/// Takes [`skip`] back. False if nothing was to be skipped.
pub fn unskip(draft: &mut Draft<'_>) -> bool {
    let known = draft.view().meta::<Wishes>().skip.is_some();
    change(draft, |wishes| wishes.skip = None);
    known
}

/// Sets the text of the next post, or takes it back.
pub fn message(draft: &mut Draft<'_>, text: Option<String>) {
    change(draft, |wishes| wishes.message = text);
}

/// Wants nothing announced before a moment.
pub fn pause(draft: &mut Draft<'_>, until: Timestamp) {
    change(draft, |wishes| {
        wishes.paused_until = Some(until);
        wishes.now = None;
    });
}

/// Takes [`pause`] back. False if there was none, or it was over.
pub fn resume(draft: &mut Draft<'_>, now: Timestamp) -> bool {
    let before: Wishes = draft.view().meta();
    change(draft, |wishes| wishes.paused_until = None);
    before.paused_until.is_some_and(|until| until > now)
}

/// Takes [`restore`] back, and [`pause`]. False if nothing was restored.
pub fn release(draft: &mut Draft<'_>) -> bool {
    let held = restored(draft.view()).is_some();
    if held {
        change(draft, |wishes| (wishes.paused_until, wishes.restored) = (None, None));
    }
    held
}

/// Wants nothing announced or sent until [`release`]: everything here was just restored from a backup.
pub fn restore(draft: &mut Draft<'_>, now: Timestamp) {
    change(draft, |wishes| (wishes.restored, wishes.now) = (Some(now), None));
}

/// Since when nothing is sent because everything was restored from a backup.
pub fn restored(view: &dyn View) -> Option<Timestamp> {
    view.meta::<Wishes>().restored
}

/// Wants the running stream announced at the next look, whatever else holds it back. Answers its session.
pub fn now(draft: &mut Draft<'_>) -> Result<Ulid, NotNow> {
    if let Some(since) = restored(draft.view()) {
        return Err(NotNow::Restored(since));
    }
    let session = running(draft.view()).ok_or(NotNow::NoStream)?;
    match announced(draft.view()) {
        Some(post) => Err(NotNow::Announced(post)),
        None => {
            change(draft, |wishes| wishes.now = Some(session.id));
            Ok(session.id)
        }
    }
}

/// What keeps the running stream, or the next one, from being announced.
pub fn hold(view: &dyn View, rules: &Rules, now: Timestamp) -> Option<Hold> {
    let wishes: Wishes = view.meta();
    stream::hold(&wishes, rules, running(view).map(|session| session.id), now)
}

/// The post that would be made at this moment. Writes nothing.
pub fn preview(
    view: &dyn View,
    now: Timestamp,
    rules: &Rules,
    facts: &Facts,
    title: &str,
    offer: &stream::Offer,
) -> Preview {
    let wishes: Wishes = view.meta();
    let picture = match offer {
        stream::Offer::Real { picture, .. } if rules.with_picture => Some(picture.clone()),
        _ => None,
    };
    let message = wishes.message.as_ref().or(rules.message.as_ref());
    let words = publish::words(rules, facts, message.map_or("", |text| text), title, picture.as_ref());
    Preview {
        text: html::strip_to_text(&words.content),
        content: words.content,
        tags: words.tags,
        audience: rules.audience,
        sensitive: facts.nsfw,
        picture,
        alt: words.alt,
        message_for_this_post: wishes.message.is_some(),
        hold: hold(view, rules, now),
    }
}

fn running(view: &dyn View) -> Option<Session> {
    view.meta::<Stream>().session.filter(|session| session.phase != Phase::Ended)
}

/// The post of the running stream, unless it says that the stream is over: such a one can be made live again.
fn announced(view: &dyn View) -> Option<Ulid> {
    let id = running(view)?.post?;
    let post: Post = view.get(&id.to_bytes())?;
    (post.state != PostState::Ended).then_some(id)
}

fn change(draft: &mut Draft<'_>, how: impl FnOnce(&mut Wishes)) {
    let before: Wishes = draft.view().meta();
    let mut after = before.clone();
    how(&mut after);
    if after != before {
        draft.put_meta(&after);
    }
}
