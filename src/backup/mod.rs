//! Everything that is kept, as one file of JSON lines: the backup, the move to another machine, the way out of the database.
//!
//! A file is a header, a line for each record, one or more for each picture, and a footer with counts and the SHA-256 of
//! everything before it; `docs/BACKUP.md` describes them. It is written and read as a stream, in little memory, and made
//! beside a running agent, which goes on writing: [`export`] says how it is whole all the same.
//!
//! Never in it: the webhook's path and signing secret, which the next machine makes anew, chat notices that wait for some
//! seconds, and, unless asked for by name, the private key.

mod check;
mod export;
mod import;
mod kinds;
mod line;
mod seal;

pub use check::{Contents, check};
pub use export::{ExportError, Exporter, Keys};
pub use import::{ImportError, Imported, Place, import};
pub use line::{Counts, FORMAT, Header, Line, LineProblem};
pub use seal::{FileError, Reader, Sealer};

#[cfg(test)]
mod tests;
