//! Our webhook and our token in Owncast: made once, found again, made anew when somebody deletes them, but not for ever.

use url::Url;

use super::memory::Memory;
use super::pace::Tick;
use super::{Setback, Watcher};
use crate::agent::board::Way;
use crate::decide::wishes;
use crate::model::Draft;
use crate::owncast::footprint::Footprint;
use crate::owncast::provision::{self, Ledger, ProvisionError, Provisioned, Wanted, Wish};
use crate::owncast::{OwncastError, Secret};
use crate::store::Store;

/// What is ours in Owncast is looked for this often; somebody may have deleted it.
pub(super) const LOOK_EVERY: Tick = Tick::from_secs(150);

/// How soon after a resume what is ours in Owncast is looked for.
const HELD: Tick = Tick::from_secs(2);

/// The store as the ledger of what is ours.
struct Written<'a>(&'a Store);

impl Ledger for Written<'_> {
    async fn write(&self, now: &Provisioned) -> bool {
        let made = now.clone();
        let written = self.0.commit(move |view| {
            let mut draft = Draft::new(view);
            let mut footprint: Footprint = view.meta();
            footprint.provisioned = made;
            draft.put_meta(&footprint);
            (draft.into_changes(), ())
        });
        written
            .await
            .inspect_err(|error| {
                tracing::error!(target: "herald::owncast", %error, "what is ours in Owncast cannot be written down");
            })
            .is_ok()
    }
}

impl Watcher {
    /// Brings Owncast to one webhook and one token of ours, as far as each is wanted now.
    pub(super) async fn keep_footprint(&mut self, memory: &mut Memory) -> Result<(), Setback> {
        if let Some(observer) = &self.observer {
            return self.foresee_footprint(observer, memory).await;
        }
        if self.store.read(wishes::restored).await?.is_some() {
            // They may be the old machine's, which may still be at work with them.
            memory.footprint = memory.now() + HELD;
            return Ok(());
        }
        let footprint: Footprint = self.store.read(|view| view.meta()).await?;
        let stored = &footprint.provisioned;
        let version = memory.version.ok_or_else(|| Setback::unknown_version(self.api.base().to_string()))?;
        let address = format!("{}{}{}", memory.webhook_base, provision::HOOK_PREFIX, footprint.path);
        let webhook_url = Url::parse(&address).map_err(|error| {
            Setback::Webhook(format!("the webhook address is unusable ({error}); set [listen] webhook-url"))
        })?;
        let listed = provision::look(&self.api).await?;
        let now = memory.now();
        if listed.lacks_webhook(stored) {
            let what = stored.webhook.as_ref().map(|our| our.id.to_string());
            memory.hook_losses.lost(what.unwrap_or_default(), now);
        }
        let listed_yet_refused = memory.refused_token.is_some() && !listed.lacks_token(stored);
        if listed_yet_refused || listed.lacks_token(stored) {
            memory.token_losses.lost(stored.token_fingerprint.clone().unwrap_or_default(), now);
        }
        let barred = (memory.hook_losses.barred_until(now), memory.token_losses.barred_until(now));
        let wanted = Wanted {
            webhook_url,
            secret: Secret::new(footprint.secret.as_str()),
            webhook: match barred.0 {
                _ if !memory.hook.may_stand(now) => Wish::Away,
                Some(_) => Wish::Keep,
                None => Wish::Have,
            },
            token: if barred.1.is_some() { Wish::Keep } else { Wish::Have },
            refused_token: memory.refused_token.clone(),
            replace: self.permissions.replace,
        };
        let ledger = Written(&self.store);
        let settled = provision::settle(&self.api, &listed, stored, &wanted, version, &ledger).await;
        memory.rival = matches!(settled, Err(ProvisionError::AnotherAgent { .. }));
        let settled = settled.map_err(|error| match error {
            ProvisionError::Owncast(error) => Setback::Owncast(error),
            other => Setback::AnotherAgent(other.to_string()),
        })?;
        for action in &settled.taken {
            tracing::info!(target: "herald::owncast", "{action}");
        }
        memory.refused_token = None;
        self.take_token(memory, settled.token);
        let again = [barred.0, barred.1, memory.hook.next_trial()];
        let again = again.into_iter().flatten().filter(|at| *at > now).min().unwrap_or(Tick::MAX);
        memory.footprint = again.min(now + LOOK_EVERY);
        self.say_losses(memory, barred);
        if settled.provisioned.webhook.is_some() {
            let made = settled.taken.contains(&provision::Action::CreateWebhook);
            memory.hook.stands(made, memory.now(), self.door.refusals());
        }
        Ok(())
    }

    fn take_token(&self, memory: &mut Memory, token: Option<Secret>) {
        let before = std::mem::replace(&mut memory.token, token.as_ref().map(Secret::fingerprint));
        if memory.token != before {
            memory.socket.take_token();
        }
        self.token.send_if_modified(|old| {
            let other = *old != token;
            if other {
                *old = token;
            }
            other
        });
    }

    /// Names what keeps disappearing, once.
    fn say_losses(&self, memory: &mut Memory, (webhook, token): (Option<Tick>, Option<Tick>)) {
        let gone = |what: &str| {
            format!(
                "the {what} made in Owncast was deleted again and again; it is left alone for an hour. Find out in Owncast's admin page who deletes it"
            )
        };
        if webhook.is_some() {
            let why = gone("webhook");
            let said =
                matches!(&self.board.borrow().sources.webhook.way, Way::Broken(before) if *before == why);
            if !said {
                tracing::warn!(target: "herald::owncast", "{why}");
                self.board.send_modify(|board| board.sources.webhook.failed(why));
            }
        }
        let trouble = token.map(|_| gone("access token"));
        if let Some(why) = trouble.as_ref().filter(|_| memory.token_trouble.is_none()) {
            tracing::warn!(target: "herald::owncast", "{why}");
        }
        memory.token_trouble = trouble;
    }
}

impl Setback {
    /// Owncast's version cannot be read, and with it not what it can do.
    pub(super) fn unknown_version(url: String) -> Self {
        Setback::Owncast(OwncastError::Malformed { url, what: "the version number" })
    }
}
