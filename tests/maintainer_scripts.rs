//! What the Debian package's scripts do beside debhelper's parts, in a folder that stands for the system.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const WANTS: &str = "etc/systemd/system/multi-user.target.wants";
const TIMERS: &str = "etc/systemd/system/timers.target.wants";

struct System(TempDir);

impl System {
    /// With these configurations, and units that are enabled.
    fn with(configurations: &[&str], enabled: &[(&str, &str)]) -> System {
        let system = System(TempDir::with_prefix("scripts-").unwrap());
        for folder in ["run/systemd/system", "etc/owncast-herald", "bin", WANTS, TIMERS] {
            fs::create_dir_all(system.path(folder)).unwrap();
        }
        for name in configurations {
            fs::write(system.path("etc/owncast-herald").join(name), "").unwrap();
        }
        for (folder, unit) in enabled {
            // As while the package is away: it leads nowhere.
            symlink("/nowhere", system.path(folder).join(unit)).unwrap();
        }
        for program in ["systemctl", "deb-systemd-invoke"] {
            let program = system.path("bin").join(program);
            fs::write(&program, "#!/bin/sh\necho \"$*\" >> \"$DPKG_ROOT/asked\"\n").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        system
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What the script says, and what it asked of systemd.
    fn run(&self, script: &str, arguments: &[&str]) -> (String, Vec<String>) {
        let script = format!("packaging/debian/owncast-herald.{script}");
        let mut command = Command::new("sh");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).args(arguments);
        command.env("DPKG_ROOT", self.0.path());
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let asked = fs::read_to_string(self.path("asked")).unwrap_or_default();
        (String::from_utf8(output.stdout).unwrap(), asked.lines().map(str::to_owned).collect())
    }
}

#[test]
fn what_is_enabled_runs_again_once_the_package_is_back_and_not_after_an_upgrade() {
    let enabled = [
        (WANTS, "owncast-herald.service"),
        (WANTS, "owncast-herald@radio.service"),
        (TIMERS, "owncast-herald-backup@radio.timer"),
    ];
    let what_runs = "try-restart owncast-herald@*.service";
    let all = [
        what_runs,
        "start owncast-herald.service",
        "start owncast-herald@radio.service",
        "start owncast-herald-backup@radio.timer",
    ];
    let first = (&["install"][..], &["configure", ""][..]);
    let again = (&["install", "0.1.0-1", "0.2.0-1"][..], &["configure", "0.1.0-1"][..]);
    let upgrade = (&["upgrade", "0.1.0-1", "0.2.0-1"][..], &["configure", "0.1.0-1"][..]);
    for ((before, after), want) in [(first, &all[..]), (again, &all), (upgrade, &all[..1])] {
        let system = System::with(&["radio.toml"], &enabled);
        assert_eq!(system.run("preinst", before), (String::new(), Vec::new()));
        let (said, asked) = system.run("postinst", after);
        assert_eq!(said, "");
        assert_eq!(asked, want, "{before:?}");
        // And the next upgrade is one again.
        fs::remove_file(system.path("asked")).unwrap();
        system.run("preinst", upgrade.0);
        assert_eq!(system.run("postinst", upgrade.1).1, [what_runs], "after {before:?}");
    }
    // Where a removal fails, it has stopped them already.
    let failed = System::with(&["radio.toml"], &enabled);
    assert_eq!(failed.run("postinst", &["abort-remove"]).1, all);
    let without = System::with(&[], &[]);
    without.run("preinst", again.0);
    assert_eq!(without.run("postinst", again.1).1, [what_runs]);
}

#[test]
fn setup_is_told_of_where_nothing_is_configured() {
    for (configurations, told) in [(&[][..], true), (&["agent.toml"], false), (&["radio.toml"], false)] {
        let (said, asked) = System::with(configurations, &[]).run("postinst", &["configure", ""]);
        assert_eq!((said.contains("owncast-herald setup"), asked.len()), (told, 1), "{configurations:?}");
    }
}

#[test]
fn whoever_removes_it_is_told_to_disconnect_each_agent() {
    for (configurations, told) in [
        (&[][..], None),
        (&["agent.toml"], Some("run 'owncast-herald disconnect', and")),
        (&["radio.toml"], Some("run 'owncast-herald -i radio disconnect', and")),
        (
            &["agent.toml", "radio.toml"],
            Some("run 'owncast-herald disconnect', 'owncast-herald -i radio disconnect', and"),
        ),
    ] {
        let (said, asked) = System::with(configurations, &[]).run("prerm", &["remove"]);
        match told {
            Some(told) => assert!(said.contains(told), "{said}"),
            None => assert_eq!(said, ""),
        }
        assert_eq!(
            asked,
            ["stop owncast-herald.service owncast-herald@*.service owncast-herald-backup*.timer"]
        );
    }
    let (said, asked) = System::with(&["agent.toml"], &[]).run("prerm", &["upgrade", "0.2.0-1"]);
    assert!(said.is_empty() && asked.is_empty(), "{said} {asked:?}");
}
