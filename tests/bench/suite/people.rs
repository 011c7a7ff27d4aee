//! People who like, each on a server of their own.

use std::net::Ipv4Addr;

use http::Method;
use jiff::Timestamp;
use openssl::base64;
use owncast_herald::activitypub::signature::{PrivateKey, digest, sign_request};
use owncast_herald::model::Addresses;
use owncast_herald::serve::accept::{AcceptLimits, serve};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;
use url::Url;
use warp::Filter as _;

use super::load;
use super::loopback::{PEOPLE, Part};

/// What activities are sent as.
pub const ACTIVITY: &str = "application/activity+json";

/// Actors with documents at real addresses, all with one key.
pub struct People {
    count: usize,
    port: u16,
    key: PrivateKey,
    _stop: tokio_util::sync::DropGuard,
}

impl People {
    /// Serves their documents on a free port.
    pub async fn start(count: usize) -> anyhow::Result<People> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let port = listener.local_addr()?.port();
        let key = PrivateKey::generate()?;
        let pem = key.public_pem()?;
        let routes = warp::path!("users" / usize).map(move |number: usize| {
            // Whoever has no address has no id either, and nobody asks for them.
            let document = actor(PEOPLE, port, number).map(|id| document(&id, &pem)).unwrap_or_default();
            warp::reply::with_header(document, http::header::CONTENT_TYPE, ACTIVITY)
        });
        let missing =
            routes.recover(|_| async { Ok::<_, std::convert::Infallible>(http::StatusCode::NOT_FOUND) });
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, missing, AcceptLimits::default(), stop.clone()));
        Ok(People { count, port, key, _stop: stop.drop_guard() })
    }

    /// Signed requests of `count` Likes, no two alike: every person likes every post once.
    pub fn likes(&self, addresses: &Addresses, posts: &[Ulid], count: usize) -> anyhow::Result<Vec<Vec<u8>>> {
        let half = count / 2;
        // Signing is the dear part: the two halves on two threads.
        std::thread::scope(|scope| {
            let other = scope.spawn(|| self.some_likes(addresses, posts, 0..half));
            let mut mine = self.some_likes(addresses, posts, half..count)?;
            let other = other.join().map_err(|_| anyhow::anyhow!("signing panicked"))?;
            mine.extend(other?);
            Ok(mine)
        })
    }

    fn some_likes(
        &self,
        addresses: &Addresses,
        posts: &[Ulid],
        numbers: std::ops::Range<usize>,
    ) -> anyhow::Result<Vec<Vec<u8>>> {
        numbers
            .map(|number| {
                let post = posts.get(number / self.count).copied().unwrap_or_default();
                let like = Like { by: number % self.count, post };
                let letter = self.letter(addresses, like)?;
                Ok(letter.bytes(addresses))
            })
            .collect()
    }

    /// One Like as it is signed.
    pub fn letter(&self, addresses: &Addresses, like: Like) -> anyhow::Result<Letter> {
        let actor = actor(PEOPLE, self.port, like.by)?;
        let body = json!({
            "@context": "https://www.w3.org/ns/activitystreams",
            "id": format!("{actor}#likes/{}", like.post), "type": "Like",
            "actor": actor, "object": addresses.note(like.post),
        });
        Letter::signed(addresses, &actor, &self.key, body.to_string(), client(like.by))
    }
}

/// Who likes what.
#[derive(Clone, Copy, Debug)]
pub struct Like {
    /// The number of a person.
    pub by: usize,
    /// A post of ours.
    pub post: Ulid,
}

/// A request to the inbox in its parts.
#[derive(Clone, Debug)]
pub struct Letter {
    /// All but `Host` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The activity.
    pub body: Vec<u8>,
}

impl Letter {
    /// Signed with this actor's key; a proxy says that it came from `client`.
    pub fn signed(
        addresses: &Addresses,
        actor: &str,
        key: &PrivateKey,
        body: String,
        client: String,
    ) -> anyhow::Result<Letter> {
        let inbox = Url::parse(&format!("{}/inbox", addresses.actor()))?;
        let digest = digest::header_value(body.as_bytes());
        let (post, now, key_id) = (Method::POST, Timestamp::now(), format!("{actor}#main-key"));
        let signed = sign_request(&post, &inbox, now, Some(&digest), Some(ACTIVITY), &key_id, key)?;
        let mut letter = Letter::unsigned(body.into_bytes(), client);
        for (name, value) in &signed {
            letter.headers.push((name.to_string(), value.to_str()?.to_owned()));
        }
        Ok(letter)
    }

    /// Without signature.
    pub fn unsigned(body: Vec<u8>, client: String) -> Letter {
        let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Letter { headers: vec![named("content-type", ACTIVITY), named("x-forwarded-for", &client)], body }
    }

    /// The same, its signature well-formed and wrong.
    pub fn forged(mut self) -> Letter {
        let other = base64::encode_block(&[0x5a; 256]);
        for (name, value) in &mut self.headers {
            if name == "signature"
                && let Some((before, _)) = value.split_once("signature=\"")
            {
                *value = format!("{before}signature=\"{other}\"");
            }
        }
        self
    }

    /// The request.
    pub fn bytes(&self, addresses: &Addresses) -> Vec<u8> {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        load::request("POST", addresses.host(), &inbox_path(addresses), &headers, &self.body)
    }
}

/// The path of our inbox.
pub fn inbox_path(addresses: &Addresses) -> String {
    format!("/federation/user/{}/inbox", addresses.username)
}

/// The id of an actor.
pub fn actor(part: Part, port: u16, number: usize) -> anyhow::Result<String> {
    Ok(format!("http://{}:{port}/users/{number}", part.address(number)?))
}

/// An actor's document.
pub fn document(id: &str, pem: &str) -> String {
    let name = id.rsplit('/').next().unwrap_or_default();
    json!({
        "@context": ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"],
        "id": id, "type": "Person", "preferredUsername": format!("ana{name}"),
        "inbox": format!("{id}/inbox"),
        "publicKey": {"id": format!("{id}#main-key"), "owner": id, "publicKeyPem": pem},
    })
    .to_string()
}

/// The client address of a server, as a proxy tells it: each on a network of its own, for what is one network's is one
/// client's to a degree.
pub fn client(number: usize) -> String {
    let [_, _, third, fourth] = u32::try_from(number).unwrap_or_default().to_be_bytes();
    format!("100.{}.{fourth}.1", 64 + third % 64)
}
