//! Memory of what has been handled, each with an expiry.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::engagement::Seen;
use crate::model::owner::owner_of;
use crate::model::{Draft, View};

/// A signature is valid for an hour and some minutes either way; its repeat is a no-op for two such windows.
pub const SIGNATURE_MEMORY: Duration = Duration::from_secs(2 * (2 * 3600 + 600));
/// How long an activity id leads to what it did, for an Undo that names only the id.
pub const ACTIVITY_MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long an Undo of something unknown is remembered (Mastodon does so for six hours).
pub const UNDONE_MEMORY: Duration = Duration::from_secs(6 * 3600);

/// `now` plus a duration, at the end of time if that is too far.
pub fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Remembers the exact signature of an actor's request. False if it was seen before: the request then does nothing, unless
/// it counts `again`.
pub fn first_time(
    draft: &mut Draft<'_>,
    actor: &str,
    signature_hash: &str,
    again: bool,
    now: Timestamp,
) -> bool {
    // By owner, so that what each has left can be counted.
    let what = format!("s\n{}\n{signature_hash}", owner_of(actor));
    if lives(draft.view(), &what, now) && !again {
        return false;
    }
    draft.put(&Seen { what, leads_to: None, undone: false, expires: later(now, SIGNATURE_MEMORY) });
    true
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
    draft.put(&Seen { what: unfollowed_by(actor), leads_to: None, undone: false, expires });
}

/// The actor follows again.
pub fn followed(draft: &mut Draft<'_>, actor: &str) {
    let what = unfollowed_by(actor);
    if draft.view().get::<Seen>(what.as_bytes()).is_some() {
        draft.delete::<Seen>(what.as_bytes());
    }
}

fn activity(actor: &str, id: &str) -> String {
    format!("a\n{actor}\n{id}")
}

/// Remembers where an activity's effect is stored.
pub fn remember(draft: &mut Draft<'_>, actor: &str, id: &str, key: &[u8], now: Timestamp) {
    let leads_to = Some(key.iter().map(|byte| format!("{byte:02x}")).collect());
    draft.put(&Seen {
        what: activity(actor, id),
        leads_to,
        undone: false,
        expires: later(now, ACTIVITY_MEMORY),
    });
}

/// Remembers an activity that a newer one of the same actor stands for: only for as long as an Undo of it may be late.
pub fn overtaken(draft: &mut Draft<'_>, actor: &str, id: &str, now: Timestamp) {
    let known: Option<Seen> = draft.view().get(activity(actor, id).as_bytes());
    if let Some(known) = known {
        draft.put(&Seen { expires: known.expires.min(later(now, UNDONE_MEMORY)), ..known });
    }
}

/// The key of what this actor's activity did, if it is remembered.
pub fn led_to(view: &dyn View, actor: &str, id: &str) -> Option<Vec<u8>> {
    let hex = view.get::<Seen>(activity(actor, id).as_bytes())?.leads_to?;
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

/// Remembers for a while that an activity was undone, before it came or after.
pub fn undone(draft: &mut Draft<'_>, actor: &str, id: &str, memory: Duration, now: Timestamp) {
    draft.put(&Seen { what: activity(actor, id), leads_to: None, undone: true, expires: later(now, memory) });
}

/// True if this activity was undone: when it comes, for the first time or again, it does nothing.
pub fn was_undone(view: &dyn View, actor: &str, id: &str, now: Timestamp) -> bool {
    view.get::<Seen>(activity(actor, id).as_bytes()).is_some_and(|seen| seen.undone && seen.expires > now)
}
