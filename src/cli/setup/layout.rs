//! Where setup writes, and what.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::Failure;
use super::super::doctor::beside;
use super::super::files::Places;
use super::Args;
use crate::config::{Config, HttpUrl, Overrides, Secret, here};

/// The shipped, annotated file: what is written is that, with a few values set.
const SHIPPED: &str = include_str!("../../../agent.toml");

pub(super) const SYSTEMCTL: &str = "systemctl";

/// The files of one agent.
pub(super) struct Layout {
    /// `agent.toml`.
    pub(super) config: PathBuf,
    /// The admin password.
    pub(super) password: PathBuf,
    /// The unit that reads both; `None` where systemd has none, or the configuration is in a place of its own.
    pub(super) unit: Option<String>,
}

impl Layout {
    /// The packages' places, or beside the configuration that is named.
    pub(super) fn of(places: &Places) -> Layout {
        let unit = places.config.is_none().then(|| format!("{}.service", places.unit()));
        let unit = unit.filter(|unit| systemd_runs() && is_known(SYSTEMCTL, unit));
        Layout { unit, ..Layout::at(places.config_path()) }
    }

    /// Beside this configuration.
    pub(super) fn at(config: PathBuf) -> Layout {
        Layout { password: beside(&config), config, unit: None }
    }

    /// Where a configuration that is replaced is kept.
    pub(super) fn old(&self) -> PathBuf {
        let mut name = self.config.clone().into_os_string();
        name.push(".old");
        name.into()
    }

    /// Whether its service is to run whenever the machine starts, and does not run now: somebody has stopped it.
    pub(super) fn is_stopped(&self) -> bool {
        self.config.exists()
            && self.unit.as_deref().is_some_and(|unit| is_stopped(|verb| is(SYSTEMCTL, verb, unit)))
    }

    /// Nothing that is there is replaced by mistake.
    ///
    /// # Errors
    /// Names what is there.
    pub(super) fn refuse_to_replace(&self, force: bool) -> Result<(), Failure> {
        match [&self.config, &self.password].into_iter().find(|file| file.symlink_metadata().is_ok()) {
            Some(there) if !force => Err(Failure::new(format!(
                "{} is there already, and stays as it is; to replace configuration and password, say --force ({} examines what is there)",
                there.display(),
                here().typed("doctor")
            ))),
            _ => Ok(()),
        }
    }

    /// Whether all that would be written is there already. Unless `force` is to make it exactly that, settings that somebody
    /// has added are no difference.
    pub(super) fn has(&self, text: &str, password: &Secret, force: bool) -> bool {
        let read = |text: &str| toml::from_str::<toml::Table>(text).ok();
        let there = std::fs::read_to_string(&self.config).ok().and_then(|text| read(&text));
        let kept = std::fs::read_to_string(&self.password).unwrap_or_default();
        let same = match (there, read(text)) {
            (Some(there), Some(wanted)) if force => there == wanted,
            (Some(there), Some(wanted)) => holds(&there, &wanted),
            _ => false,
        };
        // Whoever wrote it without an end of line wrote the same.
        same && kept.strip_suffix('\n').unwrap_or(&kept) == password.expose()
    }

    /// The text of the configuration, which has been read back.
    ///
    /// # Errors
    /// What cannot be used.
    pub(super) fn configuration(
        &self,
        args: &Args,
        owncast: &HttpUrl,
        [public, webhook, metrics]: [SocketAddr; 3],
    ) -> Result<String, Failure> {
        let mut values = vec![
            ("owncast", "url", owncast.to_string()),
            ("listen", "public", public.to_string()),
            ("listen", "webhook", webhook.to_string()),
            ("listen", "metrics", metrics.to_string()),
        ];
        if args.admin_user != "admin" {
            values.push(("owncast", "admin-user", args.admin_user.clone()));
        }
        // The service gets it as a credential, which nobody else may read; whoever runs without one reads the file.
        if self.unit.is_none() {
            values.push(("owncast", "admin-password-file", absolute(&self.password)?.display().to_string()));
        }
        values.extend(args.public_url.as_ref().map(|url| ("identity", "public-url", url.to_string())));
        values.extend(args.username.as_ref().map(|name| ("identity", "username", name.0.clone())));
        let text = values.iter().try_fold(SHIPPED.to_owned(), |text, (section, key, value)| {
            set(&text, section, key, value)
                .ok_or_else(|| Failure::new(format!("the shipped agent.toml has no {section}.{key}")))
        })?;
        let failed = |error: io::Error| Failure::new(format!("the configuration cannot be tried: {error}"));
        let mut trial = tempfile::NamedTempFile::new().map_err(failed)?;
        trial.write_all(text.as_bytes()).map_err(failed)?;
        Config::load(Some(trial.path()), Overrides::default(), &|_| None)?;
        Ok(text)
    }

    /// Writes both, the password first: the service starts where there is a configuration.
    ///
    /// # Errors
    /// What could not be written.
    pub(super) fn write(&self, text: &str, password: &Secret, force: bool) -> Result<(), Failure> {
        let folder =
            self.config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |path: &Path, error: io::Error| {
            let cure =
                if error.kind() == io::ErrorKind::PermissionDenied { "; run this with sudo" } else { "" };
            Failure::new(format!("{} cannot be written: {error}{cure}", path.display()))
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(|error| failed(folder, error))?;
        if force && let Ok(replaced) = std::fs::read(&self.config) {
            let old = self.old();
            // Somebody may have written the password into it.
            place(folder, &old, &replaced, 0o600, true).map_err(|error| failed(&old, error))?;
        }
        let password = format!("{}\n", password.expose());
        place(folder, &self.password, password.as_bytes(), 0o600, force)
            .map_err(|error| failed(&self.password, error))?;
        place(folder, &self.config, text.as_bytes(), 0o644, force)
            .map_err(|error| failed(&self.config, error))
    }
}

/// Whether this machine was started by systemd (sd_booted(3)).
fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Whether systemd has this unit, or the template of it.
fn is_known(systemctl: &str, unit: &str) -> bool {
    is(systemctl, "cat", unit)
}

fn is_stopped(says: impl Fn(&str) -> bool) -> bool {
    says("is-enabled") && !says("is-active")
}

/// Whether systemctl says yes.
fn is(systemctl: &str, verb: &str, unit: &str) -> bool {
    let mut command = Command::new(systemctl);
    command.args([verb, unit]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether every value of one is in the other.
fn holds(there: &toml::Table, wanted: &toml::Table) -> bool {
    wanted.iter().all(|(key, value)| match (there.get(key), value) {
        (Some(toml::Value::Table(there)), toml::Value::Table(wanted)) => holds(there, wanted),
        (None, toml::Value::Table(wanted)) => wanted.is_empty(),
        (there, value) => there == Some(value),
    })
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// A file that is there whole, with its mode, or not at all.
fn place(folder: &Path, path: &Path, bytes: &[u8], mode: u32, force: bool) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".setup-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    if force {
        file.persist(path)?
    } else {
        file.persist_noclobber(path)?
    };
    File::open(folder)?.sync_all()
}

/// Sets a key of the annotated file where it stands, commented out or not.
fn set(text: &str, section: &str, key: &str, value: &str) -> Option<String> {
    let mut inside = false;
    let mut done = false;
    let lines = text.lines().map(|line| {
        if line.starts_with('[') {
            inside = line == format!("[{section}]");
        }
        let name = line.strip_prefix("# ").unwrap_or(line);
        if inside && !done && name.strip_prefix(key).is_some_and(|rest| rest.starts_with(" = ")) {
            done = true;
            format!("{key} = {}\n", toml::Value::String(value.to_owned()))
        } else {
            format!("{line}\n")
        }
    });
    let text = lines.collect();
    done.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_set_where_its_key_stands() {
        let text = set(SHIPPED, "listen", "webhook", "127.0.0.1:9").unwrap();
        let differing: Vec<_> = SHIPPED.lines().zip(text.lines()).filter(|(old, new)| old != new).collect();
        assert_eq!(differing, [("# webhook = \"127.0.0.1:8586\"", "webhook = \"127.0.0.1:9\"")]);
        let text = set(&text, "owncast", "url", "http://\"x\"").unwrap();
        let file: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(file["owncast"]["url"].as_str(), Some("http://\"x\""));
        assert_eq!(set(SHIPPED, "listen", "url", ""), None);
    }

    #[test]
    fn a_unit_is_none_where_systemd_has_none() {
        for (systemctl, known) in [("true", true), ("false", false), ("/nowhere/systemctl", false)] {
            assert_eq!(is_known(systemctl, "owncast-herald.service"), known, "{systemctl}");
        }
    }

    #[test]
    fn a_service_is_stopped_that_starts_with_the_machine_and_does_not_run() {
        for (so, stopped) in [
            (&["is-enabled"][..], true),
            (&["is-enabled", "is-active"], false),
            (&["is-active"], false),
            (&[], false),
        ] {
            assert_eq!(is_stopped(|verb| so.contains(&verb)), stopped, "{so:?}");
        }
    }

    #[test]
    fn what_is_there_is_the_same_with_more_settings_but_not_with_others() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::at(folder.path().join("agent.toml"));
        let password = Secret::new("hunter2");
        let wanted = "[owncast]\nurl = \"http://a\"\n[media]\n";
        assert!(!layout.has(wanted, &password, false), "nothing is there");
        layout.write(wanted, &password, false).unwrap();
        assert!(layout.has(wanted, &password, false) && layout.has(wanted, &password, true));
        assert!(!layout.has(wanted, &Secret::new("hunter3"), false));
        let more = "# mine\n[owncast]\nurl = \"http://a\"\nadmin-user = \"ana\"\n";
        layout.write(more, &password, true).unwrap();
        assert!(layout.has(wanted, &password, false) && !layout.has(wanted, &password, true));
        layout.write("[owncast]\nurl = \"http://b\"\n", &password, true).unwrap();
        assert!(!layout.has(wanted, &password, false));
    }

    #[test]
    fn files_have_their_modes_and_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::at(folder.path().join("deeper/agent.toml"));
        layout.refuse_to_replace(false).unwrap();
        layout.write("x", &Secret::new("hunter2"), false).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&layout.config), mode(&layout.password)), (0o644, 0o600));
        assert_eq!(std::fs::read_to_string(&layout.password).unwrap(), "hunter2\n");
        assert!(layout.refuse_to_replace(false).unwrap_err().message.contains("--force"));
        assert!(layout.write("y", &Secret::new("x"), false).is_err());
        assert_eq!(std::fs::read_to_string(&layout.config).unwrap(), "x");
        layout.write("y", &Secret::new("x"), true).unwrap();
        assert_eq!(std::fs::read_to_string(layout.old()).unwrap(), "x", "settings made by hand are not lost");
        assert_eq!(mode(&layout.old()), 0o600);
        assert_eq!(
            std::fs::read_dir(folder.path().join("deeper")).unwrap().count(),
            3,
            "nothing is left behind"
        );
    }
}
