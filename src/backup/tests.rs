//! Out and in again, and everything that is refused.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use ulid::Ulid;

use super::*;
use crate::config::{Secret, keyfile};
use crate::media::freeze::FOLDER as MEDIA;
use crate::media::recognise::Hash;
use crate::model::facts::Identity;
use crate::model::post::{Audience, Post};
use crate::model::record::{encode, full_key, kind};
use crate::model::view::Meta;
use crate::model::wishes::Wishes;
use crate::model::{Addresses, Changes, Draft, View};
use crate::owncast::footprint::Footprint;
use crate::owncast::provision::Provisioned;
use crate::store::{Disk, Store, StoreError};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn picture(digit: char) -> String {
    format!("{}.jpg", String::from(digit).repeat(64))
}

/// A store with something of every sort.
async fn filled(folder: &Path) -> Store {
    let store = Store::open(folder).unwrap();
    let footprint = Footprint {
        path: "secret-path".to_owned(),
        secret: "secret-secret".to_owned(),
        provisioned: Provisioned { token_fingerprint: Some("f".to_owned()), ..Provisioned::default() },
    };
    let identity = Identity {
        addresses: Some(Addresses::new("https://live.example", "ana")),
        published: Some(NOW),
        taken_message: None,
    };
    let fill = move |_: &dyn View| {
        let mut changes = Changes::none();
        for kind in (0..=u8::MAX).filter(|kind| *kind != kind::META) {
            changes.put_raw(
                kind,
                b"https://peer.example/\xc3\xbc",
                b"{\"v\":1,\"b\":1,\"a\":[2.5]}".to_vec(),
            );
            changes.put_raw(kind, &[0, 255, kind], vec![kind, 0]);
        }
        changes.put_meta(&footprint);
        changes.put_meta(&identity);
        (changes, ())
    };
    store.commit(fill).await.unwrap();
    let media = folder.join(MEDIA);
    std::fs::create_dir_all(&media).unwrap();
    std::fs::write(media.join(picture('a')), vec![7; 500_000]).unwrap();
    std::fs::write(media.join(picture('b')), b"").unwrap();
    std::fs::write(media.join(".unfinished-x"), b"no picture").unwrap();
    store
}

fn post(id: u128, audience: Audience, picture: &str) -> Post {
    let id = Ulid(id);
    serde_json::from_value(serde_json::json!({
        "id": id, "session": Ulid::nil(), "published": NOW, "updated": null, "content": "", "live_content": "",
        "template": "", "tags": [], "title": "", "sensitive": false, "audience": audience, "alt": "", "state": "ended",
        "over": null, "create": Ulid::nil(), "last": null, "edits": 0, "likes": 0, "shares": 0,
        "picture": {
            "name": picture, "media_type": "image/jpeg", "width": 1, "height": 1, "blurhash": null, "shows": "still",
        },
    }))
    .unwrap()
}

async fn exported(store: &Store, folder: &Path, key: Option<Secret>) -> Vec<u8> {
    let keys = Keys { private: key, ..Keys::of(&folder.join("actor-key.pem"), None) };
    let mut exporter = Exporter::new(store.clone(), folder, keys, NOW).await.unwrap();
    let mut file = Vec::new();
    while let Some(block) = exporter.next().await.unwrap() {
        file.extend(block);
    }
    file
}

fn on_disk(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file
}

fn place(folder: &Path, replace: bool) -> Place {
    Place { store: folder.to_owned(), key_file: folder.join("actor-key.pem"), replace, keep_key: false }
}

fn everything(view: &dyn View) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut all = BTreeMap::new();
    view.scan_bytes(&[], &[], &mut |key, value| {
        all.insert(key.to_vec(), value.to_vec());
        true
    });
    all
}

/// Everything below the folder but the lock, by its path, with its bytes where it is a file.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(tree(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else if name != "lock" {
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
    found
}

fn key() -> Secret {
    let key = openssl::rsa::Rsa::generate(2048).unwrap().private_key_to_pem().unwrap();
    Secret::new(String::from_utf8(key).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_out_comes_in_but_for_the_secrets() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = filled(from.path()).await;
    let file = exported(&store, from.path(), None).await;
    let text = String::from_utf8(file.clone()).unwrap();
    assert!(!text.contains("secret-") && !text.contains("PRIVATE KEY"), "{text}");
    let contents = check(Cursor::new(&file)).unwrap();
    assert_eq!(contents.header.actor.as_deref(), Some("https://live.example/federation/user/ana"));
    let counts = &contents.counts;
    assert_eq!((counts.of("follower"), counts.of("notice"), counts.media, counts.with_key), (2, 0, 2, false));

    let imported = import(on_disk(&file), &place(to.path(), false), NOW).unwrap();
    assert_eq!(imported.contents, contents);
    assert!(imported.set_aside.is_none() && !imported.has_key);
    let mut want = store.read(everything).await.unwrap();
    let restored = Store::open(to.path()).unwrap();
    let found = restored.read(everything).await.unwrap();
    want.retain(|key, _| key[0] != kind::NOTICE);
    let footprint: Footprint = restored.read(|view| view.meta()).await.unwrap();
    assert_eq!((footprint.path.as_str(), footprint.secret.as_str()), ("", ""));
    assert_eq!(
        footprint.provisioned.token_fingerprint.as_deref(),
        Some("f"),
        "what stands in Owncast is known"
    );
    want.insert(full_key(kind::META, Footprint::NAME.as_bytes()), encode(&footprint));
    let held = Wishes { restored: Some(NOW), ..Wishes::default() };
    want.insert(full_key(kind::META, Wishes::NAME.as_bytes()), encode(&held));
    assert!(found == want, "every other record is the same, byte for byte");
    let mut pictures = tree(&to.path().join(MEDIA));
    assert_eq!(pictures.remove(&picture('a')), Some(vec![7; 500_000]));
    assert_eq!(pictures, BTreeMap::from([(picture('b'), Vec::new())]));
    let left: Vec<String> = tree(to.path()).into_keys().filter(|name| name.contains("unfinished")).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_beside_a_busy_writer_is_that_of_one_moment() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(from.path()).unwrap();
    let name = |number: u32| full_key(b'z', &number.to_be_bytes());
    // One batch after the other writes the same round into records at both ends of what is walked over.
    let round = move |round: u32| {
        move |_: &dyn View| {
            let mut writes: Vec<_> =
                (0..50).map(|number| (name(number * 100), Some(round.to_string().into_bytes()))).collect();
            // One that comes and goes.
            writes.push((name(2501), round.is_multiple_of(2).then(|| b"here".to_vec())));
            (Changes::of(writes), ())
        }
    };
    let many = (0..5000).map(|number| (name(number), Some(vec![b'x'; 400]))).collect();
    store.commit(move |_| (Changes::of(many), ())).await.unwrap();
    store.commit(round(0)).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (busy, ended) = (store.clone(), Arc::clone(&stop));
    let writer = tokio::spawn(async move {
        let mut rounds = 1;
        while !ended.load(Ordering::Relaxed) {
            busy.commit(round(rounds)).await.unwrap();
            rounds += 1;
        }
        rounds
    });
    let mut exporter = Exporter::new(store.clone(), from.path(), Keys::default(), NOW).await.unwrap();
    let (mut file, mut blocks) = (Vec::new(), 0);
    while let Some(block) = exporter.next().await.unwrap() {
        file.extend(block);
        blocks += 1;
        // Something is written between any two blocks.
        store.commit(|_| (Changes::of(vec![(b"y".to_vec(), Some(b"1".to_vec()))]), ())).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 2 && blocks > 5, "{blocks}");
    assert!(check(Cursor::new(&file)).unwrap().counts.changes > 50);
    import(on_disk(&file), &place(to.path(), false), NOW).unwrap();
    let disk = Disk::open(to.path()).unwrap();
    let rounds: Vec<Vec<u8>> = (0..50).map(|number| disk.get_bytes(&name(number * 100)).unwrap()).collect();
    assert!(rounds.iter().all(|round| *round == rounds[0]), "{rounds:?}");
    let even = String::from_utf8(rounds[0].clone()).unwrap().parse::<u32>().unwrap() % 2 == 0;
    assert_eq!(disk.get_bytes(&name(2501)), even.then(|| b"here".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_whole_or_not_ours_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path()).await;
    let good = exported(&store, folder.path(), None).await;
    let text = String::from_utf8(good.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without = |left_out: usize| {
        let kept = lines.iter().enumerate().filter(|(number, _)| *number != left_out);
        kept.map(|(_, line)| format!("{line}\n")).collect::<String>().into_bytes()
    };
    let last = lines.len() - 1;
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing at all", Vec::new(), "no export"),
        ("another file", b"Account address,Show boosts\n".to_vec(), "no export"),
        ("another program's JSON", b"{\"type\":\"Person\"}\n".to_vec(), "no export"),
        ("a database", [0; 4096].to_vec(), "no export"),
        ("a newer form", text.replacen("\"format\":1", "\"format\":2", 1).into_bytes(), "newer"),
        ("a newer form that says less", b"{\"owncast-herald\":\"export\",\"format\":2}\n".to_vec(), "newer"),
        ("newer records", text.replacen("\"schema\":1", "\"schema\":2", 1).into_bytes(), "newer"),
        ("no footer", without(last), "cut off"),
        ("cut in the footer", good[..good.len() - 20].to_vec(), "cut off"),
        ("its last byte missing", good[..good.len() - 1].to_vec(), "cut off"),
        ("cut in the middle of a line", good[..good.len() / 2].to_vec(), "cut off"),
        ("a line missing", without(5), "checksum"),
        ("another word", text.replacen("peer.example", "pear.example", 1).into_bytes(), "checksum"),
        ("no line", text.replacen("{\"record\"", "\"record\"", 1).into_bytes(), "line 2"),
        (
            "a kind of later",
            text.replacen("\"record\":\"follower\"", "\"record\":\"fan\"", 1).into_bytes(),
            "kind",
        ),
        ("more behind the end", [&good[..], b"\n"].concat(), "behind its end"),
        ("twice", [&good[..], &good[..]].concat(), "behind its end"),
    ];
    let target = tempfile::tempdir().unwrap();
    drop(filled(target.path()).await);
    wait_until_free(target.path()).await;
    let before = tree(target.path());
    for (what, bytes, words) in table {
        assert_ne!(bytes, good, "{what}");
        for replace in [false, true] {
            let error = import(on_disk(&bytes), &place(target.path(), replace), NOW).unwrap_err().to_string();
            assert!(error.contains(words), "{what}: {error}");
        }
        assert!(tree(target.path()) == before, "{what} has changed something");
    }
}

/// A store that was dropped lets go of its folder a moment later.
async fn wait_until_free(folder: &Path) {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || drop(crate::store::lock(&folder).unwrap())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_is_not_whole_is_refused() {
    let header = Line::Header(Header::new(crate::store::SCHEMA, NOW));
    let part = |name: &str, offset, size, bytes: usize| Line::Media {
        name: name.to_owned(),
        offset,
        size,
        data: vec![1; bytes],
    };
    for lines in [
        vec![part(&picture('a'), 0, 9, 5)],
        vec![part(&picture('a'), 0, 9, 5), part(&picture('a'), 6, 9, 3)],
        vec![part(&picture('a'), 0, 9, 5), part(&picture('b'), 5, 9, 4)],
        vec![part(&picture('a'), 0, 9, 10)],
        vec![part("../../etc/passwd", 0, 1, 1)],
        vec![part("actor-key.pem", 0, 1, 1)],
    ] {
        let (mut sealer, mut file) = (Sealer::default(), Vec::new());
        for line in [header.clone()].iter().chain(&lines) {
            let bytes = line.to_bytes();
            sealer.add(line, &bytes);
            file.extend(bytes);
        }
        file.extend(sealer.seal().to_bytes());
        let folder = tempfile::tempdir().unwrap();
        let error = import(on_disk(&file), &place(folder.path(), false), NOW).unwrap_err();
        assert!(matches!(error, ImportError::Picture), "{lines:?}: {error}");
        assert_eq!(tree(folder.path()), BTreeMap::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_kept_or_set_aside() {
    let from = tempfile::tempdir().unwrap();
    let store = filled(from.path()).await;
    let (mine, theirs) = (key(), key());
    let file = exported(&store, from.path(), Some(theirs.clone())).await;
    let contents = check(BufReader::new(on_disk(&file))).unwrap();
    assert_eq!((contents.key.as_ref(), contents.counts.with_key), (Some(&theirs), true));

    let to = tempfile::tempdir().unwrap();
    let there = Store::open(to.path()).unwrap();
    let mark = |view: &dyn View| {
        let mut draft = Draft::new(view);
        draft.put_raw(b'z', b"mark", vec![1]);
        let token_fingerprint = Some("made by the agent that was here".to_owned());
        draft.put_meta(&Footprint {
            path: "path".to_owned(),
            secret: "secret".to_owned(),
            provisioned: Provisioned { token_fingerprint, ..Provisioned::default() },
        });
        (draft.into_changes(), ())
    };
    there.commit(mark).await.unwrap();
    let busy = import(on_disk(&file), &place(to.path(), true), NOW).unwrap_err();
    assert!(matches!(busy, ImportError::Store(StoreError::Locked { .. })), "{busy}");
    drop(there);
    wait_until_free(to.path()).await;

    let error = import(on_disk(&file), &place(to.path(), false), NOW).unwrap_err();
    assert!(
        matches!(error, ImportError::NotEmpty { .. }) && error.to_string().contains("--replace"),
        "{error}"
    );
    let key_file = to.path().join("actor-key.pem");
    keyfile::write(&key_file, &mine, false).unwrap();
    keyfile::write(&keyfile::next_file(&key_file), &key(), false).unwrap();
    let imported = import(on_disk(&file), &place(to.path(), true), NOW).unwrap();
    assert!(imported.has_key && imported.registered && !imported.lacks_next_key);
    assert!(!keyfile::next_file(&key_file).exists(), "it was to follow another key");
    assert!(imported.next_key_set_aside.is_some_and(|aside| keyfile::read(&aside).is_ok()));
    assert_eq!(keyfile::read(&key_file).unwrap().pem, theirs);
    assert_eq!(keyfile::read(&imported.key_set_aside.unwrap()).unwrap().pem, mine);
    let old = Disk::open(&imported.set_aside.unwrap()).unwrap();
    assert_eq!(old.get_bytes(b"zmark"), Some(vec![1]));
    let new = Disk::open(to.path()).unwrap();
    assert_eq!((new.get_bytes(b"zmark"), new.get_bytes(&[b'F', 0, 255, b'F']).is_some()), (None, true));
    let footprint: Footprint = (&new as &dyn View).meta();
    assert_eq!(footprint.path, "path", "what stands in Owncast is that of the agent that was here");
    drop(new);

    // Another key is a reason to refuse by itself.
    let other = tempfile::tempdir().unwrap();
    keyfile::write(&other.path().join("actor-key.pem"), &mine, false).unwrap();
    let error = import(on_disk(&file), &place(other.path(), false), NOW).unwrap_err();
    assert!(matches!(error, ImportError::Key(_)), "{error}");
    assert_eq!(tree(other.path()).len(), 1, "only the key that was there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_fails_half_way_is_taken_back_and_one_that_was_killed_is_noticed() {
    let from = tempfile::tempdir().unwrap();
    let store = filled(from.path()).await;
    let file = exported(&store, from.path(), Some(key())).await;
    let to = tempfile::tempdir().unwrap();
    drop(filled(to.path()).await);
    wait_until_free(to.path()).await;
    let before = tree(to.path());
    // The key is written last, and here it cannot be.
    let unwritable = Place { key_file: to.path().join("no/such/folder.pem"), ..place(to.path(), true) };
    let error = import(on_disk(&file), &unwritable, NOW).unwrap_err();
    assert!(matches!(error, ImportError::Key(_)), "{error}");
    assert!(tree(to.path()) == before, "{:?}", tree(to.path()).keys());
    let empty = tempfile::tempdir().unwrap();
    let unwritable =
        Place { key_file: empty.path().join("no/such/folder.pem"), ..place(empty.path(), false) };
    assert!(import(on_disk(&file), &unwritable, NOW).is_err());
    let left = tree(empty.path()).into_keys().filter(|name| !name.starts_with(MEDIA));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());

    // What a kill leaves behind between the first rename and the last.
    std::fs::write(to.path().join(crate::store::HALF_IMPORTED), "").unwrap();
    std::fs::create_dir(to.path().join("import-19700101-000000-unfinished.x")).unwrap();
    let error = Store::open(to.path()).unwrap_err();
    assert!(error.to_string().contains("import --replace FILE"), "{error}");
    import(on_disk(&file), &place(to.path(), true), NOW).unwrap();
    drop(Disk::open(to.path()).unwrap());
    let folders = std::fs::read_dir(to.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = folders.filter(|name| name.to_string_lossy().contains("unfinished")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn two_folders_change_places_where_that_takes_three_steps() {
    let folder = tempfile::tempdir().unwrap();
    let (new, old) = (folder.path().join("beside"), folder.path().join("db"));
    std::fs::create_dir(&new).unwrap();
    std::fs::write(new.join("new"), "").unwrap();
    assert!(super::import::in_steps(&new, &old).is_err(), "there is no old one");
    assert!(new.join("new").exists(), "taken back");
    std::fs::create_dir(&old).unwrap();
    std::fs::write(old.join("old"), "").unwrap();
    super::import::in_steps(&new, &old).unwrap();
    assert_eq!(tree(folder.path()).into_keys().collect::<Vec<_>>(), ["beside/old", "db/new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_nobody_who_follows_knows_is_refused() {
    let from = tempfile::tempdir().unwrap();
    let store = filled(from.path()).await;
    let (mine, other, next) = (key(), key(), key());
    keyfile::write(&from.path().join("actor-key.pem"), &mine, false).unwrap();
    keyfile::write(&from.path().join("actor-key.pem.next"), &next, false).unwrap();
    let file = exported(&store, from.path(), None).await;
    let header = check(Cursor::new(&file)).unwrap().header;
    assert_eq!(header.key_fingerprint, keyfile::fingerprint(&mine).ok());

    let to = tempfile::tempdir().unwrap();
    let key_file = to.path().join("actor-key.pem");
    // As an agent has made it that was started before.
    keyfile::write(&key_file, &other, false).unwrap();
    for replace in [false, true] {
        let error = import(on_disk(&file), &place(to.path(), replace), NOW).unwrap_err();
        assert!(matches!(error, ImportError::UnfitKey { .. }), "{error}");
        assert!(error.to_string().contains(header.key_fingerprint.as_deref().unwrap()), "{error}");
    }
    assert_eq!(tree(to.path()).len(), 1, "only the key that was there");
    let kept = Place { keep_key: true, ..place(to.path(), false) };
    let imported = import(on_disk(&file), &kept, NOW).unwrap();
    assert!(imported.has_key && imported.lacks_next_key);
    assert_eq!(keyfile::read(&key_file).unwrap().pem, other);
    keyfile::write(&key_file, &mine, true).unwrap();
    keyfile::write(&keyfile::next_file(&key_file), &next, false).unwrap();
    let later = NOW.checked_add(std::time::Duration::from_secs(1)).unwrap();
    let imported = import(on_disk(&file), &place(to.path(), true), later).unwrap();
    assert!(imported.has_key && !imported.lacks_next_key && imported.next_key_set_aside.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_pictures_of_one_name_the_sound_one_stays() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = filled(from.path()).await;
    let (here, there): (&[u8], &[u8]) = (b"sound here", b"sound there");
    std::fs::create_dir(to.path().join(MEDIA)).unwrap();
    for (sound, in_file, on_disk) in [(here, &b"damaged"[..], here), (there, there, &b"damaged"[..])] {
        let name = format!("{MEDIA}/{}.jpg", Hash::of(sound));
        std::fs::write(from.path().join(&name), in_file).unwrap();
        std::fs::write(to.path().join(&name), on_disk).unwrap();
    }
    let file = exported(&store, from.path(), None).await;
    let imported = import(on_disk(&file), &place(to.path(), false), NOW).unwrap();
    for sound in [here, there] {
        let name = format!("{MEDIA}/{}.jpg", Hash::of(sound));
        assert_eq!(std::fs::read(to.path().join(name)).unwrap(), sound);
    }
    assert_eq!(imported.damaged_pictures, 0, "no post shows them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_was_damaged_before_is_left_out_and_told() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = filled(from.path()).await;
    let [sound, damaged] = [Hash::of(b"sound"), Hash::of(b"whole")].map(|hash| format!("{hash}.jpg"));
    // Its name tells nothing of its bytes.
    let private = picture('a');
    let posts = [
        post(1, Audience::Public, &sound),
        post(2, Audience::Public, &damaged),
        post(3, Audience::Followers, &private),
    ];
    store
        .commit(move |_| {
            let mut changes = Changes::none();
            posts.iter().for_each(|post| changes.put(post));
            (changes, ())
        })
        .await
        .unwrap();
    let media = from.path().join(MEDIA);
    std::fs::write(media.join(&sound), "sound").unwrap();
    std::fs::write(media.join(&damaged), "wh0le").unwrap();
    let file = exported(&store, from.path(), None).await;
    let imported = import(on_disk(&file), &place(to.path(), false), NOW).unwrap();
    assert_eq!(imported.damaged_pictures, 1);
    let there = |name: &str| to.path().join(MEDIA).join(name).exists();
    assert!(there(&sound) && there(&private) && !there(&damaged));
}
