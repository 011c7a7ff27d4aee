//! Owncast's data folder as it was recorded, made over for another address, key and list of followers.

use std::path::{Path, PathBuf};

use owncast_herald::activitypub::signature::PrivateKey;
use owncast_herald::adopt::gob::encode_string;
use owncast_herald::sim::fediverse::Person;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};
use tempfile::TempDir;

/// Address of the recorded server.
const RECORDED: &str = "https://live.example";

/// The folder. Nobody has its database open.
pub struct DataDir(TempDir);

impl DataDir {
    /// As recorded: 6 approved, 2 pending and 2 rejected followers, 3 posts.
    pub fn recorded() -> DataDir {
        let folder = TempDir::with_prefix("owncast-data-").unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/adopt");
        for name in ["owncast.db", "owncast.db-wal"] {
            std::fs::copy(fixtures.join(name), folder.path().join(name)).unwrap();
        }
        DataDir(folder)
    }

    /// The recorded posts at another address, another key, and nobody who follows.
    pub fn of(base: &str, key_pem: &str) -> DataDir {
        let data = DataDir::recorded();
        let database = data.open();
        let public = PrivateKey::from_pem(key_pem).unwrap().public_pem().unwrap();
        for (key, text) in [("server_url", base), ("private_key", key_pem), ("public_key", public.as_str())] {
            let set = "UPDATE datastore SET value = ?2 WHERE key = ?1";
            assert_eq!(database.execute(set, params![key, encode_string(text)]).unwrap(), 1);
        }
        let moved = "UPDATE ap_outbox SET iri = replace(iri, ?1, ?2), \
                     value = CAST(replace(CAST(value AS TEXT), ?1, ?2) AS BLOB)";
        database.execute(moved, [RECORDED, base]).unwrap();
        database.execute_batch("DELETE FROM ap_followers; DELETE FROM ap_accepted_activities").unwrap();
        data
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The folder, as an argument.
    pub fn argument(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// The database, opened as Owncast opens it, which leaves the `-wal` when it ends.
    pub fn open(&self) -> Connection {
        let database = Connection::open(self.file()).unwrap();
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        database
    }

    /// The database's file.
    pub fn file(&self) -> PathBuf {
        self.0.path().join("owncast.db")
    }

    /// A follower of `actor`, approved some time ago.
    pub fn follower(&self, person: &Person, actor: &str) {
        let request = format!("{}#follows/1", person.id());
        let follow =
            serde_json::json!({"type": "Follow", "id": request, "actor": person.id(), "object": actor});
        let insert = "INSERT INTO ap_followers \
            (iri, inbox, name, username, image, request, request_object, created_at, approved_at) VALUES \
            (?1, ?2, 'Name', ?3, '', ?4, ?5, '2026-01-02 03:04:05', '2026-01-02 03:04:05.5+00:00')";
        let row =
            params![person.id(), person.inbox(), person.handle(), request, follow.to_string().into_bytes()];
        self.open().execute(insert, row).unwrap();
    }

    /// Changes something.
    pub fn run(&self, statements: &str) {
        self.open().execute_batch(statements).unwrap();
    }

    /// The first column of a query.
    pub fn texts(&self, query: &str) -> Vec<String> {
        let database = self.open();
        let mut statement = database.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }
}
