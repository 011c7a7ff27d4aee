//! What Owncast says about the stream, kept so that a restart can serve before Owncast answers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{addresses::Addresses, post::Picture, view::Meta};

/// A link the streamer lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocialHandle {
    /// Platform name as Owncast knows it.
    pub platform: String,
    /// Address.
    pub url: String,
}

/// The fields of Owncast's configuration that matter here, as last read. Holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// True once Owncast has answered; before that everything here is a default.
    pub known: bool,
    /// `versionNumber`.
    pub version: String,
    /// Owncast's server URL; empty if none is set.
    pub server_url: String,
    /// Owncast's federation username.
    pub username: String,
    /// Server name.
    pub name: String,
    /// Summary as typed.
    pub summary: String,
    /// Tags as typed.
    pub tags: Vec<String>,
    /// Links.
    pub social_handles: Vec<SocialHandle>,
    /// Not safe for work.
    pub nsfw: bool,
    /// Title of the stream.
    pub stream_title: String,
    /// Owncast's own go-live message.
    pub go_live_message: String,
    /// Owncast's federation switch.
    pub federation_enabled: bool,
    /// Owncast's private switch.
    pub private: bool,
    /// Owncast's switch for notices in chat.
    pub show_engagement: bool,
    /// Owncast's switch for chat as a whole.
    pub chat_disabled: bool,
    /// Domains blocked in Owncast.
    pub blocked_domains: Vec<String>,
    /// Names nobody may use in chat.
    pub forbidden_usernames: Vec<String>,
    /// The logo, frozen; its name changes when its bytes do.
    pub logo: Option<Picture>,
    /// Why Owncast's logo of now is not the one shown, in words.
    pub logo_problem: Option<String>,
}

impl Meta for Facts {
    const NAME: &'static str = "facts";
}

impl Facts {
    /// The settings in which two answers of Owncast differ, by name: their values may be nobody's business.
    pub fn changed(&self, after: &Facts) -> Vec<&'static str> {
        [
            ("version", self.version != after.version),
            ("server URL", self.server_url != after.server_url),
            ("username", self.username != after.username),
            ("name", self.name != after.name),
            ("summary", self.summary != after.summary),
            ("tags", self.tags != after.tags),
            ("social handles", self.social_handles != after.social_handles),
            ("NSFW", self.nsfw != after.nsfw),
            ("go-live message", self.go_live_message != after.go_live_message),
            ("federation switch", self.federation_enabled != after.federation_enabled),
            ("private", self.private != after.private),
            ("show engagement", self.show_engagement != after.show_engagement),
            ("chat", self.chat_disabled != after.chat_disabled),
            ("blocked domains", self.blocked_domains != after.blocked_domains),
            ("forbidden usernames", self.forbidden_usernames != after.forbidden_usernames),
            ("logo", self.logo != after.logo || self.logo_problem != after.logo_problem),
        ]
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect()
    }
}

/// What followers were told of the profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Digest of the actor's document that followers have; `None` before the first.
    pub told: Option<String>,
    /// A change they were not told of yet.
    pub untold: Option<Untold>,
    /// The newest Update of the actor: earlier ones are not sent any more.
    pub update: Option<Ulid>,
}

/// A changed profile that waits until nothing more changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// Digest of the document as it was seen last.
    pub document: String,
    /// When it first differed from what was told.
    pub since: Timestamp,
    /// When it last changed.
    pub changed: Timestamp,
}

impl Meta for Profile {
    const NAME: &'static str = "profile";
}

/// The identity as settled once. Another value of either part would be another actor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The two parts; `None` before it is settled.
    pub addresses: Option<Addresses>,
    /// Shown as the date of joining.
    pub published: Option<Timestamp>,
    /// A go-live text taken over from Owncast's own field.
    pub taken_message: Option<String>,
}

impl Meta for Identity {
    const NAME: &'static str = "identity";
}
