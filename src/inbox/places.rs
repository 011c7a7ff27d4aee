//! Places of those that wait, and whose turn it is: whoever has most makes room, so that nobody takes all.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// So many wait, and so many more are put off.
pub(super) const PLACES: usize = 256;
/// Looked into at once.
const AT_ONCE: usize = 8;
/// Of those, so many of one owner's servers: one that does not answer holds each for as long as a search may take. More than
/// one, while there are few.
const AT_ONCE_OF_ONE: usize = 2;

/// What waits.
pub(super) trait Waits {
    /// Whose servers it is of.
    fn owner(&self) -> &str;

    /// What it has in common with those of which only the newest matters.
    fn same(&self) -> Option<&str>;
}

/// Where the newest is of the owner who has most places, if that are more than this one would have with another.
fn newest_of_most<'a, T: Waits + 'a>(owner: &str, all: impl Iterator<Item = &'a T>) -> Option<usize> {
    let mut owners: HashMap<&str, (usize, usize)> = HashMap::new();
    for (at, waits) in all.enumerate() {
        let (count, newest) = owners.entry(waits.owner()).or_default();
        *count += 1;
        *newest = at;
    }
    let theirs = owners.get(owner).map_or(0, |(count, _)| *count);
    let (most, newest) = owners.into_values().max()?;
    (most > theirs + 1).then_some(newest)
}

/// Where the one is that is the same as this one.
fn same<'a, T: Waits + 'a>(one: &T, mut all: impl Iterator<Item = &'a T>) -> Option<usize> {
    let same = one.same()?;
    all.position(|waits| waits.same() == Some(same))
}

/// What became of one that is to wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placed<T> {
    /// It waits.
    Waits,
    /// One that is the same waits, and this is the older of the two, which does not any more.
    Overtaken(T),
    /// There are no more places: this one has none, or has it no more.
    Full(T),
}

/// Those that are put off, in the order in which their time comes.
#[derive(Debug)]
pub(super) struct Later<T> {
    pause: Duration,
    most: u32,
    waiting: VecDeque<PutOff<T>>,
}

#[derive(Debug)]
struct PutOff<T> {
    due: Instant,
    one: T,
    times: u32,
}

impl<T: Waits> Later<T> {
    /// For so long, and as often at most.
    pub(super) fn new(pause: Duration, most: u32) -> Self {
        Later { pause, most, waiting: VecDeque::new() }
    }

    /// Puts off one that was put off so many times before.
    pub(super) fn put_off(&mut self, one: T, times: u32, now: Instant) -> Placed<T> {
        if times >= self.most {
            return Placed::Full(one);
        }
        let put_off = |one| PutOff { due: now + self.pause, one, times: times + 1 };
        if let Some(at) = same(&one, self.waiting.iter().map(|waits| &waits.one)) {
            // What comes again has been put off more often than what has come since.
            if self.waiting.get(at).is_some_and(|waits| waits.times <= times) {
                return Placed::Overtaken(one);
            }
            self.waiting.push_back(put_off(one));
            return self.waiting.remove(at).map_or(Placed::Waits, |older| Placed::Overtaken(older.one));
        }
        let out = match self.waiting.len() < PLACES {
            true => None,
            false => match newest_of_most(one.owner(), self.waiting.iter().map(|waits| &waits.one)) {
                Some(at) => self.waiting.remove(at),
                None => return Placed::Full(one),
            },
        };
        self.waiting.push_back(put_off(one));
        out.map_or(Placed::Waits, |out| Placed::Full(out.one))
    }

    /// When the time of the next one comes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.front().map(|waits| waits.due)
    }

    /// One whose time has come, and how often it was put off.
    pub(super) fn due(&mut self, now: Instant) -> Option<(T, u32)> {
        self.waiting.pop_front_if(|waits| waits.due <= now).map(|waits| (waits.one, waits.times))
    }
}

/// Whose turn it is: the one that has waited longest of those of whose owners the fewest are looked into.
#[derive(Debug)]
pub(super) struct Turns<T> {
    waiting: VecDeque<T>,
    /// Whose are looked into.
    looking: Vec<String>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Turns { waiting: VecDeque::new(), looking: Vec::new() }
    }
}

impl<T: Waits> Turns<T> {
    /// Has one wait, which came just now or comes again.
    pub(super) fn wait(&mut self, one: T, again: bool) -> Placed<T> {
        if let Some(at) = same(&one, self.waiting.iter()) {
            return Placed::Overtaken(match self.waiting.get_mut(at) {
                Some(older) if !again => std::mem::replace(older, one),
                _ => one,
            });
        }
        let out = match self.waiting.len() < PLACES {
            true => None,
            false => match newest_of_most(one.owner(), self.waiting.iter()) {
                Some(at) => self.waiting.remove(at),
                None => return Placed::Full(one),
            },
        };
        self.waiting.push_back(one);
        out.map_or(Placed::Waits, Placed::Full)
    }

    /// The next one, if there is a turn left.
    pub(super) fn next(&mut self) -> Option<T> {
        if self.looking.len() >= AT_ONCE {
            return None;
        }
        let looking = |waits: &T| self.looking.iter().filter(|owner| *owner == waits.owner()).count();
        let most = if self.looking.len() < AT_ONCE / 2 { AT_ONCE_OF_ONE } else { 1 };
        let first =
            (0..most).find_map(|theirs| self.waiting.iter().position(|waits| looking(waits) == theirs))?;
        let one = self.waiting.remove(first)?;
        self.looking.push(one.owner().to_owned());
        Some(one)
    }

    /// One of this owner has been looked into.
    pub(super) fn over(&mut self, owner: &str) {
        if let Some(at) = self.looking.iter().position(|looking| looking == owner) {
            self.looking.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct One {
        owner: String,
        same: Option<&'static str>,
        number: usize,
    }

    impl Waits for One {
        fn owner(&self) -> &str {
            &self.owner
        }

        fn same(&self) -> Option<&str> {
            self.same
        }
    }

    fn one(owner: &str, number: usize) -> One {
        One { owner: owner.to_owned(), same: None, number }
    }

    #[test]
    fn whoever_has_most_places_makes_room() {
        let (mut turns, mut later) = (Turns::default(), Later::new(Duration::from_secs(9), 5));
        let now = Instant::now();
        let mut wait = |one: One| {
            let placed = turns.wait(one.clone(), false);
            assert_eq!(later.put_off(one, 0, now), placed);
            placed
        };
        // Four owners have all places.
        for number in 0..PLACES {
            assert_eq!(wait(one(&format!("dead{}", number % 4), number)), Placed::Waits);
        }
        assert_eq!(wait(one("dead0", PLACES)), Placed::Full(one("dead0", PLACES)));
        // Any other takes theirs, the newest first, until it has as many.
        let Placed::Full(out) = wait(one("well", 0)) else { panic!("nobody made room") };
        assert!(out.owner.starts_with("dead") && out.number >= PLACES - 4, "{out:?}");
        let well =
            (1..PLACES).filter(|number| wait(one("well", *number)) != Placed::Full(one("well", *number)));
        assert!((PLACES / 5 - 1..PLACES / 5 + 2).contains(&(1 + well.count())));
        let new = (0..PLACES).filter(|number| {
            let new = one(&format!("new{number}"), *number);
            wait(new.clone()) != Placed::Full(new)
        });
        assert_eq!(new.count(), PLACES - 5, "each has one at last");
    }

    #[test]
    fn servers_that_do_not_answer_leave_turns_to_others() {
        let mut turns = Turns::default();
        let next = |turns: &mut Turns<One>| turns.next().map(|one| (one.owner, one.number));
        for number in 0..PLACES {
            turns.wait(one(&format!("dead{}", number % 4), number), false);
        }
        let first: Vec<_> = std::iter::from_fn(|| next(&mut turns)).collect();
        assert_eq!(first, (0..4).map(|number| (format!("dead{number}"), number)).collect::<Vec<_>>());
        for well in 0..4 {
            turns.wait(one(&format!("well{well}"), 7), false);
            assert_eq!(next(&mut turns), Some((format!("well{well}"), 7)));
        }
        turns.wait(one("late", 8), false);
        assert_eq!(next(&mut turns), None, "all turns are taken");
        turns.over("well0");
        assert_eq!(next(&mut turns), Some(("late".to_owned(), 8)), "before those who hold one");
        for owner in ["late", "well0", "well1", "well2", "well3", "nobody"] {
            turns.over(owner);
        }
        assert_eq!(next(&mut turns), None, "four others may come");
        turns.over("dead1");
        assert_eq!(next(&mut turns), Some(("dead1".to_owned(), 5)), "whose are looked into least");
    }

    #[test]
    fn alone_an_owner_has_more_than_one_turn() {
        let mut turns = Turns::default();
        (0..9).for_each(|number| drop(turns.wait(one("only", number), false)));
        assert_eq!(std::iter::from_fn(|| turns.next()).count(), AT_ONCE_OF_ONE);
    }

    #[test]
    fn of_those_that_are_the_same_the_newest_waits() {
        let now = Instant::now();
        let same = |number| One { same: Some("ana's Update"), ..one("a", number) };
        let mut turns = Turns::default();
        assert_eq!(turns.wait(same(1), false), Placed::Waits);
        assert_eq!(turns.wait(same(2), false), Placed::Overtaken(same(1)));
        // One that was put off is older than what has come since.
        assert_eq!(turns.wait(same(1), true), Placed::Overtaken(same(1)));
        assert_eq!(turns.next(), Some(same(2)));
        assert_eq!(
            turns.wait(same(3), false),
            Placed::Waits,
            "what is looked into may see what was before it"
        );

        let mut later = Later::new(Duration::from_secs(9), 5);
        assert_eq!(later.put_off(same(1), 0, now), Placed::Waits);
        assert_eq!(later.put_off(same(2), 0, now), Placed::Overtaken(same(1)));
        assert_eq!(later.put_off(same(1), 1, now), Placed::Overtaken(same(1)));
        assert_eq!(later.due(now + Duration::from_secs(9)), Some((same(2), 1)));
        assert_eq!(later.next(), None);
    }

    #[test]
    fn what_is_put_off_comes_back_in_turn_and_a_few_times() {
        const MOST: u32 = 5;
        let (now, pause) = (Instant::now(), Duration::from_secs(9));
        let mut later = Later::new(pause, MOST);
        assert_eq!(later.put_off(one("a", 1), 0, now), Placed::Waits);
        assert_eq!(later.put_off(one("b", 2), MOST - 1, now + pause / 2), Placed::Waits);
        assert_eq!(later.put_off(one("b", 3), MOST, now), Placed::Full(one("b", 3)), "often enough");
        assert_eq!((later.next(), later.due(now)), (Some(now + pause), None));
        assert_eq!(later.due(now + pause), Some((one("a", 1), 1)));
        assert_eq!(later.due(now + pause), None);
        assert_eq!(later.due(now + 2 * pause), Some((one("b", 2), MOST)));
        assert_eq!(later.next(), None);
    }
}
