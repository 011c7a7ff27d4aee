//! What a server remembers, and the one lock around it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use super::dialect::{Dialect, Flavour};
use super::discover::Remote;
use super::fetch::KnownKey;
use super::keys::Keys;
use super::timeline::PostSeen;
use super::violation::{Fault, Violation};

/// Requests and faults kept for inspection; older ones are forgotten, counters are not.
pub(crate) const KEPT: usize = 20_000;

/// How an inbox answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// As the flavour does.
    #[default]
    Ok,
    /// With this status; the activity is recorded and has no effect.
    Status(u16),
    /// With this status and `Retry-After`; no effect.
    RetryAfter {
        /// HTTP status, usually 429 or 503.
        status: u16,
        /// The header's value: seconds or an HTTP date.
        after: String,
    },
    /// 308 to this address; no effect.
    Redirect(String),
    /// 410; no effect.
    Gone,
    /// As the flavour does, that much later. The activity takes effect at once, so a sender that gave up was heard.
    Slow(Duration),
    /// Takes the request and never answers; no effect.
    Hang,
    /// The activity takes effect, then the connection closes without an answer.
    Drop,
    /// The port is closed. For a single inbox: the connection closes without effect.
    Refuse,
}

impl Answer {
    /// Whether the activity takes effect.
    pub(crate) fn takes_effect(&self) -> bool {
        matches!(self, Answer::Ok | Answer::Slow(_) | Answer::Drop)
    }

    /// Whether the sender cannot know what became of its request.
    pub(crate) fn leaves_in_doubt(&self) -> bool {
        matches!(self, Answer::Slow(_) | Answer::Drop | Answer::Hang | Answer::Refuse)
    }
}

/// A POST that reached an inbox.
#[derive(Clone, Debug)]
pub struct Received {
    /// When its body was complete, by the system's clock.
    pub at: Timestamp,
    /// Path of the inbox.
    pub inbox: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as JSON; null if it is not JSON.
    pub body: Value,
    /// The body as it came.
    pub raw: Bytes,
    /// The signature's verdict by this flavour's rules, with the reason of a refusal.
    pub verdict: Result<(), String>,
    /// Whether a digest header holds the SHA-256 of the body, however spelled.
    pub digest_ok: bool,
    /// Status it is answered with; none for [`Answer::Hang`], [`Answer::Drop`] and [`Answer::Refuse`].
    pub answered: Option<u16>,
    /// Whether it took effect here.
    pub effective: bool,
}

impl Received {
    /// The activity's type, empty without one.
    pub fn kind(&self) -> &str {
        self.body.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The activity's id, empty without one.
    pub fn id(&self) -> &str {
        self.body.get("id").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Any other request that reached the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSeen {
    /// When.
    pub at: Timestamp,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Whether a `Signature` header came along.
    pub signed: bool,
    /// `Accept`, empty without one.
    pub accept: String,
    /// `User-Agent`, empty without one.
    pub user_agent: String,
    /// Status it was answered with; none if it never was.
    pub status: Option<u16>,
}

/// A document served in place of, or beside, the generated ones: for hostile peers.
#[derive(Clone, Debug)]
pub struct Document {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// More headers, `Location` for instance.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Document {
    /// A 200 of `application/activity+json`.
    pub fn activity(value: &Value) -> Document {
        Document {
            status: 200,
            content_type: "application/activity+json".into(),
            headers: Vec::new(),
            body: value.to_string().into(),
        }
    }
}

/// Where a follow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowState {
    /// Sent, not answered.
    Pending,
    /// Accepted.
    Accepted,
    /// Rejected, or removed later.
    Rejected,
}

/// A follow by a local person.
#[derive(Clone, Debug)]
pub(crate) struct Follow {
    pub(crate) target: String,
    pub(crate) id: String,
    /// Ids of earlier Follows of the same target: one whose answer was lost may be accepted all the same.
    pub(crate) earlier: Vec<String>,
    pub(crate) state: FollowState,
}

/// A local person.
#[derive(Debug, Default)]
pub(crate) struct PersonState {
    pub(crate) display: String,
    pub(crate) keys: Arc<OnceCell<Arc<Keys>>>,
    /// The Ed25519 key, where the flavour lists one or one was signed with.
    pub(crate) edwards: Arc<OnceCell<Arc<Keys>>>,
    /// Takes this shared key instead of one of its own.
    pub(crate) shared_key: Option<usize>,
    pub(crate) gone: bool,
    pub(crate) overrides: Map<String, Value>,
    pub(crate) follows: Vec<Follow>,
    /// Actor ids, and the id of the Follow of each.
    pub(crate) followers: BTreeMap<String, String>,
    /// What can be undone: activity type and note id, and the activity with the inbox it went to.
    pub(crate) done: HashMap<(String, String), (Value, String)>,
    /// Inboxes this person ever wrote to: its own Delete goes there.
    pub(crate) inboxes: BTreeSet<String>,
    /// Activities made, for ids.
    pub(crate) made: u64,
}

/// Everything that changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) people: HashMap<String, PersonState>,
    pub(crate) answer: Answer,
    pub(crate) answers: HashMap<String, Answer>,
    pub(crate) next_answers: VecDeque<Answer>,
    pub(crate) received: VecDeque<Received>,
    pub(crate) received_total: u64,
    pub(crate) requests: VecDeque<RequestSeen>,
    pub(crate) requests_total: u64,
    pub(crate) violations: VecDeque<Violation>,
    pub(crate) seen: HashMap<String, [u8; 32]>,
    pub(crate) duplicates: u64,
    pub(crate) posts: Vec<PostSeen>,
    pub(crate) documents: HashMap<String, Document>,
    pub(crate) remotes: HashMap<String, Remote>,
    pub(crate) remote_keys: HashMap<String, KnownKey>,
    pub(crate) shared_inbox: bool,
    pub(crate) signed_gets: bool,
    pub(crate) rfc9421_only: bool,
    pub(crate) auto_accept: bool,
    pub(crate) followers_only: bool,
    /// A POST was left unanswered, so its sender may rightly believe that it arrived.
    pub(crate) in_doubt: bool,
    pub(crate) skew: SignedDuration,
}

impl State {
    pub(crate) fn new(dialect: &Dialect) -> State {
        State {
            people: HashMap::new(),
            answer: Answer::Ok,
            answers: HashMap::new(),
            next_answers: VecDeque::new(),
            received: VecDeque::new(),
            received_total: 0,
            requests: VecDeque::new(),
            requests_total: 0,
            violations: VecDeque::new(),
            seen: HashMap::new(),
            duplicates: 0,
            posts: Vec::new(),
            documents: HashMap::new(),
            remotes: HashMap::new(),
            remote_keys: HashMap::new(),
            shared_inbox: true,
            signed_gets: dialect.signed_gets,
            rfc9421_only: false,
            auto_accept: true,
            followers_only: false,
            in_doubt: false,
            skew: SignedDuration::ZERO,
        }
    }

    /// How the next POST to `inbox` is answered.
    pub(crate) fn take_answer(&mut self, inbox: &str) -> Answer {
        self.next_answers
            .pop_front()
            .or_else(|| self.answers.get(inbox).cloned())
            .unwrap_or_else(|| self.answer.clone())
    }

    /// Files a fault.
    pub(crate) fn blame(&mut self, subject: &str, fault: Fault) {
        let Fault { rule, detail } = fault;
        push(
            &mut self.violations,
            Violation { at: Timestamp::now(), rule, subject: subject.to_owned(), detail },
        );
    }
}

/// Appends and forgets the oldest beyond [`KEPT`].
pub(crate) fn push<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= KEPT {
        list.pop_front();
    }
    list.push_back(item);
}

/// A running server, as its handles, its routes and its background work share it.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) flavour: Flavour,
    pub(crate) dialect: &'static Dialect,
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    /// Scheme by which the host of a handle is asked.
    pub(crate) handles: &'static str,
    pub(crate) stop: CancellationToken,
    changed: watch::Sender<()>,
    state: Mutex<State>,
}

impl Inner {
    pub(crate) fn new(
        name: &str,
        flavour: Flavour,
        address: SocketAddr,
        client: reqwest::Client,
        stop: CancellationToken,
    ) -> Inner {
        let dialect = flavour.dialect();
        Inner {
            name: name.to_owned(),
            flavour,
            dialect,
            address,
            client,
            handles: "http",
            stop,
            changed: watch::Sender::new(()),
            state: Mutex::new(State::new(dialect)),
        }
    }

    /// Host and port, as in handles and in `Host`.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The actor id of a local username.
    pub(crate) fn actor(&self, name: &str) -> String {
        format!("{}{}{name}", self.origin(), self.dialect.actors)
    }

    /// This server's clock.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now() + self.lock().skew
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes those who wait for a change.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_replace(());
        result
    }

    /// Runs background work that ends with the server.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            let _stopped = stop.run_until_cancelled(work).await;
        });
    }

    /// Looks at the state after every change until there is something, or the time is over.
    pub(crate) async fn wait<T>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&State) -> Option<T>,
    ) -> Option<T> {
        let mut changed = self.changed.subscribe();
        let looking = async {
            loop {
                changed.borrow_and_update();
                let found = look(&self.lock());
                if found.is_some() || changed.changed().await.is_err() {
                    return found;
                }
            }
        };
        tokio::time::timeout(timeout, looking).await.ok().flatten()
    }
}
