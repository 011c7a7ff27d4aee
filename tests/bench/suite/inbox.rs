//! Verified Likes, key known: what the agent spends on each, against the sum of its parts; and how an honest follower
//! fares beside them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use owncast_herald::decide::{Moment, publish};
use owncast_herald::model::Draft;
use owncast_herald::model::engagement::{Engagement, EngagementKind};
use owncast_herald::model::facts::Facts;
use owncast_herald::store::Store;
use ulid::Ulid;

use super::agent::{Agent, Home};
use super::honest::{Honest, Waited};
use super::people::{Letter, Like, People, client};
use super::report::{Budget, against, each, figure, headline, micros, number, rate, ratio};
use super::{flood, load, posts, process, signatures};

/// Connections kept open by the load.
pub const CONNECTIONS: usize = 64;
/// People who like, each on a server of their own.
pub const PEOPLE: usize = 500;
/// Their keys are fetched so many at a time.
const FETCHES: usize = 8;
/// So many times as many Likes come beside honest followers, who take a tenth of a second and more each.
const BESIDE: usize = 4;
/// How long an honest follower is watched while nothing else happens.
const IDLE: Duration = Duration::from_secs(4);
/// Chat is told though no stream runs.
pub const TOLD: &str = "[notices]\nwhen = \"always\"";
/// What a real Owncast 0.1.3 took of Likes in the same harness: per second, and CPU for each.
const OWNCAST_RATE: f64 = 259.0;
const OWNCAST_CPU: Duration = Duration::from_micros(5800);

/// `only`: parts of names, of which a case must have one; none means all.
///
/// # Errors
/// Whatever broke.
pub fn run(quick: bool, only: &[String]) -> anyhow::Result<()> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part.as_str()));
    let likes = if quick { 4_000 } else { 20_000 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let cases = [
            ("likes-told", "Likes of posts of this moment: chat is told", Duration::ZERO),
            ("likes-counted", "Likes of posts of two days ago: counted only", Duration::from_secs(48 * 3600)),
        ];
        if cases.iter().any(|(name, ..)| wanted(name)) {
            let verify = signatures::verification(if quick { 10_000 } else { 40_000 })?;
            let store = Writes::measured(if quick { 10_000 } else { 40_000 }).await?;
            for (name, what, age) in cases {
                if wanted(name) {
                    headline(&format!("{name}: {what}; {likes} from {PEOPLE} people, and {BESIDE} times as many beside honest Follows"));
                    compare(likes, age, verify, store).await?;
                }
            }
        }
        flood::run(quick, &wanted).await
    })
}

async fn compare(likes: usize, age: Duration, verify: Duration, store: Writes) -> anyhow::Result<()> {
    let home = Home::new().await?;
    let people = People::start(PEOPLE).await?;
    let with_beside = likes * (1 + BESIDE);
    // One post more than the Likes need: the first round, which makes the keys known, likes that one.
    let posts = announced(&home, with_beside.div_ceil(PEOPLE) + 1, age).await?;
    let (warming, rest) = posts.split_at(1);
    let first = people.likes(&home.addresses, warming, PEOPLE)?;
    let mut alone = people.likes(&home.addresses, rest, with_beside)?;
    let beside = alone.split_off(likes);
    let agent = home.start(TOLD).await?;
    home.settled().await?;
    taken(&load::run(home.public(), FETCHES, Arc::new(first), PEOPLE).await?, 2, PEOPLE)?;
    let idle = idle(&home, 0).await?;
    let empty = empty_post(&home, &agent, likes * 2).await?;
    let altered = altered(&home, &people, warming)?;
    let altered = refused_post(&home, &agent, altered, likes * 2).await?;

    let (count, before) = (alone.len(), accepted(&home).await?);
    process::forget_peak(agent.pid())?;
    let (said, cpu) = (home.owncast.chat().len(), process::cpu(agent.pid())?);
    let outcome = load::run(home.public(), CONNECTIONS, Arc::new(alone), count).await?;
    // What follows from a Like belongs to it: the word in chat, or that there is none.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let cpu = each(process::cpu(agent.pid())?.saturating_sub(cpu), count);
    taken(&outcome, 2, count)?;
    let effects = accepted(&home).await? - before;
    anyhow::ensure!(effects as usize == count, "{effects} Likes of {count} had an effect");

    let parts = verify + empty + store.three_more();
    against("agent's CPU per Like / sum of the parts", ratio(cpu, parts), Budget::AtMost(1.0), "×");
    figure("agent's CPU per Like, sum", &format!("{}, {}", micros(cpu), micros(parts)));
    figure(
        "parts: verification, empty POST, 3 marginal writes",
        &format!("{}, {}, {}", micros(verify), micros(empty), micros(store.three_more())),
    );
    // Read, parsed and digested, verified, on disk: no program does without these, whatever it makes of them.
    let least = verify + altered + store.one;
    figure(
        "CPU per Like / verification, POST refused for its digest, commit",
        &format!("{} ×", number(ratio(cpu, least))),
    );
    figure("these three / sum of the parts", &format!("{} ×", number(ratio(least, parts))));
    figure(
        "POST refused for its digest, commit of 1 record",
        &format!("{}, {}", micros(altered), micros(store.one)),
    );
    let per_second = rate(count, outcome.took);
    against("Likes", per_second, Budget::AtLeast(8000.0), "/s");
    against("Likes per second / Owncast 0.1.3's", per_second / OWNCAST_RATE, Budget::AtLeast(20.0), "×");
    figure("CPU per Like / Owncast 0.1.3's", &format!("{} ×", number(ratio(cpu, OWNCAST_CPU))));

    let honest = Honest::start(&home, 1000)?;
    let count = beside.len();
    let outcome = load::beside(home.public(), CONNECTIONS, Arc::new(beside), count, Duration::ZERO).await?;
    let honest = honest.finish()?;
    taken(&outcome, 2, count)?;
    print_honest(idle, honest);
    memory(&agent)?;
    figure("calls to chat", &(home.owncast.chat().len() - said).to_string());
    agent.stop().await
}

/// All answers must be of this class.
pub fn taken(outcome: &load::Outcome, class: usize, count: usize) -> anyhow::Result<()> {
    let all = outcome.statuses.get(class) == Some(&count);
    anyhow::ensure!(all, "not all answers were {class}xx: {:?}", outcome.statuses);
    Ok(())
}

/// Activities that had an effect so far.
async fn accepted(home: &Home) -> anyhow::Result<f64> {
    home.counter("herald_inbox_requests_total{outcome=\"accepted\"}").await
}

/// The agent's CPU for a POST without body to the inbox, from many clients.
pub async fn empty_post(home: &Home, agent: &Agent, count: usize) -> anyhow::Result<Duration> {
    let empty = (0..PEOPLE).map(|number| Letter::unsigned(Vec::new(), client(number)).bytes(&home.addresses));
    refused_post(home, agent, empty.collect(), count).await
}

/// The agent's CPU for each of these requests, all of which it refuses.
async fn refused_post(
    home: &Home,
    agent: &Agent,
    letters: Vec<Vec<u8>>,
    count: usize,
) -> anyhow::Result<Duration> {
    let letters = Arc::new(letters);
    load::run(home.public(), CONNECTIONS, Arc::clone(&letters), count / 10).await?;
    let cpu = process::cpu(agent.pid())?;
    taken(&load::run(home.public(), CONNECTIONS, letters, count).await?, 4, count)?;
    Ok(each(process::cpu(agent.pid())?.saturating_sub(cpu), count))
}

/// Likes of a post by everybody, whose bodies are not those that were signed.
fn altered(home: &Home, people: &People, posts: &[Ulid]) -> anyhow::Result<Vec<Vec<u8>>> {
    let post = posts.first().copied().unwrap_or_default();
    (0..PEOPLE)
        .map(|by| {
            let mut letter = people.letter(&home.addresses, Like { by, post })?;
            letter.body.push(b' ');
            Ok(letter.bytes(&home.addresses))
        })
        .collect()
}

/// How an honest follower fares while nothing else happens.
pub async fn idle(home: &Home, first: usize) -> anyhow::Result<Waited> {
    let honest = Honest::start(home, first)?;
    tokio::time::sleep(IDLE).await;
    honest.finish()
}

/// How one fared beside something, against that.
pub fn print_honest(idle: Waited, beside: Waited) {
    let budget = Budget::AtMost(3.0);
    let [(answered, answered_idle), (accepted, accepted_idle)] =
        [(beside.answered, idle.answered), (beside.accepted, idle.accepted)]
            .map(|([now, _], [idle, _])| (now, idle));
    against("an honest Follow's time to its answer / idle", ratio(answered, answered_idle), budget, "×");
    against("an honest Follow's time to its Accept / idle", ratio(accepted, accepted_idle), budget, "×");
    let millis = |time: Duration| format!("{} ms", number(time.as_secs_f64() * 1e3));
    let ([_, slowest], [_, latest]) = (beside.answered, beside.accepted);
    figure("median answer, Accept; idle", &{
        let [a, b, c, d] = [answered, accepted, answered_idle, accepted_idle].map(millis);
        format!("{a}, {b}; {c}, {d}")
    });
    figure("the slowest answer, Accept", &format!("{}, {}", millis(slowest), millis(latest)));
    figure("honest Follows accepted, not", &format!("{}, {}", beside.count, beside.refused));
}

/// The agent's peak since it was last forgotten.
pub fn memory(agent: &Agent) -> anyhow::Result<()> {
    let peak = process::resident(agent.pid())?.peak;
    against("resident memory at its peak", peak, Budget::AtMost(60.0), "MiB");
    Ok(())
}

/// Public posts, made `age` ago, with nobody to be told.
pub async fn announced(home: &Home, count: usize, age: Duration) -> anyhow::Result<Vec<Ulid>> {
    let rules = posts::rules(&home.addresses);
    let facts = Facts { name: "New Owncast Server".into(), ..Facts::default() };
    let made = Timestamp::now().checked_sub(age)?;
    let (sender, mut ids) = tokio::sync::mpsc::unbounded_channel();
    home.write(vec![move |draft: &mut Draft<'_>| {
        let mut moment = Moment::new(made, 7);
        for _ in 0..count {
            let session = moment.ulid();
            let post = publish::announce(draft, &mut moment, &rules, &facts, posts::plain(session));
            // The receiver lives until all are sent.
            let _ = sender.send(post.id);
        }
    }])
    .await?;
    let mut posts = Vec::new();
    while let Some(id) = ids.recv().await {
        posts.push(id);
    }
    Ok(posts)
}

/// CPU of a commit of one record, and of one of four; many at once as they are in the inbox.
#[derive(Clone, Copy)]
struct Writes {
    one: Duration,
    four: Duration,
}

impl Writes {
    async fn measured(commits: usize) -> anyhow::Result<Writes> {
        let (one, four) = (writes(commits, 1).await?, writes(commits, 4).await?);
        headline("the store alone");
        figure("CPU of a commit of 1 record, of 4", &format!("{}, {}", micros(one), micros(four)));
        Ok(Writes { one, four })
    }

    fn three_more(self) -> Duration {
        self.four.saturating_sub(self.one)
    }
}

async fn writes(commits: usize, records: u128) -> anyhow::Result<Duration> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path())?;
    let now = Timestamp::now();
    let cpu = process::own_cpu()?;
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for commit in (0..commits).skip(task).step_by(CONNECTIONS) {
                    store
                        .commit(move |view| {
                            let mut draft = Draft::new(view);
                            for record in 0..records {
                                let post = Some(Ulid((commit as u128) << 64 | record));
                                draft.put(&Engagement {
                                    post,
                                    kind: EngagementKind::Like,
                                    actor: format!("http://127.0.0.1:40000/users/{}", commit % PEOPLE),
                                    activity: format!("http://127.0.0.1:40000/users/7#likes/{commit}"),
                                    signature: "iUQkNWM1Ohn9lwwf1VqHhA".into(),
                                    at: now,
                                    again: None,
                                    undone: false,
                                    told: None,
                                    listed: Some(record as u64),
                                });
                            }
                            (draft.into_changes(), ())
                        })
                        .await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(each(process::own_cpu()?.saturating_sub(cpu), commits))
}
