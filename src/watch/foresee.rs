//! What an observer is told instead of its being done in Owncast.

use jiff::Timestamp;
use url::Url;

use super::{Memory, Setback, Watcher};
use crate::agent::observe::Observer;
use crate::owncast::Secret;
use crate::owncast::footprint::Footprint;
use crate::owncast::provision::{self, Action, Wanted, Why};

impl Watcher {
    /// Tells what would be made and deleted in Owncast, once for each time it would be looked for.
    pub(super) async fn foresee_footprint(
        &self,
        observer: &Observer,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Result<(), Setback> {
        if memory.provisioned.is_some() {
            return Ok(());
        }
        let footprint: Footprint = self.store.read(|view| view.meta()).await?;
        let address = format!("{}{}{}", self.webhook_base, provision::HOOK_PREFIX, footprint.path);
        let webhook_url = Url::parse(&address)
            .map_err(|error| Setback::Webhook(format!("the webhook address is unusable ({error})")))?;
        let wanted = Wanted {
            webhook_url,
            secret: Secret::new(footprint.secret.as_str()),
            replace: self.permissions.replace,
        };
        let (version, webhooks, tokens) =
            (self.api.version().await?, self.api.webhooks().await?, self.api.tokens().await?);
        match provision::plan(&webhooks, &tokens, &footprint.provisioned, &wanted, version) {
            Ok(plan) => {
                for action in &plan.actions {
                    observer.would_once(&worded(action, &self.webhook_base));
                }
                if self.config.borrow().owncast.websocket {
                    observer.would_once("connect to Owncast's chat while nobody streams");
                }
            }
            Err(error) => observer.would_once(&format!("stop here: {error}")),
        }
        memory.provisioned = Some(now);
        Ok(())
    }

    /// Tells that Owncast's own go-live message would move here.
    pub(super) fn foresee_takeover(observer: &Observer, message: &str) {
        observer.would_once(&format!(
            "keep Owncast's go-live message as the text of its posts, and empty it in Owncast:\n{message}"
        ));
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
        Why::Replaced => "which is another agent's",
        Why::Leaving => "which is its own",
    }
}
