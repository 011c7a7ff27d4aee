//! C-3, C-4, C-6, C-7, C-12, C-21 to C-24, C-27: hostile documents behind a good signature.

use std::time::Duration;

use bytes::Bytes;
use owncast_herald::sim::fediverse::{Document, Flavour, Person, SignOptions};
use serde_json::{Value, json};

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
    let target = Target::start().await;
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
    target.stage.owncast.end_stream();
    target.stage.wait_log("the stream is over").await;
    never_contacted(victim.server());
    // No document of ours ever leads there either.
    assert_eq!(target.stage.followers().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn c_21_redirects() {
    let target = Target::start().await;
    let victim = target.stranger(Flavour::Mastodon).await;
    let metrics = target.stage.agent.metrics_url();
    let agent = target.stage.actor();
    let redirect = |to: String| Document {
        status: 302,
        content_type: "text/plain".into(),
        headers: vec![("location".into(), to)],
        body: Bytes::new(),
    };
    for to in [
        victim.id(),
        format!("//{}{}", victim.server().host(), path(&victim)),
        metrics,
        agent,
        "file:///etc/passwd".into(),
        "http://169.254.169.254/latest/".into(),
        "\\\\evil\\x".into(),
        String::new(),
    ] {
        refused(&target, &to, async |_, _| redirect(to.clone())).await;
    }
    never_contacted(victim.server());
    // A circle.
    let eve = target.stranger(Flavour::Mastodon).await;
    eve.server().place(&path(&eve), redirect(eve.id()));
    assert_eq!(target.try_follow(&eve, &SignOptions::default()).await.status, 401);
    assert!(eve.server().requests_count() <= 4, "{:?}", eve.server().requests());
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_23_an_encoded_document_is_not_unpacked() {
    let target = Target::start().await;
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
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    target.stage.follow(&eve).await;
    eve.announce(&target.note).await.unwrap();
    let asked: Vec<String> = eve.server().requests().into_iter().map(|request| request.target).collect();
    assert_eq!(asked, [path(&eve)], "one look at the actor, and at nothing that it names");
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
