//! Signatures as a whole: foreign vectors, round trips, and the pitfalls that other servers fell into.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Verifier;
use url::Url;

use super::cavage::{parse, signing_string};
use super::*;
use crate::model::origin::Origin;

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().unwrap());
static PUBLIC: LazyLock<PublicKey> =
    LazyLock::new(|| PublicKey::from_pem(&KEY.public_pem().unwrap()).unwrap());

const BODY: &[u8] = br#"{"type":"Like"}"#;
const PATH: &str = "/federation/user/live/inbox";
const HOST: &str = "stream.example";
const COVERED: &str = "(request-target) host date digest";

fn own(url: &str) -> Origin {
    Origin::of(&Url::parse(url).unwrap()).unwrap()
}

fn ours() -> Origin {
    own("https://stream.example")
}

fn now() -> Timestamp {
    "2026-11-03T18:00:00Z".parse().unwrap()
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in list {
        map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    map
}

/// A request under construction: every field can be bent before it is signed, and the headers after it.
struct Request {
    method: Method,
    target: String,
    signed_target: String,
    algorithm: &'static str,
    extra: String,
    covered: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: Method::POST,
            target: PATH.to_owned(),
            signed_target: PATH.to_owned(),
            algorithm: ",algorithm=\"rsa-sha256\"",
            extra: String::new(),
            covered: COVERED.to_owned(),
            headers: headers(&[
                ("host", HOST),
                ("date", "Tue, 03 Nov 2026 18:00:00 GMT"),
                ("digest", &digest::header_value(BODY)),
                ("content-type", "application/activity+json"),
            ]),
            body: BODY.to_vec(),
        }
    }
}

impl Request {
    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    fn sign(mut self) -> Self {
        let parameters = |signature: &str| {
            format!(
                "keyId=\"https://peer.example/u/a#main-key\"{}{},headers=\"{}\",signature=\"{signature}\"",
                self.algorithm, self.extra, self.covered
            )
        };
        let signature = parse(&parameters("AAAA"))
            .and_then(|parsed| signing_string(&parsed, &self.method, &self.signed_target, &self.headers))
            .map_or_else(|_| "AAAA".to_owned(), |text| STANDARD.encode(KEY.sign(&text).unwrap()));
        self.headers.insert("signature", parameters(&signature).parse().unwrap());
        self
    }

    fn check(&self) -> Result<Unverified, SignatureProblem> {
        let unverified = precheck(&self.method, &self.target, &self.headers, &self.body, &ours(), now())?;
        unverified.verify(&PUBLIC)?;
        Ok(unverified)
    }

    fn code(&self) -> &'static str {
        self.check().err().map_or("ok", |problem| problem.code())
    }
}

#[test]
fn what_we_sign_we_accept_and_it_has_the_agreed_form() {
    let url = Url::parse("https://stream.example/federation/user/live/inbox").unwrap();
    let digest = digest::header_value(BODY);
    let id = "https://peer.example/u/a#main-key";
    let type_ = "application/activity+json";
    let signed = sign_request(&Method::POST, &url, now(), Some(&digest), Some(type_), id, &KEY).unwrap();
    let mut map = headers(&[("host", HOST), ("content-type", type_)]);
    map.extend(signed);
    let text = map["signature"].to_str().unwrap().to_owned();
    assert!(text.starts_with(
        "keyId=\"https://peer.example/u/a#main-key\",algorithm=\"rsa-sha256\",\
         headers=\"(request-target) host date digest content-type\",signature=\""
    ));
    assert!(!text.contains(", "));
    assert_eq!(map["date"], "Tue, 03 Nov 2026 18:00:00 GMT");
    let unverified = precheck(&Method::POST, url.path(), &map, BODY, &ours(), now()).unwrap();
    assert_eq!((unverified.key_id.as_str(), unverified.signed_at), (id, now()));
    assert_eq!(unverified.verify(&PUBLIC), Ok(()));

    let url = Url::parse("http://127.0.0.1:8080/u/a?page=1").unwrap();
    let mut map = headers(&[("host", "127.0.0.1:8080")]);
    map.extend(sign_request(&Method::GET, &url, now(), None, None, id, &KEY).unwrap());
    assert!(map["signature"].to_str().unwrap().contains("headers=\"(request-target) host date\","));
    let unverified =
        precheck(&Method::GET, "/u/a?page=1", &map, b"", &own("http://127.0.0.1:8080"), now()).unwrap();
    assert_eq!(unverified.verify(&PUBLIC), Ok(()));
}

#[test]
fn what_stands_for_a_request_is_of_its_key_its_words_and_its_signature() {
    let of = |request: Request| request.sign().check().unwrap();
    let one = of(Request::default());
    assert_eq!(one.digest(&PUBLIC), of(Request::default()).digest(&PUBLIC));
    let other_key = PrivateKey::generate().unwrap().public_pem().unwrap();
    let mut forged = of(Request::default());
    forged.signature[0] ^= 1;
    let mut of_other_id = of(Request::default());
    of_other_id.key_id.push('2');
    for other in [
        one.digest(&PublicKey::from_pem(&other_key).unwrap()),
        of(Request::default().set("date", "Tue, 03 Nov 2026 18:00:01 GMT")).digest(&PUBLIC),
        of(Request { algorithm: ",algorithm=\"hs2019\"", ..Request::default() }).digest(&PUBLIC),
        of_other_id.digest(&PUBLIC),
        forged.digest(&PUBLIC),
    ] {
        assert_ne!(one.digest(&PUBLIC), other);
    }
}

#[test]
fn unwritable_values_are_refused_when_signing() {
    let url = Url::parse("https://stream.example/").unwrap();
    let sign =
        |id: &str, type_: Option<&str>| sign_request(&Method::GET, &url, now(), None, type_, id, &KEY).err();
    assert_eq!(sign("a\"b", None), Some(SignError::Value("key id")));
    assert_eq!(sign("a", Some("x\r\nHost: y")), Some(SignError::Value("content type")));
    let nowhere = Url::parse("mailto:a@b.example").unwrap();
    assert_eq!(
        sign_request(&Method::GET, &nowhere, now(), None, None, "a", &KEY).err(),
        Some(SignError::NoHost)
    );
}

#[test]
fn vectors_of_the_draft() {
    // draft-cavage-http-signatures-12, appendix C; its key is too small for us, so OpenSSL verifies directly.
    let pem = "-----BEGIN PUBLIC KEY-----\n\
        MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDCFENGw33yGihy92pDjZQhl0C3\n\
        6rPJj+CvfSC8+q28hxA161QFNUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6\n\
        Z4UMR7EOcpfdUE9Hf3m/hs+FUR45uBJeDK1HSFHD8bHKD6kv8FPGfJTotc+2xjJw\n\
        oYi+1hqp1fIekaxsyQIDAQAB\n-----END PUBLIC KEY-----\n";
    assert_eq!(PublicKey::from_pem(pem).unwrap_err(), KeyError::Bits(1024));
    let key = PKey::public_key_from_pem(pem.as_bytes()).unwrap();
    let map = headers(&[
        ("host", "example.com"),
        ("date", "Sun, 05 Jan 2014 21:31:40 GMT"),
        ("content-type", "application/json"),
        ("digest", "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE="),
        ("content-length", "18"),
    ]);
    for (covered, signature) in [
        (
            "date",
            "SjWJWbWN7i0wzBvtPl8rbASWz5xQW6mcJmn+ibttBqtifLN7Sazz6m79cNfwwb8DMJ5cou1s7uEGKKCs+FLEEaDV5lp7q25WqS+lavg7\
             T8hc0GppauB6hbgEKTwblDHYGEtbGmtdHgVCk9SuS13F0hZ8FD0k/5OxEPXe5WozsbM=",
        ),
        (
            "(request-target) host date",
            "qdx+H7PHHDZgy4y/Ahn9Tny9V3GP6YgBPyUXMmoxWtLbHpUnXS2mg2+SbrQDMCJypxBLSPQR2aAjn7ndmw2iicw3HMbe8VfEdKFYRqzi\
             c+efkb3nndiv/x1xSHDJWeSWkx3ButlYSuBskLu6kd9Fswtemr3lgdDEmn04swr2Os0=",
        ),
        (
            "(request-target) host date content-type digest content-length",
            "vSdrb+dS3EceC9bcwHSo4MlyKS59iFIrhgYkz8+oVLEEzmYZZvRs8rgOp+63LEM3v+MFHB32NfpB2bEKBIvB1q52LaEUHFv120V01IL+\
             TAD48XaERZFukWgHoBTLMhYS2Gb51gWxpeIq8knRmPnYePbF5MOkR0Zkly4zKH7s1dE=",
        ),
    ] {
        let value = format!(
            "keyId=\"Test\",algorithm=\"rsa-sha256\",headers=\"{covered}\",signature=\"{signature}\""
        );
        let parsed = parse(&value).unwrap();
        let text = signing_string(&parsed, &Method::POST, "/foo?param=value&pet=dog", &map).unwrap();
        let mut verifier = Verifier::new(MessageDigest::sha256(), &key).unwrap();
        assert!(verifier.verify_oneshot(&parsed.signature, &text).unwrap(), "{covered}");
    }
}

#[test]
fn a_post_as_mastodon_signs_it() {
    // Values of Mastodon's own published test request.
    let key = PublicKey::from_pem(
        "-----BEGIN PUBLIC KEY-----\n\
        MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqIAYvNFGbZ5g4iiK6feS\n\
        dXD4bDStFM58A7tHycYXaYtzZQpIeHXAmaXuZzXIwtrP4N0gIk8JNwZvXj2UPS+S\n\
        07t0V9wNK94he01LV5EMz/GN4eNnFmDL64HIEuKLvV8TvgjbUPRD6Y5X0UpKi2ZI\n\
        FLSb96Q5w0Z/k7ntpVKV52y8kz5Fjr/O/0JuHryZe0yItzJh8kzFfeMf0EXzfSna\n\
        KvT7P9jhgC6uTre+jXyvVZjiHDrnqvvucdI3I7DRfXo1OqARBrLjy+TdseUAjNYJ\n\
        +OuPRI1URIWQI01DCHqcohVu9+Ar+BiCjFp3ua+XMuJvrvbD61d1Fvig/9nbBRR+\n\
        8QIDAQAB\n-----END PUBLIC KEY-----\n",
    )
    .unwrap();
    let signature = "keyId=\"https://remote.domain/users/bob#main-key\",algorithm=\"rsa-sha256\",\
        headers=\"host date digest (request-target)\",signature=\"\
        gmhMjgMROGElJU3fpehV2acD5kMHeELi8EFP2UPHOdQ54H0r55AxIpji+J3lPe+N2qSb/4H1KXIh6f0lRu8TGSsu12OQmg5hiO8VA9flcA/mh9Lp\
        k+qwlQZIPRqKP9xUEfqD+Z7ti5wPzDKrWAUK/7FIqWgcT/mlqB1R1MGkpMFc/q4CIs2OSNiWgA4K+Kp21oQxzC2kUuYob04gAZ7cyE/FTia5t08u\
        v6lVYFdRsn4XNPn1MsHgFBwBMRG79ng3SyhoG4PrqBEi5q2IdLq3zfre/M6He3wlCpyO2VJNdGVoTIzeZ0Zz8jUscPV3XtWUchpGclLGSaKaq/Jy\
        NZeiYQ==\"";
    let map = headers(&[
        ("host", "www.example.com"),
        ("date", "Wed, 20 Dec 2023 10:00:00 GMT"),
        ("digest", "SHA-256=ZOyIygCyaOW6GjVnihtTFtIS9PNmskdyMlNKiuyjfzw="),
        ("signature", signature),
    ]);
    let at: Timestamp = "2023-12-20T10:00:00Z".parse().unwrap();
    let run = |path: &str, body: &[u8]| {
        precheck(&Method::POST, path, &map, body, &own("https://www.example.com"), at)?.verify(&key)
    };
    assert_eq!(run("/activitypub/success", b"Hello world"), Ok(()));
    assert_eq!(run("/activitypub/success", b"Hello World").unwrap_err().code(), "digest-mismatch");
    assert_eq!(run("/activitypub/other", b"Hello world").unwrap_err().code(), "signature-mismatch");
}

#[test]
fn every_senders_choice_of_headers_passes() {
    for (covered, algorithm) in [
        ("host date digest content-type (request-target)", ",algorithm=\"rsa-sha256\""),
        ("(request-target) host date digest", ",algorithm=\"hs2019\""),
        ("(request-target) date host digest", ",algorithm=\"rsa-sha256\""),
        ("(request-target) content-length date digest host", ""),
        ("(request-target) content-type date digest host", ",algorithm=\"hs2019\""),
    ] {
        let request = Request { covered: covered.to_owned(), algorithm, ..Request::default() };
        assert_eq!(request.set("content-length", "15").sign().code(), "ok", "{covered}");
    }
    let created = format!(",created={},expires={}", now().as_second(), now().as_second() + 60);
    let mut request = Request {
        covered: "(request-target) (created) (expires) host digest".to_owned(),
        algorithm: ",algorithm=\"hs2019\"",
        extra: created,
        ..Request::default()
    };
    request.headers.remove("date");
    assert_eq!(request.sign().check().unwrap().signed_at, now());
}

#[test]
fn a_query_may_be_left_out_but_not_changed() {
    let request = |signed: &str| {
        let target = format!("{PATH}?a=1");
        Request { target, signed_target: signed.to_owned(), ..Request::default() }.sign().code()
    };
    assert_eq!(request(PATH), "ok");
    assert_eq!(request(&format!("{PATH}?a=1")), "ok");
    assert_eq!(request(&format!("{PATH}?a=2")), "signature-mismatch");
    let added = Request { signed_target: format!("{PATH}?a=1"), ..Request::default() };
    assert_eq!(added.sign().code(), "signature-mismatch");
    for other in ["/federation/user/live//inbox", "/x/%2e%2e/federation/user/live/inbox", "/federation/inbox"]
    {
        let moved = Request { target: other.to_owned(), ..Request::default() };
        assert_eq!(moved.sign().code(), "signature-mismatch", "{other}");
    }
}

#[test]
fn coverage_and_headers_are_demanded() {
    for (covered, want) in [
        ("host date digest", "not-covered"),
        ("(request-target) date digest", "not-covered"),
        ("(request-target) host digest", "not-covered"),
        ("(request-target) host date", "not-covered"),
        ("(request-target) host date digest date", "covered-twice"),
        ("(request-target) host date digest x-absent", "covered-header-absent"),
        ("(request-target) host date digest (unknown)", "pseudo-header-unsupported"),
        ("(request-target) host date digest (created)", "pseudo-header-unsupported"),
        ("", "signature-malformed"),
    ] {
        let request = Request { covered: covered.to_owned(), ..Request::default() };
        assert_eq!(request.sign().code(), want, "{covered}");
    }
    for name in ["signature", "host", "date", "digest"] {
        let mut request = Request::default().sign();
        let again = request.headers[name].clone();
        request.headers.append(name, again);
        assert_eq!(request.code(), "duplicate-header", "{name}");
    }
    for (name, want) in [
        ("signature", "signature-missing"),
        ("host", "host-mismatch"),
        ("date", "covered-header-absent"),
        ("digest", "digest-missing"),
    ] {
        let mut request = Request::default().sign();
        request.headers.remove(name);
        assert_eq!(request.code(), want, "{name}");
    }
    // Both schemes at once: RFC 9421 it is, and there this is no signature.
    let both = Request::default().sign().set("signature-input", "sig1=()");
    assert_eq!(both.code(), "signature-malformed");
    let with_content_digest = Request::default().sign().set("content-digest", "sha-256=:AAAA:");
    assert_eq!(with_content_digest.code(), "ok");
}

#[test]
fn a_signed_get_needs_no_digest_unless_it_has_a_body() {
    let get = |body: &[u8]| {
        let mut request = Request {
            method: Method::GET,
            covered: "(request-target) host date".to_owned(),
            body: body.to_vec(),
            ..Request::default()
        };
        request.headers.remove("digest");
        request.sign().code()
    };
    assert_eq!((get(b""), get(b"x")), ("ok", "not-covered"));
}

#[test]
fn the_host_is_ours_or_nothing() {
    for (host, want) in [
        ("stream.example", "ok"),
        ("STREAM.example", "ok"),
        ("stream.example:443", "ok"),
        ("stream.example:8443", "host-mismatch"),
        ("stream.example.", "host-mismatch"),
        ("other.example", "host-mismatch"),
        ("127.0.0.1:8585", "host-mismatch"),
        ("", "host-mismatch"),
    ] {
        assert_eq!(Request::default().set("host", host).sign().code(), want, "{host}");
    }
}

#[test]
fn the_clock_has_a_window_and_the_problem_names_the_offset() {
    for (date, want) in [
        ("Tue, 03 Nov 2026 16:55:00 GMT", "ok"),
        ("Tue, 03 Nov 2026 16:54:59 GMT", "clock-offset"),
        ("Tue, 03 Nov 2026 19:00:00 GMT", "ok"),
        ("Tue, 03 Nov 2026 19:00:01 GMT", "clock-offset"),
        ("2026-11-03T18:00:00Z", "date-malformed"),
        ("yesterday", "date-malformed"),
        ("", "date-malformed"),
    ] {
        assert_eq!(Request::default().set("date", date).sign().code(), want, "{date}");
    }
    let late = Request::default().set("date", "Tue, 03 Nov 2026 16:00:00 GMT").sign().check().unwrap_err();
    assert_eq!(
        late.to_string(),
        "Date is 7200 s behind our clock; at most 3900 s behind and 3600 s ahead are accepted"
    );
    let at = now().as_second();
    for (extra, want) in [
        (format!(",created={}", at - 3900), "ok"),
        (format!(",created={}", at - 3901), "clock-offset"),
        (format!(",created={}", at + 3601), "clock-offset"),
        (format!(",created={at}.5"), "signature-malformed"),
        (format!(",created={at},expires={at}"), "ok"),
        (format!(",created={at},expires={}", at - 1), "signature-expired"),
        (format!(",created={}", i64::MAX), "signature-malformed"),
        (String::new(), "pseudo-header-unsupported"),
    ] {
        let request = Request {
            covered: "(request-target) (created) host digest".to_owned(),
            algorithm: ",algorithm=\"hs2019\"",
            extra: extra.clone(),
            ..Request::default()
        };
        assert_eq!(request.sign().code(), want, "{extra}");
    }
}

#[test]
fn algorithms_are_never_taken_over_the_key() {
    for (algorithm, want) in [
        (",algorithm=\"hmac-sha256\"", "algorithm-unsupported"),
        (",algorithm=\"rsa-sha1\"", "algorithm-unsupported"),
        (",algorithm=\"ed25519\"", "algorithm-mismatch"),
        (",algorithm=\"rsa-sha512\"", "ok"),
        (",algorithm=\"hs2019\"", "ok"),
        ("", "ok"),
    ] {
        assert_eq!(Request { algorithm, ..Request::default() }.sign().code(), want, "{algorithm}");
    }
    // The classic confusion: the public key's text as the secret of an HMAC.
    let secret = PKey::hmac(KEY.public_pem().unwrap().as_bytes()).unwrap();
    let mut request = Request { algorithm: ",algorithm=\"hs2019\"", ..Request::default() }.sign();
    let value = request.headers["signature"].to_str().unwrap().to_owned();
    let parsed = parse(&value).unwrap();
    let text = signing_string(&parsed, &request.method, PATH, &request.headers).unwrap();
    let mac = openssl::sign::Signer::new(MessageDigest::sha256(), &secret)
        .unwrap()
        .sign_oneshot_to_vec(&text)
        .unwrap();
    let forged = value.replace(&STANDARD.encode(&parsed.signature), &STANDARD.encode(mac));
    request.headers.insert("signature", forged.parse().unwrap());
    assert_eq!(request.code(), "signature-mismatch");
}

#[test]
fn another_key_does_not_verify() {
    let stranger = PrivateKey::generate().unwrap();
    let stranger = PublicKey::from_pem(&stranger.public_pem().unwrap()).unwrap();
    let unverified = Request::default().sign().check().unwrap();
    assert_eq!(unverified.verify(&stranger), Err(SignatureProblem::Mismatch));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    /// Flipping any bit of anything that is signed, or of the signature itself, ends in a refusal.
    #[test]
    fn any_flipped_byte_fails(which in 0usize..6, at in 0usize..10_000, bit in 0u8..7) {
        let mut request = Request::default().sign();
        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            bytes
        };
        let header = ["host", "date", "digest", "signature"].get(which).copied();
        match header {
            Some(name) => {
                let old = request.headers[name].clone();
                let Ok(new) = http::HeaderValue::from_bytes(&flip(old.as_bytes())) else { return Ok(()) };
                // Case of the host and of names in lists, and white space around values, carry no meaning.
                let plain = |value: &http::HeaderValue| value.as_bytes().to_ascii_lowercase();
                if name != "signature" && plain(&old) == plain(&new) { return Ok(()) }
                if name == "signature" {
                    let reads_the_same = |value: &http::HeaderValue| {
                        value.to_str().ok().and_then(|text| parse(text).ok()).map(|p| (p.key_id, p.covered, p.signature))
                    };
                    // The key id is bound by the key's owner, not by the signature.
                    let (a, b) = (reads_the_same(&old), reads_the_same(&new));
                    if let (Some(a), Some(b)) = (a, b) && (a.1, a.2) == (b.1, b.2) { return Ok(()) }
                }
                request.headers.insert(name, new);
            }
            None if which == 4 => request.body = flip(&request.body),
            None => match String::from_utf8(flip(request.target.as_bytes())) {
                Ok(target) => request.target = target,
                Err(_) => return Ok(()),
            },
        }
        proptest::prop_assert_ne!(request.code(), "ok");
    }
}
