//! Pure: whether it is we who reach nobody. A dead uplink or resolver looks like the death of every server at once; none of them
//! is to be left alone for it when the network is back.
//!
//! Whoever has many dead servers must not make us believe it for long: an owner's are one, and those of an owner count only
//! once until one of them has answered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::bounded::Bounded;
use crate::model::owner::owner_of_host;

/// So many owners' servers of which nothing bad was known do not go out of reach in a row, with nobody answering meanwhile.
const MANY: usize = 20;
/// Nor do so few, if they are all that were asked.
const ALL: usize = 5;
/// Requests that are let out at once to see whether somebody answers.
const PROBES: usize = 4;
/// The pause before the next of them at first,
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// and at most: it doubles.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Owners remembered that counted once.
const OWNERS: usize = 4096;

/// Whose fault a failed connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// As far as anybody can tell, the server's.
    Theirs,
    /// Ours.
    Ours,
    /// Ours, as is clear now; and so were those of these servers.
    OursSince(BTreeSet<String>),
}

/// What was heard of the world lately.
pub(super) struct Outage {
    /// When somebody last answered, or took a connection; at first, when we began.
    answered: Instant,
    /// Servers out of reach since then of which nothing bad was known, by owner.
    failed: BTreeMap<String, BTreeSet<String>>,
    /// Owners of servers for which we believed in an outage that ended, and which have not answered since.
    counted: Bounded<String, ()>,
    /// Owners of what was let out in this outage: others go first.
    tried: BTreeSet<String>,
    /// Requests in flight.
    under_way: usize,
    /// When to let out the next requests, and the pause behind them, while it is ourselves;
    next: Option<(Instant, Duration)>,
    /// and when the last were.
    last: Instant,
}

impl Outage {
    pub(super) fn new(now: Instant) -> Self {
        Outage {
            answered: now,
            failed: BTreeMap::new(),
            counted: Bounded::new(OWNERS),
            tried: BTreeSet::new(),
            under_way: 0,
            next: None,
            last: now,
        }
    }

    /// How many requests may be let out now.
    pub(super) fn places(&self, now: Instant) -> usize {
        match self.next {
            None => usize::MAX,
            Some((next, _)) if next <= now => PROBES,
            Some(_) => 0,
        }
    }

    /// One is let out, to this host.
    pub(super) fn lets_out(&mut self, host: &str, now: Instant) {
        let Some((next, pause)) = &mut self.next else { return };
        self.tried.insert(owner_of_host(host));
        if *next <= now {
            (*next, *pause) = (now + *pause, (*pause * 2).min(LONGEST_PAUSE));
            self.last = now;
        }
    }

    /// There is something new for a host: if nobody of its owner was tried in this outage, that is worth a look soon. It may
    /// have been some dead servers that were taken for us, with nothing for anybody else to send.
    pub(super) fn hurry(&mut self, host: &str, now: Instant) {
        let Some((next, pause)) = &mut self.next else { return };
        let soon = now.max(self.last + FIRST_PAUSE);
        if soon < *next && !self.tried.contains(&owner_of_host(host)) {
            (*next, *pause) = (soon, 2 * FIRST_PAUSE);
        }
    }

    /// Whether nobody of the owner of a host was tried in this outage: such go first, since one that answers ends it.
    pub(super) fn untried(&self, host: &str) -> bool {
        self.next.is_none() || !self.tried.contains(&owner_of_host(host))
    }

    /// All that could be tried were: they begin anew.
    pub(super) fn all_were_tried(&mut self) {
        self.tried.clear();
    }

    /// How long nothing may be let out.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let (next, _) = self.next?;
        next.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// A request begins.
    pub(super) fn begins(&mut self) {
        self.under_way += 1;
    }

    /// A request ends, however it does.
    pub(super) fn ends(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Requests in flight.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// A connection was opened then: somebody is in reach, who may take long to answer.
    pub(super) fn opened(&mut self, at: Instant) {
        if at > self.answered {
            self.answered = at;
            self.failed.clear();
        }
    }

    /// A host answered. True if nobody was in reach before.
    pub(super) fn answers(&mut self, host: &str, now: Instant) -> bool {
        self.answered = now;
        self.failed.clear();
        self.tried.clear();
        self.counted.remove(&owner_of_host(host));
        self.next.take().is_some()
    }

    /// A request that began then, and has ended, found no way to a host, of which nothing bad was known if it was `well`.
    ///
    /// What began before the last answer, or before a connection was opened, tells nothing of us: somebody was in reach
    /// meanwhile. So the dead among thousands, who are the last to fail, are not taken for an outage.
    pub(super) fn out_of_reach(&mut self, host: &str, began: Instant, well: bool, now: Instant) -> Fault {
        if began <= self.answered {
            return Fault::Theirs;
        }
        if self.next.is_some() {
            return Fault::Ours;
        }
        let owner = owner_of_host(host);
        if self.counted.get(&owner).is_some() {
            return Fault::Theirs;
        }
        if well {
            self.failed.entry(owner).or_default().insert(host.to_owned());
        }
        if self.failed.len() < if self.under_way == 0 { ALL } else { MANY } {
            return Fault::Theirs;
        }
        (self.next, self.last) = (Some((now + FIRST_PAUSE, 2 * FIRST_PAUSE)), now);
        let failed = std::mem::take(&mut self.failed);
        failed.keys().for_each(|owner| self.counted.insert(owner.clone(), ()));
        Fault::OursSince(failed.into_values().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(many: u64) -> Duration {
        Duration::from_secs(many)
    }

    /// That many hosts are tried at once, at that second after the last answer, and cannot be reached. The faults in order: `t`
    /// theirs, `o` ours, `!` ours since.
    fn fails(
        outage: &mut Outage,
        start: Instant,
        at: u64,
        hosts: std::ops::Range<u32>,
        well: bool,
    ) -> String {
        hosts.clone().for_each(|_| outage.begins());
        hosts
            .map(|host| {
                outage.ends();
                let began = start + seconds(at);
                match outage.out_of_reach(&host.to_string(), began, well, began + seconds(5)) {
                    Fault::Theirs => 't',
                    Fault::Ours => 'o',
                    Fault::OursSince(_) => '!',
                }
            })
            .collect()
    }

    #[test]
    fn whose_fault_it_is() {
        for (what, at, hosts, well, want) in [
            ("a few", 1, 0..4, true, "tttt".to_owned()),
            ("all of a few more", 1, 0..5, true, "tttt!".to_owned()),
            ("all of more", 1, 0..19, true, "t".repeat(18) + "!"),
            ("many", 1, 0..30, true, "t".repeat(19) + "!" + &"o".repeat(10)),
            ("the last of many", 0, 0..100, true, "t".repeat(100)),
            ("those that were dead before", 1, 0..100, false, "t".repeat(100)),
        ] {
            let start = Instant::now();
            let mut outage = Outage::new(start);
            assert_eq!(fails(&mut outage, start, at, hosts, well), want, "{what}");
        }
    }

    #[test]
    fn one_host_is_one_however_often_it_fails() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        for at in 1..100 {
            assert_eq!(fails(&mut outage, start, at, 0..4, true), "tttt");
        }
    }

    #[test]
    fn an_answer_ends_it_and_all_that_was_thought_before() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        assert_eq!(fails(&mut outage, start, 1, 0..4, true), "tttt");
        assert!(!outage.answers("50", start + seconds(10)), "there was no outage");
        assert_eq!(fails(&mut outage, start, 9, 0..30, true), "t".repeat(30), "begun before it");
        assert_eq!(fails(&mut outage, start, 11, 0..4, true), "tttt");
        assert_eq!(fails(&mut outage, start, 12, 4..6, true), "t!", "those before count");
        assert!(outage.answers("0", start + seconds(20)));
        assert_eq!(outage.places(start), usize::MAX);
        assert_eq!(fails(&mut outage, start, 21, 0..1, true), "t");
    }

    #[test]
    fn who_takes_a_connection_is_in_reach_before_any_answer() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        outage.begins();
        for at in 1..100 {
            // Nobody answers in less than a second; those that are no more say so at once.
            assert_eq!(fails(&mut outage, start, at, 0..15, true), "t".repeat(15));
            outage.opened(start + seconds(at));
        }
        outage.opened(start + seconds(50));
        assert_eq!(
            fails(&mut outage, start, 99, 0..30, true),
            "t".repeat(30),
            "an older one takes nothing back"
        );
        assert_eq!(
            fails(&mut outage, start, 100, 0..20, true),
            "t".repeat(19) + "!",
            "nobody takes one any more"
        );
    }

    #[test]
    fn the_same_dead_servers_are_believed_once() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        assert_eq!(fails(&mut outage, start, 1, 0..5, true), "tttt!");
        assert!(outage.answers("50", start + seconds(10)));
        assert_eq!(fails(&mut outage, start, 11, 0..5, true), "ttttt", "they were dead all along");
        // One that answers may be taken for our own fault again.
        outage.answers("0", start + seconds(20));
        assert_eq!(fails(&mut outage, start, 21, 0..1, true), "t");
        assert_eq!(fails(&mut outage, start, 22, 10..14, true), "ttt!");
    }

    #[test]
    fn any_number_of_names_are_their_owners() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        for number in 0..1000 {
            outage.begins();
            outage.ends();
            let (began, host) = (start + seconds(1), format!("n{number}.evil.example"));
            assert_eq!(outage.out_of_reach(&host, began, true, began), Fault::Theirs);
        }
    }

    #[test]
    fn in_an_outage_those_go_first_who_have_not_been_tried() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        let untried = |outage: &Outage| {
            ["a.evil.example", "b.evil.example", "peer.example"].map(|host| outage.untried(host))
        };
        assert_eq!(untried(&outage), [true; 3], "there is none");
        fails(&mut outage, start, 1, 0..5, true);
        assert_eq!(untried(&outage), [true; 3]);
        outage.lets_out("a.evil.example", start + seconds(60));
        assert_eq!(untried(&outage), [false, false, true], "an owner's are one");
        outage.lets_out("peer.example", start + seconds(120));
        assert_eq!(untried(&outage), [false; 3]);
        outage.all_were_tried();
        outage.lets_out("peer.example", start + seconds(180));
        assert_eq!(untried(&outage), [true, true, false], "and begin anew");
        outage.answers("peer.example", start + seconds(181));
        assert_eq!(untried(&outage), [true; 3], "it is over");
    }

    #[test]
    fn what_is_new_for_others_does_not_wait_for_long() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        fails(&mut outage, start, 1, 0..5, true);
        let mut now = start + seconds(6);
        for _ in 0..5 {
            now += outage.wait(now).unwrap();
            outage.lets_out("1", now);
        }
        assert_eq!(outage.wait(now), Some(seconds(60)));
        now += seconds(2);
        outage.hurry("1", now);
        assert_eq!(outage.wait(now), Some(seconds(58)), "it was tried");
        outage.hurry("new.example", now);
        assert_eq!(outage.wait(now), Some(seconds(3)), "not more often than at first");
        now += seconds(3);
        outage.lets_out("new.example", now);
        assert_eq!(outage.wait(now), Some(seconds(10)));
        now += seconds(7);
        outage.hurry("newer.example", now);
        assert_eq!((outage.wait(now), outage.places(now)), (None, PROBES));
        outage.answers("newer.example", now);
        outage.hurry("newest.example", now);
        assert_eq!(outage.places(now), usize::MAX, "there is none");
    }

    #[test]
    fn a_few_are_let_out_ever_less_often() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        assert_eq!((outage.places(start), outage.wait(start)), (usize::MAX, None));
        assert_eq!(fails(&mut outage, start, 0, 0..1, true), "t");
        fails(&mut outage, start, 1, 0..20, true);
        let mut now = start + seconds(6);
        for pause in [5, 10, 20, 40, 60, 60] {
            assert_eq!((outage.places(now), outage.wait(now)), (0, Some(seconds(pause))));
            now += seconds(pause);
            assert_eq!((outage.places(now), outage.wait(now)), (PROBES, None));
            (0..PROBES).for_each(|_| outage.lets_out("0", now));
        }
    }
}
