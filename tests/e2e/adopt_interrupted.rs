//! Moving in that somebody ends before it is done.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use super::adopt::moved_in;
use crate::support::data_dir::DataDir;
use crate::support::stage::Stage;

#[test]
fn an_interrupted_move_leaves_no_copy_of_the_key() {
    let (data, folder) = (DataDir::recorded(), tempfile::tempdir().unwrap());
    let [scratch, store] = ["scratch", "store"].map(|name| folder.path().join(name));
    [&scratch, &store].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
    let is_empty = || fs::read_dir(&scratch).unwrap().next().is_none();
    let database = fs::File::options().write(true).open(data.path().join("owncast.db")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_owncast-herald"));
    command.args(["adopt", "--key-only", "--data-dir", data.argument(), "--store"]).arg(&store);
    command.env("TMPDIR", &scratch).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // A database that changes all the time is copied again and again.
    let mut ended = None;
    while is_empty() && ended.is_none() {
        database.set_modified(SystemTime::now()).unwrap();
        ended = child.try_wait().unwrap();
    }
    if ended.is_none() {
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    }
    let status = child.wait().unwrap();
    assert!(status.code().is_some(), "it ended by itself: {status}");
    assert!(is_empty());
}

#[test]
fn an_agent_that_is_stuck_keeps_nobody_from_ending_a_move() {
    let (data, folder) = (DataDir::recorded(), tempfile::tempdir().unwrap());
    let socket = folder.path().join("admin.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_owncast-herald"));
    command.args(["adopt", "--data-dir", data.argument(), "--store"]).arg(folder.path()).arg("--socket");
    command.arg(&socket).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The first knock only asks whether somebody is there.
    let asked = (0..).find_map(|_| {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        (!line.is_empty()).then_some(stream)
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    drop(asked);
}

/// `adopt --give-back` into a folder, which asks the agent through somebody in between; `at` is called when it says whom it
/// gave back, and answers whether the agent hears of that.
fn gives_back(stage: &Stage, data: &DataDir, to: &Path, at: impl Fn(Pid) -> bool) -> Output {
    let socket = stage.agent.path("between.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_owncast-herald"));
    command.args(["adopt", "--give-back", "--data-dir", data.argument(), "--config"]);
    command.arg(stage.agent.path("agent.toml")).arg("--to").arg(to).arg("--socket").arg(&socket);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let ended = std::thread::spawn(move || child.wait_with_output().unwrap());
    listener.set_nonblocking(true).unwrap();
    while !ended.is_finished() {
        let Ok((mut asked, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        asked.set_nonblocking(false).unwrap();
        let (mut line, mut answer) = (String::new(), Vec::new());
        BufReader::new(&asked).read_line(&mut line).unwrap();
        if line.is_empty() || line.contains("\"given\"") && !at(pid) {
            continue;
        }
        let mut agent = UnixStream::connect(stage.agent.path("admin.sock")).unwrap();
        agent.write_all(line.as_bytes()).unwrap();
        BufReader::new(agent).read_until(b'\n', &mut answer).unwrap();
        asked.write_all(&answer).unwrap();
    }
    fs::remove_file(socket).unwrap();
    ended.join().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_back_is_whole_once_it_is_written_or_says_what_is_missing() {
    let (stage, data, ..) = moved_in().await;
    stage.owncast.power_off().await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("back");
    let given = || fs::read_dir(&to).unwrap().count();
    let output = gives_back(&stage, &data, &to, |_| false);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), given()), (Some(1), 1), "{said}");
    let again = format!("adopt --give-back --data-dir {} --to {}", data.argument(), to.display());
    for part in ["gave no answer", "owncast.db is written all the same, and holds the key", &again] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    fs::remove_file(to.join("owncast.db")).unwrap();
    let output = gives_back(&stage, &data, &to, |child| {
        kill_process(child, Signal::INT).unwrap();
        // An agent that takes its time: whoever gave up for a signal while nothing comes would do so now.
        std::thread::sleep(Duration::from_millis(300));
        true
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), given()), (Some(0), 1), "{said}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("The changed copy is") && said.contains("see that its federation is on"), "{said}");
}
