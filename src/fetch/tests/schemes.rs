//! Which way of signing a host is asked in, and what teaches it.

use std::sync::atomic::AtomicBool;

use super::*;

/// Whether each request was signed by RFC 9421, of those since so many.
fn newer(rig: &Rig, since: usize) -> Vec<bool> {
    rig.server.hits()[since..].iter().map(|hit| hit.headers.contains_key("signature-input")).collect()
}

#[tokio::test]
async fn a_peer_that_demands_rfc_9421_gets_a_second_knock() {
    let rig = Rig::new(|base, hit| match hit.headers.contains_key("signature-input") {
        true if hit.target.starts_with("/u/") => document(&actor(base, &hit.target, "/u/a#main-key")),
        _ if hit.target == "/stern" => answer(403, &[], ""),
        true => answer(401, &[], ""),
        false => answer(400, &[], ""),
    })
    .await;
    rig.key("/u/a#main-key").await.unwrap();
    let own = Origin::of(&rig.server.url("/")).unwrap();
    let now = Timestamp::from_second(rig.now.load(Ordering::SeqCst)).unwrap();
    let ours = PublicKey::from_pem(&OURS.public_pem().unwrap()).unwrap();
    assert_eq!(newer(&rig, 0), [false, true]);
    for hit in rig.server.hits() {
        let signed = precheck(&Method::GET, &hit.target, &hit.headers, b"", &own, now).unwrap();
        assert_eq!(signed.verify(&ours), Ok(()));
    }
    // One knock from now on; one more where that is refused, and none where it is not about the signature.
    rig.actor("/u/b").await.unwrap();
    assert_eq!(newer(&rig, 2), [true]);
    assert_eq!(rig.actor("/closed").await, Err(FetchError::Denied));
    assert_eq!(newer(&rig, 3), [true, false]);
    assert_eq!(rig.actor("/stern").await, Err(FetchError::Denied));
    assert_eq!(rig.hits(), 6);
}

#[tokio::test]
async fn one_page_of_a_host_does_not_say_how_the_others_are_asked() {
    let rig = Rig::new(|base, hit| {
        let whole = |path: &str| document(&actor(base, path, &format!("{path}#main-key")));
        match (hit.target.as_str(), hit.headers.contains_key("signature-input")) {
            ("/u/a", _) => whole("/u/a"),
            (_, false) => answer(401, &[], ""),
            ("/nothing", true) => answer(200, &[TYPE], ""),
            ("/note", true) => document(&json!({"id": format!("{base}/note"), "type": "Note"})),
            ("/stripped", true) => {
                document(&json!({"id": format!("{base}/stripped"), "type": "Person", "publicKey": {}}))
            }
            ("/nameless", true) => document(&json!({"type": "Person"})),
            ("/moved", true) => whole("/elsewhere"),
            ("/elsewhere", true) => whole("/third"),
            _ => answer(404, &[], ""),
        }
    })
    .await;
    for path in ["/nothing", "/note", "/stripped", "/nameless", "/moved"] {
        rig.key(&format!("{path}#main-key")).await.unwrap_err();
        let asked = rig.hits();
        rig.actor("/u/a").await.unwrap();
        assert_eq!(newer(&rig, asked), [false], "{path}");
    }
}

#[tokio::test]
async fn one_search_learns_once() {
    let rig =
        Rig::new(|base, hit| match (hit.target.as_str(), hit.headers.contains_key("signature-input")) {
            (_, false) => answer(401, &[], ""),
            ("/keys/1", true) => document(&json!({"id": format!("{base}/keys/1"), "type": "Key",
            "owner": format!("{base}/u/a"), "publicKeyPem": *THEIRS})),
            _ => document(&actor(base, "/u/a", "/keys/1")),
        })
        .await;
    rig.key("/keys/1").await.unwrap();
    assert_eq!(newer(&rig, 0), [false, true, true]);
}

/// Sharkey, for one, shows those whose signature it does not understand a part of an actor.
#[tokio::test]
async fn who_shows_less_to_the_newer_signature_is_asked_by_the_older() {
    let updated = Arc::new(AtomicBool::new(false));
    let changed = Arc::clone(&updated);
    let rig = Rig::new(move |base, hit| {
        let newer = hit.headers.contains_key("signature-input");
        let mut whole = actor(base, &hit.target, &format!("{}#main-key", hit.target));
        match (changed.load(Ordering::SeqCst), newer) {
            (false, false) => return answer(401, &[], ""),
            (true, true) => drop(whole.as_object_mut().unwrap().remove("inbox")),
            _ => {}
        }
        document(&whole)
    })
    .await;
    rig.actor("/u/a").await.unwrap();
    updated.store(true, Ordering::SeqCst);
    rig.actor("/u/b").await.unwrap();
    rig.actor("/u/c").await.unwrap();
    assert_eq!(newer(&rig, 0), [false, true, true, false, false]);
}
