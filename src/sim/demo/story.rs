//! The story: each scene does something on one side and looks for it on the other.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use crate::activitypub::html::strip_to_text;
use crate::sim::fediverse::{Answer, MediaSeen, PostSeen, Received, Reply, SimError};
use crate::sim::owncast::{ChatLine, Timeline};

use super::DemoError;
use super::cast::{Cast, Guest};
use super::stage::Stage;
use super::teller::{Teller, spell};

/// Faster than a real Owncast, which takes 9 s and 20 s. The picture comes well after the connect, as a real one does:
/// what is there at the connect is the last picture of the stream before.
pub(super) const QUICK: Timeline =
    Timeline { online_after: Duration::from_millis(400), thumbnail_after: Duration::from_millis(800) };

/// The story and what it plays on.
pub(super) struct Story<'a> {
    pub(super) stage: &'a Stage,
    pub(super) cast: &'a Cast,
    pub(super) teller: &'a mut Teller,
    pub(super) patience: Duration,
}

impl Story<'_> {
    pub(super) async fn tell(&mut self) -> Result<(), DemoError> {
        self.people_follow().await?;
        let first = self.stream_starts().await?;
        self.chat_shows_engagement(&first).await?;
        self.one_comes_one_leaves().await?;
        self.server_comes_back(&first).await?;
        self.stream_ends(&first).await?;
        let second = self.another_stream().await?;
        self.nobody_complains(&first, &second)
    }

    async fn people_follow(&mut self) -> Result<(), DemoError> {
        self.teller.scene("Nobody streams. People find the stream and follow it")?;
        for guest in self.cast.early() {
            let took = self.follow(guest).await?;
            self.teller.seen(&guest.who(), "found it by WebFinger, followed, was accepted", took)?;
        }
        self.expect_followers(self.cast.early().len()).await
    }

    /// Follows by handle until the agent's Accept has come.
    async fn follow(&mut self, guest: &Guest) -> Result<Duration, DemoError> {
        let began = Instant::now();
        let followed = guest.person.follow(&self.stage.handle()).await.map_err(guest.failed())?;
        self.taken(guest, "its Follow", &followed.reply)?;
        if !guest.person.wait_accepted(self.patience).await {
            return Err(guest.missed("an Accept of its Follow", self.patience));
        }
        Ok(began.elapsed())
    }

    fn taken(&self, guest: &Guest, what: &str, reply: &Reply) -> Result<(), DemoError> {
        if reply.is_success() {
            return Ok(());
        }
        let found = format!("the answer {}: {}", reply.status, reply.body);
        Err(guest.surprised(format!("{what} to be taken"), found))
    }

    /// Reads the followers collection as any peer may.
    async fn expect_followers(&mut self, wanted: usize) -> Result<(), DemoError> {
        let url = format!("{}/followers", self.stage.actor());
        let failed = |source| DemoError::Peer {
            who: "A visitor".into(),
            cause: SimError::Transport { url: url.clone(), source },
        };
        let client = reqwest::Client::builder().no_proxy().build().map_err(failed)?;
        let request = client.get(&url).header("accept", "application/activity+json");
        let collection: Value = request.send().await.map_err(failed)?.json().await.map_err(failed)?;
        let total = collection.get("totalItems").and_then(Value::as_u64);
        if total != u64::try_from(wanted).ok() {
            return Err(DemoError::Unexpected {
                who: "A visitor".into(),
                expected: format!("totalItems of {wanted} at {url}"),
                found: total.map_or("none".into(), |total| total.to_string()),
            });
        }
        self.teller.checked("A visitor", &format!("sees {wanted} in the collection of followers"))?;
        Ok(())
    }

    /// The first stream, while one server takes requests and never answers.
    async fn stream_starts(&mut self) -> Result<PostSeen, DemoError> {
        self.teller.scene("The stream starts")?;
        let hanging = &self.cast.finn;
        hanging.server().set_answer(Answer::Hang).await;
        self.teller.act(&hanging.who(), "its server hangs: takes requests, answers none")?;
        let began = self.go_live("Glazing a teapot")?;
        let readers = self.cast.early().into_iter().filter(|guest| guest.name != hanging.name);
        self.teller.act("owncast-herald", "waits 1 s, counted in Owncast's whole seconds")?;
        let first = self.read_by_all(readers, began).await?;
        self.show(&first)?;
        let mastodon = self.cast.ana.server();
        let deliveries = creates(mastodon.received(), &first.note);
        if deliveries != 1 {
            let expected = "one delivery for two followers of one server";
            return Err(self.cast.ana.surprised(expected, deliveries.to_string()));
        }
        self.teller.checked("Mastodon", "got one delivery for its two followers")?;
        let stuck = |request: &Received| request.kind() == "Create" && request.answered.is_none();
        if hanging.server().wait_for(self.patience, stuck).await.is_none() {
            return Err(hanging.missed("the post at its hanging server", self.patience));
        }
        self.teller.checked(&hanging.who(), "still keeps the agent waiting; nobody else waited")?;
        // Whoever follows as the stream begins may get a line of their own.
        let told = self.chat(|line| plain(&line.html).contains("Since last time:"));
        let line = told.await.ok_or_else(|| self.chat_missed("how many followed since last time"))?;
        self.teller.seen("Owncast's chat", "tells who came while nobody watched", since(began, line.at))?;
        self.teller.quote(&plain(&line.html))?;
        Ok(first)
    }

    /// An encoder connects.
    pub(super) fn go_live(&mut self, title: &str) -> Result<Timestamp, DemoError> {
        self.stage.owncast.configure(|config| title.clone_into(&mut config.stream_title));
        self.teller.act("Owncast", &format!("an encoder connects: \"{title}\""))?;
        let began = Timestamp::now();
        self.stage.owncast.go_live_with(QUICK);
        Ok(began)
    }

    /// Waits until each of them sees a new post, with its picture; gives the first one's.
    async fn read_by_all<'g>(
        &mut self,
        readers: impl Iterator<Item = &'g Guest>,
        began: Timestamp,
    ) -> Result<PostSeen, DemoError> {
        let mut first = None;
        for guest in readers {
            let post = self.read_by(guest, began).await?;
            self.teller.seen(&guest.who(), "reads the post, with its picture", since(began, post.at))?;
            first.get_or_insert(post);
        }
        first.ok_or_else(|| self.cast.ana.surprised("somebody who reads", "nobody"))
    }

    /// Waits until somebody sees a post that came after `began`, with a real picture.
    pub(super) async fn read_by(&self, guest: &Guest, began: Timestamp) -> Result<PostSeen, DemoError> {
        let ready = |post: &PostSeen| post.at >= began && post.media.iter().any(is_picture);
        let seen = guest.person.wait_post(self.patience, ready).await;
        seen.ok_or_else(|| guest.missed("the go-live post with a JPEG of the stream", self.patience))
    }

    fn show(&mut self, post: &PostSeen) -> Result<(), DemoError> {
        self.teller.quote(&plain(&post.html))?;
        for picture in &post.media {
            let attachment = post.object.pointer("/attachment/0");
            let field = |name: &str| attachment.and_then(|attachment| attachment.get(name));
            let side = |name: &str| field(name).and_then(Value::as_u64).unwrap_or_default();
            self.teller.quote(&format!(
                "[{} {} x {}, {} kB, \"{}\"]",
                picture.content_type,
                side("width"),
                side("height"),
                picture.bytes.len().div_ceil(1000),
                field("name").and_then(Value::as_str).unwrap_or_default(),
            ))?;
        }
        Ok(())
    }

    async fn chat_shows_engagement(&mut self, post: &PostSeen) -> Result<(), DemoError> {
        self.teller.scene("People like and share, the chat shows it")?;
        let Cast { ana, ada, bo, chiyo, dina, .. } = self.cast;
        let began = Timestamp::now();
        self.taken(bo, "its Like", &bo.person.like(&post.note).await.map_err(bo.failed())?)?;
        self.chat_tells(bo, "liked", began).await?;
        let began = Timestamp::now();
        let (shared, one, two, three) = tokio::join!(
            ana.person.announce(&post.note),
            ada.person.like(&post.note),
            chiyo.person.like(&post.note),
            dina.person.like(&post.note),
        );
        for (guest, reply) in [(ana, shared), (ada, one), (chiyo, two), (dina, three)] {
            self.taken(guest, "its Like or Announce", &reply.map_err(guest.failed())?)?;
        }
        self.teller.act("Owncast's chat", "gathers what comes within 2 s of its last line")?;
        self.chat_tells(ana, "shared", began).await?;
        let mut lines: Vec<String> = Vec::new();
        for guest in [ada, chiyo, dina] {
            let line = self.chat_says(guest, "liked", began).await?;
            if !lines.contains(&line.id) {
                let what = "three more like it; the chat shows";
                self.teller.seen("Others", what, since(began, line.at))?;
                self.teller.quote(&plain(&line.html))?;
                lines.push(line.id);
            }
        }
        let plural = if lines.len() == 1 { "" } else { "s" };
        let what = format!("told three likes in {} line{plural}", lines.len());
        self.teller.checked("Owncast's chat", &what)?;
        Ok(())
    }

    /// Waits for the line about somebody and shows it.
    pub(super) async fn chat_tells(
        &mut self,
        guest: &Guest,
        did: &str,
        began: Timestamp,
    ) -> Result<(), DemoError> {
        let line = self.chat_says(guest, did, began).await?;
        let what = format!("{did} it; the chat shows");
        self.teller.seen(&guest.who(), &what, since(began, line.at))?;
        self.teller.quote(&plain(&line.html))?;
        Ok(())
    }

    async fn chat_says(&self, guest: &Guest, did: &str, began: Timestamp) -> Result<ChatLine, DemoError> {
        let about = |line: &ChatLine| {
            let text = plain(&line.html);
            line.at >= began && text.contains(guest.name) && text.contains(did)
        };
        let line = self.chat(about).await;
        line.ok_or_else(|| self.chat_missed(&format!("that {} {did}", guest.name)))
    }

    async fn chat(&self, wanted: impl FnMut(&ChatLine) -> bool) -> Option<ChatLine> {
        self.stage.owncast.wait_chat(self.patience, wanted).await
    }

    fn chat_missed(&self, what: &str) -> DemoError {
        DemoError::NotObserved {
            who: "Owncast's chat".into(),
            expected: format!("a line that says {what}"),
            waited: self.patience,
        }
    }

    async fn one_comes_one_leaves(&mut self) -> Result<(), DemoError> {
        self.teller.scene("Somebody comes late, somebody leaves")?;
        let Cast { gil, pia, .. } = self.cast;
        let began = Timestamp::now();
        let took = self.follow(gil).await?;
        self.teller.seen(&gil.who(), "found it by WebFinger, followed, was accepted", took)?;
        self.expect_followers(self.cast.early().len() + 1).await?;
        self.chat_tells(gil, "followed", began).await?;
        self.taken(pia, "its Undo", &pia.person.unfollow().await.map_err(pia.failed())?)?;
        self.teller.act(&pia.who(), "unfollows")?;
        self.expect_followers(self.cast.early().len()).await
    }

    async fn server_comes_back(&mut self, post: &PostSeen) -> Result<(), DemoError> {
        self.teller.scene("The server that hung answers again")?;
        let finn = &self.cast.finn;
        finn.server().set_answer(Answer::Ok).await;
        let began = Timestamp::now();
        self.teller.act(&finn.who(), "its server is well; the agent tries again after 5 s")?;
        let found = self.read_by(finn, began).await?;
        if found.note != post.note {
            return Err(finn.surprised(&post.note, &found.note));
        }
        self.teller.seen(&finn.who(), "reads the post after all", since(began, found.at))?;
        Ok(())
    }

    async fn stream_ends(&mut self, post: &PostSeen) -> Result<(), DemoError> {
        self.teller.scene("The stream ends, and the post says so")?;
        self.teller.act("Owncast", "the encoder disconnects")?;
        let began = Timestamp::now();
        self.stage.owncast.end_stream();
        let Cast { ana, bo, chiyo, dina, pia, finn, .. } = self.cast;
        for guest in [ana, bo, chiyo, dina, pia, finn] {
            self.told_of_the_end(guest, post, began).await?;
        }
        let edited =
            ana.person.wait_post(self.patience, |seen| seen.note == post.note && is_over(seen)).await;
        let edited = edited.ok_or_else(|| ana.missed("the edited post in Ana's timeline", self.patience))?;
        self.teller.quote(&plain(&edited.html))?;
        Ok(())
    }

    /// Waits for the Update of a post at one server.
    pub(super) async fn told_of_the_end(
        &mut self,
        guest: &Guest,
        post: &PostSeen,
        began: Timestamp,
    ) -> Result<(), DemoError> {
        let update = |request: &Received| {
            let edit = request.kind() == "Update" && is_about(request, &post.note);
            edit && request.effective && request.at >= began
        };
        let update = guest.server().wait_for(self.patience, update).await;
        let update = update.ok_or_else(|| guest.missed("an Update: the stream is over", self.patience))?;
        // Misskey takes an Update and goes on showing the first words.
        let shows = guest.server().posts().iter().any(|seen| seen.note == post.note && is_over(seen));
        let what = if shows { "shows that the stream is over" } else { "is told that the stream is over" };
        self.teller.seen(&guest.who(), what, since(began, update.at))?;
        Ok(())
    }

    async fn another_stream(&mut self) -> Result<PostSeen, DemoError> {
        self.teller.scene("Another stream: a new post, for those who follow now")?;
        let began = self.go_live("Opening the kiln")?;
        let Cast { ana, ada, bo, chiyo, dina, finn, gil, .. } = self.cast;
        let readers = [gil, ana, ada, bo, chiyo, dina, finn];
        let second = self.read_by_all(readers.into_iter(), began).await?;
        self.teller.act("Owncast", "the encoder disconnects")?;
        let began = Timestamp::now();
        self.stage.owncast.end_stream();
        for guest in [gil, ana, bo, chiyo, dina, finn] {
            self.told_of_the_end(guest, &second, began).await?;
        }
        Ok(second)
    }

    /// What must not have happened did not, and no server saw the protocol broken.
    fn nobody_complains(&mut self, first: &PostSeen, second: &PostSeen) -> Result<(), DemoError> {
        self.teller.scene("What everybody else saw")?;
        let Cast { gil, pia, .. } = self.cast;
        for (guest, post, what) in [
            (gil, first, "came after the first post: was never told of it"),
            (pia, second, "left before the second post: never got it"),
        ] {
            if guest.server().received().iter().any(|request| is_about(request, &post.note)) {
                return Err(guest.surprised(format!("nothing about {}", post.note), "a delivery"));
            }
            self.teller.checked(&guest.who(), what)?;
        }
        let mut requests = 0;
        for guest in self.cast.of_each_server() {
            let server = guest.server();
            if let [fault, ..] = server.violations().as_slice() {
                return Err(DemoError::Faults {
                    server: format!("{:?}", server.flavour()),
                    count: server.violations().len(),
                    first: format!("{:?}: {} ({})", fault.rule, fault.detail, fault.subject),
                });
            }
            requests += server.received_count() + server.requests_count();
        }
        let verdict = format!("signatures, shapes, pictures of {requests} requests: no fault");
        self.teller.checked(&format!("{} servers", self.cast.of_each_server().len()), &verdict)?;
        self.teller.applause(&format!(
            "All {} steps were seen at the other end, in {}.",
            self.teller.steps(),
            spell(self.teller.began().elapsed())
        ))?;
        Ok(())
    }
}

/// How many Creates of a note came.
fn creates(received: Vec<Received>, note: &str) -> usize {
    received.iter().filter(|request| request.kind() == "Create" && is_about(request, note)).count()
}

fn is_about(request: &Received, note: &str) -> bool {
    request.body.pointer("/object/id").or(request.body.get("object")).and_then(Value::as_str) == Some(note)
}

fn is_picture(media: &MediaSeen) -> bool {
    media.fetched && media.status == Some(200) && media.recognised == Some("image/jpeg")
}

fn is_over(post: &PostSeen) -> bool {
    post.html.contains("The stream is over")
}

/// HTML as a person reads it.
fn plain(html: &str) -> String {
    strip_to_text(html)
}

/// From a cause to its effect; clocks that were set in between count as no time.
pub(super) fn since(began: Timestamp, seen: Timestamp) -> Duration {
    Duration::try_from(seen.duration_since(began)).unwrap_or_default()
}
