//! Over a real socket, with a real store.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::client::{self, ClientError};
use super::protocol::{Answer, Ask, BlockKind, Held, ListedBy, RefusalCode, SkippedStream, Wish};
use super::*;
use crate::agent::effective::IdentityState;
use crate::config::reload::Reloader;
use crate::config::{Config, Overrides};
use crate::decide::delivered::{Ending, Job, settle};
use crate::decide::{blocks, followers};
use crate::model::block::BlockOwner;
use crate::model::delivery::{Attempt, Outgoing, OutgoingKind, Target};
use crate::model::engagement::{EngagementKind, Engager, Engagers};
use crate::model::facts::{Facts, Identity};
use crate::model::follower::{Follower, FollowerState};
use crate::model::handle::Person;
use crate::model::record::kind;
use crate::model::wishes::{Skip, Wishes};
use crate::model::{Addresses, Changes, Draft, View};

struct Agent {
    folder: tempfile::TempDir,
    socket: PathBuf,
    store: Store,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
    woken: Arc<Notify>,
    _board: watch::Sender<Board>,
    _effective: watch::Sender<Arc<Effective>>,
}

fn settled() -> IdentityState {
    IdentityState::Settled {
        addresses: Addresses::new("https://live.example", "streamer"),
        published: Timestamp::UNIX_EPOCH,
        public_key: String::new(),
    }
}

impl Agent {
    fn start(identity: IdentityState) -> Agent {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, "[owncast]\nurl = \"http://127.0.0.1:8080\"\n").unwrap();
        let config = Config::load(Some(&file), Overrides::default(), &|_| None).unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let facts = Facts { known: true, ..Facts::default() };
        let effective = Effective::new(Arc::new(config.clone()), facts, identity, &Identity::default());
        let (effective_sender, effective) = watch::channel(Arc::new(effective));
        let mut board = Board { reachable: true, stream: "live".to_owned(), ..Board::default() };
        board.sources.webhook.failed("no event arrived".to_owned());
        let (board_sender, board) = watch::channel(board);
        let (reloader, reload, _) = Reloader::new(config, Overrides::default(), Arc::new(|_| None));
        let local = SocketAddr::from(([127, 0, 0, 1], 1));
        let listening = Listening { public: local, webhook: local, metrics: local };
        let started = Timestamp::now();
        let api = Api::read_only("http://127.0.0.1:9".parse().unwrap(), "admin".to_owned(), "x").unwrap();
        let woken = Arc::<Notify>::default();
        let wake = Arc::clone(&woken);
        let control = Control {
            store: store.clone(),
            effective,
            board,
            listening,
            reload,
            started,
            api,
            wake,
            running: true,
        };
        let (socket, stop) = (folder.path().join("admin.sock"), CancellationToken::new());
        let listener = server::bind(&socket).unwrap();
        tokio::spawn(reloader.run(stop.clone()));
        let server = tokio::spawn(server::run(listener, Arc::new(control), stop.clone()));
        let (_board, _effective) = (board_sender, effective_sender);
        Agent { folder, socket, store, stop, server, woken, _board, _effective }
    }

    /// Whether the watcher was told to look, since the last time this was asked.
    fn was_woken(&self) -> bool {
        let mut notified = std::pin::pin!(self.woken.notified());
        notified.as_mut().enable()
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, ClientError> {
        let socket = self.socket.clone();
        tokio::task::spawn_blocking(move || client::ask(&[socket], &ask)).await.unwrap()
    }

    async fn refused(&self, ask: Ask) -> (RefusalCode, String) {
        match self.ask(ask).await {
            Err(ClientError::Refused(refusal)) => (refusal.code, refusal.message),
            other => panic!("{other:?} is no refusal"),
        }
    }

    /// Stores followers; the later in the list, the newer.
    async fn have(&self, people: &'static [(&'static str, &'static str, FollowerState)]) {
        self.store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                for (number, (actor, handle, state)) in (0..).zip(people) {
                    followers::settle(&mut draft, &follower(actor, handle, *state, number));
                }
                (draft.into_changes(), ())
            })
            .await
            .unwrap();
    }

    async fn state_of(&self, actor: &'static str) -> Option<FollowerState> {
        let read = self.store.read(move |view| view.get::<Follower>(actor.as_bytes())).await;
        read.unwrap().map(|follower| follower.state)
    }
}

fn follower(actor: &str, handle: &str, state: FollowerState, second: i64) -> Follower {
    let since = Timestamp::from_second(second).unwrap();
    Follower {
        person: Person {
            actor: actor.to_owned(),
            inbox: format!("{actor}/inbox"),
            shared_inbox: None,
            handle: handle.to_owned(),
            name: None,
            icon: None,
            url: Some(actor.replace("/users/", "/@")),
        },
        state,
        parked_from: None,
        moved_to: None,
        follow_id: None,
        spelt: None,
        answer: None,
        since,
        stamp: since,
        changed: since,
        given: None,
    }
}

const ANA: &str = "https://a.example/users/ana";
const BO: &str = "https://b.example/users/bo";
const PEOPLE: &[(&str, &str, FollowerState)] = &[
    (ANA, "ana@a.example", FollowerState::Pending),
    (BO, "bo@b.example", FollowerState::Approved),
    ("https://x.b.example/users/cy", "cy@x.b.example", FollowerState::Approved),
    ("https://twin.example/users/1", "twin@twin.example", FollowerState::Approved),
    ("https://twin.example/users/2", "Twin@twin.example", FollowerState::Pending),
    ("https://gone.example/users/g", "g@gone.example", FollowerState::Left),
];

fn who(text: &str) -> String {
    text.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_everything() {
    let agent = Agent::start(settled());
    agent.have(PEOPLE).await;
    let Answer::Status(status) = agent.ask(Ask::Status).await.unwrap() else { panic!() };
    assert!(status.ready);
    assert_eq!(status.identity.handle.as_deref(), Some("streamer@live.example"));
    assert_eq!((status.followers.approved, status.followers.pending), (3, 2));
    assert_eq!(status.stream.state, "live");
    assert!(status.settings.iter().any(|row| row.field == "owncast.url" && row.origin == "agent.toml"));
    let json = serde_json::to_value(&*status).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let want = "version running ready uptime_seconds attention identity owncast stream session announcement wishes sources notices \
         followers deliveries blocks reports listen settings";
    assert_eq!(keys.join(" "), want);
    assert_eq!(json["sources"]["webhook"]["way"]["state"], "broken");
    assert_eq!(status.attention.len(), 2, "the webhook, and who waits: {:?}", status.attention);

    let waiting = Agent::start(IdentityState::Waiting("no key yet".to_owned()));
    let Answer::Status(status) = waiting.ask(Ask::Status).await.unwrap() else { panic!() };
    assert!(!status.ready);
    assert_eq!(status.identity.why.as_deref(), Some("no key yet"));
    let (code, message) = waiting.refused(Ask::Approve { who: who(ANA) }).await;
    assert_eq!(code, RefusalCode::NotYet);
    assert!(message.contains("no key yet"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_come_newest_first_in_pages() {
    let agent = Agent::start(settled());
    agent.have(PEOPLE).await;
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let ask = Ask::Followers { state: None, limit: 2, after };
        let Answer::Followers(page) = agent.ask(ask).await.unwrap() else { panic!() };
        assert_eq!(page.total, 5, "who has left is not counted");
        assert!(page.followers.len() <= 2);
        seen.extend(page.followers.into_iter().map(|row| row.handle));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(
        seen.join(" "),
        "Twin@twin.example twin@twin.example cy@x.b.example bo@b.example ana@a.example"
    );
    let ask = Ask::Followers { state: Some(FollowerState::Pending), limit: 1, after: None };
    let Answer::Followers(page) = agent.ask(ask).await.unwrap() else { panic!() };
    assert_eq!((page.total, page.followers.len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_not_told_that_it_follows_is_marked() {
    let agent = Agent::start(settled());
    agent.have(PEOPLE).await;
    agent.ask(Ask::Approve { who: who(ANA) }).await.unwrap();
    let untold = async || {
        let ask = Ask::Followers { state: None, limit: 10, after: None };
        let Answer::Followers(page) = agent.ask(ask).await.unwrap() else { panic!() };
        let rows = page.followers.into_iter().filter_map(|row| Some((row.actor, row.untold?)));
        rows.collect::<Vec<_>>()
    };
    assert!(untold().await.is_empty());
    let fails = |view: &dyn View| {
        let mut draft = Draft::new(view);
        let accept = Job::of(draft.view().all::<Attempt>(b"").remove(0));
        let accept = Job { why: Some("status 403".into()), ..accept };
        settle(&mut draft, &accept, Ending::Failed);
        (draft.into_changes(), ())
    };
    agent.store.commit(fails).await.unwrap();
    assert_eq!(untold().await, [(ANA.to_owned(), "status 403".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_named_by_id_handle_or_page() {
    let agent = Agent::start(settled());
    agent.have(PEOPLE).await;
    let Answer::Judged(judged) = agent.ask(Ask::Approve { who: who("@Ana@A.example") }).await.unwrap() else {
        panic!()
    };
    assert_eq!((judged.actor.as_str(), judged.state, judged.changed), (ANA, FollowerState::Approved, true));
    assert_eq!(agent.state_of(ANA).await, Some(FollowerState::Approved));
    let accepts: Vec<Outgoing> = agent.store.read(|view| view.all(b"")).await.unwrap();
    assert!(accepts.iter().any(|out| out.kind == OutgoingKind::Accept && out.body.contains(ANA)));
    let Answer::Judged(again) = agent.ask(Ask::Approve { who: who(ANA) }).await.unwrap() else { panic!() };
    assert!(!again.changed);

    agent.ask(Ask::Reject { who: who("https://a.example/@ana") }).await.unwrap();
    assert_eq!(agent.state_of(ANA).await, Some(FollowerState::Rejected));
    agent.ask(Ask::Remove { who: who("bo@b.example") }).await.unwrap();
    assert_eq!(agent.state_of(BO).await, Some(FollowerState::Left));

    for (name, code, part) in [
        ("nobody@a.example", RefusalCode::Unknown, "followers list"),
        ("https://a.example/users/nobody", RefusalCode::Unknown, "followers list"),
        ("g@gone.example", RefusalCode::Unknown, "does not follow"),
        ("ana", RefusalCode::Unreadable, "user@peer.example"),
        ("twin@twin.example", RefusalCode::Ambiguous, "https://twin.example/users/2"),
    ] {
        let (found, message) = agent.refused(Ask::Approve { who: who(name) }).await;
        assert!(found == code && message.contains(part), "{name}: {found:?} {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_park_restore_and_purge() {
    let agent = Agent::start(settled());
    agent.have(PEOPLE).await;
    let block = |what: &str, purge| Ask::Block { what: what.to_owned(), purge };
    let Answer::Blocked(done) = agent.ask(block("B.example", false)).await.unwrap() else { panic!() };
    assert_eq!((done.target.as_str(), done.kind), ("b.example", BlockKind::Domain));
    assert_eq!((done.changed, done.parked, done.purged), (true, 2, 0));
    assert_eq!(agent.state_of(BO).await, Some(FollowerState::Parked));
    let (code, message) = agent.refused(Ask::Approve { who: who(BO) }).await;
    assert!(code == RefusalCode::NotOurs && message.contains("block list"), "{message}");

    let Answer::Unblocked(done) = agent.ask(Ask::Unblock { what: who("b.example") }).await.unwrap() else {
        panic!()
    };
    assert_eq!((done.restored, done.still_listed_by_owncast), (2, false));
    assert_eq!(agent.state_of(BO).await, Some(FollowerState::Approved));

    let Answer::Blocked(done) = agent.ask(block("@bo@b.example", false)).await.unwrap() else { panic!() };
    assert_eq!((done.target.as_str(), done.kind, done.parked), (BO, BlockKind::Actor, 1));
    agent.ask(block(ANA, false)).await.unwrap();
    let Answer::Blocked(done) = agent.ask(block(BO, true)).await.unwrap() else { panic!() };
    assert_eq!((done.changed, done.parked, done.purged), (false, 0, 1));
    assert_eq!(agent.state_of(BO).await, None);
    assert_eq!(agent.state_of(ANA).await, Some(FollowerState::Parked), "parked by another block");

    let Answer::Blocks(list) = agent.ask(Ask::Blocks).await.unwrap() else { panic!() };
    let listed: Vec<_> = list.blocks.iter().map(|row| (row.target.as_str(), row.listed_by)).collect();
    assert_eq!(listed, [(ANA, ListedBy::Operator), (BO, ListedBy::Operator)]);

    for (what, code, part) in [
        ("com", RefusalCode::Unreadable, "single label"),
        ("not a domain", RefusalCode::Unreadable, "neither a domain"),
        ("https://peer.example/", RefusalCode::Unreadable, "actor id"),
        ("@stranger@peer.example", RefusalCode::Unknown, "https://peer.example/users/user"),
    ] {
        let (found, message) = agent.refused(block(what, false)).await;
        assert!(found == code && message.contains(part), "{what}: {found:?} {message}");
    }
    let (code, _) = agent.refused(Ask::Unblock { what: who("c.example") }).await;
    assert_eq!(code, RefusalCode::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_on_owncasts_list_is_lifted_in_owncast() {
    let agent = Agent::start(settled());
    agent
        .store
        .commit(|view| {
            let mut draft = Draft::new(view);
            blocks::follow_owncast(&mut draft, &["bad.example".to_owned()], Timestamp::UNIX_EPOCH);
            blocks::add(
                &mut draft,
                blocks::parse("both.example").unwrap(),
                BlockOwner::Owncast,
                Timestamp::UNIX_EPOCH,
            );
            (draft.into_changes(), ())
        })
        .await
        .unwrap();
    let (code, message) = agent.refused(Ask::Unblock { what: who("bad.example") }).await;
    assert_eq!(code, RefusalCode::NotOurs);
    assert!(message.contains("http://127.0.0.1:8080/admin"), "{message}");
    agent.ask(Ask::Block { what: who("both.example"), purge: false }).await.unwrap();
    let Answer::Unblocked(done) = agent.ask(Ask::Unblock { what: who("both.example") }).await.unwrap() else {
        panic!()
    };
    assert!(done.still_listed_by_owncast);
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_tells_changes_and_mistakes() {
    let agent = Agent::start(settled());
    let file = agent.folder.path().join("agent.toml");
    std::fs::write(&file, "[owncast]\nurl = \"http://127.0.0.1:8080\"\n[go-live]\ndelay = \"soon\"\n")
        .unwrap();
    let error = agent.ask(Ask::Reload).await.unwrap_err();
    assert_eq!(error.exit_code(), 78);
    assert!(error.to_string().contains("line 4"), "{error}");
    let answer = agent.ask(Ask::Reload).await.unwrap_err();
    assert!(matches!(answer, ClientError::Refused(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_are_kept_and_answered_with_what_follows() {
    let agent = Agent::start(settled());
    let wished = async |agent: &Agent, ask: Ask| match agent.ask(ask).await {
        Ok(Answer::Wished(wished)) => wished,
        other => panic!("{other:?}"),
    };
    let kept = async |agent: &Agent| agent.store.read(|view| view.meta::<Wishes>()).await.unwrap();
    let done = wished(&agent, Ask::Skip { undo: false }).await;
    assert_eq!((done.wish, done.changed, done.held), (Wish::Skip, true, Some(Held::Skip)));
    assert_eq!((done.wishes.skip, done.running.clone()), (Some(SkippedStream::Next), None));
    assert!(!wished(&agent, Ask::Skip { undo: false }).await.changed);
    assert_eq!(kept(&agent).await.skip, Some(Skip::Next));
    assert!(!agent.was_woken(), "there is nothing to look at");
    assert!(wished(&agent, Ask::Skip { undo: true }).await.changed);
    assert!(!wished(&agent, Ask::Skip { undo: true }).await.changed);

    let text = || Some("Come and see {title}".to_owned());
    let done = wished(&agent, Ask::Message { text: text() }).await;
    assert_eq!((done.wish, done.wishes.message, kept(&agent).await.message), (Wish::Message, text(), text()));
    let (code, message) = agent.refused(Ask::Message { text: Some("{nothing}".to_owned()) }).await;
    assert!(code == RefusalCode::Unreadable && message.contains("{title}"), "{message}");
    let done = wished(&agent, Ask::Message { text: None }).await;
    assert_eq!((done.wish, kept(&agent).await.message), (Wish::MessageCleared, None));

    agent.was_woken();
    let done = wished(&agent, Ask::Pause { seconds: 7200 }).await;
    let until = done.wishes.paused_until.unwrap();
    assert_eq!(done.held, Some(Held::Pause { until }));
    assert_eq!(kept(&agent).await.paused_until, Some(until));
    let done = wished(&agent, Ask::Resume { restored: false }).await;
    assert_eq!((done.changed, done.held), (true, None));
    assert!(agent.was_woken(), "a stream that waited is looked at at once");
    assert!(!wished(&agent, Ask::Resume { restored: false }).await.changed);
    for seconds in [0, 59, 30 * 86_400 + 1, u64::MAX] {
        let (code, message) = agent.refused(Ask::Pause { seconds }).await;
        assert!(code == RefusalCode::Unreadable && message.contains("30 days"), "{message}");
    }
    let (code, message) = agent.refused(Ask::Now).await;
    assert!(code == RefusalCode::NothingToDo && message.contains("no stream is running"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_does_without_owncast_and_not_without_an_identity() {
    let agent = Agent::start(settled());
    agent.have(PEOPLE).await;
    let Answer::Preview(post) = agent.ask(Ask::Preview).await.unwrap() else { panic!() };
    assert!(post.from_memory && post.picture.is_none() && post.no_picture.is_some());
    assert_eq!((post.followers, post.inboxes), (3, 3));
    assert!(post.html.contains("https://live.example/"), "{}", post.html);

    let waiting = Agent::start(IdentityState::Waiting("no key yet".to_owned()));
    for ask in [Ask::Preview, Ask::Now] {
        let (code, message) = waiting.refused(ask).await;
        assert!(code == RefusalCode::NotYet && message.contains("no key yet"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_refused_in_words() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let agent = Agent::start(settled());
    let long = format!("{}\n", "x".repeat(protocol::LONGEST_REQUEST + 10));
    for (request, part) in [
        ("{}\n", "not understood"),
        ("{\"v\":1,\"body\":{\"ask\":\"dance\"}}\n", "dance"),
        ("{\"v\":7,\"body\":{\"ask\":\"status\"}}\n", "version 7"),
        (long.as_str(), "longer than"),
    ] {
        let mut stream = tokio::net::UnixStream::connect(&agent.socket).await.unwrap();
        // The server stops reading at the limit, and what is left unread resets the stream behind the answer.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8(answer).unwrap();
        assert!(text.contains("bad-request") && text.contains(part), "{part}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_for_user_and_group_and_goes_with_the_agent() {
    let agent = Agent::start(settled());
    let mode = std::fs::metadata(&agent.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(matches!(server::bind(&agent.socket), Err(server::SocketError::InUse { .. })));
    agent.stop.cancel();
    agent.server.await.unwrap();
    assert!(!agent.socket.exists());
}

#[tokio::test]
async fn only_a_dead_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a killed agent leaves its file");
    drop(server::bind(&path).unwrap());
    let file = folder.path().join("file");
    std::fs::write(&file, "keep").unwrap();
    assert!(matches!(server::bind(&file), Err(server::SocketError::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "keep");
    let nowhere = server::bind(Path::new("/nonexistent/s")).unwrap_err();
    assert!(nowhere.to_string().contains("admin-socket"), "{nowhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_stands_behind_the_answer() {
    let agent = Agent::start(settled());
    agent.have(&[("https://a.example/u", "u@a.example", FollowerState::Approved)]).await;
    let socket = agent.socket.clone();
    let contents = tokio::task::spawn_blocking(move || {
        let (answer, file) = client::ask_on(&[socket], &Ask::Export).unwrap();
        assert_eq!(answer, Answer::Export);
        crate::backup::check(file).unwrap()
    });
    let contents = contents.await.unwrap();
    assert_eq!((contents.counts.of("follower"), contents.counts.with_key), (1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_queued_yet_of_an_activity_is_given_up_with_it() {
    let agent = Agent::start(settled());
    let (id, now, inbox) = (Ulid(7), Timestamp::now(), |name| format!("https://{name}.example/inbox"));
    let mut changes = Changes::none();
    let of = |name| Engager { kind: EngagementKind::Like, actor: inbox(name), inbox: inbox(name) };
    changes.put(&Engagers { key: Engagers::key_at(Ulid(6), 1), who: ["a", "b", "c"].map(of).into() });
    changes.put(&Outgoing {
        id,
        kind: OutgoingKind::Delete,
        post: Some(Ulid(6)),
        body: String::new(),
        target: Target::ReachedBy(Ulid(5)),
        created: now,
        expires: now,
        chunks: 0,
        cursor: 0,
        given_up: None,
    });
    changes.put(&Attempt::personal(now, id, inbox("a")));
    changes.put_raw(kind::FURTHER, &id.to_bytes(), inbox("a").into_bytes());
    agent.store.commit(move |_| (changes, ())).await.unwrap();
    for (dry_run, dropped) in [(true, 3), (false, 3), (false, 0)] {
        let ask = Ask::Drop { activity: Some(id.to_string()), host: None, dry_run };
        let Answer::Dropped(told) = agent.ask(ask).await.unwrap() else { panic!("{dry_run}") };
        assert_eq!(told.dropped, dropped, "{dry_run}");
    }
}
