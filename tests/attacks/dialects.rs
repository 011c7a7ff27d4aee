//! Every peer's way of saying things, signed in its own way, and what comes of it.

use std::collections::HashMap;

use jiff::SignedDuration;
use owncast_herald::sim::fediverse::{Flavour, Person, SignOptions};
use serde::Deserialize;
use serde_json::Value;

use crate::support::wait::{LONG, eventually};
use crate::target::Target;

const FIXTURES: &str = include_str!("../fixtures/inbound-dialects.json");

/// Whom the fixtures name as us.
const ACTOR: &str = "https://live.example/federation/user/streamer";
const NOTE: &str = "https://live.example/federation/0000000000000000000000002D";
const BASE: &str = "https://live.example";

/// One activity as a peer writes it.
#[derive(Deserialize)]
struct Dialect {
    /// Whose, and what.
    peer: String,
    /// Whose way of signing, and of showing keys, goes with it.
    signs: String,
    /// What the same person has sent before.
    #[serde(default)]
    first: Vec<String>,
    /// How many seconds ago it was signed, where it was not sent at once.
    #[serde(default)]
    age: i64,
    activity: Value,
    effect: String,
}

/// What can be seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    followers: i64,
    likes: i64,
    shares: i64,
}

fn all() -> Vec<Dialect> {
    serde_json::from_str(FIXTURES).unwrap()
}

/// How many there are.
pub fn count() -> usize {
    all().len()
}

fn flavour(name: &str) -> Flavour {
    use Flavour::{
        Akkoma, Fedify, Friendica, GoToSocial, Lemmy, Mastodon, Misskey, PeerTube, Pixelfed, Pleroma,
    };
    let known =
        [Akkoma, Fedify, Friendica, GoToSocial, Lemmy, Mastodon, Misskey, PeerTube, Pixelfed, Pleroma];
    known.into_iter().find(|flavour| format!("{flavour:?}") == name).expect(name)
}

async fn look(target: &Target) -> Seen {
    let note = target.stage.document(&target.note).await;
    let total = |field: &str| note[field]["totalItems"].as_i64().unwrap();
    Seen {
        followers: target.stage.followers().await.try_into().unwrap(),
        likes: total("likes"),
        shares: total("shares"),
    }
}

/// The fixture with this scene's addresses in place of the examples.
fn here(target: &Target, person: &Person, activity: &Value) -> Value {
    let actor = activity["actor"].as_str().or(activity["actor"]["id"].as_str()).unwrap_or_else(|| {
        // A list of one.
        activity["actor"][0].as_str().or(activity["actor"][0]["id"].as_str()).expect("an actor")
    });
    let origin = url::Url::parse(actor).unwrap().origin().ascii_serialization();
    let text = activity.to_string();
    let text = text.replace(NOTE, &target.note).replace(ACTOR, &target.stage.actor());
    let text = text.replace(BASE, &target.stage.agent.public_url());
    let text = text.replace(actor, &person.id()).replace(&origin, &person.server().url());
    serde_json::from_str(&text).unwrap()
}

/// Sends it, signed so many seconds ago. A Follow is answered, with its id and its actor byte for byte.
async fn send(target: &Target, person: &Person, dialect: &Dialect, age: i64) -> Value {
    let peer = &dialect.peer;
    let activity = here(target, person, &dialect.activity);
    let follows = dialect.effect == "follows";
    let accepts = || {
        let got = person.server().received();
        let answers = |body: &Value| {
            body["object"]["id"] == activity["id"] && body["object"]["actor"] == person.id().as_str()
        };
        got.iter().filter(|one| one.kind() == "Accept" && answers(&one.body)).count()
    };
    let before = accepts();
    let options = SignOptions { age: SignedDuration::from_secs(age), ..SignOptions::default() };
    let inbox = target.stage.inbox();
    let reply = person.custom_signed(&inbox, activity.to_string(), &options).await.unwrap();
    assert_eq!(reply.status, 202, "{peer}: {reply:?}");
    if follows {
        eventually(&format!("{peer}: an Accept"), LONG, async || (accepts() > before).then_some(())).await;
    }
    activity
}

async fn follower(target: &Target, person: &Person) -> Option<Value> {
    let list = target.stage.agent.cli_json(&["followers", "list", "--all"]).await;
    list["followers"].as_array().unwrap().iter().find(|row| row["actor"] == person.id()).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_has_its_effect() {
    let target = Target::start().await;
    let all = all();
    let named: HashMap<&str, &Dialect> = all.iter().map(|one| (one.peer.as_str(), one)).collect();
    assert_eq!(named.len(), all.len(), "two fixtures of one name");
    let mut reports = 0;
    let mut blocked = Vec::new();
    let mut people: HashMap<&str, Vec<Person>> = HashMap::new();
    for dialect in &all {
        let peer = &dialect.peer;
        if !people.contains_key(dialect.signs.as_str()) {
            let server = target.stage.server(flavour(&dialect.signs)).await;
            people.insert(&dialect.signs, server.crowd(all.len()));
        }
        let person = people.get_mut(dialect.signs.as_str()).and_then(Vec::pop).expect("somebody is left");
        let base = look(&target).await;
        for (place, name) in dialect.first.iter().enumerate() {
            let age = 10 * (dialect.first.len() - place) as i64;
            send(&target, &person, named[name.as_str()], age).await;
        }
        let before = look(&target).await;
        if dialect.effect == "refreshed" {
            person.set_display_name("Somebody else");
        }
        let activity = send(&target, &person, dialect, dialect.age).await;
        let Seen { followers, likes, shares } = before;
        let wanted = match dialect.effect.as_str() {
            "follows" => Seen { followers: followers + 1, ..before },
            "leaves" | "blocked" => Seen { followers: followers - 1, ..before },
            "likes" => Seen { likes: likes + 1, ..before },
            "unlikes" => Seen { likes: likes - 1, ..before },
            "shares" => Seen { shares: shares + 1, ..before },
            "unshares" => Seen { shares: shares - 1, ..before },
            "gone" => base,
            "refreshed" | "moved" | "reported" | "nothing" => before,
            other => panic!("{peer}: {other}?"),
        };
        if dialect.effect == "gone" {
            // Taken first, looked into afterwards.
            eventually(peer, LONG, async || (look(&target).await == wanted).then_some(())).await;
        }
        assert_eq!(look(&target).await, wanted, "{peer} {}", dialect.effect);
        match dialect.effect.as_str() {
            "refreshed" => {
                let shown =
                    async || follower(&target, &person).await.filter(|row| row["name"] == "Somebody else");
                eventually(peer, LONG, shown).await;
            }
            "moved" => {
                let to = &activity["target"];
                let marked = async || follower(&target, &person).await.filter(|row| row["moved_to"] == *to);
                eventually(peer, LONG, marked).await;
            }
            "gone" => assert_eq!(follower(&target, &person).await, None, "{peer}"),
            "reported" => {
                reports += 1;
                let list = target.stage.agent.cli_json(&["reports", "list"]).await;
                let row = list["reports"].as_array().unwrap().iter().find(|row| row["actor"] == person.id());
                let row = row.unwrap_or_else(|| panic!("{peer}: not among {list}"));
                let said = activity["content"].as_str().or(activity["summary"].as_str());
                assert_eq!(row["text"].as_str(), said, "{peer}");
            }
            "blocked" => blocked.push(person),
            _ => {}
        }
    }
    // Nothing else was taken for a report; and who blocked us has heard nothing since its Accept.
    let list = target.stage.agent.cli_json(&["reports", "list"]).await;
    assert_eq!(list["reports"].as_array().unwrap().len(), reports);
    for person in blocked {
        let mut got = person.server().received();
        got.retain(|one| person.inbox().ends_with(&one.inbox));
        assert!(got.iter().all(|one| one.kind() == "Accept"), "{}: {got:?}", person.id());
    }
}
