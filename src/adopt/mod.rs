//! Moves in what lived in Owncast's own federation: its identity, followers, posts and blocks.
//!
//! Owncast's live database is never opened with SQLite: doing that once removed the `-wal` under a running server, and
//! with it most of its followers. Its files are copied byte for byte, and the copy is opened.

pub mod back;
mod batches;
mod copy;
mod error;
pub mod found;
pub mod gob;
mod holders;
pub mod interrupted;
pub mod live;
pub mod owner;
pub mod refetch;

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::config::Secret;
use crate::config::keyfile::parse_private_key;

pub use batches::batches;
pub use error::AdoptError;
pub use found::Found;

/// Owncast's name for its actor when none is set (`federation_username` in its datastore).
pub const DEFAULT_USERNAME: &str = "streamer";

/// A datastore value longer than this is none of the four read here.
const LONGEST_VALUE: usize = 64 * 1024;
/// The one that grows: lists of blocked domains are passed around, and have thousands of entries.
const BLOCKED_DOMAINS: &str = "federation_blocked_domains";
/// Its bytes at most.
const LONGEST_LIST: usize = 4 * 1024 * 1024;
/// Ours: the moment that names the last giving back, which tells the database that has it from any other copy.
const GIVEN_BACK: &str = "herald_given_back";

/// Who Owncast's own federation was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptedIdentity {
    /// The actor's private key, PEM.
    pub private_key_pem: Secret,
    /// The public half, PEM (SubjectPublicKeyInfo), as followers know it.
    pub public_key_pem: String,
    /// The server URL, verbatim; `None` where none was set, and then Owncast never federated.
    pub server_url: Option<String>,
    /// The actor's name: `streamer` where none was set.
    pub username: String,
    /// What the operator should know about the copy.
    pub warnings: Vec<String>,
}

/// Reads the identity from Owncast's data folder. Blocks; nothing is ever written to that folder.
///
/// The copy lies in a private folder below `$TMPDIR` for as long as this takes.
///
/// # Errors
/// What is in the way and what to do about it.
pub fn read_identity(data_dir: &Path) -> Result<AdoptedIdentity, AdoptError> {
    let copy = copy::take(data_dir)?;
    let database = open(&copy)?;
    let mut identity = read(&database, &copy)?;
    identity.warnings.extend(copy.warning());
    interrupted::check()?;
    Ok(identity)
}

/// Reads the identity and everything else that moves in, as [`read_identity`] does.
///
/// # Errors
/// What is in the way and what to do about it; also a database of an Owncast that is older or newer than is understood.
pub fn read_everything(data_dir: &Path) -> Result<(AdoptedIdentity, Found), AdoptError> {
    let copy = copy::take(data_dir)?;
    let read = everything(&open(&copy)?, &copy)?;
    interrupted::check()?;
    Ok(read)
}

/// Reads a database that `copy` is a copy of, or that it is.
fn everything(database: &Connection, copy: &copy::Copy) -> Result<(AdoptedIdentity, Found), AdoptError> {
    let mut identity = read(database, copy)?;
    identity.warnings.extend(copy.warning());
    found::check_schema(database, copy)?;
    let blocked = string(database, copy, BLOCKED_DOMAINS)?;
    let mut found = found::read(database, blocked.as_deref()).map_err(|error| copy.broken(&error))?;
    found.wal_is_missing = copy.wal_is_missing();
    found.given_back = string(database, copy, GIVEN_BACK)?.and_then(|at| at.parse().ok());
    Ok((identity, found))
}

fn open(copy: &copy::Copy) -> Result<Connection, AdoptError> {
    let broken = |error: rusqlite::Error| copy.broken(&error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(copy.database(), flags).map_err(broken)?;
    // Whoever could write this file could plant views and triggers in it.
    database.pragma_update(None, "trusted_schema", false).map_err(broken)?;
    check(&database, copy)?;
    Ok(database)
}

fn check(database: &Connection, copy: &copy::Copy) -> Result<(), AdoptError> {
    let verdict = database.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match verdict.map_err(|error| copy.broken(&error))? {
        verdict if verdict == "ok" => Ok(()),
        reason => Err(AdoptError::Broken { path: copy.source().to_owned(), reason }),
    }
}

fn read(database: &Connection, copy: &copy::Copy) -> Result<AdoptedIdentity, AdoptError> {
    let datastore = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'datastore'";
    let tables: i64 = database.query_row(datastore, [], |row| row.get(0)).map_err(|e| copy.broken(&e))?;
    if tables == 0 {
        return Err(AdoptError::NotOwncast { path: copy.source().to_owned() });
    }
    let required = |key: &'static str| {
        string(database, copy, key)?.filter(|text| !text.is_empty()).ok_or_else(|| AdoptError::NoKey {
            path: copy.source().to_owned(),
            key,
            schema: schema(database),
        })
    };
    let private_key_pem = Secret::new(required("private_key")?);
    let public_key_pem = required("public_key")?;
    check_pair(&private_key_pem, &public_key_pem)?;
    let optional = |key| Ok::<_, AdoptError>(string(database, copy, key)?.filter(|text| !text.is_empty()));
    Ok(AdoptedIdentity {
        private_key_pem,
        public_key_pem,
        server_url: optional("server_url")?,
        username: optional("federation_username")?.unwrap_or_else(|| DEFAULT_USERNAME.to_owned()),
        warnings: Vec::new(),
    })
}

/// A string of Owncast's datastore; `None` where there is no such row.
fn string(database: &Connection, copy: &copy::Copy, key: &'static str) -> Result<Option<String>, AdoptError> {
    let unreadable = |reason: String| AdoptError::UnreadableValue { key, reason };
    let longest = if key == BLOCKED_DOMAINS { LONGEST_LIST } else { LONGEST_VALUE };
    let row = database.query_row("SELECT value FROM datastore WHERE key = ?1", [key], |row| {
        Ok(match row.get_ref(0)? {
            ValueRef::Blob(bytes) if bytes.len() <= longest => {
                gob::decode_string(bytes).map(str::to_owned).map_err(|error| error.to_string())
            }
            ValueRef::Blob(_) => Err("it is far too long".to_owned()),
            other => Err(format!("it is stored as {}", other.data_type())),
        })
    });
    let value = row.optional().map_err(|error| copy.broken(&error))?;
    value.transpose().map_err(unreadable)
}

/// Owncast's schema version, for a message.
fn schema(database: &Connection) -> Option<String> {
    let version =
        database.query_row("SELECT CAST(value AS TEXT) FROM config WHERE key = 'version'", [], |row| {
            row.get::<_, String>(0)
        });
    version.ok().map(|version| version.chars().filter(char::is_ascii_alphanumeric).take(16).collect())
}

fn check_pair(private_key: &Secret, public_key: &str) -> Result<(), AdoptError> {
    let private = parse_private_key(private_key.expose()).map_err(AdoptError::BadKey)?;
    let public = openssl::pkey::PKey::public_key_from_pem(public_key.as_bytes()).and_then(|key| key.rsa());
    let belongs = public.is_ok_and(|public| public.n() == private.n() && public.e() == private.e());
    if belongs { Ok(()) } else { Err(AdoptError::KeysDiffer) }
}

#[cfg(test)]
mod tests;
