//! What the kernel says about a process.

use std::time::Duration;

use anyhow::Context as _;

/// `sysconf(_SC_CLK_TCK)` is 100 on every Linux that owncast-herald runs on.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of a process so far, user and system, all its threads: to 10 ms, and to less as long as none of them has ended.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    // The name in parentheses may hold spaces; utime and stime are the 12th and 13th field behind it.
    let (_, behind) = stat.rsplit_once(')').context("no process name")?;
    let ticks: u32 = behind
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u32>().context("a tick count"))
        .sum::<anyhow::Result<u32>>()?;
    // Whole ticks are counted down, those that ended with them; what runs is known to the nanosecond.
    let path = format!("/proc/{pid}/task");
    let mut running = Duration::ZERO;
    for task in std::fs::read_dir(&path).with_context(|| path.clone())? {
        // One that ends meanwhile is in the ticks.
        let Ok(stat) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        running += Duration::from_nanos(stat.split_whitespace().next().context("no time")?.parse()?);
    }
    Ok(running.max(TICK * ticks))
}

/// CPU time of this process so far.
pub fn own_cpu() -> anyhow::Result<Duration> {
    Ok(rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).try_into()?)
}

/// Resident memory of a process in MiB.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// Now.
    pub now: f64,
    /// At its peak so far.
    pub peak: f64,
    /// What now is its own, not pages of files such as the program.
    pub own: f64,
}

/// Resident memory of a process.
pub fn resident(pid: u32) -> anyhow::Result<Resident> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let field = |name: &str| -> anyhow::Result<f64> {
        let line = status.lines().find(|line| line.starts_with(name)).context("no such field")?;
        let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
        Ok(kib / 1024.0)
    };
    Ok(Resident { now: field("VmRSS:")?, peak: field("VmHWM:")?, own: field("RssAnon:")? })
}

/// From here on the peak of [`resident`] is that of what follows.
pub fn forget_peak(pid: u32) -> anyhow::Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    std::fs::write(&path, "5").context(path)
}

/// Open file descriptors of a process.
pub fn descriptors(pid: u32) -> anyhow::Result<usize> {
    let path = format!("/proc/{pid}/fd");
    Ok(std::fs::read_dir(&path).context(path)?.count())
}
