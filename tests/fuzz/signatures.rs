//! Signed requests. None that was changed verifies, unless it still means the same.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use owncast_herald::activitypub::signature::{
    CLOCK_AHEAD, CLOCK_BEHIND, PrivateKey, PublicKey, SignRequest, digest, precheck, sign_request,
    sign_request_rfc9421,
};
use owncast_herald::model::origin::Origin;
use url::Url;

use crate::run::{Target, fuzz};

const INBOX: &str = "https://live.example/federation/user/streamer/inbox";
const BODY: &str = "{\"type\":\"Follow\",\"actor\":\"https://peer.example/users/ana\"}";
const NOW: i64 = 1_800_000_000;

/// A request as text: the target, a line for each header, an empty line, the body.
struct Request {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Request {
    fn read(bytes: &[u8]) -> Option<Request> {
        let split = bytes.windows(2).position(|pair| pair == b"\n\n")?;
        let mut lines = bytes[..split].split(|byte| *byte == b'\n');
        let first = std::str::from_utf8(lines.next()?).ok()?;
        let (method, target) = first.split_once(' ')?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
        }
        Some(Request {
            method: method.parse().ok()?,
            target: target.to_owned(),
            headers,
            body: bytes[split + 2..].to_vec(),
        })
    }
}

fn signed(key: &PrivateKey, sign: SignRequest, sum: String, query: &str) -> Vec<u8> {
    let url = Url::parse(&format!("{INBOX}{query}")).unwrap();
    let now = Timestamp::from_second(NOW).unwrap();
    let kind = "application/activity+json";
    let made = sign(
        &Method::POST,
        &url,
        now,
        Some(&sum),
        Some(kind),
        "https://peer.example/users/ana#main-key",
        key,
    );
    let mut text = format!("POST {}{query}\nhost: live.example\ncontent-type: {}", url.path(), kind);
    for (name, value) in made.unwrap() {
        text.push_str(&format!("\n{name}: {}", value.to_str().unwrap()));
    }
    format!("{text}\n\n{BODY}").into_bytes()
}

#[test]
fn a_changed_request_means_the_same_or_does_not_verify() {
    let key = PrivateKey::generate().unwrap();
    let public = PublicKey::from_pem(&key.public_pem().unwrap()).unwrap();
    let own = Origin::of(&Url::parse(INBOX).unwrap()).unwrap();
    let now = Timestamp::from_second(NOW).unwrap();
    let mut good = Vec::new();
    for query in ["", "?page=1"] {
        good.push(signed(&key, sign_request, digest::header_value(BODY.as_bytes()), query));
        let sum = digest::content_header_value(BODY.as_bytes());
        good.push(signed(&key, sign_request_rfc9421, sum, query));
    }
    let verified = std::cell::Cell::new(0);
    let path = Url::parse(INBOX).unwrap().path().to_owned();
    let target = Target { name: "signatures", also: good.clone(), words: &[WORDS], cases: 30_000 };
    fuzz(&target, |bytes| {
        let Some(request) = Request::read(bytes) else { return };
        let Request { method, target, headers, body } = &request;
        match precheck(method, target, headers, body, &own, now) {
            Err(problem) => {
                let text = problem.to_string();
                assert!(!text.is_empty() && text.len() < 3_000, "{text}");
                assert!(!text.contains(['\n', '\r']), "{text:?}");
                let plain = |b: u8| b.is_ascii_lowercase() || b == b'-';
                assert!(problem.code().bytes().all(plain), "{}", problem.code());
            }
            Ok(unverified) => {
                let age = now.duration_since(unverified.signed_at).as_secs();
                assert!((-CLOCK_AHEAD..=CLOCK_BEHIND).contains(&age), "signed {age} s ago");
                assert!((1..=2048).contains(&unverified.key_id.len()));
                if unverified.verify(&public).is_ok() {
                    verified.set(verified.get() + 1);
                    assert_eq!(body, BODY.as_bytes());
                    assert_eq!((method, target.split('?').next().unwrap()), (&Method::POST, path.as_str()));
                    assert_eq!(unverified.signed_at, now);
                    let mut hosts = headers.get_all("host").iter();
                    let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap().to_lowercase();
                    assert_eq!(host.strip_suffix(":443").unwrap_or(&host), "live.example");
                    assert_eq!(hosts.next(), None);
                }
            }
        }
    });
    assert!(
        std::env::var("HERALD_FUZZ_CASE").is_ok() || verified.get() >= good.len(),
        "what is good verifies"
    );
}

const WORDS: &[&str] = &[
    "keyId=\"",
    "algorithm=\"",
    "headers=\"",
    "signature=\"",
    "created=",
    "expires=",
    "\",",
    "\"",
    ",",
    " ",
    "\\",
    "(request-target)",
    "(created)",
    "(expires)",
    "host",
    "date",
    "digest",
    "content-type",
    "rsa-sha256",
    "rsa-sha512",
    "hs2019",
    "ed25519",
    "hmac-sha256",
    "Signature ",
    "sig1=",
    "sig2=",
    "(",
    ")",
    ";",
    "=:",
    ":",
    "\"@method\"",
    "\"@target-uri\"",
    "\"@authority\"",
    "\"@path\"",
    "\"@query\"",
    "\"@scheme\"",
    "\"@request-target\"",
    "\"content-digest\"",
    ";bs",
    ";sf",
    ";req",
    ";key=\"a\"",
    "alg=\"rsa-v1_5-sha256\"",
    "alg=\"rsa-pss-sha512\"",
    "keyid=\"k\"",
    "\nhost: peer.example",
    "\ndate: Tue, 03 Nov 2026 18:00:00 GMT",
    "\ndigest: SHA-256=",
    "\ncontent-digest: sha-256=:",
    "\nsignature: ",
    "\nsignature-input: ",
    "SHA-256=",
    "SHA-512=",
    "sha-256=",
    "sha-512=",
    "1800000000",
    "1800000000.5",
    "-1",
    "99999999999999999999",
    "POST ",
    "GET ",
    "HEAD ",
    "?",
    "/../",
    "%2e",
    "http://",
    "#",
    "=",
    "==",
    "\u{e9}",
    "\t",
    "\n\n",
];
