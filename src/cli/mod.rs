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
mod reader;
mod reload;
mod reports;
mod run;
mod setup;
mod status;
mod table;
mod text;
mod users;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

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
    /// Exit codes: 0 all is well, 3 something should not stay so, 4 something does not work. DOCTOR.md, which is in
    /// /usr/share/doc/owncast-herald or with the sources, explains each line.
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

/// The commands to which not all of `--config` (and `--instance`), `--socket` and `--json` mean something, and which do.
const NOT_ALL: [(&str, [bool; 3]); 7] = [
    ("run", [true, false, false]),
    ("demo", [false, false, false]),
    ("check-config", [true, false, true]),
    ("setup", [true, false, false]),
    ("proxy-config", [true, true, false]),
    ("completions", [false, false, false]),
    ("man", [false, false, false]),
];

/// Whether a common option means something to a command.
fn takes(command: &str, option: &str) -> bool {
    let known = NOT_ALL.iter().find(|(name, _)| *name == command);
    let [file, socket, json] = known.map_or([true; 3], |(_, takes)| *takes);
    match option {
        "socket" => socket,
        "json" => json,
        _ => file,
    }
}

/// The table of arguments, where no command offers an option that it refuses.
fn table() -> clap::Command {
    let table = Cli::command();
    let common: Vec<_> = table.get_arguments().filter(|option| option.is_global_set()).cloned().collect();
    table.mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        let refused = common.iter().filter(|option| !takes(&name, option.get_id().as_str()));
        command.args(refused.map(|option| option.clone().hide(true)))
    })
}

/// Reads the arguments, carries the command out, prints.
pub fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
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
    /// Reads these words, of which the first is the program's name.
    fn read<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>) -> Result<Self, clap::Error> {
        let mut table = table();
        let matches = table.try_get_matches_from_mut(words)?;
        let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut table))?;
        let name = matches.subcommand_name().unwrap_or_default();
        match cli.refused(name) {
            Some(why) => Err(table.error(clap::error::ErrorKind::ArgumentConflict, why)),
            None => Ok(cli),
        }
    }

    /// Why not: an option that the command would ignore.
    fn refused(&self, command: &str) -> Option<String> {
        let given = [
            ("config", self.config.is_some()),
            ("instance", self.instance.is_some()),
            ("socket", self.socket.is_some()),
            ("json", self.json),
        ];
        let ignored = given.iter().find(|(option, given)| *given && !takes(command, option));
        match ignored {
            Some((option, _)) => Some(format!("--{option} means nothing to {command}")),
            None if self.config.is_some() && self.instance.is_some() => {
                Some("--config and --instance both name a configuration; give one".to_owned())
            }
            None => None,
        }
    }

    fn carry_out(self) -> Outcome {
        let Cli { config, instance, socket, json, command } = self;
        let places = files::Places::named(config, socket, instance);
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
        table().debug_assert();
    }

    #[test]
    fn no_command_offers_an_option_that_it_refuses() {
        let mut table = table();
        table.build();
        for (name, takes) in NOT_ALL {
            let command = table.find_subcommand(name).unwrap();
            let offered = |option: &str| {
                command.get_arguments().any(|argument| argument.get_id() == option && !argument.is_hide_set())
            };
            assert_eq!(["config", "socket", "json"].map(offered), takes, "{name}");
            assert_eq!(offered("instance"), takes[0], "{name}");
        }
    }

    #[test]
    fn options_stand_before_or_behind_the_command() {
        for line in [
            ["owncast-herald", "--socket", "/s", "--json", "block", "list"],
            ["owncast-herald", "block", "list", "--json", "--socket", "/s"],
        ] {
            let cli = Cli::read(line).unwrap();
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
            let error = Cli::read(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line:?}");
        }
    }
}
