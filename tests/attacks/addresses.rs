//! C-10, C-20: addresses that mean something else than they say, and networks that are nobody's business.

use owncast_herald::sim::fediverse::{Flavour, SignOptions};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::wait::{LONG, eventually};
use crate::target::{Target, never_contacted, refusal};

#[tokio::test(flavor = "multi_thread")]
async fn c_10_ambiguous_addresses() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let (host, inbox) = (eve.server().host(), target.stage.inbox());
    for actor in [
        format!("http://user@{host}/users/eve"),
        format!("http://user:pw@{host}/users/eve"),
        format!("http://peer.example\\@{host}/users/eve"),
        format!("http://peer.example@{host}/users/eve"),
        format!("http:\\\\{host}\\users\\eve"),
        format!("http:{host}/users/eve"),
        format!("//{host}/users/eve"),
        format!("ftp://{host}/users/eve"),
        "javascript:alert(1)".into(),
        "data:application/activity+json,{}".into(),
        "file:///etc/passwd".into(),
        "acct:eve@peer.example".into(),
        "http://peer.example./users/eve".into(),
        "http://pe\u{00e9}r.example/users/eve".into(),
        "http://peer%2eexample/users/eve".into(),
        "http://peer.example\u{200b}/users/eve".into(),
        format!(" http://{host}/users/eve"),
        format!("http://{host}/users/eve\n"),
        format!("http://{host}/users/\teve"),
        "http://".into(),
        "http:///users/eve".into(),
        "http://..example/users/eve".into(),
        format!("http://{host}/{}", "x".repeat(2_040)),
    ] {
        for options in [
            SignOptions::default(),
            SignOptions { key_id: Some(format!("{}#main-key", actor.trim())), ..SignOptions::default() },
        ] {
            let body = target.follow_by(&actor).to_string();
            // Some of these cannot even stand in a header.
            let Ok(reply) = eve.custom_signed(&inbox, body, &options).await else { continue };
            let (status, code) = refusal(&reply);
            let codes = ["bad-address", "bad-activity", "signature-malformed", "origin"];
            assert!(matches!(status, 400 | 401) && codes.contains(&code.as_str()), "{actor}: {reply:?}");
        }
    }
    never_contacted(eve.server());
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_20_networks_that_may_not_be_called() {
    // Two servers may be called; the third and this machine itself may not.
    let allowed = ("federation.allow-private-addresses", "[\"127.0.0.2/32\", \"127.0.0.3/32\"]");
    let target = Target::with(&[allowed]).await;
    let friend = target.stranger(Flavour::Mastodon).await;
    let eve = target.stranger(Flavour::Mastodon).await;
    assert_eq!(target.try_follow(&friend, &SignOptions::default()).await.status, 202);
    let reply = target.try_follow(&eve, &SignOptions::default()).await;
    assert_eq!(refusal(&reply), (401, "signature-invalid".into()), "by its address");
    never_contacted(eve.server());

    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = trap.local_addr().unwrap().port();
    let inbox = target.stage.inbox();
    for host in [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
    ] {
        let actor = format!("http://{host}:{port}/users/eve");
        let options = SignOptions { key_id: Some(format!("{actor}#main-key")), ..SignOptions::default() };
        let reply = eve.custom_signed(&inbox, target.follow_by(&actor).to_string(), &options).await.unwrap();
        assert!(matches!(reply.status, 401 | 503), "{host}: {reply:?}");
    }
    for host in
        ["10.0.0.1", "192.168.0.1", "169.254.169.254", "172.16.0.1", "100.64.0.1", "[fe80::1]", "[fc00::1]"]
    {
        let actor = format!("http://{host}/users/eve");
        let options = SignOptions { key_id: Some(format!("{actor}#main-key")), ..SignOptions::default() };
        let reply = eve.custom_signed(&inbox, target.follow_by(&actor).to_string(), &options).await.unwrap();
        assert_eq!(refusal(&reply), (401, "signature-invalid".into()), "{host}");
    }
    // Whoever dialled is waiting to be taken.
    let called = tokio::time::timeout(std::time::Duration::ZERO, trap.accept()).await;
    assert!(called.is_err(), "this machine was called: {called:?}");
    target.count(1, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_20_the_follow_page_calls_nobody_it_should_not() {
    let target = Target::with(&[("federation.allow-private-addresses", "[\"127.0.0.2/32\"]")]).await;
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = trap.local_addr().unwrap().port();
    for host in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
        target.stage.agent.host(),
    ] {
        let answer = target.stage.fill_in_follow_page(&format!("eve@{host}"), &[]).await;
        assert_eq!(answer.status(), 422, "{host}");
    }
    let called = tokio::time::timeout(std::time::Duration::ZERO, trap.accept()).await;
    assert!(called.is_err(), "this machine was called: {called:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c_20_a_follower_cannot_lead_deliveries_into_a_network() {
    let mut target = Target::with(&[
        ("federation.allow-private-addresses", "[\"127.0.0.2/32\", \"127.0.0.3/32\"]"),
        ("go-live.repost-after", "\"0s\""),
    ])
    .await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let inbox = format!("http://127.0.0.1:{}/inbox", trap.local_addr().unwrap().port());
    // An inbox on another origin is refused with the whole actor, however it is put.
    let fields = json!({ "inbox": inbox, "endpoints": { "sharedInbox": inbox } });
    eve.override_actor(fields.as_object().unwrap().clone());
    assert_eq!(target.try_follow(&eve, &SignOptions::default()).await.status, 401);
    target.stage.owncast.end_stream();
    target.stage.wait_log("the stream is over").await;
    target.stage.post(&target.home).await;
    eventually("the post is delivered", LONG, async || (target.home.posts().len() == 2).then_some(())).await;
    let called = tokio::time::timeout(std::time::Duration::ZERO, trap.accept()).await;
    assert!(called.is_err(), "{called:?}");

    // Who was let in is not called any more where that is not allowed now.
    let bob = eve.server().person("bob");
    target.stage.follow(&bob).await;
    target.stage.owncast.end_stream();
    eventually("that stream is over, too", LONG, async || {
        (target.stage.agent.log().matches("the stream is over").count() == 2).then_some(())
    })
    .await;
    target.stage.agent.set("federation.allow-private-addresses", "[\"127.0.0.2/32\"]");
    target.stage.agent.restart().await;
    target.stage.settled().await;
    let seen = || (eve.server().received_count(), eve.server().requests_count());
    let before = seen();
    target.stage.post(&target.home).await;
    target.stage.wait_log("not delivered, will be tried again").await;
    assert_eq!(seen(), before);
}
