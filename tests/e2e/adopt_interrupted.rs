//! Moving in that somebody ends before it is done.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::data_dir::DataDir;

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
