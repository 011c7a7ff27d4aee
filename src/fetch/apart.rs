//! Fetching has threads of its own: a fetch is a dozen short waits, and on the threads that take requests each of them
//! would wait for its turn behind a whole flood.

use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::FetchError;
use crate::net::{Answer, Client, Limits};

/// Names looked up at once: the system's resolver holds a thread for each.
const LOOKUPS: usize = 128;

/// Threads that fetch: with one, whoever makes a handshake dear would hold up everybody's.
const WORKERS: usize = 2;
/// Requests that are under way at the stop may need a key still.
const DRAIN: Duration = Duration::from_secs(4);

/// Starts the threads, which end some seconds after `stop`.
///
/// # Errors
/// The system gives none.
pub fn start(stop: CancellationToken) -> std::io::Result<Handle> {
    // Where the caller stands, a runtime may not be dropped.
    let (tell, told) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("fetch-main".into()).spawn(move || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(WORKERS).max_blocking_threads(LOOKUPS).thread_name("fetch").enable_all();
        let runtime = match builder.build() {
            Ok(runtime) => runtime,
            Err(cause) => return drop(tell.send(Err(cause))),
        };
        let _ = tell.send(Ok(runtime.handle().clone()));
        runtime.block_on(async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        });
        runtime.shutdown_background();
    })?;
    told.recv().unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into()))
}

/// One GET, on those threads if there are any. It ends with whoever waits for it.
pub(super) async fn get(
    apart: Option<&Handle>,
    client: &Client,
    url: &Url,
    headers: http::HeaderMap,
    limits: Limits,
) -> Result<Answer, FetchError> {
    let Some(apart) = apart else { return Ok(client.get(url, headers, limits).await?) };
    let (client, url) = (client.clone(), url.clone());
    let asked = apart.spawn(async move { client.get(&url, headers, limits).await });
    // The threads have ended: the program is stopping.
    Ok(AbortOnDropHandle::new(asked).await.map_err(|_| FetchError::Busy)??)
}
