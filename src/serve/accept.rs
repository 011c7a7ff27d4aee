//! The accept loop: bounded connections, bounded headers, bounded goodbye.
//!
//! warp's own server has no limit on the time a client may take for its headers, nor on how long a stop may take.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::HOST;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
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

/// HTTP/2 names the host in `:authority` (RFC 9113 §8.3.1); signatures are over the `Host` header.
fn name_host(request: &mut http::Request<hyper::body::Incoming>) {
    let authority =
        request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let (Some(authority), false) = (authority, request.headers().contains_key(HOST)) {
        request.headers_mut().insert(HOST, authority);
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
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.headers).max_buf_size(32 * 1024);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30));
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
                name_host(&mut request);
                TowerToHyperService::new(service.clone()).call(request)
            });
        let connection =
            graceful.watch(builder.serve_connection(TokioIo::new(stream), with_peer).into_owned());
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(cause) = connection.await {
                tracing::trace!(target: "herald::serve", cause, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::debug!(target: "herald::serve", "open requests were cut off at the end");
    }
}
