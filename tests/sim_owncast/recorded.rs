//! The recorded calls in their order, with the webhooks and frames they caused.

use owncast_herald::sim::owncast::{Follower, FollowerState, Options, SimOwncast, Timeline};
use serde_json::{Value, json};

use crate::support::{LONG, Receiver, Viewer, difference, recording};

const API: &str = include_str!("../fixtures/owncast/api.jsonl");
const WEBHOOKS: &str = include_str!("../fixtures/owncast/webhooks.jsonl");
const FRAMES: &str = include_str!("../fixtures/owncast/websocket.jsonl");

/// Frames and webhooks of the recording that belong to the replayed session; the rest came later.
const SESSION_FRAMES: usize = 14;
const SESSION_WEBHOOKS: usize = 6;

/// Headers that a proxy, the connection or a signature decides on. Owncast signs the documents of its own federation
/// (`Digest`, `Signature`); the simulated one holds no private key.
const INCOMPARABLE: [&str; 6] =
    ["connection", "transfer-encoding", "content-length", "digest", "signature", "date"];

/// Values that differ from run to run or build to build; of everything else the value must be the recorded one too.
const VARYING: [&str; 18] = [
    // Moments.
    "serverTime",
    "lastConnectTime",
    "lastDisconnectTime",
    "time",
    "timestamp",
    "createdAt",
    "nameChangedAt",
    "lastUsedAt",
    "published",
    // Random.
    "id",
    "accessToken",
    "displayColor",
    "ids",
    "MessageIDs",
    // The receiver of this run, in the list of webhooks.
    "url",
    // The name of the build, which no version should be read from, and texts and keys left out of the recording.
    "version",
    "extraPageContent",
    "publicKey",
];

/// Where values differ, beside those that vary.
fn other_value(ours: &Value, real: &Value) -> Option<String> {
    match (ours, real) {
        (Value::Object(ours), Value::Object(real)) => real.iter().find_map(|(key, real)| {
            // Addresses below the public one are made from settings, so they do not vary.
            let made = real.as_str().is_some_and(|text| text.contains("live.example"));
            let varies = VARYING.contains(&key.as_str()) && !made && !real.is_object();
            if varies { None } else { Some(format!(".{key}{}", other_value(&ours[key], real)?)) }
        }),
        (Value::Array(ours), Value::Array(real)) => {
            ours.iter().zip(real).find_map(|(ours, real)| Some(format!("[]{}", other_value(ours, real)?)))
        }
        _ => (ours != real).then(|| format!(": {ours} where the real one has {real}")),
    }
}

fn follower() -> Follower {
    Follower {
        iri: "https://localhost:9301/u/a0".into(),
        name: "Ana a0".into(),
        username: "a0@localhost".into(),
        image: String::new(),
        at: jiff::Timestamp::now(),
        state: FollowerState::Approved,
    }
}

struct Session {
    sim: SimOwncast,
    client: reqwest::Client,
    receiver: Receiver,
    viewer: Option<Viewer>,
    /// Tokens by the display name they were made with.
    tokens: Vec<(String, String)>,
    bot_line: String,
    frames: Vec<String>,
    webhooks: Vec<Value>,
}

impl Session {
    async fn start() -> Session {
        Session {
            sim: SimOwncast::start(Options::default()).await.unwrap(),
            client: reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap(),
            receiver: Receiver::start().await,
            viewer: None,
            tokens: Vec::new(),
            bot_line: String::new(),
            frames: Vec::new(),
            webhooks: Vec::new(),
        }
    }

    fn token(&self, name: &str) -> String {
        self.tokens.iter().rev().find(|(known, _)| known == name).unwrap().1.clone()
    }

    async fn frame(&mut self) {
        let frame = self.viewer.as_mut().unwrap().frame().await.unwrap();
        self.frames.push(frame);
    }

    async fn webhook(&mut self) {
        let delivery = self.receiver.next().await;
        for (name, value) in [("user-agent", "Go-http-client/1.1"), ("content-type", "application/json")] {
            assert_eq!(delivery.headers[name], value);
        }
        self.webhooks.push(delivery.body);
    }

    /// What people did before a recorded call.
    async fn prepare(&mut self, name: &str) {
        match name {
            "status-connecting" => {
                self.viewer = Some(Viewer::connect(&self.sim, &self.token("viewer")).await);
                self.frame().await;
                self.sim.receive_follow(follower());
                self.frame().await;
                self.sim.go_live_with(Timeline::by_hand());
                self.frame().await;
                self.webhook().await;
            }
            "status-live" => self.sim.turn_online(),
            "chat-system" => {
                self.frame().await;
                self.webhook().await;
            }
            "chat-visibility" => {
                for _ in 0..4 {
                    self.frame().await;
                }
            }
            "set-name-while-live" => {
                self.frame().await;
                self.webhook().await;
                let viewer = self.viewer.as_mut().unwrap();
                viewer.send(json!({"type": "CHAT", "body": "hello :heart: **world**"})).await;
                self.frame().await;
                self.webhook().await;
                let viewer = self.viewer.as_mut().unwrap();
                viewer.send(json!({"type": "NAME_CHANGE", "newName": "renamed"})).await;
                self.frame().await;
                // Rename and the new user info may share a frame.
                if self.frames.last().unwrap().lines().count() == 1 {
                    self.frame().await;
                }
                self.webhook().await;
            }
            // The recorded one had posted that it was live by then.
            "outbox-after" => {
                crate::support::admin(&self.sim, "/api/admin/federation/send", json!({"value": "live"}))
                    .await;
            }
            "status-after" => {
                self.sim.end_stream();
                self.frame().await;
                self.webhook().await;
            }
            _ => {}
        }
    }

    fn body(&self, name: &str, recorded: &Value) -> Value {
        let mut body = recorded.clone();
        match name {
            "webhook-create" | "webhook-create-unknown-event" => body["url"] = json!(self.receiver.url),
            "chat-visibility" => body["idArray"] = json!([self.bot_line]),
            "token-delete" | "token-delete-again" => body["token"] = json!(self.token("Fediverse")),
            _ => {}
        }
        body
    }

    async fn call(&mut self, line: &Value) -> Result<(), String> {
        let name = line["name"].as_str().unwrap();
        let request = &line["request"];
        let method = request["method"].as_str().unwrap().parse().unwrap();
        let url = format!("{}{}", self.sim.url(), request["path"].as_str().unwrap());
        let mut call = self.client.request(method, url);
        call = match (request["auth"].as_str(), name) {
            (Some("admin"), _) => call.basic_auth("admin", Some("abc123")),
            (Some("bad"), _) => call.basic_auth("admin", Some("wrong")),
            (Some("token"), "chat-system-bad-token") => call.bearer_auth("unknown"),
            (Some("token"), "chat-send-without-scope") => call.bearer_auth(self.token("Sys")),
            (Some("token"), _) => call.bearer_auth(self.token("Fediverse")),
            _ => call,
        };
        if let Some(accept) = request["accept"].as_str() {
            call = call.header("Accept", accept);
        }
        call = match self.body(name, &request["body"]) {
            Value::Null => call,
            Value::String(raw) => call.body(raw),
            body => call.json(&body),
        };
        let response = call.send().await.unwrap();
        self.compare(line, response).await
    }

    async fn compare(&mut self, line: &Value, response: reqwest::Response) -> Result<(), String> {
        let name = line["name"].as_str().unwrap();
        if response.status().as_u16() != line["status"].as_u64().unwrap() as u16 {
            return Err(format!("status {}", response.status()));
        }
        for (key, value) in line["headers"].as_object().unwrap() {
            if INCOMPARABLE.contains(&key.to_lowercase().as_str()) {
                continue;
            }
            let ours = response.headers().get(key).map(|value| value.to_str().unwrap());
            if ours != value.as_str() {
                return Err(format!("header {key}: {ours:?} where the real one has {value}"));
            }
        }
        if !line["headers"].as_object().unwrap().contains_key("Content-Type")
            && response.headers().contains_key("content-type")
        {
            return Err("a content type where the real one has none".into());
        }
        let text = response.text().await.unwrap();
        if let Value::String(real) = &line["body"] {
            return if *real == text {
                Ok(())
            } else {
                Err(format!("{text:?} where the real one has {real:?}"))
            };
        }
        let body: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        self.learn(name, &body);
        let differs = difference(&body, &line["body"]).or_else(|| other_value(&body, &line["body"]));
        differs.map_or(Ok(()), Err)
    }

    fn learn(&mut self, name: &str, body: &Value) {
        if let Some(token) = body["accessToken"].as_str() {
            self.tokens.push((body["displayName"].as_str().unwrap().into(), token.into()));
        }
        if name == "admin-chat-messages" {
            self.bot_line = body[0]["id"].as_str().unwrap().into();
        }
    }
}

async fn replay() -> Session {
    let mut session = Session::start().await;
    let mut problems = Vec::new();
    let calls = recording(API);
    assert_eq!(calls.len(), 80);
    for line in &calls {
        let name = line["name"].as_str().unwrap();
        session.prepare(name).await;
        if let Err(problem) = session.call(line).await {
            problems.push(format!("{name}: {problem}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    session.frame().await;
    session
}

#[tokio::test]
async fn every_recorded_call_is_answered_alike() {
    let mut session = replay().await;

    // Everything the session caused in chat, exactly as broadcast.
    let objects = |frames: &[String]| -> Vec<Value> {
        let lines = frames.iter().flat_map(|frame| frame.lines());
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let real: Vec<String> = recording(FRAMES)
        .iter()
        .take(SESSION_FRAMES)
        .map(|line| line["frame"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        session.frames.iter().any(|frame| frame.contains("\\u003cstrong\\u003e")),
        "Go escapes HTML in JSON"
    );
    let (ours, real) = (objects(&session.frames), objects(&real));
    assert_eq!(ours.len(), real.len());
    for (ours, real) in ours.iter().zip(&real) {
        assert_eq!(difference(ours, real).or_else(|| other_value(ours, real)), None, "{real}");
    }

    // The webhooks; 0.1.3 posts them from several workers, so an order is only kept because each was waited for.
    let kinds = |all: &[Value]| all.iter().map(|body| body["type"].clone()).collect::<Vec<_>>();
    let real: Vec<Value> =
        recording(WEBHOOKS).iter().take(SESSION_WEBHOOKS).map(|line| line["body"].clone()).collect();
    assert_eq!(kinds(&session.webhooks), kinds(&real));
    for (ours, real) in session.webhooks.iter().zip(&real) {
        assert_eq!(difference(ours, real).or_else(|| other_value(ours, real)), None, "{real}");
    }
    assert_eq!(session.receiver.left(), 0);
}

/// The rest of the recordings: frames and a webhook of later sessions.
#[tokio::test]
async fn later_frames_and_webhooks_have_their_shape_too() {
    let sim = SimOwncast::start(Options::default()).await.unwrap();
    let mut receiver = Receiver::start().await;
    crate::support::subscribe(&sim, &receiver.url, &["STREAM_TITLE_UPDATED"]).await;
    let token = crate::support::token(&sim, &["CAN_SEND_SYSTEM_MESSAGES"]).await;
    let mut viewer = Viewer::connect(&sim, &token).await;
    viewer.frame().await.unwrap();

    // Raised in one go, they share a frame.
    sim.receive_follow(follower());
    sim.receive_follow(follower());
    let frame = viewer.frame().await.unwrap();
    assert_eq!(frame.lines().count(), 2);
    let ours: Value = serde_json::from_str(frame.lines().next().unwrap()).unwrap();
    let mut compared = 0;
    for line in recording(FRAMES).iter().skip(SESSION_FRAMES) {
        for real in line["frame"].as_str().unwrap().lines() {
            let real: Value = serde_json::from_str(real).unwrap();
            // Cards for likes and shares come from Owncast's own inbox only; they have the keys of the card for a follow.
            assert!(real["type"].as_str().unwrap().starts_with("FEDIVERSE_ENGAGEMENT_"));
            assert_eq!(difference(&ours, &real), None, "{real}");
            compared += 1;
        }
    }
    assert!(compared >= 12);

    sim.set_title("title A");
    let real = recording(WEBHOOKS).last().unwrap()["body"].clone();
    // The recorded one had been live before, so it has a last disconnect.
    sim.go_live_with(Timeline::by_hand());
    sim.end_stream();
    assert!(receiver.next().await.body["eventData"]["status"]["lastDisconnectTime"].is_null());
    sim.set_title("title A");
    assert_eq!(difference(&receiver.next().await.body, &real), None);
    assert!(sim.wait_chat(LONG, |line| line.html.contains("<strong>title A</strong>")).await.is_some());
}
