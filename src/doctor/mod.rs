//! Examines the whole chain, from Owncast to what the fediverse sees, and names the cure of what is wrong.
//!
//! [`ask`] and [`local`] look; everything that judges what they saw is pure.

mod address;
mod agent;
mod ask;
mod identity;
mod local;
mod owncast;
mod paths;
mod public;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::config::{Config, ConfigError};
use crate::control::protocol::{IdentityWord, Status};

/// What was examined. The names are stable: monitoring and `docs/DOCTOR.md` go by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// `agent.toml` can be read.
    Config,
    /// An agent runs, of this release.
    Agent,
    /// The agent knows who it is.
    Identity,
    /// Nothing is sent, because everything was restored from a backup.
    Held,
    /// The private key is there and kept to itself.
    KeyFile,
    /// The store's folder.
    Store,
    /// Free space on the store's disk.
    Space,
    /// The listeners' addresses.
    Listen,
    /// Owncast answers.
    Owncast,
    /// It takes the admin password.
    Password,
    /// Its public address is the one we serve.
    ServerUrl,
    /// Its webhook reaches us.
    Webhook,
    /// Its chat socket works.
    Websocket,
    /// Our access token is in it.
    Token,
    /// Owncast's own federation announces nothing itself.
    OwnPosts,
    /// Owncast's own federation tells nobody anything itself.
    OwnFollowers,
    /// Our clock against others.
    Clock,
    /// The public name.
    Dns,
    /// The public address can be reached.
    Reach,
    /// Its certificate.
    Certificate,
    /// An address of ours is answered by us.
    Path,
    /// Owncast's own addresses are still Owncast's.
    Page,
    /// The page names the actor.
    Link,
    /// WebFinger leads to the actor.
    Webfinger,
    /// The actor is ours.
    Actor,
    /// Servers of followers take what is sent.
    Followers,
    /// What else the agent wants looked at.
    Attention,
}

impl Code {
    /// All of them, in the order in which they are examined.
    pub const ALL: [Code; 27] = [
        Code::Config,
        Code::Agent,
        Code::Identity,
        Code::Held,
        Code::KeyFile,
        Code::Store,
        Code::Space,
        Code::Listen,
        Code::Owncast,
        Code::Password,
        Code::ServerUrl,
        Code::Webhook,
        Code::Websocket,
        Code::Token,
        Code::OwnPosts,
        Code::OwnFollowers,
        Code::Clock,
        Code::Dns,
        Code::Reach,
        Code::Certificate,
        Code::Path,
        Code::Page,
        Code::Link,
        Code::Webfinger,
        Code::Actor,
        Code::Followers,
        Code::Attention,
    ];

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Config => "config",
            Code::Agent => "agent",
            Code::Identity => "identity",
            Code::Held => "held",
            Code::KeyFile => "key-file",
            Code::Store => "store",
            Code::Space => "space",
            Code::Listen => "listen",
            Code::Owncast => "owncast",
            Code::Password => "password",
            Code::ServerUrl => "server-url",
            Code::Webhook => "webhook",
            Code::Websocket => "websocket",
            Code::Token => "token",
            Code::OwnPosts => "own-posts",
            Code::OwnFollowers => "own-followers",
            Code::Clock => "clock",
            Code::Dns => "dns",
            Code::Reach => "reach",
            Code::Certificate => "certificate",
            Code::Path => "path",
            Code::Page => "page",
            Code::Link => "link",
            Code::Webfinger => "webfinger",
            Code::Actor => "actor",
            Code::Followers => "followers",
            Code::Attention => "attention",
        }
    }
}

/// How well it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Could not be examined; the text says why. Counts for nothing.
    Unchecked,
    /// As it should be.
    Green,
    /// Works, and should not stay so.
    Yellow,
    /// Does not work.
    Red,
}

/// One thing that was examined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub code: Code,
    /// How well it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What to do; nothing where all is well.
    pub cure: Option<String>,
}

impl Finding {
    fn green(code: Code, text: impl Into<String>) -> Self {
        Finding { code, level: Level::Green, text: text.into(), cure: None }
    }

    fn unchecked(code: Code, text: impl Into<String>) -> Self {
        Finding { code, level: Level::Unchecked, text: text.into(), cure: None }
    }

    fn yellow(code: Code, text: impl Into<String>, cure: impl Into<String>) -> Self {
        Finding { code, level: Level::Yellow, text: text.into(), cure: Some(cure.into()) }
    }

    /// What names its own cure.
    fn told(code: Code, level: Level, text: impl Into<String>) -> Self {
        Finding { code, level, text: text.into(), cure: None }
    }

    fn red(code: Code, text: impl Into<String>, cure: impl Into<String>) -> Self {
        Finding { code, level: Level::Red, text: text.into(), cure: Some(cure.into()) }
    }
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of what was examined.
    pub verdict: Level,
    /// When.
    pub asked_at: Timestamp,
    /// This machine's own addresses towards the public one; others may see something else.
    pub asked_from: Vec<IpAddr>,
    /// Whether an agent answered.
    pub agent_runs: bool,
    /// The public address that was examined, if it is known.
    pub public_url: Option<String>,
    /// In the order of [`Code::ALL`].
    pub findings: Vec<Finding>,
}

/// Whether an agent runs.
#[derive(Debug)]
pub enum Agent {
    /// It says this of itself.
    Runs(Box<Status>),
    /// Nobody answers on its socket.
    Stopped,
    /// It cannot be asked: why.
    Silent(String),
}

/// What is to be examined.
#[derive(Debug)]
pub struct Patient {
    /// The configuration, or what is wrong with it; `None` where there is no file.
    pub config: Option<Result<Config, ConfigError>>,
    /// The agent.
    pub agent: Agent,
    /// What its service has to read and cannot.
    pub closed: Vec<Closed>,
}

/// A file that whoever asks may read, and the service's user not.
#[derive(Debug)]
pub struct Closed {
    /// The file.
    pub file: PathBuf,
    /// The name of that user's group.
    pub group: String,
    /// That user's service sees nothing below /home and /root.
    pub homes_hidden: bool,
}

impl Patient {
    /// Whether this file is closed to the service: then what is to be said of it.
    fn closed(&self, file: Option<&Path>) -> Option<&Closed> {
        self.closed.iter().find(|closed| Some(closed.file.as_path()) == file)
    }

    fn status(&self) -> Option<&Status> {
        match &self.agent {
            Agent::Runs(status) => Some(status),
            Agent::Stopped | Agent::Silent(_) => None,
        }
    }

    /// Whether the agent sends and makes nothing, because everything was restored from a backup.
    fn is_held(&self) -> bool {
        self.status().is_some_and(|status| status.wishes.restored.is_some())
    }

    /// Whether the agent knows who it is, and so has a key.
    fn is_settled(&self) -> bool {
        self.status().is_some_and(|status| status.identity.state == IdentityWord::Settled)
    }

    fn config(&self) -> Option<&Config> {
        self.config.as_ref()?.as_ref().ok()
    }
}

/// Who is asked for in public, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    base: Option<String>,
    username: Option<String>,
}

/// Examines everything.
pub async fn examine(patient: &Patient) -> Report {
    let mut findings = local::findings(patient);
    findings.extend(agent::findings(patient));
    let owncast = owncast::look(patient).await;
    findings.extend(owncast.findings);
    let wanted = wanted(patient, &owncast.server_url, &owncast.username);
    let public = public::look(patient, &wanted).await;
    findings.extend(public.findings);
    findings.sort_by_key(|finding| finding.code);
    agent::drop_what_is_said(&mut findings);
    Report {
        verdict: findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Unchecked),
        asked_at: Timestamp::now(),
        asked_from: public.asked_from,
        agent_runs: patient.status().is_some(),
        public_url: wanted.base,
        findings,
    }
}

/// The running agent knows best, then the configuration, then Owncast.
fn wanted(patient: &Patient, server_url: &Option<String>, username: &Option<String>) -> Wanted {
    let actor = patient.status().and_then(|status| status.identity.actor.as_deref());
    if let Some((base, username)) = actor.and_then(|actor| actor.split_once("/federation/user/")) {
        return Wanted { base: Some(base.to_owned()), username: Some(username.to_owned()) };
    }
    let identity = patient.config().map(|config| &config.identity);
    let base = identity.and_then(|identity| Some(identity.public_url.as_ref()?.as_str().to_owned()));
    let name = identity.and_then(|identity| identity.username.clone());
    Wanted {
        base: base.or_else(|| server_url.clone()).filter(|base| !base.is_empty()),
        username: name.or_else(|| username.clone()).filter(|name| !name.is_empty()),
    }
}

#[cfg(test)]
mod tests;
