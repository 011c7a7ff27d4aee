//! Probes and metrics, on a listener of their own.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::json;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::answer::{Answer, Document, JSON, Problem, json_answer};
use crate::decide::delivered;
use crate::store::Store;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::{CONTENT_TYPE, Metrics};

/// The routes: `/livez`, `/readyz`, `/metrics`.
pub fn routes(health: Health, metrics: Arc<Metrics>, store: Store) -> BoxedFilter<(Answer,)> {
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .then(move |method: Method, path: warp::path::FullPath, headers: http::HeaderMap| {
            let (health, metrics, store) = (health.clone(), Arc::clone(&metrics), store.clone());
            async move {
                if method != Method::GET && method != Method::HEAD {
                    return Problem::method("GET, HEAD").answer();
                }
                match path.as_str() {
                    "/livez" => json_answer(StatusCode::OK, JSON, &json!({ "live": health.live() })),
                    "/readyz" => ready(&health, &store).await,
                    "/metrics" => {
                        metrics.store_bytes.set(store.size_on_disk());
                        metrics.store_free_bytes.set(store.room().free);
                        if let Ok(open) = store.read(delivered::open).await {
                            metrics.delivery_queue.set(i64::try_from(open).unwrap_or(i64::MAX));
                        }
                        Document::new(metrics.encode(), CONTENT_TYPE, 0).answer(&method, &headers)
                    }
                    _ => Problem::not_found().answer(),
                }
            }
        })
        .boxed()
}

/// Ready means that every part is up, the store answers a read, and there is room for what may come.
async fn ready(health: &Health, store: &Store) -> Answer {
    let mut missing: Vec<&str> = health.ready().err().unwrap_or_default();
    if store.read(|view| view.get_bytes(b"Mschema").is_some()).await.ok() != Some(true) {
        missing.push("store");
    }
    if store.room().low {
        missing.push("disk-space");
    }
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_answer(status, JSON, &json!({ "ready": missing.is_empty(), "waiting_for": missing }))
}
