//! Every key as a row: effective value, origin, and what changed between two configurations.

use std::fmt;
use std::path::Path;

use super::value::duration_text;
use super::{AdminPassword, Config};

/// Where an effective value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Built in.
    Default,
    /// `agent.toml`.
    File,
    /// The command line.
    CommandLine,
    /// An environment variable.
    Environment,
    /// A systemd credential.
    Credential,
    /// The file named by `admin-password-file`.
    PasswordFile,
    /// Read from Owncast at run time.
    Owncast,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::File => "agent.toml",
            Self::CommandLine => "command line",
            Self::Environment => "environment",
            Self::Credential => "systemd credential",
            Self::PasswordFile => "password file",
            Self::Owncast => "Owncast",
        })
    }
}

/// One key of `agent.toml` and its effective value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Key with its section: `go-live.delay`.
    pub field: &'static str,
    /// The value as text; a secret is only said to be set.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// One key that differs between two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Key with its section.
    pub field: &'static str,
    /// The old value as text; never a secret.
    pub from: String,
    /// The new value as text; never a secret.
    pub to: String,
    /// Whether a running agent keeps the old value until it is restarted.
    pub needs_restart: bool,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.field, self.from, self.to)?;
        if self.needs_restart { f.write_str(" (after a restart)") } else { Ok(()) }
    }
}

/// A key and how it behaves.
pub(super) struct Field {
    pub(super) name: &'static str,
    read: fn(&Config) -> Option<String>,
    when_unset: Origin,
    needs_restart: bool,
}

const fn live(name: &'static str, read: fn(&Config) -> Option<String>) -> Field {
    Field { name, read, when_unset: Origin::Default, needs_restart: false }
}

/// A key whose value is built into sockets, clients, threads or identity when the agent starts.
const fn fixed(name: &'static str, read: fn(&Config) -> Option<String>) -> Field {
    Field { name, read, when_unset: Origin::Default, needs_restart: true }
}

const fn from_owncast(field: Field) -> Field {
    Field { when_unset: Origin::Owncast, ..field }
}

fn path(path: &Path) -> Option<String> {
    Some(path.display().to_string())
}

fn list(nets: &[ipnet::IpNet]) -> Option<String> {
    let texts: Vec<String> = nets.iter().map(ToString::to_string).collect();
    Some(format!("[{}]", texts.join(", ")))
}

/// Every key, in the order of `agent.toml`.
pub(super) const FIELDS: &[Field] = &[
    fixed("owncast.url", |c| Some(c.owncast.url.to_string())),
    live("owncast.admin-user", |c| Some(c.owncast.admin_user.clone())),
    live("owncast.admin-password-file", |c| match &c.owncast.admin_password {
        AdminPassword::Known { origin: Origin::File, .. } | AdminPassword::Missing => None,
        AdminPassword::Known { .. } => Some("(set)".to_owned()),
        AdminPassword::Unusable { path, .. } => Some(format!("{} (cannot be used)", path.display())),
    }),
    live("owncast.admin-password", |c| match &c.owncast.admin_password {
        AdminPassword::Known { origin: Origin::File, .. } => Some("(set)".to_owned()),
        _ => None,
    }),
    live("owncast.websocket", |c| Some(c.owncast.websocket.to_string())),
    live("owncast.take-over-go-live-message", |c| Some(c.owncast.take_over_go_live_message.to_string())),
    fixed("listen.public", |c| Some(c.listen.public.to_string())),
    live("listen.trusted-proxies", |c| list(&c.listen.trusted_proxies)),
    fixed("listen.webhook", |c| Some(c.listen.webhook.to_string())),
    live("listen.webhook-url", |c| c.listen.webhook_url.as_ref().map(ToString::to_string)),
    fixed("listen.metrics", |c| Some(c.listen.metrics.to_string())),
    fixed("listen.admin-socket", |c| path(&c.listen.admin_socket)),
    from_owncast(fixed("identity.public-url", |c| c.identity.public_url.as_ref().map(ToString::to_string))),
    from_owncast(fixed("identity.username", |c| c.identity.username.clone())),
    fixed("identity.key-file", |c| path(&c.identity.key_file)),
    live("go-live.enabled", |c| Some(c.go_live.enabled.to_string())),
    live("go-live.delay", |c| Some(duration_text(c.go_live.delay))),
    live("go-live.repost-after", |c| Some(duration_text(c.go_live.repost_after))),
    from_owncast(live("go-live.message", |c| c.go_live.message.clone())),
    live("go-live.image", |c| Some(c.go_live.image.as_str().to_owned())),
    live("go-live.on-end", |c| Some(c.go_live.on_end.as_str().to_owned())),
    live("go-live.visibility", |c| Some(c.go_live.visibility.as_str().to_owned())),
    live("go-live.title-edits", |c| Some(duration_text(c.go_live.title_edits))),
    live("notices.follow", |c| Some(c.notices.follow.as_str().to_owned())),
    live("notices.announce", |c| Some(c.notices.announce.as_str().to_owned())),
    live("notices.like", |c| Some(c.notices.like.as_str().to_owned())),
    live("notices.reaction", |c| Some(c.notices.reaction.as_str().to_owned())),
    live("notices.reply", |c| Some(c.notices.reply.as_str().to_owned())),
    live("notices.when", |c| Some(c.notices.when.as_str().to_owned())),
    live("notices.max-per-minute", |c| Some(c.notices.max_per_minute.to_string())),
    live("notices.burst-window", |c| Some(duration_text(c.notices.burst_window))),
    live("followers.approval", |c| Some(c.followers.approval.as_str().to_owned())),
    live("followers.show", |c| Some(c.followers.show.as_str().to_owned())),
    fixed("federation.allow-private-addresses", |c| list(&c.federation.allow_private_addresses)),
    fixed("federation.allow-http", |c| Some(c.federation.allow_http.to_string())),
    fixed("federation.extra-ca-file", |c| c.federation.extra_ca_file.as_deref().and_then(path)),
    fixed("delivery.concurrency", |c| Some(c.delivery.concurrency.to_string())),
    fixed("delivery.per-host", |c| Some(c.delivery.per_host.to_string())),
    fixed("delivery.sign-threads", |c| Some(c.delivery.sign_threads.to_string())),
    fixed("delivery.connect-timeout", |c| Some(duration_text(c.delivery.connect_timeout))),
    fixed("delivery.timeout", |c| Some(duration_text(c.delivery.timeout))),
    fixed("store.path", |c| path(&c.store.path)),
    live("log.level", |c| Some(c.log.level.as_str().to_owned())),
    live("log.format", |c| Some(c.log.format.as_str().to_owned())),
];

pub(super) fn settings(config: &Config) -> Vec<Setting> {
    let row = |field: &Field| {
        let value = (field.read)(config);
        let unset = if value.is_none() { field.when_unset } else { Origin::Default };
        let origin = config.origins.get(field.name).copied().unwrap_or(unset);
        Setting { field: field.name, value: value.unwrap_or_else(|| "(not set)".to_owned()), origin }
    };
    FIELDS.iter().map(row).collect()
}

/// The keys whose effective values differ, in the order of `agent.toml`.
pub fn diff(old: &Config, new: &Config) -> Vec<Changed> {
    let password_changed = match (&old.owncast.admin_password, &new.owncast.admin_password) {
        (AdminPassword::Known { secret: before, .. }, AdminPassword::Known { secret: after, .. }) => {
            before != after
        }
        _ => false,
    };
    let rows = FIELDS.iter().zip(settings(old).into_iter().zip(settings(new)));
    rows.filter_map(|(field, (before, after))| {
        let replaced = password_changed && before.value == "(set)" && after.value == "(set)";
        let is_other =
            before.value != after.value || replaced && field.name.starts_with("owncast.admin-password");
        is_other.then(|| Changed {
            field: field.name,
            from: before.value,
            to: if replaced { "(set to another one)".to_owned() } else { after.value },
            needs_restart: field.needs_restart,
        })
    })
    .collect()
}
