//! The inboxes of a fan-out as its bench sees them; they are served by a process of their own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use rustix::process::Pid;

use super::loopback::RECEIVERS;
use super::receive::{self, INBOX, SILENT};

/// Nothing listens here.
const CLOSED: u16 = 1;

/// What is to receive.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Inboxes in all.
    pub inboxes: usize,
    /// Hosts they are spread over, one after the other.
    pub hosts: usize,
    /// How long each answer takes.
    pub latency: Duration,
    /// Whether they speak TLS.
    pub tls: bool,
    /// Whether they offer HTTP/2, which needs TLS.
    pub h2: bool,
    /// Hosts of a hundred that refuse connections.
    pub refused: usize,
    /// Hosts of a hundred that take a request and never answer.
    pub silent: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Answers,
    Refuses,
    IsSilent,
}

impl Crowd {
    /// Spread evenly, so that neither is met in a row.
    fn manner(&self, host: usize) -> Manner {
        match host % 100 {
            place if place < self.silent => Manner::IsSilent,
            place if self.refused > 0 && place >= 10 && (place - 10) % (90 / self.refused) == 0 => {
                Manner::Refuses
            }
            _ => Manner::Answers,
        }
    }

    /// Inboxes that answer.
    pub fn live(&self) -> usize {
        (0..self.inboxes).filter(|inbox| self.manner(inbox % self.hosts) == Manner::Answers).count()
    }
}

/// The running process. It ends when this is dropped.
pub struct Receivers {
    crowd: Crowd,
    port: u16,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Receivers {
    /// Starts it.
    pub fn start(crowd: Crowd) -> anyhow::Result<Receivers> {
        let folder = tempfile::Builder::new().prefix("herald-bench-ca-").tempdir()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args([receive::RECEIVE, &crowd.hosts.to_string(), &crowd.inboxes.to_string()]);
        if crowd.tls {
            command.arg(folder.path().join("ca.pem"));
            command.args(crowd.h2.then_some("h2"));
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("no input")?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let mut receivers = Receivers { crowd, port: 0, child, input, output, folder };
        receivers.port = receivers.hear()?.trim().parse().context("the port of the receivers")?;
        let latency = receivers.crowd.latency.as_micros();
        receivers.ask(&format!("latency {latency}"))?;
        Ok(receivers)
    }

    /// Lets everything else go first.
    pub fn step_back(&self) -> anyhow::Result<()> {
        Ok(rustix::process::setpriority_process(Some(Pid::from_child(&self.child)), 19)?)
    }

    /// The authority of their certificates.
    pub fn authority(&self) -> Option<PathBuf> {
        self.crowd.tls.then(|| Path::new(self.folder.path()).join("ca.pem"))
    }

    /// Actors and inboxes, one for each.
    pub fn people(&self) -> anyhow::Result<Vec<(String, String)>> {
        (0..self.crowd.inboxes)
            .map(|number| {
                let host = number % self.crowd.hosts;
                let address = RECEIVERS.address(host)?;
                let manner = self.crowd.manner(host);
                let port = if manner == Manner::Refuses { CLOSED } else { self.port };
                let path = if manner == Manner::IsSilent { SILENT } else { INBOX };
                let scheme = if self.crowd.tls { "https" } else { "http" };
                let actor = format!("{scheme}://{address}:{port}{path}{number}");
                let inbox = format!("{actor}/inbox");
                Ok((actor, inbox))
            })
            .collect()
    }

    /// Inboxes without those that never answer.
    pub fn answering(&self) -> anyhow::Result<Vec<String>> {
        let all = self.people()?.into_iter().map(|(_, inbox)| inbox);
        Ok(all.filter(|inbox| !inbox.contains(SILENT)).collect())
    }

    /// Inboxes that got something, and all requests so far.
    pub fn heard(&mut self) -> anyhow::Result<(usize, usize)> {
        let said = self.ask("count")?;
        let (inboxes, requests) = said.split_once(' ').context("two counts")?;
        Ok((inboxes.parse()?, requests.parse()?))
    }

    /// When the first of the live ones, then 50, 99 and 100 % of them had got something, after `start`.
    pub fn marks(&mut self, start: SystemTime) -> anyhow::Result<[Duration; 4]> {
        let said = self.ask(&format!("marks {}", self.crowd.live()))?;
        let mut marks = [Duration::ZERO; 4];
        for (mark, word) in marks.iter_mut().zip(said.split(' ')) {
            let at = UNIX_EPOCH + Duration::from_micros(word.parse()?);
            *mark = at.duration_since(start).unwrap_or_default();
        }
        Ok(marks)
    }

    fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        writeln!(self.input, "{line}").context("asking the receivers")?;
        self.hear()
    }

    fn hear(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let count = self.output.read_line(&mut line)?;
        anyhow::ensure!(count > 0, "the receivers have ended: {:?}", self.child.try_wait()?);
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
