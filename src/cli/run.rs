//! `run`: the agent in the foreground.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::files::{Places, env};
use super::offline::Owner;
use super::text::inert;
use super::{Failure, Outcome};
use crate::agent::observe::Observer;
use crate::agent::{self, RunOptions};
use crate::config::{AdminPassword, Config, ConfigError, Origin, Overrides, Secret};
use crate::telemetry::log::{self, Surroundings};

/// How long threads that wait for the disk or a name server may hold up the end of the process.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Open files and connections at most. Deliveries, peers that answer slowly and visitors each have limits of their own, which
/// add up to less; many systems allow a process only 1,024 unless it asks.
const OPEN_FILES: u64 = 4095;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Owncast's own address; wins over the file, and without --config no file is read
    #[arg(long, value_name = "URL")]
    pub owncast: Option<String>,
    /// Folder of the database; wins over the file
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Make a new key although this actor has lived before: servers that pinned the old key will not accept it
    #[arg(long)]
    pub new_identity: bool,
    /// Become another actor where the public URL or username is another one now: all followers are given up
    #[arg(long)]
    pub abandon_followers: bool,
    /// Take Owncast over from another agent, whose webhook is found in it
    #[arg(long)]
    pub replace: bool,
    /// Change nothing, send nothing, say nothing: watch Owncast, and print what would be done
    ///
    /// Works on a copy of the store that is thrown away, also beside a running agent. Reads from Owncast and never
    /// writes to it; opens no port; makes no key.
    #[arg(long, conflicts_with = "abandon_followers")]
    pub observe: bool,
}

pub(super) fn run(places: &Places, args: Args) -> Outcome {
    let log = log::init_early(Surroundings::detect(env("JOURNAL_STREAM").as_deref())).ok();
    if args.owncast.is_none() {
        places.settle();
    }
    let file = match &args.owncast {
        Some(_) => places.config.clone(),
        None => Some(places.config_file().ok_or_else(|| nothing_to_run(&places.config_path()))?),
    };
    let overrides = Overrides { owncast_url: args.owncast, store_path: args.store };
    let config = Config::load(file.as_deref(), overrides.clone(), &places.env())?;
    // An agent that no file tells of is found by its socket.
    let socket = Some(&config.listen.admin_socket).filter(|socket| !places.lead_to(socket));
    Places::named(places.config.clone(), socket.cloned(), places.instance.clone()).settle();
    if let Some(log) = &log {
        log.apply(&config.log).map_err(|error| Failure::of_configuration(error.to_string()))?;
    }
    if let Some(owner) = Owner::of_store(&config.store.path) {
        let password = roots_password(&config, file.as_deref(), owner)?;
        tracing::info!(
            target: "herald::agent",
            store = %config.store.path.display(),
            "started by root: goes on as the owner of the store, who has to be able to read the configuration"
        );
        return Err(owner.begin_anew(password.as_ref()));
    }
    let options = RunOptions {
        config,
        overrides,
        env: Arc::new(places.env()),
        log,
        new_identity: args.new_identity,
        abandon_followers: args.abandon_followers,
        replace: args.replace,
        observer: args.observe.then(|| Observer::new(tell)),
        stop: CancellationToken::new(),
    };
    ask_for_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Who waits for another thread, or has just come, must not wait for a whole flood at each step.
        .event_interval(16)
        .global_queue_interval(8)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
    let ended = runtime.block_on(agent::run(options));
    runtime.shutdown_timeout(LAST_WORK);
    ended?;
    Ok(String::new())
}

/// The password, if the owner of the store may not be able to read it where it is.
///
/// # Errors
/// There is a file that should hold it, and does not; or whoever may write the configuration could have named in it a file
/// that only root may read.
fn roots_password(config: &Config, file: Option<&Path>, owner: Owner) -> Result<Option<Secret>, ConfigError> {
    let password = &config.owncast.admin_password;
    match password {
        AdminPassword::Known { secret, origin: Origin::PasswordFile, file: Some(named) } => {
            let loose = file.filter(|_| !owner.may_read(named)).and_then(written_by_others);
            match loose {
                Some(loose) => Err(ConfigError::of_handing_over(named, &loose, owner.uid())),
                None => Ok(Some(secret.clone())),
            }
        }
        AdminPassword::Known { secret, origin: Origin::Credential, .. } => Ok(Some(secret.clone())),
        AdminPassword::Unusable { .. } | AdminPassword::Empty { .. } | AdminPassword::Stale { .. } => {
            password.get().cloned().map(Some)
        }
        AdminPassword::Known { .. } | AdminPassword::Missing => Ok(None),
    }
}

/// What on the way to this file, itself included, somebody other than root could change.
fn written_by_others(file: &Path) -> Option<PathBuf> {
    let Ok(real) = std::fs::canonicalize(file) else { return Some(file.to_owned()) };
    let loose = |path: &&Path| {
        std::fs::metadata(path).map_or(true, |found| {
            let mode = found.mode();
            // Of a sticky folder others may add to what is in it, but not replace what is root's.
            let writable = mode & 0o022 != 0 && !(found.is_dir() && mode & 0o1000 != 0);
            found.uid() != 0 || writable
        })
    };
    real.ancestors().find(loose).map(Path::to_owned)
}

fn ask_for_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = OPEN_FILES.min(maximum.unwrap_or(OPEN_FILES));
    if current == Some(wanted) {
        return;
    }
    if let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        tracing::warn!(target: "herald::agent", %cause, ?current, wanted, "the limit of open files stays as it is");
    }
}

/// What an observer has to say is the result of the command; the log goes to standard error as ever.
fn tell(text: &str) {
    let mut out = std::io::stdout().lock();
    // When nobody reads any more, there is nobody to tell that either.
    let _ = writeln!(out, "{}", inert(text)).and_then(|()| out.flush());
}

fn nothing_to_run(file: &Path) -> Failure {
    let file = file.display();
    Failure::of_configuration(format!(
        "there is no configuration: {file} does not exist. Either\n  \
         name a file:  owncast-herald run --config FILE   (the shipped agent.toml explains every key)\n  \
         or do without:  OWNCAST_ADMIN_PASSWORD=… owncast-herald run --owncast http://127.0.0.1:8080"
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::reader::open_folder;
    use super::*;

    /// Nobody who has anything here.
    const SOMEBODY: Owner = Owner::new(4_000_000_001, 4_000_000_001);

    #[test]
    fn the_password_that_only_root_can_read_is_handed_on() {
        let folder = open_folder();
        let file = folder.path().join("agent.toml");
        let found = |more: &str| {
            std::fs::write(&file, format!("[owncast]\nurl = \"http://127.0.0.1:8080\"\n{more}")).unwrap();
            let config = Config::load(Some(&file), Overrides::default(), &|_| None).unwrap();
            roots_password(&config, Some(&file), SOMEBODY)
        };
        assert_eq!(found("").unwrap(), None, "there is none");
        assert_eq!(found("admin-password = \"in the file\"\n").unwrap(), None, "its owner finds that");
        let elsewhere = folder.path().join("elsewhere");
        let named = format!("admin-password-file = {elsewhere:?}\n");
        assert!(found(&named).unwrap_err().to_string().contains("cannot be read"));
        std::fs::write(&elsewhere, "named\n").unwrap();
        std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(found(&named).unwrap(), Some(Secret::new("named")));
        std::fs::write(folder.path().join("admin-password"), "of the service\n").unwrap();
        let permissions = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(folder.path().join("admin-password"), permissions).unwrap();
        assert_eq!(found("").unwrap(), Some(Secret::new("of the service")));
        assert_eq!(found(&named).unwrap(), Some(Secret::new("named")));
    }

    #[test]
    fn a_configuration_that_others_may_write_names_no_file_of_roots() {
        let folder = open_folder();
        let (file, secret) = (folder.path().join("agent.toml"), folder.path().join("shadow"));
        let text = format!("[owncast]\nurl = \"http://127.0.0.1:8080\"\nadmin-password-file = {secret:?}\n");
        std::fs::write(&file, text).unwrap();
        std::fs::write(&secret, "of root\n").unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let config = Config::load(Some(&file), Overrides::default(), &|_| None).unwrap();
        let found = || roots_password(&config, Some(&file), SOMEBODY);
        mode(&secret, 0o600);
        mode(&file, 0o666);
        let message = found().unwrap_err().to_string();
        for part in [secret.display().to_string(), "agent.toml".to_owned(), "chown ".to_owned()] {
            assert!(message.contains(&part), "{part} is not in {message}");
        }
        mode(&file, 0o644);
        mode(folder.path(), 0o777);
        assert!(found().unwrap_err().to_string().contains(&folder.path().display().to_string()));
        mode(&secret, 0o644);
        assert_eq!(found().unwrap(), Some(Secret::new("of root")), "everybody may read it anyway");
        mode(&secret, 0o600);
        mode(folder.path(), 0o755);
        if rustix::process::geteuid().is_root() {
            assert_eq!(found().unwrap(), Some(Secret::new("of root")), "root alone has named it");
        }
    }
}
