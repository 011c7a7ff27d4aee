//! A view with changes on top: decisions write into it and read their own writes back.

use std::collections::BTreeMap;

use super::record::{Changes, Record, encode, full_key, kind};
use super::view::{Meta, View};

/// A view and, above it, changes that are decided but not applied yet.
pub struct Draft<'a> {
    view: &'a dyn View,
    above: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a> Draft<'a> {
    /// Starts with no changes.
    pub fn new(view: &'a dyn View) -> Self {
        Draft { view, above: BTreeMap::new() }
    }

    /// Writes a record.
    pub fn put<R: Record>(&mut self, record: &R) {
        self.above.insert(full_key(R::KIND, &record.key()), Some(encode(record)));
    }

    /// Writes a singleton.
    pub fn put_meta<M: Meta>(&mut self, meta: &M) {
        self.above.insert(full_key(kind::META, M::NAME.as_bytes()), Some(encode(meta)));
    }

    /// Writes raw bytes below a kind.
    pub fn put_raw(&mut self, kind: u8, key: &[u8], value: Vec<u8>) {
        self.above.insert(full_key(kind, key), Some(value));
    }

    /// Removes a record by its key.
    pub fn delete<R: Record>(&mut self, key: &[u8]) {
        self.delete_raw(R::KIND, key);
    }

    /// Removes whatever stands at a key.
    pub fn delete_raw(&mut self, kind: u8, key: &[u8]) {
        self.above.insert(full_key(kind, key), None);
    }

    /// Adds changes made elsewhere; later ones of the same key replace earlier ones.
    pub fn add(&mut self, changes: Changes) {
        self.above.extend(changes.into_writes());
    }

    /// This draft as a view.
    pub fn view(&self) -> &(dyn View + 'a) {
        self
    }

    /// Number of keys changed.
    pub fn len(&self) -> usize {
        self.above.len()
    }

    /// True when nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.above.is_empty()
    }

    /// The changes, one per key.
    pub fn into_changes(self) -> Changes {
        Changes::of(self.above.into_iter().collect())
    }
}

impl View for Draft<'_> {
    fn get_bytes(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self.above.get(key) {
            Some(value) => value.clone(),
            None => self.view.get_bytes(key),
        }
    }

    fn scan_bytes(&self, prefix: &[u8], from: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        let mut above =
            self.above.range(from.to_vec()..).take_while(|(key, _)| key.starts_with(prefix)).peekable();
        let mut wanted = true;
        self.view.scan_bytes(prefix, from, &mut |key, value| {
            while let Some((new_key, new)) = above.next_if(|(new_key, _)| new_key.as_slice() < key) {
                wanted = new.as_ref().is_none_or(|new| each(new_key, new));
                if !wanted {
                    return false;
                }
            }
            wanted = match above.next_if(|(new_key, _)| new_key.as_slice() == key) {
                Some((_, Some(new))) => each(key, new),
                Some((_, None)) => true,
                None => each(key, value),
            };
            wanted
        });
        while wanted {
            match above.next() {
                Some((key, Some(value))) => wanted = each(key, value),
                Some((_, None)) => {}
                None => return,
            }
        }
    }
}
