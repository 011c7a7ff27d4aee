//! Whether it is the servers that fail, or we.

use std::time::{Duration, Instant};

use super::super::outage::Fault;
use super::super::outcome::{Outcome, Reach};
use super::Pump;
use crate::decide::delivered::Ending;
use crate::decide::hosts;
use crate::decide::seen::later;

/// What could not be sent for our own fault is tried again after so long, and up to as much more.
const AGAIN: Duration = Duration::from_secs(5);
/// That clocks differ is said again after so long.
const CLOCK_AGAIN: Duration = Duration::from_secs(600);

impl Pump {
    /// Takes in what a request tells of our own connection. What is our fault is no attempt, and nothing that a server did.
    pub(super) fn judge(&mut self, outcome: &mut Outcome) {
        let now = Instant::now();
        self.outage.ends();
        let began = match outcome.reach {
            Reach::Answered { ahead } => {
                if self.outage.answers(&outcome.held.host, now) {
                    tracing::info!(target: "herald::deliver", "servers can be reached again: what waits is sent");
                }
                return self.tell_of_clock(ahead, &outcome.held.host, now);
            }
            Reach::Unknown => return,
            Reach::NoWay { began } => began,
        };
        if let Some(at) = self.sender.client.last_opened() {
            self.outage.opened(at);
        }
        let host = &outcome.held.host;
        let well = self.store.look(|view| hosts::failures(view, host) == 0).unwrap_or(false);
        match self.outage.out_of_reach(host, began, well, now) {
            Fault::Theirs => return,
            Fault::Ours => {}
            Fault::OursSince(hosts) => {
                tracing::warn!(
                    target: "herald::deliver",
                    servers = hosts.len(), why = outcome.held.job.why.as_deref(),
                    "no server can be reached, so it is taken for this machine's own network or name server: \
                     what is to be sent waits, and a few are tried from time to time"
                );
                self.forgiven.extend(hosts);
            }
        }
        let jitter = crate::random::jitter();
        let pause = AGAIN + Duration::from_millis(jitter % 5_000);
        (outcome.ending, outcome.contact) = (Ending::Later { due: later(outcome.at, pause) }, None);
    }

    /// Says that a server refuses what it takes to be of another time; not each time that one does.
    fn tell_of_clock(&mut self, ahead: Option<i64>, host: &str, now: Instant) {
        let Some(ahead) = ahead else { return };
        if self.clock_told.is_some_and(|told| now.saturating_duration_since(told) < CLOCK_AGAIN) {
            return;
        }
        self.clock_told = Some(now);
        tracing::warn!(
            target: "herald::deliver",
            host, ahead_of_us_seconds = ahead,
            "a server refuses our signatures, and its clock is not ours: if this machine's clock is wrong, set it (see \
             timedatectl); nothing is given up for that within a month"
        );
    }
}
