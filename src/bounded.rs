//! A map that strangers can fill but not grow.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, RandomState};

/// Of so many parts, one is nobody's too much.
const SHARES: usize = 4;

/// Entries whose weights make at most `cap` together. When full, those go that were used least recently: first of owners
/// who have more than a share, and no more of theirs than that is.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    entries: HashMap<K, Entry<V>>,
    cap: usize,
    held: usize,
    tick: u64,
    /// Makes owners small; nobody outside can know two that look alike.
    owners: RandomState,
}

#[derive(Debug)]
struct Entry<V> {
    used: u64,
    weight: usize,
    /// Whose it is, if that is told.
    owner: Option<u64>,
    value: V,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    pub(crate) fn new(cap: usize) -> Self {
        Self { entries: HashMap::new(), cap: cap.max(1), held: 0, tick: 0, owners: RandomState::new() }
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.tick += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.tick;
        Some(&mut entry.value)
    }

    /// Inserts what weighs 1.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.insert_weighing(1, key, value);
    }

    /// Inserts what weighs as much; what weighs more than everything together may is not kept.
    pub(crate) fn insert_weighing(&mut self, weight: usize, key: K, value: V) {
        self.put(None, weight, key, value);
    }

    /// Inserts what is some owner's, as [`Bounded::insert_weighing`].
    pub(crate) fn insert_of(&mut self, owner: &str, weight: usize, key: K, value: V) {
        let owner = self.owners.hash_one(owner);
        self.put(Some(owner), weight, key, value);
    }

    fn put(&mut self, owner: Option<u64>, weight: usize, key: K, value: V) {
        self.remove(&key);
        if weight > self.cap {
            return;
        }
        if self.held + weight > self.cap {
            self.make_room(weight, owner);
        }
        self.tick += 1;
        self.held += weight;
        self.entries.insert(key, Entry { used: self.tick, weight, owner, value });
    }

    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some(entry) = self.entries.remove(key) {
            self.held -= entry.weight;
        }
    }

    /// An eighth more than is needed, so that the scan is paid for by many insertions; but where those who have more than a
    /// share make room enough, nobody else does.
    fn make_room(&mut self, weight: usize, owner: Option<u64>) {
        let of_entry = |entry: &Entry<V>| (entry.used, entry.weight, entry.owner);
        let mut ages: Vec<(u64, usize, Option<u64>)> = self.entries.values().map(of_entry).collect();
        ages.sort_unstable();
        let mut theirs: HashMap<u64, usize> = owner.map(|owner| (owner, weight)).into_iter().collect();
        for (_, weight, owner) in &ages {
            if let Some(owner) = owner {
                *theirs.entry(*owner).or_default() += weight;
            }
        }
        let share = self.cap / SHARES;
        theirs.retain(|_, held| *held > share);
        let need = (self.held + weight).saturating_sub(self.cap);
        let want = need + self.cap / 8;
        let (mut freed, mut gone) = (0, HashSet::new());
        for (used, weight, owner) in &ages {
            let held = owner.as_ref().and_then(|owner| theirs.get_mut(owner));
            if let Some(held) = held.filter(|held| freed < want && **held > share - share / 8) {
                *held -= (*weight).min(*held);
                freed += weight;
                gone.insert(*used);
            }
        }
        let enough = if freed >= need && freed > 0 { need } else { want };
        for (used, weight, _) in ages {
            if freed >= enough {
                break;
            }
            if gone.insert(used) {
                freed += weight;
            }
        }
        self.entries.retain(|_, entry| !gone.contains(&entry.used));
        self.held -= freed;
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut map = Bounded::new(16);
        map.insert("kept".to_owned(), 0);
        for n in 1..1000 {
            map.insert(n.to_string(), n);
            assert_eq!(map.get("kept").copied(), Some(0));
            assert!(map.len() <= 16);
        }
        assert_eq!(map.get("999").copied(), Some(999));
        assert_eq!(map.get("1"), None);
        map.remove("kept");
        assert_eq!(map.get("kept"), None);
    }

    #[test]
    fn one_owner_pushes_nobody_out_and_has_all_that_nobody_else_wants() {
        let mut map = Bounded::new(64);
        for n in 0..64 {
            map.insert_of("evil.example", 1, format!("evil {n}"), n);
        }
        assert_eq!(map.len(), 64);
        let honest: Vec<String> = (0..40).map(|n| format!("honest {n}")).collect();
        for (n, key) in honest.iter().enumerate() {
            map.insert_of(&format!("peer{}.example", n % 10), 1, key.clone(), n);
        }
        for n in 0..1000 {
            map.insert_of("evil.example", 1, format!("more evil {n}"), n);
            map.get(&format!("more evil {}", n / 2));
        }
        assert!(honest.iter().all(|key| map.get(key).is_some()));
        // Also when it has just a share and there is no room at all.
        let more: Vec<String> = (0..64 - map.len()).map(|n| format!("another {n}")).collect();
        for key in &more {
            map.insert_of("another.example", 1, key.clone(), 0);
        }
        for n in 0..1000 {
            map.insert_of("evil.example", 1, format!("yet more evil {n}"), n);
        }
        assert!(honest.iter().chain(&more).all(|key| map.get(key).is_some()));
        // Who has no more than a share each makes way by age.
        for n in 0..64 {
            map.insert_of(&format!("peer{n}.example"), 1, format!("new {n}"), n);
        }
        assert!(map.get("new 63").is_some() && map.get("honest 0").is_none());
    }

    proptest::proptest! {
        #[test]
        fn never_more_than_the_cap(
            cap in 1usize..200,
            steps in proptest::collection::vec((0u16..200, 1usize..30, proptest::bool::weighted(0.1)), 0..400),
        ) {
            let mut map = Bounded::new(cap);
            for (key, weight, remove) in steps {
                match key % 3 {
                    0 => map.insert_weighing(weight, key, key),
                    owner => map.insert_of(&owner.to_string(), weight, key, key),
                }
                let held: usize = map.entries.values().map(|entry| entry.weight).sum();
                proptest::prop_assert!(held <= cap && held == map.held);
                proptest::prop_assert_eq!(map.get(&key).copied(), (weight <= cap).then_some(key));
                if remove {
                    map.remove(&key);
                    proptest::prop_assert_eq!(map.get(&key), None);
                }
            }
        }
    }
}
