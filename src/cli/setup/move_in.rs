//! The offer to take over at once what lives in Owncast's own federation.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::Failure;
use super::super::files::Places;
use super::super::outcome::remark;
use super::dialogue::{Dialogue, Reply};
use crate::adopt::read_identity;

/// Where Owncast's data is kept by its own installer's unit, and by others.
const USUAL: [&str; 3] = ["/opt/owncast/data", "/var/lib/owncast/data", "/srv/owncast/data"];

/// A folder that holds Owncast's database.
struct DataDir(PathBuf);

impl Reply for DataDir {
    fn read(text: &str) -> Result<DataDir, String> {
        let folder = Path::new(text);
        match folder.join("owncast.db").symlink_metadata() {
            Ok(_) => Ok(DataDir(folder.to_owned())),
            Err(error) => Err(format!("there is no owncast.db to be read in {}: {error}", folder.display())),
        }
    }
}

/// Asks whether to move in now, shows what that would be, and does it. Whether it was done. Nobody is asked where no agent
/// runs to move in to; `written` is where its configuration is, `places` how somebody would name it, and `server_url`
/// Owncast's.
///
/// # Errors
/// The input ended.
pub(super) fn offer(
    places: &Places,
    written: &Places,
    server_url: &str,
    dialogue: &mut Dialogue,
) -> Result<bool, Failure> {
    if !dialogue.asks_at_all() || !written.agent_runs() {
        return Ok(false);
    }
    let later = || remark(&format!("It can be done at any time: {}\n", places.command("adopt")));
    if !dialogue.agrees_usually("Owncast's own followers and key can move in now. See what that would be")? {
        later();
        return Ok(false);
    }
    let usual = USUAL.into_iter().find(|folder| is_of(Path::new(folder), server_url));
    let question = "Owncast's data folder, which holds owncast.db (in a container /app/data), or - for none";
    let Some(DataDir(data_dir)) = dialogue.asks_unless_dash(question, usual.unwrap_or("-"))? else {
        later();
        return Ok(false);
    };
    let done = adopt(places, &data_dir, &["--dry-run"])
        && dialogue.agrees("Move in like this")?
        && adopt(places, &data_dir, &[]);
    if !done {
        later();
    }
    Ok(done)
}

/// Whether the database of a folder is that of the Owncast with this server URL: there may be several on a machine.
fn is_of(folder: &Path, server_url: &str) -> bool {
    let theirs = read_identity(folder).ok().and_then(|identity| identity.server_url);
    theirs.is_some_and(|theirs| theirs.trim_end_matches('/') == server_url.trim_end_matches('/'))
}

/// This program once more: without an agent it would become the store's owner, and setup could not go on.
fn adopt(places: &Places, data_dir: &Path, more: &[&str]) -> bool {
    let mut command = Command::new("/proc/self/exe");
    command.args(places.arguments()).arg("adopt").arg("--data-dir").arg(data_dir).args(more);
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            remark(&format!("this program cannot be run once more: {error}"));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_folder_of_this_owncast_is_offered() {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/adopt");
        for (folder, server_url, offered) in [
            (recorded.as_path(), "https://live.example", true),
            (&recorded, "https://live.example/", true),
            (&recorded, "https://radio.example", false),
            (&recorded, "", false),
            (Path::new("/nowhere"), "https://live.example", false),
        ] {
            assert_eq!(is_of(folder, server_url), offered, "{} {server_url}", folder.display());
        }
    }
}
