//! Everything that may start is started, and nothing else is, whatever comes and ends in whatever order.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use ulid::Ulid;

use super::*;
use crate::decide::delivered::Job;
use crate::model::delivery::Attempt;

const PER_HOST: usize = 2;
/// At once to one owner's servers.
const OF_OWNER: usize = 3;

pub(super) fn job(activity: u128, host: &str, inbox: u32, owner: &str) -> Held {
    let inbox = format!("https://{host}/{inbox}");
    let mut job = Job::of(Attempt::personal(Timestamp::UNIX_EPOCH, Ulid(activity), inbox));
    if !tried(activity) {
        job.attempt = None;
    }
    Held { job, host: host.to_owned(), owner: owner.to_owned(), started: false, left: false, begun: true }
}

fn tried(activity: u128) -> bool {
    activity.is_multiple_of(3)
}

/// All that is in memory, looked through as a whole.
#[derive(Default)]
struct World {
    waiting: Vec<Waiting>,
    under_way: Vec<Held>,
    /// Those of which the outcome is known and not on disk.
    ended: Vec<Held>,
    probed: HashSet<String>,
    /// Of each four activities all but one are claimed, and of these those below this one.
    claimed: u128,
}

/// A job that waits: its activity, host, inbox and owner.
type Waiting = (u128, String, String, String);

impl World {
    fn busy(&self, inbox: &str) -> bool {
        self.under_way.iter().chain(&self.ended).any(|held| held.started && held.job.inbox == inbox)
    }

    fn of_owner(&self, owner: &str) -> usize {
        self.under_way.iter().filter(|held| held.owner == owner).count()
    }

    fn places(&self, host: &str) -> usize {
        let taken = self.under_way.iter().chain(self.ended.iter().filter(|held| held.started && !held.left));
        let most = if self.probed.contains(host) { 1 } else { PER_HOST };
        most.saturating_sub(taken.filter(|held| held.host == host).count())
    }

    fn is_claimed(&self, activity: u128) -> bool {
        !activity.is_multiple_of(4) || activity < self.claimed
    }

    /// Whether something that is preferred waits for its claim alone.
    fn would_start_if_claimed(&self, prefers: impl Fn(&str) -> bool) -> bool {
        self.waiting.iter().any(|(activity, host, inbox, owner)| {
            prefers(host)
                && !self.is_claimed(*activity)
                && self.places(host) > 0
                && !self.busy(inbox)
                && self.of_owner(owner) < OF_OWNER
        })
    }

    fn may(&self, held: &Held) -> May {
        if self.of_owner(&held.owner) >= OF_OWNER {
            May::OwnerIsFull
        } else if self.busy(&held.job.inbox) {
            May::AfterOthers
        } else if !self.is_claimed(held.job.outgoing.0) {
            May::Unclaimed
        } else {
            May::Start
        }
    }

    fn startable(&self) -> Vec<&Waiting> {
        let free = |(activity, host, inbox, owner): &&Waiting| {
            self.is_claimed(*activity)
                && self.places(host) > 0
                && !self.busy(inbox)
                && self.of_owner(owner) < OF_OWNER
        };
        self.waiting.iter().filter(free).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Come {
        host: u8,
        inbox: u32,
        probe: bool,
    },
    /// Not to be tried, as is clear on its arrival.
    ComeAside {
        host: u8,
    },
    Start {
        at_most: usize,
        preferred: Option<u8>,
    },
    /// One of those under way ends, and answered or not.
    End {
        which: usize,
        answered: bool,
    },
    Write {
        which: usize,
    },
    Claim {
        more: u128,
    },
    /// A stream came back: nothing is claimed any more.
    Unclaim,
    SetAside {
        host: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        6 => (0..6u8, 0..4u32, prop::bool::weighted(0.05)).prop_map(|(host, inbox, probe)| Step::Come { host, inbox, probe }),
        4 => (0..12usize, prop::option::weighted(0.3, 0..6u8)).prop_map(|(at_most, preferred)| Step::Start { at_most, preferred }),
        1 => (0..6u8).prop_map(|host| Step::ComeAside { host }),
        1 => Just(Step::Unclaim),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(which, answered)| Step::End { which, answered }),
        4 => any::<usize>().prop_map(|which| Step::Write { which }),
        1 => (1..20u128).prop_map(|more| Step::Claim { more }),
        1 => (0..6u8).prop_map(|host| Step::SetAside { host }),
    ];
    prop::collection::vec(one, 1..200)
}

/// Three owners of two hosts each.
fn named(host: u8) -> (String, String) {
    let owner = format!("owner{}.example", host / 2);
    (format!("h{host}.{owner}"), owner)
}

fn take_step(hosts: &mut Hosts, world: &mut World, step: Step, activity: u128) {
    match step {
        Step::Come { host, inbox, probe } => {
            let (host, owner) = named(host);
            let held = job(activity, &host, inbox, &owner);
            hosts.takes(&host, probe);
            if probe {
                world.probed.insert(host.clone());
            }
            world.waiting.push((activity, host, held.job.inbox.clone(), owner));
            hosts.waits(held);
        }
        Step::ComeAside { host } => {
            let (host, owner) = named(host);
            hosts.takes(&host, false);
            world.ended.push(job(activity, &host, 0, &owner));
        }
        Step::Start { at_most, preferred } => {
            let preferred = preferred.map(|host| named(host).0);
            let prefers = |host: &str| preferred.as_ref().is_none_or(|preferred| preferred == host);
            for _ in 0..at_most {
                let unclaimed = world.would_start_if_claimed(prefers);
                let Some(held) = hosts.start(prefers, |held| world.may(held)) else {
                    let (preferred, others): (Vec<&Waiting>, Vec<&Waiting>) =
                        world.startable().into_iter().partition(|waiting| prefers(&waiting.1));
                    assert!(preferred.is_empty(), "{preferred:?} may start");
                    // Its job may have been set aside, and its claim is on its way all the same.
                    let claims = unclaimed || hosts.unclaimed.iter().any(|host| prefers(host));
                    assert!(others.is_empty() || claims, "{others:?} may start");
                    break;
                };
                let startable = world.startable();
                let better = startable.iter().find(|waiting| prefers(&waiting.1));
                assert!(prefers(&held.host) || better.is_none() && !unclaimed, "{better:?} is preferred");
                let at = startable.iter().find(|waiting| waiting.0 == held.job.outgoing.0);
                assert!(at.is_some(), "{} may not start", held.job.inbox);
                let earlier = startable.iter().find(|waiting| waiting.2 == held.job.inbox);
                assert_eq!(earlier.map(|waiting| waiting.0), Some(held.job.outgoing.0), "overtaken");
                world.waiting.retain(|waiting| waiting.0 != held.job.outgoing.0);
                world.under_way.push(Held { started: true, ..held });
            }
        }
        Step::End { which, answered } => {
            if world.under_way.is_empty() {
                return;
            }
            let mut held = world.under_way.remove(which % world.under_way.len());
            if answered && !world.probed.contains(&held.host) {
                hosts.leaves(&held.host);
                held.left = true;
            }
            hosts.owner_has_place(&held.owner);
            world.ended.push(held);
        }
        Step::Write { which } => {
            if world.ended.is_empty() {
                return;
            }
            let held = world.ended.remove(which % world.ended.len());
            assert_eq!(hosts.lets_go(&held), held.started && world.probed.remove(&held.host));
            if !hosts.known.contains_key(&held.host) {
                world.probed.remove(&held.host);
            }
        }
        Step::Claim { more } => {
            world.claimed += more;
            hosts.claimed();
        }
        Step::Unclaim => {
            world.claimed = 0;
            hosts.claimed();
        }
        Step::SetAside { host } => {
            let (host, _) = named(host);
            let aside = hosts.waits_no_more(&host);
            let mut numbers: Vec<u128> = aside.iter().map(|held| held.job.outgoing.0).collect();
            numbers.sort_unstable();
            let waited: Vec<u128> =
                world.waiting.iter().filter(|waiting| waiting.1 == host).map(|waiting| waiting.0).collect();
            assert_eq!(numbers, waited);
            world.waiting.retain(|waiting| waiting.1 != host);
            world.ended.extend(aside);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_may_start_does_and_nothing_else(steps in steps()) {
        let (mut hosts, mut world) = (Hosts::new(PER_HOST), World { claimed: 10, ..World::default() });
        for (activity, step) in (0u128..).zip(steps) {
            take_step(&mut hosts, &mut world, step, activity);
            prop_assert_eq!(hosts.waiting(), world.waiting.len());
            let in_line = hosts.known.iter().filter_map(|(name, host)| Some((host.ready?, name.clone())));
            prop_assert_eq!(&in_line.collect::<BTreeSet<_>>(), &hosts.ready);
            prop_assert!(hosts.ready.iter().all(|(_, name)| !hosts.known[name].queue.is_empty()));
            let again = world.waiting.iter().filter(|waiting| tried(waiting.0)).count();
            prop_assert_eq!(hosts.waiting_again(), again);
            let mut in_memory = BTreeMap::new();
            let held = world.under_way.iter().chain(&world.ended).map(|held| &held.host);
            for host in world.waiting.iter().map(|waiting| &waiting.1).chain(held) {
                *in_memory.entry(host.clone()).or_insert(0) += 1;
            }
            let known: BTreeMap<String, usize> = hosts.known.iter().map(|(name, host)| (name.clone(), host.held)).collect();
            prop_assert_eq!(known, in_memory);
        }
        // With everything ended, written and claimed, all that waits is started.
        world.claimed = u128::MAX;
        hosts.claimed();
        while !world.waiting.is_empty() {
            take_step(&mut hosts, &mut world, Step::Start { at_most: usize::MAX, preferred: None }, 0);
            while !world.under_way.is_empty() {
                take_step(&mut hosts, &mut world, Step::End { which: 0, answered: true }, 0);
            }
            while !world.ended.is_empty() {
                take_step(&mut hosts, &mut world, Step::Write { which: 0 }, 0);
            }
        }
        while !world.under_way.is_empty() || !world.ended.is_empty() {
            take_step(&mut hosts, &mut world, Step::End { which: 0, answered: false }, 0);
            take_step(&mut hosts, &mut world, Step::Write { which: 0 }, 0);
        }
        prop_assert!(hosts.known.is_empty() && hosts.ready.is_empty() && hosts.full.is_empty());
    }
}

#[test]
fn those_who_are_preferred_go_first_and_the_others_in_turn() {
    let mut hosts = Hosts::new(PER_HOST);
    for (activity, host) in (0u128..).zip(["a", "b", "a", "c", "c"]) {
        hosts.takes(host, false);
        hosts.waits(job(activity, host, u32::try_from(activity).unwrap(), host));
    }
    let mut next =
        |preferred: &str| hosts.start(|host| host == preferred, |_| May::Start).map(|held| held.host);
    let order: Vec<_> = ["c", "x", "c", "c", "c", "c"].map(&mut next).into_iter().collect();
    let want = [Some("c"), Some("a"), Some("c"), Some("b"), Some("a"), None];
    assert_eq!(order, want.map(|host| host.map(str::to_owned)));
}

/// What is new for somebody who was not tried in an outage is claimed in some milliseconds: nobody else takes its turn for that.
#[test]
fn the_preferred_are_waited_for_while_they_wait_for_a_claim() {
    let mut hosts = Hosts::new(PER_HOST);
    for (activity, host) in (0u128..).zip(["tried", "untried"]) {
        hosts.takes(host, false);
        hosts.waits(job(activity, host, 0, host));
    }
    let untried = |host: &str| host == "untried";
    assert!(!hosts.all_ready_are(|host| !untried(host)));
    let may = |held: &Held| if untried(&held.host) { May::Unclaimed } else { May::Start };
    for _ in 0..3 {
        assert!(hosts.start(untried, may).is_none());
    }
    assert!(!hosts.all_ready_are(|host| !untried(host)), "one waits for its claim");
    hosts.claimed();
    assert_eq!(hosts.start(untried, |_| May::Start).unwrap().host, "untried");
    assert!(hosts.all_ready_are(|host| !untried(host)));
    assert_eq!(hosts.start(untried, |_| May::Start).unwrap().host, "tried");
    assert!(!hosts.all_ready_are(|host| !untried(host)), "there are none");
}
