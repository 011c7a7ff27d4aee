//! Followers are looked at again, one after another: what has become of an account is told once, by its server alone, and may not
//! have come here.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::blocks;
use crate::model::engagement::id_digest;
use crate::model::follower::{Follower, FollowerCounts, FollowerState, Revisited};
use crate::model::owner::owner_of;
use crate::model::record::kind;
use crate::model::{Draft, Record, View};

/// Everybody's turn comes about once in this time.
pub const EVERY: Duration = Duration::from_secs(30 * 24 * 3600);
/// However few follow, a look whether it is somebody's turn comes after so long.
pub const AT_MOST: Duration = Duration::from_secs(3600);
/// However many follow, there is so long between two of them.
pub const AT_LEAST: Duration = Duration::from_secs(1);
/// While a fan-out runs, the next look comes after so long.
pub const FAN_OUT: Duration = Duration::from_secs(60);
/// So many whose turn comes next are found in one walk through all followers.
pub const PAGE: usize = 500;

/// Whether it is somebody's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Not yet; with the pause before the next look.
    Later(Duration),
    /// Yes: of those from this place on.
    Now(u64),
}

/// Whether it is somebody's turn. However long nobody was asked, it is that of one alone, and of nobody at the first look: those
/// who have just moved in are not asked all at once.
pub fn turn(draft: &mut Draft<'_>, now: Timestamp) -> Turn {
    let Revisited { place, last } = draft.view().meta();
    let counts: FollowerCounts = draft.view().meta();
    let people = u32::try_from(counts.approved.saturating_add(counts.pending)).unwrap_or(u32::MAX);
    let Some(last) = last else {
        draft.put_meta(&Revisited { place, last: Some(now) });
        return Turn::Later(AT_MOST);
    };
    let Some(each) = EVERY.checked_div(people) else { return Turn::Later(AT_MOST) };
    // What a clock that was ahead has written holds nobody up.
    let since = Duration::try_from(now.duration_since(last)).unwrap_or(each);
    if since < each {
        Turn::Later((each - since).clamp(AT_LEAST, AT_MOST))
    } else if fans_out(draft.view()) {
        Turn::Later(FAN_OUT)
    } else {
        Turn::Now(place)
    }
}

fn fans_out(view: &dyn View) -> bool {
    let mut any = false;
    view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |_, _| {
        any = true;
        false
    });
    any
}

/// It was somebody's turn, and is that of those from this place on.
pub fn visited(draft: &mut Draft<'_>, place: u64, now: Timestamp) {
    draft.put_meta(&Revisited { place, last: Some(now) });
}

/// Whether an actor is asked about: it is shown, or waits for the operator.
pub fn concerns(view: &dyn View, actor: &str) -> bool {
    let known: Option<Follower> = view.get(actor.as_bytes());
    known.is_some_and(|known| matches!(known.state, FollowerState::Approved | FollowerState::Pending))
        && !blocks::actor_blocked(view, actor)
}

/// Those whose turn comes next. Turns come in the order of a digest, in which the people of all servers are mixed.
#[derive(Debug, Default)]
pub struct Page {
    people: BTreeSet<(u64, String)>,
    /// The place behind them.
    end: u64,
    /// Whose servers were asked last.
    owner: String,
}

impl Page {
    /// Sees to it that there are enough to choose from: of those from `place` on if none is left.
    pub fn fill(&mut self, view: &dyn View, place: u64) {
        let from = match self.people.len() {
            0 => place,
            // Behind the last of all, a round ends.
            few if few < PAGE / 2 && self.end != 0 => self.end,
            _ => return,
        };
        let mut next = BTreeSet::new();
        let prefix = [Follower::KIND];
        view.scan_bytes(&prefix, &prefix, &mut |key, _| {
            let Some(actor) = key.get(1..).and_then(|actor| std::str::from_utf8(actor).ok()) else {
                return true;
            };
            let place = place_of(actor);
            let is_behind = next.len() >= PAGE && next.last().is_some_and(|(last, _)| *last <= place);
            if place >= from && !is_behind {
                next.insert((place, actor.to_owned()));
                if next.len() > PAGE {
                    next.pop_last();
                }
            }
            true
        });
        let last = next.last().filter(|_| next.len() >= PAGE);
        self.end = last.map_or(0, |(last, _)| last.wrapping_add(1));
        self.people.append(&mut next);
    }

    /// Takes the next, who is not of the same owner as the one before if there is another.
    pub fn take(&mut self) -> Option<(u64, String)> {
        let another = self.people.iter().find(|(_, actor)| owner_of(actor) != self.owner);
        let next = another.or_else(|| self.people.first()).cloned()?;
        self.people.remove(&next);
        self.owner = owner_of(&next.1);
        Some(next)
    }

    /// Puts one back who could not be asked.
    pub fn put_back(&mut self, one: (u64, String)) {
        self.people.insert(one);
    }

    /// Where to go on, also after a restart.
    pub fn place(&self) -> u64 {
        self.people.first().map_or(self.end, |next| next.0)
    }
}

fn place_of(actor: &str) -> u64 {
    id_digest(actor).iter().take(8).fold(0, |place, byte| place << 8 | u64::from(*byte))
}
