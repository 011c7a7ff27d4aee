//! C-7, C-8, C-24 and the limits: bodies that are no activity, too large, too deep, or never come.

use owncast_herald::sim::fediverse::{Flavour, SignOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::mallory::send;
use crate::support::wait::LONG;
use crate::target::{Target, never_contacted, refusal};

#[tokio::test(flavor = "multi_thread")]
async fn c_08_c_24_bodies_that_are_not_read() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let (us, id, inbox) = (target.stage.actor(), eve.id(), target.stage.inbox());
    let follow = target.follow_by(&id).to_string();
    let wrapped = |key: &str| follow.replacen('{', &format!("{{\"{key}\":[],"), 1);
    for (what, body, code) in [
        ("nothing", String::new(), "bad-json"),
        ("half", follow[..follow.len() / 2].into(), "bad-json"),
        ("twice", follow.repeat(2), "bad-json"),
        ("a comment", format!("/**/{follow}"), "bad-json"),
        (
            "the actor twice",
            follow.replacen('{', &format!("{{\"actor\":{:?},", target.fan.id()), 1),
            "bad-json",
        ),
        ("a key twice deep inside", follow.replacen('{', "{\"x\":{\"y\":{\"a\":1,\"a\":2}},", 1), "bad-json"),
        ("the same key in another spelling", follow.replacen('{', "{\"\\u0061ctor\":\"x\",", 1), "bad-json"),
        ("@graph", wrapped("@graph"), "bad-json"),
        ("@included", wrapped("@included"), "bad-json"),
        ("@reverse", wrapped("@reverse"), "bad-json"),
        ("deep", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "bad-json"),
        (
            "deep inside",
            follow.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(200), "]".repeat(200)), 1),
            "bad-json",
        ),
        ("wide", follow.replacen('{', &format!("{{\"to\":[{}0],", "0,".repeat(60_000)), 1), "bad-json"),
        ("not a number", follow.replacen('{', "{\"x\":NaN,", 1), "bad-json"),
        ("a large number", follow.replacen('{', "{\"x\":1e999,", 1), "bad-json"),
        ("a list", format!("[{follow}]"), "bad-activity"),
        ("a text", "\"Follow\"".into(), "bad-activity"),
        ("no type", json!({"actor": id, "object": us}).to_string(), "bad-activity"),
        ("no actor", json!({"type": "Follow", "object": us}).to_string(), "bad-activity"),
        (
            "two actors",
            json!({"type": "Follow", "actor": [id, id], "object": us}).to_string(),
            "bad-activity",
        ),
        (
            "two objects",
            json!({"type": "Follow", "actor": id, "object": [us, us]}).to_string(),
            "bad-activity",
        ),
        (
            "a long id",
            json!({"type": "Follow", "actor": id, "object": us, "id": "x".repeat(5_000)}).to_string(),
            "bad-activity",
        ),
    ] {
        let reply = eve.custom_signed(&inbox, body, &SignOptions::default()).await.unwrap();
        assert_eq!(refusal(&reply), (400, code.into()), "{what}: {}", reply.body);
    }
    let broken =
        eve.custom_signed(&inbox, vec![b'{', 0xff, 0xfe, b'}'], &SignOptions::default()).await.unwrap();
    assert_eq!(refusal(&broken), (400, "bad-json".into()));
    never_contacted(eve.server());
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_24_wrong_types_encodings_and_sizes() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    for kind in [
        "application/json",
        "text/html",
        "text/plain",
        "multipart/form-data",
        "application/activity+jsonx",
        "",
    ] {
        let options = SignOptions { content_type: Some(kind.into()), ..SignOptions::default() };
        assert_eq!(refusal(&target.try_follow(&eve, &options).await), (415, "media-type".into()), "{kind:?}");
    }
    for encoding in ["gzip", "identity", "br"] {
        let headers = vec![("content-encoding".to_owned(), encoding.to_owned())];
        let options = SignOptions { headers, ..SignOptions::default() };
        assert_eq!(
            refusal(&target.try_follow(&eve, &options).await),
            (415, "media-type".into()),
            "{encoding}"
        );
    }
    let inbox = target.stage.inbox();
    let padded = |size: usize| {
        let mut activity = target.follow_by(&eve.id());
        activity["padding"] = json!("x".repeat(size));
        activity.to_string()
    };
    let large = eve.custom_signed(&inbox, padded(256 * 1024), &SignOptions::default()).await.unwrap();
    assert_eq!(refusal(&large), (413, "too-large".into()));
    never_contacted(eve.server());
    target.unchanged().await;

    // In pieces, without saying how much it will be; and saying a lot more than will come.
    let path = inbox.strip_prefix(&target.stage.agent.public_url()).unwrap().to_owned();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/activity+json\r\nConnection: close\r\n",
        target.stage.agent.host()
    );
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..80 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend(std::iter::repeat_n(b'x', 4096));
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(send(&target.stage, &chunked).await.status, 413);
    let both = format!(
        "{head}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nPOST /x HTTP/1.1\r\n\r\n"
    );
    assert!(matches!(send(&target.stage, both.as_bytes()).await.status, 0 | 400), "two lengths");
    let two = format!("{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{{}}    ");
    assert!(matches!(send(&target.stage, two.as_bytes()).await.status, 0 | 400), "two lengths");
    let folded = format!("{head}X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\n{{}}");
    assert!(matches!(send(&target.stage, folded.as_bytes()).await.status, 0 | 400), "a folded line");
    let many = format!("{head}{}\r\n", "X-Many: x\r\n".repeat(20_000));
    assert!(matches!(send(&target.stage, many.as_bytes()).await.status, 0 | 400 | 431), "many headers");
    let long = format!("{head}X-Long: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(matches!(send(&target.stage, long.as_bytes()).await.status, 0 | 400 | 431), "a long header");
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_22_requests_that_never_come_to_an_end() {
    let target = Target::start().await;
    let host = target.stage.agent.host();
    let path = target.stage.inbox().strip_prefix(&target.stage.agent.public_url()).unwrap().to_owned();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/activity+json\r\n");
    let started = [
        String::new(),
        "POST ".into(),
        head.clone(),
        format!("{head}Content-Length: 1000\r\n\r\n{{"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"a\""),
    ];
    let mut open = Vec::new();
    for _ in 0..40 {
        for text in &started {
            let mut stream = TcpStream::connect(&host).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            open.push((stream, text.len()));
        }
    }
    // Others are served meanwhile.
    let bob = target.stranger(Flavour::Mastodon).await;
    target.stage.follow(&bob).await;
    for (mut stream, sent) in open {
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(LONG, async {
            // A byte at a time keeps nothing alive.
            let _ = stream.write_all(b" ").await;
            stream.read_to_end(&mut answer).await
        })
        .await;
        assert!(closed.is_ok(), "still open after {sent} bytes");
        let text = String::from_utf8_lossy(&answer);
        let refused = ["HTTP/1.1 408", "HTTP/1.1 400"].iter().any(|status| text.starts_with(status));
        assert!(text.is_empty() || refused, "{text}");
    }
    assert_eq!(target.stage.followers().await, 2);
}
