//! When notices are said, and which of them together.
//!
//! The first after quiet goes at once. What comes within the burst window of a send, or beyond the number a minute allows,
//! waits and then goes as one line for each kind: two thousand likes never become two thousand lines.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;
use ulid::Ulid;

use super::wording::Wording;
use crate::model::notices::{Notice, NoticeKind};

/// How a kind of notice is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A system message: a coloured card with a link.
    Card,
    /// An action: a small line.
    Line,
    /// A message of the bot.
    Bot,
    /// Not at all.
    Off,
}

/// How often notices may speak and how each kind is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Messages in any 60 seconds; 0 says nothing at all.
    pub max_per_minute: u32,
    /// What comes so soon after a message is gathered.
    pub burst_window: Duration,
    /// Style of follows.
    pub follow: Style,
    /// Style of likes.
    pub like: Style,
    /// Style of announces.
    pub announce: Style,
}

impl Settings {
    fn style(&self, kind: NoticeKind) -> Style {
        if self.max_per_minute == 0 {
            return Style::Off;
        }
        match kind {
            NoticeKind::Follow => self.follow,
            NoticeKind::Like => self.like,
            NoticeKind::Announce => self.announce,
        }
    }
}

/// When messages were sent lately, oldest first. It starts empty and need not survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    sent: VecDeque<Timestamp>,
}

/// One message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Say {
    /// How; never [`Style::Off`]. A merged message of cards is a line.
    pub style: Style,
    /// The body for Owncast's API: one line of safe HTML.
    pub body: String,
    /// The notices it says, to be claimed before it is sent.
    pub notices: Vec<Ulid>,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Messages to send, in this order.
    pub say: Vec<Say>,
    /// Notices that are never said, by the settings.
    pub dropped: Vec<Ulid>,
    /// When to look again if nothing new comes; `None` when nothing is left waiting.
    pub again: Option<Timestamp>,
    /// The pace once `say` is sent, for the next plan.
    pub pace: Pace,
}

const MINUTE: Duration = Duration::from_secs(60);

/// Decides what of the queue is said at `now`.
///
/// `queue` is in the order of events and holds everything not said yet; `pace` is the one of the plan before.
pub fn plan(
    queue: &[Notice],
    pace: &Pace,
    settings: &Settings,
    wording: &Wording<'_>,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan { pace: pace.clone(), ..Plan::default() };
    // A clock set back must not hold messages up for longer than a minute.
    plan.pace.sent.iter_mut().for_each(|sent| *sent = (*sent).min(now));
    let (waiting, dropped): (Vec<&Notice>, Vec<&Notice>) =
        queue.iter().partition(|notice| settings.style(notice.kind) != Style::Off);
    plan.dropped = dropped.iter().map(|notice| notice.id).collect();

    let Some(&oldest) = waiting.first() else { return plan };
    let free = plan.pace.free_from(settings);
    if free.is_some_and(|free| now < free) {
        plan.again = free;
        return plan;
    }
    // What could have gone the moment it came is the first after quiet; anything else had to wait for others.
    let quiet = free.is_none_or(|free| oldest.at >= free);
    let groups = if quiet { vec![vec![oldest]] } else { groups(&waiting) };
    let mut said = 0;
    for group in groups.iter().take(plan.pace.budget(settings, now)) {
        let Some(&first) = group.first() else { continue };
        let style = settings.style(first.kind);
        let (style, body) = match (style, group.len()) {
            (Style::Card, 1) => (Style::Card, wording.card(first)),
            (style, 1) => (style, wording.line(first)),
            (Style::Card, _) => (Style::Line, wording.merged(group)),
            (style, _) => (style, wording.merged(group)),
        };
        plan.say.push(Say { style, body, notices: group.iter().map(|notice| notice.id).collect() });
        plan.pace.sent.push_back(now);
        said += group.len();
    }
    plan.pace.forget(settings);
    if said < waiting.len() {
        plan.again = plan.pace.free_from(settings);
    }
    plan
}

/// What is said in one line: the same kind, about this stream or not. The group with the oldest notice comes first.
fn groups<'a>(waiting: &[&'a Notice]) -> Vec<Vec<&'a Notice>> {
    let mut groups: Vec<Vec<&Notice>> = Vec::new();
    for notice in waiting {
        let same = |group: &&mut Vec<&Notice>| {
            group.first().is_some_and(|first| {
                first.kind == notice.kind
                    && (first.live_post == notice.live_post || notice.kind == NoticeKind::Follow)
            })
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(notice),
            None => groups.push(vec![notice]),
        }
    }
    groups
}

impl Pace {
    /// From when on a message may be sent; `None` if there was none lately.
    fn free_from(&self, settings: &Settings) -> Option<Timestamp> {
        let max = usize::try_from(settings.max_per_minute).unwrap_or(usize::MAX);
        let burst = self.sent.back().map(|&last| later(last, settings.burst_window));
        let minute = self.sent.len().checked_sub(max).and_then(|at| self.sent.get(at));
        burst.max(minute.map(|&first| later(first, MINUTE)))
    }

    /// How many messages may be sent at once.
    fn budget(&self, settings: &Settings, now: Timestamp) -> usize {
        let max = usize::try_from(settings.max_per_minute).unwrap_or(usize::MAX);
        let lately = self.sent.iter().filter(|&&sent| later(sent, MINUTE) > now).count();
        max.saturating_sub(lately)
    }

    /// Keeps as many as one minute allows: older ones decide nothing.
    fn forget(&mut self, settings: &Settings) {
        let max = usize::try_from(settings.max_per_minute).unwrap_or(usize::MAX);
        let excess = self.sent.len().saturating_sub(max);
        self.sent.drain(..excess);
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
