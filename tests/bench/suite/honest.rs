//! Somebody who follows and means it, in a process of their own: how long they wait, whatever else arrives.
//!
//! Each Follow is another person's on another server, whose key nobody knows yet.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use owncast_herald::activitypub::signature::PrivateKey;
use owncast_herald::model::Addresses;
use owncast_herald::serve::accept::{AcceptLimits, serve};
use serde_json::json;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use warp::Filter as _;

use super::agent::Home;
use super::load;
use super::loopback::HONEST;
use super::people::{ACTIVITY, Letter, actor, client, document};

/// Argument for [`follow`]: `<address> <our public address> <our name> <the first one's number>`.
pub const FOLLOW: &str = "--honest-follow";
/// From one Follow to the next.
const PAUSE: Duration = Duration::from_millis(100);
/// Without an Accept by then there will be none.
const PATIENCE: Duration = Duration::from_secs(10);
/// Their client addresses are none of those that flood.
const CLIENTS: usize = 0x8000;

/// How long they waited: in the middle, and the longest.
#[derive(Clone, Copy, Debug)]
pub struct Waited {
    /// For the answer.
    pub answered: [Duration; 2],
    /// For the Accept.
    pub accepted: [Duration; 2],
    /// Follows that were accepted.
    pub count: usize,
    /// Follows that were sent away, or got no Accept.
    pub refused: usize,
}

/// The running process.
pub struct Honest(Child);

impl Honest {
    /// Starts following. No two calls have followers in common if their `first` are far enough apart.
    pub fn start(home: &Home, first: usize) -> anyhow::Result<Honest> {
        let child = Command::new(std::env::current_exe()?)
            .args([FOLLOW, &home.public().to_string(), &home.addresses.base, &home.addresses.username])
            .arg(first.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Honest(child))
    }

    /// Ends it, and answers how it went.
    pub fn finish(mut self) -> anyhow::Result<Waited> {
        drop(self.0.stdin.take());
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().context("no output")?).read_line(&mut line)?;
        let numbers: Vec<u64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .context("an honest follower")?;
        let &[count, refused, a, b, c, d] = numbers.as_slice() else {
            anyhow::bail!("the honest followers have ended: {:?}", self.0.wait()?);
        };
        let pair = |a, b| [Duration::from_micros(a), Duration::from_micros(b)];
        Ok(Waited {
            answered: pair(a, b),
            accepted: pair(c, d),
            count: usize::try_from(count)?,
            refused: usize::try_from(refused)?,
        })
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who waits for an Accept, by number.
type Waiting = Arc<Mutex<HashMap<usize, oneshot::Sender<Instant>>>>;

/// Follows until its input ends, then prints what [`Waited`] holds in one line.
///
/// # Errors
/// Arguments, or the agent is not there.
pub fn follow(arguments: &[String]) -> anyhow::Result<()> {
    let [_, _, target, base, name, first] = arguments else {
        anyhow::bail!("{FOLLOW} <address> <public address> <name> <first number>");
    };
    let target: SocketAddr = target.parse()?;
    let addresses = Addresses::new(base, name);
    let end = CancellationToken::new();
    let ended = end.clone();
    std::thread::spawn(move || {
        // Read to its end, which is all it says.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        ended.cancel();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let key = PrivateKey::generate()?;
        let waiting = Waiting::default();
        let port = listen(&key, Arc::clone(&waiting)).await?;
        let (mut answered, mut accepted, mut refused) = (Vec::new(), Vec::new(), 0);
        for number in first.parse::<usize>()?.. {
            let id = actor(HONEST, port, number)?;
            let follow = json!({
                "@context": "https://www.w3.org/ns/activitystreams",
                "id": format!("{id}#follows/1"), "type": "Follow", "actor": id, "object": addresses.actor(),
            });
            let letter = Letter::signed(&addresses, &id, &key, follow.to_string(), client(CLIENTS + number))?;
            let (sender, receiver) = oneshot::channel();
            waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sender);
            let start = Instant::now();
            // Sent away or cut off is the same to who follows.
            let status = tokio::time::timeout(PATIENCE, load::once(target, &letter.bytes(&addresses))).await;
            let after = start.elapsed();
            let arrived = match &status {
                Ok(Ok(202)) => tokio::time::timeout(PATIENCE, receiver).await.ok().and_then(Result::ok),
                _ => None,
            };
            match arrived {
                Some(at) => {
                    answered.push(after);
                    accepted.push(at.saturating_duration_since(start));
                }
                None => {
                    eprintln!("    the Follow of {id} was answered {status:?}");
                    refused += 1;
                }
            }
            tokio::select! {
                () = end.cancelled() => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        let [a, b] = spread(&mut answered);
        let [c, d] = spread(&mut accepted);
        println!("{} {refused} {a} {b} {c} {d}", answered.len());
        Ok(())
    })
}

async fn listen(key: &PrivateKey, waiting: Waiting) -> anyhow::Result<u16> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let port = listener.local_addr()?.port();
    let pem = key.public_pem()?;
    let documents = warp::get().and(warp::path!("users" / usize)).map(move |number: usize| {
        // Whoever has no address has no id either, and nobody asks for them.
        let document = actor(HONEST, port, number).map(|id| document(&id, &pem)).unwrap_or_default();
        warp::reply::with_header(document, http::header::CONTENT_TYPE, ACTIVITY)
    });
    let inboxes = warp::post().and(warp::path!("users" / usize / "inbox")).map(move |number: usize| {
        let waiter = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        if let Some(waiter) = waiter {
            // Nobody listens any more if it came too late.
            let _ = waiter.send(Instant::now());
        }
        http::StatusCode::ACCEPTED
    });
    let routes = documents.or(inboxes);
    let routes = routes.recover(|_| async { Ok::<_, std::convert::Infallible>(http::StatusCode::NOT_FOUND) });
    tokio::spawn(serve(listener, routes, AcceptLimits::default(), CancellationToken::new()));
    Ok(port)
}

/// The middle and the longest, in microseconds.
fn spread(times: &mut [Duration]) -> [u128; 2] {
    times.sort();
    [times.get(times.len() / 2), times.last()].map(|time| time.map_or(0, Duration::as_micros))
}
