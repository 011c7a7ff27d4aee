//! A file becomes the store: wholly, or nothing happens.
//!
//! The whole file is read and its checksum compared before anything is touched. Then everything is written into a folder
//! inside the store's own and made durable. Pictures come first, under names of their own; then the two databases change
//! places in one step, and the key is written last, so that no old store ever finds a new key. A mark stands in the store's
//! folder from before that step until after the last: whoever finds it opens nothing ([`crate::store::Disk::open`]). A new
//! store sends nothing until the operator says so: the machine that the file comes from may still be at work.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::check::{Contents, check};
use super::line::Line;
use super::seal::{FileError, Reader};
use crate::config::here;
use crate::config::keyfile::{self, KeyFileError};
use crate::decide::wishes;
use crate::media::freeze::{FOLDER as MEDIA, checked};
use crate::media::recognise::Hash;
use crate::model::post::{Audience, Post};
use crate::model::{Draft, View};
use crate::owncast::footprint::Footprint;
use crate::owncast::provision::Provisioned;
use crate::store::{self, Disk, StoreError};

/// Folder of the database in that of the store.
const DATABASE: &str = "db";
/// How the names of folders begin and go on in which a store is being filled.
const UNFINISHED: (&str, &str) = ("import-", "-unfinished.");
/// Records in one batch, and their bytes.
const BATCH: (usize, usize) = (4096, 4 * 1024 * 1024);

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
    /// Where a next key is that was there before, and followed another key.
    pub next_key_set_aside: Option<PathBuf>,
    /// There is a key for the agent to start with.
    pub has_key: bool,
    /// A change of keys was under way when the file was made, and the next key is not here.
    pub lacks_next_key: bool,
    /// What the store that was there before has made in Owncast is known to the new one.
    pub registered: bool,
    /// So many pictures were damaged on their disk before the file was made, and were left out.
    pub damaged_pictures: usize,
}

/// Why a file did not become the store.
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
         nothing from it. Put the right one into its place first ({}), or go on with the one that is there if the key was \
         changed since: --keep-key",
        path.display(),
        here().typed("key import FILE --force")
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
    /// The new store is in its place and the rest is not, and it could not be taken back.
    #[error(
        "the import was broken off half way: {cause}. Do it again with --replace: what was there before is kept in {}",
        folder.display()
    )]
    Torn {
        /// The store's folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
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

impl ImportError {
    /// Exit code after sysexits.h: 74 if the disk failed, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            ImportError::Store(error) => error.exit_code(),
            ImportError::File(FileError::Io(cause))
            | ImportError::Key(KeyFileError::Io { source: cause, .. })
            | ImportError::Io { cause, .. }
            | ImportError::Torn { cause, .. } => store::exit_code_of(cause),
            _ => 1,
        }
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImportError {
    let path = path.to_owned();
    move |cause| ImportError::Io { doing, path, cause }
}

/// Makes the store out of the file.
///
/// # Errors
/// Nothing has been changed then, but for [`ImportError::Torn`], and for pictures that no record names.
pub fn import(mut file: File, place: &Place, now: Timestamp) -> Result<Imported, ImportError> {
    let contents = check(BufReader::new(&file))?;
    file.seek(SeekFrom::Start(0)).map_err(FileError::from)?;
    let folder = &place.store;
    fs::create_dir_all(folder).map_err(failed("make the folder", folder))?;
    let lock = store::lock(folder)?;
    let occupied = folder.join(DATABASE).try_exists().map_err(failed("look into", folder))?;
    if occupied && !place.replace {
        return Err(ImportError::NotEmpty { folder: folder.clone() });
    }
    let other_key = takes_another_key(&contents, place)?;
    let stamp = now.strftime("%Y%m%d-%H%M%S").to_string();
    sweep(folder)?;
    let fresh = tempfile::Builder::new()
        .prefix(&format!("{}{stamp}{}", UNFINISHED.0, UNFINISHED.1))
        .tempdir_in(folder)
        .map_err(failed("make a folder in", folder))?;
    let (sum, damaged_pictures) = fill(BufReader::new(&file), fresh.path(), now)?;
    // The same bytes were read twice, or somebody has written into the file meanwhile.
    if sum != contents.sha256 {
        return Err(FileError::Checksum.into());
    }
    place_media(&fresh.path().join(MEDIA), &folder.join(MEDIA))?;
    let key_set_aside = if other_key { Some(keyfile::keep_copy(&place.key_file, &stamp)?) } else { None };
    let (set_aside, next_key_set_aside) = install(fresh, place, &contents, occupied, other_key, &stamp)?;
    drop(lock);
    let has_key = keyfile::read(&place.key_file).is_ok();
    let next = keyfile::fingerprint_in(&keyfile::next_file(&place.key_file));
    let wanted = &contents.header.next_key_fingerprint;
    let lacks_next_key = wanted.is_some() && next != *wanted;
    // Last of all: what was there may be damaged, which may be why it was replaced.
    let registered = set_aside.as_ref().is_none_or(|old| take_registration_over(old, folder).is_ok());
    Ok(Imported {
        contents,
        set_aside,
        key_set_aside,
        next_key_set_aside,
        has_key,
        lacks_next_key,
        registered,
        damaged_pictures,
    })
}

/// Whether the key in the file takes the place of another one; refuses what would lose one, or the followers.
fn takes_another_key(contents: &Contents, place: &Place) -> Result<bool, ImportError> {
    let path = &place.key_file;
    if let Some(key) = &contents.key {
        let other = keyfile::differs(path, key)?;
        if other && !place.replace {
            return Err(KeyFileError::AnotherKey { path: path.clone() }.into());
        }
        return Ok(other);
    }
    match (&contents.header.key_fingerprint, keyfile::fingerprint_in(path)) {
        (Some(wanted), Some(there)) if there != *wanted && !place.keep_key => {
            Err(ImportError::UnfitKey { path: path.clone(), wanted: wanted.clone() })
        }
        _ => Ok(false),
    }
}

/// Removes what an earlier import left behind that was broken off: it holds nothing that its file does not hold.
fn sweep(folder: &Path) -> Result<(), ImportError> {
    for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
        let entry = entry.map_err(failed("read", folder))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(UNFINISHED.0) && name.contains(UNFINISHED.1) {
            fs::remove_dir_all(entry.path()).map_err(failed("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Puts the new store and then the key into their places; what fails is taken back. Answers where the old store is, and
/// a next key that was set aside.
fn install(
    fresh: tempfile::TempDir,
    place: &Place,
    contents: &Contents,
    occupied: bool,
    other_key: bool,
    stamp: &str,
) -> Result<(Option<PathBuf>, Option<PathBuf>), ImportError> {
    let folder = &place.store;
    let aside = folder.join(format!("replaced-{stamp}"));
    // Once the databases have changed places, the old one lies in this folder: it must be none that removes itself.
    let (beside, _removed_at_the_end) = if occupied {
        let _ = fs::remove_dir(fresh.path().join(MEDIA));
        fs::rename(fresh.path(), &aside).map_err(failed("rename", fresh.path()))?;
        drop(fresh.keep());
        (aside.clone(), None)
    } else {
        (fresh.path().to_owned(), Some(fresh))
    };
    let mark = folder.join(store::HALF_IMPORTED);
    let marked = File::create(&mark).and_then(|file| file.sync_all()).map_err(failed("write", &mark));
    let marked = marked.and_then(|()| sync(folder));
    let placed =
        marked.and_then(|()| swap(&beside, occupied, place, || place_key(place, contents, other_key, stamp)));
    if !matches!(placed, Err(ImportError::Torn { .. })) {
        if placed.is_err() && occupied {
            // The new store, which nobody has opened.
            let _ = fs::remove_dir_all(&aside);
        }
        let removed = fs::remove_file(&mark).and_then(|()| File::open(folder)?.sync_all());
        if let Err(cause) = removed
            && cause.kind() != io::ErrorKind::NotFound
        {
            return Err(ImportError::Torn { folder: folder.clone(), cause });
        }
    }
    placed.map(|next| (occupied.then_some(aside), next))
}

/// Moves the new store to its place and does the rest, or takes it back.
fn swap<R>(
    beside: &Path,
    occupied: bool,
    place: &Place,
    rest: impl FnOnce() -> Result<R, ImportError>,
) -> Result<R, ImportError> {
    let torn = |cause| ImportError::Torn { folder: place.store.clone(), cause };
    let (new, old) = (beside.join(DATABASE), place.store.join(DATABASE));
    if let Err(cause) = exchange(&new, &old, occupied) {
        let as_before = old.exists() == occupied;
        return Err(if as_before { failed("move the new store to", &old)(cause) } else { torn(cause) });
    }
    let durable = sync(&place.store).and_then(|()| if occupied { sync(beside) } else { Ok(()) });
    let done = durable.and_then(|()| rest());
    if done.is_err() {
        let back = if occupied { exchange(&new, &old, true) } else { fs::rename(&old, &new) };
        back.and_then(|()| File::open(&place.store)?.sync_all()).map_err(torn)?;
    }
    done
}

/// Writes the key, if there is one in the file. Answers where a next key is now that belongs to another.
fn place_key(
    place: &Place,
    contents: &Contents,
    other_key: bool,
    stamp: &str,
) -> Result<Option<PathBuf>, ImportError> {
    let path = &place.key_file;
    let next_file = keyfile::next_file(path);
    let stays = !other_key && keyfile::read(path).is_ok();
    let next = keyfile::fingerprint_in(&next_file);
    let known = next.is_some() && next == contents.header.next_key_fingerprint;
    let aside = if stays || known { None } else { keyfile::set_next_aside(path, stamp)? };
    if let Some(key) = &contents.key
        && let Err(error) = keyfile::write(path, key, other_key)
    {
        if let Some(aside) = &aside {
            let _ = fs::rename(aside, &next_file);
        }
        return Err(error.into());
    }
    Ok(aside)
}

/// What the store that was there before has made in Owncast stands there still, and is taken for another agent's by one that
/// does not know of it. What the file tells of is older, or gone.
fn take_registration_over(from: &Path, to: &Path) -> Result<(), StoreError> {
    let disk = Disk::open(from)?;
    let before: Footprint = (&disk as &dyn View).meta();
    if let Some(fault) = disk.fault() {
        return Err(StoreError::Disk(fault));
    }
    let Provisioned { webhook, token_fingerprint, .. } = &before.provisioned;
    if webhook.is_none() && token_fingerprint.is_none() {
        return Ok(());
    }
    let disk = Disk::open(to)?;
    let mut draft = Draft::new(&disk);
    draft.put_meta(&before);
    disk.apply(draft.into_changes().into_writes())
}

/// Writes everything below `fresh`. Answers the checksum of what was read, and how many pictures were left out.
fn fill(from: BufReader<&File>, fresh: &Path, now: Timestamp) -> Result<(String, usize), ImportError> {
    let media = fresh.join(MEDIA);
    fs::create_dir(&media).map_err(failed("make the folder", &media))?;
    let disk = Disk::open(fresh)?;
    let mut reader = Reader::open(from)?;
    let (mut batch, mut bytes, mut picture, mut sum) = (Vec::new(), 0, None::<Picture>, String::new());
    while let Some(line) = reader.line()? {
        match line {
            Line::Put { key, value, .. } => {
                bytes += key.len() + value.len();
                batch.push((key, Some(value)));
            }
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
        if batch.len() >= BATCH.0 || bytes >= BATCH.1 {
            disk.apply(std::mem::take(&mut batch))?;
            bytes = 0;
        }
    }
    if picture.is_some() {
        return Err(ImportError::Picture);
    }
    disk.apply(batch)?;
    let mut draft = Draft::new(&disk);
    wishes::restore(&mut draft, now);
    disk.apply(draft.into_changes().into_writes())?;
    let damaged = leave_damaged_out(&disk, &media)?;
    drop(disk);
    sync(&fresh.join(DATABASE))?;
    sync(&media)?;
    Ok((sum, damaged))
}

/// Removes pictures of public posts that are no longer what they are called: who sees them sees nothing, and the same picture,
/// taken once more, would be thought to be there.
fn leave_damaged_out(view: &dyn View, media: &Path) -> Result<usize, ImportError> {
    let mut shown = BTreeSet::new();
    view.scan::<Post>(b"", &mut |post| {
        let public = post.audience == Audience::Public;
        shown.extend(post.picture.filter(|_| public).map(|picture| picture.name));
        true
    });
    let paths = shown.iter().filter(|name| checked(name).is_some()).map(|name| media.join(name));
    let mut damaged = 0;
    for path in paths.filter(|path| path.exists() && !is_what_it_is_called(path)) {
        fs::remove_file(&path).map_err(failed("remove", &path))?;
        damaged += 1;
    }
    Ok(damaged)
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

/// Puts the pictures beside those that are there. Two of one name are one picture, and where their bytes differ, one of them
/// was damaged on its disk: the one stays whose name is the hash of its bytes.
fn place_media(from: &Path, to: &Path) -> Result<(), ImportError> {
    fs::create_dir_all(to).map_err(failed("make the folder", to))?;
    for entry in fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if is_what_it_is_called(&target) && !is_what_it_is_called(&source) {
            fs::remove_file(&source).map_err(failed("remove", &source))?;
            continue;
        }
        fs::rename(&source, &target).map_err(failed("write", &target))?;
    }
    sync(to)
}

/// Whether a picture is there and its name is the hash of its bytes. That of a post to followers only has another name.
fn is_what_it_is_called(path: &Path) -> bool {
    let bytes = fs::read(path).ok();
    bytes.is_some_and(|bytes| {
        path.file_stem().is_some_and(|stem| stem == Hash::of(&bytes).to_string().as_str())
    })
}

/// Moves the new database to its place; an old one is at the new one's place afterwards.
fn exchange(new: &Path, old: &Path, occupied: bool) -> io::Result<()> {
    if !occupied {
        return fs::rename(new, old);
    }
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // A file system that cannot exchange two folders at once.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            in_steps(new, old)
        }
        Err(cause) => Err(cause.into()),
    }
}

/// As one exchange, in three renames: each that fails takes those before it back.
pub(super) fn in_steps(new: &Path, old: &Path) -> io::Result<()> {
    let waiting = new.with_extension("new");
    fs::rename(new, &waiting)?;
    let moved = fs::rename(old, new)
        .and_then(|()| fs::rename(&waiting, old).or_else(|cause| fs::rename(new, old).and(Err(cause))));
    moved.or_else(|cause| fs::rename(&waiting, new).and(Err(cause)))
}

/// What was renamed in a folder is durable only with it.
fn sync(folder: &Path) -> Result<(), ImportError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder))
}
