//! Real reverse proxies with what `proxy-config` prints, in front of the simulated Owncast and the real program.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
pub mod support;

pub mod authority;
pub mod front;
pub mod tls;

use owncast_herald::sim::fediverse::{Flavour, PostSeen};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use front::{Front, Kind};
use support::stage::{ACTIVITY, no_complaints};
use support::wait::LONG;

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_nginx_sends_every_address_where_it_belongs() {
    everything(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_caddy_sends_every_address_where_it_belongs() {
    everything(Kind::Caddy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_apache_sends_every_address_where_it_belongs() {
    everything(Kind::Apache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_nginx_reaches_an_owncast_over_tls() {
    owncast_over_tls(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_caddy_reaches_an_owncast_over_tls() {
    owncast_over_tls(Kind::Caddy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_peer_apache_reaches_an_owncast_over_tls() {
    owncast_over_tls(Kind::Apache).await;
}

async fn owncast_over_tls(kind: Kind) {
    let front = Front::over_tls(kind).await;
    let page = front.get(&front.url("/")).await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("<title>Ana"));
    front.chat_opens().await;
}

async fn everything(kind: Kind) {
    let front = Front::start(kind).await;
    let post = a_follow_a_post_and_a_like(&front).await;
    ours(&front, &post).await;
    owncasts(&front).await;
    doctor_agrees(&front).await;
    let log = front.stage.agent.log();
    assert!(!log.contains("trusted-proxies"), "the proxy does not say who asks: {log}");
}

/// A server that only knows the handle follows, reads and likes, all through the proxy.
async fn a_follow_a_post_and_a_like(front: &Front) -> PostSeen {
    let stage = &front.stage;
    let server = stage.server(Flavour::Mastodon).await;
    let person = server.person("bo");
    let handle = format!("{}@{}", stage.owncast.config().username, front.host());
    let followed = person.follow(&handle).await.unwrap();
    assert_eq!(followed.reply.status, 202, "{followed:?}");
    assert!(person.wait_accepted(LONG).await, "no Accept: {:?}", server.violations());
    let post = stage.post(&server).await;
    assert!(post.note.starts_with(&front.url("/federation/")), "{post:?}");
    assert_eq!(person.like(&post.note).await.unwrap().status, 202);
    let line = stage.owncast.wait_chat(LONG, |line| line.html.contains("bo") && line.html.contains("like"));
    assert!(line.await.is_some(), "chat: {:?}", stage.owncast.chat());
    no_complaints(&server);
    post
}

fn told<'a>(answer: &'a Response, name: &str) -> (u16, &'a str) {
    let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
    (answer.status().as_u16(), value.unwrap_or_default())
}

/// Every address of ours is answered by the agent.
async fn ours(front: &Front, post: &PostSeen) {
    let actor = front.actor();
    let note = &post.note;
    for (address, kind) in [
        (actor.clone(), ACTIVITY),
        (format!("{actor}/outbox"), ACTIVITY),
        (format!("{actor}/outbox?page=1"), ACTIVITY),
        (format!("{actor}/followers"), ACTIVITY),
        (format!("{actor}/following"), ACTIVITY),
        (format!("{actor}/collections/featured"), ACTIVITY),
        (note.clone(), ACTIVITY),
        (format!("{note}/activity"), ACTIVITY),
        (format!("{note}/replies"), ACTIVITY),
        (post.media[0].url.clone(), "image/jpeg"),
        (
            front.url(&format!("/.well-known/webfinger?resource=acct:streamer@{}", front.host())),
            "application/jrd+json",
        ),
        (front.url("/.well-known/host-meta"), "application/xrd+xml; charset=utf-8"),
        (front.url("/.well-known/nodeinfo"), "application/json"),
        (front.url("/.well-known/x-nodeinfo2"), "application/json"),
        (
            front.url("/nodeinfo/2.0"),
            "application/json; profile=\"http://nodeinfo.diaspora.software/ns/schema/2.0#\"",
        ),
        (
            front.url("/nodeinfo/2.1"),
            "application/json; profile=\"http://nodeinfo.diaspora.software/ns/schema/2.1#\"",
        ),
        (front.url("/api/v1/instance"), "application/json"),
        (front.url("/api/followers"), "application/json"),
        (front.url("/federation/follow"), "text/html; charset=utf-8"),
    ] {
        let answer = front.get(&address).await;
        assert_eq!(told(&answer, CONTENT_TYPE.as_str()), (200, kind), "{address}");
        // Owncast's answers have no such header.
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{address}");
    }
    let followers: Value = front.get(&front.url("/api/followers")).await.json().await.unwrap();
    assert_eq!(followers["total"], 1, "{followers}");
    let page = front.http.get(note).header("accept", "text/html").send().await.unwrap();
    assert_eq!(told(&page, CONTENT_TYPE.as_str()), (200, "text/html; charset=utf-8"));
    let unsigned = front.http.post(format!("{actor}/inbox")).send().await.unwrap();
    assert_eq!(told(&unsigned, CONTENT_TYPE.as_str()), (415, "application/problem+json"));
    let nothing = front.get(&front.url("/federation/nothing")).await;
    assert_eq!(told(&nothing, CONTENT_TYPE.as_str()), (404, "application/problem+json"));
}

/// Everything else is Owncast's, but for challenges of certificates.
async fn owncasts(front: &Front) {
    let (owncast, before) = (&front.stage.owncast, front.stage.owncast.requests().len());
    let page = front.get(&front.url("/")).await;
    let link = format!("<{}>; rel=\"alternate\"; type=\"{ACTIVITY}\"", front.actor());
    assert_eq!(told(&page, "link"), (200, link.as_str()), "the page names its actor");
    assert!(page.text().await.unwrap().contains("<title>Ana"));
    let asked = [
        "/api/status",
        "/api/config",
        "/logo",
        "/thumbnail.jpg",
        "/hls/stream.m3u8",
        "/api/v1/instances",
        "/api/v1/instance/x",
        "/federations",
        "/.well-known/webfingers",
    ];
    for path in asked {
        let answer = front.get(&front.url(path)).await;
        assert_eq!(told(&answer, "link").1, "", "{path}");
    }
    let challenge = front.get(&front.url("/.well-known/acme-challenge/token")).await;
    assert!(challenge.headers().get("x-content-type-options").is_none(), "the agent answers challenges");
    let seen: Vec<_> = owncast.requests().into_iter().skip(before).map(|request| request.path).collect();
    for path in asked {
        assert!(seen.iter().any(|seen| seen == path), "{path} did not reach Owncast: {seen:?}");
    }
    let settings = front.http.get(front.url("/api/admin/serverconfig")).basic_auth("admin", Some("abc123"));
    assert_eq!(settings.send().await.unwrap().status(), 200);
    front.chat_opens().await;
}

/// Doctor finds nothing to complain of.
async fn doctor_agrees(front: &Front) {
    front.stage.wait_log("the webhook works").await;
    front.stage.wait_log("connected to Owncast's chat").await;
    let output = front.cli(&["doctor", "--json"]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    // What tests allow would not be allowed anywhere else, and the configuration says so.
    let findings =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] != "config");
    let others: Vec<_> = findings.filter(|finding| finding["level"] != "green").collect();
    assert!(others.is_empty() && output.status.code() != Some(4), "{report:#}");
    assert_eq!(report["public_url"], front.url(""));
}
