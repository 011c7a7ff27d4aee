//! Whose memories make way when strangers have left too much: theirs who left most.
//!
//! Nobody is told from anybody by what they did: whoever leaves a share like everybody's loses nothing, however many there
//! are, and whoever leaves more than that is cut down to it, by chance, so that what came long ago and what came
//! a moment ago go alike.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Owners whose memories are told from each other, at least; of more, those with the fewest are only counted in all.
const OWNERS: usize = 4096;
/// So many are named in the log.
const NAMED: usize = 5;
/// Whatever others have left, so many are nobody's too much.
const LEAST: u64 = 100;

/// What a memory counts for that takes so many bytes: one, and one more for each kibibyte that it fills.
pub fn weight(bytes: usize) -> u64 {
    1 + bytes as u64 / 1024
}

/// How many memories were counted, in all and by whose they are. A large one counts for [several](weight).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    owners: BTreeMap<String, u64>,
    all: u64,
}

impl Tally {
    /// Counts one that counts for so many.
    pub fn count(&mut self, owner: &str, weight: u64) {
        self.all += weight;
        match self.owners.get_mut(owner) {
            Some(count) => *count += weight,
            None => {
                self.owners.insert(owner.to_owned(), weight);
            }
        }
    }

    /// Counts what another one has counted as well.
    pub fn add(&mut self, other: Tally) {
        self.all += other.all;
        for (owner, count) in other.owners {
            *self.owners.entry(owner).or_default() += count;
        }
        if self.owners.len() > 2 * OWNERS {
            let mut counts: Vec<u64> = self.owners.values().copied().collect();
            counts.sort_unstable_by(|a, b| b.cmp(a));
            let fewest = counts.get(OWNERS).copied().unwrap_or_default();
            self.owners.retain(|_, count| *count > fewest);
        }
    }

    /// All of them.
    pub fn all(&self) -> u64 {
        self.all
    }

    /// The shares if there may be `most` in all and `of_one` of one owner.
    pub fn shares(&self, most: u64, of_one: u64) -> Shares {
        let mut counts: Vec<u64> = self.owners.values().copied().collect();
        counts.sort_unstable();
        // Those that are too few to be told apart keep what they have.
        let told: u64 = counts.iter().sum();
        let mut room = most.saturating_sub(self.all.saturating_sub(told));
        let mut share = of_one;
        for (before, count) in counts.iter().enumerate() {
            let each = room / (counts.len() - before) as u64;
            if *count > each {
                share = share.min(each);
                break;
            }
            room -= count;
        }
        let share = share.max(LEAST);
        let over = self.owners.iter().filter(|(_, count)| **count > share);
        Shares { share, over: over.map(|(owner, count)| (owner.clone(), *count)).collect() }
    }
}

/// Who has left more than a share, and how much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    share: u64,
    over: HashMap<String, u64>,
}

impl Shares {
    /// Whether nothing more is taken of them for now.
    pub fn used_up(&self, owner: &str) -> bool {
        self.over.contains_key(owner)
    }

    /// Whether there is nobody who has left too much.
    pub fn is_empty(&self) -> bool {
        self.over.is_empty()
    }

    /// Whether a memory of theirs makes way: one of so many that nine tenths of a share are left. `round` draws anew.
    pub fn makes_way(&self, owner: &str, key: &[u8], round: i64) -> bool {
        let Some(held) = self.over.get(owner) else { return false };
        let mut hasher = DefaultHasher::new();
        (key, round).hash(&mut hasher);
        hasher.finish() % held >= self.share / 10 * 9
    }
}

/// Who has left too much, the greatest of them by name.
impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut over: Vec<_> = self.over.iter().map(|(owner, count)| (count, owner)).collect();
        over.sort_unstable_by(|a, b| b.cmp(a));
        write!(f, "strangers have left more than {} memories each:", self.share)?;
        for (count, owner) in over.iter().take(NAMED) {
            write!(f, " {owner} ({count})")?;
        }
        match over.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(counts: &[(&str, u64)]) -> Tally {
        let mut tally = Tally::default();
        for (owner, count) in counts {
            (0..*count).for_each(|_| tally.count(owner, 1));
        }
        tally
    }

    #[test]
    fn only_those_who_left_most_have_left_too_much() {
        let counts = [("evil.example", 800), ("worse.example", 900), ("a.example", 30), ("b.example", 20)];
        let shares = tally(&counts).shares(1000, 10_000);
        assert_eq!(shares.share, (1000 - 50) / 2);
        assert!(shares.used_up("evil.example") && shares.used_up("worse.example"));
        assert!(!shares.used_up("a.example") && !shares.used_up("never.seen"));
        // There is room for all of them; but nobody may have more than so much.
        assert!(tally(&counts).shares(2000, 10_000).is_empty());
        let shares = tally(&counts).shares(2000, 850);
        assert_eq!((shares.used_up("evil.example"), shares.used_up("worse.example")), (false, true));
        assert!(Tally::default().shares(0, 0).is_empty());
    }

    #[test]
    fn what_makes_way_leaves_nine_tenths_of_a_share() {
        let shares = tally(&[("evil.example", 10_000), ("a.example", 10)]).shares(1010, 10_000);
        let left = |round: i64| {
            let kept = |n: &u32| !shares.makes_way("evil.example", &n.to_be_bytes(), round);
            (0..10_000).filter(kept).collect::<Vec<u32>>()
        };
        assert!((800..1000).contains(&left(1).len()), "{}", left(1).len());
        assert_ne!(left(1), left(2), "another time others");
        assert!((0..10_000u32).all(|n| !shares.makes_way("a.example", &n.to_be_bytes(), 1)));
    }

    #[test]
    fn any_number_of_owners_is_counted_and_the_greatest_are_told_apart() {
        let mut all = tally(&[("evil.example", 50)]);
        for some in 0..20 {
            let mut more = tally(&[("evil.example", 50)]);
            (0..1000).for_each(|n| more.count(&format!("s{}.example", some * 1000 + n), 1));
            all.add(more);
            assert!(all.owners.len() <= 2 * OWNERS + 1000);
        }
        assert_eq!(all.all(), 21 * 50 + 20_000);
        assert_eq!(all.owners["evil.example"], 21 * 50);
        let shares = all.shares(20_500, u64::MAX);
        assert!(shares.used_up("evil.example"));
        assert_eq!(shares.over.len(), 1);
    }
}
