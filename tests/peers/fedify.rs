//! A server made with Fedify, as a follower that understands one signature scheme and not the other.

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::support::stage::{SOON, Stage, quick};
use crate::support::wait::{LONG, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_fedify_that_demands_rfc9421() {
    let peer = Peer::fedify("rfc9421").await;
    whole_trip(&peer).await;
    let seen = peer.seen().await;

    // Fedify knocks by RFC 9421 first, and is let in.
    let sent = posts(&seen["sent"]);
    assert!(sent.iter().all(|knock| *knock == ("rfc9421", 202)), "Fedify sent {sent:?}");

    // We knock by the older scheme first, to read and to deliver. Once is enough for each: for what is delivered beyond a crash
    // too, if that was on disk.
    let (read, received) = (knocks(&seen["received"], "GET"), posts(&seen["received"]));
    assert_eq!((read[0], received[0]), (("cavage", 401), ("cavage", 401)), "reads: {read:?}");
    for (what, knocks, success) in [("reads", &read, 200), ("deliveries", &received, 202)] {
        assert!(knocks.contains(&("rfc9421", success)), "{what}: {knocks:?}");
        let known = [("cavage", 401), ("rfc9421", success)];
        assert!(knocks.iter().all(|knock| known.contains(knock)), "{what}: {knocks:?}");
    }
    // Once that has come back to us, no longer: so with the edit, the second post and its end.
    let last = &received[received.len() - 3..];
    assert!(last.iter().all(|knock| *knock == ("rfc9421", 202)), "deliveries: {received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_fedify_that_gives_a_nonce() {
    let peer = Peer::fedify("nonce").await;
    whole_trip(&peer).await;
    let seen = peer.seen().await;
    let received = posts(&seen["received"]);
    assert!(
        received.len() >= 10,
        "an Accept, two posts, an edit and a removal, each refused once: {received:?}"
    );
    // The first knock is by the older scheme, until it is known, and on disk, which one is taken.
    for pair in received.chunks(2) {
        assert_eq!((pair[0].1, pair[1]), (401, ("rfc9421", 202)), "{received:?}");
    }
    assert_eq!((received[0].0, received[received.len() - 2].0), ("cavage", "rfc9421"), "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_fedify_that_comes_to_demand_rfc9421_is_knocked_at_twice() {
    let peer = Peer::fedify("cavage").await;
    let stage = Stage::start(quick(), &[("go-live.delay", "\"0s\"")]).await;
    peer.has("look", json!({"actor": stage.actor()})).await;
    told(&peer, &stage, "follow", json!({})).await;
    stage.wait_followers(1).await;
    let accepted = eventually("Fedify has our Accept", LONG, async || {
        let received = peer.seen().await["received"].clone();
        posts(&received).contains(&("cavage", 202)).then_some(received)
    });
    let before = posts(&accepted.await).len();

    peer.has("demand", json!({"scheme": "rfc9421"})).await;
    stage.owncast.go_live_with(SOON);
    eventually("Fedify has the post", LONG, async || shown(&peer).await.pop()).await;
    stage.owncast.end_stream();
    eventually("Fedify shows the edit", LONG, async || {
        shown(&peer).await.into_iter().find(|(_, post)| post["edited"] == true)
    })
    .await;
    let received = peer.seen().await["received"].clone();
    assert_eq!(
        posts(&received)[before..],
        [("cavage", 401), ("rfc9421", 202), ("rfc9421", 202)],
        "the post, and its edit"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_fedify_that_knows_cavage_only() {
    let peer = Peer::fedify("cavage").await;
    whole_trip(&peer).await;
    let seen = peer.seen().await;

    // Fedify knocks a second time where the first knock was not understood, and is let in.
    let sent = posts(&seen["sent"]);
    assert_eq!(sent[..2], [("rfc9421", 401), ("cavage", 202)], "Fedify sent {sent:?}");
    let later = &sent[2..];
    assert!(later.iter().all(|knock| *knock == ("cavage", 202)), "Fedify sent {sent:?}");

    // We need no second.
    let received = posts(&seen["received"]);
    assert!(received.iter().all(|knock| *knock == ("cavage", 202)), "Fedify received {received:?}");
    let read = knocks(&seen["received"], "GET");
    assert!(!read.is_empty() && read.iter().all(|knock| *knock == ("cavage", 200)), "we read {read:?}");
}

/// From being found to being left.
async fn whole_trip(fedify: &Peer) {
    let mut stage =
        Stage::start(quick(), &[("go-live.delay", "\"0s\""), ("go-live.repost-after", "\"0s\"")]).await;
    let us = stage.actor();
    let found = fedify.has("look", json!({"actor": us})).await;
    let name = stage.owncast.config().name;
    let handle = format!("acct:{}", stage.handle());
    assert_eq!(
        found,
        json!({"type": "Service", "name": name, "inbox": stage.inbox(), "handle": handle}),
        "what Fedify finds"
    );

    let follow = told(fedify, &stage, "follow", json!({})).await;
    eventually("Fedify has our Accept", LONG, async || {
        let accepted = fedify.seen().await["accepted"].clone();
        (accepted == json!([follow])).then_some(())
    })
    .await;
    stage.wait_followers(1).await;

    stage.agent.kill9();
    stage.agent.restart().await;

    stage.owncast.go_live_with(SOON);
    let (id, post) = eventually("Fedify has the post", LONG, async || shown(fedify).await.pop()).await;
    assert_eq!((&post["author"], &post["edited"]), (&json!(us), &json!(false)), "{post}");
    let picture = &post["pictures"][0];
    assert_eq!(picture["type"], "image/jpeg", "{post}");
    let picture = stage.ask(reqwest::Method::GET, picture["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(picture.status(), 200);

    engages(fedify, &stage, &id).await;

    stage.owncast.end_stream();
    let edit = eventually("Fedify shows the edit", LONG, async || {
        shown(fedify).await.into_iter().find(|(_, post)| post["edited"] == true)
    });
    let (edited, over) = edit.await;
    assert_eq!(edited, id, "one post per stream");
    assert_ne!(over["content"], post["content"], "the edit says that the stream is over");

    stage.agent.set("go-live.on-end", "\"delete\"");
    stage.agent.cli_json(&["reload"]).await;
    stage.owncast.go_live_with(SOON);
    eventually("Fedify has another post", LONG, async || (shown(fedify).await.len() == 2).then_some(()))
        .await;
    stage.owncast.end_stream();
    eventually("Fedify shows one post less", LONG, async || {
        let left = shown(fedify).await;
        (left.len() == 1 && left[0].0 == id).then_some(())
    })
    .await;

    told(fedify, &stage, "undo", json!({"id": follow})).await;
    stage.wait_followers(0).await;
}

/// Everything that somebody can do with a post, and take back.
async fn engages(fedify: &Peer, stage: &Stage, post: &str) {
    let about = json!({"post": post});
    let counts = async || {
        let note = stage.document(post).await;
        [&note["likes"], &note["shares"]].map(|count| count["totalItems"].as_u64().unwrap())
    };
    let reaction = told(fedify, stage, "react", about.clone()).await;
    told(fedify, stage, "undo", json!({"id": reaction})).await;
    assert_eq!(counts().await, [0, 0], "after a reaction was taken back");
    let like = told(fedify, stage, "like", about.clone()).await;
    let boost = told(fedify, stage, "boost", about.clone()).await;
    assert_eq!(counts().await, [1, 1], "likes and shares");
    told(fedify, stage, "reply", about).await;
    for (what, words) in [("like", "like"), ("boost", "shared")] {
        let line =
            stage.owncast.wait_chat(LONG, |line| line.html.contains("Bo") && line.html.contains(words));
        assert!(line.await.is_some(), "no line in chat tells of the {what}: {:?}", stage.owncast.chat());
    }
    told(fedify, stage, "undo", json!({"id": boost})).await;
    told(fedify, stage, "undo", json!({"id": like})).await;
    assert_eq!(counts().await, [0, 0], "after everything was taken back");
}

/// Has Fedify send us an activity, which it does only once we have taken it, and answers the activity's id.
async fn told(fedify: &Peer, stage: &Stage, deed: &str, mut wish: Value) -> String {
    wish["actor"] = json!(stage.actor());
    fedify.has(deed, wish).await["id"].as_str().unwrap().to_owned()
}

/// The posts that Fedify shows, by id.
async fn shown(fedify: &Peer) -> Vec<(String, Value)> {
    let seen = fedify.seen().await;
    seen["posts"].as_object().unwrap().iter().map(|(id, post)| (id.clone(), post.clone())).collect()
}

fn posts(requests: &Value) -> Vec<(&str, u64)> {
    knocks(requests, "POST")
}

/// Scheme and answer of the requests with this method.
fn knocks<'a>(requests: &'a Value, method: &str) -> Vec<(&'a str, u64)> {
    let requests = requests.as_array().unwrap().iter().filter(|request| request["method"] == method);
    requests
        .map(|request| {
            (request["scheme"].as_str().unwrap_or("unsigned"), request["status"].as_u64().unwrap())
        })
        .collect()
}
