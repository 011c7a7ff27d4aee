//! Likes and announces of our posts and their Undo, and replies.

use std::time::Duration;

use super::{Moment, followers, seen, waiting};
use crate::model::engagement::{
    Engagement, EngagementKind, Engager, Engagers, engagement_key, engagements_of,
};
use crate::model::handle::Person;
use crate::model::notices::{Notice, NoticeKind, Said};
use crate::model::post::{Audience, Post, PostState, Standing};
use crate::model::record::{decode, encode, full_key};
use crate::model::{Addresses, Draft, Record, View};
use jiff::Timestamp;
use ulid::Ulid;

/// Older posts are counted, not told in chat (Owncast's own rule).
pub(super) const TELL_WITHIN: Duration = Duration::from_secs(36 * 3600);

/// What of ours somebody liked or shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    /// A post.
    Post(Ulid),
    /// The actor itself.
    Actor,
}

/// What an activity did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engaged {
    /// Counted.
    Counted,
    /// Done before, or undone before it came.
    Nothing,
    /// Not about anything of ours that still stands and that they may see.
    NotOurs,
}

/// Whether an id is ours at all: by its shape only, so that nothing is looked up for strangers.
pub fn ours(addresses: &Addresses, object: &str) -> Option<Ours> {
    if addresses.is_actor(object) {
        return Some(Ours::Actor);
    }
    addresses.post_of(object.strip_suffix("/activity").unwrap_or(object)).map(Ours::Post)
}

/// A like or announce as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// Its id; of software that sends none, the object's.
    pub id: &'a str,
    /// A digest of its signature.
    pub signature: &'a str,
    /// min(signed date, arrival): several peers use ids again, so ids cannot tell it from one that was undone.
    pub stamp: Timestamp,
}

/// Somebody likes or announces. The same request sent again does nothing.
pub fn engage(
    draft: &mut Draft<'_>,
    moment: &mut Moment,
    kind: EngagementKind,
    person: &Person,
    object: Ours,
    sent: Sent<'_>,
) -> Engaged {
    let (now, Sent { id: activity, signature, stamp }) = (moment.now, sent);
    let (post_id, post) = match object {
        Ours::Actor => (None, None),
        Ours::Post(id) => match shown_to(draft.view(), id, &person.actor) {
            Some(post) => (Some(id), Some(post)),
            None => return Engaged::NotOurs,
        },
    };
    if seen::is_repeated(draft.view(), &person.actor, signature, now) {
        return Engaged::Nothing;
    }
    let key = engagement_key(post_id, kind, &person.actor);
    let known = draft.view().get::<Engagement>(&key);
    if known.as_ref().is_some_and(|known| known.signature == signature) {
        return Engaged::Nothing;
    }
    if let Some(undone) = seen::undone_before(draft.view(), &person.actor, activity, stamp, now) {
        seen::undone(draft, &person.actor, activity, undone.max(stamp), false, now);
        seen::remember(draft, &person.actor, signature, now);
        return Engaged::Nothing;
    }
    // Of another whose key is the same.
    if known.as_ref().is_some_and(|known| known.actor != person.actor) {
        return Engaged::Nothing;
    }
    let again = known.as_ref().filter(|known| known.activity == activity).map(|_| stamp);
    let mut told = None;
    if let Some(known) = known {
        // Signed anew, because the answer was lost: the engagement keeps the signature it came with, and this one is
        // remembered beside it.
        if !known.undone && known.activity == activity {
            seen::remember(draft, &person.actor, signature, now);
            draft.put(&Engagement { again: again.max(known.again), ..known });
            return Engaged::Nothing;
        }
        seen::remember(draft, &person.actor, &known.signature, known.at);
        // The newest of several stands for all: an Undo of an older one, which may come late, takes nothing back.
        if !known.undone {
            seen::overtaken(draft, &person.actor, &known.activity, &key, now);
            let (activity, signature) = (activity.to_owned(), signature.to_owned());
            draft.put(&Engagement { activity, signature, at: now, again: None, ..known });
            return Engaged::Nothing;
        }
        unlist(draft, &known);
        told = known.told;
    }
    let lately = post.is_none_or(|post| now.duration_since(post.published).unsigned_abs() <= TELL_WITHIN);
    let live_post = post.is_some_and(|post| post.state == PostState::Live);
    let told = match told {
        None if lately => tell(draft, moment, kind, person, post_id, live_post),
        told => told,
    };
    let engagement = Engagement {
        post: post_id,
        kind,
        actor: person.actor.clone(),
        activity: activity.to_owned(),
        signature: signature.to_owned(),
        at: now,
        again,
        undone: false,
        told,
        listed: post_id.map(|post| list(draft, post, kind, person, now)),
    };
    draft.put(&engagement);
    count(draft, post_id, kind, true);
    Engaged::Counted
}

/// Somebody replies with this note: remembered, so that edits and the removal of the post go to their server as well.
pub fn replied(draft: &mut Draft<'_>, moment: &Moment, person: &Person, post: Ulid, note: &str) -> Engaged {
    if shown_to(draft.view(), post, &person.actor).is_none() {
        return Engaged::NotOurs;
    }
    let key = engagement_key(Some(post), EngagementKind::Reply, &person.actor);
    if draft.view().get_bytes(&full_key(Engagement::KIND, &key)).is_some() {
        return Engaged::Nothing;
    }
    let engagement = Engagement {
        post: Some(post),
        kind: EngagementKind::Reply,
        actor: person.actor.clone(),
        activity: note.to_owned(),
        signature: String::new(),
        at: moment.now,
        again: None,
        undone: false,
        told: None,
        listed: Some(list(draft, post, EngagementKind::Reply, person, moment.now)),
    };
    draft.put(&engagement);
    Engaged::Counted
}

/// What an actor's reply to a post is remembered by, if this is one.
fn reply_by_id(view: &dyn View, actor: &str, note: &str) -> Option<Engagement> {
    by_id(view, actor, note, true)
}

/// Whether this is a reply of that actor's which is remembered.
pub fn has_replied(view: &dyn View, actor: &str, note: &str) -> bool {
    reply_by_id(view, actor, note).is_some()
}

/// Somebody deletes a reply: it is forgotten, and what becomes of the post is no more their server's business. False if
/// it was not known.
pub fn unreplied(draft: &mut Draft<'_>, actor: &str, note: &str) -> bool {
    let Some(reply) = reply_by_id(draft.view(), actor, note) else { return false };
    discard(draft, &reply);
    true
}

/// Somebody takes a like or announce back: found by the activity's id, else by kind and object.
///
/// `inner` is the id of the undone activity, `about` its kind and object where the Undo embeds it; `stamp` is that of the Undo.
pub fn undo(
    draft: &mut Draft<'_>,
    moment: &Moment,
    actor: &str,
    inner: Option<&str>,
    about: Option<(EngagementKind, Ours)>,
    stamp: Timestamp,
) -> Engaged {
    let now = moment.now;
    let mark = inner.and_then(|id| seen::of_activity(draft.view(), actor, id, now));
    let undone = mark.as_ref().and_then(|mark| mark.undone);
    if undone.is_some_and(|undone| stamp <= undone) {
        return Engaged::Nothing;
    }
    let find = |key: Vec<u8>| draft.view().get::<Engagement>(&key).filter(|known| known.actor == actor);
    let known = inner.and_then(|id| match mark.as_ref().and_then(seen::led_to) {
        Some(key) => find(key),
        None => by_id(draft.view(), actor, id, false),
    });
    let overtaken = known.as_ref().is_some_and(|known| Some(known.activity.as_str()) != inner);
    let early = known.is_none() && mark.as_ref().is_none_or(|mark| mark.early);
    let by_object = || {
        // What it is of was taken back before, and what stands now is another.
        let (kind, object) = about.filter(|_| early || undone.is_none())?;
        let post = match object {
            Ours::Post(id) => Some(id),
            Ours::Actor => None,
        };
        find(engagement_key(post, kind, actor))
    };
    let standing = known.or_else(by_object).filter(|known| !known.undone && !overtaken);
    // It came once more since.
    if standing.as_ref().is_some_and(|known| known.again.is_some_and(|again| stamp < again)) {
        return Engaged::Nothing;
    }
    if let Some(id) = inner {
        // Whatever comes later under this id was taken back already: a repeat, or an original that was overtaken.
        seen::undone(draft, actor, id, stamp, early, now);
    }
    let Some(mut engagement) = standing else { return Engaged::Nothing };
    engagement.undone = true;
    draft.put(&engagement);
    count(draft, engagement.post, engagement.kind, false);
    Engaged::Counted
}

/// The like or announce that an actor made by the activity with this id, or its reply with this id. Which is which stands in the
/// keys: who asks for a reply has proved nothing, and of an actor that liked everything nothing else is read.
fn by_id(view: &dyn View, actor: &str, id: &str, reply: bool) -> Option<Engagement> {
    let prefix = full_key(Engagement::KIND, &engagements_of(actor));
    let mut found = None;
    view.scan_bytes(&prefix, &prefix, &mut |key, value| {
        if (key.last() == Some(&EngagementKind::Reply.key_end())) == reply {
            let is_it = |engagement: &Engagement| engagement.actor == actor && engagement.activity == id;
            found = decode(value).filter(is_it);
        }
        found.is_none()
    });
    found
}

/// All engagements of an actor are taken back and forgotten, and not told any more.
pub fn forget(draft: &mut Draft<'_>, actor: &str) {
    let mut theirs = draft.view().all::<Engagement>(&engagements_of(actor));
    theirs.retain(|engagement| engagement.actor == actor);
    for engagement in theirs {
        uncount(draft, &engagement);
        // Who comes back does not want it sent again by somebody else.
        if !engagement.signature.is_empty() {
            seen::remember(draft, actor, &engagement.signature, engagement.at);
        }
        if let (Some(kind), Some(notice)) = (told_as(engagement.kind), engagement.told) {
            waiting::take(draft, [notice]);
            // An account that comes and goes is no news each time.
            draft.put(&Said::of(kind, actor, engagement.post, notice, engagement.at));
        }
        discard(draft, &engagement);
    }
}

/// Takes an engagement out of the count of its post, if it is in it.
pub(super) fn uncount(draft: &mut Draft<'_>, engagement: &Engagement) {
    if !engagement.undone {
        count(draft, engagement.post, engagement.kind, false);
    }
}

/// Deletes an engagement, also from among those of its post.
pub(super) fn discard(draft: &mut Draft<'_>, engagement: &Engagement) {
    draft.delete::<Engagement>(&engagement.key());
    unlist(draft, engagement);
}

/// Puts somebody among those of a post, and answers where.
fn list(draft: &mut Draft<'_>, post: Ulid, kind: EngagementKind, person: &Person, now: Timestamp) -> u64 {
    let (actor, inbox) = (person.actor.clone(), person.delivery_inbox().to_owned());
    let engager = Engager { kind, actor, inbox };
    let mut listed = u64::try_from(now.as_millisecond()).unwrap_or_default();
    loop {
        let key = Engagers::key_at(post, listed);
        let all = match draft.view().get_bytes(&full_key(Engagers::KIND, &key)) {
            Some(others) => Engagers::and(others, &engager),
            None => Some(encode(&Engagers { key, who: vec![engager.clone()] })),
        };
        if let Some(all) = all {
            draft.put_raw(Engagers::KIND, &key, all);
            return listed;
        }
        listed += 1;
    }
}

fn unlist(draft: &mut Draft<'_>, engagement: &Engagement) {
    let Some((post, listed)) = engagement.post.zip(engagement.listed) else { return };
    let key = Engagers::key_at(post, listed);
    let Some(Engagers { mut who, .. }) = draft.view().get(&key) else { return };
    who.retain(|one| one.actor != engagement.actor || one.kind != engagement.kind);
    match who.is_empty() {
        true => draft.delete::<Engagers>(&key),
        false => draft.put(&Engagers { key, who }),
    }
}

/// A post that still stands, if this actor may see it: whoever is handed the id of one for followers must not get its edits for it.
fn shown_to(view: &dyn View, post: Ulid, actor: &str) -> Option<Standing> {
    let post = standing(view, post).filter(|post| post.state != PostState::Deleted)?;
    (post.audience == Audience::Public || followers::is_approved(view, actor)).then_some(post)
}

pub(super) fn standing(view: &dyn View, post: Ulid) -> Option<Standing> {
    decode(&view.get_bytes(&full_key(Post::KIND, &post.to_bytes()))?)
}

fn count(draft: &mut Draft<'_>, post: Option<Ulid>, what: EngagementKind, up: bool) {
    let Some(key) = post.map(|post| post.to_bytes()) else { return };
    let record = draft.view().get_bytes(&full_key(Post::KIND, &key));
    if let Some(record) = record.and_then(|record| Post::counted(record, what, up)) {
        draft.put_raw(Post::KIND, &key, record);
    }
}

fn told_as(kind: EngagementKind) -> Option<NoticeKind> {
    match kind {
        EngagementKind::Like => Some(NoticeKind::Like),
        EngagementKind::Announce => Some(NoticeKind::Announce),
        EngagementKind::Reply => None,
    }
}

/// Queues the chat notice: one ever per person, kind and post, however often it is undone and done again.
fn tell(
    draft: &mut Draft<'_>,
    moment: &mut Moment,
    kind: EngagementKind,
    person: &Person,
    post: Option<Ulid>,
    live_post: bool,
) -> Option<Ulid> {
    let kind = told_as(kind)?;
    let key = Said::key_of(kind, &person.actor, post);
    if draft.view().get_bytes(&full_key(Said::KIND, &key)).is_some() {
        return None;
    }
    let notice = Notice::of(moment.ulid(), kind, person, live_post, moment.now);
    waiting::add(draft, &notice);
    Some(notice.id)
}
