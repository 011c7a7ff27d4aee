//! Where setup writes, and what.

use std::fs::{DirBuilder, DirEntry, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::super::Failure;
use super::super::doctor::beside;
use super::super::files::Places;
use super::super::reader::Reader;
use super::dialogue::InOrder;
use super::kept::Configuration;
use super::own::is_admin;
use super::service::{is_stopped, known_unit};
use super::{Args, USUAL_USER, Wanted};
use crate::config::{Config, Overrides, Secret, here};

/// The shipped, annotated file: what is written is that, with a few values set.
const SHIPPED: &str = include_str!("../../../agent.toml");

/// How a file is called until it is whole.
const UNFINISHED: &str = ".owncast-herald-setup-";

/// The files of one agent.
pub(super) struct Layout {
    /// `agent.toml`.
    pub(super) config: PathBuf,
    /// The admin password.
    pub(super) password: PathBuf,
    /// The unit that reads both; `None` where systemd has none, or the configuration is in a place of its own.
    pub(super) unit: Option<String>,
    /// Whom its service runs as, where that can be told.
    pub(super) reader: Option<Reader>,
    /// It runs with a password that Owncast takes, wherever it has that from.
    pub(super) is_admin: bool,
}

impl Layout {
    /// The packages' places, or beside the configuration that is named.
    pub(super) fn of(places: &Places) -> Layout {
        let unit = known_unit(places);
        let reader = unit.as_ref().and_then(|unit| Reader::of_service(places, unit));
        let is_admin = reader.is_some() && is_admin(places);
        Layout { unit, reader, is_admin, ..Layout::at(places.config_path()) }
    }

    /// Beside this configuration.
    pub(super) fn at(config: PathBuf) -> Layout {
        Layout { password: beside(&config), config, unit: None, reader: None, is_admin: false }
    }

    /// Where a configuration that is replaced is kept: no earlier one is lost for it.
    pub(super) fn old(&self) -> PathBuf {
        let named = |ending: String| {
            let mut name = self.config.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        let mut old = named(".old".to_owned());
        let mut number = 0;
        while old.symlink_metadata().is_ok() {
            number += 1;
            old = named(format!(".old.{number}"));
        }
        old
    }

    /// Whether its service is to run whenever the machine starts, and does not run now: somebody has stopped it.
    pub(super) fn is_stopped(&self) -> bool {
        self.config.exists() && self.unit.as_deref().is_some_and(is_stopped)
    }

    /// Refuses before anything is asked for that could not be written.
    ///
    /// # Errors
    /// This user may not write here.
    pub(super) fn must_be_writable(&self) -> Result<(), Failure> {
        let folder = self.folder();
        let folder = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        access(folder, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| cannot_write(&self.config, &error.into()))
    }

    fn folder(&self) -> &Path {
        self.config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Nothing that is there is replaced by mistake.
    ///
    /// # Errors
    /// Names what is there of these files.
    pub(super) fn refuse_to_replace(&self, files: &[&Path], force: bool) -> Result<(), Failure> {
        match files.iter().find(|file| file.symlink_metadata().is_ok()) {
            Some(there) if !force => Err(Failure::new(format!(
                "{}{} is there already, and stays as it is; to change configuration and password, say --force ({} examines what is there)",
                self.closed()
                    .iter()
                    .map(|file| format!("the service may not read {}.\n", file.display()))
                    .collect::<String>(),
                there.display(),
                here().typed("doctor")
            ))),
            _ => Ok(()),
        }
    }

    /// The configuration, which has been read back: the shipped one, or by force the one that is there, with what
    /// is wanted set in it.
    ///
    /// # Errors
    /// What cannot be used.
    pub(super) fn configuration(&self, args: &Args, wanted: &Wanted) -> Result<Configuration, Failure> {
        let there =
            self.there().filter(|_| args.force).map_or_else(|| SHIPPED.to_owned(), |there| there.text);
        let table = |text: &str| toml::from_str::<toml::Table>(text);
        let unusable =
            |error: toml::de::Error| Failure::new(format!("the configuration cannot be used: {error}"));
        let mut expected = table(&there).map_err(unusable)?;
        let set_there = |key: &str| expected.get("owncast")?.get(key)?.as_str().map(str::to_owned);
        let [public, webhook, metrics] = wanted.listen;
        let mut values = vec![
            ("owncast", "url", wanted.owncast.to_string()),
            ("listen", "public", public.to_string()),
            ("listen", "webhook", webhook.to_string()),
            ("listen", "metrics", metrics.to_string()),
        ];
        if set_there("admin-user").as_deref().unwrap_or(USUAL_USER) != wanted.user {
            values.push(("owncast", "admin-user", wanted.user.clone()));
        }
        // The service gets it as a credential, which nobody else may read; whoever runs without one reads the file, unless an
        // older one is named.
        let named = ["admin-password", "admin-password-file"].into_iter().any(|key| set_there(key).is_some());
        if self.unit.is_none() || named {
            values.push(("owncast", "admin-password-file", absolute(&self.password)?.display().to_string()));
        }
        values.extend(args.public_url.as_ref().map(|url| ("identity", "public-url", url.to_string())));
        values.extend(args.username.as_ref().map(|name| ("identity", "username", name.0.clone())));
        let mut text = there;
        // It is in the file for it from now on, and this one may be read by all.
        if set_there("admin-password").is_some() {
            text = unset(&text, "owncast", "admin-password");
            let owncast = expected.get_mut("owncast").and_then(toml::Value::as_table_mut);
            owncast.and_then(|owncast| owncast.remove("admin-password"));
        }
        for (section, key, value) in values {
            let there = expected.get(section).and_then(|section| section.get(key));
            // What is so already stays as it is written, with what is said beside it.
            if there.and_then(toml::Value::as_str) != Some(value.as_str()) {
                text = set(&text, section, key, &value);
                put(&mut expected, section, key, value);
            }
        }
        // It is edited by its lines, as people write it, and not as anything that TOML allows.
        if table(&text).ok().as_ref() != Some(&expected) {
            return Err(Failure::new(format!(
                "what is asked for cannot be set in {} as that is written; write each setting on a line of its own below its \
                 [section], as in /usr/share/owncast-herald/agent.toml. Nothing was written",
                self.config.display()
            )));
        }
        let failed = |error: io::Error| Failure::new(format!("the configuration cannot be tried: {error}"));
        let mut trial = tempfile::NamedTempFile::new().map_err(failed)?;
        trial.write_all(text.as_bytes()).map_err(failed)?;
        match Config::load(Some(trial.path()), Overrides::default(), &|_| None) {
            Ok(config) => Ok(Configuration { text, config }),
            Err(error) => {
                Err(Failure::new(format!("{}\nNothing was written", error.tried_for(&self.config))))
            }
        }
    }

    /// Writes what is to be written, the password first: the service starts where there is a configuration.
    ///
    /// # Errors
    /// What could not be written.
    pub(super) fn write(
        &self,
        _in_order: &InOrder<'_>,
        to_write: &[&Path],
        text: &str,
        password: &Secret,
        force: bool,
    ) -> Result<(), Failure> {
        let folder = self.folder();
        let failed = |path: &Path, error: io::Error| cannot_write(path, &error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(|error| failed(folder, error))?;
        sweep(folder);
        if force && let Ok(replaced) = std::fs::read(&self.config) {
            let old = self.old();
            // Somebody may have written the password into it.
            place(folder, &old, &replaced, 0o600, false).map_err(|error| failed(&old, error))?;
        }
        let line = format!("{}\n", password.expose());
        if to_write.contains(&self.password.as_path()) {
            place(folder, &self.password, line.as_bytes(), 0o600, force)
                .map_err(|error| failed(&self.password, error))?;
        }
        if to_write.contains(&self.config.as_path()) {
            place(folder, &self.config, text.as_bytes(), 0o644, force).map_err(|error| {
                let Failure { message, .. } = failed(&self.config, error);
                Failure::new(format!("{message} (the password is in {} now)", self.password.display()))
            })?;
        }
        Ok(())
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let cure = if error.kind() == io::ErrorKind::PermissionDenied { "; run this with sudo" } else { "" };
    Failure::new(format!("{} cannot be written: {error}{cure}", path.display()))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// Removes what a `setup` has left that was killed amid writing; the password may be in it.
fn sweep(folder: &Path) {
    let left = |entry: &DirEntry| entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).filter(left) {
        // One that cannot be removed is no harm to what is written.
        let _ = std::fs::remove_file(entry.path());
    }
}

/// A file that is there whole, with its mode, or not at all.
fn place(folder: &Path, path: &Path, bytes: &[u8], mode: u32, force: bool) -> io::Result<()> {
    let file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder);
    // Its own name says nothing to anybody.
    let mut file = file.map_err(|error| io::Error::from(error.kind()))?;
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

/// Sets a key where it stands, commented out or not; else it becomes the first of its section, which is made where there is none.
fn set(text: &str, section: &str, key: &str, value: &str) -> String {
    let value = toml::Value::String(value.to_owned());
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let end_of = |lines: &[String], from: usize| {
        let next = lines.iter().skip(from).position(|line| line.trim_start().starts_with('['));
        next.map_or(lines.len(), |next| from + next)
    };
    let find = |lines: &[String], from: usize, to: usize, has: &dyn Fn(&str) -> bool| {
        lines.get(from..to).into_iter().flatten().position(|line| has(line)).map(|at| from + at)
    };
    let above = end_of(&lines, 0);
    let dotted = format!("{section}.{key}");
    let header = format!("[{section}]");
    let is_header = |line: &str| line.split('#').next().is_some_and(|line| line.trim() == header);
    if let Some(at) = find(&lines, 0, above, &|line| names(line, &dotted)) {
        lines[at] = format!("{dotted} = {value}");
    } else if let Some(header) = find(&lines, 0, lines.len(), &is_header) {
        let (from, to) = (header + 1, end_of(&lines, header + 1));
        let commented = |line: &str| line.strip_prefix("# ").is_some_and(|line| names(line, key));
        let at =
            find(&lines, from, to, &|line| names(line, key)).or_else(|| find(&lines, from, to, &commented));
        match at {
            Some(at) => lines[at] = format!("{key} = {value}"),
            None => lines.insert(from, format!("{key} = {value}")),
        }
    } else if find(&lines, 0, above, &|line| line.trim_start().starts_with(&format!("{section}."))).is_some()
    {
        lines.insert(0, format!("{dotted} = {value}"));
    } else {
        lines.extend([String::new(), header, format!("{key} = {value}")]);
    }
    lines.join("\n") + "\n"
}

/// The text without the line that sets this key, if it is on one.
fn unset(text: &str, section: &str, key: &str) -> String {
    let (header, dotted, mut within) = (format!("[{section}]"), format!("{section}.{key}"), None);
    let kept = text.lines().filter(|line| {
        if line.trim_start().starts_with('[') {
            within = Some(line.split('#').next().is_some_and(|line| line.trim() == header));
        }
        !match within {
            None => names(line, &dotted),
            Some(within) => within && names(line, key),
        }
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// Whether a line sets this key.
fn names(line: &str, key: &str) -> bool {
    line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// The same in what the text means.
fn put(table: &mut toml::Table, section: &str, key: &str, value: String) {
    let section = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let Some(section) = section.as_table_mut() {
        section.insert(key.to_owned(), toml::Value::String(value));
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::dialogue::Dialogue;
    use super::*;
    use crate::config::HttpUrl;
    use crate::config::value::from_argument;

    fn write(layout: &Layout, text: &str, password: &Secret, force: bool) -> Result<(), Failure> {
        let both = [layout.config.as_path(), &layout.password];
        layout.write(&Dialogue::new(true)?.in_order(), &both, text, password, force)
    }

    #[test]
    fn a_value_is_set_where_its_key_stands() {
        let text = set(SHIPPED, "listen", "webhook", "127.0.0.1:9");
        let differing: Vec<_> = SHIPPED.lines().zip(text.lines()).filter(|(old, new)| old != new).collect();
        assert_eq!(differing, [("# webhook = \"127.0.0.1:8586\"", "webhook = \"127.0.0.1:9\"")]);
        let text = set(&text, "owncast", "url", "http://\"x\"");
        let file: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(file["owncast"]["url"].as_str(), Some("http://\"x\""));
    }

    #[test]
    fn a_value_is_set_in_what_somebody_has_written() {
        for (there, then) in [
            ("[owncast]\nurl=\"a\" # mine\n", "[owncast]\nurl = \"x\"\n"),
            ("owncast.url = \"a\"\n[store]\n", "owncast.url = \"x\"\n[store]\n"),
            ("owncast.websocket = false\n", "owncast.url = \"x\"\nowncast.websocket = false\n"),
            (
                "[owncast] # mine\n[store]\nurl = \"y\"\n",
                "[owncast] # mine\nurl = \"x\"\n[store]\nurl = \"y\"\n",
            ),
            ("[owncast]\n# url = \"y\"\n  url = \"a\"\n", "[owncast]\n# url = \"y\"\nurl = \"x\"\n"),
            (
                "# mine\n[store]\npath = \"/s\"\n",
                "# mine\n[store]\npath = \"/s\"\n\n[owncast]\nurl = \"x\"\n",
            ),
        ] {
            assert_eq!(set(there, "owncast", "url", "x"), then);
        }
    }

    #[test]
    fn by_force_everything_stays_that_is_not_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::at(folder.path().join("agent.toml"));
        let password = layout.password.display().to_string();
        let wanted = |user: &str| Wanted {
            owncast: from_argument::<HttpUrl>("http://10.0.0.2:8080").unwrap(),
            user: user.to_owned(),
            password: Secret::new("hunter2"),
            listen: [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
        };
        let mine = "# mine\n[owncast]\nurl = \"http://10.0.0.1:8080\"\nadmin-user = \"ana\"\nadmin-password = \"old\"\n\n\
                    [listen]\npublic = \"127.0.0.1:1\" # as it is\ntrusted-proxies = [\n    \"10.0.0.0/8\",\n]\nwebhook-url = \"http://10.0.0.9:2\"\n\n\
                    [store]\npath = \"/srv/herald\"\n";
        std::fs::write(&layout.config, mine).unwrap();
        let args = Args { force: true, ..Args::default() };
        let text = layout.configuration(&args, &wanted("ana")).unwrap().text;
        let mut expected: toml::Table =
            toml::from_str(&mine.replace("admin-password = \"old\"\n", "")).unwrap();
        for (section, key, value) in [
            ("owncast", "url", "http://10.0.0.2:8080"),
            ("owncast", "admin-password-file", &password),
            ("listen", "public", "127.0.0.1:1"),
            ("listen", "webhook", "127.0.0.1:2"),
            ("listen", "metrics", "127.0.0.1:3"),
        ] {
            put(&mut expected, section, key, value.to_owned());
        }
        assert_eq!(toml::from_str::<toml::Table>(&text).unwrap(), expected);
        assert!(text.starts_with("# mine\n"), "{text}");
        assert!(text.contains("public = \"127.0.0.1:1\" # as it is\n") && !text.contains("old"), "{text}");
        // A password that others may read is in no file that others may read, however it was written.
        for mine in [
            "owncast.url = \"http://10.0.0.1:8080\"\nowncast.admin-password = \"old\"\n",
            "[owncast] # it\n  admin-password=\"old\"\nurl = \"http://10.0.0.1:8080\"\n[store]\npath = \"/srv/herald\"\n",
        ] {
            std::fs::write(&layout.config, mine).unwrap();
            let text = layout.configuration(&args, &wanted("ana")).unwrap().text;
            assert!(!text.contains("old") && text.contains("admin-password-file"), "{text}");
        }
        std::fs::write(&layout.config, mine).unwrap();
        let text = layout.configuration(&args, &wanted("admin")).unwrap().text;
        assert!(text.contains("admin-user = \"admin\""), "{text}");
        // What cannot be edited is refused, not thrown away.
        std::fs::write(&layout.config, "owncast = { url = \"http://10.0.0.1:8080\" }\n").unwrap();
        let refused = layout.configuration(&args, &wanted("admin")).err().unwrap().message;
        assert!(refused.contains("agent.toml as that is written"), "{refused}");
    }

    #[test]
    fn what_is_not_to_be_written_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::at(folder.path().join("agent.toml"));
        std::fs::write(&layout.password, "hunter2").unwrap();
        let to_write = [layout.config.as_path()];
        layout.refuse_to_replace(&to_write, false).unwrap();
        let nobody = Dialogue::new(true).unwrap();
        layout.write(&nobody.in_order(), &to_write, "x", &Secret::new("hunter2"), false).unwrap();
        assert_eq!(std::fs::read_to_string(&layout.password).unwrap(), "hunter2");
        assert_eq!(std::fs::read_to_string(&layout.config).unwrap(), "x");
        let refused = layout.refuse_to_replace(&[&layout.password], false).unwrap_err().message;
        assert!(refused.contains("admin-password is there already"), "{refused}");
    }

    #[test]
    fn what_makes_no_configuration_is_said_of_the_file_that_it_would_be() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::at(folder.path().join("agent.toml"));
        let wanted = Wanted {
            owncast: from_argument::<HttpUrl>("http://10.0.0.2:8080").unwrap(),
            user: USUAL_USER.to_owned(),
            password: Secret::new("hunter2"),
            listen: ["127.0.0.1:1", "0.0.0.0:2", "127.0.0.1:3"].map(|address| address.parse().unwrap()),
        };
        let refused = layout.configuration(&Args::default(), &wanted).err().unwrap();
        let begins = format!("{}: listen.webhook-url: ", layout.config.display());
        assert!(refused.message.starts_with(&begins), "{}", refused.message);
        assert!(refused.message.ends_with("\nNothing was written"), "{}", refused.message);
        assert_eq!(refused.code, 1);
    }

    #[test]
    fn files_have_their_modes_and_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::at(folder.path().join("deeper/agent.toml"));
        let both = [layout.config.as_path(), &layout.password];
        layout.refuse_to_replace(&both, false).unwrap();
        write(&layout, "x", &Secret::new("hunter2"), false).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&layout.config), mode(&layout.password)), (0o644, 0o600));
        assert_eq!(std::fs::read_to_string(&layout.password).unwrap(), "hunter2\n");
        assert!(layout.refuse_to_replace(&both, false).unwrap_err().message.contains("--force"));
        assert!(write(&layout, "y", &Secret::new("x"), false).is_err());
        // As whoever was killed left it.
        let part = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(layout.folder()).unwrap();
        part.keep().unwrap();
        assert_eq!(std::fs::read_to_string(&layout.config).unwrap(), "x");
        write(&layout, "y", &Secret::new("x"), true).unwrap();
        write(&layout, "z", &Secret::new("x"), true).unwrap();
        for (kept, text) in [("agent.toml.old", "x"), ("agent.toml.old.1", "y")] {
            let kept = folder.path().join("deeper").join(kept);
            assert_eq!(std::fs::read_to_string(&kept).unwrap(), text, "settings made by hand are not lost");
            assert_eq!(mode(&kept), 0o600);
        }
        assert_eq!(
            std::fs::read_dir(folder.path().join("deeper")).unwrap().count(),
            4,
            "nothing is left behind"
        );
    }

    #[test]
    fn nothing_is_asked_of_who_could_not_write_it() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::at(folder.path().join("deeper/agent.toml"));
        layout.must_be_writable().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
        let refused = std::thread::scope(|scope| {
            let as_nobody = scope.spawn(|| {
                if rustix::process::geteuid().is_root() {
                    let nobody = rustix::fs::Uid::from_raw(65534);
                    rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
                }
                let write = |name: &str| place(folder.path(), &folder.path().join(name), b"x", 0o600, false);
                (layout.must_be_writable().unwrap_err().message, write("x").unwrap_err().to_string())
            });
            as_nobody.join().unwrap()
        });
        let (early, late) = refused;
        assert!(early.contains("deeper/agent.toml cannot be written") && early.contains("sudo"), "{early}");
        assert!(!late.contains(UNFINISHED), "{late}");
    }
}
