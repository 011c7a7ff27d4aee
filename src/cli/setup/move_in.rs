//! The offer to take over at once what lives in Owncast's own federation.

use std::path::{Path, PathBuf};

use super::super::Failure;
use super::super::files::Places;
use super::super::outcome::remark;
use super::dialogue::{Dialogue, Reply};
use super::own::this_program;
use crate::adopt::{interrupted, read_identity};

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
pub(super) fn offer(places: &Places, written: &Places, server_url: &str, dialogue: &mut Dialogue) -> bool {
    if !dialogue.asks_at_all() || !written.agent_runs() {
        return false;
    }
    // Everything is written: who ends the input here has only said that this is for later.
    let done = moves_in(places, server_url, dialogue).unwrap_or(false);
    if !done {
        remark(&format!("It can be done at any time: {}\n", places.command("adopt")));
    }
    done
}

fn moves_in(places: &Places, server_url: &str, dialogue: &mut Dialogue) -> Result<bool, Failure> {
    if !dialogue.agrees_usually("Owncast's own followers and key can move in now. See what that would be")? {
        return Ok(false);
    }
    let in_order = dialogue.in_order();
    let usual = usual(server_url);
    drop(in_order);
    let question = "Owncast's data folder, which holds owncast.db (in a container /app/data), or - for none";
    let Some(DataDir(data_dir)) = dialogue.asks_unless_dash(question, usual.unwrap_or("-"))? else {
        return Ok(false);
    };
    Ok(adopt(places, &data_dir, &["--dry-run"])
        && dialogue.agrees("Move in like this")?
        && adopt(places, &data_dir, &[]))
}

/// Which of the usual folders is that of the Owncast with this server URL. A copy that holds its key is made to tell.
fn usual(server_url: &str) -> Option<&'static str> {
    interrupted::listen().ok()?;
    USUAL.into_iter().find(|folder| is_of(Path::new(folder), server_url))
}

/// Whether the database of a folder is that of the Owncast with this server URL: there may be several on a machine.
fn is_of(folder: &Path, server_url: &str) -> bool {
    let theirs = read_identity(folder).ok().and_then(|identity| identity.server_url);
    theirs.is_some_and(|theirs| theirs.trim_end_matches('/') == server_url.trim_end_matches('/'))
}

fn adopt(places: &Places, data_dir: &Path, more: &[&str]) -> bool {
    match this_program(places).arg("adopt").arg("--data-dir").arg(data_dir).args(more).status() {
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
