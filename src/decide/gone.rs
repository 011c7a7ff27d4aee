//! Actors that are no more, or want nothing to do with us.

use jiff::Timestamp;

use super::{Moment, engage, followers};
use crate::model::Draft;
use crate::model::follower::{Follower, FollowerState};

/// An actor deleted itself: nothing of theirs stays.
pub fn deleted(draft: &mut Draft<'_>, moment: &Moment, actor: &str) {
    followers::forget(draft, actor, moment.now);
    engage::forget(draft, actor);
}

/// An actor blocked us: it stops following, quietly.
pub fn blocked_us(draft: &mut Draft<'_>, moment: &Moment, actor: &str, stamp: Timestamp) {
    let Some(known) = draft.view().get::<Follower>(actor.as_bytes()) else { return };
    if stamp < known.stamp {
        return;
    }
    // A refusal by the operator outlives the Block, as it does an Undo.
    if known.state == FollowerState::Rejected {
        draft.put(&Follower { stamp, ..known });
        return;
    }
    followers::settle(
        draft,
        &Follower { state: FollowerState::Left, parked_from: None, stamp, changed: moment.now, ..known },
    );
}
