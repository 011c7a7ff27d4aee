//! Everything goes to another machine, and the same followers get the next post from there.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

use owncast_herald::sim::fediverse::{Flavour, Person, Server};
use serde_json::Value;

use crate::support::agent::TestAgent;
use crate::support::stage::{SOON, Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

/// What a command says when it fails with this code.
fn fails(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Another machine for the same stream: nothing of the old one is on it, and the proxy leads to it.
fn another_machine(stage: &Stage) -> TestAgent {
    let listen = format!("\"{}\"", stage.agent.host());
    let agent = TestAgent::prepare(&stage.owncast, &[("listen.public", &listen)]);
    stage.owncast.configure(|config| config.server_url = stage.agent.public_url());
    agent
}

/// Somebody new who follows, and is told to come again.
async fn asks_in_vain_to_follow(stage: &Stage, server: &Server) -> Person {
    let person = server.person("late");
    let followed = person.follow(&stage.handle()).await.unwrap();
    assert_eq!(followed.reply.status, 503, "{followed:?}");
    assert!(followed.reply.body.contains("\"held\""), "{followed:?}");
    person
}

/// Waits until the agent has looked at the stream three more times.
async fn looked(stage: &Stage) {
    let asked = stage.owncast.requests().len();
    let enough = |owncast: &owncast_herald::sim::owncast::SimOwncast| {
        owncast.requests().iter().skip(asked).filter(|request| request.path == "/api/status").count() >= 3
    };
    assert!(stage.owncast.wait_until(LONG, enough).await, "it looks at the stream again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_agent_goes_on_with_the_same_followers_and_key_once_it_may() {
    let mut stage = Stage::start(quick(), &[("go-live.repost-after", "\"0s\"")]).await;
    stage.wait_log("the webhook works").await;
    let (server, _) = stage.follower(Flavour::GoToSocial).await;
    let first = stage.post(&server).await;
    let note = first.note;
    stage.owncast.end_stream();
    stage.wait_log("the stream is over").await;
    let before = stage.document(&stage.actor()).await;
    let file = stage.agent.path("backup.jsonl");
    // Beside the running agent.
    let said = succeeds(&stage.agent.cli_by_file(&["export", text(&file), "--with-key"]).await);
    assert!(said.contains("1 follower, 0 blocks, 1 post"), "{said}");
    stage.agent.stop().await;

    let mut other = another_machine(&stage);
    let whole = succeeds(&other.cli_by_file(&["import", "--check", text(&file)]).await);
    assert!(whole.contains("The file is whole") && whole.contains("key is in it"), "{whole}");
    let said = succeeds(&other.cli_by_file(&["import", text(&file)]).await);
    assert!(said.contains("1 follower") && said.contains("agent.toml resume --restored"), "{said}");
    let again = fails(&other.cli_by_file(&["import", text(&file)]).await, 1);
    assert!(again.contains("--replace"), "{again}");
    let asked = server.requests().len();
    other.launch();
    other.wait_ready().await;
    eventually("the identity is settled", LONG, async || {
        (other.status().await["identity"]["state"] == "settled").then_some(())
    })
    .await;
    let status = other.status().await;
    assert!(status["attention"][0].as_str().unwrap().contains("Is the old machine stopped?"), "{status}");
    // doctor says so, and does not blame the agent for what waits.
    let output = other.cli_by_file(&["doctor", "--json"]).await;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let level = |code: &str| {
        let mut findings = report["findings"].as_array().unwrap().iter();
        findings.find(|finding| finding["code"] == code).unwrap()["level"].clone()
    };
    assert_eq!(level("held"), "yellow", "{report:#}");
    assert_eq!(level("webhook"), "unchecked", "{report:#}");
    assert_eq!(level("actor"), "green", "{report:#}");
    let hooks: Vec<u64> = stage.owncast.webhooks().iter().map(|hook| hook.id).collect();

    // A stream and a new follower: nothing is sent, not even a question for the follower's key.
    stage.owncast.go_live_with(SOON);
    let late = asks_in_vain_to_follow(&stage, &server).await;
    eventually("the stream is seen", LONG, async || {
        (other.status().await["stream"]["state"] == "connecting").then_some(())
    })
    .await;
    looked(&stage).await;
    assert_eq!(server.requests().len(), asked, "nobody is asked or told anything");
    assert_eq!(stage.owncast.webhooks().iter().map(|hook| hook.id).collect::<Vec<_>>(), hooks);
    let refused = fails(&other.cli(&["go-live", "now"]).await, 1);
    assert!(refused.contains("owncast-herald --config ") && refused.contains(" resume"), "{refused}");

    let refused = fails(&other.cli(&["resume"]).await, 1);
    assert!(refused.contains("resume --restored"), "{refused}");
    let said = succeeds(&other.cli(&["resume", "--restored"]).await);
    assert!(said.contains("sent from now on"), "{said}");
    eventually("the late one's Follow is taken", LONG, async || {
        let followed = late.follow(&stage.handle()).await.ok()?;
        (followed.reply.status == 202).then_some(())
    })
    .await;
    assert!(late.wait_accepted(LONG).await);
    let next = eventually("the post", LONG, async || server.posts().get(1).cloned()).await;
    assert_ne!(next.note, note);
    let after = stage.document(&stage.actor()).await;
    assert_eq!(after["publicKey"], before["publicKey"]);
    assert_eq!(stage.get(&note).await.status(), 200, "the old post answers");
    let picture = &first.media.first().expect("a picture").url;
    assert_eq!(stage.get(picture).await.status(), 200, "and so does its picture");
    // Our webhook in Owncast is the new machine's, and there is one.
    eventually("the webhook of the new machine", LONG, async || {
        let now: Vec<u64> = stage.owncast.webhooks().iter().map(|hook| hook.id).collect();
        (now.len() == 1 && now != hooks).then_some(())
    })
    .await;
    eventually("it works", LONG, async || other.log().contains("the webhook works").then_some(())).await;
    assert_eq!(stage.owncast.tokens().len(), 1);
    no_complaints(&server);
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_agent_its_store_answers_and_takes_orders() {
    let mut stage = Stage::start(quick(), &[]).await;
    let (server, fan) = stage.follower(Flavour::Mastodon).await;
    stage.agent.stop().await;
    let agent = &stage.agent;
    let list = succeeds(&agent.cli_by_file(&["followers", "list"]).await);
    assert!(list.contains(&fan.handle()), "{list}");
    let csv = succeeds(&agent.cli_by_file(&["followers", "export", "--csv"]).await);
    assert_eq!(
        csv,
        format!("Account address,Show boosts,Notify on new posts,Languages\n{},true,false,\n", fan.handle())
    );
    let output = agent.cli_by_file(&["status", "--json"]).await;
    assert_eq!(output.status.code(), Some(69));
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&status["running"], &status["ready"]), (&false.into(), &false.into()));
    assert_eq!(status["followers"]["approved"], 1);
    assert_eq!(status["identity"]["actor"], stage.actor().as_str());
    for only_running in [&["reload"][..], &["go-live", "now"], &["go-live", "preview"]] {
        fails(&agent.cli_by_file(only_running).await, 69);
    }
    // Whoever names the socket means a running agent.
    fails(&agent.cli(&["followers", "list"]).await, 69);
    succeeds(&agent.cli_by_file(&["pause", "--for", "2h"]).await);
    succeeds(&agent.cli_by_file(&["followers", "remove", &fan.handle()]).await);
    let file = agent.path("offline.jsonl");
    let said = succeeds(&agent.cli_by_file(&["export", text(&file)]).await);
    assert!(said.contains("The private key is not in it"), "{said}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let there = fails(&agent.cli_by_file(&["export", text(&file)]).await, 1);
    assert!(there.contains("there already"), "{there}");

    stage.agent.launch();
    stage.settled().await;
    // What was ordered is done: the fan's server is told.
    let told = server.wait_for(LONG, |received| received.kind() == "Reject").await;
    assert!(told.is_some());
    assert!(stage.agent.status().await["wishes"]["paused_until"].is_string());
    let running = fails(&stage.agent.cli_by_file(&["import", "--replace", text(&file)]).await, 1);
    assert!(running.contains("stop it first"), "{running}");
}

#[tokio::test(flavor = "multi_thread")]
async fn root_leaves_nothing_of_its_own_in_the_store() {
    const NOBODY: u32 = 65_534;
    let mut stage = Stage::start(quick(), &[]).await;
    stage.follower(Flavour::Mastodon).await;
    stage.agent.stop().await;
    let store = stage.agent.path("store");
    if std::fs::metadata(&store).unwrap().uid() != 0 {
        // Only root can be somebody else.
        return;
    }
    let folder = &store.parent().unwrap().to_owned();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(folder.join("agent.toml"), std::fs::Permissions::from_mode(0o644)).unwrap();
    give_away(&store, NOBODY);
    let root_only = stage.agent.path("root-only");
    std::fs::create_dir(&root_only).unwrap();
    std::fs::set_permissions(&root_only, std::fs::Permissions::from_mode(0o700)).unwrap();
    let file = root_only.join("backup.jsonl");
    let agent = &stage.agent;
    succeeds(&agent.cli_by_file(&["block", "add", "bad.example"]).await);
    succeeds(&agent.cli_by_file(&["export", text(&file), "--with-key"]).await);
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!((metadata.uid(), metadata.permissions().mode() & 0o777), (0, 0o600));
    let said = succeeds(&agent.cli_by_file(&["import", "--replace", text(&file)]).await);
    assert!(said.contains("1 follower, 1 block"), "{said}");
    assert_eq!(owners(&store), [NOBODY]);
    // The key goes to the store's owner, and to no other whose folder it is written into.
    for (user, owner) in [(NOBODY, NOBODY), (NOBODY - 1, 0)] {
        let folder = stage.agent.path(&format!("of-{user}"));
        std::fs::create_dir(&folder).unwrap();
        give_away(&folder, user);
        for (file, command) in
            [("key.pem", &["key", "export"][..]), ("all.jsonl", &["export", "--with-key"][..])]
        {
            let file = folder.join(file);
            succeeds(&stage.agent.cli_by_file(&[command, &[text(&file)]].concat()).await);
            assert_eq!(std::fs::metadata(&file).unwrap().uid(), owner, "{}", file.display());
        }
    }
    // The agent itself, in a store that is there and in one that is not there yet; only root may read the password, and only
    // root may say where that is.
    let password = root_only.join("password");
    std::fs::write(&password, format!("{}\n", stage.owncast.config().admin_password)).unwrap();
    stage.agent.set("owncast.admin-password-file", &format!("{:?}", text(&password)));
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let home = stage.agent.path("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::rename(&store, home.join("store")).unwrap();
    give_away(&home, NOBODY);
    let store = home.join("store");
    stage.agent.set("store.path", &format!("{:?}", text(&store)));
    for wishes in [&[][..], &["--replace", "--new-identity"]] {
        stage.agent.launch_with(wishes);
        stage.agent.wait_ready().await;
        let process = format!("/proc/{}/status", stage.agent.pid().unwrap());
        let process = std::fs::read_to_string(process).unwrap();
        for ids in ["Uid:", "Gid:"] {
            let line = process.lines().find(|line| line.starts_with(ids)).unwrap();
            assert!(line.split_whitespace().skip(1).all(|id| id == NOBODY.to_string()), "{line}");
        }
        assert_eq!(owners(&store), [NOBODY], "while it runs");
        stage.agent.stop().await;
        assert_eq!(owners(&store), [NOBODY], "and after it");
        std::fs::remove_dir_all(&store).unwrap();
    }
    std::fs::remove_file(&password).unwrap();
    let said = fails(&stage.agent.run_to_the_end().await, 78);
    assert!(said.contains("admin password cannot be read") && !store.exists(), "{said}");
}

fn give_away(path: &Path, user: u32) {
    std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| give_away(&entry.unwrap().path(), user));
    }
}

/// Whose everything is.
fn owners(path: &Path) -> Vec<u32> {
    let mut found = vec![std::fs::symlink_metadata(path).unwrap().uid()];
    if path.is_dir() {
        found.extend(std::fs::read_dir(path).unwrap().flat_map(|entry| owners(&entry.unwrap().path())));
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_told_of_under_the_old_one_before_it_is_used() {
    let mut stage = Stage::start(quick(), &[("go-live.repost-after", "\"0s\"")]).await;
    let (server, _) = stage.follower(Flavour::GoToSocial).await;
    let key_of = async |stage: &Stage| stage.document(&stage.actor()).await["publicKey"].clone();
    let before = key_of(&stage).await;
    let consequences = fails(&stage.agent.cli_by_file(&["key", "rotate"]).await, 1);
    assert!(consequences.contains("--yes"), "{consequences}");
    succeeds(&stage.agent.cli_by_file(&["key", "rotate", "--yes"]).await);
    let file = stage.agent.path("with-key.jsonl");
    let half = fails(&stage.agent.cli_by_file(&["export", text(&file), "--with-key"]).await, 1);
    assert!(half.contains("under way") && !file.exists(), "{half}");
    let early = fails(&stage.agent.cli_by_file(&["key", "rotate", "--finish"]).await, 1);
    assert!(early.contains("not told of the new key yet"), "{early}");
    stage.agent.restart().await;
    let after = key_of(&stage).await;
    assert_eq!(after["id"], before["id"]);
    assert_ne!(after["publicKeyPem"], before["publicKeyPem"]);
    let told = server.wait_for(LONG * 3, |received| received.kind() == "Update").await;
    assert!(told.is_some_and(|update| update.effective), "{:?}", server.violations());
    eventually("all were told", LONG, async || {
        (stage.agent.status().await["identity"]["key_change"] == "told").then_some(())
    })
    .await;
    succeeds(&stage.agent.cli_by_file(&["key", "rotate", "--finish"]).await);
    stage.agent.restart().await;
    assert_eq!(key_of(&stage).await, after);
    stage.post(&server).await;
    no_complaints(&server);
    let kept = std::fs::read_dir(stage.agent.path("store")).unwrap();
    let kept = kept.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
        name.starts_with("actor-key.pem.2")
    });
    assert_eq!(kept.count(), 1, "the old key is kept");
}
