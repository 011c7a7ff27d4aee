//! The command line: one table of arguments, one file per command.
//!
//! What a command has to say goes to standard output once it has succeeded; everything else goes to standard error. Exit
//! codes: 0 done, 1 refused or failed, 2 wrong usage, 3 and 4 what doctor found (yellow, red), 69 no agent runs, 74 the disk
//! failed, 78 bad configuration.

mod adopt;
mod block;
mod check_config;
mod completions;
mod deliveries;
mod demo;
mod disconnect;
mod doctor;
mod examples;
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
mod proxy_config;
mod reload;
mod reports;
mod run;
mod setup;
mod status;
mod table;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use outcome::{Failure, Outcome};

use crate::config::Instance;

const AFTER_HELP: &str = "\
First steps:
  owncast-herald demo
  sudo owncast-herald setup
  OWNCAST_ADMIN_PASSWORD=… owncast-herald run --owncast http://127.0.0.1:8080
  owncast-herald status

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 and 4 what doctor finds (yellow, red), 69 no agent runs, \
74 the disk failed, 78 bad configuration.";

/// Federates an Owncast live stream over ActivityPub, beside the Owncast server.
#[derive(Debug, Parser)]
#[command(name = "owncast-herald", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true, next_help_heading = "Common options")]
pub struct Cli {
    /// Configuration file [default: /etc/owncast-herald/agent.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml
    #[arg(short, long, global = true, value_name = "NAME")]
    pub instance: Option<Instance>,
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
    #[command(after_help = examples::RUN)]
    Run(run::Args),
    /// Try everything out with a simulated Owncast and a simulated fediverse
    Demo(demo::Args),
    /// Move in from Owncast's own federation: key, followers, posts and blocks; or back
    #[command(after_help = examples::ADOPT)]
    Adopt(adopt::Args),
    /// Remove from Owncast what the agent made there, and say what to take out of the proxy
    #[command(after_help = examples::DISCONNECT)]
    Disconnect(disconnect::Args),
    /// Show how the running agent is
    #[command(after_help = examples::STATUS)]
    Status(status::Args),
    /// List and answer followers
    #[command(subcommand, after_help = examples::FOLLOWERS)]
    Followers(followers::Command),
    /// Block domains and people
    #[command(subcommand, after_help = examples::BLOCK)]
    Block(block::Command),
    /// Read what other servers report
    #[command(subcommand)]
    Reports(reports::Command),
    /// See and steer the post that announces a stream
    #[command(subcommand, after_help = examples::GO_LIVE)]
    GoLive(go_live::Command),
    /// See what became of what was sent, and steer what is on its way
    ///
    /// Without anything more, the newest activities with the number of inboxes in each state: not tried yet, to be tried
    /// again, to be tried again though it may have arrived, reached, given up, given up though it may have arrived.
    #[command(after_help = examples::DELIVERIES)]
    Deliveries(deliveries::Args),
    /// Announce no stream for a while
    ///
    /// What is already out is still edited when its stream ends. A stream that still runs when the pause is over is
    /// announced then. A pause survives restarts.
    #[command(after_help = examples::PAUSE)]
    Pause(pause::Args),
    /// End a pause: a stream that runs and has no post yet gets it
    ///
    /// After an import nothing is sent before `resume --restored`.
    Resume(pause::ResumeArgs),
    /// Write everything that is kept into one file, beside the running agent or without one
    #[command(after_help = examples::EXPORT)]
    Export(export::Args),
    /// Make the store out of a file that export wrote; nothing is sent before `resume --restored`
    ///
    /// The whole file is checked before anything is touched. The agent must be stopped.
    #[command(after_help = examples::IMPORT)]
    Import(import::Args),
    /// Write a backup into a folder, and remove old ones
    #[command(after_help = examples::BACKUP)]
    Backup(export::BackupArgs),
    /// Copy, put back, show or change the actor's private key
    #[command(subcommand, after_help = examples::KEY)]
    Key(key::Command),
    /// Make the running agent read its configuration again, and show what changed
    Reload,
    /// Check a configuration file without starting anything
    CheckConfig,
    /// Make the configuration, start the service, and examine everything
    ///
    /// Asks for Owncast's address and password, tries them, and shows what it will do before it does it. What is there is
    /// not replaced without --force.
    Setup(setup::Args),
    /// Examine everything, from Owncast to what the fediverse sees, and say the cure
    ///
    /// Exit codes: 0 all is well, 3 something should not stay so, 4 something does not work. docs/DOCTOR.md explains each
    /// line.
    #[command(after_help = examples::DOCTOR)]
    Doctor,
    /// Print what a reverse proxy in front of Owncast has to be told
    ProxyConfig(proxy_config::Args),
    /// Print a shell's completion script
    #[command(after_help = examples::COMPLETIONS)]
    Completions(completions::Args),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::Args),
}

impl Command {
    /// The command's name, and which of `--config` (and `--instance`), `--socket` and `--json` mean something to it.
    fn takes(&self) -> (&'static str, [bool; 3]) {
        match self {
            Command::Run(_) => ("run", [true, false, false]),
            Command::Demo(_) => ("demo", [false, false, false]),
            Command::Adopt(_) => ("adopt", [true, true, true]),
            Command::Disconnect(_) => ("disconnect", [true, true, true]),
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
            Command::Setup(_) => ("setup", [true, false, false]),
            Command::Doctor => ("doctor", [true, true, true]),
            Command::ProxyConfig(_) => ("proxy-config", [true, true, false]),
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
        let [file, socket, json] = takes;
        let given = [
            ("--config", self.config.is_some(), file),
            ("--instance", self.instance.is_some(), file),
            ("--socket", self.socket.is_some(), socket),
            ("--json", self.json, json),
        ];
        let refused = match given.iter().find(|(_, given, takes)| *given && !takes) {
            Some((option, ..)) => format!("{option} means nothing to {name}"),
            None if self.config.is_some() && self.instance.is_some() => {
                "--config and --instance both name a configuration; give one".to_owned()
            }
            None => return Ok(self),
        };
        Err(Cli::command().error(clap::error::ErrorKind::ArgumentConflict, refused))
    }

    fn carry_out(self) -> Outcome {
        let Cli { config, instance, socket, json, command } = self;
        let places = files::Places { config, socket, instance };
        // `run` knows more of where it is once it has read its configuration.
        if !matches!(command, Command::Run(_)) {
            places.settle();
        }
        carried_out(command, &places, json)
    }
}

fn carried_out(command: Command, places: &files::Places, json: bool) -> Outcome {
    match command {
        Command::Run(args) => run::run(places, args),
        Command::Demo(args) => demo::demo(&args),
        Command::Adopt(args) => adopt::adopt(places, &args, json),
        Command::Disconnect(args) => disconnect::disconnect(places, &args, json),
        Command::Status(args) => status::status(places, &args, json),
        Command::Followers(command) => followers::followers(places, command, json),
        Command::Block(command) => block::block(places, command, json),
        Command::Reports(command) => reports::reports(places, command, json),
        Command::GoLive(command) => go_live::go_live(places, command, json),
        Command::Deliveries(args) => deliveries::deliveries(places, args, json),
        Command::Pause(args) => pause::pause(places, &args, json),
        Command::Resume(args) => pause::resume(places, &args, json),
        Command::Export(args) => export::export(places, &args, json),
        Command::Import(args) => import::import(places, &args, json),
        Command::Backup(args) => export::backup(places, &args, json),
        Command::Key(command) => key::key(places, command, json),
        Command::Reload => reload::reload(places, json),
        Command::CheckConfig => check_config::check(places, json),
        Command::Setup(args) => setup::setup(places, &args),
        Command::Doctor => doctor::doctor(places, json),
        Command::ProxyConfig(args) => proxy_config::proxy_config(places, &args),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => man::man(&args),
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
            &["owncast-herald", "demo", "-i", "one"],
            &["owncast-herald", "-i", "one", "--config", "/c", "status"],
            &["owncast-herald", "-i", "../one", "status"],
        ] {
            let error = Cli::try_parse_from(line).and_then(Cli::checked).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line:?}");
        }
    }
}
