//! C-15, C-16, C-17, C-18: replays, the wrong order, and pairs of Follow and Undo in any order.

use owncast_herald::sim::fediverse::{Flavour, Server};
use serde_json::{Value, json};

use crate::mallory::{Mallory, send};
use crate::support::wait::{LONG, eventually};
use crate::target::{Target, refusal};

const PATH: &str = "/federation/user/streamer/inbox";

struct Scene {
    target: Target,
    mallory: Mallory,
    /// Mallory's.
    server: Server,
}

impl Scene {
    async fn start() -> Scene {
        let target = Target::start().await;
        let server = target.stage.server(Flavour::Mastodon).await;
        let mallory = Mallory::on(&server, "mallory");
        Scene { target, mallory, server }
    }

    fn signed(&self, activity: &Value, ago: i64) -> Vec<u8> {
        self.mallory.request(&self.target.stage, PATH, activity, ago)
    }

    async fn taken(&self, request: &[u8]) {
        let reply = send(&self.target.stage, request).await;
        assert_eq!(reply.status, 202, "{reply:?}");
    }

    fn accepts(&self) -> usize {
        self.server.received().iter().filter(|sent| sent.kind() == "Accept").count()
    }

    fn follow(&self) -> Value {
        // Several peers give every Follow the same id.
        let mut follow = self.target.follow_by(&self.mallory.id);
        follow["id"] = json!(format!("{}#follow", self.mallory.id));
        follow
    }

    fn undo(&self, inner: &Value) -> Value {
        let mut undo = self.target.activity(&self.mallory.id, "Undo", inner.clone());
        undo["id"] = json!(format!("{}/undo", inner["id"].as_str().unwrap()));
        undo
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c_15_a_replayed_request_does_nothing() {
    let scene = Scene::start().await;
    let (follow, like) = (scene.follow(), scene.target.like_by(&scene.mallory.id));
    let first = scene.signed(&follow, 10);
    let left = scene.signed(&scene.undo(&follow), 8);
    let liked = scene.signed(&like, 6);
    let unliked = scene.signed(&scene.undo(&like), 4);
    scene.taken(&first).await;
    scene.target.stage.wait_followers(2).await;
    scene.taken(&first).await;
    scene.taken(&liked).await;
    scene.taken(&liked).await;
    scene.target.count(2, 0).await;
    scene.taken(&left).await;
    scene.taken(&unliked).await;
    for captured in [&first, &liked, &left, &unliked] {
        scene.taken(captured).await;
    }
    scene.target.unchanged().await;
    // Signed after their Undo, the same Like and the same Follow count: there are peers that use ids again.
    scene.taken(&scene.signed(&like, 2)).await;
    scene.taken(&scene.signed(&follow, 1)).await;
    scene.target.stage.wait_followers(2).await;
    scene.target.count(2, 0).await;
    // And what was captured before does nothing to them.
    for captured in [&left, &unliked, &first, &liked] {
        scene.taken(captured).await;
    }
    assert_eq!(scene.target.stage.followers().await, 2);
    scene.target.count(2, 0).await;
    scene.taken(&scene.signed(&scene.undo(&like), 0)).await;
    scene.target.count(1, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_15_a_captured_request_elsewhere_or_later() {
    let scene = Scene::start().await;
    let follow = scene.follow();
    let late = send(&scene.target.stage, &scene.signed(&follow, 2 * 3600)).await;
    assert_eq!(refusal(&late), (401, "clock-offset".into()));
    let good = String::from_utf8(scene.signed(&follow, 0)).unwrap();
    for (what, changed, code) in [
        ("another case in the body", good.replace("#follow\"", "#FOLLOW\""), "digest-mismatch"),
        (
            "another host",
            good.replacen(&format!("Host: {}", scene.target.stage.agent.host()), "Host: peer.example", 1),
            "host-mismatch",
        ),
        (
            "no host",
            good.replacen(&format!("Host: {}\r\n", scene.target.stage.agent.host()), "", 1),
            "host-mismatch",
        ),
        ("another query", good.replacen("/inbox HTTP", "/inbox?again HTTP", 1), ""),
        ("another method", good.replacen("POST", "PUT", 1), "method-not-allowed"),
        ("another path", good.replacen("/inbox HTTP", "/outbox HTTP", 1), "method-not-allowed"),
        ("a double slash", good.replacen("POST /", "POST //", 1), "not-found"),
        (
            "a detour",
            good.replacen("/user/streamer/inbox HTTP", "/user/x/../streamer/inbox HTTP", 1),
            "not-found",
        ),
        ("an encoded path", good.replacen("/inbox HTTP", "/%69nbox HTTP", 1), "method-not-allowed"),
    ] {
        let reply = send(&scene.target.stage, changed.as_bytes()).await;
        // A query is nowhere in our address; leaving it out of the signature is some peers' way.
        let taken = code.is_empty() && reply.status == 202;
        assert!(taken || refusal(&reply).1 == code, "{what}: {reply:?}");
        if !taken {
            scene.target.unchanged().await;
        } else {
            scene.taken(&scene.signed(&scene.undo(&follow), 0)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c_16_an_undo_before_what_it_undoes() {
    let scene = Scene::start().await;
    let (follow, like) = (scene.follow(), scene.target.like_by(&scene.mallory.id));
    scene.taken(&scene.signed(&scene.undo(&follow), 5)).await;
    scene.taken(&scene.signed(&scene.undo(&like), 5)).await;
    scene.taken(&scene.signed(&follow, 60)).await;
    scene.taken(&scene.signed(&like, 60)).await;
    scene.target.unchanged().await;
    // A later Follow is a new one, whatever its id.
    scene.taken(&scene.signed(&follow, 1)).await;
    scene.target.stage.wait_followers(2).await;
}

/// It tells not even that it was a Follow.
#[tokio::test(flavor = "multi_thread")]
async fn c_16_an_undo_by_id_alone_before_the_follow() {
    let scene = Scene::start().await;
    let follow = scene.follow();
    let undo = scene.target.activity(&scene.mallory.id, "Undo", follow["id"].clone());
    scene.taken(&scene.signed(&undo, 5)).await;
    scene.taken(&scene.signed(&follow, 60)).await;
    scene.target.unchanged().await;
    scene.taken(&scene.signed(&follow, 1)).await;
    scene.target.stage.wait_followers(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_16_a_block_before_the_follow_that_it_ends() {
    let scene = Scene::start().await;
    let block = scene.target.activity(&scene.mallory.id, "Block", json!(scene.target.stage.actor()));
    scene.taken(&scene.signed(&block, 5)).await;
    scene.taken(&scene.signed(&scene.follow(), 60)).await;
    scene.target.unchanged().await;
    // Who blocks us no more may follow.
    scene.taken(&scene.signed(&scene.follow(), 1)).await;
    scene.target.stage.wait_followers(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_17_follow_and_undo_in_any_order() {
    let scene = Scene::start().await;
    let (follow, undo) = (scene.follow(), scene.undo(&scene.follow()));
    // A fixed sequence of numbers, so that a failure can be seen again.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    // Dates go on from round to round, whatever the rounds take: some minutes less than an hour of them is at hand.
    let mut date = jiff::Timestamp::now().as_second() - 3_000;
    // Each Follow that is newer than all before it is answered, once.
    let (mut latest, mut answers) = (date - 1, 0);
    for round in 0..25 {
        let mut acts: Vec<(i64, bool)> = (0..4).map(|step| (date + step, next(2) == 0)).collect();
        date += 5;
        let newest = acts.last().unwrap().1;
        for place in (1..acts.len()).rev() {
            acts.swap(place, next(place as u64 + 1) as usize);
        }
        for (date, follows) in &acts {
            let at = jiff::Timestamp::from_second(*date).unwrap();
            let activity = if *follows { &follow } else { &undo };
            let request = scene.mallory.request_at(&scene.target.stage, PATH, activity, at);
            scene.taken(&request).await;
            if next(3) == 0 {
                scene.taken(&request).await;
            }
            let newer = *date > latest;
            latest = latest.max(*date);
            if newer && *follows {
                answers += 1;
                // Of several that wait the newest is sent alone.
                eventually("it is answered", LONG, async || (scene.accepts() >= answers).then_some(())).await;
            }
            assert_eq!(scene.accepts(), answers, "round {round}, as sent: {acts:?}");
        }
        let followers = scene.target.stage.followers().await;
        assert_eq!(followers, 1 + u64::from(newest), "round {round}, as sent: {acts:?}");
    }
    scene.target.count(1, 0).await;
}

/// Ids used again and one signature for the same words: an Undo, a Follow and an Undo of one second are three requests, the
/// last byte for byte the first.
#[tokio::test(flavor = "multi_thread")]
async fn c_15_c_17_the_same_bytes_count_again_within_their_second_and_no_longer() {
    let scene = Scene::start().await;
    let (follow, undo) = (scene.follow(), scene.undo(&scene.follow()));
    let stage = &scene.target.stage;
    let second = jiff::Timestamp::now().as_second() - 100;
    let signed = |activity: &Value, after: i64| {
        let at = jiff::Timestamp::from_second(second + after).unwrap();
        scene.mallory.request_at(stage, PATH, activity, at)
    };
    let (followed, left) = (signed(&follow, 0), signed(&undo, 0));
    for _ in 0..2 {
        scene.taken(&left).await;
        assert_eq!(stage.followers().await, 1);
        scene.taken(&followed).await;
        scene.taken(&followed).await;
        assert_eq!(stage.followers().await, 2);
    }
    // Whoever kept the bytes can neither take away who has followed since, nor bring back who has left since.
    scene.taken(&signed(&follow, 1)).await;
    scene.taken(&left).await;
    assert_eq!(stage.followers().await, 2);
    scene.taken(&signed(&undo, 2)).await;
    scene.taken(&followed).await;
    scene.target.unchanged().await;
}
