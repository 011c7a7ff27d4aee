//! The accept loop: bounded connections, bounded headers, bounded goodbye.
//!
//! warp's own server has no limit on the time a client may take for its headers, nor on how long a stop may take.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warp::{Filter, Reply};

use super::connections::{Connection, Connections, Entry, Open, Proxies};
use super::patient::{Patience, Patient, Requests};

/// Most bytes of a request's line and headers.
const HEADER_BYTES: usize = 16 * 1024;

/// Who is at the other end of the connection: the proxy, or the client itself.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The connection.
    pub connection: Arc<Connection>,
}

/// What a listener puts up with.
#[derive(Clone, Copy, Debug)]
pub struct AcceptLimits {
    /// Open connections. For one more, that is given up whose client has been waited for longest; while none is waited
    /// for, more wait in the kernel's queue.
    pub connections: usize,
    /// Open connections of one client on the open internet.
    pub connections_per_client: usize,
    /// Time for a request's headers.
    pub headers: Duration,
    /// Time for the first bytes of a request on a connection that may be a proxy's. Longer than proxies keep a connection
    /// on which nothing happens: one that we close is perhaps about to carry a request, which the proxy cannot repeat.
    pub idle: Duration,
    /// Time for a client to take some of an answer that it is slow to read.
    pub answer: Duration,
    /// Time for open requests to end when the program stops.
    pub drain: Duration,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        AcceptLimits {
            connections: 1024,
            connections_per_client: 128,
            headers: Duration::from_secs(10),
            idle: Duration::from_secs(150),
            answer: Duration::from_secs(10),
            drain: Duration::from_secs(3),
        }
    }
}

/// Serves `routes` on `listener`, which no proxy asks, until `cancel`, then lets open requests end within the limit.
pub async fn serve<F>(listener: TcpListener, routes: F, limits: AcceptLimits, cancel: CancellationToken)
where
    F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
{
    serve_behind(Proxies::default(), listener, routes, limits, cancel).await;
}

/// As [`serve`], behind `proxies`.
pub async fn serve_behind<F>(
    proxies: Proxies,
    listener: TcpListener,
    routes: F,
    limits: AcceptLimits,
    cancel: CancellationToken,
) where
    F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
{
    let connections = Connections::new(limits.connections, limits.connections_per_client, proxies);
    serve_on(connections, listener, routes, limits, cancel).await;
}

async fn serve_on<F>(
    connections: Arc<Connections>,
    listener: TcpListener,
    routes: F,
    limits: AcceptLimits,
    cancel: CancellationToken,
) where
    F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
{
    let service = warp::service(routes);
    let graceful = GracefulShutdown::new();
    // HTTP/1 only, which is what proxies speak to what is behind them: telling the versions apart waits for bytes
    // without any limit.
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).max_buf_size(HEADER_BYTES);
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(cause) => {
                // Out of file descriptors, most likely: connections that end will free some.
                tracing::warn!(target: "herald::serve", %cause, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let entered = tokio::select! {
            () = cancel.cancelled() => break,
            entered = enter(&connections, peer) => entered,
        };
        let Some(open) = entered else { continue };
        // Small answers on kept connections must not wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        let connection = Arc::clone(&open.connection);
        let requests = Requests::default();
        let turns = requests.clone();
        let with_peer =
            hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
                connection.works();
                turns.turn();
                request.extensions_mut().insert(Peer { address: peer, connection: Arc::clone(&connection) });
                let answer = TowerToHyperService::new(service.clone()).call(request);
                let (connection, turns) = (Arc::clone(&connection), turns.clone());
                async move {
                    let answer = answer.await;
                    turns.turn();
                    connection.waits();
                    answer
                }
            });
        // hyper counts from the answer before on, the connection from a request's first bytes.
        let idle = if open.is_shared() { limits.idle } else { limits.headers };
        let (mut builder, watcher) = (builder.clone(), graceful.watcher());
        builder.header_read_timeout(idle);
        tokio::spawn(async move {
            // Who says nothing at all is not let in: hyper holds memory for every connection.
            let first = tokio::select! {
                () = open.given_up() => return,
                first = tokio::time::timeout(idle, stream.readable()) => first,
            };
            if first.is_err() {
                return;
            }
            let patience = Patience { answer: limits.answer, headers: limits.headers };
            let stream = TokioIo::new(Patient::new(stream, patience, requests));
            let served = watcher.watch(builder.serve_connection(stream, with_peer));
            tokio::select! {
                () = open.given_up() => {}
                ended = served => if let Err(cause) = ended {
                    tracing::trace!(target: "herald::serve", %cause, "a connection ended early");
                }
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::debug!(target: "herald::serve", "open requests were cut off at the end");
    }
}

/// A place for a connection, made where there is none; `None` if its client has had its share.
async fn enter(connections: &Arc<Connections>, peer: SocketAddr) -> Option<Open> {
    loop {
        match connections.enter(peer.ip()) {
            Entry::In(open) => return Some(open),
            Entry::TooMany => return None,
            Entry::Full => {
                connections.give_one_up();
                connections.freed().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// A wait that ends only if something is broken.
    const LONG: Duration = Duration::from_secs(60);
    /// More than the two ends of a connection hold between them.
    const LARGE: usize = 64 << 20;

    struct Rig {
        address: SocketAddr,
        connections: Arc<Connections>,
        cancel: CancellationToken,
    }

    impl Rig {
        async fn new(limits: AcceptLimits) -> Rig {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let large = bytes::Bytes::from(vec![b'x'; LARGE]);
            let routes = warp::path("small")
                .map(|| bytes::Bytes::from("hello"))
                .or(warp::any().map(move || large.clone()));
            let routes = routes.unify().map(http::Response::new);
            let cancel = CancellationToken::new();
            let (most, most_of_one) = (limits.connections, limits.connections_per_client);
            let connections = Connections::new(most, most_of_one, Proxies::default());
            tokio::spawn(serve_on(Arc::clone(&connections), listener, routes, limits, cancel.clone()));
            Rig { address, connections, cancel }
        }

        async fn open(&self, sent: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            stream
        }

        async fn until(&self, count: usize) {
            let counted = async {
                while self.connections.count() != count {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(LONG, counted).await.expect("so many connections");
        }
    }

    impl Drop for Rig {
        fn drop(&mut self) {
            self.cancel.cancel();
        }
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut all = String::new();
        tokio::time::timeout(LONG, stream.read_to_string(&mut all)).await.expect("its end").unwrap();
        all
    }

    #[tokio::test]
    async fn connections_that_do_nothing_make_room_for_those_that_do() {
        let patient = AcceptLimits { connections: 4, headers: LONG, ..AcceptLimits::default() };
        let rig = Rig::new(patient).await;
        let started = ["", "GET ", "GET /small HTTP/1.1\r\n", "GET /small HTTP/1.1\r\nHost: a\r\n\r\n"];
        let mut held = Vec::new();
        for text in started {
            held.push(rig.open(text).await);
        }
        rig.until(4).await;
        for _ in 0..6 {
            let answer =
                rest(rig.open("GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await).await;
            assert!(answer.ends_with("hello"), "{answer}");
            // It took the place of one, and has ended itself.
            rig.until(3).await;
            held.push(rig.open("").await);
            rig.until(4).await;
        }
    }

    #[tokio::test]
    async fn who_does_not_read_an_answer_is_cut_off() {
        let hurried = AcceptLimits { answer: Duration::from_millis(300), ..AcceptLimits::default() };
        let rig = Rig::new(hurried).await;
        let asked = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
        let stuck = rig.open(asked).await;
        rig.until(1).await;
        rig.until(0).await;
        drop(stuck);
        // Who reads all of it, gets all of it.
        let closing = "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let patient = Rig::new(AcceptLimits::default()).await;
        assert!(rest(patient.open(closing).await).await.len() > LARGE);
    }

    #[tokio::test]
    async fn kept_connections_on_which_nothing_comes_are_closed() {
        let hurried = AcceptLimits { idle: Duration::from_millis(200), ..AcceptLimits::default() };
        let rig = Rig::new(hurried).await;
        let answer = rest(rig.open("GET /small HTTP/1.1\r\nHost: a\r\n\r\n").await).await;
        assert!(answer.ends_with("hello"), "{answer}");
        rig.until(0).await;
    }

    #[tokio::test]
    async fn a_proxy_may_keep_a_connection_for_long_but_not_begin_a_request_and_leave_it() {
        let short = Duration::from_millis(100);
        let rig = Rig::new(AcceptLimits { headers: short, idle: LONG, ..AcceptLimits::default() }).await;
        let asked = "GET /small HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut kept = rig.open("").await;
        let mut answer = [0; 512];
        for _ in 0..3 {
            tokio::time::sleep(short * 3).await;
            kept.write_all(asked.as_bytes()).await.unwrap();
            let mut got = String::new();
            while !got.ends_with("hello") {
                let read = tokio::time::timeout(LONG, kept.read(&mut answer)).await.unwrap().unwrap();
                assert!(read > 0, "it was closed: {got}");
                got.push_str(std::str::from_utf8(&answer[..read]).unwrap());
            }
        }
        kept.write_all(b"GET /small HTTP/1.1\r\n").await.unwrap();
        assert_eq!(rest(kept).await, "");
        assert_eq!(rest(rig.open("GET ").await).await, "");
    }
}
