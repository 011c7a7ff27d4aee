//! What is proved, against a server on the loopback.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::activitypub::signature::{PrivateKey, digest, sign_request, sign_request_rfc9421};
use crate::fetch::{Budgets, Clock, FRESH_FOR, REFETCH_PAUSE, USABLE_FOR};
use crate::inbox::testing::{Request, engine, ours};
use crate::model::origin::RemotePolicy;
use crate::net::test_server::{Reply, TestServer, answer};

fn clock(now: &Arc<AtomicI64>) -> Clock {
    let now = Arc::clone(now);
    Arc::new(move || Timestamp::from_second(now.load(Ordering::SeqCst)).unwrap())
}

fn document(value: &serde_json::Value) -> Reply {
    answer(200, &[("content-type", "application/activity+json")], value.to_string())
}

/// Somebody at this path, with a key of this id.
fn shown(base: &str, path: &str, key: &str, pem: &str) -> Reply {
    let id = format!("{base}{path}");
    document(&json!({"id": id, "type": "Person", "inbox": format!("{id}/inbox"),
        "publicKey": {"id": format!("{base}{key}"), "owner": id, "publicKeyPem": pem}}))
}

/// What an actor says of itself, as it arrived.
async fn claimed(engine: &Engine, kind: &str, actor: &str, key_id: &str, key: &PrivateKey) -> Box<Claim> {
    let target = (kind == "Move").then_some("https://new.example/u/a");
    let activity = json!({"type": kind, "actor": actor, "object": actor, "target": target});
    let request = Request::signed(&activity, key_id, key);
    let source = Source::of([203, 0, 113, 1].into());
    match check(engine, request.arriving(Some(source)).await) {
        Ok(Checked::Leaving(claim)) => Box::new(claim),
        _ => panic!("{activity} is not looked into"),
    }
}

#[test]
fn a_part_of_an_actor_has_the_address_that_it_would_be_read_as() {
    let strict = RemotePolicy::default();
    for sent in
        ["https://peer.example/u/a", "https://PEER.example:443/u/ä?x=1", "https://peer.example/u/a#me"]
    {
        let actor = parse_remote(sent, &strict).unwrap();
        for behind in
            ["#main-key", "#likes/1", "#", "#a#b", "#a b", "#\u{202e}", "#ä", "/main-key", "x#y", ""]
        {
            let text = format!("{sent}{behind}");
            if let Some(part) = part_of(sent, &actor, &text) {
                assert_eq!(Ok(part), parse_remote(&text, &strict), "{text}");
            }
        }
        let long = format!("{sent}#{}", "x".repeat(MAX_URL_BYTES));
        assert_eq!(part_of(sent, &actor, &long), None);
        assert_eq!(part_of(sent, &actor, &format!("{sent}#k")).is_some(), actor.fragment().is_none());
    }
}

#[tokio::test]
async fn a_report_that_waits_for_its_key_holds_no_more_than_it_is_about() {
    let (now, key) = (Arc::new(AtomicI64::new(1_800_000_000)), PrivateKey::generate().unwrap());
    let engine = engine(&key, clock(&now));
    let (actor, us) = ("https://eve.example/u/e", ours().actor());
    let mut named =
        vec![format!("https://LIVE.example/{}federation/user/ana", "x/../".repeat(300)), us.clone()];
    named.extend((0..3).map(|number| format!("{actor}/{number}/{}", "x".repeat(1900))));
    let flag = json!({"type": "Flag", "actor": actor, "object": named});
    let request = Request::signed(&flag, &format!("{actor}#main-key"), &key);
    let Ok(Checked::Claim(claim)) = check(&engine, request.arriving(None).await) else {
        panic!("it is not looked into")
    };
    assert_eq!(claim.incoming.more, [us]);
}

#[tokio::test]
async fn what_an_actor_says_of_itself_waits_without_the_rest() {
    let (now, key) = (Arc::new(AtomicI64::new(1_800_000_000)), PrivateKey::generate().unwrap());
    let engine = engine(&key, clock(&now));
    let actor = "https://eve.example/u/e";
    let long = |what: &str| format!("https://eve.example/{what}/{}", "x".repeat(1900));
    let new = "https://new.example/u/e";
    for (kind, target, kept) in [
        ("Delete", long("target"), None),
        ("Update", long("target"), None),
        ("Move", new.to_owned(), Some(new)),
    ] {
        let activity = json!({"type": kind, "actor": actor, "id": format!("{actor}#{kind}"), "target": target,
            "object": {"id": actor, "type": long("type"), "actor": long("actor"), "object": long("object"),
                "inReplyTo": long("reply")}});
        let request = Request::signed(&activity, &format!("{actor}#main-key"), &key);
        let Ok(Checked::Leaving(claim)) = check(&engine, request.arriving(None).await) else {
            panic!("{kind} is not looked into")
        };
        let left = json!({"type": kind, "actor": actor, "object": actor, "target": kept});
        assert_eq!(Ok(claim.incoming), Incoming::parse(&left));
    }
}

#[tokio::test]
async fn long_addresses_of_keys_are_refused() {
    let (now, key) = (Arc::new(AtomicI64::new(1_800_000_000)), PrivateKey::generate().unwrap());
    let engine = engine(&key, clock(&now));
    let actor = "https://eve.example/u/e";
    let spare = MAX_KEPT_BYTES - actor.len() - 1;
    for (rest, refused) in [
        (format!("/{}", "x".repeat(spare)), false),
        (format!("/{}", "x".repeat(spare + 1)), true),
        (format!("#{}", "x".repeat(spare + 1)), true),
        // Each is one byte as it is sent, and three as it is asked for.
        (format!("/{}", "{".repeat(spare / 3 + 1)), true),
        (format!("/{}k", "x/../".repeat(spare / 5 + 1)), true),
    ] {
        let follow = json!({"type": "Follow", "actor": actor, "object": ours().actor()});
        let request = Request::signed(&follow, &format!("{actor}{rest}"), &key);
        let checked = check(&engine, request.arriving(None).await);
        let code = checked.err().map(|problem| problem.code);
        assert_eq!(code, refused.then_some("bad-address"), "{rest}");
    }
}

#[tokio::test]
async fn our_own_host_is_known_however_the_settings_spell_it() {
    let (now, key) = (Arc::new(AtomicI64::new(1_800_000_000)), PrivateKey::generate().unwrap());
    let addresses = Arc::new(crate::model::Addresses::new("https://LIVE.example", "ana"));
    let engine = Engine { addresses, ..engine(&key, clock(&now)) };
    let actor = "https://live.example/u/e";
    let follow = json!({"type": "Follow", "actor": actor, "object": ours().actor()});
    let request = Request::signed(&follow, &format!("{actor}#main-key"), &key);
    let Err(problem) = check(&engine, request.arriving(None).await) else { panic!("it is looked into") };
    assert_eq!(problem.code, "own-host");
}

#[tokio::test]
async fn a_key_that_changed_is_looked_at_once_more_and_not_at_once() {
    let keys: Vec<PrivateKey> = (0..3).map(|_| PrivateKey::generate().unwrap()).collect();
    let pems: Vec<String> = keys.iter().map(|key| key.public_pem().unwrap()).collect();
    let current = Arc::new(AtomicUsize::new(0));
    let turn = Arc::clone(&current);
    let server = TestServer::start(move |base, _| {
        let Some(pem) = pems.get(turn.load(Ordering::SeqCst)) else { return answer(503, &[], "") };
        shown(base, "/u/a", "/u/a#main-key", pem)
    })
    .await;
    let now = Arc::new(AtomicI64::new(1_800_000_000));
    let engine = engine(&keys[2], clock(&now));
    let (url, own) = (Url::parse(&ours().inbox()).unwrap(), engine.fetcher.own());
    let key_id = format!("{}#main-key", server.url("/u/a"));
    let key = Url::parse(&key_id).unwrap();
    let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
    let signed = |key: usize, rfc9421: bool| {
        let at = at(now.load(Ordering::SeqCst));
        let (sign, digest): (crate::activitypub::signature::SignRequest, _) = match rfc9421 {
            true => (sign_request_rfc9421, digest::content_header_value(b"{}")),
            false => (sign_request, digest::header_value(b"{}")),
        };
        let made = sign(&Method::POST, &url, at, Some(&digest), None, &key_id, &keys[key]).unwrap();
        let mut headers: HeaderMap = made.into_iter().collect();
        headers.insert("host", "live.example".parse().unwrap());
        precheck(&Method::POST, url.path(), &headers, b"{}", own, at).unwrap()
    };
    let believed = async |unverified: Unverified| {
        let fetcher = &engine.fetcher;
        signer(&engine.proofs, fetcher, fetcher, &unverified, &key, None).await.unwrap().is_some()
    };

    assert!(believed(signed(0, false)).await && believed(signed(0, true)).await);
    assert_eq!(server.hits().len(), 1);
    // Changed a moment after it was fetched: not believed, and not looked for.
    current.store(1, Ordering::SeqCst);
    assert!(!believed(signed(1, true)).await && !believed(signed(1, false)).await);
    assert_eq!(server.hits().len(), 1);
    now.fetch_add(REFETCH_PAUSE.as_secs(), Ordering::SeqCst);
    assert!(believed(signed(1, true)).await);
    assert_eq!(server.hits().len(), 2);
    // The old one is nothing now, and a stranger's never was.
    for key in [0, 2] {
        assert!(!believed(signed(key, true)).await && !believed(signed(key, false)).await);
    }
    assert_eq!(server.hits().len(), 2);

    // Its server is away: what the known key has signed counts for a day, and nothing else does.
    current.store(keys.len(), Ordering::SeqCst);
    now.fetch_add(FRESH_FOR.as_secs(), Ordering::SeqCst);
    let away = async |unverified: Unverified| {
        let fetcher = &engine.fetcher;
        signer(&engine.proofs, fetcher, fetcher, &unverified, &key, None)
            .await
            .is_err_and(|error| error.is_transient())
    };
    assert!(believed(signed(1, true)).await && believed(signed(1, false)).await);
    assert!(away(signed(0, true)).await && away(signed(2, false)).await);
    assert_eq!(server.hits().len(), 3);
    now.fetch_add(USABLE_FOR.as_secs(), Ordering::SeqCst);
    assert!(away(signed(1, true)).await);
}

#[tokio::test]
async fn a_delete_is_not_forgotten_because_too_many_came_at_once() {
    let server = TestServer::start(|_, _| answer(410, &[], "")).await;
    let (now, key) = (Arc::new(AtomicI64::new(1_800_000_000)), PrivateKey::generate().unwrap());
    let engine = engine(&key, clock(&now));
    let limit = Budgets::default().source_at_owner.per_minute as usize;
    let mut later = Vec::new();
    for number in 0..limit + 6 {
        let actor = server.url(&format!("/u/{number}")).to_string();
        let claim = claimed(&engine, "Delete", &actor, &format!("{actor}#main-key"), &key).await;
        match left(&engine, claim).await {
            Left::Proved(_) if number < limit => {}
            Left::Later(claim) if number >= limit => later.push(claim),
            _ => panic!("the {number}th"),
        }
    }
    now.fetch_add(60, Ordering::SeqCst);
    for claim in later {
        assert!(matches!(left(&engine, claim).await, Left::Proved(_)));
    }
}

#[tokio::test]
async fn who_has_proved_something_is_looked_into_when_strangers_are_not() {
    let key = PrivateKey::generate().unwrap();
    let pem = key.public_pem().unwrap();
    let server = TestServer::start(move |base, hit| {
        shown(base, &hit.target, &format!("{}#main-key", hit.target), &pem)
    })
    .await;
    let now = Arc::new(AtomicI64::new(1_800_000_000));
    let engine = engine(&key, clock(&now));
    let limit = Budgets::default().source_at_owner.per_minute;
    for number in 0..2 * limit {
        let actor = server.url(&format!("/u/{number}")).to_string();
        let claim = claimed(&engine, "Move", &actor, &format!("{actor}#main-key"), &key).await;
        assert!(matches!(left(&engine, claim).await, Left::Proved(_)), "the {number}th");
    }
}

#[tokio::test]
async fn of_an_actor_that_is_not_found_the_key_that_is_remembered_tells() {
    let [theirs, other] = [0, 1].map(|_| PrivateKey::generate().unwrap());
    let (pem, another) = (theirs.public_pem().unwrap(), other.public_pem().unwrap());
    let status = Arc::new(AtomicUsize::new(200));
    let told = Arc::clone(&status);
    // Of the second one the key alone goes, and another takes its place.
    let server =
        TestServer::start(move |base, hit| match (hit.target.as_str(), told.load(Ordering::SeqCst)) {
            ("/u/a", 200) => shown(base, "/u/a", "/u/a#main-key", &pem),
            ("/u/b", 200) => shown(base, "/u/b", "/u/b/key", &pem),
            ("/u/b/key", 200) => document(&json!({"id": format!("{base}/u/b/key"), "type": "Key",
            "owner": format!("{base}/u/b"), "publicKeyPem": pem})),
            ("/u/b", _) => shown(base, "/u/b", "/u/b#new", &another),
            (_, status) => answer(u16::try_from(status).unwrap(), &[], ""),
        })
        .await;
    let now = Arc::new(AtomicI64::new(1_800_000_000));
    let engine = engine(&other, clock(&now));
    let address = |path: &str| server.url(path).to_string();
    let (ana, bo) = (address("/u/a"), address("/u/b"));
    let (anas, bos) = (address("/u/a#main-key"), address("/u/b/key"));
    for key in [&anas, &bos] {
        engine.fetcher.key(key, None).await.unwrap();
    }
    now.fetch_add(FRESH_FOR.as_secs(), Ordering::SeqCst);
    let says = async |kind: &str, actor: &str, key_id: &str, key: &PrivateKey| {
        left(&engine, claimed(&engine, kind, actor, key_id, key).await).await
    };
    status.store(404, Ordering::SeqCst);
    assert!(matches!(says("Delete", &ana, &anas, &theirs).await, Left::Proved(_)));
    // Not hers: that may be so, or her server is being mended.
    let Left::Missing(actor) = says("Delete", &ana, &anas, &other).await else { panic!("not missing") };
    assert_eq!(actor, ana);
    for kind in ["Update", "Move"] {
        assert!(matches!(says(kind, &ana, &anas, &theirs).await, Left::Unproved), "{kind}");
    }
    assert!(matches!(says("Delete", &bo, &bos, &theirs).await, Left::Unproved), "a key that is over");
    // Nothing can be told of a server that fails.
    status.store(500, Ordering::SeqCst);
    now.fetch_add(REFETCH_PAUSE.as_secs(), Ordering::SeqCst);
    assert!(matches!(says("Delete", &ana, &anas, &theirs).await, Left::Proved(_)));
    for kind in ["Delete", "Update", "Move"] {
        assert!(matches!(says(kind, &ana, &anas, &other).await, Left::Later(_)), "{kind}");
    }
    now.fetch_add(USABLE_FOR.as_secs(), Ordering::SeqCst);
    assert!(matches!(says("Delete", &ana, &anas, &theirs).await, Left::Later(_)), "not remembered for ever");
}
