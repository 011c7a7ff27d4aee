//! What is taken from the store, and comes into memory.

use std::time::Instant;

use jiff::Timestamp;

use super::super::outcome::{Held, Outcome};
use super::super::passes::{Shares, Taken, due, first_passes, open_passes, overdue, rested};
use super::{Pump, WINDOW};
use crate::decide::delivered::Ending;
use crate::decide::engaged;
use crate::model::follower::ParkedInboxes;
use crate::model::host::HostCounts;
use crate::model::owner::owner_of_host;
use crate::store::StoreError;

/// Jobs taken in one look: none is sent meanwhile, and so many are read in some milliseconds.
const AT_A_LOOK: usize = 1024;
/// The first look takes no more than this: the rest is read while these are signed.
const AT_FIRST: usize = 64;
/// For fewer nothing is read: what is tried again would leave nothing to what is new.
const AT_LEAST: usize = 32;

impl Pump {
    /// Takes due attempts, what rests for hosts that may be asked, and waiting inboxes from the store while there is room.
    pub(super) fn refill(&mut self) -> Result<(), StoreError> {
        (self.look, self.looked) = (false, Instant::now());
        let most = if self.held.is_empty() && !self.more { AT_FIRST } else { AT_A_LOOK };
        let room = WINDOW.saturating_sub(self.held.len()).min(most);
        // What is tried again leaves some to what is new.
        let again = self.hosts.waiting_again();
        let room_again = (room - room / 4).min((WINDOW - WINDOW / 4).saturating_sub(again));
        let now = Timestamp::now();
        let hosts = &self.hosts;
        let in_memory = |host: &str| hosts.in_memory(host);
        let of_owner = |owner: &str| self.owners.held(owner);
        let (held, passes) = (&self.held, &mut self.passes);
        // Made anew at each look, it would cost as much each time.
        let further = self.further.is_empty() && self.writing.is_none();
        let mut claims_changed = false;
        let found = self.store.look(|view| {
            claims_changed = open_passes(view, passes);
            if room < AT_LEAST {
                return None;
            }
            let mut shares = Shares::new(view, now, &in_memory, &of_owner);
            let (mut jobs, next_due) = due(held, &mut shares, room_again);
            let mut idle = Vec::new();
            let next_alarm = rested(held, &mut shares, room_again, &mut jobs, &mut idle);
            let full = jobs.len() >= room_again;
            first_passes(held, &mut shares, passes, room, &mut jobs);
            let next = [next_due, next_alarm].into_iter().flatten().min();
            let counts: (HostCounts, ParkedInboxes) = (view.meta(), view.meta());
            Some((jobs, full, idle, next, counts, further.then(|| engaged::next_pages(view))))
        })?;
        if claims_changed {
            self.hosts.claimed();
        }
        let Some((found, full, idle, next, (hosts, inboxes), further)) = found else {
            self.more = true;
            return Ok(());
        };
        self.more = full || found.len() >= room;
        self.overdue = overdue(self.overdue, found.len());
        // What waits for others of its host comes to its turn when they are done.
        let passed_by = !self.more && self.passes.values().any(|pass| pass.next.is_some());
        self.next_due = if passed_by { Some(next.map_or(now, |next| next.min(now))) } else { next };
        self.admit(found, now);
        if self.idle.is_empty() {
            self.idle = idle;
        }
        match further {
            Some(further) => self.further = further,
            None => self.look_further = true,
        }
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.hosts_shut.set(gauge(hosts.shut));
        self.metrics.hosts_parked.set(gauge(hosts.parked));
        self.metrics.inboxes_parked.set(gauge(inboxes.count));
        Ok(())
    }

    fn admit(&mut self, mut found: Vec<Taken>, now: Timestamp) {
        // At each inbox the older activity goes first, whichever list it was found in.
        found.sort_by_key(|taken| taken.job.outgoing);
        for Taken { job, host, aside, probe } in found {
            self.held.insert((job.outgoing, job.inbox.clone()));
            self.hosts.takes(&host, probe);
            let (begun, owner) = (!job.to_begin(), owner_of_host(&host));
            self.owners.takes(&owner);
            // What was never tried.
            if job.why.is_none() && !aside {
                self.outage.hurry(&host, Instant::now());
            }
            let held = Held { job, host, owner, started: false, left: false, begun };
            if aside {
                self.done.push(Outcome::unasked(held, Ending::SetAside { at: now }, now));
            } else {
                self.hosts.waits(held);
            }
        }
    }
}
