//! Fan-out: the agent's own CPU against a bare loop, and how long it takes until everybody has it.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use owncast_herald::decide::publish::Announcement;
use owncast_herald::decide::rules::OnEnd;
use owncast_herald::decide::{Moment, Rules, publish};
use owncast_herald::model::delivery::Outgoing;
use owncast_herald::model::facts::Facts;
use owncast_herald::model::post::Audience;
use owncast_herald::model::view::MemoryView;
use owncast_herald::model::{Addresses, Draft};
use owncast_herald::sim::fediverse::{Fediverse, Sink};
use owncast_herald::sim::owncast::Timeline;
use ulid::Ulid;

use super::agent::Home;
use super::report::{Budget, against, each, figure, headline, micros, ratio};
use super::{bare, process, signatures};

/// `[delivery] concurrency` by default. The bare loop gets the same as the agent.
const CONCURRENCY: usize = 64;
/// What a real Owncast 0.1.3 took in the same harness for 2,000 inboxes at 100 ms, and its CPU for each.
const OWNCAST_TOOK: Duration = Duration::from_secs(102);
const OWNCAST_CPU: Duration = Duration::from_micros(3700);
/// A fan-out that has not come to its end by then is broken, or the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// One fan-out.
#[derive(Clone, Copy, Debug)]
struct Case {
    inboxes: usize,
    hosts: usize,
    latency: Duration,
    dead: f64,
    silent: f64,
    concurrency: usize,
}

/// What the agent did.
struct Ran {
    /// From the encoder's connecting to the last outcome on disk.
    cpu: Duration,
    /// From the encoder's connecting to the first inbox, then to 50, 99 and 100 % of those that answer.
    reached: [Duration; 4],
    peak_before: f64,
    peak: f64,
}

/// # Errors
/// Whatever broke.
pub fn run(quick: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let costs = signatures::costs(if quick { 20 } else { 60 })?;
    headline("one signature of the library, alone");
    figure("CPU", &micros(costs.raw_sign));
    let rounds = if quick { 1 } else { 3 };
    let n = if quick { 1000 } else { 2000 };
    let plain = Case {
        inboxes: n,
        hosts: n,
        latency: Duration::ZERO,
        dead: 0.0,
        silent: 0.0,
        concurrency: CONCURRENCY,
    };
    let slow = Duration::from_millis(100);
    runtime.block_on(async {
        let start = start_of_stream(rounds).await?;
        headline("the start of a stream without followers: Owncast is asked, a post is made");
        figure("CPU", &micros(start));
        for (name, case) in [
            ("new connections", plain),
            ("re-used connections", Case { hosts: n / 16, ..plain }),
            ("new connections, 100 ms", Case { latency: slow, ..plain }),
            ("new connections, 100 ms, concurrency = 256", Case { latency: slow, concurrency: 256, ..plain }),
        ] {
            headline(&format!("{name}: {n} inboxes on {} hosts", case.hosts));
            compare(case, rounds, costs.raw_sign, start).await?;
        }
        headline(&format!("5 % dead, 1 % silent, 100 ms: {n} inboxes"));
        // As many as answer of the others.
        let answering = n - n / 20 - n / 100;
        let well = Case { inboxes: answering, hosts: answering, latency: slow, ..plain };
        let well = fan_out(well).await?;
        let ill = fan_out(Case { latency: slow, dead: 0.05, silent: 0.01, ..plain }).await?;
        for (index, part) in ["50 %", "99 %", "100 %"].into_iter().enumerate() {
            let (ill, well) = (ill.part(index + 1), well.part(index + 1));
            let name = format!("time to {part} of those that answer / all well");
            against(&name, ratio(ill, well), Budget::AtMost(1.05), "×");
        }
        anyhow::Ok(())
    })
}

impl Ran {
    fn part(&self, index: usize) -> Duration {
        self.reached.get(index).copied().unwrap_or_default()
    }
}

async fn compare(case: Case, rounds: u32, sign: Duration, start: Duration) -> anyhow::Result<()> {
    // In turns, so that a busy moment of the machine meets both. CPU is the mean of the rounds, times are of the fastest.
    let mut ran = fan_out(case).await?;
    let (mut bare_cpu, mut bare_took) = bare_loop(case).await?;
    for _ in 1..rounds {
        let again = fan_out(case).await?;
        let cpu = ran.cpu + again.cpu;
        ran = Ran { cpu, ..if again.part(3) < ran.part(3) { again } else { ran } };
        let (cpu, took) = bare_loop(case).await?;
        bare_cpu += cpu;
        bare_took = bare_took.min(took);
    }
    ran.cpu /= rounds;
    bare_cpu /= rounds;
    let (ours, bare) = (each(ran.cpu.saturating_sub(start), case.inboxes), each(bare_cpu, case.inboxes));
    against("agent's CPU per delivery / bare loop's", ratio(ours, bare), Budget::AtMost(1.10), "×");
    figure("agent's CPU per delivery / library's signature", &format!("{:.2} ×", ratio(ours, sign)));
    figure("bare loop's / library's signature", &format!("{:.2} ×", ratio(bare, sign)));
    figure("agent's CPU per delivery, bare loop's", &format!("{}, {}", micros(ours), micros(bare)));
    let with_start = each(ran.cpu, case.inboxes);
    figure(
        "the same with the start of the stream / bare loop's",
        &format!("{:.2} ×", ratio(with_start, bare)),
    );
    let count = u32::try_from(case.inboxes).unwrap_or(u32::MAX);
    let ideal = sign * count + 2 * case.latency;
    let whole = ran.part(3);
    against("time to 100 % / (n × signature + 2 L)", ratio(whole, ideal), Budget::AtMost(1.15), "×");
    figure("time to 100 % / bare loop's", &format!("{:.2} ×", ratio(whole, bare_took)));
    let [first, half, most, all] = ran.reached.map(|time| format!("{:.3} s", time.as_secs_f64()));
    figure("first, 50 %, 99 %, 100 % after the encoder connects", &format!("{first}, {half}, {most}, {all}"));
    figure(
        "resident memory before, at its peak",
        &format!("{:.1} MiB, {:.1} MiB", ran.peak_before, ran.peak),
    );
    if !case.latency.is_zero() {
        let theirs = OWNCAST_TOOK * count / 2000;
        against("Owncast 0.1.3's time / ours", ratio(theirs, whole), Budget::AtLeast(50.0), "×");
        against("our CPU / Owncast 0.1.3's", ratio(ours, OWNCAST_CPU), Budget::AtMost(1.0 / 3.0), "×");
    }
    Ok(())
}

async fn sink(case: Case) -> anyhow::Result<(Fediverse, Sink)> {
    let fediverse = Fediverse::start().await;
    let sink = fediverse.sink_on(case.inboxes, case.hosts).await?;
    sink.set_latency(case.latency);
    Ok((fediverse, sink))
}

/// What the start of a stream costs beside its deliveries: the mean of some.
async fn start_of_stream(times: u32) -> anyhow::Result<Duration> {
    let mut sum = Duration::ZERO;
    for _ in 0..times {
        let home = Home::new().await?;
        let agent = home.start("").await?;
        home.settled().await?;
        let cpu = process::cpu(agent.pid())?;
        home.owncast.go_live_with(Timeline { online_after: Duration::ZERO, thumbnail_after: Duration::ZERO });
        // As long as a fan-out takes, so that the quiet work beside it is in both.
        tokio::time::sleep(Duration::from_secs(1)).await;
        sum += process::cpu(agent.pid())?.saturating_sub(cpu);
        anyhow::ensure!(
            home.counter("herald_published_posts_total{kind=\"go_live\"}").await? == 1.0,
            "no post was made"
        );
        agent.stop().await?;
    }
    Ok(sum / times)
}

/// A stream goes live on a store with these followers.
async fn fan_out(case: Case) -> anyhow::Result<Ran> {
    let (_fediverse, sink) = sink(case).await?;
    let home = Home::new().await?;
    home.follow(sink.actors().into_iter().zip(sink.urls()).collect()).await?;
    let answering = case.inboxes - sink.set_dead(case.dead).await - sink.set_silent(case.silent);
    let agent = home.start(&format!("[delivery]\nconcurrency = {}", case.concurrency)).await?;
    home.settled().await?;
    let peak_before = process::resident(agent.pid())?.peak;
    let cpu = process::cpu(agent.pid())?;
    let start = Instant::now();
    home.owncast.go_live_with(Timeline { online_after: Duration::ZERO, thumbnail_after: Duration::ZERO });
    let marks = [1, answering.div_ceil(2), (answering * 99).div_ceil(100), answering];
    let mut reached = [Duration::ZERO; 4];
    for (mark, at) in marks.into_iter().zip(&mut reached) {
        loop {
            *at = start.elapsed();
            if sink.received() >= mark as u64 {
                break;
            }
            anyhow::ensure!(*at < PATIENCE, "{} of {answering} inboxes were reached", sink.received());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    // The last answers are still on their way, and then to the disk.
    tokio::time::sleep(case.latency + Duration::from_millis(300)).await;
    let cpu = process::cpu(agent.pid())?.saturating_sub(cpu);
    let peak = process::resident(agent.pid())?.peak;
    agent.stop().await?;
    Ok(Ran { cpu, reached, peak_before, peak })
}

/// CPU and time of the bare loop over the same inboxes.
async fn bare_loop(case: Case) -> anyhow::Result<(Duration, Duration)> {
    let (_fediverse, sink) = sink(case).await?;
    let home = Home::new().await?;
    let mut body = tempfile::NamedTempFile::new()?;
    body.write_all(activity(&home.addresses)?.as_bytes())?;
    let mut inboxes = tempfile::NamedTempFile::new()?;
    inboxes.write_all(sink.urls().join("\n").as_bytes())?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(bare::DELIVER).arg(home.key_file()).arg(body.path()).arg(inboxes.path());
    command.arg(case.concurrency.to_string());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = || format!("the bare loop failed: {}", String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success(), failed());
    let mut times = text.split_whitespace().map(|field| field.parse().map(Duration::from_micros));
    let cpu = times.next().with_context(failed)??;
    let took = times.next().with_context(failed)??;
    Ok((cpu, took))
}

/// A Create as the agent sends it, so that both send as many bytes.
fn activity(addresses: &Addresses) -> anyhow::Result<String> {
    let rules = rules(addresses);
    let facts = Facts { name: "New Owncast Server".into(), ..Facts::default() };
    let view = MemoryView::default();
    let mut draft = Draft::new(&view);
    let mut moment = Moment::new(Timestamp::now(), 7);
    let session = moment.ulid();
    let post = publish::announce(&mut draft, &mut moment, &rules, &facts, plain(session));
    let outgoing: Outgoing = draft.view().get(&post.create.to_bytes()).context("no Create was queued")?;
    Ok(outgoing.body)
}

/// A post with the built-in text, without title and picture.
pub fn plain(session: Ulid) -> Announcement<'static> {
    Announcement { session, template: "", title: "", picture: None }
}

/// Rules of a public stream with everything at its simplest.
pub fn rules(addresses: &Addresses) -> Rules {
    Rules {
        addresses: addresses.clone(),
        go_live: true,
        delay: Duration::ZERO,
        repost_after: Duration::ZERO,
        title_edits: Duration::ZERO,
        on_end: OnEnd::Update,
        with_picture: false,
        audience: Audience::Public,
        manual_approval: false,
        message: None,
    }
}
