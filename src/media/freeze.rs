//! The folder of frozen pictures. A name never changes its bytes, so that they may be cached for ever.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::describe::{Described, MediaType};
use super::recognise::Hash;
use crate::model::post::{Picture, Shows};

/// Folder inside the store.
pub const FOLDER: &str = "media";
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
    /// The picture read last: after a post thousands of servers want the same one at once.
    newest: Arc<Mutex<Option<(String, Bytes)>>>,
}

impl Shelf {
    /// Opens `<store>/media`, makes it if need be, and removes what a crash left unfinished.
    ///
    /// # Errors
    /// [`ShelfError`] when the folder cannot be made or read.
    pub fn open(store: &Path) -> Result<Shelf, ShelfError> {
        let folder = store.join(FOLDER);
        fs::create_dir_all(&folder).map_err(failed("make the folder", &folder))?;
        for entry in fs::read_dir(&folder).map_err(failed("read the folder", &folder))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                let path = entry.path();
                fs::remove_file(&path).map_err(failed("remove the unfinished file", &path))?;
            }
        }
        Ok(Shelf { folder, newest: Arc::default() })
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
        Ok(Frozen {
            name,
            media_type: picture.media_type.as_str().to_owned(),
            width: picture.width,
            height: picture.height,
            blurhash: picture.blurhash.clone(),
            bytes_len: picture.bytes.len() as u64,
        })
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

    /// Reads a picture by its name; `None` when the name is not one of ours or nothing is kept under it.
    ///
    /// # Errors
    /// [`ShelfError`] when the disk fails.
    pub fn read(&self, name: &str) -> Result<Option<(Bytes, MediaType)>, ShelfError> {
        let Some(media_type) = checked(name) else { return Ok(None) };
        let path = self.folder.join(name);
        // Held while the disk is asked: who comes at the same time waits for the same bytes.
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = newest.as_ref().filter(|(kept, _)| kept == name) {
            return Ok(Some((bytes.clone(), media_type)));
        }
        match fs::read(&path) {
            Ok(bytes) => {
                let bytes = Bytes::from(bytes);
                *newest = Some((name.to_owned(), bytes.clone()));
                Ok(Some((bytes, media_type)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
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
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).take_if(|(kept, _)| kept == name);
        match fs::remove_file(&path) {
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
        let (bytes, media_type) = again.read(&frozen.name).unwrap().unwrap();
        assert_eq!((bytes.len() as u64, media_type), (frozen.bytes_len, MediaType::Jpeg));
        assert_eq!(again.read(&frozen.name).unwrap().unwrap().0, bytes);
        assert!(again.remove(&frozen.name).unwrap());
        assert!(!again.remove(&frozen.name).unwrap() && !again.holds(&frozen.name));
        assert!(again.read(&frozen.name).unwrap().is_none());
    }

    #[test]
    fn a_damaged_copy_is_written_again() {
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(store.path()).unwrap();
        let frozen = shelf.freeze(&picture(), Naming::Content).unwrap();
        fs::write(store.path().join("media").join(&frozen.name), b"cut").unwrap();
        shelf.freeze(&picture(), Naming::Content).unwrap();
        assert_eq!(shelf.read(&frozen.name).unwrap().unwrap().0, picture().bytes);
    }

    #[test]
    fn private_names_say_nothing_about_the_picture() {
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(store.path()).unwrap();
        let frozen = shelf.freeze(&picture(), Naming::Unguessable([7; 32])).unwrap();
        assert_eq!(frozen.name, format!("{}.jpg", "07".repeat(32)));
        assert!(shelf.read(&frozen.name).unwrap().is_some());
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
            assert!(shelf.read(name).unwrap().is_none() && !shelf.remove(name).unwrap(), "{name:?}");
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
