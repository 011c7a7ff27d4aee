//! Owncast's own database, opened to be written: only when surely nobody has it open, and with a copy beside it.
//!
//! Locks alone do not tell: SQLite's are those of the process, and a process that opens and closes the file a second time
//! has lost them all. So everybody's open files are looked through as well.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, fcntl_lock};

use super::{AdoptError, check, copy, found};

/// Owncast's database, open in this process.
#[derive(Debug)]
pub struct Live {
    database: Connection,
    source: PathBuf,
    backup: Option<PathBuf>,
    /// What is written to in a rehearsal.
    _copy: Option<copy::Copy>,
}

impl Live {
    /// Opens the database of a data folder. A checked copy of it lies beside it before that.
    ///
    /// # Errors
    /// Somebody has it open or may have, it is not understood, or the copy cannot be made. Nothing has changed then.
    pub fn open(data_dir: &Path) -> Result<Live, AdoptError> {
        let copy = copy::take(data_dir)?;
        let source = copy.source().to_owned();
        surely_closed(&source)?;
        // A copy that cannot be read would be none.
        let checked = super::open(&copy)?;
        found::check_schema(&checked, &copy)?;
        drop(checked);
        let copy = copy::take(data_dir)?;
        let backup = keep(&copy, &source)?;
        surely_closed(&source)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let broken = |error: rusqlite::Error| copy.broken(&error);
        let database = Connection::open_with_flags(&source, flags).map_err(broken)?;
        database.pragma_update(None, "trusted_schema", false).map_err(broken)?;
        check(&database, &copy)?;
        Ok(Live { database, source, backup: Some(backup), _copy: None })
    }

    /// A copy that is thrown away stands in for the database: everything is tried and nothing changes.
    ///
    /// # Errors
    /// It is not understood.
    pub fn rehearse(data_dir: &Path) -> Result<Live, AdoptError> {
        let copy = copy::take(data_dir)?;
        let database = super::open(&copy)?;
        found::check_schema(&database, &copy)?;
        Ok(Live { database, source: copy.source().to_owned(), backup: None, _copy: Some(copy) })
    }

    /// Does everything or nothing.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn in_one<R>(
        &mut self,
        what: impl FnOnce(&Connection) -> rusqlite::Result<R>,
    ) -> Result<R, AdoptError> {
        let source = self.source.clone();
        let broken = |error: rusqlite::Error| AdoptError::Broken { path: source, reason: error.to_string() };
        let done = self.database.transaction().and_then(|transaction| {
            let done = what(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        done.map_err(broken)
    }

    /// The database as it was before; none in a rehearsal.
    pub fn backup(&self) -> Option<&Path> {
        self.backup.as_deref()
    }

    /// Folds everything into the one file and closes it, as Owncast finds it.
    ///
    /// # Errors
    /// What SQLite said; what was written stands in the `-wal`.
    pub fn close(self) -> Result<(), AdoptError> {
        let Live { database, source, _copy, .. } = self;
        let broken =
            |error: rusqlite::Error| AdoptError::Broken { path: source.clone(), reason: error.to_string() };
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(broken)?;
        database.close().map_err(|(_, error)| broken(error))
    }
}

/// Refuses unless nobody has the database open.
///
/// # Errors
/// Who has it, or why that cannot be told.
pub fn surely_closed(source: &Path) -> Result<(), AdoptError> {
    let files = [source.to_owned(), beside(source, "-wal"), beside(source, "-shm")];
    let known: Vec<(u64, u64)> = files
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|metadata| (metadata.dev(), metadata.ino()))
        .collect();
    let (holder, unseen) = holder(&known);
    if let Some((process, name)) = holder {
        return Err(AdoptError::InUse {
            path: source.to_owned(),
            holder: format!("process {process} ({name})"),
        });
    }
    if unseen {
        return Err(AdoptError::CannotTell { path: source.to_owned() });
    }
    for file in files.iter().filter(|file| file.exists()) {
        let cannot = |source| AdoptError::NotWritable { path: file.clone(), source };
        let open = OpenOptions::new().read(true).write(true).open(file).map_err(cannot)?;
        match fcntl_lock(&open, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => fcntl_lock(&open, FlockOperation::Unlock).map_err(|error| cannot(error.into()))?,
            Err(_) => {
                let holder = "another process, perhaps on another machine".to_owned();
                return Err(AdoptError::InUse { path: source.to_owned(), holder });
            }
        }
    }
    Ok(())
}

/// A process that has one of these files open, with its name; and whether there are processes that cannot be looked into.
fn holder(files: &[(u64, u64)]) -> (Option<(u32, String)>, bool) {
    let mut unseen = false;
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let open = match fs::read_dir(process.path().join("fd")) {
            Ok(open) => open,
            // It has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if error.raw_os_error() == Some(3) => continue,
            Err(_) => {
                unseen = true;
                continue;
            }
        };
        let has = |entry: fs::DirEntry| {
            fs::metadata(entry.path()).is_ok_and(|file| files.contains(&(file.dev(), file.ino())))
        };
        if id != std::process::id() && open.flatten().any(has) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return (Some((id, name.trim().to_owned())), unseen);
        }
    }
    (None, unseen)
}

fn beside(source: &Path, suffix: &str) -> PathBuf {
    let mut name = source.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Puts the copy beside the database, with its owner and mode, under a name of its own: one step may follow another at once.
fn keep(copy: &copy::Copy, source: &Path) -> Result<PathBuf, AdoptError> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
    let backup = beside(source, &format!(".before-herald-{stamp}"));
    for suffix in ["", "-wal"] {
        let (from, to) = (beside(&copy.database(), suffix), beside(&backup, suffix));
        if !from.exists() {
            continue;
        }
        let cannot = |error| AdoptError::NotWritable { path: to.clone(), source: error };
        let mut new = OpenOptions::new().write(true).create_new(true).open(&to).map_err(cannot)?;
        let owner = fs::metadata(source).map_err(cannot)?;
        // Only root can give it away; everybody else is the owner, or may leave it as it is.
        let _ = fchown(&new, Some(owner.uid()), Some(owner.gid()));
        new.set_permissions(fs::Permissions::from_mode(owner.mode() & 0o777)).map_err(cannot)?;
        File::open(&from)
            .and_then(|mut old| io::copy(&mut old, &mut new))
            .and_then(|_| new.sync_all())
            .map_err(cannot)?;
    }
    Ok(backup)
}
