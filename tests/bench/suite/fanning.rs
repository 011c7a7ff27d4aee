//! One fan-out: by the real agent, or by the bare loop.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use owncast_herald::config::DeliveryConfig;
use owncast_herald::sim::owncast::Timeline;

use super::agent::{Agent, Home};
use super::receivers::{Crowd, Receivers};
use super::{bare, posts, process};

/// A stream that is online at once.
const AT_ONCE: Timeline = Timeline { online_after: Duration::ZERO, thumbnail_after: Duration::ZERO };
/// How often is looked how far things are.
const LOOK: Duration = Duration::from_millis(20);
/// What the agent may take at most, beside twice what waiting for the answers takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the agent did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ran {
    /// From the encoder's connecting to the last outcome on disk,
    pub cpu: Duration,
    /// which took so long.
    pub lasted: Duration,
    /// From the encoder's connecting to the first inbox, then to 50, 99 and 100 % of those that answer.
    pub reached: [Duration; 4],
    /// Resident memory at its peak above what it was before, in MiB.
    pub memory: f64,
    /// Resident memory when a tenth of those that answer had been reached, and when all had, above what it was before, in MiB.
    pub along: [f64; 2],
    /// Open file descriptors at their peak.
    pub descriptors: usize,
    /// Requests to inboxes that had got the post already.
    pub repeated: usize,
}

impl Ran {
    /// Until all of those had it that answer.
    pub fn whole(&self) -> Duration {
        let [.., whole] = self.reached;
        whole
    }
}

/// A store full of followers with their inboxes, and the agent on it.
pub struct Stage {
    /// Where it lives.
    pub home: Home,
    /// The far side.
    pub receivers: Receivers,
    /// The process.
    pub agent: Agent,
    crowd: Crowd,
}

impl Stage {
    /// Everything ready, the stream not started.
    pub async fn new(crowd: Crowd) -> anyhow::Result<Stage> {
        let receivers = Receivers::start(crowd)?;
        let mut home = Home::new().await?;
        home.follow(receivers.people()?).await?;
        home.extra_ca = receivers.authority();
        let agent = home.start("").await?;
        home.settled().await?;
        Ok(Stage { home, receivers, agent, crowd })
    }

    /// A stream goes live. Answers when all have the post that take one.
    pub async fn fan_out(&mut self, concurrency: usize) -> anyhow::Result<Ran> {
        let pid = self.agent.pid();
        let idle = process::resident(pid)?.now;
        process::forget_peak(pid)?;
        let cpu = process::cpu(pid)?;
        let (start, started) = (SystemTime::now(), Instant::now());
        self.home.owncast.go_live_with(AT_ONCE);
        let live = self.crowd.live();
        let patience = PATIENCE + waiting(self.crowd, concurrency) * 2;
        let mut descriptors = 0;
        let mut at_a_tenth = None;
        let repeated = loop {
            let (inboxes, requests) = self.receivers.heard()?;
            if inboxes >= live {
                break requests - inboxes;
            }
            anyhow::ensure!(started.elapsed() < patience, "{inboxes} of {live} inboxes were reached");
            descriptors = descriptors.max(process::descriptors(pid)?);
            if at_a_tenth.is_none() && inboxes >= live / 10 {
                at_a_tenth = Some(process::resident(pid)?.now);
            }
            tokio::time::sleep(LOOK).await;
        };
        let at_the_end = process::resident(pid)?.now;
        let along = [at_a_tenth.unwrap_or(at_the_end), at_the_end].map(|now| now - idle);
        // The last answers are still on their way, and then to the disk.
        tokio::time::sleep(self.crowd.latency + Duration::from_millis(300)).await;
        let (cpu, lasted) = (process::cpu(pid)?.saturating_sub(cpu), started.elapsed());
        let memory = process::resident(pid)?.peak - idle;
        Ok(Ran { cpu, lasted, reached: self.receivers.marks(start)?, memory, along, descriptors, repeated })
    }
}

/// The crowd of a bare loop: as many of these as it does not wait for the answers of too long. What it spends on each is
/// the same for fewer.
pub fn sample(crowd: Crowd, concurrency: usize) -> Crowd {
    const LONGEST: Duration = Duration::from_secs(30);
    let mut crowd = crowd;
    while waiting(crowd, concurrency) > LONGEST {
        crowd.inboxes /= 2;
        crowd.hosts = (crowd.hosts / 2).max(1);
    }
    crowd
}

/// What waiting for the answers takes at this concurrency, whatever the CPU does.
fn waiting(crowd: Crowd, concurrency: usize) -> Duration {
    let turns = u32::try_from(crowd.inboxes.div_ceil(concurrency.max(1))).unwrap_or(u32::MAX);
    crowd.latency * turns
}

/// One fan-out of the agent.
pub async fn agent(crowd: Crowd, concurrency: usize) -> anyhow::Result<Ran> {
    let mut stage = Stage::new(crowd).await?;
    let ran = stage.fan_out(concurrency).await?;
    // What never answers is still waited for: nothing of that is measured.
    stage.agent.kill()?;
    Ok(ran)
}

/// CPU that a stream takes of an agent without followers.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    start: Duration,
    /// In each second after [`START`].
    then: Duration,
}

/// A stream has started when so long has passed,
const START: Duration = Duration::from_secs(1);
/// and is watched for so long.
const WATCHED: u32 = 10;

impl Stream {
    /// Of one that goes live, and runs for a while.
    pub async fn measured() -> anyhow::Result<Stream> {
        let home = Home::new().await?;
        let agent = home.start("").await?;
        home.settled().await?;
        let cpu = process::cpu(agent.pid())?;
        home.owncast.go_live_with(AT_ONCE);
        tokio::time::sleep(START).await;
        let started = process::cpu(agent.pid())?;
        tokio::time::sleep(Duration::from_secs(WATCHED.into())).await;
        let watched = process::cpu(agent.pid())?;
        let posts = home.counter("herald_published_posts_total{kind=\"go_live\"}").await?;
        anyhow::ensure!(posts == 1.0, "no post was made");
        agent.stop().await?;
        Ok(Stream { start: started.saturating_sub(cpu), then: watched.saturating_sub(started) / WATCHED })
    }

    /// Of its start.
    pub fn start(self) -> Duration {
        self.start
    }

    /// In each second of its course.
    pub fn each_second(self) -> Duration {
        self.then
    }

    /// In so long from its start on.
    pub fn within(self, lasted: Duration) -> Duration {
        self.start + self.then.mul_f64(lasted.saturating_sub(START).as_secs_f64())
    }
}

/// How long it takes from the encoder's connecting until the only follower has the post. The least of a few.
pub async fn first_delivery() -> anyhow::Result<Duration> {
    let one =
        Crowd { inboxes: 1, hosts: 1, latency: Duration::ZERO, tls: false, h2: false, refused: 0, silent: 0 };
    let mut least = Duration::MAX;
    for _ in 0..5 {
        least = least.min(agent(one, 1).await?.whole());
    }
    Ok(least)
}

/// `[delivery]` as it is by default.
pub async fn defaults() -> anyhow::Result<DeliveryConfig> {
    Ok(Home::new().await?.loaded()?.delivery)
}

/// Where the bare loop signs.
#[derive(Clone, Copy, Debug)]
pub enum Signs {
    /// On the threads that send.
    Together,
    /// On threads of its own, as the agent.
    Apart,
}

/// CPU per inbox and whole time of the bare loop. What never answers it is spared: it would only wait.
pub async fn bare(
    crowd: Crowd,
    delivery: &DeliveryConfig,
    signs: Signs,
) -> anyhow::Result<(Duration, Duration)> {
    let receivers = Receivers::start(crowd)?;
    let home = Home::new().await?;
    let file = |bytes: &[u8]| {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(bytes)?;
        anyhow::Ok(file)
    };
    let body = file(posts::create(&home.addresses)?.as_bytes())?;
    let answering = receivers.answering()?;
    let inboxes = file(answering.join("\n").as_bytes())?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(bare::DELIVER).arg(home.key_file()).arg(body.path()).arg(inboxes.path());
    command.args(
        [delivery.concurrency, delivery.per_host, delivery.sign_threads].map(|number| number.to_string()),
    );
    command.arg(match signs {
        Signs::Together => "together",
        Signs::Apart => "apart",
    });
    command.arg(crowd.live().to_string());
    command.arg(if crowd.hosts < crowd.inboxes { "keep" } else { "close" });
    command.args(receivers.authority());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = || format!("the bare loop failed: {}", String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success(), failed());
    let mut times = text.split_whitespace().map(|field| field.parse().map(Duration::from_micros));
    let cpu: Duration = times.next().with_context(failed)??;
    let took = times.next().with_context(failed)??;
    Ok((super::report::each(cpu, answering.len()), took))
}
