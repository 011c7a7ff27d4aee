//! Forgetting: every record about a stranger ends some day, a bounded number at a time.

use std::time::Duration;

use jiff::Timestamp;

use super::followers;
use crate::model::delivery::{Outgoing, Target};
use crate::model::engagement::Seen;
use crate::model::follower::{Follower, FollowerState};
use crate::model::post::{Post, PostState};
use crate::model::record::{decode, full_key, kind};
use crate::model::{Draft, Record};

/// A blocked follower can be restored for this long.
pub const PARKED_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// A follower who left is remembered as long as an older Follow could still be valid.
const LEFT_LIFE: Duration = super::seen::SIGNATURE_MEMORY;
/// Who was reached by a post is kept this long behind its stream, for a removal by the operator.
const FANOUT_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Where a sweep stopped: full key of the next entry to look at. Empty to begin anew.
pub type Cursor = Vec<u8>;

/// Looks at up to `look` entries from `cursor` on and removes those whose time is over. Returns where to go on.
pub fn sweep(draft: &mut Draft<'_>, cursor: &Cursor, now: Timestamp, look: usize) -> Cursor {
    let mut next = None;
    let mut over = Vec::new();
    let mut left = Vec::new();
    let mut seen = 0;
    draft.view().scan_bytes(b"", cursor, &mut |key, value| {
        if seen == look {
            next = Some(key.to_vec());
            return false;
        }
        seen += 1;
        match key.first() {
            Some(&Seen::KIND) if decode::<Seen>(value).is_some_and(|seen| seen.expires <= now) => {
                over.push(key.to_vec());
            }
            Some(&Follower::KIND) => {
                if let Some(follower) = decode::<Follower>(value) {
                    let age = now.duration_since(follower.changed);
                    let life = match follower.state {
                        FollowerState::Left => LEFT_LIFE,
                        FollowerState::Parked => PARKED_LIFE,
                        _ => return true,
                    };
                    if age.is_positive() && age.unsigned_abs() > life {
                        left.push(follower.person.actor);
                    }
                }
            }
            Some(&Outgoing::KIND) => {
                if let Some(outgoing) = decode::<Outgoing>(value) {
                    over.extend(finished(draft, &outgoing, now));
                }
            }
            _ => {}
        }
        true
    });
    for key in over {
        if let Some((kind, key)) = key.split_first() {
            draft.delete_raw(*kind, key);
        }
    }
    for actor in left {
        followers::forget(draft, &actor, now);
    }
    next.unwrap_or_default()
}

/// Keys of an outgoing activity and its chunks, if nothing will ever ask for them again.
fn finished(draft: &Draft<'_>, outgoing: &Outgoing, now: Timestamp) -> Vec<Vec<u8>> {
    let post: Option<Post> = outgoing.post.and_then(|id| draft.view().get(&id.to_bytes()));
    let needed_from = match (&outgoing.target, post) {
        // A single delivery: gone with its last attempt, at the latest when it expires.
        (Target::Inbox(_), _) | (_, None) => outgoing.expires,
        // A fan-out of a running stream is always needed.
        (_, Some(post)) if post.state == PostState::Live => return Vec::new(),
        (_, Some(post)) => super::seen::later(post.over.unwrap_or(post.published), FANOUT_LIFE),
    };
    if needed_from > now {
        return Vec::new();
    }
    let mut keys = vec![full_key(kind::OUTGOING, &outgoing.key())];
    keys.extend(
        (0..outgoing.chunks)
            .map(|chunk| full_key(kind::CHUNK, &crate::model::delivery::chunk_key(outgoing.id, chunk))),
    );
    keys
}
