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
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use warp::{Filter, Reply};

/// Who is at the other end of the connection: the proxy, or the client itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// What a listener puts up with.
#[derive(Clone, Copy, Debug)]
pub struct AcceptLimits {
    /// Open connections; more wait in the kernel's queue.
    pub connections: usize,
    /// Time for a request's headers.
    pub headers: Duration,
    /// Time for open requests to end when the program stops.
    pub drain: Duration,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        AcceptLimits { connections: 1024, headers: Duration::from_secs(10), drain: Duration::from_secs(3) }
    }
}

/// Serves `routes` on `listener` until `cancel`, then lets open requests end within the limit.
pub async fn serve<F>(listener: TcpListener, routes: F, limits: AcceptLimits, cancel: CancellationToken)
where
    F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
{
    let service = warp::service(routes);
    let permits = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    // HTTP/1 only, which is what proxies speak to what is behind them: telling the versions apart waits for bytes
    // without any limit.
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.headers).max_buf_size(32 * 1024);
    loop {
        let permit = tokio::select! {
            () = cancel.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
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
        // Small answers on kept connections must not wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        let with_peer =
            hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                TowerToHyperService::new(service.clone()).call(request)
            });
        let (builder, watcher) = (builder.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _permit = permit;
            // Who says nothing at all is not let in: a thousand silent connections would keep everybody else out.
            if tokio::time::timeout(limits.headers, stream.readable()).await.is_err() {
                return;
            }
            let connection = watcher.watch(builder.serve_connection(TokioIo::new(stream), with_peer));
            if let Err(cause) = connection.await {
                tracing::trace!(target: "herald::serve", %cause, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::debug!(target: "herald::serve", "open requests were cut off at the end");
    }
}
