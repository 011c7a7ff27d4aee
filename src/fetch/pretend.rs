//! Searches that are not made, or for nothing: who is blocked, or known, must not show in what an answer costs.

use std::time::Duration;

use jiff::Timestamp;

use super::memory::digest;
use super::{FetchError, Fetcher};
use crate::model::Source;

/// How long the search for a key takes that we only pretend to make, at most and at least, in milliseconds: as of a host that
/// is well and not far away. Whoever has a clock can tell it from one of a host that takes longer. Times of real searches would be
/// no better a measure: strangers choose whom we ask, and so how long that takes.
const PRETENDED: std::ops::Range<u64> = 30..200;

impl Fetcher {
    /// What a search costs that others could notice, but asks nobody: for keys of those whom we do not talk to, and for what
    /// memory has answered. For whoever proves nothing each address costs a turn in [`REFETCH_PAUSE`], whatever is known of
    /// it, so that what is left of a budget shows neither whom we block nor whom we have lately heard of; and some time, which
    /// is not that of the host. Nothing more is spent on what was really looked for since `then`.
    ///
    /// # Errors
    /// As [`Fetcher::key`] would answer where no request is needed to know it.
    pub async fn pretend(
        &self,
        key_id: &str,
        source: Option<Source>,
        then: Timestamp,
    ) -> Result<(), FetchError> {
        self.spend(key_id, source, then, false).await
    }

    /// The same where it may be told whether the address answers: what memory has answered is really looked for, so that
    /// it shows of nobody whether they were heard of before their server went away.
    ///
    /// # Errors
    /// As of [`Fetcher::key`].
    pub async fn look(
        &self,
        key_id: &str,
        source: Option<Source>,
        then: Timestamp,
    ) -> Result<(), FetchError> {
        self.spend(key_id, source, then, true).await
    }

    async fn spend(
        &self,
        key_id: &str,
        source: Option<Source>,
        then: Timestamp,
        asks: bool,
    ) -> Result<(), FetchError> {
        let key_id = self.address(key_id)?;
        let place = digest(&key_id);
        let looked_for = || {
            let now = (self.clock)();
            self.memory().in_vain.get(&place).is_some_and(|until| now < *until)
        };
        let known = || if asks { self.known_failure(&key_id) } else { Ok(()) };
        if looked_for() {
            return known();
        }
        let mut looked = Ok(());
        if self.remembered(&key_id).is_none_or(|known| known.fetched_at < then) {
            let turn = self.turn(&key_id, source).await?;
            if looked_for() {
                return known();
            }
            if asks {
                looked = self.fetch_key(&key_id, &turn).await.map(drop);
            } else {
                let spread = u64::from_be_bytes(crate::random::bytes()) % (PRETENDED.end - PRETENDED.start);
                tokio::time::sleep(Duration::from_millis(PRETENDED.start + spread)).await;
            }
        }
        let until = self.after_a_pause();
        self.memory().in_vain.insert(place, until);
        looked
    }
}
