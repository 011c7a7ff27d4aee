//! Whether those who follow through an inbox that refused us as moved or gone are there still: their own documents tell. And
//! whether those are there again whose documents were not found, whoever noticed that. In a slow round, every other follower is
//! asked about, too.
//!
//! One question at a time, each a guarded and bounded fetch; nobody is removed on the word of an inbox alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::decide::gone::Rounds;
use crate::decide::revisit::Page;
use crate::decide::{Moment, gone};
use crate::fetch::{FetchError, Fetcher};
use crate::model::{Draft, View};
use crate::random::entropy;
use crate::store::{Store, StoreError};

mod turns;

/// Inboxes that wait to be looked into; of more, the next delivery there will remind us.
pub(super) const WAITING: usize = 64;
/// People looked up at a time, of one inbox or of those who were not found.
const PEOPLE: usize = 50;
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
}

impl Confirmer {
    /// Works until nobody asks any more, or the store is closed.
    pub(super) async fn run(mut self) {
        let (mut turn, mut page) = (Instant::now() + PAUSE, Page::default());
        let mut rounds = Rounds::new(INBOXES);
        // Where more is to be found out, and when to go on there.
        let mut further: VecDeque<(Instant, String)> = VecDeque::new();
        let (mut again, mut after) = (Instant::now() + LOOK_AGAIN, None);
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
                    let Ok(last) = self.look_again(after.take()).await else { return };
                    let pause = if last.is_some() { PAUSE } else { LOOK_AGAIN };
                    (again, after) = (Instant::now() + pause, last);
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
        let (people, last) = self.store.read(look).await?;
        let (mut changed, mut busy, mut told) = (false, false, None);
        for (number, actor) in people.iter().enumerate() {
            match self.ask(actor).await? {
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

    /// Asks some of those who were not found, behind the one named `after`. Who was the last, if there are more. Whoever has
    /// too many of them keeps nobody else from being asked.
    async fn look_again(&self, after: Option<String>) -> Result<Option<String>, StoreError> {
        let people = self.store.read(move |view| gone::not_found(view, after.as_deref(), PEOPLE)).await?;
        for actor in &people {
            self.ask(actor).await?;
        }
        Ok(people.last().filter(|_| people.len() == PEOPLE).cloned())
    }

    /// What has become of an actor, by its own document.
    async fn ask(&self, actor: &str) -> Result<Told, StoreError> {
        let news = match self.fetcher.actor(actor, None).await {
            Err(FetchError::Gone) => self.gone(actor.to_owned(), false).await?,
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

    #[tokio::test]
    async fn who_was_not_found_is_looked_for_again() {
        let server = TestServer::start(|base, hit| {
            let id = format!("{base}{}", hit.target);
            let actor = json!({"id": id, "type": "Person", "inbox": format!("{id}/inbox")});
            match hit.target.as_str() {
                "/found" => answer(200, &[("content-type", "application/activity+json")], actor.to_string()),
                "/away" => answer(503, &[], ""),
                "/gone" => answer(410, &[], ""),
                _ => answer(404, &[], ""),
            }
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let address = |name: &str| server.url(name).to_string();
        let people = ["/away", "/found", "/gone", "/lately", "/never"].map(address);
        let known = people.clone();
        let (yesterday, now) = (Timestamp::now() - gone::MISSING_FOR, Timestamp::now());
        let fill = move |view: &dyn View| {
            let mut draft = Draft::new(view);
            for actor in known {
                let person = Person {
                    inbox: format!("{actor}/inbox"),
                    shared_inbox: None,
                    handle: "a@127.0.0.1".to_owned(),
                    name: None,
                    icon: None,
                    url: None,
                    actor: actor.clone(),
                };
                let left = Follower::left(person, yesterday, yesterday);
                crate::decide::followers::settle(
                    &mut draft,
                    &Follower { state: FollowerState::Approved, ..left },
                );
                let when = if actor.ends_with("/lately") { now } else { yesterday };
                gone::missing(&mut draft, &Moment::new(when, 1), &actor);
            }
            (draft.into_changes(), ())
        };
        store.commit(fill).await.unwrap();
        let key = PrivateKey::generate().unwrap();
        let fetcher = engine(&key, Arc::new(Timestamp::now)).fetcher;
        let (_inboxes, inboxes) = mpsc::channel(1);
        let confirmer = Confirmer { store: store.clone(), fetcher, inboxes };
        assert_eq!(confirmer.look_again(None).await.unwrap(), None);
        let left = |name: &str| store.look(|view| view.get::<Follower>(address(name).as_bytes())).unwrap();
        let there = ["/away", "/found", "/gone", "/lately", "/never"].map(|name| left(name).is_some());
        assert_eq!(there, [true, true, false, true, false]);
        let marked = store.look(|view| gone::not_found(view, None, 9)).unwrap();
        assert_eq!(marked, ["/away", "/lately"].map(address));
    }
}
