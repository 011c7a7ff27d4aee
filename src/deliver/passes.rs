//! Pure: what the store holds that is to be sent now.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use ulid::Ulid;

use super::owners::OWNER_SHARE;
use crate::decide::delivered::{self, Job};
use crate::decide::hosts::{self, Gate};
use crate::model::View;
use crate::model::delivery::{Attempt, Claim};
use crate::model::follower::DeliveryInbox;
use crate::model::handle::host_of;
use crate::model::host::{Resting, read_alarm_key, resting_prefix};
use crate::model::owner::owner_of_host;
use crate::model::record::kind;

/// Jobs of one host held in memory at most: thousands of inboxes on a host that never answers must not fill the window
/// and keep everybody else waiting.
pub(super) const HOST_SHARE: usize = 64;

/// What is due and not its turn yet is looked at this often,
pub(super) const OVERDUE: Duration = Duration::from_millis(200);
/// and less and less often, down to this, while nothing comes of it: all that was passed by is read each time.
const SELDOM: Duration = Duration::from_secs(2);

/// How long to wait with the next look, after one that came so long after the last and took so many.
pub(super) fn overdue(waited: Duration, taken: usize) -> Duration {
    if taken > 0 { OVERDUE } else { (waited * 2).min(SELDOM) }
}

/// A job taken from the store.
pub(super) struct Taken {
    pub(super) job: Job,
    /// Host of its inbox.
    pub(super) host: String,
    /// Not to be tried now, but to rest until its host is well.
    pub(super) aside: bool,
    /// On this one it depends how things go on with its host.
    pub(super) probe: bool,
}

/// What is in memory for a host: how many jobs, and whether one of them is its probe.
pub(super) type InMemory<'v> = &'v dyn Fn(&str) -> (usize, bool);
/// How many jobs are in memory for an owner.
pub(super) type OfOwner<'v> = &'v dyn Fn(&str) -> usize;

/// Whether each host may be asked, and how much of the window it may still take.
pub(super) struct Shares<'v> {
    view: &'v dyn View,
    now: Timestamp,
    in_memory: InMemory<'v>,
    of_owner: OfOwner<'v>,
    /// Taken beside what is in memory, by host
    taken: HashMap<String, usize>,
    /// and by owner.
    taken_of: HashMap<String, usize>,
    gates: HashMap<String, Gate>,
}

impl<'v> Shares<'v> {
    pub(super) fn new(
        view: &'v dyn View,
        now: Timestamp,
        in_memory: InMemory<'v>,
        of_owner: OfOwner<'v>,
    ) -> Self {
        let (taken, taken_of, gates) = (HashMap::new(), HashMap::new(), HashMap::new());
        Shares { view, now, in_memory, of_owner, taken, taken_of, gates }
    }

    /// Jobs of a host in memory and taken.
    fn held(&self, host: &str) -> usize {
        (self.in_memory)(host).0 + self.taken.get(host).copied().unwrap_or(0)
    }

    /// Takes one place for the host of an inbox. `None` if it has none left; else the host, and whether the job is to be
    /// set aside, which takes no place.
    fn take(&mut self, inbox: &str) -> Option<(String, bool)> {
        let host = host_of(inbox);
        let gate = match self.gates.get(&host) {
            Some(gate) => *gate,
            None => {
                let gate = hosts::gate_of(self.view, &host, self.now);
                self.gates.insert(host.clone(), gate);
                gate
            }
        };
        if gate != Gate::Free {
            return Some((host, true));
        }
        if self.held(&host) >= HOST_SHARE || self.left_to_owner(&host) == 0 {
            return None;
        }
        self.takes(&host, 1);
        Some((host, false))
    }

    /// How many more the owner of a host may have.
    fn left_to_owner(&self, host: &str) -> usize {
        let owner = owner_of_host(host);
        let held = (self.of_owner)(&owner) + self.taken_of.get(&owner).copied().unwrap_or(0);
        OWNER_SHARE.saturating_sub(held)
    }

    fn takes(&mut self, host: &str, many: usize) {
        *self.taken.entry(host.to_owned()).or_default() += many;
        *self.taken_of.entry(owner_of_host(host)).or_default() += many;
    }
}

/// The first pass of a fan-out.
pub(super) struct Pass {
    /// Number of the inbox where reading goes on; `None` when all are read.
    pub(super) next: Option<u32>,
    /// An earlier process may have tried the inboxes below this number, and died before it could say so.
    pub(super) inherited: u32,
    /// This process may try the inboxes below this number, which is on disk, in this opening of the fan-out.
    pub(super) claim: Claim,
    /// It has begun with those below this one.
    begun: u32,
    /// The first that may not be tried before it is claimed.
    wanted: Option<u32>,
    /// What is known here is not what the store says: nothing is claimed before that was read.
    stale: bool,
}

/// Inboxes claimed ahead of those that are tried, enough for what starts while a claim is written. After a crash they are
/// thought to have the post perhaps; so are those that were passed by because their host had enough of its own.
const CLAIM: u32 = 512;

impl Pass {
    fn from(claim: Claim) -> Pass {
        Pass { next: Some(0), inherited: claim.below, claim, begun: 0, wanted: None, stale: false }
    }

    /// Whether an inbox may be tried; if not, it is to be claimed.
    pub(super) fn begin(&mut self, number: u32) -> bool {
        let claimed = number < self.claim.below;
        if claimed {
            self.begun = self.begun.max(number + 1);
        } else {
            self.wanted = Some(self.wanted.map_or(number, |wanted| wanted.min(number)));
        }
        claimed
    }

    /// What to claim, if it is time to: if all goes well, before an inbox waits for it.
    pub(super) fn to_claim(&self) -> Option<u32> {
        if self.stale {
            return None;
        }
        let ahead = self.claim.below.saturating_sub(self.begun);
        let soon = self.next.filter(|_| ahead < CLAIM / 2).map(|_| self.begun);
        Some(self.wanted.or(soon)?.saturating_add(CLAIM))
    }

    /// An inbox that was read is to be read once more.
    pub(super) fn read_again(&mut self, number: u32) {
        self.next = Some(self.next.map_or(number, |next| next.min(number)));
    }

    /// The number below which an inbox may have been tried, once nothing more begins. With nothing under way, each that was
    /// says so itself.
    pub(super) fn tried_below(&self, quiet: bool) -> u32 {
        let tried = if quiet { self.inherited } else { self.inherited.max(self.begun) };
        tried.min(self.claim.below)
    }

    /// What was to be claimed is on disk; or is not, since the pass is another by now.
    pub(super) fn claimed(&mut self, from: Claim, below: Option<u32>) {
        match below {
            Some(below) if self.claim == from => (self.claim.below, self.wanted) = (below, None),
            // It was opened again, and read again, before this was told.
            Some(_) => {}
            None => self.stale = true,
        }
    }
}

/// Whether this job may be tried as far as claims go.
pub(super) fn begin(passes: &mut BTreeMap<Ulid, Pass>, job: &Job) -> bool {
    // What is made again is known by its own record.
    let number = job.number.filter(|_| job.attempt.is_none());
    let (Some(number), Some(pass)) = (number, passes.get_mut(&job.outgoing)) else { return true };
    pass.begin(number)
}

/// Attempts that are due, oldest first; and when to look for the next.
pub(super) fn due(
    held: &HashSet<(Ulid, String)>,
    shares: &mut Shares<'_>,
    room: usize,
) -> (Vec<Taken>, Option<Timestamp>) {
    let (mut jobs, mut next, mut overdue) = (Vec::new(), None, None);
    if room == 0 {
        return (jobs, None);
    }
    shares.view.scan::<Attempt>(b"", &mut |attempt| {
        if attempt.due > shares.now {
            next = Some(attempt.due);
            return false;
        }
        if !held.contains(&(attempt.outgoing, attempt.inbox.clone())) {
            match shares.take(&attempt.inbox) {
                Some((host, aside)) => {
                    jobs.push(Taken { job: Job::of(attempt), host, aside, probe: false });
                }
                // It comes to its turn when others of its host are done, which nothing else tells.
                None => overdue = Some(shares.now),
            }
        }
        jobs.len() < room
    });
    (jobs, overdue.or(next))
}

/// What rests for hosts whose pause is over, oldest activity first: all of it if the host is well, one thing to try it
/// with if not. Alarms for which there is nothing go to `idle`. Returns when to look for the next.
pub(super) fn rested(
    held: &HashSet<(Ulid, String)>,
    shares: &mut Shares<'_>,
    room: usize,
    jobs: &mut Vec<Taken>,
    idle: &mut Vec<(Timestamp, String)>,
) -> Option<Timestamp> {
    if jobs.len() >= room {
        return None;
    }
    let (view, now) = (shares.view, shares.now);
    let mut next: Option<Timestamp> = None;
    let mut look_at = |at: Timestamp| next = Some(next.map_or(at, |next| next.min(at)));
    view.scan_bytes(&[kind::ALARM], &[kind::ALARM], &mut |key, _| {
        let Some((at, host)) = key.get(1..).and_then(read_alarm_key) else { return true };
        if at > now {
            look_at(at);
            return false;
        }
        if (shares.in_memory)(host).1 {
            return true;
        }
        let in_memory = shares.held(host);
        let gate = hosts::gate_of(view, host, now);
        // What is in memory of a host that fails is its probe, or was sent before.
        let share = match gate {
            // What it asked for at a time that our clock had wrong may hold later than its alarm.
            Gate::Shut(until) => {
                look_at(until);
                return true;
            }
            Gate::Probe => 1usize.saturating_sub(in_memory),
            Gate::Line | Gate::Free => HOST_SHARE.saturating_sub(in_memory),
        };
        let share = share.min(shares.left_to_owner(host));
        if share == 0 {
            // It comes to its turn when others are done, which nothing else tells.
            look_at(now);
            return true;
        }
        let probe = gate == Gate::Probe;
        let (mut found, mut any) = (0, false);
        view.scan::<Resting>(&resting_prefix(host), &mut |resting| {
            any = true;
            if found == share || jobs.len() >= room {
                return false;
            }
            if !held.contains(&(resting.0.outgoing, resting.0.inbox.clone())) {
                found += 1;
                jobs.push(Taken { job: Job::resting(resting), host: host.to_owned(), aside: false, probe });
            }
            true
        });
        shares.takes(host, found);
        if !any {
            idle.push((at, host.to_owned()));
        }
        jobs.len() < room
    });
    next
}

/// Brings what is known of first passes up to date: which there are, and which were opened again. True if what waits for a claim
/// may have to ask anew.
pub(super) fn open_passes(view: &dyn View, passes: &mut BTreeMap<Ulid, Pass>) -> bool {
    let mut open = BTreeMap::new();
    view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, value| {
        let id = key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok());
        open.extend(id.map(|id| (Ulid::from_bytes(id), Claim::read(value))));
        true
    });
    let before = passes.len();
    passes.retain(|id, _| open.contains_key(id));
    let mut changed = passes.len() < before;
    for (id, claim) in open {
        let pass = passes.entry(id).or_insert_with(|| Pass::from(claim));
        changed |= pass.stale || claim.opening != pass.claim.opening;
        if claim.opening != pass.claim.opening {
            // A stream that came back. What is under way is held, and not read again; what had been claimed is marked, inbox
            // by inbox.
            *pass = Pass::from(claim);
        }
        pass.stale = false;
    }
    changed
}

/// Waiting inboxes of the fan-outs whose first pass is not done, oldest activity first.
pub(super) fn first_passes(
    held: &HashSet<(Ulid, String)>,
    shares: &mut Shares<'_>,
    passes: &mut BTreeMap<Ulid, Pass>,
    room: usize,
    jobs: &mut Vec<Taken>,
) {
    let view = shares.view;
    for (&id, pass) in passes {
        let Some(from) = pass.next else { continue };
        let room = room.saturating_sub(jobs.len());
        if room == 0 {
            return;
        }
        let mut places = Vec::new();
        let mut wanted = |inbox: &DeliveryInbox| {
            let place = if held.contains(&(id, inbox.url.clone())) { None } else { shares.take(&inbox.url) };
            let wanted = place.is_some();
            places.extend(place);
            wanted
        };
        let (found, next) = delivered::waiting(view, id, from, room, &mut wanted);
        pass.next = next;
        let inherited = pass.inherited;
        jobs.extend(found.into_iter().zip(places).map(|((number, state, inbox), (host, aside))| Taken {
            job: Job {
                outgoing: id,
                inbox: inbox.url,
                number: Some(number),
                tries: 0,
                unauthorised: 0,
                uncertain: number < inherited || state.may_have_it(),
                attempt: None,
                why: None,
                owed: false,
            },
            host,
            aside,
            probe: false,
        }));
    }
}

#[cfg(test)]
mod tests;
