//! The program is killed at any moment, many times, while people follow, like, share and leave and streams come and go.
//! Then everything is counted at the other end.
//!
//! `HERALD_TEST_SIZE` is `quick`, `ci` or `full`; `HERALD_TEST_SEED` a number, which each run prints.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
pub mod support;

mod people;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use owncast_herald::sim::fediverse::{Flavour, Server};
use owncast_herald::sim::owncast::SimOwncast;
use tokio::task::JoinSet;

use people::{Crowd, Life};
use support::chance::Chance;
use support::stage::{Stage, no_complaints, quick};
use support::wait::eventually;

/// Bound of what takes long because the program is dead half of the time.
const LONG: Duration = Duration::from_secs(120);
/// The peers. Two of them show edits, one names what it undoes by its id alone.
const PEERS: [Flavour; 3] = [Flavour::Mastodon, Flavour::GoToSocial, Flavour::Pleroma];
/// How many people arrive per life of the program.
const ARRIVE: u64 = 3;

/// How often it is killed.
fn kills() -> usize {
    match std::env::var("HERALD_TEST_SIZE").as_deref() {
        Ok("quick") => 10,
        Ok("full") => 2_000,
        _ => 100,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_and_nothing_is_announced_twice() {
    let mut chance = Chance::from_environment();
    let settings = [
        ("go-live.delay", "\"0s\""),
        ("go-live.image", "\"none\""),
        ("go-live.repost-after", "\"0s\""),
        ("notices.when", "\"always\""),
        ("notices.max-per-minute", "60"),
        ("notices.burst-window", "\"100ms\""),
    ];
    let mut stage = Stage::start(quick(), &settings).await;
    let mut servers = Vec::new();
    for flavour in PEERS {
        servers.push(stage.follower(flavour).await.0);
    }
    let crowd = Crowd::new(&stage);
    let streams = streams::Streams::start(stage.owncast.clone(), servers.clone(), crowd.post_sender());
    let mut lives: JoinSet<Life> = JoinSet::new();
    let begun = Instant::now();
    let mut arrived = 0;
    for kill in 1..=kills() {
        for _ in 0..ARRIVE {
            let server = &servers[arrived % servers.len()];
            lives.spawn(crowd.life(server, arrived, chance.below(4) == 0));
            arrived += 1;
        }
        moment_to_die(&stage, &crowd, &mut chance).await;
        stage.agent.kill9();
        stage.agent.launch();
        if kill % 10 == 0 {
            eprintln!("{kill} kills in {:?}, {} acknowledged", begun.elapsed(), crowd.acknowledged());
        }
    }
    stage.settled().await;
    let lives = tokio::time::timeout(LONG, lives.join_all()).await.expect("everybody is heard in the end");
    let streams = streams.finish().await;
    count(&stage, &servers, &lives, streams).await;
}

/// While it starts, a while after it has, or at the very moment something was acknowledged.
async fn moment_to_die(stage: &Stage, crowd: &Crowd, chance: &mut Chance) {
    match chance.below(6) {
        0 => tokio::time::sleep(Duration::from_millis(chance.below(400))).await,
        1 | 2 => {
            stage.settled().await;
            crowd.next_acknowledged(Duration::from_secs(2)).await;
        }
        _ => {
            stage.settled().await;
            tokio::time::sleep(Duration::from_millis(chance.below(900))).await;
        }
    }
}

async fn count(stage: &Stage, servers: &[Server], lives: &[Life], streams: usize) {
    let stayed = lives.iter().filter(|life| !life.left).count();
    let anchors = servers.len();
    stage.wait_followers((stayed + anchors) as u64).await;
    // Who left again may have done so before the Accept went out; then it does not any more.
    for life in lives.iter().filter(|life| !life.left) {
        assert!(life.person.wait_accepted(LONG).await, "{:?} was never accepted", life.person);
    }
    let mut likes: BTreeMap<&str, u64> = BTreeMap::new();
    let mut shares: BTreeMap<&str, u64> = BTreeMap::new();
    for life in lives {
        *likes.entry(&life.note).or_default() += u64::from(!life.left);
        *shares.entry(&life.note).or_default() += 1;
    }
    for (note, likes) in likes {
        assert_eq!(stage.total(&format!("{note}/likes")).await, likes, "likes of {note}");
        assert_eq!(stage.total(&format!("{note}/shares")).await, shares[note], "shares of {note}");
    }
    assert_eq!(
        stage.total(&format!("{}/outbox", stage.actor())).await,
        streams as u64,
        "one post for each stream"
    );
    for server in servers {
        eventually("every post is everywhere", LONG, async || {
            (server.posts().len() >= streams).then_some(())
        })
        .await;
        let received = server.received();
        let creates: BTreeSet<&str> =
            received.iter().filter(|one| one.kind() == "Create").map(|one| one.id()).collect();
        assert_eq!((creates.len(), server.posts().len()), (streams, streams), "{:?}", server.flavour());
        assert!(received.iter().all(|one| one.verdict.is_ok()), "{:?} refused a signature", server.flavour());
        no_complaints(server);
        eprintln!("{:?}: {} posts, {} repeated", server.flavour(), streams, server.duplicates());
    }
    chat(&stage.owncast, lives);
    let (webhooks, tokens) = (stage.owncast.webhooks().len(), stage.owncast.tokens().len());
    assert_eq!((webhooks, tokens), (1, 1), "webhooks and tokens in Owncast");
    let log = stage.agent.log();
    assert!(!log.contains("panicked"), "a panic");
    eprintln!("{} people, {streams} streams, {} lines in chat", lives.len(), stage.owncast.chat().len());
}

/// Nobody is named twice for the same thing.
fn chat(owncast: &SimOwncast, lives: &[Life]) {
    let lines = owncast.chat();
    for life in lives {
        let name = format!("<strong>{}</strong>", life.name);
        for did in ["followed", "liked", "shared"] {
            let told =
                lines.iter().filter(|line| line.body_sent.contains(&name) && line.body_sent.contains(did));
            let told: Vec<_> = told.collect();
            assert!(told.len() <= 1, "{} {did}: {told:?}", life.name);
        }
    }
}
