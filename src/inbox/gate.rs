//! The order of checks, cheapest first. The only maker of [`Verified`].

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use url::Url;

use super::sift::{Sifted, of_itself, reported, sift};
use super::{Arrival, Engine, Proofs, Verified};
use crate::activitypub::json;
use crate::activitypub::signature::{SignatureProblem, Unverified, precheck};
use crate::activitypub::vocab::read::{Incoming, Kind, Object};
use crate::decide::{blocks, engage, gone};
use crate::fetch::{FetchError, Fetcher, REFETCH_PAUSE, RemoteActor};
use crate::model::handle::host_of_url;
use crate::model::origin::{MAX_KEPT_BYTES, MAX_URL_BYTES, Origin, parse_remote, same_origin};
use crate::model::owner::owner_of_host;
use crate::model::{Source, View};
use crate::serve::answer::Problem;
use crate::store::Store;

/// What a request is, judged by itself.
pub(super) enum Checked {
    /// Taken, and changes nothing.
    Nothing,
    /// An actor says that it deletes, changes or moves itself, or deletes a post. Who is known here must not show, so it is
    /// answered before it is looked into.
    Leaving(Claim),
    /// Somebody says something; it is to be proved.
    Claim(Claim),
}

/// A request that is sound in itself and proves nothing yet. The bytes it came in are gone, and what is left of them is
/// bounded: many may wait for a key.
pub(super) struct Claim {
    incoming: Incoming,
    unverified: Unverified,
    key: Url,
    actor: Url,
    /// Host of the actor.
    host: String,
    arrived: Timestamp,
    source: Option<Source>,
}

/// Checks everything that needs neither network nor store.
pub(super) fn check(engine: &Engine, arrival: Arrival<'_>) -> Result<Checked, Problem> {
    content_type(arrival.headers)?;
    let document = json::parse(&arrival.body)
        .map_err(|problem| Problem::new(StatusCode::BAD_REQUEST, "bad-json", problem.to_string()))?;
    let mut incoming = Incoming::parse(&document)
        .map_err(|problem| Problem::new(StatusCode::BAD_REQUEST, "bad-activity", problem.to_string()))?;
    if incoming.kind == Kind::Flag {
        // What else it names is not kept while it waits for its key.
        incoming.more = reported(&incoming, &engine.addresses);
    }
    match sift(&incoming, &engine.addresses) {
        Sifted::Ignore => Ok(Checked::Nothing),
        // The answer is 202 whatever comes of it: the difference would tell who is known here.
        Sifted::OfItself => Ok(sound(engine, &arrival, incoming)
            .map_or(Checked::Nothing, |claim| Checked::Leaving(claim.without_the_rest()))),
        Sifted::Verify => sound(engine, &arrival, incoming).map(Checked::Claim),
    }
}

/// An activity's media type, with any parameters. GoToSocial and others refuse everything else too.
fn content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = |detail: &str| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail);
    if headers.contains_key(http::header::CONTENT_ENCODING) {
        return Err(unsupported(
            "bodies with a Content-Encoding header are not taken; send the activity as it is, without that header",
        ));
    }
    let value =
        headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/activity+json" | "application/ld+json" => Ok(()),
        _ => Err(unsupported("the Content-Type must be application/activity+json or application/ld+json")),
    }
}

fn sound(engine: &Engine, arrival: &Arrival<'_>, incoming: Incoming) -> Result<Claim, Problem> {
    let (arrived, own) = (Timestamp::now(), engine.fetcher.own());
    let unverified = precheck(&Method::POST, arrival.target, arrival.headers, &arrival.body, own, arrived)
        .map_err(unsigned)?;
    let address = |what: &str, text: &str| {
        parse_remote(text, &engine.policy).map_err(|problem| {
            Problem::new(StatusCode::UNAUTHORIZED, "bad-address", format!("the {what} is refused: {problem}"))
        })
    };
    let actor = address("actor", &incoming.actor)?;
    // Whoever makes something says that it is theirs.
    let made = incoming.object.id.as_deref().filter(|_| incoming.kind == Kind::Create);
    let key = part_of(&incoming.actor, &actor, &unverified.key_id);
    let key = key.map_or_else(|| address("keyId", &unverified.key_id), Ok)?;
    let kept = [
        ("actor", Some(incoming.actor.as_str())),
        ("actor", Some(actor.as_str())),
        ("keyId", Some(unverified.key_id.as_str())),
        ("keyId", Some(key.as_str())),
        ("activity's id", incoming.id.as_deref()),
        ("object's id", made),
        ("target", incoming.target.as_deref().filter(|_| incoming.kind == Kind::Move)),
    ];
    for (what, text) in kept {
        if text.is_some_and(|text| text.len() > MAX_KEPT_BYTES) {
            let detail = format!("the {what} is refused: it is longer than {MAX_KEPT_BYTES} bytes");
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "bad-address", detail));
        }
    }
    let id = incoming.id.as_deref().filter(|id| fragment_of(&incoming.actor, &actor, id).is_none());
    let id = id.map(|id| address("activity's id", id)).transpose()?;
    let made = made.map(|made| address("object's id", made)).transpose()?;
    let theirs = [("keyId", Some(&key)), ("activity's id", id.as_ref()), ("object's id", made.as_ref())];
    for (what, url) in theirs {
        if let Some(url) = url.filter(|url| !same_origin(url, &actor)) {
            let origin = |url: &Url| Origin::of(url).map(|origin| origin.to_string()).unwrap_or_default();
            let detail = format!(
                "the {what} is on {}, which is another origin than the actor's, {}",
                origin(url),
                origin(&actor)
            );
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "origin", detail));
        }
    }
    let host = host_of_url(&actor);
    if host == engine.fetcher.own().authority() {
        let detail = "the actor is on this server itself";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "own-host", detail));
    }
    if let Some(inner) = &incoming.object.actor
        && incoming.kind == Kind::Undo
        && address("undone activity's actor", inner)? != actor
    {
        let detail = "the undone activity is another actor's";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "not-yours", detail));
    }
    Ok(Claim { incoming, unverified, key, actor, host, arrived, source: arrival.source })
}

/// The address of a part of the actor's document, as most keys have one and many activities: the actor's with a plain
/// fragment. It needs no reading of its own, which costs more than anything else that is looked at here.
fn part_of(actor_as_sent: &str, actor: &Url, text: &str) -> Option<Url> {
    let fragment = fragment_of(actor_as_sent, actor, text)?;
    let mut url = actor.clone();
    url.set_fragment(Some(fragment));
    Some(url)
}

fn fragment_of<'a>(actor_as_sent: &str, actor: &Url, text: &'a str) -> Option<&'a str> {
    let fragment = text.strip_prefix(actor_as_sent)?.strip_prefix('#')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    let is_part = actor.fragment().is_none() && text.len() <= MAX_URL_BYTES && fragment.bytes().all(plain);
    is_part.then_some(fragment)
}

fn unsigned(problem: SignatureProblem) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, problem.code(), problem.to_string())
}

/// The one answer for a block, a wrong signature, a key that cannot be had, now or ever, and a key of somebody else: byte
/// for byte the same, so that it tells nothing about us.
pub(super) fn not_verified(key_id: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "signature-invalid",
        format!(
            "the signature does not verify with the actor's key {key_id}, or that key cannot be had from its owner"
        ),
    )
}

fn unavailable(key_id: &str) -> Problem {
    Problem::busy(
        "key-unavailable",
        format!("too much is being fetched to look for the key {key_id} now"),
        60,
    )
}

/// Its server may answer later. Nobody is told so who could tell from it who is blocked.
fn away(key_id: &str) -> Problem {
    let pause = u32::try_from(REFETCH_PAUSE.as_secs()).unwrap_or_default();
    Problem::busy("key-unavailable", format!("the key {key_id} cannot be had from its owner for now"), pause)
}

/// Proves a claim, or says why not.
pub(super) async fn verify(engine: &Engine, store: &Store, claim: Claim) -> Result<Verified, Problem> {
    let Claim { unverified, key, actor, host, arrived, source, .. } = &claim;
    let source = *source;
    // The key's host is the actor's. Which blocks there are is in memory: to hand the question to another thread costs
    // more than the answer.
    let blocked = store
        .look(|view| blocks::actor_of_host_blocked(view, actor.as_str(), host))
        .map_err(|_| Problem::busy("store-closed", "the program is stopping or its disk failed", 30))?;
    let looked = match blocked {
        true => Ok(None),
        false => signer(&engine.proofs, &engine.fetcher, &engine.fetcher, unverified, key, source).await,
    };
    let not_now = match looked {
        Ok(Some(owner)) if owner.id == *actor => {
            engine.fetcher.proved(&owner, key, source);
            return Ok(claim.by_signature(&owner));
        }
        // Our own budget, which those who are blocked use up as well.
        Err(FetchError::Busy) => return Err(unavailable(&unverified.key_id)),
        Ok(_) => false,
        Err(error) => {
            let key_id = &unverified.key_id;
            tracing::debug!(target: "herald::inbox", key_id, %error, "the key of an activity cannot be had");
            error.is_transient()
        }
    };
    // Of a host that is blocked nobody here knows whether it would answer. Where nobody is, it may be told that one does not
    // for now: some drop for ever what is answered 401.
    let may_tell = store.look(blocks::none).unwrap_or_default();
    // Who proves nothing pays alike for who is blocked, known and unknown: what is left of a budget would tell otherwise.
    let spent = match may_tell {
        true => Box::pin(engine.fetcher.look(&unverified.key_id, source, *arrived)).await,
        false => Box::pin(engine.fetcher.pretend(&unverified.key_id, source, *arrived)).await,
    };
    match spent {
        Err(FetchError::Busy) => Err(unavailable(&unverified.key_id)),
        Err(error) if may_tell && error.is_transient() => Err(away(&unverified.key_id)),
        _ if may_tell && not_now => Err(away(&unverified.key_id)),
        _ => Err(not_verified(&unverified.key_id)),
    }
}

/// Whose key made the signature; `None` if none of the keys we may believe did. `known` are the keys that do while theirs
/// cannot be had.
async fn signer(
    proofs: &Proofs,
    fetcher: &Fetcher,
    known: &Fetcher,
    unverified: &Unverified,
    key: &Url,
    source: Option<Source>,
) -> Result<Option<Arc<RemoteActor>>, FetchError> {
    let (key, owner) = match fetcher.key_at(key, source).await {
        Ok(found) => found,
        // What does not verify with the old one fails as it would without: how many looks it took must not show.
        Err(error) if error.is_transient() => {
            let known = known.known_key(&unverified.key_id);
            let by_known = known.filter(|(key, _)| unverified.verify(&key.key).is_ok());
            return by_known.map(|(_, owner)| Some(owner)).ok_or(error);
        }
        Err(error) => return Err(error),
    };
    if proofs.hold(unverified.digest(&key.key), || unverified.verify(&key.key).is_ok()) {
        return Ok(Some(owner));
    }
    // Peers change keys without a word: one more look, unless we looked a moment ago.
    match Box::pin(fetcher.key_fresh(&unverified.key_id, source)).await? {
        Some((key, owner)) if unverified.verify(&key.key).is_ok() => Ok(Some(owner)),
        _ => Ok(None),
    }
}

impl Claim {
    /// With no more than counts of what an actor says of itself: it may wait for long.
    fn without_the_rest(self) -> Self {
        let Incoming { kind, actor, object, target, .. } = self.incoming;
        let object = Object { id: object.id, ..Object::default() };
        let target = target.filter(|_| kind == Kind::Move);
        Claim {
            incoming: Incoming { id: None, kind, actor, object, more: Vec::new(), target, text: None },
            ..self
        }
    }

    /// The signed date, or the arrival if that was earlier: in whole seconds, as dates are, so that what is signed in the
    /// second in which something else arrived is not older than it.
    fn stamp(&self) -> Timestamp {
        let arrived = Timestamp::from_second(self.arrived.as_second()).unwrap_or(self.arrived);
        self.unverified.signed_at.min(arrived)
    }

    /// It is signed by its actor.
    fn by_signature(self, owner: &RemoteActor) -> Verified {
        let (person, stamp) = (Arc::clone(owner.person()), self.stamp());
        Verified::by_signature(self.incoming, person, self.host, stamp, self.unverified)
    }

    /// Its actor is gone.
    fn by_absence(self) -> Verified {
        let stamp = self.stamp();
        Verified::by_absence(self.incoming, self.actor.to_string(), self.host, stamp)
    }

    /// Whether it is a Delete.
    pub(super) fn is_delete(&self) -> bool {
        self.incoming.kind == Kind::Delete
    }

    /// The server whose word is asked for it, with its port.
    pub(super) fn server(&self) -> String {
        Origin::of(&self.actor).map(|origin| origin.authority()).unwrap_or_default()
    }

    /// Whose servers that is one of.
    pub(super) fn owner(&self) -> String {
        owner_of_host(&self.server())
    }

    /// What those have in common that one client says of one actor and thing, of which only the newest matters. Another client
    /// could make nobody's be forgotten; where clients cannot be told apart, each stands for itself.
    pub(super) fn same(&self) -> Option<String> {
        let kind = &self.incoming.kind;
        // An actor can be spelt in many ways.
        let object =
            self.incoming.object.id.as_deref().filter(|_| !of_itself(&self.incoming)).unwrap_or_default();
        self.source.map(|source| format!("{source} {kind:?} {} {object}", self.actor))
    }

    /// Whether it is of somebody whom it matters of.
    pub(super) fn counts(&self, view: &dyn View) -> bool {
        let actor = self.actor.as_str();
        let known = match &self.incoming.object.id {
            Some(note) if !of_itself(&self.incoming) => engage::has_replied(view, actor, note),
            _ => gone::is_known(view, actor),
        };
        known && !blocks::actor_blocked(view, actor)
    }
}

/// What comes of a look at what an actor says of itself.
pub(super) enum Left {
    /// It is so.
    Proved(Box<Verified>),
    /// Somebody says that this actor is deleted, and its document is not found: that is so, or its server is being mended.
    Missing(String),
    /// Nothing proves it.
    Unproved,
    /// That cannot be told for now.
    Later(Box<Claim>),
}

/// What an actor that [counts](Claim::counts) says of itself: proved by its signature, or of a Delete by its document being
/// gone. It is looked up aside: who said so has proved nothing, and what is spent on it must not show.
pub(super) async fn left(engine: &Engine, claim: Box<Claim>) -> Left {
    let Claim { incoming, unverified, key, actor, arrived, source, .. } = &*claim;
    let (source, Engine { fetcher: known, aside, .. }) = (*source, engine);
    // What memory answers shows nowhere, and an Update may say that the key of which it knows is another now.
    let by_known = known.fresh_key(key).filter(|(key, _)| unverified.verify(&key.key).is_ok());
    let signed = match by_known {
        Some((_, owner)) => Ok(Some(owner)),
        None => signer(&engine.proofs, aside, known, unverified, key, source).await,
    };
    let (owner, not_now) = match signed {
        Ok(owner) => (owner.filter(|owner| owner.id == *actor), false),
        Err(error) => (None, error.is_transient()),
    };
    if let Some(owner) = &owner {
        aside.proved(owner, key, source);
    }
    let looked = match (owner, &incoming.kind) {
        // What an Update embeds is not believed: the document itself is read.
        (Some(_), Kind::Update) => aside.actor_since(actor.as_str(), source, *arrived).await,
        (Some(owner), _) => return Left::Proved(Box::new(claim.by_signature(&owner))),
        // Its key may be remembered here and gone there; and a key that is gone may be anybody's of that server. Only the
        // actor's own document tells.
        (None, Kind::Delete) => aside.actor_again(actor.as_str(), source).await,
        (None, _) if not_now => return Left::Later(claim),
        (None, _) => return Left::Unproved,
    };
    match looked {
        Ok(now) if incoming.kind == Kind::Update && now.id == *actor => {
            known.learn(&now);
            Left::Proved(Box::new(claim.by_signature(&now)))
        }
        Err(FetchError::Gone) if claim.is_delete() => Left::Proved(Box::new(claim.by_absence())),
        Err(FetchError::NotFound) if claim.is_delete() => {
            let signed = known.known_key(&unverified.key_id);
            let signed =
                signed.filter(|(key, owner)| owner.id == *actor && unverified.verify(&key.key).is_ok());
            match signed {
                Some((_, owner)) => Left::Proved(Box::new(claim.by_signature(&owner))),
                None if of_itself(incoming) => Left::Missing(actor.to_string()),
                None => Left::Unproved,
            }
        }
        Err(error) if error.is_transient() => Left::Later(claim),
        Ok(_) if not_now => Left::Later(claim),
        _ => Left::Unproved,
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
