//! A video encoder beside a fan-out to ten thousand: it must not notice.

use std::time::{Duration, Instant};

use super::encoder::{self, Encoder, Seen};
use super::fanning::{self, Stage};
use super::receivers::Crowd;
use super::report::{Budget, against, each, figure, headline, micros, number, ratio};

/// Of all cores, what the encoder is to take.
const SHARE: f64 = 0.6;
/// What comes first is not looked at.
const SETTLES: Duration = Duration::from_secs(3);

/// # Errors
/// Whatever broke, or there is no ffmpeg.
pub fn run(quick: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let inboxes = if quick { 2_000 } else { 10_000 };
    let alone_for = Duration::from_secs(if quick { 8 } else { 30 });
    let crowd = Crowd {
        inboxes,
        hosts: inboxes,
        latency: Duration::from_millis(100),
        tls: true,
        h2: false,
        refused: 5,
        silent: 1,
    };
    let rate = encoder::calibrate(SHARE)?;
    runtime.block_on(async {
        let concurrency = fanning::defaults().await?.concurrency as usize;
        let mut stage = Stage::new(crowd).await?;
        // The inboxes are no neighbours of the encoder's in the world.
        stage.receivers.step_back()?;
        let encoder = Encoder::start(rate)?;
        tokio::time::sleep(SETTLES).await;

        headline(&format!("1080p at {rate} frames per second, alone"));
        let (cpu, start) = (encoder.cpu()?, Instant::now());
        tokio::time::sleep(alone_for).await;
        let alone = encoder.since(start)?;
        let cores = std::thread::available_parallelism()?.get();
        let share = ratio(encoder.cpu()?.saturating_sub(cpu), start.elapsed()) / cores as f64;
        figure("the encoder's CPU", &format!("{} % of {cores} cores", number(100.0 * share)));
        print(alone);

        headline(&format!(
            "beside a fan-out to {inboxes} inboxes over TLS at 100 ms, 5 % refused, 1 % silent"
        ));
        let start = Instant::now();
        let ran = stage.fan_out(concurrency).await?;
        let beside = encoder.since(start)?;
        against("speed / alone", beside.speed / alone.speed, Budget::AtLeast(0.98), "×");
        print(beside);
        figure("time of the fan-out to 100 %", &format!("{:.1} s", ran.whole().as_secs_f64()));
        figure("agent's CPU per delivery", &micros(each(ran.cpu, inboxes)));
        stage.agent.kill()
    })
}

fn print(seen: Seen) {
    let [frames, late] = seen.frames;
    figure("speed", &format!("{:.3} ×", seen.speed));
    figure("frames, late by more than 100 ms", &format!("{frames}, {late}"));
    figure("the latest", &format!("{} ms", number(seen.latest.as_secs_f64() * 1e3)));
}
