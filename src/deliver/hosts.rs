//! Pure: what is in memory for one host, and whether a connection to it will be wanted again.

use crate::net::After;

/// The jobs of one host.
#[derive(Default)]
pub(super) struct Host {
    /// In memory, until their outcomes are on disk.
    pub(super) held: usize,
    /// Of those, how many have not been started.
    waiting: usize,
    /// How many take one of its places.
    active: usize,
    /// It fails: one request at a time, which is in memory.
    pub(super) probed: bool,
    /// A connection was kept for what waited.
    kept: bool,
}

impl Host {
    /// A job came.
    pub(super) fn waits(&mut self) {
        self.waiting += 1;
    }

    /// What waited is not to be started.
    pub(super) fn waits_no_more(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Whether one more may be started, of at most so many.
    pub(super) fn has_place(&self, per_host: usize) -> bool {
        self.active < if self.probed { 1 } else { per_host }
    }

    /// One that waited takes a place.
    pub(super) fn starts(&mut self) {
        self.waits_no_more();
        self.active += 1;
    }

    /// One gives its place back.
    pub(super) fn leaves(&mut self) {
        self.active = self.active.saturating_sub(1);
    }

    /// What becomes of the connection of the request that starts now. Only for what waits is one kept, else a fan-out would
    /// leave thousands of idle connections behind it.
    pub(super) fn after(&mut self) -> After {
        if self.waiting > 0 {
            self.kept = true;
            After::Keep
        } else if self.kept {
            After::Last
        } else {
            After::Close
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_kept_for_what_waits_and_used_by_the_last() {
        let mut host = Host::default();
        host.waits();
        host.starts();
        assert_eq!(host.after(), After::Close, "the only one");
        host.leaves();
        for _ in 0..3 {
            host.waits();
        }
        host.starts();
        host.starts();
        assert_eq!([host.after(), host.after()], [After::Keep; 2], "one waits for one of them");
        host.leaves();
        host.starts();
        assert_eq!(host.after(), After::Last, "nothing waits any more");
    }

    #[test]
    fn two_at_once_leave_nothing_behind() {
        let mut host = Host::default();
        host.waits();
        host.waits();
        host.starts();
        host.starts();
        assert_eq!([host.after(), host.after()], [After::Close; 2]);
    }

    #[test]
    fn a_host_that_fails_has_one_place() {
        let mut host = Host { probed: true, ..Host::default() };
        assert!(host.has_place(2));
        host.waits();
        host.starts();
        assert!(!host.has_place(2));
        host.probed = false;
        assert!(host.has_place(2));
        host.waits();
        host.starts();
        assert!(!host.has_place(2));
        host.leaves();
        assert!(host.has_place(2));
    }
}
