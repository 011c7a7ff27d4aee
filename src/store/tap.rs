//! What is written while somebody walks through the store.
//!
//! The database has no view that stands still. Whoever copies it walks through it slice by slice, and hears of every batch
//! that was written meanwhile: applied in order on top of what was seen, these make the copy that of one moment, the
//! moment of the last batch heard of. Nobody has to wait for the copy.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Bytes of keys and values that wait to be taken. Who takes nothing for so long is told so.
const MOST: usize = 32 * 1024 * 1024;

/// A full key with its new value, `None` for a removal.
pub type Write = (Vec<u8>, Option<Vec<u8>>);
/// Writes in the order in which they were made.
pub type Writes = Vec<Write>;

/// Every tap that is open. The writer tells them.
#[derive(Debug, Default)]
pub(super) struct Taps(Mutex<Vec<Weak<Mutex<Heard>>>>);

/// Hears of every batch from the moment it was opened on.
#[derive(Debug)]
pub struct Tap(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    writes: Writes,
    bytes: usize,
    overflown: bool,
}

impl Taps {
    pub(super) fn open(&self) -> Tap {
        let heard = Arc::default();
        locked(&self.0).push(Arc::downgrade(&heard));
        Tap(heard)
    }

    pub(super) fn are_open(&self) -> bool {
        !locked(&self.0).is_empty()
    }

    /// Tells of a batch that is applied.
    pub(super) fn written(&self, writes: &[Write]) {
        locked(&self.0).retain(|tap| {
            let Some(heard) = tap.upgrade() else { return false };
            locked(&heard).hear(writes);
            true
        });
    }
}

impl Heard {
    fn hear(&mut self, writes: &[Write]) {
        let size = |(key, value): &Write| key.len() + value.as_ref().map_or(0, Vec::len);
        self.bytes += writes.iter().map(size).sum::<usize>();
        if self.overflown || self.bytes > MOST {
            (self.overflown, self.writes) = (true, Writes::new());
        } else {
            self.writes.extend(writes.iter().cloned());
        }
    }
}

impl Tap {
    /// Everything written since the last call, in whole batches; `None` if that was too much to keep.
    pub fn take(&self) -> Option<Writes> {
        let mut heard = locked(&self.0);
        if heard.overflown {
            return None;
        }
        heard.bytes = 0;
        Some(std::mem::take(&mut heard.writes))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tap_hears_whole_batches_until_it_is_dropped() {
        let taps = Taps::default();
        let tap = taps.open();
        let batch = vec![(b"Pa".to_vec(), Some(b"1".to_vec())), (b"Pb".to_vec(), None)];
        taps.written(&batch);
        taps.written(&batch[..1]);
        assert_eq!(tap.take().unwrap(), [&batch[..], &batch[..1]].concat());
        assert_eq!(tap.take().unwrap(), Writes::new());
        drop(tap);
        taps.written(&batch);
        assert!(!taps.are_open());
    }

    #[test]
    fn who_takes_nothing_is_told_that_it_was_too_much() {
        let taps = Taps::default();
        let tap = taps.open();
        let batch = vec![(b"P".to_vec(), Some(vec![0; MOST / 2]))];
        taps.written(&batch);
        assert_eq!(tap.take().unwrap().len(), 1);
        (0..3).for_each(|_| taps.written(&batch));
        assert!(tap.take().is_none() && tap.take().is_none());
    }
}
