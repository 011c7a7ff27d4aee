//! What is not to be taken: rubbish, forgeries, bodies without end, clients that say little or nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::abuse::{Abuse, Abusers};
use super::agent::{Agent, Home};
use super::honest::{Honest, Waited};
use super::inbox::{CONNECTIONS, PEOPLE, TOLD, announced, empty_post, idle, memory, print_honest, taken};
use super::people::{Letter, Like, People, client, inbox_path};
use super::report::{each, figure, headline, micros, number, rate, ratio};
use super::{load, process};

/// Clients that send without end.
const LARGE: usize = 32;
/// Clients that are slow or silent: nearly as many as connections are taken.
const MANY: usize = 1000;

/// Everything on one agent: what one flood leaves behind, the next one finds.
struct Stage {
    home: Home,
    agent: Agent,
    idle: Waited,
    /// CPU of a POST without body.
    empty: Duration,
    /// Number of the next honest follower.
    next: usize,
}

/// # Errors
/// Whatever broke.
pub async fn run(quick: bool, wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<()> {
    let names = ["nonsense", "unsigned", "altered", "forged", "oversized", "chunked", "slow", "silent"];
    if !names.into_iter().any(wanted) {
        return Ok(());
    }
    let count = if quick { 10_000 } else { 50_000 };
    // The long run is longer than anybody has for a body or for headers, so that all are cut off at least once.
    let span = Duration::from_secs(if quick { 5 } else { 15 });
    let home = Home::new().await?;
    let people = People::start(PEOPLE).await?;
    let posts = announced(&home, 1, Duration::ZERO).await?;
    let rubbish = Rubbish::new(&home, &people, posts.first().copied().unwrap_or_default())?;
    let agent = home.start(TOLD).await?;
    home.settled().await?;
    let idle = idle(&home, 0).await?;
    let empty = empty_post(&home, &agent, count).await?;
    let mut stage = Stage { home, agent, idle, empty, next: 1000 };

    for (name, what, letters) in [
        ("nonsense", "2 KiB that are no JSON", &rubbish.nonsense),
        ("unsigned", "Likes without signature", &rubbish.unsigned),
        ("altered", "signed Likes with another body than was signed", &rubbish.altered),
        ("forged", "Likes with a wrong signature, keys known", &rubbish.forged),
    ] {
        if wanted(name) {
            headline(&format!("{name}: {what}; {count} on {CONNECTIONS} kept connections"));
            if name == "forged" {
                let first = Arc::new(rubbish.warming.clone());
                taken(&load::run(stage.home.public(), 8, first, PEOPLE).await?, 2, PEOPLE)?;
            }
            stage.requests(letters, count, span).await?;
        }
    }
    let head = |length: &str| {
        let host = stage.home.addresses.host();
        let path = inbox_path(&stage.home.addresses);
        let kind = "content-type: application/activity+json";
        format!("POST {path} HTTP/1.1\r\nhost: {host}\r\n{kind}\r\n{length}\r\n\r\n").into_bytes()
    };
    let part = vec![b'x'; 16 * 1024];
    let chunk = [b"4000\r\n", part.as_slice(), b"\r\n"].concat();
    let floods = [
        ("oversized", "1 GiB each, said beforehand", LARGE, {
            Abuse::Oversized(head("content-length: 1073741824"), part)
        }),
        ("chunked", "without end, nothing said", LARGE, {
            Abuse::Oversized(head("transfer-encoding: chunked"), chunk)
        }),
        ("slow", "a byte of a body in a second", MANY, Abuse::Slow(head("content-length: 1000"))),
        ("silent", "open connections, nothing said", MANY, Abuse::Silent),
    ];
    for (name, what, clients, abuse) in floods {
        if wanted(name) {
            headline(&format!("{name}: {what}; {clients} clients for {} s", span.as_secs()));
            stage.clients(clients, &abuse, span).await?;
        }
    }
    stage.agent.stop().await
}

impl Stage {
    async fn requests(&mut self, letters: &[Vec<u8>], count: usize, span: Duration) -> anyhow::Result<()> {
        let (pid, requests) = (self.agent.pid(), Arc::new(letters.to_vec()));
        let said = self.home.owncast.chat().len();
        process::forget_peak(pid)?;
        let cpu = process::cpu(pid)?;
        let outcome = load::run(self.home.public(), CONNECTIONS, Arc::clone(&requests), count).await?;
        let cpu = each(process::cpu(pid)?.saturating_sub(cpu), count);
        let [_, _, good, _, bad, shed] = outcome.statuses;
        anyhow::ensure!(good == 0 && bad + shed == count, "not all were refused: {:?}", outcome.statuses);
        figure("agent's CPU for each / POST without body", &format!("{} ×", number(ratio(cpu, self.empty))));
        figure("agent's CPU for each", &micros(cpu));
        figure("refused", &format!("{}/s", number(rate(count, outcome.took))));
        figure("of these sent away as too many", &shed.to_string());
        let honest = self.honest()?;
        load::beside(self.home.public(), CONNECTIONS, requests, count, span).await?;
        self.finish(honest.finish()?, said)
    }

    async fn clients(&mut self, clients: usize, abuse: &Abuse, span: Duration) -> anyhow::Result<()> {
        let pid = self.agent.pid();
        let said = self.home.owncast.chat().len();
        process::forget_peak(pid)?;
        let (cpu, start) = (process::cpu(pid)?, Instant::now());
        let abusers = Abusers::start(self.home.public(), clients, abuse)?;
        let honest = self.honest()?;
        tokio::time::sleep(span).await;
        let honest = honest.finish()?;
        let ended = abusers.finish()?;
        let (cpu, took) = (process::cpu(pid)?.saturating_sub(cpu), start.elapsed());
        figure(
            "agent's CPU, with that for the honest",
            &format!("{} % of a core", number(100.0 * ratio(cpu, took))),
        );
        figure("connections refused or cut off", &format!("{}/s", number(rate(ended, took))));
        self.finish(honest, said)
    }

    fn honest(&mut self) -> anyhow::Result<Honest> {
        let first = self.next;
        self.next += 1000;
        Honest::start(&self.home, first)
    }

    fn finish(&self, honest: Waited, said: usize) -> anyhow::Result<()> {
        print_honest(self.idle, honest);
        memory(&self.agent)?;
        figure("calls to chat", &(self.home.owncast.chat().len() - said).to_string());
        Ok(())
    }
}

/// Requests of each kind, from as many clients as there are people.
struct Rubbish {
    nonsense: Vec<Vec<u8>>,
    unsigned: Vec<Vec<u8>>,
    altered: Vec<Vec<u8>>,
    forged: Vec<Vec<u8>>,
    /// Good ones, with which the keys of the forged become known.
    warming: Vec<Vec<u8>>,
}

impl Rubbish {
    fn new(home: &Home, people: &People, post: ulid::Ulid) -> anyhow::Result<Rubbish> {
        let mut all = Rubbish {
            nonsense: Vec::new(),
            unsigned: Vec::new(),
            altered: Vec::new(),
            forged: Vec::new(),
            warming: Vec::new(),
        };
        let addresses = &home.addresses;
        for by in 0..PEOPLE {
            let letter = people.letter(addresses, Like { by, post })?;
            let mut altered = letter.clone();
            altered.body.push(b' ');
            let nonsense = Letter::unsigned(vec![b'{'; 2048], client(by));
            let unsigned = Letter::unsigned(letter.body.clone(), client(by));
            all.nonsense.push(nonsense.bytes(addresses));
            all.unsigned.push(unsigned.bytes(addresses));
            all.altered.push(altered.bytes(addresses));
            all.warming.push(letter.bytes(addresses));
            all.forged.push(letter.forged().bytes(addresses));
        }
        Ok(all)
    }
}
