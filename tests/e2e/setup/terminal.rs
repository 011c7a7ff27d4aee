//! What `setup` asks at a terminal.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use owncast_herald::activitypub::signature::PrivateKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{Fresh, PASSWORD, PROGRAM, said};
use crate::support::data_dir::DataDir;
use crate::support::wait::LONG;

impl Fresh {
    /// An agent that waits for the key of an actor that has lived in Owncast, and `setup` said once more at a terminal, up to
    /// the question whether it moves in.
    async fn asks_to_move_in(&self) -> (Child, Terminal) {
        self.lives_in_owncast();
        said(&self.setup(&self.owncast.url(), PASSWORD, &["--no-start"]).await, 0);
        let agent = self.run(&[], |status| status["running"] == true).await;
        let line = format!(
            "NO_COLOR=1 {PROGRAM} setup --force --config {} --owncast {} --public {}; echo \"ended with $?\"",
            self.config().display(),
            self.owncast.url(),
            self.public
        );
        let mut terminal = Terminal::of(self, &line);
        terminal.sees("Password of Owncast").await;
        terminal.types(&format!("{PASSWORD}\n")).await;
        terminal.sees("can move in now. See what that would be? [Y/n]").await;
        (agent, terminal)
    }
}

/// A terminal, made by script(1), at which a shell runs this.
struct Terminal {
    keys: ChildStdin,
    screen: ChildStdout,
    shown: String,
    looked_at: usize,
    _script: Child,
}

impl Terminal {
    fn of(fresh: &Fresh, line: &str) -> Terminal {
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", line, "/dev/null"]);
        fresh.surround(&mut command);
        let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keys, screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        Terminal { keys, screen, shown: String::new(), looked_at: 0, _script: script }
    }

    /// Waits until this is shown after what was waited for before.
    async fn sees(&mut self, awaited: &str) {
        while !self.shown[self.looked_at..].contains(awaited) {
            let mut bytes = [0; 4096];
            let read = tokio::time::timeout(LONG, self.screen.read(&mut bytes)).await;
            let read =
                read.unwrap_or_else(|_| panic!("waited in vain for {awaited:?}: {}", self.shown)).unwrap();
            assert!(read > 0, "it ended before {awaited:?}: {}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        self.looked_at += self.shown[self.looked_at..].find(awaited).unwrap() + awaited.len();
    }

    async fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_and_the_password_is_not_shown() {
    // A blank may be of a password.
    const BLANK: &str = " abc 123 ";
    let fresh = Fresh::start().await;
    fresh.owncast.configure(|config| config.admin_password = BLANK.to_owned());
    let line = format!("{PROGRAM} setup --config {} --public {}", fresh.config().display(), fresh.public);
    let mut terminal = Terminal::of(&fresh, &line);
    for (asked, typed) in [
        ("Owncast's own address", Some(format!(" {} ", fresh.owncast.url()))),
        ("Password of Owncast", Some("mistyped".to_owned())),
        ("refuses this password", None),
        ("Password of Owncast", Some(BLANK.to_owned())),
        ("Do this? [y/n]", Some("y".to_owned())),
        ("Next:", None),
    ] {
        terminal.sees(asked).await;
        if let Some(typed) = typed {
            terminal.types(&format!("{typed}\n")).await;
        }
    }
    let shown = &terminal.shown;
    assert!(!shown.contains(BLANK.trim()) && !shown.contains("mistyped"), "{shown}");
    assert_eq!(fs::read_to_string(fresh.path("etc/admin-password")).unwrap(), format!("{BLANK}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_has_lived_moves_in_when_asked() {
    let fresh = Fresh::start().await;
    let (_agent, mut terminal) = fresh.asks_to_move_in().await;
    let key = PrivateKey::generate().unwrap().to_pem().unwrap();
    let data = DataDir::of(&format!("http://{}", fresh.public), &key);
    terminal.types("\n").await;
    for (asked, typed) in [
        ("Owncast's data folder", "/nowhere"),
        ("no owncast.db", data.argument()),
        ("Move in like this? [y/n]", "y"),
    ] {
        terminal.sees(asked).await;
        // Until the agent knows who it is, it has to ask Owncast.
        fresh.owncast.faults().delay_answers = Duration::from_millis(300);
        terminal.types(&format!("{typed}\n")).await;
    }
    for seen in ["green     identity", "Next:", "proxy-config"] {
        terminal.sees(seen).await;
    }
    assert!(!terminal.shown.contains("It can be done at any time"), "{}", terminal.shown);
    let kept = fs::read_to_string(fresh.path("store/actor-key.pem")).unwrap();
    assert_eq!(kept.trim(), key.trim(), "{}", terminal.shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_the_input_when_all_is_written_has_said_later() {
    let fresh = Fresh::start().await;
    let (_agent, mut terminal) = fresh.asks_to_move_in().await;
    terminal.types("\u{4}").await;
    for seen in
        ["It can be done at any time", "red       identity", "Next:", " adopt (it says", "ended with 4"]
    {
        terminal.sees(seen).await;
    }
    assert!(!terminal.shown.contains("nothing was written"), "{}", terminal.shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_up_at_the_password_gets_the_terminal_back() {
    let fresh = Fresh::start().await;
    // The shell lives on, and says how the terminal is.
    let line = format!(
        "trap : INT; {PROGRAM} setup --config {} --owncast {}; echo \"ended with $?\"; stty -a; echo over",
        fresh.config().display(),
        fresh.owncast.url()
    );
    let mut terminal = Terminal::of(&fresh, &line);
    terminal.sees("Password of Owncast").await;
    terminal.types("\u{3}").await;
    terminal.sees("ended with 130").await;
    terminal.sees("over").await;
    assert!(terminal.shown.contains(" echo ") && !terminal.shown.contains("-echo "), "{}", terminal.shown);
    assert!(!fresh.config().exists());
}
