//! Owncast's own database, opened to be written: only when surely nobody has it open, and with a copy beside it.
//!
//! Locks alone do not tell: SQLite's are those of the process, and a process that opens and closes the file a second time
//! has lost them all. So everybody's open files are looked through as well, and once it is open here, nothing but that one
//! connection touches its files.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use rustix::fs::{FlockOperation, fcntl_lock};

use super::holders::{self, in_a_layer};
use super::{AdoptError, AdoptedIdentity, Found, check, copy, found, interrupted};

/// Owncast's database, open in this process.
#[derive(Debug)]
pub struct Live {
    database: Connection,
    /// What is written to in a rehearsal.
    copy: copy::Copy,
    /// None in a rehearsal, and where the database itself stays as it is.
    backup: Option<Backup>,
    /// Where the changed copy goes, for somebody to put it into place.
    aside: Option<Aside>,
}

/// A folder, and the file in it that becomes the database when all is done.
#[derive(Debug)]
struct Aside {
    part: tempfile::NamedTempFile,
    path: PathBuf,
}

impl Live {
    /// Opens the database of a data folder. A checked copy of it lies beside it before that, named as an unfinished one; it
    /// goes again if nothing is written.
    ///
    /// # Errors
    /// Somebody has it open or may have, it is not understood, or the copy cannot be made. Nothing has changed then.
    pub fn open(data_dir: &Path) -> Result<Live, AdoptError> {
        let copy = copy::take(data_dir)?;
        surely_closed(copy.source())?;
        // A copy that cannot be read would be none.
        let checked = super::open(&copy)?;
        found::check_schema(&checked, &copy)?;
        drop(checked);
        let mut copy = copy::take(data_dir)?;
        Backup::sweep(copy.source());
        let backup = Backup::make(&copy)?;
        surely_closed(copy.source())?;
        copy.stand_aside();
        let said = |error: rusqlite::Error| said(&copy, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(copy.source(), flags).map_err(said)?;
        // Given up before anything was written, it leaves the files as they were.
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(said)?;
        let locked = database.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |row| row.get::<_, String>(0));
        locked.map_err(said)?;
        database.pragma_update(None, "trusted_schema", false).map_err(said)?;
        // From here on whoever opens it waits, for as long as it is open.
        database.execute_batch("BEGIN EXCLUSIVE; COMMIT").map_err(said)?;
        nobody_else(copy.source())?;
        check(&database, &copy)?;
        Ok(Live { database, copy, backup: Some(backup), aside: None })
    }

    /// A copy that is thrown away stands in for the database: everything is tried and nothing changes.
    ///
    /// # Errors
    /// It is not understood.
    pub fn rehearse(data_dir: &Path) -> Result<Live, AdoptError> {
        let copy = copy::take(data_dir)?;
        let database = super::open(&copy)?;
        found::check_schema(&database, &copy)?;
        Ok(Live { database, copy, backup: None, aside: None })
    }

    /// As [`Live::rehearse`], and the changed copy becomes `owncast.db` in the folder `to` when this is closed. Whether somebody
    /// has the database open is not asked: whoever puts the file into place has to know.
    ///
    /// # Errors
    /// It is not understood, or there is such a file already, or none can be made.
    pub fn aside(data_dir: &Path, to: &Path) -> Result<Live, AdoptError> {
        let path = to.join(copy::NAME);
        let cannot = |source| AdoptError::NotWritable { path: path.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(to).map_err(cannot)?;
        if path.symlink_metadata().is_ok() {
            return Err(cannot(io::ErrorKind::AlreadyExists.into()));
        }
        let part =
            tempfile::Builder::new().prefix(copy::NAME).suffix(".part").tempfile_in(to).map_err(cannot)?;
        Ok(Live { aside: Some(Aside { part, path: path.clone() }), ..Live::rehearse(data_dir)? })
    }

    /// Reads all that there is, which stays as it is while this is open.
    ///
    /// # Errors
    /// As [`super::read_everything`].
    pub fn everything(&self) -> Result<(AdoptedIdentity, Found), AdoptError> {
        super::everything(&self.database, &self.copy)
    }

    /// Does everything or nothing.
    ///
    /// # Errors
    /// What SQLite said, or somebody has opened it meanwhile.
    pub fn in_one<R>(
        &mut self,
        what: impl FnOnce(&Connection) -> rusqlite::Result<R>,
    ) -> Result<R, AdoptError> {
        let Live { database, copy, backup, aside: _ } = self;
        let said = |error: rusqlite::Error| said(copy, &error);
        let transaction = database.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(said)?;
        let done = what(&transaction).map_err(said)?;
        if let Some(backup) = backup {
            nobody_else(copy.source())?;
            interrupted::check()?;
            // From here on the database may differ from it.
            backup.keep()?;
        }
        match (transaction.commit(), backup) {
            (Ok(()), _) => Ok(done),
            (Err(error), Some(backup)) => Err(backup.after(&error, database.is_autocommit(), copy)),
            (Err(error), None) => Err(said(error)),
        }
    }

    /// The database as it was before, once something is written; none in a rehearsal.
    pub fn backup(&self) -> Option<&Path> {
        self.backup.as_ref().map(|backup| backup.path.as_path())
    }

    /// Folds everything into the one file and closes it, as Owncast finds it. If somebody has opened it meanwhile, what was
    /// written stays in the `-wal`, where any SQLite finds it.
    ///
    /// # Errors
    /// What SQLite said; what was written stands in the `-wal`.
    pub fn close(self) -> Result<(), AdoptError> {
        let Live { database, copy, backup, aside } = self;
        let said = |error: rusqlite::Error| match &backup {
            Some(backup) => AdoptError::NotFolded {
                path: copy.source().to_owned(),
                reason: error.to_string(),
                backup: backup.path.clone(),
            },
            None => copy.broken(&error),
        };
        if backup.is_none() || nobody_else(copy.source()).is_ok() {
            database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(said)?;
            database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(said)?;
        }
        database.close().map_err(|(_, error)| said(error))?;
        aside.map_or(Ok(()), |aside| aside.put(&copy))
    }
}

impl Aside {
    /// Puts the closed database there, whole or not at all.
    fn put(self, copy: &copy::Copy) -> Result<(), AdoptError> {
        let Aside { mut part, path } = self;
        let cannot = |source| AdoptError::NotWritable { path: path.clone(), source };
        let mut changed = File::open(copy.database()).map_err(cannot)?;
        io::copy(&mut changed, &mut part).map_err(cannot)?;
        part.as_file().sync_all().map_err(cannot)?;
        part.persist_noclobber(&path).map_err(|error| cannot(error.error))?;
        Ok(())
    }
}

fn said(copy: &copy::Copy, error: &rusqlite::Error) -> AdoptError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            AdoptError::InUse { path: copy.source().to_owned(), holder: "another process".to_owned() }
        }
        _ => copy.broken(error),
    }
}

/// Refuses unless nobody has the database open.
fn surely_closed(source: &Path) -> Result<(), AdoptError> {
    if in_a_layer(source) {
        return Err(AdoptError::InLayer { path: source.to_owned() });
    }
    nobody_else(source)?;
    for file in files_of(source).iter().filter(|file| file.exists()) {
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

/// Refuses if anybody but this process has the database open. Opens none of its files, and so may be asked while it is open
/// here.
fn nobody_else(source: &Path) -> Result<(), AdoptError> {
    let known: Vec<(u64, u64)> = files_of(source)
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|metadata| (metadata.dev(), metadata.ino()))
        .collect();
    let path = source.to_owned();
    let look = holders::look(Path::new(holders::PROC), std::process::id(), &known);
    match look.holder {
        Some((process, name)) => {
            Err(AdoptError::InUse { path, holder: format!("process {process} ({name})") })
        }
        None if look.saw_all => Ok(()),
        None => Err(AdoptError::CannotTell { path }),
    }
}

fn files_of(source: &Path) -> [PathBuf; 3] {
    [source.to_owned(), beside(source, "-wal"), beside(source, "-shm")]
}

fn beside(source: &Path, suffix: &str) -> PathBuf {
    let mut name = source.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The copy beside the database, with its owner and mode. It holds the key: if it was for nothing, it goes when dropped, and
/// until something is written it is named so that the next run knows it for one that a killed process has left.
#[derive(Debug)]
struct Backup {
    path: PathBuf,
    /// Which of [`Backup::PARTS`] it has.
    made: Vec<(&'static str, &'static str)>,
    stays: bool,
}

impl Backup {
    /// Its parts have these names behind the database's until it is to stay.
    const PARTS: [(&'static str, &'static str); 2] = [("-wal.part", "-wal"), (".part", "")];
    /// Behind the database's name.
    const INFIX: &str = ".before-herald-";

    fn make(copy: &copy::Copy) -> Result<Backup, AdoptError> {
        let source = copy.source();
        let now = Timestamp::now();
        let stamp = now.strftime("%Y%m%dT%H%M%S").to_string();
        let path = beside(source, &format!("{}{stamp}.{:03}Z", Backup::INFIX, now.subsec_millisecond()));
        let mut backup = Backup { path, made: Vec::new(), stays: false };
        for (part, name) in Backup::PARTS {
            let (from, to) = (beside(&copy.database(), name), beside(&backup.path, part));
            if from.exists() {
                write_like(source, &from, &to)
                    .map_err(|error| AdoptError::NotWritable { path: to.clone(), source: error })?;
                backup.made.push((part, name));
            }
            interrupted::check()?;
        }
        backup.sync()?;
        Ok(backup)
    }

    /// Gives it its name, under which it stays. Fails if a part is gone: another process may have taken it for one that a
    /// killed process has left.
    fn keep(&mut self) -> Result<(), AdoptError> {
        if self.stays {
            return Ok(());
        }
        for (part, name) in &self.made {
            let (from, to) = (beside(&self.path, part), beside(&self.path, name));
            fs::rename(&from, &to).map_err(|error| AdoptError::NotWritable { path: to, source: error })?;
        }
        self.sync()?;
        self.stays = true;
        Ok(())
    }

    /// What a change that failed at its very end means. Where it was surely taken back, this copy is for nothing.
    fn after(&mut self, error: &rusqlite::Error, taken_back: bool, copy: &copy::Copy) -> AdoptError {
        let refused = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        );
        if taken_back && refused {
            self.stays = false;
            return said(copy, error);
        }
        let path = copy.source().to_owned();
        AdoptError::InDoubt { path, reason: error.to_string(), backup: self.path.clone() }
    }

    fn sync(&self) -> Result<(), AdoptError> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let cannot = |error| AdoptError::NotWritable { path: folder.to_owned(), source: error };
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot)
    }

    /// Removes what killed processes have left. One that is being made loses its parts, and then gives up with nothing
    /// changed.
    fn sweep(source: &Path) {
        let Some((folder, name)) = source.parent().zip(source.file_name()) else { return };
        let mut ours = name.to_owned();
        ours.push(Backup::INFIX);
        let left = |name: &[u8]| name.starts_with(ours.as_encoded_bytes()) && name.ends_with(b".part");
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        for entry in entries.filter(|entry| left(entry.file_name().as_encoded_bytes())) {
            // One that cannot be removed is a copy too many, and no harm to what is copied.
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        if !self.stays {
            for suffix in Backup::PARTS.into_iter().flat_map(|(part, name)| [part, name]) {
                // One that cannot be removed is a copy too many, and no harm to what is copied.
                let _ = fs::remove_file(beside(&self.path, suffix));
            }
        }
    }
}

/// Copies a file, with the owner and mode of the original.
fn write_like(original: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let owner = fs::metadata(original)?;
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    // Only root can give it away; everybody else is the owner, or may leave it as it is.
    let _ = fchown(&new, Some(owner.uid()), Some(owner.gid()));
    new.set_permissions(fs::Permissions::from_mode(owner.mode() & 0o777))?;
    io::copy(&mut File::open(from)?, &mut new)?;
    new.sync_all()
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn recorded() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["owncast.db", "owncast.db-wal"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/adopt").join(name);
            fs::copy(from, folder.path().join(name)).unwrap();
        }
        folder
    }

    #[test]
    fn a_disk_without_room_is_not_told_as_a_damaged_database() {
        let data = recorded();
        let mut live = Live::rehearse(data.path()).unwrap();
        let fill = |database: &Connection| {
            database.query_row("PRAGMA max_page_count = 1", [], |_| Ok(()))?;
            database.execute_batch("CREATE TABLE many AS SELECT zeroblob(1000000) AS bytes")
        };
        let told = live.in_one(fill).unwrap_err().to_string();
        assert!(told.contains("make room") && told.contains("TMPDIR") && !told.contains("damaged"), "{told}");
        live.copy.stand_aside();
        let told = live.in_one(fill).unwrap_err().to_string();
        assert!(
            told.contains("owncast.db cannot be written") && told.contains("make room on its disk"),
            "{told}"
        );
        assert!(told.ends_with("Nothing has changed"), "{told}");
    }

    #[test]
    fn a_copy_stays_only_where_it_may_be_needed_and_is_named_then() {
        for (code, taken_back, stays) in [
            (ffi::SQLITE_FULL, true, false),
            (ffi::SQLITE_FULL, false, true),
            (ffi::SQLITE_BUSY, true, false),
            (ffi::SQLITE_IOERR_FSYNC, true, true),
        ] {
            let data = recorded();
            let mut copy = copy::take(data.path()).unwrap();
            copy.stand_aside();
            let mut backup = Backup::make(&copy).unwrap();
            backup.keep().unwrap();
            let path = backup.path.clone();
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let told = backup.after(&error, taken_back, &copy).to_string();
            drop(backup);
            assert_eq!(
                (path.exists(), told.contains(path.to_str().unwrap())),
                (stays, stays),
                "{code}: {told}"
            );
            assert_eq!(told.contains("Nothing has changed"), !stays, "{told}");
            assert_eq!(fs::read_dir(data.path()).unwrap().count(), if stays { 4 } else { 2 });
        }
    }
}
