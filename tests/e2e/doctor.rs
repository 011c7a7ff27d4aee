//! `doctor` tells what is well from what is not, with an agent and without.

use serde_json::Value;

use crate::support::agent::TestAgent;
use crate::support::stage::{Stage, quick};

/// Findings of a code: level and text.
fn found<'a>(report: &'a Value, code: &str) -> Vec<(&'a str, &'a str)> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == code);
    findings.map(|finding| (finding["level"].as_str().unwrap(), finding["text"].as_str().unwrap())).collect()
}

fn all_are(report: &Value, code: &str, level: &str) {
    let found = found(report, code);
    assert!(
        !found.is_empty() && found.iter().all(|(is, _)| *is == level),
        "{code} is not {level}: {found:?}"
    );
}

/// What doctor says with this exit code.
async fn examined(agent: &TestAgent, code: i32) -> Value {
    let output = agent.cli_by_file(&["doctor", "--json"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_is_compared_with_what_is_seen_in_public() {
    let stage = Stage::start(quick(), &[("owncast.admin-password", "\"abc123\"")]).await;
    stage.wait_log("the webhook works").await;
    stage.wait_log("connected to Owncast's chat").await;
    // The public address leads to the agent alone, so that nobody answers for Owncast.
    let report = examined(&stage.agent, 4).await;
    for code in [
        "agent",
        "identity",
        "key-file",
        "store",
        "listen",
        "owncast",
        "password",
        "server-url",
        "webhook",
        "websocket",
        "token",
        "own-posts",
        "own-followers",
        "clock",
        "dns",
        "reach",
        "path",
        "webfinger",
        "actor",
        "followers",
    ] {
        all_are(&report, code, "green");
    }
    assert!(found(&report, "path").len() >= 16, "{report:#}");
    all_are(&report, "page", "red");
    all_are(&report, "link", "yellow");
    assert_eq!((&report["verdict"], &report["agent_runs"]), (&"red".into(), &true.into()));
    assert_eq!(report["public_url"], stage.agent.public_url());
    assert_eq!(report["asked_from"], serde_json::json!(["127.0.0.1"]));

    let told = stage.agent.cli_by_file(&["doctor"]).await;
    let text = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.status.code(), Some(4));
    for line in
        ["Asked from this machine (127.0.0.1)", "green     webfinger     @streamer@", "red       page", "→ "]
    {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert!(!text.contains("abc123") && !text.contains('\u{1b}'), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_the_proxy_forgot_are_owncasts() {
    let mut stage = Stage::prepare(quick(), &[]).await;
    let owncast = stage.owncast.url();
    stage.owncast.configure(|config| config.server_url = owncast.clone());
    stage.agent.launch();
    stage.agent.wait_ready().await;
    let report = examined(&stage.agent, 4).await;
    assert_eq!(report["public_url"], owncast);
    let paths = found(&report, "path");
    assert!(!paths.is_empty() && paths.iter().all(|(level, _)| *level == "red"), "{paths:#?}");
    assert!(
        paths.iter().any(|(_, text)| text.contains("webfinger") && text.contains("Owncast answers (405")),
        "{paths:#?}"
    );
    all_are(&report, "page", "green");
    all_are(&report, "webfinger", "red");
    all_are(&report, "actor", "red");
    // The password is the running agent's secret, and it is right.
    all_are(&report, "password", "green");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_agent_the_rest_is_examined() {
    let stage = Stage::prepare(quick(), &[("owncast.admin-password", "\"abc123\"")]).await;
    let report = examined(&stage.agent, 4).await;
    assert_eq!(report["agent_runs"], false);
    all_are(&report, "agent", "red");
    for code in ["identity", "webhook", "websocket", "followers", "key-file", "token"] {
        all_are(&report, code, "unchecked");
    }
    for code in ["listen", "owncast", "password", "server-url", "store", "dns"] {
        all_are(&report, code, "green");
    }
    // Nobody listens where the proxy would be.
    all_are(&report, "reach", "red");
    // It is off in a fresh Owncast, whatever its go-live message says.
    all_are(&report, "own-posts", "green");
    stage.owncast.configure(|config| config.federation_enabled = true);
    all_are(&examined(&stage.agent, 4).await, "own-posts", "yellow");

    stage.agent.set("owncast.admin-password", "\"wrong\"");
    let report = examined(&stage.agent, 4).await;
    all_are(&report, "password", "red");
    assert!(!report.to_string().contains("wrong\""), "{report:#}");
    stage.agent.set("owncast.url", "7");
    let report = examined(&stage.agent, 4).await;
    assert!(found(&report, "config")[0].1.contains("owncast.url"), "{report:#}");
}
