//! After the story: addresses to look at, and a modest life until Ctrl-C.

use std::time::Duration;

use jiff::Timestamp;

use crate::sim::fediverse::PostSeen;

use super::DemoError;
use super::story::{Story, since};

/// Nobody streams for this long.
const QUIET: Duration = Duration::from_secs(30);
/// A title may be edited into a post a minute after the post (`title-edits`).
const BEFORE_TITLE: Duration = Duration::from_secs(65);
/// From one event of a stream to the next.
const BEAT: Duration = Duration::from_secs(8);

const TITLES: [(&str, &str); 3] = [
    ("Throwing bowls", "Throwing bowls: the big one"),
    ("Trimming and handles", "Trimming and handles: now the lids"),
    ("Questions and answers", "Questions and answers: glazes"),
];

impl Story<'_> {
    /// Shows where to look, and lets streams come and go. Ends only when the text cannot be written.
    pub(super) async fn live_on(&mut self) -> Result<(), DemoError> {
        self.addresses()?;
        for (number, (title, later)) in TITLES.iter().cycle().enumerate() {
            tokio::time::sleep(QUIET).await;
            match self.stream(number, title, later).await {
                Ok(()) => {}
                Err(DemoError::Output(error)) => return Err(error.into()),
                // A machine that slept, for instance: life goes on.
                Err(error) => {
                    self.stage.owncast.end_stream();
                    self.teller.failed(&error.to_string(), &[])?;
                }
            }
        }
        Ok(())
    }

    fn addresses(&mut self) -> Result<(), DemoError> {
        let base = &self.stage.base;
        let post = self.cast.ana.person.timeline().pop().map(|post| post.note).unwrap_or_default();
        let (actor, handle) = (self.stage.actor(), self.stage.handle());
        let lookup = format!("{base}/.well-known/webfinger?resource=acct:{handle}");
        self.teller.scene("Everything goes on until Ctrl-C. To look at meanwhile:")?;
        self.teller.entry("a post", &post)?;
        self.teller.entry("follow page", &format!("{base}/federation/follow"))?;
        self.teller.entry("actor", &actor)?;
        self.teller.entry("outbox", &format!("{actor}/outbox?page=1"))?;
        self.teller.entry("WebFinger", "")?;
        self.teller.plain(&format!("    {lookup}"))?;
        self.teller.entry("Owncast", &format!("{}/api/status", self.stage.owncast.url()))?;
        self.teller.plain("  With curl, ask for ActivityPub: -H 'Accept: application/activity+json'")?;
        Ok(())
    }

    /// One more stream, from its post to its end.
    async fn stream(&mut self, number: usize, title: &str, later: &str) -> Result<(), DemoError> {
        self.teller.scene(&format!("Stream {}", number + 3))?;
        let began = self.go_live(title)?;
        let readers = [&self.cast.ana, &self.cast.bo, &self.cast.dina, &self.cast.gil];
        let mut post: Option<PostSeen> = None;
        for guest in readers {
            let seen = self.read_by(guest, began).await?;
            self.teller.seen(&guest.who(), "reads the post, with its picture", since(began, seen.at))?;
            post.get_or_insert(seen);
        }
        let Some(post) = post else { return Ok(()) };
        for (guest, shares) in [(&self.cast.bo, false), (&self.cast.ana, true), (&self.cast.dina, false)] {
            tokio::time::sleep(BEAT).await;
            let began = Timestamp::now();
            let person = &guest.person;
            let reply =
                if shares { person.announce(&post.note).await } else { person.like(&post.note).await };
            reply.map_err(guest.failed())?;
            self.chat_tells(guest, if shares { "shared" } else { "liked" }, began).await?;
        }
        tokio::time::sleep(BEFORE_TITLE.saturating_sub(BEAT * 3)).await;
        self.teller.act("Owncast", &format!("the title is now \"{later}\""))?;
        let began = Timestamp::now();
        self.stage.owncast.set_title(later);
        let ana = &self.cast.ana;
        let retitled = |seen: &PostSeen| seen.note == post.note && seen.html.contains(later);
        if ana.person.wait_post(self.patience, retitled).await.is_none() {
            return Err(ana.missed("the post with its new title", self.patience));
        }
        self.teller.seen(&ana.who(), "reads the new title", since(began, Timestamp::now()))?;
        tokio::time::sleep(BEAT).await;
        self.teller.act("Owncast", "the encoder disconnects")?;
        let began = Timestamp::now();
        self.stage.owncast.end_stream();
        self.told_of_the_end(ana, &post, began).await
    }
}
