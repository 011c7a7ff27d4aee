//! What is attacked: an agent with a follower, a post and a like, which must all be there afterwards.

use owncast_herald::sim::fediverse::{Flavour, Person, Reply, Server, SignOptions};
use serde_json::{Value, json};

use crate::support::stage::{Stage, quick};
use crate::support::wait::{LONG, eventually};

/// The scene before the attack.
pub struct Target {
    pub stage: Stage,
    /// Where the honest follower is.
    pub home: Server,
    /// Follows, and likes the post.
    pub fan: Person,
    /// The post.
    pub note: String,
}

impl Target {
    pub async fn start() -> Target {
        Target::with(&[]).await
    }

    /// As [`Target::start`], with more settings.
    pub async fn with(overrides: &[(&str, &str)]) -> Target {
        let mut settings = vec![("go-live.delay", "\"0s\""), ("go-live.image", "\"none\"")];
        settings.extend(overrides);
        let stage = Stage::start(quick(), &settings).await;
        let (home, fan) = stage.follower(Flavour::Mastodon).await;
        let note = stage.post(&home).await.note;
        assert_eq!(fan.like(&note).await.unwrap().status, 202);
        Target { stage, home, fan, note }
    }

    /// A server that the agent has never heard of, with somebody on it.
    pub async fn stranger(&self, flavour: Flavour) -> Person {
        self.stage.server(flavour).await.person("eve")
    }

    /// As [`Target::stranger`], somebody whose key takes no time to make.
    pub async fn cold(&self, flavour: Flavour) -> Person {
        self.stage.server(flavour).await.crowd(1).remove(0)
    }

    /// A Follow of us, as `actor` would send it.
    pub fn follow_by(&self, actor: &str) -> Value {
        self.activity(actor, "Follow", json!(self.stage.actor()))
    }

    /// A Like of the post, as `actor` would send it.
    pub fn like_by(&self, actor: &str) -> Value {
        self.activity(actor, "Like", json!(self.note))
    }

    /// Any activity, with an id of its own.
    pub fn activity(&self, actor: &str, kind: &str, object: Value) -> Value {
        let id = format!("{actor}#{kind}/{}", ulid::Ulid::generate());
        json!({"@context": "https://www.w3.org/ns/activitystreams", "id": id, "type": kind, "actor": actor, "object": object})
    }

    /// Posts a Follow with the departures in `options`.
    pub async fn try_follow(&self, person: &Person, options: &SignOptions) -> Reply {
        let body = self.follow_by(&person.id()).to_string();
        person.custom_signed(&self.stage.inbox(), body, options).await.unwrap()
    }

    /// Nobody was added and nobody left.
    pub async fn unchanged(&self) {
        self.unchanged_but_for(0).await;
    }

    /// As [`Target::unchanged`], when so many have followed since.
    pub async fn unchanged_but_for(&self, followers: u64) {
        self.stage.wait_followers(1 + followers).await;
        self.count(1, 0).await;
    }

    /// So many likes and shares. The note is not of the same moment as what was seen before.
    pub async fn count(&self, likes: u64, shares: u64) {
        eventually(&format!("{likes} likes and {shares} shares"), LONG, async || {
            let note = self.stage.document(&self.note).await;
            let counts = (note["likes"]["totalItems"].as_u64(), note["shares"]["totalItems"].as_u64());
            (counts == (Some(likes), Some(shares))).then_some(())
        })
        .await;
    }

    /// How many activities were taken that changed nothing.
    pub async fn ignored(&self) -> u64 {
        self.stage.metric("herald_inbox_requests_total{outcome=\"ignored\"}").await
    }

    /// Waits until so many of them have been looked into: an actor's own Delete, Update or Move is answered before.
    pub async fn wait_ignored(&self, wanted: u64) {
        eventually("they were looked into", LONG, async || (self.ignored().await == wanted).then_some(()))
            .await;
    }
}

/// The code of a refusal, after its status.
pub fn refusal(reply: &Reply) -> (u16, String) {
    let problem: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    (reply.status, problem["code"].as_str().unwrap_or_default().to_owned())
}

/// Nothing was ever asked of that server, and nothing was sent there.
pub fn never_contacted(server: &Server) {
    assert_eq!(
        (server.requests(), server.received_count()),
        (Vec::new(), 0),
        "requests that a stranger caused"
    );
}

/// Somebody's document was looked at once, and nothing else was asked of that server.
pub fn asked_once(person: &Person) {
    let asked: Vec<String> = person.server().requests().into_iter().map(|request| request.target).collect();
    assert_eq!(asked, [person.id().strip_prefix(&person.server().url()).unwrap()]);
}
