//! Who has a file open: everybody's open files are looked through.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where the system tells.
pub(super) const PROC: &str = "/proc";

/// The system's own process namespace has this name (`PROC_PID_INIT_INO` of Linux); in any other one, processes are missing.
const ALL_PROCESSES: &str = "pid:[4026531836]";

/// What a look has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// A process that has one of the files open, with its name.
    pub(super) holder: Option<(u32, String)>,
    /// There was nobody who could not be looked into.
    pub(super) saw_all: bool,
}

/// Looks who but this process, `own`, has one of these files open, by device and inode. `proc` is [`PROC`].
pub(super) fn look(proc: &Path, own: u32, files: &[(u64, u64)]) -> Look {
    // The first process is hidden where others' are.
    let (mut saw_own, mut saw_first, mut unseen) = (false, false, false);
    for process in fs::read_dir(proc).into_iter().flatten().flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let open = match fs::read_dir(process.path().join("fd")) {
            Ok(open) => open,
            // It has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if error.raw_os_error() == Some(3) => continue,
            Err(_) => {
                unseen = true;
                continue;
            }
        };
        saw_own |= id == own;
        saw_first |= id == 1;
        let has = |entry: fs::DirEntry| {
            fs::metadata(entry.path()).is_ok_and(|file| files.contains(&(file.dev(), file.ino())))
        };
        if id != own && open.flatten().any(has) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Look { holder: Some((id, name.trim().to_owned())), saw_all: false };
        }
    }
    let namespace = fs::read_link(proc.join("self/ns/pid"));
    let everybody = namespace.is_ok_and(|namespace| namespace.as_os_str() == ALL_PROCESSES);
    Look { holder: None, saw_all: saw_own && saw_first && !unseen && everybody }
}

/// Whether a file lies in a container's layer, where the container sees it under another number.
pub(super) fn in_a_layer(file: &Path) -> bool {
    let parts: Vec<&str> = file.iter().filter_map(|part| part.to_str()).collect();
    parts.windows(3).any(|parts| match parts {
        [driver, _, "diff"] => matches!(*driver, "overlay2" | "overlay" | "fuse-overlayfs"),
        ["snapshots", _, "fs"] => true,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A stand-in for the system's folder: two processes, of whom the second is this one.
    fn system() -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        for process in ["1", "7", "self/ns"] {
            fs::create_dir_all(proc.path().join(process).join("fd")).unwrap();
        }
        symlink(ALL_PROCESSES, proc.path().join("self/ns/pid")).unwrap();
        proc
    }

    fn saw_all(change: impl FnOnce(&Path)) -> bool {
        let proc = system();
        change(proc.path());
        look(proc.path(), 7, &[]).saw_all
    }

    #[test]
    fn only_who_sees_everybody_can_tell_that_nobody_has_it() {
        assert!(saw_all(|_| {}));
        assert!(!saw_all(|proc| fs::remove_dir_all(proc).unwrap()), "no such folder");
        assert!(!saw_all(|proc| fs::remove_dir_all(proc.join("7")).unwrap()), "of another namespace");
        assert!(!saw_all(|proc| fs::remove_dir_all(proc.join("1")).unwrap()), "others are hidden");
        assert!(!saw_all(|proc| fs::remove_file(proc.join("self/ns/pid")).unwrap()));
        assert!(!saw_all(|proc| {
            fs::remove_file(proc.join("self/ns/pid")).unwrap();
            symlink("pid:[4026532761]", proc.join("self/ns/pid")).unwrap();
        }));
        assert!(
            !saw_all(|proc| {
                fs::create_dir(proc.join("9")).unwrap();
                fs::write(proc.join("9/fd"), "").unwrap();
            }),
            "somebody who cannot be looked into"
        );
    }

    #[test]
    fn whoever_has_a_file_open_is_named() {
        let proc = system();
        let file = proc.path().join("owncast.db");
        fs::write(&file, "").unwrap();
        let metadata = file.metadata().unwrap();
        symlink(&file, proc.path().join("7/fd/3")).unwrap();
        let files = [(metadata.dev(), metadata.ino())];
        assert_eq!(look(proc.path(), 7, &files), Look { holder: None, saw_all: true }, "this process itself");
        symlink(&file, proc.path().join("1/fd/12")).unwrap();
        fs::write(proc.path().join("1/comm"), "owncast\n").unwrap();
        assert_eq!(look(proc.path(), 7, &files).holder, Some((1, "owncast".to_owned())));
    }

    #[test]
    fn layers_of_containers_are_known() {
        for (path, layer) in [
            ("/var/lib/docker/overlay2/3f2a/diff/app/data/owncast.db", true),
            ("/var/lib/containers/storage/overlay/3f2a/diff/app/data/owncast.db", true),
            (
                "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/31/fs/app/data/owncast.db",
                true,
            ),
            ("/var/lib/docker/overlay2/3f2a/merged/app/data/owncast.db", false),
            ("/var/lib/docker/volumes/owncast/_data/owncast.db", false),
            ("/home/streamer/diff/owncast.db", false),
        ] {
            assert_eq!(in_a_layer(Path::new(path)), layer, "{path}");
        }
    }
}
