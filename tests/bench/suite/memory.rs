//! Resident memory, and the time from the start of the process to READY.

use std::time::Duration;

use super::agent::{Agent, Home};
use super::report::{Budget, against, figure, headline};
use super::{filled, process};

/// How long an agent has had nothing to do when it is called idle.
const FREED: Duration = Duration::from_secs(3);

/// # Errors
/// Whatever broke.
pub fn run(quick: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let sizes: &[usize] = if quick { &[0, 10_000] } else { &[0, 10_000, 100_000] };
    runtime.block_on(async {
        for &followers in sizes {
            headline(&format!("{followers} followers on {} hosts", followers.div_ceil(filled::PER_HOST)));
            let home = Home::new().await?;
            home.follow(filled::crowd(followers)).await?;
            let agent = home.start("").await?;
            against("READY after a clean stop", seconds(&agent), Budget::AtMost(1.0), "s");
            home.settled().await?;
            // What is free goes back to the system a second later.
            tokio::time::sleep(FREED).await;
            let resident = process::resident(agent.pid())?;
            let most = if followers == 0 { 25.0 } else { 60.0 };
            against("resident memory, idle", resident.now, Budget::AtMost(most), "MiB");
            let parts = format!("{:.1} MiB, {:.1} MiB", resident.own, resident.peak);
            figure("of that not pages of files; peak so far", &parts);
            agent.kill()?;
            let agent = home.start("").await?;
            against("READY after kill -9", seconds(&agent), Budget::AtMost(5.0), "s");
            agent.stop().await?;
        }
        Ok(())
    })
}

fn seconds(agent: &Agent) -> f64 {
    agent.ready_after.as_secs_f64()
}
