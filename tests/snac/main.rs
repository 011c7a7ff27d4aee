//! The whole trip with a real fediverse server, snac2, as the follower.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
pub mod support;

pub mod peer;

use std::time::Duration;

use owncast_herald::sim::owncast::{Options, SimOwncast, Timeline};
use serde_json::Value;

use peer::Snac;
use support::agent::TestAgent;
use support::wait::{LONG, eventually};

/// snac looks into its queue every few seconds, and each way through it is one such pause or two.
const SNAC: Duration = Duration::from_secs(60);

/// A stream that is online and has its picture soon after the encoder connects.
const SOON: Timeline =
    Timeline { online_after: Duration::from_millis(100), thumbnail_after: Duration::from_millis(300) };

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_snac_follows_reads_boosts_likes_and_leaves() {
    let owncast =
        SimOwncast::start(Options { name: "Ana's stream".into(), ..Options::default() }).await.unwrap();
    let mut agent = TestAgent::start(&owncast, &[("go-live.repost-after", "\"0s\"")]).await;
    let us = agent.actor().await;
    let snac = Snac::start("bo").await;

    let handle = format!("{}@{}", owncast.config().username, agent.host());
    let found = snac.ask("webfinger", &[&handle]);
    assert!(found.contains(&us), "snac looked up {handle} and found: {found}");

    snac.tell("follow", &handle);
    eventually("snac has our Accept", SNAC, async || snac.follows().contains(&us).then_some(())).await;
    let followers = agent.cli_json(&["followers", "list"]).await;
    assert!(followers.to_string().contains(&snac.actor()), "followers: {followers}");

    agent.kill9();
    agent.restart().await;
    assert_eq!(agent.actor().await, us, "who we are survives a crash");

    owncast.go_live_with(SOON);
    let note = eventually("snac has the post", SNAC, async || snac.notes_by(&us).pop()).await;
    shows_the_picture(&snac, &note).await;
    let id = note["id"].as_str().expect("the post's id");

    snac.tell("boost", id);
    chat_shows(&owncast, "bo", "shared").await;
    snac.press("Like", id).await;
    chat_shows(&owncast, "bo", "like").await;

    owncast.end_stream();
    let over = eventually("snac has the edit", SNAC, async || {
        let notes = snac.notes_by(&us);
        assert_eq!(notes.len(), 1, "one post per stream: {notes:?}");
        notes.into_iter().find(|edited| edited["content"] != note["content"])
    });
    assert_eq!(over.await["id"], note["id"]);

    agent.set("go-live.on-end", "\"delete\"");
    agent.cli_json(&["reload"]).await;
    owncast.go_live_with(SOON);
    eventually("snac has another post", SNAC, async || (snac.notes_by(&us).len() == 2).then_some(())).await;
    owncast.end_stream();
    let left = eventually("snac shows one post less", SNAC, async || {
        let notes = snac.notes_by(&us);
        (notes.len() == 1).then_some(notes)
    });
    assert_eq!(left.await[0]["id"], note["id"]);

    snac.tell("unfollow", &us);
    eventually("the follower is gone", SNAC, async || {
        let followers = agent.cli_json(&["followers", "list"]).await;
        (!followers.to_string().contains(&snac.actor())).then_some(())
    })
    .await;
    agent.stop().await;
}

/// The post's picture is one that a browser loads, and snac's page shows it.
async fn shows_the_picture(snac: &Snac, note: &Value) {
    let picture = &note["attachment"][0];
    assert_eq!(picture["mediaType"], "image/jpeg", "attachment: {picture}");
    let url = picture["url"].as_str().expect("the picture's address");
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "image/jpeg");
    assert!(answer.bytes().await.unwrap().starts_with(&[0xff, 0xd8, 0xff]), "a JPEG");
    let shown = format!("src=\"{url}\"");
    eventually(&format!("snac's page shows {url}"), SNAC, async || {
        snac.timeline_page().await.contains(&shown).then_some(())
    })
    .await;
}

/// Waits for a line in Owncast's chat that names who did what.
async fn chat_shows(owncast: &SimOwncast, name: &str, what: &str) {
    let name = format!("<strong>{name}</strong>");
    let line =
        owncast.wait_chat(LONG + SNAC, |line| line.html.contains(&name) && line.html.contains(what)).await;
    assert!(line.is_some(), "no line in chat with {name:?} and {what:?}: {:?}", owncast.chat());
}
