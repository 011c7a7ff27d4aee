//! GETs of documents against an empty route on the same accept loop.

use std::net::SocketAddr;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use owncast_herald::decide::{Moment, publish};
use owncast_herald::model::Draft;
use owncast_herald::model::facts::Facts;

use super::agent::{Home, wait};
use super::report::{Budget, against, each, figure, headline, micros, number, rate, ratio};
use super::{bare, load, posts, process};

/// Connections kept open by the load.
const CONNECTIONS: usize = 32;
/// What a real Owncast 0.1.3 served of its actor in the same harness, per second.
const OWNCAST: f64 = 650.0;

/// # Errors
/// Whatever broke.
pub fn run(quick: bool) -> anyhow::Result<()> {
    let count = if quick { 10_000 } else { 60_000 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let home = Home::new().await?;
        let rules = posts::rules(&home.addresses);
        let facts = Facts { name: "New Owncast Server".into(), ..Facts::default() };
        let mut moment = Moment::new(Timestamp::now(), 7);
        let session = moment.ulid();
        let post = Moment::clone(&moment).ulid();
        home.write(vec![move |draft: &mut Draft<'_>| {
            publish::announce(draft, &mut moment, &rules, &facts, posts::plain(session));
        }])
        .await?;
        let agent = home.start("").await?;
        home.settled().await?;
        let empty = Empty::start(&home).await?;
        let host = home.addresses.host();
        let get = |path: &str| {
            let accept = [("accept", "application/activity+json")];
            Arc::new(vec![load::request("GET", host, path, &accept, b"")])
        };
        let user = &home.addresses.username;
        let note = format!("/federation/{post}");
        // One after the other, twice: a busy moment of the machine then shows as a difference between the rounds.
        for round in 1..=2 {
            headline(&format!("round {round}: {count} GETs on {CONNECTIONS} kept connections"));
            let (nothing, nothing_cpu) = measured(empty.address, empty.child.id(), get("/"), count).await?;
            figure("empty route", &per_second(nothing, nothing_cpu));
            for (name, path) in [
                ("actor", format!("/federation/user/{user}")),
                ("WebFinger", format!("/.well-known/webfinger?resource=acct:{user}@{host}")),
                ("note", note.clone()),
                ("outbox", format!("/federation/user/{user}/outbox")),
            ] {
                let (rate, cpu) = measured(home.public(), agent.pid(), get(&path), count).await?;
                against(
                    &format!("{name} per second / empty route's"),
                    rate / nothing,
                    Budget::AtLeast(0.8),
                    "×",
                );
                figure(
                    &format!("{name}'s CPU / empty route's"),
                    &format!("{:.2} ×", ratio(cpu, nothing_cpu)),
                );
                figure(name, &per_second(rate, cpu));
                if name == "actor" {
                    against("actor per second / Owncast 0.1.3's", rate / OWNCAST, Budget::AtLeast(20.0), "×");
                }
            }
        }
        agent.stop().await
    })
}

fn per_second(rate: f64, cpu: Duration) -> String {
    format!("{}/s, {} CPU each", number(rate), micros(cpu))
}

/// Requests per second, and CPU of the serving process for each.
async fn measured(
    target: SocketAddr,
    pid: u32,
    requests: Arc<Vec<Vec<u8>>>,
    count: usize,
) -> anyhow::Result<(f64, Duration)> {
    load::run(target, CONNECTIONS, Arc::clone(&requests), count / 10).await?;
    let cpu = process::cpu(pid)?;
    let outcome = load::run(target, CONNECTIONS, requests, count).await?;
    let cpu = process::cpu(pid)?.saturating_sub(cpu);
    let [.., good, _, _, _] = outcome.statuses;
    anyhow::ensure!(good == count, "not everything was answered with 2xx: {:?}", outcome.statuses);
    Ok((rate(count, outcome.took), each(cpu, count)))
}

/// The empty route in a process of its own. Dropping it kills it.
pub struct Empty {
    /// Its process.
    pub child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Empty {
    /// Starts it beside the agent.
    pub async fn start(home: &Home) -> anyhow::Result<Empty> {
        let address = SocketAddr::new(home.public().ip(), 8588);
        let child =
            Command::new(std::env::current_exe()?).args([bare::EMPTY_ROUTE, &address.to_string()]).spawn()?;
        let empty = Empty { child, address };
        wait(|| Ok(std::net::TcpStream::connect(address).is_ok())).await?;
        Ok(empty)
    }
}

impl Drop for Empty {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
