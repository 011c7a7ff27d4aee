//! A file becomes the store: wholly, or nothing happens.
//!
//! The whole file is read and its checksum compared before anything is touched. Then everything is written into a folder
//! beside the store's own, made durable, and moved into place by one rename of the database; the pictures are there before,
//! under names of their own. A new store sends nothing until the operator says so: the machine that the file comes from
//! may still be at work.

use std::fs::{self, File};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::check::{Contents, check};
use super::line::Line;
use super::seal::{FileError, Reader};
use crate::config::keyfile::{self, KeyFileError};
use crate::decide::wishes;
use crate::media::freeze::{FOLDER as MEDIA, checked};
use crate::model::Draft;
use crate::store::{self, Disk, StoreError};

/// Folder of the database in that of the store.
const DATABASE: &str = "db";
/// Records in one batch.
const BATCH: usize = 4096;

/// Where a file goes.
#[derive(Clone, Debug)]
pub struct Place {
    /// Folder of the store.
    pub store: PathBuf,
    /// The file of the private key.
    pub key_file: PathBuf,
    /// Set aside what is there.
    pub replace: bool,
    /// Go on with the key that is there, though it is another than the file was made with.
    pub keep_key: bool,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What it holds.
    pub contents: Contents,
    /// Where the store is that was there before.
    pub set_aside: Option<PathBuf>,
    /// Where the key is that was there before.
    pub key_set_aside: Option<PathBuf>,
    /// There is a key for the agent to start with.
    pub has_key: bool,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is not taken.
    #[error(transparent)]
    File(#[from] FileError),
    /// Something is there already.
    #[error(
        "there is a store in {} already; --replace sets it aside, and nothing of it is lost", folder.display()
    )]
    NotEmpty {
        /// The store's folder.
        folder: PathBuf,
    },
    /// What was signed with the key that is there, nobody who followed would take.
    #[error(
        "{} holds another key than the one this backup was made with (SHA-256 {wanted}), and those who follow would take \
         nothing from it. Put the right one into its place first (owncast-herald key import FILE --force), or go on with the \
         one that is there if the key was changed since: --keep-key",
        path.display()
    )]
    UnfitKey {
        /// The file of the key.
        path: PathBuf,
        /// Fingerprint of the one that the file was made with.
        wanted: String,
    },
    /// A picture of which a part is missing, or that is none.
    #[error("the file is damaged: a picture in it is not whole; take another backup")]
    Picture,
    /// The new store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key cannot be put into its place.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The disk, or the permissions.
    #[error("cannot {doing} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImportError {
    let path = path.to_owned();
    move |cause| ImportError::Io { doing, path, cause }
}

/// Makes the store out of the file.
///
/// # Errors
/// Nothing has been changed then.
pub fn import(mut file: File, place: &Place, now: Timestamp) -> Result<Imported, ImportError> {
    let contents = check(BufReader::new(&file))?;
    file.seek(SeekFrom::Start(0)).map_err(FileError::from)?;
    let folder = &place.store;
    fs::create_dir_all(folder).map_err(failed("make the folder", folder))?;
    let _lock = store::lock(folder)?;
    let occupied = folder.join(DATABASE).try_exists().map_err(failed("look into", folder))?;
    if occupied && !place.replace {
        return Err(ImportError::NotEmpty { folder: folder.clone() });
    }
    let other_key = match &contents.key {
        Some(key) => keyfile::differs(&place.key_file, key)?,
        None => false,
    };
    if other_key && !place.replace {
        return Err(KeyFileError::AnotherKey { path: place.key_file.clone() }.into());
    }
    if let (None, Some(wanted), Some(there)) =
        (&contents.key, &contents.header.key_fingerprint, keyfile::fingerprint_in(&place.key_file))
        && there != *wanted
        && !place.keep_key
    {
        return Err(ImportError::UnfitKey { path: place.key_file.clone(), wanted: wanted.clone() });
    }
    let stamp = now.strftime("%Y%m%d-%H%M%S").to_string();
    let fresh = tempfile::Builder::new()
        .prefix(&format!("import-{stamp}-unfinished."))
        .tempdir_in(folder)
        .map_err(failed("make a folder in", folder))?;
    let sum = fill(BufReader::new(&file), fresh.path(), now)?;
    // The same bytes were read twice, or somebody has written into the file meanwhile.
    if sum != contents.sha256 {
        return Err(FileError::Checksum.into());
    }
    place_media(&fresh.path().join(MEDIA), &folder.join(MEDIA))?;
    let key_set_aside = if other_key { Some(keyfile::keep_copy(&place.key_file, &stamp)?) } else { None };
    if let Some(key) = &contents.key {
        keyfile::write(&place.key_file, key, other_key)?;
    }
    let (new, old) = (fresh.path().join(DATABASE), folder.join(DATABASE));
    exchange(&new, &old, occupied).map_err(failed("move the new store to", &old))?;
    sync(folder)?;
    let set_aside = if occupied { Some(keep(fresh, folder, &stamp)?) } else { None };
    let has_key = keyfile::read(&place.key_file).is_ok();
    Ok(Imported { contents, set_aside, key_set_aside, has_key })
}

/// Writes everything below `fresh`. Answers the checksum of what was read.
fn fill(from: BufReader<&File>, fresh: &Path, now: Timestamp) -> Result<String, ImportError> {
    let media = fresh.join(MEDIA);
    fs::create_dir(&media).map_err(failed("make the folder", &media))?;
    let disk = Disk::open(fresh)?;
    let mut reader = Reader::open(from)?;
    let (mut batch, mut picture, mut sum) = (Vec::new(), None::<Picture>, String::new());
    while let Some(line) = reader.line()? {
        match line {
            Line::Put { key, value, .. } => batch.push((key, Some(value))),
            Line::Gone { key } => batch.push((key, None)),
            Line::Media { name, offset, size, data } => {
                let mut open = match picture.take() {
                    Some(open) => open,
                    None => Picture::begin(&media, name.clone(), size)?,
                };
                open.add(&name, offset, &data)?;
                picture = open.unless_whole()?;
            }
            Line::End { sha256, .. } => sum = sha256,
            Line::Key(_) | Line::Header(_) => {}
        }
        if batch.len() >= BATCH {
            disk.apply(std::mem::take(&mut batch))?;
        }
    }
    if picture.is_some() {
        return Err(ImportError::Picture);
    }
    disk.apply(batch)?;
    let mut draft = Draft::new(&disk);
    wishes::restore(&mut draft, now);
    disk.apply(draft.into_changes().into_writes())?;
    drop(disk);
    sync(&fresh.join(DATABASE))?;
    sync(&media)?;
    Ok(sum)
}

/// A picture that is being written.
struct Picture {
    name: String,
    size: u64,
    written: u64,
    file: File,
    path: PathBuf,
}

impl Picture {
    fn begin(folder: &Path, name: String, size: u64) -> Result<Picture, ImportError> {
        if checked(&name).is_none() {
            return Err(ImportError::Picture);
        }
        let path = folder.join(&name);
        let file = File::create_new(&path).map_err(failed("write", &path))?;
        Ok(Picture { name, size, written: 0, file, path })
    }

    fn add(&mut self, name: &str, offset: u64, data: &[u8]) -> Result<(), ImportError> {
        self.written += data.len() as u64;
        if name != self.name || offset + data.len() as u64 != self.written || self.written > self.size {
            return Err(ImportError::Picture);
        }
        self.file.write_all(data).map_err(failed("write", &self.path))
    }

    fn unless_whole(self) -> Result<Option<Picture>, ImportError> {
        if self.written < self.size {
            return Ok(Some(self));
        }
        self.file.sync_all().map_err(failed("write", &self.path))?;
        Ok(None)
    }
}

/// Puts the pictures beside those that are there. Two of one name are one picture.
fn place_media(from: &Path, to: &Path) -> Result<(), ImportError> {
    fs::create_dir_all(to).map_err(failed("make the folder", to))?;
    for entry in fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        let target = to.join(entry.file_name());
        fs::rename(entry.path(), &target).map_err(failed("write", &target))?;
    }
    sync(to)
}

/// Moves the new database to its place; an old one is at the new one's place afterwards. There is always one of them.
fn exchange(new: &Path, old: &Path, occupied: bool) -> io::Result<()> {
    if !occupied {
        return fs::rename(new, old);
    }
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // A file system that cannot exchange two folders at once.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            let aside = new.with_extension("old");
            fs::rename(old, &aside)?;
            fs::rename(new, old).or_else(|cause| fs::rename(&aside, old).and(Err(cause)))?;
            fs::rename(&aside, new)
        }
        Err(cause) => Err(cause.into()),
    }
}

/// Keeps what was there before.
fn keep(fresh: tempfile::TempDir, folder: &Path, stamp: &str) -> Result<PathBuf, ImportError> {
    let from = fresh.keep();
    let to = folder.join(format!("replaced-{stamp}"));
    // Only the database is worth keeping: the pictures have stayed where they are.
    let _ = fs::remove_dir(from.join(MEDIA));
    fs::rename(&from, &to).map_err(failed("rename", &from))?;
    sync(folder)?;
    Ok(to)
}

/// What was renamed in a folder is durable only with it.
fn sync(folder: &Path) -> Result<(), ImportError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder))
}
