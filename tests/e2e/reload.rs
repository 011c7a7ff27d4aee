//! A changed `agent.toml` applies to the running program, however it is saved, and a bad one does not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::agent::TestAgent;
use crate::support::stage::{Stage, quick};
use crate::support::wait::{LONG, eventually};

/// The effective value of a setting, and where it came from.
async fn setting(agent: &TestAgent, field: &str) -> (String, String) {
    let status = agent.status().await;
    let rows = status["settings"].as_array().unwrap();
    let row = rows.iter().find(|row| row["field"] == field).unwrap();
    (row["value"].as_str().unwrap().to_owned(), row["origin"].as_str().unwrap().to_owned())
}

async fn becomes(agent: &TestAgent, field: &str, value: &str) {
    eventually(&format!("{field} = {value}"), LONG, async || {
        (setting(agent, field).await.0 == value).then_some(())
    })
    .await;
}

async fn attention(agent: &TestAgent) -> String {
    agent.status().await["attention"].to_string()
}

fn with_delay(text: &str, delay: &str) -> String {
    assert!(text.contains("delay = \"500ms\""), "{text}");
    text.replace("delay = \"500ms\"", &format!("delay = \"{delay}\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_applies_and_a_bad_one_is_shown_until_it_is_mended() {
    let stage = Stage::start(quick(), &[]).await;
    let (agent, file) = (&stage.agent, stage.agent.path("agent.toml"));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, with_delay(&text, "2s")).unwrap();
    becomes(agent, "go-live.delay", "2s").await;
    stage.wait_log("configuration changed: go-live.delay: 500ms → 2s").await;

    fs::write(agent.path("agent.toml.new"), with_delay(&text, "soon")).unwrap();
    fs::rename(agent.path("agent.toml.new"), &file).unwrap();
    stage.wait_log("configuration refused, the old values stay").await;
    eventually("status names the mistake", LONG, async || {
        let shown = attention(agent).await;
        ["agent.toml", "line ", "go-live.delay", "soon"].iter().all(|part| shown.contains(part)).then_some(())
    })
    .await;
    assert_eq!(setting(agent, "go-live.delay").await.0, "2s");
    // Commands that only ask the agent go on working beside the broken file, and say what they saw.
    let output = agent.cli_by_file(&["followers", "list"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("go-live.delay"), "{said}");

    fs::remove_file(&file).unwrap();
    fs::write(&file, with_delay(&text, "3s")).unwrap();
    becomes(agent, "go-live.delay", "3s").await;
    assert!(!attention(agent).await.contains("agent.toml"));

    fs::remove_file(&file).unwrap();
    eventually("status says that it is gone", LONG, async || {
        attention(agent).await.contains("cannot be read").then_some(())
    })
    .await;
    assert_eq!(setting(agent, "go-live.delay").await.0, "3s");
    let times = agent.log().matches("the configuration cannot be read").count();
    fs::write(agent.path("unrelated"), "").unwrap();
    fs::write(&file, with_delay(&text, "4s")).unwrap();
    becomes(agent, "go-live.delay", "4s").await;
    assert_eq!(agent.log().matches("the configuration cannot be read").count(), times, "said once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_says_so_and_keeps_running() {
    let mut stage = Stage::start(quick(), &[]).await;
    let file = stage.agent.path("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    let metrics = stage.agent.metrics_url().replace("http://", "");
    let next = text.replace("[federation]\n", "[federation]\nextra-ca-file = \"/nowhere.pem\"\n");
    fs::write(&file, next).unwrap();
    let reloaded = stage.agent.cli_json(&["reload"]).await;
    let waits = &reloaded["waiting"][0];
    assert_eq!(
        (&waits["field"], &waits["needs_restart"]),
        (&"federation.extra-ca-file".into(), &true.into())
    );
    assert_eq!(setting(&stage.agent, "federation.extra-ca-file").await.0, "(not set)");
    assert!(attention(&stage.agent).await.contains("federation.extra-ca-file"));
    let told = stage.agent.cli(&["reload"]).await;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("federation.extra-ca-file") && told.contains("restart"), "{told}");
    assert_eq!(setting(&stage.agent, "listen.metrics").await.0, metrics);

    fs::write(&file, text.replace("delay = \"500ms\"", "delay = \"700ms\"")).unwrap();
    becomes(&stage.agent, "go-live.delay", "700ms").await;
    assert!(!attention(&stage.agent).await.contains("extra-ca-file"), "set back, it waits for nothing");
    stage.agent.restart().await;
    assert_eq!(setting(&stage.agent, "go-live.delay").await.0, "700ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_configuration_is_followed_when_it_is_turned() {
    let mut stage = Stage::prepare(quick(), &[]).await;
    let (folder, file) = (stage.agent.path("mount"), stage.agent.path("agent.toml"));
    let text = fs::read_to_string(&file).unwrap();
    // As Kubernetes mounts a ConfigMap: the file leads through ..data to a folder that is named after the time.
    let publish = |name: &str, text: &str| {
        fs::create_dir_all(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("agent.toml"), text).unwrap();
        symlink(name, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    publish("..2026_11_29_01", &text);
    symlink("..data/agent.toml", folder.join("agent.toml")).unwrap();
    fs::remove_file(&file).unwrap();
    symlink(folder.join("agent.toml"), &file).unwrap();
    stage.agent.launch();
    stage.agent.wait_ready().await;
    for (name, before, delay) in
        [("..2026_11_29_02", "..2026_11_29_01", "6s"), ("..2026_11_29_03", "..2026_11_29_02", "7s")]
    {
        publish(name, &with_delay(&text, delay));
        fs::remove_dir_all(folder.join(before)).unwrap();
        becomes(&stage.agent, "go-live.delay", delay).await;
    }
    assert!(!attention(&stage.agent).await.contains("agent.toml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_password_file_again() {
    let mut stage = Stage::prepare(quick(), &[]).await;
    let password = stage.agent.path("password");
    fs::write(&password, "abc123\n").unwrap();
    let file = stage.agent.path("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    let named =
        format!("[owncast]\nadmin-password-file = {:?}\n", Path::new(&password).display().to_string());
    fs::write(&file, text.replace("[owncast]\n", &named)).unwrap();
    stage.agent.launch();
    stage.settled().await;
    stage.owncast.configure(|config| config.admin_password = "another".into());
    fs::write(&password, "another\n").unwrap();
    let pid = Pid::from_raw(i32::try_from(stage.agent.pid().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    stage.wait_log("configuration changed: owncast.admin-password-file: (set) → (set to another one)").await;
    let log = stage.agent.log();
    assert!(!log.contains("another\n") && !log.contains("abc123"), "{log}");
    // Only with the new password does the agent learn of this.
    stage.owncast.configure(|config| config.name = "Bo's stream".into());
    stage.owncast.go_live();
    eventually("the new name", LONG, async || {
        let actor = stage.document(&stage.actor()).await;
        (actor["name"] == "Bo's stream").then_some(())
    })
    .await;
}
