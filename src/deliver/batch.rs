//! Pure: what the pump writes in one commit.

use jiff::Timestamp;
use ulid::Ulid;

use super::outcome::{Held, Outcome};
use crate::decide::delivered::{self, Anew, Ending, Job};
use crate::decide::engaged::{self, Page};
use crate::decide::hosts::{self, Gate};
use crate::decide::refusals;
use crate::decide::schemes::{self, Known};
use crate::model::Draft;
use crate::model::delivery::Claim;

/// Everything that is to be written.
pub(super) struct Batch {
    /// Outcomes.
    pub(super) done: Vec<Outcome>,
    /// Servers that were not at fault.
    pub(super) forgiven: Vec<String>,
    /// Alarms for which nothing rests.
    pub(super) idle: Vec<(Timestamp, String)>,
    /// Claims: which fan-out, how far it is claimed, and up to where it is to be.
    pub(super) claims: Vec<(Ulid, Claim, u32)>,
    /// Attempts that are about to be made again.
    pub(super) beginning: Vec<Job>,
    /// What is to be queued to those who liked, shared or answered a post.
    pub(super) further: Vec<Page>,
    /// Which servers verify RFC 9421 only, if that has changed.
    pub(super) schemes: Option<Known>,
}

/// What was written.
pub(super) struct Written {
    /// Outcomes, and how things stand with the host where that was asked.
    pub(super) settled: Vec<(Held, Option<Gate>)>,
    /// Claims: how far a fan-out was claimed, and the number below which its inboxes may be tried now; none if the fan-out
    /// is another by now.
    pub(super) claimed: Vec<(Ulid, Claim, Option<u32>)>,
    /// Something had been taken back or was over, and may be there again.
    pub(super) taken_back: bool,
    /// Inboxes of first passes that seemed over, and are to be read again.
    pub(super) not_over: Vec<(Ulid, u32)>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty()
            && self.forgiven.is_empty()
            && self.idle.is_empty()
            && self.claims.is_empty()
            && self.beginning.is_empty()
            && self.further.is_empty()
            && self.schemes.is_none()
    }

    pub(super) fn write(self, draft: &mut Draft<'_>, now: Timestamp, entropy: u64) -> Written {
        for (at, host) in &self.idle {
            hosts::tidy(draft, host, *at, now);
        }
        let (mut gates, mut taken_back, mut not_over) =
            (Vec::with_capacity(self.done.len()), false, Vec::new());
        let mut anew = Anew::of(self.done.iter().map(|outcome| &outcome.held.job));
        for (count, outcome) in (0u64..).zip(&self.done) {
            let Outcome { held, ending, contact, at, .. } = outcome;
            let (ending, contact, at) = (*ending, *contact, *at);
            let written = delivered::settle_one_of(draft, &held.job, ending, &mut anew);
            taken_back |= !written;
            if !written && matches!(ending, Ending::Expired { .. }) && held.job.attempt.is_none() {
                not_over.extend(held.job.number.map(|number| (held.job.outgoing, number)));
            }
            refusals::heard(draft, &held.job, ending, contact, at);
            let jitter = entropy.wrapping_add(count);
            gates.push(contact.map(|contact| hosts::heard(draft, &held.host, contact, at, jitter)));
        }
        let settled = self.done.into_iter().map(|outcome| outcome.held).zip(gates).collect();
        for host in &self.forgiven {
            hosts::spoke(draft, host, now);
        }
        let mut claimed = Vec::with_capacity(self.claims.len());
        for (id, from, below) in self.claims {
            claimed.push((id, from, delivered::claim(draft, id, from, below).then_some(below)));
        }
        for job in &self.beginning {
            delivered::begin_again(draft, job);
        }
        for page in &self.further {
            engaged::go_on(draft, page, now);
        }
        if let Some(known) = &self.schemes {
            schemes::keep(draft, known);
        }
        Written { settled, claimed, taken_back, not_over }
    }
}
