//! The shipped `agent.toml`, messages for operators, and what wins over what.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use owncast_herald::config::{Config, ConfigError, Origin, Overrides, diff};

const SHIPPED: &str = include_str!("../agent.toml");
const MINIMAL: &str = "[owncast]\nurl = \"http://127.0.0.1:8080\"\n";

fn load_with(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Config::load(Some(file.path()), Overrides::default(), env)
}

fn load(text: &str) -> Result<Config, ConfigError> {
    load_with(text, &|_| None)
}

fn with(section_and_lines: &str) -> String {
    format!("{MINIMAL}{section_and_lines}")
}

/// A line of the form `# key = value`.
fn commented_setting(line: &str) -> Option<&str> {
    let setting = line.strip_prefix("# ")?;
    let (key, _) = setting.split_once(" = ")?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    is_key.then_some(setting)
}

fn uncommented() -> String {
    SHIPPED.lines().map(|line| commented_setting(line).unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Every key of the shipped file with its section.
fn shipped_keys() -> BTreeSet<String> {
    let mut section = "";
    let mut keys = BTreeSet::new();
    for line in SHIPPED.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        }
        let setting = commented_setting(line).or_else(|| line.contains(" = ").then_some(line));
        if let Some(setting) = setting.filter(|setting| !setting.starts_with('#')) {
            let key = setting.split(" = ").next().unwrap();
            assert!(keys.insert(format!("{section}.{key}")), "{section}.{key} is there twice");
        }
    }
    keys
}

/// The keys that the parser itself knows in a section, from its answer to an unknown one.
fn known_to_parser(section: &str) -> Vec<String> {
    let text = if section.is_empty() { "zz = 1".to_owned() } else { format!("[{section}]\nzz = 1") };
    let error = load(&text).unwrap_err();
    let allowed = error.what_is_allowed().unwrap();
    allowed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_shipped_file_changes_nothing() {
    let (shipped, minimal) = (load(SHIPPED).unwrap(), load(MINIMAL).unwrap());
    assert_eq!(diff(&minimal, &shipped), []);
    assert_eq!(shipped.warnings(), Vec::<String>::new());
    let set: Vec<_> = shipped.settings().into_iter().filter(|row| row.origin == Origin::File).collect();
    assert_eq!(set.iter().map(|row| row.field).collect::<Vec<_>>(), ["owncast.url"]);
}

#[test]
fn the_shipped_defaults_are_the_programs() {
    let (all, minimal) = (load(&uncommented()).unwrap(), load(MINIMAL).unwrap());
    assert_eq!(all.owncast, minimal.owncast);
    assert_eq!(all.listen, minimal.listen);
    assert_eq!(all.identity, minimal.identity);
    assert_eq!(all.go_live, minimal.go_live);
    assert_eq!(all.notices, minimal.notices);
    assert_eq!(all.followers, minimal.followers);
    assert_eq!(all.federation, minimal.federation);
    assert_eq!(all.limits, minimal.limits);
    assert_eq!(all.delivery, minimal.delivery);
    assert_eq!(all.store, minimal.store);
    assert_eq!(all.log, minimal.log);
}

#[test]
fn every_key_is_in_the_shipped_file_and_in_status() {
    let sections = known_to_parser("");
    assert_eq!(sections.len(), 11, "{sections:?}");
    let known: BTreeSet<String> = sections
        .iter()
        .flat_map(|section| known_to_parser(section).into_iter().map(move |key| format!("{section}.{key}")))
        .collect();
    assert_eq!(shipped_keys(), known);
    let rows: BTreeSet<String> =
        load(MINIMAL).unwrap().settings().into_iter().map(|row| row.field.to_owned()).collect();
    assert_eq!(rows, known);
}

#[test]
fn every_example_in_the_shipped_file_is_taken() {
    let mut examples = 0;
    let mut section = "";
    for line in SHIPPED.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        }
        if let Some(example) = line.strip_prefix("#   e.g. ") {
            let text = match section {
                "owncast" => format!("{MINIMAL}{example}"),
                _ => format!("{MINIMAL}[{section}]\n{example}"),
            };
            assert!(load(&text).is_ok(), "{example}: {:?}", load(&text));
            examples += 1;
        }
    }
    assert!(examples >= 9, "{examples}");
}

#[test]
fn mistakes_are_shown_with_line_field_and_what_is_allowed() {
    let table: [(&str, usize, &str, &[&str]); 25] = [
        (
            "[go-live]\ndelay = \"60 parsecs\"",
            4,
            "go-live.delay",
            &["60 parsecs", "from \"0s\" to \"1h\"", "delay = "],
        ),
        ("[go-live]\ndelay = 60", 4, "go-live.delay", &["found: 60", "a duration"]),
        (
            "[go-live]\n\n# later\nrepost-after = \"2w\"",
            6,
            "go-live.repost-after",
            &["units: ms, s, m, h, d"],
        ),
        ("[go-live]\ntitle-edits = \"1s\"", 4, "go-live.title-edits", &["from \"1m\""]),
        ("[delivery]\ntimeout = \"0s\"", 4, "delivery.timeout", &["from \"100ms\" to \"5m\""]),
        ("[go-live]\non-end = \"explode\"", 4, "go-live.on-end", &["\"update\", \"delete\", \"keep\""]),
        ("[go-live]\nimage = true", 4, "go-live.image", &["\"thumbnail\", \"preview\", \"logo\", \"none\""]),
        ("[go-live]\nvisibility = \"Public\"", 4, "go-live.visibility", &["\"inherit\", \"public\""]),
        ("[go-live]\nmessage = \"{titel}\"", 4, "go-live.message", &["{title}", "2000"]),
        ("[go-live]\nlanguage = \"de_DE\"", 4, "go-live.language", &["\"pt-BR\"", "for the default"]),
        ("[notices]\nfollow = \"loud\"", 4, "notices.follow", &["\"card\", \"line\", \"bot\", \"off\""]),
        ("[notices]\nmax-per-minute = 0", 4, "notices.max-per-minute", &["a whole number from 1 to 60"]),
        ("[notices]\nmax-per-minute = \"4\"", 4, "notices.max-per-minute", &["a whole number from 1 to 60"]),
        ("[delivery]\nper-host = 99", 4, "delivery.per-host", &["found: 99", "1 to 16"]),
        ("[listen]\npublic = \"8585\"", 4, "listen.public", &["IP address with a port", "public = "]),
        ("[listen]\nwebhook = \"localhost:8586\"", 4, "listen.webhook", &["IP address with a port"]),
        (
            "[listen]\ntrusted-proxies = [\"::1\", \"10.0.0.0/99\"]",
            4,
            "listen.trusted-proxies",
            &["10.0.0.0/8"],
        ),
        ("[listen]\nmetrics = \"127.0.0.1:8585\"", 4, "listen.metrics", &["listen.public", "of its own"]),
        ("[identity]\npublic-url = \"live.example\"", 4, "identity.public-url", &["https://"]),
        ("[identity]\nusername = \"@me\"", 4, "identity.username", &["digits"]),
        ("[store]\npath = \"data\"", 4, "store.path", &["absolute path"]),
        ("[log]\nlevel = \"loud\"", 4, "log.level", &["\"warn\"", "level = \"info\""]),
        ("[log]\nformat = \"xml\"", 4, "log.format", &["\"auto\", \"pretty\", \"json\""]),
        ("[federation]\nallow-http = \"no\"", 4, "federation.allow-http", &["a boolean"]),
        ("[delivery]\ntimeout = \"2s\"", 4, "delivery.timeout", &["connect-timeout"]),
    ];
    for (lines, line, field, said) in table {
        let error = load(&with(lines)).unwrap_err();
        let text = error.to_string();
        assert_eq!((error.line_at_fault(), error.field_at_fault()), (Some(line), Some(field)), "{text}");
        assert!(text.contains(&format!("line {line}: {field}: ")), "{text}");
        for part in said {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        assert!(text.contains("allowed: ") && text.contains("example: "), "{text}");
        assert_eq!(error.exit_code(), 78);
    }
}

#[test]
fn unknown_keys_are_errors_and_neighbours_are_named() {
    let table = [
        ("[go-live]\ndely = \"60s\"", 4, "go-live.dely", "did you mean go-live.delay?"),
        (
            "[go-live]\nrepost_after = \"60s\"",
            4,
            "go-live.repost_after",
            "did you mean go-live.repost-after?",
        ),
        ("[notices]\napproval = \"auto\"", 4, "notices.approval", "did you mean followers.approval?"),
        ("[golive]\ndelay = \"60s\"", 3, "golive", "`go-live`"),
        ("[log]\nsparkles = 1", 4, "log.sparkles", "allowed: `level` or `format`"),
    ];
    for (lines, line, field, said) in table {
        let error = load(&with(lines)).unwrap_err();
        let text = error.to_string();
        assert_eq!((error.line_at_fault(), error.field_at_fault()), (Some(line), Some(field)), "{text}");
        assert!(text.contains("there is no such key") && text.contains(said), "{text}");
    }
}

#[test]
fn what_is_no_toml_has_its_line() {
    for (lines, line) in [
        ("[log]\nlevel = info", 4),
        ("[go-live]\ndelay = 4sec", 4),
        ("[log\n", 3),
        ("[log]\nlevel = \"info", 4),
        ("[owncast]", 3),
    ] {
        let error = load(&with(lines)).unwrap_err();
        assert_eq!(error.line_at_fault(), Some(line), "{lines:?}: {error}");
        assert!(error.to_string().contains("this is not TOML"), "{error}");
        assert_ne!(error.what_is_allowed(), Some("nothing"), "{error}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"\xff\xfe").unwrap();
    let error = Config::load(Some(file.path()), Overrides::default(), &|_| None).unwrap_err();
    assert!(error.to_string().contains("UTF-8"), "{error}");
    let error =
        Config::load(Some(Path::new("/nonexistent.toml")), Overrides::default(), &|_| None).unwrap_err();
    assert!(error.to_string().contains("/nonexistent.toml"), "{error}");
}

#[test]
fn owncasts_address_is_needed_and_must_be_bare() {
    for text in ["", "[owncast]\nwebsocket = true"] {
        let error = load(text).unwrap_err();
        let said = error.to_string();
        assert_eq!(error.field_at_fault(), Some("owncast.url"), "{said}");
        assert!(said.contains("--owncast URL") && said.contains("url = \"http://127.0.0.1:8080\""), "{said}");
    }
    for url in ["owncast", "http://owncast/admin", "http://admin:hunter2@owncast", "ftp://owncast"] {
        let error = load(&format!("[owncast]\nurl = \"{url}\"")).unwrap_err();
        assert_eq!((error.line_at_fault(), error.field_at_fault()), (Some(2), Some("owncast.url")));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    assert_eq!(
        load("[owncast]\nurl = \"http://owncast:8080/\"").unwrap().owncast.url.as_str(),
        "http://owncast:8080"
    );
}

#[test]
fn a_password_is_in_no_message() {
    let texts = [
        "[owncast]\nadmin-password = [\"hunter2\"]",
        "[owncast]\nadmin-password = \"hunter2",
        "[owncast]\nadmin-password = hunter2",
        "[owncast]\nadmin-password = \"hunter2\" x",
        "[owncast]\nadmin-password = \"hunter2\"\nadmin-password = \"hunter2\"",
    ];
    for text in texts {
        let error = load(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}: {error}");
    }
    let config = load(&with("admin-password = \"hunter2\"")).unwrap();
    assert_eq!(config.owncast.admin_password.get().unwrap().expose(), "hunter2");
    let shown = format!("{config:?} {:?} {:?}", config.settings(), config.warnings());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_first_try_needs_no_file() {
    let env = |name: &str| (name == "OWNCAST_ADMIN_PASSWORD").then(|| "abc123".to_owned());
    let overrides = Overrides { owncast_url: Some("http://127.0.0.1:8080/".to_owned()), store_path: None };
    let config = Config::load(None, overrides, &env).unwrap();
    assert_eq!(config.owncast.url.as_str(), "http://127.0.0.1:8080");
    assert_eq!(config.owncast.admin_password.get().unwrap().expose(), "abc123");
    assert_eq!((config.file(), config.warnings().len()), (None, 0));
    let bad = Overrides { owncast_url: Some("http://u:hunter2@h".to_owned()), store_path: None };
    let error = Config::load(None, bad, &env).unwrap_err().to_string();
    assert!(error.contains("--owncast") && !error.contains("hunter2"), "{error}");
}

#[test]
fn folders_come_from_command_line_file_and_systemd_in_this_order() {
    let systemd = |name: &str| match name {
        "STATE_DIRECTORY" => Some("/state:/second".to_owned()),
        "RUNTIME_DIRECTORY" => Some("/run/us".to_owned()),
        _ => None,
    };
    let plain = load_with(MINIMAL, &systemd).unwrap();
    assert_eq!(plain.store.path, Path::new("/state"));
    assert_eq!(plain.listen.admin_socket, Path::new("/run/us/admin.sock"));
    assert_eq!(plain.identity.key_file, Path::new("/state/actor-key.pem"));
    let written = load_with(&with("[store]\npath = \"/written\""), &systemd).unwrap();
    assert_eq!(written.store.path, Path::new("/written"));
    let bare = load(MINIMAL).unwrap();
    assert_eq!(bare.listen.admin_socket, Path::new("/var/lib/owncast-herald/admin.sock"));
    let candidates = ["/run/owncast-herald/admin.sock", "/var/lib/owncast-herald/admin.sock"];
    assert_eq!(bare.admin_socket_candidates(), candidates.map(PathBuf::from));
    let named = load(&with("[listen]\nadmin-socket = \"/a.sock\"")).unwrap();
    assert_eq!(named.admin_socket_candidates(), [PathBuf::from("/a.sock")]);
    let overrides =
        Overrides { owncast_url: Some("http://h".to_owned()), store_path: Some(PathBuf::from("/told")) };
    assert_eq!(Config::load(None, overrides, &systemd).unwrap().store.path, Path::new("/told"));
}

#[test]
fn what_should_not_stay_is_warned_about() {
    let remote = "[owncast]\nurl = \"http://owncast.example:8080\"\n";
    let table = [
        (with("admin-password = \"x\""), vec!["is in the configuration file"]),
        (
            format!("{remote}admin-password = \"x\""),
            vec!["is in the configuration file", "crosses the network"],
        ),
        (remote.to_owned(), vec![]),
        (remote.replace("http:", "https:"), vec![]),
        (with("[listen]\nwebhook = \"0.0.0.0:8586\""), vec!["faces every network"]),
        (with("[listen]\nmetrics = \"192.0.2.1:8587\""), vec!["listen.metrics"]),
        (with("[listen]\ntrusted-proxies = [\"0.0.0.0/0\"]"), vec!["trusted-proxies"]),
        (with("[federation]\nallow-http = true"), vec!["allow-http"]),
    ];
    for (text, expected) in table {
        let config = load(&text).unwrap();
        let warnings = config.warnings();
        assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
        for (warning, part) in warnings.iter().zip(expected) {
            assert!(warning.contains(part), "{warning}");
        }
    }
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), with("admin-password = \"x\"")).unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let config = Config::load(Some(file.path()), Overrides::default(), &|_| None).unwrap();
    let open =
        config.warnings().iter().find(|warning| warning.contains("everybody on this machine")).unwrap();
    assert!(open.contains("setup --force") && open.contains("admin-password instead"), "{open}");
    assert!(!open.contains("chmod"), "the service's user may be one of everybody: {open}");
}

#[test]
fn owncast_is_told_an_address_it_can_call() {
    let bound = |text: &str| text.parse().unwrap();
    let base = |lines: &str, address| load(&with(lines)).unwrap().listen.webhook_base(bound(address));
    assert_eq!(base("", "127.0.0.1:9999"), "http://127.0.0.1:9999");
    assert_eq!(base("[listen]\nwebhook = \"[::]:0\"", "[::]:7"), "http://[::1]:7");
    assert_eq!(base("[listen]\nwebhook-url = \"http://herald:1/\"", "0.0.0.0:7"), "http://herald:1");
    let remote = "[owncast]\nurl = \"http://owncast:8080\"\n[listen]\nwebhook = \"0.0.0.0:8586\"";
    assert_eq!(load(remote).unwrap_err().field_at_fault(), Some("listen.webhook-url"));
    assert!(load(&format!("{remote}\nwebhook-url = \"http://herald:8586\"")).is_ok());
}

#[test]
fn differences_are_named_and_secrets_are_not() {
    let old = load(&with("admin-password = \"hunter2\"\n[go-live]\ndelay = \"60s\"")).unwrap();
    let new = load(&with("admin-password = \"hunter3\"\n[go-live]\ndelay = \"90s\"\n[store]\npath = \"/x\""))
        .unwrap();
    let changes = diff(&old, &new);
    let shown: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "owncast.admin-password: (set) → (set to another one)",
            "listen.admin-socket: /var/lib/owncast-herald/admin.sock → /x/admin.sock (after a restart)",
            "identity.key-file: /var/lib/owncast-herald/actor-key.pem → /x/actor-key.pem (after a restart)",
            "go-live.delay: 1m → 1m30s",
            "store.path: /var/lib/owncast-herald → /x (after a restart)",
        ]
    );
    assert_eq!(diff(&old, &old), []);
    let moved =
        load_with(MINIMAL, &|name| (name == "OWNCAST_ADMIN_PASSWORD").then(|| "hunter4".to_owned())).unwrap();
    let shown = format!("{:?}", diff(&old, &moved));
    assert!(shown.contains("admin-password-file") && !shown.contains("hunter"), "{shown}");
}

#[test]
fn the_log_is_set_up_once_and_changed_while_running() {
    use owncast_herald::telemetry::log::{Surroundings, init_early};
    let ours = || tracing::enabled!(target: "owncast_herald::deliver", tracing::Level::DEBUG);
    let libraries = || tracing::enabled!(target: "hyper", tracing::Level::DEBUG);
    let handle = init_early(Surroundings::Pipe).unwrap();
    assert!(init_early(Surroundings::Pipe).is_err());
    assert!(!ours());
    handle.apply(&load(&with("[log]\nlevel = \"debug\"\nformat = \"json\"")).unwrap().log).unwrap();
    assert!(ours() && !libraries());
    handle.apply(&load(MINIMAL).unwrap().log).unwrap();
    assert!(!ours());
}
