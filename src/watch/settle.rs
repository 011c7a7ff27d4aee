//! Our webhook and our token in Owncast: made once, found again, proved.

use jiff::Timestamp;
use url::Url;

use super::{Memory, Probe, Setback, Watcher, fresh};
use crate::agent::board::Way;
use crate::model::Draft;
use crate::owncast::Secret;
use crate::owncast::footprint::Footprint;
use crate::owncast::provision::{self, ProvisionError, Provisioned, Wanted};

/// A webhook that has not come back after this long does not reach us.
const PROBE_TIME: std::time::Duration = std::time::Duration::from_secs(5);

/// So many probes in a row must be lost before the webhook counts as broken: Owncast may be busy for a moment.
const PROBES: u32 = 3;
/// What is ours in Owncast is looked for this often; somebody may have deleted it.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(3600);
/// The same while the webhook is broken: the network may have been mended.
const MEND_EVERY: std::time::Duration = std::time::Duration::from_secs(600);

impl Watcher {
    /// Provisions when it is due: at first, after Owncast was away, when the token was refused, and now and then.
    pub(super) async fn keep_footprint(
        &mut self,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Result<(), Setback> {
        if let Some(observer) = &self.observer {
            return self.foresee_footprint(observer, memory, now).await;
        }
        let broken = matches!(self.board.borrow().sources.webhook.way, Way::Broken(_));
        let every = if broken { MEND_EVERY } else { LOOK_EVERY };
        let refused = memory.provisioned.is_some() && self.token.borrow().is_none();
        if memory.provisioned.is_some_and(|at| fresh(at, now, every)) && !refused {
            return Ok(());
        }
        self.provision(memory).await?;
        memory.provisioned = Some(now);
        Ok(())
    }

    /// Brings Owncast to one webhook and one token of ours, and sends a probe through the webhook.
    async fn provision(&mut self, memory: &mut Memory) -> Result<(), Setback> {
        let footprint: Footprint = self.store.read(|view| view.meta()).await?;
        let address = format!("{}{}{}", self.webhook_base, provision::HOOK_PREFIX, footprint.path);
        let webhook_url = Url::parse(&address).map_err(|error| {
            Setback::Webhook(format!("the webhook address is unusable ({error}); set [listen] webhook-url"))
        })?;
        let wanted = Wanted {
            webhook_url,
            secret: Secret::new(footprint.secret.as_str()),
            replace: self.permissions.replace,
        };
        let store = self.store.clone();
        let runtime = tokio::runtime::Handle::current();
        // What was made in Owncast must be on disk before the next thing is made, or a crash would leave it behind.
        let remember = |made: &Provisioned| {
            let made = made.clone();
            let written = tokio::task::block_in_place(|| {
                runtime.block_on(store.commit(move |view| {
                    let mut draft = Draft::new(view);
                    let mut footprint: Footprint = view.meta();
                    footprint.provisioned = made;
                    draft.put_meta(&footprint);
                    (draft.into_changes(), ())
                }))
            });
            if let Err(error) = written {
                tracing::error!(target: "herald::owncast", %error, "what was made in Owncast could not be remembered");
            }
        };
        let settled = provision::ensure(&self.api, &footprint.provisioned, &wanted, remember).await.map_err(
            |error| match error {
                ProvisionError::Owncast(error) => Setback::Owncast(error),
                other => Setback::AnotherAgent(other.to_string()),
            },
        )?;
        for action in &settled.taken {
            tracing::info!(target: "herald::owncast", "{action:?}");
        }
        self.door.require_signature(settled.version.signs_webhooks());
        self.token.send_replace(Some(settled.token));
        self.probe(memory, 0).await
    }

    /// Sends something invisible through Owncast that must come back by the webhook.
    async fn probe(&self, memory: &mut Memory, lost: u32) -> Result<(), Setback> {
        let id = format!("herald-probe-{}", crate::random::hex::<8>());
        memory.probe = Some(Probe { id: id.clone(), sent: Timestamp::now(), lost });
        self.api.probe(&id).await?;
        Ok(())
    }

    /// A webhook that cannot reach us is deleted: Owncast waits for it without any limit, and its chat with it.
    pub(super) async fn judge_probe(&self, memory: &mut Memory) -> Result<(), Setback> {
        let Some(probe) = &memory.probe else { return Ok(()) };
        if fresh(probe.sent, Timestamp::now(), PROBE_TIME) {
            return Ok(());
        }
        let lost = probe.lost + 1;
        if lost < PROBES {
            return self.probe(memory, lost).await;
        }
        let footprint: Footprint = self.store.read(|view| view.meta()).await?;
        if let Some(webhook) = &footprint.provisioned.webhook {
            self.api.delete_webhook(webhook.id).await?;
        }
        memory.probe = None;
        self.store
            .commit(|view| {
                let mut draft = Draft::new(view);
                let mut footprint: Footprint = view.meta();
                footprint.provisioned.webhook = None;
                draft.put_meta(&footprint);
                (draft.into_changes(), ())
            })
            .await?;
        let why = format!(
            "Owncast's webhook does not reach {}; it was removed, and Owncast is asked every few seconds instead. Set [listen] webhook-url to an address at which Owncast reaches this machine",
            self.webhook_base
        );
        tracing::warn!(target: "herald::owncast", "{why}");
        self.board.send_modify(|board| board.sources.webhook.way = Way::Broken(why));
        Ok(())
    }
}
