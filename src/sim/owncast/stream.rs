//! A stream's life: connect, online, pictures, Owncast's own post, end.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::options::Timeline;
use super::state::{OwnPost, lock, short_id};
use super::{Shared, media, webhook};

/// Owncast keeps quiet when it made a go-live post less than this ago.
const OWN_POST_PAUSE: SignedDuration = SignedDuration::from_mins(10);

impl Shared {
    /// An encoder connects. A second one while the first is there is refused, as RTMP does.
    pub(super) fn connect(self: &Arc<Self>, timeline: Timeline) {
        let running = self.boot_token().child_token();
        let data = {
            let mut state = lock(&self.state);
            if state.stream.running.is_some() {
                return;
            }
            state.stream.running = Some(running.clone());
            state.stream.last_connect = Some(Timestamp::now());
            state.stream.last_disconnect = None;
            state.stream.online = false;
            webhook::stream_event(&state)
        };
        self.say_own_action("Stay tuned, the stream is **starting**!");
        self.raise("STREAM_STARTED", data);
        let began = Instant::now();
        self.drive(&running, turn_online(self.clone(), began + timeline.online_after));
        self.drive(&running, take_pictures(self.clone(), began + timeline.thumbnail_after));
        self.drive(&running, post_by_itself(self.clone(), began + self.pace.own_post_after));
    }

    fn drive(&self, running: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
        let running = running.clone();
        self.spawn(async move {
            tokio::select! {
                () = running.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// The encoder goes away; nothing happens when there was none. `silently` loses the webhook, as a real one does
    /// when its offline clip cannot be written.
    pub(super) fn disconnect(self: &Arc<Self>, silently: bool) -> bool {
        let data = {
            let mut state = lock(&self.state);
            let Some(running) = state.stream.running.take() else { return false };
            running.cancel();
            state.stream.last_connect = None;
            state.stream.last_disconnect = Some(Timestamp::now());
            state.stream.saved_disconnect = state.stream.last_disconnect;
            state.stream.online = false;
            webhook::stream_event(&state)
        };
        self.say_own_action("The stream is ending.");
        if !silently {
            self.raise("STREAM_STOPPED", data);
        }
        let shared = self.clone();
        let after = self.pace.offline_cleanup_after;
        self.spawn(async move {
            let ended = lock(&shared.state).stream.last_disconnect;
            sleep(after).await;
            let mut state = lock(&shared.state);
            if state.stream.running.is_none() && state.stream.last_disconnect == ended {
                // The clean-up looks for the preview in another folder, so the preview stays.
                state.pictures.thumbnail = None;
            }
            drop(state);
            shared.touch();
        });
        true
    }

    /// The streamer changes the title; an empty one is not told.
    pub(super) fn retitle(self: &Arc<Self>, title: &str) {
        let data = {
            let mut state = lock(&self.state);
            state.config.stream_title = title.to_owned();
            webhook::stream_event(&state)
        };
        if title.is_empty() {
            self.touch();
            return;
        }
        self.say_own_action(&format!("Stream title changed to **{title}**"));
        self.raise("STREAM_TITLE_UPDATED", data);
    }

    /// Marks the connected stream as online; nothing happens without one.
    pub(super) fn turn_online(&self) {
        let mut state = lock(&self.state);
        state.stream.online = state.stream.running.is_some();
        drop(state);
        self.touch();
    }

    /// Puts a new thumbnail in place, and answers its number.
    pub(super) fn show_thumbnail(&self, drawn: Option<(u32, bytes::Bytes)>) -> u32 {
        let (number, thumbnail) = drawn.unwrap_or_else(|| {
            let number = self.next_picture();
            (number, media::thumbnail(number))
        });
        lock(&self.state).pictures.thumbnail = Some(thumbnail);
        self.touch();
        number
    }

    /// Puts the preview of thumbnail `number` in place.
    pub(super) fn show_preview(&self, number: u32) {
        let preview = media::preview(number);
        lock(&self.state).pictures.preview = Some(preview);
        self.touch();
    }

    fn next_picture(&self) -> u32 {
        let mut state = lock(&self.state);
        state.pictures.next += 1;
        state.pictures.next
    }

    /// Owncast's own federation posts.
    pub(super) fn post_own(&self, text: &str, live: bool) {
        let post = OwnPost { id: short_id(), text: text.to_owned(), live, at: Timestamp::now() };
        lock(&self.state).own_posts.push(post);
        self.touch();
    }
}

async fn turn_online(shared: Arc<Shared>, at: Instant) {
    sleep_until(at).await;
    shared.turn_online();
}

async fn take_pictures(shared: Arc<Shared>, first: Instant) {
    let every = shared.pace.thumbnail_every.max(Duration::from_millis(1));
    let mut tick = first;
    loop {
        let number = shared.next_picture();
        // Drawn ahead of its tick: drawing takes long in an unoptimised build.
        let Ok(thumbnail) = tokio::task::spawn_blocking(move || media::thumbnail(number)).await else {
            return;
        };
        sleep_until(tick).await;
        shared.show_thumbnail(Some((number, thumbnail)));
        // The preview was seen half a second after the thumbnail, at one thumbnail every 20 s.
        sleep(every / 40).await;
        shared.show_preview(number);
        tick += every;
    }
}

async fn post_by_itself(shared: Arc<Shared>, at: Instant) {
    sleep_until(at).await;
    let text = {
        let mut state = lock(&shared.state);
        let now = Timestamp::now();
        let recent = state.stream.last_own_post.is_some_and(|last| now.duration_since(last) < OWN_POST_PAUSE);
        if !state.config.federation_enabled || state.config.go_live_message.is_empty() || recent {
            return;
        }
        state.stream.last_own_post = Some(now);
        state.config.go_live_message.clone()
    };
    shared.post_own(&text, true);
}
