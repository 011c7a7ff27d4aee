//! Likes and announces of our posts and their Undo, and replies.

use std::time::Duration;

use super::{Moment, seen, waiting};
use crate::model::engagement::{Engagement, EngagementKind, engaged_prefix, engagement_key, id_digest};
use crate::model::handle::Person;
use crate::model::notices::{Notice, NoticeKind, Said};
use crate::model::post::{Post, PostState};
use crate::model::record::{full_key, kind};
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
    /// Not about anything of ours that still stands.
    NotOurs,
}

/// Whether an id is ours at all: by its shape only, so that nothing is looked up for strangers.
pub fn ours(addresses: &Addresses, object: &str) -> Option<Ours> {
    if object == addresses.actor() {
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
    let post = match object {
        Ours::Actor => None,
        Ours::Post(id) => match draft.view().get::<Post>(&id.to_bytes()) {
            Some(post) if post.state != PostState::Deleted => Some(post),
            _ => return Engaged::NotOurs,
        },
    };
    let post_id = post.as_ref().map(|post| post.id);
    if seen::is_repeated(draft.view(), &person.actor, signature, now) {
        return Engaged::Nothing;
    }
    let key = engagement_key(post_id, kind, &person.actor);
    let known = draft.view().get::<Engagement>(&key);
    if known.as_ref().is_some_and(|known| known.signature == signature) {
        return Engaged::Nothing;
    }
    if let Some(undone) = seen::undone_since(draft.view(), &person.actor, activity, stamp, now) {
        seen::undone(draft, &person.actor, activity, undone, false, now);
        seen::remember(draft, &person.actor, signature, now);
        return Engaged::Nothing;
    }
    let again = known.as_ref().filter(|known| known.activity == activity).map(|_| stamp);
    let told = known.as_ref().and_then(|known| known.told);
    if let Some(known) = known {
        // Signed anew, because the answer was lost: the engagement keeps the signature it came with, and this one is
        // remembered beside it.
        if !known.undone && known.activity == activity {
            seen::remember(draft, &person.actor, signature, now);
            keep(draft, &Engagement { again: again.max(known.again), ..known });
            return Engaged::Nothing;
        }
        seen::remember(draft, &person.actor, &known.signature, known.at);
        // The newest of several stands for all: an Undo of an older one, which may come late, takes nothing back.
        if !known.undone {
            seen::overtaken(draft, &person.actor, &known.activity, &key, now);
            let (activity, signature) = (activity.to_owned(), signature.to_owned());
            keep(draft, &Engagement { activity, signature, at: now, again: None, ..known });
            return Engaged::Nothing;
        }
    }
    let lately =
        post.as_ref().is_none_or(|post| now.duration_since(post.published).unsigned_abs() <= TELL_WITHIN);
    let live_post = post.as_ref().is_some_and(|post| post.state == PostState::Live);
    let told = match told {
        None if lately => tell(draft, moment, kind, person, post_id, live_post),
        told => told,
    };
    let engagement = Engagement {
        post: post_id,
        kind,
        actor: person.actor.clone(),
        inbox: person.delivery_inbox().to_owned(),
        activity: activity.to_owned(),
        signature: signature.to_owned(),
        at: now,
        again,
        undone: false,
        told,
    };
    keep(draft, &engagement);
    if let Some(post) = post {
        count(draft, post, kind, true);
    }
    Engaged::Counted
}

/// Somebody replies with this note: remembered, so that edits and the removal of the post go to their server as well.
pub fn replied(draft: &mut Draft<'_>, moment: &Moment, person: &Person, post: Ulid, note: &str) -> Engaged {
    let stands =
        draft.view().get::<Post>(&post.to_bytes()).is_some_and(|post| post.state != PostState::Deleted);
    if !stands {
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
        inbox: person.delivery_inbox().to_owned(),
        activity: note.to_owned(),
        signature: String::new(),
        at: moment.now,
        again: None,
        undone: false,
        told: None,
    };
    keep(draft, &engagement);
    Engaged::Counted
}

/// What an actor's reply to a post is remembered by, if this is one.
fn reply_by_id(view: &dyn View, actor: &str, note: &str) -> Option<Engagement> {
    let found: Engagement = view.get(&key_by_id(view, actor, note)?)?;
    (found.kind == EngagementKind::Reply && found.activity == note).then_some(found)
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
    let key_of =
        |id: &str| mark.as_ref().and_then(seen::led_to).or_else(|| key_by_id(draft.view(), actor, id));
    let by_id = inner.and_then(key_of).and_then(find);
    let overtaken = by_id.as_ref().is_some_and(|known| Some(known.activity.as_str()) != inner);
    let early = by_id.is_none() && mark.as_ref().is_none_or(|mark| mark.early);
    let by_object = || {
        // What it is of was taken back before, and what stands now is another.
        let (kind, object) = about.filter(|_| early || undone.is_none())?;
        let post = match object {
            Ours::Post(id) => Some(id),
            Ours::Actor => None,
        };
        find(engagement_key(post, kind, actor))
    };
    let standing = by_id.or_else(by_object).filter(|known| !known.undone && !overtaken);
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
    keep(draft, &engagement);
    if let Some(post) = engagement.post.and_then(|id| draft.view().get::<Post>(&id.to_bytes())) {
        count(draft, post, engagement.kind, false);
    }
    Engaged::Counted
}

/// Calls `each` with the key of every engagement of an actor and the digest of its activity's id, until it returns `false`.
fn of_actor(view: &dyn View, actor: &str, each: &mut dyn FnMut(Vec<u8>, &[u8]) -> bool) {
    let prefix = full_key(kind::ENGAGED, &engaged_prefix(actor));
    view.scan_bytes(&prefix, &prefix, &mut |key, digest| {
        let what = key.get(prefix.len()..).unwrap_or_default();
        each([what, actor.as_bytes()].concat(), digest)
    });
}

/// The key of what an actor did by the activity with this id.
fn key_by_id(view: &dyn View, actor: &str, id: &str) -> Option<Vec<u8>> {
    let (wanted, mut found) = (id_digest(id), None);
    of_actor(view, actor, &mut |key, digest| {
        found = (digest == wanted).then_some(key);
        found.is_none()
    });
    found
}

/// All engagements of an actor are taken back and forgotten, and not told any more.
pub fn forget(draft: &mut Draft<'_>, actor: &str) {
    let mut keys = Vec::new();
    of_actor(draft.view(), actor, &mut |key, _| {
        keys.push(key);
        true
    });
    let theirs: Vec<Engagement> = keys.iter().filter_map(|key| draft.view().get(key)).collect();
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
    if !engagement.undone
        && let Some(post) = engagement.post.and_then(|id| draft.view().get::<Post>(&id.to_bytes()))
    {
        count(draft, post, engagement.kind, false);
    }
}

/// Writes an engagement, and whose it is: an actor that is no more is forgotten without a look at all the others.
fn keep(draft: &mut Draft<'_>, engagement: &Engagement) {
    draft.put(engagement);
    draft.put_raw(kind::ENGAGED, &engagement.engaged_key(), id_digest(&engagement.activity).to_vec());
}

/// Deletes an engagement, and whose it was.
pub(super) fn discard(draft: &mut Draft<'_>, engagement: &Engagement) {
    draft.delete::<Engagement>(&engagement.key());
    draft.delete_raw(kind::ENGAGED, &engagement.engaged_key());
}

fn count(draft: &mut Draft<'_>, mut post: Post, kind: EngagementKind, up: bool) {
    let count = match kind {
        EngagementKind::Like => &mut post.likes,
        EngagementKind::Announce => &mut post.shares,
        EngagementKind::Reply => return,
    };
    *count = if up { *count + 1 } else { count.saturating_sub(1) };
    draft.put(&post);
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
