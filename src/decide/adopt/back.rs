//! Giving back: where each of Owncast's rows stands by now.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{rows, taken_of, untouched};
use crate::model::adopted::{SetAside, Taken};
use crate::model::follower::{Follower, FollowerState};
use crate::model::{Draft, View};

/// Where a follower that Owncast knows stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It follows, waits or is refused.
    Here(FollowerState),
    /// It was taken and is set aside: as it was.
    Aside,
    /// It was taken or has followed here, and has left.
    Left,
    /// Nothing is known of it here.
    Unknown,
}

/// Where an actor stands.
pub fn standing(view: &dyn View, actor: &str) -> Standing {
    match view.get::<Follower>(actor.as_bytes()).map(|follower| follower.state) {
        Some(FollowerState::Left) => Standing::Left,
        Some(state) => Standing::Here(state),
        None if view.get::<SetAside>(actor.as_bytes()).is_some() => Standing::Aside,
        None if view.get::<Taken>(Taken::name_of(actor).as_bytes()).is_some() => Standing::Left,
        None => Standing::Unknown,
    }
}

/// How a follower stands in Owncast's table; `None` for who has left. Whoever is set aside by a block is blocked there.
pub fn state_there(state: FollowerState) -> Option<FollowerState> {
    match state {
        FollowerState::Left => None,
        FollowerState::Parked => Some(FollowerState::Rejected),
        state => Some(state),
    }
}

/// A follower was given back in this state, by the giving back of that moment. What becomes of its row there counts again, as
/// of any row that was taken; of a copy that is not in its place yet, and may never be, nothing but who is missing in it.
pub fn given(draft: &mut Draft<'_>, actor: &str, state: FollowerState, at: Timestamp, in_place: bool) {
    let known: Option<Follower> = draft.view().get(actor.as_bytes());
    // What has become of it since is newer than its row.
    let Some(follower) = known.filter(|known| state_there(known.state) == Some(state)) else { return };
    draft.put(&Follower { given: Some(at), ..follower.clone() });
    if !in_place {
        return;
    }
    let taken = taken_of(draft.view(), actor);
    draft.put(&Taken {
        who: Taken::name_of(actor),
        row: rows::said(state, follower.since),
        state: follower.parked_from.unwrap_or(follower.state),
        stamp: follower.stamp,
        left: None,
        run: 0,
        own: taken.is_none_or(|taken| taken.own || !untouched(&follower, &taken)),
    });
}

/// How many follow or wait whom Owncast may not know: they are not among those who stand in its own list, or, where that
/// is not at hand, were not given back as they are now.
pub fn not_given_back(view: &dyn View, listed: Option<&BTreeSet<String>>) -> u64 {
    let mut count = 0;
    view.scan(b"", &mut |follower: Follower| {
        let follows = matches!(follower.state, FollowerState::Approved | FollowerState::Pending);
        let actor = &follower.person.actor;
        let given = listed.map_or_else(
            || taken_of(view, actor).is_some_and(|taken| taken.run == 0 && untouched(&follower, &taken)),
            |listed| listed.contains(actor),
        );
        count += u64::from(follows && !given);
        true
    });
    count
}
