//! What differs between the releases.

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use owncast_herald::sim::owncast::{Follower, FollowerState, Options, SimOwncast, Timeline, Version};
use serde_json::{Value, json};

use crate::support::{Delivery, Receiver, Viewer, admin, get, subscribe, token};

async fn sim(version: Version) -> SimOwncast {
    let options = Options { version, server_url: "https://live.example".into(), ..Options::default() };
    SimOwncast::start(options).await.unwrap()
}

fn pending() -> Follower {
    Follower {
        iri: "https://social.example/users/bo".into(),
        name: "Bo".into(),
        username: "bo@social.example".into(),
        image: "https://social.example/bo.png".into(),
        at: jiff::Timestamp::now(),
        state: FollowerState::Pending,
    }
}

fn signed_with(secret: &str, delivery: &Delivery) -> bool {
    let header = delivery.headers["owncast-signature"].to_str().unwrap();
    let (time, signature) = header.strip_prefix("t=").unwrap().split_once(".s=").unwrap();
    let age = jiff::Timestamp::now().as_second() - time.parse::<i64>().unwrap();
    assert!((0..300).contains(&age));
    let key = PKey::hmac(secret.as_bytes()).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    signer.update(format!("{time}.").as_bytes()).unwrap();
    signer.update(&delivery.bytes).unwrap();
    let hex: String = signer.sign_to_vec().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    hex == signature
}

#[tokio::test]
async fn event_data_grows_with_the_releases() {
    for version in [Version::V0_1_3, Version::V0_2, Version::V0_3] {
        let sim = sim(version).await;
        let mut receiver = Receiver::start().await;
        subscribe(&sim, &receiver.url, &["STREAM_STARTED", "VISIBILITY-UPDATE", "NAME_CHANGE"]).await;
        let newer = version > Version::V0_1_3;

        sim.go_live_with(Timeline::by_hand());
        let started = receiver.next().await;
        let data = &started.body["eventData"];
        assert_eq!(data["status"]["versionNumber"], version.number());
        assert_eq!(data.get("serverURL").is_some(), newer);
        assert_eq!(started.headers.contains_key("owncast-signature"), version == Version::V0_3);

        let probe = json!({"idArray": ["probe"], "visible": true});
        assert_eq!(admin(&sim, "/api/admin/chat/messagevisibility", probe).await.status(), 200);
        let update = receiver.next().await.body;
        let data = &update["eventData"];
        let (ids, visible) = if newer { ("ids", "visible") } else { ("MessageIDs", "Visible") };
        assert_eq!((&data[ids], &data[visible]), (&json!(["probe"]), &json!(true)), "{version:?}");
        assert_eq!(data.get("status").is_some(), newer);

        let token = token(&sim, &["CAN_SEND_MESSAGES"]).await;
        let mut viewer = Viewer::connect(&sim, &token).await;
        viewer.send(json!({"type": "NAME_CHANGE", "newName": "other"})).await;
        let renamed = receiver.next().await.body;
        assert_eq!(renamed["eventData"]["id"] == "", !newer);
        assert_eq!(renamed["eventData"]["newName"], "other");
    }
}

#[tokio::test]
async fn the_follow_webhook_exists_from_0_2_on() {
    for version in [Version::V0_2, Version::V0_3] {
        let sim = sim(version).await;
        let mut receiver = Receiver::start().await;
        subscribe(&sim, &receiver.url, &["FEDIVERSE_ENGAGEMENT_FOLLOW"]).await;
        sim.receive_follow(pending());
        assert!(sim.chat().is_empty());
        let approve = json!({"actorIRI": "https://social.example/users/bo", "approved": true});
        assert_eq!(admin(&sim, "/api/admin/followers/approve", approve).await.status(), 200);
        let event = receiver.next().await.body;
        assert_eq!(event["eventData"]["username"], "bo@social.example");
        assert_eq!(event["eventData"].get("serverURL").is_some(), version == Version::V0_3);
        assert!(event["eventData"].get("status").is_none());
        assert_eq!(sim.chat().len(), 1);
    }
}

#[tokio::test]
async fn webhooks_of_0_3_are_signed_and_old_ones_get_the_migrations_secret() {
    let sim = sim(Version::V0_2).await;
    let mut receiver = Receiver::start().await;
    let before = subscribe(&sim, &receiver.url, &["STREAM_TITLE_UPDATED"]).await;
    assert!(before.get("secret").is_none());
    sim.upgrade(Version::V0_3).await.unwrap();
    sim.set_title("a");
    assert!(signed_with("abc123", &receiver.next().await));

    admin(&sim, "/api/admin/webhooks/delete", json!({"id": before["id"]})).await;
    let after = subscribe(&sim, &receiver.url, &["STREAM_TITLE_UPDATED"]).await;
    assert_eq!(after["secret"], "s3cret");
    sim.set_title("b");
    assert!(signed_with("s3cret", &receiver.next().await));
}

#[tokio::test]
async fn answers_differ_where_the_releases_do() {
    for version in [Version::V0_1_3, Version::V0_3] {
        let newest = version == Version::V0_3;
        let sim = sim(version).await;
        let call = reqwest::Client::new().get(format!("{}/api/admin/serverconfig", sim.url()));
        let config: Value =
            call.basic_auth("admin", Some("abc123")).send().await.unwrap().json().await.unwrap();
        assert_eq!(config["adminPassword"] == "abc123", !newest);
        assert_eq!(config["federation"].get("enableQuotes").is_some(), newest);
        let host_meta = get(&sim, "/.well-known/host-meta").await.status();
        assert_eq!(host_meta, if newest { 405 } else { 200 });
        let sent = admin(&sim, "/api/admin/federation/send", json!({"value": "hello"})).await.status();
        assert_eq!(sent, if newest { 400 } else { 200 });
        assert_eq!(sim.own_posts().len(), usize::from(!newest));
    }
}

#[tokio::test]
async fn an_actor_that_has_lived_shows_its_followers_and_key() {
    let follower = |at: i64, state| Follower {
        iri: format!("https://social.example/users/{at}"),
        at: jiff::Timestamp::from_second(at).unwrap(),
        state,
        ..pending()
    };
    let sim = SimOwncast::start(Options {
        server_url: "https://live.example".into(),
        federation_enabled: true,
        private: true,
        public_key_pem: "PEM".into(),
        followers: vec![
            follower(1, FollowerState::Approved),
            follower(2, FollowerState::Approved),
            follower(3, FollowerState::Pending),
            follower(4, FollowerState::Blocked),
        ],
        ..Options::default()
    })
    .await
    .unwrap();
    let read = async |path: &str| -> Value {
        let call = reqwest::Client::new().get(format!("{}{path}", sim.url()));
        let call = call.basic_auth("admin", Some("abc123")).header("Accept", "application/activity+json");
        call.send().await.unwrap().json().await.unwrap()
    };
    let newest = read("/api/admin/followers?offset=0&limit=1").await;
    assert_eq!(newest["results"][0]["link"], "https://social.example/users/2");
    assert_eq!(newest["total"], 2);
    assert_eq!(read("/api/followers?limit=-1").await["results"].as_array().unwrap().len(), 2);
    assert_eq!(read("/api/admin/followers/pending").await.as_array().unwrap().len(), 1);
    assert!(read("/api/admin/followers/blocked").await[0]["disabledAt"].is_string());
    let actor = read("/federation/user/streamer").await;
    assert_eq!(
        (&actor["publicKey"]["publicKeyPem"], &actor["manuallyApprovesFollowers"]),
        (&json!("PEM"), &json!(true))
    );
    let page = read("/federation/user/streamer/followers?page=1").await;
    assert_eq!(page["orderedItems"].as_array().unwrap().len(), 2);
    assert_eq!(get(&sim, "/federation/user/Streamer").await.url().path(), "/");
}
