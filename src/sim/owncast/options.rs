//! What a simulated Owncast is started with, and how it may be told to misbehave.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

/// Public half of a throw-away key pair, as a real Owncast 0.1.3 published it in its actor document.
const PUBLIC_KEY_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsmcMXxKy1sZhzoPWddDP\n\
WdCbwQumEmULn2AzWqWWK1hmWmjI0/RNW/DZPV4ikzhznG5c4Isuq0D4qA5MVOaP\n\
I/QXE/CL7vn6abw+UnmjB+39VRVCPWN92Bx6506TXa7bw/6qXv3qzPwO4JiRwZ/K\n\
6iIcSAtODs49dqACoM+hauwxW8YaYCzf51sPPJLdRj0Kbr/UrV1WCjWNfMUMhrBH\n\
W5cbwoQ6bbUAggD5rVwwzo/z4hYXPBhxJr/iJXBFAdjN4xyBdQFZmeQUOvDvbV7H\n\
NOLWhtq1CPz6yerqTd3ap/CJxEYj+oH/xvVJJG4vaMdIGMmqnbKNo6D6iVEGPvwf\n\
cQIDAQAB\n\
-----END PUBLIC KEY-----\n";

/// The Owncast release whose answers and events are imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 0.1.3: no webhook signature, Go field names in `VISIBILITY-UPDATE`.
    V0_1_3,
    /// 0.2.5: `serverURL` and `status` in event data, the follow webhook.
    V0_2,
    /// 0.3.0: signed webhooks, hashed admin password, host-meta gated by the federation switch.
    V0_3,
}

impl Version {
    /// What `versionNumber` says in status answers.
    pub fn number(self) -> &'static str {
        match self {
            Version::V0_1_3 => "0.1.3",
            Version::V0_2 => "0.2.5",
            Version::V0_3 => "0.3.0",
        }
    }
}

/// A link shown on the channel page (`/api/admin/config/socialhandles`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocialHandle {
    /// Owncast's platform name, such as `mastodon`.
    pub platform: String,
    /// Where it leads.
    pub url: String,
}

/// How Owncast's own follower table sees somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowerState {
    /// `approved_at` is set.
    Approved,
    /// Waits for the operator.
    Pending,
    /// Rejected or blocked: `disabled_at` is set.
    Blocked,
}

/// A row of Owncast's own follower table, as its API shows it (the inbox is never exposed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// Actor id (`link` in answers).
    pub iri: String,
    /// Display name.
    pub name: String,
    /// Full handle, `user@host`.
    pub username: String,
    /// Avatar address, may be empty.
    pub image: String,
    /// When the follow arrived.
    pub at: Timestamp,
    /// Approved, pending or blocked.
    pub state: FollowerState,
}

/// A row of `/api/admin/federation/actions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FederationAction {
    /// When it arrived.
    pub at: Timestamp,
    /// The object: our actor for a follow, a note for a like or share.
    pub iri: String,
    /// Who did it.
    pub actor: String,
    /// `FEDIVERSE_ENGAGEMENT_FOLLOW`, `…_LIKE` or `…_REPOST`.
    pub kind: String,
}

/// When a stream that connects shows as online and gets its first picture, counted from the RTMP connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Until `online` turns true; a real Owncast takes 9 s at the default latency.
    pub online_after: Duration,
    /// Until the first real thumbnail; a real Owncast takes 20 s.
    pub thumbnail_after: Duration,
}

impl Timeline {
    /// Nothing happens by itself: the caller takes each step with `turn_online`, `take_thumbnail` and `take_preview`.
    pub fn by_hand() -> Timeline {
        const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
        Timeline { online_after: NEVER, thumbnail_after: NEVER }
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline { online_after: Duration::from_secs(9), thumbnail_after: Duration::from_secs(20) }
    }
}

/// Everything an admin can set, as it is now. The defaults are those of a freshly installed Owncast.
#[derive(Clone)]
pub struct Config {
    /// Password of the user `admin`.
    pub admin_password: String,
    /// Public address without a trailing slash; empty until set.
    pub server_url: String,
    /// Federation user name.
    pub username: String,
    /// Server name.
    pub name: String,
    /// Summary, markdown.
    pub summary: String,
    /// Tags without `#`.
    pub tags: Vec<String>,
    /// Social handles.
    pub social_handles: Vec<SocialHandle>,
    /// External actions, in the API's own JSON shape.
    pub external_actions: Vec<Value>,
    /// Mature content.
    pub nsfw: bool,
    /// Stream title; may be empty.
    pub stream_title: String,
    /// Chat switched off.
    pub chat_disabled: bool,
    /// Whether joining viewers are announced.
    pub chat_join_messages: bool,
    /// Names nobody may use in chat.
    pub forbidden_usernames: Vec<String>,
    /// Owncast's own federation switch.
    pub federation_enabled: bool,
    /// Owncast's private mode.
    pub private: bool,
    /// Whether follows, likes and shares are shown in chat.
    pub show_engagement: bool,
    /// Go-live message; empty means no go-live post.
    pub go_live_message: String,
    /// Blocked domains.
    pub blocked_domains: Vec<String>,
    /// Bytes of another logo than the built-in PNG, with its content type.
    pub logo: Option<(bytes::Bytes, String)>,
    /// Names of the custom emoji, shown as pictures by the web page when written as `:name:`.
    pub emoji: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            admin_password: "abc123".into(),
            server_url: String::new(),
            username: "streamer".into(),
            name: "New Owncast Server".into(),
            summary: "This is a new live video streaming server powered by Owncast.".into(),
            tags: vec!["owncast".into(), "streaming".into()],
            social_handles: vec![SocialHandle {
                platform: "github".into(),
                url: "https://github.com/owncast/owncast".into(),
            }],
            external_actions: Vec::new(),
            nsfw: false,
            stream_title: String::new(),
            chat_disabled: false,
            chat_join_messages: true,
            forbidden_usernames: ["owncast", "operator", "admin", "system"].map(String::from).to_vec(),
            federation_enabled: false,
            private: false,
            show_engagement: true,
            go_live_message: "I've gone live!".into(),
            blocked_domains: Vec::new(),
            logo: None,
            emoji: ["heart", "beerparrot", "party", "wave"].map(String::from).to_vec(),
        }
    }
}

/// How a simulated Owncast is started; `Options::default()` is a freshly installed 0.1.3.
#[derive(Clone)]
pub struct Options {
    /// Release to imitate.
    pub version: Version,
    /// Password of the user `admin`.
    pub admin_password: String,
    /// Public address; may be empty.
    pub server_url: String,
    /// Federation user name.
    pub username: String,
    /// Server name.
    pub name: String,
    /// Summary, markdown.
    pub summary: String,
    /// Tags without `#`.
    pub tags: Vec<String>,
    /// Mature content.
    pub nsfw: bool,
    /// Owncast's own federation switch.
    pub federation_enabled: bool,
    /// Owncast's private mode.
    pub private: bool,
    /// Whether follows, likes and shares are shown in chat.
    pub show_engagement: bool,
    /// Go-live message; empty means no go-live post of Owncast's own.
    pub go_live_message: String,
    /// Blocked domains.
    pub blocked_domains: Vec<String>,
    /// Rows of Owncast's own follower table, so that "this actor has lived before" can be played.
    pub followers: Vec<Follower>,
    /// Rows of Owncast's list of federation actions.
    pub actions: Vec<FederationAction>,
    /// Public key (PEM, SPKI) in Owncast's actor document.
    pub public_key_pem: String,
    /// Time between two thumbnails; 20 s in a real Owncast.
    pub thumbnail_every: Duration,
    /// Time from connect to Owncast's own go-live post; 120 s in a real Owncast.
    pub own_post_after: Duration,
    /// Time from the end of a stream until the thumbnail is the logo again; 5 minutes in a real Owncast.
    pub offline_cleanup_after: Duration,
    /// Time from a viewer's last socket to `USER_PARTED`; 10 s in a real Owncast.
    pub part_after: Duration,
    /// Time between two websocket pings; 54 s in a real Owncast.
    pub ping_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let config = Config::default();
        Options {
            version: Version::V0_1_3,
            admin_password: config.admin_password,
            server_url: config.server_url,
            username: config.username,
            name: config.name,
            summary: config.summary,
            tags: config.tags,
            nsfw: config.nsfw,
            federation_enabled: config.federation_enabled,
            private: config.private,
            show_engagement: config.show_engagement,
            go_live_message: config.go_live_message,
            blocked_domains: config.blocked_domains,
            followers: Vec::new(),
            actions: Vec::new(),
            public_key_pem: PUBLIC_KEY_PEM.into(),
            thumbnail_every: Duration::from_secs(20),
            own_post_after: Duration::from_secs(120),
            offline_cleanup_after: Duration::from_secs(300),
            part_after: Duration::from_secs(10),
            ping_every: Duration::from_secs(54),
        }
    }
}

impl Options {
    pub(super) fn config(&self) -> Config {
        Config {
            admin_password: self.admin_password.clone(),
            server_url: self.server_url.trim_end_matches('/').into(),
            username: self.username.clone(),
            name: self.name.clone(),
            summary: self.summary.clone(),
            tags: self.tags.clone(),
            nsfw: self.nsfw,
            federation_enabled: self.federation_enabled,
            private: self.private,
            show_engagement: self.show_engagement,
            go_live_message: self.go_live_message.clone(),
            blocked_domains: self.blocked_domains.clone(),
            ..Config::default()
        }
    }
}

/// How every HTTP request is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusal {
    /// Answered.
    #[default]
    None,
    /// Answered with 503.
    Unavailable,
    /// The connection is closed without an answer.
    Close,
}

/// How a websocket upgrade is treated beside the ordinary rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SocketRefusal {
    /// By the ordinary rules.
    #[default]
    None,
    /// 200 with the text `ERROR_MAX_CONNECTIONS_EXCEEDED`, no upgrade.
    TooMany,
    /// 403: the address is banned.
    Banned,
}

/// Misbehaviour that can be switched on and off while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// No webhook leaves.
    pub lose_webhooks: bool,
    /// Each webhook is sent this many times more.
    pub repeat_webhooks: u32,
    /// Each webhook is held back this long.
    pub delay_webhooks: Duration,
    /// What happens to HTTP requests.
    pub refuse_all: Refusal,
    /// No setting can be changed through the admin API.
    pub refuse_settings: bool,
    /// The settings are not told through the admin API.
    pub hide_settings: bool,
    /// Each HTTP request is answered this much later.
    pub delay_answers: Duration,
    /// How far its clock is ahead, in seconds: in the status and in signatures.
    pub clock_ahead: i64,
    /// So many followers are counted that no page has, as while a list changes under its reader.
    pub slipped_followers: usize,
    /// No websocket frame leaves (pings still do).
    pub lose_frames: bool,
    /// What happens to websocket upgrades.
    pub refuse_sockets: SocketRefusal,
}
