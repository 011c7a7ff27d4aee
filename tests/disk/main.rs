//! A disk with little room, and one with none: a small one of its own for each test, in memory.
//!
//! Mounting needs root; without it, the tests run again as root of a namespace of their own.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
pub mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use owncast_herald::sim::fediverse::{Flavour, Person, Server};
use support::stage::{SOON, Stage, no_complaints, quick};
use support::wait::{LONG, eventually};

/// Set in the namespace.
const INSIDE: &str = "HERALD_TEST_IN_NAMESPACE";
const MIB: usize = 1024 * 1024;

/// A mounted disk. Dropping it takes it away.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn mounted(mib: usize) -> Disk {
        let folder = tempfile::TempDir::with_prefix("herald-disk-").unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m,mode=0700"), "herald-test"])
            .arg(folder.path());
        assert!(mount.status().expect("mount is there").success(), "a small disk cannot be mounted");
        Disk { folder }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Leaves so much room, or less.
    fn fill(&self, leave: usize) {
        let mut ballast = File::create(self.folder.path().join("ballast")).unwrap();
        while free(self.folder.path()) > leave {
            let much = (free(self.folder.path()) - leave).min(MIB);
            if ballast.write_all(&vec![1; much]).is_err() {
                return;
            }
        }
    }

    fn empty(&self) {
        fs::remove_file(self.folder.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // At once, and the memory with it when the last file on it is closed.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

fn free(folder: &Path) -> usize {
    let disk = rustix::fs::statvfs(folder).unwrap();
    usize::try_from(disk.f_bavail * disk.f_frsize).unwrap()
}

/// True if the calling test may mount. If not, it has been run again where it may, and went well there.
fn may_mount(test: &str) -> bool {
    if rustix::process::geteuid().is_root() && {
        let folder = tempfile::tempdir().unwrap();
        let tried =
            Command::new("mount").args(["-t", "tmpfs", "herald-test"]).arg(folder.path()).output().unwrap();
        let _ = Command::new("umount").arg(folder.path()).output();
        tried.status.success()
    } {
        return true;
    }
    assert!(
        std::env::var_os(INSIDE).is_none(),
        "no disk can be mounted in a namespace either: run the tests as root, or allow user namespaces"
    );
    let mut again = Command::new("unshare");
    again.args(["--user", "--map-root-user", "--mount"]).arg(std::env::current_exe().unwrap());
    let status = again.args(["--exact", test, "--nocapture"]).env(INSIDE, "1").status();
    let well = status.as_ref().is_ok_and(std::process::ExitStatus::success);
    assert!(
        well,
        "as root of a namespace: {status:?}; this test needs to mount a small disk (root, or user namespaces)"
    );
    false
}

async fn scene(disk: &Disk, floor: &str) -> (Stage, Server) {
    let path = format!("{:?}", disk.store());
    let settings = [
        ("store.path", path.as_str()),
        ("store.free-space-mib", floor),
        ("go-live.delay", "\"0s\""),
        ("go-live.image", "\"none\""),
    ];
    let stage = Stage::start(quick(), &settings).await;
    let (server, _) = stage.follower(Flavour::Mastodon).await;
    (stage, server)
}

/// Status of what the probe says, and all of it.
async fn readiness(stage: &Stage) -> (u16, String) {
    let answer = stage.http.get(format!("{}/readyz", stage.agent.metrics_url())).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_little_room_nothing_new_is_taken_and_everything_goes_on_by_itself() {
    if !may_mount("with_little_room_nothing_new_is_taken_and_everything_goes_on_by_itself") {
        return;
    }
    let disk = Disk::mounted(32);
    let (stage, server) = scene(&disk, "12").await;
    assert_eq!(readiness(&stage).await.0, 200);
    disk.fill(8 * MIB);
    // The probe looks at once; the inbox goes by a look that may be a moment old.
    let (status, probe) = readiness(&stage).await;
    assert!(status == 503 && probe.contains("disk-space"), "{probe}");
    let late = server.person("late");
    let refused = late.follow(&stage.handle()).await.unwrap().reply;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("no-space"), "{refused:?}");
    let told = stage.agent.status().await["attention"].to_string();
    assert!(told.contains("free-space-mib") && told.contains(disk.store().to_str().unwrap()), "{told}");
    stage.wait_log("nothing new is taken or announced below 12 MiB").await;

    // A stream begins: its post waits, whole.
    stage.owncast.go_live_with(SOON);
    eventually("the stream is seen", LONG, async || {
        (stage.agent.status().await["session"]["phase"] == "connecting").then_some(())
    })
    .await;
    let now = stage.agent.cli(&["go-live", "now"]).await;
    let said = String::from_utf8(now.stderr).unwrap();
    assert!(now.status.code() == Some(1) && said.contains("free-space-mib"), "{said}");
    assert_eq!(stage.total(&format!("{}/outbox", stage.actor())).await, 0);

    disk.empty();
    assert!(server.wait_post(LONG, |_| true).await.is_some(), "the stream is announced");
    stage.follow(&late).await;
    assert_eq!(readiness(&stage).await.0, 200);
    assert_eq!(stage.agent.status().await["attention"], serde_json::json!([]));
    stage.wait_log("which is enough: everything goes on").await;
    assert_eq!(server.posts().len(), 1);
    no_complaints(&server);
}

/// Follows until the program ends; answers those whose Follow was acknowledged.
async fn follow_to_the_end(stage: &mut Stage, server: &Server, round: usize) -> (Vec<Person>, i32) {
    let mut acknowledged = Vec::new();
    for number in 0..10_000 {
        let person = server.person(&format!("n{round}x{number}"));
        let answer = person.follow(&stage.handle()).await;
        if answer.is_ok_and(|followed| followed.reply.status == 202) {
            acknowledged.push(person);
        }
        if let Some(status) = stage.agent.ended() {
            return (acknowledged, status.code().expect("it ends by itself, not by a signal"));
        }
    }
    panic!("a full disk takes everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_it_cleanly_and_the_next_start_goes_on() {
    if !may_mount("a_full_disk_ends_it_cleanly_and_the_next_start_goes_on") {
        return;
    }
    let disk = Disk::mounted(32);
    let (mut stage, server) = scene(&disk, "0").await;
    let mut there = 1;
    for round in 0..2 {
        // Full to the last byte, and in the middle of some work.
        disk.fill(round * 32 * 1024);
        let (acknowledged, code) = follow_to_the_end(&mut stage, &server, round).await;
        assert_eq!(code, 74, "{}", stage.agent.log());
        let log = stage.agent.log();
        assert!(log.contains("check the disk and its free space") && !log.contains("panicked"), "{log}");
        // With the disk as full as it is there is nothing to be done but to say so.
        let again = stage.agent.run_to_the_end().await;
        let said = String::from_utf8_lossy(&again.stderr);
        assert!(matches!(again.status.code(), Some(1 | 74)) && !said.contains("panicked"), "{said}");
        assert!(said.contains("space"), "{said}");
        disk.empty();
        stage.agent.launch();
        stage.settled().await;
        for person in &acknowledged {
            assert!(person.wait_accepted(LONG).await, "{person:?} was acknowledged");
        }
        let followers = stage.followers().await;
        let listed = stage.agent.cli_json(&["followers", "list", "--all"]).await;
        assert_eq!(listed["total"], serde_json::json!(followers), "half a state");
        there += acknowledged.len() as u64;
        assert!(followers >= there, "{followers} of {there} are left");
        there = followers;
    }
    // It works as before.
    stage.owncast.go_live_with(SOON);
    assert!(server.wait_post(LONG, |_| true).await.is_some());
    no_complaints(&server);
}
