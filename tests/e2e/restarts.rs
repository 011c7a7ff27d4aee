//! Both programs restart in the middle of a stream.

use std::time::Duration;

use owncast_herald::sim::fediverse::{Answer, Flavour, Rule, Server};

use crate::support::stage::{SOON, Stage, no_complaints, quick};
use crate::support::wait::{LONG, eventually};

fn creates(server: &Server) -> usize {
    server.received().iter().filter(|received| received.kind() == "Create").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_mid_stream_makes_no_second_post() {
    for orderly in [true, false] {
        let mut stage = Stage::start(quick(), &[]).await;
        let (server, fan) = stage.follower(Flavour::Mastodon).await;
        let note = stage.post(&server).await.note;
        fan.like(&note).await.unwrap();
        if orderly {
            stage.agent.stop().await;
        } else {
            stage.agent.kill9();
        }
        stage.agent.launch();
        stage.settled().await;
        let asked = stage.owncast.requests().len();
        let looked = |owncast: &owncast_herald::sim::owncast::SimOwncast| {
            owncast.requests().iter().skip(asked).filter(|request| request.path == "/api/status").count() >= 3
        };
        assert!(stage.owncast.wait_until(LONG, looked).await, "it looks at the stream again");
        // A crash between a peer's answer and its writing down repeats the same activity, which peers know how to drop.
        let repeated = if orderly { 0 } else { server.duplicates() as usize };
        assert_eq!((creates(&server) - repeated, server.posts().len()), (1, 1), "orderly: {orderly}");
        assert_eq!((stage.followers().await, stage.total(&format!("{note}/likes")).await), (1, 1));
        stage.owncast.end_stream();
        let over = server.wait_post(LONG, |post| post.html.contains("The stream is over")).await;
        assert_eq!(over.expect("the end").note, note);
        no_complaints(&server);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ended_while_the_agent_was_down_is_over_when_it_is_back() {
    let mut stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let note = stage.post(&server).await.note;
    stage.agent.stop().await;
    stage.owncast.end_stream();
    stage.agent.launch();
    let over = server.wait_post(LONG, |post| post.html.contains("The stream is over")).await;
    assert_eq!(over.expect("the end").note, note);
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn owncast_restarts_under_a_running_agent() {
    let stage = Stage::start(quick(), &[]).await;
    stage.wait_log("the webhook works").await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let note = stage.post(&server).await.note;
    stage.owncast.power_off().await;
    eventually("it notices", LONG, async || {
        let metrics =
            stage.get(&format!("{}/metrics", stage.agent.metrics_url())).await.text().await.unwrap();
        metrics
            .lines()
            .any(|line| line.starts_with("herald_owncast_up") && line.ends_with(" 0"))
            .then_some(())
    })
    .await;
    assert_eq!(stage.get(&stage.actor()).await.status(), 200, "the fediverse sees nothing of it");
    stage.owncast.power_on().await.unwrap();
    stage.wait_log("Owncast answers again").await;
    // The encoder reconnects by itself: the same stream goes on.
    stage.owncast.go_live_with(SOON);
    eventually("the stream goes on", LONG, async || {
        let log = stage.agent.log();
        (log.contains("the encoder is back") || log.contains("the stream continues")).then_some(())
    })
    .await;
    assert_eq!(creates(&server), 1);
    assert_eq!((stage.owncast.webhooks().len(), stage.owncast.tokens().len()), (1, 1));
    stage.owncast.end_stream();
    let over = server.wait_post(LONG, |post| post.html.contains("The stream is over")).await;
    assert_eq!(over.expect("the end").note, note);
    no_complaints(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_delivered_is_tried_again_after_a_restart() {
    let mut stage = Stage::start(quick(), &[]).await;
    let (up, _) = stage.follower(Flavour::Mastodon).await;
    let (down, _) = stage.follower(Flavour::GoToSocial).await;
    down.set_answer(Answer::Refuse).await;
    let note = stage.post(&up).await.note;
    stage.wait_log("not delivered, will be tried again").await;
    stage.agent.stop().await;
    down.set_answer(Answer::Ok).await;
    stage.agent.launch();
    let come = down.wait_post(Duration::from_secs(60), |post| post.note == note).await;
    assert!(come.is_some(), "the post came after all");
    assert_eq!((creates(&up), creates(&down)), (1, 1));
    [&up, &down].into_iter().for_each(no_complaints);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_arrived_a_moment_before_a_crash_gets_its_end() {
    let mut stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    // It has the post, and the agent does not know.
    server.set_answer(Answer::Slow(LONG)).await;
    let note = stage.post(&server).await.note;
    stage.agent.kill9();
    stage.owncast.end_stream();
    server.set_answer(Answer::Ok).await;
    stage.agent.launch();
    let over = server.wait_post(LONG, |post| post.html.contains("The stream is over")).await;
    assert_eq!(over.expect("the end").note, note);
    // The picture may have been asked for while nobody was there to serve it; everything else must be right.
    let complaints = server.violations();
    assert!(complaints.iter().all(|one| one.rule == Rule::Media), "{complaints:?}");
}
