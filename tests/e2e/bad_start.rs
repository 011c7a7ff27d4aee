//! What goes wrong at the start is said in a sentence with its cure, and ends with the right code.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use owncast_herald::sim::fediverse::{Fediverse, Flavour};
use owncast_herald::sim::owncast::{FederationAction, Follower, FollowerState, Options, SimOwncast};
use serde_json::Value;

use crate::support::agent::TestAgent;
use crate::support::stage::{Stage, quick};
use crate::support::wait::{LONG, eventually};

/// Nothing of the program's inside shows.
fn calm(text: &str) {
    for word in ["panicked", "RUST_BACKTRACE", "src/", "unwrap"] {
        assert!(!text.contains(word), "{word} in: {text}");
    }
}

/// Runs until it ends by itself, which it must.
async fn ends(agent: &TestAgent, code: i32, words: &[&str]) {
    let output: Output = agent.run_to_the_end().await;
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    calm(&said);
}

async fn waits(stage: &Stage, status: &str, words: &[&str]) {
    for word in words {
        stage.wait_log(word).await;
    }
    eventually("the operator is told why", LONG, async || {
        // What was logged may have been logged before anybody could be asked.
        let told = stage.agent.try_status().await?;
        told["identity"]["why"].as_str().is_some_and(|why| why.contains(status)).then_some(())
    })
    .await;
    let answer = stage.get(&stage.actor()).await;
    assert_eq!(answer.status(), 503, "{status}");
    assert!(answer.headers().contains_key("retry-after"));
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "identity-unknown");
    // Strangers learn the ways on, and nothing of files or followers.
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("owncast-herald adopt") && detail.contains("--new-identity"), "{detail}");
    assert!(status.is_empty() || !detail.contains(status), "{detail}");
    assert_eq!(stage.ask(reqwest::Method::POST, &stage.inbox()).send().await.unwrap().status(), 503);
    calm(&stage.agent.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_named_and_a_right_one_helps() {
    let mut stage = Stage::prepare(quick(), &[]).await;
    stage.owncast.configure(|config| config.admin_password = "another".into());
    stage.agent.launch();
    waits(&stage, "", &["password"]).await;
    // It is not asked again and again; after Owncast was away it is.
    stage.owncast.power_off().await;
    stage.wait_log("no answer from Owncast").await;
    stage.owncast.configure(|config| config.admin_password = "abc123".into());
    stage.owncast.power_on().await.unwrap();
    stage.settled().await;
    stage.wait_log("Owncast answers again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owncast_may_come_later() {
    let mut stage = Stage::prepare(quick(), &[]).await;
    stage.owncast.power_off().await;
    stage.agent.launch();
    waits(&stage, "has not heard from Owncast", &[&stage.owncast.url()]).await;
    stage.owncast.power_on().await.unwrap();
    stage.settled().await;
    stage.wait_log("Owncast answers again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_no_owncast_is_named() {
    let fediverse = Fediverse::start().await;
    let other = fediverse.server("peer", Flavour::Mastodon).await.unwrap();
    let address = format!("{:?}", other.url());
    let mut stage = Stage::prepare(quick(), &[("owncast.url", &address)]).await;
    stage.agent.launch();
    waits(&stage, "", &[&other.url(), "Owncast"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_url_it_says_where_to_set_it() {
    let mut stage = Stage::prepare(quick(), &[]).await;
    let url = stage.agent.public_url();
    stage.owncast.configure(|config| config.server_url.clear());
    stage.agent.launch();
    waits(&stage, "Owncast has no server URL", &["Server URL", "[identity] public-url"]).await;
    stage.owncast.configure(|config| config.server_url = url);
    // Found at the next look at the configuration, which a stream's start brings forward.
    stage.owncast.go_live();
    stage.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_lived_before_gets_no_new_key() {
    let follower = Follower {
        iri: "https://peer.example/users/ana".into(),
        name: "Ana".into(),
        username: "ana@peer.example".into(),
        image: String::new(),
        at: jiff::Timestamp::now(),
        state: FollowerState::Approved,
    };
    let action = FederationAction {
        at: jiff::Timestamp::now(),
        iri: "https://live.example/federation/user/streamer".into(),
        actor: "https://peer.example/users/ana".into(),
        kind: "FEDIVERSE_ENGAGEMENT_FOLLOW".into(),
    };
    let pending = Follower { state: FollowerState::Pending, ..follower.clone() };
    let blocked = Follower { state: FollowerState::Blocked, ..follower.clone() };
    for (options, trace) in [
        (Options { followers: vec![follower], ..quick() }, "1 follower"),
        (Options { followers: vec![pending], ..quick() }, "1 pending follower"),
        (Options { followers: vec![blocked], ..quick() }, "1 blocked follower"),
        (Options { actions: vec![action], ..quick() }, "1 recorded federation action"),
        (Options { federation_enabled: true, ..quick() }, "federation is on"),
    ] {
        let mut stage = Stage::prepare(options, &[]).await;
        stage.agent.launch();
        waits(&stage, trace, &["has lived before", trace, " adopt --data-dir ", "--new-identity"]).await;
        assert!(!stage.agent.path("store/actor-key.pem").exists(), "no key was made");
        stage.agent.stop().await;
        stage.agent.launch_with(&["--new-identity"]);
        stage.settled().await;
        let key = fs::metadata(stage.agent.path("store/actor-key.pem")).unwrap();
        assert_eq!(key.permissions().mode() & 0o077, 0, "only its owner reads the key");
        // From now on it is this one's identity, without being told again.
        stage.agent.stop().await;
        stage.agent.launch();
        stage.settled().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_ends_it() {
    let owncast = SimOwncast::start(quick()).await.unwrap();
    for field in ["public", "webhook", "metrics"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("\"{}\"", taken.local_addr().unwrap());
        let agent = TestAgent::prepare(&owncast, &[(&format!("listen.{field}"), &address)]);
        ends(&agent, 1, &["[listen]", field, address.trim_matches('"'), "another address"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_ends_the_second() {
    let stage = Stage::start(quick(), &[]).await;
    let store = format!("{:?}", stage.agent.path("store"));
    let second = TestAgent::prepare(&stage.owncast, &[("store.path", &store)]);
    let process = format!("process {}", stage.agent.pid().unwrap());
    ends(&second, 1, &["in use by another process", &process, "[store] path"]).await;
    assert_eq!(stage.get(&stage.actor()).await.status(), 200, "the first goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_written_ends_it() {
    let owncast = SimOwncast::start(quick()).await.unwrap();
    let agent = TestAgent::prepare(&owncast, &[]);
    fs::remove_dir(agent.path("store")).unwrap();
    fs::write(agent.path("store"), "a file in the way").unwrap();
    ends(&agent, 1, &["store", agent.path("store").to_str().unwrap(), "a file stands there"]).await;
    // A place where nobody can make a folder, whoever runs the test.
    let nowhere = TestAgent::prepare(&owncast, &[("store.path", "\"/proc/herald\"")]);
    ends(&nowhere, 1, &["/proc/herald", "make it writable", "[store] path"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_or_a_missing_password_is_a_matter_of_configuration() {
    let owncast = SimOwncast::start(quick()).await.unwrap();
    let agent = TestAgent::prepare(&owncast, &[("go-live.delay", "\"soon\"")]);
    ends(&agent, 78, &["agent.toml", "delay", "soon"]).await;
    let agent = TestAgent::prepare(&owncast, &[("go-live.dealy", "\"1s\"")]);
    ends(&agent, 78, &["agent.toml", "dealy"]).await;
    let agent = TestAgent::prepare(&owncast, &[]);
    fs::remove_file(agent.path("agent.toml")).unwrap();
    ends(&agent, 78, &["agent.toml"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_is_not_replaced() {
    let mut stage = Stage::start(quick(), &[]).await;
    stage.follower(Flavour::Mastodon).await;
    stage.agent.stop().await;
    let key = stage.agent.path("store/actor-key.pem");
    let kept = stage.agent.path("kept.pem");
    fs::rename(&key, &kept).unwrap();
    stage.agent.launch();
    eventually("it says so", LONG, async || stage.agent.log().contains("is missing").then_some(())).await;
    let answer = stage.get(&stage.actor()).await;
    assert_eq!(answer.status(), 503);
    assert!(!key.exists());
    stage.agent.stop().await;
    fs::rename(&kept, &key).unwrap();
    stage.agent.launch();
    stage.settled().await;
    assert_eq!(stage.followers().await, 1);
}
