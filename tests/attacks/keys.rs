//! C-4: every shape in which peers show their keys, and those that prove nothing.

use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use owncast_herald::sim::fediverse::{Document, Flavour};
use serde_json::{Value, json};

use crate::mallory::{Mallory, forged, send};
use crate::support::wait::{LONG, eventually};
use crate::target::{Target, refusal};

const PATH: &str = "/federation/user/streamer/inbox";

/// What a shape is made of.
struct Parts {
    /// The actor's id.
    id: String,
    /// Its RSA key as PKIX PEM.
    pem: String,
    /// The same as PKCS#1 PEM.
    pkcs1: String,
    /// Its Ed25519 key as PKIX PEM.
    ed_pem: String,
    /// The same as a Multikey.
    multibase: String,
    /// Somebody else's RSA key.
    other: String,
}

/// How a key is shown: its id, the actor's fields, and documents beside the actor's, by the end of their path.
struct Shown {
    key_id: String,
    fields: Value,
    beside: Vec<(&'static str, Value)>,
}

fn shown(key_id: String, fields: Value) -> Shown {
    Shown { key_id, fields, beside: Vec::new() }
}

fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut number = BigNum::from_slice(bytes).unwrap();
    let mut text = Vec::new();
    while number.num_bits() > 0 {
        let digit = number.mod_word(58).unwrap();
        text.push(ALPHABET[digit as usize]);
        number.div_word(58).unwrap();
    }
    text.reverse();
    String::from_utf8(text).unwrap()
}

type Make = fn(&Parts) -> Shown;

const RSA: [(&str, Make); 13] = [
    ("the usual fragment", |p| {
        let id = format!("{}#main-key", p.id);
        shown(id.clone(), json!({"publicKey": {"id": id, "owner": p.id, "publicKeyPem": p.pem}}))
    }),
    ("another fragment", |p| {
        let id = format!("{}#key-2026", p.id);
        shown(id.clone(), json!({"publicKey": {"id": id, "owner": p.id, "publicKeyPem": p.pem}}))
    }),
    ("a list of one", |p| {
        let id = format!("{}#main-key", p.id);
        shown(id.clone(), json!({"publicKey": [{"id": id, "owner": p.id, "publicKeyPem": p.pem}]}))
    }),
    ("the second of a list", |p| {
        let id = format!("{}#second", p.id);
        let first = json!({"id": format!("{}#first", p.id), "owner": p.id, "publicKeyPem": p.other});
        shown(id.clone(), json!({"publicKey": [first, {"id": id, "owner": p.id, "publicKeyPem": p.pem}]}))
    }),
    ("the bare actor, whose key has a fragment", |p| {
        let id = format!("{}#main-key", p.id);
        shown(p.id.clone(), json!({"publicKey": {"id": id, "owner": p.id, "publicKeyPem": p.pem}}))
    }),
    ("the bare actor, whose id the key has", |p| {
        shown(p.id.clone(), json!({"publicKey": {"id": p.id, "owner": p.id, "publicKeyPem": p.pem}}))
    }),
    ("a stub of the actor at the key's address", |p| {
        let id = format!("{}/main-key", p.id);
        let key = json!({"id": id, "owner": p.id, "publicKeyPem": p.pem});
        let stub = json!({"id": p.id, "type": "Person", "preferredUsername": "x", "publicKey": key});
        Shown { key_id: id, fields: json!({"publicKey": key}), beside: vec![("/main-key", stub)] }
    }),
    ("a document of its own, listed by its address", |p| {
        let id = format!("{}/publickey", p.id);
        let key = json!({"@context": "https://w3id.org/security/v1", "id": id, "type": "Key", "owner": p.id, "publicKeyPem": p.pem});
        Shown { fields: json!({"publicKey": id}), key_id: id, beside: vec![("/publickey", key)] }
    }),
    ("a document of its own, listed whole", |p| {
        let id = format!("{}/key", p.id);
        let key = json!({"id": id, "type": "CryptographicKey", "owner": p.id, "publicKeyPem": p.pem});
        Shown { key_id: id, fields: json!({"publicKey": key}), beside: vec![("/key", key)] }
    }),
    ("PKCS#1", |p| {
        let id = format!("{}#main-key", p.id);
        shown(id.clone(), json!({"publicKey": {"id": id, "owner": p.id, "publicKeyPem": p.pkcs1}}))
    }),
    ("line ends of Windows", |p| {
        let (id, pem) = (format!("{}#main-key", p.id), p.pem.replace('\n', "\r\n"));
        shown(id.clone(), json!({"publicKey": {"id": id, "owner": p.id, "publicKeyPem": pem}}))
    }),
    ("types and endpoints that are none", |p| {
        let id = format!("{}#main-key", p.id);
        let key = json!({"id": id, "owner": {"id": p.id}, "publicKeyPem": p.pem, "type": []});
        shown(id, json!({"publicKey": key, "endpoints": "https://peer.example/"}))
    }),
    ("among others that are not understood", |p| {
        let id = format!("{}#main-key", p.id);
        let key = json!({"id": id, "owner": p.id, "publicKeyPem": p.pem});
        let odd = json!([{"id": 7}, "no address", {"id": format!("{}#x", p.id), "publicKeyPem": 7}, null]);
        shown(id, json!({"publicKey": key, "assertionMethod": odd, "authentication": 7}))
    }),
];

const EDWARDS: [(&str, Make); 5] = [
    ("a Multikey to assert with", |p| {
        let id = format!("{}#ed25519-key", p.id);
        let key =
            json!({"id": id, "type": "Multikey", "controller": p.id, "publicKeyMultibase": p.multibase});
        shown(id, json!({"assertionMethod": [key]}))
    }),
    ("one Multikey, beside an RSA key", |p| {
        let id = format!("{}#ed25519-key", p.id);
        let key =
            json!({"id": id, "type": "Multikey", "controller": p.id, "publicKeyMultibase": p.multibase});
        let main = json!({"id": format!("{}#main-key", p.id), "owner": p.id, "publicKeyPem": p.other});
        shown(id, json!({"publicKey": main, "assertionMethod": key}))
    }),
    ("a Multikey to authenticate with", |p| {
        let id = format!("{}#auth", p.id);
        let key =
            json!({"id": id, "type": "Multikey", "controller": p.id, "publicKeyMultibase": p.multibase});
        shown(id, json!({"authentication": [key]}))
    }),
    ("a Multikey at an address of its own", |p| {
        let id = format!("{}/ed", p.id);
        let key = json!({"@context": "https://w3id.org/security/multikey/v1", "id": id, "type": "Multikey", "controller": p.id, "publicKeyMultibase": p.multibase});
        Shown { fields: json!({"assertionMethod": [id]}), key_id: id, beside: vec![("/ed", key)] }
    }),
    ("PEM", |p| {
        let id = format!("{}#main-key", p.id);
        shown(id.clone(), json!({"publicKey": {"id": id, "owner": p.id, "publicKeyPem": p.ed_pem}}))
    }),
];

const NOT_BELIEVED: [(&str, Make); 7] = [
    ("an owner of the same server", |p| {
        let id = format!("{}#main-key", p.id);
        let owner = p.id.replace("by-hand", "users");
        shown(id.clone(), json!({"publicKey": {"id": id, "owner": owner, "publicKeyPem": p.pem}}))
    }),
    ("a controller of another server", |p| {
        let id = format!("{}#main-key", p.id);
        let key = json!({"id": id, "controller": "https://peer.example/users/x", "publicKeyPem": p.pem});
        shown(id, json!({"publicKey": key}))
    }),
    ("a key document that the actor does not list", |p| {
        let id = format!("{}/key", p.id);
        let key = json!({"id": id, "type": "Key", "owner": p.id, "publicKeyPem": p.pem});
        let main = json!({"id": format!("{}#main-key", p.id), "owner": p.id, "publicKeyPem": p.other});
        Shown { key_id: id, fields: json!({"publicKey": main}), beside: vec![("/key", key)] }
    }),
    ("a key document that the actor lists with another key", |p| {
        let id = format!("{}/key", p.id);
        let key = json!({"id": id, "type": "Key", "owner": p.id, "publicKeyPem": p.pem});
        let listed = json!({"id": id, "owner": p.id, "publicKeyPem": p.other});
        Shown { key_id: id, fields: json!({"publicKey": listed}), beside: vec![("/key", key)] }
    }),
    ("the bare actor, whose first key is another", |p| {
        let first = json!({"id": format!("{}#first", p.id), "owner": p.id, "publicKeyPem": p.other});
        let second = json!({"id": format!("{}#second", p.id), "owner": p.id, "publicKeyPem": p.pem});
        shown(p.id.clone(), json!({"publicKey": [first, second]}))
    }),
    ("no key under that name", |p| {
        let id = format!("{}#main-key", p.id);
        let key = json!({"id": id, "owner": p.id, "publicKeyPem": p.pem});
        shown(format!("{}#other", p.id), json!({"publicKey": key}))
    }),
    ("a text in place of a key", |p| {
        let id = format!("{}#main-key", p.id);
        shown(id.clone(), json!({"publicKey": {"id": id, "owner": p.id, "publicKeyPem": "trust me"}}))
    }),
];

fn pem(key: &PKey<Private>) -> String {
    String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn c_04_every_shape_of_a_key() {
    let target = Target::start().await;
    let server = target.stage.server(Flavour::Mastodon).await;
    let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let other = pem(&PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap());
    let edwards = PKey::generate_ed25519().unwrap();
    let multibase = format!("z{}", base58(&[&[0xed, 0x01], &edwards.raw_public_key().unwrap()[..]].concat()));
    let pkcs1 = String::from_utf8(rsa.rsa().unwrap().public_key_to_pem_pkcs1().unwrap()).unwrap();
    assert!(pkcs1.starts_with("-----BEGIN RSA PUBLIC KEY-----"));
    let cases =
        RSA.iter().map(|case| (case, &rsa, true)).chain(EDWARDS.iter().map(|case| (case, &edwards, true)));
    let cases = cases.chain(NOT_BELIEVED.iter().map(|case| (case, &rsa, false)));
    let mut followers = 1;
    for (place, ((what, make), key, good)) in cases.enumerate() {
        // Each in both schemes.
        for scheme in ["cavage", "rfc9421"] {
            let mut mallory = Mallory::unseen(&server, &format!("m{place}{scheme}"), key.clone());
            let parts = Parts {
                id: mallory.id.clone(),
                pem: pem(&rsa),
                pkcs1: pkcs1.clone(),
                ed_pem: pem(&edwards),
                multibase: multibase.clone(),
                other: other.clone(),
            };
            let Shown { key_id, fields, beside } = make(&parts);
            mallory.show(fields);
            for (end, document) in beside {
                let path = mallory.id.strip_prefix(&server.url()).unwrap();
                server.place(&format!("{path}{end}"), Document::activity(&document));
            }
            mallory.key_id = key_id;
            let follow = target.follow_by(&mallory.id);
            let request = match scheme {
                "cavage" => mallory.request(&target.stage, PATH, &follow, 0),
                _ => mallory.request_rfc9421(&target.stage, PATH, &follow, 0),
            };
            let reply = send(&target.stage, &request).await;
            if good {
                assert_eq!(reply.status, 202, "{what}, {scheme}: {reply:?}");
                followers += 1;
            } else {
                assert_eq!(refusal(&reply), (401, "signature-invalid".into()), "{what}, {scheme}: {reply:?}");
            }
            assert_eq!(target.stage.followers().await, followers, "{what}, {scheme}");
        }
    }
}

/// A key that is a document of its own, of which somebody else names a part that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn c_04_an_invented_part_of_a_key_does_not_silence_its_owner() {
    let target = Target::start().await;
    let server = target.stage.server(Flavour::Mastodon).await;
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut bob = Mallory::unseen(&server, "bob", key.clone());
    bob.key_id = format!("{}/key", bob.id);
    bob.show(json!({"publicKey": bob.key_id}));
    let shown = json!({"id": bob.key_id, "type": "Key", "owner": bob.id, "publicKeyPem": pem(&key)});
    server.place("/by-hand/bob/key", Document::activity(&shown));
    let follow = target.follow_by(&bob.id);
    let posing = forged(&target.stage, &format!("{}#x", bob.key_id), &follow);
    assert_eq!(refusal(&send(&target.stage, &posing).await), (401, "signature-invalid".into()));
    let reply = send(&target.stage, &bob.request(&target.stage, PATH, &follow, 0)).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    target.stage.wait_followers(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_04_keys_too_weak_to_prove_anything() {
    let target = Target::start().await;
    let server = target.stage.server(Flavour::Mastodon).await;
    let rsa = |bits| PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let good = rsa(2048);
    // With an exponent of 1 everybody can sign.
    let modulus = good.rsa().unwrap().n().to_owned().unwrap();
    let all_ones = Rsa::from_public_components(modulus, BigNum::from_u32(1).unwrap()).unwrap();
    let all_ones = String::from_utf8(all_ones.public_key_to_pem().unwrap()).unwrap();
    let (small, smaller) = (rsa(1024), rsa(1536));
    let curved = PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap();
    // The neutral element of the curve: one signature fits many messages.
    let neutral = format!("z{}", base58(&[&[0xed, 0x01, 1][..], &[0; 31]].concat()));
    for (place, (what, key, shown)) in [
        ("RSA of 1024 bits", &small, json!({"publicKeyPem": pem(&small)})),
        ("RSA of 1536 bits", &smaller, json!({"publicKeyPem": pem(&smaller)})),
        ("RSA with the exponent 1", &good, json!({"publicKeyPem": all_ones})),
        ("ECDSA", &curved, json!({"publicKeyPem": pem(&curved)})),
        ("a point of small order", &good, json!({"publicKeyMultibase": neutral})),
        (
            "a private key",
            &good,
            json!({"publicKeyPem": String::from_utf8(good.private_key_to_pem_pkcs8().unwrap()).unwrap()}),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mallory = Mallory::unseen(&server, &format!("weak{place}"), key.clone());
        let mut shown = shown;
        shown["id"] = json!(mallory.key_id);
        shown["owner"] = json!(mallory.id);
        mallory.show(json!({"publicKey": shown}));
        let request = mallory.request(&target.stage, PATH, &target.follow_by(&mallory.id), 0);
        let reply = send(&target.stage, &request).await;
        assert_eq!(refusal(&reply), (401, "signature-invalid".into()), "{what}: {reply:?}");
    }
    target.unchanged().await;
}

/// An Update that the old key signs says that there is a new one, and what it embeds is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn c_04_a_key_changed_with_notice() {
    let target = Target::start().await;
    let server = target.stage.server(Flavour::Mastodon).await;
    let old = Mallory::on(&server, "mallory");
    let stray = pem(&PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap());
    let stage = &target.stage;
    let sent = async |request: Vec<u8>| refusal(&send(stage, &request).await);
    let taken = (202, String::new());
    assert_eq!(sent(old.request(stage, PATH, &target.follow_by(&old.id), 5)).await, taken);
    let new = Mallory::on(&server, "mallory");
    assert_eq!(sent(new.request(stage, PATH, &target.like_by(&new.id), 4)).await.0, 401, "not known yet");
    let lie = json!({"id": old.id, "type": "Person", "publicKey": {"id": old.key_id, "owner": old.id, "publicKeyPem": stray}});
    assert_eq!(sent(old.request(stage, PATH, &target.activity(&old.id, "Update", lie), 3)).await, taken);
    let like = target.like_by(&new.id);
    eventually("the new key is known", LONG, async || {
        (sent(new.request(stage, PATH, &like, 2)).await == taken).then_some(())
    })
    .await;
    target.count(2, 0).await;
    let share = target.activity(&old.id, "Announce", json!(target.note));
    assert_eq!(sent(old.request(stage, PATH, &share, 1)).await.0, 401, "the old key is over");
    target.count(2, 0).await;
}
