//! The whole scene: a simulated Owncast, the real program, a simulated fediverse, and somebody who reads its addresses.

use std::time::Duration;

use owncast_herald::sim::fediverse::{Fediverse, Flavour, Person, PostSeen, Server};
use owncast_herald::sim::owncast::{Options, SimOwncast, Timeline};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

use super::agent::TestAgent;
use super::port::free_port;
use super::wait::{LONG, eventually};

/// What a peer asks for.
pub const ACTIVITY: &str = "application/activity+json";

/// A stream that is online and has its picture soon after the encoder connects.
pub const SOON: Timeline =
    Timeline { online_after: Duration::from_millis(50), thumbnail_after: Duration::from_millis(150) };

/// A fresh Owncast in a hurry: short delays where a real one takes its time.
pub fn quick() -> Options {
    Options {
        name: "Ana's stream".into(),
        thumbnail_every: Duration::from_millis(500),
        part_after: Duration::from_millis(50),
        ..Options::default()
    }
}

/// The scene. Everything in it ends when it is dropped.
pub struct Stage {
    /// The program beside Owncast.
    pub agent: TestAgent,
    /// Owncast.
    pub owncast: SimOwncast,
    /// Other servers.
    pub fediverse: Fediverse,
    /// Reads addresses; follows no redirect.
    pub http: Client,
}

impl Stage {
    /// Starts everything, with settings as [`TestAgent::start`] takes them, and waits until activities are taken.
    pub async fn start(options: Options, overrides: &[(&str, &str)]) -> Stage {
        let mut stage = Stage::prepare(options, overrides).await;
        stage.agent.launch();
        stage.settled().await;
        stage
    }

    /// As [`Stage::start`], without starting the program.
    pub async fn prepare(options: Options, overrides: &[(&str, &str)]) -> Stage {
        // Where it stays though it is off for a while: among the ports of outgoing connections, one of these might take it.
        let address = ([127, 0, 0, 1], free_port()).into();
        let owncast = SimOwncast::start_on(address, options).await.unwrap();
        Stage::beside(owncast, overrides).await
    }

    /// As [`Stage::prepare`], with an Owncast that is there already.
    pub async fn beside(owncast: SimOwncast, overrides: &[(&str, &str)]) -> Stage {
        let agent = TestAgent::prepare(&owncast, overrides);
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let http = http.timeout(LONG).build().unwrap();
        Stage { agent, owncast, fediverse: Fediverse::start().await, http }
    }

    /// Waits until the inbox is open, which it is once the identity is settled.
    pub async fn settled(&self) {
        let inbox = self.inbox();
        eventually("the inbox opens", LONG, async || {
            let answer = self.http.post(&inbox).send().await.ok()?;
            (answer.status() == 415).then_some(())
        })
        .await;
    }

    /// The actor's id.
    pub fn actor(&self) -> String {
        format!("{}/federation/user/{}", self.agent.public_url(), self.owncast.config().username)
    }

    /// The actor's inbox.
    pub fn inbox(&self) -> String {
        format!("{}/inbox", self.actor())
    }

    /// `user@host:port`.
    pub fn handle(&self) -> String {
        format!("{}@{}", self.owncast.config().username, self.agent.host())
    }

    /// Another server of that kind.
    pub async fn server(&self, flavour: Flavour) -> Server {
        self.fediverse.server("peer", flavour).await.unwrap()
    }

    /// Somebody on a new server of that kind, who follows and is accepted.
    pub async fn follower(&self, flavour: Flavour) -> (Server, Person) {
        let server = self.server(flavour).await;
        let person = server.person("bo");
        self.follow(&person).await;
        (server, person)
    }

    /// Lets `person` follow and waits for the Accept.
    pub async fn follow(&self, person: &Person) {
        let followed = person.follow(&self.handle()).await.unwrap();
        assert_eq!(followed.reply.status, 202, "{person:?}: {followed:?}");
        let accepted = person.wait_accepted(LONG).await;
        assert!(accepted, "{person:?} waits in vain for the Accept: {:?}", person.server().violations());
    }

    /// Goes live and answers the post as `server` got it.
    pub async fn post(&self, server: &Server) -> PostSeen {
        let before = server.posts().len();
        self.owncast.go_live_with(SOON);
        let seen = eventually("the post", LONG, async || server.posts().get(before).cloned());
        seen.await
    }

    /// A request to one of our addresses: a path, or a whole address.
    pub fn ask(&self, method: Method, address: &str) -> RequestBuilder {
        let whole = if address.starts_with('/') {
            format!("{}{address}", self.agent.public_url())
        } else {
            address.to_owned()
        };
        self.http.request(method, whole)
    }

    /// Sends the form of the follow page, with these headers beside a browser's.
    pub async fn fill_in_follow_page(&self, account: &str, headers: &[(&str, &str)]) -> Response {
        let fields =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("account", account).finish();
        let form = self.ask(Method::POST, "/federation/follow").body(fields);
        let mut form = form.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            form = form.header(*name, *value);
        }
        form.send().await.unwrap()
    }

    /// What a peer gets there.
    pub async fn get(&self, address: &str) -> Response {
        self.ask(Method::GET, address).header("accept", ACTIVITY).send().await.unwrap()
    }

    /// The JSON document there.
    pub async fn document(&self, address: &str) -> Value {
        let answer = self.get(address).await;
        assert_eq!(answer.status(), 200, "{address}");
        answer.json().await.unwrap()
    }

    /// `totalItems` of a collection.
    pub async fn total(&self, address: &str) -> u64 {
        self.document(address).await["totalItems"].as_u64().expect("totalItems")
    }

    /// How many followers there are.
    pub async fn followers(&self) -> u64 {
        self.total(&format!("{}/followers", self.actor())).await
    }

    /// Waits until so many follow.
    pub async fn wait_followers(&self, wanted: u64) {
        eventually("the number of followers", LONG, async || {
            (self.followers().await == wanted).then_some(())
        })
        .await;
    }

    /// Makes the agent look at Owncast's configuration now, which no event tells of: a new title does.
    pub fn hint(&self) {
        let titles = self.owncast.requests().len();
        self.owncast.set_title(&format!("Title {titles}"));
    }

    /// The value of one of the agent's metrics, named with its labels.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = self.get(&format!("{}/metrics", self.agent.metrics_url())).await.text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Waits until the agent's log says so.
    pub async fn wait_log(&self, words: &str) {
        let what = format!("the log says {words:?}");
        eventually(&what, LONG, async || self.agent.log().contains(words).then_some(())).await;
    }
}

/// Panics with everything `server` complains of.
pub fn no_complaints(server: &Server) {
    assert_eq!(server.violations(), [], "complaints of a {:?}", server.flavour());
}
