//! Memory of what has been handled, each with an expiry.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;

use crate::model::engagement::{Seen, id_digest};
use crate::model::owner::owner_of;
use crate::model::{Draft, View};

/// A signature is valid for an hour and some minutes either way; its repeat is a no-op for two such windows.
pub const SIGNATURE_MEMORY: Duration = Duration::from_secs(2 * (2 * 3600 + 600));
/// How long it is remembered that what an activity did was undone.
pub const ACTIVITY_MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long an Undo of something unknown is remembered (Mastodon does so for six hours).
pub const UNDONE_MEMORY: Duration = Duration::from_secs(6 * 3600);

/// `now` plus a duration, at the end of time if that is too far.
pub fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Remembers the exact signature of an actor's request by a digest of it. False if it was seen before: the request then does
/// nothing, unless it counts `again`.
pub fn first_time(draft: &mut Draft<'_>, actor: &str, signature: &str, again: bool, now: Timestamp) -> bool {
    if is_repeated(draft.view(), actor, signature, now) && !again {
        return false;
    }
    remember(draft, actor, signature, now);
    true
}

/// By owner, so that what each has left can be counted.
fn signed(actor: &str, signature: &str) -> String {
    format!("s\n{}\n{signature}", owner_of(actor))
}

/// Whether a signature was seen before and is remembered here. That of a like or share stands with its effect, and is
/// remembered here from the moment on in which it no longer does.
pub fn is_repeated(view: &dyn View, actor: &str, signature: &str, now: Timestamp) -> bool {
    lives(view, &signed(actor, signature), now)
}

/// Remembers a signature that came at `at`.
pub fn remember(draft: &mut Draft<'_>, actor: &str, signature: &str, at: Timestamp) {
    let (what, expires) = (signed(actor, signature), later(at, SIGNATURE_MEMORY));
    draft.put(&Seen { what, leads_to: None, undone: None, early: false, expires });
}

/// Whose a memory is, by what it is of.
pub fn owner(what: &str) -> String {
    let mut parts = what.split('\n');
    match (parts.next(), parts.next()) {
        (Some("s"), Some(owner)) => owner.to_owned(),
        (_, actor) => owner_of(actor.unwrap_or_default()),
    }
}

fn lives(view: &dyn View, what: &str, now: Timestamp) -> bool {
    view.get::<Seen>(what.as_bytes()).is_some_and(|seen| seen.expires > now)
}

/// Whether an actor has taken its Follow back, within the time for which signatures are remembered, and not followed since.
pub fn has_unfollowed(view: &dyn View, actor: &str, now: Timestamp) -> bool {
    lives(view, &unfollowed_by(actor), now)
}

fn unfollowed_by(actor: &str) -> String {
    format!("u\n{actor}")
}

/// Remembers that an actor took its Follow back, for as long as a signature is remembered.
pub fn unfollowed(draft: &mut Draft<'_>, actor: &str, now: Timestamp) {
    let expires = later(now, SIGNATURE_MEMORY);
    draft.put(&Seen { what: unfollowed_by(actor), leads_to: None, undone: None, early: false, expires });
}

/// The actor follows again.
pub fn followed(draft: &mut Draft<'_>, actor: &str) {
    let what = unfollowed_by(actor);
    if draft.view().get::<Seen>(what.as_bytes()).is_some() {
        draft.delete::<Seen>(what.as_bytes());
    }
}

fn activity(actor: &str, id: &str) -> String {
    format!("a\n{actor}\n{}", STANDARD_NO_PAD.encode(id_digest(id)))
}

/// Remembers an activity that a newer one of the same actor stands for, whose effect is stored at `key`: for as long as an Undo
/// of it takes nothing else back.
pub fn overtaken(draft: &mut Draft<'_>, actor: &str, id: &str, key: &[u8], now: Timestamp) {
    let (what, leads_to) = (activity(actor, id), Some(STANDARD_NO_PAD.encode(key)));
    draft.put(&Seen { what, leads_to, undone: None, early: false, expires: later(now, ACTIVITY_MEMORY) });
}

/// What is remembered of an activity of this actor.
pub fn of_activity(view: &dyn View, actor: &str, id: &str, now: Timestamp) -> Option<Seen> {
    view.get::<Seen>(activity(actor, id).as_bytes()).filter(|known| known.expires > now)
}

/// Where what stands for an activity is stored, if that was overtaken.
pub fn led_to(known: &Seen) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(known.leads_to.as_deref()?).ok()
}

/// Remembers for a while that an activity was undone by what has this stamp, `early` if it was not known.
pub fn undone(draft: &mut Draft<'_>, actor: &str, id: &str, stamp: Timestamp, early: bool, now: Timestamp) {
    let memory = if early { UNDONE_MEMORY } else { ACTIVITY_MEMORY };
    let (what, expires) = (activity(actor, id), later(now, memory));
    draft.put(&Seen { what, leads_to: None, undone: Some(stamp), early, expires });
}

/// As [`undone_since`], of what is sent again until it is taken: if the Undo came first, this may be signed later than that, and
/// is not another for it.
pub fn undone_before(
    view: &dyn View,
    actor: &str,
    id: &str,
    stamp: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let mark = of_activity(view, actor, id, now)?;
    mark.undone.filter(|undone| mark.early || stamp <= *undone)
}

/// The stamp of what has undone this activity, if that is no older: when it comes, for the first time or again, it does nothing.
/// Where ids are used again, what is later is another one.
pub fn undone_since(
    view: &dyn View,
    actor: &str,
    id: &str,
    stamp: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    of_activity(view, actor, id, now)?.undone.filter(|undone| stamp <= *undone)
}
