//! A map that strangers can fill but not grow.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Entries whose weights make at most `cap` together; when full, those go that were used least recently.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    entries: HashMap<K, Entry<V>>,
    cap: usize,
    held: usize,
    tick: u64,
}

#[derive(Debug)]
struct Entry<V> {
    used: u64,
    weight: usize,
    value: V,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    pub(crate) fn new(cap: usize) -> Self {
        Self { entries: HashMap::new(), cap: cap.max(1), held: 0, tick: 0 }
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
        self.remove(&key);
        if weight > self.cap {
            return;
        }
        if self.held + weight > self.cap {
            self.make_room(weight);
        }
        self.tick += 1;
        self.held += weight;
        self.entries.insert(key, Entry { used: self.tick, weight, value });
    }

    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some(entry) = self.entries.remove(key) {
            self.held -= entry.weight;
        }
    }

    /// An eighth more than is needed, so that the scan is paid for by many insertions.
    fn make_room(&mut self, weight: usize) {
        let mut ages: Vec<(u64, usize)> =
            self.entries.values().map(|entry| (entry.used, entry.weight)).collect();
        ages.sort_unstable();
        let want = (self.held + weight).saturating_sub(self.cap) + self.cap / 8;
        let (mut freed, mut until) = (0, 0);
        for (used, weight) in ages {
            if freed >= want {
                break;
            }
            freed += weight;
            until = used;
        }
        self.entries.retain(|_, entry| entry.used > until);
        self.held -= freed;
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

    proptest::proptest! {
        #[test]
        fn never_more_than_the_cap(
            cap in 1usize..200,
            steps in proptest::collection::vec((0u16..200, 1usize..30, proptest::bool::weighted(0.1)), 0..400),
        ) {
            let mut map = Bounded::new(cap);
            for (key, weight, remove) in steps {
                map.insert_weighing(weight, key, key);
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
