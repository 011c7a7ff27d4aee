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
    /// The file named by `admin-password-file`, or the one beside the configuration.
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
    /// Whether a running agent goes on with another value until it is restarted.
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
    /// Gives the first configuration the second one's value; only where a running agent keeps its value.
    keep: Option<fn(&mut Config, &Config)>,
}

const fn live(name: &'static str, read: fn(&Config) -> Option<String>) -> Field {
    Field { name, read, when_unset: Origin::Default, keep: None }
}

/// A key whose value is built into sockets, clients, threads or identity when the agent starts.
const fn fixed(
    name: &'static str,
    read: fn(&Config) -> Option<String>,
    keep: fn(&mut Config, &Config),
) -> Field {
    Field { name, read, when_unset: Origin::Default, keep: Some(keep) }
}

/// [`fixed`], reading and keeping the same place.
macro_rules! fixed {
    ($name:literal, $section:ident . $key:ident, |$value:ident| $text:expr) => {
        fixed(
            $name,
            |config| {
                let $value = &config.$section.$key;
                $text
            },
            |to, from| to.$section.$key.clone_from(&from.$section.$key),
        )
    };
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
    fixed!("owncast.url", owncast.url, |value| Some(value.to_string())),
    live("owncast.admin-user", |c| Some(c.owncast.admin_user.clone())),
    live("owncast.admin-password-file", |c| match &c.owncast.admin_password {
        AdminPassword::Known { origin: Origin::File, .. } | AdminPassword::Missing => None,
        AdminPassword::Known { .. } => Some("(set)".to_owned()),
        AdminPassword::Empty { path } => Some(format!("{} (is empty)", path.display())),
        AdminPassword::Stale { path } => Some(format!("{} (not handed over yet)", path.display())),
        AdminPassword::Unusable { path, .. } => Some(format!("{} (cannot be used)", path.display())),
    }),
    live("owncast.admin-password", |c| match &c.owncast.admin_password {
        AdminPassword::Known { origin: Origin::File, .. } => Some("(set)".to_owned()),
        _ => None,
    }),
    live("owncast.websocket", |c| Some(c.owncast.websocket.to_string())),
    live("owncast.take-over-go-live-message", |c| Some(c.owncast.take_over_go_live_message.to_string())),
    fixed!("listen.public", listen.public, |value| Some(value.to_string())),
    live("listen.trusted-proxies", |c| list(&c.listen.trusted_proxies)),
    fixed!("listen.webhook", listen.webhook, |value| Some(value.to_string())),
    live("listen.webhook-url", |c| c.listen.webhook_url.as_ref().map(ToString::to_string)),
    fixed!("listen.metrics", listen.metrics, |value| Some(value.to_string())),
    fixed!("listen.admin-socket", listen.admin_socket, |value| path(value)),
    from_owncast(fixed!("identity.public-url", identity.public_url, |value| value
        .as_ref()
        .map(ToString::to_string))),
    from_owncast(fixed!("identity.username", identity.username, |value| value.clone())),
    fixed!("identity.key-file", identity.key_file, |value| path(value)),
    live("go-live.enabled", |c| Some(c.go_live.enabled.to_string())),
    live("go-live.delay", |c| Some(duration_text(c.go_live.delay))),
    live("go-live.repost-after", |c| Some(duration_text(c.go_live.repost_after))),
    from_owncast(live("go-live.message", |c| c.go_live.message.clone())),
    live("go-live.language", |c| c.go_live.language.clone()),
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
    fixed!("federation.allow-private-addresses", federation.allow_private_addresses, |value| list(value)),
    fixed!("federation.allow-http", federation.allow_http, |value| Some(value.to_string())),
    fixed!("federation.extra-ca-file", federation.extra_ca_file, |value| value.as_deref().and_then(path)),
    live("limits.requests-per-client", |c| Some(c.limits.requests_per_client.to_string())),
    live("limits.activities-per-server", |c| Some(c.limits.activities_per_server.to_string())),
    fixed!("delivery.concurrency", delivery.concurrency, |value| Some(value.to_string())),
    fixed!("delivery.per-host", delivery.per_host, |value| Some(value.to_string())),
    fixed!("delivery.sign-threads", delivery.sign_threads, |value| Some(value.to_string())),
    fixed!("delivery.connect-timeout", delivery.connect_timeout, |value| Some(duration_text(*value))),
    fixed!("delivery.timeout", delivery.timeout, |value| Some(duration_text(*value))),
    fixed!("store.path", store.path, |value| path(value)),
    fixed!("store.free-space-mib", store.free_space_mib, |value| Some(value.to_string())),
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
            needs_restart: field.keep.is_some(),
        })
    })
    .collect()
}

/// What an agent that runs with `running` goes on with after `new` was read: what is built into it stays.
pub(super) fn applied(running: &Config, mut new: Config) -> Config {
    for field in FIELDS {
        let Some(keep) = field.keep else { continue };
        keep(&mut new, running);
        match running.origins.get(field.name) {
            Some(origin) => new.origins.insert(field.name, *origin),
            None => new.origins.remove(field.name),
        };
    }
    new
}

#[cfg(test)]
mod tests {
    use super::super::Overrides;
    use super::*;

    #[test]
    fn a_running_agent_keeps_what_is_built_into_it_whole() {
        let load = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            Config::load(Some(file.path()), Overrides::default(), &|_| None).unwrap()
        };
        let running =
            load("[owncast]\nurl = \"http://127.0.0.1:8080\"\n[listen]\nmetrics = \"127.0.0.1:1\"\n");
        let new = load(
            "[owncast]\nurl = \"http://127.0.0.1:9\"\nwebsocket = false\n\
             [listen]\npublic = \"127.0.0.1:2\"\nwebhook = \"127.0.0.1:3\"\nwebhook-url = \"http://h:4\"\n\
             admin-socket = \"/s\"\n[identity]\npublic-url = \"https://l.example\"\nusername = \"u\"\n\
             key-file = \"/k\"\n[go-live]\ndelay = \"5s\"\n[federation]\nallow-http = true\n\
             allow-private-addresses = [\"10.0.0.0/8\"]\nextra-ca-file = \"/ca\"\n[delivery]\nconcurrency = 1\n\
             per-host = 1\nsign-threads = 2\nconnect-timeout = \"1s\"\ntimeout = \"2s\"\n[store]\npath = \"/p\"\n\
             free-space-mib = 7\n",
        );
        let fixed = FIELDS.iter().filter(|field| field.keep.is_some()).count();
        let waiting = diff(&running, &new).into_iter().filter(|change| change.needs_restart).count();
        assert_eq!(waiting, fixed, "the example changes every one");
        let after = applied(&running, new);
        let changed: Vec<&str> = diff(&running, &after).iter().map(|change| change.field).collect();
        assert_eq!(changed, ["owncast.websocket", "listen.webhook-url", "go-live.delay"]);
        for (before, after) in settings(&running).into_iter().zip(settings(&after)) {
            if !changed.contains(&before.field) {
                assert_eq!(before, after, "with its origin");
            }
        }
    }
}
