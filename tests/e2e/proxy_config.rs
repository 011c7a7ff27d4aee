//! `proxy-config` beside an agent, once it has been stopped, and where its store cannot be asked.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use rustix::process::geteuid;

use crate::support::stage::{Stage, quick};

const NOBODY: u32 = 65534;

/// What it prints, or else what it says.
async fn proxy_config(stage: &Stage, more: &[&str]) -> Result<String, String> {
    let output = stage.agent.cli_by_file(&[&["proxy-config", "nginx"], more].concat()).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_is_told_the_same_when_the_agent_has_been_stopped() {
    let mut stage = Stage::start(quick(), &[]).await;
    let running = proxy_config(&stage, &[]).await.unwrap();
    assert!(running.contains("/federation/user/streamer"), "{running}");
    stage.agent.stop().await;
    assert_eq!(proxy_config(&stage, &[]).await.unwrap(), running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_asked_is_told_as_that() {
    let stage = Stage::start(quick(), &[]).await;
    // The agent has the store, and is not found any more.
    stage.agent.set("listen.admin-socket", &format!("{:?}", stage.agent.path("nobody.sock")));
    let told = proxy_config(&stage, &[]).await.unwrap_err();
    for part in ["name it with --public-url", "is in use by another process"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert!(!told.contains("settled it yet"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_for_root_alone_is_enough_where_all_is_named() {
    let stage = Stage::prepare(quick(), &[]).await;
    let (config, store) = (stage.agent.path("agent.toml"), stage.agent.path("store"));
    fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
    if geteuid().is_root() {
        chown(&store, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let named = ["--public-url", "https://live.example", "--username", "ana"];
    let text = proxy_config(&stage, &named).await.unwrap();
    assert!(text.contains("/federation/user/ana"), "{text}");
    let told = proxy_config(&stage, &[]).await.unwrap_err();
    assert!(told.contains("name it with --public-url"), "{told}");
    if geteuid().is_root() {
        let why = format!("belongs to user {NOBODY}, who may not read {}", config.display());
        assert!(told.contains(&why), "{why} is not in {told}");
    }
}
