//! People: they discover, follow, like, boost, undo and leave.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::discover::Remote;
use super::fetch::Sender;
use super::keys::{self, Keys};
use super::server::Server;
use super::shapes::{self, Author};
use super::sign::{SignOptions, SigningKey};
use super::state::{Follow, FollowState, Inner, PersonState, State};
use super::timeline::PostSeen;
use super::{Reply, SimError};

/// Somebody on a simulated server. Clones are the same person.
#[derive(Clone)]
pub struct Person {
    pub(crate) server: Server,
    pub(crate) name: Arc<str>,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Person({})", self.handle())
    }
}

/// A follow that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The actor id that was found.
    pub actor: String,
    /// The Follow as sent.
    pub follow: Value,
    /// The inbox it went to.
    pub inbox: String,
    /// What the inbox answered.
    pub reply: Reply,
}

impl Inner {
    /// A local person's key and key id.
    pub(crate) async fn sender(&self, name: &str) -> Result<Sender, SimError> {
        let found = self.lock().people.get(name).map(|person| (person.keys.clone(), person.shared_key));
        let (cell, shared) = found.ok_or_else(|| SimError::Unknown(format!("nobody is called {name}")))?;
        let keys = match shared {
            Some(index) => keys::shared(index).await?,
            None => cell.get_or_try_init(keys::fresh).await?.clone(),
        };
        Ok(Sender { key_id: self.dialect.key_id(&self.actor(name)), keys })
    }

    /// A local person's Ed25519 key and its key id.
    pub(crate) async fn edwards(&self, name: &str) -> Result<Sender, SimError> {
        let cell = self.lock().people.get(name).map(|person| person.edwards.clone());
        let cell = cell.ok_or_else(|| SimError::Unknown(format!("nobody is called {name}")))?;
        let keys = cell.get_or_try_init(|| async { Keys::edwards().map(Arc::new) }).await?.clone();
        Ok(Sender { key_id: self.dialect.multikey_id(&self.actor(name)), keys })
    }

    fn author<T>(&self, name: &str, made: u64, shape: impl FnOnce(&Author<'_>) -> T) -> T {
        shape(&Author { flavour: self.flavour, origin: &self.origin(), actor: &self.actor(name), made })
    }
}

/// Accepts a Follow on behalf of a local person.
pub(crate) async fn accept(inner: Arc<Inner>, name: &str, follow: &Value) {
    let follower = follow.get("actor").and_then(Value::as_str).unwrap_or_default();
    let accept = inner.author(name, 0, |author| shapes::accept(author, follow));
    let sent = async {
        let remote = inner.actor_at(follower).await?;
        let sender = inner.sender(name).await?;
        inner.post(&sender, &remote.inbox, accept.to_string().as_bytes(), &SignOptions::default()).await
    };
    if let Err(error) = sent.await {
        tracing::debug!(%error, follower, "an Accept of the simulated fediverse was not delivered");
    }
}

impl Person {
    fn inner(&self) -> &Inner {
        &self.server.inner
    }

    /// The actor id.
    pub fn id(&self) -> String {
        self.inner().actor(&self.name)
    }

    /// `user@host:port`.
    pub fn handle(&self) -> String {
        format!("{}@{}", self.name, self.inner().authority())
    }

    /// The personal inbox.
    pub fn inbox(&self) -> String {
        format!("{}/inbox", self.id())
    }

    /// The key id its signatures name.
    pub fn key_id(&self) -> String {
        self.inner().dialect.key_id(&self.id())
    }

    /// The server it lives on.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Another display name, as hostile as wanted.
    pub fn set_display_name(&self, display: &str) {
        self.change(|person, _| person.display = display.to_owned());
    }

    /// Fields of the actor document that replace the generated ones.
    pub fn override_actor(&self, fields: Map<String, Value>) {
        self.change(|person, _| person.overrides.extend(fields));
    }

    /// Throws the key away: the next signature is made with a new one under the same key id.
    pub fn rotate_key(&self) {
        self.change(|person, _| {
            person.keys = Arc::default();
            person.edwards = Arc::default();
            person.shared_key = None;
        });
    }

    fn change<T: Default>(&self, change: impl FnOnce(&mut PersonState, u64) -> T) -> T {
        self.inner().update(|state| match state.people.get_mut(&*self.name) {
            Some(person) => {
                person.made += 1;
                let made = person.made;
                change(person, made)
            }
            None => T::default(),
        })
    }

    fn shape<T>(&self, shape: impl FnOnce(&Author<'_>) -> T) -> T {
        let made = self.change(|_, made| made);
        self.inner().author(&self.name, made, shape)
    }

    /// Looks up `user@host` or an actor id as this flavour does, and follows it. An earlier follow of the same actor is
    /// sent again, with the id this flavour gives then.
    ///
    /// # Errors
    /// [`SimError::Document`] if the flavour would not accept what it found (filed as a violation too),
    /// [`SimError::Transport`] without an answer.
    pub async fn follow(&self, target: &str) -> Result<Followed, SimError> {
        let remote = self.inner().resolve(target).await?;
        let follow = self.shape(|author| shapes::follow(author, &remote.id));
        let id = follow.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let inbox = match remote.shared {
            Some(shared) if self.inner().dialect.follow_to_shared => shared,
            _ => remote.inbox,
        };
        // Written down first: the Accept may be here before the answer is.
        self.change(|person, _| {
            let before = person.follows.iter().position(|follow| follow.target == remote.id);
            let mut earlier = Vec::new();
            if let Some(before) = before.map(|at| person.follows.remove(at)) {
                earlier = before.earlier;
                earlier.push(before.id);
            }
            let state = FollowState::Pending;
            person.follows.push(Follow { target: remote.id.clone(), id, earlier, state });
            person.done.insert(key("Follow", &remote.id), (follow.clone(), inbox.clone()));
        });
        let reply = self.custom(&inbox, &follow).await?;
        Ok(Followed { actor: remote.id, follow, inbox, reply })
    }

    /// Undoes the latest follow.
    ///
    /// # Errors
    /// [`SimError::Unknown`] if nobody is followed, [`SimError::Transport`] without an answer.
    pub async fn unfollow(&self) -> Result<Reply, SimError> {
        let target = self.change(|person, _| person.follows.pop()).map(|follow| follow.target);
        self.undo("Follow", &target.unwrap_or_default()).await
    }

    /// Likes a note, fetching it first if this server has not got it.
    ///
    /// # Errors
    /// [`SimError::Document`] if note or author cannot be had, [`SimError::Transport`] without an answer.
    pub async fn like(&self, note: &str) -> Result<Reply, SimError> {
        let author = self.author_of(note).await?;
        let activity = self.shape(|me| shapes::like(me, note));
        self.engage("Like", note, activity, &author).await
    }

    /// Reacts to a note with an emoji or `:shortcode:`.
    ///
    /// # Errors
    /// As [`Person::like`].
    pub async fn react(&self, note: &str, emoji: &str) -> Result<Reply, SimError> {
        let author = self.author_of(note).await?;
        let activity = self.shape(|me| shapes::react(me, note, emoji));
        self.engage("React", note, activity, &author).await
    }

    /// Boosts a note.
    ///
    /// # Errors
    /// As [`Person::like`].
    pub async fn announce(&self, note: &str) -> Result<Reply, SimError> {
        let author = self.author_of(note).await?;
        let activity = self.shape(|me| shapes::announce(me, note, &author.id));
        self.engage("Announce", note, activity, &author).await
    }

    /// Takes a like back.
    ///
    /// # Errors
    /// [`SimError::Unknown`] if there is none, [`SimError::Transport`] without an answer.
    pub async fn undo_like(&self, note: &str) -> Result<Reply, SimError> {
        self.undo("Like", note).await
    }

    /// Takes a reaction back.
    ///
    /// # Errors
    /// As [`Person::undo_like`].
    pub async fn undo_react(&self, note: &str) -> Result<Reply, SimError> {
        self.undo("React", note).await
    }

    /// Takes a boost back.
    ///
    /// # Errors
    /// As [`Person::undo_like`].
    pub async fn undo_announce(&self, note: &str) -> Result<Reply, SimError> {
        self.undo("Announce", note).await
    }

    /// Leaves for good: from now on its addresses answer 410, and its Delete goes to every inbox it ever wrote to.
    ///
    /// # Errors
    /// [`SimError::Transport`] if one of them does not answer.
    pub async fn delete_self(&self) -> Result<Vec<Reply>, SimError> {
        let sender = self.inner().sender(&self.name).await?;
        let activity = self.shape(shapes::delete_self).to_string();
        let inboxes = self.change(|person, _| {
            person.gone = true;
            person.inboxes.clone()
        });
        let options = SignOptions::default();
        let mut replies = Vec::new();
        for inbox in inboxes {
            replies.push(self.inner().post(&sender, &inbox, activity.as_bytes(), &options).await?);
        }
        Ok(replies)
    }

    /// Posts an activity of any shape to an inbox, signed as the flavour signs.
    ///
    /// # Errors
    /// [`SimError::Transport`] without an answer.
    pub async fn custom(&self, inbox: &str, activity: &Value) -> Result<Reply, SimError> {
        self.custom_signed(inbox, activity.to_string(), &SignOptions::default()).await
    }

    /// Posts any bytes to an inbox, with the departures in `options`.
    ///
    /// # Errors
    /// [`SimError::Transport`] without an answer.
    pub async fn custom_signed(
        &self,
        inbox: &str,
        body: impl Into<Vec<u8>>,
        options: &SignOptions,
    ) -> Result<Reply, SimError> {
        let mut sender = self.inner().sender(&self.name).await?;
        match &options.key {
            SigningKey::Own => {}
            SigningKey::Edwards => sender = self.inner().edwards(&self.name).await?,
            SigningKey::Stray => sender.keys = keys::stray().await?,
            SigningKey::Of(other) => sender.keys = other.inner().sender(&other.name).await?.keys,
        }
        self.change(|person, _| {
            person.inboxes.insert(inbox.to_owned());
        });
        self.inner().post(&sender, inbox, &body.into(), options).await
    }

    /// Whether the latest follow was accepted.
    pub fn is_accepted(&self) -> bool {
        self.follow_state() == Some(FollowState::Accepted)
    }

    /// Where the latest follow stands; none if nobody is followed.
    pub fn follow_state(&self) -> Option<FollowState> {
        self.latest(&self.inner().lock())
    }

    fn latest(&self, state: &State) -> Option<FollowState> {
        state.people.get(&*self.name)?.follows.last().map(|follow| follow.state)
    }

    /// Waits until the latest follow is accepted. False after `timeout`.
    pub async fn wait_accepted(&self, timeout: Duration) -> bool {
        self.wait_follow(timeout, FollowState::Accepted).await
    }

    /// Waits until the latest follow stands so. False after `timeout`.
    pub async fn wait_follow(&self, timeout: Duration, wanted: FollowState) -> bool {
        let look = |state: &State| (self.latest(state) == Some(wanted)).then_some(());
        self.inner().wait(timeout, look).await.is_some()
    }

    /// Actor ids of those who follow this person.
    pub fn followers(&self) -> Vec<String> {
        let state = self.inner().lock();
        state.people.get(&*self.name).map(|p| p.followers.keys().cloned().collect()).unwrap_or_default()
    }

    /// The posts this person sees: by those it follows with success, and those that name it. Deleted ones stay, marked.
    pub fn timeline(&self) -> Vec<PostSeen> {
        let state = self.inner().lock();
        state.posts.iter().filter(|post| self.sees(&state, post)).cloned().collect()
    }

    /// The first post of the timeline that `wanted` agrees with, now or after a change; none after `timeout`.
    pub async fn wait_post(
        &self,
        timeout: Duration,
        mut wanted: impl FnMut(&PostSeen) -> bool,
    ) -> Option<PostSeen> {
        let look =
            |state: &State| state.posts.iter().find(|post| self.sees(state, post) && wanted(post)).cloned();
        self.inner().wait(timeout, look).await
    }

    fn sees(&self, state: &State, post: &PostSeen) -> bool {
        let id = self.id();
        let follows = state.people.get(&*self.name).is_some_and(|person| {
            person.follows.iter().any(|f| f.state == FollowState::Accepted && f.target == post.author)
        });
        let named = post.audience.0.contains(&id) || post.audience.1.contains(&id);
        named || (follows && post.create.is_some())
    }

    /// The author of a note: as delivered here, else by fetching the note, which this server then has.
    async fn author_of(&self, note: &str) -> Result<Remote, SimError> {
        let known = self.inner().lock().posts.iter().find(|p| p.note == note).map(|p| p.author.clone());
        let author = match known {
            Some(author) => author,
            None => {
                let document = self.inner().document(note).await?;
                let post = PostSeen::new(&document, None);
                if post.note != note || !super::fetch::same_origin(note, &post.author) {
                    let why = format!("its id is {:?}, its author {:?}", post.note, post.author);
                    return Err(SimError::Document { url: note.to_owned(), why });
                }
                let author = post.author.clone();
                self.inner().update(|state| {
                    // A delivery may have come while the note was on its way.
                    if state.posts.iter().all(|known| known.note != note) {
                        state.posts.push(PostSeen { at: Timestamp::now(), ..post });
                    }
                });
                author
            }
        };
        self.inner().actor_at(&author).await
    }

    async fn engage(
        &self,
        kind: &str,
        note: &str,
        activity: Value,
        author: &Remote,
    ) -> Result<Reply, SimError> {
        let inbox = author.inbox.clone();
        self.change(|person, _| person.done.insert(key(kind, note), (activity.clone(), inbox.clone())));
        self.custom(&inbox, &activity).await
    }

    async fn undo(&self, kind: &str, object: &str) -> Result<Reply, SimError> {
        let done = self.change(|person, _| person.done.remove(&key(kind, object)));
        let (original, inbox) =
            done.ok_or_else(|| SimError::Unknown(format!("{} has no {kind} of {object:?}", self.handle())))?;
        let undo = self.shape(|author| shapes::undo(author, &original));
        self.custom(&inbox, &undo).await
    }
}

fn key(kind: &str, object: &str) -> (String, String) {
    (kind.to_owned(), object.to_owned())
}
