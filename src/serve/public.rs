//! The routes the world reaches through the proxy: one dispatcher, so that every unmatched path is a 404 and every
//! matched path with another method a 405.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::watch;
use ulid::Ulid;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::accept::Peer;
use super::answer::{Answer, Problem, Rendered};
use super::client::{Client, Hint};
use super::documents::{Documents, Moment, Standing};
use super::{body, follow_page, pages};
use crate::agent::effective::Effective;
use crate::inbox::{Arrival, Inbox};
use crate::media::freeze::Shelf;
use crate::store::Store;

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
    /// Says once that a proxy is not listed.
    pub hint: Arc<Hint>,
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
                    public.answer(request, stream).await.unwrap_or_else(|problem| problem.answer())
                }
            },
        )
        .boxed()
}

impl Public {
    async fn answer<S, B>(&self, request: Request, stream: S) -> Result<Answer, Problem>
    where
        S: futures_util::Stream<Item = Result<B, warp::Error>> + Send,
        B: warp::Buf,
    {
        let moment =
            Moment { written: self.store.written(), standing: self.documents.standing(&self.effective) };
        let read = self.read_only(&request).is_ok();
        if read && let Some(document) = self.documents.kept(&moment, &request) {
            return Ok(document.answer(&request.method, &request.headers));
        }
        match self.route(&request, &moment.standing, stream).await? {
            Rendered::Document(document) => {
                let answer = document.answer(&request.method, &request.headers);
                if read {
                    self.documents.keep(moment, &request, &document);
                }
                Ok(answer)
            }
            Rendered::Answer(answer) => Ok(answer),
        }
    }

    async fn route<S, B>(
        &self,
        request: &Request,
        standing: &Standing,
        stream: S,
    ) -> Result<Rendered, Problem>
    where
        S: futures_util::Stream<Item = Result<B, warp::Error>> + Send,
        B: warp::Buf,
    {
        let prefix = standing.prefix();
        let path =
            request.path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')).unwrap_or(&request.path);
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match segments.as_slice() {
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
                        let form = body::read(stream, 4096, body::FORM_TIME).await?;
                        Ok(follow_page::redirect(&self.remote, settled, &form).await?.into())
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
                if rest == ["inbox"] {
                    if request.method != Method::POST {
                        return Err(Problem::method("POST"));
                    }
                    let body = body::read(stream, body::ACTIVITY_BYTES, body::ACTIVITY_TIME).await?;
                    return Ok(self.take(request, body).await?.into());
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
            _ => Err(Problem::not_found()),
        }
    }

    async fn take(&self, request: &Request, body: Bytes) -> Result<Answer, Problem> {
        let target = match &request.query {
            Some(query) => format!("{}?{query}", request.path),
            None => request.path.clone(),
        };
        let source = self.client(request).and_then(Client::source);
        let arrival = Arrival { target, headers: request.headers.clone(), body, source };
        self.inbox.receive(arrival).await?;
        let mut answer = Answer::new(Bytes::new());
        *answer.status_mut() = StatusCode::ACCEPTED;
        Ok(answer)
    }

    /// Who asks; `None` if it is not known who is at the other end of the connection.
    fn client(&self, request: &Request) -> Option<Client> {
        let peer = request.peer?.0.ip();
        let client =
            Client::of(peer, &request.headers, &self.effective.borrow().config.listen.trusted_proxies);
        self.hint.about(client);
        Some(client)
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

/// Routes that cannot be refused: [`accept::serve`](super::accept::serve) takes nothing else.
pub fn infallible(
    routes: BoxedFilter<(Answer,)>,
) -> impl Filter<Extract = (Answer,), Error = Infallible> + Clone + Send + Sync + 'static {
    routes.recover(|_| async { Ok::<_, Infallible>(Problem::not_found().answer()) }).unify()
}
