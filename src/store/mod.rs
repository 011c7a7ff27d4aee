//! The embedded database behind one writer.
//!
//! Everything that changes goes through [`Store::commit`]: a decision is given a view that already holds all earlier
//! decisions, and the caller is answered only once its changes are on disk. Many waiting commits share one flush.

mod copy;
mod disk;
mod journal;
mod lock;
mod space;
mod tap;
mod writer;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::model::record::kind;
use crate::model::{Changes, View};

pub use copy::copy;
pub use disk::{Disk, HALF_IMPORTED, SCHEMA};
pub use lock::{FolderLock, lock};
pub use space::Room;
pub use tap::{Tap, Writes};

/// Commits that may wait for the writer; more wait at the channel, which slows their callers down.
const WAITING_COMMITS: usize = 1024;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error(
        "the store {folder} is in use by another process{holder}; stop that one first, or set another [store] path"
    )]
    Locked {
        /// The store's folder.
        folder: String,
        /// ` (process 123)`, or empty when unknown.
        holder: String,
    },
    /// The folder cannot be made or written.
    #[error(
        "the store folder {folder} cannot be used: {cause}; {}, or set another [store] path",
        cure(.cause)
    )]
    Folder {
        /// The store's folder.
        folder: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Written by a later release.
    #[error(
        "the store {folder} was written by a later release (schema {found}, this one knows {known}); install that release again"
    )]
    Newer {
        /// The store's folder.
        folder: String,
        /// Schema found.
        found: u32,
        /// Schema this release knows.
        known: u32,
    },
    /// An import was broken off.
    #[error(
        "an import into {folder} was broken off half way; do it again: {}. What was there before is kept in that folder",
        crate::config::here().typed("import --replace FILE")
    )]
    HalfImported {
        /// The store's folder.
        folder: String,
    },
    /// It cannot be copied in a moment in which nobody writes to it.
    #[error(
        "the store {folder} is written to all the time and cannot be copied whole; try again when less is going on"
    )]
    Busy {
        /// The store's folder.
        folder: String,
    },
    /// The disk failed while writing or reading. Not survivable in place: the process must end and be started again.
    #[error("the store could not be written: {0}; check the disk and its free space")]
    Disk(String),
    /// The writer has stopped, because the program is stopping or the disk failed.
    #[error("the store is closed")]
    Closed,
}

fn cure(cause: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{AlreadyExists, NotADirectory, QuotaExceeded, StorageFull};
    match cause.kind() {
        AlreadyExists | NotADirectory => "a file stands there or on the way to it: remove it",
        StorageFull | QuotaExceeded => "free some space on its disk",
        _ => "make it writable for the user that runs owncast-herald",
    }
}

/// Exit code of a command that a file is to blame for: 74 if its disk failed or is full, else 1.
pub fn exit_code_of(cause: &std::io::Error) -> u8 {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let failed = cause.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    if failed || matches!(cause.kind(), QuotaExceeded | StorageFull) { 74 } else { 1 }
}

impl StoreError {
    /// Exit code of a command after sysexits.h: 74 if the disk failed, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            StoreError::Disk(_) => 74,
            StoreError::Folder { cause, .. } => exit_code_of(cause),
            _ => 1,
        }
    }

    /// True if the same call may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, StoreError::Closed)
    }
}

/// A handle on the store; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    commands: mpsc::Sender<writer::Command>,
    disk: Arc<Disk>,
    signals: Arc<Signals>,
    space: Arc<space::Space>,
    taps: Arc<tap::Taps>,
}

/// Counters that move when something of their kind was written; tasks wait for them instead of asking again and again.
#[derive(Debug)]
pub struct Signals {
    outgoing: watch::Sender<u64>,
    notices: watch::Sender<u64>,
    followers: watch::Sender<u64>,
    any: watch::Sender<u64>,
    failed: watch::Sender<bool>,
}

impl Signals {
    fn new() -> Self {
        Signals {
            outgoing: watch::Sender::new(0),
            notices: watch::Sender::new(0),
            followers: watch::Sender::new(0),
            any: watch::Sender::new(0),
            failed: watch::Sender::new(false),
        }
    }

    fn written(&self, kinds: impl Iterator<Item = u8>) {
        let (mut outgoing, mut notices, mut followers) = (false, false, false);
        for written in kinds {
            outgoing |= matches!(written, kind::FANOUT | kind::ATTEMPT | kind::RESTING | kind::ALARM);
            notices |= written == kind::NOTICE;
            followers |= written == kind::FOLLOWER;
        }
        self.any.send_modify(|n| *n += 1);
        if outgoing {
            self.outgoing.send_modify(|n| *n += 1);
        }
        if notices {
            self.notices.send_modify(|n| *n += 1);
        }
        if followers {
            self.followers.send_modify(|n| *n += 1);
        }
    }
}

impl Store {
    /// Opens the store in `folder`, making it if it is not there, and starts its writer thread.
    ///
    /// Waits up to five seconds for a dying process to let go of it.
    pub fn open(folder: &Path) -> Result<Store, StoreError> {
        let disk = Arc::new(Disk::open(folder)?);
        let signals = Arc::new(Signals::new());
        let (commands, queue) = mpsc::channel(WAITING_COMMITS);
        let taps = Arc::<tap::Taps>::default();
        let writer = writer::Writer {
            disk: Arc::clone(&disk),
            queue,
            signals: Arc::clone(&signals),
            taps: Arc::clone(&taps),
        };
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(|cause| StoreError::Folder { folder: folder.display().to_string(), cause })?;
        Ok(Store { commands, disk, signals, space: Arc::new(space::Space::new(folder)), taps })
    }

    /// Runs a decision against the newest state and applies its changes atomically and durably.
    ///
    /// The decision must be quick and free of side effects: it runs on the writer's thread. The answer comes after the
    /// changes are on disk.
    pub async fn commit<R, F>(&self, decision: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: FnOnce(&dyn View) -> (Changes, R) + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let command = writer::Command::new(decision, answer);
        self.commands.send(command).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Looks at the store as it is on disk, on a blocking thread: a read may wait for the disk.
    pub async fn read<R, F>(&self, look: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: FnOnce(&dyn View) -> R + Send + 'static,
    {
        let disk = Arc::clone(&self.disk);
        let result = tokio::task::spawn_blocking(move || {
            let result = look(&*disk);
            (result, disk.fault())
        })
        .await
        .map_err(|_| StoreError::Closed)?;
        match result {
            (_, Some(fault)) => Err(StoreError::Disk(fault)),
            (result, None) => Ok(result),
        }
    }

    /// Looks at the store as it is on disk, on the calling thread: for threads of one's own, since a read may wait for the
    /// disk, and for a few keys that are in memory as good as always.
    ///
    /// # Errors
    /// [`StoreError::Disk`] if something could not be read.
    pub fn look<R>(&self, look: impl FnOnce(&dyn View) -> R) -> Result<R, StoreError> {
        let result = look(&*self.disk);
        match self.disk.fault() {
            Some(fault) => Err(StoreError::Disk(fault)),
            None => Ok(result),
        }
    }

    /// Records what is written from now on, for a copy that is made by walking through the store: see [`Tap`].
    ///
    /// # Errors
    /// The store is closed.
    pub async fn tap(&self) -> Result<Tap, StoreError> {
        let tap = self.taps.open();
        // A batch that is just being applied may not know of the tap yet.
        self.pass().await?;
        Ok(tap)
    }

    /// Waits until everything decided before this call is on disk.
    ///
    /// # Errors
    /// The store is closed, or the disk failed.
    pub async fn pass(&self) -> Result<(), StoreError> {
        self.commit(|_| (Changes::none(), ())).await
    }

    /// Moves when an outgoing activity or an attempt was written.
    pub fn outgoing_written(&self) -> watch::Receiver<u64> {
        self.signals.outgoing.subscribe()
    }

    /// Moves when a chat notice was written.
    pub fn notices_written(&self) -> watch::Receiver<u64> {
        self.signals.notices.subscribe()
    }

    /// Moves when a follower was written, before whoever wrote it knows.
    pub fn followers_written(&self) -> watch::Receiver<u64> {
        self.signals.followers.subscribe()
    }

    /// Moves with every batch.
    pub fn anything_written(&self) -> watch::Receiver<u64> {
        self.signals.any.subscribe()
    }

    /// Another number for every state that can be read, from before it is on disk; none while one follows upon another.
    ///
    /// What was read between two times of the same number is of one state, and no older than anything read before.
    pub fn written(&self) -> Option<u64> {
        self.disk.batches()
    }

    /// Becomes true when the disk failed and the process must end.
    pub fn failed(&self) -> watch::Receiver<bool> {
        self.signals.failed.subscribe()
    }

    /// Sets below how many bytes of free space no new work is to be taken; 0 at first.
    pub fn keep_free(&self, bytes: u64) {
        self.space.keep_free(bytes);
    }

    /// How much room the disk has at this moment. Whoever brings new work asks before: what is under way may end.
    pub fn room(&self) -> Room {
        self.space.look()
    }

    /// Whether there was too little room when it was last asked, a moment ago at most: for work that comes by the thousand.
    pub fn has_no_room(&self) -> bool {
        self.space.was_low()
    }

    /// Bytes the store takes on disk.
    pub fn size_on_disk(&self) -> u64 {
        self.disk.size_on_disk()
    }
}

#[cfg(test)]
mod tests;
