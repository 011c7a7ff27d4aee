//! What the agent knows about its surroundings at this moment, for `status` and the probes.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How things stand with Owncast.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// Owncast answered the last time it was asked for its public status.
    pub reachable: bool,
    /// What is wrong with Owncast, in words for the operator.
    pub problem: Option<String>,
    /// Its version, once it was asked.
    pub version: Option<String>,
    /// A stream is running, by the session machine: `offline`, `connecting`, `live`, `lost`, `ended`.
    pub stream: String,
    /// Title of the running stream.
    pub title: String,
    /// Every way on which something is learnt from Owncast.
    pub sources: Sources,
    /// How far Owncast's clock is ahead of ours, in seconds (negative: behind), while that is too far.
    pub clock_offset_seconds: Option<i64>,
    /// Chat notices seen in chat after they were sent.
    pub notices: Shown,
}

/// Every way on which something is learnt from Owncast.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// `/api/status`, which needs no password: the truth about the stream. Its lag is a request's round trip.
    pub status: Source,
    /// The admin API: settings, webhooks, tokens. Its lag is not measured.
    pub admin: Source,
    /// The admin API does not work because it refuses the password.
    pub password_refused: bool,
    /// Owncast's calls to our webhook. Its lag is the round trip of a probe.
    pub webhook: Source,
    /// The chat websocket. Its lag is the round trip of a ping.
    pub websocket: Source,
}

/// One way on which something is learnt from Owncast.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Whether it works.
    pub way: Way,
    /// When something last came this way.
    pub seen: Option<Timestamp>,
    /// How long what came last was on its way, milliseconds.
    pub lag_ms: Option<u64>,
    /// Errors in a row; 0 while it works.
    pub errors: u32,
    /// The last error, also after it has passed.
    pub last_error: Option<String>,
    /// When it is used, tried or proved next; `None` when nothing is planned.
    pub next: Option<Timestamp>,
}

impl Source {
    /// Something came.
    pub fn came(&mut self, now: Timestamp, lag: Option<Duration>) {
        self.way = Way::Works;
        self.seen = Some(now);
        self.errors = 0;
        if let Some(lag) = lag {
            self.lag_ms = Some(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
        }
    }

    /// It did not work.
    pub fn failed(&mut self, error: String) {
        self.errors = self.errors.saturating_add(1);
        self.last_error = Some(error.clone());
        self.way = Way::Broken(error);
    }
}

/// Whether a way works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum Way {
    /// Not tried yet.
    #[default]
    Untried,
    /// Proved to work.
    Works,
    /// Does not work; the others go on.
    Broken(String),
    /// Not used at the moment, for this reason: switched off, or held back while a stream is live.
    Off(String),
}

/// Chat notices seen in chat after they were sent. Only counted: a notice is never sent a second time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Messages that came back over the websocket.
    pub confirmed: u64,
    /// Messages that did not while the websocket was there.
    pub unconfirmed: u64,
}

/// What it means that Owncast's clock is so many seconds ahead of ours (negative: behind), and what to do.
pub fn clock_words(offset: i64) -> String {
    let (seconds, side) = (offset.unsigned_abs(), if offset < 0 { "behind" } else { "ahead of" });
    format!(
        "Owncast's clock is {seconds} s {side} this machine's; signed webhook calls are refused until both are right, so set both by NTP"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_in_a_row_and_the_last_is_kept() {
        let mut source = Source::default();
        source.failed("one".to_owned());
        source.failed("two".to_owned());
        assert_eq!((source.errors, &source.way), (2, &Way::Broken("two".to_owned())));
        let now = Timestamp::UNIX_EPOCH;
        source.came(now, Some(Duration::from_millis(7)));
        source.came(now, None);
        assert_eq!((source.errors, &source.way, source.lag_ms), (0, &Way::Works, Some(7)));
        assert_eq!((source.last_error.as_deref(), source.seen), (Some("two"), Some(now)));
    }

    #[test]
    fn the_board_is_plain_json() {
        let mut board = Board::default();
        board.sources.webhook.way = Way::Broken("x".to_owned());
        let json = serde_json::to_value(&board).unwrap();
        assert_eq!(json["sources"]["webhook"]["way"], serde_json::json!({ "state": "broken", "why": "x" }));
        assert_eq!(json["sources"]["status"]["way"], serde_json::json!({ "state": "untried" }));
        assert_eq!(serde_json::from_value::<Board>(json).unwrap(), board);
    }
}
