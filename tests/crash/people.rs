//! People who do not give up until they are heard, as servers do who retry.

use std::sync::Arc;
use std::time::Duration;

use owncast_herald::sim::fediverse::{Person, Server};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::stage::Stage;

/// Pause before somebody who was not heard tries again.
const AGAIN: Duration = Duration::from_millis(200);

/// What somebody did, all of it acknowledged.
pub struct Life {
    pub person: Person,
    /// Display name.
    pub name: String,
    /// The post that was liked and shared.
    pub note: String,
    /// The like was taken back and the follow undone.
    pub left: bool,
}

/// Everybody, and what they agree on.
pub struct Crowd {
    shared: Arc<Shared>,
}

struct Shared {
    handle: String,
    actor: String,
    inbox: String,
    post: watch::Sender<Option<String>>,
    acknowledged: watch::Sender<u64>,
}

impl Crowd {
    pub fn new(stage: &Stage) -> Crowd {
        let (handle, actor, inbox) = (stage.handle(), stage.actor(), stage.inbox());
        let (post, acknowledged) = (watch::Sender::new(None), watch::Sender::new(0));
        Crowd { shared: Arc::new(Shared { handle, actor, inbox, post, acknowledged }) }
    }

    /// Where the newest post is announced to the crowd.
    pub fn post_sender(&self) -> watch::Sender<Option<String>> {
        self.shared.post.clone()
    }

    /// How many activities were answered with 202.
    pub fn acknowledged(&self) -> u64 {
        *self.shared.acknowledged.borrow()
    }

    /// Waits for the next 202, at most that long.
    pub async fn next_acknowledged(&self, patience: Duration) {
        let mut acknowledged = self.shared.acknowledged.subscribe();
        acknowledged.mark_unchanged();
        // With nobody left there is none to wait for.
        let _ = tokio::time::timeout(patience, acknowledged.changed()).await;
    }

    /// Follows, likes and shares the newest post; and takes like and follow back if `leaves`.
    pub fn life(
        &self,
        server: &Server,
        number: usize,
        leaves: bool,
    ) -> impl Future<Output = Life> + Send + use<> {
        let shared = self.shared.clone();
        let name = format!("visitor{number}");
        let person = server.person(&name);
        async move {
            shared.follow(&person).await;
            let mut post = shared.post.subscribe();
            let note = post.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            let like = shared.activity(&person, "Like", json!(note));
            shared.heard(&person, &like).await;
            let share = shared.activity(&person, "Announce", json!(note));
            shared.heard(&person, &share).await;
            if leaves {
                let undo = shared.activity(&person, "Undo", like);
                shared.heard(&person, &undo).await;
                let follow = shared.activity(&person, "Follow", json!(shared.actor));
                let undo = shared.activity(&person, "Undo", follow);
                shared.heard(&person, &undo).await;
            }
            Life { person, name, note, left: leaves }
        }
    }
}

impl Shared {
    fn activity(&self, person: &Person, kind: &str, object: Value) -> Value {
        let id = format!("{}#{kind}/{}", person.id(), ulid::Ulid::generate());
        json!({
            "@context": "https://www.w3.org/ns/activitystreams", "id": id, "type": kind, "actor": person.id(),
            "object": object,
        })
    }

    async fn follow(&self, person: &Person) {
        while !person.follow(&self.handle).await.is_ok_and(|followed| followed.reply.status == 202) {
            tokio::time::sleep(AGAIN).await;
        }
        self.count();
    }

    async fn heard(&self, person: &Person, activity: &Value) {
        while !person.custom(&self.inbox, activity).await.is_ok_and(|reply| reply.status == 202) {
            tokio::time::sleep(AGAIN).await;
        }
        self.count();
    }

    fn count(&self) {
        self.acknowledged.send_modify(|count| *count += 1);
    }
}
