//! Reloads of a real file.

use super::*;
use crate::config::NoticeStyle;

const MINIMAL: &str = "[owncast]\nurl = \"http://127.0.0.1:8080\"\n";

fn with(section_and_lines: &str) -> String {
    format!("{MINIMAL}{section_and_lines}")
}

#[test]
fn links_are_followed_folder_by_folder() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    for folder in ["etc", "maps", "maps/2024"] {
        std::fs::create_dir(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("maps/2024/agent.toml"), "").unwrap();
    std::os::unix::fs::symlink("2024", root.join("maps/current")).unwrap();
    std::os::unix::fs::symlink("../maps/current/agent.toml", root.join("etc/agent.toml")).unwrap();
    let folders = folders_on_the_way(&root.join("etc/agent.toml"));
    assert!(folders.contains(&root.join("etc")), "{folders:?}");
    assert!(folders.contains(&root.join("maps/2024")), "{folders:?}");
    // A link to a folder is turned in the folder that holds it.
    assert!(folders.contains(&root.join("etc/../maps")), "{folders:?}");
}

/// A watched file in a folder of its own.
struct Watched {
    folder: tempfile::TempDir,
    configs: tokio::sync::watch::Receiver<Arc<Config>>,
    handle: ReloadHandle,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Watched {
    /// Starts watching and waits until the watch stands.
    async fn start(folder: tempfile::TempDir) -> Self {
        let path = folder.path().join("agent.toml");
        let initial = Config::load(Some(&path), Overrides::default(), &|_| None).unwrap();
        let (reloader, handle, configs) =
            Reloader::new(initial, Overrides::default(), Arc::new(|_: &str| None));
        let stop = CancellationToken::new();
        let task = tokio::spawn(reloader.run(stop.clone()));
        handle.reload().await.unwrap();
        Self { folder, configs, handle, stop, task }
    }

    async fn plain() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("agent.toml"), MINIMAL).unwrap();
        Self::start(folder).await
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    async fn next(&mut self) -> Arc<Config> {
        let changed = tokio::time::timeout(Duration::from_secs(60), self.configs.changed());
        changed.await.expect("the change is seen in time").unwrap();
        Arc::clone(&self.configs.borrow_and_update())
    }

    async fn finish(self) {
        self.stop.cancel();
        self.task.await.unwrap();
        assert!(matches!(self.handle.reload().await, Err(ReloadError::Stopping)));
    }
}

#[tokio::test]
async fn a_saved_change_applies_however_it_is_saved() {
    let mut watched = Watched::plain().await;
    watched.write("agent.toml", &with("[go-live]\ndelay = \"90s\""));
    assert_eq!(watched.next().await.go_live.delay, Duration::from_secs(90));

    watched.write("agent.toml~", &with("[notices]\nlike = \"off\""));
    std::fs::rename(watched.folder.path().join("agent.toml~"), watched.folder.path().join("agent.toml"))
        .unwrap();
    let config = watched.next().await;
    assert_eq!((config.notices.like, config.go_live.delay), (NoticeStyle::Off, Duration::from_secs(60)));

    std::fs::remove_file(watched.folder.path().join("agent.toml")).unwrap();
    watched.write("agent.toml", &with("[go-live]\ndelay = \"5m\""));
    assert_eq!(watched.next().await.go_live.delay, Duration::from_secs(300));
    watched.finish().await;
}

#[tokio::test]
async fn a_turned_link_is_a_change() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("one", with("")), ("two", with("[go-live]\ndelay = \"90s\""))] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("agent.toml"), text).unwrap();
    }
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, folder.path().join("new")).unwrap();
        std::fs::rename(folder.path().join("new"), folder.path().join(name)).unwrap();
    };
    link("one", "current");
    link("current/agent.toml", "agent.toml");
    let root = folder.path().to_owned();
    let mut watched = Watched::start(folder).await;
    std::os::unix::fs::symlink("two", root.join("new")).unwrap();
    std::fs::rename(root.join("new"), root.join("current")).unwrap();
    assert_eq!(watched.next().await.go_live.delay, Duration::from_secs(90));
    watched.write("two/agent.toml", &with("[go-live]\ndelay = \"2m\""));
    assert_eq!(watched.next().await.go_live.delay, Duration::from_secs(120));
    watched.finish().await;
}

#[tokio::test]
async fn a_bad_file_is_refused_and_the_old_values_stay() {
    let mut watched = Watched::plain().await;
    watched.write("agent.toml", &with("[go-live]\ndelay = \"soon\""));
    let ReloadError::Refused(error) = watched.handle.reload().await.unwrap_err() else {
        panic!("not refused")
    };
    assert_eq!((error.line_at_fault(), error.field_at_fault()), (Some(4), Some("go-live.delay")));
    assert_eq!(watched.configs.borrow().go_live.delay, Duration::from_secs(60));
    assert_eq!(watched.handle.on_disk().refused, Some(error));
    watched.write("agent.toml", &with("[go-live]\ndelay = \"75s\""));
    assert_eq!(watched.next().await.go_live.delay, Duration::from_secs(75));
    assert_eq!(watched.handle.on_disk(), OnDisk::default());

    std::fs::remove_file(watched.folder.path().join("agent.toml")).unwrap();
    let ReloadError::Refused(gone) = watched.handle.reload().await.unwrap_err() else {
        panic!("not refused")
    };
    assert!(gone.to_string().contains("cannot be read"), "{gone}");
    assert_eq!(watched.configs.borrow().go_live.delay, Duration::from_secs(75));
    watched.finish().await;
}

#[tokio::test]
async fn what_needs_a_restart_waits_and_the_running_value_stays() {
    let mut watched = Watched::plain().await;
    let other = with("[go-live]\ndelay = \"9s\"\n[listen]\npublic = \"127.0.0.1:9999\"");
    watched.write("agent.toml", &other);
    let config = watched.next().await;
    assert_eq!((config.go_live.delay, config.listen.public.port()), (Duration::from_secs(9), 8585));
    // Only what is new is told, and what waits goes on being known.
    let changes = watched.handle.reload().await.unwrap();
    assert_eq!(changes, []);
    let waiting = watched.handle.on_disk().waiting;
    let [change] = waiting.as_slice() else { panic!("{waiting:?}") };
    assert_eq!((change.field, change.to.as_str()), ("listen.public", "127.0.0.1:9999"));
    assert!(change.needs_restart);

    watched.write("agent.toml", &with("[go-live]\ndelay = \"10s\""));
    assert_eq!(watched.next().await.go_live.delay, Duration::from_secs(10));
    assert_eq!(watched.handle.on_disk(), OnDisk::default());
    watched.finish().await;
}

#[tokio::test]
async fn a_value_that_is_written_down_has_another_origin() {
    let mut watched = Watched::plain().await;
    watched.write("agent.toml", &with("[go-live]\ndelay = \"60s\""));
    let config = watched.next().await;
    let delay = config.settings().into_iter().find(|setting| setting.field == "go-live.delay").unwrap();
    assert_eq!((delay.value.as_str(), delay.origin), ("1m", super::super::Origin::File));
    watched.finish().await;
}

#[tokio::test]
async fn half_of_a_file_is_not_read_while_it_is_being_written() {
    use std::io::Write;
    let mut watched = Watched::plain().await;
    let path = watched.folder.path().join("agent.toml");
    let mut file = std::fs::File::create(&path).unwrap();
    // Good TOML as far as it goes, and then a pause longer than the quiet that is waited for.
    write!(file, "{}", with("[go-live]\ndelay = \"1s\"\n")).unwrap();
    file.sync_all().unwrap();
    tokio::time::sleep(QUIET * 4).await;
    writeln!(file, "repost-after = \"1s\"").unwrap();
    drop(file);
    let config = watched.next().await;
    assert_eq!(config.go_live.repost_after, Duration::from_secs(1), "both or none");
    assert_eq!(config.go_live.delay, Duration::from_secs(1));
    watched.finish().await;
}

#[test]
fn a_file_counts_as_being_written_until_it_is_closed_or_another_takes_its_place() {
    use notify::event::{DataChange, Flag, RenameMode};
    use notify::{Event, event::EventAttributes};
    let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
    let moved = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    let mut writing = Writing { names: [OsString::from("agent.toml")].into(), open: false };
    for (kind, name, open) in [
        (written, "agent.toml", true),
        (closed, ".agent.toml.swp", true),
        (closed, "agent.toml", false),
        (written, ".agent.toml.swp", false),
        (written, "agent.toml", true),
        (moved, "agent.toml", false),
    ] {
        writing.note(&Event::new(kind).add_path(Path::new("/etc/herald").join(name)));
        assert_eq!(writing.open, open, "{kind:?} {name}");
    }
    writing.open = true;
    let mut lost = Event { kind: EventKind::Other, paths: Vec::new(), attrs: EventAttributes::new() };
    lost = lost.set_flag(Flag::Rescan);
    writing.note(&lost);
    assert!(!writing.open, "its end may be among the lost events");
}

#[tokio::test]
async fn an_explicit_reload_reads_the_password_file_and_does_not_lose_it() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "first").unwrap();
    let text = with(&format!("admin-password-file = {:?}", password.display().to_string()));
    std::fs::write(folder.path().join("agent.toml"), text).unwrap();
    let watched = Watched::start(folder).await;
    watched.write("password", "second");
    let changes = watched.handle.reload().await.unwrap();
    assert_eq!(
        changes.iter().map(|change| change.field).collect::<Vec<_>>(),
        ["owncast.admin-password-file"]
    );
    let shown = format!("{changes:?}");
    assert!(!shown.contains("first") && !shown.contains("second"), "{shown}");
    std::fs::remove_file(&password).unwrap();
    assert!(matches!(watched.handle.reload().await, Err(ReloadError::Refused(_))));
    let current = watched.configs.borrow().owncast.admin_password.clone();
    assert!(matches!(current, AdminPassword::Known { ref secret, .. } if secret.expose() == "second"));
    watched.finish().await;
}
