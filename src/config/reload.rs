//! Watches `agent.toml` and hands a changed configuration to everybody, or refuses it and keeps the old one.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::settings::{applied, settings};
use super::{AdminPassword, Changed, Config, ConfigError, Overrides, diff};

/// How long the folder must be quiet: an editor writes, renames and touches in several steps.
const QUIET: Duration = Duration::from_millis(300);

/// How long a folder that is never quiet can hold a reload back.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// An environment that outlives the call, for reloads.
pub type SharedEnv = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Why an explicit reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new configuration is bad; the old one stays.
    #[error(transparent)]
    Refused(#[from] ConfigError),
    /// The agent is stopping.
    #[error("the agent is stopping")]
    Stopping,
}

type Reply = oneshot::Sender<Result<Vec<Changed>, ConfigError>>;

/// How the file on disk differs from what the agent runs with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnDisk {
    /// Why the file is not used; it stays until the file is mended.
    pub refused: Option<ConfigError>,
    /// The keys whose new values wait for a restart.
    pub waiting: Vec<Changed>,
}

/// Asks for a reload: on SIGHUP, or from the administration socket.
#[derive(Debug, Clone)]
pub struct ReloadHandle {
    requests: mpsc::Sender<Reply>,
    on_disk: watch::Receiver<OnDisk>,
}

impl ReloadHandle {
    /// Reads the configuration again, password files included, and answers what changed.
    ///
    /// # Errors
    /// Why the new configuration was refused, or that the agent is stopping.
    pub async fn reload(&self) -> Result<Vec<Changed>, ReloadError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(reply).await.map_err(|_| ReloadError::Stopping)?;
        Ok(answer.await.map_err(|_| ReloadError::Stopping)??)
    }

    /// What became of the file when it was last read.
    pub fn on_disk(&self) -> OnDisk {
        self.on_disk.borrow().clone()
    }
}

/// The task that watches and reloads.
pub struct Reloader {
    path: Option<PathBuf>,
    overrides: Overrides,
    env: SharedEnv,
    sender: watch::Sender<Arc<Config>>,
    on_disk: watch::Sender<OnDisk>,
    /// The last good one as it was read: [`Reloader::sender`] holds what of it is applied.
    read: Config,
    requests: mpsc::Receiver<Reply>,
    /// What the file looked like at the last look, if there has been one.
    seen: Option<Fingerprint>,
}

impl Reloader {
    /// Prepares the task. `overrides` and `env` are those that `initial` was loaded with.
    pub fn new(
        initial: Config,
        overrides: Overrides,
        env: SharedEnv,
    ) -> (Self, ReloadHandle, watch::Receiver<Arc<Config>>) {
        Self::apart(initial.clone(), initial, overrides, env)
    }

    /// The same where the agent runs with something else than what was `read` from the file.
    pub fn apart(
        read: Config,
        running: Config,
        overrides: Overrides,
        env: SharedEnv,
    ) -> (Self, ReloadHandle, watch::Receiver<Arc<Config>>) {
        let path = read.file().map(Path::to_owned);
        let (sender, receiver) = watch::channel(Arc::new(running));
        let (on_disk, shown) = watch::channel(OnDisk::default());
        // A second request while one is waiting would do the same work; callers wait for their turn.
        let (requests, queue) = mpsc::channel(4);
        // Nothing seen yet: the first look reads again what may have been saved since it was loaded.
        (
            Self { path, overrides, env, sender, on_disk, read, requests: queue, seen: None },
            ReloadHandle { requests, on_disk: shown },
            receiver,
        )
    }

    /// Runs until cancelled. Where the folder cannot be watched it says so once, and explicit reloads still work.
    pub async fn run(mut self, stop: CancellationToken) {
        // One waiting hint is enough: it means "look again".
        let (hint, mut hints) = mpsc::channel(1);
        let mut folders = Folders::new(hint);
        folders.follow(self.path.as_deref());
        // What was saved before the watch made no event.
        self.look();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                request = self.requests.recv() => {
                    let Some(reply) = request else { return };
                    let outcome = self.apply();
                    folders.renew(self.path.as_deref());
                    // The asker may have gone away; the reload stands.
                    let _ = reply.send(outcome);
                }
                Some(()) = hints.recv() => {
                    settle(&mut hints).await;
                    // Half of a file may be good TOML. The end of the writing is a hint of its own.
                    if !folders.is_being_written() {
                        self.look();
                    }
                    folders.follow(self.path.as_deref());
                }
            }
        }
    }

    /// Reloads if the file's bytes are others than at the last look.
    fn look(&mut self) {
        let Some(path) = self.path.as_deref() else { return };
        if self.seen != Some(fingerprint(path)) {
            // Refusals are logged where they happen.
            let _ = self.apply();
        }
    }

    /// Reads the file, applies what can be applied, and says what has changed since it was last read.
    fn apply(&mut self) -> Result<Vec<Changed>, ConfigError> {
        self.seen = self.path.as_deref().map(fingerprint);
        let running = Arc::clone(&self.sender.borrow());
        let loaded = Config::load(self.path.as_deref(), self.overrides.clone(), &*self.env);
        let new = loaded.and_then(|new| keeps_password(&running, new)).inspect_err(|error| {
            tracing::error!(
                target: "herald::agent",
                field = error.field_at_fault(),
                line = error.line_at_fault(),
                "configuration refused, the old values stay: {}",
                error.one_line()
            );
            self.on_disk.send_modify(|on_disk| on_disk.refused = Some(error.clone()));
        })?;
        let mut waiting = diff(&running, &new);
        waiting.retain(|change| change.needs_restart);
        let mut changes = diff(&self.read, &new);
        for change in &mut changes {
            // What was set back to the running value waits for nothing any more.
            change.needs_restart = waiting.iter().any(|waiting| waiting.field == change.field);
        }
        for change in &changes {
            tracing::info!(
                target: "herald::agent",
                field = change.field,
                needs_restart = change.needs_restart,
                "configuration changed: {change}"
            );
        }
        for warning in new.warnings().iter().filter(|warning| !self.read.warnings().contains(warning)) {
            tracing::warn!(target: "herald::agent", "configuration: {warning}");
        }
        if self.on_disk.borrow().refused.is_some() {
            tracing::info!(target: "herald::agent", "the configuration is good again");
        }
        self.on_disk.send_replace(OnDisk { refused: None, waiting });
        let next = applied(&running, new.clone());
        // A value that is written down now, as it was by default, has another origin.
        if !diff(&running, &next).is_empty() || settings(&running) != settings(&next) {
            self.sender.send_replace(Arc::new(next));
        }
        self.read = new;
        Ok(changes)
    }
}

/// A running agent that had a password must not lose it to a reload.
fn keeps_password(old: &Config, new: Config) -> Result<Config, ConfigError> {
    if matches!(old.owncast.admin_password, AdminPassword::Known { .. }) {
        new.owncast.admin_password.get()?;
    }
    Ok(new)
}

/// Waits until no hint has come for [`QUIET`], at most [`LONGEST_WAIT`].
async fn settle(hints: &mut mpsc::Receiver<()>) {
    let quiet = async { while let Ok(Some(())) = tokio::time::timeout(QUIET, hints.recv()).await {} };
    // Out of patience is as good as quiet: the file is looked at either way.
    let _ = tokio::time::timeout(LONGEST_WAIT, quiet).await;
}

/// A digest rather than the bytes, since the file may hold a password; `None` for a file that cannot be read.
type Fingerprint = Option<[u8; 32]>;

fn fingerprint(path: &Path) -> Fingerprint {
    std::fs::read(path).ok().map(|bytes| openssl::sha::sha256(&bytes))
}

/// The folders whose changes can change the file: its own, and those of every link on the way to it.
struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    writing: Arc<Mutex<Writing>>,
}

/// Whether somebody has the file open and is writing it.
#[derive(Default)]
struct Writing {
    /// What the file is called, by us and at the end of the links.
    names: BTreeSet<OsString>,
    /// Something was written, and the file has not been closed yet.
    open: bool,
}

impl Writing {
    fn note(&mut self, event: &notify::Event) {
        let named = |path: &PathBuf| path.file_name().is_some_and(|name| self.names.contains(name));
        let ours = event.paths.iter().any(named);
        match event.kind {
            // Events were lost, and the end of the writing may be among them.
            _ if event.need_rescan() => self.open = false,
            EventKind::Modify(ModifyKind::Data(_)) if ours => self.open = true,
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) if ours => self.open = false,
            EventKind::Access(AccessKind::Close(AccessMode::Write)) if ours => self.open = false,
            _ => {}
        }
    }
}

impl Folders {
    fn new(hint: mpsc::Sender<()>) -> Self {
        let writing = Arc::<Mutex<Writing>>::default();
        let noted = Arc::clone(&writing);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if let Ok(event) = &event {
                noted.lock().unwrap_or_else(PoisonError::into_inner).note(event);
            }
            let reads_only = event
                .is_ok_and(|event| matches!(event.kind, EventKind::Access(kind) if !is_end_of_writing(kind)));
            if !reads_only {
                // Full means that a look is due already.
                let _ = hint.try_send(());
            }
        });
        let watcher = watcher
            .inspect_err(|error| {
                tracing::warn!(
                    target: "herald::agent",
                    "agent.toml is not watched ({error}); after a change, reload the service"
                );
            })
            .ok();
        Self { watcher, watched: BTreeSet::new(), writing }
    }

    fn is_being_written(&self) -> bool {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).open
    }

    /// Watches anew: a folder that was deleted and made again has lost its watch silently.
    fn renew(&mut self, path: Option<&Path>) {
        if let Some(watcher) = self.watcher.as_mut() {
            for folder in std::mem::take(&mut self.watched) {
                let _ = watcher.unwatch(&folder);
            }
        }
        self.follow(path);
    }

    /// Watches what `path` leads through now; a link may have been turned since the last time.
    fn follow(&mut self, path: Option<&Path>) {
        let (Some(watcher), Some(path)) = (self.watcher.as_mut(), path) else { return };
        let wanted = folders_on_the_way(path);
        let behind_links = path.canonicalize().ok();
        let names = [Some(path), behind_links.as_deref()].into_iter().flatten().filter_map(Path::file_name);
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).names =
            names.map(OsString::from).collect();
        for gone in self.watched.difference(&wanted) {
            // A folder that was deleted has already lost its watch.
            let _ = watcher.unwatch(gone);
        }
        for folder in wanted.difference(&self.watched) {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                let folder = folder.display();
                tracing::warn!(
                    target: "herald::agent",
                    "{folder} is not watched ({error}); after a change of agent.toml, reload the service"
                );
            }
        }
        self.watched = wanted;
    }
}

fn is_end_of_writing(kind: AccessKind) -> bool {
    kind == AccessKind::Close(AccessMode::Write)
}

fn folders_on_the_way(path: &Path) -> BTreeSet<PathBuf> {
    // The kernel follows at most 40 links as well (path_resolution(7)).
    const MOST_LINKS: usize = 40;
    let mut folders = BTreeSet::new();
    let mut current = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for _ in 0..MOST_LINKS {
        let Some(folder) = current.parent().map(Path::to_owned) else { break };
        folders.insert(folder.clone());
        let links = folder.ancestors().filter(|ancestor| ancestor.is_symlink());
        folders.extend(links.filter_map(Path::parent).map(Path::to_owned));
        match std::fs::read_link(&current) {
            Ok(target) => current = folder.join(target),
            Err(_) => break,
        }
    }
    if let Some(folder) = path.canonicalize().ok().as_deref().and_then(Path::parent) {
        folders.insert(folder.to_owned());
    }
    folders
}

#[cfg(test)]
mod tests;
