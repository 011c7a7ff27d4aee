//! Owncast's configuration: read modestly, compared field by field, never logged as a whole.

use jiff::Timestamp;

use super::{LOGO_EVERY, Memory, Setback, Watcher, fresh};
use crate::activitypub::vocab;
use crate::agent::effective::IdentityState;
use crate::decide::{Moment, blocks, publish};
use crate::media::take;
use crate::model::Draft;
use crate::model::facts::{Facts, Identity, SocialHandle};
use crate::model::post::Picture;
use crate::owncast::types::{ServerConfig, Status};

impl Watcher {
    /// Reads the configuration and stores what differs. Blocks follow Owncast's list in the same commit; a profile
    /// that changed goes out to all followers.
    pub(super) async fn read_facts(&mut self, memory: &mut Memory) -> Result<(), Setback> {
        let config = self.api.server_config().await?;
        let status = self.api.status().await?;
        let logo = self.logo(memory).await;
        let now = Timestamp::now();
        let before = self.effective.borrow().facts.clone();
        let facts = facts(config, &status, logo.or_else(|| before.logo.clone()));
        let identity = self.effective.borrow().identity.clone();
        let effective = self.effective.borrow().clone();
        if facts != before {
            let (new, old) = (facts.clone(), before.clone());
            let mut moment = Moment::new(now, crate::random::entropy());
            let manual = |facts: &Facts| {
                let mut then = (*effective).clone();
                then.facts = facts.clone();
                then.manual_approval()
            };
            let (manual_new, manual_old) = (manual(&new), manual(&old));
            let problems = self
                .store
                .commit(move |view| {
                    let mut draft = Draft::new(view);
                    let problems = blocks::follow_owncast(&mut draft, &new.blocked_domains, now);
                    draft.put_meta(&new);
                    if let IdentityState::Settled { addresses, published, public_key } = &identity {
                        let document = |facts: &Facts, manual: bool| {
                            vocab::actor::actor(addresses, facts, *published, manual, public_key)
                        };
                        let actor = document(&new, manual_new);
                        if old.known && actor != document(&old, manual_old) {
                            publish::actor_changed(&mut draft, &mut moment, |id| {
                                vocab::follow::actor_update(addresses, actor, id).to_string()
                            });
                        }
                    }
                    (draft.into_changes(), problems)
                })
                .await?;
            for problem in problems {
                tracing::warn!(target: "herald::watch", "an entry of Owncast's blocked domains is not used: {problem}");
            }
            self.say_what_changed(&before, &facts);
        }
        memory.facts_read = Some(now);
        self.board.send_modify(|board| board.version = Some(facts.version.clone()));
        let stored: Identity = self.store.read(|view| view.meta()).await?;
        let identity = self.effective.borrow().identity.clone();
        self.publish(facts, identity, &stored);
        Ok(())
    }

    fn say_what_changed(&self, before: &Facts, after: &Facts) {
        if !before.known {
            tracing::info!(target: "herald::owncast", version = after.version, "found Owncast");
            return;
        }
        let changed: Vec<&str> = [
            ("version", before.version != after.version),
            ("server URL", before.server_url != after.server_url),
            ("username", before.username != after.username),
            ("name", before.name != after.name),
            ("summary", before.summary != after.summary),
            ("tags", before.tags != after.tags),
            ("social handles", before.social_handles != after.social_handles),
            ("NSFW", before.nsfw != after.nsfw),
            ("go-live message", before.go_live_message != after.go_live_message),
            ("federation switch", before.federation_enabled != after.federation_enabled),
            ("private", before.private != after.private),
            ("show engagement", before.show_engagement != after.show_engagement),
            ("chat", before.chat_disabled != after.chat_disabled),
            ("blocked domains", before.blocked_domains != after.blocked_domains),
            ("logo", before.logo != after.logo),
        ]
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect();
        if !changed.is_empty() {
            tracing::info!(target: "herald::watch", changed = changed.join(", "), "Owncast's configuration changed");
        }
    }

    /// The logo, frozen. A logo that cannot be had or read leaves the one before in place.
    async fn logo(&self, memory: &mut Memory) -> Option<Picture> {
        let now = Timestamp::now();
        if memory.logo_read.is_some_and(|read| fresh(read, now, LOGO_EVERY)) {
            return None;
        }
        memory.logo_read = Some(now);
        if let Ok(logos) = take::logo_hashes(&self.api).await {
            if memory.logos == logos && self.effective.borrow().facts.logo.is_some() {
                return None;
            }
            memory.logos = logos;
        }
        match take::profile_picture(&self.api, &self.shelf, None).await {
            Ok(Some(picture)) => Some(picture.frozen.into()),
            Ok(None) => None,
            Err(error) => {
                tracing::debug!(target: "herald::watch", %error, "the logo cannot be used");
                None
            }
        }
    }
}

fn facts(config: ServerConfig, status: &Status, logo: Option<Picture>) -> Facts {
    let ServerConfig { server_url, federation, instance, chat_disabled, forbidden_usernames } = config;
    Facts {
        known: true,
        version: status.version_number.clone(),
        server_url: server_url.trim_end_matches('/').to_owned(),
        username: federation.username,
        name: instance.name,
        summary: instance.summary,
        tags: instance.tags,
        social_handles: instance
            .social_handles
            .into_iter()
            .map(|handle| SocialHandle { platform: handle.platform, url: handle.url })
            .collect(),
        nsfw: instance.nsfw,
        stream_title: status.stream_title.clone(),
        go_live_message: federation.go_live_message,
        federation_enabled: federation.enabled,
        private: federation.is_private,
        show_engagement: federation.show_engagement,
        chat_disabled,
        blocked_domains: federation.blocked_domains,
        forbidden_usernames,
        logo,
    }
}
