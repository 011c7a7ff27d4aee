//! From bytes and headers to a verified activity, and from there to the store.
//!
//! Everything that needs no network comes before anything that does, so that a request which is wrong in itself costs
//! nobody a request of ours; and everything after the network is answered alike, so that no stranger learns whom we
//! block or who follows.

mod apply;
mod gate;
mod sift;
mod verified;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::{Semaphore, watch};

pub use verified::{Proof, Verified};

use crate::agent::effective::Effective;
use crate::fetch::Fetcher;
use crate::model::Addresses;
use crate::model::origin::RemotePolicy;
use crate::serve::answer::Problem;
use crate::store::Store;
use crate::telemetry::metrics::{InboxOutcome, Metrics};

/// Activities being looked at at once; more are sent away to come back. Twice as many as may wait for keys
/// ([`Budgets`](crate::fetch::Budgets)), so that strangers' keys never keep out those whose keys are known.
const AT_ONCE: usize = 512;

/// One POST to the inbox.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Path and query as they came over the wire.
    pub target: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The raw body: the digest is of these bytes.
    pub body: Bytes,
    /// Address of the other end of the connection.
    pub peer: Option<IpAddr>,
}

/// What the inbox needs once the identity is settled.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Our ids.
    pub addresses: Addresses,
    /// What addresses of strangers may look like.
    pub policy: RemotePolicy,
    /// Reads actors and keys.
    pub fetcher: Arc<Fetcher>,
}

/// The inbox.
#[derive(Debug)]
pub struct Inbox {
    store: Store,
    effective: watch::Receiver<Arc<Effective>>,
    engine: OnceLock<Engine>,
    room: Semaphore,
    metrics: Arc<Metrics>,
}

impl Inbox {
    /// An inbox that answers 503 until [`Inbox::settle`].
    pub fn new(store: Store, effective: watch::Receiver<Arc<Effective>>, metrics: Arc<Metrics>) -> Self {
        Inbox { store, effective, engine: OnceLock::new(), room: Semaphore::new(AT_ONCE), metrics }
    }

    /// Opens the inbox. The identity never changes in a running process, so this happens once.
    pub fn settle(&self, engine: Engine) {
        if self.engine.set(engine).is_err() {
            tracing::error!(target: "herald::inbox", "the inbox was opened twice");
        }
    }

    /// Takes one activity: verified, applied and on disk when this returns.
    ///
    /// # Errors
    /// What to answer instead of 202. Nothing was changed then.
    pub async fn receive(&self, arrival: Arrival) -> Result<(), Problem> {
        let Some(engine) = self.engine.get() else {
            return Err(Problem::busy("identity-unknown", "this server does not know who it is yet", 60));
        };
        if self.store.room().low {
            self.metrics.inbox(InboxOutcome::Overloaded);
            return Err(Problem::busy("no-space", "this server's disk is nearly full", 300));
        }
        let Ok(_room) = self.room.try_acquire() else {
            self.metrics.inbox(InboxOutcome::Overloaded);
            return Err(Problem::busy("busy", "too many activities are arriving", 30));
        };
        let taken = self.pass(engine, &arrival).await;
        self.metrics.inbox(match &taken {
            Ok(took) => took.counted(),
            Err(problem) => refusal(problem),
        });
        if let Err(problem) = &taken {
            tracing::debug!(
                target: "herald::inbox",
                code = problem.code,
                status = problem.status.as_u16(),
                detail = problem.detail,
                "refused an activity"
            );
        }
        taken.map(|_| ())
    }

    async fn pass(&self, engine: &Engine, arrival: &Arrival) -> Result<Took, Problem> {
        match gate::gate(engine, &self.store, arrival).await? {
            Some(verified) => self.apply(engine, verified).await,
            None => Ok(Took::Ignored),
        }
    }
}

/// What taking an activity did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Took {
    Followed,
    Engaged,
    Undone,
    Deleted,
    Repeated,
    Ignored,
}

impl Took {
    fn counted(self) -> InboxOutcome {
        match self {
            Took::Followed | Took::Engaged | Took::Undone | Took::Deleted => InboxOutcome::Accepted,
            Took::Repeated => InboxOutcome::Duplicate,
            Took::Ignored => InboxOutcome::Ignored,
        }
    }
}

fn refusal(problem: &Problem) -> InboxOutcome {
    match problem.code {
        "bad-json" | "bad-activity" | "media-type" => InboxOutcome::Malformed,
        "store-closed" => InboxOutcome::StoreFailed,
        "key-unavailable" => InboxOutcome::KeyUnavailable,
        _ if problem.retry_after.is_some() => InboxOutcome::Overloaded,
        _ => InboxOutcome::BadSignature,
    }
}
