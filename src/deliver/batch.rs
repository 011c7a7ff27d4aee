//! Pure: what the pump writes in one commit.

use std::collections::HashSet;

use jiff::Timestamp;
use ulid::Ulid;

use super::outcome::{Held, Outcome};
use crate::decide::delivered::{self, Job};
use crate::decide::engaged::{self, Page};
use crate::decide::hosts::{self, Gate};
use crate::decide::refusals;
use crate::model::Draft;

/// Everything that is to be written.
pub(super) struct Batch {
    /// Outcomes.
    pub(super) done: Vec<Outcome>,
    /// Alarms for which nothing rests.
    pub(super) idle: Vec<(Timestamp, String)>,
    /// Claims: which fan-out, up to where it is claimed, and up to where it is to be.
    pub(super) claims: Vec<(Ulid, u32, u32)>,
    /// Attempts that are about to be made again.
    pub(super) beginning: Vec<Job>,
    /// What is to be queued to those who liked, shared or answered a post.
    pub(super) further: Vec<Page>,
}

/// What was written.
pub(super) struct Written {
    /// Outcomes, and how things stand with the host where that was asked.
    pub(super) settled: Vec<(Held, Option<Gate>)>,
    /// Claims: the inboxes of a fan-out below a number may be tried; none if the fan-out is another by now.
    pub(super) claimed: Vec<(Ulid, Option<u32>)>,
    /// Attempts that may be made again: their keys.
    pub(super) begun: HashSet<Vec<u8>>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty()
            && self.idle.is_empty()
            && self.claims.is_empty()
            && self.beginning.is_empty()
            && self.further.is_empty()
    }

    pub(super) fn write(self, draft: &mut Draft<'_>, now: Timestamp, entropy: u64) -> Written {
        for (at, host) in &self.idle {
            hosts::tidy(draft, host, *at, now);
        }
        let mut settled = Vec::with_capacity(self.done.len());
        for (count, outcome) in (0u64..).zip(self.done) {
            let Outcome { held, ending, contact, at } = outcome;
            delivered::settle(draft, &held.job, ending);
            refusals::heard(draft, &held.job, ending, contact, at);
            let jitter = entropy.wrapping_add(count);
            let gate = contact.map(|contact| hosts::heard(draft, &held.host, contact, at, jitter));
            settled.push((held, gate));
        }
        let mut claimed = Vec::with_capacity(self.claims.len());
        for (id, from, below) in self.claims {
            claimed.push((id, delivered::claim(draft, id, from, below).then_some(below)));
        }
        for job in &self.beginning {
            delivered::begin_again(draft, job);
        }
        for page in &self.further {
            engaged::go_on(draft, page, now);
        }
        let begun = self.beginning.into_iter().filter_map(|job| job.attempt).collect();
        Written { settled, claimed, begun }
    }
}
