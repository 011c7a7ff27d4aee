//! A store and its pictures as lines, while the agent goes on writing.
//!
//! The store is walked through slice by slice, which gives each record as it is at some moment between the first slice and
//! the last; what is written in that time is heard of through a [`Tap`] and written behind, in order. So the file, read
//! from its beginning to its end, is the store as it was at the end: no record is torn from another that changed with it.
//! Pictures come last: each is on disk before a record names it, and never changes.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::line::{Header, Line};
use super::seal::Sealer;
use crate::config::keyfile;
use crate::media::freeze::{FOLDER as MEDIA, checked};
use crate::model::Secret;
use crate::model::facts::Identity;
use crate::model::record::{decode, encode, full_key, kind};
use crate::model::view::Meta;
use crate::owncast::footprint::Footprint;
use crate::store::{SCHEMA, Store, StoreError, Tap, exit_code_of};

/// Bytes of records in one slice.
const SLICE: usize = 256 * 1024;
/// Bytes of a picture in one line.
const PART: usize = 192 * 1024;

/// Why a store could not be written out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More is written than is taken.
    #[error(
        "the store changed faster than its export was taken; try again, to a faster disk or when less is going on"
    )]
    TooSlow,
    /// A picture cannot be read.
    #[error("a picture cannot be read: {}: {cause}; check the disk", path.display())]
    Media {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl ExportError {
    /// Exit code after sysexits.h: 74 if the disk failed, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            ExportError::Store(error) => error.exit_code(),
            ExportError::TooSlow => 1,
            ExportError::Media { cause, .. } => exit_code_of(cause),
        }
    }
}

/// What a file holds and tells of the actor's key.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// The key itself, if it is to be in the file.
    pub private: Option<Secret>,
    /// Fingerprint of the one in use.
    pub fingerprint: Option<String>,
    /// Fingerprint of the next one, while a change of keys is under way.
    pub next_fingerprint: Option<String>,
}

impl Keys {
    /// The fingerprints of the keys in this place; the key itself is in the file only if it is given.
    pub fn of(file: &Path, private: Option<Secret>) -> Keys {
        Keys {
            private,
            fingerprint: keyfile::fingerprint_in(file),
            next_fingerprint: keyfile::fingerprint_in(&keyfile::next_file(file)),
        }
    }
}

/// Where in the file the next lines are.
enum Step {
    Header,
    /// Records from this full key on.
    Records(Vec<u8>),
    /// What changed since the last record was read.
    Rest,
    Media(VecDeque<PathBuf>, Option<Open>),
    Done,
}

struct Open {
    file: std::fs::File,
    name: String,
    offset: u64,
    size: u64,
}

/// Gives out the file block by block. Each block is some whole lines.
pub struct Exporter {
    store: Store,
    tap: Tap,
    media: PathBuf,
    made: Timestamp,
    keys: Keys,
    sealer: Sealer,
    step: Step,
}

impl Exporter {
    /// Begins. `folder` is the store's.
    ///
    /// # Errors
    /// The store is closed.
    pub async fn new(
        store: Store,
        folder: &Path,
        keys: Keys,
        made: Timestamp,
    ) -> Result<Exporter, ExportError> {
        let tap = store.tap().await?;
        let media = folder.join(MEDIA);
        Ok(Exporter { store, tap, media, made, keys, sealer: Sealer::default(), step: Step::Header })
    }

    /// The next block; `None` when the file is complete.
    ///
    /// # Errors
    /// [`ExportError`]; the file is worth nothing then.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ExportError> {
        let mut block = Vec::new();
        match std::mem::replace(&mut self.step, Step::Done) {
            Step::Header => {
                self.header(&mut block).await?;
                self.step = Step::Records(Vec::new());
            }
            Step::Records(from) => {
                let next = self.records(from, &mut block).await?;
                self.changes(&mut block)?;
                self.step = next.map_or(Step::Rest, Step::Records);
            }
            Step::Rest => {
                // What was half applied while it was walked over is heard of whole.
                self.store.pass().await?;
                self.changes(&mut block)?;
                if let Some(key) = self.keys.private.take() {
                    self.line(&Line::Key(key), &mut block);
                }
                self.step = Step::Media(listed(&self.media)?, None);
            }
            Step::Media(rest, open) => self.step = self.picture(rest, open, &mut block)?,
            Step::Done => return Ok(None),
        }
        if matches!(self.step, Step::Done) {
            let end = std::mem::take(&mut self.sealer).seal();
            block.extend(end.to_bytes());
        }
        Ok(Some(block))
    }

    fn line(&mut self, line: &Line, block: &mut Vec<u8>) {
        let bytes = line.to_bytes();
        self.sealer.add(line, &bytes);
        block.extend(bytes);
    }

    async fn header(&mut self, block: &mut Vec<u8>) -> Result<(), ExportError> {
        let addresses = self.store.read(|view| view.meta::<Identity>().addresses).await?;
        let mut header = Header::new(SCHEMA, self.made);
        (header.actor, header.handle) = addresses.map(|ours| (ours.actor(), ours.handle())).unzip();
        header.key_fingerprint = self.keys.fingerprint.clone();
        header.next_key_fingerprint = self.keys.next_fingerprint.clone();
        self.line(&Line::Header(header), block);
        Ok(())
    }

    /// A slice of records. Answers where the next one begins.
    async fn records(&mut self, from: Vec<u8>, block: &mut Vec<u8>) -> Result<Option<Vec<u8>>, ExportError> {
        let read = self.store.read(move |view| {
            let (mut slice, mut bytes, mut next) = (Vec::new(), 0, None);
            view.scan_bytes(&[], &from, &mut |key, value| {
                if bytes > SLICE {
                    next = Some(key.to_vec());
                    return false;
                }
                bytes += key.len() + value.len();
                slice.push((key.to_vec(), value.to_vec()));
                true
            });
            (slice, next)
        });
        let (slice, next) = read.await?;
        for (key, value) in slice {
            if let Some(value) = told(&key, value) {
                self.line(&Line::Put { again: false, key, value }, block);
            }
        }
        Ok(next)
    }

    /// Everything that was written since this was last asked.
    fn changes(&mut self, block: &mut Vec<u8>) -> Result<(), ExportError> {
        for (key, value) in self.tap.take().ok_or(ExportError::TooSlow)? {
            match value {
                Some(value) => {
                    if let Some(value) = told(&key, value) {
                        self.line(&Line::Put { again: true, key, value }, block);
                    }
                }
                None if is_left_out(&key) => {}
                None => self.line(&Line::Gone { key }, block),
            }
        }
        Ok(())
    }

    /// A part of a picture. Answers what is next.
    fn picture(
        &mut self,
        mut rest: VecDeque<PathBuf>,
        open: Option<Open>,
        block: &mut Vec<u8>,
    ) -> Result<Step, ExportError> {
        let mut open = match open {
            Some(open) => open,
            None => match rest.pop_front() {
                None => return Ok(Step::Done),
                Some(path) => match opened(&path) {
                    Ok(open) => open,
                    // The post that showed it was removed a moment ago.
                    Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                        return Ok(Step::Media(rest, None));
                    }
                    Err(cause) => return Err(ExportError::Media { path, cause }),
                },
            },
        };
        let mut data = Vec::with_capacity(PART);
        let limit = (open.size - open.offset).min(PART as u64);
        let read = (&mut open.file).take(limit).read_to_end(&mut data);
        let cut = |cause| ExportError::Media { path: self.media.join(&open.name), cause };
        if read.map_err(cut)? as u64 != limit {
            return Err(cut(io::ErrorKind::UnexpectedEof.into()));
        }
        let line = Line::Media { name: open.name.clone(), offset: open.offset, size: open.size, data };
        self.line(&line, block);
        open.offset += limit;
        let unfinished = (open.offset < open.size).then_some(open);
        Ok(Step::Media(rest, unfinished))
    }
}

/// A record as it is told; `None` for what stays here.
fn told(key: &[u8], value: Vec<u8>) -> Option<Vec<u8>> {
    if is_left_out(key) {
        return None;
    }
    if key == full_key(kind::META, Footprint::NAME.as_bytes()) {
        // What stands in Owncast is told, so that it can be taken over; the secrets it was made with are not.
        let Footprint { provisioned, .. } = decode(&value)?;
        return Some(encode(&Footprint { provisioned, ..Footprint::default() }));
    }
    Some(value)
}

/// Chat notices wait for some seconds, and the machine that made them says them; the schema stands in the header.
fn is_left_out(key: &[u8]) -> bool {
    key.first() == Some(&kind::NOTICE) || key == full_key(kind::META, b"schema")
}

fn listed(folder: &Path) -> Result<VecDeque<PathBuf>, ExportError> {
    let failed = |cause| ExportError::Media { path: folder.to_owned(), cause };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(VecDeque::new()),
        Err(cause) => return Err(failed(cause)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_str().is_some_and(|name| checked(name).is_some()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths.into())
}

fn opened(path: &Path) -> io::Result<Open> {
    let file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Open { file, name, offset: 0, size })
}
