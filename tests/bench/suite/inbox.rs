//! Verified Likes, key known: what the agent spends on each, against the sum of its parts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use owncast_herald::activitypub::signature::{PrivateKey, digest, sign_request};
use owncast_herald::decide::{Moment, publish};
use owncast_herald::model::engagement::{Engagement, EngagementKind};
use owncast_herald::model::facts::Facts;
use owncast_herald::model::{Addresses, Draft};
use owncast_herald::serve::accept::{AcceptLimits, serve};
use owncast_herald::store::Store;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;
use url::Url;
use warp::Filter as _;

use super::agent::Home;
use super::report::{Budget, against, each, figure, headline, micros, number, rate, ratio};
use super::{load, posts, process, signatures};

/// Connections kept open by the load.
const CONNECTIONS: usize = 64;
/// People who like: few, so that their keys are known after the first round.
pub const PEOPLE: usize = 16;
/// What a real Owncast 0.1.3 took of Likes in the same harness: per second, and CPU for each.
const OWNCAST_RATE: f64 = 259.0;
const OWNCAST_CPU: Duration = Duration::from_micros(5800);

/// # Errors
/// Whatever broke.
pub fn run(quick: bool) -> anyhow::Result<()> {
    let likes = if quick { 4_000 } else { 20_000 };
    let verify = signatures::costs(if quick { 20 } else { 60 })?.verify;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = three_marginal_writes(if quick { 10_000 } else { 40_000 }).await?;
        for (name, age) in [
            ("Likes of posts of this moment: chat is told", Duration::ZERO),
            ("Likes of posts of two days ago: counted only", Duration::from_secs(48 * 3600)),
        ] {
            headline(&format!("{name}; {likes} from {PEOPLE} people"));
            compare(likes, age, verify, store).await?;
        }
        Ok(())
    })
}

async fn compare(likes: usize, age: Duration, verify: Duration, store: Duration) -> anyhow::Result<()> {
    let home = Home::new().await?;
    let peers = Peers::start().await?;
    // One post more than the Likes need: the first round, which makes the keys known, likes that one.
    let posts = announced(&home, likes.div_ceil(PEOPLE) + 1, age).await?;
    let (warming, rest) = posts.split_at(1);
    let first = peers.likes(&home.addresses, warming, PEOPLE)?;
    let all = peers.likes(&home.addresses, rest, likes)?;
    let agent = home.start("").await?;
    home.settled().await?;
    let taken = |outcome: &load::Outcome, class: usize, count: usize| {
        let all = outcome.statuses.get(class) == Some(&count);
        anyhow::ensure!(all, "not all answers were {class}xx: {:?}", outcome.statuses);
        Ok(())
    };
    taken(&load::run(home.public(), 2, Arc::new(first), PEOPLE).await?, 2, PEOPLE)?;

    let host = home.addresses.host();
    let path = format!("/federation/user/{}/inbox", home.addresses.username);
    let kind = [("content-type", "application/activity+json")];
    let empty = Arc::new(vec![load::request("POST", host, &path, &kind, b"")]);
    load::run(home.public(), CONNECTIONS, Arc::clone(&empty), likes / 10).await?;
    let cpu = process::cpu(agent.pid())?;
    taken(&load::run(home.public(), CONNECTIONS, empty, likes).await?, 4, likes)?;
    let empty = each(process::cpu(agent.pid())?.saturating_sub(cpu), likes);

    let before = home.counter("herald_inbox_requests_total{outcome=\"accepted\"}").await?;
    let cpu = process::cpu(agent.pid())?;
    let outcome = load::run(home.public(), CONNECTIONS, Arc::new(all), likes).await?;
    // What follows from a Like belongs to it: the word in chat, or that there is none.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let cpu = each(process::cpu(agent.pid())?.saturating_sub(cpu), likes);
    taken(&outcome, 2, likes)?;
    let after = home.counter("herald_inbox_requests_total{outcome=\"accepted\"}").await?;
    anyhow::ensure!(rate_of(after - before) == likes, "{} Likes of {likes} had an effect", after - before);
    agent.stop().await?;

    let parts = verify + empty + store;
    against("agent's CPU per Like / sum of the parts", ratio(cpu, parts), Budget::AtMost(1.0), "×");
    figure("agent's CPU per Like, sum", &format!("{}, {}", micros(cpu), micros(parts)));
    figure(
        "parts: verification, empty POST, 3 marginal writes",
        &format!("{}, {}, {}", micros(verify), micros(empty), micros(store)),
    );
    let per_second = rate(likes, outcome.took);
    against("Likes", per_second, Budget::AtLeast(8000.0), "/s");
    against("Likes per second / Owncast 0.1.3's", per_second / OWNCAST_RATE, Budget::AtLeast(20.0), "×");
    figure("CPU per Like / Owncast 0.1.3's", &format!("{} ×", number(ratio(cpu, OWNCAST_CPU))));
    Ok(())
}

fn rate_of(count: f64) -> usize {
    // A counter of whole steps, far below 2^52.
    count.max(0.0) as usize
}

/// Public posts, made `age` ago, with nobody to be told.
async fn announced(home: &Home, count: usize, age: Duration) -> anyhow::Result<Vec<Ulid>> {
    let rules = posts::rules(&home.addresses);
    let facts = Facts { name: "New Owncast Server".into(), ..Facts::default() };
    let made = Timestamp::now().checked_sub(age)?;
    let (sender, mut ids) = tokio::sync::mpsc::unbounded_channel();
    home.write(vec![move |draft: &mut Draft<'_>| {
        let mut moment = Moment::new(made, 7);
        for _ in 0..count {
            let session = moment.ulid();
            let post = publish::announce(draft, &mut moment, &rules, &facts, posts::plain(session));
            // The receiver lives until all are sent.
            let _ = sender.send(post.id);
        }
    }])
    .await?;
    let mut posts = Vec::new();
    while let Some(id) = ids.recv().await {
        posts.push(id);
    }
    Ok(posts)
}

/// CPU of three records more in a commit, commits being many at once as they are in the inbox.
async fn three_marginal_writes(commits: usize) -> anyhow::Result<Duration> {
    let one = writes(commits, 1).await?;
    let four = writes(commits, 4).await?;
    headline("the store alone");
    figure("CPU of a commit of 1 record, of 4", &format!("{}, {}", micros(one), micros(four)));
    Ok(four.saturating_sub(one))
}

async fn writes(commits: usize, records: u128) -> anyhow::Result<Duration> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path())?;
    let now = Timestamp::now();
    let cpu = process::own_cpu()?;
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for commit in (0..commits).skip(task).step_by(CONNECTIONS) {
                    store
                        .commit(move |view| {
                            let mut draft = Draft::new(view);
                            for record in 0..records {
                                let post = Some(Ulid((commit as u128) << 64 | record));
                                draft.put(&Engagement {
                                    post,
                                    kind: EngagementKind::Like,
                                    actor: "http://127.0.0.1:40000/users/7".into(),
                                    inbox: "http://127.0.0.1:40000/users/7/inbox".into(),
                                    activity: format!("http://127.0.0.1:40000/users/7#likes/{commit}"),
                                    at: now,
                                    undone: false,
                                });
                            }
                            (draft.into_changes(), ())
                        })
                        .await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(each(process::own_cpu()?.saturating_sub(cpu), commits))
}

/// Actors with documents at real addresses, all with one key.
pub struct Peers {
    address: SocketAddr,
    key: PrivateKey,
    stop: CancellationToken,
}

impl Peers {
    /// Serves them on a free port.
    pub async fn start() -> anyhow::Result<Peers> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let key = PrivateKey::generate()?;
        let pem = key.public_pem()?;
        let routes = warp::path!("users" / usize).map(move |number: usize| {
            let id = actor(address, number);
            let document = json!({
                "@context": ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"],
                "id": id, "type": "Person", "preferredUsername": format!("ana{number}"),
                "inbox": format!("{id}/inbox"),
                "publicKey": {"id": format!("{id}#main-key"), "owner": id, "publicKeyPem": pem},
            });
            let kind = "application/activity+json";
            warp::reply::with_header(document.to_string(), http::header::CONTENT_TYPE, kind)
        });
        let missing =
            routes.recover(|_| async { Ok::<_, std::convert::Infallible>(http::StatusCode::NOT_FOUND) });
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, missing, AcceptLimits::default(), stop.clone()));
        Ok(Peers { address, key, stop })
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
        let inbox = Url::parse(&format!("{}/inbox", addresses.actor()))?;
        numbers
            .map(|number| {
                let actor = actor(self.address, number % PEOPLE);
                let post = posts.get(number / PEOPLE).copied().unwrap_or_default();
                let body = json!({
                    "@context": "https://www.w3.org/ns/activitystreams",
                    "id": format!("{actor}#likes/{post}"), "type": "Like",
                    "actor": actor, "object": addresses.note(post),
                })
                .to_string();
                let digest = digest::header_value(body.as_bytes());
                let kind = "application/activity+json";
                let key_id = format!("{actor}#main-key");
                let (post, now) = (Method::POST, Timestamp::now());
                let signed = sign_request(&post, &inbox, now, Some(&digest), Some(kind), &key_id, &self.key)?;
                let mut headers = vec![("content-type", kind)];
                for (name, value) in &signed {
                    headers.push((name.as_str(), value.to_str()?));
                }
                Ok(load::request("POST", addresses.host(), inbox.path(), &headers, body.as_bytes()))
            })
            .collect()
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn actor(address: SocketAddr, number: usize) -> String {
    format!("http://{address}/users/{number}")
}
