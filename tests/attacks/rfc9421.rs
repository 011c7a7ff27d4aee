//! C-2, C-15, C-18 and the pitfalls of signatures by RFC 9421: what is wrong in the request itself costs nobody a
//! request of ours.

use jiff::SignedDuration;
use owncast_herald::sim::fediverse::{Flavour, Scheme, SignOptions, SigningKey};

use crate::mallory::{Mallory, send};
use crate::signatures::refused_without_a_request;
use crate::target::{Target, never_contacted, refusal};

const PATH: &str = "/federation/user/streamer/inbox";
const OTHER: &str = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";

pub fn plain() -> SignOptions {
    SignOptions { scheme: Some(Scheme::Rfc9421), ..SignOptions::default() }
}

pub fn covering(list: &str) -> SignOptions {
    SignOptions { covered: Some(list.split(' ').map(str::to_owned).collect()), ..plain() }
}

pub fn input(rewrite: fn(&str) -> String) -> SignOptions {
    SignOptions { rewrite_input: Some(rewrite), ..plain() }
}

pub fn both(input: fn(&str) -> String, signature: fn(&str) -> String) -> SignOptions {
    SignOptions { rewrite_input: Some(input), rewrite_signature: Some(signature), ..plain() }
}

pub fn with(name: &str, value: &str) -> SignOptions {
    SignOptions { headers: vec![(name.into(), value.into())], ..plain() }
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_rfc9421_coverage() {
    refused_without_a_request(vec![
        (covering("@method @target-uri"), "not-covered"),
        (covering("@method @target-uri content-type date host"), "not-covered"),
        (covering("@target-uri content-digest"), "not-covered"),
        (covering("@method content-digest"), "not-covered"),
        (covering("@method @path content-digest"), "not-covered"),
        (covering("@method @authority content-digest"), "not-covered"),
        (covering("@method @path host content-digest"), "not-covered"),
        (input(|_| "sig1=();created=1;keyid=\"x\"".into()), "not-covered"),
        (input(|text| text.replacen('(', "(\"host\" ", 1)), "covered-twice"),
        (input(|text| text.replacen('(', "(\"x-absent\" ", 1)), "covered-header-absent"),
        (input(|text| text.replacen('(', "(\"@status\" ", 1)), "component-unsupported"),
        (input(|text| text.replacen('(', "(\"@query-param\";name=\"a\" ", 1)), "component-unsupported"),
        (input(|text| text.replace("\"content-digest\"", "\"content-digest\";bs")), "component-unsupported"),
        (input(|text| text.replace("\"content-digest\"", "\"content-digest\";sf")), "component-unsupported"),
        (input(|text| text.replace("\"host\"", "\"Host\"")), "component-unsupported"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_rfc9421_digest() {
    let digest = |text: &str| SignOptions { digest: Some(text.to_owned()), ..plain() };
    refused_without_a_request(vec![
        (digest(OTHER), "digest-mismatch"),
        (digest("sha-256=:AAAA:"), "digest-mismatch"),
        (digest("sha-512=:AAAA:"), "digest-mismatch"),
        (digest(&format!("{OTHER}, {OTHER}")), "digest-malformed"),
        (digest("SHA-256=AAAA"), "digest-malformed"),
        (digest("sha-256=AAAA"), "digest-malformed"),
        (digest("md5=:AAAA:"), "digest-unsupported"),
        (SignOptions { omit_digest: true, ..plain() }, "not-covered"),
        (
            SignOptions { omit_digest: true, ..input(|text| text.replacen('(', "(\"content-digest\" ", 1)) },
            "digest-missing",
        ),
        // The other scheme's header does not stand in for it.
        (
            SignOptions {
                headers: vec![("digest".into(), "SHA-256=AAAA".into())],
                omit_digest: true,
                ..covering("@method @target-uri digest")
            },
            "not-covered",
        ),
        (with("content-digest", OTHER), "duplicate-header"),
    ])
    .await;

    let target = Target::start().await;
    let eve = target.stranger(Flavour::Fedify).await;
    let swapped = target.like_by(&eve.id()).to_string().into_bytes();
    let options = SignOptions { swapped_body: Some(swapped), ..plain() };
    assert_eq!(refusal(&target.try_follow(&eve, &options).await), (401, "digest-mismatch".into()));
    never_contacted(eve.server());
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_rfc9421_malformed() {
    let alg = |name: &str| SignOptions { algorithm: Some(name.into()), ..plain() };
    refused_without_a_request(vec![
        (input(|_| "nonsense".into()), "signature-malformed"),
        (input(|_| "sig1=\"x\"".into()), "signature-malformed"),
        (input(|text| format!("{text} trailing")), "signature-malformed"),
        (input(|text| format!("{text},")), "signature-malformed"),
        (input(|text| text.replace("keyid", "other")), "signature-malformed"),
        (input(|text| text.replace("created=", "created=1.")), "signature-malformed"),
        (input(|text| text.replace("created", "made")), "signature-malformed"),
        (input(|text| format!("{text};x=\"{}\"", "x".repeat(9_000))), "signature-malformed"),
        (input(|text| format!("{text};keyid=\"x\"")), "duplicate-parameter"),
        (both(|text| text.into(), |_| "nonsense".into()), "signature-malformed"),
        (both(|text| text.into(), |text| text.replace("sig1", "sig2")), "signature-malformed"),
        (both(|text| text.into(), |text| text.replace("=:", "=:*")), "signature-malformed"),
        (both(|text| text.into(), |text| format!("{text}, sig2=:AAAA:")), "signature-malformed"),
        // As cavage writes it, beside a Signature-Input.
        (both(|text| text.into(), |_| "keyId=\"k\",signature=\"AAAA\"".into()), "signature-malformed"),
        (with("signature-input", "sig2=()"), "duplicate-header"),
        (with("signature", "sig2=:AAAA:"), "duplicate-header"),
        (alg("hmac-sha256"), "algorithm-unsupported"),
        (alg("ecdsa-p256-sha256"), "algorithm-unsupported"),
        (alg("rsa-sha256"), "algorithm-unsupported"),
        (alg("none"), "algorithm-unsupported"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_rfc9421_clock() {
    let aged = |hours| SignOptions { age: SignedDuration::from_hours(hours), ..plain() };
    refused_without_a_request(vec![
        (aged(2), "clock-offset"),
        (aged(-2), "clock-offset"),
        (aged(24 * 365), "clock-offset"),
        (input(|text| format!("{text};expires=1")), "signature-expired"),
    ])
    .await;
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Fedify).await;
    for (hours, direction) in [(3, "s behind our clock"), (-3, "s ahead of our clock")] {
        let reply = target.try_follow(&eve, &aged(hours)).await;
        assert!(reply.body.contains("created is 1") && reply.body.contains(direction), "{}", reply.body);
    }
    never_contacted(eve.server());
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_rfc9421_several_labels() {
    let second = |text: &str| format!("{text}, {}", text.replacen("sig1", "sig2", 1));
    refused_without_a_request(vec![
        (both(second, second), "signature-ambiguous"),
        (both(second, |text| format!("{text}, sig2=:AAAA:")), "signature-ambiguous"),
        (both(|text| format!("{text}, {text}"), |text| text.into()), "duplicate-parameter"),
        (
            both(
                |text| format!("{text}, b=(), c=(), d=(), e=()"),
                |text| format!("{text}, b=:AAAA:, c=:AAAA:, d=:AAAA:, e=:AAAA:"),
            ),
            "signature-malformed",
        ),
    ])
    .await;

    // One that does, beside one that is a proxy's or expired: the good one counts, and nothing but it.
    let target = Target::start().await;
    let proxy: fn(&str) -> String = |text| {
        format!("{text}, proxy=(\"@method\" \"forwarded\");created=1;keyid=\"https://proxy.example/k\"")
    };
    let expired: fn(&str) -> String = |text| {
        format!("{}, {text}", text.replacen("sig1", "old", 1).replace("created=1", "expires=1;created=1"))
    };
    let by_proxy: fn(&str) -> String = |text| format!("{text}, proxy=:AAAA:");
    let of_old: fn(&str) -> String = |text| format!("old=:AAAA:, {text}");
    let mut followers = 1;
    for (input, signature) in [(proxy, by_proxy), (expired, of_old)] {
        let good = target.stranger(Flavour::Mastodon).await;
        assert_eq!(target.try_follow(&good, &both(input, signature)).await.status, 202);
        followers += 1;
        let bad = SignOptions { flip_signature: true, ..both(input, signature) };
        let bad = target.try_follow(&target.stranger(Flavour::Mastodon).await, &bad).await;
        assert_eq!(refusal(&bad), (401, "signature-invalid".into()));
        assert_eq!(target.stage.followers().await, followers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c_18_rfc9421_for_another_authority_or_target() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    for host in ["peer.example", "127.0.0.1", "127.0.0.1:1"] {
        let options = SignOptions { host: Some(host.into()), ..plain() };
        let reply = target.try_follow(&eve, &options).await;
        assert_eq!(refusal(&reply), (401, "host-mismatch".into()), "{host}");
    }
    never_contacted(eve.server());
    // Signed for another address and sent to ours: only the signature can tell.
    let inbox = target.stage.inbox();
    let elsewhere = [
        format!("http://peer.example{PATH}"),
        inbox.replace("http:", "https:"),
        format!("{inbox}/"),
        format!("{inbox}?again"),
        inbox.replace("inbox", "outbox"),
    ];
    for address in elsewhere {
        for list in
            ["@method @target-uri content-digest", "@scheme @method @authority @path @query content-digest"]
        {
            let options = SignOptions { signed_url: Some(address.parse().unwrap()), ..covering(list) };
            let reply = target.try_follow(&eve, &options).await;
            assert_eq!(refusal(&reply), (401, "signature-invalid".into()), "{address} {list}");
        }
    }
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_01_rfc9421_key_of_another_origin() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Fedify).await;
    let other = target.stranger(Flavour::Fedify).await;
    let bob = eve.server().person("bob");
    let theirs =
        |key_id: String| SignOptions { key: SigningKey::Of(other.clone()), key_id: Some(key_id), ..plain() };
    for (key_id, code) in [
        (other.key_id(), "origin"),
        (other.id(), "origin"),
        (format!("{}#main-key", target.stage.actor()), "origin"),
        ("acct:eve@peer.example".to_owned(), "bad-address"),
        ("https://eve@peer.example/k".to_owned(), "bad-address"),
        ("test-key".to_owned(), "bad-address"),
    ] {
        let reply = target.try_follow(&eve, &theirs(key_id.clone())).await;
        assert_eq!(refusal(&reply), (401, code.into()), "{key_id}");
    }
    never_contacted(eve.server());
    never_contacted(other.server());
    // A neighbour's key under the neighbour's own id: the origin is right, the owner is not.
    let neighbour = SignOptions { key: SigningKey::Of(bob.clone()), key_id: Some(bob.key_id()), ..plain() };
    let reply = target.try_follow(&eve, &neighbour).await;
    assert_eq!(refusal(&reply), (401, "signature-invalid".into()));
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_15_rfc9421_a_replayed_request_does_nothing() {
    let target = Target::start().await;
    let server = target.stage.server(Flavour::Mastodon).await;
    let mallory = Mallory::on(&server, "mallory");
    let signed = |activity, ago| mallory.request_rfc9421(&target.stage, PATH, activity, ago);
    let like = target.like_by(&mallory.id);
    let follow = target.follow_by(&mallory.id);
    let undo = target.activity(&mallory.id, "Undo", follow.clone());
    let (liked, followed, left) = (signed(&like, 9), signed(&follow, 8), signed(&undo, 7));
    for request in [&liked, &followed, &liked, &left, &followed, &left, &liked] {
        let reply = send(&target.stage, request).await;
        assert_eq!(reply.status, 202, "{reply:?}");
    }
    assert_eq!(target.stage.followers().await, 1);
    target.count(2, 0).await;
    // Under another label it is the same signature, and after the window none.
    let again = String::from_utf8(followed).unwrap().replace("sig1=", "sig2=");
    assert_eq!(send(&target.stage, again.as_bytes()).await.status, 202);
    assert_eq!(target.stage.followers().await, 1);
    let late = send(&target.stage, &signed(&follow, 2 * 3600)).await;
    assert_eq!(refusal(&late), (401, "clock-offset".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_rfc9421_honest_signatures_are_taken() {
    let target = Target::start().await;
    let mut followers = 1;
    let edwards = || SignOptions { key: SigningKey::Edwards, ..plain() };
    for (flavour, options) in [
        (Flavour::Fedify, SignOptions::default()),
        (Flavour::Mastodon, covering("@method @target-uri content-digest")),
        (Flavour::Mastodon, covering("@method @authority @path content-digest")),
        (Flavour::Mastodon, covering("content-digest content-type @query @path @authority @method")),
        (Flavour::GoToSocial, plain()),
        (Flavour::PeerTube, plain()),
        (Flavour::Mastodon, SignOptions { age: SignedDuration::from_mins(50), ..plain() }),
        (Flavour::Mastodon, SignOptions { age: SignedDuration::from_mins(-50), ..plain() }),
        (Flavour::Fedify, edwards()),
        (
            Flavour::Fedify,
            SignOptions { scheme: Some(Scheme::Cavage), algorithm: Some("hs2019".into()), ..edwards() },
        ),
    ] {
        let person = target.stranger(flavour).await;
        let reply = target.try_follow(&person, &options).await;
        assert_eq!(reply.status, 202, "{flavour:?} {options:?}: {reply:?}");
        followers += 1;
    }
    assert_eq!(target.stage.followers().await, followers);
    // An Ed25519 key that its actor does not list is nobody's.
    let reply = target.try_follow(&target.stranger(Flavour::Mastodon).await, &edwards()).await;
    assert_eq!(refusal(&reply), (401, "signature-invalid".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_shows_its_keys_to_rfc9421_alone_is_understood() {
    let target = Target::start().await;
    let person = target.stranger(Flavour::Mastodon).await;
    person.server().set_signed_gets(true);
    person.server().set_rfc9421_only(true);
    assert_eq!(target.try_follow(&person, &plain()).await.status, 202);
    assert_eq!(target.stage.followers().await, 2);
    let answers: Vec<_> = person.server().requests().iter().map(|seen| (seen.signed, seen.status)).collect();
    assert_eq!(answers, [(true, Some(401)), (true, Some(200))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn c_25_a_key_that_changes_at_once_causes_one_fetch() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    assert_eq!(target.try_follow(&eve, &plain()).await.status, 202);
    let asked = eve.server().requests_count();
    eve.rotate_key();
    let reply = target.try_follow(&eve, &plain()).await;
    assert_eq!(refusal(&reply), (401, "signature-invalid".into()));
    // As of somebody who was never heard of: else it would show who was when their server is away.
    assert_eq!(eve.server().requests_count(), asked + 1);
    for _ in 0..5 {
        let wrong = SignOptions { flip_signature: true, ..plain() };
        assert_eq!(target.try_follow(&eve, &wrong).await.status, 401);
    }
    assert_eq!(target.try_follow(&eve, &plain()).await.status, 202, "the look was of use");
    assert_eq!(eve.server().requests_count(), asked + 1);
}
