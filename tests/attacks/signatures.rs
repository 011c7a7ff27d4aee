//! C-2 and the pitfalls of signatures: what is wrong in the request itself costs nobody a request of ours.

use jiff::SignedDuration;
use owncast_herald::sim::fediverse::{Flavour, Scheme, SignOptions, SigningKey};

use crate::target::{Target, asked_once, never_contacted, refusal};

pub fn plain() -> SignOptions {
    SignOptions::default()
}

pub fn covering(list: &str) -> SignOptions {
    SignOptions { covered: Some(list.split(' ').map(str::to_owned).collect()), ..plain() }
}

pub fn rewritten(rewrite: fn(&str) -> String) -> SignOptions {
    SignOptions { rewrite_signature: Some(rewrite), ..plain() }
}

pub fn with(name: &str, value: &str) -> SignOptions {
    SignOptions { headers: vec![(name.into(), value.into())], ..plain() }
}

/// The `Signature` header with something else in place of the list of what it covers.
pub fn without_list(text: &str, instead: &str) -> String {
    let (before, list) = text.split_once("headers=\"").unwrap();
    let (_, after) = list.split_once("\",").unwrap();
    format!("{before}{instead}{after}")
}

/// Each is refused with its code and changes nothing, and nobody came to the server it is from, whose key we never saw:
/// what came there afterwards is what the same person's honest Follow caused, and nothing else.
pub async fn refused_without_a_request(attacks: Vec<(SignOptions, &str)>) {
    let target = Target::start().await;
    for (place, (options, code)) in attacks.into_iter().enumerate() {
        let eve = target.cold(Flavour::Mastodon).await;
        let reply = target.try_follow(&eve, &options).await;
        assert_eq!(refusal(&reply), (401, code.to_owned()), "{options:?}: {}", reply.body);
        target.unchanged_but_for(place as u64).await;
        target.stage.follow(&eve).await;
        asked_once(&eve);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_digest_not_covered() {
    refused_without_a_request(vec![
        (covering("(request-target) host date"), "not-covered"),
        (SignOptions { omit_digest: true, ..plain() }, "not-covered"),
        (
            SignOptions { omit_digest: true, ..rewritten(|text| text.replace(" date", " date digest")) },
            "digest-missing",
        ),
        (covering("(request-target) date digest"), "not-covered"),
        (covering("host date digest"), "not-covered"),
        (covering("(request-target) host digest"), "not-covered"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_digest_of_another_body() {
    const OTHER: &str = "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let digest = |text: &str| SignOptions { digest: Some(text.to_owned()), ..plain() };
    refused_without_a_request(vec![
        (digest(OTHER), "digest-mismatch"),
        (digest("SHA-256=AAAA"), "digest-mismatch"),
        (digest(OTHER.trim_end_matches('=')), "digest-malformed"),
        (digest("SHA-256"), "digest-malformed"),
        (digest("MD5=AAAA"), "digest-unsupported"),
        (digest(&format!("{OTHER},{OTHER}")), "digest-mismatch"),
        (with("digest", OTHER), "duplicate-header"),
        // Both schemes at once are read as RFC 9421, and there this is no signature.
        (with("signature-input", "sig1=()"), "signature-malformed"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_a_body_that_was_swapped() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let swapped = target.like_by(&eve.id()).to_string().into_bytes();
    let options = SignOptions { swapped_body: Some(swapped), ..plain() };
    assert_eq!(refusal(&target.try_follow(&eve, &options).await), (401, "digest-mismatch".into()));
    never_contacted(eve.server());
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_malformed_signatures() {
    refused_without_a_request(vec![
        (SignOptions { unsigned: true, ..plain() }, "signature-missing"),
        (rewritten(|_| "nonsense".into()), "signature-malformed"),
        (rewritten(|_| "keyId=\"x".into()), "signature-malformed"),
        (rewritten(|text| text.replace("signature=\"", "signature=\"*")), "signature-malformed"),
        (rewritten(|text| text.replace("keyId", "other")), "signature-malformed"),
        (rewritten(|text| format!("{text},keyId=\"https://peer.example/k\"")), "duplicate-parameter"),
        (rewritten(|text| format!("{text},KEYID=\"https://peer.example/k\"")), "duplicate-parameter"),
        (rewritten(|text| text.replace("headers=\"", "headers=\"date ")), "covered-twice"),
        (rewritten(|text| text.replace("headers=\"", "headers=\"x-absent ")), "covered-header-absent"),
        (rewritten(|text| text.replace("headers=\"", "headers=\"(unknown) ")), "pseudo-header-unsupported"),
        (rewritten(|text| without_list(text, "headers=\"\",")), "signature-malformed"),
        (rewritten(|text| without_list(text, "")), "not-covered"),
        (rewritten(|text| format!("{text},created=\"1.5\"")), "signature-malformed"),
        (rewritten(|text| format!("{text},expires=1")), "signature-expired"),
        (rewritten(|text| format!("{text}{}", ",x".repeat(4_200))), "signature-malformed"),
        (SignOptions { algorithm: Some("hmac-sha256".into()), ..plain() }, "algorithm-unsupported"),
        (SignOptions { algorithm: Some("rsa-sha1".into()), ..plain() }, "algorithm-unsupported"),
        (SignOptions { algorithm: Some("none".into()), ..plain() }, "algorithm-unsupported"),
        (with("signature", "keyId=\"x\""), "duplicate-header"),
        (with("date", "Tue, 03 Nov 2026 18:00:00 GMT"), "duplicate-header"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_clock() {
    let aged = |hours| SignOptions { age: SignedDuration::from_hours(hours), ..plain() };
    let created = |hours| SignOptions {
        algorithm: Some("hs2019".into()),
        ..SignOptions {
            age: SignedDuration::from_hours(hours),
            ..covering("(request-target) (created) host digest")
        }
    };
    refused_without_a_request(vec![
        (aged(2), "clock-offset"),
        (aged(-2), "clock-offset"),
        (aged(24 * 365), "clock-offset"),
        (created(2), "clock-offset"),
        (created(-2), "clock-offset"),
    ])
    .await;
    let target = Target::start().await;
    let eve = target.cold(Flavour::Mastodon).await;
    for (hours, direction) in [(3, "s behind our clock"), (-3, "s ahead of our clock")] {
        let reply = target.try_follow(&eve, &aged(hours)).await;
        assert!(reply.body.contains("Date is 1") && reply.body.contains(direction), "{}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c_18_a_signature_for_another_host_or_path() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    for host in ["peer.example", "127.0.0.1", "127.0.0.1:1"] {
        let options = SignOptions { host: Some(host.into()), ..plain() };
        assert_eq!(
            refusal(&target.try_follow(&eve, &options).await),
            (401, "host-mismatch".into()),
            "{host}"
        );
    }
    never_contacted(eve.server());
    // Signed for another path: the target is covered, so the signature does not verify.
    let theirs = target.cold(Flavour::Mastodon).await;
    for other in [format!("{}x", target.stage.inbox()), format!("{}/", target.stage.inbox())] {
        let options =
            SignOptions { signed_url: Some(other.parse().unwrap()), scheme: Some(Scheme::Cavage), ..plain() };
        let reply = target.try_follow(&theirs, &options).await;
        assert_eq!(refusal(&reply), (401, "signature-invalid".into()), "{other}");
    }
    // With a query it is the same inbox.
    let body = target.follow_by(&eve.id()).to_string();
    let other = format!("{}?x=1", target.stage.inbox());
    let moved = rewritten(|text| text.to_owned());
    assert_eq!(
        eve.custom_signed(&other, body.clone(), &moved).await.unwrap().status,
        202,
        "a query may be signed"
    );
    target.stage.wait_followers(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_every_failure_that_needs_the_key_is_answered_alike() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let bob = eve.server().person("bob");
    let stranger = target.stranger(Flavour::Mastodon).await;
    let mut bodies = Vec::new();
    let rfc9421 = || SignOptions { scheme: Some(Scheme::Rfc9421), ..plain() };
    for options in [
        SignOptions { flip_signature: true, ..plain() },
        SignOptions { key: SigningKey::Stray, ..plain() },
        SignOptions { key: SigningKey::Of(bob), ..plain() },
        SignOptions { key: SigningKey::Of(stranger), ..plain() },
        SignOptions { algorithm: Some("ed25519".into()), ..plain() },
        rewritten(|text| text.replace("signature=\"", "signature=\"AAAA")),
        SignOptions { flip_signature: true, ..rfc9421() },
        SignOptions { key: SigningKey::Stray, ..rfc9421() },
        SignOptions { algorithm: Some("ed25519".into()), ..rfc9421() },
        SignOptions { algorithm: Some("rsa-pss-sha512".into()), ..rfc9421() },
        SignOptions { signed_url: Some("https://peer.example/inbox".parse().unwrap()), ..rfc9421() },
    ] {
        let reply = target.try_follow(&eve, &options).await;
        assert_eq!(refusal(&reply), (401, "signature-invalid".into()), "{options:?}");
        bodies.push(reply.body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_02_odd_but_honest_signatures_are_taken() {
    let target = Target::start().await;
    let mut followers = 1;
    for options in [
        rewritten(|text| format!("Signature {text}")),
        rewritten(|text| text.replace(',', " , ")),
        rewritten(|text| format!("{text},unknown=\"x\"")),
        SignOptions { algorithm: Some("hs2019".into()), ..plain() },
        SignOptions { age: SignedDuration::from_mins(50), ..plain() },
        SignOptions { age: SignedDuration::from_mins(-50), ..plain() },
        covering("date digest host (request-target) content-type content-length"),
        SignOptions {
            content_type: Some(
                "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"".into(),
            ),
            ..plain()
        },
    ] {
        let person = target.stranger(Flavour::Mastodon).await;
        let reply = target.try_follow(&person, &options).await;
        assert_eq!(reply.status, 202, "{options:?}: {reply:?}");
        followers += 1;
    }
    assert_eq!(target.stage.followers().await, followers);
}
