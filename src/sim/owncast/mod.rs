//! A simulated Owncast that answers as a real, recorded one does: admin and integration API, webhooks, chat websocket,
//! media and the documents of its own federation, over real HTTP on loopback.
//!
//! It keeps the real one's traps, because they are what a neighbour has to survive: `online` and the first thumbnail
//! come late, a JPEG's name on a PNG's bytes, errors with status 200, several events in one websocket frame, webhooks
//! that are sent once and forgotten.

mod admin;
mod chat;
mod federation;
mod html;
mod media;
mod options;
mod public;
mod reply;
mod server;
mod settings;
mod socket;
mod state;
mod stream;
mod talk;
mod webhook;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use chat::page_of;
pub use options::{
    Config, Faults, FederationAction, Follower, FollowerState, Options, Refusal, SocialHandle, SocketRefusal,
    Timeline, Version,
};
pub use state::{AccessToken, ChatKind, ChatLine, OwnPost, Request, Webhook};

use state::{State, lock};

/// Secret that the migration to 0.3.0 gives to webhooks made before it.
const MIGRATED_SECRET: &str = "abc123";

/// Delays that stay the same for the whole life.
struct Pace {
    thumbnail_every: Duration,
    own_post_after: Duration,
    offline_cleanup_after: Duration,
    part_after: Duration,
    ping_every: Duration,
}

/// One run of the server process, from boot to shutdown.
struct Boot {
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Shared {
    address: SocketAddr,
    runtime: Handle,
    client: reqwest::Client,
    pace: Pace,
    state: Mutex<State>,
    faults: Mutex<Faults>,
    boot: Mutex<Boot>,
    /// Holds the port while the server is off: nobody else gets it, and whoever calls is refused.
    off: Mutex<Option<TcpSocket>>,
    changes: watch::Sender<u64>,
}

impl Shared {
    fn boot_token(&self) -> CancellationToken {
        lock(&self.boot).stop.clone()
    }

    /// Runs work that ends with this run of the server.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let boot = lock(&self.boot);
        let stop = boot.stop.clone();
        boot.tasks.spawn_on(
            async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = work => {}
                }
            },
            &self.runtime,
        );
    }

    /// Wakes everybody who waits for something to become visible.
    fn touch(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Its own clock, which a fault may put off.
    fn clock(&self) -> Timestamp {
        self.shifted(Timestamp::now())
    }

    fn shifted(&self, at: Timestamp) -> Timestamp {
        let ahead = jiff::SignedDuration::from_secs(lock(&self.faults).clock_ahead);
        at.checked_add(ahead).unwrap_or(at)
    }

    fn serve(self: &Arc<Self>, listener: TcpListener) {
        let stop = self.boot_token();
        self.spawn(server::accept(self.clone(), listener, stop));
    }
}

/// Stops the server when the last handle is gone.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.boot_token().cancel();
    }
}

/// Handle of a running simulated Owncast. Clones are the same server; it stops with [`SimOwncast::stop`] or when the last
/// clone is dropped.
#[derive(Clone)]
pub struct SimOwncast {
    guard: Arc<Guard>,
}

impl SimOwncast {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// The socket could not be bound, or no HTTP client could be made.
    pub async fn start(options: Options) -> io::Result<SimOwncast> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), options).await
    }

    /// Starts on the given address.
    ///
    /// # Errors
    ///
    /// The socket could not be bound, or no HTTP client could be made.
    pub async fn start_on(address: SocketAddr, options: Options) -> io::Result<SimOwncast> {
        let listener = TcpListener::bind(address).await?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .http1_title_case_headers()
            .build()
            .map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            address: listener.local_addr()?,
            runtime: Handle::current(),
            client,
            pace: Pace {
                thumbnail_every: options.thumbnail_every,
                own_post_after: options.own_post_after,
                offline_cleanup_after: options.offline_cleanup_after,
                part_after: options.part_after,
                ping_every: options.ping_every.max(Duration::from_millis(1)),
            },
            state: Mutex::new(State::new(&options)),
            faults: Mutex::default(),
            boot: Mutex::new(Boot { stop: CancellationToken::new(), tasks: TaskTracker::new() }),
            off: Mutex::default(),
            changes: watch::Sender::new(0),
        });
        shared.serve(listener);
        Ok(SimOwncast { guard: Arc::new(Guard(shared)) })
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.guard.0
    }

    /// `http://127.0.0.1:<port>`, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.shared().address)
    }

    /// Where it listens, or listened before [`SimOwncast::power_off`].
    pub fn address(&self) -> SocketAddr {
        self.shared().address
    }

    /// The streamer's encoder connects, with the delays of a real Owncast.
    pub fn go_live(&self) {
        self.go_live_with(Timeline::default());
    }

    /// The streamer's encoder connects; ignored while one is connected.
    pub fn go_live_with(&self, timeline: Timeline) {
        self.shared().connect(timeline);
    }

    /// A connected stream turns online now; for [`Timeline::by_hand`].
    pub fn turn_online(&self) {
        self.shared().turn_online();
    }

    /// A new thumbnail is taken now, another picture than all before; answers its number for
    /// [`SimOwncast::take_preview`].
    pub fn take_thumbnail(&self) -> u32 {
        self.shared().show_thumbnail(None)
    }

    /// The preview of thumbnail `number` is made now.
    pub fn take_preview(&self, number: u32) {
        self.shared().show_preview(number);
    }

    /// Puts these bytes where the thumbnail is, whatever they are; empty ones are not found there.
    pub fn put_thumbnail(&self, bytes: impl Into<Bytes>) {
        lock(&self.shared().state).pictures.thumbnail = Some(bytes.into());
        self.shared().touch();
    }

    /// Puts these bytes where the preview is, whatever they are; empty ones are not found there.
    pub fn put_preview(&self, bytes: impl Into<Bytes>) {
        lock(&self.shared().state).pictures.preview = Some(bytes.into());
        self.shared().touch();
    }

    /// How many people watch, as long as the stream is online.
    pub fn set_viewers(&self, count: u64) {
        lock(&self.shared().state).stream.viewers = count;
    }

    /// The encoder goes away.
    pub fn end_stream(&self) {
        self.shared().disconnect(false);
    }

    /// The encoder goes away and no `STREAM_STOPPED` webhook is sent.
    pub fn end_stream_silently(&self) {
        self.shared().disconnect(true);
    }

    /// The streamer sets the title: chat line and webhook, unless it is empty.
    pub fn set_title(&self, title: &str) {
        self.shared().retitle(title);
    }

    /// Changes settings as the admin page would; no event tells of it.
    pub fn configure(&self, change: impl FnOnce(&mut Config)) {
        change(&mut lock(&self.shared().state).config);
        self.shared().touch();
    }

    /// The settings as they are now.
    pub fn config(&self) -> Config {
        lock(&self.shared().state).config.clone()
    }

    /// Owncast's **own** inbox takes a follow: follower row, action, and once approved card in chat and webhook.
    pub fn receive_follow(&self, follower: Follower) {
        federation::receive_follow(self.shared(), follower);
    }

    /// Owncast's **own** inbox takes an Undo of a follow.
    pub fn lose_follower(&self, iri: &str) {
        lock(&self.shared().state).followers.retain(|follower| follower.iri != iri);
    }

    /// Disables a chat user or integration by display name; answers whether there is one.
    pub fn disable_user(&self, name: &str) -> bool {
        let mut state = lock(&self.shared().state);
        let found = state.users.iter_mut().find(|user| user.name == name);
        found.map(|user| user.disabled_at = Some(Timestamp::now())).is_some()
    }

    /// Drops every chat socket, as a proxy in between may.
    pub fn drop_sockets(&self) {
        lock(&self.shared().state).sockets.clear();
        self.shared().touch();
    }

    /// The misbehaviour switches: `sim.faults().lose_webhooks = true`. Do not hold the guard across an await.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.shared().faults)
    }

    /// The process dies: connections and sockets drop, the stream's state and the temporary pictures are forgotten, the
    /// database is kept. Calls are refused until [`SimOwncast::power_on`].
    pub async fn power_off(&self) {
        let shared = self.shared();
        let tasks = {
            let boot = lock(&shared.boot);
            boot.stop.cancel();
            boot.tasks.close();
            boot.tasks.clone()
        };
        tasks.wait().await;
        // Without it, the port would be anybody's; power_on says so if it cannot be had.
        let reserved = reserve(shared.address).await.ok();
        *lock(&shared.off) = reserved;
        let mut state = lock(&shared.state);
        // The last end that Owncast noticed comes back, even if it is older than the stream that was cut off.
        let saved_disconnect = state.stream.saved_disconnect;
        state.stream =
            state::Stream { last_disconnect: saved_disconnect, saved_disconnect, ..Default::default() };
        let next = state.pictures.next;
        state.pictures = state::Pictures { next, ..Default::default() };
        state.sockets.clear();
        drop(state);
        shared.touch();
    }

    /// Boots again on the same address after [`SimOwncast::power_off`].
    ///
    /// # Errors
    ///
    /// The address is taken by somebody else.
    pub async fn power_on(&self) -> io::Result<()> {
        let shared = self.shared();
        let reserved = lock(&shared.off).take();
        let listener = match reserved {
            Some(socket) => socket.listen(1024)?,
            None => TcpListener::bind(shared.address).await?,
        };
        *lock(&shared.boot) = Boot { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        shared.serve(listener);
        Ok(())
    }

    /// Dies and boots again at once.
    ///
    /// # Errors
    ///
    /// The address is taken by somebody else.
    pub async fn restart(&self) -> io::Result<()> {
        self.power_off().await;
        self.power_on().await
    }

    /// Restarts as another release. Webhooks made before 0.3.0 get the fixed secret of its migration.
    ///
    /// # Errors
    ///
    /// The address is taken by somebody else.
    pub async fn upgrade(&self, version: Version) -> io::Result<()> {
        self.power_off().await;
        {
            let mut state = lock(&self.shared().state);
            if state.version < Version::V0_3 && version >= Version::V0_3 {
                for webhook in &mut state.webhooks {
                    webhook.secret = MIGRATED_SECRET.to_owned();
                }
            }
            state.version = version;
        }
        self.power_on().await
    }

    /// Stops for good.
    pub async fn stop(&self) {
        self.power_off().await;
    }

    /// Lines broadcast to chat so far, oldest first.
    pub fn chat(&self) -> Vec<ChatLine> {
        lock(&self.shared().state).lines.iter().cloned().collect()
    }

    /// The first line, past or to come, that `predicate` accepts; `None` when `timeout` passes before.
    pub async fn wait_chat(
        &self,
        timeout: Duration,
        predicate: impl FnMut(&ChatLine) -> bool,
    ) -> Option<ChatLine> {
        let mut predicate = predicate;
        let mut found = None;
        self.wait_until(timeout, |sim| {
            found = lock(&sim.shared().state).lines.iter().find(|line| predicate(line)).cloned();
            found.is_some()
        })
        .await;
        found
    }

    /// Waits until `condition` holds, looking again at every request, chat line, picture, delivery and switch; answers whether
    /// it held before `timeout` passed.
    pub async fn wait_until(&self, timeout: Duration, condition: impl FnMut(&SimOwncast) -> bool) -> bool {
        let mut condition = condition;
        let mut changes = self.shared().changes.subscribe();
        let watching = async {
            while !condition(self) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(timeout, watching).await.is_ok()
    }

    /// What a viewer's browser shows for a line: actions are inserted as they are, everything else goes through the page's
    /// HTML filter, and `:name:` of a known emoji becomes `<img class="emoji">`.
    pub fn page_html(&self, line: &ChatLine) -> String {
        chat::page(line, &lock(&self.shared().state).config.emoji)
    }

    /// Registered webhooks.
    pub fn webhooks(&self) -> Vec<Webhook> {
        lock(&self.shared().state).webhooks.clone()
    }

    /// Access tokens of integrations.
    pub fn tokens(&self) -> Vec<AccessToken> {
        let state = lock(&self.shared().state);
        let tokens = state.users.iter().filter_map(|user| {
            let scopes = user.scopes.clone()?;
            Some(AccessToken { name: user.name.clone(), token: user.token.clone(), scopes })
        });
        tokens.collect()
    }

    /// Requests received, oldest first; the log is bounded and forgets the oldest.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared().state).requests.iter().cloned().collect()
    }

    /// Posts made by Owncast's own federation.
    pub fn own_posts(&self) -> Vec<OwnPost> {
        lock(&self.shared().state).own_posts.clone()
    }

    /// Rows of Owncast's own follower table.
    pub fn followers(&self) -> Vec<Follower> {
        lock(&self.shared().state).followers.clone()
    }

    /// Open chat sockets.
    pub fn sockets(&self) -> usize {
        lock(&self.shared().state).sockets.len()
    }

    /// What `/api/status` answers now.
    pub fn status(&self) -> Value {
        public::status(self.shared(), &lock(&self.shared().state))
    }
}

/// A socket that has the address and does not listen.
async fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let mut tries = 0;
    loop {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        match socket.bind(address) {
            // A program that is just being started by this process holds a copy of its listeners for a moment.
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse && tries < 250 => {
                tries += 1;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            bound => return bound.map(|()| socket),
        }
    }
}
