//! When to look at what next; pure. Every moment is a [`Tick`], told by a clock that never steps, so that a machine whose
//! wall clock is set an hour forth or back neither rests nor hurries for it.

use std::time::Duration;

use crate::model::stream::Phase;
use crate::owncast::websocket::Closed;

/// Time since the watcher's start.
pub(super) type Tick = Duration;

/// Pauses between attempts while Owncast does not answer.
const BACK_OFF: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// Pauses after a refused password: Owncast compares slowly on purpose, and logs every failure.
const REFUSED: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(300)];
/// Pauses after an answer that only the operator can mend.
const STRANGE: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(30)];
/// So many looks at once that hints may cause, and one more each [`HINT_EVERY`].
const HINTS: u32 = 10;
const HINT_EVERY: Duration = Duration::from_millis(200);
/// A hint may come a moment before Owncast's answer shows what it hints at: for so long looks follow it closely.
const AFTERMATH: Duration = Duration::from_secs(2);

/// What kept a lane from its answer, by how long to leave it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody answers, or Owncast is busy: it passes by itself.
    Away,
    /// The admin password is refused.
    Password,
    /// Something answers that needs the operator.
    Strange,
}

/// One of the two lanes on which Owncast is asked, which fail apart: the public status, and everything behind the
/// admin password.
#[derive(Debug, Default)]
pub(super) struct Lane {
    due: Tick,
    failures: usize,
    trouble: Option<Trouble>,
}

impl Lane {
    /// When it may be asked next.
    pub(super) fn due(&self) -> Tick {
        self.due
    }

    /// Whether it may be asked now.
    pub(super) fn is_due(&self, now: Tick) -> bool {
        now >= self.due
    }

    /// Whether the last answer was one.
    pub(super) fn works(&self) -> bool {
        self.trouble.is_none()
    }

    /// It answered. Tells whether it had failed before.
    pub(super) fn answered(&mut self) -> bool {
        self.failures = 0;
        self.trouble.take().is_some()
    }

    /// It is to be asked at `at`.
    pub(super) fn next(&mut self, at: Tick) {
        self.due = at;
    }

    /// Whether the password was refused the last time.
    pub(super) fn refuses_password(&self) -> bool {
        self.trouble == Some(Trouble::Password)
    }

    /// It failed, and rests.
    pub(super) fn failed(&mut self, now: Tick, trouble: Trouble) {
        if self.trouble != Some(trouble) {
            self.failures = 0;
        }
        let pauses: &[Duration] = match trouble {
            Trouble::Away => &BACK_OFF,
            Trouble::Password => &REFUSED,
            Trouble::Strange => &STRANGE,
        };
        let pause = pauses.get(self.failures).or(pauses.last()).copied().unwrap_or_default();
        self.failures += 1;
        self.trouble = Some(trouble);
        self.due = now + pause;
    }

    /// What kept it from its answer may be mended: it is asked now, as if it had never failed.
    pub(super) fn open(&mut self, now: Tick) {
        self.failures = 0;
        self.due = now;
    }
}

/// Hints make a lane be asked at once, and cannot make it be asked without end.
#[derive(Debug, Default)]
pub(super) struct Hurry {
    /// When the looks caused so far would be paid off.
    paid: Tick,
    last: Option<Tick>,
}

impl Hurry {
    /// Brings the lane's next question forward.
    pub(super) fn hint(&mut self, lane: &mut Lane, now: Tick) {
        self.last = Some(now);
        let at = self.paid.saturating_sub(HINT_EVERY * (HINTS - 1)).max(now);
        if lane.due > at {
            lane.due = at;
            self.paid = self.paid.max(now) + HINT_EVERY;
        }
    }

    fn is_fresh(&self, now: Tick) -> bool {
        self.last.is_some_and(|last| now.saturating_sub(last) < AFTERMATH)
    }
}

/// What the pause until the next look at the status depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mood {
    /// Where the session is.
    pub(super) phase: Option<Phase>,
    /// `[go-live] delay`: how soon something is due after a change.
    pub(super) delay: Duration,
    /// Webhook and websocket are both proved to work: looking is only the safety net.
    pub(super) told: bool,
}

impl Mood {
    /// The pause until the next look.
    pub(super) fn pause(&self, hurry: &Hurry, now: Tick) -> Duration {
        let quick = |span: Duration| (span / 4).clamp(Duration::from_millis(100), Duration::from_secs(2));
        let pause = match (self.phase, self.told) {
            (Some(Phase::Connecting), _) => quick(self.delay),
            (Some(Phase::Lost), _) => quick(self.delay.min(Duration::from_secs(30))),
            (Some(Phase::Live), false) => Duration::from_secs(2),
            (Some(Phase::Live), true) | (Some(Phase::Ended) | None, false) => Duration::from_secs(4),
            (Some(Phase::Ended) | None, true) => Duration::from_secs(6),
        };
        if hurry.is_fresh(now) { pause.min(Duration::from_secs(1)) } else { pause }
    }
}

/// When probes are sent after the first: one lost call on a busy machine must not condemn a working webhook.
const PROBES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(4)];
/// A webhook that has not come back after this long does not reach us.
const ECHO_WITHIN: Duration = Duration::from_secs(5);
/// The last probe has at least this long, also when the first were held up.
const LAST_ECHO_WITHIN: Duration = Duration::from_secs(1);

/// A series of probes on its way through Owncast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series {
    began: Tick,
    sent: usize,
    last: Tick,
}

/// What a series needs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next probe.
    Send,
    /// Nothing until then.
    Wait(Tick),
    /// Nothing came back: the webhook does not reach us.
    Lost,
}

impl Series {
    /// A series that begins now.
    pub(super) fn new(now: Tick) -> Self {
        Series { began: now, sent: 0, last: now }
    }

    /// One more was sent.
    pub(super) fn sent(&mut self, now: Tick) {
        self.sent += 1;
        self.last = now;
    }

    /// What it needs.
    pub(super) fn step(&self, now: Tick) -> Step {
        let at = match PROBES.get(self.sent) {
            Some(offset) => self.began + *offset,
            None => (self.began + ECHO_WITHIN).max(self.last + LAST_ECHO_WITHIN),
        };
        match self.sent < PROBES.len() {
            _ if now < at => Step::Wait(at),
            true => Step::Send,
            false => Step::Lost,
        }
    }
}

/// Pause before a webhook that did not reach us is tried again, after so many vain trials: each may hold Owncast up.
pub(super) fn webhook_again(trials: u32) -> Duration {
    let pause = Duration::from_secs(600) * 2_u32.pow(trials.min(3));
    pause.min(Duration::from_secs(3600))
}

/// So many losses of what we made stop its making.
const LOSSES: u32 = 3;
/// Losses this close together count as one story, and so long does a stop last.
const STORY: Duration = Duration::from_secs(3600);

/// Something we make in Owncast and somebody deletes: made anew a few times, then left alone for an hour at a time.
#[derive(Debug, Default)]
pub(super) struct Losses {
    count: u32,
    last: Tick,
    /// What was lost last: missed again while it could not be replaced, it is the same loss.
    what: Option<String>,
}

impl Losses {
    /// It is gone; `what` tells it from the one that took its place.
    pub(super) fn lost(&mut self, what: String, now: Tick) {
        if self.what.as_ref() == Some(&what) {
            return;
        }
        self.what = Some(what);
        let story = if self.count < LOSSES { STORY } else { STORY * 2 };
        if now.saturating_sub(self.last) > story {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.last = now;
    }

    /// Until when it is not made anew.
    pub(super) fn barred_until(&self, now: Tick) -> Option<Tick> {
        let until = self.last + STORY;
        (self.count >= LOSSES && now < until).then_some(until)
    }
}

/// Pause before the websocket is tried again when it ended for the `in_a_row`-th time, counted from 0.
pub(super) fn socket_again(reason: &Closed, in_a_row: u32) -> Duration {
    let (first, most) = match reason {
        Closed::Ourselves => (0, 0),
        Closed::ByOwncast | Closed::Silent | Closed::Lost(_) => (1, 60),
        // A new token is made meanwhile.
        Closed::UnknownToken | Closed::UserDisabled => (5, 600),
        Closed::TooManyConnections | Closed::ChatDisabled => (30, 600),
        Closed::NotOwncast { .. } => (60, 600),
        Closed::Banned => (600, 3600),
    };
    (Duration::from_secs(first) * 2_u32.pow(in_a_row.min(16))).min(Duration::from_secs(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn looks_are_quick_while_something_changes_and_slow_when_we_would_be_told() {
        let table = [
            (Some(Phase::Connecting), s(120), true, s(2)),
            (Some(Phase::Connecting), s(2), true, ms(500)),
            (Some(Phase::Connecting), s(0), false, ms(100)),
            (Some(Phase::Lost), s(0), true, ms(100)),
            (Some(Phase::Lost), s(3600), true, s(2)),
            (Some(Phase::Live), s(120), false, s(2)),
            (Some(Phase::Live), s(120), true, s(4)),
            (Some(Phase::Ended), s(120), false, s(4)),
            (None, s(120), true, s(6)),
        ];
        for (phase, delay, told, expected) in table {
            let mood = Mood { phase, delay, told };
            assert_eq!(mood.pause(&Hurry::default(), s(9)), expected, "{mood:?}");
        }
    }

    #[test]
    fn a_lane_backs_off_up_to_half_a_minute_and_forgets_it_with_an_answer() {
        let mut lane = Lane::default();
        assert!(lane.is_due(s(0)) && lane.works());
        let pauses: Vec<Duration> = (0..8)
            .map(|_| {
                lane.failed(s(100), Trouble::Away);
                lane.due() - s(100)
            })
            .collect();
        assert_eq!(pauses, [ms(500), s(1), s(2), s(5), s(10), s(30), s(30), s(30)]);
        assert!(!lane.works() && lane.answered() && !lane.answered());
        lane.failed(s(100), Trouble::Away);
        assert_eq!(lane.due(), s(100) + ms(500));
    }

    #[test]
    fn a_refused_password_is_tried_a_second_time_and_then_every_five_minutes() {
        let mut lane = Lane::default();
        // What came before does not count.
        lane.failed(s(0), Trouble::Away);
        let refused = |lane: &mut Lane, now| {
            lane.failed(now, Trouble::Password);
            lane.due() - now
        };
        assert_eq!(
            [refused(&mut lane, s(10)), refused(&mut lane, s(15)), refused(&mut lane, s(315))],
            [s(5), s(300), s(300)]
        );
        lane.open(s(320));
        assert!(lane.is_due(s(320)) && !lane.works());
        assert_eq!(refused(&mut lane, s(320)), s(5));
    }

    #[test]
    fn a_hint_is_followed_at_once_also_while_backing_off_but_not_without_end() {
        let (mut lane, mut hurry) = (Lane::default(), Hurry::default());
        for _ in 0..8 {
            lane.failed(s(50), Trouble::Away);
        }
        hurry.hint(&mut lane, s(60));
        assert!(lane.is_due(s(60)));

        // A flood: each hint at once, each look done at once and the next far away.
        let mut looks = 0;
        for millis in 60_001..70_001 {
            let now = ms(millis);
            hurry.hint(&mut lane, now);
            if lane.is_due(now) {
                looks += 1;
                lane.next(now + s(6));
            }
        }
        assert!((50..=62).contains(&looks), "{looks}");
        // And after it is over the next is followed at once again.
        hurry.hint(&mut lane, s(90));
        assert!(lane.is_due(s(90)));
    }

    #[test]
    fn looks_follow_a_hint_closely_for_a_moment() {
        let (mut lane, mut hurry) = (Lane::default(), Hurry::default());
        let mood = Mood { phase: None, delay: s(120), told: true };
        hurry.hint(&mut lane, s(60));
        assert_eq!(
            [mood.pause(&hurry, s(60)), mood.pause(&hurry, s(61)), mood.pause(&hurry, s(62))],
            [s(1), s(1), s(6)]
        );
    }

    #[test]
    fn three_probes_in_five_seconds_and_then_the_verdict() {
        let mut series = Series::new(s(100));
        for (now, expected) in [
            (s(100), Step::Send),
            (s(101), Step::Wait(s(102))),
            (s(102), Step::Send),
            (s(104), Step::Send),
            (s(104), Step::Wait(s(105))),
            (s(105), Step::Lost),
        ] {
            assert_eq!(series.step(now), expected, "{now:?}");
            if expected == Step::Send {
                series.sent(now);
            }
        }
    }

    #[test]
    fn a_held_up_series_still_sends_all_and_gives_the_last_a_second() {
        let mut series = Series::new(s(0));
        for now in [s(3), s(6), s(9)] {
            assert_eq!(series.step(now), Step::Send);
            series.sent(now);
        }
        assert_eq!([series.step(s(9)), series.step(s(10))], [Step::Wait(s(10)), Step::Lost]);
    }

    #[test]
    fn a_webhook_in_vain_is_tried_less_and_less_often() {
        let pauses: Vec<u64> = (0..6).map(|trials| webhook_again(trials).as_secs() / 60).collect();
        assert_eq!(pauses, [10, 20, 40, 60, 60, 60]);
    }

    #[test]
    fn what_keeps_disappearing_is_left_alone_for_an_hour_at_a_time() {
        let minutes = |minutes: u64| s(minutes * 60);
        let mut losses = Losses::default();
        losses.lost("200".to_owned(), minutes(200));
        losses.lost("210".to_owned(), minutes(210));
        assert_eq!(losses.barred_until(minutes(210)), None);
        losses.lost("210".to_owned(), minutes(215));
        assert_eq!(losses.barred_until(minutes(215)), None, "it could not be replaced yet");
        losses.lost("220".to_owned(), minutes(220));
        assert_eq!(losses.barred_until(minutes(220)), Some(minutes(280)));
        assert_eq!(losses.barred_until(minutes(280)), None, "tried once more");
        losses.lost("285".to_owned(), minutes(285));
        assert_eq!(losses.barred_until(minutes(285)), Some(minutes(345)), "and left alone again at once");
        losses.lost("500".to_owned(), minutes(500));
        assert_eq!(losses.barred_until(minutes(500)), None, "another story");
        // Hours apart it may happen for ever.
        let mut losses = Losses::default();
        for at in 1..20 {
            losses.lost(at.to_string(), minutes(at * 61));
            assert_eq!(losses.barred_until(minutes(at * 61)), None);
        }
    }

    #[test]
    fn every_end_of_the_websocket_has_a_growing_pause() {
        let strange = Closed::NotOwncast { url: String::new(), answered: String::new() };
        let table = [
            (Closed::Lost(String::new()), [1, 2, 60]),
            (Closed::ByOwncast, [1, 2, 60]),
            (Closed::Silent, [1, 2, 60]),
            (Closed::UnknownToken, [5, 10, 600]),
            (Closed::UserDisabled, [5, 10, 600]),
            (Closed::ChatDisabled, [30, 60, 600]),
            (Closed::TooManyConnections, [30, 60, 600]),
            (strange, [60, 120, 600]),
            (Closed::Banned, [600, 1200, 3600]),
        ];
        for (reason, expected) in table {
            let pauses = [0, 1, u32::MAX].map(|in_a_row| socket_again(&reason, in_a_row).as_secs());
            assert_eq!(pauses, expected, "{reason:?}");
        }
    }
}
