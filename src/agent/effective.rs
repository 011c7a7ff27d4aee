//! The settings of the moment: configuration where it is set, Owncast's answer where it is not.

use std::sync::Arc;

use jiff::Timestamp;

use crate::config::{Approval, Config, FollowersShown, OnEnd as ConfigOnEnd, PostImage, Visibility};
use crate::decide::Rules;
use crate::decide::rules::OnEnd;
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
            message: go_live.message.as_ref().or(owncasts).or(self.taken_message.as_ref()).cloned(),
        })
    }

    /// Puts together what is stored and what is configured.
    pub fn new(config: Arc<Config>, facts: Facts, identity: IdentityState, stored: &Identity) -> Self {
        Effective { config, facts, identity, taken_message: stored.taken_message.clone() }
    }
}
