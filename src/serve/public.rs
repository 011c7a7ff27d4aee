//! The routes the world reaches through the proxy: one dispatcher, so that every unmatched path is a 404 and every
//! matched path with another method a 405.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::watch;
use ulid::Ulid;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::accept::Peer;
use super::answer::{Answer, Problem, Rendered};
use super::body::{Body, Room};
use super::client::{Client, ClientLimits};
use super::documents::{Documents, Moment, Standing};
use super::{body, follow_page, pages};
use crate::agent::effective::Effective;
use crate::decide::wishes;
use crate::inbox::{Arrival, Inbox};
use crate::media::freeze::Shelf;
use crate::model::Source;
use crate::store::Store;

/// Names a refusal in the log.
const REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");

/// Code of a refusal: nobody knows yet who we are.
const UNKNOWN: &str = "identity-unknown";
/// Code of a refusal: a store that was restored from a backup is not let loose yet.
pub const HELD: &str = "held";
/// Seconds after which those come again who were sent away because of that.
const HELD_FOR: u32 = 600;

/// Everything the public routes need.
#[derive(Clone, Debug)]
pub struct Public {
    /// Settings and identity of the moment.
    pub effective: watch::Receiver<Arc<Effective>>,
    /// Posts, followers, counts.
    pub store: Store,
    /// What verifies and applies activities.
    pub inbox: Arc<Inbox>,
    /// Frozen pictures.
    pub media: Shelf,
    /// Documents rendered ahead.
    pub documents: Arc<Documents>,
    /// Looks up strangers for the remote-follow page.
    pub remote: Arc<follow_page::Remote>,
    /// Room for bodies.
    pub bodies: Room,
    /// What each client may do.
    pub limits: Arc<ClientLimits>,
}

/// One request as a route sees it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) peer: Option<Peer>,
}

/// The public routes as a filter.
pub fn routes(public: Public) -> BoxedFilter<(Answer,)> {
    let public = Arc::new(public);
    let query = warp::query::raw().map(Some).or(warp::any().map(|| None)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .and(warp::body::stream())
        .then(
            move |method: Method,
                  path: warp::path::FullPath,
                  query: Option<String>,
                  headers,
                  peer,
                  stream| {
                let public = Arc::clone(&public);
                let path = path.as_str().to_owned();
                async move {
                    let request = Request { method, path, query, headers, peer };
                    let answer = public.answer(&request, stream).await;
                    answer.unwrap_or_else(|problem| public.refuse(&request, &problem))
                }
            },
        )
        .boxed()
}

impl Public {
    async fn answer<S, B>(&self, request: &Request, stream: S) -> Result<Answer, Problem>
    where
        S: futures_util::Stream<Item = Result<B, warp::Error>> + Send,
        B: warp::Buf,
    {
        let source = self.source(request);
        let _inside = source.map(|source| self.limits.admit(source, &self.effective)).transpose()?;
        let moment =
            Moment { written: self.store.written(), standing: self.documents.standing(&self.effective) };
        let read = self.read_only(request).is_ok();
        if read && let Some(document) = self.documents.kept(&moment, request) {
            return Ok(document.answer(&request.method, &request.headers));
        }
        let segments = segments(request, &moment.standing);
        if let ["federation", "user", user, "inbox"] = *segments.as_slice() {
            return self.activity(request, source, &moment.standing, user, stream).await;
        }
        // Room is made for a future as large as the largest in it, and moved, with each request: activities are many.
        match Box::pin(self.route(request, source, &moment.standing, &segments, stream)).await? {
            Rendered::Document(document) => {
                let answer = document.answer(&request.method, &request.headers);
                if read {
                    self.documents.keep(moment, request, &document);
                }
                Ok(answer)
            }
            Rendered::Answer(answer) => Ok(answer),
        }
    }

    async fn route<S, B>(
        &self,
        request: &Request,
        source: Option<Source>,
        standing: &Standing,
        segments: &[&str],
        stream: S,
    ) -> Result<Rendered, Problem>
    where
        S: futures_util::Stream<Item = Result<B, warp::Error>> + Send,
        B: warp::Buf,
    {
        match segments {
            [".well-known", "webfinger"] => {
                self.read_only(request)?;
                standing.settled()?.webfinger(request)
            }
            [".well-known", "host-meta"] => self.fixed(request, standing, |d| &d.host_meta),
            [".well-known", "nodeinfo"] => self.fixed(request, standing, |d| &d.nodeinfo_index),
            [".well-known", "x-nodeinfo2"] => {
                self.counted(request, standing, super::documents::Counted::X).await
            }
            ["nodeinfo", "2.0"] => self.counted(request, standing, super::documents::Counted::V20).await,
            ["nodeinfo", "2.1"] => self.counted(request, standing, super::documents::Counted::V21).await,
            ["api", "v1", "instance"] => {
                self.counted(request, standing, super::documents::Counted::Instance).await
            }
            ["api", "followers"] => {
                self.read_only(request)?;
                pages::api_followers(self, standing, request).await
            }
            ["federation", "follow"] => {
                let settled = standing.settled()?;
                match request.method {
                    Method::POST => {
                        follow_page::own_form(settled, &request.headers)?;
                        let form = self.read(request, source, stream, 4096, body::FORM_TIME).await?;
                        Ok(follow_page::redirect(&self.remote, settled, &form, source).await?.into())
                    }
                    Method::GET | Method::HEAD => Ok(follow_page::form(settled).into()),
                    _ => Err(Problem::method("GET, HEAD, POST")),
                }
            }
            ["federation", "media", name] => {
                self.read_only(request)?;
                pages::media(self, request, name).await
            }
            ["federation", "user", user, rest @ ..] => {
                let settled = standing.settled()?;
                if *user != settled.addresses.username {
                    return Err(Problem::not_found());
                }
                self.read_only(request)?;
                match rest {
                    [] => Ok(settled.actor(request)),
                    ["outbox"] => pages::outbox(self, settled, request).await,
                    ["followers"] => pages::followers(self, standing, request).await,
                    ["following"] => Ok(settled.following.clone().into()),
                    ["collections", "featured"] => pages::featured(self, settled).await,
                    _ => Err(Problem::not_found()),
                }
            }
            ["federation", id, rest @ ..]
                if Ulid::from_string(id).is_ok_and(|ulid| ulid.to_string() == *id) =>
            {
                self.read_only(request)?;
                let settled = standing.settled()?;
                let id = Ulid::from_string(id).map_err(|_| Problem::not_found())?;
                pages::post(self, settled, request, id, rest).await
            }
            ["federation", place @ ..] => {
                let settled = standing.settled()?;
                let post = pages::imported(self, &place.join("/")).await?;
                self.read_only(request)?;
                Ok(pages::as_it_was(settled, request, post))
            }
            _ => Err(Problem::not_found()),
        }
    }

    /// Reads a body. The connection counts as waiting for its client meanwhile.
    async fn read<S, B>(
        &self,
        request: &Request,
        source: Option<Source>,
        stream: S,
        limit: usize,
        time: Duration,
    ) -> Result<Body, Problem>
    where
        S: futures_util::Stream<Item = Result<B, warp::Error>> + Send,
        B: warp::Buf,
    {
        let connection = request.peer.as_ref().map(|peer| &peer.connection);
        connection.inspect(|connection| connection.waits());
        let body = self.bodies.read(source, stream, limit, time).await;
        connection.inspect(|connection| connection.works());
        body
    }

    /// Takes what is sent to the inbox of `user`.
    async fn activity<S, B>(
        &self,
        request: &Request,
        source: Option<Source>,
        standing: &Standing,
        user: &str,
        stream: S,
    ) -> Result<Answer, Problem>
    where
        S: futures_util::Stream<Item = Result<B, warp::Error>> + Send,
        B: warp::Buf,
    {
        if user != standing.settled()?.addresses.username {
            return Err(Problem::not_found());
        }
        if request.method != Method::POST {
            return Err(Problem::method("POST"));
        }
        let read = self.read(request, source, stream, body::ACTIVITY_BYTES, body::ACTIVITY_TIME).await;
        let body = read.inspect_err(|problem| self.inbox.refused(problem))?;
        let target = match &request.query {
            Some(query) => Cow::Owned(format!("{}?{query}", request.path)),
            None => Cow::Borrowed(request.path.as_str()),
        };
        let arrival = Arrival { target: &target, headers: &request.headers, body, source };
        self.inbox.receive(arrival).await.map_err(|problem| self.or_held(problem))?;
        let mut answer = Answer::new(Bytes::new());
        *answer.status_mut() = StatusCode::ACCEPTED;
        Ok(answer)
    }

    /// The inbox is closed also while a restored store is held. Nothing is lost: others try again for days.
    fn or_held(&self, problem: Problem) -> Problem {
        let held = || matches!(self.store.look(wishes::restored), Ok(Some(_)));
        if problem.code == UNKNOWN && held() {
            return Problem::busy(
                HELD,
                "this server was restored from a backup, and takes nothing yet",
                HELD_FOR,
            );
        }
        problem
    }

    /// Whom a request is counted for; `None` where clients cannot be told apart.
    fn source(&self, request: &Request) -> Option<Source> {
        let peer = request.peer.as_ref()?.address.ip();
        let trusted = &self.effective.borrow().config.listen.trusted_proxies;
        let client = Client::of(peer, &request.headers, trusted);
        self.limits.hint(client);
        client.source()
    }

    /// A refusal, with an id under which the log says the same.
    fn refuse(&self, request: &Request, problem: &Problem) -> Answer {
        let id = self.limits.request_id();
        let (status, code, detail) = (problem.status.as_u16(), problem.code, problem.detail.as_str());
        if request.method == Method::POST && request.path.ends_with("/inbox") {
            tracing::debug!(target: "herald::inbox", request = id, code, status, detail, "refused an activity");
        } else {
            let path = request.path.as_str();
            tracing::debug!(target: "herald::serve", request = id, code, status, detail, path, "refused a request");
        }
        let mut answer = problem.answer();
        if let Ok(id) = http::HeaderValue::try_from(id) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        answer
    }

    fn read_only(&self, request: &Request) -> Result<(), Problem> {
        match request.method {
            Method::GET | Method::HEAD => Ok(()),
            _ => Err(Problem::method("GET, HEAD")),
        }
    }

    fn fixed(
        &self,
        request: &Request,
        standing: &Standing,
        pick: impl Fn(&super::documents::Settled) -> &super::answer::Document,
    ) -> Result<Rendered, Problem> {
        self.read_only(request)?;
        Ok(pick(standing.settled()?).clone().into())
    }

    async fn counted(
        &self,
        request: &Request,
        standing: &Standing,
        which: super::documents::Counted,
    ) -> Result<Rendered, Problem> {
        self.read_only(request)?;
        pages::counted(self, standing.settled()?, which).await
    }
}

/// The parts of a request's path below the prefix of our addresses.
fn segments<'a>(request: &'a Request, standing: &Standing) -> Vec<&'a str> {
    let below = request.path.strip_prefix(standing.prefix()).filter(|rest| rest.starts_with('/'));
    below.unwrap_or(&request.path).split('/').skip(1).collect()
}

/// Routes that cannot be refused: [`accept::serve`](super::accept::serve) takes nothing else.
pub fn infallible(
    routes: BoxedFilter<(Answer,)>,
) -> impl Filter<Extract = (Answer,), Error = Infallible> + Clone + Send + Sync + 'static {
    routes.recover(|_| async { Ok::<_, Infallible>(Problem::not_found().answer()) }).unify()
}
