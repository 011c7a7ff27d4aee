//! One process has the store at a time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::StoreError;

/// How long a process that was killed a moment ago may still hold the files, or threads of the database that end late.
pub(super) const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// Whether the database could not be opened because somebody has it. It gives this no kind of its own.
pub(super) fn is_held(cause: &io::Error) -> bool {
    cause.to_string().starts_with("could not acquire lock")
}

/// Somebody else has it.
pub(super) fn locked(folder: &Path, holder: Option<String>) -> StoreError {
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
    take_lock(folder, Instant::now() + OPEN_PATIENCE)
}

/// Our own lock, taken before anything is touched: the database's lock comes too late to protect the clean-up below.
pub(super) fn take_lock(folder: &Path, deadline: Instant) -> Result<FolderLock, StoreError> {
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
    Ok(FolderLock { _file: file })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::store::Disk;

    #[test]
    fn a_database_that_is_let_go_of_late_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        drop(Disk::open(folder.path()).unwrap());
        let held = loop {
            // The one before may have threads that end a little later.
            if let Ok(held) = sled::open(folder.path().join("db")) {
                break held;
            }
        };
        let later = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            drop(held);
        });
        Disk::open(folder.path()).unwrap();
        later.join().unwrap();
    }
}
