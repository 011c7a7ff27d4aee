//! Where things are: the configuration file and the running agent's socket.

use std::path::{Path, PathBuf};

use super::Failure;
use super::outcome::remark;
use crate::config::{Config, ConfigError, DEFAULT_FILE, Overrides};
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
}

/// The process's environment, as the configuration looks at it.
pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Places {
    /// The file named, or the packages' one if it is there.
    pub(super) fn config_file(&self) -> Option<PathBuf> {
        let default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|path| is_there(path));
        self.config.clone().or_else(default)
    }

    /// The configuration as far as our own files go.
    pub(super) fn own_files(&self, store: Option<&Path>) -> Result<Config, ConfigError> {
        load(self.config_file().as_deref(), store)
    }

    /// Where the agent's socket may be, most likely first. A mistake in the file is said and stops nobody: the agent
    /// goes on with what it read before.
    fn sockets(&self) -> Result<Vec<PathBuf>, ConfigError> {
        if let Some(socket) = &self.socket {
            return Ok(vec![socket.clone()]);
        }
        let error = match self.own_files(None) {
            Ok(config) => return Ok(config.admin_socket_candidates()),
            Err(error) => error,
        };
        let file = self.config_file();
        let salvaged = file.as_deref().and_then(|file| Config::salvage(file, &env));
        if salvaged.is_some() {
            remark(&format!("warning: {error}\nA running agent goes on with what it read before.\n"));
        }
        match salvaged {
            Some(config) => Ok(config.admin_socket_candidates()),
            // This user may not read the packages' file, or cannot make it out: the agent may run all the same.
            None if self.config.is_none() => Ok(load(None, None)?.admin_socket_candidates()),
            // Another agent than the one that was named must not be asked.
            None => Err(error),
        }
    }

    /// Asks the running agent.
    pub(super) fn ask(&self, ask: &Ask) -> Result<Answer, Failure> {
        Ok(client::ask(&self.sockets()?, ask)?)
    }

    /// The whole configuration, Owncast's address included.
    pub(super) fn whole(&self, store: Option<&Path>) -> Result<Config, ConfigError> {
        let overrides = Overrides { owncast_url: None, store_path: store.map(Path::to_owned) };
        Config::load(self.config_file().as_deref(), overrides, &env)
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

fn load(file: Option<&Path>, store: Option<&Path>) -> Result<Config, ConfigError> {
    let overrides =
        Overrides { owncast_url: Some(ANY_OWNCAST.to_owned()), store_path: store.map(Path::to_owned) };
    Config::load(file, overrides, &env)
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
