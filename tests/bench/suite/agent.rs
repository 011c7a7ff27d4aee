//! The real binary as a child, on a store that was filled beforehand.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use owncast_herald::activitypub::signature::PrivateKey;
use owncast_herald::config::{Config, Overrides, Secret, keyfile};
use owncast_herald::decide::followers;
use owncast_herald::model::facts::Identity;
use owncast_herald::model::follower::{Follower, FollowerState};
use owncast_herald::model::handle::Person;
use owncast_herald::model::{Addresses, Draft};
use owncast_herald::sim::owncast::{Options, SimOwncast};
use owncast_herald::store::Store;
use rustix::process::{Pid, Signal, kill_process};

use super::load;

/// Long enough for a loaded machine; a run that needs it is broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// Followers written in one commit.
const COMMIT: usize = 500;

/// A store folder with a settled identity, and a simulated Owncast that knows the same one.
pub struct Home {
    folder: tempfile::TempDir,
    /// Our ids.
    pub addresses: Addresses,
    /// Owncast.
    pub owncast: SimOwncast,
    /// File of an authority that is trusted beside the system's.
    pub extra_ca: Option<PathBuf>,
    ip: Ipv4Addr,
}

impl Home {
    /// A fresh one.
    pub async fn new() -> anyhow::Result<Home> {
        let folder = tempfile::Builder::new().prefix("herald-bench-").tempdir()?;
        let addresses = Addresses::new("https://live.example", "streamer");
        let options = Options {
            server_url: addresses.base.clone(),
            go_live_message: String::new(),
            ..Options::default()
        };
        let owncast = SimOwncast::start(options).await?;
        let key = Secret::new(PrivateKey::generate()?.to_pem()?);
        for part in ["store", "etc"] {
            std::fs::create_dir(folder.path().join(part))?;
        }
        keyfile::write(&folder.path().join("store/actor-key.pem"), &key, false)?;
        // An address of its own, so that fixed ports never meet somebody else's.
        let [a, b, ..] = std::process::id().to_le_bytes();
        let home =
            Home { folder, addresses, owncast, extra_ca: None, ip: Ipv4Addr::new(127, 77, a, b.max(1)) };
        let identity = Identity {
            addresses: Some(home.addresses.clone()),
            published: Some(Timestamp::now()),
            taken_message: None,
        };
        home.write(vec![move |draft: &mut Draft<'_>| draft.put_meta(&identity)]).await?;
        Ok(home)
    }

    /// Where its key is.
    pub fn key_file(&self) -> PathBuf {
        self.store().join("actor-key.pem")
    }

    /// Where it serves the world.
    pub fn public(&self) -> SocketAddr {
        SocketAddr::from((self.ip, 8585))
    }

    fn metrics(&self) -> SocketAddr {
        SocketAddr::from((self.ip, 8587))
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Writes into the store while no agent runs on it, one commit for each of `decisions`.
    pub async fn write<F>(&self, decisions: Vec<F>) -> anyhow::Result<()>
    where
        F: FnOnce(&mut Draft<'_>) + Send + 'static,
    {
        let store = Store::open(&self.store())?;
        for decision in decisions {
            store
                .commit(move |view| {
                    let mut draft = Draft::new(view);
                    decision(&mut draft);
                    (draft.into_changes(), ())
                })
                .await?;
        }
        drop(store);
        // The writer closes the files a moment after the last handle is gone: an agent must not wait for that.
        let lock = File::open(self.store().join("lock"))?;
        wait(|| Ok(lock.try_lock().is_ok())).await.context("the store stays locked")
    }

    /// Approved followers with these actors and inboxes, without an Accept to each.
    pub async fn follow(&self, people: Vec<(String, String)>) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let decisions = people
            .chunks(COMMIT)
            .map(|people| {
                let people = people.to_vec();
                move |draft: &mut Draft<'_>| {
                    for (actor, inbox) in people {
                        followers::settle(draft, &follower(actor, inbox, now));
                    }
                }
            })
            .collect();
        self.write(decisions).await
    }

    /// What the agent makes of its configuration.
    pub fn loaded(&self) -> anyhow::Result<Config> {
        let file = self.folder.path().join("etc/agent.toml");
        std::fs::write(&file, self.config(""))?;
        Ok(Config::load(Some(&file), Overrides::default(), &|_| None)?)
    }

    /// Starts the agent and waits until it is ready. `extra` is TOML behind what every bench needs.
    pub async fn start(&self, extra: &str) -> anyhow::Result<Agent> {
        // In a folder of its own, which is watched.
        let config = self.folder.path().join("etc/agent.toml");
        std::fs::write(&config, self.config(extra))?;
        let log = File::create(self.folder.path().join("log"))?;
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_owncast-herald"))
            .args(["run", "--config"])
            .arg(&config)
            .env("OWNCAST_ADMIN_PASSWORD", "abc123")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting owncast-herald")?;
        let mut agent = Agent { child, ready_after: Duration::ZERO };
        let deadline = started + PATIENCE;
        loop {
            if let Ok((200, _)) = load::get(self.metrics(), "localhost", "/readyz").await {
                agent.ready_after = started.elapsed();
                return Ok(agent);
            }
            if agent.child.try_wait()?.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                anyhow::bail!("the agent did not become ready; its log:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn config(&self, extra: &str) -> String {
        let authority =
            self.extra_ca.as_ref().map(|file| format!("extra-ca-file = \"{}\"\n", file.display()));
        format!(
            "[owncast]\nurl = \"{owncast}\"\nwebsocket = false\n\
             [listen]\npublic = \"{ip}:8585\"\nwebhook = \"{ip}:8586\"\nmetrics = \"{ip}:8587\"\n\
             admin-socket = \"{folder}/admin.sock\"\n\
             [go-live]\ndelay = \"0s\"\nrepost-after = \"0s\"\nimage = \"none\"\n\
             [federation]\nallow-private-addresses = [\"127.0.0.0/8\"]\nallow-http = true\n{authority}\
             [limits]\nactivities-per-server = 1000000\n\
             [store]\npath = \"{folder}/store\"\n{extra}\n",
            owncast = self.owncast.url(),
            ip = self.ip,
            folder = self.folder.path().display(),
            authority = authority.unwrap_or_default(),
        )
    }

    /// Waits until the agent has made its webhook in Owncast and everything of a start is behind it.
    pub async fn settled(&self) -> anyhow::Result<()> {
        wait(|| Ok(!self.owncast.webhooks().is_empty() && !self.owncast.tokens().is_empty())).await?;
        let actor = format!("/federation/user/{}", self.addresses.username);
        let deadline = Instant::now() + PATIENCE;
        while load::get(self.public(), self.addresses.host(), &actor).await?.0 != 200 {
            anyhow::ensure!(Instant::now() < deadline, "the actor is not served");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The webhook probe and the first look at the stream have no outward sign; both are over long before this.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        Ok(())
    }

    /// A counter of `/metrics`; `series` is the whole name with its labels.
    pub async fn counter(&self, series: &str) -> anyhow::Result<f64> {
        let (_, body) = load::get(self.metrics(), "localhost", "/metrics").await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(series)).context("no such series")?;
        Ok(line.trim().parse()?)
    }
}

fn follower(actor: String, inbox: String, now: Timestamp) -> Follower {
    Follower {
        person: Person {
            handle: actor.clone(),
            inbox,
            shared_inbox: None,
            name: Some("Ana".into()),
            icon: None,
            url: None,
            actor,
        },
        state: FollowerState::Approved,
        parked_from: None,
        moved_to: None,
        follow_id: None,
        spelt: None,
        answer: None,
        since: now,
        stamp: now,
        changed: now,
    }
}

/// Waits until `seen`, looking again every few milliseconds.
pub async fn wait(mut seen: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !seen()? {
        anyhow::ensure!(Instant::now() < deadline, "nothing came of it within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// A running agent. Dropping it kills it.
pub struct Agent {
    child: Child,
    /// From the start of the process to the first good answer of `/readyz`.
    pub ready_after: Duration,
}

impl Agent {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and waits for its end.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        wait(|| Ok(self.child.try_wait()?.is_some())).await
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
