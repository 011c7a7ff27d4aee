//! RFC 9421: its own vectors, a request that a real server sent, our own round trip, and every rule of the profile.

use std::sync::LazyLock;

use http::{HeaderName, HeaderValue};
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use url::Url;

use super::super::digest::content_header_value;
use super::super::{PrivateKey, PublicKey, Unverified, precheck, sign_request_rfc9421};
use super::*;

mod vectors;

const BODY: &[u8] = b"{\"hello\": \"world\"}";
const WIDE: &str =
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";

fn own(url: &str) -> Origin {
    Origin::of(&Url::parse(url).unwrap()).unwrap()
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in list {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    map
}

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().unwrap());
static PUBLIC: LazyLock<PublicKey> =
    LazyLock::new(|| PublicKey::from_pem(&KEY.public_pem().unwrap()).unwrap());
static EDWARDS: LazyLock<PKey<Private>> = LazyLock::new(|| PKey::generate_ed25519().unwrap());

const ID: &str = "https://peer.example/u/a#main-key";
const PATH: &str = "/federation/user/live/inbox";
/// Of the requests below, in Unix seconds.
const NOW: i64 = 1_793_728_800;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn ours() -> Origin {
    own("https://stream.example")
}

/// A POST to us, signed with whatever list and parameters.
struct Request {
    target: String,
    list: String,
    parameters: String,
    edwards: bool,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            target: PATH.to_owned(),
            list: "(\"@method\" \"@target-uri\" \"content-digest\")".to_owned(),
            parameters: format!(";created={NOW};keyid=\"{ID}\""),
            edwards: false,
            headers: headers(&[
                ("host", "stream.example"),
                ("content-type", "application/activity+json"),
                ("content-digest", &content_header_value(BODY)),
            ]),
            body: BODY.to_vec(),
        }
    }
}

impl Request {
    fn list(list: &str) -> Self {
        Self { list: list.to_owned(), ..Self::default() }
    }

    fn parameters(parameters: &str) -> Self {
        Self { parameters: parameters.to_owned(), ..Self::default() }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    fn sign(self) -> Self {
        let input = format!("sig1={}{}", self.list, self.parameters);
        let own = ours();
        let target =
            Target { method: &Method::POST, path_and_query: &self.target, own: &own, headers: &self.headers };
        let base = parse(&input, "sig1=:AAAA:").and_then(|all| all[0].base(&target)).unwrap_or_default();
        let signature = if self.edwards {
            Signer::new_without_digest(&EDWARDS).unwrap().sign_oneshot_to_vec(&base).unwrap()
        } else {
            KEY.sign(&base).unwrap()
        };
        let signature = super::super::fields::binary(&signature);
        self.set("signature-input", &input).set("signature", &format!("sig1={signature}"))
    }

    fn check(&self) -> Result<Unverified, SignatureProblem> {
        let checked = precheck(&Method::POST, &self.target, &self.headers, &self.body, &ours(), now())?;
        let raw =
            PKey::public_key_from_raw_bytes(&EDWARDS.raw_public_key().unwrap(), openssl::pkey::Id::ED25519)
                .unwrap();
        let edwards = String::from_utf8(raw.public_key_to_pem().unwrap()).unwrap();
        let key = if self.edwards { PublicKey::from_pem(&edwards).unwrap() } else { PUBLIC.clone() };
        checked.verify(&key)?;
        Ok(checked)
    }

    fn code(&self) -> &'static str {
        self.check().err().map_or("ok", |problem| problem.code())
    }
}

#[test]
fn what_we_sign_we_accept_and_it_has_the_agreed_form() {
    let url = Url::parse("https://stream.example/federation/user/live/inbox").unwrap();
    let digest = content_header_value(BODY);
    let kind = "application/activity+json";
    let signed =
        sign_request_rfc9421(&Method::POST, &url, now(), Some(&digest), Some(kind), ID, &KEY).unwrap();
    let mut map = headers(&[("host", "stream.example"), ("content-type", kind)]);
    map.extend(signed);
    assert_eq!(
        map["signature-input"].to_str().unwrap(),
        format!(
            "sig1=(\"@method\" \"@target-uri\" \"content-digest\" \"content-type\");created={NOW};keyid=\"{ID}\"\
             ;alg=\"rsa-v1_5-sha256\""
        )
    );
    assert_eq!(
        (map["content-digest"].to_str().unwrap(), map.contains_key("digest")),
        (digest.as_str(), false)
    );
    let checked = precheck(&Method::POST, PATH, &map, BODY, &ours(), now()).unwrap();
    assert_eq!((checked.key_id.as_str(), checked.signed_at), (ID, now()));
    assert_eq!(checked.verify(&PUBLIC), Ok(()));

    let url = Url::parse("http://127.0.0.1:8080/u/a?page=1#top").unwrap();
    let mut map = headers(&[("host", "127.0.0.1:8080")]);
    map.extend(sign_request_rfc9421(&Method::GET, &url, now(), None, None, ID, &KEY).unwrap());
    let own = own("http://127.0.0.1:8080");
    let checked = precheck(&Method::GET, "/u/a?page=1", &map, b"", &own, now()).unwrap();
    assert_eq!(checked.verify(&PUBLIC), Ok(()));
    let other = precheck(&Method::GET, "/u/a", &map, b"", &own, now()).unwrap();
    assert_eq!(other.verify(&PUBLIC), Err(SignatureProblem::Mismatch));

    let refused = |url: &str, id: &str, kind: Option<&str>| {
        let url = Url::parse(url).unwrap();
        sign_request_rfc9421(&Method::GET, &url, now(), None, kind, id, &KEY).err().map(|why| why.to_string())
    };
    assert!(refused("mailto:a@b.example", ID, None).unwrap().contains("without host"));
    assert!(refused("https://a.example/", "k\u{e9}y", None).unwrap().contains("key id"));
    assert!(refused("https://a.example/", ID, Some("x\r\nHost: y")).unwrap().contains("content type"));
    assert_eq!(refused("https://a.example/", "a\"b", None), None);
}

#[test]
fn coverage_and_components_are_demanded() {
    for (list, want) in [
        ("(\"@method\" \"@target-uri\" \"content-digest\")", "ok"),
        ("(\"content-digest\"   \"@target-uri\" \"@method\" \"host\" \"content-type\" \"@scheme\")", "ok"),
        ("(\"@method\" \"@authority\" \"@path\" \"content-digest\")", "ok"),
        ("(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\")", "ok"),
        ("(\"@method\" \"@authority\" \"@request-target\" \"content-digest\")", "ok"),
        ("()", "not-covered"),
        ("(\"@target-uri\" \"content-digest\")", "not-covered"),
        ("(\"@method\" \"content-digest\")", "not-covered"),
        ("(\"@method\" \"@authority\" \"content-digest\")", "not-covered"),
        ("(\"@method\" \"@path\" \"content-digest\")", "not-covered"),
        ("(\"@method\" \"@request-target\" \"host\" \"content-digest\")", "not-covered"),
        ("(\"@method\" \"@target-uri\")", "not-covered"),
        ("(\"@method\" \"@target-uri\" \"digest\")", "not-covered"),
        ("(\"@method\" \"@target-uri\" \"content-digest\" \"@method\")", "covered-twice"),
        ("(\"@method\" \"@target-uri\" \"content-digest\" \"x-absent\")", "covered-header-absent"),
        ("(\"@method\" \"@target-uri\" \"content-digest\" \"Host\")", "component-unsupported"),
        ("(\"@method\" \"@target-uri\" \"content-digest\" \"\")", "component-unsupported"),
        ("(\"@method\" \"@target-uri\" \"content-digest\" \"@status\")", "component-unsupported"),
        ("(\"@method\" \"@target-uri\" \"content-digest\" \"@signature-params\")", "component-unsupported"),
        (
            "(\"@method\" \"@target-uri\" \"content-digest\" \"@query-param\";name=\"a\")",
            "component-unsupported",
        ),
        ("(\"@method\" \"@target-uri\" \"content-digest\";bs)", "component-unsupported"),
        ("(\"@method\" \"@target-uri\" \"content-digest\";sf)", "component-unsupported"),
        ("(\"@method\" \"@target-uri\" \"content-digest\";key=\"sha-256\")", "component-unsupported"),
        ("(\"@method\" \"@target-uri\";req \"content-digest\")", "component-unsupported"),
        ("(\"@method\" \"@target-uri\" content-digest)", "signature-malformed"),
        ("\"@method\"", "signature-malformed"),
        ("(\"@method\" \"@target-uri\" \"content-digest\"", "signature-malformed"),
    ] {
        assert_eq!(Request::list(list).sign().code(), want, "{list}");
    }
    let with_query = |list: &str| Request { target: format!("{PATH}?a=1"), ..Request::list(list) };
    for (list, want) in [
        ("(\"@method\" \"@target-uri\" \"content-digest\")", "ok"),
        ("(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\")", "ok"),
        ("(\"@method\" \"@authority\" \"@path\" \"content-digest\")", "not-covered"),
    ] {
        assert_eq!(with_query(list).sign().code(), want, "{list}");
    }
    // Several lines of one header are one value.
    let mut twice = Request::list("(\"@method\" \"@target-uri\" \"content-digest\" \"x-many\")");
    twice.headers.append("x-many", HeaderValue::from_static(" a "));
    twice.headers.append("x-many", HeaderValue::from_static("b"));
    let mut twice = twice.sign();
    assert_eq!(twice.code(), "ok");
    twice.headers.insert("x-many", HeaderValue::from_static("a, b"));
    assert_eq!(twice.code(), "ok");
    twice.headers.append("x-many", HeaderValue::from_static("c"));
    assert_eq!(twice.code(), "signature-mismatch");
}

#[test]
fn parameters_are_checked() {
    let with =
        |extra: &str| Request::parameters(&format!(";created={NOW};keyid=\"{ID}\"{extra}")).sign().code();
    for (extra, want) in [
        ("", "ok"),
        (";alg=\"rsa-v1_5-sha256\"", "ok"),
        (";nonce=\"x\";tag=\"app\";unknown;other=tok;bytes=:AA==:", "ok"),
        (";alg=\"ed25519\"", "algorithm-mismatch"),
        (";alg=\"rsa-pss-sha512\"", "signature-mismatch"),
        (";alg=\"ecdsa-p256-sha256\"", "algorithm-unsupported"),
        (";alg=\"ecdsa-p384-sha384\"", "algorithm-unsupported"),
        (";alg=\"hmac-sha256\"", "algorithm-unsupported"),
        (";alg=\"rsa-sha256\"", "algorithm-unsupported"),
        (";alg=\"hs2019\"", "algorithm-unsupported"),
        (";alg=\"\"", "algorithm-unsupported"),
        (";alg=ed25519", "signature-malformed"),
        (";alg", "signature-malformed"),
        (";keyid=\"x\"", "duplicate-parameter"),
        (";created=1", "duplicate-parameter"),
        (";expires=\"soon\"", "signature-malformed"),
        (";expires=1.5", "signature-malformed"),
        (";Expires=1", "signature-malformed"),
        (";", "signature-malformed"),
        (" trailing", "signature-malformed"),
        (",", "signature-malformed"),
    ] {
        assert_eq!(with(extra), want, "{extra}");
    }
    let long = format!(";created={NOW};keyid=\"{}\"", "k".repeat(2049));
    for (parameters, want) in [
        (format!(";keyid=\"{ID}\";created={NOW}"), "ok"),
        (format!(";created={NOW}"), "signature-malformed"),
        (format!(";keyid=\"{ID}\""), "signature-malformed"),
        (format!(";created={NOW};keyid=\"\""), "signature-malformed"),
        (format!(";created={NOW};keyid=key"), "signature-malformed"),
        (format!(";created=\"{NOW}\";keyid=\"{ID}\""), "signature-malformed"),
        (format!(";created={NOW}.0;keyid=\"{ID}\""), "signature-malformed"),
        (format!(";created=999999999999999;keyid=\"{ID}\""), "signature-malformed"),
        (long, "signature-malformed"),
    ] {
        assert_eq!(Request::parameters(&parameters).sign().code(), want, "{parameters}");
    }
}

#[test]
fn the_clock_has_a_window_and_the_problem_names_the_offset() {
    let at = |created: i64, extra: &str| {
        Request::parameters(&format!(";created={created};keyid=\"{ID}\"{extra}")).sign().check()
    };
    assert!(at(NOW - 3900, "").is_ok() && at(NOW + 3600, "").is_ok());
    let late = at(NOW - 3901, "").unwrap_err();
    assert_eq!(
        (late.code(), late.to_string().as_str()),
        (
            "clock-offset",
            "created is 3901 s behind our clock; at most 3900 s behind and 3600 s ahead are accepted"
        )
    );
    let early = at(NOW + 7200, "").unwrap_err().to_string();
    assert!(early.starts_with("created is 7200 s ahead of our clock;"), "{early}");
    assert!(at(NOW, &format!(";expires={NOW}")).is_ok());
    let expired = at(NOW - 60, &format!(";expires={}", NOW - 7)).unwrap_err();
    assert_eq!(
        (expired.code(), expired.to_string().as_str()),
        ("signature-expired", "the signature expired 7 s ago")
    );
    assert_eq!(at(-NOW, "").unwrap_err().code(), "clock-offset");
}

#[test]
fn digest_and_host_are_checked() {
    let other = content_header_value(b"other");
    for (value, want) in [
        (WIDE, "ok"),
        (other.as_str(), "digest-mismatch"),
        ("sha-256=:AAAA:", "digest-mismatch"),
        ("md5=:AAAA:", "digest-unsupported"),
        ("SHA-256=AAAA", "digest-malformed"),
    ] {
        assert_eq!(Request::default().set("content-digest", value).sign().code(), want, "{value}");
    }
    for (host, want) in [
        ("stream.example", "ok"),
        ("STREAM.example:443", "ok"),
        ("other.example", "host-mismatch"),
        ("stream.example:8443", "host-mismatch"),
        ("", "host-mismatch"),
    ] {
        assert_eq!(Request::default().set("host", host).sign().code(), want, "{host}");
    }
    for (name, want) in [
        ("signature", "signature-missing"),
        ("host", "host-mismatch"),
        ("content-digest", "digest-missing"),
        // Without Signature-Input it is read as cavage.
        ("signature-input", "signature-malformed"),
    ] {
        let mut request = Request::default().sign();
        request.headers.remove(name);
        assert_eq!(request.code(), want, "{name}");
    }
    for name in ["signature", "signature-input", "host", "content-digest"] {
        let mut request = Request::default().sign();
        let again = request.headers[name].clone();
        request.headers.append(name, again);
        assert_eq!(request.code(), "duplicate-header", "{name}");
    }
    // Digest is cavage's; a wrong one says nothing here.
    assert_eq!(Request::default().set("digest", "SHA-256=AAAA").sign().code(), "ok");
}

#[test]
fn what_is_derived_from_the_request_is_ours() {
    let signed_for = |path: &str| Request { target: path.to_owned(), ..Request::default() }.sign();
    for (path, want) in [
        (PATH, "ok"),
        ("/other", "signature-mismatch"),
        ("/federation/user/live/inbox?a=1", "signature-mismatch"),
    ] {
        let moved = Request { target: PATH.to_owned(), ..signed_for(path) };
        assert_eq!(moved.code(), want, "{path}");
    }
    let request = Request::default().sign();
    let elsewhere = |own: &Origin, method: &Method| {
        let mut headers = request.headers.clone();
        headers.insert("host", own.authority().parse().unwrap());
        precheck(method, PATH, &headers, BODY, own, now()).unwrap().verify(&PUBLIC).is_ok()
    };
    assert!(elsewhere(&ours(), &Method::POST));
    assert!(!elsewhere(&ours(), &Method::PUT));
    assert!(!elsewhere(&own("https://other.example"), &Method::POST));
    assert!(!elsewhere(&own("http://stream.example"), &Method::POST));
}

#[test]
fn of_several_signatures_exactly_one_may_do() {
    let with = |input: &str, signature: &str| {
        let mut request = Request::default().sign();
        let add = |name: &'static str, text: &str| {
            let old = request.headers[name].to_str().unwrap();
            HeaderValue::from_str(&format!("{old}, {text}")).unwrap()
        };
        let (input, signature) = (add("signature-input", input), add("signature", signature));
        request.headers.insert("signature-input", input);
        request.headers.insert("signature", signature);
        request.code()
    };
    let whole = format!("b=(\"@method\" \"@target-uri\" \"content-digest\");created={NOW};keyid=\"x\"");
    let partial = format!("b=(\"@method\");created={NOW};keyid=\"x\"");
    for (input, signature, want) in [
        (partial.as_str(), "b=:AAAA:", "ok"),
        ("b=()", "b=:AAAA:", "ok"),
        ("b=(\"forwarded\";key=\"x\");created=1;keyid=\"proxy\"", "b=:AAAA:", "ok"),
        (&whole.replace("created", "x"), "b=:AAAA:", "ok"),
        (&whole, "b=:AAAA:", "signature-ambiguous"),
        (&whole.replace("b=", "sig1="), "sig1=:AAAA:", "duplicate-parameter"),
        (&whole.replace("b=", "sig1="), "b=:AAAA:", "duplicate-parameter"),
        (&partial, "c=:AAAA:", "signature-malformed"),
        (&partial, "b=:AAAA:, c=:AAAA:", "signature-malformed"),
        (&partial, "b=\"AAAA\"", "signature-malformed"),
        (&partial, "b=AAAA", "signature-malformed"),
        (&partial, "b=(:AAAA:)", "signature-malformed"),
        ("b", "b=:AAAA:", "signature-malformed"),
        ("b=(),c=(),d=()", "b=:AAAA:,c=:AAAA:,d=:AAAA:", "ok"),
        ("b=(),c=(),d=(),e=()", "b=:AAAA:,c=:AAAA:,d=:AAAA:,e=:AAAA:", "signature-malformed"),
    ] {
        assert_eq!(with(input, signature), want, "{input} | {signature}");
    }
}

#[test]
fn edwards_keys_sign_too() {
    for (extra, want) in [
        ("", "ok"),
        (";alg=\"ed25519\"", "ok"),
        (";alg=\"rsa-v1_5-sha256\"", "algorithm-mismatch"),
        (";alg=\"rsa-pss-sha512\"", "algorithm-mismatch"),
    ] {
        let parameters = format!(";created={NOW};keyid=\"{ID}\"{extra}");
        let request = Request { edwards: true, parameters, ..Request::default() };
        assert_eq!(request.sign().code(), want, "{extra}");
    }
}

proptest::proptest! {
    #[test]
    fn any_pair_of_headers_ends_in_a_verdict(
        input in "(sig1=)?[ -~]{0,120}", signature in "(sig1=:)?[ -~]{0,60}",
        list in "\\((\"[a-z@;\\\\-]{1,12}\"(;[a-z]{2})? ?){0,4}\\)(;(created|expires|keyid|alg|x)(=(\"[a-z]{0,5}\"|[0-9.]{1,16}))?){0,4}",
    ) {
        for input in [&input, &format!("sig1={list}")] {
            for signature in [&signature, "sig1=:AAAA:"] {
                let mut request = Request::default();
                let (Ok(input), Ok(value)) = (input.parse(), signature.parse()) else { continue };
                request.headers.insert("signature-input", input);
                request.headers.insert("signature", value);
                proptest::prop_assert_ne!(request.code(), "ok");
            }
        }
    }

    /// Flipping any bit of anything that is signed, or of the signature itself, ends in a refusal.
    #[test]
    fn any_flipped_bit_fails(which in 0usize..5, at in 0usize..10_000, bit in 0u8..7) {
        let mut request = Request::default().sign();
        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            bytes
        };
        match ["content-digest", "signature", "signature-input"].get(which) {
            Some(name) => {
                let old = request.headers[*name].clone();
                let Ok(new) = HeaderValue::from_bytes(&flip(old.as_bytes())) else { return Ok(()) };
                request.headers.insert(*name, new);
            }
            None if which == 3 => request.body = flip(&request.body),
            None => match String::from_utf8(flip(request.target.as_bytes())) {
                Ok(target) => request.target = target,
                Err(_) => return Ok(()),
            },
        }
        proptest::prop_assert_ne!(request.code(), "ok");
    }
}
