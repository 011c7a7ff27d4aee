//! Documents that follow from what is stored: posts, collections, followers, pictures.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use ulid::Ulid;

use super::answer::{ACTIVITY_JSON, Document, HTML, JSON, Problem, Rendered, Wants, json_answer, wants};
use super::documents::{Counted, Settled, Standing, see_other};
use super::public::{Public, Request};
use crate::activitypub::html;
use crate::activitypub::vocab::{self, collection::PAGE_SIZE, collection::Page};
use crate::decide::publish::LANGUAGE;
use crate::media::freeze::Found;
use crate::model::adopted::Imported;
use crate::model::follower::{Follower, FollowerCounts, FollowerState};
use crate::model::handle::Person;
use crate::model::post::{Audience, Post, PostState};
use crate::model::{Addresses, View};
use crate::notice::escape::plain;
use crate::notice::wording::MAX_NAME;
use crate::store::{Store, StoreError};

/// Most rows of `/api/followers` in one answer.
const FOLLOWER_ROWS: usize = 500;

fn unavailable(_: StoreError) -> Problem {
    Problem::busy("store-closed", "the program is stopping or its disk failed", 30)
}

/// What a query asks for, as far as any document depends on it: however it is spelt, the same is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    /// `page=N`, from 1. `page=true` and the like are the first page.
    page: Option<u64>,
    offset: usize,
    limit: usize,
    pub(super) resource: Option<String>,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Asked {
        let query = request.query.as_deref().unwrap_or_default();
        let named = |name: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find_map(|(key, value)| (key == name).then_some(value))
        };
        let number = |name: &str| named(name).and_then(|text| text.parse::<usize>().ok());
        Asked {
            page: named("page").map(|page| page.parse().unwrap_or(1).max(1)),
            offset: number("offset").unwrap_or(0),
            limit: number("limit").unwrap_or(50).min(FOLLOWER_ROWS),
            resource: named("resource").map(std::borrow::Cow::into_owned),
        }
    }
}

fn listed(post: &Post) -> bool {
    post.audience == Audience::Public && post.state != PostState::Deleted
}

/// Public posts that still stand, newest first.
fn public_posts(view: &dyn View) -> Vec<Post> {
    let mut posts: Vec<Post> = view.all(b"");
    posts.retain(listed);
    posts.reverse();
    posts
}

pub(super) async fn counted(public: &Public, settled: &Settled, which: Counted) -> Result<Rendered, Problem> {
    let posts = public.store.read(|view| public_posts(view).len()).await.map_err(unavailable)?;
    Ok(settled.counted(which, posts as u64).into())
}

pub(super) async fn outbox(
    public: &Public,
    settled: &Settled,
    request: &Request,
) -> Result<Rendered, Problem> {
    let posts = public.store.read(public_posts).await.map_err(unavailable)?;
    let total = posts.len() as u64;
    let document = match Asked::of(request).page {
        None => vocab::collection::outbox(&settled.addresses, total),
        Some(number) => {
            let (page, items) = paged(number, &posts);
            vocab::collection::outbox_page(&settled.addresses, page, items)
        }
    };
    Ok(Document::negotiated(document.to_string(), ACTIVITY_JSON).into())
}

fn paged<T>(number: u64, all: &[T]) -> (Page, &[T]) {
    let from = usize::try_from(number - 1).unwrap_or(usize::MAX).saturating_mul(PAGE_SIZE).min(all.len());
    let to = from.saturating_add(PAGE_SIZE).min(all.len());
    (Page { number, has_next: to < all.len() }, all.get(from..to).unwrap_or_default())
}

pub(super) async fn featured(public: &Public, settled: &Settled) -> Result<Rendered, Problem> {
    let live = public
        .store
        .read(|view| {
            let mut posts = public_posts(view);
            posts.retain(|post| post.state == PostState::Live);
            posts
        })
        .await
        .map_err(unavailable)?;
    let document = vocab::collection::featured(&settled.addresses, &live);
    Ok(Document::negotiated(document.to_string(), ACTIVITY_JSON).into())
}

pub(super) async fn followers(
    public: &Public,
    standing: &Standing,
    request: &Request,
) -> Result<Rendered, Problem> {
    let settled = standing.settled()?;
    let addresses = &settled.addresses;
    let document = match Asked::of(request).page {
        Some(number) if settled.shows_followers => {
            let approved = approved(&public.store, &public.documents.followers).await?;
            let (page, items) = paged(number, &approved);
            vocab::collection::followers_page(addresses, page, items)
        }
        Some(_) => return Err(Problem::not_found()),
        None => {
            let counts: FollowerCounts = public.store.read(|view| view.meta()).await.map_err(unavailable)?;
            vocab::collection::followers(addresses, counts.approved, settled.shows_followers)
        }
    };
    Ok(Document::negotiated(document.to_string(), ACTIVITY_JSON).into())
}

/// The ids of approved followers, newest first, and of which state they are
/// ([`Store::followers_written`](crate::store::Store::followers_written)).
pub(super) type Order = tokio::sync::Mutex<Option<(u64, Arc<Vec<String>>)>>;

/// The ids of approved followers, newest first. Read and sorted once, by one request at a time, for as long as no follower
/// is written: which page of them is wanted is up to strangers, and so are the likes that come in meanwhile.
async fn approved(store: &Store, order: &Order) -> Result<Arc<Vec<String>>, Problem> {
    let mut kept = order.lock().await;
    // Before they are read: of what is written meanwhile, too much is read rather than too little.
    let written = *store.followers_written().borrow();
    if let Some((of, order)) = &*kept
        && *of == written
    {
        return Ok(Arc::clone(order));
    }
    let mut rows = store
        .read(|view| {
            let mut rows = Vec::new();
            view.scan::<Follower>(b"", &mut |follower| {
                if follower.state == FollowerState::Approved {
                    rows.push((follower.person.actor, follower.since));
                }
                true
            });
            rows
        })
        .await
        .map_err(unavailable)?;
    rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let order = Arc::new(rows.into_iter().map(|(actor, _)| actor).collect::<Vec<_>>());
    *kept = Some((written, Arc::clone(&order)));
    Ok(order)
}

/// The list behind Owncast's followers tab, in Owncast's shape. The rows only where the list is shown.
pub(super) async fn api_followers(
    public: &Public,
    standing: &Standing,
    request: &Request,
) -> Result<Rendered, Problem> {
    let settled = standing.settled()?;
    let counts: FollowerCounts = public.store.read(|view| view.meta()).await.map_err(unavailable)?;
    let asked = Asked::of(request);
    let actors: Vec<String> = if settled.shows_followers {
        let approved = approved(&public.store, &public.documents.followers).await?;
        approved.iter().skip(asked.offset).take(asked.limit).cloned().collect()
    } else {
        Vec::new()
    };
    let rows: Vec<(Person, Timestamp)> = public
        .store
        .read(move |view| {
            let followers = actors.iter().filter_map(|actor| view.get::<Follower>(actor.as_bytes()));
            let approved = followers.filter(|follower| follower.state == FollowerState::Approved);
            approved.map(|follower| (shown(follower.person), follower.since)).collect()
        })
        .await
        .map_err(unavailable)?;
    let document = vocab::discovery::api_followers(&rows, counts.approved);
    Ok(Document::new(document.to_string(), JSON, 10).into())
}

/// As it stands on Owncast's page: nobody's name takes up more room than others', or turns what stands beside it around.
fn shown(person: Person) -> Person {
    let name = person.name.map(|name| plain(&name, MAX_NAME)).filter(|name| !name.is_empty());
    Person { name, ..person }
}

/// A post, its Create, and its collections. A post for followers does not exist for strangers, who cannot be told
/// from followers by a GET: every address of it answers 404.
pub(super) async fn post(
    public: &Public,
    settled: &Settled,
    request: &Request,
    id: Ulid,
    rest: &[&str],
) -> Result<Rendered, Problem> {
    let post: Option<Post> =
        public.store.read(move |view| view.get(&id.to_bytes())).await.map_err(unavailable)?;
    let Some(post) = post.filter(|post| post.audience == Audience::Public) else {
        return Err(Problem::not_found());
    };
    let addresses = &settled.addresses;
    if post.state == PostState::Deleted {
        return match rest {
            [] => Ok(json_answer(StatusCode::GONE, ACTIVITY_JSON, &vocab::note::tombstone(addresses, &post))
                .into()),
            _ => Err(Problem::not_found()),
        };
    }
    let document = match rest {
        // Other servers name the document's type. What makes a preview of a link does not, and needs the page.
        [] if wants(&request.headers) != Wants::Activity => {
            return Ok(Document::negotiated(page(addresses, settled, &post), HTML).into());
        }
        [] => vocab::note::note_document(addresses, &post),
        ["activity"] => vocab::note::create(addresses, &post),
        ["replies"] => vocab::collection::replies(addresses, &post),
        ["likes"] => vocab::collection::likes(addresses, &post),
        ["shares"] => vocab::collection::shares(addresses, &post),
        _ => return Err(Problem::not_found()),
    };
    Ok(Document::negotiated(document.to_string(), ACTIVITY_JSON).into())
}

/// A post of Owncast's own federation, by what its address has behind `/federation/`. One for followers does not exist for
/// strangers.
pub(super) async fn imported(public: &Public, place: &str) -> Result<Imported, Problem> {
    let place = place.as_bytes().to_vec();
    let post: Option<Imported> =
        public.store.read(move |view| view.get(&place)).await.map_err(unavailable)?;
    post.filter(|post| post.public).ok_or_else(Problem::not_found)
}

/// The post as Owncast stored it. It never had a page for people, who are sent to the stream.
pub(super) fn as_it_was(settled: &Settled, request: &Request, post: Imported) -> Rendered {
    if post.gone {
        let tombstone = serde_json::from_str(&post.json).unwrap_or_default();
        return json_answer(StatusCode::GONE, ACTIVITY_JSON, &tombstone).into();
    }
    match wants(&request.headers) {
        Wants::Page | Wants::Anything => see_other(&settled.addresses.watch_page()).into(),
        Wants::Activity => Document::negotiated(post.json, ACTIVITY_JSON).into(),
    }
}

/// The page of a post: its text, its picture, and the way to the stream.
fn page(addresses: &Addresses, settled: &Settled, post: &Post) -> String {
    let title = html::escape(&settled.facts.name);
    let watch = html::escape(&addresses.watch_page());
    let picture = post.picture.as_ref().map(|picture| {
        format!(
            "<img src=\"{}\" width=\"{}\" height=\"{}\" alt=\"{}\">",
            html::escape(&addresses.media(&picture.name)),
            picture.width,
            picture.height,
            html::escape(&post.alt)
        )
    });
    let image_card = post.picture.as_ref().map(|picture| {
        format!("<meta property=\"og:image\" content=\"{}\">", html::escape(&addresses.media(&picture.name)))
    });
    format!(
        "<!doctype html>\n<html lang=\"{LANGUAGE}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <meta property=\"og:title\" content=\"{title}\">{card}\
         <link rel=\"alternate\" type=\"application/activity+json\" href=\"{note}\">\
         <style>{STYLE}</style></head><body><main>\
         <h1>{title}</h1>{picture}<article lang=\"{language}\">{content}</article>\
         <p><a class=\"watch\" href=\"{watch}\">Open the stream</a></p></main></body></html>\n",
        card = image_card.unwrap_or_default(),
        note = html::escape(&addresses.note(post.id)),
        picture = picture.unwrap_or_default(),
        // Empty where nobody knows it: it is not that of the page.
        language = html::escape(post.language.as_deref().unwrap_or_default()),
        content = post.content,
    )
}

/// Readable on a phone and in the dark, with nothing to load.
pub(super) const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;margin:0;background:#fff;color:#1b1b1f}\
    main{max-width:40rem;margin:0 auto;padding:1.5rem}img{max-width:100%;height:auto;border-radius:.5rem}\
    a{color:#5a3fd6}.watch,button{display:inline-block;background:#5a3fd6;color:#fff;padding:.6rem 1.2rem;\
    border:0;border-radius:.5rem;text-decoration:none;font:inherit}\
    input{font:inherit;padding:.5rem;width:100%;box-sizing:border-box;margin:.5rem 0 1rem}.problem{color:#b3261e}\
    @media(prefers-color-scheme:dark){body{background:#17171c;color:#e6e6ea}a{color:#b3a5ff}\
    .watch{color:#fff}input{background:#222;color:inherit;border:1px solid #555}.problem{color:#ffb4ab}}";

pub(super) async fn media(public: &Public, request: &Request, name: &str) -> Result<Rendered, Problem> {
    let (media, name) = (public.media.clone(), name.to_owned());
    let found = tokio::task::spawn_blocking(move || media.read(&name))
        .await
        .map_err(|_| Problem::busy("stopping", "the program is stopping", 30))?;
    match found {
        Ok(Found::Picture(bytes, media_type)) => {
            let document = Document::immutable(bytes, media_type.as_str());
            Ok(document.answer(&request.method, &request.headers).into())
        }
        Ok(Found::Nothing) => Err(Problem::not_found()),
        Ok(Found::Busy) => Err(Problem::busy("busy", "too many old pictures are being read", 10)),
        Err(error) => {
            tracing::warn!(target: "herald::serve", %error, "a picture could not be read");
            Err(Problem::busy("media-unreadable", "the picture could not be read", 60))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::notices::{NoticeKind, Said};
    use crate::model::{Changes, Record};

    fn follower(name: &str, second: i64) -> Follower {
        let (actor, at) = (format!("https://peer.example/u/{name}"), Timestamp::from_second(second).unwrap());
        Follower {
            person: Person {
                inbox: format!("{actor}/inbox"),
                shared_inbox: None,
                handle: format!("{name}@peer.example"),
                name: None,
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
            since: at,
            stamp: at,
            changed: at,
            given: None,
        }
    }

    async fn put(store: &Store, record: impl Record + Send + 'static) {
        let put = move |_: &dyn View| {
            let mut changes = Changes::none();
            changes.put(&record);
            (changes, ())
        };
        store.commit(put).await.unwrap();
    }

    #[tokio::test]
    async fn the_order_of_followers_is_made_anew_only_when_one_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (store, kept) = (Store::open(folder.path()).unwrap(), Order::default());
        let order = async || approved(&store, &kept).await.unwrap();
        put(&store, follower("ana", 1)).await;
        let first = order().await;
        assert_eq!(*first, ["https://peer.example/u/ana"]);
        let said =
            Said::of(NoticeKind::Like, "https://peer.example/u/eve", None, Ulid(1), Timestamp::UNIX_EPOCH);
        put(&store, said).await;
        assert!(Arc::ptr_eq(&first, &order().await));
        put(&store, follower("bo", 2)).await;
        assert_eq!(*order().await, ["https://peer.example/u/bo", "https://peer.example/u/ana"]);
    }
}
