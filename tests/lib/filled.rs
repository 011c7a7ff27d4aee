//! Writes into a store that no agent has open; shared by what is measured on a full one.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use owncast_herald::decide::followers;
use owncast_herald::model::Draft;
use owncast_herald::model::follower::{Follower, FollowerState};
use owncast_herald::model::handle::Person;
use owncast_herald::store::Store;

/// Long enough for a loaded machine; a run that needs it is broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// Followers written in one commit.
const COMMIT: usize = 500;
/// Followers per host in a crowd.
pub const PER_HOST: usize = 20;

/// Writes into this store, one commit for each of `decisions`.
pub async fn write<F>(store_folder: &Path, decisions: Vec<F>) -> anyhow::Result<()>
where
    F: FnOnce(&mut Draft<'_>) + Send + 'static,
{
    let store = Store::open(store_folder)?;
    for decision in decisions {
        store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                decision(&mut draft);
                (draft.into_changes(), ())
            })
            .await?;
    }
    drop(store);
    // The writer closes the files a moment after the last handle is gone: an agent must not wait for that.
    let lock = File::open(store_folder.join("lock"))?;
    let deadline = Instant::now() + PATIENCE;
    while lock.try_lock().is_err() {
        anyhow::ensure!(Instant::now() < deadline, "the store stays locked");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Approved followers with these actors and inboxes, without an Accept to each.
pub async fn follow(store_folder: &Path, people: Vec<(String, String)>) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let decisions = people
        .chunks(COMMIT)
        .map(|people| {
            let people = people.to_vec();
            move |draft: &mut Draft<'_>| {
                for (actor, inbox) in people {
                    followers::settle(draft, &follower(actor, inbox, now));
                }
            }
        })
        .collect();
    write(store_folder, decisions).await
}

/// Actors and inboxes of so many, on hosts that nobody has.
pub fn crowd(followers: usize) -> Vec<(String, String)> {
    let person = |number: usize| {
        let host = format!("https://peer-{}.example", number / PER_HOST);
        (format!("{host}/users/person-{number}"), format!("{host}/inbox"))
    };
    (0..followers).map(person).collect()
}

fn follower(actor: String, inbox: String, now: Timestamp) -> Follower {
    Follower {
        person: Person {
            handle: actor.clone(),
            inbox,
            shared_inbox: None,
            name: Some("Ana".into()),
            icon: None,
            url: None,
            actor,
        },
        state: FollowerState::Approved,
        parked_from: None,
        moved_to: None,
        follow_id: None,
        spelt: None,
        answer: None,
        since: now,
        stamp: now,
        changed: now,
        given: None,
    }
}
