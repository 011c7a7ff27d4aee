//! Who else may read the key.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::config::quoted;

/// What is to be said of a key that others on this machine may read, with the cure. The agent runs as the owner of its `store`,
/// and has to be able to read it afterwards.
pub fn warning(path: &Path, store: &Path) -> Option<String> {
    let key = std::fs::metadata(path).ok().filter(|key| key.mode() & 0o077 != 0)?;
    let file = quoted(path.as_os_str());
    let cure = match std::fs::metadata(store).map(|store| store.uid()) {
        Ok(agent) if agent == key.uid() => format!("chmod 600 {file}"),
        Ok(agent) => format!("chown {agent} {file} && chmod 600 {file}"),
        Err(_) => "give it to the user that the agent runs as, with mode 600".to_owned(),
    };
    Some(format!(
        "{} may be read by others on this machine, who could then speak as this actor; cure: {cure}",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_open_file_is_warned_of_with_a_cure_that_leaves_it_to_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my key.pem");
        std::fs::write(&path, "key").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let chmod = format!("chmod 600 '{}'", path.display());
        let cure = |store: &Path| warning(&path, store).unwrap().split_once("; cure: ").unwrap().1.to_owned();
        assert_eq!(cure(folder.path()), chmod);
        assert!(cure(Path::new("/nonexistent")).starts_with("give it to the user"));
        if rustix::process::geteuid().is_root() {
            let store = folder.path().join("store");
            std::fs::create_dir(&store).unwrap();
            std::os::unix::fs::chown(&store, Some(4_000_000_001), None).unwrap();
            let chown = format!("chown 4000000001 '{}'", path.display());
            assert_eq!(
                cure(&store),
                format!("{chown} && {chmod}"),
                "the group may be how the agent reads it"
            );
        }
    }
}
