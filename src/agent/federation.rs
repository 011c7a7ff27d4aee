//! Starts what speaks to other servers, once we know who we are: that never changes in a running process.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::effective::{Effective, IdentityState};
use crate::activitypub::signature::PrivateKey;
use crate::adopt::refetch::Refetcher;
use crate::config::{Config, here, keyfile};
use crate::decide::wishes;
use crate::deliver::{DeliverOptions, Delivery};
use crate::fetch::{Fetcher, Signer, apart};
use crate::inbox::{Engine, Inbox, Proofs};
use crate::model::Addresses;
use crate::model::origin::{Origin, RemotePolicy};
use crate::net::{Client, ClientOptions};
use crate::serve::follow_page::Remote;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

pub(super) struct Federation {
    pub(super) store: Store,
    pub(super) effective: watch::Receiver<Arc<Effective>>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) remote: Arc<Remote>,
    pub(super) metrics: Arc<Metrics>,
}

impl Federation {
    /// Waits for the identity, starts inbox, fetcher and delivery, and ends delivery in good order at the stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let settled = tokio::select! {
            () = stop.cancelled() => return,
            settled = self.effective.wait_for(|e| matches!(e.identity, IdentityState::Settled { .. })) => {
                settled.map(|effective| Arc::clone(&effective))
            }
        };
        let Ok(effective) = settled else { return };
        let IdentityState::Settled { addresses, .. } = &effective.identity else { return };
        let cannot = |error: anyhow::Error| {
            tracing::error!(target: "herald::agent", "{error}; nothing is sent to or taken from other servers");
        };
        // The key that the actor's document names, whatever is put into its file while a restored store is held.
        let key = match signing_key(&effective.config) {
            Ok(key) => key,
            Err(error) => return cannot(error),
        };
        // Nothing of what follows is there before: who is asked for a key learns of a signature of ours, too.
        if !self.may_send(&stop).await {
            return;
        }
        let (options, refetcher) = match self.settle(&effective.config, addresses, key, &stop) {
            Ok(settled) => settled,
            Err(error) => return cannot(error),
        };
        tokio::spawn(refetcher.run(stop.child_token()));
        match Delivery::start(self.store.clone(), options, Arc::clone(&self.metrics), stop.child_token()) {
            Ok(delivery) => {
                stop.cancelled().await;
                let _ = tokio::task::spawn_blocking(move || delivery.join()).await;
            }
            Err(error) => {
                tracing::error!(target: "herald::agent", "{error}; nothing is sent to other servers");
            }
        }
    }

    /// Waits until a store that was restored from a backup is resumed. False if the agent stops before.
    async fn may_send(&self, stop: &CancellationToken) -> bool {
        let mut written = self.store.anything_written();
        let mut said = false;
        loop {
            written.mark_unchanged();
            match self.store.read(wishes::restored).await {
                Ok(None) => return true,
                Ok(Some(_)) if !said => {
                    tracing::warn!(
                        target: "herald::agent",
                        "everything here was restored from a backup: nothing is sent before '{}'. Is the old machine stopped?",
                        here().typed("resume --restored")
                    );
                    said = true;
                }
                Ok(Some(_)) => {}
                Err(_) => return false,
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                changed = written.changed() => if changed.is_err() { return false },
            }
        }
    }

    /// Opens the inbox. Answers what delivery starts with, and who asks for those who are set aside.
    fn settle(
        &self,
        config: &Config,
        addresses: &Addresses,
        key: PrivateKey,
        stop: &CancellationToken,
    ) -> anyhow::Result<(DeliverOptions, Refetcher)> {
        let policy = RemotePolicy {
            allow_http: config.federation.allow_http,
            allow_private: !config.federation.allow_private_addresses.is_empty(),
        };
        let client = ClientOptions {
            user_agent: format!(
                "{}/{} (+{})",
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION"),
                addresses.watch_page()
            ),
            connect_timeout: config.delivery.connect_timeout,
            timeout: config.delivery.timeout,
            allow_private: config.federation.allow_private_addresses.clone(),
            allow_http: config.federation.allow_http,
            extra_ca: config.federation.extra_ca_file.clone(),
            own_hosts: vec![addresses.host().to_owned()],
            ..ClientOptions::default()
        };
        let own = url::Url::parse(&addresses.base).ok().and_then(|url| Origin::of(&url));
        let own = own.ok_or_else(|| anyhow::anyhow!("{} is not a usable public URL", addresses.base))?;
        let signer = Signer { key_id: addresses.key_id(), key: key.clone() };
        let client = Client::new(client)?;
        let fetcher = Fetcher::new(client.clone(), signer, policy, own, Arc::new(Timestamp::now));
        // Which followers are looked up, because nothing reaches them, must not show in what strangers are answered. It
        // is done on the threads of low priority.
        let followers = Arc::new(fetcher.aside());
        let fetcher = Arc::new(fetcher.apart(apart::start(stop.child_token())?)?);
        // Whoever fills in the follow page uses up nothing that the inbox needs.
        self.remote.settle(Arc::new(fetcher.aside()), policy);
        let refetcher = Refetcher {
            store: self.store.clone(),
            // Its questions take nobody's turn who waits for an answer.
            fetcher: Arc::new(fetcher.aside()),
            addresses: addresses.clone(),
            policy,
        };
        let ours = Arc::new(addresses.clone());
        let aside = Arc::new(fetcher.aside());
        let proofs = Arc::new(Proofs::new(Arc::new(Timestamp::now)));
        self.inbox.settle(Engine { addresses: ours, policy, fetcher: Arc::clone(&fetcher), aside, proofs });
        let options = DeliverOptions {
            concurrency: config.delivery.concurrency as usize,
            per_host: config.delivery.per_host as usize,
            threads: config.delivery.sign_threads as usize,
            client,
            key_id: addresses.key_id(),
            key,
            fetcher: followers,
        };
        Ok((options, refetcher))
    }
}

fn signing_key(config: &Config) -> anyhow::Result<PrivateKey> {
    Ok(PrivateKey::from_pem(keyfile::read(&config.identity.key_file)?.pem.expose())?)
}
