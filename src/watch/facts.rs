//! Owncast's configuration: read modestly, compared field by field, never logged as a whole.

use std::sync::Arc;

use jiff::Timestamp;

use super::{LOGO_EVERY, Memory, Setback, Watcher, fresh};
use crate::decide::blocks;
use crate::media::take::{self, MediaError};
use crate::model::Draft;
use crate::model::facts::{Facts, Identity, SocialHandle};
use crate::owncast::types::{ServerConfig, Status};

impl Watcher {
    /// Reads the configuration and stores what differs. Blocks follow Owncast's list in the same commit.
    pub(super) async fn read_facts(&mut self, memory: &mut Memory) -> Result<(), Setback> {
        let config = self.api.server_config().await?;
        let status = self.api.status().await?;
        let now = Timestamp::now();
        let effective = Arc::clone(&self.effective.borrow());
        let before = &effective.facts;
        let mut facts = facts(config, &status, before);
        if !before.changed(&facts).is_empty() {
            // Who changes something may have changed the logo, which nothing else tells of.
            memory.logo_read = None;
        }
        self.look_at_logo(memory, &mut facts, now).await;
        if facts != *before {
            let new = facts.clone();
            let problems = self
                .store
                .commit(move |view| {
                    let mut draft = Draft::new(view);
                    let problems = blocks::follow_owncast(&mut draft, &new.blocked_domains, now);
                    draft.put_meta(&new);
                    (draft.into_changes(), problems)
                })
                .await?;
            if before.blocked_domains != facts.blocked_domains {
                for problem in problems {
                    tracing::warn!(target: "herald::watch", "an entry of Owncast's blocked domains is not used: {problem}");
                }
            }
        }
        memory.facts_read = Some(now);
        self.board.send_modify(|board| board.version = Some(facts.version.clone()));
        let stored: Identity = self.store.read(|view| view.meta()).await?;
        let identity = self.effective.borrow().identity.clone();
        self.publish(facts.clone(), identity, &stored);
        say_what_changed(before, &facts);
        Ok(())
    }

    /// The logo, frozen, when it is due to be looked at. One that cannot be had or shown leaves the one before in place.
    async fn look_at_logo(&self, memory: &mut Memory, facts: &mut Facts, now: Timestamp) {
        if memory.logo_read.is_some_and(|read| fresh(read, now, LOGO_EVERY)) {
            return;
        }
        match take::logo(&self.api, &self.shelf, &memory.logos).await {
            Ok(Some(logo)) => {
                memory.logos = logo.hashes;
                match logo.picture {
                    Ok(picture) => (facts.logo, facts.logo_problem) = (Some(picture), None),
                    Err(problem) => {
                        let problem = Some(problem.to_string());
                        if facts.logo_problem != problem {
                            let why = problem.as_deref();
                            tracing::warn!(target: "herald::watch", why, "the logo cannot be shown; the one before stays");
                        }
                        facts.logo_problem = problem;
                    }
                }
            }
            Ok(None) => {}
            // Asked again with the next look at the configuration.
            Err(error @ MediaError::Owncast(_)) => {
                tracing::debug!(target: "herald::watch", %error, "the logo cannot be had");
                return;
            }
            Err(error) => tracing::warn!(target: "herald::watch", %error, "the logo cannot be kept"),
        }
        memory.logo_read = Some(now);
    }
}

/// Once it is in force: whoever reads the log acts upon it.
fn say_what_changed(before: &Facts, after: &Facts) {
    if !before.known {
        return;
    }
    let changed = before.changed(after);
    if !changed.is_empty() {
        tracing::info!(target: "herald::watch", changed = changed.join(", "), "Owncast's configuration changed");
    }
}

fn facts(config: ServerConfig, status: &Status, before: &Facts) -> Facts {
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
        logo: before.logo.clone(),
        logo_problem: before.logo_problem.clone(),
    }
}
