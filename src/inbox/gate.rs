//! The order of checks, cheapest first. The only maker of [`Verified`].

use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use url::Url;

use super::sift::{Sifted, sift};
use super::{Arrival, Engine, Verified};
use crate::activitypub::json;
use crate::activitypub::signature::{SignatureProblem, Unverified, precheck};
use crate::activitypub::vocab::read::{Incoming, Kind};
use crate::decide::blocks;
use crate::fetch::{FetchError, RemoteActor};
use crate::model::follower::Follower;
use crate::model::handle::host_of;
use crate::model::origin::{parse_remote, same_origin};
use crate::store::Store;

use crate::serve::answer::Problem;

/// Checks an arrival. `None` means that it is taken and changes nothing.
pub(super) async fn gate(
    engine: &Engine,
    store: &Store,
    arrival: &Arrival,
) -> Result<Option<Verified>, Problem> {
    content_type(&arrival.headers)?;
    let document = json::parse(&arrival.body)
        .map_err(|problem| Problem::new(StatusCode::BAD_REQUEST, "bad-json", problem.to_string()))?;
    let incoming = Incoming::parse(&document)
        .map_err(|problem| Problem::new(StatusCode::BAD_REQUEST, "bad-activity", problem.to_string()))?;
    match sift(&incoming, &engine.addresses) {
        Sifted::Ignore => Ok(None),
        // The answer is 202 whatever comes of it: the difference would tell who is known here.
        Sifted::OfItself => Ok(of_itself(engine, store, arrival, incoming).await.ok().flatten()),
        Sifted::Verify => verify(engine, store, arrival, incoming).await.map(Some),
    }
}

/// An activity's media type, with any parameters. GoToSocial and others refuse everything else too.
fn content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = |detail: &str| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail);
    if headers.contains_key(http::header::CONTENT_ENCODING) {
        return Err(unsupported("encoded bodies are not taken; send the activity as it is"));
    }
    let value =
        headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/activity+json" | "application/ld+json" => Ok(()),
        _ => Err(unsupported("send application/activity+json or application/ld+json")),
    }
}

/// What a request says of itself, once it is known to be sound in itself.
struct Sound {
    unverified: Unverified,
    actor: Url,
    arrived: Timestamp,
}

/// Everything that needs no network.
fn sound(engine: &Engine, arrival: &Arrival, incoming: &Incoming) -> Result<Sound, Problem> {
    let arrived = Timestamp::now();
    let unverified = precheck(
        &Method::POST,
        &arrival.target,
        &arrival.headers,
        &arrival.body,
        engine.fetcher.own(),
        arrived,
    )
    .map_err(unsigned)?;
    let address = |what: &str, text: &str| {
        parse_remote(text, &engine.policy).map_err(|problem| {
            Problem::new(StatusCode::UNAUTHORIZED, "bad-address", format!("the {what} is refused: {problem}"))
        })
    };
    let key = address("keyId", &unverified.key_id)?;
    let actor = address("actor", &incoming.actor)?;
    let mut origins = vec![("keyId", key)];
    if let Some(id) = &incoming.id {
        origins.push(("activity's id", address("activity's id", id)?));
    }
    for (what, url) in origins {
        if !same_origin(&url, &actor) {
            let detail = format!("the {what} is on another origin than the actor");
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "origin", detail));
        }
    }
    if host_of(actor.as_str()) == engine.addresses.host() {
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
    Ok(Sound { unverified, actor, arrived })
}

fn unsigned(problem: SignatureProblem) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, problem.code(), problem.to_string())
}

/// The one answer for a block, a wrong signature, a key that cannot be had and a key of somebody else: byte for byte
/// the same, so that it tells nothing about us.
fn not_verified(key_id: &str) -> Problem {
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

async fn verify(
    engine: &Engine,
    store: &Store,
    arrival: &Arrival,
    incoming: Incoming,
) -> Result<Verified, Problem> {
    let Sound { unverified, actor, arrived } = sound(engine, arrival, &incoming)?;
    let key_id = unverified.key_id.clone();
    let (asked, key_host) = (actor.to_string(), host_of(&key_id));
    let blocked = store
        .read(move |view| blocks::actor_blocked(view, &asked) || blocks::host_blocked(view, &key_host))
        .await
        .map_err(|_| Problem::busy("store-closed", "the program is stopping or its disk failed", 30))?;
    if blocked {
        return Err(not_verified(&key_id));
    }
    let owner = match signer(engine, &unverified).await {
        Ok(owner) => owner,
        Err(error) if error.is_transient() => {
            return Err(Problem::busy(
                "key-unavailable",
                format!("the key {key_id} cannot be fetched now"),
                60,
            ));
        }
        Err(error) => {
            tracing::debug!(target: "herald::inbox", key_id, %error, "the key of an activity cannot be had");
            return Err(not_verified(&key_id));
        }
    };
    match owner {
        Some(owner) if owner.id == actor => {
            let stamp = stamp(&unverified, arrived);
            Ok(Verified::by_signature(incoming, owner.person(), stamp, &unverified.signature))
        }
        _ => Err(not_verified(&key_id)),
    }
}

/// Whose key made the signature; `None` if none of the keys we may believe did.
async fn signer(
    engine: &Engine,
    unverified: &Unverified,
) -> Result<Option<std::sync::Arc<RemoteActor>>, FetchError> {
    let (key, owner) = engine.fetcher.key(&unverified.key_id).await?;
    if unverified.verify(&key.key).is_ok() {
        return Ok(Some(owner));
    }
    // Peers change keys without a word: one more look, unless we looked a moment ago.
    match engine.fetcher.key_fresh(&unverified.key_id).await? {
        Some((key, owner)) if unverified.verify(&key.key).is_ok() => Ok(Some(owner)),
        _ => Ok(None),
    }
}

/// What an actor we know says of itself: proved by its signature, or of a Delete by its document being gone.
async fn of_itself(
    engine: &Engine,
    store: &Store,
    arrival: &Arrival,
    incoming: Incoming,
) -> Result<Option<Verified>, Problem> {
    let Sound { unverified, actor, arrived } = sound(engine, arrival, &incoming)?;
    let (asked, key_host) = (actor.to_string(), host_of(&unverified.key_id));
    let known = store
        .read(move |view| {
            if blocks::actor_blocked(view, &asked) || blocks::host_blocked(view, &key_host) {
                return false;
            }
            let acted = format!("Sa\n{asked}\n").into_bytes();
            let mut known = view.get::<Follower>(asked.as_bytes()).is_some();
            view.scan_bytes(&acted, &acted, &mut |_, _| {
                known = true;
                false
            });
            known
        })
        .await
        .unwrap_or(false);
    if !known {
        return Ok(None);
    }
    let stamp = stamp(&unverified, arrived);
    match signer(engine, &unverified).await {
        Ok(Some(owner)) if owner.id == actor => {
            // What an Update embeds is not believed: the document itself is read.
            let owner = match incoming.kind {
                Kind::Update => engine.fetcher.actor(actor.as_str()).await.ok().filter(|now| now.id == actor),
                _ => Some(owner),
            };
            let Some(owner) = owner else { return Ok(None) };
            Ok(Some(Verified::by_signature(incoming, owner.person(), stamp, &unverified.signature)))
        }
        _ if incoming.kind != Kind::Delete => Ok(None),
        // Its key may be remembered here and gone there; and a key that is gone may be anybody's of that server. Only the
        // actor's own document tells.
        _ => match engine.fetcher.actor(actor.as_str()).await {
            Err(FetchError::Gone) => Ok(Some(Verified::by_absence(incoming, actor.to_string(), stamp))),
            _ => Ok(None),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;
    use crate::activitypub::signature::{PrivateKey, digest, sign_request, sign_request_rfc9421};
    use crate::fetch::{Fetcher, REFETCH_PAUSE, Signer};
    use crate::model::Addresses;
    use crate::model::origin::{Origin, RemotePolicy};
    use crate::net::test_server::{TestServer, answer};
    use crate::net::{Client, ClientOptions};

    const INBOX: &str = "https://stream.example/federation/user/live/inbox";

    #[tokio::test]
    async fn a_key_that_changed_is_looked_at_once_more_and_not_at_once() {
        let keys: Vec<PrivateKey> = (0..3).map(|_| PrivateKey::generate().unwrap()).collect();
        let pems: Vec<String> = keys.iter().map(|key| key.public_pem().unwrap()).collect();
        let current = Arc::new(AtomicUsize::new(0));
        let shown = Arc::clone(&current);
        let server = TestServer::start(move |base, _| {
            let (id, pem) = (format!("{base}/u/a"), &pems[shown.load(Ordering::SeqCst)]);
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
        let engine = Engine { addresses, policy, fetcher: Arc::new(fetcher) };
        let key_id = format!("{}#main-key", server.url("/u/a"));
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
        let believed = async |unverified: Unverified| signer(&engine, &unverified).await.unwrap().is_some();

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
    }
}
