//! `setup` in a folder of its own: what it tries, shows, writes and leaves alone.

mod terminal;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use jiff::Timestamp;
use owncast_herald::config::Secret;
use owncast_herald::owncast::Api;
use owncast_herald::sim::owncast::{Follower, FollowerState, Options, SimOwncast};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::support::port::free_port;
use crate::support::wait::{LONG, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_owncast-herald");
const PASSWORD: &str = "velvet-otter-7";

/// A folder in the place of `/etc/owncast-herald`, and an Owncast.
struct Fresh {
    folder: TempDir,
    owncast: SimOwncast,
    public: String,
}

impl Fresh {
    async fn start() -> Fresh {
        let public = format!("127.0.0.1:{}", free_port());
        let options = Options {
            admin_password: PASSWORD.into(),
            server_url: format!("http://{public}"),
            ..Options::default()
        };
        Fresh {
            folder: TempDir::with_prefix("setup-").unwrap(),
            owncast: SimOwncast::start(options).await.unwrap(),
            public,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("etc/agent.toml")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.of_instance(arguments);
        command.arg("--config").arg(self.config());
        command
    }

    /// As on a machine whose configurations are in this folder.
    fn of_instance(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        self.surround(&mut command);
        command.env("CONFIGURATION_DIRECTORY", self.path("etc"));
        command
    }

    fn surround(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("STATE_DIRECTORY", self.path("store"));
        command.stdin(Stdio::null()).kill_on_drop(true);
    }

    /// Somebody follows Owncast's own actor.
    fn lives_in_owncast(&self) {
        self.owncast.configure(|config| config.federation_enabled = true);
        self.owncast.receive_follow(Follower {
            iri: "https://peer.example/users/bo".into(),
            name: "Bo".into(),
            username: "bo@peer.example".into(),
            image: String::new(),
            at: Timestamp::UNIX_EPOCH,
            state: FollowerState::Approved,
        });
    }

    /// An agent beside it, once this is so of its status.
    async fn run(&self, more: &[&str], so: impl Fn(&Value) -> bool) -> Child {
        fs::create_dir(self.path("store")).unwrap();
        let mut agent = self.command(&["run"]);
        let agent = agent.args(more).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("the agent is so far", LONG, async || {
            let status = self.command(&["status", "--json"]).output().await.unwrap();
            so(&serde_json::from_slice(&status.stdout).ok()?).then_some(())
        })
        .await;
        agent
    }

    /// `setup` without questions, with the password in a file.
    async fn setup(&self, owncast: &str, password: &str, more: &[&str]) -> Output {
        self.finish(self.command(&["setup"]), owncast, password, more).await
    }

    async fn finish(&self, mut command: Command, owncast: &str, password: &str, more: &[&str]) -> Output {
        fs::write(self.path("given"), format!("{password}\n")).unwrap();
        command.args(["--yes", "--owncast", owncast, "--public", &self.public]);
        command.arg("--admin-password-file").arg(self.path("given")).args(more);
        for option in ["--webhook", "--metrics"].iter().filter(|option| !more.contains(option)) {
            command.arg(option).arg(format!("127.0.0.1:{}", free_port()));
        }
        let output = tokio::time::timeout(LONG, command.output()).await.expect("it ends").unwrap();
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        assert!(!String::from_utf8_lossy(&said).contains(password), "the password is shown");
        output
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What it wrote on both outputs, after it ended with this code.
fn said(output: &Output, code: i32) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_setup_wrote_is_what_an_agent_runs_with() {
    let fresh = Fresh::start().await;
    // The agent is not started by a configuration in a place of its own, and doctor finds it missing.
    let text = said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &[]).await, 4);
    says(
        &text,
        &[
            "make an access token \"Fediverse\"",
            "become @streamer@127.0.0.1",
            "start nothing",
            "agent.toml",
            &format!(" proxy-config nginx --public-url http://{} --username streamer (", fresh.public),
            "red       agent",
        ],
    );
    assert!(!text.contains(" adopt (it says"), "nobody knows this actor: {text}");
    let password = fresh.path("etc/admin-password");
    assert_eq!((mode(&fresh.config()), mode(&password)), (0o644, 0o600));
    assert_eq!(fs::read_to_string(&password).unwrap(), format!("{PASSWORD}\n"));
    let written = fs::read_to_string(fresh.config()).unwrap();
    assert!(
        written.contains("# Text of the post.") && !written.contains(PASSWORD),
        "the annotated file, without a secret"
    );
    assert!(fresh.owncast.webhooks().is_empty() && fresh.owncast.tokens().is_empty(), "only looked at");

    let handle = format!("streamer@{}", fresh.public);
    fresh.run(&[], |status| status["identity"]["handle"] == handle.as_str()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_before_owncast_agrees() {
    let fresh = Fresh::start().await;
    let text = said(&fresh.setup(&fresh.owncast.url(), "another-otter", &[]).await, 1);
    says(&text, &["refuses this admin password", "nothing was written"]);
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    says(
        &said(&fresh.setup(&nowhere, PASSWORD, &[]).await, 1),
        &["no answer from Owncast", &nowhere, "that `--owncast` points to it"],
    );
    let taken = fresh.owncast.address().to_string();
    let text = said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &["--metrics", &taken]).await, 1);
    says(&text, &[&taken, "cannot be listened on"]);
    let text = said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &["--webhook", &fresh.public]).await, 1);
    says(&text, &[&fresh.public, "(--public)", "(--webhook)"]);
    let output =
        fresh.command(&["setup", "--yes", "--owncast", &fresh.owncast.url()]).output().await.unwrap();
    says(&said(&output, 1), &["--admin-password-file", "OWNCAST_ADMIN_PASSWORD"]);
    let output = fresh.command(&["setup"]).output().await.unwrap();
    says(&said(&output, 1), &["no terminal", "--yes"]);
    assert!(!fresh.path("etc").exists(), "nothing is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_stays_unless_forced() {
    let fresh = Fresh::start().await;
    fs::create_dir(fresh.path("etc")).unwrap();
    let mine = format!("# mine\n[owncast]\nurl = {:?}\n", fresh.owncast.url());
    fs::write(fresh.config(), &mine).unwrap();
    let text = said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &[]).await, 1);
    says(&text, &["agent.toml is there already", "--force"]);
    assert_eq!(fs::read_to_string(fresh.config()).unwrap(), mine);
    said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &["--force", "--no-start"]).await, 0);
    says(&fs::read_to_string(fresh.config()).unwrap(), &["# mine\n", &fresh.public]);
    assert_eq!(fs::read_to_string(fresh.path("etc/agent.toml.old")).unwrap(), mine);
    let names = fs::read_dir(fresh.path("etc")).unwrap().count();
    assert_eq!(names, 3, "nothing is left behind");

    // What setup does not ask for stays, also where somebody has written it otherwise than the shipped file.
    let (password, first) = (fresh.path("etc/admin-password"), mine);
    let mine = format!(
        "# mine\nstore.path = {:?}\n\n[owncast]\nurl = {:?}\nadmin-password-file = {password:?}\n\n[listen]\npublic = {:?}\n\
         trusted-proxies = [\n    \"10.0.0.0/8\",\n]\n",
        fresh.path("store"),
        fresh.owncast.url(),
        fresh.public
    );
    fs::write(fresh.config(), &mine).unwrap();
    fs::write(&password, "").unwrap();
    let text = said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &["--force", "--no-start"]).await, 0);
    says(&text, &["keep all other settings", "agent.toml.old.1"]);
    let written = fs::read_to_string(fresh.config()).unwrap();
    says(
        &written,
        &["# mine\nstore.path = ", "trusted-proxies = [\n    \"10.0.0.0/8\",\n]", "webhook = \"127.0.0.1:"],
    );
    assert_eq!(fs::read_to_string(fresh.path("etc/agent.toml.old.1")).unwrap(), mine);
    assert_eq!(
        fs::read_to_string(fresh.path("etc/agent.toml.old")).unwrap(),
        first,
        "and the first one is there still"
    );
    assert_eq!(fs::read_to_string(&password).unwrap(), format!("{PASSWORD}\n"));

    // The agent that runs has its ports; the proxy knows them.
    let listener = std::net::TcpListener::bind(&fresh.public).unwrap();
    said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &["--force", "--no-start"]).await, 0);
    drop(listener);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_already_is_only_examined() {
    let fresh = Fresh::start().await;
    let (webhook, metrics) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let ports = ["--no-start", "--webhook", &webhook, "--metrics", &metrics];
    let url = fresh.owncast.url();
    says(&said(&fresh.setup(&url, PASSWORD, &ports).await, 0), &["On this machine", "Wrote"]);
    let mut written = fs::read_to_string(fresh.config()).unwrap();
    written.push_str("# a remark of mine\n");
    fs::write(fresh.config(), &written).unwrap();
    for more in [&[][..], &["--force"]] {
        let text = said(&fresh.setup(&url, PASSWORD, &[&ports[..], more].concat()).await, 0);
        says(&text, &["Nothing to change", "agent.toml", "red       agent", "Next:"]);
        assert!(!text.contains("Wrote"), "{text}");
    }
    assert_eq!(fs::read_to_string(fresh.config()).unwrap(), written);
    assert_eq!(fs::read_dir(fresh.path("etc")).unwrap().count(), 2, "nothing was replaced");
    let others = ["--no-start", "--webhook", &metrics, "--metrics", &webhook];
    says(&said(&fresh.setup(&url, PASSWORD, &others).await, 1), &["there already", "--force"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_wrote_that_means_the_same_is_only_examined() {
    let fresh = Fresh::start().await;
    let given = fresh.path("given");
    fs::write(&given, PASSWORD).unwrap();
    let named = format!("url = \"{}/\"\nadmin-password-file = {given:?}", fresh.owncast.url());
    let written = include_str!("../../agent.toml").replace("url = \"http://127.0.0.1:8080\"", &named);
    fs::create_dir(fresh.path("etc")).unwrap();
    fs::write(fresh.config(), &written).unwrap();
    let given = given.to_str().unwrap();
    let mut setup = fresh.command(&["setup", "--yes", "--no-start", "--admin-password-file", given]);
    let text = said(&setup.output().await.unwrap(), 0);
    says(&text, &["Nothing to change", &format!(" and {given} already")]);
    assert_eq!(fs::read_to_string(fresh.config()).unwrap(), written);
    assert_eq!(fs::read_dir(fresh.path("etc")).unwrap().count(), 1, "there is no second password");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_lies_there_is_left_there_unless_it_is_another() {
    let fresh = Fresh::start().await;
    fs::create_dir(fresh.path("etc")).unwrap();
    let password = fresh.path("etc/admin-password");
    fs::write(&password, PASSWORD).unwrap();
    let text = said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &["--no-start"]).await, 0);
    says(&text, &[&format!("leave {} as it is", password.display()), "etc/agent.toml.\n"]);
    assert_eq!(fs::read_to_string(&password).unwrap(), PASSWORD, "not even written anew");
    fs::remove_file(fresh.config()).unwrap();
    fs::write(&password, "another-otter").unwrap();
    let text = said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &["--no-start"]).await, 1);
    says(&text, &["admin-password is there already", "--force"]);
    assert!(!fresh.config().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_agent_is_no_other_and_waits_for_nothing_that_it_has() {
    let fresh = Fresh::start().await;
    fresh.lives_in_owncast();
    let (url, port) = (fresh.owncast.url(), free_port());
    let first = ["--no-start", "--webhook", &format!("127.0.0.1:{port}")];
    let text = said(&fresh.setup(&url, PASSWORD, &first).await, 0);
    says(&text, &["lived before", " adopt (it says", "start the agent: "]);
    let settled =
        |status: &Value| status["identity"]["handle"].is_string() && status["owncast"]["webhook"].is_i64();
    let mut agent = fresh.run(&["--new-identity"], settled).await;
    // It has the port by an address that the wider one keeps from others.
    let wider = ["--force", "--no-start", "--webhook", &format!("0.0.0.0:{port}")];
    for running in [true, false] {
        let text =
            said(&fresh.setup(&url, PASSWORD, if running { &wider[..] } else { &wider[..2] }).await, 0);
        says(
            &text,
            &["go on as @streamer@", if running { "start the agent anew: " } else { "start the agent: " }],
        );
        for wrong in ["lived before", " adopt (it says", "another owncast-herald"] {
            assert!(!text.contains(wrong), "{wrong:?} is in {text}");
        }
        // Then its store tells.
        if running {
            agent.kill().await.unwrap();
        }
    }
    let owncast = Api::new(url.parse().unwrap(), "admin".to_owned(), PASSWORD).unwrap();
    let another = "http://127.0.0.1:9/herald/hook/another".parse().unwrap();
    owncast.create_webhook(&another, &["STREAM_STARTED"], &Secret::new("s")).await.unwrap();
    let text = said(&fresh.setup(&url, PASSWORD, &wider[..2]).await, 0);
    says(&text, &["another owncast-herald is registered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_knows_who_it_is_goes_on_as_that_though_owncast_has_another_address() {
    let fresh = Fresh::start().await;
    said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &["--no-start"]).await, 0);
    let mut agent = fresh.run(&[], |status| status["identity"]["actor"].is_string()).await;
    agent.kill().await.unwrap();
    fresh.owncast.configure(|config| config.server_url = "https://tv.example".to_owned());
    let text = said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &["--force", "--no-start"]).await, 0);
    says(&text, &[" proxy-config nginx (or"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_has_lived_is_to_be_adopted() {
    let fresh = Fresh::start().await;
    fresh.lives_in_owncast();
    let text = said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &["--no-start"]).await, 0);
    says(&text, &["go on as @streamer@", "lived before", "1 follower", " adopt (it says", "empty it there"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_has_files_and_ports_of_its_own() {
    let fresh = Fresh::start().await;
    said(&fresh.setup(&fresh.owncast.url(), PASSWORD, &["--no-start"]).await, 0);
    let first = fs::read_to_string(fresh.config()).unwrap();
    let (public, webhook, metrics) = (free_port(), free_port(), free_port());
    let at = |port: u16| format!("127.0.0.1:{port}");
    let second = Fresh { public: at(public), ..fresh };
    let command = second.of_instance(&["-i", "radio", "setup"]);
    let ports = ["--no-start", "--webhook", &at(webhook), "--metrics", &at(metrics)];
    let output = second.finish(command, &second.owncast.url(), PASSWORD, &ports).await;
    says(
        &said(&output, 0),
        &[
            "etc/radio.toml",
            "etc/radio.admin-password",
            "owncast-herald --instance radio run",
            "owncast-herald --instance radio proxy-config",
            "owncast-herald --instance radio doctor",
        ],
    );
    assert_eq!(fs::read_to_string(second.config()).unwrap(), first, "the first is left alone");
    assert_eq!(mode(&second.path("etc/radio.admin-password")), 0o600);
    let written = fs::read_to_string(second.path("etc/radio.toml")).unwrap();
    says(&written, &[&at(public), &at(webhook), &at(metrics)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_a_mistake_is_named_with_its_line_and_left_alone() {
    let fresh = Fresh::start().await;
    fs::create_dir(fresh.path("etc")).unwrap();
    fs::write(fresh.path("given"), PASSWORD).unwrap();
    let given = fresh.path("given");
    let mine = format!("[owncast]\nurl = {:?}\n[go-live]\ndelay = \"sixty\"\n", fresh.owncast.url());
    fs::write(fresh.config(), &mine).unwrap();
    for more in [&[][..], &["--force"]] {
        let setup = ["setup", "--yes", "--no-start", "--admin-password-file", given.to_str().unwrap()];
        let text = said(&fresh.command(&[&setup, more].concat()).output().await.unwrap(), 1);
        says(&text, &["agent.toml, line 4: go-live.delay", "Nothing was written"]);
        assert_eq!(fs::read_to_string(fresh.config()).unwrap(), mine);
    }
    assert_eq!(fs::read_dir(fresh.path("etc")).unwrap().count(), 1, "nor is anything beside it");
}
