//! When the speaker speaks, with a real store and Owncast's side of the API.

use serde_json::json;

use super::*;
use crate::agent::effective::IdentityState;
use crate::config::{Config, Overrides};
use crate::model::Addresses;
use crate::model::facts::{Facts, Identity};
use crate::model::handle::Person;
use crate::owncast::testing::{Reply, Server};

/// A speaker, and what it looks at.
struct Room {
    folder: tempfile::TempDir,
    speaker: Speaker,
    knows: Knows,
    effective: watch::Sender<Arc<Effective>>,
    board: watch::Sender<Board>,
}

fn effective(folder: &tempfile::TempDir, toml: &str) -> Arc<Effective> {
    let file = folder.path().join("agent.toml");
    std::fs::write(&file, format!("owncast.url = \"http://127.0.0.1:8080\"\n{toml}")).unwrap();
    let config = Config::load(Some(&file), Overrides::default(), &|_| None).unwrap();
    let facts = Facts { known: true, show_engagement: true, ..Facts::default() };
    let identity = IdentityState::Settled {
        addresses: Addresses::new("https://live.example", "streamer"),
        published: Timestamp::UNIX_EPOCH,
        public_key: String::new(),
    };
    Arc::new(Effective::new(Arc::new(config), facts, identity, &Identity::default()))
}

fn api(url: url::Url) -> Api {
    Api::new(url, "admin".to_owned(), "x").unwrap()
}

async fn owncast() -> Server {
    Server::start(|_| Reply::json(200, &json!({ "success": true, "message": "sent" }))).await
}

/// What Owncast was asked to say.
fn said(server: &Server) -> Vec<String> {
    let bodies =
        server.asked().into_iter().map(|request| request.json()["body"].as_str().unwrap().to_owned());
    bodies.collect()
}

impl Room {
    fn new(server: &Server) -> Room {
        let folder = tempfile::tempdir().unwrap();
        let (effective, settings) = watch::channel(effective(&folder, ""));
        let (board, shown) = watch::channel(Board { reachable: true, ..Board::default() });
        let speaker = Speaker {
            store: Store::open(&folder.path().join("store")).unwrap(),
            api: api(server.url.clone()),
            token: watch::channel(Some(Secret::from("token"))).0,
            effective: settings,
            board: shown,
            confirmations: Arc::default(),
            metrics: Arc::new(Metrics::new()),
        };
        Room { folder, speaker, knows: Knows::default(), effective, board }
    }

    async fn round(&mut self) -> Rest {
        self.speaker.round(&mut self.knows).await.unwrap()
    }

    /// Where the session is by the store, its encoder connected so many seconds ago, and where it was last seen.
    async fn stream(&self, phase: Phase, seconds: i64, seen: &str) {
        let at = Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
        let session = Session {
            id: Ulid(1),
            phase,
            connections: vec![at],
            started: at,
            connected: at,
            seen: at,
            gone: None,
            missed: None,
            returns: 0,
            post: None,
            title: String::new(),
            told_title: String::new(),
            told: None,
            skipped: false,
            closed: false,
        };
        let put = move |draft: &mut Draft<'_>| {
            draft.put_meta(&Stream { session: Some(session.clone()), ..Stream::default() });
        };
        self.write(put).await;
        self.board.send_modify(|board| seen.clone_into(&mut board.stream));
    }

    async fn write(&self, change: impl FnOnce(&mut Draft<'_>) + Send + 'static) {
        let commit = self.speaker.store.commit(move |view| {
            let mut draft = Draft::new(view);
            change(&mut draft);
            (draft.into_changes(), ())
        });
        commit.await.unwrap();
    }

    async fn happens(&self, kind: NoticeKind) {
        let actor = "https://peer.example/users/ana".to_owned();
        let person = Person {
            inbox: format!("{actor}/inbox"),
            shared_inbox: None,
            handle: "ana@peer.example".to_owned(),
            name: None,
            icon: None,
            url: None,
            actor,
        };
        let now = Timestamp::now();
        let id = crate::decide::Moment::new(now, crate::random::entropy()).ulid();
        let notice = Notice::of(id, kind, &person, true, now);
        self.write(move |draft| waiting::add(draft, &notice)).await;
    }

    /// How many notices wait, and how many followers nobody was told of.
    async fn left(&self) -> (usize, u64) {
        let read =
            self.speaker.store.read(|view| (waiting::all(view, QUEUE).len(), view.meta::<Untold>().follows));
        read.await.unwrap()
    }
}

const SINCE: &str = "<p>Since last time: 1 new follower.</p>";

#[tokio::test(flavor = "multi_thread")]
async fn who_followed_before_a_stream_is_told_of_once_there_are_viewers() {
    for (phase, seconds, seen) in [(Phase::Live, 0, "live"), (Phase::Connecting, 61, "connecting")] {
        let server = owncast().await;
        let mut room = Room::new(&server);
        room.happens(NoticeKind::Follow).await;
        room.round().await;
        assert_eq!(room.left().await, (0, 1));
        for (phase, seconds, seen) in [(Phase::Connecting, 2, "connecting"), (Phase::Lost, 90, "lost")] {
            room.stream(phase, seconds, seen).await;
            room.round().await;
            assert_eq!((said(&server), room.left().await), (Vec::new(), (0, 1)), "{phase:?}");
        }
        room.stream(phase, seconds, seen).await;
        room.round().await;
        room.round().await;
        assert_eq!((said(&server), room.left().await), (vec![SINCE.to_owned()], (0, 0)), "{phase:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_switched_off_since_is_not_told() {
    let server = owncast().await;
    let mut room = Room::new(&server);
    room.happens(NoticeKind::Follow).await;
    room.round().await;
    room.effective.send_replace(effective(&room.folder, "notices.follow = \"off\""));
    room.stream(Phase::Live, 90, "live").await;
    room.round().await;
    assert_eq!((said(&server), room.left().await), (Vec::new(), (0, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_stream_was_seen_again_nothing_is_said_and_nothing_lost() {
    for (phase, seen, says) in [(Phase::Live, "live", 1), (Phase::Ended, "ended", 0)] {
        let server = owncast().await;
        let mut room = Room::new(&server);
        for unsure in ["", "lost"] {
            room.stream(Phase::Live, 90, unsure).await;
            room.happens(NoticeKind::Like).await;
            room.round().await;
            assert_eq!(said(&server), Vec::<String>::new(), "{unsure:?}");
        }
        assert_eq!(room.left().await, (2, 0));
        room.stream(phase, 90, seen).await;
        room.round().await;
        assert_eq!(said(&server).len(), says, "{phase:?}");
    }
    // Once it was seen, a moment without an encoder is none without viewers.
    let server = owncast().await;
    let mut room = Room::new(&server);
    room.stream(Phase::Live, 90, "live").await;
    room.round().await;
    room.stream(Phase::Lost, 90, "lost").await;
    room.happens(NoticeKind::Like).await;
    room.round().await;
    assert_eq!(said(&server).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_reach_owncast_is_said_later_and_what_may_have_is_not_said_again() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = crate::owncast::testing::base(free.local_addr().unwrap());
    drop(free);
    let broken = Server::start(|_| Reply::BreakOff).await;
    for (first, says) in [(nobody, 2), (broken.url.clone(), 0)] {
        let server = owncast().await;
        let mut room = Room::new(&server);
        room.happens(NoticeKind::Follow).await;
        room.round().await;
        room.stream(Phase::Live, 90, "live").await;
        room.happens(NoticeKind::Like).await;
        room.speaker.api = api(first);
        let rest = room.round().await;
        if says > 0 {
            assert_eq!(
                (rest, room.left().await),
                (Rest::BUSY, (1, 1)),
                "it waits without listening to itself"
            );
            // Without the line about followers it is the like that is refused.
            room.write(|draft| draft.put_meta(&Untold::default())).await;
            assert_eq!((room.round().await, room.left().await), (Rest::BUSY, (1, 0)));
            room.write(|draft| draft.put_meta(&Untold { follows: 1 })).await;
        }
        room.speaker.api = api(server.url.clone());
        room.round().await;
        room.round().await;
        assert_eq!((said(&server).len(), room.left().await), (says, (0, 0)));
    }
}
