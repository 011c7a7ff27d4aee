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

use jiff::Timestamp;
use owncast_herald::sim::fediverse::{Answer, Flavour, Received, Server};
use owncast_herald::sim::owncast::SimOwncast;
use tokio::task::JoinSet;

use people::{Crowd, Life};
use support::chance::Chance;
use support::stage::{Stage, no_complaints, quick};
use support::wait::eventually;

/// Bound of what takes long because the program is dead half of the time.
const LONG: Duration = Duration::from_secs(300);
/// The peers. Two of them show edits, one names what it undoes by its id alone.
const PEERS: [Flavour; 3] = [Flavour::Mastodon, Flavour::GoToSocial, Flavour::Pleroma];

/// Programs that live side by side: while one starts, another may work.
const SCENES: u64 = 3;

/// How often each of them is killed.
fn kills() -> usize {
    match std::env::var("HERALD_TEST_SIZE").as_deref() {
        Ok("quick") => 4,
        Ok("full") => 700,
        // 306 in all.
        _ => 102,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_and_nothing_is_announced_twice() {
    let mut scenes = Vec::new();
    for number in 0..SCENES {
        // Each has found its ports before the next one looks for some.
        let scene = Scene::set(Chance::from_environment().another(number)).await;
        scenes.push(scene.play(number));
    }
    futures_util::future::join_all(scenes).await;
}

/// One program, killed again and again.
struct Scene {
    stage: Stage,
    chance: Chance,
    /// Servers that are well.
    servers: Vec<Server>,
    /// One that is not, most of the time: what is for it is tried again and rests.
    ill: Server,
    /// When the program was killed: since when it may have been dead, and since when it was.
    killed: Vec<(Timestamp, Timestamp)>,
}

impl Scene {
    async fn set(chance: Chance) -> Scene {
        let settings = [
            ("go-live.delay", "\"0s\""),
            ("go-live.image", "\"none\""),
            ("go-live.repost-after", "\"0s\""),
            // On a machine that has much to do, an answer may be read late.
            ("delivery.connect-timeout", "\"60s\""),
            ("delivery.timeout", "\"60s\""),
            ("notices.when", "\"always\""),
            ("notices.max-per-minute", "60"),
            ("notices.burst-window", "\"100ms\""),
        ];
        let stage = Stage::start(quick(), &settings).await;
        let mut servers = Vec::new();
        for flavour in PEERS {
            servers.push(stage.follower(flavour).await.0);
        }
        let ill = stage.follower(Flavour::Misskey).await.0;
        Scene { stage, chance, servers, ill, killed: Vec::new() }
    }

    async fn play(mut self, number: u64) {
        let crowd = Crowd::new(&self.stage);
        let streams =
            streams::Streams::start(self.stage.owncast.clone(), self.servers.clone(), crowd.post_sender());
        let mut lives: JoinSet<Life> = JoinSet::new();
        let begun = Instant::now();
        for kill in 1..=kills() {
            // Somebody arrives in each life of the program.
            let server = self.servers.get(kill % (self.servers.len() + 1)).unwrap_or(&self.ill);
            lives.spawn(crowd.life(server, kill, self.chance.below(4) == 0));
            self.illness().await;
            moment_to_die(&self.stage, &crowd, &mut self.chance).await;
            if self.chance.below(8) == 0 {
                // It may not be there to be asked.
                self.stage.agent.cli(&["deliveries", "retry", "--all"]).await;
            }
            let before = Timestamp::now();
            self.stage.agent.kill9();
            self.killed.push((before, Timestamp::now()));
            self.stage.agent.launch();
            if kill % 20 == 0 {
                let acknowledged = crowd.acknowledged();
                eprintln!("{number}: {kill} kills in {:?}, {acknowledged} acknowledged", begun.elapsed());
            }
        }
        self.ill.set_answer(Answer::Ok).await;
        self.stage.settled().await;
        let lives =
            tokio::time::timeout(LONG, lives.join_all()).await.expect("everybody is heard in the end");
        let streams = streams.finish().await;
        // What the server that was ill has missed may be due in hours.
        self.stage.agent.cli_json(&["deliveries", "retry", "--failed", "--all"]).await;
        self.count(&lives, streams).await;
        eprintln!("{number}: {} people, {streams} streams, in {:?}", lives.len(), begun.elapsed());
    }

    /// How the server that is not well is at the moment.
    async fn illness(&mut self) {
        let after = |status| Answer::RetryAfter { status, after: "1".into() };
        self.ill
            .set_answer(match self.chance.below(6) {
                0 => Answer::Ok,
                1 => after(429),
                2 => after(503),
                3 => Answer::Drop,
                _ => Answer::Status(503),
            })
            .await;
    }
}

/// While it starts, a while after it has, or at the very moment something was acknowledged. On a machine that has much to
/// do it starts slowly, and is given as much longer.
async fn moment_to_die(stage: &Stage, crowd: &Crowd, chance: &mut Chance) {
    if chance.below(6) == 0 {
        tokio::time::sleep(Duration::from_millis(chance.below(300))).await;
        return;
    }
    let begun = Instant::now();
    stage.settled().await;
    if chance.below(3) == 0 {
        crowd.next_acknowledged(Duration::from_secs(2)).await;
    } else {
        let most = Duration::from_millis(600) + begun.elapsed();
        tokio::time::sleep(most / 1000 * chance.below(1000) as u32).await;
    }
}

impl Scene {
    async fn count(&self, lives: &[Life], streams: usize) {
        let Scene { stage, servers, ill, .. } = self;
        let stayed = lives.iter().filter(|life| !life.left).count();
        let anchors = servers.len() + 1;
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
            no_complaints(server);
            self.each_came_once_and_in_order(server);
            eprintln!("{:?}: {} posts, {} repeated", server.flavour(), streams, server.duplicates());
        }
        // Where a post arrived, whoever knew of it, its end is told.
        self.all_are_over(ill).await;
        eprintln!("the server that was ill: {} posts, {} repeated", ill.posts().len(), ill.duplicates());
        self.each_came_once_and_in_order(ill);
        chat(&stage.owncast, lives);
        eventually("one webhook and one token in Owncast", LONG, async || {
            (stage.owncast.webhooks().len() == 1 && stage.owncast.tokens().len() == 1).then_some(())
        })
        .await;
        let log = stage.agent.log();
        assert!(!log.contains("panicked"), "a panic");
    }

    /// Where a post arrived, whether or not anybody knew that, it is told in the end that its stream is over.
    async fn all_are_over(&self, server: &Server) {
        let late = || -> Vec<String> {
            let received = server.received();
            let told = |note: &str| {
                let mut edits = received.iter().filter(|one| one.kind() == "Update" && one.effective);
                edits.any(|one| {
                    let object = &one.body["object"];
                    object["id"] == note && object["content"].to_string().contains("The stream is over")
                })
            };
            server.posts().into_iter().map(|post| post.note).filter(|note| !told(note)).collect()
        };
        let deadline = Instant::now() + LONG;
        while !late().is_empty() {
            if Instant::now() > deadline {
                let received = server.received();
                let lines = received.iter().map(|one| {
                    format!("{} {}: {:?}, effective: {}", one.at, one.id(), one.answered, one.effective)
                });
                let lines: Vec<String> = lines.collect();
                panic!("{:?} are not told: {lines:#?}\nkilled: {:?}", late(), self.killed);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What arrived arrives again only if the program was killed before it could write that down; and at no inbox does an
    /// edit or a removal come before its post, nor a later edit before an earlier one.
    fn each_came_once_and_in_order(&self, server: &Server) {
        let received = server.received();
        assert!(received.iter().all(|one| one.verdict.is_ok()), "{:?} refused a signature", server.flavour());
        // Arrivals are dated late on a machine that has much to do; what is signed is dated when it is sent.
        let killed = |from: &Received, to: &Received| {
            let sent = from.headers.get("date").and_then(|date| date.to_str().ok()).unwrap();
            let sent = Timestamp::try_from(httpdate::parse_http_date(sent).unwrap()).unwrap();
            self.killed.iter().any(|(perhaps, surely)| *perhaps <= to.at && *surely >= sent)
        };
        let mut taken: BTreeMap<(&str, &str), &Received> = BTreeMap::new();
        let mut newest: BTreeMap<(&str, &str), (u8, &str)> = BTreeMap::new();
        for one in received.iter().filter(|one| one.effective) {
            if one.answered.is_some_and(|status| status < 300)
                && let Some(before) = taken.insert((&one.inbox, one.id()), one)
            {
                let (id, at) = (one.id(), one.at);
                assert!(killed(before, one), "{id} came at {} and at {at}, and no kill between", before.at);
                // An inbox gets the next thing only once it is on disk what became of the last.
                let next = received.iter().find(|next| {
                    let behind = next.inbox == one.inbox && next.at > before.at && next.id() != id;
                    behind && !killed(before, next)
                });
                assert!(next.is_none(), "{id} came again at {at} though it was settled: {next:?}");
            }
            let rank = match one.kind() {
                "Create" => 0,
                "Update" => 1,
                "Delete" => 2,
                _ => continue,
            };
            let object = &one.body["object"];
            let note = object["id"].as_str().or(object.as_str()).unwrap_or_default();
            let place = (rank, object["updated"].as_str().unwrap_or_default());
            let before = newest.insert((&one.inbox, note), place);
            assert!(before <= Some(place), "{note} at {}: {place:?} behind {before:?}", one.inbox);
        }
    }
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
