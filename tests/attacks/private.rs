//! C-5, C-11: nothing that is not public is to be had by asking, and pictures are pictures.

use owncast_herald::sim::fediverse::Flavour;
use owncast_herald::sim::owncast::Options;
use serde_json::json;

use crate::mallory::send;
use crate::support::stage::{Stage, quick};
use crate::support::wait::{LONG, eventually};
use crate::target::Target;

#[tokio::test(flavor = "multi_thread")]
async fn c_05_the_picture_address_serves_pictures_only() {
    let stage = Stage::start(quick(), &[]).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    let picture = stage.post(&server).await.media[0].url.clone();
    let answer = stage.get(&picture).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-content-type-options"]),
        (200, &"nosniff".parse().unwrap())
    );
    let name = picture.rsplit('/').next().unwrap();
    for path in [
        "../actor-key.pem",
        "..%2factor-key.pem",
        "%2e%2e/actor-key.pem",
        "..\\actor-key.pem",
        "....//actor-key.pem",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        ".",
        "..",
        "",
        "%00",
        "x%00.jpg",
        ".jpg",
        "../db/db",
        "../lock",
        &format!("{name}/"),
        &format!("{name}%00"),
        &format!("./{name}"),
        &name.to_uppercase(),
        &format!("{name}.json"),
    ] {
        let request = format!(
            "GET /federation/media/{path} HTTP/1.1\r\nHost: {}\r\nAccept: application/activity+json\r\nConnection: close\r\n\r\n",
            stage.agent.host()
        );
        let reply = send(&stage, request.as_bytes()).await;
        assert!(matches!(reply.status, 400 | 404), "{path}: {reply:?}");
        assert!(!reply.body.contains("PRIVATE KEY"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c_11_a_private_post_cannot_be_asked_for() {
    let private = Options { private: true, ..quick() };
    let stage = Stage::start(private, &[("followers.approval", "\"auto\"")]).await;
    let (server, fan) = stage.follower(Flavour::GoToSocial).await;
    let note = stage.post(&server).await.note;
    let unknown = format!("{}/federation/01ARZ3NDEKTSV4RRFFQ69G5FAV", stage.agent.public_url());
    for part in ["", "/activity", "/likes", "/shares", "/replies", "?page=1"] {
        let (hidden, none) =
            (stage.get(&format!("{note}{part}")).await, stage.get(&format!("{unknown}{part}")).await);
        assert_eq!(
            (hidden.status(), hidden.headers().len()),
            (none.status(), none.headers().len()),
            "{part}"
        );
        assert_eq!(
            hidden.text().await.unwrap(),
            none.text().await.unwrap(),
            "{part}: it shows that it is there"
        );
    }
    // A like or boost of it is counted for nobody to see, and makes it no more public.
    fan.like(&note).await.unwrap();
    fan.announce(&note).await.unwrap();
    assert_eq!(stage.get(&note).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn c_11_a_private_post_is_not_edited_for_strangers_and_those_who_left() {
    let private = Options { private: true, ..quick() };
    let settings = [("followers.approval", "\"auto\""), ("go-live.repost-after", "\"0s\"")];
    let stage = Stage::start(private, &settings).await;
    let (home, _) = stage.follower(Flavour::Mastodon).await;
    let (left, was) = stage.follower(Flavour::GoToSocial).await;
    let note = stage.post(&home).await.note;
    assert!(left.wait_post(LONG, |post| post.note == note).await.is_some());
    assert_eq!(was.unfollow().await.unwrap().status, 202);
    stage.wait_followers(1).await;
    // Somebody who was handed the id of the post.
    let eve = stage.server(Flavour::Misskey).await.person("eve");
    for person in [&was, &eve] {
        let (actor, their) = (person.id(), format!("{}/notes/1", person.id()));
        let reply = json!({"id": their, "type": "Note", "attributedTo": actor, "inReplyTo": note});
        for (kind, object) in [("Like", json!(note)), ("Announce", json!(note)), ("Create", reply)] {
            let id = format!("{actor}#{kind}");
            let activity = json!({"@context": "https://www.w3.org/ns/activitystreams",
                "id": id, "type": kind, "actor": actor, "object": object});
            let answer = person.custom(&stage.inbox(), &activity).await.unwrap();
            assert_eq!(answer.status, 202, "it does not tell: {answer:?}");
        }
    }
    assert_eq!(stage.metric("herald_inbox_requests_total{outcome=\"ignored\"}").await, 6);
    stage.owncast.end_stream();
    let told = home.wait_post(LONG, |post| post.html.contains("The stream is over")).await;
    assert!(told.is_some(), "who follows is told");
    eventually("nothing waits to be sent", LONG, async || {
        (stage.metric("herald_delivery_queue").await == 0).then_some(())
    })
    .await;
    for server in [&left, eve.server()] {
        let edits = server.received().iter().filter(|received| received.kind() == "Update").count();
        assert_eq!(edits, 0, "{server:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c_11_an_answer_to_a_stranger_does_not_tell_who_follows() {
    let target = Target::start().await;
    let (fan, eve) = (&target.fan, target.home.person("eve"));
    let inbox = target.stage.inbox();
    let mut answers = Vec::new();
    // A Delete that nobody has signed well, of one who follows and of one who does not.
    for person in [fan, &eve] {
        let delete = target.activity(&person.id(), "Delete", serde_json::json!(person.id()));
        let options =
            owncast_herald::sim::fediverse::SignOptions { flip_signature: true, ..Default::default() };
        answers.push(person.custom_signed(&inbox, delete.to_string(), &options).await.unwrap());
        let unsigned = owncast_herald::sim::fediverse::SignOptions { unsigned: true, ..Default::default() };
        answers.push(person.custom_signed(&inbox, delete.to_string(), &unsigned).await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.status == 202), "{answers:?}");
    target.unchanged().await;
}
