//! Pure: what the store holds that is to be sent now.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use ulid::Ulid;

use crate::decide::delivered::{self, Job};
use crate::decide::hosts::{self, Gate};
use crate::model::View;
use crate::model::delivery::Attempt;
use crate::model::follower::DeliveryInbox;
use crate::model::handle::host_of;
use crate::model::host::{Resting, read_alarm_key, resting_prefix};
use crate::model::record::kind;

/// Jobs of one host held in memory at most: thousands of inboxes on a host that never answers must not fill the window
/// and keep everybody else waiting.
pub(super) const HOST_SHARE: usize = 64;

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

/// Whether each host may be asked, and how much of the window it may still take.
pub(super) struct Shares<'v> {
    view: &'v dyn View,
    now: Timestamp,
    in_memory: InMemory<'v>,
    /// Taken beside what is in memory.
    taken: HashMap<String, usize>,
    gates: HashMap<String, Gate>,
}

impl<'v> Shares<'v> {
    pub(super) fn new(view: &'v dyn View, now: Timestamp, in_memory: InMemory<'v>) -> Self {
        Shares { view, now, in_memory, taken: HashMap::new(), gates: HashMap::new() }
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
        if self.held(&host) >= HOST_SHARE {
            return None;
        }
        *self.taken.entry(host.clone()).or_default() += 1;
        Some((host, false))
    }
}

/// The first pass of a fan-out.
pub(super) struct Pass {
    /// Number of the inbox where reading goes on; `None` when all are read.
    pub(super) next: Option<u32>,
    /// An earlier process may have tried the inboxes below this number, and died before it could say so.
    pub(super) inherited: u32,
    /// This process may try the inboxes below this number: that is on disk.
    pub(super) claimed: u32,
    /// It has begun with those below this one.
    begun: u32,
    /// The first that may not be tried before it is claimed.
    wanted: Option<u32>,
    /// What is known here is not what the store says: nothing is claimed before that was read.
    stale: bool,
}

/// Inboxes claimed ahead of those that are tried: so many at most are thought to have a post that they do not have, after
/// a crash. Enough for what starts while a claim is written.
const CLAIM: u32 = 512;

impl Pass {
    fn from(claimed: u32, inherited: u32) -> Pass {
        Pass { next: Some(0), inherited, claimed, begun: 0, wanted: None, stale: false }
    }

    /// Whether an inbox may be tried; if not, it is to be claimed.
    pub(super) fn begin(&mut self, number: u32) -> bool {
        let claimed = number < self.claimed;
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
        let ahead = self.claimed.saturating_sub(self.begun);
        let soon = self.next.filter(|_| ahead < CLAIM / 2).map(|_| self.begun);
        Some(self.wanted.or(soon)?.saturating_add(CLAIM))
    }

    /// What was to be claimed is on disk; or is not, since the pass is another by now.
    pub(super) fn claim(&mut self, below: Option<u32>) {
        match below {
            Some(below) => (self.claimed, self.wanted) = (below, None),
            None => self.stale = true,
        }
    }
}

/// Attempts that are due, oldest first; and when to look for the next.
pub(super) fn due(
    held: &HashSet<(Ulid, String)>,
    shares: &mut Shares<'_>,
    room: usize,
) -> (Vec<Taken>, Option<Timestamp>) {
    let (mut jobs, mut next, mut overdue) = (Vec::new(), None, None);
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
/// with if not. Alarms for which there is nothing go to `idle`. Returns when the next alarm is.
pub(super) fn rested(
    held: &HashSet<(Ulid, String)>,
    shares: &mut Shares<'_>,
    room: usize,
    jobs: &mut Vec<Taken>,
    idle: &mut Vec<(Timestamp, String)>,
) -> Option<Timestamp> {
    let (view, now) = (shares.view, shares.now);
    let mut next = None;
    view.scan_bytes(&[kind::ALARM], &[kind::ALARM], &mut |key, _| {
        let Some((at, host)) = key.get(1..).and_then(read_alarm_key) else { return true };
        if at > now {
            next = Some(at);
            return false;
        }
        if (shares.in_memory)(host).1 {
            return true;
        }
        let in_memory = shares.held(host);
        let gate = hosts::gate_of(view, host, now);
        // What is in memory of a host that fails is its probe, or was sent before.
        let share = match gate {
            Gate::Shut(_) => 0,
            Gate::Probe => 1usize.saturating_sub(in_memory),
            Gate::Line | Gate::Free => HOST_SHARE.saturating_sub(in_memory),
        };
        if share == 0 {
            return true;
        }
        let probe = gate == Gate::Probe;
        let (mut found, mut any) = (0, false);
        view.scan::<Resting>(&resting_prefix(host), &mut |resting| {
            any = true;
            if found == share || jobs.len() == room {
                return false;
            }
            if !held.contains(&(resting.0.outgoing, resting.0.inbox.clone())) {
                found += 1;
                jobs.push(Taken { job: Job::resting(resting), host: host.to_owned(), aside: false, probe });
            }
            true
        });
        *shares.taken.entry(host.to_owned()).or_default() += found;
        if !any {
            idle.push((at, host.to_owned()));
        }
        jobs.len() < room
    });
    next
}

/// Brings what is known of first passes up to date: which there are, and which were opened again.
pub(super) fn open_passes(view: &dyn View, passes: &mut BTreeMap<Ulid, Pass>) {
    let mut open = BTreeMap::new();
    view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, value| {
        let id = key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok());
        open.extend(id.map(|id| (Ulid::from_bytes(id), delivered::claimed(value))));
        true
    });
    passes.retain(|id, _| open.contains_key(id));
    for (id, claimed) in open {
        let pass = passes.entry(id).or_insert_with(|| Pass::from(claimed, claimed));
        if claimed < pass.claimed {
            // Opened again: a stream that came back. What is under way is held, and not read again; the others waited or
            // were given up, so none of them has it from this process.
            *pass = Pass::from(claimed, pass.inherited);
        }
        pass.stale = false;
    }
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
        jobs.extend(found.into_iter().zip(places).map(|((number, inbox), (host, aside))| Taken {
            job: Job {
                outgoing: id,
                inbox: inbox.url,
                number: Some(number),
                tries: 0,
                uncertain: number < inherited,
                attempt: None,
                why: None,
            },
            host,
            aside,
            probe: false,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::delivered::Ending;
    use crate::decide::hosts::Contact;
    use crate::model::Draft;
    use crate::model::view::MemoryView;

    fn attempt(number: u32, inbox: String) -> Attempt {
        let (due, outgoing) = (Timestamp::UNIX_EPOCH, Ulid(u128::from(number)));
        Attempt { tries: 1, ..Attempt::personal(due, outgoing, inbox) }
    }

    fn resting(view: &mut MemoryView, numbers: std::ops::Range<u32>, failures: u32, until: i64) {
        let (mut draft, now) = (Draft::new(view), Timestamp::UNIX_EPOCH);
        for number in numbers {
            hosts::set_aside(&mut draft, attempt(number, format!("https://ill.example/{number}/inbox")), now);
        }
        for _ in 0..failures {
            hosts::heard(&mut draft, "ill.example", hosts::Contact::Failed(None), now, 200);
        }
        if until > 0 {
            let busy = hosts::Contact::Busy(Timestamp::from_second(until).unwrap());
            hosts::heard(&mut draft, "ill.example", busy, now, 0);
        }
        let changes = draft.into_changes();
        view.apply(changes);
    }

    /// What is taken at that second: how many, how many of them to probe, when to look again.
    fn taken(view: &MemoryView, second: i64, in_memory: usize, room: usize) -> (usize, usize, Option<i64>) {
        let now = Timestamp::from_second(second).unwrap();
        let in_memory = |_: &str| (in_memory, false);
        let mut shares = Shares::new(view, now, &in_memory);
        let (mut jobs, mut idle) = (Vec::new(), Vec::new());
        let next = rested(&HashSet::new(), &mut shares, room, &mut jobs, &mut idle);
        assert!(idle.is_empty());
        let probes = jobs.iter().filter(|taken| taken.probe).count();
        (jobs.len(), probes, next.map(Timestamp::as_second))
    }

    #[test]
    fn what_rests_is_taken_when_its_host_may_be_asked() {
        let mut view = MemoryView::default();
        resting(&mut view, 0..100, hosts::OPEN_AT, 0);
        assert_eq!(taken(&view, 59, 0, 1000), (0, 0, Some(60)), "shut");
        assert_eq!(taken(&view, 60, 0, 1000), (1, 1, None), "one to try it with");
        assert_eq!(taken(&view, 60, 1, 1000), (0, 0, None), "which is under way");
        let mut view = MemoryView::default();
        resting(&mut view, 0..100, 0, 9);
        assert_eq!(taken(&view, 8, 0, 1000), (0, 0, Some(9)), "it asked for a pause");
        assert_eq!(taken(&view, 9, 0, 1000), (HOST_SHARE, 0, None));
        assert_eq!(taken(&view, 9, 60, 1000), (4, 0, None));
        assert_eq!(taken(&view, 9, 0, 7), (7, 0, None));
    }

    #[test]
    fn jobs_of_a_host_that_is_not_well_are_set_aside_without_taking_room() {
        let mut view = MemoryView::default();
        resting(&mut view, 0..1, hosts::OPEN_AT, 0);
        let mut draft = Draft::new(&view);
        for number in 100..300 {
            draft.put(&attempt(number, format!("https://ill.example/{number}/inbox")));
        }
        let changes = draft.into_changes();
        view.apply(changes);
        for second in [1, 100] {
            let now = Timestamp::from_second(second).unwrap();
            let mut shares = Shares::new(&view, now, &|_| (0, false));
            let (jobs, _) = due(&HashSet::new(), &mut shares, 1000);
            assert_eq!((jobs.len(), jobs.iter().all(|taken| taken.aside)), (200, true), "{second}");
        }
    }

    #[test]
    fn one_host_takes_no_more_than_its_share_of_the_window() {
        let mut view = MemoryView::default();
        let mut draft = Draft::new(&view);
        for number in 0..5000 {
            draft.put(&attempt(number, format!("https://slow.example/{number}/inbox")));
        }
        draft.put(&attempt(9000, "https://quick.example/inbox".into()));
        let changes = draft.into_changes();
        view.apply(changes);
        let in_memory = |host: &str| (if host == "slow.example" { 4 } else { 0 }, false);
        let mut shares = Shares::new(&view, Timestamp::UNIX_EPOCH, &in_memory);
        let (jobs, _) = due(&HashSet::new(), &mut shares, 1000);
        let slow = jobs.iter().filter(|taken| taken.host == "slow.example").count();
        assert_eq!((slow, jobs.len()), (HOST_SHARE - 4, HOST_SHARE - 3));
    }

    /// What a pump does with one host, in the words of its rules: it takes, asks, and writes what came of it.
    #[derive(Default)]
    struct Model {
        view: MemoryView,
        now: i64,
        held: HashSet<(Ulid, String)>,
        asked: Vec<(Taken, Gate)>,
        reached: HashSet<Ulid>,
    }

    impl Model {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.now).unwrap()
        }

        fn write<T>(&mut self, decide: impl FnOnce(&mut Draft<'_>) -> T) -> T {
            let mut draft = Draft::new(&self.view);
            let outcome = decide(&mut draft);
            let changes = draft.into_changes();
            self.view.apply(changes);
            outcome
        }

        fn take(&mut self) {
            let (jobs, idle) = {
                let probed = self.asked.iter().any(|(taken, _)| taken.probe);
                let in_memory = |_: &str| (self.asked.len(), probed);
                let mut shares = Shares::new(&self.view, self.now(), &in_memory);
                let (mut jobs, _) = due(&self.held, &mut shares, 1000);
                let mut idle = Vec::new();
                rested(&self.held, &mut shares, 1000, &mut jobs, &mut idle);
                (jobs, idle)
            };
            let now = self.now();
            for (at, host) in idle {
                self.write(|draft| hosts::tidy(draft, &host, at, now));
            }
            let gate = hosts::gate_of(&self.view, "ill.example", now);
            for taken in jobs {
                if taken.aside {
                    self.write(|draft| delivered::settle(draft, &taken.job, Ending::SetAside { at: now }));
                } else {
                    self.held.insert((taken.job.outgoing, taken.job.inbox.clone()));
                    self.asked.push((taken, gate));
                }
            }
        }

        /// One request comes to an end.
        fn end(&mut self, place: usize, ending: Ending, contact: Contact) {
            if self.asked.is_empty() {
                return;
            }
            let (taken, _) = self.asked.remove(place % self.asked.len());
            let (now, entropy) = (self.now(), u64::try_from(self.now).unwrap());
            let gate = self.write(|draft| {
                delivered::settle(draft, &taken.job, ending);
                hosts::heard(draft, &taken.host, contact, now, entropy)
            });
            self.held.remove(&(taken.job.outgoing, taken.job.inbox.clone()));
            if ending == Ending::Reached {
                self.reached.insert(taken.job.outgoing);
            }
            if let Gate::Shut(_) = gate {
                for (taken, _) in std::mem::take(&mut self.asked) {
                    // Not all of them would have been sent, but it might be so.
                    self.held.remove(&(taken.job.outgoing, taken.job.inbox.clone()));
                    self.write(|draft| delivered::settle(draft, &taken.job, Ending::SetAside { at: now }));
                }
            }
        }
    }

    #[test]
    fn inboxes_are_claimed_before_they_are_wanted_and_not_all_of_them() {
        let mut pass = Pass::from(0, 0);
        assert!(!pass.begin(3) && !pass.begin(1) && !pass.begin(2));
        assert_eq!(pass.to_claim(), Some(1 + CLAIM));
        pass.claim(Some(1 + CLAIM));
        assert_eq!((pass.to_claim(), pass.begin(1)), (None, true));
        assert!(pass.begin(CLAIM / 2));
        assert_eq!(pass.to_claim(), None);
        assert!(pass.begin(CLAIM / 2 + 1));
        assert_eq!(pass.to_claim(), Some(CLAIM + CLAIM / 2 + 2), "before anybody waits for it");
        // Numbers with a gap, as after a stream that came back.
        assert!(!pass.begin(5000));
        assert_eq!(pass.to_claim(), Some(5000 + CLAIM));
        pass.claim(Some(5000 + CLAIM));
        pass.next = None;
        assert!(pass.begin(5000 + CLAIM - 1));
        assert_eq!(pass.to_claim(), None, "there are no others");
        assert!(!pass.begin(9000) && pass.to_claim().is_some());
        pass.claim(None);
        assert_eq!(pass.to_claim(), None, "not again before the store was looked at");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            cases: 200, failure_persistence: None, ..Default::default()
        })]
        /// While a host fails it is asked one thing at a time and nothing before its pause is over; once it answers,
        /// everything arrives.
        #[test]
        fn a_failing_host_has_one_probe_and_everything_arrives_in_the_end(
            happenings in proptest::collection::vec((0..6u8, 0..50usize, 1..5000i64), 1..80),
        ) {
            let mut model = Model::default();
            let mut made = 0;
            for (what, place, seconds) in happenings {
                let now = model.now();
                match what {
                    0 => {
                        made += 1;
                        let one = Attempt { due: now, ..attempt(made, "https://ill.example/inbox".into()) };
                        model.write(|draft| draft.put(&one));
                    }
                    1 => model.now += seconds,
                    2 => model.end(place, Ending::Reached, Contact::Answered),
                    3 => model.write(|draft| hosts::spoke(draft, "ill.example", now)),
                    _ => {
                        let due = crate::decide::seen::later(now, std::time::Duration::from_secs(30));
                        model.end(place, Ending::Retry { due, uncertain: false }, Contact::Failed(None));
                    }
                }
                let before = model.asked.len();
                model.take();
                let taken = model.asked.len() - before;
                match hosts::gate_of(&model.view, "ill.example", model.now()) {
                    Gate::Shut(_) => proptest::prop_assert_eq!(taken, 0),
                    Gate::Probe => proptest::prop_assert!(model.asked.len() <= before.max(1), "more than one probe"),
                    Gate::Line | Gate::Free => {}
                }
            }
            for _ in 0..200 {
                model.now += 30;
                model.take();
                if model.asked.is_empty() {
                    model.now += 29 * 3600;
                }
                model.end(0, Ending::Reached, Contact::Answered);
            }
            model.take();
            proptest::prop_assert_eq!(model.reached.len(), made as usize);
            let mut kinds = HashSet::new();
            model.view.scan_bytes(b"", b"", &mut |key, _| kinds.insert(key[0]));
            proptest::prop_assert!(kinds.is_subset(&HashSet::from([kind::META])), "{:?} stay behind", kinds);
        }
    }
}
