//! The end: what is under way may come to its own, and what was not begun is given back.

use jiff::Timestamp;
use ulid::Ulid;

use super::super::DRAIN;
use super::super::outcome::Held;
use super::{Pump, finished};
use crate::decide::delivered::{self, Job};
use crate::decide::schemes;
use crate::model::delivery::Claim;
use crate::model::{Draft, View};
use crate::store::StoreError;

impl Pump {
    /// Waits for requests under way, as far as they end in time, and writes how they ended: what is not written is sent
    /// again after a restart.
    pub(super) async fn finish(&mut self) -> Result<(), StoreError> {
        let deadline = tokio::time::Instant::now() + DRAIN;
        // What is not on its way yet is begun by the next process.
        self.sender.signing.end();
        let mut not_begun: Vec<Job> = Vec::new();
        let never = [&mut self.asking, &mut self.asked, &mut self.begun].map(std::mem::take);
        for (Held { job, .. }, _) in never.into_iter().flatten() {
            self.busy.remove(&job.inbox);
            not_begun.push(job);
        }
        while !self.busy.is_empty() || self.writing.is_some() || !self.done.is_empty() {
            self.write();
            tokio::select! {
                event = self.inbound.recv() => self.took(event),
                written = finished(&mut self.writing) => self.let_go(written?),
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        // Above what was begun surely nothing has been tried, at least not by this process.
        let quiet = self.busy.is_empty();
        let unclaim: Vec<(Ulid, Claim, u32)> =
            self.passes.iter().map(|(id, pass)| (*id, pass.claim, pass.tried_below(quiet))).collect();
        let schemes = self.sender.schemes.changed(Timestamp::now());
        let unclaimed = move |view: &dyn View| {
            let mut draft = Draft::new(view);
            for job in &not_begun {
                delivered::not_begun(&mut draft, job);
            }
            for (outgoing, claim, below) in unclaim {
                delivered::claim(&mut draft, outgoing, claim, below);
            }
            if let Some(known) = schemes {
                schemes::keep(&mut draft, &known);
            }
            (draft.into_changes(), ())
        };
        self.store.commit(unclaimed).await
    }
}
