//! Rows that were set aside: the actor's own document decides.

use std::time::Duration;

use jiff::Timestamp;

use super::{Terms, gone, rows, taken_of};
use crate::decide::blocks;
use crate::decide::seen::later;
use crate::model::adopted::{SetAside, Taken};
use crate::model::follower::{Follower, FollowerState};
use crate::model::handle::Person;
use crate::model::{Draft, Record, View};

/// Pause after the first question that was asked in vain; it doubles each time.
const PAUSE: Duration = Duration::from_secs(15 * 60);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Questions in vain, most of them a day apart, after which nobody is there any more.
const MOST_TRIES: u32 = 100;

/// Actors whose documents are to be asked for now, at most so many; and when to look again. Nobody who is blocked is asked.
pub fn due(view: &dyn View, now: Timestamp, most: usize) -> (Vec<String>, Option<Timestamp>) {
    let (mut actors, mut next) = (Vec::new(), None::<Timestamp>);
    view.scan::<SetAside>(b"", &mut |aside| {
        match aside.next {
            Some(_) if blocks::actor_blocked(view, &aside.row.actor) => {}
            Some(at) if at <= now => actors.push(aside.row.actor),
            Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
            None => {}
        }
        actors.len() < most
    });
    (actors, next)
}

/// How many are set aside for good, because nobody can be asked.
pub fn unaskable(view: &dyn View) -> u64 {
    let mut number = 0;
    view.scan::<SetAside>(b"", &mut |aside| {
        number += u64::from(aside.next.is_none());
        true
    });
    number
}

/// The actor's document is there, and it is what the follower is made of. That somebody lives there does not show that it
/// followed: where its Follow is in doubt, the operator is asked. Answers its state; `None` if the row was of nobody any more.
pub fn refetched(draft: &mut Draft<'_>, terms: &Terms, person: &Person) -> Option<FollowerState> {
    let aside: SetAside = draft.view().get(person.actor.as_bytes())?;
    draft.delete::<SetAside>(&aside.key());
    if draft.view().get::<Follower>(person.actor.as_bytes()).is_some() {
        return None;
    }
    let mut row = aside.row;
    if aside.doubted && row.state == FollowerState::Approved {
        row.state = FollowerState::Pending;
        if let Some(taken) = taken_of(draft.view(), &row.actor) {
            draft.put(&Taken { state: row.state, ..taken });
        }
    }
    Some(rows::let_in(draft, &row, person.clone(), terms))
}

/// The actor exists no more.
pub fn gave_up(draft: &mut Draft<'_>, actor: &str, now: Timestamp) {
    gone(draft, actor, now);
}

/// The actor's document could not be had, and is asked for again later. False if that was the last time.
pub fn in_vain(draft: &mut Draft<'_>, actor: &str, now: Timestamp) -> bool {
    let Some(aside) = draft.view().get::<SetAside>(actor.as_bytes()) else { return false };
    if aside.tries + 1 >= MOST_TRIES {
        gave_up(draft, actor, now);
        return false;
    }
    let pause = PAUSE.saturating_mul(1 << aside.tries.min(10)).min(LONGEST);
    draft.put(&SetAside { tries: aside.tries.saturating_add(1), next: Some(later(now, pause)), ..aside });
    true
}
