//! The accept loop, and which room answers which path.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::options::{Faults, Refusal};
use super::reply::{Hangup, Outcome, empty, set, text};
use super::state::{Request, lock, remember};
use super::{Shared, admin, federation, media, public, socket, talk};

/// Longest body that is read.
const LARGEST: usize = 4 << 20;

/// A request whose body has been read.
pub(super) struct Call {
    pub method: String,
    pub path: String,
    query: String,
    headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Call {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn query(&self, name: &str) -> Option<String> {
        query_value(&self.query, name)
    }
}

fn query_value(query: &str, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Accepts until cancelled; open connections end with it.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // Out of descriptors: the next round waits for whatever connection ends first.
        let Ok((stream, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        let serving = shared.clone();
        shared.spawn(async move {
            let service = service_fn(move |request| answer(serving.clone(), request));
            let builder = auto::Builder::new(TokioExecutor::new());
            // An error here is a client that went away or a connection closed on purpose.
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: http::Request<Incoming>) -> Outcome {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    remember(&mut lock(&shared.state).requests, Request { method: method.clone(), path: path.clone() });
    shared.touch();
    let Faults { refuse_all, delay_answers, .. } = *lock(&shared.faults);
    if !delay_answers.is_zero() {
        tokio::time::sleep(delay_answers).await;
    }
    match refuse_all {
        Refusal::None => {}
        Refusal::Unavailable => return Ok(text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n")),
        Refusal::Close => return Err(Hangup),
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    if path == "/ws" {
        return Ok(socket::answer(&shared, request, query_value(&query, "accessToken").unwrap_or_default()));
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LARGEST).collect().await else {
        return Ok(empty(StatusCode::PAYLOAD_TOO_LARGE));
    };
    let call = Call { method, path, query, headers: parts.headers, body: body.to_bytes().to_vec() };
    let mut reply = route(&shared, &call)?;
    set(&mut reply, "vary", "Accept-Encoding");
    Ok(reply)
}

fn route(shared: &Arc<Shared>, call: &Call) -> Outcome {
    if call.path.starts_with("/api/admin/") {
        return admin::answer(shared, call);
    }
    if let Some(outcome) = talk::answer(shared, call) {
        return outcome;
    }
    let answered = talk::public(shared, call)
        .or_else(|| public::answer(shared, call))
        .or_else(|| federation::answer(shared, call))
        .or_else(|| media::answer(shared, &call.path));
    Ok(answered.unwrap_or_else(|| text(StatusCode::NOT_FOUND, "404 page not found\n")))
}
