//! agent.toml. It is taken whole, or refused with a reason that shows no secret.

use owncast_herald::config::{Config, Overrides};

use crate::run::{Target, fuzz};

const EXAMPLE: &str = include_str!("../../agent.toml");
const SECRET: &str = "hunter2hunter2hunter2";

/// The example with every key that it only shows.
fn every_key() -> String {
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        let shown = line.strip_prefix("# ").unwrap_or(line);
        let key = shown.split(" = ").next().unwrap_or_default();
        let is_key =
            shown.contains(" = ") && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        match key {
            "admin-password" => text.push_str(&format!("admin-password = \"{SECRET}\"\n")),
            _ if is_key || line.starts_with('[') => text.push_str(&format!("{shown}\n")),
            _ => {}
        }
    }
    text
}

/// Whether it stands where a secret stands, and nowhere else.
fn secret_in_its_place(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| line.contains("hunter2"));
    let found = lines.clone().next().is_some();
    let value = |line: &str| {
        let rest = line.trim_start().strip_prefix("admin-password")?.trim_start().strip_prefix('=')?;
        Some(rest.contains("hunter2"))
    };
    found && lines.all(|line| value(line) == Some(true))
}

#[test]
fn a_configuration_is_taken_whole_or_refused_in_words() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let every = every_key();
    assert!(every.lines().count() > 40 && every.contains(SECRET), "{every}");
    let keys = Config::load(Some(&written(&file, every.as_bytes())), Overrides::default(), &|_| None);
    let keys = keys.unwrap().settings().len();
    let also = vec![EXAMPLE.into(), every.clone().into_bytes()];
    fuzz(&Target { name: "configuration", also, words: &[WORDS], cases: 6_000 }, |bytes| {
        let loaded = Config::load(Some(&written(&file, bytes)), Overrides::default(), &|_| None);
        let text = String::from_utf8_lossy(bytes);
        let said = match &loaded {
            Ok(config) => {
                assert_eq!(config.settings().len(), keys);
                format!("{config:?} {:?} {:?}", config.settings(), config.warnings())
            }
            Err(error) => {
                let line = error.one_line();
                assert!(!line.is_empty() && !line.contains(['\n', '\r', '\u{1b}']), "{line:?}");
                let lines = text.lines().count() + 1;
                assert!(error.line_at_fault().is_none_or(|line| (1..=lines).contains(&line)), "{error}");
                format!("{error} {error:?} {line}")
            }
        };
        assert!(!secret_in_its_place(&text) || !said.contains("hunter2"), "{said}");
    });
}

fn written(file: &tempfile::NamedTempFile, bytes: &[u8]) -> std::path::PathBuf {
    std::fs::write(file.path(), bytes).unwrap();
    file.path().to_owned()
}

const WORDS: &[&str] = &[
    "[owncast]\n",
    "[listen]\n",
    "[go-live]\n",
    "[followers]\n",
    "[notices]\n",
    "[federation]\n",
    "[unknown]\n",
    "url = ",
    "delay = ",
    "enabled = ",
    "public = ",
    "message = ",
    "admin-password = ",
    "\"",
    "'",
    "\"\"\"",
    "=",
    " = ",
    "\n",
    "#",
    "\"60s\"",
    "\"1h30m\"",
    "\"99999999999999d\"",
    "\"-5s\"",
    "\"\"",
    "true",
    "false",
    "7",
    "1e9",
    "[]",
    "[\"\"]",
    "{}",
    "[[x]]\n",
    "\"127.0.0.1:8585\"",
    "\"10.0.0.0/8\"",
    "\"10.0.0.0/99\"",
    "\"http://\"",
    "\"https://a:b@x.example/\"",
    "\"\\u0000\"",
    "\\",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{feff}",
    "\r\n",
    "\0",
    "x = 1\n",
];
