//! A webhook receiver, a chat viewer, and the comparison of JSON shapes.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use owncast_herald::sim::owncast::SimOwncast;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use warp::Filter;
use warp::http::HeaderMap;

/// Bound of every wait; reaching it is a failure.
pub const LONG: Duration = Duration::from_secs(60);

/// One webhook as received.
pub struct Delivery {
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
    pub body: Value,
}

impl Delivery {
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap()
    }
}

/// Receives webhooks on loopback.
pub struct Receiver {
    pub url: String,
    deliveries: mpsc::UnboundedReceiver<Delivery>,
}

impl Receiver {
    pub async fn start() -> Receiver {
        let (sender, deliveries) = mpsc::unbounded_channel();
        let route = warp::post().and(warp::header::headers_cloned()).and(warp::body::bytes()).map(
            move |headers, bytes: bytes::Bytes| {
                let body = serde_json::from_slice(&bytes).unwrap();
                let _ = sender.send(Delivery { headers, bytes: bytes.to_vec(), body });
                // Owncast takes any status for success.
                warp::reply::with_status("", warp::http::StatusCode::INTERNAL_SERVER_ERROR)
            },
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(warp::serve(route).incoming(listener).run());
        Receiver { url, deliveries }
    }

    pub async fn next(&mut self) -> Delivery {
        tokio::time::timeout(LONG, self.deliveries.recv()).await.expect("a webhook in time").unwrap()
    }

    /// What arrived and was not looked at.
    pub fn left(&mut self) -> usize {
        std::iter::from_fn(|| self.deliveries.try_recv().ok()).count()
    }
}

/// Calls the admin API with the default password.
pub async fn admin(sim: &SimOwncast, path: &str, body: Value) -> reqwest::Response {
    let call =
        reqwest::Client::new().post(format!("{}{path}", sim.url())).basic_auth("admin", Some("abc123"));
    call.json(&body).send().await.unwrap()
}

pub async fn get(sim: &SimOwncast, path: &str) -> reqwest::Response {
    reqwest::get(format!("{}{path}", sim.url())).await.unwrap()
}

pub async fn subscribe(sim: &SimOwncast, url: &str, events: &[&str]) -> Value {
    let body = json!({"url": url, "events": events, "secret": "s3cret"});
    admin(sim, "/api/admin/webhooks/create", body).await.json().await.unwrap()
}

pub async fn token(sim: &SimOwncast, scopes: &[&str]) -> String {
    let body = json!({"name": "Fediverse", "scopes": scopes});
    let answer: Value = admin(sim, "/api/admin/accesstokens/create", body).await.json().await.unwrap();
    answer["accessToken"].as_str().unwrap().to_owned()
}

pub async fn say(sim: &SimOwncast, token: &str, how: &str, body: &str) -> reqwest::Response {
    let call = reqwest::Client::new().post(format!("{}/api/integrations/chat/{how}", sim.url()));
    call.bearer_auth(token).json(&json!({"body": body})).send().await.unwrap()
}

/// A chat socket.
pub struct Viewer {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Viewer {
    pub async fn connect(sim: &SimOwncast, token: &str) -> Viewer {
        let url = format!("{}/ws?accessToken={token}", sim.url().replace("http", "ws"));
        let (socket, _) = connect_async(url).await.unwrap();
        Viewer { socket }
    }

    /// The next text frame, or `None` when the server closed.
    pub async fn frame(&mut self) -> Option<String> {
        loop {
            match tokio::time::timeout(LONG, self.socket.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Ping(_))) => {}
                _ => return None,
            }
        }
    }

    pub async fn ping(&mut self) {
        loop {
            match tokio::time::timeout(LONG, self.socket.next()).await.expect("a ping in time") {
                Some(Ok(Message::Ping(_))) => return,
                Some(Ok(_)) => {}
                other => panic!("closed: {other:?}"),
            }
        }
    }

    pub async fn send(&mut self, event: Value) {
        self.socket.send(Message::text(event.to_string())).await.unwrap();
    }
}

/// Where two JSON values differ in shape: keys, value types and the lengths of arrays, recursively.
pub fn difference(ours: &Value, real: &Value) -> Option<String> {
    match (ours, real) {
        (Value::Object(ours), Value::Object(real)) => {
            let missing =
                real.keys().find(|key| !ours.contains_key(*key)).map(|key| format!(".{key} is missing"));
            let extra =
                ours.keys().find(|key| !real.contains_key(*key)).map(|key| format!(".{key} is too much"));
            missing.or(extra).or_else(|| {
                real.iter().find_map(|(key, real)| Some(format!(".{key}{}", difference(&ours[key], real)?)))
            })
        }
        (Value::Array(ours), Value::Array(real)) if ours.len() == real.len() => {
            let pairs = ours.iter().zip(real).enumerate();
            pairs
                .into_iter()
                .find_map(|(at, (ours, real))| Some(format!("[{at}]{}", difference(ours, real)?)))
        }
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, Value::Null) => None,
        _ => Some(format!(": {ours} where the real one has {real}")),
    }
}

/// Lines of a recording.
pub fn recording(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
