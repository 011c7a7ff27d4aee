//! Distinct strangers, each heard once, as fast as their keys would be fetched; the sweeper at its own pace beside them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use owncast_herald::decide::delivered::{Ending, Job};
use owncast_herald::decide::engage::{Ours, Sent};
use owncast_herald::decide::sweep::{MOST, PAUSE, Round, sweep};
use owncast_herald::decide::{Moment, delivered, engage, follow, gone, hosts, publish, seen};
use owncast_herald::model::delivery::Attempt;
use owncast_herald::model::engagement::EngagementKind;
use owncast_herald::model::facts::Facts;
use owncast_herald::model::handle::{Person, host_of};
use owncast_herald::model::record::kind;
use owncast_herald::model::{Addresses, Draft};
use owncast_herald::store::Store;
use ulid::Ulid;

use super::posts;
use super::report::{Budget, against, figure, headline};

/// Strangers whose keys are fetched in a minute, at most.
const PER_MINUTE: usize = 1800;
/// Strangers of one server.
const PER_HOST: usize = 50;
/// Of very many, these are told of as well.
const TOLD_EVERY: usize = 100_000;
/// Posts that they like.
const POSTS: usize = 10;

/// # Errors
/// Whatever broke.
pub fn run(quick: bool) -> anyhow::Result<()> {
    let full = std::env::args().any(|argument| argument == "--full");
    let strangers = match (quick, full) {
        (_, true) => 1_000_000,
        (true, _) => 10_000,
        _ => 50_000,
    };
    tokio::runtime::Runtime::new()?.block_on(async {
        headline(&format!("{strangers} strangers, {PER_MINUTE} a minute"));
        let folder = tempfile::tempdir()?;
        let mut world = World::new(folder.path()).await?;
        world.tell("before them", 0).await?;
        world.wave(0, strangers).await?;
        world.tell("after the last of them", strangers).await?;
        let most = world.store.size_on_disk();
        let day = 24 * 3600;
        for (what, seconds) in [
            ("five hours later, swept", 5 * 3600),
            ("a day later, swept", day),
            ("31 days later, swept", 31 * day),
            ("a year later, swept", 367 * day),
        ] {
            world.now = world.start.checked_add(SignedDuration::from_secs(seconds))?.max(world.now);
            world.sweep_all().await?;
            world.tell(what, strangers).await?;
        }
        let left: u64 = world.records().await?.values().sum();
        against("records left", left as f64, Budget::AtMost(100.0), "");
        // The file does not shrink: others must find the room that these have left, until it grows no more.
        for wave in 1..6 {
            world.wave(wave * strangers, strangers).await?;
            let later = SignedDuration::from_secs(400 * day);
            world.now = world.now.checked_add(later)?;
            world.sweep_all().await?;
            world
                .tell(&format!("after wave {}, swept a year later", wave + 1), (wave + 1) * strangers)
                .await?;
        }
        let again = world.store.size_on_disk() as f64 / most as f64;
        against("size after six such waves / after the first", again, Budget::AtMost(2.0), "×");
        Ok(())
    })
}

struct World {
    store: Store,
    posts: Vec<Ulid>,
    start: Timestamp,
    now: Timestamp,
    round: Round,
}

impl World {
    async fn new(folder: &std::path::Path) -> anyhow::Result<World> {
        let store = Store::open(folder)?;
        let now = Timestamp::now();
        let addresses = Addresses::new("https://live.example", "streamer");
        let rules = posts::rules(&addresses);
        let posts = store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                let mut moment = Moment::new(now, 7);
                let facts = Facts { name: "New Owncast Server".into(), ..Facts::default() };
                let posts = (0..POSTS)
                    .map(|_| {
                        let session = moment.ulid();
                        publish::announce(&mut draft, &mut moment, &rules, &facts, posts::plain(session)).id
                    })
                    .collect();
                (draft.into_changes(), posts)
            })
            .await?;
        Ok(World { store, posts, start: now, now, round: Round::new(MOST) })
    }

    /// So many strangers, one after the other.
    async fn wave(&mut self, first: usize, count: usize) -> anyhow::Result<()> {
        let step = usize::try_from(PAUSE.as_secs())?.max(1) * PER_MINUTE / 60;
        for from in (first..first + count).step_by(step) {
            self.hear(from..(first + count).min(from + step)).await?;
            self.now = self.now.checked_add(PAUSE)?;
            self.sweep_once().await?;
            if from > first && (from - first).is_multiple_of(TOLD_EVERY) {
                self.tell(&format!("{from} so far"), from).await?;
            }
        }
        Ok(())
    }

    /// Strangers of these numbers, each of whom does one thing and perhaps takes it back.
    async fn hear(&self, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
        let (now, posts) = (self.now, self.posts.clone());
        let rules = posts::rules(&Addresses::new("https://live.example", "streamer"));
        self.store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                for number in numbers {
                    let mut moment = Moment::new(now, number as u128);
                    let person = person(number);
                    let post = Ours::Post(posts.get(number % POSTS).copied().unwrap_or_default());
                    let id = format!("{}#acts/{number}", person.actor);
                    let signature = format!("{number:022x}");
                    let sent = Sent { id: &id, signature: &signature, stamp: now };
                    hosts::spoke(&mut draft, &host_of(&person.actor), now);
                    let like = EngagementKind::Like;
                    match number % 6 {
                        0 | 1 => {
                            engage::engage(&mut draft, &mut moment, like, &person, post, sent);
                        }
                        2 => {
                            let shared = EngagementKind::Announce;
                            engage::engage(&mut draft, &mut moment, shared, &person, post, sent);
                        }
                        3 => {
                            engage::engage(&mut draft, &mut moment, like, &person, post, sent);
                            seen::first_time(
                                &mut draft,
                                &person.actor,
                                &format!("undo {signature}"),
                                false,
                                now,
                            );
                            engage::undo(
                                &mut draft,
                                &moment,
                                &person.actor,
                                Some(&id),
                                Some((like, post)),
                                now,
                            );
                        }
                        4 => {
                            seen::first_time(&mut draft, &person.actor, &signature, false, now);
                            let follow_id = Some(id.clone());
                            follow::follow(&mut draft, &mut moment, &rules, person.clone(), follow_id, now);
                            follow::undo(&mut draft, &moment, &person, now);
                        }
                        _ => {
                            seen::first_time(&mut draft, &person.actor, &signature, false, now);
                            engage::undo(&mut draft, &moment, &person.actor, Some(&id), None, now);
                            gone::blocked_us(&mut draft, &moment, &person, now);
                        }
                    }
                }
                done(&mut draft);
                (draft.into_changes(), ())
            })
            .await?;
        Ok(())
    }

    async fn sweep_once(&mut self) -> anyhow::Result<()> {
        let (from, now, look) = (self.round.cursor().clone(), self.now, self.round.look());
        let shares = std::sync::Arc::clone(self.round.shares());
        let swept = self
            .store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                let swept = sweep(&mut draft, &from, now, look, &shares);
                (draft.into_changes(), swept)
            })
            .await?;
        self.round.looked(swept);
        Ok(())
    }

    /// Twice: what falls with something else's end is over only then.
    async fn sweep_all(&mut self) -> anyhow::Result<()> {
        for _ in 0..2 {
            self.round = Round::new(MOST);
            self.sweep_once().await?;
            while !self.round.cursor().is_empty() {
                self.sweep_once().await?;
            }
        }
        Ok(())
    }

    /// Records by the letter of their kind.
    async fn records(&self) -> anyhow::Result<BTreeMap<char, u64>> {
        let counted = self.store.read(|view| {
            let mut count = BTreeMap::new();
            view.scan_bytes(b"", b"", &mut |key, _| {
                *count.entry(key.first().copied().map_or('?', char::from)).or_default() += 1;
                true
            });
            count
        });
        Ok(counted.await?)
    }

    async fn tell(&self, what: &str, strangers: usize) -> anyhow::Result<()> {
        // The database tidies up behind itself for a while.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let records = self.records().await?;
        let total: u64 = records.values().sum();
        let bytes = self.store.size_on_disk();
        let each = bytes as f64 / strangers.max(1) as f64;
        let all: Vec<String> = records.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let size = format!("{:.1} MiB, {total} records ({})", bytes as f64 / 1048576.0, all.join(", "));
        figure(what, &size);
        if strangers > 0 {
            figure("  bytes for each stranger so far", &format!("{each:.0}"));
        }
        Ok(())
    }
}

/// What chat and delivery would have done meanwhile: notices are claimed, and Accepts have arrived.
fn done(draft: &mut Draft<'_>) {
    let mut keys = Vec::new();
    draft.view().scan_bytes(&[kind::NOTICE], &[kind::NOTICE], &mut |key, _| {
        keys.push(key.to_vec());
        true
    });
    for key in keys {
        draft.delete_raw(kind::NOTICE, key.get(1..).unwrap_or_default());
    }
    let mut attempts = Vec::new();
    draft.view().scan::<Attempt>(b"", &mut |attempt| {
        attempts.push(attempt);
        true
    });
    for attempt in attempts {
        delivered::settle(draft, &Job::of(attempt), Ending::Reached);
    }
}

fn person(number: usize) -> Person {
    let host = format!("peer-{}.example", number / PER_HOST);
    let actor = format!("https://{host}/users/person-{number}");
    Person {
        handle: format!("person-{number}@{host}"),
        inbox: format!("{actor}/inbox"),
        shared_inbox: Some(format!("https://{host}/inbox")),
        name: Some("Somebody with a name".into()),
        icon: None,
        url: None,
        actor,
    }
}
