//! Giving back: where each of Owncast's rows stands by now.

use crate::model::View;
use crate::model::adopted::{SetAside, Taken};
use crate::model::follower::{Follower, FollowerState};

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
