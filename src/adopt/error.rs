//! What can stand in the way of moving in, and the cure.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHORT_READ;

use super::found::{NEWEST_MIGRATION, NEWEST_SCHEMA, OLDEST_SCHEMA};
use crate::config::keyfile::KeyProblem;

/// Why an identity could not be taken over. No variant carries content of the database.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The folder is not there.
    #[error("there is no folder {}; name Owncast's data folder, the one that holds owncast.db", dir.display())]
    FolderMissing {
        /// The folder asked for.
        dir: PathBuf,
    },
    /// The folder holds no database.
    #[error("there is no owncast.db in {}; {hint}", dir.display())]
    NoDatabase {
        /// The folder asked for.
        dir: PathBuf,
        /// Where to look.
        hint: String,
    },
    /// A file or folder may not be read.
    #[error("{} cannot be read as user {user}: {source}; run this as root or as Owncast's user", path.display())]
    NotReadable {
        /// The file or folder.
        path: PathBuf,
        /// Name or number of the user that tried.
        user: String,
        /// What the system said.
        source: io::Error,
    },
    /// The copy could not be made.
    #[error(
        "the copy of the database cannot be made or used in {}: {source}; make room there, or let TMPDIR name another folder. \
         Nothing has changed",
        dir.display()
    )]
    Scratch {
        /// Where the copy goes.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Owncast wrote on while the copies were made.
    #[error("{} changed during each of {tries} copies; try again when less is going on, or stop Owncast", path.display())]
    Changing {
        /// The database.
        path: PathBuf,
        /// How often it was tried.
        tries: u32,
    },
    /// Not a database at all.
    #[error("{} is not an SQLite database", path.display())]
    NotSqlite {
        /// The file.
        path: PathBuf,
    },
    /// A database that cannot be read.
    #[error(
        "{} is damaged or incomplete ({reason}); copy owncast.db together with owncast.db-wal, or use Owncast's backup",
        path.display()
    )]
    Broken {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// Somebody else's database.
    #[error("{} is a database, but not Owncast's: it has no datastore", path.display())]
    NotOwncast {
        /// The database.
        path: PathBuf,
    },
    /// Written by an Owncast that is not understood any more.
    #[error(
        "{} was written by an older Owncast (schema version {found}; {} is the oldest that is understood); start a \
         current Owncast with it once, which brings it up to date. Nothing has changed",
        path.display(),
        OLDEST_SCHEMA
    )]
    TooOld {
        /// The database.
        path: PathBuf,
        /// Owncast's schema version.
        found: u32,
    },
    /// Written by an Owncast that is not understood yet.
    #[error(
        "{} was written by a newer Owncast (schema version {found}, migration {migration}; understood are \
         {NEWEST_SCHEMA} and {NEWEST_MIGRATION}); a newer owncast-herald may know it. `--key-only` takes its key alone. \
         Nothing has changed",
        path.display()
    )]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Owncast's schema version.
        found: u32,
        /// Its newest migration; 0 if it counts none.
        migration: u32,
    },
    /// Something is missing that every known Owncast has.
    #[error("{} lacks {what}, which every Owncast that is understood has. Nothing has changed", path.display())]
    Lacks {
        /// The database.
        path: PathBuf,
        /// Table and column.
        what: String,
    },
    /// Somebody has it open, who must not.
    #[error(
        "{} is in use by {holder}; stop Owncast first (systemctl stop owncast, docker stop …). Nothing has changed",
        path.display()
    )]
    InUse {
        /// The database.
        path: PathBuf,
        /// Who.
        holder: String,
    },
    /// Not everybody's open files can be looked at.
    #[error(
        "whether anybody has {} open cannot be told as user {}; run this as root, and not inside of a container. Who cannot \
         do so switches Owncast's federation off in its admin pages (Configuration, Social) in place of --finish, and gives \
         followers back by --give-back with --to. Nothing has changed",
        path.display(),
        super::copy::current_user()
    )]
    CannotTell {
        /// The database.
        path: PathBuf,
    },
    /// Its files have other numbers inside of the container.
    #[error(
        "{} lies in the layer of a container, and whether that has it open cannot be told from here; keep Owncast's data \
         in a volume (docker cp copies it there), or name where the container's files are mounted. Nothing has changed",
        path.display()
    )]
    InLayer {
        /// The database.
        path: PathBuf,
    },
    /// It may not be written.
    #[error("{} cannot be written: {source}; {}. Nothing has changed", path.display(), cure(source))]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Whether a change was made is not certain.
    #[error(
        "{} is changed, or not ({reason}). As it was it is in {}, which holds the key. See that the disk has room and is well, \
         and run this once more",
        path.display(),
        backup.display()
    )]
    InDoubt {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
        /// The copy of before.
        backup: PathBuf,
    },
    /// It was written, and is in two files.
    #[error(
        "all of it is written, but what is in {database}-wal cannot be put into {database} itself ({reason}). Owncast does that \
         when it starts: leave both where they are, and see that the disk has room and is well. As it was before it is in {}, \
         which holds the key",
        backup.display(),
        database = path.display()
    )]
    NotFolded {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
        /// The copy of before.
        backup: PathBuf,
    },
    /// Somebody wants this to end.
    #[error(
        "interrupted; the copy of Owncast's database is removed. What was handed over before that stays: run it again"
    )]
    Interrupted,
    /// Signals cannot be listened for.
    #[error("signals cannot be listened for: {0}")]
    Signals(io::Error),
    /// No key in it.
    #[error(
        "{} holds no {key} (schema version {}); owncast.db-wal was not copied along, or this Owncast never started, or \
         it is a version that keeps its key elsewhere",
        path.display(),
        schema.as_deref().unwrap_or("unknown")
    )]
    NoKey {
        /// The database.
        path: PathBuf,
        /// The row that is missing.
        key: &'static str,
        /// Owncast's schema version.
        schema: Option<String>,
    },
    /// A value in another form.
    #[error("the value {key} in Owncast's datastore cannot be read: {reason}; this Owncast may be too new")]
    UnreadableValue {
        /// The row.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The private key cannot be used.
    #[error("Owncast's private key cannot be used: {0}")]
    BadKey(KeyProblem),
    /// Not a pair.
    #[error(
        "Owncast's private and public key do not belong together; followers would refuse every signature"
    )]
    KeysDiffer,
}

/// What is to be done about a file that cannot be written.
fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on its disk",
        io::ErrorKind::AlreadyExists => "name a folder without it",
        io::ErrorKind::PermissionDenied => "run this as root or as Owncast's user",
        _ => "see that its disk is well, and run this as root or as Owncast's user",
    }
}

/// What SQLite says of the disk below a database, which is no fault of the database's.
pub(super) fn of_the_disk(error: &rusqlite::Error) -> Option<io::Error> {
    let said = error.sqlite_error()?;
    let kind = match said.code {
        ErrorCode::DiskFull => io::ErrorKind::StorageFull,
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => io::ErrorKind::PermissionDenied,
        // A file that ends too early is an incomplete one.
        ErrorCode::SystemIoFailure if said.extended_code == SQLITE_IOERR_SHORT_READ => return None,
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => io::ErrorKind::Other,
        _ => return None,
    };
    Some(io::Error::new(kind, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_not_root_of_the_whole_machine_is_told_another_way() {
        let told = AdoptError::CannotTell { path: "/srv/owncast/data/owncast.db".into() }.to_string();
        for part in ["Configuration, Social", "--give-back with --to", "Nothing has changed"] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
    }
}
