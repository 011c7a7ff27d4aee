//! What stands around an installed agent while its package is tried: Owncasts, and servers whose people follow.
//!
//! `world fill STORE FOLLOWERS` is another thing: it writes so many into the store of an agent that does not run, and ends.
//!
//! Commands come in on standard input, a line each, and each is answered by a line that begins with `ok` or `failed`:
//! `follow HANDLE`, `crowd HANDLE` (many follow, and their servers answer nothing from then on), `live N` (the Nth Owncast's stream starts, and its post is waited for), `end N`. It ends with its input.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../lib/filled.rs"]
mod filled;

use std::path::Path;
use std::time::{Duration, Instant};

use owncast_herald::sim::fediverse::{Fediverse, Flavour, Server, Sink};
use owncast_herald::sim::owncast::{Options, SimOwncast, Timeline};

/// Bound of a wait; reaching it is a failure. The machine may be busy with other things.
const LONG: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(250);

/// Followers of a crowd, and the servers they are on.
const CROWD: usize = 50;
const SERVERS: usize = 10;

/// The first Owncast's port; the others follow it.
const PORT: u16 = 8080;

struct World {
    owncasts: Vec<SimOwncast>,
    fediverse: Fediverse,
    server: Server,
    people: usize,
    crowd: Option<Sink>,
}

impl World {
    /// Somebody new follows and is accepted.
    async fn follow(&mut self, handle: &str) -> Result<String, String> {
        self.people += 1;
        let person = self.server.person(&format!("follower{}", self.people));
        let deadline = Instant::now() + LONG;
        // The agent may have started a moment ago and not know yet who it is.
        loop {
            let followed = person.follow(handle).await;
            match followed {
                Ok(followed) if followed.reply.is_success() => break,
                other if Instant::now() > deadline => return Err(format!("{other:?}")),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        if person.wait_accepted(LONG).await {
            Ok(person.id())
        } else {
            Err(format!("no Accept: {:?}", self.server.violations()))
        }
    }

    /// Many follow and are accepted, and nothing that is sent to them afterwards ever ends.
    async fn crowd(&mut self, handle: &str) -> Result<String, String> {
        let scout = self.server.person("scout").follow(handle).await.map_err(|error| error.to_string())?;
        let sink = self.fediverse.sink_on(CROWD, SERVERS).await.map_err(|error| error.to_string())?;
        let followed = sink.follow_all(&scout.actor, &scout.inbox, SERVERS).await;
        if followed.as_ref().ok() != Some(&CROWD) || !sink.wait_received(LONG, CROWD as u64).await {
            return Err(format!("{followed:?} followed, {} were accepted", sink.received()));
        }
        sink.set_silent(1.0);
        self.crowd = Some(sink);
        Ok(String::new())
    }

    /// The stream starts, and its post arrives.
    async fn live(&self, owncast: &SimOwncast) -> Result<String, String> {
        let before = self.server.posts().len();
        owncast.go_live_with(Timeline {
            online_after: Duration::from_millis(50),
            thumbnail_after: Duration::from_millis(150),
        });
        let deadline = Instant::now() + LONG;
        loop {
            match self.server.posts().get(before) {
                Some(post) => return Ok(post.note.clone()),
                None if Instant::now() > deadline => return Err(format!("{:?}", self.server.violations())),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn carry_out(&mut self, line: &str) -> Result<String, String> {
        let (verb, what) = line.split_once(' ').unwrap_or((line, ""));
        if verb == "follow" {
            return self.follow(what).await;
        }
        if verb == "crowd" {
            return self.crowd(what).await;
        }
        let number: usize = what.parse().map_err(|_| format!("which Owncast? {line}"))?;
        let owncast = self.owncasts.get(number).ok_or("there is no such Owncast")?;
        match verb {
            "live" => self.live(owncast).await,
            "end" => {
                owncast.end_stream();
                Ok(String::new())
            }
            _ => Err(format!("unknown: {line}")),
        }
    }
}

/// Arguments: Owncast's admin password, then the public address of each Owncast.
#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, store, followers] = arguments.as_slice()
        && word == "fill"
    {
        let crowd = filled::crowd(followers.parse().expect("a number"));
        return filled::follow(Path::new(store), crowd).await.unwrap();
    }
    let mut arguments = arguments.into_iter();
    let admin_password = arguments.next().expect("a password");
    let mut owncasts = Vec::new();
    for (port, server_url) in (PORT..).zip(arguments) {
        let options = Options {
            admin_password: admin_password.clone(),
            server_url,
            username: format!("stream{}", owncasts.len()),
            ..Options::default()
        };
        owncasts.push(SimOwncast::start_on(([127, 0, 0, 1], port).into(), options).await.unwrap());
    }
    let fediverse = Fediverse::start().await;
    let server = fediverse.server("peer", Flavour::Mastodon).await.unwrap();
    let mut world = World { owncasts, fediverse, server, people: 0, crowd: None };
    println!("ok");
    // The world goes on on other threads while this one waits for a line.
    for line in std::io::stdin().lines() {
        match world.carry_out(&line.unwrap()).await {
            Ok(answer) => println!("ok {answer}"),
            Err(why) => println!("failed {why}"),
        }
    }
}
