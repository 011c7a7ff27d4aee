//! Where things are: the configuration file and the running agent's socket.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::outcome::remark;
use super::text::quoted;
use super::{Failure, offline};
use crate::config::{Config, ConfigError, DEFAULT_FILE, Instance, Overrides};
use crate::control::client::{self, ClientError};
use crate::control::protocol::{Answer, Ask};

/// Stands in where a command does without Owncast: its address has no part in where our own files are.
const ANY_OWNCAST: &str = "http://127.0.0.1:8080";

/// What the command line says about places.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// `--config`
    pub(super) config: Option<PathBuf>,
    /// `--socket`
    pub(super) socket: Option<PathBuf>,
    /// `--instance`
    pub(super) instance: Option<Instance>,
}

/// The process's environment, as the configuration looks at it.
pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Places {
    /// The file named, or else the packages' one if it is there.
    pub(super) fn config_file(&self) -> Option<PathBuf> {
        let path = self.config_path();
        (self.config.is_some() || is_there(&path)).then_some(path)
    }

    /// Where the configuration is, or is to be.
    pub(super) fn config_path(&self) -> PathBuf {
        match (&self.config, &self.instance) {
            (Some(named), _) => named.clone(),
            (None, Some(instance)) => instance.file(&folder()),
            (None, None) => PathBuf::from(DEFAULT_FILE),
        }
    }

    /// The environment as the configuration of this agent looks at it.
    pub(super) fn env(&self) -> impl Fn(&str) -> Option<String> + Send + Sync + use<> {
        let store = self.instance.as_ref().map(|instance| instance.store().display().to_string());
        move |name| env(name).or_else(|| store.clone().filter(|_| name == "STATE_DIRECTORY"))
    }

    /// The configuration as far as our own files go.
    pub(super) fn own_files(&self, store: Option<&Path>) -> Result<Config, ConfigError> {
        self.load(self.config_file().as_deref(), store)
    }

    fn load(&self, file: Option<&Path>, store: Option<&Path>) -> Result<Config, ConfigError> {
        let overrides =
            Overrides { owncast_url: Some(ANY_OWNCAST.to_owned()), store_path: store.map(Path::to_owned) };
        Config::load(file, overrides, &self.env())
    }

    /// Where the agent's socket may be, most likely first. A mistake in the file is said and stops nobody: the agent
    /// goes on with what it read before.
    pub(super) fn sockets(&self) -> Result<Vec<PathBuf>, ConfigError> {
        if let Some(socket) = &self.socket {
            return Ok(vec![socket.clone()]);
        }
        let error = match self.own_files(None) {
            Ok(config) => return Ok(self.candidates(&config)),
            Err(error) => error,
        };
        let file = self.config_file();
        let salvaged = file.as_deref().and_then(|file| Config::salvage(file, &self.env()));
        if salvaged.is_some() {
            remark(&format!("warning: {error}\nA running agent goes on with what it read before.\n"));
        }
        match salvaged {
            Some(config) => Ok(self.candidates(&config)),
            // This user may not read the packages' file, or cannot make it out: the agent may run all the same.
            None if self.config.is_none() => Ok(self.candidates(&self.load(None, None)?)),
            // Another agent than the one that was named must not be asked.
            None => Err(error),
        }
    }

    /// The configuration as the agent of this machine has it.
    pub(super) fn stored(&self) -> Result<Config, ConfigError> {
        let file = self.config_file();
        match Config::load(file.as_deref(), Overrides::default(), &self.env()) {
            Ok(config) => Ok(config),
            Err(_) => self.load(file.as_deref(), None),
        }
    }

    fn candidates(&self, config: &Config) -> Vec<PathBuf> {
        match &self.instance {
            Some(instance) => config.socket_candidates(instance.socket()),
            None => config.admin_socket_candidates(),
        }
    }

    /// Asks the running agent, or, where none runs and none was named by its socket, its store.
    pub(super) fn ask(&self, ask: &Ask) -> Result<Answer, Failure> {
        match client::ask(&self.sockets()?, ask) {
            Err(nobody @ ClientError::NoAgent { .. }) if self.socket.is_none() => {
                offline::ask(self, ask, nobody)
            }
            answer => Ok(answer?),
        }
    }

    /// The same places as arguments, for this program run as somebody else.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let named = [("--config", &self.config), ("--socket", &self.socket)];
        let given = named.iter().filter_map(|(name, path)| path.as_ref().map(|path| (name, path)));
        let given = given.flat_map(|(name, path)| [OsString::from(name), path.clone().into()]);
        let instance = self
            .instance
            .iter()
            .flat_map(|instance| ["--instance".into(), OsString::from(instance.to_string())]);
        given.chain(instance).collect()
    }

    /// A whole command about this agent, as it can be typed; `rest` is everything behind the program's name.
    pub(super) fn command(&self, rest: &str) -> String {
        let packaged = self.config.is_none() && self.socket.is_none();
        let sudo = if packaged || env("SUDO_UID").is_some() { "sudo " } else { "" };
        let options: String = self.arguments().iter().map(|option| format!(" {}", quoted(option))).collect();
        format!("{sudo}{}{options} {rest}", env!("CARGO_PKG_NAME"))
    }

    /// A whole command about this agent's service. One that is configured elsewhere has a unit that nobody knows here.
    pub(super) fn systemctl(&self, verb: &str) -> String {
        format!("sudo systemctl {verb} {}", self.unit())
    }

    /// The name of this agent's service.
    pub(super) fn unit(&self) -> String {
        match (&self.instance, self.config.as_deref()) {
            (Some(instance), _) => format!("owncast-herald@{instance}"),
            (None, Some(file)) if file != Path::new(DEFAULT_FILE) => "UNIT".to_owned(),
            (None, _) => "owncast-herald".to_owned(),
        }
    }

    /// [`Places::ask`], for who goes on without an agent.
    pub(super) fn try_ask(&self, ask: &Ask) -> Result<Result<Answer, ClientError>, Failure> {
        Ok(client::ask(&self.sockets()?, ask))
    }

    /// The whole configuration, Owncast's address included.
    pub(super) fn whole(&self, store: Option<&Path>) -> Result<Config, ConfigError> {
        let overrides = Overrides { owncast_url: None, store_path: store.map(Path::to_owned) };
        Config::load(self.config_file().as_deref(), overrides, &self.env())
    }

    /// Whether an agent runs. One that this user may not ask is an error: its store is not to be opened.
    pub(super) fn finds_agent(&self) -> Result<bool, Failure> {
        match client::connect(&self.sockets()?) {
            Ok(_) => Ok(true),
            Err(ClientError::NoAgent { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an agent runs, as far as this user can tell.
    pub(super) fn agent_runs(&self) -> bool {
        self.sockets().is_ok_and(|sockets| client::connect(&sockets).is_ok())
    }
}

/// Where the configurations of all instances are.
fn folder() -> PathBuf {
    let of_unit = env("CONFIGURATION_DIRECTORY").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let default = || Path::new(DEFAULT_FILE).parent().unwrap_or(Path::new("/")).to_owned();
    of_unit.unwrap_or_else(default)
}

/// A file that this user may not see is there, too: it is to be complained about, not passed over.
fn is_there(path: &Path) -> bool {
    std::fs::metadata(path).map_or_else(|error| error.kind() != std::io::ErrorKind::NotFound, |_| true)
}

/// What a running agent of this release never answers.
pub(super) fn unexpected() -> Failure {
    Failure::new(
        "the agent answered something else than was asked; restart it, so that both are of one release",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_the_agent_it_is_about() {
        let places = Places::default();
        assert_eq!(places.command("status"), "sudo owncast-herald status");
        assert_eq!(places.systemctl("start"), "sudo systemctl start owncast-herald");
        let radio = Places { instance: "radio".parse().ok(), ..Places::default() };
        assert_eq!(radio.command("adopt --undo"), "sudo owncast-herald --instance radio adopt --undo");
        assert_eq!(radio.systemctl("restart"), "sudo systemctl restart owncast-herald@radio");
        let elsewhere = Places { config: Some("/srv/my stream/agent.toml".into()), ..Places::default() };
        let command = elsewhere.command("status");
        assert!(command.ends_with("owncast-herald --config '/srv/my stream/agent.toml' status"), "{command}");
        assert_eq!(elsewhere.systemctl("stop"), "sudo systemctl stop UNIT");
    }
}
