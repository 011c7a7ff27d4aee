//! What Owncast tells, reduced to what the agent needs. Go writes empty lists as `null`, and fields come and
//! go between versions: every reader here is lenient about what is missing and silent about what is extra.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::model::Secret;

/// `GET /api/status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Owncast's clock when it answered.
    pub server_time: Timestamp,
    /// When the encoder connected, to the second; set at once on connect, fixed for the connection, absent when
    /// none: it identifies the connection.
    pub last_connect_time: Option<Timestamp>,
    /// When the last connection ended, to the second.
    pub last_disconnect_time: Option<Timestamp>,
    /// Such as `0.1.3`; see [`super::versions::Version`].
    pub version_number: String,
    /// Empty when none is set.
    pub stream_title: String,
    /// Viewers can watch; turns true about 9 s after the connect.
    pub online: bool,
}

/// The needed part of `GET /api/admin/serverconfig`. The raw answer holds the admin password and stream keys
/// and is dropped as soon as this is read from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerConfig {
    /// The configured public server URL (`yp.instanceUrl`); empty when none is set.
    pub server_url: String,
    /// Owncast's own federation settings.
    pub federation: Federation,
    /// How the stream presents itself.
    pub instance: Instance,
    /// Chat is switched off; Owncast still answers "sent" to messages.
    pub chat_disabled: bool,
    /// Names viewers may not take.
    pub forbidden_usernames: Vec<String>,
}

/// Owncast's federation settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Federation {
    /// Local part of the actor.
    pub username: String,
    /// Empty: Owncast posts nothing when a stream starts.
    pub go_live_message: String,
    /// Blocked domains as written, without empty entries. Owncast 0.1.3 matches them as substrings.
    pub blocked_domains: Vec<String>,
    /// Owncast federates itself.
    pub enabled: bool,
    /// Followers need approval and posts are not public.
    pub is_private: bool,
    /// Follows, likes and shares are shown in chat.
    pub show_engagement: bool,
}

/// How the stream presents itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Server name.
    pub name: String,
    /// Short text, markdown.
    pub summary: String,
    /// Tags without `#`.
    pub tags: Vec<String>,
    /// Links to other places.
    pub social_handles: Vec<SocialHandle>,
    /// Not safe for work.
    pub nsfw: bool,
    /// Empty when none is set.
    pub stream_title: String,
    /// File name only; it stays the same when the picture changes.
    pub logo: String,
}

/// A link to another place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocialHandle {
    /// Owncast's key of the platform, such as `mastodon`.
    #[serde(default, deserialize_with = "nullable")]
    pub platform: String,
    /// The address, as the operator typed it.
    #[serde(default, deserialize_with = "nullable")]
    pub url: String,
}

/// One row of Owncast's follower lists.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FollowerEntry {
    /// Actor id.
    #[serde(default, deserialize_with = "nullable")]
    pub link: String,
    /// Display name, from a stranger.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    /// `user@host`.
    #[serde(default, deserialize_with = "nullable")]
    pub username: String,
    /// Avatar address, or empty.
    #[serde(default, deserialize_with = "nullable")]
    pub image: String,
    /// When it followed.
    #[serde(default, deserialize_with = "moment")]
    pub timestamp: Option<Timestamp>,
    /// When it was rejected or blocked.
    #[serde(default, rename = "disabledAt", deserialize_with = "moment")]
    pub disabled_at: Option<Timestamp>,
}

/// A list of followers with the number of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowerList {
    /// All there are, also those not in `entries`.
    pub total: u64,
    /// The rows read.
    pub entries: Vec<FollowerEntry>,
}

/// A webhook registered in Owncast. Its URL may hold a secret path: `Debug` leaves it out.
#[derive(Clone, Deserialize)]
pub struct Webhook {
    /// Owncast's row id.
    pub id: i64,
    /// The address it calls.
    #[serde(default, deserialize_with = "nullable")]
    pub url: String,
    /// Subscribed events.
    #[serde(default, deserialize_with = "nullable")]
    pub events: Vec<String>,
    /// The signing secret, where this version reveals it.
    #[serde(default, deserialize_with = "secret")]
    pub secret: Option<Secret>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("id", &self.id).field("events", &self.events).finish_non_exhaustive()
    }
}

/// An access token registered in Owncast.
#[derive(Debug, Clone, Deserialize)]
pub struct Token {
    /// Id of the bot user; empty in the answer to a creation.
    #[serde(default, deserialize_with = "nullable")]
    pub id: String,
    /// The token itself; Owncast lists it in clear text.
    #[serde(rename = "accessToken", deserialize_with = "required_secret")]
    pub access_token: Secret,
    /// Its name, and the chat name of its messages.
    #[serde(default, rename = "displayName", deserialize_with = "nullable")]
    pub display_name: String,
    /// What it may do.
    #[serde(default, deserialize_with = "nullable")]
    pub scopes: Vec<String>,
}

/// A picture Owncast serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Picture {
    /// `/thumbnail.jpg`: a frame of the stream, or the logo under that name.
    Thumbnail,
    /// `/preview.gif`: a short animation, the logo, or the previous stream's.
    Preview,
    /// `/logo` in its own format, SVG included.
    Logo,
    /// `/logo/external`: PNG in place of SVG.
    LogoExternal,
}

/// A fetched picture, unchecked.
#[derive(Debug, Clone)]
pub struct PictureBytes {
    /// The bytes, at most 16 MiB.
    pub bytes: Bytes,
    /// Owncast's label; wrong for `/thumbnail.jpg` whenever the logo stands in.
    pub content_type: String,
}

/// The wire form of [`Status`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireStatus {
    #[serde(deserialize_with = "moment")]
    pub server_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "moment")]
    pub last_connect_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "moment")]
    pub last_disconnect_time: Option<Timestamp>,
    pub version_number: String,
    #[serde(default, deserialize_with = "nullable")]
    pub stream_title: String,
    #[serde(default, deserialize_with = "nullable")]
    pub online: bool,
}

/// The wire form of [`ServerConfig`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireConfig {
    #[serde(default)]
    yp: WireYp,
    federation: WireFederation,
    instance_details: WireInstance,
    #[serde(default, deserialize_with = "nullable")]
    chat_disabled: bool,
    #[serde(default, deserialize_with = "nullable")]
    forbidden_usernames: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct WireYp {
    #[serde(default, deserialize_with = "nullable")]
    instance_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireFederation {
    #[serde(default, deserialize_with = "nullable")]
    username: String,
    #[serde(default, deserialize_with = "nullable")]
    go_live_message: String,
    #[serde(default, deserialize_with = "nullable")]
    blocked_domains: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    enabled: bool,
    #[serde(default, deserialize_with = "nullable")]
    is_private: bool,
    #[serde(default, deserialize_with = "nullable")]
    show_engagement: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireInstance {
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    summary: String,
    #[serde(default, deserialize_with = "nullable")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    social_handles: Vec<SocialHandle>,
    #[serde(default, deserialize_with = "nullable")]
    nsfw: bool,
    #[serde(default, deserialize_with = "nullable")]
    stream_title: String,
    #[serde(default, deserialize_with = "nullable")]
    logo: String,
}

impl From<WireConfig> for ServerConfig {
    fn from(wire: WireConfig) -> Self {
        // An empty setting is one empty entry in Owncast: it stores these lists joined by commas.
        let filled = |list: Vec<String>| -> Vec<String> {
            list.iter().map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty()).collect()
        };
        ServerConfig {
            server_url: wire.yp.instance_url,
            federation: Federation {
                username: wire.federation.username,
                go_live_message: wire.federation.go_live_message,
                blocked_domains: filled(wire.federation.blocked_domains),
                enabled: wire.federation.enabled,
                is_private: wire.federation.is_private,
                show_engagement: wire.federation.show_engagement,
            },
            instance: Instance {
                name: wire.instance_details.name,
                summary: wire.instance_details.summary,
                tags: filled(wire.instance_details.tags),
                social_handles: wire.instance_details.social_handles,
                nsfw: wire.instance_details.nsfw,
                stream_title: wire.instance_details.stream_title,
                logo: wire.instance_details.logo,
            },
            chat_disabled: wire.chat_disabled,
            forbidden_usernames: filled(wire.forbidden_usernames),
        }
    }
}

/// The paged and the plain form of a follower list, and of the action log.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum WireList<T> {
    Plain(Vec<T>),
    Paged {
        #[serde(default = "Option::default")]
        results: Option<Vec<T>>,
        total: u64,
    },
    Empty(()),
}

impl<T> WireList<T> {
    pub fn split(self) -> (u64, Vec<T>) {
        match self {
            WireList::Plain(entries) => (entries.len() as u64, entries),
            WireList::Paged { results, total } => (total, results.unwrap_or_default()),
            WireList::Empty(()) => (0, Vec::new()),
        }
    }
}

/// `null` is the empty value.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(wire: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(wire)?.unwrap_or_default())
}

/// An RFC 3339 moment; `null`, an empty text and Go's zero time (year 1) are none.
fn moment<'de, D: Deserializer<'de>>(wire: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(wire)? else { return Ok(None) };
    if text.is_empty() {
        return Ok(None);
    }
    let moment: Timestamp = text.parse().map_err(|_| serde::de::Error::custom("not an RFC 3339 time"))?;
    Ok(Some(moment).filter(|moment| *moment >= Timestamp::UNIX_EPOCH))
}

fn secret<'de, D: Deserializer<'de>>(wire: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(wire)?.filter(|text| !text.is_empty()).map(Secret::from))
}

fn required_secret<'de, D: Deserializer<'de>>(wire: D) -> Result<Secret, D::Error> {
    secret(wire)?.ok_or_else(|| serde::de::Error::custom("an empty access token"))
}
