//! C-3, C-4, C-6, C-7, C-12, C-21 to C-24, C-27: hostile documents behind a good signature.

use std::time::Duration;

use bytes::Bytes;
use owncast_herald::sim::fediverse::{Document, Flavour, Person, SignOptions};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::stage::SOON;
use crate::support::wait::{LONG, eventually};
use crate::target::{Target, never_contacted, refusal};

fn path(person: &Person) -> String {
    person.id().strip_prefix(&person.server().url()).unwrap().to_owned()
}

/// The document that a server would serve of a person.
async fn honest(target: &Target, person: &Person) -> Value {
    target.stage.http.get(person.id()).send().await.unwrap().json().await.unwrap()
}

fn changed(document: &Value, change: impl FnOnce(&mut Value)) -> Document {
    let mut document = document.clone();
    change(&mut document);
    Document::activity(&document)
}

fn typed(document: &Value, content_type: &str) -> Document {
    Document { content_type: content_type.into(), ..Document::activity(document) }
}

/// Another stream begins, and somebody who follows has its post in an inbox of their own.
async fn next_post(target: &Target, person: &Person) {
    target.stage.owncast.end_stream();
    target.stage.wait_log("the stream is over").await;
    target.stage.owncast.go_live_with(SOON);
    let inbox = person.inbox().strip_prefix(&person.server().url()).unwrap().to_owned();
    eventually("their own inbox has the post", LONG, async || {
        let received = person.server().received();
        received.iter().any(|sent| sent.inbox == inbox && sent.kind() == "Create").then_some(())
    })
    .await;
}

/// What was asked of a person's server, in order.
fn asked(person: &Person) -> Vec<String> {
    person.server().requests().into_iter().map(|request| request.target).collect()
}

/// With that document in place of the actor's, the Follow is refused and stays without effect.
async fn refused(target: &Target, name: &str, make: impl AsyncFnOnce(&Person, Value) -> Document) {
    let eve = target.stranger(Flavour::Mastodon).await;
    let document = honest(target, &eve).await;
    let document = make(&eve, document).await;
    eve.server().place(&path(&eve), document);
    let reply = target.try_follow(&eve, &SignOptions::default()).await;
    assert_eq!(refusal(&reply), (401, "signature-invalid".into()), "{name}: {reply:?}");
    assert_eq!(eve.server().received_count(), 0, "{name}");
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_03_a_document_that_is_somebody_elses() {
    let target = Target::start().await;
    let victim = target.stranger(Flavour::Mastodon).await;
    let theirs = victim.id();
    refused(&target, "id on another host", async |_, document| {
        changed(&document, |d| d["id"] = json!(theirs))
    })
    .await;
    never_contacted(victim.server());
    refused(&target, "id of a neighbour that is not there", async |eve, document| {
        changed(&document, |d| d["id"] = json!(format!("{}x", eve.id())))
    })
    .await;
    refused(&target, "no id", async |_, document| changed(&document, |d| d["id"] = Value::Null)).await;
    refused(&target, "no actor", async |_, document| changed(&document, |d| d["type"] = json!("Note"))).await;
    refused(&target, "id with a fragment", async |eve, document| {
        changed(&document, |d| d["id"] = json!(format!("{}#me", eve.id())))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_04_a_key_that_its_owner_does_not_list() {
    let target = Target::start().await;
    let fan = target.fan.id();
    refused(&target, "owner is another actor", async |_, d| {
        changed(&d, |d| d["publicKey"]["owner"] = json!(fan))
    })
    .await;
    refused(&target, "no owner", async |_, d| changed(&d, |d| d["publicKey"]["owner"] = Value::Null)).await;
    refused(&target, "another id", async |eve, d| {
        changed(&d, |d| d["publicKey"]["id"] = json!(format!("{}#other", eve.id())))
    })
    .await;
    refused(&target, "a key on another host", async |_, d| {
        changed(&d, |d| d["publicKey"]["id"] = json!(format!("{fan}#main-key")))
    })
    .await;
    refused(&target, "no key", async |_, d| changed(&d, |d| d["publicKey"] = Value::Null)).await;
    let weak = openssl::rsa::Rsa::generate(1024).unwrap().public_key_to_pem().unwrap();
    let weak = String::from_utf8(weak).unwrap();
    refused(&target, "a weak key", async |_, d| {
        changed(&d, |d| d["publicKey"]["publicKeyPem"] = json!(weak))
    })
    .await;

    // A key document of its own names the victim as its owner, who does not list it.
    let eve = target.stranger(Flavour::Mastodon).await;
    let bob = eve.server().person("bob");
    let mut key = honest(&target, &eve).await["publicKey"].clone();
    let key_id = format!("{}/key", eve.server().url());
    key["id"] = json!(key_id);
    key["type"] = json!("CryptographicKey");
    key["owner"] = json!(bob.id());
    eve.server().place("/key", Document::activity(&key));
    let options = SignOptions { key_id: Some(key_id), ..SignOptions::default() };
    let body = target.follow_by(&bob.id()).to_string();
    let reply = eve.custom_signed(&target.stage.inbox(), body, &options).await.unwrap();
    assert_eq!(refusal(&reply), (401, "signature-invalid".into()), "{reply:?}");
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_06_a_document_of_another_type() {
    let target = Target::start().await;
    for kind in [
        "text/html",
        "application/json",
        "application/ld+json",
        "image/png",
        "",
        "application/ld+json; profile=\"https://example.org/\"",
    ] {
        refused(&target, kind, async |_, document| typed(&document, kind)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c_07_documents_that_only_an_expanding_reader_understands() {
    let target = Target::start().await;
    for key in ["@graph", "@included", "@reverse"] {
        refused(&target, key, async |_, d| changed(&d, |d| d[key] = json!([{"id": "x"}]))).await;
    }
    // A context that gives other names to everything is not read, nor is it fetched.
    let eve = target.stranger(Flavour::Mastodon).await;
    let mut follow = target.follow_by(&eve.id());
    follow["@context"] =
        json!([format!("{}/context", eve.server().url()), {"actor": "as:nobody", "victim": "as:actor"}]);
    follow["victim"] = json!(target.fan.id());
    assert_eq!(eve.custom(&target.stage.inbox(), &follow).await.unwrap().status, 202);
    target.stage.wait_followers(2).await;
    let asked = eve.server().requests();
    assert!(asked.iter().all(|request| request.target.starts_with(&path(&eve))), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c_08_an_actor_with_the_same_key_twice() {
    let target = Target::start().await;
    refused(&target, "duplicate key", async |_, document| {
        let text = document.to_string();
        let twice = text.replacen("\"inbox\"", "\"inbox\":\"http://127.0.0.1:9/\",\"inbox\"", 1);
        Document { body: twice.into(), ..Document::activity(&document) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_12_inboxes_of_somebody_else() {
    let target = Target::with(&[("go-live.repost-after", "\"0s\"")]).await;
    let victim = target.stranger(Flavour::Mastodon).await;
    let inbox = victim.inbox();
    refused(&target, "inbox", async |_, d| changed(&d, |d| d["inbox"] = json!(inbox))).await;
    refused(&target, "a long one", async |eve, d| {
        changed(&d, |d| d["inbox"] = json!(format!("{}?{}", eve.inbox(), "x".repeat(512))))
    })
    .await;
    // A shared inbox elsewhere is dropped; the personal one serves.
    let eve = target.stranger(Flavour::Mastodon).await;
    let document = honest(&target, &eve).await;
    let shared = json!({"sharedInbox": victim.server().shared_inbox()});
    eve.server().place(&path(&eve), changed(&document, |d| d["endpoints"] = shared));
    target.stage.follow(&eve).await;
    next_post(&target, &eve).await;
    never_contacted(victim.server());
    assert_eq!(target.stage.followers().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn c_21_redirects() {
    let target = Target::start().await;
    let victim = target.stranger(Flavour::Mastodon).await;
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trapped = format!("http://{}/metrics", trap.local_addr().unwrap());
    let (metrics, agent) = (target.stage.agent.metrics_url(), target.stage.actor());
    let redirect = |to: String| Document {
        status: 302,
        content_type: "text/plain".into(),
        headers: vec![("location".into(), to)],
        body: Bytes::new(),
    };
    for to in [
        victim.id(),
        format!("//{}{}", victim.server().host(), path(&victim)),
        trapped,
        metrics,
        agent,
        "file:///etc/passwd".into(),
        "http://169.254.169.254/latest/".into(),
        "\\\\evil\\x".into(),
        String::new(),
    ] {
        refused(&target, &to, async |_, _| redirect(to.clone())).await;
    }
    // Nor from http to https, or back, of the same host.
    refused(&target, "another scheme", async |eve, _| redirect(eve.id().replacen("http:", "https:", 1)))
        .await;
    never_contacted(victim.server());
    let called = tokio::time::timeout(Duration::ZERO, trap.accept()).await;
    assert!(called.is_err(), "this machine was called: {called:?}");
    // Three on the same host and no more.
    for (hops, arrives) in [(3, true), (4, false)] {
        let eve = target.stranger(Flavour::Mastodon).await;
        let step = |number: usize| format!("/hop/{number}");
        for number in 1..=hops {
            let to = if number == hops { path(&eve) } else { step(number + 1) };
            eve.server().place(&step(number), redirect(to));
        }
        let key_id = Some(format!("{}{}", eve.server().url(), step(1)));
        let options = SignOptions { key_id, ..SignOptions::default() };
        assert_eq!(refusal(&target.try_follow(&eve, &options).await), (401, "signature-invalid".into()));
        let mut way: Vec<String> = (1..=hops).map(step).collect();
        way.extend(arrives.then(|| path(&eve)));
        assert_eq!(asked(&eve), way);
    }
    // A circle.
    let eve = target.stranger(Flavour::Mastodon).await;
    eve.server().place(&path(&eve), redirect(eve.id()));
    assert_eq!(target.try_follow(&eve, &SignOptions::default()).await.status, 401);
    assert!(eve.server().requests_count() <= 4, "{:?}", eve.server().requests());
    target.unchanged().await;
}

/// A gzip file (RFC 1952) of these bytes and so many times 258 spaces.
fn packed(bytes: &[u8], times: usize) -> Document {
    let mut bits = Bits::default();
    // One last block with the codes that are fixed (RFC 1951, 3.2.6).
    bits.put(0b011, 3);
    let literal = |bits: &mut Bits, byte: u8| match byte {
        0..144 => bits.code(0x30 + u32::from(byte), 8),
        _ => bits.code(0x190 + u32::from(byte) - 144, 9),
    };
    bytes.iter().chain((times > 0).then_some(&b' ')).for_each(|byte| literal(&mut bits, *byte));
    for _ in 0..times {
        // As many bytes as one copy can have, from one byte back.
        bits.code(0b1100_0101, 8);
        bits.code(0, 5);
    }
    bits.code(0, 7);
    let mut whole = bytes.to_vec();
    whole.resize(bytes.len() + times * 258 + usize::from(times > 0), b' ');
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    file.extend(bits.bytes);
    file.extend(crc32(&whole).to_le_bytes());
    file.extend(u32::try_from(whole.len()).unwrap().to_le_bytes());
    let headers = vec![("content-encoding".into(), "gzip".into())];
    Document { headers, body: file.into(), ..Document::activity(&Value::Null) }
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= (((value >> bit) & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }

    /// A code, which stands with its highest bit first.
    fn code(&mut self, code: u32, count: u32) {
        self.put(code.reverse_bits() >> (32 - count), count);
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8)
            .fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (!(crc & 1)).wrapping_add(1)))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn c_23_an_encoded_document_is_not_unpacked() {
    let target = Target::start().await;
    refused(&target, "packed", async |_, document| packed(document.to_string().as_bytes(), 0)).await;
    refused(&target, "a bomb", async |_, document| {
        // The document, and spaces behind it as JSON may have: 5 MB in 33 KB.
        packed(document.to_string().as_bytes(), 20_000)
    })
    .await;
    for encoding in ["gzip", "br", "deflate", "gzip, gzip"] {
        refused(&target, encoding, async |_, document| Document {
            headers: vec![("content-encoding".into(), encoding.into())],
            ..Document::activity(&document)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c_24_huge_and_deep_documents() {
    let target = Target::start().await;
    refused(&target, "deep", async |_, document| {
        let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
        let text = document.to_string();
        Document {
            body: text.replacen('{', &format!("{{\"x\":{deep},"), 1).into(),
            ..Document::activity(&document)
        }
    })
    .await;
    refused(&target, "wide", async |_, d| changed(&d, |d| d["attachment"] = json!(vec![1; 30_000]))).await;
    refused(&target, "large", async |_, d| changed(&d, |d| d["summary"] = json!("x".repeat(256 << 10))))
        .await;
    // A long name is cut, and its owner welcome.
    let eve = target.stranger(Flavour::Mastodon).await;
    eve.set_display_name(&"ü".repeat(100_000));
    target.stage.follow(&eve).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_27_collections_are_never_walked() {
    let target = Target::with(&[("go-live.repost-after", "\"0s\"")]).await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let document = honest(&target, &eve).await;
    // One without end, whatever of hers it is asked for as.
    let walk = format!("{}/walk", eve.server().url());
    let page = json!({"id": walk, "type": "OrderedCollectionPage", "next": walk, "first": walk, "last": walk,
        "partOf": walk, "totalItems": 1_u64 << 40, "orderedItems": [walk], "items": [walk]});
    eve.server().place("/walk", Document::activity(&page));
    let named = ["outbox", "followers", "following", "liked", "featured", "featuredTags", "streams"];
    let endless = changed(&document, |d| {
        named.iter().for_each(|name| d[*name] = json!(walk));
        d["endpoints"] = Value::Null;
    });
    eve.server().place(&path(&eve), endless);
    let before = asked(&eve).len();
    target.stage.follow(&eve).await;
    let mut boost = target.activity(&eve.id(), "Announce", json!(target.note));
    boost["replies"] = json!(walk);
    boost["cc"] = json!([walk]);
    assert_eq!(eve.custom(&target.stage.inbox(), &boost).await.unwrap().status, 202);
    target.count(1, 1).await;
    next_post(&target, &eve).await;
    assert_eq!(asked(&eve)[before..], [path(&eve)], "one look at the actor, and at nothing that it names");
}

#[tokio::test(flavor = "multi_thread")]
async fn c_22_a_server_that_never_answers_is_not_waited_for() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    eve.server().set_answer(owncast_herald::sim::fediverse::Answer::Hang).await;
    let body = target.follow_by(&eve.id()).to_string();
    let begun = std::time::Instant::now();
    // A GET may take ten seconds, and a search two of them.
    let answer = eve.custom_signed(&target.stage.inbox(), body, &SignOptions::default()).await;
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert_eq!(refusal(&answer.unwrap()), (503, "key-unavailable".into()));
    // Meanwhile others are served.
    let bob = target.stranger(Flavour::Mastodon).await;
    target.stage.follow(&bob).await;
    assert_eq!(target.stage.followers().await, 2);
}
