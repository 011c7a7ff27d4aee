//! The footer: counts and checksum, made while a file is written and checked while it is read.

use std::io::{self, BufRead};

use openssl::sha::Sha256;

use super::kinds;
use super::line::{Counts, Header, Line, LineProblem};
use crate::store::SCHEMA;

/// Bytes of the longest line. A record of a stranger has limits of its own, far below.
const LONGEST_LINE: u64 = 32 * 1024 * 1024;

/// Counts lines and sums them up.
pub struct Sealer {
    sum: Sha256,
    lines: u64,
    counts: Counts,
}

impl Default for Sealer {
    fn default() -> Self {
        Sealer { sum: Sha256::new(), lines: 0, counts: Counts::default() }
    }
}

impl Sealer {
    /// Takes one line with its bytes, newline included.
    pub fn add(&mut self, line: &Line, bytes: &[u8]) {
        self.sum.update(bytes);
        self.lines += 1;
        match line {
            Line::Put { again: false, key, .. } => {
                let name = kinds::name(key.first().copied().unwrap_or(0));
                *self.counts.records.entry(name).or_default() += 1;
            }
            Line::Put { again: true, .. } | Line::Gone { .. } => self.counts.changes += 1,
            Line::Media { offset: 0, .. } => self.counts.media += 1,
            Line::Key(_) => self.counts.with_key = true,
            Line::Media { .. } | Line::Header(_) | Line::End { .. } => {}
        }
    }

    /// The footer of everything taken so far.
    pub fn seal(self) -> Line {
        let sum = self.sum.finish();
        let sha256 = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        Line::End { counts: self.counts, lines: self.lines, sha256 }
    }
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Something else than an export.
    #[error("this is no export of owncast-herald")]
    Foreign,
    /// Written by a later release in a form that this one does not know.
    #[error(
        "the file was made by owncast-herald {version}, which is newer than this one; install that release"
    )]
    Newer {
        /// The release.
        version: String,
    },
    /// Its end is missing.
    #[error(
        "the file is cut off: its end is missing after {lines} lines; copy it again, or take another backup"
    )]
    Truncated {
        /// Lines that are there.
        lines: u64,
    },
    /// A line that is none.
    #[error("the file is damaged: line {line}: {problem}; copy it again, or take another backup")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: LineProblem,
    },
    /// The sum is another one.
    #[error("the file is damaged: its checksum does not fit; copy it again, or take another backup")]
    Checksum,
    /// Something stands behind the end.
    #[error("the file is damaged: something stands behind its end; copy it again, or take another backup")]
    Behind,
    /// The disk, or the other side of a pipe.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads a file line by line. It is whole once the footer was given out: before that, nothing that was read may be built on.
pub struct Reader<R> {
    from: R,
    header: Header,
    sealer: Option<Sealer>,
    lines: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// It is no export, or one of a newer release.
    pub fn open(mut from: R) -> Result<Reader<R>, FileError> {
        let first = one_line(&mut from, 64 * 1024)?.ok_or(FileError::Foreign)?;
        if let Some(version) = Line::of_later_form(&first) {
            return Err(FileError::Newer { version });
        }
        let header = Line::header(&first).map_err(|_| FileError::Foreign)?;
        if header.schema > SCHEMA {
            return Err(FileError::Newer { version: header.version });
        }
        let mut sealer = Sealer::default();
        sealer.add(&Line::Header(header.clone()), &first);
        Ok(Reader { from, header, sealer: Some(sealer), lines: 1 })
    }

    /// What the first line says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next line; `None` behind the footer, which is the last.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn line(&mut self) -> Result<Option<Line>, FileError> {
        let Some(mut sealer) = self.sealer.take() else { return Ok(None) };
        let Some(bytes) = one_line(&mut self.from, LONGEST_LINE)? else {
            return Err(FileError::Truncated { lines: self.lines });
        };
        self.lines += 1;
        if bytes.last() != Some(&b'\n') {
            return Err(FileError::Truncated { lines: self.lines - 1 });
        }
        let line = Line::read(&bytes).map_err(|problem| FileError::Line { line: self.lines, problem })?;
        if !matches!(line, Line::End { .. }) {
            sealer.add(&line, &bytes);
            self.sealer = Some(sealer);
            return Ok(Some(line));
        }
        if sealer.seal() != line {
            return Err(FileError::Checksum);
        }
        match one_line(&mut self.from, 1)? {
            None => Ok(Some(line)),
            Some(_) => Err(FileError::Behind),
        }
    }
}

/// A line with its newline, if it has one; `None` at the end.
fn one_line(from: &mut impl BufRead, longest: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    io::Read::take(from, longest).read_until(b'\n', &mut bytes)?;
    Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
}
