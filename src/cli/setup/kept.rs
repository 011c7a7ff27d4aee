//! What is there already of what setup would write.

use std::path::{Path, PathBuf};

use super::super::Failure;
use super::USUAL_OWNCAST;
use super::layout::Layout;
use super::ports::listened;
use crate::config::{AdminPassword, Config, ConfigError, IdentityConfig, Origin, Overrides, Secret};

/// A configuration that an agent could run with: as it is written, and what that means.
pub(super) struct Configuration {
    pub(super) text: String,
    pub(super) config: Config,
}

impl Configuration {
    /// Whether everything that setup asks for is so here, too, however it is written. Settings that somebody has added are
    /// no difference.
    fn holds(&self, wanted: &Config) -> bool {
        let there = &self.config;
        let (named, kept) = (&wanted.identity, &there.identity);
        self.names_owncast()
            && there.owncast.url.url() == wanted.owncast.url.url()
            && there.owncast.admin_user == wanted.owncast.admin_user
            && listened(there) == listened(wanted)
            && (named.public_url.is_none() || named.public_url == kept.public_url)
            && (named.username.is_none() || named.username == kept.username)
    }

    /// Whether Owncast's address is in the file.
    fn names_owncast(&self) -> bool {
        toml::from_str(&self.text).is_ok_and(|table| names_owncast(&table))
    }

    fn is_exactly(&self, wanted: &Configuration) -> bool {
        let table = |of: &Configuration| toml::from_str::<toml::Table>(&of.text).ok();
        table(self).is_some_and(|there| Some(there) == table(wanted))
    }
}

impl Layout {
    /// The configuration that is there, if it can be used.
    pub(super) fn there(&self) -> Option<Configuration> {
        let text = std::fs::read_to_string(&self.config).ok()?;
        let config = self.load().ok()?;
        Some(Configuration { text, config })
    }

    /// The configuration that is there. What setup is to set in it may be missing: Owncast's address.
    fn load(&self) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(&self.config).unwrap_or_default();
        let names = toml::from_str(&text).is_ok_and(|table| names_owncast(&table));
        let owncast_url = (!names).then(|| USUAL_OWNCAST.to_owned());
        Config::load(Some(&self.config), Overrides { owncast_url, store_path: None }, &|_| None)
    }

    /// Refuses a configuration that no agent could run with: it has settings to keep, and which, only people can tell.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn must_be_usable(&self) -> Result<(), Failure> {
        match self.load() {
            Err(error) if self.config.symlink_metadata().is_ok() => Err(Failure::new(format!(
                "{error}\nMend this in the file first, or move the file away: its other settings are to stay. Nothing was written"
            ))),
            Err(_) | Ok(_) => Ok(()),
        }
    }

    /// Which of the two files are to be written: those without which the agent would not have this; by force both or none.
    pub(super) fn to_write(&self, wanted: &Configuration, password: &Secret, force: bool) -> Vec<&Path> {
        let (there, closed) = (self.there(), self.closed());
        let is_open = |file: &PathBuf| !closed.contains(file);
        let (configuration, password) = match &there {
            Some(there) if !force => {
                let kept = self.password_of(&there.config);
                let is_same = is(&kept, password)
                    && match &kept {
                        AdminPassword::Known { file: Some(file), .. } => is_open(file),
                        _ => true,
                    };
                // Beside a place that is named and holds another, one that is written would be a second password.
                (there.holds(&wanted.config) && (is_same || self.is_own(&kept)), is_same)
            }
            // By force it is to be exactly that.
            there => (
                there.as_ref().is_some_and(|there| there.is_exactly(wanted)),
                is(&self.in_own_file(), password),
            ),
        };
        let configuration = configuration && is_open(&self.config);
        let held = [(self.config.as_path(), configuration), (self.password.as_path(), password)];
        let all = force && held.iter().any(|(_, held)| !held);
        held.into_iter().filter(|(_, held)| all || !held).map(|(file, _)| file).collect()
    }

    /// What a configuration says of who the agent is, and where it says nothing, the one that is there.
    pub(super) fn identity(&self, wanted: &Configuration) -> IdentityConfig {
        let wanted = wanted.config.identity.clone();
        let Some(there) = self.there().map(|there| there.config.identity) else { return wanted };
        let public_url = wanted.public_url.or(there.public_url);
        IdentityConfig { public_url, username: wanted.username.or(there.username), key_file: there.key_file }
    }

    /// What is there that the service has to read and cannot. An agent with a password that works needs no file for it.
    pub(super) fn closed(&self) -> Vec<PathBuf> {
        let closed =
            self.reader.as_ref().zip(self.there()).map(|(reader, there)| reader.closed(&there.config));
        let files = closed.into_iter().flatten().map(|closed| closed.file);
        files.filter(|file| !self.is_admin || *file == self.config).collect()
    }

    /// The files that hold what an agent has with this configuration.
    pub(super) fn holding(&self) -> Vec<PathBuf> {
        let password = self.there().map(|there| self.password_of(&there.config));
        let named = match password {
            Some(AdminPassword::Known { file, .. }) => file,
            _ => None,
        };
        [self.config.clone()].into_iter().chain(named).collect()
    }

    /// The password of an agent with this configuration. Its service gets what is in the file for it before all else.
    fn password_of(&self, config: &Config) -> AdminPassword {
        let handed = (self.unit.is_some() && self.password.exists()).then(|| self.in_own_file());
        match handed {
            Some(AdminPassword::Empty { .. }) | None => config.owncast.admin_password.clone(),
            Some(handed) => handed,
        }
    }

    fn in_own_file(&self) -> AdminPassword {
        AdminPassword::from_file(self.password.clone(), Origin::PasswordFile)
    }

    /// Whether no other place is named for the password than the file that is written.
    fn is_own(&self, password: &AdminPassword) -> bool {
        let absolute = |path: &Path| std::path::absolute(path).ok();
        match password {
            AdminPassword::Missing => true,
            AdminPassword::Known { file: None, .. } => false,
            AdminPassword::Known { file: Some(path), .. }
            | AdminPassword::Empty { path }
            | AdminPassword::Stale { path }
            | AdminPassword::Unusable { path, .. } => absolute(path) == absolute(&self.password),
        }
    }
}

fn names_owncast(table: &toml::Table) -> bool {
    table.get("owncast").is_some_and(|owncast| owncast.get("url").is_some())
}

fn is(kept: &AdminPassword, given: &Secret) -> bool {
    matches!(kept, AdminPassword::Known { secret, .. } if secret == given)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::super::reader::{Reader, open_folder};
    use super::*;

    /// An agent's folder, with a configuration as it is wanted.
    struct Place {
        folder: tempfile::TempDir,
        layout: Layout,
        wanted: Configuration,
        given: Secret,
    }

    impl Place {
        fn new(unit: Option<&str>, wanted: &str) -> Place {
            let folder = open_folder();
            let layout =
                Layout { unit: unit.map(str::to_owned), ..Layout::at(folder.path().join("agent.toml")) };
            std::fs::write(&layout.config, wanted).unwrap();
            let wanted = layout.there().unwrap();
            std::fs::remove_file(&layout.config).unwrap();
            Place { folder, layout, wanted, given: Secret::new("hunter2") }
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.folder.path().join(name), text).unwrap();
        }

        fn to_write(&self, force: bool) -> Vec<String> {
            let files = self.layout.to_write(&self.wanted, &self.given, force);
            files.iter().map(|file| file.file_name().unwrap().display().to_string()).collect()
        }
    }

    const WANTED: &str = "[listen]\npublic = \"127.0.0.1:8585\"\n[owncast]\nurl = \"http://a\"\n";
    const BOTH: [&str; 2] = ["agent.toml", "admin-password"];

    #[test]
    fn what_is_there_already_is_not_to_be_written() {
        let place = Place::new(None, WANTED);
        assert_eq!(place.to_write(false), BOTH, "nothing is there");
        place.write("admin-password", "hunter2\n");
        assert_eq!(place.to_write(false), BOTH[..1]);
        place.write("agent.toml", WANTED);
        for force in [false, true] {
            assert!(place.to_write(force).is_empty());
        }
        place.write("admin-password", "hunter3\n");
        assert_eq!(place.to_write(false), BOTH[1..]);
        assert_eq!(place.to_write(true), BOTH);
        // Whoever wrote it without an end of line wrote the same.
        place.write("admin-password", "hunter2");
        place.write("agent.toml", "[owncast]\nurl = 7\n");
        assert_eq!(place.to_write(false), BOTH[..1], "no agent could run with it");
    }

    #[test]
    fn a_configuration_that_lacks_only_owncasts_address_is_set_right() {
        let place = Place::new(None, WANTED);
        place.write("admin-password", "hunter2\n");
        place.write("agent.toml", "[store]\npath = \"/srv\"\n");
        place.layout.must_be_usable().unwrap();
        assert_eq!(place.layout.there().unwrap().config.store.path, Path::new("/srv"));
        // Whatever address stands in for it.
        let usual = Place::new(None, &WANTED.replace("http://a", USUAL_OWNCAST));
        usual.write("admin-password", "hunter2\n");
        usual.write("agent.toml", "[store]\npath = \"/srv\"\n");
        for place in [place, usual] {
            assert_eq!(place.to_write(false), BOTH[..1]);
            assert_eq!(place.to_write(true), BOTH);
        }
        for wrong in ["[owncast]\nurl = 7\n", "[store]\npath = 7\n", "[owncast\n"] {
            let place = Place::new(None, WANTED);
            place.write("agent.toml", wrong);
            assert!(place.layout.must_be_usable().is_err() && place.layout.there().is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_configuration_is_held_that_means_what_is_wanted() {
        let place = Place::new(None, WANTED);
        place.write("admin-password", "hunter2\n");
        for (there, held) in [
            ("[owncast]\nurl = \"http://a\"\n", true),
            ("owncast.url = \"http://a/\"\n", true),
            ("owncast = { url = \"http://A:80\", admin-user = \"admin\" }\nstore.path = \"/srv\"\n", true),
            ("[owncast]\nurl = \"http://a\"\n[identity]\npublic-url = \"https://live.example\"\n", true),
            ("[owncast]\nurl = \"http://b\"\n", false),
            ("[owncast]\nurl = \"http://a\"\nadmin-user = \"ana\"\n", false),
            ("[owncast]\nurl = \"http://a\"\n[listen]\nmetrics = \"127.0.0.1:9\"\n", false),
        ] {
            place.write("agent.toml", there);
            assert_eq!(place.to_write(false).is_empty(), held, "{there}");
            assert_eq!(place.to_write(true), BOTH, "by force it is to be exactly that");
        }
        let named =
            format!("{WANTED}[identity]\npublic-url = \"https://live.example\"\nusername = \"ana\"\n");
        let place = Place::new(None, &named);
        place.write("admin-password", "hunter2\n");
        for (there, held) in [
            (named.clone(), true),
            (named.replace(".example\"", ".example/\""), true),
            (named.replace("ana", "bo"), false),
            (named.replace("live.", "LIVE."), false),
            (WANTED.to_owned(), false),
        ] {
            place.write("agent.toml", &there);
            assert_eq!(place.to_write(false).is_empty(), held, "{there}");
        }
    }

    #[test]
    fn a_password_is_held_where_the_agent_takes_it_from() {
        let secrets = tempfile::tempdir().unwrap();
        let file = |name: &str| format!("admin-password-file = {:?}\n", secrets.path().join(name));
        for (name, password) in [("given", "hunter2\n"), ("another", "hunter3\n")] {
            std::fs::write(secrets.path().join(name), password).unwrap();
        }
        let inline = |password: &str| format!("admin-password = {password:?}\n");
        let (password, neither) = (&BOTH[1..], &BOTH[..0]);
        let service = Some("owncast-herald.service");
        for (unit, named, beside, to_write) in [
            (service, file("given"), None, neither),
            (service, inline("hunter2"), None, neither),
            (service, file("given"), Some("\n"), neither),
            (service, file("another"), Some("hunter2\n"), neither),
            (service, file("given"), Some("hunter3\n"), password),
            (service, String::new(), None, password),
            (service, file("another"), None, &BOTH[..]),
            (service, file("absent"), None, &BOTH[..]),
            (service, inline("hunter3"), None, &BOTH[..]),
            (None, file("given"), None, neither),
            (None, file("given"), Some("hunter3\n"), neither),
            (None, String::new(), Some("hunter2\n"), neither),
            (None, String::new(), None, password),
            (None, file("another"), Some("hunter2\n"), &BOTH[..]),
        ] {
            let place = Place::new(unit, WANTED);
            place.write("agent.toml", &format!("{WANTED}{named}"));
            if let Some(beside) = beside {
                place.write("admin-password", beside);
            }
            assert_eq!(place.to_write(false), to_write, "{unit:?} {named} {beside:?}");
        }
        let place = Place::new(service, WANTED);
        place.write("agent.toml", &format!("{WANTED}{}", file("given")));
        assert_eq!(place.layout.holding(), [place.layout.config.clone(), secrets.path().join("given")]);
        place.write("agent.toml", &format!("{WANTED}{}", inline("hunter2")));
        assert_eq!(place.layout.holding(), std::slice::from_ref(&place.layout.config));
    }

    #[test]
    fn what_the_service_may_not_read_is_not_held() {
        let somebody = Reader::new(4_000_000_001, &[4_000_000_001]);
        let mut place = Place::new(Some("owncast-herald.service"), WANTED);
        place.layout.reader = Some(somebody);
        let given = place.folder.path().join("given");
        let mode = |path: &Path, bits| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
        };
        place.write("agent.toml", &format!("{WANTED}admin-password-file = {given:?}\n"));
        place.write("given", "hunter2\n");
        mode(place.folder.path(), 0o755);
        for (configuration, password, to_write) in
            [(0o644, 0o644, &BOTH[..0]), (0o600, 0o644, &BOTH[..1]), (0o644, 0o600, &BOTH[..])]
        {
            mode(&place.layout.config, configuration);
            mode(&given, password);
            assert_eq!(place.to_write(false), to_write, "{configuration:o} {password:o}");
        }
        let refused = place.layout.refuse_to_replace(&[&place.layout.config], false).unwrap_err().message;
        assert!(refused.contains(&format!("may not read {}.", given.display())), "{refused}");
        place.layout.is_admin = true;
        assert!(place.to_write(false).is_empty(), "it has it from elsewhere");
        mode(&place.layout.config, 0o600);
        assert_eq!(place.to_write(false), BOTH[..1]);
        place.write("agent.toml", WANTED);
        place.write("admin-password", "hunter2\n");
        assert_eq!(place.to_write(true), BOTH, "by force it is to be read, too");
    }
}
