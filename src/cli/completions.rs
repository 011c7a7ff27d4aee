//! `completions`: a shell's completion script, made from the table of arguments.

use clap_complete::Shell;

use super::{Failure, Outcome, table};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

pub(super) fn completions(args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut table(), "owncast-herald", &mut script);
    String::from_utf8(script).map_err(|error| Failure::new(format!("the script is not text: {error}")))
}
