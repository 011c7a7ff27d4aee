//! The folder of frozen pictures. A name never changes its bytes, so that they may be cached for ever.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::describe::{Described, MediaType};
use super::recognise::Hash;
use crate::model::post::{Picture, Shows};

/// Folder inside the store.
pub const FOLDER: &str = "media";
/// Pictures lent at once besides those kept last; of half a megabyte each as a rule, and of some more at most.
const LENT: usize = 12;
/// So many of those kept last are always lent: the logo and the pictures of the last posts, which everybody wants.
const LAST: usize = 4;
/// Start of the names of files being written; one left behind by a crash is swept when the shelf is opened.
const UNFINISHED: &str = ".unfinished-";

/// A kept picture, as posts and actor refer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// File name: 64 hex digits and an ending; the last part of its public address.
    pub name: String,
    /// `image/jpeg`, `image/png` or `image/gif`.
    pub media_type: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// 4×3 components.
    pub blurhash: String,
    /// Size of the file, bytes.
    pub bytes_len: u64,
}

impl Frozen {
    /// As posts and actor refer to it.
    pub fn into_picture(self, shows: Shows) -> Picture {
        let Frozen { name, media_type, width, height, blurhash, .. } = self;
        Picture { name, media_type, width, height, blurhash: Some(blurhash), shows }
    }
}

/// How a picture is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// By the SHA-256 of its bytes: the same picture is kept once.
    Content,
    /// By 32 random bytes, for posts to followers only: who has seen the picture elsewhere must not be able to
    /// ask whether it was posted.
    Unguessable([u8; 32]),
}

/// A failure of the folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}; check the disk and the folder's permissions", path.display())]
pub struct ShelfError {
    /// What was attempted.
    pub doing: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// The folder of frozen pictures. Its calls block on the disk.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
    memory: Arc<Mutex<Memory>>,
}

/// Pictures in memory: one has it there once, however many are reading it and however slowly.
#[derive(Debug, Default)]
struct Memory {
    /// Names of those kept last.
    last: VecDeque<String>,
    /// The one of them read last: after a post thousands of servers want the same one at once.
    newest: Option<(String, Arc<[u8]>)>,
    lent: HashMap<String, Weak<[u8]>>,
}

impl Memory {
    fn get(&self, name: &str) -> Option<Arc<[u8]>> {
        let newest =
            self.newest.as_ref().filter(|(kept, _)| kept == name).map(|(_, bytes)| Arc::clone(bytes));
        newest.or_else(|| self.lent.get(name)?.upgrade())
    }

    /// Whether one that is not among those kept last may be read as well.
    fn has_room(&mut self) -> bool {
        self.lent.retain(|_, bytes| bytes.strong_count() > 0);
        self.lent.keys().filter(|name| !self.last.contains(name)).count() < LENT
    }

    fn keeps(&mut self, name: String) {
        self.last.retain(|known| *known != name);
        self.last.push_front(name);
        self.last.truncate(LAST);
    }
}

/// What came of asking for a picture.
#[derive(Debug)]
pub enum Found {
    /// It is this one.
    Picture(Bytes, MediaType),
    /// The name is not one of ours, or nothing is kept under it.
    Nothing,
    /// Too many different ones are being read already.
    Busy,
}

impl Shelf {
    /// Opens `<store>/media`, makes it if need be, and removes what a crash left unfinished.
    ///
    /// # Errors
    /// [`ShelfError`] when the folder cannot be made or read.
    pub fn open(store: &Path) -> Result<Shelf, ShelfError> {
        let folder = store.join(FOLDER);
        fs::create_dir_all(&folder).map_err(failed("make the folder", &folder))?;
        let mut kept = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed("read the folder", &folder))?.flatten() {
            if let Ok(modified) = entry.metadata().and_then(|file| file.modified()) {
                kept.push((modified, entry.file_name().to_string_lossy().into_owned()));
            }
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                let path = entry.path();
                fs::remove_file(&path).map_err(failed("remove the unfinished file", &path))?;
            }
        }
        kept.sort();
        let mut memory = Memory::default();
        kept.into_iter().filter(|(_, name)| checked(name).is_some()).for_each(|(_, name)| memory.keeps(name));
        Ok(Shelf { folder, memory: Arc::new(Mutex::new(memory)) })
    }

    /// Where a kept picture is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Keeps a picture; when this returns it survives a power cut.
    ///
    /// # Errors
    /// [`ShelfError`]; no half file is left under the name.
    pub fn freeze(&self, picture: &Described, naming: Naming) -> Result<Frozen, ShelfError> {
        let stem = match naming {
            Naming::Content => Hash::of(&picture.bytes),
            Naming::Unguessable(entropy) => Hash::from_entropy(entropy),
        };
        let name = format!("{stem}.{}", picture.media_type.extension());
        let path = self.folder.join(&name);
        let kept = naming == Naming::Content
            && fs::metadata(&path).is_ok_and(|file| file.len() == picture.bytes.len() as u64);
        if !kept {
            self.write(&path, &picture.bytes)?;
        }
        self.memory().keeps(name.clone());
        Ok(Frozen {
            name,
            media_type: picture.media_type.as_str().to_owned(),
            width: picture.width,
            height: picture.height,
            blurhash: picture.blurhash.clone(),
            bytes_len: picture.bytes.len() as u64,
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), ShelfError> {
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(&self.folder)
            .map_err(failed("write in", &self.folder))?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed("write", path))?;
        file.persist(path).map_err(|error| failed("write", path)(error.error))?;
        // The name itself is durable only with its folder.
        fs::File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed("write in", &self.folder))
    }

    /// Reads a picture by its name.
    ///
    /// # Errors
    /// [`ShelfError`] when the disk fails.
    pub fn read(&self, name: &str) -> Result<Found, ShelfError> {
        let Some(media_type) = checked(name) else { return Ok(Found::Nothing) };
        let path = self.folder.join(name);
        // Held while the disk is asked: who comes at the same time waits for the same bytes.
        let mut memory = self.memory();
        let is_last = memory.last.iter().any(|last| last == name);
        let bytes = match memory.get(name) {
            Some(bytes) => bytes,
            None if !is_last && !memory.has_room() => return Ok(Found::Busy),
            None => match fs::read(&path) {
                Ok(bytes) => Arc::from(bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
                Err(error) => return Err(failed("read", &path)(error)),
            },
        };
        memory.lent.insert(name.to_owned(), Arc::downgrade(&bytes));
        if is_last {
            memory.newest = Some((name.to_owned(), Arc::clone(&bytes)));
        }
        Ok(Found::Picture(Bytes::from_owner(bytes), media_type))
    }

    /// Whether a picture is kept under this name.
    pub fn holds(&self, name: &str) -> bool {
        checked(name).is_some() && self.folder.join(name).is_file()
    }

    /// Removes a picture; `false` when there was none. Pictures named by content may be shared: the caller
    /// knows whether another post shows it.
    ///
    /// # Errors
    /// [`ShelfError`] when the disk fails.
    pub fn remove(&self, name: &str) -> Result<bool, ShelfError> {
        if checked(name).is_none() {
            return Ok(false);
        }
        let path = self.folder.join(name);
        let mut memory = self.memory();
        memory.newest.take_if(|(kept, _)| kept == name);
        memory.lent.remove(name);
        // Under the lock: whoever reads it in between would keep it.
        let removed = fs::remove_file(&path);
        drop(memory);
        match removed {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("remove", &path)(error)),
        }
    }
}

/// The type of a name made by [`Shelf::freeze`]: 64 lower-case hex digits and a known ending, nothing else. It
/// comes from a stranger's request and becomes part of a path.
pub fn checked(name: &str) -> Option<MediaType> {
    let (stem, extension) = name.split_once('.')?;
    stem.parse::<Hash>().ok()?;
    MediaType::of_extension(extension)
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ShelfError {
    let path = path.to_owned();
    move |source| ShelfError { doing, path, source }
}

#[cfg(test)]
mod tests {
    use image::ImageFormat;

    use super::*;
    use crate::media::describe::{Budget, describe};
    use crate::media::testing::{encoded, gradient};

    fn read(shelf: &Shelf, name: &str) -> Option<(Bytes, MediaType)> {
        match shelf.read(name).unwrap() {
            Found::Picture(bytes, media_type) => Some((bytes, media_type)),
            Found::Nothing => None,
            Found::Busy => panic!("busy"),
        }
    }

    fn picture() -> Described {
        describe(&encoded(&gradient(64, 36), ImageFormat::Jpeg), Budget::POST).unwrap()
    }

    #[test]
    fn a_picture_is_kept_once_under_its_hash() {
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(store.path()).unwrap();
        let frozen = shelf.freeze(&picture(), Naming::Content).unwrap();
        assert_eq!(frozen.name, format!("{}.jpg", Hash::of(&picture().bytes)));
        assert_eq!((frozen.width, frozen.height, frozen.media_type.as_str()), (64, 36, "image/jpeg"));
        assert_eq!(shelf.freeze(&picture(), Naming::Content).unwrap(), frozen);
        assert_eq!(fs::read_dir(store.path().join("media")).unwrap().count(), 1);

        let again = Shelf::open(store.path()).unwrap();
        assert!(again.holds(&frozen.name));
        let (bytes, media_type) = read(&again, &frozen.name).unwrap();
        assert_eq!((bytes.len() as u64, media_type), (frozen.bytes_len, MediaType::Jpeg));
        assert_eq!(read(&again, &frozen.name).unwrap().0, bytes);
        assert!(again.remove(&frozen.name).unwrap());
        assert!(!again.remove(&frozen.name).unwrap() && !again.holds(&frozen.name));
        assert!(read(&again, &frozen.name).is_none());
    }

    #[test]
    fn readers_who_take_their_time_hold_a_few_pictures_and_each_once() {
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(store.path()).unwrap();
        let mut names = Vec::new();
        for number in 0..2 * LENT {
            let naming = Naming::Unguessable([u8::try_from(number).unwrap(); 32]);
            names.push(shelf.freeze(&picture(), naming).unwrap().name);
        }
        // As after a restart, when the names of those kept last are read from the folder.
        let shelf = Shelf::open(store.path()).unwrap();
        let last = shelf.memory().last.clone();
        assert_eq!(last.len(), LAST);
        let (mut held, mut refused) = (Vec::new(), 0);
        for name in names.iter().filter(|name| !last.contains(name)) {
            match shelf.read(name).unwrap() {
                Found::Picture(bytes, _) => held.push(bytes),
                Found::Nothing => panic!("{name} is gone"),
                Found::Busy => refused += 1,
            }
        }
        assert_eq!((held.len(), refused), (LENT, LENT - LAST));
        // Those that are held are had by any number of others, as the same bytes; and those kept last by everybody.
        let name = names.iter().find(|name| !last.contains(name)).unwrap();
        let again: Vec<Bytes> = (0..1000).map(|_| read(&shelf, name).unwrap().0).collect();
        assert!(again.iter().all(|bytes| bytes.as_ptr() == held[0].as_ptr()));
        let new = shelf.freeze(&picture(), Naming::Content).unwrap().name;
        assert!(last.iter().take(LAST - 1).chain([&new]).all(|name| read(&shelf, name).is_some()));
        drop((held, again));
        assert_eq!(names.iter().filter(|name| read(&shelf, name).is_some()).count(), names.len());
    }

    #[test]
    fn a_damaged_copy_is_written_again() {
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(store.path()).unwrap();
        let frozen = shelf.freeze(&picture(), Naming::Content).unwrap();
        fs::write(store.path().join("media").join(&frozen.name), b"cut").unwrap();
        shelf.freeze(&picture(), Naming::Content).unwrap();
        assert_eq!(read(&shelf, &frozen.name).unwrap().0, picture().bytes);
    }

    #[test]
    fn private_names_say_nothing_about_the_picture() {
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(store.path()).unwrap();
        let frozen = shelf.freeze(&picture(), Naming::Unguessable([7; 32])).unwrap();
        assert_eq!(frozen.name, format!("{}.jpg", "07".repeat(32)));
        assert!(read(&shelf, &frozen.name).is_some());
    }

    #[test]
    fn strange_names_never_reach_the_disk() {
        let hash = Hash::of(b"x").to_string();
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(store.path()).unwrap();
        fs::write(store.path().join("secret"), b"x").unwrap();
        for name in [
            "",
            ".",
            "../secret",
            "/etc/passwd",
            &hash,
            &format!("{hash}."),
            &format!("{hash}.svg"),
            &format!("{hash}.jpg.png"),
            &format!("{hash}.JPG"),
            &format!("{}.jpg", hash.to_uppercase()),
            &format!("../{hash}.jpg"),
            &format!("{hash}.jpg\0"),
            &format!("{hash}.jpg/"),
        ] {
            assert!(checked(name).is_none(), "{name:?}");
            assert!(read(&shelf, name).is_none() && !shelf.remove(name).unwrap(), "{name:?}");
        }
    }

    #[test]
    fn what_a_crash_left_unfinished_is_swept() {
        let store = tempfile::tempdir().unwrap();
        Shelf::open(store.path()).unwrap();
        let left = store.path().join("media").join(format!("{UNFINISHED}abc"));
        fs::write(&left, b"half").unwrap();
        Shelf::open(store.path()).unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn a_failing_disk_is_named() {
        let store = tempfile::tempdir().unwrap();
        let file = store.path().join("file");
        fs::write(&file, b"").unwrap();
        let text = Shelf::open(&file).unwrap_err().to_string();
        assert!(text.contains("file/media") && text.contains("check the disk"), "{text}");
    }
}
