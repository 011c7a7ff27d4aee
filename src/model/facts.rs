//! What Owncast says about the stream, kept so that a restart can serve before Owncast answers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
}

impl Meta for Facts {
    const NAME: &'static str = "facts";
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
