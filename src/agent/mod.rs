//! Assembly: configuration, store, listeners, tasks, orderly stop.
//!
//! The order is fixed: open the store → bind → READY → start the tasks → wait → stop accepting → let work end → close.
//! READY never waits for Owncast: what was known before serves until Owncast answers.

mod abandon;
pub mod board;
pub mod effective;
mod error;
mod federation;
pub mod observe;
mod sweeper;
mod watchdog;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use error::AgentError;

use crate::activitypub::signature::PrivateKey;
use crate::config::reload::{ReloadHandle, Reloader, SharedEnv};
use crate::config::{Config, Overrides, keyfile};
use crate::control::{self, Control, Listening};
use crate::inbox::Inbox;
use crate::media::freeze::Shelf;
use crate::model::Draft;
use crate::model::facts::{Facts, Identity};
use crate::notice::confirm::Confirmations;
use crate::notice::send::Speaker;
use crate::owncast::footprint::Footprint;
use crate::owncast::versions::Version;
use crate::owncast::{Api, Secret};
use crate::serve::accept::{AcceptLimits, serve, serve_behind};
use crate::serve::body::Room;
use crate::serve::connections::Proxies;
use crate::serve::documents::Documents;
use crate::serve::follow_page::Remote;
use crate::serve::public::{Public, infallible};
use crate::serve::webhook::Door;
use crate::serve::{probes, public, webhook};
use crate::store::Store;
use crate::telemetry::health::Health;
use crate::telemetry::log::LogHandle;
use crate::telemetry::metrics::Metrics;
use crate::watch::profile::Teller;
use crate::watch::{Permissions, Watcher};
use board::Board;
use effective::{Effective, IdentityState};
use observe::Observer;
use sweeper::Sweeper;
use watchdog::Watchdog;

/// Everything has this long to end once it was told to; systemd allows more.
const STOP_WITHIN: Duration = Duration::from_secs(4);
/// A signal that comes again this soon is the same one: timeout(1) signals the process and then its whole group.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// What an agent is started with.
pub struct RunOptions {
    /// The configuration.
    pub config: Config,
    /// What the command line said, for reloads.
    pub overrides: Overrides,
    /// Environment look-up, for reloads.
    pub env: SharedEnv,
    /// The running log, whose level follows the configuration.
    pub log: Option<LogHandle>,
    /// Make a new key although the actor has lived before.
    pub new_identity: bool,
    /// Become another actor where configuration or Owncast names one, and give up all followers.
    pub abandon_followers: bool,
    /// Take over from another agent that has left its webhook in Owncast.
    pub replace: bool,
    /// Told what would be done, and nothing is done: see [`observe`].
    pub observer: Option<Observer>,
    /// Stops the agent; signals do too.
    pub stop: CancellationToken,
}

/// Runs an agent until it is stopped.
pub async fn run(options: RunOptions) -> Result<(), AgentError> {
    let signals = Signals::listen()?;
    for warning in options.config.warnings() {
        tracing::warn!(target: "herald::agent", "{warning}");
    }
    if let Some(observer) = options.observer.clone() {
        return observe::run(options, observer, signals).await;
    }
    let RunOptions {
        config,
        overrides,
        env,
        log,
        new_identity,
        abandon_followers,
        replace,
        stop,
        observer: _,
    } = options;
    let password = config.owncast.admin_password.get()?.expose().to_owned();
    let api = Api::new(config.owncast.url.url().clone(), config.owncast.admin_user.clone(), password)?;

    let health = Health::default();
    let ready = health.hold("start");
    let metrics = Arc::new(Metrics::new());
    let folder = config.store.path.clone();
    let store = blocking(move || Store::open(&folder)).await??;
    store.keep_free(config.store.floor());
    let folder = config.store.path.clone();
    let shelf = blocking(move || Shelf::open(&folder)).await??;
    abandon::settle_who_we_are(&store, &config, abandon_followers).await?;
    let boot = boot(&store, &config).await?;

    let listeners = Listeners::bind(&config).await?;
    let socket = control::bind(&config.listen.admin_socket)?;
    let listening = listeners.addresses()?;

    let known_identity = match &boot.identity {
        IdentityState::Settled { addresses, .. } => Some(addresses.clone()),
        IdentityState::Waiting(_) => None,
    };
    let (reloader, reload, config_changes) = Reloader::new(config, overrides, env);
    let effective = watch::Sender::new(Arc::new(Effective::new(
        Arc::clone(&config_changes.borrow()),
        boot.facts,
        boot.identity,
        &boot.stored,
    )));
    let board = watch::Sender::new(Board::default());
    let token = watch::Sender::new(None::<Secret>);
    let (hint_sender, hints) = mpsc::channel(64);
    let wake = Arc::<Notify>::default();
    let door = Arc::new(Door::new(boot.footprint.path, boot.footprint.secret, hint_sender));
    // Until Owncast answers, it is what it was.
    let version = Version::parse(&effective.borrow().facts.version);
    door.require_signature(version.is_some_and(Version::signs_webhooks));
    let (inbox, departures) = Inbox::closed(store.clone(), effective.subscribe(), Arc::clone(&metrics));
    let remote = Arc::new(Remote::default());
    let public = public::routes(Public {
        effective: effective.subscribe(),
        store: store.clone(),
        inbox: Arc::clone(&inbox),
        media: shelf.clone(),
        documents: Arc::new(Documents::default()),
        remote: Arc::clone(&remote),
        bodies: Room::default(),
        limits: Arc::default(),
    });

    let tasks = Tasks { tracker: TaskTracker::new(), stop: stop.clone(), ended: Arc::default() };
    let limits = AcceptLimits::default();
    // Owncast and the operator's own: what the world may have open is left out of account here.
    let few = AcceptLimits { connections: 256, ..limits };
    let listed = effective.subscribe();
    let proxies = Proxies::new(move |peer| {
        listed.borrow().config.listen.trusted_proxies.iter().any(|net| net.contains(&peer))
    });
    tasks.spawn(|stop| serve_behind(proxies, listeners.public, infallible(public), limits, stop));
    tasks.spawn(|stop| serve(listeners.webhook, infallible(webhook::routes(Arc::clone(&door))), few, stop));
    let probes = probes::routes(health.clone(), Arc::clone(&metrics), store.clone());
    tasks.spawn(|stop| serve(listeners.metrics, infallible(probes), few, stop));
    let control = Arc::new(Control {
        store: store.clone(),
        effective: effective.subscribe(),
        board: board.subscribe(),
        listening,
        reload: reload.clone(),
        started: Timestamp::now(),
        api: api.clone(),
        wake: Arc::clone(&wake),
        running: true,
    });
    tasks.spawn(|stop| control::run(socket, control, stop));
    tasks.spawn(|stop| reloader.run(stop));
    tasks.spawn(|stop| follow_config(config_changes.clone(), log, stop));
    tasks.spawn(|stop| departures.run(stop));
    let sweeper = Sweeper {
        store: store.clone(),
        inbox: Arc::clone(&inbox),
        metrics: Arc::clone(&metrics),
        most: crate::decide::sweep::MOST,
    };
    tasks.spawn(|stop| sweeper.run(stop));
    let watchdog =
        Watchdog { store: store.clone(), board: board.subscribe(), effective: effective.subscribe() };
    let federation = federation::Federation {
        store: store.clone(),
        effective: effective.subscribe(),
        inbox,
        remote,
        metrics: Arc::clone(&metrics),
    };
    tasks.spawn(|stop| federation.run(stop));
    let confirmations = Arc::new(Confirmations::default());
    let speaker = Speaker {
        store: store.clone(),
        api: api.clone(),
        token: token.clone(),
        effective: effective.subscribe(),
        board: board.subscribe(),
        confirmations: Arc::clone(&confirmations),
        metrics: Arc::clone(&metrics),
    };
    tasks.ends_with("chat notices", |stop| speaker.run(stop));
    let teller = Teller { store: store.clone(), effective: effective.subscribe() };
    tasks.ends_with("telling of the profile", |stop| teller.run(stop));
    let watcher = Watcher {
        api,
        store: store.clone(),
        shelf,
        config: config_changes,
        effective,
        board,
        token,
        door,
        hints,
        webhook_bound: listening.webhook,
        confirmations,
        permissions: Permissions { new_identity, replace },
        observer: None,
        wake: Arc::clone(&wake),
        metrics,
    };
    tasks.ends_with("watching Owncast", |stop| watcher.run(stop));

    ready.release();
    tell_systemd(&[sd_notify::NotifyState::Ready]);
    tasks.spawn(|stop| watchdog.run(stop));
    tracing::info!(
        target: "herald::agent",
        version = env!("CARGO_PKG_VERSION"),
        public = %listening.public,
        webhook = %listening.webhook,
        metrics = %listening.metrics,
        followers = boot.followers,
        "ready"
    );
    if let Some(addresses) = known_identity {
        tracing::info!(
            target: "herald::agent",
            handle = addresses.handle(),
            public_url = addresses.base,
            followers = boot.followers,
            "known from before"
        );
    }
    let waited = wait(signals, &store, &reload, &wake, &stop).await;
    // Tasks end when the disk fails, too, and some may be quicker to say so.
    let ended = match tasks.ended.get() {
        Some(_) if *store.failed().borrow() => Err(AgentError::DiskFailed),
        Some(what) => Err(AgentError::TaskEnded(what)),
        None => waited,
    };
    tell_systemd(&[sd_notify::NotifyState::Stopping]);
    stop.cancel();
    tasks.tracker.close();
    if tokio::time::timeout(STOP_WITHIN, tasks.tracker.wait()).await.is_err() {
        tracing::warn!(target: "herald::agent", "some work did not end in time and is cut off; what is on disk is whole");
    }
    tracing::info!(target: "herald::agent", "stopped");
    ended
}

/// What was known before this start.
struct Boot {
    facts: Facts,
    stored: Identity,
    identity: IdentityState,
    footprint: Footprint,
    followers: u64,
}

/// Reads what was known, and makes the webhook's secrets at the very first start and after a restore.
async fn boot(store: &Store, config: &Config) -> Result<Boot, AgentError> {
    let fresh = Footprint {
        path: crate::random::hex::<24>(),
        secret: crate::random::hex::<32>(),
        provisioned: crate::owncast::provision::Provisioned::default(),
    };
    let (facts, stored, footprint, followers) = store
        .commit(move |view| {
            let mut draft = Draft::new(view);
            let mut footprint: Footprint = view.meta();
            if footprint.path.is_empty() {
                // What stands in Owncast may be known from a backup, which does not hold the secrets.
                footprint = Footprint { provisioned: footprint.provisioned, ..fresh };
                draft.put_meta(&footprint);
            }
            let counts: crate::model::follower::FollowerCounts = view.meta();
            (draft.into_changes(), (view.meta(), view.meta::<Identity>(), footprint, counts.approved))
        })
        .await?;
    let identity = known_identity(&stored, &config.identity.key_file);
    Ok(Boot { facts, stored, identity, footprint, followers })
}

/// Who we are, as far as store and key tell.
pub(crate) fn known_identity(stored: &Identity, key_file: &Path) -> IdentityState {
    // Both: the one that signs, and the one that others are to know.
    let key = keyfile::read(key_file).and_then(|_| keyfile::read_announced(key_file)).ok();
    let key = key.and_then(|file| PrivateKey::from_pem(file.pem.expose()).ok());
    match (&stored.addresses, stored.published, key.map(|key| key.public_pem())) {
        (Some(addresses), Some(published), Some(Ok(public_key))) => {
            IdentityState::Settled { addresses: addresses.clone(), published, public_key }
        }
        _ => IdentityState::Waiting(
            "this server has not heard from Owncast yet, and so does not know who it is".into(),
        ),
    }
}

struct Listeners {
    public: TcpListener,
    webhook: TcpListener,
    metrics: TcpListener,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Listeners, AgentError> {
        let bind = |field: &'static str, address: SocketAddr| async move {
            TcpListener::bind(address).await.map_err(|cause| AgentError::Bind { field, address, cause })
        };
        Ok(Listeners {
            public: bind("public", config.listen.public).await?,
            webhook: bind("webhook", config.listen.webhook).await?,
            metrics: bind("metrics", config.listen.metrics).await?,
        })
    }

    fn addresses(&self) -> Result<Listening, AgentError> {
        let address = |listener: &TcpListener| listener.local_addr().map_err(AgentError::System);
        Ok(Listening {
            public: address(&self.public)?,
            webhook: address(&self.webhook)?,
            metrics: address(&self.metrics)?,
        })
    }
}

struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// The task that ended on its own, if one did.
    ended: Arc<OnceLock<&'static str>>,
}

impl Tasks {
    fn spawn<F: Future + Send + 'static>(&self, task: impl FnOnce(CancellationToken) -> F) {
        let task = task(self.stop.child_token());
        self.tracker.spawn(async move {
            task.await;
        });
    }

    /// A task whose end before the stop is a fault that ends the agent: systemd starts it again.
    fn ends_with<F, E>(&self, what: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send,
    {
        let (task, stop, ended) = (task(self.stop.child_token()), self.stop.clone(), Arc::clone(&self.ended));
        self.tracker.spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(target: "herald::agent", %error, "{what} ended");
                // The first to end is the reason; others follow.
                let _ = ended.set(what);
                stop.cancel();
            }
        });
    }
}

/// Ends when the disk failed; never if it does not.
async fn disk_failed(failed: &mut watch::Receiver<bool>) {
    if failed.wait_for(|failed| *failed).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What the agent is told by signals. Listened for from the first moment: a stop that comes while the store is opened is
/// as orderly as any other.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, AgentError> {
        let listen = |kind| signal(kind).map_err(AgentError::System);
        Ok(Signals {
            term: listen(SignalKind::terminate())?,
            int: listen(SignalKind::interrupt())?,
            hup: listen(SignalKind::hangup())?,
        })
    }
}

/// Waits for a reason to stop. SIGHUP reads the configuration again; a second signal to stop leaves at once.
async fn wait(
    signals: Signals,
    store: &Store,
    reload: &ReloadHandle,
    wake: &Notify,
    stop: &CancellationToken,
) -> Result<(), AgentError> {
    let Signals { mut term, mut int, mut hup } = signals;
    let mut failed = store.failed();
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => break,
            () = stop.cancelled() => break,
            () = disk_failed(&mut failed) => return Err(AgentError::DiskFailed),
            _ = hup.recv() => {
                reload_for_systemd(reload).await;
                wake.notify_one();
            }
        }
    }
    let told = tokio::time::Instant::now();
    tokio::spawn(async move {
        while told.elapsed() < SAME_SIGNAL {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        }
        std::process::exit(130);
    });
    if *failed.borrow() { Err(AgentError::DiskFailed) } else { Ok(()) }
}

/// Reads the configuration again. A unit of `Type=notify-reload` waits for both notices (sd_notify(3)).
async fn reload_for_systemd(reload: &ReloadHandle) {
    match sd_notify::NotifyState::monotonic_usec_now() {
        Ok(now) => tell_systemd(&[sd_notify::NotifyState::Reloading, now]),
        Err(cause) => tracing::debug!(target: "herald::agent", %cause, "there is no monotonic clock"),
    }
    // Changes and a refusal are logged where they happen.
    if reload.reload().await.is_ok_and(|changes| changes.is_empty()) {
        tracing::info!(target: "herald::agent", "configuration read again; nothing has changed");
    }
    tell_systemd(&[sd_notify::NotifyState::Ready]);
}

/// Carries a changed configuration to the log, which cannot look for itself.
async fn follow_config(
    mut config: watch::Receiver<Arc<Config>>,
    log: Option<LogHandle>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = config.changed() => if changed.is_err() { return },
        }
        let config = Arc::clone(&config.borrow_and_update());
        if let Some(Err(error)) = log.as_ref().map(|log| log.apply(&config.log)) {
            tracing::error!(target: "herald::agent", %error, "the log stays as it is");
        }
    }
}

/// Without systemd there is nobody to tell, which is fine.
fn tell_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(cause) = sd_notify::notify(states) {
        tracing::debug!(target: "herald::agent", %cause, "systemd could not be told");
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, AgentError> {
    tokio::task::spawn_blocking(work).await.map_err(|cause| AgentError::System(std::io::Error::other(cause)))
}
