//! Several agents on one host, each beside an Owncast of its own, told apart by `--instance` alone.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use owncast_herald::sim::owncast::{Options, SimOwncast};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::port::free_port;
use crate::support::stage::quick;
use crate::support::wait::{LONG, eventually};

const NAMES: [&str; 3] = ["one", "two", "three"];

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(folder: &Path, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_owncast-herald"));
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command.env("CONFIGURATION_DIRECTORY", folder).stdin(Stdio::null());
    command.args(["-i", name]).args(arguments);
    command
}

async fn output(folder: &Path, name: &str, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::from(command(folder, name, arguments));
    command.kill_on_drop(true);
    tokio::time::timeout(LONG, command.output()).await.expect("the command ends").unwrap()
}

async fn status(folder: &Path, name: &str) -> Option<Value> {
    let output = output(folder, name, &["status", "--json"]).await;
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

fn launch(folder: &Path, name: &str, owncast: &SimOwncast, password: &str) -> Running {
    let [public, webhook, metrics] = [free_port(), free_port(), free_port()];
    owncast.configure(|config| config.server_url = format!("http://127.0.0.1:{public}"));
    let (url, store) = (owncast.url(), folder.join(format!("store of {name}")));
    let configuration = format!(
        "[owncast]\nurl = {url:?}\n\n[listen]\npublic = \"127.0.0.1:{public}\"\nwebhook = \"127.0.0.1:{webhook}\"\n\
         metrics = \"127.0.0.1:{metrics}\"\n\n[store]\npath = {store:?}\n"
    );
    fs::write(folder.join(format!("{name}.toml")), configuration).unwrap();
    let log = File::create(folder.join(format!("{name}.log"))).unwrap();
    let mut command = command(folder, name, &["run"]);
    command.env("OWNCAST_ADMIN_PASSWORD", password);
    Running(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_agents_on_one_host_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut running = Vec::new();
    for name in NAMES {
        let options = Options { username: format!("stream-{name}"), ..quick() };
        let owncast = SimOwncast::start(options).await.unwrap();
        let agent = launch(folder, name, &owncast, &owncast.config().admin_password);
        running.push((owncast, agent));
    }
    for name in NAMES {
        eventually("it knows who it is", LONG, async || {
            let status = status(folder, name).await?;
            let handle = status["identity"]["handle"].as_str()?.to_owned();
            assert!(handle.contains(&format!("stream-{name}@")), "{name}: {handle}");
            Some(())
        })
        .await;
    }
    let blocked = output(folder, "two", &["block", "add", "bad.example"]).await;
    assert!(blocked.status.success(), "{blocked:?}");
    for (name, blocks) in [("one", 0), ("two", 1), ("three", 0)] {
        assert_eq!(status(folder, name).await.unwrap()["blocks"], blocks, "{name}");
    }
    for (owncast, _) in &running {
        assert_eq!((owncast.webhooks().len(), owncast.tokens().len()), (1, 1), "each has its own");
    }

    let (_, agent) = &mut running[0];
    kill_process(Pid::from_child(&agent.0), Signal::TERM).unwrap();
    eventually("the end of the first", LONG, async || agent.0.try_wait().unwrap()).await;
    assert!(status(folder, "two").await.is_some() && status(folder, "three").await.is_some());
    let gone = output(folder, "one", &["status"]).await;
    assert_eq!(gone.status.code(), Some(69), "nobody else is asked: {gone:?}");
    let nobody = output(folder, "four", &["status"]).await;
    let said = String::from_utf8_lossy(&nobody.stderr);
    assert!(nobody.status.code() == Some(69) && said.contains("/run/owncast-herald-four/"), "{said}");
    let unmade = output(folder, "four", &["run"]).await;
    let said = String::from_utf8_lossy(&unmade.stderr);
    assert!(unmade.status.code() == Some(78) && said.contains("four.toml does not exist"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_says_to_type_is_about_itself() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let owncast = SimOwncast::start(quick()).await.unwrap();
    let _running = launch(folder, "radio", &owncast, "not it");
    let log = folder.join("radio.log");
    eventually("the way on in the log", LONG, async || {
        let log = fs::read_to_string(&log).ok()?;
        log.contains("run `owncast-herald --instance radio reload`").then_some(())
    })
    .await;
    let said = eventually("what needs attention", LONG, async || {
        let attention = status(folder, "radio").await?["attention"].to_string();
        attention.contains("refuses the admin password").then_some(attention)
    })
    .await;
    assert!(said.contains("owncast-herald --instance radio reload"), "{said}");
    let refused = output(folder, "radio", &["block", "remove", "nobody.example"]).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("owncast-herald --instance radio block list"), "{said}");
}
