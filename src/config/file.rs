//! `agent.toml` exactly as written: every key optional, unknown keys refused.

use serde::Deserialize;

use super::choice::{
    Approval, FollowersShown, LogFormat, NoticeStyle, NoticeWhen, OnEnd, PostImage, Visibility,
};
use super::value::{
    AbsolutePath, AdminUser, Cidr, Count, HttpUrl, Language, Listener, LogLevel, Period, PostText, UserName,
    blank_is_unset,
};
use crate::model::Secret;

const MILLISECOND: u64 = 1;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Spec {
    /// `[owncast]`
    pub owncast: OwncastSpec,
    /// `[listen]`
    pub listen: ListenSpec,
    /// `[identity]`
    pub identity: IdentitySpec,
    /// `[go-live]`
    pub go_live: GoLiveSpec,
    /// `[notices]`
    pub notices: NoticesSpec,
    /// `[followers]`
    pub followers: FollowersSpec,
    /// `[federation]`
    pub federation: FederationSpec,
    /// `[limits]`
    pub limits: LimitsSpec,
    /// `[delivery]`
    pub delivery: DeliverySpec,
    /// `[store]`
    pub store: StoreSpec,
    /// `[log]`
    pub log: LogSpec,
}

/// `[owncast]` as written; meaning in [`super::OwncastConfig`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OwncastSpec {
    /// `url`
    pub url: Option<HttpUrl>,
    /// `admin-user`
    pub admin_user: Option<AdminUser>,
    /// `admin-password-file`
    #[serde(deserialize_with = "blank_is_unset")]
    pub admin_password_file: Option<AbsolutePath>,
    /// `admin-password`
    #[serde(deserialize_with = "blank_is_unset")]
    pub admin_password: Option<Secret>,
    /// `websocket`
    pub websocket: Option<bool>,
    /// `take-over-go-live-message`
    pub take_over_go_live_message: Option<bool>,
}

/// `[listen]` as written; meaning in [`super::ListenConfig`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ListenSpec {
    /// `public`
    pub public: Option<Listener>,
    /// `trusted-proxies`
    pub trusted_proxies: Option<Vec<Cidr>>,
    /// `webhook`
    pub webhook: Option<Listener>,
    /// `webhook-url`
    #[serde(deserialize_with = "blank_is_unset")]
    pub webhook_url: Option<HttpUrl>,
    /// `metrics`
    pub metrics: Option<Listener>,
    /// `admin-socket`
    #[serde(deserialize_with = "blank_is_unset")]
    pub admin_socket: Option<AbsolutePath>,
}

/// `[identity]` as written; meaning in [`super::IdentityConfig`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct IdentitySpec {
    /// `public-url`
    #[serde(deserialize_with = "blank_is_unset")]
    pub public_url: Option<HttpUrl>,
    /// `username`
    #[serde(deserialize_with = "blank_is_unset")]
    pub username: Option<UserName>,
    /// `key-file`
    #[serde(deserialize_with = "blank_is_unset")]
    pub key_file: Option<AbsolutePath>,
}

/// `[go-live]` as written; meaning in [`super::GoLiveConfig`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GoLiveSpec {
    /// `enabled`
    pub enabled: Option<bool>,
    /// `delay`
    pub delay: Option<Period<0, HOUR>>,
    /// `repost-after`
    pub repost_after: Option<Period<0, DAY>>,
    /// `message`
    #[serde(deserialize_with = "blank_is_unset")]
    pub message: Option<PostText>,
    /// `language`
    #[serde(deserialize_with = "blank_is_unset")]
    pub language: Option<Language>,
    /// `image`
    pub image: Option<PostImage>,
    /// `on-end`
    pub on_end: Option<OnEnd>,
    /// `visibility`
    pub visibility: Option<Visibility>,
    /// `title-edits`
    pub title_edits: Option<Period<MINUTE, DAY>>,
}

/// `[notices]` as written; meaning in [`super::NoticesConfig`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NoticesSpec {
    /// `follow`
    pub follow: Option<NoticeStyle>,
    /// `announce`
    pub announce: Option<NoticeStyle>,
    /// `like`
    pub like: Option<NoticeStyle>,
    /// `reaction`
    pub reaction: Option<NoticeStyle>,
    /// `reply`
    pub reply: Option<NoticeStyle>,
    /// `when`
    pub when: Option<NoticeWhen>,
    /// `max-per-minute`
    pub max_per_minute: Option<Count<1, 60>>,
    /// `burst-window`
    pub burst_window: Option<Period<{ 100 * MILLISECOND }, { 10 * MINUTE }>>,
}

/// `[followers]` as written; meaning in [`super::FollowersConfig`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FollowersSpec {
    /// `approval`
    pub approval: Option<Approval>,
    /// `show`
    pub show: Option<FollowersShown>,
}

/// `[federation]` as written; meaning in [`super::FederationConfig`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FederationSpec {
    /// `allow-private-addresses`
    pub allow_private_addresses: Option<Vec<Cidr>>,
    /// `allow-http`
    pub allow_http: Option<bool>,
    /// `extra-ca-file`
    #[serde(deserialize_with = "blank_is_unset")]
    pub extra_ca_file: Option<AbsolutePath>,
}

/// `[limits]` as written; meaning in [`super::LimitsConfig`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LimitsSpec {
    /// `requests-per-client`
    pub requests_per_client: Option<Count<1, 1_000_000>>,
    /// `activities-per-server`
    pub activities_per_server: Option<Count<1, 1_000_000>>,
}

/// `[delivery]` as written; meaning in [`super::DeliveryConfig`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DeliverySpec {
    /// `concurrency`
    pub concurrency: Option<Count<1, 1024>>,
    /// `per-host`
    pub per_host: Option<Count<1, 16>>,
    /// `sign-threads`
    pub sign_threads: Option<Count<1, 16>>,
    /// `connect-timeout`
    pub connect_timeout: Option<Period<{ 100 * MILLISECOND }, { 5 * MINUTE }>>,
    /// `timeout`
    pub timeout: Option<Period<{ 100 * MILLISECOND }, { 5 * MINUTE }>>,
}

/// `[store]` as written; meaning in [`super::StoreConfig`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StoreSpec {
    /// `path`
    pub path: Option<AbsolutePath>,
    /// `free-space-mib`
    pub free_space_mib: Option<Count<0, { 1024 * 1024 }>>,
}

/// `[log]` as written; meaning in [`super::LogConfig`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LogSpec {
    /// `level`
    pub level: Option<LogLevel>,
    /// `format`
    pub format: Option<LogFormat>,
}
