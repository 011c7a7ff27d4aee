//! `agent.toml` as written ([`file::Spec`]), the validated [`Config`] that everybody else reads, secrets, and reload.
//!
//! Where a field is an `Option`, its default comes from Owncast at run time; everything else has its value here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

mod choice;
mod error;
pub mod file;
mod instance;
pub mod keyfile;
mod load;
mod locate;
mod places;
pub mod reload;
mod secret;
mod settings;
pub mod value;

pub use crate::model::Secret;
pub use choice::{
    Approval, FollowersShown, LogFormat, NoticeStyle, NoticeWhen, OnEnd, PostImage, Visibility,
};
pub use error::ConfigError;
pub use instance::{Instance, NotAnInstance};
pub use load::{Env, Overrides};
pub use places::{Places, here, quoted};
pub use secret::{AdminPassword, HANDED_PASSWORD, PASSWORD_CREDENTIAL, PASSWORD_VARIABLE, password_beside};
pub use settings::{Changed, Origin, Setting, diff};
pub use value::{HttpUrl, LogLevel};

/// Where the packages put the configuration.
pub const DEFAULT_FILE: &str = "/etc/owncast-herald/agent.toml";

/// Where the service's unit puts the administration socket (`RuntimeDirectory=owncast-herald`).
pub const SERVICE_SOCKET: &str = "/run/owncast-herald/admin.sock";

/// How `run` is begun once with such a wish, also where a service runs it otherwise.
pub fn run_once(options: &str, until: &str) -> String {
    format!(
        "'{}' (beside a service: stop that, run this once with sudo until its log says \"{until}\", end it with Ctrl-C, and start the service)",
        here().typed(&format!("run {options}"))
    )
}

/// A validated configuration. It never changes; a reload makes another one.
#[derive(Debug, Clone)]
pub struct Config {
    /// How Owncast is reached.
    pub owncast: OwncastConfig,
    /// Where we listen.
    pub listen: ListenConfig,
    /// Who we are in the fediverse.
    pub identity: IdentityConfig,
    /// Posts about the stream.
    pub go_live: GoLiveConfig,
    /// Notices in Owncast's chat.
    pub notices: NoticesConfig,
    /// Who may follow, and what is shown of it.
    pub followers: FollowersConfig,
    /// Which other servers are contacted at all.
    pub federation: FederationConfig,
    /// How much others may send.
    pub limits: LimitsConfig,
    /// How posts are sent.
    pub delivery: DeliveryConfig,
    /// Where the database is.
    pub store: StoreConfig,
    /// What is logged.
    pub log: LogConfig,
    file: Option<PathBuf>,
    origins: BTreeMap<&'static str, Origin>,
    warnings: Vec<String>,
}

/// How Owncast is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwncastConfig {
    /// Owncast's own address, without a trailing slash.
    pub url: HttpUrl,
    /// Login of the admin API.
    pub admin_user: String,
    /// Password of the admin API, or why there is none.
    pub admin_password: AdminPassword,
    /// Whether the chat websocket is used beside webhook and polling.
    pub websocket: bool,
    /// Whether Owncast's go-live message is kept here and emptied there, so that it does not post as well.
    pub take_over_go_live_message: bool,
}

/// Where we listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenConfig {
    /// The fediverse's side, behind the reverse proxy.
    pub public: SocketAddr,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The webhook's listener.
    pub webhook: SocketAddr,
    /// The webhook listener's address as Owncast reaches it; `None`: made by [`ListenConfig::webhook_base`].
    pub webhook_url: Option<HttpUrl>,
    /// Probes and metrics.
    pub metrics: SocketAddr,
    /// The administration socket.
    pub admin_socket: PathBuf,
}

impl ListenConfig {
    /// The webhook listener's address for Owncast, without a trailing slash, given the address really bound.
    pub fn webhook_base(&self, bound: SocketAddr) -> String {
        if let Some(url) = &self.webhook_url {
            return url.as_str().to_owned();
        }
        let host = match bound.ip() {
            ip if !ip.is_unspecified() => ip,
            std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        format!("http://{}", SocketAddr::new(host, bound.port()))
    }
}

/// Who we are in the fediverse. What is `None` is Owncast's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityConfig {
    /// Public address of the stream, verbatim and without a trailing slash: the base of every id.
    pub public_url: Option<HttpUrl>,
    /// Local part of the handle.
    pub username: Option<String>,
    /// The actor's private key (PEM).
    pub key_file: PathBuf,
}

/// Posts about the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoLiveConfig {
    /// Whether a starting stream is announced.
    pub enabled: bool,
    /// How long a stream must run before that.
    pub delay: Duration,
    /// A stream that starts within this time of the last announced one's end continues it.
    pub repost_after: Duration,
    /// Text with placeholders ([`value::PLACEHOLDERS`]); `None`: Owncast's, else a built-in one.
    pub message: Option<String>,
    /// Its language (BCP 47); `None`: nobody says, and only a built-in text is in a known one.
    pub language: Option<String>,
    /// The picture.
    pub image: PostImage,
    /// What becomes of the post at the end.
    pub on_end: OnEnd,
    /// Whom it is addressed to.
    pub visibility: Visibility,
    /// Least time between two edits for a new title.
    pub title_edits: Duration,
}

/// Notices in Owncast's chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticesConfig {
    /// For a new follower.
    pub follow: NoticeStyle,
    /// For a boost.
    pub announce: NoticeStyle,
    /// For a like.
    pub like: NoticeStyle,
    /// For an emoji reaction.
    pub reaction: NoticeStyle,
    /// For a reply.
    pub reply: NoticeStyle,
    /// Whether the stream must be live.
    pub when: NoticeWhen,
    /// Notices a minute; more are merged.
    pub max_per_minute: u32,
    /// Notices within this time of the last one are merged.
    pub burst_window: Duration,
}

/// Who may follow, and what is shown of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowersConfig {
    /// Who decides on a new follower.
    pub approval: Approval,
    /// What the public collection tells.
    pub show: FollowersShown,
}

/// Which other servers are contacted at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederationConfig {
    /// Private networks that may be contacted.
    pub allow_private_addresses: Vec<IpNet>,
    /// Whether servers without TLS are spoken to.
    pub allow_http: bool,
    /// A certificate authority beside the system's (PEM).
    pub extra_ca_file: Option<PathBuf>,
}

/// How much others may send. What is beyond is answered 429.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Requests a second of one client's address, for long; ten times as many at once.
    pub requests_per_client: u32,
    /// Activities a second that one server has signed, for long; a hundred times as many at once.
    pub activities_per_server: u32,
}

/// How posts are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryConfig {
    /// Requests under way in all, those aside that are slow to be answered.
    pub concurrency: u32,
    /// Requests under way to one host.
    pub per_host: u32,
    /// Threads that sign, and as many that send.
    pub sign_threads: u32,
    /// Longest wait for a connection, TLS included.
    pub connect_timeout: Duration,
    /// Longest wait for a whole exchange; at least the one above.
    pub timeout: Duration,
}

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The folder.
    pub path: PathBuf,
    /// With less free space on its disk, in MiB, no new work is taken.
    pub free_space_mib: u32,
}

impl StoreConfig {
    /// With less free space on its disk no new work is taken, in bytes.
    pub fn floor(&self) -> u64 {
        u64::from(self.free_space_mib) * 1024 * 1024
    }
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// How much.
    pub level: LogLevel,
    /// How it looks.
    pub format: LogFormat,
}

impl Config {
    /// Reads and validates a configuration. Without a file, `overrides` must name Owncast's address.
    ///
    /// `env` looks up an environment variable; of interest are `CREDENTIALS_DIRECTORY`, `STATE_DIRECTORY`,
    /// `RUNTIME_DIRECTORY` and [`PASSWORD_VARIABLE`]. A missing password is not an error here: ask
    /// [`AdminPassword::get`] where one is needed.
    ///
    /// # Errors
    /// The first thing wrong, with file, line, key, what is allowed and an example.
    pub fn load(path: Option<&Path>, overrides: Overrides, env: Env<'_>) -> Result<Self, ConfigError> {
        load::load(path, overrides, env)
    }

    /// What can be made out of a file that [`Config::load`] refuses: where a running agent's socket is, and defaults
    /// for everything else. `None` where just that cannot be made out.
    pub fn salvage(path: &Path, env: Env<'_>) -> Option<Self> {
        load::salvage(path, env)
    }

    /// What works but should not stay as it is, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The file this came from.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Every key with its effective value and where that came from. Secrets are only said to be set.
    pub fn settings(&self) -> Vec<Setting> {
        settings::settings(self)
    }

    /// Where the running agent's administration socket may be, most likely first: a shell does not have the
    /// `$RUNTIME_DIRECTORY` of the service.
    pub fn admin_socket_candidates(&self) -> Vec<PathBuf> {
        self.socket_candidates(PathBuf::from(SERVICE_SOCKET))
    }

    /// [`Config::admin_socket_candidates`] of an agent whose unit puts the socket at `service`.
    pub fn socket_candidates(&self, service: PathBuf) -> Vec<PathBuf> {
        let mut candidates = vec![self.listen.admin_socket.clone()];
        if !self.origins.contains_key("listen.admin-socket") && !candidates.contains(&service) {
            candidates.insert(0, service);
        }
        candidates
    }
}
