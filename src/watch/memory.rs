//! What the watcher remembers between rounds; all of it can be lost.

use std::time::Instant;

use jiff::Timestamp;

use super::hook::Hook;
use super::pace::{Hurry, Lane, Losses, Tick};
use super::{FACTS_EVERY, fresh, socket};
use crate::media::recognise::Hash;
use crate::model::stream::Phase;
use crate::owncast::types::Status;
use crate::owncast::versions::Version;

/// A start seen by polling that the webhook told of within so long before was told.
const TOLD_WITHIN: Tick = Tick::from_secs(10);
/// A start seen by polling has so long to be told of by the webhook.
const TOLD_AFTER: Tick = Tick::from_secs(5);

pub(super) struct Memory {
    started: Instant,
    /// The public status.
    pub(super) status: Lane,
    /// Everything behind the admin password.
    pub(super) admin: Lane,
    pub(super) hurry: Hurry,
    pub(super) facts_read: Option<Timestamp>,
    pub(super) logos: Vec<Hash>,
    /// Why the stream's picture was refused last.
    pub(super) picture_problem: Option<String>,
    /// Why Owncast's go-live message could not be changed the last time.
    pub(super) take_over_problem: Option<String>,
    /// When the logo was last looked at.
    pub(super) logo_read: Option<Timestamp>,
    /// The other identity that was warned of.
    pub(super) warned_of: Option<crate::model::Addresses>,
    /// What Owncast said it is.
    pub(super) version: Option<Version>,
    /// When webhook and token are looked for next.
    pub(super) footprint: Tick,
    /// Another agent has its webhook in Owncast.
    pub(super) rival: bool,
    pub(super) hook: Hook,
    pub(super) hook_losses: Losses,
    pub(super) token_losses: Losses,
    /// Fingerprint of the token in use.
    pub(super) token: Option<String>,
    /// Fingerprint of the token that Owncast refused.
    pub(super) refused_token: Option<String>,
    /// Admin user and fingerprint of the password.
    pub(super) admin_user: Option<(String, String)>,
    /// The webhook listener's address as Owncast reaches it.
    pub(super) webhook_base: String,
    /// The encoder's connection as last seen; the outer is unknown after Owncast was away.
    connection: Option<Option<Timestamp>>,
    /// When the webhook last told of a start.
    told_of_start: Option<Tick>,
    /// Until when the webhook may tell of the start that was seen.
    untold_start: Option<Tick>,
    /// Where the session is.
    pub(super) phase: Option<Phase>,
    pub(super) socket: socket::Keeper,
    /// What was said of each lane's trouble.
    pub(super) said_of_status: Option<String>,
    pub(super) said_of_admin: Option<String>,
    /// What is wrong with making the token.
    pub(super) token_trouble: Option<String>,
    pub(super) clock_is_off: bool,
}

impl Memory {
    pub(super) fn new() -> Self {
        Memory {
            started: Instant::now(),
            status: Lane::default(),
            admin: Lane::default(),
            hurry: Hurry::default(),
            facts_read: None,
            logos: Vec::new(),
            picture_problem: None,
            take_over_problem: None,
            logo_read: None,
            warned_of: None,
            version: None,
            footprint: Tick::ZERO,
            rival: false,
            hook: Hook::default(),
            hook_losses: Losses::default(),
            token_losses: Losses::default(),
            token: None,
            refused_token: None,
            admin_user: None,
            webhook_base: String::new(),
            connection: None,
            told_of_start: None,
            untold_start: None,
            phase: None,
            socket: socket::Keeper::default(),
            said_of_status: None,
            said_of_admin: None,
            token_trouble: None,
            clock_is_off: false,
        }
    }

    pub(super) fn now(&self) -> Tick {
        self.started.elapsed()
    }

    /// When the admin lane is wanted next; at most `now` when it is wanted already.
    pub(super) fn admin_wants(&self, now: Tick) -> Tick {
        let facts = match self.facts_read {
            Some(read) if fresh(read, Timestamp::now(), FACTS_EVERY) => {
                now + FACTS_EVERY.saturating_sub(Timestamp::now().duration_since(read).unsigned_abs())
            }
            _ => now,
        };
        facts.min(self.footprint).min(self.untold_start.unwrap_or(Tick::MAX))
    }

    /// Chat or websocket refused the token: it is looked after at once.
    pub(super) fn refuse_token(&mut self) {
        if let Some(token) = self.token.take() {
            self.refused_token = Some(token);
            self.footprint = self.now();
        }
    }

    /// Owncast was away: it may be another one, an older one from a backup, or have another network.
    pub(super) fn doubt_everything(&mut self) {
        let now = self.now();
        self.connection = None;
        self.untold_start = None;
        self.hook.doubt();
        self.footprint = now;
        self.admin.open(now);
    }

    /// Compares the encoder's connection with the last one: a start that the webhook does not tell of is suspicious.
    pub(super) fn see_connection(&mut self, status: &Status) {
        let now = self.now();
        let connected = status.last_connect_time;
        let before = self.connection.replace(connected);
        let began = before.is_some_and(|before| connected.is_some() && before != connected);
        let told = self.told_of_start.is_some_and(|at| now.saturating_sub(at) < TOLD_WITHIN);
        if began && !told && self.hook.is_proved() {
            self.untold_start = Some(now + TOLD_AFTER);
        }
    }

    /// No encoder is connected, as last seen; `None` when that is not known.
    pub(super) fn is_quiet(&self) -> Option<bool> {
        let connection = self.connection.filter(|_| self.status.works())?;
        Some(connection.is_none() && matches!(self.phase, None | Some(Phase::Ended)))
    }

    /// The webhook told of a start.
    pub(super) fn told_of_start(&mut self) {
        self.told_of_start = Some(self.now());
        self.untold_start = None;
    }

    /// True once when a start was seen and the webhook said nothing of it.
    pub(super) fn missed_a_start(&mut self) -> bool {
        let missed = self.untold_start.is_some_and(|until| self.now() >= until);
        if missed {
            self.untold_start = None;
        }
        missed
    }
}
