//! Evenings of streaming in which both programs restart at random, over all releases of Owncast that are imitated. Each
//! evening is one post, which lives while the stream does and says its end once.
//!
//! `HERALD_TEST_SIZE` is `quick`, `ci` or `full`; `HERALD_TEST_SEED` a number, which each run prints.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
pub mod support;

use std::time::Duration;

use owncast_herald::sim::fediverse::{Flavour, Server};
use owncast_herald::sim::owncast::{Options, Version};

use support::chance::Chance;
use support::stage::{SOON, Stage, no_complaints, quick};
use support::wait::eventually;

/// Bound of what takes long because the programs are down half of the time.
const LONG: Duration = Duration::from_secs(120);
const RELEASES: [Version; 3] = [Version::V0_1_3, Version::V0_2, Version::V0_3];
/// Evenings beside each release.
const EVENINGS: usize = 2;

/// Restarts in one evening.
fn restarts() -> usize {
    match std::env::var("HERALD_TEST_SIZE").as_deref() {
        Ok("quick") => 3,
        Ok("full") => 170,
        // 102 in all.
        _ => 17,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_restarts_an_evening_is_one_post_with_one_end() {
    let mut chance = Chance::from_environment();
    for version in RELEASES {
        let settings = [("go-live.delay", "\"500ms\""), ("go-live.image", "\"none\"")];
        let options = Options { version, ..quick() };
        let mut stage = Stage::start(options, &settings).await;
        let (server, fan) = stage.follower(Flavour::Mastodon).await;
        for evening in 1..=EVENINGS {
            let note = begin(&mut stage, &server, evening).await;
            fan.like(&note).await.unwrap();
            for _ in 0..restarts() {
                restart_something(&mut stage, &mut chance).await;
                assert_eq!(server.posts().len(), evening, "{version:?}: {:?}", server.posts());
            }
            end(&stage, &server, &note).await;
            assert_eq!((server.posts().len(), stage.total(&format!("{note}/likes")).await), (evening, 1));
        }
        assert_eq!(stage.total(&format!("{}/outbox", stage.actor())).await, EVENINGS as u64);
        assert_eq!(stage.followers().await, 1);
        let what = format!("one webhook and one token in an Owncast {version:?}");
        eventually(&what, LONG, async || {
            let made = (stage.owncast.webhooks().len(), stage.owncast.tokens().len());
            (made == (1, 1)).then_some(())
        })
        .await;
        assert!(!stage.agent.log().contains("panicked"), "a panic");
        no_complaints(&server);
    }
}

/// The first stream of an evening, which nothing before it continues. Answers its post.
async fn begin(stage: &mut Stage, server: &Server, evening: usize) -> String {
    stage.agent.stop().await;
    stage.agent.set("go-live.repost-after", "\"0s\"");
    stage.agent.launch();
    stage.settled().await;
    stage.owncast.go_live_with(SOON);
    let post =
        eventually("the evening's post", LONG, async || server.posts().get(evening - 1).cloned()).await;
    stage.agent.stop().await;
    // From now on whatever comes belongs to this evening.
    stage.agent.set("go-live.repost-after", "\"1h\"");
    stage.agent.launch();
    stage.settled().await;
    post.note
}

/// One restart of one side or the other, or of both; the encoder comes back by itself.
async fn restart_something(stage: &mut Stage, chance: &mut Chance) {
    match chance.below(6) {
        0 => {
            // Before it listens for signals it dies of them, which the next one is.
            stage.settled().await;
            stage.agent.stop().await;
        }
        1 => stage.agent.kill9(),
        2 => stage.owncast.restart().await.unwrap(),
        3 => {
            stage.owncast.power_off().await;
            pause(chance).await;
            stage.owncast.power_on().await.unwrap();
        }
        4 => {
            stage.owncast.restart().await.unwrap();
            stage.agent.kill9();
        }
        _ => {
            stage.agent.kill9();
            stage.owncast.end_stream();
        }
    }
    if stage.agent.pid().is_none() {
        if chance.below(2) == 0 {
            pause(chance).await;
        }
        stage.agent.launch();
    }
    if chance.below(2) == 0 {
        pause(chance).await;
    }
    // Ignored where the encoder is still connected.
    stage.owncast.go_live_with(SOON);
    if chance.below(3) > 0 {
        stage.settled().await;
        pause(chance).await;
    }
}

/// Up to a second and a half: some looks of the agent fit into it, or none.
async fn pause(chance: &mut Chance) {
    tokio::time::sleep(Duration::from_millis(chance.below(1_500))).await;
}

/// The evening's last stream is shown live, and then that it is over.
async fn end(stage: &Stage, server: &Server, note: &str) {
    stage.settled().await;
    stage_is(stage, "live").await;
    stage.owncast.end_stream();
    stage_is(stage, "ended").await;
    // Whatever edits are still on their way, the last one says so.
    eventually("its post says that the stream is over", LONG, async || {
        let post = server.posts().into_iter().find(|post| post.note == note)?;
        post.html.contains("The stream is over").then_some(())
    })
    .await;
}

async fn stage_is(stage: &Stage, state: &str) {
    let what = format!("the stream is {state} to the agent");
    eventually(&what, LONG, async || (stage.agent.status().await["stream"]["state"] == state).then_some(()))
        .await;
}
