//! The folder an export is written into, and a file in it that has no name before it is whole.
//!
//! Root may write into a folder of somebody else, who may put another one into its place at any moment: so the folder is
//! opened once, and everything is done below what was opened.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, linkat, mkdirat, openat, renameat, renameat_with, statat,
    unlinkat,
};
use rustix::io::Errno;

use crate::config::keyfile;
use crate::random;

/// Where a file of this process is found by its number.
const OPEN_FILES: &str = "/proc/self/fd";

/// An open folder.
pub(super) struct Folder {
    open: File,
    pub(super) path: PathBuf,
}

impl Folder {
    /// That of a file, with the file's name in it.
    pub(super) fn of(file: &Path) -> io::Result<(Folder, OsString)> {
        let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let above = file.parent().filter(|above| !above.as_os_str().is_empty());
        Ok((Folder::open(above.unwrap_or(Path::new(".")))?, name.to_owned()))
    }

    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        let open = openat(CWD, path, folder_flags(), Mode::empty())?;
        Ok(Folder { open: open.into(), path: path.to_owned() })
    }

    /// Makes it if it is not there, for its owner alone: that of the folder around it, if that is one of the `heirs`.
    pub(super) fn open_or_make(path: &Path, heirs: &[u32]) -> io::Result<Folder> {
        match Folder::open(path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let (above, name) = Folder::of(path)?;
        mkdirat(&above.open, name.as_os_str(), Mode::RWXU)?;
        // A link that was put there meanwhile is not followed.
        let flags = folder_flags() | OFlags::NOFOLLOW;
        let open = File::from(openat(&above.open, name.as_os_str(), flags, Mode::empty())?);
        keyfile::hand_over(&open, &above.open.metadata()?, Some(heirs))?;
        Ok(Folder { open, path: path.to_owned() })
    }

    pub(super) fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn has(&self, name: &OsStr) -> bool {
        statat(&self.open, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.open)? {
            names.push(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned());
        }
        Ok(names)
    }

    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.open, name, AtFlags::empty())?)
    }

    /// A new file that only its owner may read: that of the folder, if it is one of the `heirs`.
    pub(super) fn unfinished(&self, heirs: &[u32]) -> io::Result<Unfinished<'_>> {
        let nameless = Path::new(OPEN_FILES).exists().then(|| self.create(OsStr::new("."), OFlags::TMPFILE));
        let (file, name) = match nameless {
            Some(Ok(file)) => (file, None),
            // A file system that knows no files without a name.
            None | Some(Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL)) => {
                let name = temporary();
                (self.create(&name, OFlags::CREATE | OFlags::EXCL)?, Some(name))
            }
            Some(Err(cause)) => return Err(cause.into()),
        };
        let unfinished = Unfinished { file, folder: self, name };
        keyfile::hand_over(&unfinished.file, &self.open.metadata()?, Some(heirs))?;
        Ok(unfinished)
    }

    fn create(&self, name: &OsStr, how: OFlags) -> Result<File, Errno> {
        let flags = how | OFlags::RDWR | OFlags::CLOEXEC;
        openat(&self.open, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

fn temporary() -> OsString {
    format!(".owncast-herald-export.{}", random::hex::<8>()).into()
}

/// A file that is gone unless it is given its name, whatever ends this process.
pub(super) struct Unfinished<'a> {
    pub(super) file: File,
    folder: &'a Folder,
    /// What it is called meanwhile, where it has to be called something.
    name: Option<OsString>,
}

impl Unfinished<'_> {
    /// Gives it its name; another file of that name is replaced only by `force`.
    pub(super) fn place(mut self, name: &OsStr, force: bool) -> io::Result<()> {
        let open = &self.folder.open;
        if self.name.is_none() {
            // Only a file that has a name can be put into the place of another.
            let temporary = temporary();
            let number = format!("{OPEN_FILES}/{}", self.file.as_raw_fd());
            linkat(CWD, number.as_str(), open, temporary.as_os_str(), AtFlags::SYMLINK_FOLLOW)?;
            self.name = Some(temporary);
        }
        let temporary = self.name.clone().unwrap_or_default();
        let moved = match force {
            true => renameat(open, temporary.as_os_str(), open, name),
            false => renameat_with(open, temporary.as_os_str(), open, name, RenameFlags::NOREPLACE),
        };
        match moved {
            Ok(()) => self.name = None,
            // A file system that cannot look and rename at once. The other name goes with this value.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if !force => {
                linkat(open, temporary.as_os_str(), open, name, AtFlags::empty())?;
            }
            Err(cause) => return Err(cause.into()),
        }
        open.sync_all()
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = self.folder.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let (folder, name) = Folder::of(&place.path().join("a.jsonl")).unwrap();
        let written = |text: &str| {
            let mut unfinished = folder.unfinished(&[]).unwrap();
            unfinished.file.write_all(text.as_bytes()).unwrap();
            unfinished
        };
        drop(written("never named"));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        written("one").place(&name, false).unwrap();
        let there = written("two").place(&name, false).unwrap_err();
        assert_eq!(there.kind(), io::ErrorKind::AlreadyExists);
        let read = || std::fs::read_to_string(place.path().join("a.jsonl")).unwrap();
        assert_eq!((read().as_str(), folder.has(&name)), ("one", true));
        written("three").place(&name, true).unwrap();
        assert_eq!((read().as_str(), std::fs::read_dir(place.path()).unwrap().count()), ("three", 1));
        let mode = std::fs::metadata(place.path().join("a.jsonl")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn root_gives_what_it_writes_to_nobody_but_an_heir_and_follows_no_link() {
        const NOBODY: u32 = 65_534;
        let place = tempfile::tempdir().unwrap();
        if std::fs::metadata(place.path()).unwrap().uid() != 0 {
            // Only root can give anything away.
            return;
        }
        chown(place.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        let owner = |name: &str| std::fs::symlink_metadata(place.path().join(name)).unwrap().uid();
        for (name, heirs, want) in [("kept", Vec::new(), 0), ("given", vec![NOBODY], NOBODY)] {
            Folder::open_or_make(&place.path().join(name), &heirs).unwrap();
            assert_eq!(owner(name), want);
            let (folder, _) = Folder::of(&place.path().join("file")).unwrap();
            folder.unfinished(&heirs).unwrap().place(OsStr::new("file"), true).unwrap();
            assert_eq!(owner("file"), want);
        }
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path().join("not-yet"), place.path().join("link")).unwrap();
        assert!(Folder::open_or_make(&place.path().join("link"), &[NOBODY]).is_err());
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
