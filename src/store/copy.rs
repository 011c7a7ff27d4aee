//! A copy of a store that an agent may be writing to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::StoreError;

/// Copies before giving up.
const TRIES: u32 = 40;
/// Wait between two of them.
const PAUSE: Duration = Duration::from_millis(250);
/// A file touched less than this before the copy may be touched again without its time changing: file systems count
/// in steps of some milliseconds.
const TIME_STEP: Duration = Duration::from_millis(50);

/// Copies the database below one folder to another, in a moment in which nobody writes to it. The original is only
/// read, and its lock is not asked for. Answers whether there was anything to copy.
///
/// # Errors
/// The original cannot be read, the copy cannot be written, or the original is never still.
pub fn copy(from: &Path, to: &Path) -> Result<bool, StoreError> {
    let of = |folder: &Path| {
        let folder = folder.display().to_string();
        move |cause| StoreError::Folder { folder, cause }
    };
    let source = from.join("db");
    if !source.try_exists().map_err(of(from))? {
        return Ok(false);
    }
    for attempt in 0..TRIES {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        let before = files(&source).map_err(of(from))?;
        let started = SystemTime::now();
        let target = to.join("db");
        if target.exists() {
            fs::remove_dir_all(&target).map_err(of(to))?;
        }
        // A file that goes away meanwhile is a change as well.
        let copied = copy_files(&source, &target, &before);
        let after = files(&source).map_err(of(from))?;
        let still = before.iter().all(|file| file.is_older_than(started));
        match copied {
            Ok(()) if before == after && still => return Ok(true),
            Err(cause) if before == after => return Err(of(to)(cause)),
            _ => {}
        }
    }
    Err(StoreError::Busy { folder: from.display().to_string() })
}

/// A file of the database, as far as a change of it can be seen.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    length: u64,
    modified: SystemTime,
}

impl Stamp {
    fn is_older_than(&self, moment: SystemTime) -> bool {
        moment.duration_since(self.modified).is_ok_and(|age| age > TIME_STEP)
    }
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> io::Result<Vec<Stamp>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(cause),
            };
            if metadata.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let path = entry.path().strip_prefix(folder).map_err(io::Error::other)?.to_owned();
            found.push(Stamp { path, length: metadata.len(), modified: metadata.modified()? });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn copy_files(from: &Path, to: &Path, files: &[Stamp]) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for file in files {
        let target = to.join(&file.path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(from.join(&file.path), target)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Draft;
    use crate::model::facts::Facts;
    use crate::store::Store;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_open_store_is_copied_and_stays_as_it_is() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(!copy(from.path(), to.path()).unwrap(), "there is none yet");
        let store = Store::open(from.path()).unwrap();
        let name = |name: &str| Facts { name: name.to_owned(), ..Facts::default() };
        let write = async |store: &Store, facts: Facts| {
            let written = store.commit(move |view| {
                let mut draft = Draft::new(view);
                draft.put_meta(&facts);
                (draft.into_changes(), ())
            });
            written.await.unwrap();
        };
        write(&store, name("Ana")).await;
        assert!(copy(from.path(), to.path()).unwrap());
        let copied = Store::open(to.path()).unwrap();
        assert_eq!(copied.read(|view| view.meta::<Facts>()).await.unwrap(), name("Ana"));
        write(&copied, name("Bo")).await;
        assert_eq!(store.read(|view| view.meta::<Facts>()).await.unwrap(), name("Ana"));
    }
}
