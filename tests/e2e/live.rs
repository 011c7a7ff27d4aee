//! A stream and its post.

use std::time::Duration;

use owncast_herald::sim::fediverse::{Answer, Flavour, PostSeen, Server};
use owncast_herald::sim::owncast::{Options, Timeline};

use crate::support::stage::{SOON, Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

async fn edited(server: &Server, note: &str, words: &str) -> PostSeen {
    let seen = server.wait_post(LONG, |post| post.note == note && post.html.contains(words)).await;
    seen.unwrap_or_else(|| panic!("no edit with {words:?}: {:?}", server.posts()))
}

fn creates(server: &Server) -> usize {
    server.received().iter().filter(|received| received.kind() == "Create").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_gets_one_post_with_a_picture_and_the_end() {
    let stage = Stage::start(Options { tags: vec!["music".into(), "Übung".into()], ..quick() }, &[]).await;
    stage.owncast.set_title("Round & <round> #live");
    let mut servers = Vec::new();
    for flavour in [Flavour::Mastodon, Flavour::Pixelfed, Flavour::GoToSocial, Flavour::Misskey] {
        let (server, _) = stage.follower(flavour).await;
        // Two followers on one server: its shared inbox gets it once.
        stage.follow(&server.person("cy")).await;
        servers.push(server);
    }
    let note = stage.post(&servers[0]).await.note;
    for server in &servers {
        let post = server.wait_post(LONG, |post| post.media.iter().any(|media| media.fetched)).await;
        let post =
            post.unwrap_or_else(|| panic!("{:?} has no picture: {:?}", server.flavour(), server.posts()));
        assert_eq!((post.note.as_str(), creates(server)), (note.as_str(), 1), "{:?}", server.flavour());
        assert!(post.html.contains("Round &amp; &lt;round&gt;"), "{}", post.html);
        let (media, object) = (&post.media[0], &post.object["attachment"][0]);
        assert_eq!((media.status, media.recognised), (Some(200), Some("image/jpeg")));
        assert!(
            object["blurhash"].is_string() && object["width"].is_u64() && object["name"].is_string(),
            "{object}"
        );
        let tags: Vec<_> =
            post.object["tag"].as_array().unwrap().iter().map(|tag| tag["name"].clone()).collect();
        for tag in ["#music", "#Übung", "#live"] {
            assert!(tags.contains(&tag.into()), "{tags:?}");
        }
        assert_eq!(post.object["sensitive"], false);
    }
    let pinned = stage.document(&format!("{}/collections/featured", stage.actor())).await;
    assert_eq!(pinned["orderedItems"][0]["id"], note.as_str());

    stage.owncast.end_stream();
    for server in &servers {
        let update = server.wait_for(LONG, |received| received.kind() == "Update").await;
        assert!(update.is_some_and(|update| update.effective), "{:?}", server.flavour());
    }
    // The others do not show edits, or not at once.
    for server in [&servers[0], &servers[2]] {
        assert_eq!(edited(server, &note, "The stream is over").await.edits.len(), 1);
    }
    let pinned = stage.total(&format!("{}/collections/featured", stage.actor())).await;
    assert_eq!(pinned, 0, "an ended stream is not pinned");
    servers.iter().for_each(no_complaints);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_streams_are_two_posts_with_two_addresses() {
    let stage = Stage::start(Options { nsfw: true, ..quick() }, &[("go-live.repost-after", "\"0s\"")]).await;
    let (server, _) = stage.follower(Flavour::Pixelfed).await;
    let first = stage.post(&server).await;
    stage.owncast.end_stream();
    stage.wait_log("the stream is over").await;
    let second = stage.post(&server).await;
    assert_ne!(first.note, second.note);
    assert_ne!(first.object["url"], second.object["url"]);
    assert_ne!(first.media[0].url, second.media[0].url, "each stream has its own picture");
    assert_eq!((&first.object["sensitive"], creates(&server)), (&true.into(), 2));
    assert_eq!(stage.total(&format!("{}/outbox", stage.actor())).await, 2);
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_goes_only_where_the_post_is() {
    let stage = Stage::start(quick(), &[]).await;
    let (had, _) = stage.follower(Flavour::Mastodon).await;
    let (refused, _) = stage.follower(Flavour::Mastodon).await;
    refused.set_answer(Answer::Status(403)).await;
    let note = stage.post(&had).await.note;
    eventually("the refusal in both schemes", LONG, async || (creates(&refused) == 2).then_some(())).await;
    // This one follows when the post is out.
    let (late, liker) = stage.follower(Flavour::GoToSocial).await;
    let (stranger, boosts) = (stage.server(Flavour::Mastodon).await, "di");
    let boosts = stranger.person(boosts);
    boosts.announce(&note).await.unwrap();
    refused.set_answer(Answer::Ok).await;
    stage.owncast.end_stream();
    edited(&had, &note, "The stream is over").await;
    edited(&stranger, &note, "The stream is over").await;
    let updates = |server: &Server| server.received().iter().filter(|one| one.kind() == "Update").count();
    assert_eq!((updates(&refused), updates(&late)), (0, 0));
    assert!(liker.timeline().is_empty());
    [&had, &refused, &late, &stranger].into_iter().for_each(no_complaints);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_delete_the_post_is_gone_everywhere() {
    let stage = Stage::start(quick(), &[("go-live.on-end", "\"delete\"")]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let note = stage.post(&server).await.note;
    stage.owncast.end_stream();
    assert!(server.wait_post(LONG, |post| post.note == note && post.deleted).await.is_some());
    let gone = stage.get(&note).await;
    assert_eq!(gone.status(), 410);
    let tombstone: serde_json::Value = gone.json().await.unwrap();
    assert_eq!((&tombstone["type"], &tombstone["id"]), (&"Tombstone".into(), &note.clone().into()));
    for part in ["activity", "likes", "shares", "replies"] {
        assert_eq!(stage.get(&format!("{note}/{part}")).await.status(), 404, "{part}");
    }
    assert_eq!(stage.total(&format!("{}/outbox", stage.actor())).await, 0);
    // It is counted when it has been decided, and may be delivered by then.
    let published =
        async |kind: &str| stage.metric(&format!("herald_published_posts_total{{kind=\"{kind}\"}}")).await;
    eventually("the Delete is counted", LONG, async || (published("delete").await == 1).then_some(())).await;
    assert_eq!(published("end").await, 0);
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_webhooks_cost_seconds_and_a_lost_end_too() {
    // The first picture comes late here, as it does in truth: what stands there before is another stream's.
    let slow = Timeline { online_after: Duration::from_millis(50), thumbnail_after: Duration::from_secs(8) };
    let stage = Stage::start(quick(), &[]).await;
    stage.wait_log("the webhook works").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.owncast.faults().lose_webhooks = true;
    stage.owncast.faults().lose_frames = true;
    stage.owncast.go_live_with(slow);
    let note = eventually("the post", LONG, async || server.posts().pop()).await.note;
    stage.owncast.end_stream_silently();
    edited(&server, &note, "The stream is over").await;
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_over_before_its_time_is_never_shown() {
    let stage = Stage::start(quick(), &[("go-live.delay", "\"2s\"")]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    // Without a picture its time has not come after these two seconds either, however slow this machine is.
    stage.owncast.go_live_with(Timeline::by_hand());
    stage.wait_log("a stream is starting").await;
    stage.owncast.end_stream();
    stage.wait_log("the stream is over").await;
    // The next one is shown, and alone.
    let post = stage.post(&server).await;
    assert_eq!((creates(&server), server.posts().len()), (1, 1), "{post:?}");
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flapping_encoder_makes_one_post() {
    let stage = Stage::start(quick(), &[("go-live.delay", "\"1s\"")]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let note = stage.post(&server).await.note;
    for round in 1..=5 {
        stage.owncast.end_stream();
        let gone = format!("the encoder went away ×{round}");
        let count = |words: &str| stage.agent.log().matches(words).count();
        eventually(&gone, LONG, async || (count("the encoder went away") >= round).then_some(())).await;
        stage.owncast.go_live_with(SOON);
        eventually("it is back", LONG, async || {
            (count("the encoder is back") + count("the stream continues") >= round).then_some(())
        })
        .await;
    }
    assert_eq!((creates(&server), server.posts().len()), (1, 1));
    stage.owncast.end_stream();
    edited(&server, &note, "The stream is over").await;
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_comes_back_in_time_continues_its_post() {
    let stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let note = stage.post(&server).await.note;
    stage.owncast.end_stream();
    edited(&server, &note, "The stream is over").await;
    stage.owncast.go_live_with(SOON);
    let back = server.wait_post(LONG, |post| post.edits.len() == 2).await.expect("the post says live again");
    assert!(!back.html.contains("The stream is over"), "{}", back.html);
    assert_eq!(creates(&server), 1);
    stage.owncast.end_stream();
    server.wait_post(LONG, |post| post.edits.len() == 3).await.expect("and over again");
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_title_edits_the_post_after_a_while() {
    let stage = Stage::start(quick(), &[("go-live.title-edits", "\"1m\"")]).await;
    stage.owncast.set_title("First");
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let note = stage.post(&server).await.note;
    edited(&server, &note, "First").await;
    stage.owncast.set_title("Second");
    let minute = Duration::from_secs(60) + LONG;
    let seen = server.wait_post(minute, |post| post.html.contains("Second")).await.expect("the new title");
    assert_eq!((seen.note, seen.edits.len()), (note, 1));
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn owncasts_own_message_is_taken_over_and_its_post_does_not_appear() {
    let options = Options {
        federation_enabled: true,
        go_live_message: "Come and see!".into(),
        own_post_after: Duration::from_secs(1),
        ..quick()
    };
    let stage = Stage::prepare(options, &[]).await;
    let mut stage = stage;
    // The actor lives in Owncast by its switch alone; nobody follows it yet.
    stage.agent.launch_with(&["--new-identity"]);
    stage.settled().await;
    stage.wait_log("took over Owncast's go-live message").await;
    assert_eq!(stage.owncast.config().go_live_message, "");
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let post = stage.post(&server).await;
    assert!(post.html.contains("Come and see!"), "{}", post.html);
    assert!(stage.owncast.own_posts().is_empty());
    stage.agent.stop().await;
    stage.agent.launch();
    stage.settled().await;
    stage.owncast.end_stream();
    edited(&server, &post.note, "Come and see!").await;
}
