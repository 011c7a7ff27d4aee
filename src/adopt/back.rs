//! Rows of ours in Owncast's own tables: each function is one thing done to an open database, inside of the caller's
//! transaction.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::found::{MOVED_TABLE, columns_of};
use super::{BLOCKED_DOMAINS, GIVEN_BACK, gob};
use crate::decide::adopt::one_spelling;
use crate::model::Secret;
use crate::model::adopted::{Document, Row};
use crate::model::follower::FollowerState;

/// Rows that are moved.
const GO: &str = "WHERE iri IN (SELECT iri FROM temp.goes)";

/// What was moved out of Owncast's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Rows that went.
    pub moved: u64,
    /// Rows that stay where they are: they were not taken.
    pub stay: u64,
}

/// Moves the followers that were taken into a table that Owncast does not know.
///
/// # Errors
/// What SQLite said.
pub fn move_followers(database: &Connection, taken: &BTreeSet<String>) -> rusqlite::Result<Moved> {
    database.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {MOVED_TABLE} AS SELECT * FROM ap_followers WHERE 0; \
         CREATE TEMP TABLE goes (iri TEXT PRIMARY KEY)"
    ))?;
    let columns = shared_columns(database)?;
    {
        let mut note = database.prepare("INSERT INTO temp.goes VALUES (?1)")?;
        for iri in iris(database)?.iter().filter(|iri| taken.contains(&one_spelling(iri))) {
            note.execute([iri])?;
        }
    }
    database.execute(&format!("DELETE FROM {MOVED_TABLE} {GO}"), [])?;
    let insert = format!("INSERT INTO {MOVED_TABLE} ({columns}) SELECT {columns} FROM ap_followers {GO}");
    let moved = database.execute(&insert, [])?;
    database.execute(&format!("DELETE FROM ap_followers {GO}"), [])?;
    database.execute_batch("DROP TABLE temp.goes")?;
    let stay: i64 = database.query_row("SELECT count(*) FROM ap_followers", [], |row| row.get(0))?;
    Ok(Moved { moved: moved as u64, stay: stay.unsigned_abs() })
}

/// The followers' ids as they stand there.
fn iris(database: &Connection) -> rusqlite::Result<Vec<String>> {
    // A text by its declared type, unless it is no text at all.
    let mut statement = database.prepare("SELECT iri FROM ap_followers WHERE typeof(iri) = 'text'")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// How Owncast spells actors, where that is not how it is done here.
fn spellings(database: &Connection) -> rusqlite::Result<BTreeMap<String, Vec<String>>> {
    let mut spellings = BTreeMap::<_, Vec<String>>::new();
    for iri in iris(database)? {
        let ours = one_spelling(&iri);
        if ours != iri {
            spellings.entry(ours).or_default().push(iri);
        }
    }
    Ok(spellings)
}

/// Puts them back where they were, and forgets that table. Answers how many came back.
///
/// # Errors
/// What SQLite said.
fn return_moved(database: &Connection) -> rusqlite::Result<usize> {
    if columns_of(database, MOVED_TABLE)?.is_empty() {
        return Ok(0);
    }
    let columns = shared_columns(database)?;
    let back = database.execute(
        &format!("INSERT OR IGNORE INTO ap_followers ({columns}) SELECT {columns} FROM {MOVED_TABLE}"),
        [],
    )?;
    database.execute_batch(&format!("DROP TABLE {MOVED_TABLE}"))?;
    Ok(back)
}

/// Owncast may have been upgraded between the two.
fn shared_columns(database: &Connection) -> rusqlite::Result<String> {
    let moved = columns_of(database, MOVED_TABLE)?;
    let mut columns = columns_of(database, "ap_followers")?;
    columns.retain(|column| moved.contains(column));
    let quoted: Vec<String> =
        columns.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    Ok(quoted.join(", "))
}

/// Removes who has left. Answers how many rows went.
fn remove<'a>(database: &Connection, mut iris: impl Iterator<Item = &'a String>) -> rusqlite::Result<usize> {
    let mut statement = database.prepare("DELETE FROM ap_followers WHERE iri = ?1")?;
    iris.try_fold(0, |all, iri| Ok(all + statement.execute([iri])?))
}

/// Writes a follower, whose id Owncast spells so. Answers whether it is new there. `ours` is our actor, whom it follows.
fn follower(
    database: &Connection,
    iri: &str,
    row: &Row,
    ours: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let known = "SELECT count(*) FROM ap_followers WHERE iri = ?1";
    let known: i64 = database.query_row(known, [iri], |row| row.get(0))?;
    if known == 0 {
        // `request` names the Follow, which an Accept of Owncast's repeats.
        let request = row.follow_id.as_deref().unwrap_or_default();
        let follow = serde_json::json!({
            "@context": "https://www.w3.org/ns/activitystreams", "type": "Follow", "id": request,
            "actor": row.actor, "object": ours,
        });
        database.execute(
            "INSERT INTO ap_followers (iri, inbox, username, request, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![iri, row.inbox, row.username, request, sql_moment(row.since)],
        )?;
        if columns_of(database, "ap_followers")?.iter().any(|column| column == "request_object") {
            let object = follow.to_string().into_bytes();
            let set = "UPDATE ap_followers SET request_object = ?2 WHERE iri = ?1";
            database.execute(set, params![iri, object])?;
        }
    }
    let (approved, disabled) = match row.state {
        FollowerState::Approved => (Some(sql_moment(row.since)), None),
        FollowerState::Pending => (None, None),
        _ => (None, Some(sql_moment(now))),
    };
    // A date that stands there stays: what is the same is not written anew.
    database.execute(
        "UPDATE ap_followers SET inbox = ?2, name = ?3, image = ?4, \
         approved_at = CASE WHEN ?5 IS NULL THEN NULL ELSE coalesce(approved_at, ?5) END, \
         disabled_at = CASE WHEN ?6 IS NULL THEN NULL ELSE coalesce(disabled_at, ?6) END WHERE iri = ?1",
        params![
            iri,
            row.inbox,
            row.name.as_deref().unwrap_or_default(),
            row.icon.as_deref().unwrap_or_default(),
            approved,
            disabled
        ],
    )?;
    if columns_of(database, "ap_followers")?.iter().any(|column| column == "shared_inbox") {
        let set = "UPDATE ap_followers SET shared_inbox = ?2 WHERE iri = ?1";
        database.execute(set, params![iri, row.shared_inbox])?;
    }
    Ok(known == 0)
}

/// Blocks an actor where it has a row. Answers how many it has.
fn block<'a>(
    database: &Connection,
    mut iris: impl Iterator<Item = &'a String>,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let set =
        "UPDATE ap_followers SET approved_at = NULL, disabled_at = coalesce(disabled_at, ?2) WHERE iri = ?1";
    let mut statement = database.prepare(set)?;
    iris.try_fold(0, |all, iri| Ok(all + statement.execute(params![iri, sql_moment(now)])?))
}

/// Writes a post that is not there yet. Answers whether it was not.
///
/// # Errors
/// What SQLite said.
fn post(database: &Connection, post: &Document) -> rusqlite::Result<bool> {
    let added = database.execute(
        "INSERT OR IGNORE INTO ap_outbox (iri, value, type, created_at, live_notification) \
         VALUES (?1, ?2, 'Note', ?3, 1)",
        params![post.id, post.json.as_bytes(), sql_moment(post.at)],
    )?;
    Ok(added > 0)
}

/// Sets a text in Owncast's datastore.
///
/// # Errors
/// What SQLite said.
fn setting(database: &Connection, key: &str, text: &str) -> rusqlite::Result<()> {
    let value = gob::encode_string(text);
    let changed = database.execute("UPDATE datastore SET value = ?2 WHERE key = ?1", params![key, value])?;
    if changed == 0 {
        database.execute("INSERT INTO datastore (key, value) VALUES (?1, ?2)", params![key, value])?;
    }
    Ok(())
}

/// As SQLite writes moments itself.
fn sql_moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// What goes back.
#[derive(Debug)]
pub struct Giving {
    /// Our actor's id.
    pub ours: String,
    /// Followers as rows.
    pub rows: Vec<Row>,
    /// Actors in Owncast's table who have left here, as they are spelt here.
    pub left: Vec<String>,
    /// Posts.
    pub posts: Vec<Document>,
    /// All blocked domains, Owncast's own first.
    pub blocked: Vec<String>,
    /// Blocked actors, whom Owncast knows as rows of its table alone.
    pub blocked_actors: Vec<String>,
    /// The go-live message that was taken over.
    pub go_live_message: Option<String>,
    /// The private and public key, where Owncast's are others.
    pub key: Option<(Secret, String)>,
    /// When it began, which is its name: it stands there, and here with every follower who is among the rows.
    pub now: Timestamp,
}

/// What went back.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Given {
    /// Followers that are new in Owncast's table.
    pub added: u64,
    /// Rows of who has left here.
    pub removed: u64,
    /// Posts that are new there.
    pub posts: u64,
    /// Blocked domains there by now.
    pub blocked: u64,
    /// Blocked actors who have a row there, and are blocked in it by now.
    pub blocked_actors: u64,
    /// Blocked actors who have none.
    pub not_blocked: Vec<String>,
    /// The key was another one.
    pub key_written: bool,
}

/// Does all of it.
///
/// # Errors
/// What SQLite said; the caller's transaction is to be given up then.
pub fn give(database: &Connection, giving: &Giving) -> rusqlite::Result<Given> {
    return_moved(database)?;
    let spellings = spellings(database)?;
    let other = |actor: &String| spellings.get(actor).map(Vec::as_slice).unwrap_or_default();
    // Whoever is blocked stays blocked, in the row of a follower who has left.
    let left = giving
        .left
        .iter()
        .filter(|actor| !giving.blocked_actors.contains(actor))
        .flat_map(|actor| other(actor).iter().chain([actor]));
    let mut given = Given { removed: remove(database, left)? as u64, ..Given::default() };
    for row in &giving.rows {
        let iri = other(&row.actor).first().unwrap_or(&row.actor);
        given.added += u64::from(follower(database, iri, row, &giving.ours, giving.now)?);
    }
    for actor in &giving.blocked_actors {
        let rows = other(actor).iter().chain([actor]);
        match block(database, rows, giving.now)? {
            0 => given.not_blocked.push(actor.clone()),
            _ => given.blocked_actors += 1,
        }
    }
    for one in &giving.posts {
        given.posts += u64::from(post(database, one)?);
    }
    if !giving.blocked.is_empty() {
        setting(database, BLOCKED_DOMAINS, &giving.blocked.join(","))?;
    }
    given.blocked = giving.blocked.len() as u64;
    if let Some(text) = &giving.go_live_message {
        let stands = "SELECT value FROM datastore WHERE key = 'federation_go_live_message'";
        let stands: Option<Vec<u8>> = database.query_row(stands, [], |row| row.get(0)).optional()?;
        let typed = stands.as_deref().and_then(|value| gob::decode_string(value).ok());
        // What was typed there since is newer.
        if typed.unwrap_or_default().trim().is_empty() {
            setting(database, "federation_go_live_message", text)?;
        }
    }
    setting(database, GIVEN_BACK, &giving.now.to_string())?;
    if let Some((private, public)) = &giving.key {
        setting(database, "private_key", private.expose())?;
        setting(database, "public_key", public)?;
        given.key_written = true;
    }
    Ok(given)
}
