//! The fetcher against a server on the loopback that tells the truth, lies and stalls.

mod cost;
mod schemes;
mod webfinger;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::*;
use crate::activitypub::signature::{PrivateKey, PublicKey, precheck};
use crate::model::Source;
use crate::model::origin::{Origin, RemotePolicy};
use crate::net::test_server::{Hit, Reply, TestServer, answer, bytes};
use crate::net::{Client, ClientOptions, NetError};

/// FEP-8b32's published example key.
const MULTIKEY: &str = "z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2";
const TYPE: (&str, &str) = ("content-type", "application/activity+json");

static OURS: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().unwrap());
static THEIRS: LazyLock<String> = LazyLock::new(|| PrivateKey::generate().unwrap().public_pem().unwrap());

/// The default budgets with another one for each host.
fn host(host: Share) -> Budgets {
    Budgets { host, ..Budgets::default() }
}

struct Rig {
    fetcher: Fetcher,
    server: TestServer,
    now: Arc<AtomicI64>,
}

impl Rig {
    async fn new(script: impl Fn(&str, &Hit) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(Budgets::default(), script).await
    }

    async fn with(budgets: Budgets, script: impl Fn(&str, &Hit) -> Reply + Send + Sync + 'static) -> Self {
        let server = TestServer::start(script).await;
        let client = Client::new(ClientOptions {
            allow_private: vec!["127.0.0.0/8".parse().unwrap()],
            allow_http: true,
            timeout: Duration::from_secs(6),
            ..ClientOptions::default()
        })
        .unwrap();
        let now = Arc::new(AtomicI64::new(1_800_000_000));
        let clock = Arc::clone(&now);
        let fetcher = Fetcher::with_budgets(
            client,
            Signer {
                key_id: "https://stream.example/federation/user/live#main-key".to_owned(),
                key: OURS.clone(),
            },
            RemotePolicy { allow_http: true, allow_private: true },
            Origin::of(&Url::parse("https://stream.example/").unwrap()).unwrap(),
            Arc::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()),
            budgets,
        );
        Self { fetcher, server, now }
    }

    fn url(&self, path: &str) -> String {
        self.server.url(path).to_string()
    }

    fn pass(&self, time: SignedDuration) {
        self.now.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    fn hits(&self) -> usize {
        self.server.hits().len()
    }

    async fn actor(&self, path: &str) -> Result<Arc<RemoteActor>, FetchError> {
        self.fetcher.actor(&self.url(path), None).await
    }

    async fn key(&self, path: &str) -> Result<Found, FetchError> {
        self.fetcher.key(&self.url(path), None).await
    }
}

fn actor(base: &str, path: &str, key: &str) -> Value {
    let id = format!("{base}{path}");
    json!({
        "@context": "https://www.w3.org/ns/activitystreams", "id": id, "type": "Person", "preferredUsername": "a",
        "inbox": format!("{id}/inbox"),
        "publicKey": {"id": format!("{base}{key}"), "owner": id, "publicKeyPem": *THEIRS},
    })
}

fn document(value: &Value) -> Reply {
    answer(200, &[TYPE], value.to_string())
}

fn rejected<T: std::fmt::Debug>(got: Result<T, FetchError>, why: &str) {
    assert!(matches!(&got, Err(FetchError::Rejected(text)) if text.contains(why)), "{got:?} lacks {why:?}");
}

#[tokio::test]
async fn a_key_is_fetched_once_with_a_signed_get_and_again_after_an_hour() {
    let rig = Rig::new(|base, _| document(&actor(base, "/u/a", "/u/a#main-key"))).await;
    let (key, owner) = rig.key("/u/a#main-key").await.unwrap();
    assert_eq!((key.owner.as_str(), owner.id.as_str()), (rig.url("/u/a").as_str(), rig.url("/u/a").as_str()));
    assert_eq!(key.key, PublicKey::from_pem(&THEIRS).unwrap());

    let hit = &rig.server.hits()[0];
    assert!(
        hit.headers["accept"].to_str().unwrap().starts_with("application/activity+json, application/ld+json")
    );
    let now = Timestamp::from_second(rig.now.load(Ordering::SeqCst)).unwrap();
    let own = Origin::of(&rig.server.url("/")).unwrap();
    let signed = precheck(&Method::GET, &hit.target, &hit.headers, b"", &own, now).unwrap();
    assert_eq!(signed.key_id, "https://stream.example/federation/user/live#main-key");
    assert_eq!(signed.verify(&PublicKey::from_pem(&OURS.public_pem().unwrap()).unwrap()), Ok(()));

    rig.pass(FRESH_FOR - SignedDuration::from_secs(1));
    rig.key("/u/a#main-key").await.unwrap();
    assert_eq!(rig.hits(), 1);
    rig.pass(SignedDuration::from_secs(1));
    rig.key("/u/a#main-key").await.unwrap();
    assert_eq!(rig.hits(), 2);
    rig.actor("/u/a").await.unwrap();
    assert_eq!(rig.hits(), 3);
}

#[tokio::test]
async fn requests_are_made_on_a_thread_of_their_own_where_there_is_one() {
    let Rig { fetcher, server, .. } = Rig::new(|base, hit| document(&actor(base, &hit.target, "/k"))).await;
    let stop = CancellationToken::new();
    let fetcher = fetcher.apart(apart::start(stop.clone()).unwrap()).unwrap();
    let _stopped = stop.drop_guard();
    for path in ["/u/a", "/u/b"] {
        let url = server.url(path).to_string();
        assert_eq!(fetcher.actor(&url, None).await.unwrap().id.as_str(), url);
    }
    assert_eq!(server.hits().len(), 2);
}

#[tokio::test]
async fn every_shape_of_key_id_leads_to_its_owner() {
    let rig = Rig::new(|base, hit| match hit.target.as_str() {
        // GoToSocial: a stub at the key's own address, whose id is the actor's.
        "/gts/main-key" => {
            document(&json!({"id": format!("{base}/gts"), "type": "Person", "preferredUsername": "g"}))
        }
        "/gts" => document(&actor(base, "/gts", "/gts/main-key")),
        "/peertube" => document(&actor(base, "/peertube", "/peertube#main-key")),
        "/osada" => document(&actor(base, "/osada", "/osada")),
        "/keys/1" => document(&json!({"id": format!("{base}/keys/1"), "type": "CryptographicKey",
            "owner": format!("{base}/owner"), "publicKeyPem": *THEIRS})),
        "/owner" => document(&actor(base, "/owner", "/keys/1")),
        // A Multikey of its own, which its controller lists by address alone.
        "/keys/2" => document(&json!({"id": format!("{base}/keys/2"), "type": "Multikey",
            "controller": format!("{base}/mitra"), "publicKeyMultibase": MULTIKEY})),
        "/mitra" => {
            let mut listing = actor(base, "/mitra", "/mitra#main-key");
            listing["assertionMethod"] = json!([format!("{base}/keys/2")]);
            document(&listing)
        }
        // Several keys, and one beside them in FEP-521a's place.
        "/many" => {
            let mut many = actor(base, "/many", "/many#1");
            let mut second = many["publicKey"].clone();
            second["id"] = json!(format!("{base}/many#2"));
            many["publicKey"] = json!([many["publicKey"], second]);
            many["authentication"] = json!([{"id": format!("{base}/many#ed25519-key"), "type": "Multikey",
                "controller": format!("{base}/many"), "publicKeyMultibase": MULTIKEY}]);
            document(&many)
        }
        _ => answer(404, &[], ""),
    })
    .await;
    let shapes = [
        ("/gts/main-key", "/gts"),
        ("/peertube", "/peertube"),
        ("/osada", "/osada"),
        ("/keys/1", "/owner"),
        ("/keys/2", "/mitra"),
        ("/mitra#main-key", "/mitra"),
        ("/many#1", "/many"),
        ("/many#2", "/many"),
        ("/many#ed25519-key", "/many"),
    ];
    for (key, owner) in shapes {
        let (_, actor) = rig.key(key).await.unwrap();
        assert_eq!(actor.id.as_str(), rig.url(owner), "{key}");
    }
    let asked = rig.hits();
    for (key, _) in shapes {
        rig.key(key).await.unwrap();
    }
    assert_eq!(rig.hits(), asked);
    // The actor alone does not hold a key that is elsewhere; that is remembered with the key.
    rig.actor("/mitra").await.unwrap();
    rig.key("/keys/2").await.unwrap();
    assert_eq!(rig.hits(), asked + 1);
}

#[tokio::test]
async fn keys_in_documents_of_their_own_are_remembered_each_for_itself() {
    let rig = Rig::new(|base, hit| match hit.target.as_str() {
        "/u/a" => {
            let mut listing = actor(base, "/u/a", "/u/a#main-key");
            listing["publicKey"] = json!([format!("{base}/keys/1"), format!("{base}/keys/2")]);
            // From the next day on it lists only one.
            if hit.headers["date"].to_str().unwrap().starts_with("Sat") {
                listing["publicKey"] = json!([format!("{base}/keys/1")]);
            }
            document(&listing)
        }
        key => document(&json!({"id": format!("{base}{key}"), "type": "Key", "owner": format!("{base}/u/a"),
            "publicKeyPem": *THEIRS})),
    })
    .await;
    for _ in 0..10 {
        rig.key("/keys/1").await.unwrap();
        rig.key("/keys/2").await.unwrap();
        assert_eq!(rig.fetcher.key_fresh(&rig.url("/keys/1"), None).await, Ok(None));
        assert_eq!(rig.fetcher.key_fresh(&rig.url("/keys/2"), None).await, Ok(None));
    }
    assert_eq!(rig.hits(), 4, "each key with its owner, once");
    // A key that its owner lists no more counts no more, however fresh it is.
    rig.pass(SignedDuration::from_hours(24));
    rig.key("/keys/1").await.unwrap();
    rejected(rig.key("/keys/2").await, "lists no usable key");
}

#[tokio::test]
async fn a_key_that_its_owner_does_not_claim_is_refused() {
    let rig = Rig::new(|base, hit| {
        let key_document = |owner: String| {
            document(&json!({"id": format!("{base}{}", hit.target), "type": "Key", "owner": owner, "publicKeyPem": *THEIRS}))
        };
        match hit.target.as_str() {
            "/victim" => document(&actor(base, "/victim", "/victim#main-key")),
            "/forged" => key_document(format!("{base}/victim")),
            "/foreign" => key_document("https://victim.example/u/a".to_owned()),
            "/orphan" => key_document("not an address".to_owned()),
            "/turncoat" => key_document(format!("{base}/lister")),
            "/weak" => {
                let pem = openssl::rsa::Rsa::generate(1024).unwrap().public_key_to_pem().unwrap();
                document(&json!({"id": format!("{base}/weak"), "type": "Key", "owner": format!("{base}/lister"),
                    "publicKeyPem": String::from_utf8(pem).unwrap()}))
            }
            "/lister" => {
                let mut lister = actor(base, "/lister", "/lister#main-key");
                lister["publicKey"] = json!([format!("{base}/weak"), format!("{base}/lister#own"), "https://victim.example/key"]);
                document(&lister)
            }
            _ => answer(404, &[], ""),
        }
    })
    .await;
    rejected(rig.key("/forged").await, "lists no usable key");
    rejected(rig.key("/foreign").await, "another host");
    rejected(rig.key("/orphan").await, "no owner");
    // One that its owner does not list, and one that it lists by address and that is too weak.
    rejected(rig.key("/turncoat").await, "lists no usable key");
    let asked = rig.hits();
    rejected(rig.key("/weak").await, "has 1024 bits");
    rejected(rig.key("/lister#own").await, "lists no usable key");
    assert_eq!(rig.hits(), asked + 3);
    for _ in 0..5 {
        rejected(rig.key("/weak").await, "has 1024 bits");
        rejected(rig.key("/lister#own").await, "lists no usable key");
    }
    assert_eq!(rig.hits(), asked + 3);
    rejected(rig.key("/victim#other").await, "lists no usable key");
}

#[tokio::test]
async fn a_document_speaks_only_for_its_own_address() {
    let rig = Rig::new(|base, hit| match hit.target.as_str() {
        "/@a" | "/u/a" => document(&actor(base, "/u/a", "/u/a#main-key")),
        "/foreign" => document(&actor("https://victim.example", "/u/a", "/u/a#main-key")),
        "/twice" => document(&actor(base, "/unstable", "/unstable#main-key")),
        "/unstable" => document(&actor(base, "/third", "/third#main-key")),
        "/nameless" => document(&json!({"type": "Person"})),
        "/stripped" => document(&json!({"type": "Person", "id": format!("{base}/stripped")})),
        "/tombstone" => document(&json!({"type": "Tombstone", "id": format!("{base}/tombstone")})),
        _ => answer(404, &[], ""),
    })
    .await;
    assert_eq!(rig.actor("/@a").await.unwrap().id.as_str(), rig.url("/u/a"));
    assert_eq!(rig.hits(), 2);
    rejected(rig.actor("/foreign").await, "another host");
    rejected(rig.actor("/twice").await, "its id is not its address");
    assert_eq!(rig.actor("/nameless").await, Err(FetchError::Denied));
    assert_eq!(rig.actor("/stripped").await, Err(FetchError::Denied));
    assert_eq!(rig.actor("/tombstone").await, Err(FetchError::Gone));
}

#[tokio::test]
async fn redirects_stay_on_the_host_and_are_signed_anew() {
    let rig = Rig::new(|base, hit| {
        let to = |location: &str| answer(302, &[("location", location)], "");
        match hit.target.as_str() {
            "/1" => to("/2"),
            "/2" => to("3#fragment"),
            "/3" => to(&format!("{base}/end")),
            "/end" => document(&actor(base, "/end", "/end#main-key")),
            "/0" => to("/1"),
            "/loop" => to("/loop"),
            "/elsewhere" => to("https://victim.example/u/a"),
            "/port" => to("http://127.0.0.1:1/"),
            "/scheme-relative" => to("//victim.example/u/a"),
            "/ftp" => to("ftp://127.0.0.1/"),
            "/backslash" => to("\\\\victim.example/"),
            "/user" => to(&base.replace("http://", "http://user@")),
            "/none" => answer(302, &[], ""),
            "/two" => answer(302, &[("location", "/end"), ("location", "/1")], ""),
            _ => answer(404, &[], ""),
        }
    })
    .await;
    assert_eq!(rig.actor("/1").await.unwrap().id.as_str(), rig.url("/end"));
    let hits = rig.server.hits();
    let own = Origin::of(&rig.server.url("/")).unwrap();
    let now = Timestamp::from_second(rig.now.load(Ordering::SeqCst)).unwrap();
    let ours = PublicKey::from_pem(&OURS.public_pem().unwrap()).unwrap();
    assert_eq!(hits.len(), 4);
    for hit in hits {
        let signed = precheck(&Method::GET, &hit.target, &hit.headers, b"", &own, now).unwrap();
        assert_eq!(signed.verify(&ours), Ok(()), "{}", hit.target);
    }
    rejected(rig.actor("/0").await, "more than 3");
    rejected(rig.actor("/loop").await, "more than 3");
    for path in ["/elsewhere", "/port", "/scheme-relative"] {
        rejected(rig.actor(path).await, "another host");
    }
    rejected(rig.actor("/backslash").await, "ambiguous");
    rejected(rig.actor("/none").await, "without one readable Location");
    rejected(rig.actor("/two").await, "without one readable Location");
    for path in ["/ftp", "/user"] {
        assert!(matches!(rig.actor(path).await, Err(FetchError::Address(_))), "{path}");
    }
}

#[tokio::test]
async fn types_sizes_and_shapes_are_checked_before_anything_is_believed() {
    let rig = Rig::new(|base, hit| {
        let body = actor(base, &hit.target, &format!("{}#main-key", hit.target)).to_string();
        let of_type = |value: &str| answer(200, &[("content-type", value)], &body);
        match hit.target.as_str() {
            "/ld" => of_type("application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\""),
            "/charset" => of_type("application/activity+json; charset=utf-8"),
            "/html" => of_type("text/html"),
            "/json" => of_type("application/json"),
            "/bare-ld" => of_type("application/ld+json"),
            "/png" => of_type("image/png"),
            "/untyped" => answer(200, &[], &body),
            "/large" => answer(200, &[TYPE], vec![b' '; 256 * 1024 + 1]),
            "/gzip" => answer(200, &[TYPE, ("content-encoding", "gzip")], "zz"),
            "/deep" => answer(200, &[TYPE], "[".repeat(100_000)),
            "/twice" => answer(200, &[TYPE], body.replacen('{', "{\"id\":\"x\",", 1)),
            "/graph" => answer(200, &[TYPE], body.replacen('{', "{\"@graph\":[],", 1)),
            "/text" => answer(200, &[TYPE], "hello"),
            _ => answer(404, &[], ""),
        }
    })
    .await;
    assert!(rig.actor("/ld").await.is_ok() && rig.actor("/charset").await.is_ok());
    for path in ["/html", "/json", "/bare-ld", "/png", "/untyped"] {
        rejected(rig.actor(path).await, "content type");
    }
    assert!(matches!(rig.actor("/large").await, Err(FetchError::Net(NetError::TooLarge(_)))));
    assert!(matches!(rig.actor("/gzip").await, Err(FetchError::Net(NetError::Encoding(_)))));
    rejected(rig.actor("/deep").await, "nests deeper");
    rejected(rig.actor("/twice").await, "same key twice");
    rejected(rig.actor("/graph").await, "@graph");
    rejected(rig.actor("/text").await, "not valid JSON");
}

#[tokio::test]
async fn failures_are_sorted_and_remembered_for_a_while() {
    let rig = Rig::new(|_, hit| answer(hit.target[1..].parse().unwrap(), &[], "")).await;
    for (path, want, transient) in [
        ("/410", FetchError::Gone, false),
        ("/404", FetchError::NotFound, false),
        ("/401", FetchError::Denied, false),
        ("/403", FetchError::Denied, false),
        ("/406", FetchError::Status(406), false),
        ("/204", FetchError::Status(204), false),
        ("/429", FetchError::Status(429), true),
        ("/500", FetchError::Status(500), true),
        ("/503", FetchError::Status(503), true),
    ] {
        assert_eq!(want.is_transient(), transient, "{path}");
        let (before, knocks) = (rig.hits(), if path == "/401" { 2 } else { 1 });
        for fragment in 0..5 {
            assert_eq!(rig.key(&format!("{path}#{fragment}")).await.unwrap_err(), want);
            assert_eq!(rig.actor(path).await.unwrap_err(), want);
        }
        assert_eq!(rig.hits(), before + knocks, "{path}");
        rig.pass(REFETCH_PAUSE);
        assert_eq!(rig.actor(path).await.unwrap_err(), want);
        assert_eq!(rig.hits(), before + 2 * knocks, "{path}");
    }
    let slow = b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n".to_vec();
    let stalling = TestServer::start(move |_, _| Reply::Drip(slow.clone(), Duration::from_millis(50))).await;
    let got = rig.fetcher.actor(stalling.url("/").as_str(), None).await.unwrap_err();
    assert!(matches!(got, FetchError::Net(NetError::Timeout(_))) && got.is_transient(), "{got:?}");
}

#[tokio::test]
async fn an_actor_that_is_gone_is_forgotten() {
    let rig = Rig::new(|base, hit| match hit.headers["date"].to_str().unwrap() {
        "Fri, 15 Jan 2027 08:00:00 GMT" => document(&actor(base, "/u/a", "/u/a#main-key")),
        _ => answer(410, &[], ""),
    })
    .await;
    rig.key("/u/a#main-key").await.unwrap();
    rig.pass(SignedDuration::from_secs(1));
    rig.key("/u/a#main-key").await.unwrap();
    assert_eq!(rig.actor("/u/a").await, Err(FetchError::Gone));
    assert_eq!(rig.key("/u/a#main-key").await.unwrap_err(), FetchError::Gone);
    assert_eq!(rig.hits(), 2);
}

#[tokio::test]
async fn our_own_host_and_unusable_addresses_are_never_asked() {
    let rig = Rig::new(|base, _| document(&actor(base, "/u/a", "/u/a#main-key"))).await;
    for id in ["https://stream.example/federation/user/live#main-key", "https://Stream.Example:8443/u"] {
        assert_eq!(rig.fetcher.key(id, None).await.unwrap_err(), FetchError::OwnHost, "{id}");
        assert_eq!(rig.fetcher.actor(id, None).await.unwrap_err(), FetchError::OwnHost, "{id}");
        assert_eq!(rig.fetcher.key_fresh(id, None).await.unwrap_err(), FetchError::OwnHost, "{id}");
    }
    for id in [
        "acct:a@peer.example",
        "file:///etc/passwd",
        "https://a@peer.example/",
        "",
        "https://peer.example/ x",
    ] {
        assert!(matches!(rig.fetcher.key(id, None).await, Err(FetchError::Address(_))), "{id}");
    }
    assert_eq!(rig.hits(), 0);
}
