//! What makes a batch durable: one write and one `fdatasync` of a file of fixed size, before the database is told.
//!
//! The database's own flush wakes all its threads and waits for the disk twice; behind this journal it is only asked
//! when the journal is full. What stands here is written again into the database at the next start: each record names
//! everything it sets, so that doing it twice changes nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use openssl::sha::Sha256;

/// One batch: full keys, each with a value or `None` for a removal.
pub(super) type Batch = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Name of the file, beside the database's own.
const NAME: &str = "journal";
/// Size of the file.
pub(super) const BYTES: u64 = 4 * 1024 * 1024;
/// In front of each record: generation, number, length, digest.
const HEAD: usize = 8 + 4 + 4 + DIGEST;
/// Bytes of the digest that are kept: it tells a record from what a crash left of one.
const DIGEST: usize = 16;
/// The length that stands for a removal.
const REMOVED: u32 = u32::MAX;

/// The open journal. Records of one generation follow each other from the start of the file on; whatever is behind the
/// last of them is of an older one.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    generation: u64,
    next: u32,
    end: u64,
    /// What it held when it was opened is not known to be in the database.
    owed: bool,
    record: Vec<u8>,
}

impl Journal {
    /// Opens the journal in `folder`, making it if it is not there, and hands over what it holds, oldest first. All of it
    /// must be durable in the database before anything is written.
    pub(super) fn open(folder: &Path) -> io::Result<(Journal, Vec<Batch>)> {
        let path = folder.join(NAME);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        // All of it, before anything is changed: what cannot be read must not pass for the end.
        let mut held = Vec::new();
        file.read_to_end(&mut held)?;
        if (held.len() as u64) < BYTES {
            // Written, not only made that long: the disk has room for it from now on, and no record changes more than bytes.
            io::copy(&mut io::repeat(0).take(BYTES - held.len() as u64), &mut file)?;
            file.sync_all()?;
            File::open(folder)?.sync_all()?;
        }
        let batches = read(&mut held.as_slice());
        let (generation, owed) = (fresh(), !batches.is_empty());
        Ok((Journal { file, generation, next: 0, end: 0, owed, record: Vec::new() }, batches))
    }

    /// Makes a batch durable. False if there is no room for it: the database must be flushed and [`Journal::begin`]
    /// called, or it is too large for any journal.
    pub(super) fn append(&mut self, batch: &Batch) -> io::Result<bool> {
        write(&mut self.record, self.generation, self.next, batch);
        let size = self.record.len() as u64;
        if self.end + size > BYTES {
            return Ok(false);
        }
        self.file.write_all_at(&self.record, self.end)?;
        self.file.sync_data()?;
        self.next += 1;
        self.end += size;
        // One large batch must not keep its memory for ever.
        self.record.shrink_to(256 * 1024);
        Ok(true)
    }

    /// Begins anew: everything before is durable in the database. That is on disk before anything else is written: a record
    /// over several old ones, of which a power cut leaves a part, would let those in front of it count once more.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        (self.generation, self.next, self.end, self.owed) = (fresh(), 0, 0, false);
        // A head without a body is smaller than what a disk writes at once.
        self.append(&Batch::new()).map(|_| ())
    }

    /// The database could not be given all of the last batch.
    pub(super) fn owe(&mut self) {
        self.owed = true;
    }

    /// Whether the database may lack some of what it holds: what it held when it was opened, or what could not be written.
    pub(super) fn is_owed(&self) -> bool {
        self.owed
    }
}

/// Generations are drawn, not counted: what is left of an older one must never look like the next record of this one.
fn fresh() -> u64 {
    u64::from_be_bytes(crate::random::bytes())
}

fn write(record: &mut Vec<u8>, generation: u64, number: u32, batch: &Batch) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(REMOVED - 1);
    record.clear();
    record.extend_from_slice(&[0; HEAD]);
    for (key, value) in batch {
        record.extend_from_slice(&length(key).to_be_bytes());
        record.extend_from_slice(&value.as_deref().map_or(REMOVED, length).to_be_bytes());
        record.extend_from_slice(key);
        record.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    let body = length(record.get(HEAD..).unwrap_or_default());
    let head = [&generation.to_be_bytes()[..], &number.to_be_bytes(), &body.to_be_bytes()].concat();
    let digest = digest(&head, record.get(HEAD..).unwrap_or_default());
    let head = head.iter().chain(&digest);
    record.iter_mut().zip(head).for_each(|(place, byte)| *place = *byte);
}

fn digest(head: &[u8], body: &[u8]) -> [u8; DIGEST] {
    let mut hash = Sha256::new();
    hash.update(head);
    hash.update(body);
    let mut digest = [0; DIGEST];
    digest.iter_mut().zip(hash.finish()).for_each(|(place, byte)| *place = byte);
    digest
}

/// The batches of the records that are whole and follow each other.
fn read(from: &mut impl Read) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut of = None;
    while let Some((generation, number, body)) = record(from) {
        let expected = u32::try_from(batches.len()).unwrap_or(u32::MAX);
        if number != expected || *of.get_or_insert(generation) != generation {
            break;
        }
        let Some(batch) = batch(&body) else { break };
        batches.push(batch);
    }
    batches
}

/// Generation, number and body of the next record, if it is whole.
fn record(from: &mut impl Read) -> Option<(u64, u32, Vec<u8>)> {
    let mut head = [0; HEAD];
    from.read_exact(&mut head).ok()?;
    let (head, digest_found) = head.split_at_checked(HEAD - DIGEST)?;
    let (generation, after) = head.split_first_chunk()?;
    let (number, after) = after.split_first_chunk()?;
    let length = u64::from(u32::from_be_bytes(*after.first_chunk()?));
    let mut body = Vec::new();
    let read = from.take(length.min(BYTES)).read_to_end(&mut body).ok()?;
    let whole = read as u64 == length && digest(head, &body) == *digest_found;
    whole.then(|| (u64::from_be_bytes(*generation), u32::from_be_bytes(*number), body))
}

fn batch(mut body: &[u8]) -> Option<Batch> {
    let mut batch = Batch::new();
    while !body.is_empty() {
        let (key, after) = body.split_first_chunk()?;
        let (value, after) = after.split_first_chunk()?;
        let (key, value) = (u32::from_be_bytes(*key), u32::from_be_bytes(*value));
        let (key, after) = after.split_at_checked(usize::try_from(key).ok()?)?;
        let (value, after) = match value {
            REMOVED => (None, after),
            length => {
                let (value, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
                (Some(value.to_vec()), after)
            }
        };
        batch.push((key.to_vec(), value));
        body = after;
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: Option<&[u8]>) -> Batch {
        vec![(key.as_bytes().to_vec(), value.map(<[u8]>::to_vec))]
    }

    fn held(folder: &Path) -> Vec<Batch> {
        Journal::open(folder).unwrap().1
    }

    #[test]
    fn what_was_appended_is_there_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(held(folder.path()), Vec::<Batch>::new());
        let all = [one("a", Some(b"1")), one("b", None), Vec::new(), one("", Some(b""))];
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        for batch in &all {
            assert!(journal.append(batch).unwrap());
        }
        assert_eq!(held(folder.path()), all);
        journal.begin().unwrap();
        assert_eq!(held(folder.path()), [Batch::new()], "what is behind it is of an older generation");
        assert!(journal.append(&one("c", Some(b"2"))).unwrap());
        assert_eq!(held(folder.path()), [Batch::new(), one("c", Some(b"2"))]);
    }

    #[test]
    fn a_power_cut_in_the_first_record_brings_nothing_old_back() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        for number in 0..40u8 {
            journal.append(&one("key", Some(&[number; 300]))).unwrap();
        }
        journal.begin().unwrap();
        let path = folder.path().join(NAME);
        let before = std::fs::read(&path).unwrap();
        journal.append(&one("large", Some(&[7; 9000]))).unwrap();
        // Any part of the disk's blocks may have been written.
        let after = std::fs::read(&path).unwrap();
        for written in 1..8u32 {
            let mut torn = before.clone();
            for (block, bytes) in torn.chunks_mut(4096).enumerate().take(3) {
                if written & (1 << block) != 0 {
                    bytes.copy_from_slice(&after[block * 4096..block * 4096 + bytes.len()]);
                }
            }
            std::fs::write(&path, torn).unwrap();
            let held = held(folder.path());
            assert!(
                held.iter().all(|batch| *batch == Batch::new() || *batch == one("large", Some(&[7; 9000]))),
                "{written}"
            );
        }
    }

    #[test]
    fn a_record_that_is_not_whole_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        for value in [b"first", b"other", b"third"] {
            journal.append(&one("key", Some(value))).unwrap();
        }
        let path = folder.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        let size = usize::try_from(journal.end).unwrap() / 3;
        for at in 0..3 * size {
            let mut broken = whole.clone();
            broken[at] ^= 0x40;
            std::fs::write(&path, broken).unwrap();
            assert_eq!(held(folder.path()).len(), at / size, "byte {at}");
        }
    }

    #[test]
    fn what_has_no_room_is_left_to_the_caller() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        let half = vec![7; usize::try_from(BYTES / 2).unwrap()];
        assert!(journal.append(&one("a", Some(&half))).unwrap());
        assert!(!journal.append(&one("b", Some(&half))).unwrap());
        assert!(journal.append(&one("c", Some(b"small"))).unwrap());
        journal.begin().unwrap();
        assert!(journal.append(&one("b", Some(&half))).unwrap());
        assert_eq!(held(folder.path()), [Batch::new(), one("b", Some(&half))]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_word(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            let _ = (read(&mut &bytes[..]), batch(&bytes));
        }
    }
}
