//! The demo, as a person starts it, and how it fails.
#![allow(clippy::unwrap_used, reason = "a helper outside a test function is a test too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use owncast_herald::sim::demo::{self, DemoError, DemoOptions, Play};
use owncast_herald::sim::owncast::{Refusal, SimOwncast};
use rustix::process::{Pid, Signal, kill_process};

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One at a time: the story has a time to keep, and drawing pictures in an unoptimised build takes a core.
static STAGE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Tells the story with a broken Owncast; gives the error and the text.
async fn broken(patience: Duration, upset: fn(&SimOwncast)) -> (DemoError, String) {
    let _alone = STAGE.lock().await;
    let paper = Paper::default();
    let play = Play { patience, upset, ..Play::default() };
    (demo::perform(play, paper.clone()).await.unwrap_err(), paper.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_is_told_in_time_and_every_step_seen() {
    let _alone = STAGE.lock().await;
    let mut tellings = Vec::new();
    // What else this machine does is no fault of the story's: one telling in time is enough.
    for _ in 0..3 {
        let began = Instant::now();
        match demo::run(DemoOptions { once: true, color: true }).await {
            Ok(()) if began.elapsed() < Duration::from_secs(30) => return,
            Ok(()) => tellings.push(format!("took {:?}", began.elapsed())),
            Err(late @ DemoError::NotObserved { .. }) => tellings.push(late.to_string()),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{tellings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_it_in_the_middle_and_nothing_is_left() {
    let _alone = STAGE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_owncast-herald"))
        .arg("demo")
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(demo.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("has its webhook") {
        line.clear();
        assert!(told.read_line(&mut line).unwrap() > 0, "it ended before it began");
    }
    kill_process(Pid::from_child(&demo), Signal::INT).unwrap();
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert!(demo.wait().unwrap().success(), "{rest}");
    assert!(rest.contains("Stopped"), "{rest}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owncast_that_refuses_everything_is_named() {
    let patience = Duration::from_millis(1500);
    let (error, text) = broken(patience, |owncast| owncast.faults().refuse_all = Refusal::Unavailable).await;
    let DemoError::NotObserved { who, waited, .. } = &error else { panic!("{error:?}") };
    assert_eq!((who.as_str(), *waited), ("Owncast", patience));
    let end = text.split_once("\nFAILED ").unwrap().1.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(end.contains("Owncast: expected the agent's webhook") && end.contains("within 1.5 s"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_in_the_middle_that_nobody_sees_ends_the_story() {
    // As long as a slow machine needs for a step that is seen.
    let patience = Duration::from_secs(20);
    let (error, text) =
        broken(patience, |owncast| owncast.configure(|config| config.show_engagement = false)).await;
    let DemoError::NotObserved { who, .. } = &error else { panic!("{error:?}") };
    assert_eq!(who, "Owncast's chat");
    assert!(text.contains("reads the post, with its picture") && !text.contains("liked"), "{text}");
    let wide = text.lines().find(|line| line.chars().count() > 80 && !line.contains("agent's log"));
    assert_eq!(wide, None);
    assert!(!text.contains('\u{1b}'), "no colour was asked for: {text}");
    let said = error.to_string();
    assert!(said.contains("a line that says how many followed since last time"), "{said}");
}
