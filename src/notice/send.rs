//! Says notices in Owncast's chat. A notice is claimed on disk before it is sent, and never sent twice: what a crash
//! catches between the two is counted and not said.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::confirm::Confirmations;
use super::merge::{Pace, Plan, Say, Settings, Style, plan};
use super::wording::Wording;
use crate::agent::board::{Board, Way};
use crate::agent::effective::Effective;
use crate::config::{NoticeStyle, NoticeWhen, NoticesConfig};
use crate::decide::waiting;
use crate::model::Draft;
use crate::model::notices::{Notice, NoticeKind};
use crate::model::stream::{Phase, Stream};
use crate::model::view::Meta;
use crate::owncast::{Api, OwncastError, Secret};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::{Metrics, NoticeOutcome};

/// Notices looked at in one go. What is behind them waits for the next.
const QUEUE: usize = 5000;
/// Looked at this often without a reason: the stream may have started.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Follows since the last stream that nobody was told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Untold {
    follows: u64,
}

impl Meta for Untold {
    const NAME: &'static str = "untold-follows";
}

/// The task that speaks in chat.
#[derive(Debug)]
pub struct Speaker {
    /// Where notices wait.
    pub store: Store,
    /// Speaks to Owncast.
    pub api: Api,
    /// The access token, once there is one. Taken away here when Owncast does not know it any more: the watcher then
    /// makes another.
    pub token: watch::Sender<Option<Secret>>,
    /// Settings of the moment.
    pub effective: watch::Receiver<Arc<Effective>>,
    /// Whether Owncast answers.
    pub board: watch::Receiver<Board>,
    /// What was sent, for whoever sees it come back.
    pub confirmations: Arc<Confirmations>,
    /// Counted.
    pub metrics: Arc<Metrics>,
}

/// When the queue is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rest {
    /// At the latest after so long.
    pause: Duration,
    /// As soon as something new waits. Not while nothing may be said whatever comes: two thousand likes would have the
    /// queue read two thousand times.
    listens: bool,
}

/// What may be said now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mouth {
    /// Say what waits.
    Open,
    /// Nobody wants to hear it: what waits is counted, not said.
    Shut,
    /// Not now, perhaps in a moment: what waits goes on waiting.
    Busy,
}

impl Speaker {
    /// Speaks until `cancel`, or until the store is closed.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), StoreError> {
        let mut written = self.store.notices_written();
        let mut pace = Pace::default();
        loop {
            written.mark_unchanged();
            let rest = self.round(&mut pace).await?;
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                changed = written.changed(), if rest.listens => if changed.is_err() { return Ok(()) },
                () = tokio::time::sleep(rest.pause) => {}
            }
        }
    }

    async fn round(&self, pace: &mut Pace) -> Result<Rest, StoreError> {
        let (mut queue, stream, untold): (Vec<Notice>, Stream, Untold) =
            self.store.read(|view| (waiting::all(view, QUEUE), view.meta(), view.meta())).await?;
        let live = stream.session.is_some_and(|session| session.phase != Phase::Ended);
        let effective = Arc::clone(&self.effective.borrow());
        let token = self.token.borrow().clone();
        let reachable = self.board.borrow().reachable;
        if queue.is_empty() && (untold.follows == 0 || !live) {
            return Ok(Rest { pause: LOOK_AGAIN, listens: true });
        }
        match (self.mouth(&effective, live, reachable), token) {
            (Mouth::Shut, _) => {
                // At once: what came before a stream is not to be told as if it came with it.
                self.withhold(&queue).await?;
                Ok(Rest { pause: LOOK_AGAIN, listens: true })
            }
            (Mouth::Open, Some(token)) => {
                if untold.follows > 0 {
                    self.tell_untold(&token, untold.follows).await?;
                }
                let settings = settings(&effective.config.notices);
                let wording = Wording {
                    server: &effective.facts.name,
                    forbidden: &effective.facts.forbidden_usernames,
                };
                let now = Timestamp::now();
                let Plan { say, dropped, again, pace: after } = plan(&queue, pace, &settings, &wording, now);
                *pace = after;
                if !dropped.is_empty() {
                    self.metrics.notices(NoticeOutcome::Withheld, dropped.len() as u64);
                    self.claim(dropped, 0).await?;
                }
                for say in say {
                    self.say(&token, say, &mut queue).await?;
                }
                let pause = again.map_or(LOOK_AGAIN, |again| again.duration_since(now).unsigned_abs());
                let pause = pause.clamp(Duration::from_millis(1), LOOK_AGAIN);
                Ok(Rest { pause, listens: again.is_none() })
            }
            _ => Ok(Rest { pause: LOOK_AGAIN / 4, listens: false }),
        }
    }

    fn mouth(&self, effective: &Effective, live: bool, reachable: bool) -> Mouth {
        let facts = &effective.facts;
        if !facts.known {
            return Mouth::Busy;
        }
        let wanted = facts.show_engagement && !facts.chat_disabled;
        let heard = live || effective.config.notices.when == NoticeWhen::Always;
        match (wanted && heard, reachable) {
            (false, _) => Mouth::Shut,
            (true, false) => Mouth::Busy,
            (true, true) => Mouth::Open,
        }
    }

    /// Takes notices out of the queue without saying them; new followers are told of in one line at the next start.
    async fn withhold(&self, queue: &[Notice]) -> Result<(), StoreError> {
        if queue.is_empty() {
            return Ok(());
        }
        let follows = queue.iter().filter(|notice| notice.kind == NoticeKind::Follow).count() as u64;
        self.metrics.notices(NoticeOutcome::Withheld, queue.len() as u64);
        let notices = &self.effective.borrow().config.notices.clone();
        let told = notices.follow != NoticeStyle::Off && notices.max_per_minute > 0;
        self.claim(queue.iter().map(|notice| notice.id).collect(), if told { follows } else { 0 }).await
    }

    async fn claim(&self, notices: Vec<Ulid>, untold: u64) -> Result<(), StoreError> {
        self.store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                waiting::take(&mut draft, notices);
                if untold > 0 {
                    let before: Untold = view.meta();
                    draft.put_meta(&Untold { follows: before.follows.saturating_add(untold) });
                }
                (draft.into_changes(), ())
            })
            .await
    }

    async fn tell_untold(&self, token: &Secret, follows: u64) -> Result<(), StoreError> {
        self.store
            .commit(|view| {
                let mut draft = Draft::new(view);
                draft.put_meta(&Untold::default());
                (draft.into_changes(), ())
            })
            .await?;
        let plural = if follows == 1 { "" } else { "s" };
        let body = format!("<p>Since last time: {follows} new follower{plural}.</p>");
        let result = self.speak(token, Style::Line, &body).await;
        if let Err(OwncastError::WrongToken { .. }) = result {
            self.refused(token);
            return self.claim(Vec::new(), follows).await;
        }
        self.sent(result, NoticeOutcome::Merged, follows);
        Ok(())
    }

    /// Takes the token away that Owncast does not know any more, unless there is another by now.
    fn refused(&self, token: &Secret) {
        self.token.send_if_modified(|known| known.take_if(|known| known == token).is_some());
    }

    /// Says something of the queue, and takes out of it what that tells.
    async fn say(&self, token: &Secret, say: Say, queue: &mut Vec<Notice>) -> Result<(), StoreError> {
        let many = say.notices.len() as u64;
        let told: HashSet<Ulid> = say.notices.iter().copied().collect();
        let claimed: Vec<Notice> = queue.extract_if(.., |notice| told.contains(&notice.id)).collect();
        self.claim(say.notices, 0).await?;
        let result = self.speak(token, say.style, &say.body).await;
        if let Err(OwncastError::WrongToken { .. }) = result {
            // Refused at the door: surely not said.
            self.refused(token);
            return self.put_back(claimed).await;
        }
        self.sent(result, if many == 1 { NoticeOutcome::Sent } else { NoticeOutcome::Merged }, many);
        Ok(())
    }

    async fn speak(&self, token: &Secret, style: Style, body: &str) -> Result<(), OwncastError> {
        if self.board.borrow().sources.websocket.way == Way::Works {
            self.confirmations.expect(body, Instant::now());
        }
        let result = match style {
            Style::Card => self.api.say_system(token, body).await,
            Style::Bot => self.api.say_bot(token, body).await,
            Style::Line | Style::Off => self.api.say_action(token, body).await,
        };
        // Without an answer it may have been said all the same.
        if result.as_ref().is_err_and(|error| !error.is_transient()) {
            self.confirmations.forget(body);
        }
        result
    }

    async fn put_back(&self, notices: Vec<Notice>) -> Result<(), StoreError> {
        self.store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                notices.iter().for_each(|notice| waiting::add(&mut draft, notice));
                (draft.into_changes(), ())
            })
            .await
    }

    fn sent(&self, result: Result<(), OwncastError>, outcome: NoticeOutcome, many: u64) {
        match result {
            Ok(()) => {
                self.metrics.notices(outcome, many);
                tracing::debug!(target: "herald::notice", notices = many, "told the chat");
            }
            Err(error) => {
                self.metrics.notices(NoticeOutcome::Failed, many);
                tracing::warn!(target: "herald::notice", %error, notices = many, "the chat could not be told");
            }
        }
    }
}

fn settings(config: &NoticesConfig) -> Settings {
    let style = |style: NoticeStyle| match style {
        NoticeStyle::Card => Style::Card,
        NoticeStyle::Line => Style::Line,
        NoticeStyle::Bot => Style::Bot,
        NoticeStyle::Off => Style::Off,
    };
    Settings {
        max_per_minute: config.max_per_minute,
        burst_window: config.burst_window,
        follow: style(config.follow),
        like: style(config.like),
        announce: style(config.announce),
    }
}
