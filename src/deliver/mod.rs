//! Durable delivery of activities to inboxes: what the store says is to be sent is signed and sent, and the store is
//! told how it went.
//!
//! Runs on threads of its own at low priority: a video encoder lives on the same machine.

mod batch;
pub mod classify;
mod confirm;
mod hosts;
mod lanes;
mod look;
mod outage;
mod outcome;
mod owners;
mod passes;
mod pump;
mod send;
mod signing;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use send::Sender;
use signing::Signing;

use crate::activitypub::signature::PrivateKey;
use crate::fetch::Fetcher;
use crate::net::{Client, LOOKUPS, NetError};
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// How delivery behaves; see `[delivery]` in `agent.toml`.
#[derive(Clone, Debug)]
pub struct DeliverOptions {
    /// Requests in flight at once, those aside that are slow to be answered.
    pub concurrency: usize,
    /// Requests in flight at once to one host.
    pub per_host: usize,
    /// Threads that sign, and as many that send; one that sends alone signs, too, while many wait and there is nothing to send.
    pub threads: usize,
    /// The client for these requests; delivery has connections of its own.
    pub client: Client,
    /// Id of our key.
    pub key_id: String,
    /// Our key.
    pub key: PrivateKey,
    /// Asks whether followers are there still.
    pub fetcher: Arc<Fetcher>,
}

/// Why delivery could not start.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The HTTP client cannot be built.
    #[error("delivery cannot start: {0}")]
    Client(#[from] NetError),
    /// The system gave no thread.
    #[error("delivery cannot start its threads: {0}")]
    Threads(#[from] std::io::Error),
}

/// The running delivery threads.
#[derive(Debug)]
pub struct Delivery {
    thread: std::thread::JoinHandle<()>,
}

/// Lower scheduling priority of delivery threads, in `nice` steps.
const NICENESS: i32 = 10;
/// Threads for what blocks: the system's resolver holds one for each name.
const BLOCKING: usize = LOOKUPS + 16;
/// How long requests in flight may take to end when the program stops. What does not end is sent again later.
const DRAIN: Duration = Duration::from_secs(3);

impl Delivery {
    /// Starts delivering what the store holds, until `cancel`.
    pub fn start(
        store: Store,
        options: DeliverOptions,
        metrics: Arc<Metrics>,
        cancel: CancellationToken,
    ) -> Result<Delivery, DeliverError> {
        // Only signatures are handed over between threads: with one that sends, it is that of the pump.
        let mut runtime = match options.threads {
            0 | 1 => tokio::runtime::Builder::new_current_thread(),
            threads => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                builder.worker_threads(threads);
                builder
            }
        };
        let runtime = runtime
            .thread_name("deliver")
            .max_blocking_threads(BLOCKING)
            .on_thread_start(lower_priority)
            .enable_all()
            .build()?;
        let signing = Signing::start(options.threads, &options.key_id, &options.key)?;
        let client = options.client.for_many_requests(options.per_host.max(1))?;
        let thread = std::thread::Builder::new().name("deliver-main".into()).spawn(move || {
            lower_priority();
            let (doubts, inboxes) = mpsc::channel(confirm::WAITING);
            let fetcher = Arc::clone(&options.fetcher);
            runtime.spawn(confirm::Confirmer::new(store.clone(), fetcher, inboxes).run());
            // On one core there is nothing to be won.
            if options.threads <= 1 && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
            {
                runtime.spawn(signing.help());
            }
            let sender = Sender { client, signing, schemes: Arc::default() };
            let pump = pump::Pump::new(store, sender, &options, metrics, doubts);
            runtime.block_on(pump.run(cancel));
            runtime.shutdown_background();
        })?;
        Ok(Delivery { thread })
    }

    /// Waits for the threads to end after the cancellation. Blocks; call it where blocking is fine.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!(target: "herald::deliver", "a delivery thread ended abnormally");
        }
    }
}

/// On Linux priority belongs to a thread, and 0 names the calling one.
fn lower_priority() {
    if let Err(cause) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(target: "herald::deliver", %cause, "the priority of a delivery thread stays as it is");
    }
}
