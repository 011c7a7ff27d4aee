//! What Owncast's own federation knows, read from the copy of its database: rows as they are, judged by nobody yet.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row as SqlRow};

use super::copy::Copy;
use super::{AdoptError, schema};
use crate::decide::adopt::one_spelling;
use crate::model::adopted::{Accepted, Deed, Document, Row};
use crate::model::follower::FollowerState;
use crate::model::origin::MAX_URL_BYTES;

/// The oldest schema that is understood: that of Owncast 0.1.
pub const OLDEST_SCHEMA: u32 = 7;
/// The newest that counts itself so; later ones count migrations.
pub const NEWEST_SCHEMA: u32 = 9;
/// The newest migration that is understood.
pub const NEWEST_MIGRATION: u32 = 6;
/// Where followers stand that were moved out of Owncast's way.
pub const MOVED_TABLE: &str = "ap_followers_herald";

/// Bytes of a post at most; Owncast's own are some thousand.
const LONGEST_POST: usize = 256 * 1024;
/// Bytes of a name at most.
const LONGEST_NAME: usize = 4096;
/// Bytes of a Follow at most.
const LONGEST_FOLLOW: usize = 64 * 1024;

/// Everything that moves in, but for the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Followers in all states, oldest first; then those that were moved out of Owncast's way before.
    pub followers: Vec<Row>,
    /// Posts, oldest first.
    pub documents: Vec<Document>,
    /// Activities that Owncast took.
    pub accepted: Vec<Accepted>,
    /// Blocked domains as typed.
    pub blocked: Vec<String>,
    /// Rows that cannot be read at all, each with its reason.
    pub unreadable: Vec<String>,
    /// The latest changes may be missing, and with them followers.
    pub wal_is_missing: bool,
    /// The moment that names the last giving back to this very database.
    pub given_back: Option<Timestamp>,
}

/// Tables and columns that must be there.
const NEEDED: [(&str, &[&str]); 3] = [
    (
        "ap_followers",
        &["iri", "inbox", "name", "username", "image", "request", "created_at", "approved_at", "disabled_at"],
    ),
    ("ap_outbox", &["iri", "value", "type", "created_at", "live_notification"]),
    ("ap_accepted_activities", &["iri", "actor", "type", "timestamp"]),
];

/// Refuses what was written by an Owncast that is not known here.
pub(super) fn check_schema(database: &Connection, copy: &Copy) -> Result<(), AdoptError> {
    let path = || copy.source().to_owned();
    let found = schema(database).and_then(|version| version.parse::<u32>().ok());
    let found = found.ok_or_else(|| AdoptError::NotOwncast { path: path() })?;
    if found < OLDEST_SCHEMA {
        return Err(AdoptError::TooOld { path: path(), found });
    }
    let migration = "SELECT coalesce(max(version_id), 0) FROM goose_db_version";
    let migration = database.query_row(migration, [], |row| row.get::<_, u32>(0)).unwrap_or(0);
    if found > NEWEST_SCHEMA || migration > NEWEST_MIGRATION {
        return Err(AdoptError::TooNew { path: path(), found, migration });
    }
    for (table, columns) in NEEDED {
        let have = columns_of(database, table).map_err(|error| copy.broken(&error))?;
        if let Some(missing) = columns.iter().find(|column| !have.iter().any(|one| one == *column)) {
            let what = format!("{table}.{missing}");
            return Err(AdoptError::Lacks { path: path(), what });
        }
    }
    Ok(())
}

/// Names of a table's columns; none if there is no such table.
pub(super) fn columns_of(database: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = database.prepare("SELECT name FROM pragma_table_info(?1)")?;
    statement.query_map([table], |row| row.get(0))?.collect()
}

/// Reads everything. `blocked` is the setting as it is stored.
pub(super) fn read(database: &Connection, blocked: Option<&str>) -> rusqlite::Result<Found> {
    let split = blocked.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let mut found = Found { blocked: split.map(str::to_owned).collect(), ..Found::default() };
    followers(database, "ap_followers", &mut found)?;
    if !columns_of(database, MOVED_TABLE)?.is_empty() {
        followers(database, MOVED_TABLE, &mut found)?;
    }
    documents(database, &mut found)?;
    accepted(database, &mut found)?;
    Ok(found)
}

/// Whoever was read from an earlier table is passed over: a row that Owncast wrote since is newer than one moved before.
fn followers(database: &Connection, table: &str, found: &mut Found) -> rusqlite::Result<()> {
    let columns = columns_of(database, table)?;
    let known: BTreeSet<String> = found.followers.iter().map(|row| row.actor.clone()).collect();
    let or_null = |name: &'static str| if columns.iter().any(|one| one == name) { name } else { "NULL" };
    // Their order differs between databases that were made and those that were migrated.
    let query = format!(
        "SELECT iri, inbox, {shared}, username, name, image, request, {object}, created_at, approved_at IS NOT NULL, \
         disabled_at IS NOT NULL FROM {table} ORDER BY created_at, iri",
        shared = or_null("shared_inbox"),
        object = or_null("request_object"),
    );
    let mut statement = database.prepare(&query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(actor) = text(row, 0, MAX_URL_BYTES)?.as_deref().map(one_spelling) else {
            found.unreadable.push("a follower has no id, or a far too long one".to_owned());
            continue;
        };
        if known.contains(&actor) {
            continue;
        }
        let Some(since) = moment(row, 8)? else {
            found.unreadable.push(format!("the follower {actor:?}: nobody can tell since when"));
            continue;
        };
        found.followers.push(Row {
            actor,
            inbox: text(row, 1, MAX_URL_BYTES)?.unwrap_or_default(),
            shared_inbox: text(row, 2, MAX_URL_BYTES)?,
            username: text(row, 3, LONGEST_NAME)?.unwrap_or_default(),
            name: text(row, 4, LONGEST_NAME)?,
            icon: text(row, 5, MAX_URL_BYTES)?,
            follow_id: text(row, 6, MAX_URL_BYTES)?,
            follow: text(row, 7, LONGEST_FOLLOW)?.as_deref().and_then(who_follows_whom),
            since,
            state: match (row.get(9)?, row.get(10)?) {
                (true, false) => FollowerState::Approved,
                (false, false) => FollowerState::Pending,
                // Blocked after it was let in, in Owncasts that keep both dates.
                (_, true) => FollowerState::Rejected,
            },
        });
    }
    Ok(())
}

/// Actor and object of a Follow; `None` for what is none.
fn who_follows_whom(json: &str) -> Option<(String, String)> {
    let follow: serde_json::Value = serde_json::from_str(json).ok()?;
    let id = |field: &str| {
        let value = follow.get(field)?;
        value.as_str().or_else(|| value.get("id")?.as_str()).map(str::to_owned)
    };
    Some((id("actor")?, id("object")?))
        .filter(|(actor, object)| actor.len().max(object.len()) <= MAX_URL_BYTES)
}

fn documents(database: &Connection, found: &mut Found) -> rusqlite::Result<()> {
    let query = "SELECT iri, value, created_at FROM ap_outbox ORDER BY created_at, iri";
    let mut statement = database.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, json) = (text(row, 0, MAX_URL_BYTES)?, text(row, 1, LONGEST_POST)?);
        match (id, json) {
            (Some(id), Some(json)) => {
                let at = moment(row, 2)?.unwrap_or(Timestamp::UNIX_EPOCH);
                found.documents.push(Document { id, json, at });
            }
            (id, _) => {
                let id = id.unwrap_or_else(|| "without an id".to_owned());
                found.unreadable.push(format!("the post {id:?} is empty or far too long"));
            }
        }
    }
    Ok(())
}

fn accepted(database: &Connection, found: &mut Found) -> rusqlite::Result<()> {
    let mut statement = database.prepare("SELECT iri, actor, type, timestamp FROM ap_accepted_activities")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let deed = match text(row, 2, LONGEST_NAME)?.as_deref() {
            Some("FEDIVERSE_ENGAGEMENT_FOLLOW") => Deed::Follow,
            Some("FEDIVERSE_ENGAGEMENT_LIKE") => Deed::Like,
            Some("FEDIVERSE_ENGAGEMENT_REPOST") => Deed::Announce,
            _ => continue,
        };
        let (object, actor) = (text(row, 0, MAX_URL_BYTES)?, text(row, 1, MAX_URL_BYTES)?);
        if let (Some(object), Some(actor), Some(at)) = (object, actor, moment(row, 3)?) {
            found.accepted.push(Accepted { actor, deed, object, at });
        }
    }
    Ok(())
}

/// A text that is not empty; `None` for anything else.
fn text(row: &SqlRow<'_>, index: usize, longest: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(index)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) if !bytes.is_empty() && bytes.len() <= longest => {
            std::str::from_utf8(bytes).ok().map(str::to_owned)
        }
        _ => None,
    })
}

fn moment(row: &SqlRow<'_>, index: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(text(row, index, LONGEST_NAME)?.as_deref().and_then(read_moment))
}

/// SQLite's own form, `2026-11-21 02:02:39` in UTC, or Go's, which has a fraction and an offset.
fn read_moment(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', ' '])?;
    // Go prints a clock's zone and reading behind the offset.
    let mut parts = time.split(' ');
    let mut clock = parts.next()?.to_owned();
    let has_offset = clock.ends_with('Z') || clock.get(8..).is_some_and(|rest| rest.contains(['+', '-']));
    if !has_offset {
        clock.push_str(parts.next().filter(|zone| zone.starts_with(['+', '-'])).unwrap_or("Z"));
    }
    format!("{date}T{clock}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_every_form() {
        for (text, want) in [
            ("2026-11-21 02:02:39", Some("2026-11-21T02:02:39Z")),
            ("2026-11-21 02:02:39.31129115+00:00", Some("2026-11-21T02:02:39.31129115Z")),
            ("2026-11-21 02:02:39.5 +0100 CET m=+3.2", Some("2026-11-21T01:02:39.5Z")),
            ("2026-11-21T02:02:39Z", Some("2026-11-21T02:02:39Z")),
            ("2026-11-21 02:02:39-05:00", Some("2026-11-21T07:02:39Z")),
            ("yesterday", None),
            ("", None),
            ("2026-11-21", None),
        ] {
            assert_eq!(read_moment(text), want.map(|want| want.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_follow_names_both_sides_in_either_form() {
        let both = Some(("a".to_owned(), "b".to_owned()));
        assert_eq!(who_follows_whom(r#"{"actor":"a","object":"b"}"#), both);
        assert_eq!(who_follows_whom(r#"{"actor":{"id":"a"},"object":{"id":"b"}}"#), both);
        for other in ["", "[]", r#"{"actor":"a"}"#, r#"{"actor":[],"object":"b"}"#] {
            assert_eq!(who_follows_whom(other), None, "{other}");
        }
    }
}
