//! Pure: what is in memory for one host, and whether a connection to it will be wanted again.

use std::collections::VecDeque;

use super::super::outcome::Held;
use crate::net::After;

/// A job that waits, and its place among all that do.
pub(super) struct Queued {
    pub(super) place: u64,
    pub(super) held: Held,
}

/// The jobs of one host.
#[derive(Default)]
pub(in super::super) struct Host {
    /// In memory, until their outcomes are on disk.
    pub(super) held: usize,
    /// Those of them that have not been started.
    pub(super) queue: VecDeque<Queued>,
    /// With which place it is in the line of those that may have something to start.
    pub(super) ready: Option<u64>,
    /// How many take one of its places.
    active: usize,
    /// It fails: one request at a time, which is in memory.
    pub(super) probed: bool,
    /// Connections that are kept, or will be, for what waits;
    promised: usize,
    /// and for what has taken a place since.
    taken: usize,
}

impl Host {
    /// Whether one more may be started, of at most so many.
    pub(super) fn has_place(&self, per_host: usize) -> bool {
        self.active < if self.probed { 1 } else { per_host }
    }

    /// One that waited, and is taken out of the queue, takes a place.
    pub(super) fn starts(&mut self) {
        self.active += 1;
        if self.promised > 0 {
            (self.promised, self.taken) = (self.promised - 1, self.taken + 1);
        }
    }

    /// One gives its place back.
    pub(super) fn leaves(&mut self) {
        self.active = self.active.saturating_sub(1);
    }

    /// What becomes of the connection of the request that starts now. Only for what waits is one kept, and one for each at
    /// most, else a fan-out would leave thousands of idle connections behind it.
    pub(in super::super) fn after(&mut self) -> After {
        let uses_kept = self.taken > 0;
        self.taken = self.taken.saturating_sub(1);
        if self.queue.len() > self.promised {
            self.promised += 1;
            After::Keep
        } else if uses_kept {
            After::Last
        } else {
            After::Close
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::job;
    use super::*;

    impl Host {
        fn waits(&mut self) {
            self.queue.push_back(Queued { place: 0, held: job(0, "peer.example", 0, "peer.example") });
        }

        fn one_starts(&mut self) {
            self.queue.pop_front().unwrap();
            self.starts();
        }
    }

    #[test]
    fn a_connection_is_kept_for_what_waits_and_used_by_the_last() {
        let mut host = Host::default();
        host.waits();
        host.one_starts();
        assert_eq!(host.after(), After::Close, "the only one");
        host.leaves();
        for _ in 0..3 {
            host.waits();
        }
        host.one_starts();
        host.one_starts();
        assert_eq!([host.after(), host.after()], [After::Keep, After::Close], "one waits");
        host.leaves();
        host.one_starts();
        assert_eq!(host.after(), After::Last, "nothing waits any more");
    }

    #[test]
    fn no_more_connections_are_kept_than_wait() {
        for (jobs, per_host) in [(1, 1), (2, 1), (3, 2), (4, 2), (10, 2), (9, 4), (64, 3)] {
            let mut host = Host::default();
            (0..jobs).for_each(|_| host.waits());
            let (mut kept, mut left) = (0_usize, jobs);
            let mut in_flight = std::collections::VecDeque::new();
            while left > 0 || !in_flight.is_empty() {
                let mut starting = 0;
                while left > 0 && host.has_place(per_host) {
                    (left, starting) = (left - 1, starting + 1);
                    host.one_starts();
                }
                for _ in 0..starting {
                    let after = host.after();
                    // A request that may use a kept connection takes it, if one is idle.
                    if after != After::Close {
                        kept = kept.saturating_sub(1);
                    }
                    in_flight.push_back(after);
                }
                if in_flight.pop_front() == Some(After::Keep) {
                    kept += 1;
                }
                host.leaves();
                assert!(kept <= left, "{kept} idle connections for {left} of {jobs}");
            }
            assert_eq!(kept, 0);
        }
    }

    #[test]
    fn two_at_once_leave_nothing_behind() {
        let mut host = Host::default();
        host.waits();
        host.waits();
        host.one_starts();
        host.one_starts();
        assert_eq!([host.after(), host.after()], [After::Close; 2]);
    }

    #[test]
    fn a_host_that_fails_has_one_place() {
        let mut host = Host { probed: true, ..Host::default() };
        assert!(host.has_place(2));
        host.waits();
        host.one_starts();
        assert!(!host.has_place(2));
        host.probed = false;
        assert!(host.has_place(2));
        host.waits();
        host.one_starts();
        assert!(!host.has_place(2));
        host.leaves();
        assert!(host.has_place(2));
    }
}
