//! The command line: one table of arguments, one file per command.
//!
//! What a command has to say goes to standard output once it has succeeded; everything else goes to standard error. Exit
//! codes: 0 done, 1 refused or failed, 2 wrong usage, 69 no agent runs, 74 the disk failed, 78 bad configuration.

mod adopt;
mod block;
mod check_config;
mod completions;
mod deliveries;
mod demo;
mod export;
mod files;
mod followers;
mod go_live;
mod import;
mod key;
mod man;
mod offline;
mod outcome;
mod pause;
mod reload;
mod reports;
mod run;
mod status;
mod table;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use outcome::{Failure, Outcome};

const AFTER_HELP: &str = "\
First steps:
  owncast-herald demo
  OWNCAST_ADMIN_PASSWORD=… owncast-herald run --owncast http://127.0.0.1:8080
  owncast-herald status

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 69 no agent runs, 74 the disk failed, 78 bad configuration.";

/// Federates an Owncast live stream over ActivityPub, beside the Owncast server.
#[derive(Debug, Parser)]
#[command(name = "owncast-herald", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// Configuration file [default: /etc/owncast-herald/agent.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Administration socket of the running agent [default: found through the configuration]
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent in the foreground
    Run(run::Args),
    /// Try everything out with a simulated Owncast and a simulated fediverse
    Demo(demo::Args),
    /// Take over the identity of Owncast's own federation
    Adopt(adopt::Args),
    /// Show how the running agent is
    Status(status::Args),
    /// List and answer followers
    #[command(subcommand)]
    Followers(followers::Command),
    /// Block domains and people
    #[command(subcommand)]
    Block(block::Command),
    /// Read what other servers report
    #[command(subcommand)]
    Reports(reports::Command),
    /// See and steer the post that announces a stream
    #[command(subcommand)]
    GoLive(go_live::Command),
    /// See what became of what was sent, and steer what is on its way
    ///
    /// Without anything more, the newest activities with the number of inboxes in each state: not tried yet, to be tried
    /// again, to be tried again though it may have arrived, reached, given up, given up though it may have arrived.
    Deliveries(deliveries::Args),
    /// Announce no stream for a while
    ///
    /// What is already out is still edited when its stream ends. A stream that still runs when the pause is over is
    /// announced then. A pause survives restarts.
    Pause(pause::Args),
    /// End a pause: a stream that runs and has no post yet gets it
    ///
    /// After an import nothing is sent before `resume --restored`.
    Resume(pause::ResumeArgs),
    /// Write everything that is kept into one file, beside the running agent or without one
    Export(export::Args),
    /// Make the store out of a file that export wrote; nothing is sent before `resume --restored`
    ///
    /// The whole file is checked before anything is touched. The agent must be stopped.
    Import(import::Args),
    /// Write a backup into a folder, and remove old ones
    Backup(export::BackupArgs),
    /// Copy, put back, show or change the actor's private key
    #[command(subcommand)]
    Key(key::Command),
    /// Make the running agent read its configuration again, and show what changed
    Reload,
    /// Check a configuration file without starting anything
    CheckConfig,
    /// Print a shell's completion script
    Completions(completions::Args),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::Args),
}

impl Command {
    /// The command's name, and which of `--config`, `--socket` and `--json` mean something to it.
    fn takes(&self) -> (&'static str, [bool; 3]) {
        match self {
            Command::Run(_) => ("run", [true, false, false]),
            Command::Demo(_) => ("demo", [false, false, false]),
            Command::Adopt(_) => ("adopt", [true, true, true]),
            Command::Status(_) => ("status", [true, true, true]),
            Command::Followers(_) => ("followers", [true, true, true]),
            Command::Block(_) => ("block", [true, true, true]),
            Command::Reports(_) => ("reports", [true, true, true]),
            Command::GoLive(_) => ("go-live", [true, true, true]),
            Command::Deliveries(_) => ("deliveries", [true, true, true]),
            Command::Pause(_) => ("pause", [true, true, true]),
            Command::Resume(_) => ("resume", [true, true, true]),
            Command::Export(_) => ("export", [true, true, true]),
            Command::Import(_) => ("import", [true, true, true]),
            Command::Backup(_) => ("backup", [true, true, true]),
            Command::Key(_) => ("key", [true, true, true]),
            Command::Reload => ("reload", [true, true, true]),
            Command::CheckConfig => ("check-config", [true, false, true]),
            Command::Completions(_) => ("completions", [false, false, false]),
            Command::Man(_) => ("man", [false, false, false]),
        }
    }
}

/// Reads the arguments, carries the command out, prints.
pub fn main() -> ExitCode {
    let parsed = Cli::try_parse().and_then(Cli::checked);
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done when the terminal has gone away.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    outcome::conclude(cli.carry_out())
}

impl Cli {
    /// Refuses an option that the command would ignore.
    fn checked(self) -> Result<Self, clap::Error> {
        let (name, takes) = self.command.takes();
        let given =
            [("--config", self.config.is_some()), ("--socket", self.socket.is_some()), ("--json", self.json)];
        let meaningless = given.iter().zip(takes).find(|((_, given), takes)| *given && !takes);
        match meaningless {
            Some(((option, _), _)) => {
                let message = format!("{option} means nothing to {name}");
                Err(Cli::command().error(clap::error::ErrorKind::ArgumentConflict, message))
            }
            None => Ok(self),
        }
    }

    fn carry_out(self) -> Outcome {
        let Cli { config, socket, json, command } = self;
        let places = files::Places { config, socket };
        match command {
            Command::Run(args) => run::run(&places, args),
            Command::Demo(args) => demo::demo(&args),
            Command::Adopt(args) => adopt::adopt(&places, &args, json),
            Command::Status(args) => status::status(&places, &args, json),
            Command::Followers(command) => followers::followers(&places, command, json),
            Command::Block(command) => block::block(&places, command, json),
            Command::Reports(command) => reports::reports(&places, command, json),
            Command::GoLive(command) => go_live::go_live(&places, command, json),
            Command::Deliveries(args) => deliveries::deliveries(&places, args, json),
            Command::Pause(args) => pause::pause(&places, &args, json),
            Command::Resume(args) => pause::resume(&places, &args, json),
            Command::Export(args) => export::export(&places, &args, json),
            Command::Import(args) => import::import(&places, &args, json),
            Command::Backup(args) => export::backup(&places, &args, json),
            Command::Key(command) => key::key(&places, command, json),
            Command::Reload => reload::reload(&places, json),
            Command::CheckConfig => check_config::check(&places, json),
            Command::Completions(args) => completions::completions(&args),
            Command::Man(args) => man::man(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_stand_before_or_behind_the_command() {
        for line in [
            ["owncast-herald", "--socket", "/s", "--json", "block", "list"],
            ["owncast-herald", "block", "list", "--json", "--socket", "/s"],
        ] {
            let cli = Cli::try_parse_from(line).and_then(Cli::checked).unwrap();
            assert!(cli.json && cli.socket == Some("/s".into()), "{line:?}");
        }
    }

    #[test]
    fn ignored_options_are_refused() {
        for line in [
            &["owncast-herald", "run", "--json"][..],
            &["owncast-herald", "run", "--socket", "/s"],
            &["owncast-herald", "completions", "bash", "--config", "/c"],
        ] {
            let error = Cli::try_parse_from(line).and_then(Cli::checked).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line:?}");
        }
    }
}
