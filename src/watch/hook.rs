//! Whether Owncast's webhook reaches us: proved by a probe that viewers do not see, doubted when something speaks against
//! it, and removed when nothing comes back, since Owncast waits for a webhook without any limit, and its chat with it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use url::{Host, Url};

use super::memory::Memory;
use super::pace::{Series, Step, Tick, webhook_again};
use super::{Setback, Watcher};
use crate::agent::board::Way;
use crate::model::Draft;
use crate::owncast::footprint::Footprint;
use crate::owncast::webhook::{Kind, SignatureError};
use crate::serve::webhook::Refusals;

/// Time that Owncast has to take a probe; an Owncast that hangs in its webhook calls hangs here, too.
const TAKEN_WITHIN: Duration = Duration::from_secs(3);
/// An echo that came after the verdict shows a slow way rather than none: tried again this soon.
const LATE: Tick = Tick::from_secs(60);
/// Probes whose echo is still known when it is late, at most.
const KNOWN: usize = 8;

/// What is known of the way from Owncast to us.
#[derive(Debug, Default)]
pub(super) struct Hook {
    state: State,
    /// Probes and when they were sent, newest last.
    probes: Vec<(String, Instant)>,
    /// Verdicts in a row.
    trials: u32,
}

#[derive(Debug, Default)]
enum State {
    /// To be proved once the webhook is there.
    #[default]
    Unknown,
    /// Probes are out.
    Probing(Series, Refusals),
    /// Something came.
    Proved,
    /// Nothing came back; the webhook is to be removed for this reason.
    Condemned(String),
    /// Removed; to be made and tried again at this time.
    Removed(Tick),
}

impl Hook {
    pub(super) fn is_proved(&self) -> bool {
        matches!(self.state, State::Proved)
    }

    /// It has to be proved (again). What is condemned or removed is tried again at once.
    pub(super) fn doubt(&mut self) {
        self.state = State::Unknown;
    }

    /// What made it fail may be mended.
    pub(super) fn try_now(&mut self) {
        if matches!(self.state, State::Removed(_)) {
            self.state = State::Unknown;
        }
    }

    /// When a removed one is tried again.
    pub(super) fn next_trial(&self) -> Option<Tick> {
        match self.state {
            State::Removed(again) => Some(again),
            _ => None,
        }
    }

    /// Whether the webhook may stand in Owncast now.
    pub(super) fn may_stand(&self, now: Tick) -> bool {
        self.next_trial().is_none_or(|again| now >= again)
    }

    /// The webhook stands in Owncast: proves it unless that is done or under way.
    pub(super) fn stands(&mut self, anew: bool, now: Tick, refusals: Refusals) {
        let proved = matches!(self.state, State::Proved | State::Probing(..)) && !anew;
        if !proved {
            self.state = State::Probing(Series::new(now), refusals);
        }
    }

    fn newest(&mut self, id: String) {
        if self.probes.len() == KNOWN {
            self.probes.remove(0);
        }
        self.probes.push((id, Instant::now()));
    }
}

/// What to do where Owncast does not reach this address.
fn reachable(base: &str) -> &'static str {
    let host = Url::parse(base).ok().and_then(|base| match base.host()? {
        Host::Ipv4(host) => Some(host.is_loopback()),
        Host::Ipv6(host) => Some(host.is_loopback()),
        Host::Domain(host) => Some(host == "localhost"),
    });
    match host {
        // A container's own.
        Some(true) => {
            "That is an address of the machine or container that Owncast itself runs in: set [listen] webhook, and [listen] webhook-url where that is set, to one of this machine's that Owncast reaches from there"
        }
        _ => "Set [listen] webhook-url to an address at which Owncast reaches this machine",
    }
}

impl Watcher {
    /// Whether the webhook needs something now.
    pub(super) fn hook_is_due(&self, memory: &Memory) -> bool {
        self.hook_wants(memory).is_some_and(|at| at <= memory.now())
    }

    /// When the webhook needs something next.
    pub(super) fn hook_wants(&self, memory: &Memory) -> Option<Tick> {
        let now = memory.now();
        match &memory.hook.state {
            State::Probing(series, _) => Some(match series.step(now) {
                Step::Wait(at) => at,
                Step::Send | Step::Lost => now,
            }),
            State::Condemned(_) => Some(memory.admin.due()),
            State::Unknown | State::Proved | State::Removed(_) => None,
        }
    }

    /// Sends the next probe, or removes the webhook. False if Owncast has answered nothing.
    pub(super) async fn keep_hook(&self, memory: &mut Memory) -> Result<bool, Setback> {
        if let State::Probing(series, before) = &memory.hook.state {
            match series.step(memory.now()) {
                Step::Wait(_) => return Ok(false),
                Step::Send => return self.send_probe(memory).await,
                Step::Lost => {
                    let why = self.verdict(memory, *before);
                    memory.hook.state = State::Condemned(why);
                }
            }
        }
        let State::Condemned(why) = &memory.hook.state else { return Ok(false) };
        let why = why.clone();
        let answered = self.remove_webhook().await?;
        memory.hook.state = State::Removed(memory.now() + webhook_again(memory.hook.trials));
        memory.hook.trials = memory.hook.trials.saturating_add(1);
        memory.footprint = memory.footprint.min(memory.hook.next_trial().unwrap_or(Tick::MAX));
        tracing::warn!(target: "herald::owncast", "{why}");
        self.board.send_modify(|board| board.sources.webhook.failed(why));
        Ok(answered)
    }

    async fn send_probe(&self, memory: &mut Memory) -> Result<bool, Setback> {
        let id = format!("herald-probe-{}", crate::random::hex::<8>());
        memory.hook.newest(id.clone());
        let taken = tokio::time::timeout(TAKEN_WITHIN, self.api.probe(&id)).await;
        let now = memory.now();
        match taken {
            // No answer in time counts as sent: Owncast may hang in this very webhook.
            Ok(Ok(())) | Err(_) => {
                if let State::Probing(series, _) = &mut memory.hook.state {
                    series.sent(now);
                }
                Ok(taken.is_ok())
            }
            // Owncast itself is away or refuses us, which says nothing of the webhook.
            Ok(Err(error)) => {
                memory.hook.doubt();
                memory.footprint = now;
                Err(error.into())
            }
        }
    }

    fn verdict(&self, memory: &Memory, before: Refusals) -> String {
        let refusals = self.door.refusals();
        let rest = "it was removed, and Owncast is asked every few seconds instead";
        match refusals.last.filter(|_| refusals.count > before.count) {
            None => format!(
                "Owncast's webhook does not reach {}; {rest}. {}",
                memory.webhook_base,
                reachable(&memory.webhook_base)
            ),
            Some(SignatureError::Stale) => format!(
                "Owncast's webhook calls come with a time more than 300 s from this machine's; {rest}. Set both clocks by NTP"
            ),
            Some(error) => format!("Owncast's webhook calls are not signed as agreed ({error}); {rest}"),
        }
    }

    /// False if there was none to ask Owncast to delete.
    async fn remove_webhook(&self) -> Result<bool, Setback> {
        let footprint: Footprint = self.store.read(|view| view.meta()).await?;
        let stands = footprint.provisioned.webhook;
        if let Some(webhook) = &stands {
            self.api.delete_webhook(webhook.id).await?;
        }
        self.store
            .commit(|view| {
                let mut draft = Draft::new(view);
                let mut footprint: Footprint = view.meta();
                footprint.provisioned.webhook = None;
                draft.put_meta(&footprint);
                (draft.into_changes(), ())
            })
            .await?;
        Ok(stands.is_some())
    }

    /// Owncast called. Only Owncast knows the address, and signs where it can: whatever it says proves the way.
    pub(super) fn hook_called(&self, memory: &mut Memory, kind: &Kind) {
        let ids: &[String] = if let Kind::Visibility { ids } = kind { ids } else { &[] };
        let echo = memory.hook.probes.iter().find(|(id, _)| ids.contains(id));
        let lag = echo.map(|(_, sent)| sent.elapsed());
        if *kind == Kind::StreamStarted {
            memory.told_of_start();
        }
        if let Some(again) = memory.hook.next_trial() {
            let again = again.min(memory.now() + LATE);
            memory.hook.state = State::Removed(again);
            memory.footprint = memory.footprint.min(again);
            return;
        }
        memory.hook.state = State::Proved;
        memory.hook.trials = 0;
        if self.board.borrow().sources.webhook.way != Way::Works {
            tracing::info!(target: "herald::owncast", "the webhook works");
        }
        self.board.send_modify(|board| board.sources.webhook.came(Timestamp::now(), lag));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_each_machines_own_is_told_from_others() {
        for base in ["http://127.0.0.1:8586", "http://[::1]:8586", "http://localhost:8586"] {
            assert!(reachable(base).contains("set [listen] webhook, "), "{base}");
        }
        for base in ["http://172.17.0.1:8586", "http://herald:8586"] {
            assert!(reachable(base).contains("Set [listen] webhook-url"), "{base}");
        }
    }
}
