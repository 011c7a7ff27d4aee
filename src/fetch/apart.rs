//! A thread of its own for fetching: a fetch is a dozen short waits, and on the threads that take requests each of them
//! would wait for its turn behind a whole flood.

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::FetchError;
use crate::net::{Answer, Client, Limits};

/// Names looked up at once: the system's resolver holds a thread for each.
const LOOKUPS: usize = 128;

/// Starts the thread, which ends with `stop`.
///
/// # Errors
/// The system gives none.
pub fn start(stop: CancellationToken) -> std::io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(LOOKUPS).build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new().name("fetch".into()).spawn(move || {
        runtime.block_on(stop.cancelled());
        runtime.shutdown_background();
    })?;
    Ok(handle)
}

/// One GET, on that thread if there is one. It ends with whoever waits for it.
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
    // The thread has ended: the program is stopping.
    Ok(AbortOnDropHandle::new(asked).await.map_err(|_| FetchError::Busy)??)
}
