//! The next post in the operator's hand: looked at, sent at once, left out, worded by hand, held back; and `status`.

use owncast_herald::sim::fediverse::{Flavour, Server};
use serde_json::Value;

use crate::support::stage::{SOON, Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

/// Nothing is announced by itself while a test looks.
const LATE: (&str, &str) = ("go-live.delay", "\"1h\"");

fn creates(server: &Server) -> usize {
    server.received().iter().filter(|received| received.kind() == "Create").count()
}

async fn refused(stage: &Stage, arguments: &[&str], words: &str) {
    let output = stage.agent.cli(arguments).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(words), "{said}");
}

/// Waits until the stream's session is seen to be there.
async fn connecting(stage: &Stage) {
    eventually("the session begins", LONG, async || {
        (stage.agent.status().await["session"]["phase"] == "connecting").then_some(())
    })
    .await;
}

async fn over(stage: &Stage, times: usize) {
    stage.owncast.end_stream();
    eventually("the stream is over", LONG, async || {
        (stage.agent.log().matches("the stream is over").count() == times).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_the_post_that_now_sends() {
    let stage = Stage::start(quick(), &[LATE]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.owncast.set_title("Etching #boards");
    refused(&stage, &["go-live", "now"], "no stream is running").await;
    let offline = stage.agent.cli_json(&["go-live", "preview"]).await;
    assert_eq!((&offline["followers"], &offline["inboxes"]), (&1.into(), &1.into()), "{offline}");
    assert_eq!((&offline["audience"], &offline["sensitive"]), (&"public".into(), &false.into()));
    assert!(offline["text"].as_str().unwrap().contains("Etching"), "{offline}");
    assert!(offline["tags"].as_array().unwrap().contains(&"boards".into()), "{offline}");
    assert!(offline["no_picture"].as_str().unwrap().contains("no stream is running"), "{offline}");

    stage.owncast.go_live_with(SOON);
    connecting(&stage).await;
    let live = eventually("the preview has a picture", LONG, async || {
        let live = stage.agent.cli_json(&["go-live", "preview"]).await;
        live["picture"].is_object().then_some(live)
    })
    .await;
    let picture = &live["picture"];
    let file = std::fs::metadata(picture["file"].as_str().unwrap()).unwrap();
    assert_eq!(picture["bytes"], file.len());
    assert!(picture["width"].as_u64() > Some(0) && picture["alt"].as_str().unwrap().contains("Etching"));
    let told = stage.agent.cli(&["go-live", "preview"]).await;
    assert!(String::from_utf8_lossy(&told.stdout).starts_with("Nothing was sent."), "{told:?}");
    assert_eq!(creates(&server), 0);

    let now = stage.agent.cli_json(&["go-live", "now"]).await;
    assert_eq!((&now["wish"], &now["held"]), (&"now".into(), &Value::Null));
    let address = eventually("the post's address", LONG, async || {
        stage.agent.status().await["announcement"]["post"].as_str().map(str::to_owned)
    })
    .await;
    let post = server.wait_post(LONG, |post| post.note == address).await.expect("the post");
    assert!(post.html.contains("Etching"), "{}", post.html);
    refused(&stage, &["go-live", "now"], &address).await;

    let status = eventually("status counts the delivery", LONG, async || {
        let status = stage.agent.status().await;
        (status["announcement"]["reach"]["reached"] == 1).then_some(status)
    })
    .await;
    assert_eq!(
        (&status["announcement"]["post"], &status["announcement"]["state"]),
        (&address.into(), &"live".into())
    );
    assert_eq!((&status["session"]["phase"], &status["session"]["connections"]), (&"live".into(), &1.into()));
    assert_eq!((&status["wishes"]["now"], &status["wishes"]["skip"]), (&false.into(), &Value::Null));
    for source in ["status", "admin", "webhook"] {
        eventually(&format!("{source} is seen"), LONG, async || {
            let source = &stage.agent.status().await["sources"][source];
            (source["seen"].is_string() && source["errors"] == 0).then_some(())
        })
        .await;
    }
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_stream_has_no_post_and_the_next_one_does() {
    let mut stage = Stage::start(quick(), &[("go-live.repost-after", "\"0s\"")]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let skipped = stage.agent.cli_json(&["go-live", "skip"]).await;
    assert_eq!((&skipped["wishes"]["skip"], &skipped["held"]["by"]), (&"next".into(), &"skip".into()));
    stage.agent.restart().await;
    stage.owncast.go_live_with(SOON);
    connecting(&stage).await;
    eventually("the wish is for this stream", LONG, async || {
        (stage.agent.status().await["wishes"]["skip"] == "this").then_some(())
    })
    .await;
    over(&stage, 1).await;
    assert_eq!(stage.agent.status().await["announcement"], Value::Null);
    let post = stage.post(&server).await;
    assert_eq!((creates(&server), server.posts().len()), (1, 1), "{post:?}");
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_used_once_and_survives_a_restart() {
    let settings = [("go-live.repost-after", "\"0s\""), ("go-live.message", "\"As ever: {title}\"")];
    let mut stage = Stage::start(quick(), &settings).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.owncast.set_title("Etching");
    refused(&stage, &["go-live", "message", "{nothing}"], "{title}").await;
    stage.agent.cli_json(&["go-live", "message", "Only today: {title}"]).await;
    let preview = stage.agent.cli_json(&["go-live", "preview"]).await;
    assert!(preview["text"].as_str().unwrap().contains("Only today: Etching"), "{preview}");
    assert_eq!(preview["message_for_this_post"], true);
    stage.agent.restart().await;
    let post = stage.post(&server).await;
    assert!(post.html.contains("Only today: Etching"), "{}", post.html);
    assert_eq!(stage.agent.status().await["wishes"]["message"], Value::Null);
    over(&stage, 1).await;
    let post = stage.post(&server).await;
    assert!(post.html.contains("As ever: Etching"), "{}", post.html);
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_a_stream_back_until_it_is_over() {
    let mut stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let paused = stage.agent.cli_json(&["pause", "--for", "2h"]).await;
    assert_eq!((&paused["wish"], &paused["held"]["by"]), (&"pause".into(), &"pause".into()));
    stage.agent.restart().await;
    assert!(stage.agent.status().await["wishes"]["paused_until"].is_string());
    stage.owncast.go_live_with(SOON);
    connecting(&stage).await;
    let preview = stage.agent.cli_json(&["go-live", "preview"]).await;
    assert_eq!(preview["held"]["by"], "pause");
    assert_eq!(creates(&server), 0);
    let resumed = stage.agent.cli_json(&["resume"]).await;
    assert_eq!((&resumed["changed"], &resumed["held"]), (&true.into(), &Value::Null));
    let post = server.wait_post(LONG, |_| true).await;
    assert!(post.is_some(), "a stream that waited is announced");
    no_complaints(&server);
}
