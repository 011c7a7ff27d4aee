//! A byte-for-byte copy of Owncast's database and its `-wal` that belong together.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::error::of_the_disk;
use super::{AdoptError, interrupted};

pub(super) const NAME: &str = "owncast.db";
/// How the folders of copies begin.
const PREFIX: &str = "owncast-herald-adopt.";
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Copies before giving up.
const TRIES: u32 = 6;
/// Wait between two of them.
const PAUSE: Duration = Duration::from_millis(250);

/// A file touched less than this before the copy may be touched again without its time changing: file systems count
/// in steps of some milliseconds.
const TIME_STEP: Duration = Duration::from_millis(50);

/// Bytes copied before looking whether to go on.
const STEP: u64 = 64 * 1024 * 1024;

/// A folder this young may not be locked yet by who has just made it.
const YOUNG: Duration = Duration::from_secs(60);

/// The copy, deleted when dropped.
#[derive(Debug)]
pub(super) struct Copy {
    /// Locked for as long as somebody needs what is in it. Before it, so that it is gone before the lock is.
    folder: tempfile::TempDir,
    _lock: File,
    source: PathBuf,
    wal_is_missing: bool,
    /// SQLite has the original open, and not this.
    beside_original: bool,
}

impl Copy {
    /// From now on SQLite has the original open.
    pub(super) fn stand_aside(&mut self) {
        self.beside_original = true;
    }

    /// The copied database; its `-wal`, if there is one, is beside it.
    pub(super) fn database(&self) -> PathBuf {
        self.folder.path().join(NAME)
    }

    /// The original, for messages.
    pub(super) fn source(&self) -> &Path {
        &self.source
    }

    /// The database was in use with a `-wal` that is not there, or is empty: SQLite makes one anew when it misses it.
    pub(super) fn wal_is_missing(&self) -> bool {
        self.wal_is_missing
    }

    /// Set when the `-wal` is missing.
    pub(super) fn warning(&self) -> Option<String> {
        self.wal_is_missing.then(|| {
            format!(
                "there is no {}-wal; Owncast keeps its latest changes in it even when stopped, so if these files were \
                 copied from elsewhere, copy that one, too",
                self.source.display()
            )
        })
    }

    /// What SQLite said about the copy or the original, as an error about the original, unless it is the disk's fault.
    pub(super) fn broken(&self, error: &rusqlite::Error) -> AdoptError {
        let path = self.source.clone();
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => AdoptError::NotSqlite { path },
            _ => match of_the_disk(error) {
                Some(source) if self.beside_original => AdoptError::NotWritable { path, source },
                Some(source) => AdoptError::Scratch { dir: std::env::temp_dir(), source },
                None => AdoptError::Broken { path, reason: error.to_string() },
            },
        }
    }
}

/// Copies the database of this folder.
pub(super) fn take(data_dir: &Path) -> Result<Copy, AdoptError> {
    take_with(data_dir, PAUSE, &mut || {})
}

/// As [`take`]; `meanwhile` runs between the copying and the look whether something changed.
pub(super) fn take_with(
    data_dir: &Path,
    pause: Duration,
    meanwhile: &mut dyn FnMut(),
) -> Result<Copy, AdoptError> {
    let source = find(data_dir)?;
    let mut wal = source.clone().into_os_string();
    wal.push("-wal");
    let wal = PathBuf::from(wal);
    let scratch = |error| AdoptError::Scratch { dir: std::env::temp_dir(), source: error };
    let private = std::fs::Permissions::from_mode(0o700);
    sweep(&std::env::temp_dir(), &source);
    let folder = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir().map_err(scratch)?;
    let lock = File::open(folder.path()).map_err(scratch)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| scratch(error.into()))?;
    for attempt in 0..TRIES {
        if attempt > 0 {
            std::thread::sleep(pause);
        }
        interrupted::check()?;
        let before = (Stamp::of(&source)?, Stamp::of(&wal)?);
        let started = SystemTime::now();
        copy_file(&source, &folder.path().join(NAME))?;
        let wal_copy = folder.path().join(format!("{NAME}-wal"));
        if before.1.is_some() {
            copy_file(&wal, &wal_copy)?;
        } else if wal_copy.exists() {
            std::fs::remove_file(&wal_copy).map_err(scratch)?;
        }
        meanwhile();
        let after = (Stamp::of(&source)?, Stamp::of(&wal)?);
        let settled = [&before.0, &before.1].into_iter().flatten().all(|stamp| stamp.is_older_than(started));
        if before == after && settled {
            let no_wal = after.1.is_none_or(|wal| wal.length == 0);
            let wal_mode = check_header(&folder.path().join(NAME), &source)?;
            let wal_is_missing = wal_mode && no_wal;
            return Ok(Copy { folder, _lock: lock, source, wal_is_missing, beside_original: false });
        }
    }
    Err(AdoptError::Changing { path: source, tries: TRIES })
}

/// Removes what processes have left that were killed: nobody else may have the key. What is somebody's, or in use, stays,
/// and so does what `source` lies in: a copy that somebody has put aside is all that they have, perhaps.
pub(super) fn sweep(folder: &Path, source: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    for entry in entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes())) {
        let left = entry.path();
        if std::fs::canonicalize(&left).is_ok_and(|left| source.starts_with(left)) {
            continue;
        }
        // A failure leaves what was there before; the next run tries again.
        let _ = remove_if_left(&left);
    }
}

fn remove_if_left(folder: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let open = File::from(rustix::fs::open(folder, flags, Mode::empty())?);
    let metadata = open.metadata()?;
    let age = metadata.modified()?.elapsed().unwrap_or_default();
    if metadata.uid() == rustix::process::geteuid().as_raw() && age >= YOUNG {
        flock(&open, FlockOperation::NonBlockingLockExclusive)?;
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// The database file behind every link: SQLite keeps the `-wal` beside the real one.
fn find(data_dir: &Path) -> Result<PathBuf, AdoptError> {
    let readable = |path: &Path, error: io::Error| not_readable(path, error);
    match std::fs::metadata(data_dir) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(AdoptError::FolderMissing { dir: data_dir.to_owned() });
        }
        Err(error) => return Err(readable(data_dir, error)),
    }
    let path = data_dir.join(NAME);
    match std::fs::canonicalize(&path) {
        Ok(path) if path.is_file() => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(readable(&path, error)),
        _ => Err(AdoptError::NoDatabase { dir: data_dir.to_owned(), hint: hint(data_dir) }),
    }
}

fn hint(data_dir: &Path) -> String {
    let below = data_dir.join("data");
    if data_dir.is_file() {
        "that is a file; name the folder it lies in".to_owned()
    } else if below.join(NAME).is_file() {
        format!("it is in {}; use --data-dir {}", below.display(), below.display())
    } else {
        "Owncast keeps it in the folder \"data\" beside its program, in a container under /app/data, or where its \
         option -database says"
            .to_owned()
    }
}

fn not_readable(path: &Path, source: io::Error) -> AdoptError {
    AdoptError::NotReadable { path: path.to_owned(), user: current_user(), source }
}

/// The effective user's name, or number where it has no name.
pub(super) fn current_user() -> String {
    // The owner of /proc/self is the effective user (proc(5)).
    let Ok(uid) = std::fs::metadata("/proc/self").map(|metadata| metadata.uid().to_string()) else {
        return "unknown".to_owned();
    };
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(uid.as_str())).then(|| name.to_owned())
    });
    name.unwrap_or(uid)
}

fn copy_file(from: &Path, to: &Path) -> Result<(), AdoptError> {
    let mut source = File::open(from).map_err(|error| not_readable(from, error))?;
    let scratch = |error| AdoptError::Scratch { dir: std::env::temp_dir(), source: error };
    let mut target = File::create(to).map_err(scratch)?;
    while io::copy(&mut (&mut source).take(STEP), &mut target).map_err(scratch)? > 0 {
        interrupted::check()?;
    }
    Ok(())
}

/// Whether the database says that it is used with a `-wal` (sqlite.org/fileformat2.html, offset 18).
fn check_header(copy: &Path, source: &Path) -> Result<bool, AdoptError> {
    let mut header = [0; 20];
    let read = File::open(copy).and_then(|mut file| file.read_exact(&mut header));
    match (read, header.first_chunk::<16>(), header.get(18)) {
        (Ok(()), Some(MAGIC), version) => Ok(version == Some(&2)),
        _ => Err(AdoptError::NotSqlite { path: source.to_owned() }),
    }
}

/// What changes when a file is written, or replaced by another.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    device_and_inode: (u64, u64),
}

impl Stamp {
    fn of(path: &Path) -> Result<Option<Self>, AdoptError> {
        match std::fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self {
                length: metadata.len(),
                modified: metadata.modified().ok(),
                device_and_inode: (metadata.dev(), metadata.ino()),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(not_readable(path, error)),
        }
    }

    /// Old enough for its time to tell. A time from the future tells as well: the next write sets the clock's.
    fn is_older_than(&self, started: SystemTime) -> bool {
        let age = self.modified.and_then(|modified| started.duration_since(modified).ok());
        age.is_none_or(|age| age >= TIME_STEP)
    }
}
