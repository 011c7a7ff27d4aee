//! The first start does everything that is needed, and a second one finds it again.

use owncast_herald::sim::owncast::Timeline;

use crate::support::agent::TestAgent;
use crate::support::stage::{Stage, quick};
use crate::support::wait::{LONG, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn one_webhook_one_token_a_probe_and_a_chat_connection() {
    let mut stage = Stage::start(quick(), &[]).await;
    for words in ["ready", "found Owncast", "the identity is settled", "made a key", "the webhook works"] {
        stage.wait_log(words).await;
    }
    assert!(stage.owncast.wait_until(LONG, |owncast| owncast.sockets() == 1).await, "the chat connection");
    stage.wait_log("connected to Owncast's chat").await;
    let (webhooks, tokens) = (stage.owncast.webhooks(), stage.owncast.tokens());
    assert_eq!((webhooks.len(), tokens.len()), (1, 1));
    let chat = stage.owncast.chat();
    assert!(chat.is_empty(), "a viewer sees nothing of all this: {chat:?}");

    for _ in 0..2 {
        stage.agent.stop().await;
        stage.agent.launch();
        stage.settled().await;
    }
    let stream = Timeline::by_hand();
    stage.owncast.go_live_with(stream);
    stage.wait_log("a stream is starting").await;
    assert_eq!(stage.owncast.webhooks().len(), 1, "found again, not made again");
    assert_eq!(stage.owncast.webhooks()[0].id, webhooks[0].id);
    assert_eq!(stage.owncast.tokens(), tokens);
    let log = stage.agent.log();
    for secret in [&webhooks[0].url, &tokens[0].token, &stage.owncast.config().admin_password] {
        assert!(!log.contains(secret.as_str()), "a secret in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_was_deleted_in_owncast_is_made_again() {
    let mut stage = Stage::start(quick(), &[]).await;
    stage.wait_log("the webhook works").await;
    let before = stage.owncast.webhooks()[0].id;
    let client = &stage.http;
    let url = format!("{}/api/admin/webhooks/delete", stage.owncast.url());
    let body = serde_json::json!({ "id": before });
    let deleted = client.post(url).basic_auth("admin", Some("abc123")).json(&body).send().await.unwrap();
    assert!(deleted.status().is_success(), "{deleted:?}");
    assert!(stage.owncast.webhooks().iter().all(|webhook| webhook.id != before));
    stage.agent.stop().await;
    stage.agent.launch();
    let again = eventually("another webhook", LONG, async || stage.owncast.webhooks().pop()).await;
    assert_ne!(again.id, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_agents_webhook_stays_and_is_named() {
    let mut first = Stage::start(quick(), &[]).await;
    first.wait_log("the webhook works").await;
    let actor = first.actor();
    let owncast = &first.owncast;
    let mut second = TestAgent::prepare(owncast, &[]);
    // Both serve the same Owncast; the address it has published stays that of the first.
    owncast.configure(|config| config.server_url = first.agent.public_url());
    // When Owncast called last may change.
    let webhooks = || owncast.webhooks().into_iter().map(|one| (one.id, one.url, one.secret)).collect();
    let theirs: Vec<_> = webhooks();
    second.launch();
    let cure = " import --replace FILE";
    eventually("it says so", LONG, async || second.log().contains(cure).then_some(())).await;
    assert_eq!(webhooks(), theirs, "another agent's webhook is not touched");
    assert_eq!(owncast.tokens().len(), 1);
    // What it says is what helps.
    let file = first.agent.path("all.jsonl");
    let file = file.to_str().unwrap();
    first.agent.stop().await;
    let exported = first.agent.cli_by_file(&["export", file, "--with-key"]).await;
    assert!(exported.status.success(), "{exported:?}");
    second.stop().await;
    let imported = second.cli_by_file(&["import", "--replace", file]).await;
    assert!(imported.status.success(), "{imported:?}");
    second.launch();
    second.wait_ready().await;
    assert_eq!(second.actor().await, actor);
    let resumed = second.cli(&["resume", "--restored"]).await;
    assert!(resumed.status.success(), "{resumed:?}");
    let made = "made a webhook in Owncast";
    eventually("it is the agent now", LONG, async || second.log().contains(made).then_some(())).await;
}
