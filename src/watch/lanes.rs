//! The two lanes on which Owncast is asked: what each answer means for the board, the log and the other lane.

use std::time::Instant;

use jiff::Timestamp;

use super::memory::Memory;
use super::pace::Trouble;
use super::{FACTS_EVERY, Setback, Watcher, fresh};
use crate::agent::board::clock_words;
use crate::owncast::OwncastError;
use crate::owncast::types::Status;
use crate::owncast::versions::Version;
use crate::owncast::webhook::SIGNATURE_WINDOW;
use crate::store::StoreError;

impl Watcher {
    /// Asks for the public status. Answers it with our time, since much may be asked before it is looked at.
    pub(super) async fn ask_status(&self, memory: &mut Memory) -> Option<(Timestamp, Status)> {
        let asked = Instant::now();
        match self.api.status().await {
            Ok(status) => {
                let (now, lag) = (Timestamp::now(), asked.elapsed());
                if memory.status.answered() {
                    tracing::info!(target: "herald::owncast", "Owncast answers again");
                    memory.doubt_everything();
                }
                memory.said_of_status = None;
                self.metrics.owncast_up.set(1);
                self.board.send_modify(|board| {
                    board.reachable = true;
                    board.sources.status.came(now, Some(lag));
                    if board.version.as_ref() != Some(&status.version_number) {
                        board.version = Some(status.version_number.clone());
                    }
                });
                self.see_version(memory, &status);
                self.see_clock(memory, &status, now);
                self.show_problem(memory);
                Some((now, status))
            }
            Err(error) => {
                let problem = error.to_string();
                if memory.said_of_status.as_ref() != Some(&problem) {
                    tracing::warn!(target: "herald::owncast", "{problem}");
                }
                memory.status.failed(memory.now(), trouble(&error));
                let reachable = !error.is_transient();
                self.metrics.owncast_up.set(i64::from(reachable));
                memory.said_of_status = Some(problem.clone());
                self.board.send_modify(|board| {
                    board.reachable = reachable;
                    board.sources.status.failed(problem);
                });
                self.show_problem(memory);
                None
            }
        }
    }

    /// An upgrade or downgrade changes who signs: the webhook is looked after at once.
    fn see_version(&self, memory: &mut Memory, status: &Status) {
        let version = Version::parse(&status.version_number);
        if version == memory.version {
            return;
        }
        if let Some(version) = version {
            self.door.require_signature(version.signs_webhooks());
        }
        match (memory.version, version) {
            (Some(before), Some(now)) => {
                tracing::info!(target: "herald::owncast", %before, %now, "Owncast's version changed");
            }
            (None, _) => {
                let url = self.api.base().as_str();
                tracing::info!(target: "herald::owncast", url, version = status.version_number, "found Owncast");
            }
            (Some(_), None) => {}
        }
        memory.version = version;
        memory.facts_read = None;
        memory.hook.doubt();
        memory.footprint = memory.now();
    }

    /// Two clocks too far apart make every signed call look like a replay of an old one.
    fn see_clock(&self, memory: &mut Memory, status: &Status, now: Timestamp) {
        let offset = status.server_time.duration_since(now).as_secs();
        let is_off = offset.unsigned_abs() > SIGNATURE_WINDOW.as_secs();
        if is_off != memory.clock_is_off {
            memory.clock_is_off = is_off;
            if is_off {
                tracing::warn!(target: "herald::owncast", offset_seconds = offset, "{}", clock_words(offset));
            } else {
                tracing::info!(target: "herald::owncast", "Owncast's clock and this machine's agree again");
                // Calls that looked too old were refused.
                memory.hook.try_now();
                memory.footprint = memory.now();
            }
        }
        self.board.send_if_modified(|board| {
            let shown = is_off.then_some(offset);
            // Told to the second, it would change at every look.
            let same = match (board.clock_offset_seconds, shown) {
                (Some(before), Some(now)) => before.abs_diff(now) < 10,
                (before, now) => before == now,
            };
            if !same {
                board.clock_offset_seconds = shown;
            }
            !same
        });
    }

    /// Everything behind the admin password that is due.
    pub(super) async fn look_after(&mut self, memory: &mut Memory) -> Result<(), StoreError> {
        if memory.missed_a_start() {
            tracing::warn!(
                target: "herald::owncast",
                "a stream started and Owncast's webhook did not tell; looking after the webhook"
            );
            memory.hook.doubt();
            memory.footprint = memory.now();
        }
        let now = memory.now();
        if !memory.admin.is_due(now) || memory.admin_wants(now) > now {
            return Ok(());
        }
        let kept = self.admin_duties(memory).await;
        self.admin_answered(memory, kept)
    }

    async fn admin_duties(&mut self, memory: &mut Memory) -> Result<(), Setback> {
        if !memory.facts_read.is_some_and(|read| fresh(read, Timestamp::now(), FACTS_EVERY)) {
            self.read_facts(memory).await?;
            self.settle_identity(memory).await?;
        }
        if memory.footprint <= memory.now() {
            self.keep_footprint(memory).await?;
        }
        Ok(())
    }

    /// Reads the configuration again where that works now: what goes into a post must be what Owncast says now, and a
    /// refused password must not keep the post back.
    pub(super) async fn refresh_facts(&mut self, memory: &mut Memory) -> Result<(), StoreError> {
        if !memory.admin.works() {
            return Ok(());
        }
        let read = self.read_facts(memory).await;
        self.admin_answered(memory, read)
    }

    /// Books an answer of the admin lane, which never holds up the other.
    pub(super) fn admin_answered(
        &self,
        memory: &mut Memory,
        answer: Result<(), Setback>,
    ) -> Result<(), StoreError> {
        let setback = match answer {
            Ok(()) => {
                if memory.admin.answered() {
                    tracing::info!(target: "herald::owncast", "Owncast's administration answers as it should again");
                }
                memory.said_of_admin = None;
                self.board.send_modify(|board| {
                    board.sources.admin.came(Timestamp::now(), None);
                    board.sources.password_refused = false;
                });
                self.show_problem(memory);
                return Ok(());
            }
            Err(Setback::Store(error)) => return Err(error),
            Err(setback) => setback,
        };
        let kind = match &setback {
            Setback::Owncast(error) => trouble(error),
            _ => Trouble::Strange,
        };
        // Each refusal names another address, and is one and the same.
        let problem = setback.to_string();
        let again = kind == Trouble::Password && memory.admin.refuses_password();
        if !again && memory.said_of_admin.as_ref() != Some(&problem) {
            tracing::warn!(target: "herald::owncast", "{problem}");
        }
        memory.admin.failed(memory.now(), kind);
        memory.said_of_admin = Some(problem.clone());
        self.board.send_modify(|board| {
            board.sources.admin.failed(problem);
            board.sources.password_refused = kind == Trouble::Password;
        });
        self.show_problem(memory);
        Ok(())
    }

    /// What matters most to the operator comes first.
    pub(super) fn show_problem(&self, memory: &Memory) {
        let clock = self.board.borrow().clock_offset_seconds.map(clock_words);
        let said = [&memory.said_of_status, &memory.said_of_admin, &memory.token_trouble, &clock];
        let problem = said.into_iter().flatten().next().cloned();
        self.board.send_if_modified(|board| {
            let same = board.problem == problem;
            if !same {
                board.problem = problem;
            }
            !same
        });
    }
}

fn trouble(error: &OwncastError) -> Trouble {
    match error {
        OwncastError::WrongPassword { .. } => Trouble::Password,
        error if error.is_transient() => Trouble::Away,
        _ => Trouble::Strange,
    }
}
