//! `pause` and `resume`: whether streams are announced at all for a while.

use super::Outcome;
use super::files::{Places, unexpected};
use super::go_live::told;
use super::text::json;
use crate::config::value::{Period, from_argument};
use crate::control::protocol::{Answer, Ask};

/// Milliseconds in a minute.
const MINUTE: u64 = 60_000;
/// Milliseconds in the longest pause.
const LONGEST: u64 = 30 * 24 * 60 * MINUTE;

/// Arguments of `pause`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long: 30m, 2h, 1d12h; from 1m to 30d
    #[arg(long = "for", value_name = "DURATION", value_parser = from_argument::<Period<MINUTE, LONGEST>>)]
    pub span: Period<MINUTE, LONGEST>,
}

/// Arguments of `resume`.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// After an import: let this machine send, since the one the backup was made on is stopped
    #[arg(long)]
    pub restored: bool,
}

pub(super) fn pause(places: &Places, args: &Args, as_json: bool) -> Outcome {
    wish(places, &Ask::Pause { seconds: args.span.0.as_secs() }, as_json)
}

pub(super) fn resume(places: &Places, args: &ResumeArgs, as_json: bool) -> Outcome {
    wish(places, &Ask::Resume { restored: args.restored }, as_json)
}

/// Asks for something about the next posts, and tells what follows.
pub(super) fn wish(places: &Places, ask: &Ask, as_json: bool) -> Outcome {
    let Answer::Wished(wished) = places.ask(ask)? else { return Err(unexpected()) };
    if as_json { json(&wished) } else { Ok(told(&wished)) }
}
