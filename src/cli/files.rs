//! Where things are: what is read and asked at the [`Places`] that were named.

use std::path::{Path, PathBuf};

use super::outcome::remark;
use super::{Failure, offline};
pub(super) use crate::config::Places;
use crate::config::{Config, ConfigError, Overrides};
use crate::control::client::{self, ClientError};
use crate::control::protocol::{Answer, Ask};

/// Stands in where a command does without Owncast: its address has no part in where our own files are.
const ANY_OWNCAST: &str = "http://127.0.0.1:8080";

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

    /// Whether commands with these options alone find this socket.
    pub(super) fn lead_to(&self, socket: &Path) -> bool {
        self.own_files(None).is_ok_and(|config| self.candidates(&config).iter().any(|found| found == socket))
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
