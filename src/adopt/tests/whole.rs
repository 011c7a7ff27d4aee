//! Everything but the key: what is read, and what is refused.

use super::*;
use crate::adopt::live::Live;
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
    assert_eq!((found.documents.len(), found.accepted.len(), found.moved.len()), (3, 13, 0));
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
