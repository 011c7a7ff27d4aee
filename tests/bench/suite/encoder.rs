//! A live video encoder as Owncast runs one: ffmpeg with x264 in software, at the pace of its source.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::process;
use super::report::ratio;

/// Frames encoded to find out what one costs.
const SAMPLE: u32 = 150;
/// A frame that comes so much after its time is late: what a player has in reserve at least.
const LATE: Duration = Duration::from_millis(100);

/// A running encoder. Dropping it kills it.
pub struct Encoder {
    child: Child,
    rate: u32,
    frames: Arc<Mutex<Vec<Instant>>>,
}

/// How encoding went for a while.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Frames that came per frame that was due.
    pub speed: f64,
    /// Frames, and those of them that were late.
    pub frames: [usize; 2],
    /// The latest one.
    pub latest: Duration,
}

fn ffmpeg(rate: u32) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-benchmark"]).stdin(Stdio::null());
    command.args(["-loglevel", "info", "-nostats"]);
    if rate > 0 {
        command.arg("-re");
    }
    command.args(["-f", "lavfi", "-i", &format!("testsrc2=size=1920x1080:rate={}", rate.max(30))]);
    command.args(["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-b:v", "4M"]);
    command
}

/// The frame rate at which encoding takes this share of all cores.
///
/// # Errors
/// There is no ffmpeg, or it has no x264.
pub fn calibrate(share: f64) -> anyhow::Result<u32> {
    let output = ffmpeg(0).args(["-frames:v", &SAMPLE.to_string(), "-f", "null", "-"]).output().context(
        "ffmpeg cannot be started: tests/bench/run installs it, or install the Debian package ffmpeg yourself",
    )?;
    let text = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "ffmpeg does not encode with libx264:\n{text}");
    let spent: f64 = ["utime=", "stime="]
        .into_iter()
        .map(|name| {
            let (_, behind) = text.split_once(name).context("ffmpeg does not say what it took")?;
            let number = behind.split('s').next().unwrap_or_default();
            number.parse::<f64>().context("ffmpeg's time")
        })
        .sum::<anyhow::Result<f64>>()?;
    let cores = std::thread::available_parallelism()?.get();
    let rate = share * cores as f64 / (spent / f64::from(SAMPLE));
    // A frame rate is far below 2^32; a fraction of it is nothing.
    Ok(rate.clamp(5.0, 1000.0) as u32)
}

impl Encoder {
    /// Starts encoding at this frame rate.
    pub fn start(rate: u32) -> anyhow::Result<Encoder> {
        let mut command = ffmpeg(rate);
        command.args(["-f", "framecrc", "-flush_packets", "1", "pipe:1"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let frames: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let seen = Arc::clone(&frames);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if !line.starts_with('#') {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                }
            }
        });
        Ok(Encoder { child, rate, frames })
    }

    /// Its CPU so far.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu(self.child.id())
    }

    /// What came since `from`.
    pub fn since(&self, from: Instant) -> anyhow::Result<Seen> {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (first, rest) = frames.split_first().context("ffmpeg encodes nothing")?;
        let due = |number: usize| Duration::from_secs_f64(number as f64 / f64::from(self.rate));
        // How long each was under way, the quickest one counting as in time.
        let after: Vec<(Instant, f64)> = rest
            .iter()
            .enumerate()
            .map(|(number, at)| (*at, (*at - *first).as_secs_f64() - due(number + 1).as_secs_f64()))
            .collect();
        let quickest = after.iter().map(|(_, after)| *after).fold(0.0, f64::min);
        let window: Vec<(Instant, f64)> = after.into_iter().filter(|(at, _)| *at >= from).collect();
        let (begin, end) =
            (window.first().context("no frame came")?, window.last().context("no frame came")?);
        let late = |after: f64| Duration::try_from_secs_f64(after - quickest).unwrap_or_default();
        let latest = window.iter().map(|(_, after)| late(*after)).max().unwrap_or_default();
        Ok(Seen {
            speed: ratio(due(window.len() - 1), end.0 - begin.0),
            frames: [window.len(), window.iter().filter(|(_, after)| late(*after) > LATE).count()],
            latest,
        })
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
