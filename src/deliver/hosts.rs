//! Pure: what is in memory by host, and which of it may start next. Most of what waits does so for its host, so only hosts with
//! something that may have become possible are looked at.

mod host;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::Bound;

use host::Queued;

pub(super) use host::Host;

use super::outcome::Held;

/// Whether something that waits may start as far as others than its host are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    Start,
    /// Not before what is under way to its inbox is written.
    AfterOthers,
    /// Not before something else of its owner ends.
    OwnerIsFull,
    /// Not before more of its fan-out is claimed.
    Unclaimed,
}

/// All hosts with something in memory.
pub(super) struct Hosts {
    per_host: usize,
    known: HashMap<String, Host>,
    /// Those with a place and something that may be able to start, by how long the first of it waits.
    ready: BTreeSet<(u64, String)>,
    /// Those of which something waits for a claim,
    unclaimed: HashSet<String>,
    /// and those that wait for their owner's others, by owner.
    full: HashMap<String, HashSet<String>>,
    /// How many jobs wait,
    waiting: usize,
    /// of these, how many were tried before;
    again: usize,
    /// and the number of the next.
    next: u64,
}

impl Hosts {
    /// So many requests to a host at once.
    pub(super) fn new(per_host: usize) -> Self {
        Hosts {
            per_host: per_host.max(1),
            known: HashMap::new(),
            ready: BTreeSet::new(),
            unclaimed: HashSet::new(),
            full: HashMap::new(),
            waiting: 0,
            again: 0,
            next: 0,
        }
    }

    /// How many jobs wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many of these were tried before.
    pub(super) fn waiting_again(&self) -> usize {
        self.again
    }

    /// How many jobs of a host are in memory, and whether one of them is its probe.
    pub(super) fn in_memory(&self, host: &str) -> (usize, bool) {
        self.known.get(host).map_or((0, false), |host| (host.held, host.probed))
    }

    /// A job comes into memory; on a probe it depends how things go on with its host.
    pub(super) fn takes(&mut self, host: &str, probe: bool) {
        let host = self.known.entry(host.to_owned()).or_default();
        host.held += 1;
        host.probed |= probe;
    }

    /// One that is in memory waits for its turn, behind those that do.
    pub(super) fn waits(&mut self, held: Held) {
        let (name, place) = (held.host.clone(), self.next);
        self.next += 1;
        self.waiting += 1;
        self.again += usize::from(held.job.attempt.is_some());
        let queue = &mut self.known.entry(name.clone()).or_default().queue;
        if queue.capacity() == 0 {
            // Most have one inbox with us, and there are thousands: room for four would be made for each.
            queue.reserve_exact(1);
        }
        queue.push_back(Queued { place, held });
        self.look_at(&name);
    }

    /// Takes something that may start, of the host of which something has waited longest; of those that are `preferred`, if
    /// there are any. If one of these waits for a claim, nothing of others: it comes at once.
    pub(super) fn start(
        &mut self,
        preferred: impl Fn(&str) -> bool,
        mut may: impl FnMut(&Held) -> May,
    ) -> Option<Held> {
        let mut from = Bound::Unbounded;
        loop {
            let next = self.ready.range((from, Bound::Unbounded)).find(|(_, host)| preferred(host)).cloned();
            let Some(next) = next else { break };
            if let Some(held) = self.start_one(&next, &mut may) {
                return Some(held);
            }
            from = Bound::Excluded(next);
        }
        if self.unclaimed.iter().any(|host| preferred(host)) {
            return None;
        }
        while let Some(next) = self.ready.first().cloned() {
            if let Some(held) = self.start_one(&next, &mut may) {
                return Some(held);
            }
        }
        None
    }

    /// Whether something may be able to start, and all hosts of which that is so, or is once it is claimed, are such.
    pub(super) fn all_ready_are(&self, such: impl Fn(&str) -> bool) -> bool {
        let mut hosts = self.ready.iter().map(|(_, host)| host).chain(&self.unclaimed);
        !self.ready.is_empty() && hosts.all(|host| such(host))
    }

    fn start_one(&mut self, next: &(u64, String), may: &mut impl FnMut(&Held) -> May) -> Option<Held> {
        self.ready.remove(next);
        self.known.get_mut(&next.1)?.ready = None;
        self.start_at(&next.1, may)
    }

    fn start_at(&mut self, name: &str, may: &mut impl FnMut(&Held) -> May) -> Option<Held> {
        let host = self.known.get_mut(name).filter(|host| host.has_place(self.per_host))?;
        let mut found = None;
        for (index, Queued { held, .. }) in host.queue.iter().enumerate() {
            match may(held) {
                May::Start => {
                    found = Some(index);
                    break;
                }
                May::AfterOthers => {}
                May::OwnerIsFull => {
                    self.full.entry(held.owner.clone()).or_default().insert(name.to_owned());
                    break;
                }
                May::Unclaimed => {
                    self.unclaimed.insert(name.to_owned());
                }
            }
        }
        let Queued { held, .. } = host.queue.remove(found?)?;
        if host.queue.is_empty() {
            host.queue = VecDeque::new();
        }
        host.starts();
        self.waiting = self.waiting.saturating_sub(1);
        self.again = self.again.saturating_sub(usize::from(held.job.attempt.is_some()));
        self.look_at(name);
        Some(held)
    }

    /// One that took a place gives it back.
    pub(super) fn leaves(&mut self, name: &str) {
        if let Some(host) = self.known.get_mut(name) {
            host.leaves();
            self.look_at(name);
        }
    }

    /// One goes out of memory, after which others may go to its inbox. True if it may have been the probe of its host.
    pub(super) fn lets_go(&mut self, held: &Held) -> bool {
        let Some(host) = self.known.get_mut(&held.host) else { return false };
        host.held = host.held.saturating_sub(1);
        if held.started && !held.left {
            host.leaves();
        }
        let probed = held.started && std::mem::take(&mut host.probed);
        if host.held == 0 {
            self.known.remove(&held.host);
        } else {
            self.look_at(&held.host);
        }
        probed
    }

    /// More is claimed.
    pub(super) fn claimed(&mut self) {
        for name in std::mem::take(&mut self.unclaimed) {
            self.look_at(&name);
        }
    }

    /// Something of this owner ended.
    pub(super) fn owner_has_place(&mut self, owner: &str) {
        for name in self.full.remove(owner).unwrap_or_default() {
            self.look_at(&name);
        }
    }

    /// What waits for a host, which is not to be tried now.
    pub(super) fn waits_no_more(&mut self, name: &str) -> Vec<Held> {
        let Some(host) = self.known.get_mut(name) else { return Vec::new() };
        if let Some(place) = host.ready.take() {
            self.ready.remove(&(place, name.to_owned()));
        }
        let aside: Vec<Held> =
            std::mem::take(&mut host.queue).into_iter().map(|queued| queued.held).collect();
        self.waiting = self.waiting.saturating_sub(aside.len());
        let again = aside.iter().filter(|held| held.job.attempt.is_some()).count();
        self.again = self.again.saturating_sub(again);
        aside
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Host> {
        self.known.get_mut(name)
    }

    /// Something of this host may be able to start.
    fn look_at(&mut self, name: &str) {
        let Some(host) = self.known.get_mut(name).filter(|host| host.has_place(self.per_host)) else {
            return;
        };
        let Some(first) = host.queue.front() else { return };
        if host.ready.is_none() {
            host.ready = Some(first.place);
            self.ready.insert((first.place, name.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests;
