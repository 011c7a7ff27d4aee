//! Actor documents. What is believed of one is of its own origin and bounded, and reading it again says the same.

use owncast_herald::activitypub::json;
use owncast_herald::fetch::RemoteActor;
use owncast_herald::model::handle::{Person, host_of};
use owncast_herald::model::origin::{RemotePolicy, parse_remote, same_origin};
use url::Url;

use crate::run::{JSON, Target, fuzz};

fn check(bytes: &[u8]) {
    let Ok(document) = json::parse(bytes) else { return };
    let policy = RemotePolicy::default();
    let actor = match RemoteActor::read(&document, &policy) {
        Ok(actor) => actor,
        Err(problem) => return assert!(!problem.to_string().is_empty()),
    };
    assert_eq!(RemoteActor::read(&document, &policy).as_ref(), Ok(&actor), "the same twice");
    assert_eq!(document["id"].as_str().map(Url::parse), Some(Ok(actor.id.clone())));
    assert!(actor.id.fragment().is_none() && actor.id.scheme() == "https");
    for address in [Some(&actor.inbox), actor.shared_inbox.as_ref()].into_iter().flatten() {
        assert!(same_origin(address, &actor.id), "{address} is not {}'s", actor.id);
    }
    for key in &actor.keys {
        assert!(same_origin(&key.id, &actor.id) && key.owner == actor.id, "{key:?}");
        assert!(key.key.to_pem().is_ok());
    }
    assert!(actor.keys.len() <= 8);
    assert!(actor.name.as_ref().is_none_or(|name| (1..=500).contains(&name.chars().count())));
    assert!((1..=200).contains(&actor.preferred_username.chars().count()));
    for link in [&actor.icon, &actor.url].into_iter().flatten() {
        assert_eq!(
            parse_remote(link.as_str(), &policy).as_ref(),
            Ok(link),
            "an address that is refused elsewhere"
        );
    }
    let person = actor.person();
    assert!(person.handle.ends_with(&format!("@{}", host_of(&person.actor))));
    assert_eq!(host_of(&person.actor), host_of(&person.inbox));
    let stored = serde_json::to_string(&**person).unwrap();
    assert_eq!(serde_json::from_str::<Person>(&stored).unwrap(), **person);
}

#[test]
fn an_actor_speaks_for_its_own_origin() {
    fuzz(&Target { name: "actors", also: Vec::new(), words: &[JSON, WORDS], cases: 40_000 }, check);
}

const WORDS: &[&str] = &[
    "7",
    "\"id\":",
    "\"type\":",
    "\"inbox\":",
    "\"endpoints\":",
    "\"sharedInbox\":",
    "\"publicKey\":",
    "\"owner\":",
    "\"controller\":",
    "\"publicKeyPem\":",
    "\"publicKeyMultibase\":",
    "\"assertionMethod\":",
    "\"authentication\":",
    "\"preferredUsername\":",
    "\"name\":",
    "\"icon\":",
    "\"url\":",
    "\"href\":",
    "\"Person\"",
    "\"Service\"",
    "\"Tombstone\"",
    "\"Note\"",
    "\"Multikey\"",
    "https://peer.example/users/ana",
    "https://victim.example/inbox",
    "https://peer.example.evil.example/",
    "http://peer.example/",
    "https://peer.example:8443/",
    "https://peer.example./",
    "https://ana@peer.example/",
    "https://PEER.example/",
    "https://p\u{e9}er.example/",
    "https://10.0.0.1/",
    "https://[::1]/",
    "https://localhost/",
    "#main-key",
    "#",
    "?",
    "/..",
    "%2e",
    "\\u0000",
    "\\n",
    "\u{202e}",
    "javascript:alert(1)",
    "data:,x",
    "-----BEGIN PUBLIC KEY-----\\n",
    "-----BEGIN RSA PUBLIC KEY-----\\n",
    "z6Mk",
    "@peer.example",
    " ",
];
