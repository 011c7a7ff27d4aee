//! `doctor`: examines everything and says the cure.

use std::io::IsTerminal;
use std::path::Path;

use super::files::{Places, unexpected};
use super::reader::Reader;
use super::setup::service::unit_of;
use super::text::{inert, json, line};
use super::{Failure, Outcome};
pub(super) use crate::config::password_beside as beside;
use crate::config::{Config, Overrides};
use crate::control::client::ClientError;
use crate::control::protocol::{Answer, Ask};
use crate::doctor::{self, Agent, Level, Patient, Report};

/// Characters of a line's first two words.
const WORDS: [usize; 2] = [10, 14];

pub(super) fn doctor(places: &Places, as_json: bool) -> Outcome {
    let report = examined(places)?;
    let code = exit_code(report.verdict);
    let text = if as_json { json(&report)? } else { told(&report, colours()) };
    if code == 0 { Ok(text) } else { Err(Failure::with_result(text, code)) }
}

/// For monitoring.
pub(super) fn exit_code(verdict: Level) -> u8 {
    match verdict {
        Level::Unchecked | Level::Green => 0,
        Level::Yellow => 3,
        Level::Red => 4,
    }
}

/// Examines what `places` names.
pub(super) fn examined(places: &Places) -> Result<Report, Failure> {
    let file = places.config_file();
    let load = |file: &Path| Config::load(Some(file), Overrides::default(), &places.env());
    let agent = match places.try_ask(&Ask::Status) {
        Ok(Ok(Answer::Status(status))) => Agent::Runs(status),
        Ok(Ok(_)) => Agent::Silent(unexpected().message),
        Ok(Err(ClientError::NoAgent { .. })) => Agent::Stopped,
        Ok(Err(error)) => Agent::Silent(error.to_string()),
        // The configuration is wrong and does not tell where the socket is.
        Err(failure) => Agent::Silent(failure.message),
    };
    let config = file.as_deref().map(load);
    let reader = unit_of(places).and_then(|unit| Reader::of_service(places, &unit));
    let closed = match (reader, &config) {
        (Some(reader), Some(Ok(config))) => reader.closed(config),
        _ => Vec::new(),
    };
    let patient = Patient { config, agent, closed };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
    Ok(runtime.block_on(doctor::examine(&patient)))
}

/// An empty NO_COLOR asks for nothing (no-color.org).
pub(super) fn colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !unwanted
}

/// The report as people read it.
pub(super) fn told(report: &Report, colours: bool) -> String {
    let from: Vec<String> = report.asked_from.iter().map(ToString::to_string).collect();
    let from = if from.is_empty() { String::new() } else { format!(" ({})", from.join(", ")) };
    let agent = if report.agent_runs { "" } else { " No agent answers: what only it knows is not examined." };
    let mut text = format!("Asked from this machine{from}; others may see something else.{agent}\n\n");
    for finding in &report.findings {
        let word = format!("{:width$}", word(finding.level), width = WORDS[0]);
        let word = if colours { format!("\x1b[{}m{word}\x1b[0m", colour(finding.level)) } else { word };
        let said = inert(&line(&finding.text));
        text.push_str(&format!("{word}{:width$}{said}\n", finding.code.as_str(), width = WORDS[1]));
        if let Some(cure) = &finding.cure {
            text.push_str(&format!("{:width$}→ {}\n", "", inert(&line(cure)), width = WORDS[0] + WORDS[1]));
        }
    }
    let count = |level| report.findings.iter().filter(|finding| finding.level == level).count();
    text.push_str(&format!(
        "\n{} green, {} yellow, {} red, {} not examined.\n",
        count(Level::Green),
        count(Level::Yellow),
        count(Level::Red),
        count(Level::Unchecked)
    ));
    text
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Unchecked => "-",
        Level::Green => "green",
        Level::Yellow => "yellow",
        Level::Red => "red",
    }
}

/// SGR code.
fn colour(level: Level) -> u8 {
    match level {
        Level::Unchecked => 2,
        Level::Green => 32,
        Level::Yellow => 33,
        Level::Red => 31,
    }
}
