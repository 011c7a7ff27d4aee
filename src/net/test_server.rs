//! A scripted HTTP/1.1 server on the loopback, able to misbehave in ways a real HTTP library would not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use url::Url;

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// What the script answers.
pub(crate) enum Reply {
    /// These bytes, then the connection closes.
    Raw(Vec<u8>),
    /// These bytes, then one more byte at every interval, for ever.
    Drip(Vec<u8>, Duration),
    /// These bytes once the gate gives a permit.
    Gated(Arc<Semaphore>, Vec<u8>),
}

/// A whole answer with a body of known length.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
    Reply::Raw(bytes(status, headers, body))
}

/// The bytes of [`answer`].
pub(crate) fn bytes(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut out = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    [out.as_bytes(), body].concat()
}

type Script = dyn Fn(&Hit) -> Reply + Send + Sync;

/// The running server; it stops when dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    hits: Arc<Mutex<Vec<Hit>>>,
    most: Arc<AtomicUsize>,
    accept: tokio::task::JoinHandle<()>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

impl TestServer {
    /// Starts on a free port; the script gets the server's own base URL (without a slash at the end).
    pub(crate) async fn start(script: impl Fn(&str, &Hit) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base = format!("http://{address}");
        let script: Arc<Script> = Arc::new(move |hit: &Hit| script(&base, hit));
        let hits: Arc<Mutex<Vec<Hit>>> = Arc::default();
        let most: Arc<AtomicUsize> = Arc::default();
        let shared = (Arc::clone(&hits), Arc::clone(&most));
        let accept = tokio::spawn(async move {
            let now = Arc::new(AtomicUsize::new(0));
            while let Ok((stream, _)) = listener.accept().await {
                let (script, (hits, most), now) = (Arc::clone(&script), shared.clone(), Arc::clone(&now));
                tokio::spawn(async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    serve(stream, &script, &hits).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, hits, most, accept }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    pub(crate) fn hits(&self) -> Vec<Hit> {
        self.hits.lock().unwrap().clone()
    }

    /// Most connections that were open at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, script: &Arc<Script>, hits: &Mutex<Vec<Hit>>) {
    let Some(hit) = read(&mut stream).await else { return };
    let reply = script(&hit);
    hits.lock().unwrap().push(hit);
    match reply {
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Reply::Gated(gate, bytes) => {
            gate.acquire().await.unwrap().forget();
            let _ = stream.write_all(&bytes).await;
        }
        Reply::Drip(bytes, every) => {
            let mut alive = stream.write_all(&bytes).await.is_ok();
            while alive {
                tokio::time::sleep(every).await;
                alive = stream.write_all(b" ").await.is_ok();
            }
        }
    }
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Hit> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, value.parse().ok()?);
    }
    let length = headers.get("content-length").and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Hit { method, target, headers, body })
}
