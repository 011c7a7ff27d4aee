//! Rules of the house that a compiler does not check.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// What decides and what speaks the protocol gets time and randomness as arguments and does no input or output.
const PURE: [&str; 3] = ["src/model", "src/decide", "src/activitypub"];

/// Words that a pure room must not contain outside comments and tests.
const IMPURE: [&str; 20] = [
    "tokio",
    "warp::",
    "reqwest",
    "sled::",
    "hyper::",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "::now(",
    "SystemTime",
    "std::time::Instant",
    "rand::",
    "rand_bytes",
    "getrandom",
    "Ulid::new(",
    "Ulid::generate(",
];

/// A file longer than this has more than one reason.
const MOST_LINES: usize = 500;

#[test]
fn pure_rooms_are_pure() {
    let files = PURE.iter().flat_map(|room| rust_files(&root().join(room)));
    let mut looked_at = 0;
    let mut found = Vec::new();
    for file in files.filter(|file| file.file_name().unwrap() != "tests.rs") {
        looked_at += 1;
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]") {
            let code = line.split("//").next().unwrap();
            let words = IMPURE.iter().filter(|word| code.contains(**word));
            found.extend(words.map(|word| format!("{}:{}: {word}", file.display(), number + 1)));
        }
    }
    assert!(looked_at > 20, "only {looked_at} files: has a room moved?");
    assert!(found.is_empty(), "not pure:\n{}", found.join("\n"));
}

#[test]
fn files_are_short() {
    let long: Vec<String> = ["src", "tests"]
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
        .filter_map(|file| {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            (lines > MOST_LINES).then(|| format!("{}: {lines} lines", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "longer than {MOST_LINES} lines:\n{}", long.join("\n"));
}

/// What shows how anybody begins, or speaks to strangers: about no agent in particular.
const ABOUT_NO_AGENT: [&str; 7] = [
    "src/cli/mod.rs",
    "src/cli/examples.rs",
    "src/cli/proxy_config.rs",
    "src/cli/run.rs",
    "src/cli/setup.rs",
    "src/serve/documents.rs",
    "src/sim/demo/teller.rs",
];

#[test]
fn commands_to_be_typed_name_the_agent_in_question() {
    let table = fs::read_to_string(root().join("docs/completions/owncast-herald.bash")).unwrap();
    let mut options = table.lines().filter_map(|line| line.trim().strip_prefix("opts=\""));
    let verbs = options.find(|line| line.contains(" demo ")).unwrap();
    let verbs: Vec<&str> =
        verbs.split([' ', '"']).filter(|word| word.starts_with(char::is_alphabetic)).collect();
    assert!(verbs.len() > 20 && verbs.contains(&"resume"), "{verbs:?}");
    let before = ["systemctl start ", "systemctl stop ", "systemctl restart ", "journalctl -u "];
    let by_hand = |line: &str| {
        let parts = line.split("owncast-herald").collect::<Vec<_>>();
        parts.windows(2).any(|parts| {
            let verb = parts[1]
                .strip_prefix(' ')
                .and_then(|words| words.split([' ', '\'', '"', '`', ')', '.']).next());
            let unit = parts[1].starts_with(['"', ')', '\'', '`', '\\']);
            verb.is_some_and(|verb| verbs.contains(&verb))
                || unit && before.iter().any(|word| parts[0].ends_with(word))
        })
    };
    let mut found = Vec::new();
    for file in rust_files(&root().join("src")) {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        if name.ends_with("tests.rs") || ABOUT_NO_AGENT.contains(&name.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
        let lines = code.filter(|(_, line)| !line.trim_start().starts_with("//") && by_hand(line));
        found.extend(lines.map(|(number, line)| format!("{name}:{}: {}", number + 1, line.trim())));
    }
    assert!(found.is_empty(), "ask `config::here` for these:\n{}", found.join("\n"));
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut section = "";
    let mut before = "";
    let mut looked_at = 0;
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && line.contains(" = ") && !line.starts_with('#') {
            looked_at += 1;
            assert!(before.starts_with('#'), "no comment above this dependency: {line}");
        }
        before = line;
    }
    assert!(looked_at > 20, "only {looked_at} dependencies found");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files in a folder and below.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => rust_files(&path),
            false => Vec::from_iter(path.extension().is_some_and(|kind| kind == "rs").then_some(path)),
        })
        .collect()
}
