//! While Owncast is private nothing of a post is public.

use owncast_herald::sim::fediverse::Flavour;
use owncast_herald::sim::owncast::Options;
use serde_json::Value;

use crate::configuration::seen;
use crate::support::stage::{SOON, Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

const PRIVATE: [(&str, &str); 2] = [("followers.approval", "\"auto\""), ("go-live.repost-after", "\"0s\"")];

#[tokio::test(flavor = "multi_thread")]
async fn a_private_post_is_for_followers_alone() {
    let stage = Stage::start(Options { private: true, ..quick() }, &PRIVATE).await;
    let (server, fan) = stage.follower(Flavour::Mastodon).await;
    server.expect_followers_only(true);
    let post = stage.post(&server).await;
    let post =
        server.wait_post(LONG, |seen| seen.note == post.note && seen.media.iter().all(|m| m.fetched)).await;
    let post = post.expect("the picture");
    assert_eq!(post.media[0].status, Some(200), "followers' servers get the picture");
    fan.like(&post.note).await.unwrap();
    fan.announce(&post.note).await.unwrap();
    stage.owncast.end_stream();
    assert!(server.wait_post(LONG, |seen| seen.html.contains("The stream is over")).await.is_some());

    for received in server.received() {
        let text = String::from_utf8_lossy(&received.raw).into_owned();
        assert!(received.kind() == "Accept" || !text.contains("Public"), "Public on the wire: {text}");
    }
    for part in ["", "/activity", "/likes", "/shares", "/replies"] {
        for accept in ["application/activity+json", "text/html", "*/*"] {
            let asked =
                stage.ask(reqwest::Method::GET, &format!("{}{part}", post.note)).header("accept", accept);
            assert_eq!(asked.send().await.unwrap().status(), 404, "{part} as {accept}");
        }
    }
    let actor = stage.actor();
    assert_eq!(stage.total(&format!("{actor}/outbox")).await, 0);
    let page = stage.document(&format!("{actor}/outbox?page=1")).await;
    assert_eq!(page["orderedItems"], Value::Array(Vec::new()));
    assert_eq!(stage.total(&format!("{actor}/collections/featured")).await, 0);
    assert_eq!(stage.document("/nodeinfo/2.1").await["usage"]["localPosts"], 0);
    let picture = post.media[0].url.rsplit('/').next().unwrap().split('.').next().unwrap().to_owned();
    let content = openssl::sha::sha256(&post.media[0].bytes);
    let content: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        picture.len() >= 32 && !content.starts_with(&picture),
        "{picture} can be worked out from the picture"
    );
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_private_stays_so_when_owncast_is_public_again() {
    let stage = Stage::start(Options { private: true, ..quick() }, &PRIVATE).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let secret = stage.post(&server).await.note;
    stage.owncast.end_stream();
    stage.wait_log("the stream is over").await;
    stage.owncast.configure(|config| config.private = false);
    stage.hint();
    seen(&stage, "private", 1).await;
    let open = stage.post(&server).await.note;
    assert_eq!(stage.get(&secret).await.status(), 404);
    assert_eq!(stage.get(&open).await.status(), 200);
    assert_eq!(stage.total(&format!("{}/outbox", stage.actor())).await, 1);
    // And the other way round: it was public when it was made.
    stage.owncast.end_stream();
    eventually("it is over", LONG, async || {
        (stage.agent.log().matches("the stream is over").count() == 2).then_some(())
    })
    .await;
    stage.owncast.configure(|config| config.private = true);
    stage.hint();
    seen(&stage, "private", 2).await;
    stage.post(&server).await;
    assert_eq!(stage.get(&open).await.status(), 200);
    assert_eq!(stage.total(&format!("{}/outbox", stage.actor())).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_without_picture_is_for_whom_owncast_says_when_it_is_due() {
    let settings = [("go-live.delay", "\"10s\""), ("go-live.image", "\"none\"")];
    let stage = Stage::start(quick(), &settings).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    server.expect_followers_only(true);
    stage.owncast.go_live_with(SOON);
    stage.wait_log("a stream is starting").await;
    // No event tells of it.
    stage.owncast.configure(|config| config.private = true);
    eventually("the post", LONG, async || server.posts().pop()).await;
    let creates = server.received().into_iter().filter(|received| received.kind() == "Create");
    for create in creates {
        let text = String::from_utf8_lossy(&create.raw).into_owned();
        assert!(!text.contains("Public"), "Public on the wire: {text}");
    }
    no_complaints(&server);
}
