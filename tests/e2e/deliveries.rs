//! What the operator sees of deliveries, and does about them.

use owncast_herald::sim::fediverse::{Answer, Flavour, Server};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::support::stage::{Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

fn host(server: &Server) -> String {
    server.url().split_once("://").unwrap().1.to_owned()
}

/// The report on an activity, once it satisfies.
async fn activity(stage: &Stage, named: &str, done: impl Fn(&Value) -> bool) -> Value {
    eventually("the report", LONG, async || {
        let report = stage.agent.cli_json(&["deliveries", "--activity", named]).await;
        done(&report).then_some(report)
    })
    .await
}

/// `script` gives the program a terminal, as somebody has who looks.
#[tokio::test(flavor = "multi_thread")]
async fn a_fan_out_is_watched_as_a_bar_that_grows() {
    let stage = Stage::start(quick(), &[("delivery.per-host", "1")]).await;
    let server = stage.server(Flavour::Pleroma).await;
    server.set_shared_inbox(false);
    for person in server.crowd(4) {
        stage.follow(&person).await;
    }
    server.set_answer(Answer::Slow(std::time::Duration::from_secs(2))).await;
    let (program, socket) = (env!("CARGO_BIN_EXE_owncast-herald"), stage.agent.path("admin.sock"));
    let watch =
        format!("stty cols 100 rows 12; exec '{program}' status --watch --socket '{}'", socket.display());
    let mut script = tokio::process::Command::new("script");
    script.args(["--quiet", "--flush", "--command", &watch, "/dev/null"]).kill_on_drop(true);
    script.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut script = script.spawn().unwrap();
    let mut screen = script.stdout.take().unwrap();
    stage.owncast.go_live_with(crate::support::stage::SOON);
    let (mut seen, mut some) = (String::new(), [0; 4096]);
    let bars = |seen: &str| -> std::collections::BTreeSet<usize> {
        let bars = seen.split('[').filter_map(|rest| rest.split_once(']'));
        let bars =
            bars.map(|(bar, _)| bar).filter(|bar| bar.len() == 30 && bar.trim_matches(['#', '-']).is_empty());
        bars.map(|bar| bar.matches('#').count()).collect()
    };
    let watched = async {
        while bars(&seen).len() < 3 {
            let read = screen.read(&mut some).await.unwrap();
            assert!(read > 0, "it ended: {seen:?}");
            seen.push_str(&String::from_utf8_lossy(&some[..read]));
        }
    };
    tokio::time::timeout(LONG, watched).await.unwrap_or_else(|_| panic!("no bar that grows: {seen:?}"));
    assert!(seen.contains("\u{1b}[H") && seen.contains(" of 4 reached"), "{seen:?}");
    assert!(seen.split("\u{1b}[H").all(|look| look.matches('\n').count() < 12), "it scrolls: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_an_agent_that_ends_is_told_so() {
    let mut stage = Stage::start(quick(), &[]).await;
    let mut watch = tokio::process::Command::new(env!("CARGO_BIN_EXE_owncast-herald"));
    watch.arg("--config").arg(stage.agent.path("agent.toml")).args(["status", "--watch"]).env_clear();
    watch.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).kill_on_drop(true);
    let mut watch = watch.spawn().unwrap();
    let first = tokio::time::timeout(LONG, watch.stdout.as_mut().unwrap().read_u8()).await;
    first.expect("it tells something").unwrap();
    stage.agent.kill9();
    let ended = tokio::time::timeout(LONG, watch.wait_with_output()).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    // Though there is a store that could be asked.
    assert!(ended.status.code() == Some(69) && said.contains("no agent is running"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_seen_tried_again_and_given_up() {
    let stage = Stage::start(quick(), &[]).await;
    let (well, _) = stage.follower(Flavour::Mastodon).await;
    let (busy, _) = stage.follower(Flavour::GoToSocial).await;
    let (refusing, _) = stage.follower(Flavour::Misskey).await;
    let (ill, _) = stage.follower(Flavour::Pleroma).await;
    busy.set_answer(Answer::Status(503)).await;
    ill.set_answer(Answer::Status(503)).await;
    refusing.set_answer(Answer::Status(403)).await;
    let note = stage.post(&well).await.note;
    let report = activity(&stage, &note, |report| {
        let inboxes = &report["activity"]["inboxes"];
        (&inboxes["reached"], &inboxes["failed"], &inboxes["retrying"]) == (&json!(1), &json!(1), &json!(2))
    })
    .await;
    let id = report["activity"]["id"].as_str().unwrap().to_owned();
    assert_eq!(report["activity"]["post"], json!(note));
    let shares = report["hosts"].as_array().unwrap();
    let share = shares.iter().find(|share| share["host"] == json!(host(&busy))).unwrap();
    assert_eq!((&share["open"], &share["why"]), (&json!(1), &json!("status 503")), "{share}");

    let share = shares.iter().find(|share| share["host"] == json!(host(&refusing))).unwrap();
    assert_eq!((&share["why"], &share["refused"]), (&Value::Null, &json!("status 403")), "{share}");
    let share = shares.iter().find(|share| share["host"] == json!(host(&ill))).unwrap();
    assert!(share["failures"].as_u64() > Some(0), "{share}");

    let newest = stage.agent.cli_json(&["deliveries", "--limit", "1"]).await;
    assert_eq!(newest["activities"][0]["id"], json!(id));
    let older = stage.agent.cli_json(&["deliveries", "--before", &id]).await;
    assert_ne!(older["activities"][0]["id"], json!(id));
    let of_host = stage.agent.cli_json(&["deliveries", "--host", &host(&busy)]).await;
    assert_eq!((&of_host["followers"], &of_host["pending"][0]["activity"]), (&json!(1), &json!(id)));

    // What waits is asked for; what was given up comes back only when that is asked for, too.
    busy.set_answer(Answer::Ok).await;
    refusing.set_answer(Answer::Ok).await;
    let retried = stage.agent.cli_json(&["deliveries", "retry", "--host", &host(&busy)]).await;
    assert_eq!((&retried["anew"], &retried["resting"]), (&json!(0), &json!(0)), "{retried}");
    assert!(busy.wait_post(LONG, |post| post.note == note).await.is_some());
    let failed = stage.agent.cli_json(&["deliveries", "--failed"]).await;
    let row = &failed["deliveries"][0];
    assert_eq!((&row["can_be_retried"], &row["refused"]), (&json!(true), &json!("status 403")), "{failed}");
    let anew = ["deliveries", "retry", "--failed", "--host", &host(&refusing)];
    assert_eq!(stage.agent.cli_json(&anew).await["anew"], json!(1));
    assert!(refusing.wait_post(LONG, |post| post.note == note).await.is_some());

    let name = host(&ill);
    let drop = ["deliveries", "drop", "--activity", &id, "--host", &name];
    let shown = stage.agent.cli(&drop).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("Nothing was given up") && shown.contains("--yes"), "{shown}");
    let dropped = stage.agent.cli_json(&[&drop[..], &["--yes"]].concat()).await;
    assert_eq!((&dropped["dropped"], &dropped["kinds"]), (&json!(1), &json!({"post": 1})));
    let settled = activity(&stage, &id, |report| report["activity"]["inboxes"]["reached"] == json!(3)).await;
    assert_eq!(settled["activity"]["inboxes"]["dropped"], json!(1), "{settled}");
    for (arguments, word) in [
        (["deliveries", "--host", "nobody.example"], "nothing is known of nobody.example"),
        (["deliveries", "--activity", "01J0000000000000000000000Z"], "no activity"),
        (["deliveries", "--activity", "yesterday"], "names no activity"),
    ] {
        let refused = stage.agent.cli(&arguments).await;
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(1) && said.contains(word), "{said}");
    }
    no_complaints(&busy);
}
