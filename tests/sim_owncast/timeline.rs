//! A stream as seen from outside: status, thumbnail and preview.

use std::time::Duration;

use owncast_herald::sim::owncast::{Options, SimOwncast, Timeline};
use serde_json::{Value, json};

use crate::support::{LONG, get, recording};

const TIMELINE: &str = include_str!("../fixtures/owncast/go-live-timeline.jsonl");

/// What one poll sees.
#[derive(Clone)]
struct Seen {
    status: Value,
    thumbnail: (Vec<u8>, String),
    preview: (Vec<u8>, String),
}

async fn picture(sim: &SimOwncast, path: &str) -> (Vec<u8>, String) {
    let answer = get(sim, path).await;
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (answer.bytes().await.unwrap().to_vec(), kind)
}

async fn look(sim: &SimOwncast) -> Seen {
    Seen {
        status: get(sim, "/api/status").await.json().await.unwrap(),
        thumbnail: picture(sim, "/thumbnail.jpg").await,
        preview: picture(sim, "/preview.gif").await,
    }
}

fn magic(bytes: &[u8]) -> String {
    bytes.iter().take(3).map(|byte| format!("{byte:02x}")).collect()
}

fn steps(row: &Value, before: &Value) -> (bool, bool) {
    (row["thumbnail"][0] != before["thumbnail"][0], row["preview"][0] != before["preview"][0])
}

#[tokio::test]
async fn a_stream_driven_by_hand_shows_what_was_recorded() {
    let sim = SimOwncast::start(Options::default()).await.unwrap();
    let rows = recording(TIMELINE);
    let (mut number, mut last) = (0, look(&sim).await);
    for pair in rows.windows(2) {
        let (before, row) = (&pair[0], &pair[1]);
        let (new_thumbnail, new_preview) = steps(row, before);
        if before["status"]["lastConnectTime"].is_null() && !row["status"]["lastConnectTime"].is_null() {
            sim.go_live_with(Timeline::by_hand());
        }
        if row["status"]["online"] == true && before["status"]["online"] == false {
            sim.turn_online();
        }
        if row["status"]["streamTitle"] != before["status"]["streamTitle"] {
            sim.set_title(row["status"]["streamTitle"].as_str().unwrap());
        }
        if new_thumbnail {
            number = sim.take_thumbnail();
        }
        if new_preview {
            sim.take_preview(number);
        }
        if !row["status"]["lastDisconnectTime"].is_null() {
            sim.end_stream();
        }
        let seen = look(&sim).await;
        for key in ["lastConnectTime", "lastDisconnectTime"] {
            assert_eq!(seen.status[key].is_null(), row["status"][key].is_null(), "{key} at {row}");
        }
        for key in ["online", "streamTitle", "versionNumber"] {
            assert_eq!(seen.status[key], row["status"][key], "{key} at {row}");
        }
        assert_eq!(json!(magic(&seen.thumbnail.0)), row["thumbnail"][1], "{row}");
        assert_eq!(json!(seen.thumbnail.1), row["thumbnail"][3], "{row}");
        assert_eq!(json!(magic(&seen.preview.0)), row["preview"][1], "{row}");
        assert_eq!(json!(seen.preview.1), row["preview"][2], "{row}");
        assert_eq!(seen.thumbnail.0 != last.thumbnail.0, new_thumbnail, "{row}");
        assert_eq!(seen.preview.0 != last.preview.0, new_preview, "{row}");
        last = seen;
    }
    let decoded = image::load_from_memory(&last.thumbnail.0).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (1280, 720));
}

#[tokio::test]
async fn a_stream_left_to_itself_turns_online_then_gets_pictures_then_other_ones() {
    let options = Options { thumbnail_every: Duration::from_millis(40), ..Options::default() };
    let sim = SimOwncast::start(options).await.unwrap();
    let logo = picture(&sim, "/logo").await.0;
    sim.go_live_with(Timeline {
        online_after: Duration::from_millis(10),
        thumbnail_after: Duration::from_millis(30),
    });
    assert_eq!(sim.status()["online"], false);
    assert!(sim.wait_until(LONG, |sim| sim.status()["online"] == true).await);
    let mut seen = vec![logo];
    while seen.len() < 4 {
        let now = picture(&sim, "/thumbnail.jpg").await.0;
        if !seen.contains(&now) {
            seen.push(now);
        }
    }
    sim.end_stream();
    let frozen = picture(&sim, "/thumbnail.jpg").await.0;
    assert_eq!(magic(&frozen), "ffd8ff");
    assert_eq!(picture(&sim, "/thumbnail.jpg").await.0, frozen);
}

#[tokio::test]
async fn the_offline_clean_up_brings_the_logo_back_but_forgets_the_preview() {
    let options = Options { offline_cleanup_after: Duration::from_millis(10), ..Options::default() };
    let sim = SimOwncast::start(options).await.unwrap();
    sim.go_live_with(Timeline::by_hand());
    let number = sim.take_thumbnail();
    sim.take_preview(number);
    sim.end_stream();
    let logo = picture(&sim, "/logo").await.0;
    while picture(&sim, "/thumbnail.jpg").await.0 != logo {
        tokio::task::yield_now().await;
    }
    assert_eq!(picture(&sim, "/preview.gif").await.1, "image/gif");
}

#[tokio::test]
async fn owncast_posts_by_itself_only_with_federation_on_and_a_message() {
    for (enabled, message, posts) in [(true, "live!", 1), (true, "", 0), (false, "live!", 0)] {
        let sim = SimOwncast::start(Options {
            federation_enabled: enabled,
            go_live_message: message.into(),
            server_url: "https://live.example".into(),
            own_post_after: Duration::ZERO,
            ..Options::default()
        })
        .await
        .unwrap();
        // Online comes later than the moment of the post, so it marks that the moment has passed.
        sim.go_live_with(Timeline {
            online_after: Duration::from_millis(60),
            thumbnail_after: Duration::from_secs(3600),
        });
        assert!(sim.wait_until(LONG, |sim| sim.status()["online"] == true).await);
        // On a machine that has much to do both moments may pass before either is acted upon.
        sim.wait_until(LONG, |sim| sim.own_posts().len() >= posts).await;
        assert_eq!(sim.own_posts().len(), posts, "{enabled} {message:?}");
    }
}
