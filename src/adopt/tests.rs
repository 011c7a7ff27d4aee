//! With the database of a real Owncast, recorded while it ran.

mod whole;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use super::*;

const NO_PAUSE: Duration = Duration::from_millis(60);

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/adopt").join(name)
}

/// A data folder with these files of the recording.
fn data_dir(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::copy(fixture(name), folder.path().join(name)).unwrap();
    }
    folder
}

/// A data folder whose database was made by these statements.
fn made_by(statements: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let database = Connection::open(folder.path().join("owncast.db")).unwrap();
    database.execute_batch(statements).unwrap();
    folder
}

fn gob_hex(text: &str) -> String {
    let number = |n: usize| if n < 128 { format!("{n:02x}") } else { format!("fe{n:04x}") };
    let text_hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let body = format!("0c00{}{text_hex}", number(text.len()));
    format!("x'{}{body}'", number(body.len() / 2))
}

fn with_rows(rows: &[(&str, String)]) -> tempfile::TempDir {
    let mut statements = "CREATE TABLE datastore (\"key\" string PRIMARY KEY, \"value\" BLOB);
        CREATE TABLE config (\"key\" string PRIMARY KEY, \"value\" TEXT);
        INSERT INTO config VALUES ('version', '9');"
        .to_owned();
    for (key, value) in rows {
        statements.push_str(&format!("INSERT INTO datastore VALUES ('{key}', {value});"));
    }
    made_by(&statements)
}

fn key_pair(bits: u32) -> (String, String) {
    let rsa = openssl::rsa::Rsa::generate(bits).unwrap();
    let text = |pem: Vec<u8>| String::from_utf8(pem).unwrap();
    (text(rsa.private_key_to_pem().unwrap()), text(rsa.public_key_to_pem().unwrap()))
}

/// Every file with its bytes, time and inode.
fn state(folder: &Path) -> Vec<(PathBuf, Vec<u8>, i64, i64, u64)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let metadata = path.metadata().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes, metadata.mtime(), metadata.mtime_nsec(), metadata.ino())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_recorded_identity_is_read_and_its_files_stay_as_they_were() {
    let folder = data_dir(&["owncast.db", "owncast.db-wal"]);
    let before = state(folder.path());
    let identity = read_identity(folder.path()).unwrap();
    assert_eq!(identity.server_url.as_deref(), Some("https://live.example"));
    assert_eq!(identity.username, "streamer");
    assert!(identity.private_key_pem.expose().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    assert!(identity.public_key_pem.starts_with("-----BEGIN PUBLIC KEY-----"));
    assert_eq!(identity.warnings, Vec::<String>::new());
    assert_eq!(state(folder.path()), before, "not a byte, time or file of the data folder has changed");
    assert!(!format!("{identity:?}").contains("PRIVATE"), "the private key is not printed");
}

#[test]
fn a_folder_that_cannot_be_written_is_enough() {
    let folder = data_dir(&["owncast.db", "owncast.db-wal"]);
    let only_read = std::fs::Permissions::from_mode(0o500);
    std::fs::set_permissions(folder.path(), only_read).unwrap();
    assert!(read_identity(folder.path()).is_ok());
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn most_of_it_is_in_the_wal_and_a_missing_one_is_said() {
    let private = |folder: &Path| {
        let copy = copy::take(folder).unwrap();
        let count = "SELECT count(*) FROM datastore WHERE key = 'federation_private'";
        open(&copy).unwrap().query_row(count, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let (whole, alone) = (data_dir(&["owncast.db", "owncast.db-wal"]), data_dir(&["owncast.db"]));
    assert_eq!((private(whole.path()), private(alone.path())), (1, 0));
    let warnings = read_identity(alone.path()).unwrap().warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("owncast.db-wal"), "{warnings:?}");
}

#[test]
fn a_link_is_followed_to_the_wal_beside_the_real_file() {
    let real = data_dir(&["owncast.db", "owncast.db-wal"]);
    let linked = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(real.path().join("owncast.db"), linked.path().join("owncast.db")).unwrap();
    assert_eq!(read_identity(linked.path()).unwrap().warnings, Vec::<String>::new());
}

#[test]
fn a_copy_is_taken_again_when_the_source_changed_meanwhile() {
    let folder = data_dir(&["owncast.db", "owncast.db-wal"]);
    let wal = folder.path().join("owncast.db-wal");
    let whole = std::fs::read(&wal).unwrap();
    std::fs::write(&wal, &whole[..whole.len() / 2]).unwrap();
    let mut copies = 0;
    let copy = copy::take_with(folder.path(), NO_PAUSE, &mut || {
        copies += 1;
        if copies == 1 {
            std::fs::write(&wal, &whole).unwrap();
        }
    });
    let copy = copy.unwrap();
    assert!(copies >= 2);
    assert_eq!(std::fs::read(copy.database().with_extension("db-wal")).unwrap(), whole);
}

#[test]
fn a_source_that_never_rests_is_given_up() {
    let folder = data_dir(&["owncast.db", "owncast.db-wal"]);
    let wal = folder.path().join("owncast.db-wal");
    let mut bytes = std::fs::read(&wal).unwrap();
    let error = copy::take_with(folder.path(), Duration::ZERO, &mut || {
        bytes.push(0);
        std::fs::write(&wal, &bytes).unwrap();
    });
    assert!(matches!(error.unwrap_err(), AdoptError::Changing { tries: 6, .. }));
}

#[test]
fn the_copy_is_private_and_gone_afterwards() {
    let folder = data_dir(&["owncast.db", "owncast.db-wal"]);
    let copy = copy::take(folder.path()).unwrap();
    let place = copy.database().parent().unwrap().to_owned();
    assert_eq!(place.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    drop(copy);
    assert!(!place.exists());
}

#[test]
fn folders_without_a_database_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let said = |dir: &Path| read_identity(dir).unwrap_err().to_string();
    let missing = folder.path().join("absent");
    assert!(matches!(read_identity(&missing), Err(AdoptError::FolderMissing { .. })));
    assert!(said(folder.path()).contains("-database"), "{}", said(folder.path()));
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::copy(fixture("owncast.db"), folder.path().join("data/owncast.db")).unwrap();
    let below = folder.path().join("data");
    assert!(
        said(folder.path()).contains(&format!("--data-dir {}", below.display())),
        "{}",
        said(folder.path())
    );
    let file = below.join("owncast.db");
    assert!(said(&file).contains("name the folder"), "{}", said(&file));
}

#[test]
fn files_that_are_no_databases_are_refused() {
    let whole = std::fs::read(fixture("owncast.db")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("owncast.db");
    for bytes in [&b""[..], b"SQLite", b"not a database, but long enough to be one"] {
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(read_identity(folder.path()), Err(AdoptError::NotSqlite { .. })));
    }
    let mut scrambled = whole.clone();
    scrambled[4096..].fill(0xa5);
    for bytes in [&whole[..whole.len() / 3], &scrambled] {
        std::fs::write(&path, bytes).unwrap();
        let error = read_identity(folder.path()).unwrap_err();
        assert!(matches!(error, AdoptError::Broken { .. }), "{error}");
    }
}

#[test]
fn foreign_and_newer_databases_are_told_apart() {
    let foreign = made_by("CREATE TABLE notes (text TEXT);");
    assert!(matches!(read_identity(foreign.path()), Err(AdoptError::NotOwncast { .. })));
    let newer = read_identity(with_rows(&[]).path()).unwrap_err();
    assert!(matches!(newer, AdoptError::NoKey { key: "private_key", .. }));
    assert!(newer.to_string().contains("schema version 9"), "{newer}");
    let other_form = with_rows(&[("private_key", "'-----BEGIN'".to_owned())]);
    let error = read_identity(other_form.path()).unwrap_err();
    assert!(matches!(error, AdoptError::UnreadableValue { key: "private_key", .. }));
    assert!(!error.to_string().contains("BEGIN"), "{error}");
    let bool_form = with_rows(&[("private_key", "x'03020001'".to_owned())]);
    let error = read_identity(bool_form.path()).unwrap_err();
    assert!(matches!(error, AdoptError::UnreadableValue { .. }));
}

#[test]
fn keys_must_be_strong_and_a_pair() {
    let (private, public) = key_pair(2048);
    let (_, other) = key_pair(2048);
    let (weak, weak_public) = key_pair(1024);
    let read = |private: &str, public: &str| {
        let folder = with_rows(&[("private_key", gob_hex(private)), ("public_key", gob_hex(public))]);
        read_identity(folder.path())
    };
    assert!(matches!(read(&private, &other), Err(AdoptError::KeysDiffer)));
    assert!(matches!(read(&private, "no key"), Err(AdoptError::KeysDiffer)));
    assert!(matches!(read(&weak, &weak_public), Err(AdoptError::BadKey(_))));
    assert!(matches!(read("no key", &public), Err(AdoptError::BadKey(_))));
    assert!(matches!(read("", &public), Err(AdoptError::NoKey { .. })));
    let identity = read(&private, &public).unwrap();
    assert_eq!((identity.username.as_str(), identity.server_url), (DEFAULT_USERNAME, None));
    assert_eq!(identity.private_key_pem.expose(), private);
}

#[test]
fn an_empty_username_is_owncasts_default() {
    let (private, public) = key_pair(2048);
    let rows = [
        ("private_key", gob_hex(&private)),
        ("public_key", gob_hex(&public)),
        ("federation_username", gob_hex("")),
        ("server_url", gob_hex("https://übung.example")),
    ];
    let identity = read_identity(with_rows(&rows).path()).unwrap();
    assert_eq!(identity.username, "streamer");
    assert_eq!(identity.server_url.as_deref(), Some("https://übung.example"));
}

#[test]
fn copies_that_killed_processes_left_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    let make = |name: &str, modified| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("owncast.db"), "a key").unwrap();
        let open = std::fs::File::open(&path).unwrap();
        open.set_modified(modified).unwrap();
        (path, open)
    };
    let (left, _) = make("owncast-herald-adopt.left", old);
    let (young, _) = make("owncast-herald-adopt.young", std::time::SystemTime::now());
    let (used, open) = make("owncast-herald-adopt.used", old);
    rustix::fs::flock(&open, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (other, _) = make("another.left", old);
    let link = folder.path().join("owncast-herald-adopt.link");
    std::os::unix::fs::symlink(&other, &link).unwrap();
    let (named, _) = make("owncast-herald-adopt.named", old);
    let source = std::fs::canonicalize(named.join("owncast.db")).unwrap();
    copy::sweep(folder.path(), &source);
    assert!(!left.exists());
    for stays in [young, used, other.join("owncast.db"), link, source] {
        assert!(stays.exists(), "{}", stays.display());
    }
}
