//! The database files: locked, repaired, opened, read, written, made durable.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;
use crate::model::View;
use crate::model::record::{full_key, kind};

/// Version of the records' layout as a whole.
pub const SCHEMA: u32 = 1;
/// Stands in the store's folder while an import moves stores and keys about; what is found beside it may be of two machines.
pub const HALF_IMPORTED: &str = "half-imported";
/// Memory for cached pages. The default of the database is 1 GiB, far above our budget.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// How long a process that was killed a moment ago may still hold the files.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// The open database. Reads may come from any thread; only the writer writes.
#[derive(Debug)]
pub struct Disk {
    db: sled::Db,
    /// The database's own data file, for `fdatasync`: its flush is only `sync_file_range` on Linux.
    data: File,
    /// The first read error. It stays: nothing read after it may be built on.
    fault: Mutex<Option<String>>,
    /// Held for as long as the store is open.
    _lock: File,
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
            match sled::Config::new().path(&path).cache_capacity(CACHE_BYTES).open() {
                Ok(db) => break db,
                Err(sled::Error::Io(cause)) if cause.kind() == io::ErrorKind::WouldBlock => {
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
        let disk = Disk { db, data, fault: Mutex::new(None), _lock: lock };
        disk.check_schema(folder)?;
        Ok(disk)
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
    pub fn apply(&self, writes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        let disk = |cause: &dyn std::fmt::Display| StoreError::Disk(cause.to_string());
        self.db.apply_batch(batch).map_err(|cause| disk(&cause))?;
        self.db.flush().map_err(|cause| disk(&cause))?;
        self.data.sync_data().map_err(|cause| disk(&cause))
    }

    /// The first read error there has been.
    pub fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes the database takes on disk; zero when it cannot tell.
    pub fn size_on_disk(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }

    pub(super) fn range<'a>(
        &'a self,
        from: &[u8],
    ) -> impl Iterator<Item = (sled::IVec, sled::IVec)> + use<'a> {
        self.db.range(from.to_vec()..).map_while(|entry| match entry {
            Ok(entry) => Some(entry),
            Err(cause) => {
                self.note_fault(&cause);
                None
            }
        })
    }

    fn note_fault(&self, cause: &sled::Error) {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| cause.to_string());
    }
}

impl View for Disk {
    fn get_bytes(&self, key: &[u8]) -> Option<Vec<u8>> {
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

fn locked(folder: &Path, holder: Option<String>) -> StoreError {
    StoreError::Locked {
        folder: folder.display().to_string(),
        holder: holder.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
    }
}

/// The lock of a store's folder, held for as long as it lives.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Keeps everybody from opening the store in `folder`, which must be there.
///
/// # Errors
/// Somebody has it open, or the folder cannot be written.
pub fn lock(folder: &Path) -> Result<FolderLock, StoreError> {
    take_lock(folder, Instant::now() + OPEN_PATIENCE).map(|file| FolderLock { _file: file })
}

/// Our own lock, taken before anything is touched: the database's lock comes too late to protect the clean-up below.
fn take_lock(folder: &Path, deadline: Instant) -> Result<File, StoreError> {
    let in_folder = |cause| StoreError::Folder { folder: folder.display().to_string(), cause };
    let path: PathBuf = folder.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(in_folder)?;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = file.read_to_string(&mut holder);
                return Err(locked(
                    folder,
                    read.is_ok().then(|| holder.trim().to_owned()).filter(|h| !h.is_empty()),
                ));
            }
            Err(std::fs::TryLockError::Error(cause)) => return Err(in_folder(cause)),
        }
    }
    file.set_len(0).map_err(in_folder)?;
    file.seek(SeekFrom::Start(0)).map_err(in_folder)?;
    writeln!(file, "{}", std::process::id()).map_err(in_folder)?;
    Ok(file)
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
