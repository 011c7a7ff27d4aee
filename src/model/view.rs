//! What decisions may look at: the store as it will be once everything decided so far is applied.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::record::{Changes, Record, decode, full_key};

/// A readable state of the store. Implemented over the database by the store, over a map in tests.
pub trait View {
    /// The bytes at a full key.
    fn get_bytes(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Calls `each` with key and value of every entry whose key starts with `prefix` and is not below `from`,
    /// in key order, until it returns `false`. `from` is a full key; pass the prefix itself to begin at its start.
    fn scan_bytes(&self, prefix: &[u8], from: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> bool);
}

impl dyn View + '_ {
    /// One record by its key.
    pub fn get<R: Record>(&self, key: &[u8]) -> Option<R> {
        self.get_bytes(&full_key(R::KIND, key)).and_then(|bytes| decode(&bytes))
    }

    /// Every record of a kind whose key starts with `prefix`, in key order, until `each` returns `false`.
    pub fn scan<R: Record>(&self, prefix: &[u8], each: &mut dyn FnMut(R) -> bool) {
        let full = full_key(R::KIND, prefix);
        self.scan_bytes(&full, &full, &mut |_, bytes| match decode(bytes) {
            Some(record) => each(record),
            None => true,
        });
    }

    /// All records of a kind under a prefix. For kinds whose number is bounded by design.
    pub fn all<R: Record>(&self, prefix: &[u8]) -> Vec<R> {
        let mut all = Vec::new();
        self.scan(prefix, &mut |record| {
            all.push(record);
            true
        });
        all
    }

    /// A singleton by its name, or its default.
    pub fn meta<M: Meta>(&self) -> M {
        self.get_bytes(&full_key(super::record::kind::META, M::NAME.as_bytes()))
            .and_then(|bytes| decode(&bytes))
            .unwrap_or_default()
    }
}

/// A singleton record.
pub trait Meta: serde::Serialize + DeserializeOwned + Default {
    /// Its name below the meta prefix.
    const NAME: &'static str;
}

impl Changes {
    /// Writes a singleton.
    pub fn put_meta<M: Meta>(&mut self, meta: &M) {
        self.put_raw(super::record::kind::META, M::NAME.as_bytes(), super::record::encode(meta));
    }
}

/// A view over a map: for tests of decisions, and for overlays.
#[derive(Debug, Default, Clone)]
pub struct MemoryView {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryView {
    /// Applies changes as the store would.
    pub fn apply(&mut self, changes: Changes) {
        for (key, value) in changes.into_writes() {
            match value {
                Some(value) => self.entries.insert(key, value),
                None => self.entries.remove(&key),
            };
        }
    }

    /// Number of entries, of all kinds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl View for MemoryView {
    fn get_bytes(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.entries.get(key).cloned()
    }

    fn scan_bytes(&self, prefix: &[u8], from: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        for (key, value) in self.entries.range(from.to_vec()..) {
            if !key.starts_with(prefix) || !each(key, value) {
                return;
            }
        }
    }
}
