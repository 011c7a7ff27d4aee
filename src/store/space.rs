//! How much room the disk has: new work is refused before there is none, because the database does not survive that.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// The room on the store's disk at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// The store's folder.
    pub folder: PathBuf,
    /// Bytes that may still be written.
    pub free: u64,
    /// Below so many bytes no new work is taken.
    pub floor: u64,
    /// No new work is taken now.
    pub low: bool,
}

const MIB: u64 = 1024 * 1024;
/// In so many milliseconds a disk does not fill up by more than the floor is above nothing.
const LATELY: u64 = 100;

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the disk with {} has {} MiB left, and nothing new is taken or announced below {} MiB ([store] \
             free-space-mib); make room, and everything goes on by itself",
            self.folder.display(),
            self.free / MIB,
            self.floor / MIB
        )
    }
}

/// Looks at the disk, and tells in the log when there is too little room and when there is enough again.
#[derive(Debug)]
pub(super) struct Space {
    folder: PathBuf,
    floor: AtomicU64,
    low: AtomicBool,
    began: Instant,
    /// When it was last looked, in milliseconds.
    looked: AtomicU64,
}

impl Space {
    /// Without a floor.
    pub(super) fn new(folder: &Path) -> Self {
        Space {
            folder: folder.to_owned(),
            floor: AtomicU64::new(0),
            low: AtomicBool::new(false),
            began: Instant::now(),
            looked: AtomicU64::new(0),
        }
    }

    pub(super) fn keep_free(&self, bytes: u64) {
        self.floor.store(bytes, Ordering::Relaxed);
        self.looked.store(0, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the room was low, as it was no longer ago than [`LATELY`].
    pub(super) fn was_low(&self) -> bool {
        let (now, looked) = (self.now(), self.looked.load(Ordering::Relaxed));
        match looked > 0 && now - looked.min(now) <= LATELY {
            true => self.low.load(Ordering::Relaxed),
            false => self.look().low,
        }
    }

    pub(super) fn look(&self) -> Room {
        let floor = self.floor.load(Ordering::Relaxed);
        // A disk that cannot be asked is found out by the next write.
        let free = rustix::fs::statvfs(&self.folder)
            .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let was_low = self.low.load(Ordering::Relaxed);
        let low = is_low(free, floor, was_low);
        let room = Room { folder: self.folder.clone(), free, floor, low };
        if self.low.swap(low, Ordering::Relaxed) != low {
            if low {
                tracing::warn!(target: "herald::store", "{room}");
            } else {
                let free = room.free / MIB;
                tracing::info!(target: "herald::store", "the disk has {free} MiB left, which is enough: everything goes on");
            }
        }
        self.looked.store(self.now().max(1), Ordering::Relaxed);
        room
    }
}

/// Room that is only just enough again is not: it would come and go with every write.
fn is_low(free: u64, floor: u64, was_low: bool) -> bool {
    free < if was_low { floor.saturating_add(floor / 8) } else { floor }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_low_below_the_floor_until_it_is_well_above() {
        for (free, was_low, low) in [
            (799, false, true),
            (800, false, false),
            (800, true, true),
            (899, true, true),
            (900, true, false),
            (u64::MAX, true, false),
        ] {
            assert_eq!(is_low(free, 800, was_low), low, "{free} {was_low}");
        }
        assert!(!is_low(0, 0, false) && !is_low(0, 0, true), "without a floor");
        assert!(!is_low(u64::MAX, u64::MAX, false));
    }

    #[test]
    fn a_real_disk_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let space = Space::new(folder.path());
        let room = space.look();
        assert!(room.free > 0 && room.free < u64::MAX && !room.low, "{room:?}");
        space.keep_free(u64::MAX);
        let room = space.look();
        assert!(room.low && room.to_string().contains("[store] free-space-mib"), "{room}");
        space.keep_free(0);
        assert!(!space.look().low);
    }
}
