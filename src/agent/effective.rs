//! The settings of the moment: configuration where it is set, Owncast's answer where it is not.

use std::sync::Arc;

use jiff::Timestamp;

use crate::config::{
    Approval, Config, FollowersShown, OnEnd as ConfigOnEnd, PostImage, Visibility, run_once,
};
use crate::decide::rules::OnEnd;
use crate::decide::{Rules, blocks};
use crate::model::Addresses;
use crate::model::facts::{Facts, Identity};
use crate::model::post::Audience;

/// Whether we know who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityState {
    /// Not yet, or not allowed to be: what is missing, and what to do.
    Waiting(String),
    /// Settled.
    Settled {
        /// Our ids.
        addresses: Addresses,
        /// Shown as the date of joining.
        published: Timestamp,
        /// The public key, SPKI PEM.
        public_key: String,
    },
}

/// Everything that rooms need to know of configuration and Owncast at one moment.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The configuration.
    pub config: Arc<Config>,
    /// What Owncast said last.
    pub facts: Facts,
    /// Who we are.
    pub identity: IdentityState,
    /// The go-live text taken over from Owncast.
    pub taken_message: Option<String>,
}

impl Effective {
    /// Our ids, once settled.
    pub fn addresses(&self) -> Option<&Addresses> {
        match &self.identity {
            IdentityState::Settled { addresses, .. } => Some(addresses),
            IdentityState::Waiting(_) => None,
        }
    }

    /// The other actor that configuration or Owncast names by now: the settled one is kept.
    pub fn other_identity(&self) -> Option<Addresses> {
        named_instead(&self.config, &self.facts, self.addresses()?)
    }

    /// What the operator should look at, in words: what is wrong, and what to do. It follows from what is stored and
    /// configured, so that a restart keeps it and a cure ends it.
    pub fn attention(&self) -> Vec<String> {
        let mut needed = Vec::new();
        if let (Some(ours), Some(other)) = (self.addresses(), self.other_identity()) {
            needed.push(another_actor(ours, &other));
        }
        let owncast_posts = self.facts.federation_enabled && !self.facts.go_live_message.trim().is_empty();
        if self.addresses().is_some() && self.config.go_live.enabled && owncast_posts {
            needed.push(if self.config.owncast.take_over_go_live_message {
                "Owncast announces each stream as well while its go-live message is not empty; emptying it is tried again until it works, and the log says why it fails. It can be emptied by hand in Owncast's admin page".to_owned()
            } else {
                "followers in Owncast's own list get two posts for each stream: its federation is on and its go-live message is not empty. Set [owncast] take-over-go-live-message = true, or empty the message in Owncast".to_owned()
            });
        }
        let given_back = self.config.owncast.take_over_go_live_message || owncast_posts;
        if self.taken_message.is_some() && !given_back {
            needed.push("the go-live message that was taken over is not back in Owncast yet; it is tried again until it works, and the log says why it fails".to_owned());
        }
        needed.extend(
            self.facts
                .logo_problem
                .as_ref()
                .map(|problem| format!("the logo on the profile is not Owncast's of now: {problem}")),
        );
        let entries = self.facts.blocked_domains.iter().filter(|entry| !entry.trim().is_empty());
        needed.extend(
            entries
                .filter_map(|entry| blocks::parse(entry).err())
                .map(|problem| format!("an entry of Owncast's blocked domains is not used: {problem}")),
        );
        needed
    }

    /// Follows wait for the operator.
    pub fn manual_approval(&self) -> bool {
        match self.config.followers.approval {
            Approval::Inherit => self.facts.private,
            Approval::Auto => false,
            Approval::Manual => true,
        }
    }

    /// Whether anybody may read who follows. Never while Owncast is private.
    pub fn shows_followers(&self) -> bool {
        self.config.followers.show == FollowersShown::List && !self.facts.private
    }

    /// The rules decisions go by, once we know who we are.
    pub fn rules(&self) -> Option<Rules> {
        let go_live = &self.config.go_live;
        let followers_only = match go_live.visibility {
            Visibility::Inherit => self.facts.private,
            Visibility::Public => false,
            Visibility::Followers => true,
        };
        let owncasts = Some(&self.facts.go_live_message).filter(|text| !text.trim().is_empty());
        Some(Rules {
            addresses: self.addresses()?.clone(),
            go_live: go_live.enabled,
            delay: go_live.delay,
            repost_after: go_live.repost_after,
            title_edits: go_live.title_edits,
            on_end: match go_live.on_end {
                ConfigOnEnd::Update => OnEnd::Update,
                ConfigOnEnd::Delete => OnEnd::Delete,
                ConfigOnEnd::Keep => OnEnd::Keep,
            },
            with_picture: go_live.image != PostImage::None,
            audience: if followers_only { Audience::Followers } else { Audience::Public },
            manual_approval: self.manual_approval(),
            language: go_live.language.clone(),
            message: go_live.message.as_ref().or(owncasts).or(self.taken_message.as_ref()).cloned(),
        })
    }

    /// Puts together what is stored and what is configured.
    pub fn new(config: Arc<Config>, facts: Facts, identity: IdentityState, stored: &Identity) -> Self {
        Effective { config, facts, identity, taken_message: stored.taken_message.clone() }
    }
}

/// The actor that configuration or, where it is silent, Owncast names instead of ours. What neither sets is ours.
pub fn named_instead(config: &Config, facts: &Facts, ours: &Addresses) -> Option<Addresses> {
    let typed = |text: &str| Some(text.to_owned()).filter(|text| !text.trim().is_empty());
    let base = config.identity.public_url.as_ref().map(|url| url.as_str().to_owned());
    let base = base.or_else(|| typed(&facts.server_url));
    let username = config.identity.username.clone().or_else(|| typed(&facts.username));
    let named = Addresses::new(
        &base.unwrap_or_else(|| ours.base.clone()),
        &username.unwrap_or_else(|| ours.username.clone()),
    );
    (named != *ours).then_some(named)
}

/// Why the settled identity is kept, and what the operator can choose.
pub fn another_actor(ours: &Addresses, other: &Addresses) -> String {
    format!(
        "the public URL or username is another one now: {} would be another actor, whom nobody follows. {} is kept. Set the old values in Owncast again, or set [identity] public-url = {:?} and username = {:?}; or give up all followers with {}",
        other.actor(),
        ours.actor(),
        ours.base,
        ours.username,
        run_once("--abandon-followers", "ready")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn effective(toml: &str, facts: Facts) -> Effective {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, format!("owncast.url = \"http://127.0.0.1:8080\"\n{toml}")).unwrap();
        let config = Config::load(Some(&file), Overrides::default(), &|_| None).unwrap();
        let identity = IdentityState::Settled {
            addresses: Addresses::new("https://live.example", "ana"),
            published: Timestamp::UNIX_EPOCH,
            public_key: String::new(),
        };
        Effective::new(Arc::new(config), facts, identity, &Identity::default())
    }

    fn facts() -> Facts {
        Facts {
            known: true,
            server_url: "https://live.example".to_owned(),
            username: "ana".to_owned(),
            ..Facts::default()
        }
    }

    #[test]
    fn another_name_is_another_actor_until_it_is_set_back() {
        let url = |url: &str| Facts { server_url: url.to_owned(), ..facts() };
        for (toml, facts, other) in [
            ("", facts(), None),
            // What is not known or not set is no other value.
            ("", Facts::default(), None),
            ("", url(""), None),
            ("", url("https://live.example/"), None),
            ("", url("https://tv.example"), Some("https://tv.example/federation/user/ana")),
            (
                "",
                Facts { username: "bo".to_owned(), ..facts() },
                Some("https://live.example/federation/user/bo"),
            ),
            // The old values in the file win over Owncast's.
            ("identity.public-url = \"https://live.example\"", url("https://tv.example"), None),
            ("identity.username = \"bo\"", facts(), Some("https://live.example/federation/user/bo")),
        ] {
            let effective = effective(toml, facts);
            let found = effective.other_identity().map(|other| other.actor());
            assert_eq!(found.as_deref(), other, "{toml}");
            let needed = effective.attention();
            assert_eq!(needed.len(), usize::from(other.is_some()), "{needed:?}");
            if let Some(other) = other {
                let told = &needed[0];
                assert!(told.contains(other) && told.contains("--abandon-followers"), "{told}");
                assert!(told.contains("\"https://live.example\"") && told.contains("\"ana\""), "{told}");
            }
        }
    }

    #[test]
    fn a_post_of_owncasts_own_needs_attention() {
        let posting =
            |on, text: &str| Facts { federation_enabled: on, go_live_message: text.to_owned(), ..facts() };
        let off = "owncast.take-over-go-live-message = false";
        for (toml, facts, words) in [
            ("", posting(true, "Live!"), Some("until it works")),
            (off, posting(true, "Live!"), Some("get two posts")),
            (off, posting(true, " "), None),
            (off, posting(false, "Live!"), None),
            ("go-live.enabled = false", posting(true, "Live!"), None),
        ] {
            let needed = effective(toml, facts).attention();
            assert_eq!(needed.len(), usize::from(words.is_some()), "{toml}: {needed:?}");
            assert!(words.is_none_or(|words| needed[0].contains(words)), "{needed:?}");
        }
    }

    #[test]
    fn blocked_domains_that_cannot_be_used_are_named() {
        let listed = ["peer.example", "", "localhost"].map(str::to_owned).to_vec();
        let needed = effective("", Facts { blocked_domains: listed, ..facts() }).attention();
        assert!(needed.len() == 1 && needed[0].contains("\"localhost\""), "{needed:?}");
    }
}
