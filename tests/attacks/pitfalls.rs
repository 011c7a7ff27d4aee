//! C-2, C-18: every known pitfall of signatures, in one table.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::sha::{sha256, sha512};
use owncast_herald::sim::fediverse::{Flavour, SignOptions};
use serde_json::json;

use crate::mallory::{Mallory, send};
use crate::rfc9421::{self, both, input};
use crate::signatures::{covering, plain, rewritten, with, without_list};
use crate::target::{Target, refusal};

const PATH: &str = "/federation/user/streamer/inbox";

/// What must come of it.
enum Want {
    /// 202, and the sender follows.
    Taken,
    /// 401 with this code.
    Code(&'static str),
    /// No answer, or 400, by the HTTP layer itself; or one of these codes.
    Unread(&'static [&'static str]),
}
use Want::{Code, Taken, Unread};

/// How the request is made.
enum How {
    /// A sender that departs from its ways; the text is the body that it sends.
    Sent(fn(&str) -> SignOptions),
    /// Bytes of a good request, changed.
    Bytes(fn(String) -> String),
}
use How::{Bytes, Sent};

fn digest(text: String) -> SignOptions {
    SignOptions { digest: Some(text), ..plain() }
}

fn sum(body: &str) -> String {
    STANDARD.encode(sha256(body.as_bytes()))
}

fn algorithm(name: &str) -> SignOptions {
    SignOptions { algorithm: Some(name.to_owned()), ..plain() }
}

fn created(age: i64) -> SignOptions {
    SignOptions {
        age: SignedDuration::from_mins(age),
        algorithm: Some("hs2019".to_owned()),
        ..covering("(request-target) (created) host digest")
    }
}

fn key_id(id: &str) -> SignOptions {
    SignOptions { key_id: Some(id.to_owned()), ..plain() }
}

fn wide(body: &str, right: bool) -> String {
    let bytes = if right { body.as_bytes() } else { b"x" };
    format!("SHA-256={},SHA-512={}", sum(body), STANDARD.encode(sha512(bytes)))
}

const PITFALLS: &[(&str, Want, How)] = &[
    // Digests.
    ("no digest", Code("not-covered"), Sent(|_| SignOptions { omit_digest: true, ..plain() })),
    ("the digest not signed", Code("not-covered"), Sent(|_| covering("(request-target) host date"))),
    ("the digest of nothing", Code("digest-mismatch"), Sent(|_| digest(format!("SHA-256={}", sum(""))))),
    ("sha-256 in small letters", Taken, Sent(|body| digest(format!("sha-256={}", sum(body))))),
    ("two good digests", Taken, Sent(|body| digest(format!("SHA-256={0},SHA-256={0}", sum(body))))),
    (
        "a good and a bad one",
        Code("digest-mismatch"),
        Sent(|body| digest(format!("SHA-256={},SHA-256={}", sum(body), sum("")))),
    ),
    (
        "a bad and a good one",
        Code("digest-mismatch"),
        Sent(|body| digest(format!("SHA-256={},SHA-256={}", sum(""), sum(body)))),
    ),
    ("two that are good, of two kinds", Taken, Sent(|body| digest(wide(body, true)))),
    ("a bad SHA-512 beside a good SHA-256", Code("digest-mismatch"), Sent(|body| digest(wide(body, false)))),
    (
        "padding left out",
        Code("digest-malformed"),
        Sent(|body| digest(format!("SHA-256={}", sum(body).trim_end_matches('=')))),
    ),
    ("padding too long", Code("digest-malformed"), Sent(|body| digest(format!("SHA-256={}=", sum(body))))),
    (
        "the digest twice",
        Code("duplicate-header"),
        Sent(|body| with("digest", &format!("SHA-256={}", sum(body)))),
    ),
    ("Content-Digest not signed", Code("not-covered"), Sent(|_| rfc9421::covering("@method @target-uri"))),
    ("only MD5", Code("digest-unsupported"), Sent(|_| digest("MD5=AAAA".to_owned()))),
    ("both schemes at once", Code("signature-malformed"), Sent(|_| with("signature-input", "sig1=()"))),
    // What is covered.
    (
        "an empty list",
        Code("signature-malformed"),
        Sent(|_| rewritten(|text| without_list(text, "headers=\"\","))),
    ),
    ("no list", Code("not-covered"), Sent(|_| rewritten(|text| without_list(text, "")))),
    (
        "a header twice",
        Code("covered-twice"),
        Sent(|_| rewritten(|text| text.replace("headers=\"", "headers=\"host "))),
    ),
    (
        "a header that is not there",
        Code("covered-header-absent"),
        Sent(|_| rewritten(|text| text.replace("headers=\"", "headers=\"x-no "))),
    ),
    (
        "an unknown pseudo-header",
        Code("pseudo-header-unsupported"),
        Sent(|_| rewritten(|text| text.replace("headers=\"", "headers=\"(x) "))),
    ),
    // Clocks.
    ("created is to come", Code("clock-offset"), Sent(|_| created(-120))),
    ("created long ago", Code("clock-offset"), Sent(|_| created(120))),
    ("created now", Taken, Sent(|_| created(0))),
    (
        "created with an algorithm that knows none",
        Code("pseudo-header-unsupported"),
        Sent(|_| SignOptions { algorithm: Some("rsa-sha256".to_owned()), ..created(0) }),
    ),
    ("expires is past", Code("signature-expired"), Sent(|_| rewritten(|text| format!("{text},expires=1")))),
    (
        "created with a fraction",
        Code("signature-malformed"),
        Sent(|_| rewritten(|text| format!("{text},created=1.5"))),
    ),
    ("a Date of another form", Code("date-malformed"), Bytes(|text| dated(text, "2026-11-03T18:00:00Z"))),
    ("a Date of no form", Code("date-malformed"), Bytes(|text| dated(text, "yesterday"))),
    // Algorithms and keys.
    ("HMAC", Code("algorithm-unsupported"), Sent(|_| algorithm("hmac-sha256"))),
    ("SHA-1", Code("algorithm-unsupported"), Sent(|_| algorithm("rsa-sha1"))),
    ("none", Code("algorithm-unsupported"), Sent(|_| algorithm("none"))),
    ("the algorithm of another type of key", Code("signature-invalid"), Sent(|_| algorithm("ed25519"))),
    (
        "keyId twice",
        Code("duplicate-parameter"),
        Sent(|_| rewritten(|text| format!("{text},keyId=\"https://peer.example/k\""))),
    ),
    (
        "keyId with a user",
        Code("bad-address"),
        Sent(|_| key_id("https://eve@peer.example/users/eve#main-key")),
    ),
    ("keyId of another port", Code("origin"), Sent(|_| key_id("http://127.0.0.1:9/users/eve#main-key"))),
    ("keyId of a file", Code("bad-address"), Sent(|_| key_id("file:///etc/passwd"))),
    (
        "keyId that is too long",
        Code("signature-malformed"),
        Sent(|_| key_id(&format!("https://peer.example/{}", "x".repeat(3000)))),
    ),
    (
        "keyId with a line end",
        Unread(&["signature-malformed"]),
        Bytes(|text| text.replacen("keyId=\"", "keyId=\"\n", 1)),
    ),
    // HTTP.
    ("two signatures", Code("duplicate-header"), Sent(|_| with("signature", "keyId=\"x\""))),
    ("two dates", Code("duplicate-header"), Sent(|_| with("date", "Tue, 03 Nov 2026 18:00:00 GMT"))),
    (
        "two hosts",
        Unread(&["duplicate-header"]),
        Bytes(|text| text.replacen("Date:", "Host: peer.example\r\nDate:", 1)),
    ),
    ("a folded line", Unread(&[]), Bytes(|text| text.replacen("Digest: ", "Digest:\r\n ", 1))),
    (
        "a line end within a value",
        Unread(&[]),
        Bytes(|text| text.replacen("Digest: SHA", "Digest: \nSHA", 1)),
    ),
    ("a NUL within a value", Unread(&[]), Bytes(|text| text.replacen("Digest: SHA", "Digest: \0SHA", 1))),
    ("a space before the colon", Unread(&[]), Bytes(|text| text.replacen("Digest:", "Digest :", 1))),
    (
        "no host",
        Unread(&["host-mismatch", "covered-header-absent"]),
        Bytes(|text| {
            let (before, after) = text.split_once("Host: ").unwrap();
            format!("{before}{}", after.split_once("\r\n").unwrap().1)
        }),
    ),
    (
        "dots that are encoded",
        Code("not-found"),
        Bytes(|text| text.replacen("/user/streamer", "/x/%2e%2e/user/streamer", 1)),
    ),
    ("dots", Code("not-found"), Bytes(|text| text.replacen("/user/streamer", "/x/../user/streamer", 1))),
    ("two slashes", Code("not-found"), Bytes(|text| text.replacen("POST /", "POST //", 1))),
    (
        "a letter that is encoded",
        Code("method-not-allowed"),
        Bytes(|text| text.replacen("/inbox HTTP", "/%69nbox HTTP", 1)),
    ),
    // Whom it is for says the host that was signed.
    (
        "an absolute target of another host",
        Taken,
        Bytes(|text| text.replacen("POST /", "POST http://peer.example/", 1)),
    ),
    ("a query that is not signed", Taken, Bytes(|text| text.replacen("/inbox HTTP", "/inbox?x=1 HTTP", 1))),
    // RFC 9421.
    ("two labels that would both do", Code("signature-ambiguous"), Sent(|_| both(doubled, doubled))),
    (
        "a label without a signature",
        Code("signature-malformed"),
        Sent(|_| both(doubled, |text| text.to_owned())),
    ),
    (
        "an unknown component",
        Code("component-unsupported"),
        Sent(|_| input(|text| text.replacen('(', "(\"@x\" ", 1))),
    ),
    (";bs", Code("component-unsupported"), Sent(|_| input(|text| text.replace("\"host\"", "\"host\";bs")))),
    (
        ";sf",
        Code("component-unsupported"),
        Sent(|_| input(|text| text.replace("\"content-digest\"", "\"content-digest\";sf"))),
    ),
    (
        "@query-param",
        Code("component-unsupported"),
        Sent(|_| input(|text| text.replacen('(', "(\"@query-param\";name=\"a\" ", 1))),
    ),
    ("no created", Code("signature-malformed"), Sent(|_| input(|text| text.replace("created", "made")))),
    (
        "created two hours ago",
        Code("clock-offset"),
        Sent(|_| SignOptions { age: SignedDuration::from_hours(2), ..rfc9421::plain() }),
    ),
    (
        "alg of another type of key",
        Code("signature-invalid"),
        Sent(|_| SignOptions { algorithm: Some("ed25519".to_owned()), ..rfc9421::plain() }),
    ),
    (
        "alg that is HMAC",
        Code("algorithm-unsupported"),
        Sent(|_| SignOptions { algorithm: Some("hmac-sha256".to_owned()), ..rfc9421::plain() }),
    ),
    (
        "something behind the parameters",
        Code("signature-malformed"),
        Sent(|_| input(|text| format!("{text} x"))),
    ),
    (
        "@authority with another port",
        Code("host-mismatch"),
        Sent(|_| SignOptions {
            host: Some("127.0.0.1:1".to_owned()),
            ..rfc9421::covering("@method @authority @path content-digest")
        }),
    ),
    (
        "@authority with our port",
        Taken,
        Sent(|_| rfc9421::covering("@method @authority @path content-digest")),
    ),
];

fn doubled(text: &str) -> String {
    format!("{text}, {}", text.replacen("sig1", "sig2", 1))
}

fn dated(text: String, date: &str) -> String {
    let (before, after) = text.split_once("Date: ").unwrap();
    format!("{before}Date: {date}\r\n{}", after.split_once("\r\n").unwrap().1)
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_c_18_every_known_pitfall() {
    let target = Target::start().await;
    let people = target.stage.server(Flavour::Mastodon).await.crowd(PITFALLS.len());
    let server = target.stage.server(Flavour::Mastodon).await;
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let pem = String::from_utf8(key.public_key_to_pem().unwrap()).unwrap();
    let mut followers = 1;
    for (place, ((what, want, how), person)) in PITFALLS.iter().zip(people).enumerate() {
        let reply = match how {
            Sent(options) => {
                let body = target.follow_by(&person.id()).to_string();
                let options = options(&body);
                person.custom_signed(&target.stage.inbox(), body, &options).await.unwrap()
            }
            Bytes(change) => {
                let mallory = Mallory::unseen(&server, &format!("mallory{place}"), key.clone());
                let (id, key_id) = (&mallory.id, &mallory.key_id);
                mallory.show(json!({"publicKey": {"id": key_id, "owner": id, "publicKeyPem": pem}}));
                let request = mallory.request(&target.stage, PATH, &target.follow_by(id), 0);
                send(&target.stage, change(String::from_utf8(request).unwrap()).as_bytes()).await
            }
        };
        let (status, code) = refusal(&reply);
        let as_wanted = match want {
            Taken => {
                followers += 1;
                status == 202
            }
            Code(wanted) => code == *wanted && status >= 400,
            Unread(codes) => matches!(status, 0 | 400) || codes.contains(&code.as_str()),
        };
        assert!(as_wanted, "{what}: {reply:?}");
        assert_eq!(target.stage.followers().await, followers, "{what}");
    }
    target.count(1, 0).await;
}
