//! The real program in a folder of its own, beside a simulated Owncast.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use owncast_herald::sim::owncast::SimOwncast;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use toml::Table;

use super::port::free_port;
use super::wait::{LONG, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_owncast-herald");

/// How long an orderly stop may take: the program gives itself four seconds, and a machine that has much to do adds to it.
const STOP: Duration = Duration::from_secs(20);

/// An `owncast-herald run` on loopback. Dropping it kills the process, and prints its log when the test has failed.
pub struct TestAgent {
    folder: TempDir,
    public: u16,
    metrics: u16,
    password: String,
    child: Option<Child>,
}

impl TestAgent {
    /// Starts beside `owncast`, which gets the agent's public listener as its public address, and waits until the agent is
    /// ready and knows who it is. `overrides` are dotted keys of `agent.toml` with values in TOML, such as
    /// `("go-live.delay", "\"0s\"")`.
    pub async fn start(owncast: &SimOwncast, overrides: &[(&str, &str)]) -> TestAgent {
        let mut agent = TestAgent::prepare(owncast, overrides);
        agent.launch();
        agent.wait_ready().await;
        agent
    }

    /// Writes the folder and tells `owncast` its public address; nothing runs yet.
    pub fn prepare(owncast: &SimOwncast, overrides: &[(&str, &str)]) -> TestAgent {
        let folder = TempDir::with_prefix("herald-").unwrap();
        let agent = TestAgent {
            public: free_port(),
            metrics: free_port(),
            password: owncast.config().admin_password,
            child: None,
            folder,
        };
        owncast.configure(|config| config.server_url = agent.public_url());
        fs::create_dir(agent.path("store")).unwrap();
        fs::write(agent.path("agent.toml"), agent.config(owncast, overrides)).unwrap();
        agent
    }

    fn config(&self, owncast: &SimOwncast, overrides: &[(&str, &str)]) -> String {
        let path = |name: &str| format!("{:?}", self.path(name));
        let listener = |port: u16| format!("\"127.0.0.1:{port}\"");
        let mut settings = vec![
            ("owncast.url", format!("{:?}", owncast.url())),
            ("listen.public", listener(self.public)),
            ("listen.webhook", listener(free_port())),
            ("listen.metrics", listener(self.metrics)),
            ("listen.admin-socket", path("admin.sock")),
            ("go-live.delay", "\"500ms\"".to_owned()),
            ("federation.allow-private-addresses", "[\"127.0.0.0/8\"]".to_owned()),
            ("federation.allow-http", "true".to_owned()),
            ("store.path", path("store")),
            ("log.level", "\"info,herald=debug\"".to_owned()),
        ];
        settings.extend(overrides.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let mut file = Table::new();
        for (key, value) in settings {
            put(&mut file, key, &value);
        }
        toml::to_string(&file).unwrap()
    }

    /// Changes one dotted key of `agent.toml`, as an editor does that replaces the file; the value is TOML.
    pub fn set(&self, key: &str, value: &str) {
        let mut file: Table = toml::from_str(&fs::read_to_string(self.path("agent.toml")).unwrap()).unwrap();
        put(&mut file, key, value);
        fs::write(self.path("agent.toml.new"), toml::to_string(&file).unwrap()).unwrap();
        fs::rename(self.path("agent.toml.new"), self.path("agent.toml")).unwrap();
    }

    /// Starts the process in the folder as it is, without waiting for anything.
    pub fn launch(&mut self) {
        self.launch_with(&[]);
    }

    /// As [`TestAgent::launch`], with more arguments to `run`.
    pub fn launch_with(&mut self, arguments: &[&str]) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(self.path("agent.log")).unwrap();
        let mut command = self.run_command(arguments);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().expect("the program starts"));
    }

    /// Runs a process that is expected to end by itself, and answers what it said.
    pub async fn run_to_the_end(&self) -> Output {
        let mut command = tokio::process::Command::from(self.run_command(&[]));
        command.kill_on_drop(true);
        tokio::time::timeout(LONG, command.output()).await.expect("it ends by itself").unwrap()
    }

    /// `run` with these arguments on this agent's folder, not started: for a second process beside it.
    pub fn run_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command();
        command.args(["run", "--config"]).arg(self.path("agent.toml")).args(arguments);
        command.env("OWNCAST_ADMIN_PASSWORD", &self.password).stdin(Stdio::null());
        command
    }

    /// The program with nothing from the environment of the tests: no systemd, no proxies, no settings.
    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env_clear().current_dir(self.folder.path());
        command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
        command
    }

    /// Waits until `status` says ready and knows the actor.
    pub async fn wait_ready(&mut self) {
        let started = Instant::now();
        while started.elapsed() < LONG {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
                panic!("it ended before it was ready: {status}");
            }
            let status = self.try_status().await.unwrap_or_default();
            if status["ready"] == true && status["identity"]["actor"].is_string() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not ready within {LONG:?}");
    }

    /// What `status --json` prints, if somebody is there to be asked.
    pub async fn try_status(&self) -> Option<Value> {
        let output = self.cli(&["status", "--json"]).await;
        output.status.success().then(|| serde_json::from_slice(&output.stdout).ok()).flatten()
    }

    /// Runs another command of the program against this agent: `cli(&["followers", "list", "--json"])`.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_at("--socket", "admin.sock", arguments).await
    }

    /// As [`TestAgent::cli`], finding the agent through its configuration file.
    pub async fn cli_by_file(&self, arguments: &[&str]) -> Output {
        self.cli_at("--config", "agent.toml", arguments).await
    }

    async fn cli_at(&self, option: &str, name: &str, arguments: &[&str]) -> Output {
        let mut command = tokio::process::Command::from(self.command());
        command.arg(option).arg(self.path(name)).args(arguments);
        command.stdin(Stdio::null()).kill_on_drop(true);
        tokio::time::timeout(LONG, command.output()).await.expect("the command ends").unwrap()
    }

    /// The JSON that a command prints; `--json` is added. Panics with what the command said when it fails.
    pub async fn cli_json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["--json"]].concat()).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} failed, {}: {said}", output.status);
        serde_json::from_slice(&output.stdout).expect("JSON on standard output")
    }

    /// What `status --json` prints.
    pub async fn status(&self) -> Value {
        self.cli_json(&["status"]).await
    }

    /// The actor's id.
    pub async fn actor(&self) -> String {
        self.status().await["identity"]["actor"].as_str().expect("an actor").to_owned()
    }

    /// Ends the process at once, as a power failure would, and waits until it is gone.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it has ended already.
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// Asks the process to end, and panics unless it does so with success in time.
    pub async fn stop(&mut self) {
        let status = self.terminate().await;
        assert!(status.success(), "the stop was not orderly: {status}");
    }

    /// How the process ended, if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap();
        if status.is_some() {
            self.child = None;
        }
        status
    }

    async fn terminate(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("it runs");
        kill_process(Pid::from_child(child), Signal::TERM).unwrap();
        let status = eventually("the end of the process", STOP, async || child.try_wait().unwrap()).await;
        self.child = None;
        status
    }

    /// Stops in order if it runs, starts again on the same folder and waits until it is ready.
    pub async fn restart(&mut self) {
        if self.child.is_some() {
            self.stop().await;
        }
        self.launch();
        self.wait_ready().await;
    }

    /// Everything logged so far, by all runs on this folder.
    pub fn log(&self) -> String {
        // It may be in the middle of a letter.
        let bytes = fs::read(self.path("agent.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A file in the agent's folder: `agent.toml`, `agent.log`, `admin.sock`, `store`.
    pub fn path(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }

    /// Public address without a trailing slash; also what Owncast believes its own address to be.
    pub fn public_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.public)
    }

    /// `host:port`, the part of the handle after the `@`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.public)
    }

    /// Address of the listener with `/metrics`, `/livez` and `/readyz`, without a trailing slash.
    pub fn metrics_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.metrics)
    }

    /// Process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

fn put(file: &mut Table, key: &str, value: &str) {
    let (section, key) = key.split_once('.').expect("section.key");
    let value = toml::from_str::<Table>(&format!("it = {value}")).unwrap().remove("it").unwrap();
    let section = file.entry(section).or_insert_with(|| Table::new().into());
    section.as_table_mut().unwrap().insert(key.to_owned(), value);
}

impl Drop for TestAgent {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("---- log of the agent ----\n{}", self.log());
        }
    }
}
