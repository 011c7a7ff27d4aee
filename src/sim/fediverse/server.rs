//! A server's handle: its knobs and what it saw.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::SimError;
use super::dialect::Flavour;
use super::listen::{self, Door};
use super::person::Person;
use super::routes;
use super::state::{Answer, Document, Inner, PersonState, Received, RequestSeen};
use super::timeline::PostSeen;
use super::violation::{Rule, Violation};

/// A simulated server. Clones are handles of the same server.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) inner: Arc<Inner>,
    door: Arc<Door>,
}

impl Server {
    pub(crate) async fn start(
        name: &str,
        flavour: Flavour,
        address: Ipv4Addr,
        authority: Option<reqwest::Certificate>,
        stop: CancellationToken,
    ) -> Result<Server, SimError> {
        let (listener, bound) = listen::bind(SocketAddr::from((address, 0))).await?;
        let handles = if authority.is_some() { "https" } else { "http" };
        let client = super::client(Some(address), authority)?;
        let mut inner = Inner::new(name, flavour, bound, client, stop.clone());
        inner.handles = handles;
        let inner = Arc::new(inner);
        let serving = inner.clone();
        let door =
            listen::serve(listener, bound, stop, move |request| routes::route(serving.clone(), request));
        Ok(Server { inner, door: Arc::new(door) })
    }

    /// Scheme, host and port, without a slash at the end.
    pub fn url(&self) -> String {
        self.inner.origin()
    }

    /// Host and port, as in handles.
    pub fn host(&self) -> String {
        self.inner.authority()
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// Which peer it behaves like.
    pub fn flavour(&self) -> Flavour {
        self.inner.flavour
    }

    /// Address of the shared inbox, whether or not it is offered now.
    pub fn shared_inbox(&self) -> String {
        format!("{}/inbox", self.url())
    }

    /// The person of that username, made on first use, with an RSA key of its own from its first signature on.
    pub fn person(&self, name: &str) -> Person {
        self.admit(name, None)
    }

    /// `count` persons `fan1`, `fan2`, …, who share four keys between them: for numbers, not for identity.
    pub fn crowd(&self, count: usize) -> Vec<Person> {
        (1..=count).map(|n| self.admit(&format!("fan{n}"), Some(n))).collect()
    }

    fn admit(&self, name: &str, shared_key: Option<usize>) -> Person {
        self.inner.update(|state| {
            state.people.entry(name.to_owned()).or_insert_with(|| PersonState {
                display: name.to_owned(),
                shared_key,
                ..PersonState::default()
            });
        });
        Person { server: self.clone(), name: Arc::from(name) }
    }

    /// How every inbox answers from now on, and whether the port is open at all ([`Answer::Refuse`]). With
    /// [`Answer::Hang`] documents are not answered either. Returns when the port is as wanted, after 5 s at the latest.
    pub async fn set_answer(&self, answer: Answer) {
        let open = answer != Answer::Refuse;
        self.inner.update(|state| {
            state.in_doubt |= !open;
            state.answer = answer;
        });
        self.door.set(open).await;
    }

    /// How one inbox, by its path, answers from now on.
    pub fn set_inbox_answer(&self, path: &str, answer: Answer) {
        self.inner.update(|state| state.answers.insert(path.to_owned(), answer));
    }

    /// How the next POSTs are answered, one answer each, before the lasting answers count again.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.inner.update(|state| state.next_answers.extend(answers));
    }

    /// Whether actors offer a shared inbox and it answers. On at first.
    pub fn set_shared_inbox(&self, on: bool) {
        self.inner.update(|state| state.shared_inbox = on);
    }

    /// Whether actors are shown only to signed GETs (Mastodon's secure mode). On at first for GoToSocial.
    pub fn set_signed_gets(&self, on: bool) {
        self.inner.update(|state| state.signed_gets = on);
    }

    /// Whether cavage is refused, in every place where a signature is asked for. Off at first.
    pub fn set_rfc9421_only(&self, on: bool) {
        self.inner.update(|state| state.rfc9421_only = on);
    }

    /// Whether people here accept followers at once. On at first.
    pub fn set_auto_accept(&self, on: bool) {
        self.inner.update(|state| state.auto_accept = on);
    }

    /// Whether only followers-only posts are expected: then Public anywhere is a [`Rule::PublicLeak`].
    pub fn expect_followers_only(&self, on: bool) {
        self.inner.update(|state| state.followers_only = on);
    }

    /// How far this server's clock is ahead of the system's, negative for behind.
    pub fn set_clock_skew(&self, skew: SignedDuration) {
        self.inner.update(|state| state.skew = skew);
    }

    /// Serves `document` at `path`, before anything generated.
    pub fn place(&self, path: &str, document: Document) {
        self.inner.update(|state| state.documents.insert(path.to_owned(), document));
    }

    /// Forgets actors and keys of others, as after their expiry.
    pub fn forget_remotes(&self) {
        self.inner.update(|state| {
            state.remotes.clear();
            state.remote_keys.clear();
        });
    }

    /// The POSTs its inboxes got, oldest first, at most the last 20,000.
    pub fn received(&self) -> Vec<Received> {
        self.inner.lock().received.iter().cloned().collect()
    }

    /// How many POSTs its inboxes ever got.
    pub fn received_count(&self) -> u64 {
        self.inner.lock().received_total
    }

    /// All other requests, oldest first, at most the last 20,000.
    pub fn requests(&self) -> Vec<RequestSeen> {
        self.inner.lock().requests.iter().cloned().collect()
    }

    /// How many other requests it ever got.
    pub fn requests_count(&self) -> u64 {
        self.inner.lock().requests_total
    }

    /// Every protocol fault observed, oldest first, at most the last 20,000.
    pub fn violations(&self) -> Vec<Violation> {
        self.inner.lock().violations.iter().cloned().collect()
    }

    /// Verified activities whose id had come before. Peers drop these silently. Follow and Undo are not counted:
    /// several peers reuse their ids.
    pub fn duplicates(&self) -> u64 {
        self.inner.lock().duplicates
    }

    /// Every post here, deleted ones too, in order of arrival.
    pub fn posts(&self) -> Vec<PostSeen> {
        self.inner.lock().posts.clone()
    }

    /// The first POST, past or to come, that `wanted` agrees with; none after `timeout`.
    pub async fn wait_for(
        &self,
        timeout: Duration,
        mut wanted: impl FnMut(&Received) -> bool,
    ) -> Option<Received> {
        self.inner.wait(timeout, |state| state.received.iter().find(|one| wanted(one)).cloned()).await
    }

    /// The first post that `wanted` agrees with, now or after a change; none after `timeout`.
    pub async fn wait_post(
        &self,
        timeout: Duration,
        mut wanted: impl FnMut(&PostSeen) -> bool,
    ) -> Option<PostSeen> {
        self.inner.wait(timeout, |state| state.posts.iter().find(|post| wanted(post)).cloned()).await
    }

    /// The first violation of that rule, filed already or later; none after `timeout`.
    pub async fn wait_violation(&self, timeout: Duration, rule: Rule) -> Option<Violation> {
        self.inner.wait(timeout, |state| state.violations.iter().find(|v| v.rule == rule).cloned()).await
    }

    /// Waits until `count` POSTs came in all. False after `timeout`.
    pub async fn wait_count(&self, timeout: Duration, count: u64) -> bool {
        self.inner.wait(timeout, |state| (state.received_total >= count).then_some(())).await.is_some()
    }

    /// Ends the server for good, as if its host vanished.
    pub fn stop(&self) {
        self.inner.stop.cancel();
    }
}
