//! Pure: whether it is we who reach nobody. A dead uplink or resolver looks like the death of every server at once; none of them
//! is to be left alone for it when the network is back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// So many servers of which nothing bad was known do not go out of reach in a row, with nobody answering meanwhile.
const MANY: usize = 20;
/// Nor do so few, if they are all that were asked.
const ALL: usize = 5;
/// Requests that are let out at once to see whether somebody answers.
const PROBES: usize = 4;
/// The pause before the next of them at first,
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// and at most: it doubles.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

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
    /// When somebody last answered; at first, when we began.
    answered: Instant,
    /// Servers out of reach since then of which nothing bad was known.
    failed: BTreeSet<String>,
    /// Requests in flight.
    under_way: usize,
    /// When to let out the next requests, and the pause behind them, while it is ourselves.
    next: Option<(Instant, Duration)>,
}

impl Outage {
    pub(super) fn new(now: Instant) -> Self {
        Outage { answered: now, failed: BTreeSet::new(), under_way: 0, next: None }
    }

    /// How many requests may be let out now.
    pub(super) fn places(&self, now: Instant) -> usize {
        match self.next {
            None => usize::MAX,
            Some((next, _)) if next <= now => PROBES,
            Some(_) => 0,
        }
    }

    /// One is let out.
    pub(super) fn lets_out(&mut self, now: Instant) {
        if let Some((next, pause)) = &mut self.next
            && *next <= now
        {
            (*next, *pause) = (now + *pause, (*pause * 2).min(LONGEST_PAUSE));
        }
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

    /// Somebody answered. True if nobody was in reach before.
    pub(super) fn answers(&mut self, now: Instant) -> bool {
        self.answered = now;
        self.failed.clear();
        self.next.take().is_some()
    }

    /// A request that began then, and has ended, found no way to a host, of which nothing bad was known if it was `well`.
    ///
    /// What began before the last answer tells nothing of us: somebody was in reach meanwhile. So the dead among thousands,
    /// who are the last to fail, are not taken for an outage.
    pub(super) fn out_of_reach(&mut self, host: &str, began: Instant, well: bool, now: Instant) -> Fault {
        if began <= self.answered {
            return Fault::Theirs;
        }
        if self.next.is_some() {
            return Fault::Ours;
        }
        if well {
            self.failed.insert(host.to_owned());
        }
        if self.failed.len() < if self.under_way == 0 { ALL } else { MANY } {
            return Fault::Theirs;
        }
        self.next = Some((now + FIRST_PAUSE, 2 * FIRST_PAUSE));
        Fault::OursSince(std::mem::take(&mut self.failed))
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
        assert!(!outage.answers(start + seconds(10)), "there was no outage");
        assert_eq!(fails(&mut outage, start, 9, 0..30, true), "t".repeat(30), "begun before it");
        assert_eq!(fails(&mut outage, start, 11, 0..4, true), "tttt");
        assert_eq!(fails(&mut outage, start, 12, 4..6, true), "t!", "those before count");
        assert!(outage.answers(start + seconds(20)));
        assert_eq!(outage.places(start), usize::MAX);
        assert_eq!(fails(&mut outage, start, 21, 0..1, true), "t");
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
            (0..PROBES).for_each(|_| outage.lets_out(now));
        }
    }
}
