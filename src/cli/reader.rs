//! Who reads what root writes: the user that the service runs as, who may read less than root does.

use std::path::{Path, PathBuf};

use super::files::Places;
use super::offline::Owner;
use crate::config::{AdminPassword, Config, Origin, password_beside};
use crate::doctor::Closed;

/// Where the units see nothing (`ProtectHome=`), whatever its mode.
const HIDDEN: [&str; 3] = ["/home", "/root", "/run/user"];
/// The folder of the user whom the packages make.
const PACKAGED: &str = "/var/lib/owncast-herald";

/// The service's user, as far as root can tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader(Owner);

impl Reader {
    /// Somebody.
    #[cfg(test)]
    pub(super) fn new(owner: Owner) -> Reader {
        Reader(owner)
    }

    /// Of this agent's service: whoever has its store, or while there is none the packages' user.
    pub(super) fn of_service(places: &Places) -> Option<Reader> {
        let store = places.stored().ok().map(|config| config.store.path).filter(|store| store.is_dir());
        Owner::instead_of_root(store.as_deref().unwrap_or(Path::new(PACKAGED))).map(Reader)
    }

    fn reads(self, file: &Path) -> bool {
        let is_hidden = |real: PathBuf| HIDDEN.iter().any(|folder| real.starts_with(folder));
        self.0.may_read(file) && !std::fs::canonicalize(file).is_ok_and(is_hidden)
    }

    /// What the service has to read and cannot: the configuration, and a password that is named in it.
    pub(super) fn closed(self, config: &Config) -> Vec<Closed> {
        let named = match &config.owncast.admin_password {
            AdminPassword::Known { file: Some(named), origin: Origin::PasswordFile, .. }
                if !is_handed_over(config) =>
            {
                Some(named.as_path())
            }
            _ => None,
        };
        let files = config.file().into_iter().chain(named).filter(|file| !self.reads(file));
        files.map(|file| Closed { file: file.to_owned(), group: self.0.gid() }).collect()
    }
}

/// Whether systemd reads the password for the service, beside this configuration, and so before all else.
fn is_handed_over(config: &Config) -> bool {
    let beside = config.file().map(password_beside);
    let beside = beside.map(|beside| AdminPassword::from_file(beside, Origin::PasswordFile));
    matches!(beside, Some(AdminPassword::Known { .. }))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Overrides;

    #[test]
    fn what_root_alone_may_read_is_closed_to_the_service() {
        let folder = tempfile::tempdir().unwrap();
        let [file, named, beside] =
            ["agent.toml", "given", "admin-password"].map(|name| folder.path().join(name));
        write(&named, "hunter2\n").unwrap();
        let mode = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let closed = |text: &str, modes: [u32; 3]| {
            write(&file, format!("[owncast]\nurl = \"http://a\"\n{text}")).unwrap();
            for (path, bits) in [folder.path(), file.as_path(), &named].into_iter().zip(modes) {
                mode(path, bits);
            }
            let config = Config::load(Some(&file), Overrides::default(), &|_| None).unwrap();
            let closed = Reader(Owner::new(4_000_000_001, 4_000_000_001)).closed(&config);
            closed.into_iter().map(|closed| closed.file).collect::<Vec<_>>()
        };
        let naming = format!("admin-password-file = {named:?}\n");
        let (both, configuration, password) =
            (vec![file.clone(), named.clone()], vec![file.clone()], vec![named.clone()]);
        assert!(closed("", [0o755, 0o644, 0o600]).is_empty());
        assert_eq!(closed("", [0o755, 0o600, 0o600]), configuration);
        assert_eq!(closed("", [0o700, 0o644, 0o600]), configuration);
        assert!(closed(&naming, [0o755, 0o644, 0o644]).is_empty());
        assert_eq!(closed(&naming, [0o755, 0o644, 0o600]), password);
        assert_eq!(closed(&naming, [0o755, 0o640, 0o600]), both);
        write(&beside, "\n").unwrap();
        assert_eq!(closed(&naming, [0o755, 0o644, 0o600]), password, "an empty one hands nothing over");
        write(&beside, "hunter2\n").unwrap();
        mode(&beside, 0o600);
        assert!(closed(&naming, [0o755, 0o644, 0o600]).is_empty(), "systemd reads that one");
    }

    #[test]
    fn nothing_below_a_home_is_seen_by_the_service() {
        // It is there for everybody, and its own user may read it.
        let everybody = |path: &str| Path::new(path).canonicalize().is_ok();
        for home in HIDDEN.into_iter().filter(|home| everybody(home)) {
            let root = Reader(Owner::new(0, 0));
            assert!(!root.reads(Path::new(home)), "{home}");
        }
        assert!(Reader(Owner::new(0, 0)).reads(Path::new("/etc/passwd")));
    }
}
