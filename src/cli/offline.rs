//! When no agent runs: its store is opened here, by the user that owns it.
//!
//! Root does not open it: files of root would stay behind in it, and the agent could not write them any more. The program
//! begins anew as the owner of the store's folder, as `run` does as well.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::Failure;
use super::files::{Places, env};
use super::outcome::remark;
use crate::config::{Config, HANDED_PASSWORD, Secret};
use crate::control::client::ClientError;
use crate::control::offline::OfflineError;
use crate::control::protocol::{Answer, Ask, Refusal, RefusalCode};
use crate::control::{offline, operations};
use crate::store::Store;

/// This program, wherever it lies and whoever may look there.
const MYSELF: &str = "/proc/self/exe";

/// Somebody who is not root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// By numbers.
    #[cfg(test)]
    pub(super) const fn new(uid: u32, gid: u32) -> Owner {
        Owner { uid, gid }
    }

    /// The user's number.
    pub(super) fn uid(self) -> u32 {
        self.uid
    }

    /// Whether this user may read a file, in no other group than the folder's, as [`Owner::program`] is.
    pub(super) fn may_read(self, file: &Path) -> bool {
        may_read(self.uid, &[self.gid], file)
    }

    /// Whom the folder belongs to, if we are root and it does not belong to root.
    pub(super) fn instead_of_root(folder: &Path) -> Option<Owner> {
        let metadata = std::fs::metadata(folder).ok()?;
        let (uid, gid) = (metadata.uid(), metadata.gid());
        (rustix::process::geteuid().is_root() && uid != 0).then_some(Owner { uid, gid })
    }

    /// Whom the store belongs to, or is going to: whoever has the folder around it.
    pub(super) fn of_store(folder: &Path) -> Option<Owner> {
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Owner::instead_of_root(if folder.exists() { folder } else { above })
    }

    /// This program, as that user and in no other group than theirs.
    pub(super) fn program<S: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(MYSELF);
        command.arg0(env!("CARGO_PKG_NAME")).args(arguments).uid(self.uid).gid(self.gid);
        command
    }

    /// Begins anew as that user, with the same arguments, and with the password if only root could read it. Comes back only
    /// if that fails.
    pub(super) fn begin_anew(self, password: Option<&Secret>) -> Failure {
        let mut command = self.program(std::env::args_os().skip(1));
        command.envs(password.map(|password| (HANDED_PASSWORD, password.expose())));
        let cause = command.exec();
        Failure::new(format!("this cannot be done as the owner of the store (user {}): {cause}", self.uid))
    }
}

/// Whether a user in these groups may read a file, as far as its mode tells and those of the folders that it is in.
pub(super) fn may_read(uid: u32, groups: &[u32], file: &Path) -> bool {
    let may = |path: &Path, bit: u32| {
        std::fs::metadata(path).is_ok_and(|found| {
            let shift = match () {
                () if found.uid() == uid => 6,
                () if groups.contains(&found.gid()) => 3,
                () => 0,
            };
            found.mode() >> shift & bit != 0
        })
    };
    let real = std::fs::canonicalize(file);
    real.is_ok_and(|real| may(&real, 0o4) && real.ancestors().skip(1).all(|folder| may(folder, 0o1)))
}

/// Whom root may give what it writes in a folder of theirs: the owner of the store, and whoever has called sudo. Any other
/// folder may be a web server's.
pub(super) fn heirs(places: &Places) -> Vec<u32> {
    let store = places.stored().ok().and_then(|config| std::fs::metadata(&config.store.path).ok());
    let caller = env("SUDO_UID").and_then(|user| user.parse().ok());
    store.map(|store| store.uid()).into_iter().chain(caller).collect()
}

impl From<OfflineError> for Failure {
    fn from(error: OfflineError) -> Self {
        match error {
            OfflineError::Store(error) => error.into(),
            OfflineError::Owncast(error) => Failure::new(error.to_string()),
        }
    }
}

/// What a store says that is asked without an agent. Nobody stops it, so if it can do nothing, its disk has failed.
fn refused(refusal: Refusal) -> Failure {
    let disk_failed = refusal.code == RefusalCode::Unavailable;
    let failure = Failure::from(ClientError::Refused(refusal));
    if disk_failed { Failure { code: 74, ..failure } } else { failure }
}

/// The configuration of the store that is there, or why nobody can be asked.
fn of_a_store(places: &Places, nobody: ClientError) -> Result<Config, Failure> {
    let Ok(config) = places.stored() else { return Err(nobody.into()) };
    let folder = &config.store.path;
    if let Some(owner) = Owner::instead_of_root(folder) {
        return Err(owner.begin_anew(None));
    }
    let mut failure = Failure::from(nobody);
    match std::fs::read_dir(folder.join("db")) {
        Ok(_) => return Ok(config),
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => {
            let folder = folder.display();
            failure.message.push_str(&format!(
                "\nIts store {folder} may be looked into without it by its owner only: run this with sudo."
            ));
        }
        Err(_) => {}
    }
    Err(failure)
}

/// Answers out of the store, if there is one; `nobody` says where an agent was looked for.
pub(super) fn ask(places: &Places, ask: &Ask, nobody: ClientError) -> Result<Answer, Failure> {
    if offline::needs_agent(ask) {
        return Err(nobody.into());
    }
    let config = of_a_store(places, nobody)?;
    let answer = runtime()?.block_on(async {
        let control = offline::open(config, Arc::new(places.env())).await?;
        Ok::<_, Failure>(operations::answer(&control, ask.clone()).await)
    })?;
    match answer {
        Answer::Refused(refusal) => Err(refused(refusal)),
        answer => {
            if offline::changes(ask) {
                remark("No agent is running: this is written into its store, and counts when it starts.");
            } else if *ask != Ask::Status {
                remark("No agent is running: this is what its store knows.");
            }
            Ok(answer)
        }
    }
}

/// Opens the store itself, with its configuration.
pub(super) fn store(places: &Places, nobody: ClientError) -> Result<(Config, Store), Failure> {
    let config = of_a_store(places, nobody)?;
    let store = Store::open(&config.store.path)?;
    Ok((config, store))
}

/// Threads for what waits for the disk.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::new(format!("the system gives no threads: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn a_disk_that_failed_is_told_by_its_exit_code() {
        let folder = |number| StoreError::Folder {
            folder: "/s".to_owned(),
            cause: std::io::Error::from_raw_os_error(number),
        };
        let errno = |errno: rustix::io::Errno| errno.raw_os_error();
        for (error, code) in [
            (StoreError::Disk("bad block".to_owned()), 74),
            (folder(errno(rustix::io::Errno::IO)), 74),
            (folder(errno(rustix::io::Errno::NOSPC)), 74),
            (folder(errno(rustix::io::Errno::ACCESS)), 1),
            (StoreError::Locked { folder: "/s".to_owned(), holder: String::new() }, 1),
        ] {
            let text = error.to_string();
            assert_eq!(Failure::from(OfflineError::Store(error)), Failure { code, ..Failure::new(text) });
        }
        for (code, exit) in
            [(RefusalCode::Unavailable, 74), (RefusalCode::Unknown, 1), (RefusalCode::NotRunning, 69)]
        {
            assert_eq!(refused(Refusal { code, message: String::new() }).code, exit);
        }
    }
}
