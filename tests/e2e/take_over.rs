//! Owncast's own go-live message: one post for each stream, and never a text lost.

use std::time::Duration;

use owncast_herald::sim::fediverse::Flavour;
use owncast_herald::sim::owncast::Options;

use crate::support::stage::{SOON, Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

fn posting(text: &str) -> Options {
    Options { federation_enabled: true, go_live_message: text.into(), ..quick() }
}

/// The actor lives in Owncast by its switch alone; nobody follows it yet.
async fn start(options: Options, overrides: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::prepare(options, overrides).await;
    stage.agent.launch_with(&["--new-identity"]);
    stage.settled().await;
    stage
}

async fn field(stage: &Stage, text: &str) {
    let stands = stage.owncast.wait_until(LONG, |owncast| owncast.config().go_live_message == text).await;
    assert!(stands, "{:?} stands there and not {text:?}", stage.owncast.config().go_live_message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_take_over_is_said_and_mended_and_no_text_is_lost() {
    let options = Options { own_post_after: Duration::from_secs(600), ..posting("Come and see!") };
    let mut stage = Stage::prepare(options, &[("go-live.repost-after", "\"0s\"")]).await;
    stage.owncast.faults().refuse_settings = true;
    stage.agent.launch_with(&["--new-identity"]);
    stage.settled().await;
    stage.wait_log("go-live message could not be changed").await;
    // Streams are watched all the same.
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let post = stage.post(&server).await;
    assert!(post.html.contains("Come and see!"), "{}", post.html);
    stage.owncast.end_stream();
    stage.wait_log("the stream is over").await;
    // The text is kept and stands there still, as after a crash between the two.
    stage.agent.kill9();
    stage.owncast.faults().refuse_settings = false;
    stage.agent.launch();
    field(&stage, "").await;
    let post = stage.post(&server).await;
    assert!(post.html.contains("Come and see!"), "{}", post.html);
    stage.owncast.end_stream();
    // What is typed there later is the new text, and an empty one is not.
    stage.owncast.configure(|config| config.go_live_message = "Something new!".into());
    stage.hint();
    field(&stage, "").await;
    stage.agent.restart().await;
    eventually("the second end", LONG, async || {
        (stage.agent.log().matches("the stream is over").count() == 2).then_some(())
    })
    .await;
    let post = stage.post(&server).await;
    assert!(post.html.contains("Something new!"), "{}", post.html);
    assert_eq!(stage.owncast.own_posts(), []);
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_text_wins_and_the_other_goes_back_when_nothing_is_to_be_taken() {
    let options = Options { own_post_after: Duration::from_secs(1), ..posting("Owncast's words") };
    let stage = start(options, &[("go-live.message", "\"From the file\"")]).await;
    field(&stage, "").await;
    stage.wait_log("the text of [go-live] message is posted").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.owncast.go_live_with(SOON);
    let post = server.wait_post(LONG, |_| true).await.unwrap();
    assert!(post.html.contains("From the file") && !post.html.contains("Owncast's words"), "{}", post.html);
    // Owncast's own post would be out by then.
    eventually("a stream of three seconds", LONG, async || {
        let status = stage.owncast.status();
        let time = |field: &str| status[field].as_str()?.parse::<jiff::Timestamp>().ok();
        (time("serverTime")?.duration_since(time("lastConnectTime")?).as_secs() >= 3).then_some(())
    })
    .await;
    assert_eq!((stage.owncast.own_posts(), server.posts().len()), (vec![], 1));

    let file = stage.agent.path("agent.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("[owncast]", "[owncast]\ntake-over-go-live-message = false");
    std::fs::write(&file, text).unwrap();
    stage.agent.cli(&["reload"]).await;
    field(&stage, "Owncast's words").await;
    stage.wait_log("put the go-live message back").await;
    // It is Owncast's again: what the operator does to it there stays.
    stage.owncast.configure(|config| config.go_live_message.clear());
    stage.hint();
    eventually("the change is seen", LONG, async || {
        stage.agent.log().contains("changed=\"go-live message\"").then_some(())
    })
    .await;
    let asked = stage.owncast.requests().len();
    let looked = |owncast: &owncast_herald::sim::owncast::SimOwncast| {
        owncast.requests().iter().skip(asked).filter(|request| request.path == "/api/status").count() >= 3
    };
    assert!(stage.owncast.wait_until(LONG, looked).await);
    field(&stage, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_message_of_an_owncast_that_does_not_federate_stays_where_it_is() {
    let stage = Stage::start(Options { go_live_message: "Mine".into(), ..quick() }, &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let post = stage.post(&server).await;
    assert!(post.html.contains("Mine"), "{}", post.html);
    assert_eq!(stage.owncast.config().go_live_message, "Mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_out_of_owncast_is_told_though_the_message_cannot_be_put_back() {
    let mut stage = start(posting("Mine"), &[("owncast.admin-password", "\"abc123\"")]).await;
    field(&stage, "").await;
    assert!(stage.owncast.wait_until(LONG, |owncast| !owncast.tokens().is_empty()).await);
    stage.agent.stop().await;
    let disconnect = async |code: i32| {
        let output = stage.agent.cli_by_file(&["disconnect"]).await;
        let said = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    };
    stage.owncast.faults().refuse_settings = true;
    let told = disconnect(1).await;
    for part in
        ["Before that, in Owncast at ", "  deleted webhook", "  deleted an access token", "Run this again"]
    {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    stage.owncast.faults().refuse_settings = false;
    let told = disconnect(0).await;
    assert!(told.contains("message is back"), "{told}");
    field(&stage, "Mine").await;
}
