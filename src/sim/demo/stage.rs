//! What the story plays on: folder, ports, the simulated Owncast, the agent, the fediverse.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::agent::{self, AgentError, RunOptions};
use crate::config::reload::SharedEnv;
use crate::config::{Config, Overrides, PASSWORD_VARIABLE};
use crate::sim::fediverse::Fediverse;
use crate::sim::owncast::{Options, SimOwncast, Version};

use super::DemoError;
use super::teller::Teller;

const USERNAME: &str = "potter";
const PASSWORD: &str = "demo-only";
/// Attempts to find a port that nobody takes before the agent does.
const PORTS: usize = 8;
/// The agent promises to stop in 4 s.
const STOP_WITHIN: Duration = Duration::from_secs(6);

type Agent = JoinHandle<Result<(), AgentError>>;

/// What must be cleared away however the story ends.
pub(super) struct House {
    folder: TempDir,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Stops the agent even where nobody clears.
    _guard: DropGuard,
}

impl House {
    pub(super) fn open() -> Result<House, DemoError> {
        let folder = tempfile::Builder::new()
            .prefix("owncast-herald-demo-")
            .tempdir()
            .map_err(|cause| DemoError::System { what: "make a temporary folder", cause })?;
        let stop = CancellationToken::new();
        Ok(House { folder, tasks: TaskTracker::new(), stop: stop.clone(), _guard: stop.drop_guard() })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops the agent and removes the folder.
    pub(super) async fn clear(self) {
        self.stop.cancel();
        self.tasks.close();
        // An agent that does not end keeps files open in a folder that goes all the same.
        let _ = tokio::time::timeout(STOP_WITHIN, self.tasks.wait()).await;
        if let Err(cause) = self.folder.close() {
            tracing::warn!(target: "herald::demo", %cause, "the temporary folder could not be removed");
        }
    }
}

/// A freshly installed Owncast of a potter.
pub(super) async fn owncast(upset: fn(&SimOwncast)) -> Result<SimOwncast, DemoError> {
    let options = Options {
        version: Version::V0_3,
        admin_password: PASSWORD.into(),
        username: USERNAME.into(),
        name: "Night Pottery".into(),
        summary: "Clay, glaze and a kiln.".into(),
        tags: vec!["pottery".into(), "ceramics".into()],
        go_live_message: "The wheel is turning, come in!".into(),
        ..Options::default()
    };
    let owncast = SimOwncast::start(options)
        .await
        .map_err(|cause| DemoError::System { what: "start the simulated Owncast", cause })?;
    upset(&owncast);
    Ok(owncast)
}

/// The running parts.
pub(super) struct Stage {
    pub(super) owncast: SimOwncast,
    pub(super) fediverse: Fediverse,
    /// The agent's public address, which is Owncast's server URL.
    pub(super) base: String,
    agent: Mutex<Agent>,
}

impl Stage {
    /// Starts the agent and waits until Owncast has seen it at work.
    pub(super) async fn set(
        house: &House,
        owncast: SimOwncast,
        patience: Duration,
        teller: &mut Teller,
    ) -> Result<Stage, DemoError> {
        for _ in 0..PORTS {
            let port = free_port()?;
            let base = format!("http://127.0.0.1:{port}");
            // The proxy of a real Owncast leads from its public address to the agent; here nothing is between.
            owncast.configure(|config| config.server_url.clone_from(&base));
            let began = Instant::now();
            let mut agent = house.tasks.spawn(agent::run(run_options(house, &owncast, port)?));
            let met = owncast.wait_until(patience, |owncast| {
                owncast.sockets() > 0 && owncast.webhooks().iter().any(|webhook| webhook.last_used.is_some())
            });
            let met = tokio::select! {
                ended = &mut agent => match ended {
                    // Somebody else took the port between our look and the agent's.
                    Ok(Err(AgentError::Bind { .. })) => continue,
                    ended => return Err(why(ended)),
                },
                met = met => met,
            };
            if !met {
                return Err(DemoError::NotObserved {
                    who: "Owncast".into(),
                    expected:
                        "the agent's webhook, registered and proved by an event that came through it, and \
                               its chat socket"
                            .into(),
                    waited: patience,
                });
            }
            teller.entry("owncast-herald", &base)?;
            teller.entry("its handle", &format!("{USERNAME}@127.0.0.1:{port}"))?;
            teller.scene("The agent introduces itself")?;
            teller.seen("Owncast", "has its webhook, token and chat socket", began.elapsed())?;
            let fediverse = Fediverse::start().await;
            return Ok(Stage { owncast, fediverse, base, agent: Mutex::new(agent) });
        }
        let cause = std::io::ErrorKind::AddrInUse.into();
        Err(DemoError::System { what: "find a free port", cause })
    }

    /// `user@host:port` of the stream.
    pub(super) fn handle(&self) -> String {
        let host = self.base.strip_prefix("http://").unwrap_or(&self.base);
        format!("{USERNAME}@{host}")
    }

    /// The stream's actor id.
    pub(super) fn actor(&self) -> String {
        format!("{}/federation/user/{USERNAME}", self.base)
    }

    /// Waits for the agent to end by itself, which it should not.
    pub(super) async fn agent_ended(&self) -> DemoError {
        why((&mut *self.agent.lock().await).await)
    }
}

fn why(ended: Result<Result<(), AgentError>, tokio::task::JoinError>) -> DemoError {
    match ended {
        Ok(Err(error)) => DemoError::Agent(error),
        Ok(Ok(())) | Err(_) => DemoError::AgentGone,
    }
}

fn free_port() -> Result<u16, DemoError> {
    let refused = |cause| DemoError::System { what: "find a free port", cause };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(refused)?;
    Ok(listener.local_addr().map_err(refused)?.port())
}

fn run_options(house: &House, owncast: &SimOwncast, port: u16) -> Result<RunOptions, DemoError> {
    let file = house.folder().join("agent.toml");
    let text = settings(house.folder(), &owncast.url(), port);
    std::fs::write(&file, text)
        .map_err(|cause| DemoError::System { what: "write the agent's configuration", cause })?;
    let env: SharedEnv = Arc::new(|name: &str| (name == PASSWORD_VARIABLE).then(|| PASSWORD.to_owned()));
    Ok(RunOptions {
        config: Config::load(Some(&file), Overrides::default(), &*env)?,
        overrides: Overrides::default(),
        env,
        log: None,
        new_identity: false,
        abandon_followers: false,
        replace: false,
        observer: None,
        stop: house.stop.child_token(),
    })
}

/// The agent's configuration: quick where a demo cannot wait, open to loopback only, the defaults for the rest.
fn settings(folder: &Path, owncast: &str, port: u16) -> String {
    let quoted = |path: PathBuf| toml::Value::from(path.to_string_lossy().into_owned()).to_string();
    format!(
        r#"[owncast]
url = "{owncast}"

[listen]
public = "127.0.0.1:{port}"
webhook = "127.0.0.1:0"
metrics = "127.0.0.1:0"
admin-socket = {socket}

[go-live]
delay = "1s"
repost-after = "0s"
title-edits = "1m"

[notices]
max-per-minute = 60
burst-window = "2s"

[federation]
allow-private-addresses = ["127.0.0.0/8"]
allow-http = true

[delivery]
connect-timeout = "1s"
timeout = "2s"

[store]
path = {store}
"#,
        socket = quoted(folder.join("admin.sock")),
        store = quoted(folder.join("store")),
    )
}
