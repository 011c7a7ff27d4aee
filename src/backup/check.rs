//! Reading a whole file without doing anything: is it one, is it whole, what is in it.

use std::io::BufRead;

use super::line::{Counts, Header, Line};
use super::seal::{FileError, Reader};
use crate::model::Secret;

/// What a file holds that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// What its first line says.
    pub header: Header,
    /// Lines of each sort.
    pub counts: Counts,
    /// Bytes of all lines have this SHA-256.
    pub sha256: String,
    /// The private key, if it is in there.
    pub key: Option<Secret>,
}

/// Reads all of it.
///
/// # Errors
/// The file is not whole, or not one of ours.
pub fn check(from: impl BufRead) -> Result<Contents, FileError> {
    let mut reader = Reader::open(from)?;
    let mut key = None;
    let mut end = None;
    while let Some(line) = reader.line()? {
        match line {
            Line::Key(pem) => key = Some(pem),
            Line::End { counts, sha256, .. } => end = Some((counts, sha256)),
            _ => {}
        }
    }
    // The reader gives out no last line but the footer.
    let (counts, sha256) = end.ok_or(FileError::Truncated { lines: 0 })?;
    Ok(Contents { header: reader.header().clone(), counts, sha256, key })
}
