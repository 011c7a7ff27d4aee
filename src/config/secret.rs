//! Text that must not be seen, and where Owncast's admin password comes from.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::file::OwncastSpec;
use super::places::{Places, here};
use super::settings::Origin;
use super::value::FromText;
use crate::model::Secret;

/// The systemd credential that holds Owncast's admin password (`LoadCredential=`).
pub const PASSWORD_CREDENTIAL: &str = "owncast-admin-password";

/// The environment variable that holds Owncast's admin password.
pub const PASSWORD_VARIABLE: &str = "OWNCAST_ADMIN_PASSWORD";

/// The environment variable in which root hands the password on to the owner of the store, who cannot read the file it is in.
pub const HANDED_PASSWORD: &str = "OWNCAST_HERALD_HANDED_PASSWORD";

impl FromText for Secret {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text in quotes")
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::from(text))
    }
}

/// Owncast's admin password, or why there is none. Commands that only ask a running agent do without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminPassword {
    /// Found.
    Known {
        /// The password.
        secret: Secret,
        /// Where it was found.
        origin: Origin,
        /// The file it was read from, where it has one to itself.
        file: Option<PathBuf>,
    },
    /// Set nowhere.
    Missing,
    /// Its file is there, and nothing is in it.
    Empty {
        /// The file that should hold it.
        path: PathBuf,
    },
    /// Its file holds something by now, and what systemd handed over at the start is what it held then: nothing.
    Stale {
        /// The file that should hold it.
        path: PathBuf,
    },
    /// A file was named that cannot be used.
    Unusable {
        /// The file that should hold it.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// This user may not read it; another may.
        denied: bool,
    },
}

impl AdminPassword {
    /// Looks in this order: systemd credential, `admin-password-file`, environment, `admin-password`, and last where the
    /// units take the credential from, which is not there for who runs a command. What root has found there and handed
    /// on ([`HANDED_PASSWORD`]) stands in where nothing can be read.
    ///
    /// A place that was named but cannot be read ends the search: falling through to an older password elsewhere
    /// would hide the fault.
    pub(super) fn resolve(
        spec: &OwncastSpec,
        config: Option<&Path>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let found = Self::search(spec, config, env);
        match env(HANDED_PASSWORD).filter(|text| !text.is_empty()) {
            Some(text) if !matches!(found, Self::Known { .. }) => {
                Self::Known { secret: Secret::new(text), origin: Origin::Environment, file: None }
            }
            _ => found,
        }
    }

    fn search(spec: &OwncastSpec, config: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let credential =
            env("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(PASSWORD_CREDENTIAL));
        let blank = match credential {
            Some(path) if holds_something(&path) => return Self::from_file(path, Origin::Credential),
            Some(path) => std::fs::metadata(path).ok(),
            None => None,
        };
        if let Some(path) = &spec.admin_password_file {
            return Self::from_file(path.0.clone(), Origin::PasswordFile);
        }
        if let Some(text) = env(PASSWORD_VARIABLE).filter(|text| !text.is_empty()) {
            return Self::Known { secret: Secret::new(text), origin: Origin::Environment, file: None };
        }
        if let Some(secret) = &spec.admin_password {
            return Self::Known { secret: secret.clone(), origin: Origin::File, file: None };
        }
        match (config.map(password_beside).filter(|path| path.symlink_metadata().is_ok()), blank) {
            // The credential is what was in this file at the start. What is in it now this user may not read.
            (Some(path), Some(blank)) if was_filled_in(&path, &blank) => Self::Stale { path },
            (Some(path), Some(_)) => Self::Empty { path },
            (Some(path), None) => Self::from_file(path, Origin::PasswordFile),
            (None, _) => Self::Missing,
        }
    }

    /// What a file says that has nothing else in it.
    pub(crate) fn from_file(path: PathBuf, origin: Origin) -> Self {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            // The error of a file that is not UTF-8 does not repeat its bytes.
            Err(error) => {
                let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
                return Self::Unusable { path, reason: error.to_string(), denied };
            }
        };
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let password = line.strip_suffix('\r').unwrap_or(line);
        if password.is_empty() {
            return Self::Empty { path };
        }
        Self::Known { secret: Secret::new(password), origin, file: Some(path) }
    }

    /// The password.
    ///
    /// # Errors
    /// Says which file cannot be used and why, or names every way to set a password.
    pub fn get(&self) -> Result<&Secret, ConfigError> {
        match self {
            Self::Known { secret, .. } => Ok(secret),
            Self::Missing => Err(ConfigError::new("Owncast's admin password is not set")
                .field("owncast.admin-password-file")
                .allowed(ways(here()))),
            Self::Empty { path } => {
                let path = path.display();
                Err(ConfigError::new(format!("{path} is empty, and Owncast's admin password should be in it"))
                    .field("owncast.admin-password-file")
                    .allowed(format!(
                        "the password on one line: write it there, or let {} ask for it, which keeps every other setting; then \
                         restart the service ({})",
                        here().typed("setup --force"),
                        here().service("restart")
                    )))
            }
            Self::Stale { path } => Err(ConfigError::new(format!(
                "{} was filled in after this service has started, and systemd hands the password over at a start only",
                path.display()
            ))
            .field("owncast.admin-password-file")
            .allowed(format!("a restart of the service: {}", here().service("restart")))),
            Self::Unusable { path, reason, denied } => Err(ConfigError::new(format!(
                "Owncast's admin password cannot be read from {}: {reason}",
                path.display()
            ))
            .field("owncast.admin-password-file")
            .allowed(if *denied {
                "a file that this user may read (try sudo), holding the password on one line"
            } else {
                "a file of text that holds the password on one line"
            })),
        }
    }
}

/// Every way to set the password of the agent in this place.
fn ways(places: &Places) -> String {
    let file = places.password_file();
    let file = file.display();
    let first = match places.unit() {
        Some(_) => format!(
            "the systemd credential \"{PASSWORD_CREDENTIAL}\", which the packages' service takes from {file} (of root, mode 0600)"
        ),
        None => format!(
            "the file {file} (mode 0600, of the user that the agent runs as), which is read there without being named; the systemd \
             credential \"{PASSWORD_CREDENTIAL}\" of a unit of your own"
        ),
    };
    format!(
        "one of: {first}; admin-password-file under [owncast]; the environment variable {PASSWORD_VARIABLE}; admin-password \
         under [owncast]"
    )
}

/// Whether more than an empty line is in a file that this user may not read, and it has changed since the credential was
/// made. Its own time of change may be that of a copy.
fn was_filled_in(file: &Path, credential: &Metadata) -> bool {
    std::fs::metadata(file).is_ok_and(|found| {
        let changed = (found.ctime(), found.ctime_nsec());
        found.len() > "\r\n".len() as u64 && changed >= (credential.mtime(), credential.mtime_nsec())
    })
}

/// Where the units take the credential from: beside the configuration of each agent.
pub fn password_beside(config: &Path) -> PathBuf {
    let name = match config.file_stem().and_then(|stem| stem.to_str()) {
        None | Some("agent") => "admin-password".to_owned(),
        Some(instance) => format!("{instance}.admin-password"),
    };
    config.with_file_name(name)
}

/// The packages' unit gives an empty line where the operator has made no credential: without it systemd would not start the
/// agent, and nobody would be told why. What cannot be read is there, and is complained about.
fn holds_something(credential: &Path) -> bool {
    match std::fs::read(credential) {
        Ok(bytes) => bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n')),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn spec(text: &str) -> OwncastSpec {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_secret_shows_nothing() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)).matches("hunter2").count(), 0);
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn the_first_place_that_is_set_wins() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = folder.path().join("credentials");
        std::fs::create_dir(&credentials).unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "from file\n\n").unwrap();
        let full = spec(&format!(
            "admin-password-file = {:?}\nadmin-password = \"from toml\"",
            file.display().to_string()
        ));
        let toml_only = spec("admin-password = \"from toml\"");
        let none = spec("");
        let with_variable = |name: &str| (name == PASSWORD_VARIABLE).then(|| "from variable".to_owned());
        let with_credential = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Some(credentials.display().to_string()),
            other => with_variable(other),
        };
        let nothing = |_: &str| None;

        let get = |spec: &OwncastSpec, env: &dyn Fn(&str) -> Option<String>| {
            AdminPassword::resolve(spec, None, env).get().unwrap().expose().to_owned()
        };
        assert_eq!(
            get(&full, &with_credential),
            "from file\n",
            "a folder without our credential is passed over"
        );
        assert_eq!(get(&full, &with_variable), "from file\n", "one newline is trimmed, no more");
        assert_eq!(get(&toml_only, &with_variable), "from variable");
        assert_eq!(get(&toml_only, &nothing), "from toml");
        std::fs::write(credentials.join(PASSWORD_CREDENTIAL), "\n").unwrap();
        assert_eq!(get(&full, &with_credential), "from file\n", "and so is an empty one");
        std::fs::write(credentials.join(PASSWORD_CREDENTIAL), "from credential").unwrap();
        assert_eq!(get(&full, &with_credential), "from credential");
        let handed = |name: &str| match name {
            HANDED_PASSWORD => Some("handed on".to_owned()),
            other => with_credential(other),
        };
        assert_eq!(get(&full, &handed), "from credential", "what can be read is the newer word");
        let handed = |name: &str| (name == HANDED_PASSWORD).then(|| "handed on".to_owned());
        assert_eq!(get(&none, &handed), "handed on");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(get(&full, &handed), "handed on", "the files may be root's");
        let config = folder.path().join("agent.toml");
        let beside = |spec: &OwncastSpec| AdminPassword::resolve(spec, Some(&config), &nothing);
        assert_eq!(beside(&none), AdminPassword::Missing);
        std::fs::write(folder.path().join("admin-password"), "from beside\n").unwrap();
        assert_eq!(beside(&none).get().unwrap().expose(), "from beside");
        assert_eq!(beside(&toml_only).get().unwrap().expose(), "from toml");
        let another = AdminPassword::resolve(&none, Some(&folder.path().join("radio.toml")), &nothing);
        assert_eq!(another, AdminPassword::Missing, "each agent has its own");
        assert_eq!(AdminPassword::resolve(&none, None, &nothing), AdminPassword::Missing);
    }

    #[test]
    fn a_missing_password_names_the_ways_to_set_one() {
        let message = AdminPassword::Missing.get().unwrap_err().to_string();
        for way in
            [PASSWORD_CREDENTIAL, PASSWORD_VARIABLE, "admin-password-file", "admin-password under [owncast]"]
        {
            assert!(message.contains(way), "{message}");
        }
        let at = |config: &str| ways(&Places { config: Some(config.into()), ..Places::default() });
        for (config, file, of_unit) in [
            ("/etc/owncast-herald/agent.toml", "/etc/owncast-herald/admin-password", true),
            ("/etc/owncast-herald/radio.toml", "/etc/owncast-herald/radio.admin-password", true),
            ("/srv/radio.toml", "/srv/radio.admin-password", false),
        ] {
            let ways = at(config);
            assert!(ways.contains(&format!(" {file} (")), "{ways}");
            assert_eq!(ways.contains("the packages' service"), of_unit, "{ways}");
        }
    }

    #[test]
    fn an_empty_file_is_told_as_such_though_only_its_credential_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("agent.toml");
        let of_service = folder.path().join("admin-password");
        std::fs::write(&of_service, "").unwrap();
        std::fs::write(folder.path().join(PASSWORD_CREDENTIAL), "\n").unwrap();
        let credentials = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Some(folder.path().display().to_string()),
            _ => None,
        };
        let found = AdminPassword::resolve(&spec(""), Some(&config), &credentials);
        assert_eq!(found, AdminPassword::Empty { path: of_service.clone() });
        let message = found.get().unwrap_err().to_string();
        for part in ["admin-password is empty", "setup --force", "restart"] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
        std::fs::remove_file(&of_service).unwrap();
        let found = AdminPassword::resolve(&spec(""), Some(&config), &credentials);
        assert_eq!(found, AdminPassword::Missing, "the unit's own blank line stands for no file");
    }

    #[test]
    fn a_file_that_was_filled_in_since_the_start_is_not_told_as_empty() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("radio.toml");
        let credential = std::fs::File::create(folder.path().join(PASSWORD_CREDENTIAL)).unwrap();
        (&credential).write_all(b"\n").unwrap();
        std::fs::write(folder.path().join("radio.admin-password"), "of now\n").unwrap();
        let credentials = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Some(folder.path().display().to_string()),
            _ => None,
        };
        let found = AdminPassword::resolve(&spec(""), Some(&config), &credentials);
        let message = found.get().unwrap_err().to_string();
        assert!(!message.contains("empty"), "{message}");
        for part in ["radio.admin-password was filled in after", "systemctl restart"] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
        let with_another = spec("admin-password = \"of the file\"");
        let found = AdminPassword::resolve(&with_another, Some(&config), &credentials);
        assert_eq!(found.get().unwrap().expose(), "of the file");
        // Nobody has touched it since: what is in it are empty lines.
        credential.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(3600)).unwrap();
        let found = AdminPassword::resolve(&spec(""), Some(&config), &credentials);
        assert!(matches!(found, AdminPassword::Empty { .. }), "{found:?}");
    }

    #[test]
    fn an_unusable_file_is_said_and_nothing_else_is_tried() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "\n").unwrap();
        for (path, said) in [(&absent, "cannot be read"), (&empty, "is empty")] {
            let spec = spec(&format!(
                "admin-password-file = {:?}\nadmin-password = \"older\"",
                path.display().to_string()
            ));
            let found = AdminPassword::resolve(&spec, None, &|_| None);
            assert!(!matches!(found, AdminPassword::Unusable { denied: true, .. }), "{found:?}");
            let message = found.get().unwrap_err().to_string();
            assert!(message.contains(said) && message.contains(&path.display().to_string()), "{message}");
        }
    }
}
