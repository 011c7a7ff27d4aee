//! The main trips beside every release of Owncast that is imitated.

use owncast_herald::sim::fediverse::{Answer, Flavour};
use owncast_herald::sim::owncast::{ChatKind, Options, Version};

use crate::support::stage::{SOON, Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

async fn trips(version: Version) {
    let settings = [
        ("notices.max-per-minute", "60"),
        ("notices.burst-window", "\"100ms\""),
        ("notices.follow", "\"card\""),
        ("notices.like", "\"line\""),
        ("notices.announce", "\"bot\""),
    ];
    let mut stage = Stage::start(Options { version, ..quick() }, &settings).await;
    for words in ["found Owncast", version.number(), "the webhook works", "connected to Owncast's chat"] {
        stage.wait_log(words).await;
    }
    let webhooks = stage.owncast.webhooks();
    assert_eq!((webhooks.len(), stage.owncast.tokens().len(), stage.owncast.sockets()), (1, 1, 1));
    assert_ne!(webhooks[0].secret, "abc123");

    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.owncast.set_title("Round and round");
    stage.owncast.go_live_with(SOON);
    stage.wait_log("kind=StreamStarted").await;
    let post = eventually("the post", LONG, async || server.posts().pop()).await;
    assert!(post.html.contains("Round and round"), "{}", post.html);

    let ana = server.person("ana");
    stage.follow(&ana).await;
    ana.like(&post.note).await.unwrap();
    ana.announce(&post.note).await.unwrap();
    let shapes = [(ChatKind::System, "followed"), (ChatKind::Action, "liked"), (ChatKind::Bot, "shared")];
    for (kind, words) in shapes {
        let line = stage.owncast.wait_chat(LONG, |line| line.html.contains(words) && line.kind == kind).await;
        assert!(line.is_some(), "no {words} among {:?}", stage.owncast.chat());
    }
    // Each came back over the websocket: the three, and the line about who followed before the stream.
    confirmed(&stage, 4).await;

    stage.owncast.end_stream();
    stage.wait_log("kind=StreamStopped").await;
    let over = server.wait_post(LONG, |seen| seen.html.contains("The stream is over")).await;
    assert_eq!(over.expect("the end").note, post.note);
    no_complaints(&server);

    // A restart finds everything again, and the peers' answers do not depend on Owncast.
    server.set_answer(Answer::Ok).await;
    stage.agent.stop().await;
    stage.agent.launch();
    stage.settled().await;
    let works = async || (stage.agent.log().matches("the webhook works").count() >= 2).then_some(());
    eventually("the webhook works again", LONG, works).await;
    assert_eq!(stage.owncast.webhooks()[0].id, webhooks[0].id);
    assert_eq!((stage.owncast.webhooks().len(), stage.owncast.tokens().len()), (1, 1));
}

/// Waits until so many chat messages were seen in chat by the agent itself.
async fn confirmed(stage: &Stage, messages: u64) {
    let address = format!("{}/metrics", stage.agent.metrics_url());
    eventually("the confirmations", LONG, async || {
        let metrics = stage.get(&address).await.text().await.unwrap();
        let line = "herald_chat_confirmations_total{outcome=\"confirmed\"} ";
        let found = metrics.lines().find_map(|one| one.strip_prefix(line)?.parse::<u64>().ok());
        (found? >= messages).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_0_1_3() {
    trips(Version::V0_1_3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_0_2() {
    trips(Version::V0_2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_0_3() {
    trips(Version::V0_3).await;
}
