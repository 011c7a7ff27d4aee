//! Fan-out: the agent's own CPU against a bare loop, and how long it takes until everybody has it.

use std::time::Duration;

use owncast_herald::config::DeliveryConfig;

use super::fanning::{self, Ran, Signs, Stream};
use super::receivers::Crowd;
use super::report::{Budget, against, each, figure, headline, micros, number, ratio};
use super::{handshake, signatures};

/// What a real Owncast 0.1.3 took in the same harness for [`OWNCAST_INBOXES`] at [`OWNCAST_LATENCY`], and its CPU for each.
const OWNCAST_TOOK: Duration = Duration::from_secs(102);
const OWNCAST_CPU: Duration = Duration::from_micros(3700);
const OWNCAST_INBOXES: usize = 2000;
const OWNCAST_LATENCY: Duration = Duration::from_millis(100);
/// Inboxes on one host where connections are used again: as many as two at a time get through in two latencies.
const A_FEW: usize = 4;
/// Inboxes on one host where nearly all connections are used again.
const MANY: usize = 16;

/// Latency from which on the agent's slow lane is used,
const SLOW: Duration = Duration::from_millis(100);
/// and what may be under way with it.
const WITH_SLOW_LANE: u32 = 2048;

/// Name and shape of one fan-out.
struct Case {
    name: String,
    crowd: Crowd,
    /// Part of the short run.
    quick: bool,
    /// How often it is measured, the bare loop in between. The least of each counts: that the machine disturbed least.
    rounds: u32,
}

/// What everything is measured against.
struct Parts {
    sign: Duration,
    handshake: Duration,
    /// What the stream takes without followers.
    stream: Stream,
    /// From the encoder's connecting to the first delivery, with one follower.
    first: Duration,
    delivery: DeliveryConfig,
}

/// A line of the table at the end.
struct Line {
    name: String,
    of_bare: f64,
    of_parts: f64,
    of_bound: [f64; 3],
    ran: Ran,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // The third is every server there is, the last more than that: what is kept in memory must not grow with them.
    for (size, inboxes) in [("1k", 1_000), ("10k", 10_000), ("30k", 30_000), ("100k", 100_000)] {
        for millis in [0, 100, 1_000] {
            for (kind, hosts, tls) in [
                ("new", inboxes, false),
                ("reused", inboxes / A_FEW, false),
                ("crowded", inboxes / MANY, false),
                ("tls", inboxes, true),
                ("h2", inboxes, true),
            ] {
                let h2 = kind == "h2";
                if h2 && millis > 100 || inboxes > 10_000 && !(kind == "new" || kind == "tls") {
                    continue;
                }
                if inboxes > 10_000 && millis != 100 || inboxes > 30_000 && kind != "new" {
                    continue;
                }
                let latency = Duration::from_millis(millis);
                let crowd = Crowd { inboxes, hosts, latency, tls, h2, refused: 5, silent: 1 };
                let quick = inboxes == 1_000
                    && (millis == 0 || millis == 100 && kind != "reused")
                    && kind != "crowded";
                let rounds = match inboxes {
                    1_000 => 6,
                    10_000 => 3,
                    _ => 1,
                };
                cases.push(Case { name: format!("{kind}-{size}-{millis}ms"), crowd, quick, rounds });
            }
        }
    }
    cases
}

/// `only`: parts of names, of which a case must have one; none means all, or all short ones.
///
/// # Errors
/// Whatever broke, or no case of such a name.
pub fn run(quick: bool, only: &[String]) -> anyhow::Result<()> {
    const OWNCAST: &str = "owncast-2k-100ms";
    let wanted = |name: &str, quick_too: bool| match only {
        [] => quick_too || !quick,
        only => only.iter().any(|part| name.contains(part.as_str())),
    };
    let all = cases();
    let names: Vec<_> = all.iter().map(|case| case.name.clone()).chain([OWNCAST.to_owned()]).collect();
    let mut cases: Vec<_> = all.into_iter().filter(|case| wanted(&case.name, case.quick)).collect();
    if quick {
        cases.iter_mut().for_each(|case| case.rounds = 1);
    }
    let with_owncast = wanted(OWNCAST, true);
    anyhow::ensure!(!cases.is_empty() || with_owncast, "no such case; there are: {}", names.join(", "));

    let rounds = if quick { 20 } else { 60 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let parts = Parts {
            sign: signatures::costs(rounds)?.raw_sign,
            handshake: handshake::cost(rounds * 10)?,
            stream: Stream::measured().await?,
            first: fanning::first_delivery().await?,
            delivery: fanning::defaults().await?,
        };
        headline("the parts, alone");
        figure("CPU of the library's signature", &micros(parts.sign));
        figure("CPU of the library's TLS handshake, the caller's side", &micros(parts.handshake));
        figure("CPU of a stream's start without followers", &micros(parts.stream.start()));
        figure("CPU of each further second of it", &micros(parts.stream.each_second()));
        figure("from the encoder's connecting to the first delivery", &micros(parts.first));
        let (threads, at_once) = (parts.delivery.sign_threads, parts.delivery.concurrency);
        figure("threads, concurrency", &format!("{threads}, {at_once}"));
        if with_owncast {
            against_owncast(&parts).await?;
        }
        let mut table = Vec::new();
        for case in &cases {
            table.push(compare(case, &parts).await?);
        }
        print(&table);
        Ok(())
    })
}

async fn compare(case: &Case, parts: &Parts) -> anyhow::Result<Line> {
    let Case { name, crowd, .. } = case;
    headline(&format!("{name}: {} inboxes on {} hosts, 5 % refused, 1 % silent", crowd.inboxes, crowd.hosts));
    let delivery = parts.at_once(crowd);
    let concurrency = delivery.concurrency as usize;
    let mut ran = fanning::agent(*crowd, concurrency).await?;
    let sample = fanning::sample(*crowd, concurrency);
    let (mut bare, mut bare_took) = bare_loop(sample, &delivery).await?;
    for _ in 1..case.rounds {
        let again = fanning::agent(*crowd, concurrency).await?;
        let (cpu, lasted) = std::cmp::min((ran.cpu, ran.lasted), (again.cpu, again.lasted));
        ran = Ran { cpu, lasted, ..if again.whole() < ran.whole() { again } else { ran } };
        let (cpu, took) = bare_loop(sample, &delivery).await?;
        (bare, bare_took) = (bare.min(cpu), bare_took.min(took));
    }
    let ours = each(ran.cpu.saturating_sub(parts.stream.within(ran.lasted)), crowd.inboxes);
    let each_part = parts.each(crowd);
    let of_bare = ratio(ours, bare);
    against("agent's CPU per delivery / bare loop's", of_bare, Budget::AtMost(1.10), "×");
    let what = if crowd.tls { "(signature + handshake)" } else { "signature" };
    let of_parts = ratio(ours, each_part);
    figure(
        &format!("agent's, bare loop's CPU per delivery / {what}"),
        &format!("{} ×, {} ×", number(of_parts), number(ratio(bare, each_part))),
    );
    figure("agent's, bare loop's CPU per delivery", &format!("{}, {}", micros(ours), micros(bare)));
    let bound = parts.bound(crowd);
    let of_bound = [1, 2, 3].map(|index| ratio(ran.reached.get(index).copied().unwrap_or_default(), bound));
    let [half, most, all] = of_bound;
    let turns = parts.turns(crowd);
    let name_of_bound = format!("(n × {what} ÷ threads + {turns} L)");
    against(&format!("time to 100 % / {name_of_bound}"), all, Budget::AtMost(1.15), "×");
    figure("the same to 50 %, 99 %", &format!("{} ×, {} ×", number(half), number(most)));
    if crowd.tls {
        let count = u32::try_from(crowd.inboxes).unwrap_or(u32::MAX);
        let bound = parts.sign * count / parts.delivery.sign_threads.max(1) + 2 * crowd.latency;
        let name = "time to 100 % / (n × signature ÷ threads + 2 L)";
        figure(name, &format!("{} ×", number(ratio(ran.whole(), bound))));
    }
    if sample.inboxes == crowd.inboxes {
        figure("time to 100 % / bare loop's", &format!("{} ×", number(ratio(ran.whole(), bare_took))));
        let queue = ratio(ran.whole().saturating_sub(parts.first), bare_took);
        against("the same without the start of the stream", queue, Budget::AtMost(1.10), "×");
    }
    let [first, half, most, all] = ran.reached.map(|time| format!("{:.3} s", time.as_secs_f64()));
    figure("first, 50 %, 99 %, 100 % after the encoder connects", &format!("{first}, {half}, {most}, {all}"));
    figure("memory at its peak above idle", &format!("{:.1} MiB", ran.memory));
    let [tenth, end] = ran.along.map(|memory| format!("{memory:.1} MiB"));
    figure("memory above idle when a tenth had it, and when all had", &format!("{tenth}, {end}"));
    // Counts of descriptors are far below 2^52.
    against("open descriptors at their peak", ran.descriptors as f64, Budget::AtMost(4095.0), "");
    figure("requests that repeated another", &ran.repeated.to_string());
    Ok(Line { name: name.clone(), of_bare, of_parts, of_bound, ran })
}

/// The bare loop's CPU for each where nothing is handed over between threads, and its time where signatures are.
async fn bare_loop(crowd: Crowd, delivery: &DeliveryConfig) -> anyhow::Result<(Duration, Duration)> {
    let (cpu, _) = fanning::bare(crowd, delivery, Signs::Together).await?;
    let (_, took) = fanning::bare(crowd, delivery, Signs::Apart).await?;
    Ok((cpu, took))
}

impl Parts {
    /// The least that a delivery costs.
    fn each(&self, crowd: &Crowd) -> Duration {
        self.sign + if crowd.tls { self.handshake } else { Duration::ZERO }
    }

    /// The least time that a fan-out takes.
    fn bound(&self, crowd: &Crowd) -> Duration {
        let count = u32::try_from(crowd.inboxes).unwrap_or(u32::MAX);
        self.each(crowd) * count / self.delivery.sign_threads.max(1) + self.turns(crowd) * crowd.latency
    }

    /// What the bare loop may have under way at once: as much as the agent, whose slow lane is beside its `concurrency`.
    fn at_once(&self, crowd: &Crowd) -> DeliveryConfig {
        let concurrency = if crowd.latency > SLOW { WITH_SLOW_LANE } else { self.delivery.concurrency };
        DeliveryConfig { concurrency, ..self.delivery.clone() }
    }

    /// How many latencies a fan-out may take: two, or more where those of one host take more, which are asked a few at a time.
    fn turns(&self, crowd: &Crowd) -> u32 {
        let turns = crowd.inboxes.div_ceil(crowd.hosts).div_ceil((self.delivery.per_host as usize).max(1));
        u32::try_from(turns).unwrap_or(u32::MAX).max(2)
    }
}

/// What Owncast was measured at; and the same with inboxes that are no more, which stop it for good.
async fn against_owncast(parts: &Parts) -> anyhow::Result<()> {
    headline(&format!("{OWNCAST_INBOXES} inboxes at 100 ms, all well"));
    let concurrency = parts.delivery.concurrency as usize;
    let all = Crowd {
        inboxes: OWNCAST_INBOXES,
        hosts: OWNCAST_INBOXES,
        latency: OWNCAST_LATENCY,
        tls: false,
        h2: false,
        refused: 0,
        silent: 0,
    };
    let ran = fanning::agent(all, concurrency).await?;
    against("Owncast 0.1.3's time / ours", ratio(OWNCAST_TOOK, ran.whole()), Budget::AtLeast(50.0), "×");
    let ours = each(ran.cpu.saturating_sub(parts.stream.within(ran.lasted)), OWNCAST_INBOXES);
    against("our CPU / Owncast 0.1.3's", ratio(ours, OWNCAST_CPU), Budget::AtMost(1.0 / 3.0), "×");
    figure("time to 100 %", &format!("{:.3} s", ran.whole().as_secs_f64()));

    headline("5 % refuse, 1 % are silent");
    let ill = Crowd { refused: 5, silent: 1, ..all };
    // As many as answer of the others.
    let well = Crowd { inboxes: ill.live(), hosts: ill.live(), ..all };
    let (well, ill) = (fanning::agent(well, concurrency).await?, fanning::agent(ill, concurrency).await?);
    for (part, (ill, well)) in
        ["50 %", "99 %", "100 %"].into_iter().zip(ill.reached.into_iter().zip(well.reached).skip(1))
    {
        let name = format!("time to {part} of those that answer / all well");
        against(&name, ratio(ill, well), Budget::AtMost(1.05), "×");
    }
    Ok(())
}

fn print(table: &[Line]) {
    headline("all of it; CPU per delivery, and time over the least there can be");
    println!(
        "    {:<18} {:>9} {:>9} {:>7} {:>7} {:>7} {:>8} {:>6}",
        "", "CPU/bare", "CPU/parts", "50 %", "99 %", "100 %", "MiB", "files"
    );
    for Line { name, of_bare, of_parts, of_bound: [half, most, all], ran } in table {
        println!(
            "    {name:<18} {of_bare:>8.2}× {of_parts:>8.2}× {half:>6.2}× {most:>6.2}× {all:>6.2}× {:>8.1} {:>6}",
            ran.memory, ran.descriptors
        );
    }
}
