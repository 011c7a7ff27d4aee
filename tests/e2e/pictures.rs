//! The picture of a post: the running stream's, and nothing that only looks like it.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, ImageFormat, Rgb, RgbImage, RgbaImage};
use owncast_herald::sim::fediverse::{Flavour, PostSeen, Server};
use owncast_herald::sim::owncast::Timeline;

use crate::support::stage::{SOON, Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

fn jpeg(shade: u8) -> Bytes {
    let picture = RgbImage::from_fn(320, 180, |x, y| Rgb([(x % 256) as u8, (y % 256) as u8, shade]));
    let mut out = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture).write_to(&mut out, ImageFormat::Jpeg).unwrap();
    out.into_inner().into()
}

fn gif(width: u32, height: u32) -> Bytes {
    let mut out = Vec::new();
    GifEncoder::new_with_speed(&mut out, 30).encode_frame(Frame::new(RgbaImage::new(width, height))).unwrap();
    out.into()
}

/// Waits until what stands at an address has been looked at, and decided upon.
async fn looked_at(stage: &Stage, path: &str) {
    let count = || stage.owncast.requests().iter().filter(|request| request.path == path).count();
    let before = count();
    // The third look is only taken when the decision about the second is made.
    let seen = stage.owncast.wait_until(LONG, |_| count() >= before + 3).await;
    assert!(seen, "nobody looks at {path}");
}

/// The post after `before` others, once its picture was fetched.
async fn pictured(server: &Server, before: usize) -> PostSeen {
    eventually("the post with its picture", LONG, async || {
        server.posts().get(before).filter(|post| post.media.iter().all(|media| media.fetched)).cloned()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_frame_of_the_stream_is_waited_over() {
    let stage = Stage::prepare(quick(), &[]).await;
    let mut stage = stage;
    let logo = jpeg(1);
    stage.owncast.configure(|config| config.logo = Some((logo.clone(), "image/jpeg".into())));
    // As a newer Owncast does: the logo encoded anew, which has the logo's bytes no more.
    stage.owncast.put_thumbnail(jpeg(2));
    stage.agent.launch();
    stage.settled().await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.owncast.go_live_with(Timeline::by_hand());
    stage.owncast.turn_online();
    looked_at(&stage, "/thumbnail.jpg").await;
    let whole = jpeg(3);
    for trap in [Bytes::new(), logo, whole.slice(..whole.len() - 30), Bytes::from_static(b"<svg/>")] {
        stage.owncast.put_thumbnail(trap);
        looked_at(&stage, "/thumbnail.jpg").await;
    }
    assert_eq!(server.posts(), []);
    stage.owncast.put_thumbnail(whole.clone());
    let post = pictured(&server, 0).await;
    assert_eq!(post.media[0].bytes, whole);
    let alt = post.object["attachment"][0]["name"].as_str().unwrap();
    assert!(alt.starts_with("A still of the live stream Ana's stream"), "{alt}");
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_frame_of_the_stream_before_is_never_shown_whoever_restarts() {
    let mut stage = Stage::start(quick(), &[("go-live.repost-after", "\"0s\"")]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.post(&server).await;
    pictured(&server, 0).await;
    stage.owncast.end_stream();
    stage.wait_log("the stream is over").await;
    stage.owncast.go_live_with(Timeline::by_hand());
    stage.owncast.turn_online();
    eventually("the second stream is seen", LONG, async || {
        (stage.agent.log().matches("a stream is starting").count() == 2).then_some(())
    })
    .await;
    stage.agent.kill9();
    stage.agent.launch();
    stage.settled().await;
    looked_at(&stage, "/thumbnail.jpg").await;
    assert_eq!(server.posts().len(), 1);
    let frame = jpeg(4);
    stage.owncast.put_thumbnail(frame.clone());
    assert_eq!(pictured(&server, 1).await.media[0].bytes, frame);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_starts_in_mid_stream_takes_the_next_frame() {
    let mut stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.agent.stop().await;
    stage.owncast.put_thumbnail(jpeg(5));
    stage.owncast.go_live_with(Timeline::by_hand());
    stage.owncast.turn_online();
    stage.agent.launch();
    looked_at(&stage, "/thumbnail.jpg").await;
    let frame = jpeg(6);
    stage.owncast.put_thumbnail(frame.clone());
    assert_eq!(pictured(&server, 0).await.media[0].bytes, frame);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_moves_unless_it_is_too_large_for_others() {
    let settings = [("go-live.image", "\"preview\""), ("go-live.repost-after", "\"0s\"")];
    let stage = Stage::start(quick(), &settings).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.owncast.go_live_with(SOON);
    let post = pictured(&server, 0).await;
    assert_eq!((post.media[0].status, post.media[0].recognised), (Some(200), Some("image/gif")));
    let attachment = &post.object["attachment"][0];
    assert_eq!(attachment["mediaType"], "image/gif");
    let alt = attachment["name"].as_str().unwrap();
    assert!(alt.starts_with("A moving preview of the live stream"), "{alt}");
    stage.owncast.end_stream();
    stage.wait_log("the stream is over").await;

    stage.owncast.go_live_with(Timeline::by_hand());
    stage.owncast.turn_online();
    // The preview of the stream before stands there still.
    looked_at(&stage, "/preview.gif").await;
    assert_eq!(server.posts().len(), 1);
    let frame = jpeg(7);
    stage.owncast.put_thumbnail(frame.clone());
    stage.owncast.put_preview(gif(1300, 720));
    let post = pictured(&server, 1).await;
    assert_eq!(post.media[0].bytes, frame);
    assert_eq!(post.object["attachment"][0]["mediaType"], "image/jpeg");
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logo_and_nothing_can_be_asked_for() {
    let stage = Stage::start(quick(), &[("go-live.image", "\"logo\"")]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.owncast.go_live_with(Timeline::by_hand());
    let post = pictured(&server, 0).await;
    let icon = stage.document(&stage.actor()).await["icon"]["url"].clone();
    let attachment = &post.object["attachment"][0];
    assert_eq!(attachment["url"], icon);
    assert!(attachment["name"].as_str().unwrap().starts_with("The logo of the live stream"), "{attachment}");
    no_complaints(&server);

    let stage = Stage::start(quick(), &[("go-live.image", "\"none\"")]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    stage.owncast.go_live_with(Timeline::by_hand());
    assert_eq!(pictured(&server, 0).await.media, []);
    no_complaints(&server);
}
