//! Documents that follow from the settings alone: rendered once, served many times.

use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use tokio::sync::watch;

use super::answer::{ACTIVITY_JSON, Answer, Document, JRD_JSON, JSON, Problem, Wants, wants};
use super::public::Request;
use crate::activitypub::vocab;
use crate::activitypub::vocab::discovery::WebfingerProblem;
use crate::agent::effective::{Effective, IdentityState};
use crate::model::Addresses;
use crate::model::facts::Facts;

/// What strangers are told: the reason names files and followers, and is for the operator alone.
const UNSETTLED: &str = "this server's fediverse identity is not settled; its operator finds the reason in the log and with 'owncast-herald status'. An actor that has lived before goes on with 'owncast-herald adopt --key-only' or 'owncast-herald run --new-identity'";
/// How long discovery documents are kept by those who ask, in seconds.
const DISCOVERY: u32 = 3600;

/// Renders the documents of a settled identity when the settings change.
#[derive(Debug, Default)]
pub struct Documents {
    current: Mutex<Option<(Arc<Effective>, Arc<Standing>)>>,
}

/// Whether we know who we are, and the documents if we do.
#[derive(Debug)]
pub enum Standing {
    /// Not yet: every federation address answers 503 and says why.
    Waiting,
    /// Yes.
    Settled(Box<Settled>),
}

/// The documents of a settled identity.
#[derive(Debug)]
pub struct Settled {
    /// Our ids.
    pub addresses: Addresses,
    /// What Owncast said last.
    pub facts: Facts,
    /// Whether anybody may read who follows.
    pub shows_followers: bool,
    actor: Document,
    pub(super) following: Document,
    pub(super) host_meta: Document,
    pub(super) nodeinfo_index: Document,
}

/// Documents that tell a number of posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    V20,
    V21,
    X,
    Instance,
}

impl Documents {
    /// The documents of this moment.
    pub fn standing(&self, effective: &watch::Receiver<Arc<Effective>>) -> Arc<Standing> {
        let now = Arc::clone(&effective.borrow());
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some((of, standing)) if Arc::ptr_eq(of, &now) => Arc::clone(standing),
            _ => {
                let standing = Arc::new(Standing::of(&now));
                *current = Some((now, Arc::clone(&standing)));
                standing
            }
        }
    }
}

impl Standing {
    fn of(effective: &Effective) -> Standing {
        let (addresses, published, public_key) = match &effective.identity {
            IdentityState::Waiting(_) => return Standing::Waiting,
            IdentityState::Settled { addresses, published, public_key } => {
                (addresses, *published, public_key)
            }
        };
        let facts = &effective.facts;
        let actor = vocab::actor::actor(addresses, facts, published, effective.manual_approval(), public_key);
        Standing::Settled(Box::new(Settled {
            actor: Document::negotiated(actor.to_string(), ACTIVITY_JSON),
            following: Document::new(
                vocab::collection::following(addresses).to_string(),
                ACTIVITY_JSON,
                DISCOVERY,
            ),
            host_meta: Document::new(
                vocab::discovery::host_meta(addresses),
                "application/xrd+xml; charset=utf-8",
                DISCOVERY,
            ),
            nodeinfo_index: Document::new(
                vocab::discovery::nodeinfo_index(addresses).to_string(),
                JSON,
                DISCOVERY,
            ),
            addresses: addresses.clone(),
            facts: facts.clone(),
            shows_followers: effective.shows_followers(),
        }))
    }

    /// The documents, or 503 with what is missing.
    pub fn settled(&self) -> Result<&Settled, Problem> {
        match self {
            Standing::Settled(settled) => Ok(settled),
            Standing::Waiting => Err(Problem::busy("identity-unknown", UNSETTLED, 60)),
        }
    }

    /// Path in front of all federation addresses: that of the public URL.
    pub(super) fn prefix(&self) -> &str {
        match self {
            Standing::Settled(settled) => settled.addresses.path_prefix(),
            Standing::Waiting => "",
        }
    }
}

impl Settled {
    /// The actor; a browser is sent to the watch page.
    pub(super) fn actor(&self, request: &Request) -> Answer {
        match wants(&request.headers) {
            Wants::Activity => self.actor.answer(&request.method, &request.headers),
            Wants::Page => see_other(&self.addresses.watch_page()),
        }
    }

    /// WebFinger for whatever names us.
    pub(super) fn webfinger(&self, request: &Request) -> Result<Answer, Problem> {
        let resource = url::form_urlencoded::parse(request.query.as_deref().unwrap_or_default().as_bytes())
            .find_map(|(name, value)| (name == "resource").then_some(value))
            .unwrap_or_default();
        match vocab::discovery::webfinger(&self.addresses, &self.facts, &resource) {
            Ok(found) => Ok(Document::new(found.to_string(), JRD_JSON, DISCOVERY)
                .answer(&request.method, &request.headers)),
            Err(problem @ WebfingerProblem::Unknown) => {
                Err(Problem::new(StatusCode::NOT_FOUND, "unknown-resource", problem.to_string()))
            }
            Err(problem) => Err(Problem::new(StatusCode::BAD_REQUEST, "bad-resource", problem.to_string())),
        }
    }

    /// A document that tells how many posts there are.
    pub(super) fn counted(&self, which: Counted, posts: u64) -> Document {
        let (addresses, facts) = (&self.addresses, &self.facts);
        let body = match which {
            Counted::V20 => vocab::discovery::nodeinfo_2_0(addresses, facts, posts),
            Counted::V21 => vocab::discovery::nodeinfo_2_1(addresses, facts, posts),
            Counted::X => vocab::discovery::x_nodeinfo2(addresses, facts, posts),
            Counted::Instance => vocab::discovery::api_v1_instance(addresses, facts, posts),
        };
        let content_type = match which {
            Counted::V20 => "application/json; profile=\"http://nodeinfo.diaspora.software/ns/schema/2.0#\"",
            Counted::V21 => "application/json; profile=\"http://nodeinfo.diaspora.software/ns/schema/2.1#\"",
            Counted::X | Counted::Instance => JSON,
        };
        Document::new(body.to_string(), content_type, 300)
    }
}

/// 303 to another address.
pub(super) fn see_other(to: &str) -> Answer {
    let mut answer = Answer::new(bytes::Bytes::new());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(to) = http::HeaderValue::try_from(to) {
        answer.headers_mut().insert(http::header::LOCATION, to);
    }
    answer.headers_mut().insert(http::header::VARY, http::HeaderValue::from_static("Accept"));
    answer
        .headers_mut()
        .insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("private, no-store"));
    answer
}
