//! A map that strangers can fill but not grow.

use std::collections::HashMap;

/// At most `cap` entries by text key; when full, the eighth that was used least recently goes.
#[derive(Debug)]
pub(crate) struct Bounded<V> {
    entries: HashMap<String, (u64, V)>,
    cap: usize,
    tick: u64,
}

impl<V> Bounded<V> {
    pub(crate) fn new(cap: usize) -> Self {
        Self { entries: HashMap::new(), cap: cap.max(1), tick: 0 }
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<&mut V> {
        self.tick += 1;
        let (used, value) = self.entries.get_mut(key)?;
        *used = self.tick;
        Some(value)
    }

    pub(crate) fn insert(&mut self, key: String, value: V) {
        if self.entries.len() >= self.cap && !self.entries.contains_key(&key) {
            self.make_room();
        }
        self.tick += 1;
        self.entries.insert(key, (self.tick, value));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.entries.remove(key);
    }

    /// Many at once, so that the scan is paid for by many insertions.
    fn make_room(&mut self) {
        let mut ages: Vec<u64> = self.entries.values().map(|(used, _)| *used).collect();
        let nth = (self.cap / 8).min(ages.len().saturating_sub(1));
        let (_, limit, _) = ages.select_nth_unstable(nth);
        let limit = *limit;
        self.entries.retain(|_, (used, _)| *used > limit);
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
            assert!(map.entries.len() <= 16);
        }
        assert_eq!(map.get("999").copied(), Some(999));
        assert_eq!(map.get("1"), None);
        map.remove("kept");
        assert_eq!(map.get("kept"), None);
    }

    proptest::proptest! {
        #[test]
        fn never_more_than_the_cap(cap in 1usize..40, keys in proptest::collection::vec(0u16..200, 0..400)) {
            let mut map = Bounded::new(cap);
            for key in keys {
                map.insert(key.to_string(), key);
                proptest::prop_assert!(map.entries.len() <= cap);
                proptest::prop_assert_eq!(map.get(&key.to_string()).copied(), Some(key));
            }
        }
    }
}
