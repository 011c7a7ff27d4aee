//! `run --observe` tells what an agent would do, and does nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;

use owncast_herald::sim::fediverse::Flavour;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::agent::TestAgent;
use crate::support::stage::{SOON, Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

/// An observer on an agent's folder; it ends with the test.
struct Observer {
    child: Child,
    said: PathBuf,
    logged: PathBuf,
}

impl Observer {
    fn start(agent: &TestAgent, arguments: &[&str]) -> Observer {
        let (said, logged) = (agent.path("observer.out"), agent.path("observer.log"));
        // Beside the configuration, where setup puts it, and nowhere else.
        fs::write(agent.path("admin-password"), "abc123\n").unwrap();
        let mut command = agent.run_command(&[&["--observe"], arguments].concat());
        command.env_remove("OWNCAST_ADMIN_PASSWORD");
        command.stdout(File::create(&said).unwrap()).stderr(File::create(&logged).unwrap());
        Observer { child: command.spawn().unwrap(), said, logged }
    }

    fn said(&self) -> String {
        // It may be in the middle of a letter.
        String::from_utf8_lossy(&fs::read(&self.said).unwrap()).into_owned()
    }

    async fn wait(&self, words: &str) {
        let what = format!("the observer says {words:?}");
        eventually(&what, LONG, async || self.said().contains(words).then_some(())).await;
    }

    /// Stops it in order.
    async fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let ended = eventually("its end", LONG, async || self.child.try_wait().unwrap()).await;
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let logged = fs::read_to_string(&self.logged).unwrap();
            eprintln!("---- the observer ----\n{}\n{logged}", self.said());
        }
    }
}

/// Every file below a folder with its bytes.
fn bytes(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(bytes(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// Everything an operator can see of Owncast.
async fn state(stage: &Stage) -> String {
    let owncast = &stage.owncast;
    let url = format!("{}/api/admin/serverconfig", owncast.url());
    let config = stage.http.get(url).basic_auth("admin", Some("abc123")).send().await.unwrap();
    let config = config.text().await.unwrap();
    let (webhooks, tokens) = (owncast.webhooks(), owncast.tokens());
    format!("{config} {webhooks:?} {tokens:?} {:?}", owncast.followers())
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_told_and_nothing_is_done() {
    let mut stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.wait_log("the webhook works").await;
    stage.agent.stop().await;
    stage.owncast.power_off().await;
    stage.owncast.power_on().await.unwrap();
    stage.owncast.set_title("Etching a board");
    // What an agent would do about this: empty the message, and make webhook and token anew.
    stage.owncast.configure(|config| {
        config.federation_enabled = true;
        config.go_live_message = "Come and see".into();
    });
    let client = &stage.http;
    for (what, body) in [
        ("webhooks", serde_json::json!({ "id": stage.owncast.webhooks()[0].id })),
        ("accesstokens", serde_json::json!({ "token": stage.owncast.tokens()[0].token })),
    ] {
        let url = format!("{}/api/admin/{what}/delete", stage.owncast.url());
        client.post(url).basic_auth("admin", Some("abc123")).json(&body).send().await.unwrap();
    }
    let (before, requests, received) =
        (state(&stage).await, stage.owncast.requests().len(), server.requests().len());
    let files = bytes(&stage.agent.path("store"));

    let observer = Observer::start(&stage.agent, &[]);
    observer.wait("on a copy of").await;
    observer.wait("would register a webhook in Owncast that calls http://127.0.0.1:").await;
    observer.wait("would make an access token").await;
    observer.wait("empty it in Owncast:\n    Come and see").await;
    stage.owncast.go_live_with(SOON);
    observer.wait("would announce the stream to 1 inbox, public, with a picture of").await;
    observer.wait("\n    Come and see").await;
    stage.owncast.end_stream();
    observer.wait("would edit the post at the end of the stream").await;
    observer.wait("The stream is over").await;
    observer.stop().await;

    let asked: Vec<_> = stage.owncast.requests().into_iter().skip(requests).collect();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.method == "GET"), "{asked:?}");
    assert!(asked.iter().all(|request| request.path != "/ws"), "chat sees nobody join: {asked:?}");
    assert_eq!(state(&stage).await, before);
    assert_eq!(server.requests().len(), received, "nobody was told anything");
    assert!(bytes(&stage.agent.path("store")) == files, "the store was touched");
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_agent_it_is_not_noticed() {
    let stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.wait_log("the webhook works").await;
    let ours = || stage.owncast.webhooks().into_iter().map(|webhook| (webhook.id, webhook.url)).collect();
    let webhooks: Vec<_> = ours();
    let observer = Observer::start(&stage.agent, &[]);
    observer.wait("on a copy of").await;
    stage.post(&server).await;
    observer.wait("would announce the stream to 1 inbox").await;
    stage.owncast.end_stream();
    observer.wait("would edit the post at the end").await;
    assert!(!observer.said().contains("webhook"), "the running agent's is its own: {}", observer.said());
    let logged = fs::read_to_string(&observer.logged).unwrap();
    assert!(!logged.contains("configuration changed: "), "nobody has touched agent.toml: {logged}");
    let ended = server.wait_post(LONG, |post| post.html.contains("The stream is over")).await;
    assert!(ended.is_some());
    observer.stop().await;
    let creates = server.received().iter().filter(|one| one.kind() == "Create").count();
    assert_eq!((creates, server.posts().len()), (1, 1));
    assert_eq!(ours(), webhooks);
    assert_eq!(stage.agent.status().await["ready"], true);
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_start_no_key_and_no_store_is_made() {
    let stage = Stage::prepare(quick(), &[]).await;
    let observer = Observer::start(&stage.agent, &[]);
    observer.wait("as if for the first time").await;
    let key = stage.agent.path("store").join("actor-key.pem");
    observer.wait(&format!("would make a key for the actor, in {}", key.display())).await;
    stage.owncast.go_live_with(SOON);
    observer.wait("would announce the stream to 0 inboxes").await;
    observer.stop().await;
    assert_eq!(bytes(&stage.agent.path("store")), BTreeMap::new());
    assert!(stage.owncast.requests().iter().all(|request| request.method == "GET"));
}
