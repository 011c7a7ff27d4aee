//! Settles what is ours in Owncast: one webhook and one access token, found again after every restart.
//!
//! [`plan`] decides from lists alone; [`look`] fetches them, [`settle`] and [`remove`] carry out. Ours is a webhook that
//! calls our own secret address, or one whose id *and* address are remembered (an id alone may belong to somebody else
//! after Owncast was set up anew), and the token whose fingerprint is remembered. Nothing else is ever touched,
//! except another agent's when the operator says `--replace`.
//!
//! A crash leaves no second one behind: our webhook is known by its address, which is on disk before the first is made,
//! and before a token is made the tokens that bear its name already are written down, so that the one more is ours.

use serde::{Deserialize, Serialize};
use url::Url;

use super::api::Api;
use super::error::OwncastError;
use super::types::{Token, Webhook};
use super::versions::Version;
use crate::config::run_once;
use crate::model::Secret;
use crate::model::secret::fingerprint;

/// First part of the path of every agent's webhook; the secret follows.
pub const HOOK_PREFIX: &str = "/herald/hook/";
/// Events subscribed to; every Owncast since 0.1 knows them.
pub const EVENTS: [&str; 4] =
    ["STREAM_STARTED", "STREAM_STOPPED", "STREAM_TITLE_UPDATED", "VISIBILITY-UPDATE"];
/// Name of the token, and of the bot in chat.
pub const TOKEN_NAME: &str = "Fediverse";
/// Scopes of the token; none implies another.
pub const SCOPES: [&str; 2] = ["CAN_SEND_MESSAGES", "CAN_SEND_SYSTEM_MESSAGES"];
/// The secret that Owncast's 0.3.0 migration gave to every older webhook: it signs nothing.
const MIGRATED_SECRET: &str = "abc123";

/// What is ours in Owncast, to be stored; it holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioned {
    /// Our webhook.
    pub webhook: Option<OurWebhook>,
    /// SHA-256 of our access token, 64 hex digits. Owncast gives no id when it makes one.
    pub token_fingerprint: Option<String>,
    /// While a token is being made: fingerprints of the tokens of its name that were there before.
    pub namesakes: Option<Vec<String>>,
}

/// Our webhook as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OurWebhook {
    /// Owncast's row id.
    pub id: i64,
    /// SHA-256 of the address it calls.
    pub url_fingerprint: String,
    /// SHA-256 of its signing secret; absent when made on an Owncast that does not sign.
    pub secret_fingerprint: Option<String>,
}

/// What is to be there.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The address Owncast shall call, secret path included.
    pub webhook_url: Url,
    /// The signing secret, used from Owncast 0.3 on.
    pub secret: Secret,
    /// What to do about the webhook.
    pub webhook: Wish,
    /// What to do about the token.
    pub token: Wish,
    /// Fingerprint of a token that Owncast refuses although it lists it.
    pub refused_token: Option<String>,
    /// Delete another agent's webhook and token instead of stopping.
    pub replace: bool,
}

/// What to do about one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It shall be there.
    Have,
    /// It may stay if it is good, and is not made.
    Keep,
    /// It shall not be there.
    Away,
}

/// One change made in Owncast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A webhook was deleted.
    DeleteWebhook {
        /// Owncast's row id.
        id: i64,
        /// Why.
        why: Why,
    },
    /// Our webhook was made.
    CreateWebhook,
    /// The token of this place in the list was deleted.
    DeleteToken {
        /// Its fingerprint.
        fingerprint: String,
        /// Why.
        why: Why,
    },
    /// Our token was made.
    CreateToken,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Action::DeleteWebhook { id, why } => write!(f, "deleted webhook {id} in Owncast: {why}"),
            Action::CreateWebhook => f.write_str("made a webhook in Owncast"),
            Action::DeleteToken { why, .. } => write!(f, "deleted an access token in Owncast: {why}"),
            Action::CreateToken => write!(f, "made the access token \"{TOKEN_NAME}\" in Owncast"),
        }
    }
}

/// Why something was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is ours, but calls an address we no longer listen at.
    OldAddress,
    /// It is ours a second time.
    Duplicate,
    /// It is ours, with other events or scopes than needed now.
    Incomplete,
    /// It is ours, but signs with no secret, an old one, or the one every migrated webhook has.
    Unsigned,
    /// It is ours, and Owncast refuses it although it lists it.
    Refused,
    /// It is ours and not wanted at the moment.
    Unwanted,
    /// It is another agent's, and the operator said `--replace`.
    Replaced,
    /// We are leaving.
    Leaving,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Why::OldAddress => "it is ours, and calls an address that nobody listens at any more",
            Why::Duplicate => "it is ours a second time",
            Why::Incomplete => "it is ours, and has other events or scopes than are needed now",
            Why::Unsigned => "it is ours, and does not sign with our secret",
            Why::Refused => "it is ours, and Owncast refuses it",
            Why::Unwanted => "it is ours, and not wanted at the moment",
            Why::Replaced => "it is another agent's, which this one replaces",
            Why::Leaving => "it is ours, and no longer needed",
        })
    }
}

/// Why nothing could be settled.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProvisionError {
    /// Another herald serves this Owncast.
    #[error(
        "another owncast-herald is registered in this Owncast (webhook {id} to {host}); stop that one first, or delete its webhook and token with {}",
        run_once("--replace", "made a webhook in Owncast")
    )]
    AnotherAgent {
        /// Owncast's row id of its webhook.
        id: i64,
        /// Host and port it is called at, without the secret path.
        host: String,
    },
    /// Owncast could not be asked.
    #[error(transparent)]
    Owncast(#[from] OwncastError),
    /// What was made, or is about to be, could not be written down: nothing more is made.
    #[error("what is made in Owncast cannot be written down; check the disk of the store")]
    Forgetful,
}

/// What to do; pure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// In order.
    pub actions: Vec<Action>,
    /// Our webhook that stays.
    pub webhook: Option<OurWebhook>,
    /// Our token that stays.
    pub token: Option<Secret>,
}

/// Compares what is with what shall be.
///
/// # Errors
/// [`ProvisionError::AnotherAgent`] when somebody else's herald is registered and `replace` is off.
pub fn plan(
    webhooks: &[Webhook],
    tokens: &[Token],
    stored: &Provisioned,
    wanted: &Wanted,
    version: Version,
) -> Result<Plan, ProvisionError> {
    let mut plan = Plan { actions: Vec::new(), webhook: None, token: None };
    for webhook in webhooks {
        match judge_webhook(webhook, stored, wanted, version) {
            Judgement::Foreign => {}
            Judgement::Agent if !wanted.replace => {
                return Err(ProvisionError::AnotherAgent { id: webhook.id, host: host_of(&webhook.url) });
            }
            Judgement::Agent => plan.delete_webhook(webhook, Why::Replaced),
            Judgement::Ours(None) if wanted.webhook == Wish::Away => {
                plan.delete_webhook(webhook, Why::Unwanted)
            }
            Judgement::Ours(Some(why)) => plan.delete_webhook(webhook, why),
            Judgement::Ours(None) if plan.webhook.is_some() => plan.delete_webhook(webhook, Why::Duplicate),
            Judgement::Ours(None) => plan.webhook = Some(describe(webhook, wanted, version)),
        }
    }
    if plan.webhook.is_none() && wanted.webhook == Wish::Have {
        plan.actions.push(Action::CreateWebhook);
    }
    for token in tokens {
        let fingerprint = token.access_token.fingerprint();
        let complete = same_set(&token.scopes, &SCOPES);
        let unwanted = match () {
            () if wanted.token == Wish::Away => Some(Why::Unwanted),
            () if wanted.refused_token.as_ref() == Some(&fingerprint) => Some(Why::Refused),
            () if !complete => Some(Why::Incomplete),
            () => None,
        };
        match unwanted {
            None if is_our_token(token, stored) && plan.token.is_none() => {
                plan.token = Some(token.access_token.clone());
            }
            Some(why) if is_our_token(token, stored) => {
                plan.actions.push(Action::DeleteToken { fingerprint, why });
            }
            _ if wanted.replace && complete && token.display_name == TOKEN_NAME => {
                plan.actions.push(Action::DeleteToken { fingerprint, why: Why::Replaced });
            }
            _ => {}
        }
    }
    if plan.token.is_none() && wanted.token == Wish::Have {
        plan.actions.push(Action::CreateToken);
    }
    Ok(plan)
}

/// The remembered one, or one that was made when a crash or a lost answer kept it from being remembered.
fn is_our_token(token: &Token, stored: &Provisioned) -> bool {
    let fingerprint = token.access_token.fingerprint();
    let newly = |before: &Vec<String>| {
        token.display_name == TOKEN_NAME && same_set(&token.scopes, &SCOPES) && !before.contains(&fingerprint)
    };
    stored.token_fingerprint.as_ref() == Some(&fingerprint) || stored.namesakes.as_ref().is_some_and(newly)
}

/// Everybody's webhooks and tokens, as Owncast lists them.
#[derive(Debug, Clone)]
pub struct Listed {
    /// All webhooks.
    pub webhooks: Vec<Webhook>,
    /// All access tokens.
    pub tokens: Vec<Token>,
}

impl Listed {
    /// Our remembered webhook is gone: nobody but somebody else can have deleted it.
    pub fn lacks_webhook(&self, stored: &Provisioned) -> bool {
        let is_there = |our: &OurWebhook| {
            let mut webhooks = self.webhooks.iter();
            webhooks.any(|one| one.id == our.id && fingerprint(&one.url) == our.url_fingerprint)
        };
        stored.webhook.as_ref().is_some_and(|our| !is_there(our))
    }

    /// Our remembered token is gone.
    pub fn lacks_token(&self, stored: &Provisioned) -> bool {
        let is_there =
            |our: &String| self.tokens.iter().any(|token| token.access_token.fingerprint() == *our);
        stored.token_fingerprint.as_ref().is_some_and(|our| !is_there(our))
    }
}

/// Asks Owncast for both lists.
///
/// # Errors
/// [`OwncastError`].
pub async fn look(api: &Api) -> Result<Listed, OwncastError> {
    Ok(Listed { webhooks: api.webhooks().await?, tokens: api.tokens().await? })
}

impl Plan {
    fn delete_webhook(&mut self, webhook: &Webhook, why: Why) {
        self.actions.push(Action::DeleteWebhook { id: webhook.id, why });
    }
}

enum Judgement {
    Foreign,
    Agent,
    Ours(Option<Why>),
}

fn judge_webhook(webhook: &Webhook, stored: &Provisioned, wanted: &Wanted, version: Version) -> Judgement {
    let called = fingerprint(&webhook.url);
    let remembered =
        stored.webhook.as_ref().filter(|our| our.id == webhook.id && our.url_fingerprint == called);
    let calls_us = webhook.url == wanted.webhook_url.as_str();
    if !calls_us {
        return match remembered {
            Some(_) => Judgement::Ours(Some(Why::OldAddress)),
            None if is_agents(&webhook.url) => Judgement::Agent,
            None => Judgement::Foreign,
        };
    }
    if !same_set(&webhook.events, &EVENTS) {
        return Judgement::Ours(Some(Why::Incomplete));
    }
    if version.signs_webhooks() {
        let given = remembered
            .is_some_and(|our| our.secret_fingerprint.as_ref() == Some(&wanted.secret.fingerprint()));
        let signs = match webhook.secret.as_ref().map(Secret::expose) {
            Some(listed) if listed == wanted.secret.expose() => true,
            Some("" | MIGRATED_SECRET) => false,
            // Hidden, perhaps behind asterisks: only our own memory of having given this secret counts.
            Some(_) | None => given,
        };
        if !signs {
            return Judgement::Ours(Some(Why::Unsigned));
        }
    }
    Judgement::Ours(None)
}

fn describe(webhook: &Webhook, wanted: &Wanted, version: Version) -> OurWebhook {
    OurWebhook {
        id: webhook.id,
        url_fingerprint: fingerprint(&webhook.url),
        secret_fingerprint: version.signs_webhooks().then(|| wanted.secret.fingerprint()),
    }
}

fn is_agents(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.path().starts_with(HOOK_PREFIX))
}

fn host_of(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => url.origin().ascii_serialization(),
        Err(_) => "an unreadable address".to_owned(),
    }
}

fn same_set(have: &[String], want: &[&str]) -> bool {
    have.len() == want.len() && want.iter().all(|one| have.iter().any(|other| other == one))
}

/// Where what is ours in Owncast is written down.
pub trait Ledger {
    /// Writes it down; what is written survives a crash once this answers true.
    fn write(&self, now: &Provisioned) -> impl Future<Output = bool> + Send;
}

/// What [`settle`] settled.
#[derive(Debug, Clone)]
pub struct Settled {
    /// As it is written down.
    pub provisioned: Provisioned,
    /// The token, for chat and websocket; `None` when none was there and none was to be made.
    pub token: Option<Secret>,
    /// What was changed in Owncast, in order.
    pub taken: Vec<Action>,
}

/// Brings Owncast from what is listed to what is wanted. Everything that is made stands in the ledger before the next
/// thing is made.
///
/// # Errors
/// [`ProvisionError`]. Running it again continues.
pub async fn settle(
    api: &Api,
    listed: &Listed,
    stored: &Provisioned,
    wanted: &Wanted,
    version: Version,
    ledger: &(impl Ledger + Sync),
) -> Result<Settled, ProvisionError> {
    let plan = plan(&listed.webhooks, &listed.tokens, stored, wanted, version)?;
    let mut book = Book { ledger, written: stored.clone() };
    let mut now = stored.clone();
    // What is to be deleted stays remembered as ours until it is.
    if plan.webhook.is_some() || listed.lacks_webhook(stored) {
        now.webhook.clone_from(&plan.webhook);
    }
    if plan.token.is_some() || listed.lacks_token(stored) {
        now.token_fingerprint = plan.token.as_ref().map(Secret::fingerprint);
    }
    if plan.token.is_some() {
        now.namesakes = None;
    }
    book.write(&now).await?;
    let mut token = plan.token.clone();
    for action in &plan.actions {
        match action {
            Action::DeleteWebhook { id, .. } => {
                api.delete_webhook(*id).await?;
                now.webhook = now.webhook.filter(|our| our.id != *id);
            }
            Action::CreateWebhook => {
                let made = api.create_webhook(&wanted.webhook_url, &EVENTS, &wanted.secret).await?;
                now.webhook = Some(describe(&made, wanted, version));
            }
            Action::DeleteToken { fingerprint, .. } => {
                delete_token(api, &listed.tokens, fingerprint).await?;
                now.token_fingerprint = now.token_fingerprint.filter(|our| our != fingerprint);
            }
            Action::CreateToken => {
                let namesakes = listed.tokens.iter().filter(|token| token.display_name == TOKEN_NAME);
                now.namesakes = Some(namesakes.map(|token| token.access_token.fingerprint()).collect());
                book.write(&now).await?;
                let made = api.create_token(TOKEN_NAME, &SCOPES).await?.access_token;
                now.token_fingerprint = Some(made.fingerprint());
                now.namesakes = None;
                token = Some(made);
            }
        }
        book.write(&now).await?;
    }
    Ok(Settled { provisioned: now, token, taken: plan.actions })
}

/// The ledger, which is written only when something changed.
struct Book<'a, L> {
    ledger: &'a L,
    written: Provisioned,
}

impl<L: Ledger> Book<'_, L> {
    async fn write(&mut self, now: &Provisioned) -> Result<(), ProvisionError> {
        if *now != self.written {
            if !self.ledger.write(now).await {
                return Err(ProvisionError::Forgetful);
            }
            self.written = now.clone();
        }
        Ok(())
    }
}

/// Removes what is ours, for good: the remembered webhook and token. `taken` gets what was removed.
///
/// # Errors
/// [`OwncastError`]. Running it again continues.
pub async fn remove(api: &Api, stored: &Provisioned, taken: &mut Vec<Action>) -> Result<(), OwncastError> {
    if let Some(our) = &stored.webhook {
        let webhooks = api.webhooks().await?;
        if webhooks.iter().any(|one| one.id == our.id && fingerprint(&one.url) == our.url_fingerprint) {
            api.delete_webhook(our.id).await?;
            taken.push(Action::DeleteWebhook { id: our.id, why: Why::Leaving });
        }
    }
    if let Some(our) = &stored.token_fingerprint {
        let tokens = api.tokens().await?;
        if tokens.iter().any(|token| token.access_token.fingerprint() == *our) {
            delete_token(api, &tokens, our).await?;
            taken.push(Action::DeleteToken { fingerprint: our.clone(), why: Why::Leaving });
        }
    }
    Ok(())
}

async fn delete_token(api: &Api, tokens: &[Token], fingerprint: &str) -> Result<(), OwncastError> {
    match tokens.iter().find(|token| token.access_token.fingerprint() == fingerprint) {
        Some(token) => api.delete_token(&token.access_token).await,
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "provision_tests.rs"]
mod tests;
