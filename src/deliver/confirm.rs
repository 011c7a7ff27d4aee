//! Whether those who follow through an inbox that refused us as moved or gone are there still: their own documents tell. And
//! whether those are there again whose documents were not found, whoever noticed that. In a slow round, every other follower is
//! asked about, too.
//!
//! One question at a time, each a guarded and bounded fetch; nobody is removed on the word of an inbox alone.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::decide::gone::Rounds;
use crate::decide::revisit::Page;
use crate::decide::{Moment, gone};
use crate::fetch::{FetchError, Fetcher};
use crate::model::owner::owner_of;
use crate::model::{Draft, View};
use crate::random::entropy;
use crate::store::{Store, StoreError};

mod turns;

/// Inboxes that wait to be looked into; of more, the next delivery there will remind us.
pub(super) const WAITING: usize = 64;
/// People looked up at a time, of one inbox or of those who were not found.
const PEOPLE: usize = 50;
/// No more people are looked up at a time once that has taken so long, nor more of one owner's in one round: whoever does not
/// answer, or late, holds up others no longer than that.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause before more people of the same inbox are looked up: their server and our budget for it are to be spared.
const PAUSE: Duration = Duration::from_secs(60);
/// The pause before all who were not found are looked for again: a server that is being mended for an hour each night must not
/// be taken for one that knows them no more.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// Inboxes of which it is remembered how far their people were looked up.
const INBOXES: usize = 1024;

/// What an actor's document has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Something has become of it.
    News,
    /// All is as it was, or never to be known.
    NoNews,
    /// Nothing, for now.
    Nothing,
    /// It was not asked for.
    Busy,
}

pub(super) struct Confirmer {
    pub(super) store: Store,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) inboxes: mpsc::Receiver<String>,
    patience: Duration,
}

/// One look at all who were not found.
#[derive(Debug, Default)]
struct Round {
    /// The last one of whom it was.
    after: Option<String>,
    /// How long each owner's servers have taken.
    taken: HashMap<String, Duration>,
}

/// Why an actor is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// Something has told that there is news, or that the actor is not there.
    Told,
    /// It is the actor's turn. That it is gone is believed when that is found once more: a server may say so of everybody for a
    /// while.
    Round,
}

impl Confirmer {
    pub(super) fn new(store: Store, fetcher: Arc<Fetcher>, inboxes: mpsc::Receiver<String>) -> Self {
        Confirmer { store, fetcher, inboxes, patience: PATIENCE }
    }

    /// Works until nobody asks any more, or the store is closed.
    pub(super) async fn run(mut self) {
        let (mut turn, mut page) = (Instant::now() + PAUSE, Page::default());
        let mut rounds = Rounds::new(INBOXES);
        // Where more is to be found out, and when to go on there.
        let mut further: VecDeque<(Instant, String)> = VecDeque::new();
        let (mut again, mut round) = (Instant::now() + LOOK_AGAIN, Round::default());
        loop {
            let next = further.front().map_or_else(Instant::now, |(at, _)| *at);
            let inbox = tokio::select! {
                told = self.inboxes.recv() => match told {
                    Some(inbox) => inbox,
                    None => return,
                },
                () = tokio::time::sleep_until(next), if !further.is_empty() => match further.pop_front() {
                    Some((_, inbox)) => inbox,
                    None => continue,
                },
                () = tokio::time::sleep_until(again) => {
                    let Ok(further) = self.look_again(round).await else { return };
                    let pause = if further.is_some() { PAUSE } else { LOOK_AGAIN };
                    (again, round) = (Instant::now() + pause, further.unwrap_or_default());
                    continue;
                }
                () = tokio::time::sleep_until(turn) => {
                    let Ok(pause) = self.revisit(&mut page, Timestamp::now()).await else { return };
                    turn = Instant::now() + pause;
                    continue;
                }
            };
            let Ok(more) = self.look_into(&mut rounds, inbox.clone()).await else { return };
            if more && further.len() < WAITING && further.iter().all(|(_, waits)| *waits != inbox) {
                further.push_back((Instant::now() + PAUSE, inbox));
            }
        }
    }

    /// Asks some of those behind an inbox. Whether others are to be asked soon: if somebody had moved or was gone, they may
    /// have, too.
    async fn look_into(&self, rounds: &mut Rounds, inbox: String) -> Result<bool, StoreError> {
        let (asked, after) = (inbox.clone(), rounds.after(&inbox));
        let look = move |view: &dyn View| gone::behind(view, &asked, after.as_deref(), PEOPLE);
        let (mut people, mut last) = self.store.read(look).await?;
        let (mut changed, mut busy, mut told) = (false, false, None);
        let began = Instant::now();
        for number in 0..people.len() {
            if number > 0 && began.elapsed() >= self.patience {
                people.truncate(number);
                last = false;
            }
            let Some(actor) = people.get(number) else { break };
            match self.ask(actor, Reason::Told).await? {
                Told::News => changed = true,
                Told::NoNews => {}
                Told::Nothing => told = told.or(Some(number)),
                // Those behind would not be asked either.
                Told::Busy => {
                    (busy, told) = (true, told.or(Some(number)));
                    break;
                }
            }
        }
        let told = told.unwrap_or(people.len());
        let more = busy || changed && (told < people.len() || !last);
        if !busy || told > 0 {
            rounds.looked(inbox, &people, told, last);
        }
        Ok(more)
    }

    /// Asks some of those who were not found; the rest of the round, if there is any. Whoever has too many of them keeps nobody
    /// else from being asked.
    async fn look_again(&self, mut round: Round) -> Result<Option<Round>, StoreError> {
        let after = round.after.clone();
        let people = self.store.read(move |view| gone::not_found(view, after.as_deref(), PEOPLE)).await?;
        let began = Instant::now();
        for actor in &people {
            let taken = round.taken.entry(owner_of(actor)).or_default();
            round.after = Some(actor.clone());
            if *taken >= self.patience {
                continue;
            }
            let asked = Instant::now();
            self.ask(actor, Reason::Told).await?;
            *taken += asked.elapsed();
            if began.elapsed() >= self.patience {
                break;
            }
        }
        let all =
            people.len() < PEOPLE && people.last().is_none_or(|last| round.after.as_ref() == Some(last));
        Ok(Some(round).filter(|_| !all))
    }

    /// What has become of an actor, by its own document.
    async fn ask(&self, actor: &str, reason: Reason) -> Result<Told, StoreError> {
        let news = match self.fetcher.actor(actor, None).await {
            Err(FetchError::Gone) => self.gone(actor.to_owned(), reason == Reason::Round).await?,
            Err(FetchError::NotFound) => self.gone(actor.to_owned(), true).await?,
            Ok(found) if found.id.as_str() == actor => {
                let moment = Moment::new(Timestamp::now(), entropy());
                let person = Arc::clone(found.person());
                let there = move |draft: &mut Draft<'_>| gone::still_there(draft, &moment, &person);
                let moved = self.decide(there).await?;
                if moved {
                    tracing::info!(target: "herald::deliver", actor, "a follower's inbox has moved");
                }
                moved
            }
            Err(FetchError::Busy) => return Ok(Told::Busy),
            Err(cause) if cause.is_transient() => return Ok(Told::Nothing),
            // Nothing is known then, and would not be if it were asked again.
            Ok(_) | Err(_) => false,
        };
        Ok(if news { Told::News } else { Told::NoNews })
    }

    async fn gone(&self, actor: String, perhaps: bool) -> Result<bool, StoreError> {
        let (moment, who) = (Moment::new(Timestamp::now(), entropy()), actor.clone());
        let forget = move |draft: &mut Draft<'_>| {
            if perhaps {
                return gone::missing(draft, &moment, &who);
            }
            gone::deleted(draft, &moment, &who);
            true
        };
        let forgotten = self.decide(forget).await?;
        if forgotten {
            tracing::info!(target: "herald::deliver", actor, "a follower exists no more and was removed");
        }
        Ok(forgotten)
    }

    async fn decide<T: Send + 'static>(
        &self,
        decision: impl FnOnce(&mut Draft<'_>) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let decide = |view: &dyn View| {
            let mut draft = Draft::new(view);
            let outcome = decision(&mut draft);
            (draft.into_changes(), outcome)
        };
        self.store.commit(decide).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::activitypub::signature::PrivateKey;
    use crate::inbox::testing::engine;
    use crate::model::follower::{Follower, FollowerState};
    use crate::model::handle::Person;
    use crate::net::test_server::{TestServer, answer};

    /// A confirmer for these people of a server, who follow and were not found at those times.
    async fn confirmer(
        folder: &std::path::Path,
        shared: Option<String>,
        people: Vec<(String, Timestamp)>,
    ) -> Confirmer {
        let store = Store::open(&folder.join("store")).unwrap();
        let fill = move |view: &dyn View| {
            let mut draft = Draft::new(view);
            for (actor, when) in people {
                let person = Person {
                    inbox: format!("{actor}/inbox"),
                    shared_inbox: shared.clone(),
                    handle: "a@127.0.0.1".to_owned(),
                    name: None,
                    icon: None,
                    url: None,
                    actor: actor.clone(),
                };
                let left = Follower::left(person, when, when);
                crate::decide::followers::settle(
                    &mut draft,
                    &Follower { state: FollowerState::Approved, ..left },
                );
                gone::missing(&mut draft, &Moment::new(when, 1), &actor);
            }
            (draft.into_changes(), ())
        };
        store.commit(fill).await.unwrap();
        let key = PrivateKey::generate().unwrap();
        let fetcher = engine(&key, Arc::new(Timestamp::now)).fetcher;
        Confirmer::new(store, fetcher, mpsc::channel(1).1)
    }

    /// A server that has one person, has lost one, is out of order for one, and knows nobody else.
    pub(super) async fn server_of_people() -> TestServer {
        TestServer::start(|base, hit| {
            let id = format!("{base}{}", hit.target);
            let actor = json!({"id": id, "type": "Person", "name": "Ana", "inbox": format!("{id}/inbox")});
            match hit.target.as_str() {
                "/found" => answer(200, &[("content-type", "application/activity+json")], actor.to_string()),
                "/away" => answer(503, &[], ""),
                "/gone" => answer(410, &[], ""),
                _ => answer(404, &[], ""),
            }
        })
        .await
    }

    #[tokio::test]
    async fn who_was_not_found_is_looked_for_again() {
        let server = server_of_people().await;
        let folder = tempfile::tempdir().unwrap();
        let address = |name: &str| server.url(name).to_string();
        let (yesterday, now) = (Timestamp::now() - gone::MISSING_FOR, Timestamp::now());
        let names = ["/away", "/found", "/gone", "/lately", "/never"];
        let people = names.map(|name| (address(name), if name == "/lately" { now } else { yesterday }));
        let confirmer = confirmer(folder.path(), None, people.to_vec()).await;
        assert!(confirmer.look_again(Round::default()).await.unwrap().is_none());
        let store = &confirmer.store;
        let left = |name: &str| store.look(|view| view.get::<Follower>(address(name).as_bytes())).unwrap();
        assert_eq!(names.map(|name| left(name).is_some()), [true, true, false, true, false]);
        let marked = store.look(|view| gone::not_found(view, None, 9)).unwrap();
        assert_eq!(marked, ["/away", "/lately"].map(address));
    }

    /// One that has patience for one answer, and three people whom their server does not find.
    async fn hasty(folder: &std::path::Path) -> (Confirmer, TestServer) {
        let server = TestServer::start(|_, _| answer(404, &[], "")).await;
        let people = THREE.map(|name| (server.url(name).to_string(), Timestamp::now()));
        let inbox = server.url("/inbox").to_string();
        let confirmer = confirmer(folder, Some(inbox), people.to_vec()).await;
        (Confirmer { patience: Duration::from_nanos(1), ..confirmer }, server)
    }

    const THREE: [&str; 3] = ["/u/1", "/u/2", "/u/3"];

    #[tokio::test]
    async fn people_who_take_long_to_look_up_hold_up_no_other_inbox() {
        let folder = tempfile::tempdir().unwrap();
        let (confirmer, server) = hasty(folder.path()).await;
        let mut rounds = Rounds::new(INBOXES);
        for number in 1..=THREE.len() {
            let inbox = server.url("/inbox").to_string();
            assert!(!confirmer.look_into(&mut rounds, inbox).await.unwrap());
            let asked: Vec<String> = server.hits().into_iter().map(|hit| hit.target).collect();
            assert_eq!(asked, THREE[..number], "it goes on where it stopped");
        }
    }

    #[tokio::test]
    async fn an_owner_whose_servers_take_long_holds_up_nobody_elses_who_were_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let (confirmer, server) = hasty(folder.path()).await;
        let further = confirmer.look_again(Round::default()).await.unwrap();
        let further = confirmer.look_again(further.expect("two were not asked")).await.unwrap();
        assert!(further.is_none(), "they are not in this round");
        assert_eq!(server.hits().len(), 1);
    }
}
