//! The inboxes over HTTP/2, as most servers offer it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use openssl::ssl::{ErrorCode, SslStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::receive::{Raw, Shared, inbox};

/// A stream whose handshake is done, in the terms of tokio.
struct Stream(SslStream<Raw>);

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.0.ssl_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(cause) if cause.code() == ErrorCode::WANT_READ => {
                    ready!(self.0.get_ref().0.poll_read_ready(context))?;
                }
                Err(cause) if cause.code() == ErrorCode::ZERO_RETURN => return Poll::Ready(Ok(())),
                Err(cause) => return Poll::Ready(Err(io::Error::other(cause))),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.0.ssl_write(bytes) {
                Err(cause) if cause.code() == ErrorCode::WANT_WRITE => {
                    ready!(self.0.get_ref().0.poll_write_ready(context))?;
                }
                done => return Poll::Ready(done.map_err(io::Error::other)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whether the other side hears of it does not matter here.
        let _ = self.0.shutdown();
        Poll::Ready(Ok(()))
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(stream: SslStream<Raw>, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let shared = Arc::clone(shared);
    let answer = service_fn(move |request| answer(request, Arc::clone(&shared)));
    http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(Stream(stream)), answer).await?;
    Ok(())
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let Some(inbox) = inbox(request.uri().path()) else {
        return std::future::pending().await;
    };
    let whole = request.into_body().collect().await.is_ok();
    if whole && shared.count(inbox).is_ok() {
        shared.wait().await;
    }
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}
