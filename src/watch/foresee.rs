//! What an observer is told instead of its being done in Owncast.

use url::Url;

use super::memory::Memory;
use super::settle::LOOK_EVERY;
use super::{Setback, Watcher};
use crate::agent::observe::Observer;
use crate::owncast::Secret;
use crate::owncast::footprint::Footprint;
use crate::owncast::provision::{self, Action, Wanted, Why, Wish};

impl Watcher {
    /// Tells what would be made and deleted in Owncast.
    pub(super) async fn foresee_footprint(
        &self,
        observer: &Observer,
        memory: &mut Memory,
    ) -> Result<(), Setback> {
        let footprint: Footprint = self.store.read(|view| view.meta()).await?;
        let version = memory.version.ok_or_else(|| Setback::unknown_version(self.api.base().to_string()))?;
        let address = format!("{}{}{}", memory.webhook_base, provision::HOOK_PREFIX, footprint.path);
        let webhook_url = Url::parse(&address)
            .map_err(|error| Setback::Webhook(format!("the webhook address is unusable ({error})")))?;
        let wanted = Wanted {
            webhook_url,
            secret: Secret::new(footprint.secret.as_str()),
            webhook: Wish::Have,
            token: Wish::Have,
            refused_token: None,
            replace: self.permissions.replace,
        };
        let listed = provision::look(&self.api).await?;
        let stored = &footprint.provisioned;
        match provision::plan(&listed.webhooks, &listed.tokens, stored, &wanted, version) {
            Ok(plan) => {
                for action in &plan.actions {
                    observer.would_once(&worded(action, &memory.webhook_base));
                }
                if self.config.borrow().owncast.websocket {
                    observer.would_once("connect to Owncast's chat while nobody streams");
                }
            }
            Err(error) => observer.would_once(&format!("stop here: {error}")),
        }
        memory.footprint = memory.now() + LOOK_EVERY;
        Ok(())
    }

    /// Tells that Owncast's own go-live message would move here.
    pub(super) fn foresee_takeover(&self, message: &str) {
        if let Some(observer) = &self.observer {
            observer.would_once(&format!(
                "keep Owncast's go-live message as the text of its posts, and empty it in Owncast:\n{message}"
            ));
        }
    }

    /// Tells that the text would go back into Owncast's field.
    pub(super) fn foresee_return(&self, message: &str) {
        if let Some(observer) = &self.observer {
            observer.would_once(&format!("put the go-live message back into Owncast:\n{message}"));
        }
    }
}

fn worded(action: &Action, webhook_base: &str) -> String {
    match action {
        Action::CreateWebhook => format!("register a webhook in Owncast that calls {webhook_base}"),
        Action::CreateToken => {
            format!("make an access token in Owncast named \"{}\"", provision::TOKEN_NAME)
        }
        Action::DeleteWebhook { id, why } => format!("delete webhook {id} in Owncast, {}", reason(*why)),
        Action::DeleteToken { why, .. } => format!("delete an access token in Owncast, {}", reason(*why)),
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::OldAddress => "which is its own and calls an old address",
        Why::Duplicate => "which is its own a second time",
        Why::Incomplete => "which is its own and lacks something",
        Why::Unsigned => "which is its own and has no secret of its own",
        Why::Refused => "which is its own and is refused",
        Why::Unwanted => "which is its own and not wanted now",
        Why::Replaced => "which is another agent's",
        Why::Leaving => "which is its own",
    }
}
