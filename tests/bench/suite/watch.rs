//! From Owncast's webhook to the first delivery, from the first Like to chat, and what watching costs Owncast and us.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use owncast_herald::sim::fediverse::Fediverse;
use owncast_herald::sim::owncast::Timeline;
use ulid::Ulid;

use super::agent::{Home, wait};
use super::people::People;
use super::report::{Budget, against, figure, headline, number, ratio};
use super::{load, process};

/// A stream that is online at once.
const AT_ONCE: Timeline = Timeline { online_after: Duration::ZERO, thumbnail_after: Duration::ZERO };
/// People who like.
const PEOPLE: usize = 16;
/// Nothing is said in chat for this long before a Like: more than the burst window that the bench configures.
const QUIET: Duration = Duration::from_millis(400);
/// A measured moment that takes longer is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// # Errors
/// Whatever broke.
pub fn run(quick: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rounds = if quick { 5 } else { 20 };
    let rest = Duration::from_secs(if quick { 10 } else { 60 });
    let inboxes = if quick { 1_000 } else { 10_000 };
    runtime.block_on(async {
        first_delivery(rounds).await?;
        first_like().await?;
        let idle = at_rest(rest).await?;
        beside_a_fan_out(inboxes, idle).await
    })
}

/// Encoder connects → first delivery on the wire, webhook and all, without delay and picture.
async fn first_delivery(rounds: u64) -> anyhow::Result<()> {
    headline(&format!("a stream starts with one follower, {rounds} times: no delay, no picture"));
    let fediverse = Fediverse::start().await;
    let sink = fediverse.sink_on(1, 1).await?;
    let home = Home::new().await?;
    home.follow(sink.actors().into_iter().zip(sink.urls()).collect()).await?;
    let agent = home.start("").await?;
    home.settled().await?;
    let mut times = Vec::new();
    for round in 1..=rounds {
        // The edit at the end of the stream before, and what the agent does after it.
        let before = sink.received();
        tokio::time::sleep(QUIET).await;
        let start = Instant::now();
        home.owncast.go_live_with(AT_ONCE);
        anyhow::ensure!(sink.wait_received(PATIENCE, before + 1).await, "stream {round} reached nobody");
        times.push(start.elapsed());
        home.owncast.end_stream();
        anyhow::ensure!(sink.wait_received(PATIENCE, before + 2).await, "the end of {round} reached nobody");
    }
    agent.stop().await?;
    spread("encoder connects → first delivery", times, Budget::AtMost(20.0))
}

/// A Like after quiet → the call that says it in chat, key known.
async fn first_like() -> anyhow::Result<()> {
    headline(&format!("a Like after quiet, {} times, key known but for the first", PEOPLE - 1));
    let home = Home::new().await?;
    let people = People::start(PEOPLE).await?;
    let agent = home.start("[notices]\nburst-window = \"100ms\"\nmax-per-minute = 60").await?;
    home.settled().await?;
    home.owncast.go_live_with(AT_ONCE);
    let post = announced(&home).await?;
    let likes = people.likes(&home.addresses, &[post], PEOPLE)?;
    let mut times = Vec::new();
    for like in likes {
        let before = home.owncast.chat().len();
        tokio::time::sleep(QUIET).await;
        let start = Instant::now();
        let taken = load::run(home.public(), 1, std::sync::Arc::new(vec![like]), 1).await?;
        anyhow::ensure!(taken.statuses.get(2) == Some(&1), "a Like was refused: {:?}", taken.statuses);
        let said = home.owncast.wait_until(PATIENCE, |owncast| owncast.chat().len() > before).await;
        anyhow::ensure!(said, "a Like was not said in chat");
        times.push(start.elapsed());
    }
    agent.stop().await?;
    // The first one's key had to be fetched.
    times.remove(0);
    spread("Like sent → said in chat", times, Budget::AtMost(20.0))
}

/// The one post, once it is out.
async fn announced(home: &Home) -> anyhow::Result<Ulid> {
    let path = format!("/federation/user/{}/collections/featured", home.addresses.username);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (_, body) = load::get(home.public(), home.addresses.host(), &path).await?;
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let id = document.pointer("/orderedItems/0/id").and_then(serde_json::Value::as_str);
        if let Some(id) = id.and_then(|id| id.rsplit('/').next()) {
            return id.parse().context("the post's id");
        }
        anyhow::ensure!(Instant::now() < deadline, "no post was made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a while without any event costs. Answers the requests that Owncast got in it, per second.
async fn at_rest(span: Duration) -> anyhow::Result<f64> {
    headline(&format!("nothing happens for {} s", span.as_secs()));
    let home = Home::new().await?;
    let agent = home.start("").await?;
    home.settled().await?;
    let (cpu, asked) = (process::cpu(agent.pid())?, home.owncast.requests().len());
    tokio::time::sleep(span).await;
    let cpu = process::cpu(agent.pid())?.saturating_sub(cpu);
    let asked = home.owncast.requests().len() - asked;
    agent.stop().await?;
    against("CPU", 100.0 * ratio(cpu, span), Budget::AtMost(0.2), "% of a core");
    // Counts of a minute are far below 2^52.
    let per_second = asked as f64 / span.as_secs_f64();
    figure("requests to Owncast in an hour of this", &number(per_second * 3600.0));
    Ok(per_second)
}

/// Whether a fan-out makes Owncast work: it must be asked no more than by a stream that nobody follows.
async fn beside_a_fan_out(inboxes: usize, idle: f64) -> anyhow::Result<()> {
    headline(&format!("a stream starts with {inboxes} inboxes at 100 ms"));
    let fediverse = Fediverse::start().await;
    let sink = fediverse.sink_on(inboxes, inboxes).await?;
    sink.set_latency(Duration::from_millis(100));
    let alone = asked_while_live(&sink, 0).await?;
    let beside = asked_while_live(&sink, inboxes).await?;
    figure("the fan-out took", &format!("{:.1} s", beside.took.as_secs_f64()));
    let per_second = |asked: &Asked| asked.requests as f64 / asked.took.as_secs_f64();
    let (with, without) = (per_second(&beside), per_second(&alone));
    against("requests to Owncast / those of a live stream alone", with / without, Budget::AtMost(1.1), "×");
    figure("requests per second beside it, live alone, at rest", &{
        format!("{}, {}, {}", number(with), number(without), number(idle))
    });
    Ok(())
}

struct Asked {
    requests: usize,
    took: Duration,
}

/// What Owncast is asked from the announcement on: until all `inboxes` have the post, or for as long as that takes with
/// many, when there are none.
async fn asked_while_live(
    sink: &owncast_herald::sim::fediverse::Sink,
    inboxes: usize,
) -> anyhow::Result<Asked> {
    const ALONE: Duration = Duration::from_secs(20);
    let home = Home::new().await?;
    let people = sink.actors().into_iter().zip(sink.urls()).take(inboxes).collect();
    home.follow(people).await?;
    let agent = home.start("").await?;
    home.settled().await?;
    let before = sink.received();
    home.owncast.go_live_with(AT_ONCE);
    announced(&home).await?;
    let (asked, start) = (home.owncast.requests().len(), Instant::now());
    if inboxes == 0 {
        tokio::time::sleep(ALONE).await;
    } else {
        let all = before + inboxes as u64;
        wait(|| Ok(sink.received() >= all)).await.context("the fan-out")?;
    }
    let took = start.elapsed();
    let requests = home.owncast.requests().len() - asked;
    agent.stop().await?;
    Ok(Asked { requests, took })
}

/// Median and worst against a budget in milliseconds.
fn spread(name: &str, mut times: Vec<Duration>, budget: Budget) -> anyhow::Result<()> {
    times.sort();
    let millis = |time: &Duration| time.as_secs_f64() * 1e3;
    let (middle, worst) = (times.get(times.len() / 2), times.last());
    let (middle, worst) = (middle.context("nothing measured")?, worst.context("nothing measured")?);
    against(name, millis(middle), budget, "ms");
    figure("the slowest", &format!("{} ms", number(millis(worst))));
    Ok(())
}
