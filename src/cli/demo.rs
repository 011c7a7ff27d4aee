//! `demo`: the whole thing against a simulated Owncast and a simulated fediverse.

use std::io::IsTerminal;

use super::{Failure, Outcome};
use crate::sim::demo::{self, DemoOptions};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show one stream from start to end, then stop
    #[arg(long)]
    pub once: bool,
}

pub(super) fn demo(args: &Args) -> Outcome {
    // An empty NO_COLOR asks for nothing (no-color.org).
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let options = DemoOptions { once: args.once, color: std::io::stdout().is_terminal() && !unwanted };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
    runtime.block_on(demo::run(options)).map_err(|error| Failure::new(error.to_string()))?;
    Ok(String::new())
}
