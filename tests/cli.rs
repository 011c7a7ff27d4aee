//! The program as an operator meets it: arguments, output, exit codes, manual pages.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use jiff::Timestamp;
use owncast_herald::agent::board::Board;
use owncast_herald::agent::effective::{Effective, IdentityState};
use owncast_herald::config::reload::Reloader;
use owncast_herald::config::{Config, DEFAULT_FILE, Overrides};
use owncast_herald::control::{self, Control, Listening};
use owncast_herald::decide::followers;
use owncast_herald::model::facts::{Facts, Identity};
use owncast_herald::model::follower::{Follower, FollowerState};
use owncast_herald::model::handle::Person;
use owncast_herald::model::{Addresses, Draft};
use owncast_herald::owncast::Api;
use owncast_herald::store::Store;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_owncast-herald"));
    for name in ["STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "OWNCAST_ADMIN_PASSWORD"] {
        command.env_remove(name);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Standard error of a command that must fail with this code and say all this.
fn fails(output: &Output, code: i32, parts: &[&str]) {
    let text = err(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(output.stdout.is_empty() && !text.contains("panicked"), "{text}");
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", err(output));
    out(output)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn manual_pages_are_those_of_the_program() {
    const CURE: &str = "regenerate: rm docs/man/*; cargo run -- man docs/man";
    let made = tempfile::tempdir().unwrap();
    succeeds(&run(&["man", made.path().to_str().unwrap()]));
    let committed = root().join("docs/man");
    assert_eq!(files(&committed), files(made.path()), "{CURE}");
    for name in files(made.path()) {
        let read = |folder: &Path| std::fs::read_to_string(folder.join(&name)).unwrap();
        assert!(read(&committed) == read(made.path()), "docs/man/{name} is out of date; {CURE}");
    }
    fails(&run(&["man", "/nonexistent/folder"]), 1, &["/nonexistent/folder"]);
}

#[test]
fn completions_are_those_of_the_program() {
    let committed = root().join("docs/completions");
    let scripts =
        [("bash", "owncast-herald.bash"), ("fish", "owncast-herald.fish"), ("zsh", "_owncast-herald")];
    let mut names: Vec<&str> = scripts.map(|(_, name)| name).to_vec();
    names.sort_unstable();
    assert_eq!(files(&committed), names);
    for (shell, name) in scripts {
        let made = succeeds(&run(&["completions", shell]));
        let same = made == std::fs::read_to_string(committed.join(name)).unwrap();
        assert!(same, "out of date; regenerate: cargo run -- completions {shell} > docs/completions/{name}");
    }
}

#[test]
fn usage_is_told_with_its_own_exit_code() {
    assert!(succeeds(&run(&["--help"])).contains("Exit codes: 0 done"));
    assert!(succeeds(&run(&["--version"])).starts_with("owncast-herald "));
    fails(&run(&[]), 2, &["Usage: owncast-herald"]);
    fails(&run(&["dance"]), 2, &["dance"]);
    fails(&run(&["run", "--json"]), 2, &["--json means nothing to run"]);
    fails(&run(&["adopt"]), 2, &["--data-dir"]);
    fails(&run(&["followers", "list", "--limit", "0"]), 2, &["--limit"]);
    fails(&run(&["followers", "export"]), 2, &["--csv"]);
    fails(&run(&["import", "x", "--check", "--replace"]), 2, &["--check", "--replace"]);
    fails(&run(&["key", "rotate", "--force"]), 2, &["--finish"]);
    fails(&run(&["deliveries", "--failed", "--host", "a.example"]), 2, &["--failed", "--host"]);
    fails(&run(&["deliveries", "retry", "--failed"]), 2, &["--activity", "--host", "--all"]);
    fails(&run(&["deliveries", "drop", "--yes"]), 2, &["--activity", "--host"]);
    fails(&run(&["pause"]), 2, &["--for"]);
    fails(&run(&["pause", "--for", "soon"]), 2, &["\"1m\" to \"30d\"", "1h30m"]);
    fails(&run(&["pause", "--for", "31d"]), 2, &["\"1m\" to \"30d\""]);
    fails(&run(&["go-live", "message"]), 2, &["<TEXT>"]);
    fails(&run(&["go-live", "message", "a", "--clear"]), 2, &["--clear"]);
    fails(&run(&["status", "--watch", "--json"]), 2, &["--watch", "--json"]);
}

#[test]
fn without_an_agent_every_command_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let config = folder.path().join("agent.toml");
    let text = format!(
        "[owncast]\nurl = \"http://127.0.0.1:8080\"\n[listen]\nadmin-socket = \"{}\"\n",
        socket.display()
    );
    std::fs::write(&config, text).unwrap();
    let (socket, config) = (socket.to_str().unwrap(), config.to_str().unwrap());
    for command in [
        &["status"][..],
        &["status", "--json"],
        &["followers", "list"],
        &["followers", "approve", "a@b.example"],
        &["block", "add", "peer.example"],
        &["block", "list"],
        &["reload"],
        &["go-live", "preview"],
        &["go-live", "now"],
        &["go-live", "skip", "--undo"],
        &["go-live", "message", "hello"],
        &["pause", "--for", "2h"],
        &["resume"],
        &["deliveries"],
        &["deliveries", "--host", "peer.example"],
        &["deliveries", "retry", "--all"],
    ] {
        for place in [["--socket", socket], ["--config", config]] {
            let output = program().args(command).args(place).output().unwrap();
            fails(&output, 69, &["no agent is running", socket, "--socket PATH"]);
        }
    }
}

#[test]
fn who_may_not_ask_is_told_whose_socket_it_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let socket = folder.path().join("admin.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let by_root = std::fs::metadata(&socket).unwrap().uid() == 0;
    let mut command = program();
    if by_root {
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o660)).unwrap();
        // The program may lie where nobody else may look: it is copied to where they may.
        let copy = folder.path().join("owncast-herald");
        std::fs::copy(env!("CARGO_BIN_EXE_owncast-herald"), &copy).unwrap();
        command = Command::new(copy);
        command.uid(NOBODY).gid(NOBODY);
    } else {
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    command.args(["status", "--socket"]).arg(&socket);
    let output = loop {
        match command.output() {
            // A program that another test is just starting holds what the copy was written through for a moment.
            Err(cause) if cause.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            output => break output.unwrap(),
        }
    };
    fails(&output, 1, &[socket.to_str().unwrap(), "belongs to user", "and group", "sudo"]);
}

#[test]
fn a_bad_configuration_is_told_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    std::fs::write(&file, "[owncast]\nurl = \"http://127.0.0.1:8080\"\n\n[go-live]\ndelay = \"soon\"\n")
        .unwrap();
    let name = file.to_str().unwrap();
    let line = format!("{name}, line 5: go-live.delay");
    for command in ["check-config", "run"] {
        fails(&run(&[command, "--config", name]), 78, &[&line]);
    }
    // A running agent goes on with what it read before, and so do commands that only ask it.
    fails(&run(&["status", "--config", name]), 69, &["warning", &line, "no agent is running"]);
    let socket = folder.path().join("s");
    let text = format!("[listen]\nadmin-socket = \"{}\"\n[go-live]\ndelay = 7\n", socket.display());
    std::fs::write(&file, text).unwrap();
    fails(
        &run(&["status", "--config", name]),
        69,
        &["line 4", &format!("{} (there is no such file)", socket.display())],
    );
    // Which agent is meant cannot be told: no other is asked.
    for text in ["[listen]\nadmin-socket = 7\n", "store.path = 7\n", "[listen]\nadmin-socket = \"x\"\n"] {
        std::fs::write(&file, text).unwrap();
        fails(&run(&["status", "--config", name]), 78, &[name]);
    }
    let missing = folder.path().join("none.toml");
    fails(&run(&["run", "--config", missing.to_str().unwrap()]), 78, &["none.toml", "cannot be read"]);
    fails(&run(&["run", "--owncast", "ftp://x"]), 78, &["--owncast"]);
    if !Path::new(DEFAULT_FILE).exists() {
        let nobody = run(&["-i", "radio", "status"]);
        fails(&nobody, 69, &["no agent is running", "systemctl start owncast-herald@radio"]);
        fails(
            &run(&["run"]),
            78,
            &["run --config FILE", "OWNCAST_ADMIN_PASSWORD=… owncast-herald run --owncast"],
        );
        fails(&run(&["check-config"]), 78, &[DEFAULT_FILE, "--config FILE"]);
    }
}

#[test]
fn run_without_a_password_names_every_way_to_give_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let output = run(&["run", "--owncast", "http://127.0.0.1:9", "--store", store]);
    fails(&output, 78, &["admin password is not set", "OWNCAST_ADMIN_PASSWORD", "owncast-admin-password"]);
}

#[test]
fn a_good_configuration_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    std::fs::write(&file, "[owncast]\nurl = \"http://127.0.0.1:8080\"\nadmin-password = \"hunter2\"\n")
        .unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let name = file.to_str().unwrap();
    let text = succeeds(&run(&["check-config", "--config", name]));
    assert!(text.starts_with(&format!("{name} is good.\nwarning: ")), "{text}");
    assert!(text.contains("owncast.admin-password") && text.contains("(set)"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let shown: Value =
        serde_json::from_str(&succeeds(&run(&["check-config", "--json", "--config", name]))).unwrap();
    assert_eq!(shown["good"], true);
    assert_eq!(shown["settings"][0]["field"], "owncast.url");
}

/// A folder with the recorded database and one for the key.
fn moving_in() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (data, store) = (folder.path().join("data"), folder.path().join("store"));
    std::fs::create_dir(&data).unwrap();
    std::fs::create_dir(&store).unwrap();
    for name in ["owncast.db", "owncast.db-wal"] {
        std::fs::copy(root().join("tests/fixtures/adopt").join(name), data.join(name)).unwrap();
    }
    (folder, data, store)
}

fn adopt(data: &Path, store: &Path, more: &[&str]) -> Output {
    let socket = store.join("admin.sock");
    let mut command = program();
    command.args(["adopt", "--key-only", "--data-dir"]).arg(data).arg("--store").arg(store);
    command.arg("--socket").arg(socket).args(more).output().unwrap()
}

#[test]
fn an_identity_moves_in_once() {
    let (_folder, data, store) = moving_in();
    let key = store.join("actor-key.pem");
    let as_root = std::fs::metadata(&store).unwrap().uid() == 0;
    if as_root {
        std::os::unix::fs::chown(&store, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let text = succeeds(&adopt(&data, &store, &[]));
    for part in [
        "https://live.example",
        "@streamer@live.example",
        "https://live.example/federation/user/streamer",
        "SHA-256 ",
        key.to_str().unwrap(),
        "systemctl start owncast-herald",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("PRIVATE KEY"), "{text}");
    let metadata = std::fs::metadata(&key).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    if as_root {
        assert_eq!((metadata.uid(), metadata.gid()), (NOBODY, NOBODY), "the agent's user must read it");
    }
    let again: Value = serde_json::from_str(&succeeds(&adopt(&data, &store, &["--json"]))).unwrap();
    assert_eq!(again["written"], false);
    assert_eq!(again["fingerprint"].as_str().map(str::len), Some(64));
    assert_eq!(again["agent_running"], false);
}

#[test]
fn another_key_is_replaced_by_force_only() {
    let (_folder, data, store) = moving_in();
    let key = store.join("actor-key.pem");
    let other = openssl::rsa::Rsa::generate(2048).unwrap().private_key_to_pem().unwrap();
    std::fs::write(&key, &other).unwrap();
    fails(&adopt(&data, &store, &[]), 1, &[key.to_str().unwrap(), "another key", "--force"]);
    assert_eq!(std::fs::read(&key).unwrap(), other);
    let told: Value = serde_json::from_str(&succeeds(&adopt(&data, &store, &["--force", "--json"]))).unwrap();
    assert_eq!(std::fs::read(told["set_aside"].as_str().unwrap()).unwrap(), other);
}

#[test]
fn what_is_missing_for_moving_in_is_named() {
    let (folder, data, store) = moving_in();
    let nowhere = folder.path().join("none");
    fails(&adopt(&nowhere, &store, &[]), 1, &[nowhere.to_str().unwrap()]);
    fails(&adopt(&data, &nowhere, &[]), 1, &[nowhere.to_str().unwrap(), "systemctl start", "--store"]);
}

#[test]
fn what_moving_in_needs_is_said_with_the_agents_name() {
    let whole = "sudo owncast-herald --instance radio adopt --data-dir DIR";
    fails(&run(&["-i", "radio", "adopt"]), 2, &["owncast.db", whole, "adopt --api"]);
    fails(&run(&["-i", "radio", "adopt", "--finish"]), 2, &["adopt --finish --data-dir DIR"]);
}

struct Agent {
    folder: tempfile::TempDir,
    stop: CancellationToken,
    _board: watch::Sender<Board>,
    _effective: watch::Sender<Arc<Effective>>,
}

impl Agent {
    async fn start(people: &'static [(&'static str, &'static str)]) -> Agent {
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides { owncast_url: Some("http://127.0.0.1:8080".to_owned()), store_path: None };
        let config = Config::load(None, overrides.clone(), &|_| None).unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let seed = store.commit(move |view| {
            let mut draft = Draft::new(view);
            for (handle, name) in people {
                followers::settle(&mut draft, &follower(handle, name));
            }
            (draft.into_changes(), ())
        });
        seed.await.unwrap();
        let identity = IdentityState::Settled {
            addresses: Addresses::new("https://live.example", "streamer"),
            published: Timestamp::UNIX_EPOCH,
            public_key: String::new(),
        };
        let effective =
            Effective::new(Arc::new(config.clone()), Facts::default(), identity, &Identity::default());
        let (effective_sender, effective) = watch::channel(Arc::new(effective));
        let (board_sender, board) = watch::channel(Board::default());
        let (reloader, reload, _) = Reloader::new(config, overrides, Arc::new(|_| None));
        let local = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let listening = Listening { public: local, webhook: local, metrics: local };
        let api = Api::read_only("http://127.0.0.1:9".parse().unwrap(), "admin".to_owned(), "x").unwrap();
        let wake = Arc::default();
        let started = Timestamp::now();
        let control =
            Control { store, effective, board, listening, reload, started, api, wake, running: true };
        let stop = CancellationToken::new();
        let listener = control::bind(&folder.path().join("admin.sock")).unwrap();
        tokio::spawn(reloader.run(stop.clone()));
        tokio::spawn(control::run(listener, Arc::new(control), stop.clone()));
        Agent { folder, stop, _board: board_sender, _effective: effective_sender }
    }

    async fn asked(&self, arguments: &[&str]) -> Output {
        let mut command = program();
        command.args(arguments).arg("--socket").arg(self.folder.path().join("admin.sock"));
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn follower(handle: &str, name: &str) -> Follower {
    let actor = format!("https://peer.example/users/{}", handle.split('@').next().unwrap());
    let since = Timestamp::UNIX_EPOCH;
    let person = Person {
        inbox: format!("{actor}/inbox"),
        actor,
        shared_inbox: None,
        handle: handle.to_owned(),
        name: Some(name.to_owned()),
        icon: None,
        url: None,
    };
    Follower { state: FollowerState::Pending, ..Follower::left(person, since, since) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_is_asked_and_told() {
    let agent = Agent::start(&[
        ("ana@peer.example", "Ana"),
        ("eve@peer.example", "\u{1b}[2J\u{9b}1A\nrejected  @ana@peer.example \u{202e}"),
    ])
    .await;
    let status: Value = serde_json::from_str(&succeeds(&agent.asked(&["status", "--json"]).await)).unwrap();
    assert_eq!(status["ready"], true);
    assert_eq!(status["identity"]["handle"], "streamer@live.example");
    assert_eq!(status["followers"]["pending"], 2);
    let text = succeeds(&agent.asked(&["status", "--settings"]).await);
    assert!(text.contains("\nAgent ") && text.contains("owncast.url"), "{text}");

    let list = succeeds(&agent.asked(&["followers", "list", "--state", "pending"]).await);
    assert_eq!(list.lines().count(), 3, "{list}");
    assert!(!list.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{list:?}");
    let json = succeeds(&agent.asked(&["followers", "list", "--all", "--json"]).await);
    assert!(!json.contains(['\u{9b}', '\u{202e}']), "{json:?}");
    let json: Value = serde_json::from_str(&json).unwrap();
    let names: Vec<_> =
        json["followers"].as_array().unwrap().iter().map(|row| row["name"].as_str()).collect();
    assert!(names.iter().flatten().any(|name| name.contains('\u{9b}')), "a machine gets the name as it is");

    let approved = succeeds(&agent.asked(&["followers", "approve", "@ana@peer.example"]).await);
    assert!(
        approved.starts_with("Approved @ana@peer.example (https://peer.example/users/ana)"),
        "{approved}"
    );
    fails(&agent.asked(&["followers", "approve", "nobody@peer.example"]).await, 1, &["does not follow"]);
    fails(&agent.asked(&["block", "add", "com"]).await, 1, &["single label"]);
    let blocked = succeeds(&agent.asked(&["block", "add", "peer.example"]).await);
    assert!(blocked.contains("2 followers set aside"), "{blocked}");
    assert!(succeeds(&agent.asked(&["block", "list"]).await).contains("peer.example"));
    let lifted: Value =
        serde_json::from_str(&succeeds(&agent.asked(&["block", "remove", "peer.example", "--json"]).await))
            .unwrap();
    assert_eq!(lifted["restored"], 2);
    assert!(succeeds(&agent.asked(&["reload"]).await).contains("nothing has changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_post_is_in_the_operators_hand() {
    let agent = Agent::start(&[]).await;
    let shown = succeeds(&agent.asked(&["go-live", "preview"]).await);
    assert!(shown.starts_with("Nothing was sent.") && shown.contains("live.example"), "{shown}");
    let skipped = succeeds(&agent.asked(&["go-live", "skip"]).await);
    assert!(skipped.contains("the next one gets no post") && skipped.contains("--undo"), "{skipped}");
    let undone = succeeds(&agent.asked(&["go-live", "skip", "--undo"]).await);
    assert!(undone.contains("announced once it has run for 1m"), "{undone}");
    let text = succeeds(&agent.asked(&["go-live", "message", "Come\nand see"]).await);
    assert!(text.contains("    Come\n    and see\n") && text.contains("--clear"), "{text}");
    fails(&agent.asked(&["go-live", "message", "\u{1b}[2J"]).await, 1, &["U+001B"]);
    let paused = succeeds(&agent.asked(&["pause", "--for", "2h"]).await);
    assert!(paused.contains("owncast-herald --socket ") && paused.contains(" resume"), "{paused}");
    let status = succeeds(&agent.asked(&["status"]).await);
    assert!(status.contains("paused until") && status.contains("Come and see"), "{status}");
    fails(&agent.asked(&["go-live", "now"]).await, 1, &["no stream is running"]);
    let resumed: Value = serde_json::from_str(&succeeds(&agent.asked(&["resume", "--json"]).await)).unwrap();
    assert_eq!((&resumed["wish"], &resumed["changed"]), (&"resume".into(), &true.into()));
    let cleared = succeeds(&agent.asked(&["go-live", "message", "--clear"]).await);
    assert!(cleared.contains("configured text"), "{cleared}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_failure() {
    let agent = Agent::start(&[]).await;
    let socket = agent.folder.path().join("admin.sock");
    let output = tokio::task::spawn_blocking(move || {
        let mut command = program();
        command.args(["status", "--socket"]).arg(socket).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        child.wait_with_output().unwrap()
    });
    assert!(output.await.unwrap().status.success());
}
