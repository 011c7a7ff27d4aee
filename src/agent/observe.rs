//! `run --observe`: Owncast is watched and everything is decided as ever, on a copy of the store that is thrown away,
//! and what would be done is told instead of being done.
//!
//! Nothing else runs: no listener and no socket is opened, nothing is delivered, nothing is said in chat, and the
//! client of Owncast refuses whatever is not a GET.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use ulid::Ulid;

use super::board::Board;
use super::effective::Effective;
use super::{AgentError, RunOptions, Signals, blocking, boot, follow_config, wait};
use crate::activitypub::html;
use crate::config::reload::Reloader;
use crate::config::{Config, Overrides};
use crate::media::freeze::Shelf;
use crate::model::View;
use crate::model::delivery::{InboxState, Outgoing, OutgoingKind, chunk_key};
use crate::model::post::{Audience, Post, PostState};
use crate::model::record::{full_key, kind};
use crate::owncast::{Api, Secret};
use crate::serve::webhook::Door;
use crate::store::{self, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::watch::profile::Teller;
use crate::watch::{Permissions, Watcher};

/// So many sentences are remembered as told; an operator who changes settings for days hears some again.
const REMEMBERED: usize = 256;

/// Is told what would be done.
#[derive(Clone)]
pub struct Observer {
    tell: Arc<dyn Fn(&str) + Send + Sync>,
    told: Arc<Mutex<BTreeSet<String>>>,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}

impl Observer {
    /// `tell` is given texts of one or several lines.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Observer { tell: Arc::new(tell), told: Arc::default() }
    }

    /// Tells that the agent would do this. What follows the first line is what it would be done with.
    pub fn would(&self, what: &str) {
        (self.tell)(&format!("would {}", what.replace('\n', "\n    ")));
    }

    /// [`Observer::would`], unless this was told before.
    pub fn would_once(&self, what: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= REMEMBERED {
            told.clear();
        }
        if told.insert(what.to_owned()) {
            self.would(what);
        }
    }
}

/// Watches until it is stopped, and tells `observer` what an agent would do.
pub(super) async fn run(options: RunOptions, observer: Observer, signals: Signals) -> Result<(), AgentError> {
    let RunOptions {
        config,
        mut overrides,
        env,
        log,
        new_identity,
        abandon_followers: _,
        replace,
        stop,
        observer: _,
    } = options;
    let password = config.owncast.admin_password.get()?.expose().to_owned();
    let api = Api::read_only(config.owncast.url.url().clone(), config.owncast.admin_user.clone(), password)?;
    let scratch = tempfile::Builder::new().prefix("owncast-herald-observe.").tempdir();
    let scratch = scratch.map_err(AgentError::System)?;
    let (original, copy) = (config.store.path.clone(), scratch.path().to_owned());
    let file = config.file().map(Path::to_owned);
    let copied = blocking(move || store::copy(&original, &copy)).await??;
    (observer.tell)(&beginning(&config, copied));
    let config = set_apart(config, &mut overrides, scratch.path());

    let folder = config.store.path.clone();
    let store = blocking(move || Store::open(&folder)).await??;
    let folder = config.store.path.clone();
    let shelf = blocking(move || Shelf::open(&folder)).await??;
    let known = store.read(ids).await?;
    let boot = boot(&store, &config).await?;
    let webhook_bound = config.listen.webhook;
    // What follows from the scratch folder is no change of the file.
    let read = Config::load(file.as_deref(), overrides.clone(), &*env).unwrap_or_else(|_| config.clone());
    let (reloader, reload, config_changes) = Reloader::apart(read, config, overrides, env);
    let effective = watch::Sender::new(Arc::new(Effective::new(
        Arc::clone(&config_changes.borrow()),
        boot.facts,
        boot.identity,
        &boot.stored,
    )));
    let (hint_sender, hints) = mpsc::channel(1);
    let wake = Arc::<Notify>::default();
    let teller = Teller { store: store.clone(), effective: effective.subscribe() };
    let watcher = Watcher {
        api,
        store: store.clone(),
        shelf,
        config: config_changes.clone(),
        effective,
        board: watch::Sender::new(Board::default()),
        token: watch::Sender::new(None::<Secret>),
        door: Arc::new(Door::new(boot.footprint.path, boot.footprint.secret, hint_sender)),
        hints,
        webhook_bound,
        confirmations: Arc::default(),
        permissions: Permissions { new_identity, replace },
        observer: Some(observer.clone()),
        wake: Arc::clone(&wake),
        metrics: Arc::new(Metrics::new()),
    };
    let tasks = TaskTracker::new();
    tasks.spawn(reloader.run(stop.child_token()));
    tasks.spawn(follow_config(config_changes, log, stop.child_token()));
    tasks.spawn(follow_decisions(store.clone(), observer, known, stop.child_token()));
    // What is logged as done is done to the copy.
    let span = tracing::info_span!("observing");
    let telling = stop.child_token();
    tasks.spawn(
        async move {
            if let Err(error) = teller.run(telling).await {
                tracing::error!(target: "herald::agent", %error, "telling of the profile ended");
            }
        }
        .instrument(span.clone()),
    );
    let (watching, stopping) = (stop.child_token(), stop.clone());
    tasks.spawn(
        async move {
            if let Err(error) = watcher.run(watching).await {
                tracing::error!(target: "herald::agent", %error, "watching Owncast ended");
                stopping.cancel();
            }
        }
        .instrument(span),
    );
    let ended = wait(signals, &store, &reload, &wake, &stop).await;
    stop.cancel();
    tasks.close();
    let _ = tokio::time::timeout(super::STOP_WITHIN, tasks.wait()).await;
    ended
}

/// Everything that would be written goes to the scratch folder. The key is only read, where an agent would read it.
fn set_apart(mut config: Config, overrides: &mut Overrides, scratch: &Path) -> Config {
    scratch.clone_into(&mut config.store.path);
    overrides.store_path = Some(scratch.to_owned());
    config
}

fn beginning(config: &Config, copied: bool) -> String {
    let (url, store) = (&config.owncast.url, config.store.path.display());
    let with = if copied {
        format!("on a copy of {store} as it is now")
    } else {
        format!("as if for the first time, since {store} holds nothing yet")
    };
    format!("observing {url}, {with}; nothing is changed, sent or said. Stop with Ctrl-C.")
}

fn ids(view: &dyn View) -> BTreeSet<Ulid> {
    let all: Vec<Outgoing> = view.all(b"");
    all.into_iter().map(|outgoing| outgoing.id).collect()
}

/// Tells of every activity that a decision has queued.
async fn follow_decisions(
    store: Store,
    observer: Observer,
    mut known: BTreeSet<Ulid>,
    stop: CancellationToken,
) {
    let mut written = store.anything_written();
    loop {
        let news = match news(&store, known.clone()).await {
            Ok(news) => news,
            Err(error) => {
                tracing::error!(target: "herald::agent", %error, "the copy of the store cannot be read");
                return;
            }
        };
        for (id, text) in news {
            known.insert(id);
            observer.would(&text);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = written.changed() => if changed.is_err() { return },
        }
    }
}

async fn news(store: &Store, known: BTreeSet<Ulid>) -> Result<Vec<(Ulid, String)>, StoreError> {
    store
        .read(move |view| {
            let mut all: Vec<Outgoing> = view.all(b"");
            all.retain(|outgoing| !known.contains(&outgoing.id));
            all.iter().map(|outgoing| (outgoing.id, worded(view, outgoing))).collect()
        })
        .await
}

fn worded(view: &dyn View, outgoing: &Outgoing) -> String {
    let inboxes = inboxes(view, outgoing);
    let post = outgoing.post.and_then(|post| view.get::<Post>(&post.to_bytes()));
    match (outgoing.kind, post) {
        (OutgoingKind::Create, Some(post)) => {
            let audience = match post.audience {
                Audience::Public => "public",
                Audience::Followers => "for followers only",
            };
            let picture = match &post.picture {
                Some(picture) => {
                    format!("with a picture of {} × {} pixels", picture.width, picture.height)
                }
                None => "without a picture".to_owned(),
            };
            format!("announce the stream to {inboxes}, {audience}, {picture}:\n{}", text(&post))
        }
        (OutgoingKind::Update, Some(post)) => {
            let when = match post.state {
                PostState::Live => "while the stream runs",
                PostState::Ended | PostState::Deleted => "at the end of the stream",
            };
            format!("edit the post {when}, wherever it has arrived:\n{}", text(&post))
        }
        (OutgoingKind::Delete, _) => "delete the post wherever it has arrived".to_owned(),
        (OutgoingKind::ActorUpdate, _) => format!("send the changed profile to {inboxes}"),
        (OutgoingKind::Accept, _) => "accept a follower".to_owned(),
        (OutgoingKind::Reject, _) => "refuse a follower".to_owned(),
        (OutgoingKind::Create | OutgoingKind::Update, None) => "send a post".to_owned(),
    }
}

fn text(post: &Post) -> String {
    html::strip_to_text(&post.content)
}

/// How many inboxes an activity would go to.
fn inboxes(view: &dyn View, outgoing: &Outgoing) -> String {
    let mut count = 0;
    for chunk in 0..outgoing.chunks {
        let states =
            view.get_bytes(&full_key(kind::CHUNK, &chunk_key(outgoing.id, chunk))).unwrap_or_default();
        count += states.iter().filter(|byte| InboxState::of(**byte).waits()).count();
    }
    format!("{count} inbox{}", if count == 1 { "" } else { "es" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_told_once_and_a_text_is_set_off() {
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let ears = Arc::clone(&heard);
        let observer = Observer::new(move |text| ears.lock().unwrap().push(text.to_owned()));
        observer.would_once("keep this:\na\nb");
        observer.would_once("keep this:\na\nb");
        observer.would("send a post");
        observer.would("send a post");
        assert_eq!(
            *heard.lock().unwrap(),
            ["would keep this:\n    a\n    b", "would send a post", "would send a post"]
        );
    }

    #[test]
    fn the_key_stays_where_an_agent_has_it() {
        let (folder, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut overrides = Overrides {
            owncast_url: Some("http://127.0.0.1:1".to_owned()),
            store_path: Some(folder.path().to_owned()),
        };
        let config = Config::load(None, overrides.clone(), &|_| None).unwrap();
        let config = set_apart(config, &mut overrides, scratch.path());
        assert_eq!(config.identity.key_file, folder.path().join("actor-key.pem"));
        assert_eq!(
            (config.store.path.as_path(), overrides.store_path.as_deref()),
            (scratch.path(), Some(scratch.path()))
        );
    }
}
