//! From the file as written to the configuration as used: defaults, rules that span keys, warnings.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use toml::de::DeTable;

use super::error::ConfigError;
use super::file::Spec;
use super::locate::Index;
use super::places::{Places, here};
use super::secret::{AdminPassword, password_beside};
use super::settings::Origin;
use super::value::{Cidr, FromText, HttpUrl};
use super::{
    Approval, Config, DeliveryConfig, FederationConfig, FollowersConfig, FollowersShown, GoLiveConfig,
    IdentityConfig, LimitsConfig, ListenConfig, LogConfig, LogFormat, LogLevel, NoticeStyle, NoticeWhen,
    NoticesConfig, OnEnd, OwncastConfig, PostImage, StoreConfig, Visibility,
};

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the command line says; it wins over the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--owncast URL`
    pub owncast_url: Option<String>,
    /// `--store DIR`
    pub store_path: Option<PathBuf>,
}

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Takes each key's value from the file or its default, and remembers which.
struct Taken(BTreeMap<&'static str, Origin>);

impl Taken {
    fn or<T>(&mut self, name: &'static str, written: Option<T>, default: T) -> T {
        self.option(name, written).unwrap_or(default)
    }

    fn option<T>(&mut self, name: &'static str, written: Option<T>) -> Option<T> {
        if written.is_some() {
            self.0.insert(name, Origin::File);
        }
        written
    }
}

pub(super) fn load(path: Option<&Path>, overrides: Overrides, env: Env<'_>) -> Result<Config, ConfigError> {
    let text = path.map(read).transpose()?.unwrap_or_default();
    load_text(text, path, overrides, env)
}

/// The two keys that say where the socket is, out of a file that is wrong elsewhere.
pub(super) fn salvage(path: &Path, env: Env<'_>) -> Option<Config> {
    let text = read(path).ok()?;
    let (document, _) = DeTable::parse_recoverable(&text);
    let mut rest = toml::Table::new();
    for (section, key) in [("listen", "admin-socket"), ("store", "path")] {
        let found = document.get_ref().get(section).and_then(|section| section.get_ref().get(key));
        match found.and_then(|value| value.get_ref().as_str()) {
            Some(value) => {
                let section = rest.entry(section).or_insert_with(|| toml::Table::new().into());
                section.as_table_mut()?.insert(key.to_owned(), value.into());
            }
            None if mentions(&text, key) => return None,
            None => {}
        }
    }
    // Owncast's address has no part in where the socket is.
    let overrides = Overrides { owncast_url: Some(format!("http://{LOCALHOST}")), store_path: None };
    load_text(toml::to_string(&rest).ok()?, None, overrides, env).ok()
}

/// Whether a key is set on some line, however wrong.
fn mentions(text: &str, key: &str) -> bool {
    let set = |line: &str| {
        line.split('=').next().is_some_and(|name| name.split('.').any(|part| part.trim() == key))
    };
    text.lines().map(str::trim).filter(|line| !line.starts_with('#')).any(set)
}

fn load_text(
    text: String,
    path: Option<&Path>,
    overrides: Overrides,
    env: Env<'_>,
) -> Result<Config, ConfigError> {
    let spec: Spec = toml::from_str(&text).map_err(|error| ConfigError::from_toml(&error, &text, path))?;
    let at = |field: &str, problem: String| {
        let line = Index::new(&text).line_of(&text, field);
        ConfigError::new(problem).field(field).file(path).line(line)
    };
    let warn_of_readers = spec.owncast.admin_password.is_some() && path.is_some_and(everybody_may_read);
    let mut taken = Taken(BTreeMap::new());

    let admin_password = AdminPassword::resolve(&spec.owncast, path, env);
    if let AdminPassword::Known { origin, .. } = &admin_password {
        taken.0.insert(password_field(*origin), *origin);
    }
    let owncast = OwncastConfig {
        url: owncast_url(spec.owncast.url, overrides.owncast_url, path, &mut taken)?,
        admin_user: taken.or(
            "owncast.admin-user",
            spec.owncast.admin_user.map(|user| user.0),
            "admin".to_owned(),
        ),
        admin_password,
        websocket: taken.or("owncast.websocket", spec.owncast.websocket, true),
        take_over_go_live_message: taken.or(
            "owncast.take-over-go-live-message",
            spec.owncast.take_over_go_live_message,
            true,
        ),
    };
    let store = StoreConfig {
        path: store_path(spec.store.path.map(|path| path.0), overrides.store_path, env, &mut taken),
        free_space_mib: taken.or("store.free-space-mib", spec.store.free_space_mib.map(|n| n.0), 64),
    };
    let local = |port| SocketAddr::from((LOCALHOST, port));
    let listen = ListenConfig {
        public: taken.or("listen.public", spec.listen.public.map(|l| l.0), local(8585)),
        trusted_proxies: taken.or(
            "listen.trusted-proxies",
            spec.listen.trusted_proxies.map(networks),
            loopback_networks(),
        ),
        webhook: taken.or("listen.webhook", spec.listen.webhook.map(|l| l.0), local(8586)),
        webhook_url: taken.option("listen.webhook-url", spec.listen.webhook_url),
        metrics: taken.or("listen.metrics", spec.listen.metrics.map(|l| l.0), local(8587)),
        admin_socket: match taken.option("listen.admin-socket", spec.listen.admin_socket) {
            Some(path) => path.0,
            None => {
                directory(env, "RUNTIME_DIRECTORY").unwrap_or_else(|| store.path.clone()).join("admin.sock")
            }
        },
    };
    let identity = IdentityConfig {
        public_url: taken.option("identity.public-url", spec.identity.public_url),
        username: taken.option("identity.username", spec.identity.username.map(|name| name.0)),
        key_file: match taken.option("identity.key-file", spec.identity.key_file) {
            Some(path) => path.0,
            None => store.path.join("actor-key.pem"),
        },
    };
    let go_live = GoLiveConfig {
        enabled: taken.or("go-live.enabled", spec.go_live.enabled, true),
        delay: taken.or("go-live.delay", spec.go_live.delay.map(|p| p.0), Duration::from_secs(60)),
        repost_after: taken.or(
            "go-live.repost-after",
            spec.go_live.repost_after.map(|p| p.0),
            Duration::from_secs(15 * 60),
        ),
        message: taken.option("go-live.message", spec.go_live.message.map(|text| text.0)),
        language: taken.option("go-live.language", spec.go_live.language.map(|tag| tag.0)),
        image: taken.or("go-live.image", spec.go_live.image, PostImage::Thumbnail),
        on_end: taken.or("go-live.on-end", spec.go_live.on_end, OnEnd::Update),
        visibility: taken.or("go-live.visibility", spec.go_live.visibility, Visibility::Inherit),
        title_edits: taken.or(
            "go-live.title-edits",
            spec.go_live.title_edits.map(|p| p.0),
            Duration::from_secs(10 * 60),
        ),
    };
    let notices = NoticesConfig {
        follow: taken.or("notices.follow", spec.notices.follow, NoticeStyle::Card),
        announce: taken.or("notices.announce", spec.notices.announce, NoticeStyle::Card),
        like: taken.or("notices.like", spec.notices.like, NoticeStyle::Line),
        reaction: taken.or("notices.reaction", spec.notices.reaction, NoticeStyle::Line),
        reply: taken.or("notices.reply", spec.notices.reply, NoticeStyle::Off),
        when: taken.or("notices.when", spec.notices.when, NoticeWhen::Live),
        max_per_minute: taken.or("notices.max-per-minute", spec.notices.max_per_minute.map(|n| n.0), 4),
        burst_window: taken.or(
            "notices.burst-window",
            spec.notices.burst_window.map(|p| p.0),
            Duration::from_secs(5),
        ),
    };
    let followers = FollowersConfig {
        approval: taken.or("followers.approval", spec.followers.approval, Approval::Inherit),
        show: taken.or("followers.show", spec.followers.show, FollowersShown::Count),
    };
    let federation = FederationConfig {
        allow_private_addresses: taken.or(
            "federation.allow-private-addresses",
            spec.federation.allow_private_addresses.map(networks),
            Vec::new(),
        ),
        allow_http: taken.or("federation.allow-http", spec.federation.allow_http, false),
        extra_ca_file: taken
            .option("federation.extra-ca-file", spec.federation.extra_ca_file.map(|path| path.0)),
    };
    let limits = LimitsConfig {
        requests_per_client: taken.or(
            "limits.requests-per-client",
            spec.limits.requests_per_client.map(|n| n.0),
            100,
        ),
        activities_per_server: taken.or(
            "limits.activities-per-server",
            spec.limits.activities_per_server.map(|n| n.0),
            10,
        ),
    };
    let delivery = DeliveryConfig {
        concurrency: taken.or("delivery.concurrency", spec.delivery.concurrency.map(|n| n.0), 512),
        per_host: taken.or("delivery.per-host", spec.delivery.per_host.map(|n| n.0), 2),
        sign_threads: taken.or("delivery.sign-threads", spec.delivery.sign_threads.map(|n| n.0), 1),
        connect_timeout: taken.or(
            "delivery.connect-timeout",
            spec.delivery.connect_timeout.map(|p| p.0),
            Duration::from_secs(5),
        ),
        timeout: taken.or("delivery.timeout", spec.delivery.timeout.map(|p| p.0), Duration::from_secs(15)),
    };
    let log = LogConfig {
        level: taken.or("log.level", spec.log.level, LogLevel::default()),
        format: taken.or("log.format", spec.log.format, LogFormat::Auto),
    };

    check_listeners(&listen, &owncast.url, &at)?;
    if delivery.timeout < delivery.connect_timeout {
        let found =
            format!("{:?}, less than connect-timeout {:?}", delivery.timeout, delivery.connect_timeout);
        return Err(at("delivery.timeout", "this value cannot be used".to_owned())
            .found(found)
            .allowed("at least connect-timeout, which is a part of it"));
    }
    let mut warnings = Vec::new();
    warn_about_password(&owncast, warn_of_readers.then_some(path).flatten(), &mut warnings);
    warn_about_openness(&listen, &federation, &mut warnings);
    warnings.extend(federation.extra_ca_file.as_deref().and_then(unusable_authority));
    Ok(Config {
        owncast,
        listen,
        identity,
        go_live,
        notices,
        followers,
        federation,
        limits,
        delivery,
        store,
        log,
        file: path.map(Path::to_owned),
        origins: taken.0,
        warnings,
    })
}

/// A certificate authority that cannot be used would show only when the first server is contacted. It is no error: the
/// service may see files that whoever checks the configuration does not, and the other way round.
fn unusable_authority(path: &Path) -> Option<String> {
    let why = match std::fs::read(path) {
        Err(error) => error.to_string(),
        Ok(bytes) => match openssl::x509::X509::stack_from_pem(&bytes) {
            Ok(found) if !found.is_empty() => return None,
            _ => "it holds no certificate in PEM".to_owned(),
        },
    };
    let path = path.display();
    Some(format!(
        "federation.extra-ca-file {path} cannot be used ({why}): no other server can be contacted so"
    ))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        ConfigError::new(format!("the configuration cannot be read: {error}"))
            .file(Some(path))
            .allowed("a UTF-8 text file that this user may read; or no file, and --owncast URL instead")
    })
}

fn owncast_url(
    written: Option<HttpUrl>,
    on_command_line: Option<String>,
    path: Option<&Path>,
    taken: &mut Taken,
) -> Result<HttpUrl, ConfigError> {
    const FIELD: &str = "owncast.url";
    if let Some(text) = on_command_line {
        taken.0.insert(FIELD, Origin::CommandLine);
        // The text is not repeated: a login pasted into an address would end in the journal.
        return HttpUrl::from_text(&text).ok_or_else(|| {
            ConfigError::new("--owncast cannot be used")
                .allowed(
                    "an http:// or https:// address of host and port only: no path, query or login in it",
                )
                .field(FIELD)
        });
    }
    taken.option(FIELD, written).ok_or_else(|| {
        ConfigError::new("Owncast's address is not set; without it there is nothing to federate")
            .file(path)
            .field(FIELD)
            .allowed("the address at which this machine reaches Owncast, here or as --owncast URL")
    })
}

fn store_path(
    written: Option<PathBuf>,
    on_command_line: Option<PathBuf>,
    env: Env<'_>,
    taken: &mut Taken,
) -> PathBuf {
    const FIELD: &str = "store.path";
    if let Some(path) = on_command_line {
        taken.0.insert(FIELD, Origin::CommandLine);
        return path;
    }
    let path = taken.option(FIELD, written).or_else(|| {
        let path = directory(env, "STATE_DIRECTORY")?;
        taken.0.insert(FIELD, Origin::Environment);
        Some(path)
    });
    path.unwrap_or_else(|| PathBuf::from("/var/lib/owncast-herald"))
}

/// A folder systemd made for the unit. Several are separated by colons; the first is ours (systemd.exec(5)).
fn directory(env: Env<'_>, name: &str) -> Option<PathBuf> {
    let value = env(name)?;
    let first = value.split(':').next().filter(|first| !first.is_empty())?;
    Some(PathBuf::from(first))
}

fn networks(written: Vec<Cidr>) -> Vec<IpNet> {
    written.into_iter().map(|cidr| cidr.0).collect()
}

fn loopback_networks() -> Vec<IpNet> {
    let v4 = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
    vec![IpNet::V4(v4), IpNet::from(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST))]
}

fn check_listeners(
    listen: &ListenConfig,
    owncast: &HttpUrl,
    at: &dyn Fn(&str, String) -> ConfigError,
) -> Result<(), ConfigError> {
    let pairs = [
        ("listen.webhook", listen.webhook, "listen.public", listen.public),
        ("listen.metrics", listen.metrics, "listen.public", listen.public),
        ("listen.metrics", listen.metrics, "listen.webhook", listen.webhook),
    ];
    for (field, address, other_field, other) in pairs {
        if address == other && address.port() != 0 {
            return Err(at(field, format!("this is the address of {other_field}"))
                .found(address.to_string())
                .allowed("an address or port of its own, because each listener serves different people"));
        }
    }
    if listen.webhook.ip().is_unspecified() && listen.webhook_url.is_none() && !owncast.is_loopback() {
        return Err(at(
            "listen.webhook-url",
            "Owncast is on another host and must be told where to call".to_owned(),
        )
        .found(format!("listen.webhook = \"{}\", which is no address to call", listen.webhook))
        .allowed("the webhook listener's address as Owncast reaches it"));
    }
    Ok(())
}

/// Which key a password from this place counts for.
fn password_field(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "owncast.admin-password",
        _ => "owncast.admin-password-file",
    }
}

fn everybody_may_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

fn warn_about_password(owncast: &OwncastConfig, readable: Option<&Path>, warnings: &mut Vec<String>) {
    if let AdminPassword::Known { origin: Origin::File, .. } = owncast.admin_password {
        warnings.push(
            "owncast.admin-password is in the configuration file; keep it in a file of its own \
             (admin-password-file) or in the systemd credential owncast-admin-password"
                .to_owned(),
        );
    }
    if let Some(path) = readable {
        warnings.push(format!(
            "{} holds Owncast's admin password and everybody on this machine may read it; cure: {}",
            path.display(),
            elsewhere(path, here())
        ));
    }
    let known = matches!(owncast.admin_password, AdminPassword::Known { .. });
    if known && owncast.url.url().scheme() == "http" && !owncast.url.is_loopback() {
        warnings.push(format!(
            "Owncast's admin password crosses the network readable by others on its way to {}; use https, or run \
             beside Owncast",
            owncast.url
        ));
    }
}

/// How the password gets out of a configuration that everybody may read. Taken from everybody, that may be taken from the
/// service's user, too; and setup writes for root what only a unit hands over.
fn elsewhere(path: &Path, agent: &Places) -> String {
    let beside = password_beside(path);
    let beside = beside.display();
    match agent.unit() {
        Some(_) => {
            format!(
                "`{}`, which asks for it and keeps it in {beside} instead",
                agent.command("setup --force")
            )
        }
        None => format!(
            "put it into a file that the agent's user owns, of mode 600, {beside} say, and name that with admin-password-file \
             instead"
        ),
    }
}

fn warn_about_openness(listen: &ListenConfig, federation: &FederationConfig, warnings: &mut Vec<String>) {
    if listen.webhook.ip().is_unspecified() {
        warnings.push(format!(
            "listen.webhook = \"{}\" faces every network; name the address that Owncast uses, or keep others out \
             with a firewall",
            listen.webhook
        ));
    }
    if !listen.metrics.ip().is_loopback() {
        warnings.push(format!(
            "listen.metrics = \"{}\" shows numbers about the stream to whoever can reach it",
            listen.metrics
        ));
    }
    if listen.trusted_proxies.iter().any(|net| net.prefix_len() == 0) {
        warnings.push(
            "listen.trusted-proxies holds every address: anybody can claim to be somebody else, and limits per \
             address mean nothing"
                .to_owned(),
        );
    }
    if federation.allow_http {
        warnings.push("federation.allow-http is for tests: posts and keys travel unprotected".to_owned());
    }
    if !federation.allow_private_addresses.is_empty() {
        warnings.push(
            "federation.allow-private-addresses lets strangers make this agent call hosts in your own network"
                .to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_led_to_where_this_agent_finds_it() {
        let path = Path::new("/srv/herald/agent.toml");
        let of_unit = elsewhere(path, &Places::default());
        assert!(of_unit.contains("`sudo owncast-herald setup --force`"), "{of_unit}");
        let by_hand = elsewhere(path, &Places { config: Some(path.to_owned()), ..Places::default() });
        for part in ["admin-password-file", "mode 600", "agent's user", "/srv/herald/admin-password"] {
            assert!(by_hand.contains(part), "{by_hand}");
        }
        assert!(!by_hand.contains("setup"), "{by_hand}");
    }
}
