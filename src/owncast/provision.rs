//! Settles what is ours in Owncast: one webhook and one access token, found again after every restart.
//!
//! [`plan`] decides from lists alone; [`ensure`] and [`remove`] carry out. Ours is a webhook that calls our own
//! secret address, or one whose id *and* address are remembered (an id alone may belong to somebody else after
//! Owncast was set up anew), and the token whose fingerprint is remembered. Nothing else is ever touched,
//! except another agent's when the operator says `--replace`.

use serde::{Deserialize, Serialize};
use url::Url;

use super::api::Api;
use super::error::OwncastError;
use super::types::{Token, Webhook};
use super::versions::Version;
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
    /// Delete another agent's webhook and token instead of stopping.
    pub replace: bool,
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
    /// It is another agent's, and the operator said `--replace`.
    Replaced,
    /// We are leaving.
    Leaving,
}

/// Why nothing could be settled.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProvisionError {
    /// Another herald serves this Owncast.
    #[error(
        "another owncast-herald is registered in this Owncast (webhook {id} to {host}); stop that one first, or start this one with `--replace` to delete its webhook and token"
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
            Judgement::Ours(Some(why)) => plan.delete_webhook(webhook, why),
            Judgement::Ours(None) if plan.webhook.is_some() => plan.delete_webhook(webhook, Why::Duplicate),
            Judgement::Ours(None) => plan.webhook = Some(describe(webhook, wanted, version)),
        }
    }
    if plan.webhook.is_none() {
        plan.actions.push(Action::CreateWebhook);
    }
    for token in tokens {
        let fingerprint = token.access_token.fingerprint();
        let complete = same_set(&token.scopes, &SCOPES);
        if stored.token_fingerprint.as_ref() == Some(&fingerprint) {
            if complete {
                plan.token = Some(token.access_token.clone());
            } else {
                plan.actions.push(Action::DeleteToken { fingerprint, why: Why::Incomplete });
            }
        } else if wanted.replace && complete && token.display_name == TOKEN_NAME {
            plan.actions.push(Action::DeleteToken { fingerprint, why: Why::Replaced });
        }
    }
    if plan.token.is_none() {
        plan.actions.push(Action::CreateToken);
    }
    Ok(plan)
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
        let signs = match &webhook.secret {
            Some(listed) => listed.expose() == wanted.secret.expose() && listed.expose() != MIGRATED_SECRET,
            // Not revealed: only our own memory of having given this secret counts.
            None => remembered
                .is_some_and(|our| our.secret_fingerprint.as_ref() == Some(&wanted.secret.fingerprint())),
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

/// What [`ensure`] settled.
#[derive(Debug, Clone)]
pub struct Settled {
    /// To be stored.
    pub provisioned: Provisioned,
    /// The token, for chat and websocket.
    pub token: Secret,
    /// The version that was asked.
    pub version: Version,
    /// What was changed in Owncast, in order.
    pub taken: Vec<Action>,
}

/// Brings Owncast to what is wanted. `remember` is called after every step that made something, and should
/// store what it gets before it returns: so nothing piles up when a later step fails.
///
/// # Errors
/// [`ProvisionError`]. Running it again continues.
pub async fn ensure(
    api: &Api,
    stored: &Provisioned,
    wanted: &Wanted,
    mut remember: impl FnMut(&Provisioned),
) -> Result<Settled, ProvisionError> {
    let version = api.version().await?;
    let (webhooks, tokens) = (api.webhooks().await?, api.tokens().await?);
    let plan = plan(&webhooks, &tokens, stored, wanted, version)?;

    let mut now = Provisioned {
        webhook: plan.webhook.clone().or_else(|| stored.webhook.clone()),
        token_fingerprint: stored.token_fingerprint.clone(),
    };
    // A webhook found by its address alone: the memory of it was lost.
    if now != *stored {
        remember(&now);
    }
    let mut token = plan.token.clone();
    for action in &plan.actions {
        match action {
            Action::DeleteWebhook { id, .. } => {
                api.delete_webhook(*id).await?;
            }
            Action::CreateWebhook => {
                let made = api.create_webhook(&wanted.webhook_url, &EVENTS, &wanted.secret).await?;
                now.webhook = Some(describe(&made, wanted, version));
                remember(&now);
            }
            Action::DeleteToken { fingerprint, .. } => delete_token(api, &tokens, fingerprint).await?,
            Action::CreateToken => {
                let made = api.create_token(TOKEN_NAME, &SCOPES).await?.access_token;
                now.token_fingerprint = Some(made.fingerprint());
                token = Some(made);
                remember(&now);
            }
        }
    }
    let base = api.base().to_string();
    // A plan without a token to keep always makes one.
    let token = token.ok_or(OwncastError::Malformed { url: base, what: "the new access token" })?;
    Ok(Settled { provisioned: now, token, version, taken: plan.actions })
}

/// Removes what is ours, for good: the remembered webhook and token.
///
/// # Errors
/// [`OwncastError`]. Running it again continues.
pub async fn remove(api: &Api, stored: &Provisioned) -> Result<Vec<Action>, OwncastError> {
    let mut taken = Vec::new();
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
    Ok(taken)
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
