//! What is read of a stranger's actor document.

use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::FetchError;
use super::document::without_fragment;
use super::shapes::{cut, id, kind, link, many, text};
use crate::activitypub::signature::{KeyError, PublicKey};
use crate::model::handle::{Person, host_of_url, user_of};
use crate::model::origin::{MAX_KEPT_BYTES, RemotePolicy, parse_remote, same_origin};

const ACTOR_KINDS: [&str; 5] = ["Person", "Service", "Application", "Group", "Organization"];
/// Where an actor lists its keys: PEM in the first, Multikeys (FEP-521a) in the others.
const KEY_FIELDS: [&str; 3] = ["publicKey", "assertionMethod", "authentication"];
/// Most keys looked at in all of them: actors are kept by the thousand.
const MAX_KEYS: usize = 8;
/// About so many bytes are needed to remember a key and its two addresses.
const KEY_WEIGHT: usize = 3 * 1024;
/// Longest id of a key, in bytes.
const LONGEST_KEY_ID: usize = 500;

/// An actor as fetched from its own id. Texts are as the stranger wrote them: escape before showing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteActor {
    /// The actor's id, equal to the address it was fetched from.
    pub id: Url,
    /// `Person`, `Service`, `Application`, `Group` or `Organization`.
    pub kind: String,
    /// Personal inbox, of the actor's own origin (C-12: else we would be a tool to flood others).
    pub inbox: Url,
    /// `endpoints.sharedInbox`, if it is of the actor's own origin.
    pub shared_inbox: Option<Url>,
    /// `preferredUsername`, or what stands for it: see [`user_of`].
    pub preferred_username: String,
    /// Display name, at most 500 characters.
    pub name: Option<String>,
    /// Address of the picture; may be on any host, and is never fetched.
    pub icon: Option<Url>,
    /// Profile page for people; may be on any host.
    pub url: Option<Url>,
    /// Keys that are usable, of the actor's own origin, and that name it as their owner (C-4).
    pub keys: Vec<Arc<RemoteKey>>,
    /// Ids of keys that it lists by their address alone: the key is in a document of its own.
    pub(super) elsewhere: Vec<Url>,
    /// Keys that it lists and that must not be used.
    pub(super) refused: Vec<(Url, KeyError)>,
    /// Put together once: every activity of theirs needs it.
    person: Arc<Person>,
}

/// A key that its owner's own document lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteKey {
    /// The key's id, usually the owner's with a fragment.
    pub id: Url,
    /// The actor that lists it.
    pub owner: Url,
    /// The key.
    pub key: PublicKey,
}

impl RemoteActor {
    /// Reads an actor document. The caller has made sure that it was fetched from its own id.
    ///
    /// # Errors
    /// [`FetchError::Gone`] for a Tombstone, [`FetchError::Denied`] for an actor without inbox (a stripped document for
    /// those who may not read it), else [`FetchError::Rejected`].
    pub fn read(document: &Value, policy: &RemotePolicy) -> Result<Self, FetchError> {
        if kind(document, &["Tombstone"]).is_some() {
            return Err(FetchError::Gone);
        }
        let kind = kind(document, &ACTOR_KINDS)
            .ok_or_else(|| FetchError::rejected("its type is none of an actor's"))?
            .to_owned();
        let text_id = document.get("id").and_then(Value::as_str).ok_or(FetchError::Denied)?;
        let actor = parse_remote(text_id, policy)?;
        if actor.fragment().is_some() {
            return Err(FetchError::rejected("an actor's id must not have a fragment"));
        }
        let inbox = text(document.get("inbox"), &["id"]).ok_or(FetchError::Denied)?;
        let inbox = parse_remote(inbox, policy)?;
        if !same_origin(&inbox, &actor) {
            return Err(FetchError::rejected("its inbox is on another host"));
        }
        let too_long = |url: &Url| url.as_str().len() > MAX_KEPT_BYTES;
        if too_long(&actor) || too_long(&inbox) {
            return Err(FetchError::rejected(format!(
                "its id or inbox is longer than {MAX_KEPT_BYTES} bytes"
            )));
        }
        let shared_inbox =
            document.get("endpoints").and_then(|endpoints| id(endpoints.get("sharedInbox"), policy));
        let mut keys = (Vec::new(), Vec::new(), Vec::new());
        for entry in KEY_FIELDS.iter().flat_map(|field| many(document.get(*field))).take(MAX_KEYS) {
            match Listed::read(entry, &actor, policy) {
                Some(Listed::Here(key)) => keys.0.push(Arc::new(key)),
                Some(Listed::Elsewhere(id)) => keys.1.push(id),
                Some(Listed::Refused(id, why)) => keys.2.push((id, why)),
                None => {}
            }
        }
        let preferred_username = user_of(document.get("preferredUsername").and_then(Value::as_str), &actor);
        let shared_inbox = shared_inbox.filter(|shared| same_origin(shared, &actor) && !too_long(shared));
        let name = cut(document.get("name").and_then(Value::as_str), 500);
        let (icon, url) = (link(document.get("icon"), policy), link(document.get("url"), policy));
        let person = Person {
            actor: actor.to_string(),
            inbox: inbox.to_string(),
            shared_inbox: shared_inbox.as_ref().map(Url::to_string),
            handle: format!("{preferred_username}@{}", host_of_url(&actor)),
            name: name.clone(),
            icon: icon.as_ref().map(Url::to_string),
            url: url.as_ref().map(Url::to_string),
        };
        Ok(Self {
            kind,
            shared_inbox,
            preferred_username,
            name,
            icon,
            url,
            keys: keys.0,
            elsewhere: keys.1,
            refused: keys.2,
            inbox,
            id: actor,
            person: Arc::new(person),
        })
    }

    /// What is kept of it.
    #[must_use]
    pub fn person(&self) -> &Arc<Person> {
        &self.person
    }

    /// The key with this id. A bare actor address as key id (PeerTube, Osada) means the first key.
    pub(super) fn key(&self, key_id: &Url) -> Result<Arc<RemoteKey>, FetchError> {
        let bare = *key_id == self.id;
        let exact = self.keys.iter().find(|key| key.id == *key_id);
        if let Some(key) = exact.or_else(|| self.keys.first().filter(|_| bare)) {
            return Ok(Arc::clone(key));
        }
        if let Some((id, why)) = self.refused.iter().find(|(id, _)| id == key_id || bare) {
            return Err(FetchError::rejected(format!("the key {id} is refused: {why}")));
        }
        Err(FetchError::rejected(format!(
            "{} lists no usable key {key_id}: a key needs id, owner (the actor) and publicKeyPem, on the actor's \
             host; RSA of 2048 to 4096 bits, or Ed25519",
            self.id
        )))
    }

    /// About so many bytes are needed to remember it; strangers choose how many.
    pub(super) fn weight(&self) -> usize {
        let urls = [
            Some(&self.id),
            Some(&self.inbox),
            self.shared_inbox.as_ref(),
            self.icon.as_ref(),
            self.url.as_ref(),
        ];
        let urls =
            urls.into_iter().flatten().chain(&self.elsewhere).chain(self.refused.iter().map(|(id, _)| id));
        // Each stands in the person once more.
        let text: usize = urls.map(|url| 2 * url.as_str().len() + 120).sum();
        let names = self.preferred_username.len() + self.name.as_ref().map_or(0, String::len);
        512 + text + 2 * names + self.keys.len() * KEY_WEIGHT
    }

    /// Takes a key from its own document, if this actor lists it by that id.
    pub(super) fn adopt(&mut self, document: &Value, policy: &RemotePolicy) {
        match Listed::read(document, &self.id, policy) {
            Some(Listed::Here(key)) if self.elsewhere.contains(&key.id) => {
                self.keys.push(Arc::new(key));
            }
            Some(Listed::Refused(id, why)) if self.elsewhere.contains(&id) => self.refused.push((id, why)),
            _ => {}
        }
    }
}

/// An entry of an actor's keys.
enum Listed {
    Here(RemoteKey),
    Elsewhere(Url),
    Refused(Url, KeyError),
}

impl Listed {
    /// `None` for what is not of this actor's origin or is another's.
    fn read(entry: &Value, actor: &Url, policy: &RemotePolicy) -> Option<Self> {
        let text_id = entry.as_str().or_else(|| entry.get("id")?.as_str())?;
        let key_id = parse_remote(text_id, policy).ok()?;
        if text_id.len() > LONGEST_KEY_ID || !same_origin(&key_id, actor) {
            return None;
        }
        let key = match (entry.get("publicKeyPem"), entry.get("publicKeyMultibase")) {
            (Some(pem), _) => PublicKey::from_pem(pem.as_str()?),
            (None, Some(multibase)) => PublicKey::from_multibase(multibase.as_str()?),
            // A fragment of the actor itself is not elsewhere: looking again would find no more.
            (None, None) if without_fragment(&key_id) == *actor => return None,
            (None, None) => return Some(Self::Elsewhere(key_id)),
        };
        let owner = key_owner(entry, policy).filter(|owner| owner == actor)?;
        Some(match key {
            Ok(key) => Self::Here(RemoteKey { id: key_id, owner, key }),
            Err(why) => Self::Refused(key_id, why),
        })
    }
}

/// Who a key says it belongs to.
pub(super) fn key_owner(entry: &Value, policy: &RemotePolicy) -> Option<Url> {
    id(entry.get("owner").or_else(|| entry.get("controller")), policy)
}

/// Whether a document is a key on its own rather than an actor.
pub(super) fn is_key_document(document: &Value) -> bool {
    let bare = document.get("publicKeyPem").is_some() || document.get("publicKeyMultibase").is_some();
    kind(document, &ACTOR_KINDS).is_none()
        && (bare || kind(document, &["Key", "CryptographicKey", "Multikey"]).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::activitypub::signature::PrivateKey;

    const POLICY: RemotePolicy = RemotePolicy { allow_http: false, allow_private: false };

    fn read(document: &Value) -> Result<RemoteActor, FetchError> {
        RemoteActor::read(document, &POLICY)
    }

    fn minimal() -> Value {
        json!({"id": "https://peer.example/u/a", "type": "Person", "inbox": "https://peer.example/u/a/inbox"})
    }

    fn with(extra: Value) -> Value {
        let mut document = minimal();
        document.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        document
    }

    #[test]
    fn the_least_document_is_enough() {
        let actor = read(&minimal()).unwrap();
        assert_eq!((actor.preferred_username.as_str(), actor.kind.as_str()), ("a", "Person"));
        assert!(actor.keys.is_empty() && actor.shared_inbox.is_none() && actor.name.is_none());
    }

    #[test]
    fn a_handle_is_of_the_actors_own_server_and_nobody_elses() {
        let handle =
            |user: &str| read(&with(json!({"preferredUsername": user}))).unwrap().person().handle.clone();
        assert_eq!(handle("blog.example"), "blog.example@peer.example");
        for hostile in [format!("gargron@mastodon.social{}", "-".repeat(60)), "ADMIN: we have moved".into()] {
            assert_eq!(handle(&hostile), "a@peer.example");
        }
    }

    #[test]
    fn tolerated_shapes() {
        let url = |text: &str| Some(Url::parse(text).unwrap());
        let actor = read(&with(json!({
            "type": ["Thing", "Service"],
            "inbox": {"id": "https://peer.example/u/a/inbox", "type": "OrderedCollection"},
            "preferredUsername": "anna", "name": "  Ana  ",
            "endpoints": {"sharedInbox": "https://peer.example/inbox"},
            "icon": [{"type": "Image", "url": [{"type": "Link", "href": "https://cdn.example/a.png"}]}],
            "url": [{"type": "Link", "href": "https://peer.example/@a"}, "https://peer.example/other"],
        })))
        .unwrap();
        assert_eq!((actor.kind.as_str(), actor.preferred_username.as_str()), ("Service", "anna"));
        assert_eq!(actor.name.as_deref(), Some("Ana"));
        assert_eq!(actor.shared_inbox, url("https://peer.example/inbox"));
        assert_eq!(actor.icon, url("https://cdn.example/a.png"));
        assert_eq!(actor.url, url("https://peer.example/@a"));
        for odd in [
            json!({"endpoints": "https://peer.example/endpoints", "icon": "not a url", "name": 7, "url": null}),
            json!({"endpoints": [], "icon": {"url": 5}, "name": ["a"], "publicKey": []}),
            json!({"preferredUsername": "", "name": "", "icon": [], "publicKey": "https://peer.example/key"}),
        ] {
            assert!(read(&with(odd.clone())).is_ok(), "{odd}");
        }
    }

    #[test]
    fn documents_that_must_not_be_believed() {
        let rejected = |extra: Value| matches!(read(&with(extra)), Err(FetchError::Rejected(_)));
        assert!(rejected(json!({"inbox": "https://victim.example/inbox"})));
        assert!(rejected(json!({"inbox": "https://sub.peer.example/inbox"})));
        assert!(rejected(json!({"type": "Note"})));
        assert!(rejected(json!({"type": null})));
        assert!(rejected(json!({"id": "https://peer.example/u/a#me"})));
        assert_eq!(read(&with(json!({"type": "Tombstone"}))), Err(FetchError::Gone));
        assert_eq!(read(&with(json!({"inbox": null}))), Err(FetchError::Denied));
        assert!(matches!(
            read(&with(json!({"inbox": "http://peer.example/i"}))),
            Err(FetchError::Address(_))
        ));
        let foreign =
            read(&with(json!({"endpoints": {"sharedInbox": "https://victim.example/inbox"}}))).unwrap();
        assert_eq!(foreign.shared_inbox, None);
        let long = read(&with(json!({"name": "ü".repeat(1_000_000)}))).unwrap();
        assert_eq!(long.name.unwrap().chars().count(), 500);
    }

    #[test]
    fn keys_must_be_claimed_both_ways_and_usable() {
        let pem = PrivateKey::generate().unwrap().public_pem().unwrap();
        let me = "https://peer.example/u/a";
        let key = |id: &str, owner: &str, pem: &str| json!({"id": id, "owner": owner, "publicKeyPem": pem});
        let main = "https://peer.example/u/a#main-key";
        let good = key(main, me, &pem);
        let count = |keys: Value| read(&with(json!({"publicKey": keys}))).unwrap().keys.len();
        assert_eq!(count(good.clone()), 1);
        assert_eq!(count(json!([key("https://peer.example/u/a/main-key", me, &pem), good])), 2);
        assert_eq!(count(key(main, "https://peer.example/u/b", &pem)), 0);
        assert_eq!(count(key("https://evil.example/u/a#main-key", me, &pem)), 0);
        assert_eq!(count(key(main, me, "no key")), 0);
        assert_eq!(count(json!({"id": main, "publicKeyPem": pem})), 0);
        assert_eq!(count(json!(vec![good; 500])), MAX_KEYS);
        let ed = json!({"assertionMethod": [{"id": "https://peer.example/u/a#ed", "type": "Multikey", "controller": me,
            "publicKeyMultibase": "z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2"}, "https://peer.example/key2"]});
        let actor = read(&with(ed)).unwrap();
        assert_eq!((actor.keys.len(), actor.elsewhere.len()), (1, 1));
    }

    #[test]
    fn a_weak_key_is_refused_with_its_reason() {
        let rsa = |bits| openssl::rsa::Rsa::generate(bits).unwrap();
        let me = "https://peer.example/u/a";
        let id = format!("{me}#main-key");
        let reason = |pem: Vec<u8>, asked: &str| {
            let pem = String::from_utf8(pem).unwrap();
            let key = json!({"id": id, "owner": me, "publicKeyPem": pem});
            let found = read(&with(json!({"publicKey": [key]}))).unwrap().key(&Url::parse(asked).unwrap());
            found.map_or_else(|error| error.to_string(), |_| "taken".to_owned())
        };
        for asked in [id.as_str(), me] {
            assert!(reason(rsa(1024).public_key_to_pem().unwrap(), asked).contains("has 1024 bits"));
            assert_eq!(reason(rsa(2048).public_key_to_pem().unwrap(), asked), "taken");
            assert_eq!(reason(rsa(2048).public_key_to_pem_pkcs1().unwrap(), asked), "taken");
        }
        let curve = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
        let curve = openssl::ec::EcKey::generate(&curve).unwrap();
        assert!(reason(curve.public_key_to_pem().unwrap(), &id).contains("unsupported type"));
        let other = format!("{me}#other");
        assert!(reason(rsa(1024).public_key_to_pem().unwrap(), &other).contains("lists no usable key"));
    }

    #[test]
    fn a_key_is_found_by_its_id_or_by_the_bare_actor() {
        let pem = PrivateKey::generate().unwrap().public_pem().unwrap();
        let me = "https://peer.example/u/a";
        let main = "https://peer.example/u/a#main-key";
        let actor =
            read(&with(json!({"publicKey": {"id": main, "owner": me, "publicKeyPem": pem}}))).unwrap();
        let find = |id: &str| actor.key(&Url::parse(id).unwrap()).map(|key| key.id.to_string());
        assert_eq!(find(main).unwrap(), main);
        assert_eq!(find(me).unwrap(), main);
        assert!(find("https://peer.example/u/a#other").is_err() && find("https://peer.example/u/b").is_err());
    }

    #[test]
    fn key_documents_are_told_from_actors() {
        for (document, want) in [
            (json!({"type": "CryptographicKey"}), true),
            (json!({"type": ["Key"]}), true),
            (json!({"type": "Multikey", "publicKeyMultibase": "z"}), true),
            (json!({"publicKeyPem": "x"}), true),
            (json!({"type": "Person", "publicKeyPem": "x"}), false),
            (json!({"type": "Note"}), false),
        ] {
            assert_eq!(is_key_document(&document), want, "{document}");
        }
    }
}
