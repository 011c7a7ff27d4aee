//! The stream: one answer of Owncast, one decision, and a picture where the decision asks for one.

use jiff::Timestamp;

use super::{FACTS_FRESH, FACTS_WAITING, Memory, Setback, Watcher, fresh};
use crate::config::OnEnd;
use crate::config::PostImage;
use crate::decide::stream::{Did, Offer, Outcome, Sight, sight};
use crate::decide::{Moment, publish};
use crate::media::choose::{Choice, Chosen, choose, kinds};
use crate::media::freeze::Naming;
use crate::media::take::{self, Kind};
use crate::model::Draft;
use crate::model::post::{Audience, Post, PostState};
use crate::model::stood::{Before, Stood};
use crate::model::stream::{Phase, Stream};
use crate::owncast::types::Status;
use crate::telemetry::metrics::PostKind;

/// Owncast makes the first picture of a stream about 20 s after the encoder connects.
const FIRST_PICTURE: std::time::Duration = std::time::Duration::from_secs(15);

impl Watcher {
    /// Acts on what Owncast answered about the stream at a time of our clock. Returns where the session is now.
    pub(super) async fn look_at_stream(
        &mut self,
        memory: &mut Memory,
        (at, status): (Timestamp, Status),
    ) -> Result<Option<Phase>, Setback> {
        let seen = Sight {
            at,
            server_time: status.server_time,
            connected: status.last_connect_time,
            disconnected: status.last_disconnect_time,
            online: status.online,
            title: status.stream_title,
        };
        let stood: Stood = self.store.read(|view| view.meta()).await?;
        self.remember_what_stood(&stood, &seen).await?;
        let mut outcome = self.decide(&seen, Offer::NotAsked).await?;
        // A post that is due is made once there is room for all of it; a stream that is over by then is not announced.
        if outcome.is_due && !self.store.room().low {
            let mut offer = self.picture(memory, &seen).await?;
            // The post is due: what goes into it must be what Owncast says now. While its picture is waited for, that is
            // asked less often: each answer costs Owncast more than all pictures.
            let waits = offer == Offer::NoneYet && self.config.borrow().go_live.image != PostImage::None;
            let span = if waits { FACTS_WAITING } else { FACTS_FRESH };
            if !memory.facts_read.is_some_and(|read| fresh(read, Timestamp::now(), span)) {
                self.refresh_facts(memory).await?;
                // Whom the post is for, and the logo, may be others by now.
                offer = self.picture(memory, &seen).await?;
            }
            let second = self.decide(&seen, offer).await?;
            outcome.did.extend(second.did);
        }
        for did in &outcome.did {
            self.say(did);
            if *did == Did::Started {
                // What was wrong with the picture of another stream may be wrong with this one's, too.
                memory.picture_problem = None;
            }
            if let Did::Ended(Some(post), _) = did {
                self.put_away(*post).await?;
            }
        }
        let after: Stream = self.store.read(|view| view.meta()).await?;
        self.show_stream(&after, &seen.title);
        Ok(after.session.map(|session| session.phase))
    }

    /// Removes the picture of a deleted post, unless something else shows it.
    async fn put_away(&self, post: ulid::Ulid) -> Result<(), Setback> {
        let unused = self
            .store
            .read(move |view| {
                let posts: Vec<Post> = view.all(b"");
                let deleted = posts.iter().find(|one| one.id == post && one.state == PostState::Deleted)?;
                let name = deleted.picture.as_ref()?.name.clone();
                let shown = |picture: &Option<crate::model::post::Picture>| {
                    picture.as_ref().is_some_and(|picture| picture.name == name)
                };
                let facts: crate::model::facts::Facts = view.meta();
                let stands = posts.iter().any(|one| one.state != PostState::Deleted && shown(&one.picture));
                (!stands && !shown(&facts.logo)).then_some(name)
            })
            .await?;
        let shelf = self.shelf.clone();
        if let Some(name) = unused
            && let Ok(Err(error)) = tokio::task::spawn_blocking(move || shelf.remove(&name)).await
        {
            tracing::warn!(target: "herald::watch", %error, "the picture of a deleted post stays");
        }
        Ok(())
    }

    async fn decide(&self, seen: &Sight, offer: Offer) -> Result<Outcome, Setback> {
        let effective = std::sync::Arc::clone(&self.effective.borrow());
        let Some(rules) = effective.rules() else { return Ok(Outcome::default()) };
        let seen = seen.clone();
        let mut moment = Moment::new(Timestamp::now(), crate::random::entropy());
        let outcome = self
            .store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                let outcome = sight(&mut draft, &mut moment, &rules, &effective.facts, &seen, &offer);
                (draft.into_changes(), outcome)
            })
            .await?;
        Ok(outcome)
    }

    /// Until the first picture of a stream is made, Owncast goes on showing the last one of the stream before. What is
    /// there when a connection is first seen is remembered, also over a restart.
    async fn remember_what_stood(&self, stood: &Stood, seen: &Sight) -> Result<(), Setback> {
        // Connections are told by whole seconds: the next one may seem to be this one.
        let mut after = match stood.connection == seen.connected {
            true => stood.clone(),
            false => Stood { connection: seen.connected, ..Stood::default() },
        };
        let up = seen.connected.map(|at| publish::lasted(at, seen.server_time));
        let early = up.is_some_and(|up| up < FIRST_PICTURE);
        let image = self.config.borrow().go_live.image;
        for kind in kinds(image).iter().filter(|_| up.is_some()) {
            let place = match kind {
                Kind::Still => &mut after.thumbnail,
                Kind::Moving => &mut after.preview,
            };
            if place.is_none()
                && let Ok(hash) = take::current_hash(&self.api, *kind).await
            {
                *place = Some(Before { hash: hash.to_string(), early });
            }
        }
        if after != *stood {
            self.store
                .commit(move |view| {
                    let mut draft = Draft::new(view);
                    draft.put_meta(&after);
                    (draft.into_changes(), ())
                })
                .await?;
        }
        Ok(())
    }

    async fn picture(&self, memory: &mut Memory, seen: &Sight) -> Result<Offer, Setback> {
        let effective = std::sync::Arc::clone(&self.effective.borrow());
        let (stood, posted) =
            self.store.read(|view| (view.meta::<Stood>(), view.meta::<Stream>().last_picture)).await?;
        let private = effective.rules().is_some_and(|rules| rules.audience == Audience::Followers);
        let choice = Choice {
            image: effective.config.go_live.image,
            logo: effective.facts.logo.as_ref(),
            logos: &memory.logos,
            stood: &stood,
            posted: posted.as_deref(),
            connected: seen.connected,
            up: seen.connected.map_or_else(Default::default, |at| publish::lasted(at, seen.server_time)),
            naming: if private { Naming::Unguessable(crate::random::bytes()) } else { Naming::Content },
        };
        let (why, unusable) = match choose(&self.api, &self.shelf, &choice).await {
            Ok(Chosen::Picture { picture, source, instead }) => {
                if let Some(why) = instead {
                    tracing::info!(target: "herald::watch", why, "the still picture is taken instead of the moving one");
                }
                return Ok(Offer::Real { picture, source });
            }
            Ok(Chosen::NoneYet { why, unusable }) => (why, unusable),
            Err(error) => (error.to_string(), true),
        };
        if unusable && memory.picture_problem.as_ref() != Some(&why) {
            tracing::warn!(target: "herald::watch", why, "the stream's picture cannot be used");
            memory.picture_problem = Some(why);
        } else {
            tracing::debug!(target: "herald::watch", why, "no picture of this stream yet");
        }
        Ok(Offer::NoneYet)
    }

    fn say(&self, did: &Did) {
        match did {
            Did::Started => tracing::info!(target: "herald::watch", "a stream is starting"),
            Did::Continues => {
                tracing::info!(target: "herald::watch", "the stream continues; its post is kept")
            }
            Did::Announced(post) => {
                self.metrics.post(PostKind::GoLive);
                tracing::info!(target: "herald::watch", %post, "the stream is announced");
            }
            Did::Lost => tracing::info!(target: "herald::watch", "the encoder went away"),
            Did::Back => tracing::info!(target: "herald::watch", "the encoder is back"),
            Did::Resumed(post) => {
                self.metrics.post(PostKind::Edit);
                tracing::info!(target: "herald::watch", %post, "the post says live again");
            }
            Did::Retitled(post) => {
                self.metrics.post(PostKind::Edit);
                tracing::info!(target: "herald::watch", %post, "the post has the new title");
            }
            Did::Marked(post) => {
                self.metrics.post(PostKind::Edit);
                tracing::info!(target: "herald::watch", %post, "the post is marked as not safe for work");
            }
            Did::Ended(post, lasted) => {
                let told = match self.config.borrow().go_live.on_end {
                    OnEnd::Update => Some(PostKind::End),
                    OnEnd::Delete => Some(PostKind::Delete),
                    OnEnd::Keep => None,
                };
                if let Some(kind) = told.filter(|_| post.is_some()) {
                    self.metrics.post(kind);
                }
                let (announced, seconds) = (post.is_some(), lasted.as_secs());
                tracing::info!(target: "herald::watch", announced, seconds, "the stream is over");
            }
        }
    }
}
