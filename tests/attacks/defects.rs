//! C-1, C-2, C-8, C-10, C-18, C-28: whatever can be seen to be wrong in the request itself, with a key we never saw.

use jiff::SignedDuration;
use owncast_herald::sim::fediverse::{Flavour, Person, SignOptions};
use serde_json::{Value, json};

use crate::rfc9421;
use crate::signatures::{covering, plain, rewritten, with};
use crate::target::{Target, asked_once, refusal};

/// A request that is wrong in one thing: its body, and how it is signed.
type Make = fn(&Target, &Person) -> (Vec<u8>, SignOptions);

fn follow(target: &Target, person: &Person) -> Value {
    target.follow_by(&person.id())
}

/// A good body under a signature with a departure.
fn signed(target: &Target, person: &Person, options: SignOptions) -> (Vec<u8>, SignOptions) {
    (follow(target, person).to_string().into(), options)
}

/// A body with a departure under a good signature.
fn said(target: &Target, person: &Person, change: impl FnOnce(&mut Value)) -> (Vec<u8>, SignOptions) {
    let mut body = follow(target, person);
    change(&mut body);
    (body.to_string().into(), plain())
}

/// A header that makes a long signature of one that covers it.
fn long(options: SignOptions) -> SignOptions {
    SignOptions { headers: vec![("x-long".to_owned(), "x".repeat(8 * 1024))], ..options }
}

fn key_id(target: &Target, person: &Person, id: String) -> (Vec<u8>, SignOptions) {
    signed(target, person, SignOptions { key_id: Some(id), ..plain() })
}

/// Name, status and code of the answer, and how the request is made.
const DEFECTS: [(&str, u16, &str, Make); 38] = [
    ("no signature", 401, "signature-missing", |t, p| {
        signed(t, p, SignOptions { unsigned: true, ..plain() })
    }),
    ("an unreadable signature", 401, "signature-malformed", |t, p| {
        signed(t, p, rewritten(|_| "keyId=".to_owned()))
    }),
    ("two signatures", 401, "duplicate-header", |t, p| signed(t, p, with("signature", "keyId=\"x\""))),
    ("an algorithm without worth", 401, "algorithm-unsupported", |t, p| {
        signed(t, p, SignOptions { algorithm: Some("rsa-sha1".to_owned()), ..plain() })
    }),
    ("a digest of another body", 401, "digest-mismatch", |t, p| {
        let swapped = Some(t.like_by(&p.id()).to_string().into_bytes());
        signed(t, p, SignOptions { swapped_body: swapped, ..plain() })
    }),
    ("no digest", 401, "not-covered", |t, p| signed(t, p, SignOptions { omit_digest: true, ..plain() })),
    ("a digest that is not signed", 401, "not-covered", |t, p| {
        signed(t, p, covering("(request-target) host date"))
    }),
    ("a host that is not signed", 401, "not-covered", |t, p| {
        signed(t, p, covering("(request-target) date digest"))
    }),
    ("a target that is not signed", 401, "not-covered", |t, p| signed(t, p, covering("host date digest"))),
    ("a date that is not signed", 401, "not-covered", |t, p| {
        signed(t, p, covering("(request-target) host digest"))
    }),
    ("signed for another host", 401, "host-mismatch", |t, p| {
        signed(t, p, SignOptions { host: Some("peer.example".to_owned()), ..plain() })
    }),
    ("an old date", 401, "clock-offset", |t, p| {
        signed(t, p, SignOptions { age: SignedDuration::from_hours(2), ..plain() })
    }),
    ("a date that is to come", 401, "clock-offset", |t, p| {
        signed(t, p, SignOptions { age: SignedDuration::from_hours(-2), ..plain() })
    }),
    ("a signature that is over", 401, "signature-expired", |t, p| {
        signed(t, p, rewritten(|text| format!("{text},expires=1")))
    }),
    ("a signature over too much", 401, "signature-too-large", |t, p| {
        signed(t, p, long(covering("(request-target) host date digest x-long")))
    }),
    ("a key of another server", 401, "origin", |t, p| key_id(t, p, format!("{}#main-key", t.fan.id()))),
    ("a key of another port", 401, "origin", |t, p| {
        key_id(t, p, format!("http://{}:9/users/x#main-key", p.server().address().ip()))
    }),
    ("a key of another scheme", 401, "origin", |t, p| key_id(t, p, p.key_id().replace("http:", "https:"))),
    ("a key of ours", 401, "origin", |t, p| key_id(t, p, format!("{}#main-key", t.stage.actor()))),
    ("a key that is no address", 401, "bad-address", |t, p| key_id(t, p, "acct:eve@peer.example".to_owned())),
    ("a key with a user in front of its host", 401, "bad-address", |t, p| {
        key_id(t, p, p.key_id().replace("://", "://eve@"))
    }),
    ("an actor of another server", 401, "origin", |t, p| {
        said(t, p, |body| body["actor"] = json!(t.fan.id()))
    }),
    ("an id of another server", 401, "origin", |t, p| {
        said(t, p, |body| body["id"] = json!(format!("{}#1", t.fan.id())))
    }),
    ("an actor with a password", 401, "bad-address", |t, p| {
        said(t, p, |body| body["actor"] = json!(p.id().replace("://", "://eve:x@")))
    }),
    ("an actor with a long id", 401, "bad-address", |t, p| {
        said(t, p, |body| body["actor"] = json!(format!("{}?{}", p.id(), "x".repeat(512))))
    }),
    ("a long id", 401, "bad-address", |t, p| {
        said(t, p, |body| body["id"] = json!(format!("{}#{}", p.id(), "x".repeat(512))))
    }),
    ("an Undo of what another did", 401, "not-yours", |t, p| {
        let inner = t.follow_by(&t.fan.id());
        (t.activity(&p.id(), "Undo", inner).to_string().into(), plain())
    }),
    ("not JSON", 400, "bad-json", |t, p| (follow(t, p).to_string().repeat(2).into(), plain())),
    ("a key of the body twice", 400, "bad-json", |t, p| {
        let text = follow(t, p).to_string();
        (text.replacen('{', &format!("{{\"actor\":{:?},", t.fan.id()), 1).into(), plain())
    }),
    ("two actors", 400, "bad-activity", |t, p| {
        said(t, p, |body| body["actor"] = json!([p.id(), t.fan.id()]))
    }),
    ("a body of another type", 415, "media-type", |t, p| {
        signed(t, p, SignOptions { content_type: Some("text/html".to_owned()), ..plain() })
    }),
    ("a body that is too large", 413, "too-large", |t, p| {
        said(t, p, |body| body["padding"] = json!("x".repeat(256 * 1024)))
    }),
    ("RFC 9421: a digest that is not signed", 401, "not-covered", |t, p| {
        signed(t, p, rfc9421::covering("@method @target-uri"))
    }),
    ("RFC 9421: a target that is not signed", 401, "not-covered", |t, p| {
        signed(t, p, rfc9421::covering("@method content-digest"))
    }),
    ("RFC 9421: an old signature", 401, "clock-offset", |t, p| {
        signed(t, p, SignOptions { age: SignedDuration::from_hours(2), ..rfc9421::plain() })
    }),
    ("RFC 9421: signed for another host", 401, "host-mismatch", |t, p| {
        signed(t, p, SignOptions { host: Some("peer.example".to_owned()), ..rfc9421::plain() })
    }),
    ("RFC 9421: a signature over too much", 401, "signature-too-large", |t, p| {
        signed(t, p, long(rfc9421::covering("@method @target-uri content-digest x-long")))
    }),
    ("RFC 9421: a key of another server", 401, "origin", |t, p| {
        signed(t, p, SignOptions { key_id: Some(t.fan.key_id()), ..rfc9421::plain() })
    }),
];

/// For each defect somebody of a server of its own, whose key we never saw. After the refusal the same person follows
/// honestly: had the defect made us ask for anything, it would stand before what that asks for.
#[tokio::test(flavor = "multi_thread")]
async fn c_01_c_02_c_08_c_10_c_18_c_28_a_defect_of_the_request_costs_no_request_of_ours() {
    let target = Target::start().await;
    let home = target.home.requests_count();
    let inbox = target.stage.inbox();
    for (place, (what, status, code, make)) in DEFECTS.into_iter().enumerate() {
        let eve = target.cold(Flavour::Mastodon).await;
        let (body, options) = make(&target, &eve);
        let reply = eve.custom_signed(&inbox, body, &options).await.unwrap();
        assert_eq!(refusal(&reply), (status, code.to_owned()), "{what}: {}", reply.body);
        target.unchanged_but_for(place as u64).await;
        target.stage.follow(&eve).await;
        asked_once(&eve);
    }
    // Nor was anybody asked whom they named.
    assert_eq!(target.home.requests_count(), home);
}

/// What cannot matter here costs nothing either: it is taken, and forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn c_25_what_does_not_concern_us_costs_no_request_of_ours() {
    let target = Target::start().await;
    let inbox = target.stage.inbox();
    let makes: [fn(&Target, &str) -> Value; 9] = [
        |t, me| t.activity(me, "Delete", json!(me)),
        |t, me| t.activity(me, "Delete", json!({"id": format!("{me}/1"), "type": "Tombstone"})),
        |t, me| t.activity(me, "Update", json!({"id": me, "type": "Person"})),
        |t, me| {
            let mut moved = t.activity(me, "Move", json!(me));
            moved["target"] = json!("https://peer.example/users/eve");
            moved
        },
        |t, me| t.activity(me, "View", json!(t.note)),
        |t, me| t.activity(me, "Like", json!("https://peer.example/notes/1")),
        |t, me| t.activity(me, "Follow", json!("https://peer.example/users/bob")),
        |t, me| t.activity(me, "Flag", json!(["https://peer.example/users/bob"])),
        |t, me| t.activity(me, "Question", json!({"oneOf": []})),
    ];
    for (place, make) in makes.into_iter().enumerate() {
        let ignored = target.ignored().await;
        let eve = target.cold(Flavour::Mastodon).await;
        let activity = make(&target, &eve.id());
        assert_eq!(eve.custom(&inbox, &activity).await.unwrap().status, 202, "{activity}");
        // A Delete of oneself behind the Follow would be that of a follower.
        target.wait_ignored(ignored + 1).await;
        target.unchanged_but_for(place as u64).await;
        target.stage.follow(&eve).await;
        asked_once(&eve);
    }
}
