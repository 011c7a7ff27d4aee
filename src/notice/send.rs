//! Says notices in Owncast's chat. A notice is claimed on disk before it is sent, and never sent twice: what a crash
//! catches between the two is counted and not said. Only what surely did not reach Owncast is put back.

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
use crate::decide::{publish, waiting};
use crate::model::Draft;
use crate::model::notices::{Notice, NoticeKind};
use crate::model::stream::{Phase, Session, Stream};
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

impl Rest {
    /// Nothing can be said at the moment.
    const BUSY: Rest = Rest { pause: Duration::from_millis(500), listens: false };
}

/// What the speaker knows from one look at the queue to the next.
#[derive(Debug, Default)]
struct Knows {
    pace: Pace,
    /// This process has seen the stream run or be over. What the store says of it may have been long ago.
    stream: bool,
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
        let mut knows = Knows::default();
        loop {
            written.mark_unchanged();
            let rest = self.round(&mut knows).await?;
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                changed = written.changed(), if rest.listens => if changed.is_err() { return Ok(()) },
                () = tokio::time::sleep(rest.pause) => {}
            }
        }
    }

    async fn round(&self, knows: &mut Knows) -> Result<Rest, StoreError> {
        let (mut queue, stream, untold): (Vec<Notice>, Stream, Untold) =
            self.store.read(|view| (waiting::all(view, QUEUE), view.meta(), view.meta())).await?;
        let session = stream.session.filter(|session| session.phase != Phase::Ended);
        let effective = Arc::clone(&self.effective.borrow());
        let token = self.token.borrow().clone();
        // Between two connections nobody knows yet whether it is over.
        knows.stream |= !matches!(self.board.borrow().stream.as_str(), "" | "lost");
        let now = Timestamp::now();
        let due = knows.stream
            && session
                .as_ref()
                .is_some_and(|session| is_watched(session, effective.config.go_live.delay, now));
        let untold = if due { untold.follows } else { 0 };
        if queue.is_empty() && untold == 0 {
            return Ok(Rest { pause: LOOK_AGAIN, listens: true });
        }
        match (self.mouth(&effective, session.is_some(), knows.stream), token) {
            (Mouth::Shut, _) => {
                // At once: what came before a stream is not to be told as if it came with it.
                self.withhold(&queue).await?;
                Ok(Rest { pause: LOOK_AGAIN, listens: true })
            }
            (Mouth::Open, Some(token)) => {
                if untold > 0 && !self.tell_untold(&token, &effective.config.notices, untold).await? {
                    return Ok(Rest::BUSY);
                }
                let settings = settings(&effective.config.notices);
                let wording = Wording {
                    server: &effective.facts.name,
                    forbidden: &effective.facts.forbidden_usernames,
                };
                let now = Timestamp::now();
                let Plan { say, dropped, again, pace } = plan(&queue, &knows.pace, &settings, &wording, now);
                let before = std::mem::replace(&mut knows.pace, pace);
                if !dropped.is_empty() {
                    self.metrics.notices(NoticeOutcome::Withheld, dropped.len() as u64);
                    self.claim(dropped, 0).await?;
                }
                for (said, say) in say.into_iter().enumerate() {
                    if !self.say(&token, say, &mut queue).await? {
                        if said == 0 {
                            knows.pace = before;
                        }
                        return Ok(Rest::BUSY);
                    }
                }
                let pause = again.map_or(LOOK_AGAIN, |again| again.duration_since(now).unsigned_abs());
                let pause = pause.clamp(Duration::from_millis(1), LOOK_AGAIN);
                Ok(Rest { pause, listens: again.is_none() })
            }
            _ => Ok(Rest::BUSY),
        }
    }

    fn mouth(&self, effective: &Effective, live: bool, known: bool) -> Mouth {
        let facts = &effective.facts;
        if !facts.known {
            return Mouth::Busy;
        }
        let wanted = facts.show_engagement && !facts.chat_disabled;
        let always = effective.config.notices.when == NoticeWhen::Always;
        match (wanted && (live || always), self.board.borrow().reachable && (known || always)) {
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
        let told = tells_of_follows(&self.effective.borrow().config.notices);
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

    /// Tells how many have followed since the last stream. False if nobody was told, and it is to be tried again.
    async fn tell_untold(
        &self,
        token: &Secret,
        notices: &NoticesConfig,
        follows: u64,
    ) -> Result<bool, StoreError> {
        self.store
            .commit(|view| {
                let mut draft = Draft::new(view);
                draft.put_meta(&Untold::default());
                (draft.into_changes(), ())
            })
            .await?;
        if !tells_of_follows(notices) {
            return Ok(true);
        }
        let plural = if follows == 1 { "" } else { "s" };
        let body = format!("<p>Since last time: {follows} new follower{plural}.</p>");
        let result = self.speak(token, Style::Line, &body).await;
        if self.is_unsaid(token, &result) {
            self.claim(Vec::new(), follows).await?;
            return Ok(false);
        }
        self.sent(result, NoticeOutcome::Merged, follows);
        Ok(true)
    }

    /// Whether surely nobody has heard it. A token that Owncast does not know any more is taken away then, unless there
    /// is another by now.
    fn is_unsaid(&self, token: &Secret, result: &Result<(), OwncastError>) -> bool {
        let Err(error) = result else { return false };
        if let OwncastError::WrongToken { .. } = error {
            self.token.send_if_modified(|known| known.take_if(|known| known == token).is_some());
        }
        error.is_undone()
    }

    /// Says something of the queue, and takes out of it what that tells. False if it waits in it again: nobody was told.
    async fn say(&self, token: &Secret, say: Say, queue: &mut Vec<Notice>) -> Result<bool, StoreError> {
        let many = say.notices.len() as u64;
        let told: HashSet<Ulid> = say.notices.iter().copied().collect();
        let claimed: Vec<Notice> = queue.extract_if(.., |notice| told.contains(&notice.id)).collect();
        self.claim(say.notices, 0).await?;
        let result = self.speak(token, say.style, &say.body).await;
        if self.is_unsaid(token, &result) {
            self.put_back(claimed).await?;
            return Ok(false);
        }
        self.sent(result, if many == 1 { NoticeOutcome::Sent } else { NoticeOutcome::Merged }, many);
        Ok(true)
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
        if result.as_ref().is_err_and(|error| error.is_undone() || !error.is_transient()) {
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

/// Whether there is somebody in chat to be told of what came before the stream: an action is not in the history, and
/// viewers come once they can watch or have read of it.
fn is_watched(session: &Session, delay: Duration, now: Timestamp) -> bool {
    match session.phase {
        Phase::Live => true,
        Phase::Connecting => publish::lasted(session.connected, now) >= delay,
        Phase::Lost | Phase::Ended => false,
    }
}

fn tells_of_follows(config: &NoticesConfig) -> bool {
    config.follow != NoticeStyle::Off && config.max_per_minute > 0
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

#[cfg(test)]
mod tests;
