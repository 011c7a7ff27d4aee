//! Documents that follow from the settings alone: rendered once, served many times.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use tokio::sync::watch;

use super::answer::{ACTIVITY_JSON, Answer, Document, JRD_JSON, JSON, Problem, Rendered, Wants, wants};
use super::pages::{self, Asked};
use super::public::Request;
use crate::activitypub::vocab;
use crate::activitypub::vocab::discovery::WebfingerProblem;
use crate::agent::effective::{Effective, IdentityState};
use crate::model::Addresses;
use crate::model::facts::Facts;

/// What strangers are told: the reason names files and followers, and is for the operator alone.
const UNSETTLED: &str = "this server's fediverse identity is not settled; its operator finds the reason in the log and with 'owncast-herald status'. An actor that has lived before goes on with 'owncast-herald adopt' or 'owncast-herald run --new-identity'";
/// How long discovery documents are kept by those who ask, in seconds.
const DISCOVERY: u32 = 3600;

/// Documents kept as they were rendered: after a post, thousands of servers ask for the same few.
const KEPT: usize = 128;
/// A larger document is rendered for every request.
const KEPT_BYTES: usize = 32 * 1024;

/// Renders the documents of a settled identity when the settings change, and keeps what was rendered last.
#[derive(Debug, Default)]
pub struct Documents {
    current: Mutex<Option<(Arc<Effective>, Arc<Standing>)>>,
    kept: Mutex<Kept>,
    pub(super) followers: pages::Order,
}

/// A state of settings and store: a document belongs to one.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) standing: Arc<Standing>,
    /// [`Store::written`](crate::store::Store::written), taken before the store was read. Without it the document is of
    /// that moment alone: kept, it might be older than another one served already.
    pub(super) written: Option<u64>,
}

impl Moment {
    fn is(&self, other: &Moment) -> bool {
        self.written.is_some()
            && self.written == other.written
            && Arc::ptr_eq(&self.standing, &other.standing)
    }
}

#[derive(Debug, Default)]
struct Kept {
    of: Option<Moment>,
    documents: HashMap<(String, Asked, Wants), Document>,
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

impl Documents {
    /// The document that the same GET was answered with, if nothing has changed since.
    pub(super) fn kept(&self, moment: &Moment, request: &Request) -> Option<Document> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.of.as_ref().filter(|of| of.is(moment))?;
        kept.documents.get(&address(request)).cloned()
    }

    /// Keeps a document of `moment` for the next GET like this one.
    pub(super) fn keep(&self, moment: Moment, request: &Request, document: &Document) {
        if document.size() > KEPT_BYTES || moment.written.is_none() {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Strangers choose the query: what they can fill is small and emptied as a whole.
        if kept.documents.len() >= KEPT || !kept.of.as_ref().is_some_and(|of| of.is(&moment)) {
            kept.documents.clear();
            kept.of = Some(moment);
        }
        kept.documents.insert(address(request), document.clone());
    }
}

fn address(request: &Request) -> (String, Asked, Wants) {
    (request.path.clone(), Asked::of(request), wants(&request.headers))
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
    pub(super) fn actor(&self, request: &Request) -> Rendered {
        match wants(&request.headers) {
            Wants::Activity | Wants::Anything => self.actor.clone().into(),
            Wants::Page => see_other(&self.addresses.watch_page()).into(),
        }
    }

    /// WebFinger for whatever names us.
    pub(super) fn webfinger(&self, request: &Request) -> Result<Rendered, Problem> {
        let resource = Asked::of(request).resource.unwrap_or_default();
        match vocab::discovery::webfinger(&self.addresses, &self.facts, &resource) {
            Ok(found) => Ok(Document::new(found.to_string(), JRD_JSON, DISCOVERY).into()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, Method};

    fn get(path: &str, query: Option<&str>, accept: &'static str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, HeaderValue::from_static(accept));
        let (method, path, query) = (Method::GET, path.to_owned(), query.map(str::to_owned));
        Request { method, path, query, headers, peer: None }
    }

    #[test]
    fn a_document_is_kept_for_the_same_get_of_the_same_state() {
        let documents = Documents::default();
        let standing = Arc::new(Standing::Waiting);
        let now = Moment { standing: Arc::clone(&standing), written: Some(7) };
        let (json, html) = ("application/activity+json", "text/html");
        let asked = get("/n", Some("page=1"), json);
        documents.keep(now.clone(), &asked, &Document::negotiated("{}", ACTIVITY_JSON));
        let kept = |moment: &Moment, request: &Request| documents.kept(moment, request).is_some();
        assert!(kept(&now, &asked));
        for other in [get("/m", Some("page=1"), json), get("/n", None, json), get("/n", Some("page=1"), html)]
        {
            assert!(!kept(&now, &other), "{other:?}");
        }
        for same in ["page=01", "x=7&page=1", "page=1&page=2", "page=true&limit=50"] {
            assert!(kept(&now, &get("/n", Some(same), json)), "{same}");
        }
        let written = Moment { standing: Arc::clone(&standing), written: Some(8) };
        let set = Moment { standing: Arc::new(Standing::Waiting), written: Some(7) };
        assert!(!kept(&written, &asked) && !kept(&set, &asked));
        documents.keep(written, &get("/m", None, json), &Document::negotiated("{}", ACTIVITY_JSON));
        assert!(!kept(&now, &asked), "what is of an earlier state goes with it");
        let between = Moment { standing, written: None };
        documents.keep(between.clone(), &asked, &Document::negotiated("{}", ACTIVITY_JSON));
        assert!(!kept(&between, &asked), "nobody knows of which state it is");
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let documents = Documents::default();
        let moment = Moment { standing: Arc::new(Standing::Waiting), written: Some(0) };
        let small = Document::negotiated("{}", ACTIVITY_JSON);
        for page in 0..KEPT * 3 {
            documents.keep(moment.clone(), &get("/n", Some(&format!("page={page}")), "*/*"), &small);
            assert!(documents.kept.lock().unwrap().documents.len() <= KEPT);
        }
        let large = get("/large", None, "*/*");
        documents.keep(moment.clone(), &large, &Document::new(vec![b' '; KEPT_BYTES + 1], JSON, 0));
        assert!(documents.kept(&moment, &large).is_none());
    }
}
