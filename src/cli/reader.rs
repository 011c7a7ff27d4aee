//! Who reads what root writes: the user that the service runs as, who may read less than root does.

use std::path::{Path, PathBuf};

use rustix::fs::getxattr_query;

use super::files::Places;
use super::offline::{Owner, may_read};
use super::setup::service::{Terms, terms_of};
use super::users;
use crate::config::{AdminPassword, Config, Origin, password_beside};
use crate::doctor::Closed;

/// Where the units see nothing (`ProtectHome=`), whatever its mode.
const HIDDEN: [&str; 3] = ["/home", "/root", "/run/user"];
/// The folder of the user whom the packages make.
const PACKAGED: &str = "/var/lib/owncast-herald";

/// Where a file or folder says more of who may read it than its mode (acl(5)).
const ACL: &str = "system.posix_acl_access";

/// The service's user, as far as root can tell.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    uid: u32,
    /// All of the service's groups, its own first.
    groups: Vec<u32>,
    hidden: Vec<PathBuf>,
}

impl Reader {
    /// Somebody from whom nothing is hidden.
    #[cfg(test)]
    pub(super) fn new(uid: u32, groups: &[u32]) -> Reader {
        Reader { uid, groups: groups.to_vec(), hidden: Vec::new() }
    }

    /// Of this agent's service: whoever has its store, or while there is none the packages' user.
    pub(super) fn of_service(places: &Places, unit: &str) -> Option<Reader> {
        let store = places.stored().ok().map(|config| config.store.path).filter(|store| store.is_dir());
        let owner = Owner::instead_of_root(store.as_deref().unwrap_or(Path::new(PACKAGED)))?;
        Reader::on_terms(owner.uid(), &terms_of(unit))
    }

    /// The folder's group says nothing of the groups that the service is in.
    fn on_terms(uid: u32, terms: &Terms) -> Option<Reader> {
        let of_user = users::groups_of(uid)?;
        let own = terms.group.as_deref().and_then(users::group);
        let more = terms.more_groups.iter().filter_map(|group| users::group(group));
        let groups = own.into_iter().chain(of_user).chain(more).collect();
        let hidden = if terms.sees_homes { Vec::new() } else { HIDDEN.map(PathBuf::from).to_vec() };
        Some(Reader { uid, groups, hidden })
    }

    /// As far as modes tell, unless there is something that tells more.
    fn reads(&self, file: &Path) -> bool {
        let Ok(real) = std::fs::canonicalize(file) else { return false };
        let is_hidden = self
            .hidden
            .iter()
            .any(|folder| std::fs::canonicalize(folder).is_ok_and(|folder| real.starts_with(folder)));
        let has_acl = |path: &Path| getxattr_query(path, ACL).is_ok_and(|length| length > 0);
        !is_hidden && (may_read(self.uid, &self.groups, &real) || real.ancestors().any(has_acl))
    }

    /// What the service has to read and cannot: the configuration, and a password that is named in it.
    pub(super) fn closed(&self, config: &Config) -> Vec<Closed> {
        let named = match &config.owncast.admin_password {
            AdminPassword::Known { file: Some(named), origin: Origin::PasswordFile, .. }
                if !is_handed_over(config) =>
            {
                Some(named.as_path())
            }
            _ => None,
        };
        let files = config.file().into_iter().chain(named).filter(|file| !self.reads(file));
        let group = || self.groups.first().map(|own| users::name_of_group(*own)).unwrap_or_default();
        let homes_hidden = !self.hidden.is_empty();
        files.map(|file| Closed { file: file.to_owned(), group: group(), homes_hidden }).collect()
    }
}

/// Whether systemd reads the password for the service, beside this configuration, and so before all else.
fn is_handed_over(config: &Config) -> bool {
    let beside = config.file().map(password_beside);
    let beside = beside.map(|beside| AdminPassword::from_file(beside, Origin::PasswordFile));
    matches!(beside, Some(AdminPassword::Known { .. }))
}

/// A folder that everybody may be let into, wherever TMPDIR is.
#[cfg(test)]
pub(super) fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    folder
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::config::Overrides;

    /// Nobody who has anything here.
    const SOMEBODY: u32 = 4_000_000_001;

    #[test]
    fn what_root_alone_may_read_is_closed_to_the_service() {
        let folder = open_folder();
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
            let closed = Reader::new(SOMEBODY, &[SOMEBODY]).closed(&config);
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
        let folder = open_folder();
        let [real, home] = ["real", "home"].map(|name| folder.path().join(name));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &home).unwrap();
        let (file, beside) = (home.join("pw"), folder.path().join("pw"));
        [&file, &beside].into_iter().for_each(|file| write(file, "hunter2\n").unwrap());
        set_permissions(&real, Permissions::from_mode(0o755)).unwrap();
        [&file, &beside]
            .into_iter()
            .for_each(|file| set_permissions(file, Permissions::from_mode(0o644)).unwrap());
        let reader = |hidden| Reader { hidden, ..Reader::new(SOMEBODY, &[SOMEBODY]) };
        let homes = reader(vec![home.clone()]);
        assert!(!homes.reads(&file) && !homes.reads(&real.join("pw")) && homes.reads(&beside));
        assert!(reader(Vec::new()).reads(&file));
        write(&file, "owncast.url = \"http://a\"\n").unwrap();
        set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let config = Config::load(Some(&file), Overrides::default(), &|_| None).unwrap();
        for (hidden, said) in [(vec![home], true), (Vec::new(), false)] {
            assert_eq!(reader(hidden).closed(&config)[0].homes_hidden, said);
        }
    }

    #[test]
    fn every_group_of_the_service_counts_and_what_an_acl_says_is_not_guessed() {
        let folder = open_folder();
        let file = folder.path().join("pw");
        write(&file, "hunter2\n").unwrap();
        set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let group = std::fs::metadata(&file).unwrap().gid();
        let reader = Reader::new(SOMEBODY, &[SOMEBODY, group]);
        assert!(reader.reads(&file));
        let stranger = Reader::new(SOMEBODY, &[SOMEBODY]);
        assert!(!stranger.reads(&file));
        // For its owner, user 1, its group, at most, and for others; a file system that keeps none has nothing to say.
        let entries: [(u16, u16, u32); 5] =
            [(1, 6, u32::MAX), (2, 4, 1), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];
        let mut acl = 2_u32.to_le_bytes().to_vec();
        for (tag, may, who) in entries {
            acl.extend([tag.to_le_bytes(), may.to_le_bytes()].concat());
            acl.extend(who.to_le_bytes());
        }
        if rustix::fs::setxattr(&file, ACL, &acl, rustix::fs::XattrFlags::empty()).is_ok() {
            assert!(stranger.reads(&file));
        }
    }

    #[test]
    fn the_services_groups_are_those_of_its_unit_and_of_its_user() {
        let none = Terms::default();
        assert!(Reader::on_terms(SOMEBODY, &none).is_none(), "nobody knows that user's groups");
        let of_user = Reader::on_terms(0, &none).unwrap();
        assert_eq!(of_user.groups[0], 0);
        assert_eq!(of_user.hidden, HIDDEN.map(PathBuf::from));
        let terms =
            Terms { group: Some("1".to_owned()), more_groups: vec!["2".to_owned()], sees_homes: true };
        let Reader { groups, hidden, .. } = Reader::on_terms(0, &terms).unwrap();
        assert!(groups[..2] == [1, 0] && groups.contains(&2) && hidden.is_empty(), "{groups:?}");
    }
}
