//! What the operator sees of deliveries, and does about them.

use owncast_herald::sim::fediverse::{Answer, Flavour, Server};
use serde_json::{Value, json};

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
    assert_eq!(failed["deliveries"][0]["can_be_retried"], json!(true), "{failed}");
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
    assert_eq!(settled["activity"]["inboxes"]["failed"], json!(1), "{settled}");
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
