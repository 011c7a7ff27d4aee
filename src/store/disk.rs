//! The database files: repaired, opened, read, written, made durable.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::StoreError;
use super::journal::{Batch, Journal};
use super::lock::{FolderLock, OPEN_PATIENCE, is_held, locked, take_lock};
use crate::model::View;
use crate::model::record::{full_key, kind};

/// Version of the records' layout as a whole.
pub const SCHEMA: u32 = 1;
/// Stands in the store's folder while an import moves stores and keys about; what is found beside it may be of two machines.
pub const HALF_IMPORTED: &str = "half-imported";
/// Size of the cached pages; with what the database keeps about them they take nearly twice this much memory. Its default is
/// 1 GiB, far above our budget.
const CACHE_BYTES: u64 = 3 * 1024 * 1024;
/// The database writes what it holds to the disk and clears away what is old this often, in milliseconds. What counts is in the journal
/// before, so that there is no hurry; its default is 500, and each time waits for the disk.
const FLUSH_MILLIS: u64 = 1_000;
/// Kinds that are asked for with every activity, mostly in vain: which of their keys are there is known without a look, as
/// long as there are no more than so many of them.
const ASKED_IN_VAIN: [(u8, usize); 5] = [
    (kind::BLOCK, usize::MAX),
    (kind::HOST, usize::MAX),
    (kind::META, usize::MAX),
    (kind::SEEN, 4096),
    (kind::SAID, 4096),
];

/// Keys by kind. A kind that is not in it may have any.
#[derive(Debug, Default)]
struct There(HashMap<u8, HashSet<Vec<u8>>>);

impl There {
    /// Whether something may be at this key.
    fn may_be(&self, key: &[u8]) -> bool {
        key.first().and_then(|kind| self.0.get(kind)).is_none_or(|keys| keys.contains(key))
    }

    /// Something is. False if there are too many of its kind from now on, until the next start.
    fn is(&mut self, key: &[u8]) -> bool {
        let Some(kind) = key.first() else { return false };
        let Some(keys) = self.0.get_mut(kind) else { return false };
        keys.insert(key.to_vec());
        let most = ASKED_IN_VAIN.iter().find(|(asked, _)| asked == kind).map_or(0, |(_, most)| *most);
        let few = keys.len() <= most;
        if !few {
            self.0.remove(kind);
        }
        few
    }

    fn is_not(&mut self, key: &[u8]) {
        if let Some(keys) = key.first().and_then(|kind| self.0.get_mut(kind)) {
            keys.remove(key);
        }
    }
}

/// The open database. Reads may come from any thread; only the writer writes.
#[derive(Debug)]
pub struct Disk {
    db: sled::Db,
    /// The database's own data file, for `fdatasync`: its flush is only `sync_file_range` on Linux.
    data: File,
    /// Moves before a batch can be seen and again when it can: odd between the two.
    batches: AtomicU64,
    /// What is durable before the database has it on disk.
    journal: Mutex<Journal>,
    /// Held while a batch is written, so that nobody sees a part of it.
    whole: RwLock<()>,
    /// The keys that are there of the kinds [`ASKED_IN_VAIN`].
    there: RwLock<There>,
    /// The first read error. It stays: nothing read after it may be built on.
    fault: OnceLock<String>,
    /// Held for as long as the store is open.
    _lock: FolderLock,
}

impl Disk {
    /// Opens the database below `folder`: lock, remove half-written snapshots, open, check the schema.
    pub fn open(folder: &Path) -> Result<Disk, StoreError> {
        let in_folder = |cause| StoreError::Folder { folder: folder.display().to_string(), cause };
        std::fs::create_dir_all(folder).map_err(in_folder)?;
        let deadline = Instant::now() + OPEN_PATIENCE;
        let lock = take_lock(folder, deadline)?;
        if folder.join(HALF_IMPORTED).try_exists().map_err(in_folder)? {
            return Err(StoreError::HalfImported { folder: folder.display().to_string() });
        }
        let path = folder.join("db");
        remove_half_written_snapshots(&path).map_err(in_folder)?;
        let db = loop {
            let config = sled::Config::new().path(&path).cache_capacity(CACHE_BYTES);
            match config.flush_every_ms(Some(FLUSH_MILLIS)).open() {
                Ok(db) => break db,
                Err(sled::Error::Io(cause)) if is_held(&cause) => {
                    if Instant::now() > deadline {
                        return Err(locked(folder, None));
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(sled::Error::Io(cause)) => return Err(in_folder(cause)),
                Err(other) => return Err(StoreError::Disk(other.to_string())),
            }
        };
        let data = File::open(path.join("db")).map_err(in_folder)?;
        let (journal, batches) = Journal::open(&path).map_err(in_folder)?;
        let (journal, there) = (Mutex::new(journal), RwLock::default());
        let (batches_seen, whole, fault) = (AtomicU64::new(0), RwLock::default(), OnceLock::new());
        let disk = Disk { db, data, batches: batches_seen, journal, whole, there, fault, _lock: lock };
        if !batches.is_empty() {
            for batch in batches {
                disk.write(batch, one_by_one)?;
            }
            disk.settle()?;
            disk.journal.lock().unwrap_or_else(PoisonError::into_inner).begin().map_err(in_folder)?;
        }
        disk.look_what_is_there();
        disk.check_schema(folder)?;
        Ok(disk)
    }

    fn look_what_is_there(&self) {
        let mut there = self.there.write().unwrap_or_else(PoisonError::into_inner);
        for (kind, _) in ASKED_IN_VAIN {
            there.0.insert(kind, HashSet::new());
            self.scan_bytes(&[kind], &[kind], &mut |key, _| there.is(key));
        }
    }

    fn check_schema(&self, folder: &Path) -> Result<(), StoreError> {
        let key = full_key(kind::META, b"schema");
        let found = self.get_bytes(&key);
        match found {
            None => {
                self.apply(vec![(key, Some(SCHEMA.to_be_bytes().to_vec()))])?;
                Ok(())
            }
            Some(bytes) => {
                let found = <[u8; 4]>::try_from(bytes.as_slice()).map_or(u32::MAX, u32::from_be_bytes);
                if found > SCHEMA {
                    return Err(StoreError::Newer {
                        folder: folder.display().to_string(),
                        found,
                        known: SCHEMA,
                    });
                }
                Ok(())
            }
        }
    }

    /// Applies one batch atomically and makes it durable.
    pub fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        self.apply_with(batch, one_by_one)
    }

    /// `how` writes what the journal holds.
    fn apply_with(
        &self,
        batch: Batch,
        how: impl FnOnce(&sled::Db, Batch) -> sled::Result<()>,
    ) -> Result<(), StoreError> {
        let failed = |cause: io::Error| StoreError::Disk(cause.to_string());
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if journal.is_owed() {
            return Err(StoreError::Disk(
                "the database lacks a part of what the journal holds until the next start".into(),
            ));
        }
        let mut kept = journal.append(&batch).map_err(failed)?;
        if !kept {
            self.settle()?;
            journal.begin().map_err(failed)?;
            kept = journal.append(&batch).map_err(failed)?;
        }
        if kept {
            // Of what fails here a part may be written: only the journal can make it whole.
            return self.write(batch, how).inspect_err(|_| journal.owe());
        }
        // Too large for any journal, which is empty now: what stood there is older, and must not be written over it.
        self.write(batch, at_once)?;
        self.settle()
    }

    /// Writes one batch into the database, where everybody sees all of it or nothing.
    fn write(
        &self,
        batch: Batch,
        how: impl FnOnce(&sled::Db, Batch) -> sled::Result<()>,
    ) -> Result<(), StoreError> {
        let known = batch.iter().filter(|(key, _)| is_asked_in_vain(key));
        let known = known.map(|(key, value)| (key.clone(), value.is_some()));
        let (new, gone): (Vec<_>, Vec<_>) = known.partition(|(_, there)| *there);
        let there = || self.there.write().unwrap_or_else(PoisonError::into_inner);
        // A key counts as there for as long as it may be: before it is written, and until it is removed.
        if !new.is_empty() {
            let mut there = there();
            for (key, _) in new {
                there.is(&key);
            }
        }
        self.batches.fetch_add(1, Ordering::SeqCst);
        let applied = {
            let _whole = self.whole.write().unwrap_or_else(PoisonError::into_inner);
            how(&self.db, batch)
        };
        self.batches.fetch_add(1, Ordering::SeqCst);
        applied.map_err(|cause| StoreError::Disk(cause.to_string()))?;
        for (key, _) in gone {
            there().is_not(&key);
        }
        Ok(())
    }

    /// Makes everything in the database durable by itself.
    fn settle(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|cause| StoreError::Disk(cause.to_string()))?;
        self.data.sync_data().map_err(|cause| StoreError::Disk(cause.to_string()))
    }

    /// See [`Store::written`](super::Store::written).
    pub(super) fn batches(&self) -> Option<u64> {
        Some(self.batches.load(Ordering::SeqCst)).filter(|batches| batches.is_multiple_of(2))
    }

    /// The first read error there has been.
    pub fn fault(&self) -> Option<String> {
        self.fault.get().cloned()
    }

    /// Bytes the database takes on disk; zero when it cannot tell.
    pub fn size_on_disk(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }

    pub(super) fn range<'a>(
        &'a self,
        from: &[u8],
    ) -> impl Iterator<Item = (sled::IVec, sled::IVec)> + use<'a> {
        let mut entries = self.db.range(from.to_vec()..);
        std::iter::from_fn(move || {
            let _whole = self.whole.read().unwrap_or_else(PoisonError::into_inner);
            entries.next()
        })
        .map_while(|entry| match entry {
            Ok(entry) => Some(entry),
            Err(cause) => {
                self.note_fault(&cause);
                None
            }
        })
    }

    fn note_fault(&self, cause: &sled::Error) {
        self.fault.get_or_init(|| cause.to_string());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What could not be settled stands in the journal, and is written at the next start.
        let settled = self.settle().is_ok();
        let journal = self.journal.get_mut().unwrap_or_else(PoisonError::into_inner);
        if settled && !journal.is_owed() {
            let _ = journal.begin();
        }
    }
}

impl View for Disk {
    fn get_bytes(&self, key: &[u8]) -> Option<Vec<u8>> {
        if is_asked_in_vain(key) && !self.there.read().unwrap_or_else(PoisonError::into_inner).may_be(key) {
            return None;
        }
        let _whole = self.whole.read().unwrap_or_else(PoisonError::into_inner);
        match self.db.get(key) {
            Ok(value) => value.map(|bytes| bytes.to_vec()),
            Err(cause) => {
                self.note_fault(&cause);
                None
            }
        }
    }

    fn scan_bytes(&self, prefix: &[u8], from: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        for (key, value) in self.range(from) {
            if !key.starts_with(prefix) || !each(&key, &value) {
                return;
            }
        }
    }
}

fn is_asked_in_vain(key: &[u8]) -> bool {
    key.first().is_some_and(|kind| ASKED_IN_VAIN.iter().any(|(asked, _)| asked == kind))
}

/// For what stands in the journal, which makes it whole after any crash: the database's own batches send its log to the
/// disk twice each, and wake all its threads for that.
fn one_by_one(db: &sled::Db, batch: Batch) -> sled::Result<()> {
    batch.into_iter().try_for_each(|(key, value)| {
        match value {
            Some(value) => db.insert(key, value)?,
            None => db.remove(key)?,
        };
        Ok(())
    })
}

/// As one batch of the database's own.
fn at_once(db: &sled::Db, batch: Batch) -> sled::Result<()> {
    let mut writes = sled::Batch::default();
    for (key, value) in batch {
        match value {
            Some(value) => writes.insert(key, value),
            None => writes.remove(key),
        }
    }
    db.apply_batch(writes)
}

/// A snapshot that was being written when the process was killed is taken for the newest one at the next open, and the
/// store then refuses to open. It holds nothing that the log does not hold.
fn remove_half_written_snapshots(path: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn of(round: u32, keys: &[&[u8]]) -> Batch {
        keys.iter().map(|key| (full_key(b'z', key), Some(round.to_be_bytes().to_vec()))).collect()
    }

    #[test]
    fn what_a_kill_has_left_of_a_batch_is_made_whole() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        disk.apply(of(1, &[b"a", b"b", b"c"])).unwrap();
        // As far as a kill behind the first of three records would have let it come.
        let batch = vec![of(2, &[b"a"]).remove(0), of(2, &[b"b"]).remove(0), (full_key(b'z', b"c"), None)];
        assert!(disk.journal.lock().unwrap().append(&batch).unwrap());
        one_by_one(&disk.db, of(2, &[b"a"])).unwrap();
        disk.db.flush().unwrap();
        let left = tempfile::tempdir().unwrap();
        std::fs::create_dir(left.path().join("db")).unwrap();
        for name in ["db", "conf", "journal"] {
            std::fs::copy(folder.path().join("db").join(name), left.path().join("db").join(name)).unwrap();
        }
        let disk = Disk::open(left.path()).unwrap();
        let found = [b"a", b"b", b"c"].map(|key| disk.get_bytes(&full_key(b'z', key)));
        assert_eq!(found, [Some(vec![0, 0, 0, 2]), Some(vec![0, 0, 0, 2]), None]);
    }

    #[test]
    fn what_the_database_took_a_part_of_is_made_whole_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        disk.apply(of(1, &[b"a", b"b"])).unwrap();
        let broken = |db: &sled::Db, mut batch: Batch| {
            batch.truncate(1);
            one_by_one(db, batch)?;
            Err(sled::Error::Unsupported("a page that cannot be read".into()))
        };
        assert!(disk.apply_with(of(2, &[b"a", b"b"]), broken).is_err());
        // Nothing may be built on it, nor the journal begin anew, however full.
        assert!(disk.apply(of(3, &[b"a"])).is_err());
        drop(disk);
        let disk = Disk::open(folder.path()).unwrap();
        let found = [b"a", b"b"].map(|key| disk.get_bytes(&full_key(b'z', key)).unwrap());
        assert_eq!(found, [[0, 0, 0, 2], [0, 0, 0, 2]]);
        disk.apply(of(3, &[b"a"])).unwrap();
    }

    #[test]
    fn of_a_kind_of_which_there_are_too_many_all_is_found_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let key = |number: u32| full_key(kind::SEEN, &number.to_be_bytes());
        let all = 5000;
        let look = |disk: &Disk, there: std::ops::Range<u32>| {
            for number in (0..all + 10).step_by(9) {
                assert_eq!(disk.get_bytes(&key(number)).is_some(), there.contains(&number), "{number}");
            }
        };
        for from in (0..all).step_by(1000) {
            look(&disk, 0..from);
            disk.apply((from..from + 1000).map(|number| (key(number), Some(vec![1]))).collect()).unwrap();
        }
        look(&disk, 0..all);
        disk.apply((100..all).map(|number| (key(number), None)).collect()).unwrap();
        look(&disk, 0..100);
        drop(disk);
        let disk = Disk::open(folder.path()).unwrap();
        look(&disk, 0..100);
        disk.apply((0..50).map(|number| (key(number), None)).collect()).unwrap();
        look(&disk, 50..100);
    }

    #[test]
    fn nobody_sees_a_part_of_a_batch() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let keys: Vec<Vec<u8>> = (0..50u8).map(|n| vec![n]).collect();
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        disk.apply(of(0, &keys)).unwrap();
        const ROUNDS: u32 = 200;
        let read = |key: &[u8]| disk.get_bytes(&full_key(b'z', key)).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                while read(keys[49]) != ROUNDS.to_be_bytes() {
                    // Whoever has seen the first of a batch sees its last.
                    let first = read(keys[0]);
                    assert!(read(keys[49]) >= first);
                }
            });
            for round in 1..=ROUNDS {
                disk.write(of(round, &keys), one_by_one).unwrap();
            }
        });
    }
}
