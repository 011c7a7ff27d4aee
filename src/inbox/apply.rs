//! What a verified activity changes: one commit, on disk before the answer.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;

use super::gate::not_verified;
use super::sift::{of_itself, reported, same_id};
use super::{Engine, Inbox, Proof, Took, Verified};
use crate::activitypub::vocab::read::Kind;
use crate::decide::engage::{self, Engaged, Ours, Sent, ours};
use crate::decide::follow::{self, AsSent, Followed};
use crate::decide::followers::{self, INBOXES_OF_AN_OWNER};
use crate::decide::{Moment, Rules, blocks, gone, hosts, refusals, reports, seen};
use crate::model::engagement::EngagementKind;
use crate::model::follower::Follower;
use crate::model::handle::Person;
use crate::model::owner::owner_of;
use crate::model::{Addresses, Changes, Draft, View};
use crate::random::entropy;
use crate::serve::answer::Problem;

impl Inbox {
    /// Applies a verified activity.
    pub(super) async fn apply(&self, engine: &Engine, verified: Verified) -> Result<Took, Problem> {
        // Nothing but a Follow goes by them, and putting them together takes longer than a Like.
        let rules = match verified.activity().kind {
            Kind::Follow => Some(self.effective.borrow().rules().ok_or_else(|| {
                Problem::busy("identity-unknown", "this server does not know who it is yet", 60)
            })?),
            _ => None,
        };
        let moment = Moment::new(Timestamp::now(), entropy());
        let addresses = Arc::clone(&engine.addresses);
        let (outcome, verified) = self
            .store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                let outcome = decide(&mut draft, moment, rules.as_ref(), &addresses, &verified);
                // What is refused may come again, under the same signature.
                let changes = if outcome.is_ok() { draft.into_changes() } else { Changes::none() };
                (changes, (outcome, verified))
            })
            .await
            .map_err(|_| Problem::busy("store-closed", "the program is stopping or its disk failed", 30))?;
        let (kind, actor) = (&verified.activity().kind, verified.actor());
        match outcome {
            Ok(outcome) => {
                match outcome {
                    // A stream that is liked a thousand times in a minute must not fill the log.
                    Took::Engaged | Took::Repeated | Took::Ignored => {
                        tracing::debug!(target: "herald::inbox", ?kind, actor, ?outcome, "took an activity");
                    }
                    _ => tracing::info!(target: "herald::inbox", ?kind, actor, ?outcome, "took an activity"),
                }
                Ok(outcome)
            }
            Err(Refused::Blocked) => Err(not_verified(verified.key_id())),
            Err(Refused::TooMany { seconds }) => {
                let owner = owner_of(actor);
                let most = follow::OF_AN_OWNER;
                let detail =
                    format!("at most {most} new followers a day are taken from the servers of {owner}");
                Err(Problem::too_many(detail, seconds))
            }
            Err(Refused::TooManyInboxes) => {
                let (owner, most) = (owner_of(actor), INBOXES_OF_AN_OWNER);
                let detail = format!(
                    "posts are sent to at most {most} inboxes on the servers of {owner}, and that many have followers; \
                     followers who share an inbox (endpoints.sharedInbox) count as one"
                );
                Err(Problem::new(StatusCode::FORBIDDEN, "too-many-inboxes", detail))
            }
        }
    }
}

enum Refused {
    /// Between the check and the commit.
    Blocked,
    /// See [`Followed::TooMany`].
    TooMany { seconds: u32 },
    /// See [`Followed::TooManyInboxes`].
    TooManyInboxes,
}

fn decide(
    draft: &mut Draft<'_>,
    mut moment: Moment,
    rules: Option<&Rules>,
    addresses: &Addresses,
    verified: &Verified,
) -> Result<Took, Refused> {
    if blocks::actor_of_host_blocked(draft.view(), verified.actor(), verified.host()) {
        return Err(Refused::Blocked);
    }
    let undoes = match &verified.activity().kind {
        Kind::Follow => Some(false),
        Kind::Block => Some(true),
        Kind::Undo => undoes_follow(draft.view(), verified).then_some(true),
        _ => None,
    };
    let again =
        undoes.is_some_and(|undoes| follow::counts_again(draft.view(), undoes, verified.actor(), moment.now));
    // A like or share remembers its own.
    if verified.proof() == Proof::Signature
        && engagement(&verified.activity().kind).is_none()
        && !seen::first_time(draft, verified.actor(), verified.signature(), again, moment.now)
    {
        return Ok(Took::Repeated);
    }
    let now = moment.now;
    let took = act(draft, &mut moment, rules, addresses, verified)?;
    // What is sent again by whoever has caught it tells nothing of its server.
    let caught = took == Took::Repeated && engagement(&verified.activity().kind).is_some();
    if verified.proof() == Proof::Signature && !caught {
        hosts::spoke(draft, verified.host(), now);
        refusals::spoke(draft, verified.actor());
    }
    Ok(took)
}

/// Does what an activity says that has not been handled before.
fn act(
    draft: &mut Draft<'_>,
    moment: &mut Moment,
    rules: Option<&Rules>,
    addresses: &Addresses,
    verified: &Verified,
) -> Result<Took, Refused> {
    let activity = verified.activity();
    if activity.kind == Kind::Delete {
        return Ok(match activity.object.id.as_deref() {
            Some(note) if !of_itself(activity) => match engage::unreplied(draft, verified.actor(), note) {
                true => Took::Deleted,
                false => Took::Ignored,
            },
            _ => {
                gone::deleted(draft, moment, verified.actor());
                Took::Deleted
            }
        });
    }
    let Some(person) = verified.person() else { return Ok(Took::Ignored) };
    let object = activity.object.id.as_deref();
    let id = activity.id.as_deref();
    Ok(match activity.kind {
        Kind::Follow => {
            let Some(rules) = rules else { return Ok(Took::Ignored) };
            let spelt = (activity.actor != person.actor).then(|| activity.actor.clone());
            let sent = AsSent { id: activity.id.clone(), actor: spelt };
            let followed = follow::follow(draft, moment, rules, person.clone(), sent, verified.stamp());
            match followed {
                Followed::Ignored => Took::Ignored,
                Followed::TooMany(seconds) => return Err(Refused::TooMany { seconds }),
                Followed::TooManyInboxes => return Err(Refused::TooManyInboxes),
                _ => Took::Followed,
            }
        }
        Kind::Like | Kind::EmojiReact | Kind::Announce => {
            let kind = engagement(&activity.kind);
            let (Some(kind), Some(object)) = (kind, object.and_then(|id| ours(addresses, id))) else {
                return Ok(Took::Ignored);
            };
            // Old software sends no id; the object stands for it.
            let id = id.or(activity.object.id.as_deref()).unwrap_or_default();
            let sent = Sent { id, signature: verified.signature(), stamp: verified.stamp() };
            counted(engage::engage(draft, moment, kind, person, object, sent))
        }
        Kind::Create => {
            let post = activity.object.in_reply_to.as_deref().and_then(|id| ours(addresses, id));
            // What is embedded counts as far as it is the sender's own.
            let own =
                activity.object.actor.as_deref().is_some_and(|author| same_id(author, verified.actor()));
            match (post, object) {
                (Some(Ours::Post(post)), Some(note)) if own => {
                    counted(engage::replied(draft, moment, person, post, note))
                }
                _ => Took::Ignored,
            }
        }
        Kind::Undo => undo(draft, moment, addresses, verified, person),
        Kind::Block => {
            gone::blocked_us(draft, moment, person, verified.stamp());
            Took::Undone
        }
        Kind::Update if followers::refresh(draft, person, moment.now) => Took::Updated,
        Kind::Move => match &activity.target {
            Some(target) if gone::moved(draft, verified.actor(), target) => Took::Updated,
            _ => Took::Ignored,
        },
        Kind::Flag => {
            let about = reported(activity, addresses);
            let id = id.unwrap_or_default();
            match reports::keep(draft, moment, person, id, about, activity.text.clone()) {
                true => Took::Reported,
                false => Took::Repeated,
            }
        }
        _ => Took::Ignored,
    })
}

/// A reaction with an emoji counts as a like.
fn engagement(kind: &Kind) -> Option<EngagementKind> {
    match kind {
        Kind::Like | Kind::EmojiReact => Some(EngagementKind::Like),
        Kind::Announce => Some(EngagementKind::Announce),
        _ => None,
    }
}

fn counted(engaged: Engaged) -> Took {
    match engaged {
        Engaged::Counted => Took::Engaged,
        Engaged::Nothing => Took::Repeated,
        Engaged::NotOurs => Took::Ignored,
    }
}

/// Whether it is a Follow that an Undo takes back.
fn undoes_follow(view: &dyn View, undo: &Verified) -> bool {
    let object = &undo.activity().object;
    match (&object.kind, object.id.as_deref()) {
        (Some(kind), _) => *kind == Kind::Follow,
        // Pleroma undoes by the id alone: it is the Follow if it is that follower's Follow.
        (None, Some(inner)) => {
            let follower: Option<Follower> = view.get(undo.actor().as_bytes());
            follower.is_some_and(|follower| follower.follow_id.as_deref() == Some(inner))
        }
        (None, None) => false,
    }
}

fn undo(
    draft: &mut Draft<'_>,
    moment: &Moment,
    addresses: &Addresses,
    verified: &Verified,
    person: &Person,
) -> Took {
    let object = &verified.activity().object;
    let inner = object.id.as_deref();
    if undoes_follow(draft.view(), verified) {
        let changed = follow::undo(draft, moment, person, verified.stamp());
        return if changed { Took::Undone } else { Took::Ignored };
    }
    let about = object
        .kind
        .as_ref()
        .and_then(engagement)
        .zip(object.object.as_deref().and_then(|object| ours(addresses, object)));
    match engage::undo(draft, moment, verified.actor(), inner, about, verified.stamp()) {
        Engaged::Counted => Took::Undone,
        _ => Took::Ignored,
    }
}
