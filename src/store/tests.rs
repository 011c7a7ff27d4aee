use std::path::Path;

use super::*;
use crate::model::record::{full_key, kind};

fn put(name: &str, value: u8) -> Changes {
    let mut changes = Changes::none();
    changes.put_raw(kind::META, name.as_bytes(), vec![value]);
    changes
}

fn value(view: &dyn View, name: &str) -> Option<u8> {
    view.get_bytes(&full_key(kind::META, name.as_bytes())).and_then(|bytes| bytes.first().copied())
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_decisions_lose_no_update() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut tasks = Vec::new();
    for _ in 0..200 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            store.commit(|view| (put("n", value(view, "n").unwrap_or(0) + 1), ())).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.read(|view| value(view, "n")).await.unwrap(), Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn scan_sees_the_group_above_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let raw = |name: &str, value: Option<u8>| (full_key(b'z', name.as_bytes()), value.map(|v| vec![v]));
    disk.apply(vec![raw("a", Some(1)), raw("b", Some(2)), raw("d", Some(4)), raw("f", Some(6))]).unwrap();
    let mut draft = crate::model::Draft::new(&disk);
    let mut changes = Changes::none();
    changes.put_raw(b'z', b"c", vec![3]);
    changes.put_raw(b'z', b"b", vec![20]);
    changes.delete_raw(b'z', b"d");
    changes.put_raw(b'{', b"other kind", vec![9]);
    changes.put_raw(b'z', b"g", vec![7]);
    draft.add(changes);
    let mut seen = Vec::new();
    draft.scan_bytes(b"z", b"z", &mut |key, value| {
        seen.push((String::from_utf8_lossy(&key[1..]).into_owned(), value[0]));
        true
    });
    let want = [("a", 1), ("b", 20), ("c", 3), ("f", 6), ("g", 7)];
    assert_eq!(seen, want.map(|(k, v)| (k.to_owned(), v)));
}

/// What a kill at this moment would leave, opened.
fn killed(folder: &Path) -> (tempfile::TempDir, Disk) {
    let left = tempfile::tempdir().unwrap();
    // What is large stands in files of its own.
    for part in ["db", "db/blobs"] {
        std::fs::create_dir(left.path().join(part)).unwrap();
        for entry in std::fs::read_dir(folder.join(part)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), left.path().join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    let disk = Disk::open(left.path()).unwrap();
    (left, disk)
}

#[test]
fn what_was_applied_outlives_a_kill_however_large_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let key = |name: &str| full_key(b'z', name.as_bytes());
    // Small ones, one that no journal holds, and enough to fill the journal more than once.
    for (round, size) in
        [(0u8, 10), (1, 5 << 20), (2, 10), (3, 1 << 20), (4, 1 << 20), (5, 3 << 20), (6, 3 << 20), (7, 10)]
    {
        let new = (key(&format!("only {round}")), Some(vec![round; size]));
        let gone = (key(&format!("only {}", round.wrapping_sub(2))), None);
        disk.apply(vec![(key("last"), Some(vec![round])), new, gone]).unwrap();
        let (_left, killed) = killed(folder.path());
        assert_eq!(killed.get_bytes(&key("last")), Some(vec![round]));
        for old in 0..=round {
            let there = killed.get_bytes(&key(&format!("only {old}"))).is_some();
            assert_eq!(there, old + 2 > round, "{old} after {round}");
        }
    }
    drop(disk);
    let disk = Disk::open(folder.path()).unwrap();
    assert_eq!(disk.get_bytes(&key("last")), Some(vec![7]));
}

#[test]
fn what_is_asked_for_in_vain_is_found_when_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let key = full_key(kind::BLOCK, b"dpeer.example\no");
    for _ in 0..2 {
        let disk = Disk::open(folder.path()).unwrap();
        assert_eq!(disk.get_bytes(&key), None);
        disk.apply(vec![(key.clone(), Some(vec![1]))]).unwrap();
        assert_eq!(disk.get_bytes(&key), Some(vec![1]));
        drop(disk);
        let disk = Disk::open(folder.path()).unwrap();
        assert_eq!(disk.get_bytes(&key), Some(vec![1]), "after a start");
        disk.apply(vec![(key.clone(), None)]).unwrap();
        assert_eq!(disk.get_bytes(&key), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_who_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let _held = Store::open(folder.path()).unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
}

/// What is kept by [`Store::written`] is never older than what somebody has seen: also not while the disk is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_stands_for_one_state_from_the_moment_it_can_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let watched = store.clone();
    let watching = std::thread::spawn(move || {
        let mut states = std::collections::BTreeMap::new();
        let mut seen = 0;
        while seen < 50 {
            let before = watched.written();
            seen = watched.look(|view| value(view, "n")).unwrap().unwrap_or(0);
            let after = watched.written();
            if let Some(number) = before.filter(|_| before == after) {
                assert_eq!(
                    *states.entry(number).or_insert(seen),
                    seen,
                    "two states with the number {number}"
                );
            }
        }
    });
    for n in 1..=50 {
        store.commit(move |_| (put("n", n), ())).await.unwrap();
    }
    watching.join().unwrap();
}

#[test]
fn half_written_snapshots_do_not_close_the_store() {
    let folder = tempfile::tempdir().unwrap();
    drop(Disk::open(folder.path()).unwrap());
    let leftover = folder.path().join("db").join("snap.0000000000FFFFFF.generating");
    std::fs::write(&leftover, b"half").unwrap();
    drop(Disk::open(folder.path()).unwrap());
    assert!(!leftover.exists());
}

#[test]
fn a_later_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    disk.apply(vec![(full_key(kind::META, b"schema"), Some(9u32.to_be_bytes().to_vec()))]).unwrap();
    drop(disk);
    let error = Disk::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9, .. }), "{error}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = Store::open(&file.join("store")).unwrap_err();
    assert!(error.to_string().contains("cannot be used"), "{error}");
}

#[test]
fn a_folder_that_is_a_file_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    std::fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let said = Store::open(&path).unwrap_err().to_string();
        assert!(said.contains("a file stands there") && !said.contains("writable"), "{said}");
    }
}
