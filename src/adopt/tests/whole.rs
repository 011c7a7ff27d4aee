//! Everything but the key: what is read, and what is refused.

use std::collections::BTreeSet;

use super::*;
use crate::adopt::back::{self, Giving, Moved};
use crate::adopt::live::Live;
use crate::model::adopted::Row;
use crate::model::follower::FollowerState::{Approved, Pending, Rejected};

/// The recording, changed by these statements.
fn recorded_but(statements: &str) -> tempfile::TempDir {
    let folder = data_dir(&["owncast.db", "owncast.db-wal"]);
    Connection::open(folder.path().join("owncast.db")).unwrap().execute_batch(statements).unwrap();
    folder
}

#[test]
fn everything_of_the_recording_is_read() {
    let folder = data_dir(&["owncast.db", "owncast.db-wal"]);
    let before = state(folder.path());
    let (identity, found) = read_everything(folder.path()).unwrap();
    assert_eq!(state(folder.path()), before, "not a byte, time or file of the data folder has changed");
    assert_eq!(identity.username, "streamer");
    let count = |state| found.followers.iter().filter(|row| row.state == state).count();
    assert_eq!((count(Approved), count(Pending), count(Rejected)), (6, 2, 2));
    assert_eq!((found.documents.len(), found.accepted.len(), found.wal_is_missing), (3, 13, false));
    assert_eq!(found.blocked, ["bad.example", "worse.example"]);
    assert!(found.unreadable.is_empty());
    let first = &found.followers[0];
    assert_eq!(first.actor, "https://localhost:9301/u/a0");
    assert_eq!(first.inbox, "https://localhost:9301/u/a0/inbox");
    assert_eq!((first.username.as_str(), first.name.as_deref()), ("a0@localhost", Some("Ana a0")));
    assert_eq!(first.since, "2026-11-21T02:02:39Z".parse().unwrap());
    assert_eq!(first.follow_id.as_deref(), Some("https://localhost:9301/act/1795226559252866731-0"));
    let ours = "https://live.example/federation/user/streamer".to_owned();
    assert_eq!(first.follow, Some((first.actor.clone(), ours)));
    assert!(found.documents[0].json.contains("Etching a PCB"));
}

#[test]
fn what_is_not_understood_is_refused_and_stays_as_it_was() {
    type Fits = fn(&AdoptError) -> bool;
    let cases: [(&str, tempfile::TempDir, Fits); 9] = [
        (
            "older",
            recorded_but("UPDATE config SET value = '6' WHERE key = 'version'"),
            |error| matches!(error, AdoptError::TooOld { found: 6, .. }),
        ),
        (
            "newer",
            recorded_but("UPDATE config SET value = '10' WHERE key = 'version'"),
            |error| matches!(error, AdoptError::TooNew { found: 10, .. }),
        ),
        (
            "a newer migration",
            recorded_but(
                "UPDATE config SET value = '9' WHERE key = 'version';
                 CREATE TABLE goose_db_version (version_id INTEGER); INSERT INTO goose_db_version VALUES (3), (99)",
            ),
            |error| matches!(error, AdoptError::TooNew { found: 9, migration: 99, .. }),
        ),
        ("no version", recorded_but("DROP TABLE config"), |error| matches!(error, AdoptError::NotOwncast { .. })),
        (
            "no followers",
            recorded_but("DROP TABLE ap_followers"),
            |error| matches!(error, AdoptError::Lacks { what, .. } if what == "ap_followers.iri"),
        ),
        (
            "another column",
            recorded_but("ALTER TABLE ap_followers RENAME COLUMN inbox TO box"),
            |error| matches!(error, AdoptError::Lacks { what, .. } if what == "ap_followers.inbox"),
        ),
        ("empty", made_by("VACUUM"), |error| {
            matches!(error, AdoptError::NotOwncast { .. } | AdoptError::NotSqlite { .. })
        }),
        ("foreign", made_by("CREATE TABLE notes (text TEXT)"), |error| {
            matches!(error, AdoptError::NotOwncast { .. })
        }),
        ("broken", broken(), |error| matches!(error, AdoptError::Broken { .. })),
    ];
    for (name, folder, fits) in cases {
        let before = state(folder.path());
        let error = read_everything(folder.path()).unwrap_err();
        assert!(fits(&error), "{name}: {error:?}");
        let to_write = Live::open(folder.path()).unwrap_err();
        assert!(fits(&to_write) || matches!(to_write, AdoptError::CannotTell { .. }), "{name}: {to_write:?}");
        assert_eq!(state(folder.path()), before, "{name}: nothing has changed");
    }
}

/// Cut off in the middle, as a copy to a full disk is.
fn broken() -> tempfile::TempDir {
    let folder = recorded_but("PRAGMA wal_checkpoint(TRUNCATE)");
    let path = folder.path().join("owncast.db");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 3]).unwrap();
    folder
}

#[test]
fn later_columns_are_read_and_rows_without_an_id_are_told() {
    let folder = recorded_but(
        "ALTER TABLE ap_followers ADD COLUMN shared_inbox TEXT;
         UPDATE ap_followers SET shared_inbox = 'https://localhost:9301/inbox';
         UPDATE ap_followers SET iri = '' WHERE iri = 'https://localhost:9302/u/a1';
         UPDATE ap_followers SET created_at = 'once' WHERE iri = 'https://localhost:9302/u/a2';
         UPDATE ap_followers SET request_object = NULL, name = x'ff' WHERE iri = 'https://localhost:9302/u/a3';
         INSERT INTO ap_outbox (iri, value, type) VALUES ('https://live.example/federation/x', NULL, 'Note')",
    );
    let (_, found) = read_everything(folder.path()).unwrap();
    assert_eq!((found.followers.len(), found.documents.len(), found.unreadable.len()), (8, 3, 3));
    assert!(found.followers.iter().all(|row| row.shared_inbox.is_some()));
    let bare = found.followers.iter().find(|row| row.actor.ends_with("9302/u/a3")).unwrap();
    assert_eq!((&bare.follow, &bare.name), (&None, &None));
}

fn column(database: &Connection, query: &str) -> Vec<String> {
    let mut statement = database.prepare(query).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn without_the_wal_nobody_can_tell_who_has_left() {
    let missing = |folder: &Path| read_everything(folder).unwrap().1.wal_is_missing;
    let folder = data_dir(&["owncast.db", "owncast.db-wal"]);
    assert!(!missing(folder.path()));
    std::fs::write(folder.path().join("owncast.db-wal"), "").unwrap();
    assert!(missing(folder.path()), "SQLite made it anew");
    std::fs::remove_file(folder.path().join("owncast.db-wal")).unwrap();
    assert!(missing(folder.path()));
}

#[test]
fn a_long_list_of_blocked_domains_is_read_and_no_other_long_value() {
    let domains = vec!["spam.example"; 300_000].join(",");
    let set = |key: &str| {
        let value: String = gob::encode_string(&domains).iter().map(|byte| format!("{byte:02x}")).collect();
        recorded_but(&format!("UPDATE datastore SET value = x'{value}' WHERE key = '{key}'"))
    };
    let (_, found) = read_everything(set("federation_blocked_domains").path()).unwrap();
    assert_eq!(found.blocked.len(), 300_000);
    let error = read_everything(set("server_url").path()).unwrap_err();
    assert!(matches!(error, AdoptError::UnreadableValue { key: "server_url", .. }), "{error}");
}

#[test]
fn what_was_moved_away_is_read_like_the_rest_and_only_what_was_taken_goes() {
    let folder =
        recorded_but("UPDATE ap_followers SET created_at = NULL WHERE iri = 'https://localhost:9302/u/a1'");
    let (_, found) = read_everything(folder.path()).unwrap();
    let actors: BTreeSet<String> = found.followers.iter().map(|row| row.actor.clone()).collect();
    let database = Connection::open(folder.path().join("owncast.db")).unwrap();
    assert_eq!(back::move_followers(&database, &actors).unwrap(), Moved { moved: 9, stay: 1 });
    assert_eq!(column(&database, "SELECT iri FROM ap_followers"), ["https://localhost:9302/u/a1"]);
    // One follows Owncast anew: that row counts, here and when it is moved as well.
    database
        .execute_batch(
            "INSERT INTO ap_followers (iri, inbox, username, request) \
             VALUES ('https://localhost:9301/u/a0', 'https://localhost:9301/new', 'a0', 'https://localhost:9301/f')",
        )
        .unwrap();
    let (_, again) = read_everything(folder.path()).unwrap();
    assert_eq!(again.followers.len(), 9, "nobody is lost with the agent's store");
    let all: BTreeSet<String> = again.followers.iter().map(|row| row.actor.clone()).collect();
    assert_eq!(all, actors);
    let new = |rows: &[Row]| rows.iter().any(|row| row.inbox == "https://localhost:9301/new");
    assert!(new(&again.followers));
    assert_eq!(back::move_followers(&database, &actors).unwrap(), Moved { moved: 1, stay: 1 });
    assert_eq!(
        column(&database, "SELECT inbox FROM ap_followers_herald WHERE iri LIKE '%9301/u/a0'"),
        ["https://localhost:9301/new"]
    );
}

#[test]
fn rows_go_back_to_where_they_stand_however_they_are_spelt() {
    let folder = recorded_but(
        "UPDATE ap_followers SET iri = 'https://m.example' WHERE iri = 'https://localhost:9301/u/a0';
         UPDATE ap_followers SET iri = 'HTTPS://Gone.example:443/u/ü' WHERE iri = 'https://localhost:9302/u/a0'",
    );
    let (_, found) = read_everything(folder.path()).unwrap();
    let row = found.followers.iter().find(|row| row.actor == "https://m.example/").unwrap().clone();
    assert!(found.followers.iter().any(|row| row.actor == "https://gone.example/u/%C3%BC"));
    let giving = Giving {
        ours: "https://live.example/federation/user/streamer".to_owned(),
        rows: vec![Row { inbox: "https://m.example/new".to_owned(), ..row }],
        left: ["https://gone.example/u/%C3%BC", "https://localhost:9302/u/a1"].map(str::to_owned).to_vec(),
        posts: Vec::new(),
        blocked: Vec::new(),
        blocked_actors: ["https://m.example/", "https://localhost:9302/u/a1", "https://nobody.example/u"]
            .map(str::to_owned)
            .to_vec(),
        go_live_message: None,
        key: None,
        now: jiff::Timestamp::now(),
    };
    let database = Connection::open(folder.path().join("owncast.db")).unwrap();
    let actors = found.followers.iter().map(|row| row.actor.clone()).collect();
    assert_eq!(back::move_followers(&database, &actors).unwrap(), Moved { moved: 10, stay: 0 });
    let given_back = || read_everything(folder.path()).unwrap().1.given_back;
    assert_eq!(given_back(), None);
    let given = back::give(&database, &giving).unwrap();
    assert_eq!((given.added, given.removed), (0, 1));
    assert_eq!(given_back(), Some(giving.now), "it is known from an older copy of it");
    assert_eq!(
        column(&database, "SELECT iri FROM ap_followers WHERE inbox LIKE '%/new'"),
        ["https://m.example"]
    );
    assert_eq!(column(&database, "SELECT iri FROM ap_followers").len(), 9);
    // Single accounts are blocked in their rows, also one that has left, or not at all.
    assert_eq!((given.blocked_actors, given.not_blocked), (2, vec!["https://nobody.example/u".to_owned()]));
    let blocked =
        "SELECT iri FROM ap_followers WHERE disabled_at IS NOT NULL AND approved_at IS NULL ORDER BY iri";
    assert_eq!(
        column(&database, blocked),
        [
            "https://localhost:9302/u/a1",
            "https://localhost:9302/u/a4",
            "https://localhost:9303/u/a1",
            "https://m.example"
        ]
    );
}

#[test]
fn where_all_open_files_are_seen_it_is_written_and_a_copy_with_the_key_stays_only_then() {
    let folder = data_dir(&["owncast.db", "owncast.db-wal"]);
    let before = state(folder.path());
    let mut live = match Live::open(folder.path()) {
        Ok(live) => live,
        Err(AdoptError::CannotTell { .. }) => {
            let pids = std::fs::read_link("/proc/self/ns/pid").unwrap();
            let whole_machine = pids.as_os_str() == "pid:[4026531836]";
            assert!(!(whole_machine && rustix::process::geteuid().is_root()), "root sees them");
            assert_eq!(state(folder.path()), before, "whoever does not see them changes nothing");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(live.everything().unwrap().1.followers.len(), 10);
    let part = |live: &Live| PathBuf::from(format!("{}.part", live.backup().unwrap().display()));
    assert!(part(&live).exists());
    let failed = live.in_one(|database| database.execute("DELETE FROM nothing", []));
    assert!(failed.is_err());
    // Nobody gets in while it is open.
    let other = Connection::open(folder.path().join("owncast.db")).unwrap();
    other.busy_timeout(Duration::ZERO).unwrap();
    assert!(other.query_row("SELECT count(*) FROM ap_followers", [], |_| Ok(())).is_err());
    drop((live, other));
    let names = |state: &[(PathBuf, Vec<u8>, i64, i64, u64)]| -> Vec<PathBuf> {
        state.iter().map(|(path, ..)| path.clone()).filter(|path| !path.ends_with("owncast.db-shm")).collect()
    };
    assert_eq!(names(&state(folder.path())), names(&before));
    // Killed before anything was written, it leaves these, which nobody would know from a copy that is to stay.
    let left = ["owncast.db.before-herald-20260101T000000.000Z.part", "owncast.db.before-herald-1-wal.part"];
    left.iter().for_each(|name| std::fs::write(folder.path().join(name), "a key").unwrap());
    // Nothing is written whose copy another process has taken away.
    let mut live = Live::open(folder.path()).unwrap();
    std::fs::remove_file(part(&live)).unwrap();
    let written = live.in_one(|database| database.execute("DELETE FROM ap_followers", []));
    assert!(matches!(written, Err(AdoptError::NotWritable { .. })));
    drop(live);
    let mut live = Live::open(folder.path()).unwrap();
    for _ in 0..2 {
        live.in_one(|database| database.execute("DELETE FROM ap_followers", [])).unwrap();
    }
    assert!(!part(&live).exists());
    let backup = live.backup().unwrap().to_owned();
    live.close().unwrap();
    let kept = Connection::open(&backup).unwrap();
    assert_eq!(column(&kept, "SELECT iri FROM ap_followers").len(), 10);
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{names:?}");
}
