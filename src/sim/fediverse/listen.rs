//! An accept loop whose port can be closed and opened again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::SimError;

/// Connections one server holds at a time; more wait in the system's queue.
const CONNECTIONS: usize = 1024;

/// A handler's wish to close the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection closed without an answer")]
pub(crate) struct Hangup;

/// What a handler gives back.
pub(crate) type Answered = Result<Response<Full<Bytes>>, Hangup>;

/// The switch of a listening port.
#[derive(Debug)]
pub(crate) struct Door {
    wanted: watch::Sender<bool>,
    open: watch::Receiver<bool>,
}

impl Door {
    /// Opens or closes the port and waits, at most 5 s, until it is so. Closing ends all connections; where it is so already,
    /// none.
    pub(crate) async fn set(&self, open: bool) {
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, open) != open);
        let mut seen = self.open.clone();
        // Past the deadline the loop goes on trying; the caller sees what the port does.
        let _ = tokio::time::timeout(Duration::from_secs(5), seen.wait_for(|now| *now == open)).await;
    }
}

/// Binds a listening socket.
pub(crate) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SimError> {
    let failed = |source| SimError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Serves until `stop`.
pub(crate) fn serve<H, F>(
    listener: TcpListener,
    address: SocketAddr,
    stop: CancellationToken,
    handler: H,
) -> Door
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Answered> + Send + 'static,
{
    let (wanted, mut wish) = watch::channel(true);
    let (is_open, open) = watch::channel(true);
    let handler = Arc::new(handler);
    tokio::spawn(async move {
        let mut listener = Some(listener);
        loop {
            let want = *wish.borrow_and_update();
            if !want {
                listener = None;
                is_open.send_replace(false);
                tokio::select! {
                    changed = wish.changed() => if changed.is_err() { return },
                    () = stop.cancelled() => return,
                }
                continue;
            }
            let Some(socket) = listener.take() else {
                match TcpListener::bind(address).await {
                    Ok(bound) => listener = Some(bound),
                    // Somebody holds the port for a moment: an outgoing connection, or one that is just closing.
                    Err(_) => tokio::select! {
                        () = tokio::time::sleep(Duration::from_millis(20)) => {}
                        () = stop.cancelled() => return,
                    },
                }
                continue;
            };
            is_open.send_replace(true);
            let connections = stop.child_token();
            tokio::select! {
                () = accept(&socket, &connections, &handler) => {}
                _ = wish.changed() => {}
                () = stop.cancelled() => return,
            }
            connections.cancel();
            listener = Some(socket);
        }
    });
    Door { wanted, open }
}

async fn accept<H, F>(listener: &TcpListener, stop: &CancellationToken, handler: &Arc<H>)
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Answered> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: the connections in hand free some.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let (stop, handler) = (stop.clone(), handler.clone());
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                () = connection(stream, handler) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn connection<H, F>(stream: TcpStream, handler: Arc<H>)
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Answered> + Send + 'static,
{
    // Answers are one small write: waiting to fill a segment would only add latency to what is measured.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(|request| handler(request));
    // An error here is the other side's end of the connection, or a wanted hang-up.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_door_that_is_open_already_cuts_nobody_off() {
        let (listener, address) = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let stop = CancellationToken::new();
        let door = serve(listener, address, stop.clone(), |_| async {
            Ok(Response::new(Full::new(Bytes::from_static(b"it is open"))))
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = [0; 1024];
        for _ in 0..3 {
            door.set(true).await;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            let length = stream.read(&mut answer).await.unwrap();
            assert!(answer[..length].ends_with(b"it is open"), "{:?}", &answer[..length]);
        }
        door.set(false).await;
        assert_eq!(stream.read(&mut answer).await.unwrap_or(0), 0);
        stop.cancel();
    }
}
