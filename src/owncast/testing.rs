//! A hand-written HTTP/1.1 server on loopback for the tests of this room: one handler, no framework, so that
//! wrong and half answers can be given too.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// One request as received.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the handler wants done.
pub enum Reply {
    Answer(u16, &'static str, Vec<u8>),
    Redirect(String),
    /// Reads and never answers.
    Hang,
    /// Promises a body and breaks off.
    BreakOff,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Reply {
        Reply::Answer(status, "application/json", body.to_string().into_bytes())
    }
}

/// A running server: its address and all it was asked.
pub struct Server {
    pub url: Url,
    pub asked: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (handler, log) = (Arc::new(handler), asked.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (handler, log) = (handler.clone(), log.clone());
                tokio::spawn(async move {
                    let Some(request) = read_request(&mut stream).await else { return };
                    let reply = handler(&request);
                    log.lock().unwrap().push(request);
                    answer(&mut stream, reply).await;
                });
            }
        });
        Server { url: base(address), asked, task }
    }

    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

pub fn base(address: SocketAddr) -> Url {
    Url::parse(&format!("http://{address}/")).unwrap()
}

/// Reads one request; `None` when the peer left.
pub async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, target, headers, body })
}

pub async fn answer(stream: &mut TcpStream, reply: Reply) {
    let bytes = match reply {
        Reply::Answer(status, content_type, body) => {
            let mut bytes = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            )
            .into_bytes();
            bytes.extend(body);
            bytes
        }
        Reply::Redirect(to) => {
            format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .into_bytes()
        }
        Reply::Hang => {
            // Held open until the client gives up.
            let _ = stream.read_u8().await;
            return;
        }
        Reply::BreakOff => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\"".to_vec(),
    };
    let _ = stream.write_all(&bytes).await;
}

/// A recorded answer of Owncast 0.1.3 by name.
pub fn recorded(name: &str) -> Reply {
    let (status, content_type, body) = recorded_parts(name);
    let label = if content_type.starts_with("text/plain") { "text/plain" } else { "application/json" };
    Reply::Answer(status, label, body.to_string().into_bytes())
}

/// Status, label and body of a recorded answer.
pub fn recorded_parts(name: &str) -> (u16, String, Value) {
    let all: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/owncast-client/answers.json")).unwrap();
    let one = &all[name];
    let status = one["status"].as_u64().unwrap() as u16;
    (status, one["content_type"].as_str().unwrap().to_owned(), one["body"].clone())
}
