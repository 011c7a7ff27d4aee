//! From bytes and headers to a verified activity, and from there to the store.
//!
//! Everything that needs no network comes before anything that does, so that a request which is wrong in itself costs
//! nobody a request of ours; and everything after the network is answered alike, so that no answer tells whom we block
//! or who follows.

mod apply;
mod departures;
mod gate;
mod places;
mod proofs;
mod sift;
mod verified;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::{Semaphore, watch};

pub use departures::Departures;
pub use proofs::Proofs;
pub use verified::{Proof, Verified};

use gate::Checked;

use crate::activitypub::vocab::read::Kind;
use crate::agent::effective::Effective;
use crate::decide::shares::Shares;
use crate::fetch::Fetcher;
use crate::model::origin::RemotePolicy;
use crate::model::owner::owner_of_host;
use crate::model::{Addresses, Source};
use crate::serve::answer::Problem;
use crate::serve::body::Body;
use crate::serve::limit::Rates;
use crate::store::Store;
use crate::telemetry::metrics::{InboxOutcome, Metrics};

/// Activities being looked at at once; more are sent away to come back. Twice as many as may wait for keys
/// ([`Budgets`](crate::fetch::Budgets)), so that strangers' keys never keep out those whose keys are known.
const AT_ONCE: usize = 512;
/// A server may send at once what it may send in so long: everybody likes a stream in its first minute.
const SERVERS_BURST: Duration = Duration::from_secs(100);
/// The servers of one owner may send as much as so many servers of different ones.
const SERVERS_OF_AN_OWNER: u32 = 3;
/// Seconds after which those come again who were sent away because the store is full.
const FULL_FOR: u32 = 3600;

/// One POST to the inbox.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// Path and query as they came over the wire.
    pub target: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The raw body: the digest is of these bytes.
    pub body: Body,
    /// Whom it is counted for; `None` where clients cannot be told apart.
    pub source: Option<Source>,
}

/// What the inbox needs once the identity is settled.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Our ids.
    pub addresses: Arc<Addresses>,
    /// What addresses of strangers may look like.
    pub policy: RemotePolicy,
    /// Reads actors and keys.
    pub fetcher: Arc<Fetcher>,
    /// The same for what is looked into after it was answered; see [`Fetcher::aside`].
    pub aside: Arc<Fetcher>,
    /// What was proved a moment ago.
    pub proofs: Arc<Proofs>,
}

/// The inbox.
#[derive(Debug)]
pub struct Inbox {
    store: Store,
    effective: watch::Receiver<Arc<Effective>>,
    engine: OnceLock<Engine>,
    room: Semaphore,
    rates: Rates,
    /// Of the servers of one owner together, who may have any number of names below their own.
    owners: Rates,
    /// Nothing more may be remembered of strangers.
    full: AtomicBool,
    /// Nor, even if it is not full, of those who have left more than their share.
    shares: Mutex<Arc<Shares>>,
    leaving: departures::Waiting,
    metrics: Arc<Metrics>,
}

impl Inbox {
    /// An inbox that answers 503 until [`Inbox::settle`], and what looks into departures behind it.
    pub fn closed(
        store: Store,
        effective: watch::Receiver<Arc<Effective>>,
        metrics: Arc<Metrics>,
    ) -> (Arc<Self>, Departures) {
        let (leaving, queue) = departures::waiting();
        let room = Semaphore::new(AT_ONCE);
        let inbox = Arc::new(Inbox {
            store,
            effective,
            engine: OnceLock::new(),
            room,
            rates: Rates::new(SERVERS_BURST),
            owners: Rates::new(SERVERS_BURST),
            full: AtomicBool::new(false),
            shares: Mutex::default(),
            leaving,
            metrics,
        });
        (Arc::clone(&inbox), Departures::new(inbox, queue))
    }

    /// Opens the inbox. The identity never changes in a running process, so this happens once.
    pub fn settle(&self, engine: Engine) {
        if self.engine.set(engine).is_err() {
            tracing::error!(target: "herald::inbox", "the inbox was opened twice");
        }
    }

    /// Takes one activity: verified, applied and on disk when this returns, but for a Delete and an actor's own Update or
    /// Move, which are looked into afterwards.
    ///
    /// # Errors
    /// What to answer instead of 202. Nothing was changed then.
    pub async fn receive(&self, arrival: Arrival<'_>) -> Result<(), Problem> {
        let Some(engine) = self.engine.get() else {
            return Err(Problem::busy("identity-unknown", "this server does not know who it is yet", 60));
        };
        if self.store.has_no_room() {
            self.metrics.inbox(InboxOutcome::Overloaded);
            return Err(Problem::busy("no-space", "this server's disk is nearly full", 300));
        }
        let Ok(_room) = self.room.try_acquire() else {
            self.metrics.inbox(InboxOutcome::Overloaded);
            return Err(Problem::busy("busy", "too many activities are arriving", 30));
        };
        let taken = match gate::check(engine, arrival) {
            Ok(Checked::Nothing) => Ok(Took::Ignored),
            // A Delete makes room.
            Ok(Checked::Leaving(claim)) if self.full.load(Ordering::Relaxed) && !claim.is_delete() => {
                Err(store_full())
            }
            Ok(Checked::Leaving(claim)) => {
                // It is counted when it has been looked into, or here if there is no place for it.
                if !departures::take(&self.leaving, claim) {
                    self.metrics.inbox(InboxOutcome::Overloaded);
                }
                return Ok(());
            }
            Ok(Checked::Claim(_)) if self.full.load(Ordering::Relaxed) => Err(store_full()),
            Ok(Checked::Claim(claim)) => match gate::verify(engine, &self.store, claim).await {
                Ok(verified) => match self.pace(&verified) {
                    Ok(()) => self.apply(engine, verified).await,
                    Err(problem) => Err(problem),
                },
                Err(problem) => Err(problem),
            },
            Err(problem) => Err(problem),
        };
        self.metrics.inbox(match &taken {
            Ok(took) => took.counted(),
            Err(problem) => refusal(problem),
        });
        taken.map(|_| ())
    }

    /// Takes nothing more from strangers while there is too much of theirs already, or takes it again.
    pub fn close(&self, full: bool) {
        match (self.full.swap(full, Ordering::Relaxed), full) {
            (false, true) => tracing::error!(
                target: "herald::inbox",
                "the store holds more of strangers than it should; nothing more is taken from them until some of it is over"
            ),
            (true, false) => tracing::warn!(target: "herald::inbox", "strangers' activities are taken again"),
            _ => {}
        }
    }

    /// Takes nothing more, for now, of those who have left more than their share of what may be remembered.
    pub fn share(&self, shares: Arc<Shares>) {
        let mut known = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() && !shares.is_empty() {
            tracing::warn!(
                target: "herald::inbox",
                "{shares}; nothing more is taken from them until some of it has made way"
            );
        }
        *known = shares;
    }

    /// Counts a request that was refused before it was looked at.
    pub fn refused(&self, problem: &Problem) {
        self.metrics.inbox(refusal(problem));
    }

    /// Only what is proved counts for a server: who sends in its name must not use up its rate.
    fn pace(&self, verified: &Verified) -> Result<(), Problem> {
        let per_second = self.effective.borrow().config.limits.activities_per_server;
        let Some((scheme, rest)) = verified.actor().split_once("://") else { return Ok(()) };
        let server = rest.split('/').next().unwrap_or_default();
        let owner = owner_of_host(server);
        // A Delete makes room.
        let leaves = verified.activity().kind != Kind::Delete;
        if leaves && self.shares.lock().unwrap_or_else(PoisonError::into_inner).used_up(&owner) {
            return Err(store_full());
        }
        let too_many = |who: &str, most: u32, seconds: u32| {
            Problem::too_many(format!("at most {most} activities a second are taken from {who}"), seconds)
        };
        self.rates
            .count((scheme, server), per_second)
            .map_err(|seconds| too_many(server, per_second, seconds))?;
        let of_all = per_second.saturating_mul(SERVERS_OF_AN_OWNER);
        self.owners
            .count(&owner, of_all)
            .map_err(|seconds| too_many(&format!("the servers of {owner}"), of_all, seconds))
    }
}

fn store_full() -> Problem {
    Problem::busy("store-full", "nothing more can be kept here for now", FULL_FOR)
}

/// What taking an activity did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Took {
    Followed,
    Engaged,
    Undone,
    Deleted,
    /// An actor's profile, or where it has moved.
    Updated,
    Reported,
    Repeated,
    Ignored,
}

impl Took {
    fn counted(self) -> InboxOutcome {
        match self {
            Took::Followed
            | Took::Engaged
            | Took::Undone
            | Took::Deleted
            | Took::Updated
            | Took::Reported => InboxOutcome::Accepted,
            Took::Repeated => InboxOutcome::Duplicate,
            Took::Ignored => InboxOutcome::Ignored,
        }
    }
}

fn refusal(problem: &Problem) -> InboxOutcome {
    match problem.code {
        "bad-json" | "bad-activity" | "media-type" | "body-broken" => InboxOutcome::Malformed,
        "too-large" | "too-slow" | "too-many-requests" | "too-many-inboxes" => InboxOutcome::OverLimit,
        "store-closed" | "store-full" => InboxOutcome::StoreFailed,
        "key-unavailable" => InboxOutcome::KeyUnavailable,
        _ if problem.retry_after.is_some() => InboxOutcome::Overloaded,
        _ => InboxOutcome::BadSignature,
    }
}

#[cfg(test)]
pub(crate) mod testing;
