//! `man`: the manual pages, made from the table of arguments.

use std::path::PathBuf;

use super::{Failure, Outcome, table};

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the pages, one for each command
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

pub(super) fn man(args: &Args) -> Outcome {
    let written = clap_mangen::generate_to(table(), &args.folder);
    written.map_err(|error| {
        let folder = args.folder.display();
        Failure::new(format!(
            "the manual pages cannot be written to {folder}: {error}; name a folder that exists"
        ))
    })?;
    Ok(String::new())
}
