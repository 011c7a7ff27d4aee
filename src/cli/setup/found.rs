//! What is found in Owncast, and what that means for what will be done.

use std::net::SocketAddr;

use super::own::Own;
use crate::config::{HttpUrl, IdentityConfig, here};
use crate::model::Addresses;
use crate::owncast::provision::{HOOK_PREFIX, TOKEN_NAME};
use crate::owncast::types::ServerConfig;
use crate::owncast::{Api, OwncastError, life};

/// What is in Owncast.
pub(super) struct Found {
    settings: ServerConfig,
    signs_of_life: Vec<String>,
    /// Another agent has registered itself.
    another_agent: bool,
}

/// Looks; this proves the password, too. `own` is what there is of this agent.
///
/// # Errors
/// [`OwncastError`].
pub(super) async fn look(api: &Api, own: &Own) -> Result<Found, OwncastError> {
    let settings = api.server_config().await?;
    let document = api.actor_document(&settings.federation.username).await?;
    let mut of_agents = api.webhooks().await?.into_iter().filter(|webhook| webhook.url.contains(HOOK_PREFIX));
    let another_agent = of_agents.any(|webhook| own.is_of_another(webhook.id));
    Ok(Found { signs_of_life: life::signs(api, document.is_some()).await?, settings, another_agent })
}

impl Found {
    /// Whether other servers know Owncast's actor by Owncast's key.
    pub(super) fn has_lived(&self) -> bool {
        !self.signs_of_life.is_empty()
    }

    /// Owncast's server URL.
    pub(super) fn server_url(&self) -> &str {
        &self.settings.server_url
    }

    /// What the agent does in Owncast.
    pub(super) fn deeds(&self, webhook: SocketAddr) -> Vec<String> {
        let mut deeds = vec![
            format!(
                "register a webhook to {webhook}, at a secret path, which Owncast calls when something happens"
            ),
            format!(
                "make an access token \"{TOKEN_NAME}\", with which likes, shares and follows are shown in chat"
            ),
        ];
        let federation = &self.settings.federation;
        if federation.enabled && !federation.go_live_message.trim().is_empty() {
            deeds.push(
                "keep its go-live message here and empty it there, so that followers get one post and not two".to_owned(),
            );
        }
        deeds.push(format!("change nothing else; `{}` takes it all back", here().typed("disconnect")));
        deeds
    }

    /// Who an agent with this configuration is, if Owncast or that says so.
    pub(super) fn ours(&self, identity: &IdentityConfig) -> Option<Addresses> {
        let base = identity.public_url.as_ref().map_or(self.settings.server_url.as_str(), HttpUrl::as_str);
        let username = identity.username.as_deref().unwrap_or(&self.settings.federation.username);
        (!base.is_empty()).then(|| Addresses::new(base, username))
    }

    /// Who will be followed.
    pub(super) fn identity(&self, identity: &IdentityConfig) -> String {
        let Some(ours) = self.ours(identity) else { return "nothing yet, see below".to_owned() };
        let word = if self.has_lived() { "go on as" } else { "become" };
        format!("{word} @{} ({})", ours.handle(), ours.actor())
    }

    /// What stands in the way of an agent that has a key or has none.
    pub(super) fn warnings(&self, has_key: bool) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.settings.server_url.is_empty() {
            warnings.push("Owncast has no server URL. Until it is set in Owncast's admin pages (Configuration, General, Server URL), or as --public-url, there is no address to federate.".to_owned());
        }
        if self.has_lived() && !has_key {
            warnings.push(format!(
                "this actor has lived before ({}), and other servers know it by Owncast's key. The agent makes no other key and waits until you have taken that one over: {}.",
                self.signs_of_life.join(", "),
                here().typed("adopt")
            ));
        }
        if self.another_agent {
            warnings.push("another owncast-herald is registered in this Owncast. Stop that one first; this one says how to go on from it.".to_owned());
        }
        warnings
    }
}
