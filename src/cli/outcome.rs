//! How a command ends: a text for standard output, or a failure with its exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use super::text;
use crate::adopt::AdoptError;
use crate::agent::AgentError;
use crate::backup::ExportError;
use crate::config::ConfigError;
use crate::config::keyfile::KeyFileError;
use crate::control::client::ClientError;
use crate::store::StoreError;
use crate::telemetry::log::Surroundings;

/// As shells have it for a process that SIGINT has ended.
const INTERRUPTED: u8 = 130;

/// Why a command failed: what, where, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For the operator; may have several lines.
    pub message: String,
    /// Exit code of the process.
    pub code: u8,
    /// What goes to standard output all the same: a result that is no success.
    pub result: String,
}

/// What a command prints, or why it failed.
pub type Outcome = Result<String, Failure>;

impl Failure {
    /// Refused or failed.
    pub fn new(message: impl Into<String>) -> Self {
        Failure { message: message.into(), code: 1, result: String::new() }
    }

    /// A result that is no success, and needs no further words.
    pub fn with_result(result: String, code: u8) -> Self {
        Failure { message: String::new(), code, result }
    }

    /// Bad configuration: `EX_CONFIG` of sysexits.h.
    pub fn of_configuration(message: impl Into<String>) -> Self {
        Failure { message: message.into(), code: 78, result: String::new() }
    }
}

macro_rules! from_error_with_code {
    ($($error:ty),+) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure { message: error.to_string(), code: error.exit_code(), result: String::new() }
            }
        }
    )+};
}
from_error_with_code!(ConfigError, ClientError, AgentError, StoreError, ExportError);

impl From<AdoptError> for Failure {
    fn from(error: AdoptError) -> Self {
        let code = if matches!(error, AdoptError::Interrupted) { INTERRUPTED } else { 1 };
        Failure { code, ..Failure::new(error.to_string()) }
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        let cure = if matches!(error, KeyFileError::AnotherKey { .. }) { " with --force" } else { "" };
        Failure::new(format!("{error}{cure}"))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Failure::new(format!("this cannot be written as JSON: {error}"))
    }
}

/// Prints, and gives the exit code.
pub(super) fn conclude(outcome: Outcome) -> ExitCode {
    let (text, failure) = match outcome {
        Ok(text) => (text, None),
        Err(failure) => (failure.result.clone(), Some(failure)),
    };
    let failure = match (io::stdout().write_all(text.as_bytes()), failure) {
        // `owncast-herald followers list | head` is no failure.
        (Err(error), None) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        (Err(error), None) => Failure::new(format!("standard output cannot be written: {error}")),
        (Ok(()), None) => return ExitCode::SUCCESS,
        (_, Some(failure)) => failure,
    };
    if !failure.message.is_empty() {
        complain(&failure.message);
    }
    ExitCode::from(failure.code)
}

fn complain(message: &str) {
    let journal = std::env::var("JOURNAL_STREAM").ok();
    // The journal takes the priority from the front of each line (sd-daemon(3)).
    let error = match Surroundings::detect(journal.as_deref()) {
        Surroundings::Journal => "<3>",
        Surroundings::Terminal | Surroundings::Pipe => "",
    };
    let message = text::inert(&format!("owncast-herald: {message}"));
    let lines: String = message.lines().map(|line| format!("{error}{line}\n")).collect();
    // Nothing can be said when nobody listens.
    let _ = io::stderr().write_all(lines.as_bytes());
}

/// Says something beside the result, on standard error.
pub(super) fn remark(text: &str) {
    let _ = io::stderr().write_all(format!("{}\n", text::inert(text)).as_bytes());
}
