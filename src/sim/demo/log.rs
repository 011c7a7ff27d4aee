//! The agent's log beside the story instead of in it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

/// Lines of the log shown after a failure.
const SHOWN: usize = 6;

/// Sends this process's log to a file in `folder`; `None` where the process has set up logging already.
pub(super) fn to_file(folder: &Path) -> Option<PathBuf> {
    let path = folder.join("agent.log");
    let file = File::create(&path).ok()?;
    tracing_subscriber::fmt()
        .with_writer(Arc::new(file))
        .with_ansi(false)
        .with_env_filter(EnvFilter::new("warn,herald=debug"))
        .try_init()
        .ok()?;
    Some(path)
}

/// The last warnings and errors in a log, without their times and without those about what a demo opens on purpose.
pub(super) fn complaints(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut lines: Vec<String> = text
        .lines()
        .filter_map(|line| [" WARN ", " ERROR "].iter().find_map(|level| line.split_once(level)))
        .map(|(_, said)| said.to_owned())
        .filter(|said| !said.contains("federation.allow-"))
        .collect();
    lines.split_off(lines.len().saturating_sub(SHOWN))
}
