//! The order of checks, cheapest first. The only maker of [`Verified`].

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use url::Url;

use super::sift::{Sifted, of_itself, sift};
use super::{Arrival, Engine, Proofs, Verified};
use crate::activitypub::json;
use crate::activitypub::signature::{SignatureProblem, Unverified, precheck};
use crate::activitypub::vocab::read::{Incoming, Kind};
use crate::decide::{blocks, engage, gone};
use crate::fetch::{FetchError, Fetcher, RemoteActor};
use crate::model::handle::host_of_url;
use crate::model::origin::{MAX_URL_BYTES, Origin, parse_remote, same_origin};
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

/// A request that is sound in itself and proves nothing yet. The bytes it came in are gone: many may wait for a key.
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
    let incoming = Incoming::parse(&document)
        .map_err(|problem| Problem::new(StatusCode::BAD_REQUEST, "bad-activity", problem.to_string()))?;
    match sift(&incoming, &engine.addresses) {
        Sifted::Ignore => Ok(Checked::Nothing),
        // The answer is 202 whatever comes of it: the difference would tell who is known here.
        Sifted::OfItself => Ok(sound(engine, &arrival, incoming).map_or(Checked::Nothing, Checked::Leaving)),
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
    let key = part_of(&incoming.actor, &actor, &unverified.key_id);
    let key = key.map_or_else(|| address("keyId", &unverified.key_id), Ok)?;
    let id = incoming.id.as_deref().filter(|id| fragment_of(&incoming.actor, &actor, id).is_none());
    let id = id.map(|id| address("activity's id", id)).transpose()?;
    for (what, url) in [("keyId", Some(&key)), ("activity's id", id.as_ref())] {
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
    if host == engine.addresses.host() {
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
/// for byte the same, so that it tells nothing about us. Of a host that is blocked nobody here knows whether it would have
/// answered, so whether another did must not show.
pub(super) fn not_verified(key_id: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "signature-invalid",
        format!(
            "the signature does not verify with the actor's key {key_id}, or that key cannot be had from its owner"
        ),
    )
}

/// The signed date, or the arrival if that was earlier: in whole seconds, as dates are, so that what is signed in the
/// second in which something else arrived is not older than it.
fn stamp(unverified: &Unverified, arrived: Timestamp) -> Timestamp {
    unverified.signed_at.min(Timestamp::from_second(arrived.as_second()).unwrap_or(arrived))
}

fn unavailable(key_id: &str) -> Problem {
    Problem::busy(
        "key-unavailable",
        format!("too much is being fetched to look for the key {key_id} now"),
        60,
    )
}

/// Proves a claim, or says why not.
pub(super) async fn verify(engine: &Engine, store: &Store, claim: Claim) -> Result<Verified, Problem> {
    let Claim { incoming, unverified, key, actor, host, arrived, source } = claim;
    // The key's host is the actor's. Which blocks there are is in memory: to hand the question to another thread costs
    // more than the answer.
    let blocked = store
        .look(|view| blocks::actor_of_host_blocked(view, actor.as_str(), &host))
        .map_err(|_| Problem::busy("store-closed", "the program is stopping or its disk failed", 30))?;
    let looked = match blocked {
        true => Ok(None),
        false => signer(&engine.proofs, &engine.fetcher, &engine.fetcher, &unverified, &key, source).await,
    };
    match looked {
        Ok(Some(owner)) if owner.id == actor => {
            engine.fetcher.proved(&owner, &key, source);
            let (person, stamp) = (Arc::clone(owner.person()), stamp(&unverified, arrived));
            return Ok(Verified::by_signature(incoming, person, host, stamp, unverified));
        }
        // Our own budget, which those who are blocked use up as well. Whatever a peer does is no reason for this answer.
        Err(FetchError::Busy) => return Err(unavailable(&unverified.key_id)),
        Ok(_) => {}
        Err(error) => {
            let key_id = &unverified.key_id;
            tracing::debug!(target: "herald::inbox", key_id, %error, "the key of an activity cannot be had");
        }
    }
    // Who proves nothing pays alike for who is blocked, known and unknown: what is left of a budget would tell otherwise.
    match Box::pin(engine.fetcher.pretend(&unverified.key_id, source, arrived)).await {
        Err(FetchError::Busy) => Err(unavailable(&unverified.key_id)),
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
    /// Whether it is a Delete.
    pub(super) fn is_delete(&self) -> bool {
        self.incoming.kind == Kind::Delete
    }

    /// The server whose word is asked for it, with its port.
    pub(super) fn server(&self) -> String {
        Origin::of(&self.actor).map(|origin| origin.authority()).unwrap_or_default()
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

/// What an actor that [counts](Claim::counts) says of itself: proved by its signature, or of a Delete by its document being
/// gone. It is looked up aside: who said so has proved nothing, and what is spent on it must not show.
pub(super) async fn left(engine: &Engine, claim: Claim) -> Option<Verified> {
    let Claim { incoming, unverified, key, actor, host, arrived, source } = claim;
    let stamp = stamp(&unverified, arrived);
    let Engine { fetcher: known, aside, .. } = engine;
    // What memory answers shows nowhere, and an Update may say that the key of which it knows is another now.
    let by_known = known.fresh_key(&key).filter(|(key, _)| unverified.verify(&key.key).is_ok());
    let signed = match by_known {
        Some((_, owner)) => Ok(Some(owner)),
        None => signer(&engine.proofs, aside, known, &unverified, &key, source).await,
    };
    match signed {
        Ok(Some(owner)) if owner.id == actor => {
            // What an Update embeds is not believed: the document itself is read.
            let owner = match incoming.kind {
                Kind::Update => {
                    let now = aside.actor_since(actor.as_str(), source, arrived).await.ok()?;
                    known.learn(&now);
                    now
                }
                _ => owner,
            };
            let person = Arc::clone(owner.person());
            (owner.id == actor).then(|| Verified::by_signature(incoming, person, host, stamp, unverified))
        }
        _ if incoming.kind != Kind::Delete => None,
        // Its key may be remembered here and gone there; and a key that is gone may be anybody's of that server. Only the
        // actor's own document tells.
        _ => match aside.actor_again(actor.as_str(), source).await {
            Err(FetchError::Gone) => Some(Verified::by_absence(incoming, actor.to_string(), host, stamp)),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;
    use crate::activitypub::signature::{PrivateKey, digest, sign_request, sign_request_rfc9421};
    use crate::fetch::{FRESH_FOR, REFETCH_PAUSE, Signer, USABLE_FOR};
    use crate::model::Addresses;
    use crate::model::origin::RemotePolicy;
    use crate::net::test_server::{TestServer, answer};
    use crate::net::{Client, ClientOptions};

    const INBOX: &str = "https://stream.example/federation/user/live/inbox";

    #[test]
    fn a_part_of_an_actor_has_the_address_that_it_would_be_read_as() {
        let strict = RemotePolicy::default();
        for sent in
            ["https://peer.example/u/a", "https://PEER.example:443/u/ä?x=1", "https://peer.example/u/a#me"]
        {
            let actor = parse_remote(sent, &strict).unwrap();
            for behind in
                ["#main-key", "#likes/1", "#", "#a#b", "#a b", "#\u{202e}", "#ä", "/main-key", "x#y", ""]
            {
                let text = format!("{sent}{behind}");
                if let Some(part) = part_of(sent, &actor, &text) {
                    assert_eq!(Ok(part), parse_remote(&text, &strict), "{text}");
                }
            }
            let long = format!("{sent}#{}", "x".repeat(MAX_URL_BYTES));
            assert_eq!(part_of(sent, &actor, &long), None);
            assert_eq!(part_of(sent, &actor, &format!("{sent}#k")).is_some(), actor.fragment().is_none());
        }
    }

    #[tokio::test]
    async fn a_key_that_changed_is_looked_at_once_more_and_not_at_once() {
        let keys: Vec<PrivateKey> = (0..3).map(|_| PrivateKey::generate().unwrap()).collect();
        let pems: Vec<String> = keys.iter().map(|key| key.public_pem().unwrap()).collect();
        let current = Arc::new(AtomicUsize::new(0));
        let shown = Arc::clone(&current);
        let server = TestServer::start(move |base, _| {
            let id = format!("{base}/u/a");
            let Some(pem) = pems.get(shown.load(Ordering::SeqCst)) else { return answer(503, &[], "") };
            let actor = json!({"id": id, "type": "Person", "inbox": format!("{id}/inbox"),
                "publicKey": {"id": format!("{id}#main-key"), "owner": id, "publicKeyPem": pem}});
            answer(200, &[("content-type", "application/activity+json")], actor.to_string())
        })
        .await;
        let policy = RemotePolicy { allow_http: true, allow_private: true };
        let now = Arc::new(AtomicI64::new(1_800_000_000));
        let clock = Arc::clone(&now);
        let client = Client::new(ClientOptions {
            allow_private: vec!["127.0.0.0/8".parse().unwrap()],
            allow_http: true,
            ..ClientOptions::default()
        });
        let url = Url::parse(INBOX).unwrap();
        let own = Origin::of(&url).unwrap();
        let fetcher = Fetcher::new(
            client.unwrap(),
            Signer { key_id: "https://stream.example/k".to_owned(), key: keys[2].clone() },
            policy,
            own.clone(),
            Arc::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()),
        );
        let addresses = Addresses::new("https://stream.example", "live");
        let aside = Arc::new(fetcher.aside());
        let clock = Arc::clone(&now);
        let proofs = Arc::new(Proofs::new(Arc::new(move || {
            Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()
        })));
        let engine =
            Engine { addresses: Arc::new(addresses), policy, fetcher: Arc::new(fetcher), aside, proofs };
        let key_id = format!("{}#main-key", server.url("/u/a"));
        let key = Url::parse(&key_id).unwrap();
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let signed = |key: usize, rfc9421: bool| {
            let at = at(now.load(Ordering::SeqCst));
            let (sign, digest): (crate::activitypub::signature::SignRequest, _) = match rfc9421 {
                true => (sign_request_rfc9421, digest::content_header_value(b"{}")),
                false => (sign_request, digest::header_value(b"{}")),
            };
            let made = sign(&Method::POST, &url, at, Some(&digest), None, &key_id, &keys[key]).unwrap();
            let mut headers: HeaderMap = made.into_iter().collect();
            headers.insert("host", "stream.example".parse().unwrap());
            precheck(&Method::POST, url.path(), &headers, b"{}", &own, at).unwrap()
        };
        let believed = async |unverified: Unverified| {
            let fetcher = &engine.fetcher;
            signer(&engine.proofs, fetcher, fetcher, &unverified, &key, None).await.unwrap().is_some()
        };

        assert!(believed(signed(0, false)).await && believed(signed(0, true)).await);
        assert_eq!(server.hits().len(), 1);
        // Changed a moment after it was fetched: not believed, and not looked for.
        current.store(1, Ordering::SeqCst);
        assert!(!believed(signed(1, true)).await && !believed(signed(1, false)).await);
        assert_eq!(server.hits().len(), 1);
        now.fetch_add(REFETCH_PAUSE.as_secs(), Ordering::SeqCst);
        assert!(believed(signed(1, true)).await);
        assert_eq!(server.hits().len(), 2);
        // The old one is nothing now, and a stranger's never was.
        for key in [0, 2] {
            assert!(!believed(signed(key, true)).await && !believed(signed(key, false)).await);
        }
        assert_eq!(server.hits().len(), 2);

        // Its server is away: what the known key has signed counts for a day, and nothing else does.
        current.store(keys.len(), Ordering::SeqCst);
        now.fetch_add(FRESH_FOR.as_secs(), Ordering::SeqCst);
        let away = async |unverified: Unverified| {
            let fetcher = &engine.fetcher;
            signer(&engine.proofs, fetcher, fetcher, &unverified, &key, None)
                .await
                .is_err_and(|error| error.is_transient())
        };
        assert!(believed(signed(1, true)).await && believed(signed(1, false)).await);
        assert!(away(signed(0, true)).await && away(signed(2, false)).await);
        assert_eq!(server.hits().len(), 3);
        now.fetch_add(USABLE_FOR.as_secs(), Ordering::SeqCst);
        assert!(away(signed(1, true)).await);
    }
}
