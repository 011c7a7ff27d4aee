//! The state of the whole agent, put together from what its rooms know.

use jiff::Timestamp;

use super::attention::{attention, first_of_all};
use super::key_change::key_change;
use super::protocol::{
    Announcement, Deliveries, FanOut, IdentityStatus, IdentityWord, KeyChange, ListenStatus, OwncastStatus,
    Reach, SessionStatus, SettingRow, Status, StreamStatus, WishList,
};
use super::{Control, wishes};
use crate::agent::effective::{Effective, IdentityState};
use crate::config::{Approval, Origin, Visibility};
use crate::decide::{delivered, hosts};
use crate::model::View;
use crate::model::delivery::Outgoing;
use crate::model::follower::FollowerCounts;
use crate::model::host::{HostCounts, Unreached};
use crate::model::post::Post;
use crate::model::record::kind;
use crate::model::stream::{Phase, Session, Stream};
use crate::owncast::footprint::Footprint;
use crate::store::StoreError;

/// Fan-outs under way that are told.
const FAN_OUTS: usize = 5;
/// What the store says of itself, read in one look.
struct Stored {
    followers: FollowerCounts,
    waiting: u64,
    hosts: HostCounts,
    webhook: Option<i64>,
    unreached: Unreached,
    fan_outs: Vec<FanOut>,
    blocks: u64,
    reports: u64,
    session: Option<SessionStatus>,
    announcement: Option<Announcement>,
    wishes: WishList,
    key_change: Option<KeyChange>,
}

/// Everything at once.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn status(control: &Control, now: Timestamp) -> Result<Status, StoreError> {
    let effective = control.effective.borrow().clone();
    let ours = std::sync::Arc::clone(&effective);
    let stored = control
        .store
        .read(move |view| Stored {
            followers: view.meta(),
            waiting: delivered::open(view),
            hosts: view.meta(),
            webhook: view.meta::<Footprint>().provisioned.webhook.map(|ours| ours.id),
            unreached: hosts::unreached(view),
            fan_outs: fan_outs(view, &ours),
            blocks: count(view, kind::BLOCK),
            reports: count(view, kind::REPORT),
            session: view.meta::<Stream>().session.map(session),
            announcement: announcement(view, &ours),
            wishes: wishes::list(view, now),
            key_change: key_change(view, &ours),
        })
        .await?;
    let board = control.board.borrow().clone();
    let identity = identity(&effective.identity, stored.key_change);
    let store_works = !*control.store.failed().borrow();
    let held = first_of_all(control.running, stored.wishes.restored, stored.key_change, now);
    let needed = attention(
        &effective,
        &board,
        &control.reload.on_disk(),
        &control.store.room(),
        stored.followers.pending,
        stored.reports,
    );
    let needed = held.into_iter().chain(needed).collect();
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        running: control.running,
        ready: control.running && store_works && identity.state == IdentityWord::Settled,
        uptime_seconds: u64::try_from(now.duration_since(control.started).as_secs()).unwrap_or(0),
        attention: needed,
        identity,
        owncast: OwncastStatus {
            url: effective.config.owncast.url.to_string(),
            reachable: board.reachable,
            problem: board.problem,
            version: board.version,
            clock_offset_seconds: board.clock_offset_seconds,
            webhook: stored.webhook,
        },
        stream: StreamStatus { state: board.stream, title: board.title },
        session: stored.session,
        announcement: stored.announcement,
        wishes: stored.wishes,
        sources: board.sources,
        notices: board.notices,
        followers: stored.followers,
        deliveries: Deliveries {
            waiting: stored.waiting,
            hosts: stored.hosts,
            unreached: stored.unreached,
            fan_outs: stored.fan_outs,
        },
        blocks: stored.blocks,
        reports: stored.reports,
        listen: ListenStatus {
            public: control.listening.public.to_string(),
            webhook: control.listening.webhook.to_string(),
            metrics: control.listening.metrics.to_string(),
        },
        settings: settings(&effective),
    })
}

fn session(session: Session) -> SessionStatus {
    SessionStatus {
        id: session.id.to_string(),
        phase: session.phase,
        started: session.started,
        gone: session.gone.filter(|_| matches!(session.phase, Phase::Lost | Phase::Ended)),
        connections: session.connections.len(),
    }
}

/// The newest post. Ids sort by time.
fn announcement(view: &dyn View, effective: &Effective) -> Option<Announcement> {
    let mut newest = None;
    view.scan::<Post>(b"", &mut |post| {
        newest = Some(post);
        true
    });
    let post = newest?;
    Some(Announcement {
        post: effective.addresses().map(|ours| ours.note(post.id)).unwrap_or_default(),
        published: post.published,
        updated: post.updated,
        state: post.state,
        audience: post.audience,
        title: post.title,
        likes: post.likes,
        shares: post.shares,
        reach: view.get::<Outgoing>(&post.create.to_bytes()).map(|create| reach(view, &create)),
    })
}

/// The fan-outs whose first pass is not done, newest first, and of those a few.
fn fan_outs(view: &dyn View, effective: &Effective) -> Vec<FanOut> {
    let mut ids = Vec::new();
    view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, _| {
        ids.push(key.get(1..).unwrap_or_default().to_vec());
        true
    });
    let open = ids.iter().rev().filter_map(|id| view.get::<Outgoing>(id));
    let told = open.take(FAN_OUTS).map(|outgoing| FanOut {
        activity: outgoing.id.to_string(),
        kind: outgoing.kind,
        post: outgoing.post.and_then(|post| Some(effective.addresses()?.note(post))),
        created: outgoing.created,
        inboxes: delivered::tally(view, &outgoing),
    });
    told.collect()
}

fn reach(view: &dyn View, create: &Outgoing) -> Reach {
    let tally = delivered::tally(view, create);
    Reach { reached: tally.reached, failed: tally.given_up(), waiting: tally.open() }
}

fn identity(state: &IdentityState, key_change: Option<KeyChange>) -> IdentityStatus {
    match state {
        IdentityState::Waiting(why) => IdentityStatus {
            state: IdentityWord::Waiting,
            why: Some(why.clone()),
            actor: None,
            handle: None,
            key_id: None,
            key_change,
        },
        IdentityState::Settled { addresses, .. } => IdentityStatus {
            state: IdentityWord::Settled,
            why: None,
            actor: Some(addresses.actor()),
            handle: Some(addresses.handle()),
            key_id: Some(addresses.key_id()),
            key_change,
        },
    }
}

fn count(view: &dyn View, kind: u8) -> u64 {
    let mut count = 0;
    view.scan_bytes(&[kind], &[kind], &mut |_, _| {
        count += 1;
        true
    });
    count
}

/// Every key; where Owncast has the say, what it says.
fn settings(effective: &Effective) -> Vec<SettingRow> {
    let facts = &effective.facts;
    let row = |setting: crate::config::Setting| {
        let inherited = match setting.field {
            "identity.public-url" if setting.origin == Origin::Owncast => {
                Some(effective.addresses().map_or(facts.server_url.clone(), |ours| ours.base.clone()))
            }
            "identity.username" if setting.origin == Origin::Owncast => {
                Some(effective.addresses().map_or(facts.username.clone(), |ours| ours.username.clone()))
            }
            "go-live.message" if setting.origin == Origin::Owncast => {
                let typed = Some(&facts.go_live_message).filter(|text| !text.trim().is_empty());
                typed.or(effective.taken_message.as_ref()).cloned().or_else(|| {
                    // Nothing typed in either place.
                    facts.known.then(|| "(built-in text)".to_owned())
                })
            }
            "followers.approval" if effective.config.followers.approval == Approval::Inherit => {
                let word = if effective.manual_approval() { Approval::Manual } else { Approval::Auto };
                facts.known.then(|| word.as_str().to_owned())
            }
            "go-live.visibility" if effective.config.go_live.visibility == Visibility::Inherit => {
                let word = if facts.private { Visibility::Followers } else { Visibility::Public };
                facts.known.then(|| word.as_str().to_owned())
            }
            _ => {
                return SettingRow {
                    field: setting.field.to_owned(),
                    value: setting.value,
                    origin: setting.origin.to_string(),
                };
            }
        };
        let known = inherited.filter(|value| !value.is_empty());
        SettingRow {
            field: setting.field.to_owned(),
            value: known.unwrap_or_else(|| "(not known yet)".to_owned()),
            origin: Origin::Owncast.to_string(),
        }
    };
    effective.config.settings().into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ulid::Ulid;

    use super::*;
    use crate::agent::board::{Board, clock_words};
    use crate::config::reload::OnDisk;
    use crate::config::{Config, Overrides};
    use crate::model::delivery::{Attempt, InboxState, OutgoingKind, Tally, Target, chunk_key};
    use crate::model::facts::{Facts, Identity};
    use crate::model::post::{Audience, PostState};
    use crate::model::view::MemoryView;
    use crate::model::{Addresses, Changes};
    use crate::store::Room;

    fn effective(facts: Facts, settled: bool) -> Effective {
        let overrides = Overrides { owncast_url: Some("http://127.0.0.1:8080".to_owned()), store_path: None };
        let config = Config::load(None, overrides, &|_| None).unwrap();
        let identity = if settled {
            IdentityState::Settled {
                addresses: Addresses::new("https://live.example", "ana"),
                published: Timestamp::UNIX_EPOCH,
                public_key: String::new(),
            }
        } else {
            IdentityState::Waiting("no key".to_owned())
        };
        let stored = Identity { taken_message: Some("taken".to_owned()), ..Identity::default() };
        Effective::new(Arc::new(config), facts, identity, &stored)
    }

    fn roomy() -> Room {
        Room { folder: "/store".into(), free: 1 << 30, floor: 1 << 26, low: false }
    }

    fn value(rows: &[SettingRow], field: &str) -> (String, String) {
        let row = rows.iter().find(|row| row.field == field).unwrap();
        (row.value.clone(), row.origin.clone())
    }

    #[test]
    fn what_needs_attention_is_named_once_with_its_cure() {
        let calm = attention(
            &effective(Facts::default(), true),
            &Board::default(),
            &OnDisk::default(),
            &roomy(),
            0,
            0,
        );
        assert_eq!(calm, Vec::<String>::new());

        let mut board = Board { problem: Some("no key".to_owned()), ..Board::default() };
        board.sources.webhook.failed("the webhook does not reach us".to_owned());
        board.sources.websocket.failed("it ended".to_owned());
        board.clock_offset_seconds = Some(-90);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[owncast]\nurl = 7\n").unwrap();
        let refused = Config::load(Some(file.path()), Overrides::default(), &|_| None).unwrap_err();
        let waiting = vec![crate::config::Changed {
            field: "listen.public",
            from: "127.0.0.1:1".to_owned(),
            to: "127.0.0.1:2".to_owned(),
            needs_restart: true,
        }];
        let on_disk = OnDisk { refused: Some(refused), waiting };
        let needed = attention(&effective(Facts::default(), false), &board, &on_disk, &roomy(), 1, 2);
        for (text, part) in needed.iter().zip([
            "no key",
            "line 2: owncast.url",
            "listen.public is 127.0.0.1:1 until a restart, which makes it 127.0.0.1:2",
            "the webhook does not reach us",
            "90 s behind",
            "1 follower waits for your approval",
            "2 reports from other servers wait to be read",
        ]) {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!(needed.len(), 7, "neither twice, nor a connection that ended once: {needed:?}");

        // The watcher shows the clock as Owncast's problem where there is no greater one.
        board =
            Board { problem: Some(clock_words(-400)), clock_offset_seconds: Some(-400), ..Board::default() };
        let needed =
            attention(&effective(Facts::default(), true), &board, &OnDisk::default(), &roomy(), 0, 0);
        assert_eq!(needed, [clock_words(-400)]);
    }

    #[test]
    fn the_newest_post_is_told_with_where_it_arrived() {
        let effective = effective(Facts::default(), true);
        let mut view = MemoryView::default();
        assert_eq!(announcement(&view, &effective), None);
        let post = |id: u128, title: &str| Post {
            id: Ulid(id),
            session: Ulid(1),
            published: Timestamp::UNIX_EPOCH,
            updated: None,
            content: String::new(),
            live_content: String::new(),
            template: String::new(),
            language: None,
            tags: Vec::new(),
            title: title.to_owned(),
            sensitive: false,
            audience: Audience::Public,
            picture: None,
            alt: String::new(),
            state: PostState::Live,
            over: None,
            create: Ulid(id + 1),
            last: None,
            edits: 0,
            likes: 2,
            shares: 1,
        };
        let mut changes = Changes::default();
        changes.put(&post(3, "new"));
        changes.put(&post(1, "old"));
        changes.put(&Outgoing {
            id: Ulid(4),
            kind: OutgoingKind::Create,
            post: Some(Ulid(3)),
            body: String::new(),
            target: Target::Everybody,
            created: Timestamp::UNIX_EPOCH,
            expires: Timestamp::UNIX_EPOCH,
            chunks: 1,
            cursor: 1,
            given_up: None,
        });
        changes.put_raw(kind::CHUNK, &chunk_key(Ulid(4), 0), vec![0, 1, 2, 3, 4, 4, 5, 6]);
        view.apply(changes);
        let told = announcement(&view, &effective).unwrap();
        assert_eq!((told.title.as_str(), told.likes, told.shares), ("new", 2, 1));
        assert!(told.post.starts_with("https://live.example/federation/"), "{}", told.post);
        assert_eq!(told.reach, Some(Reach { reached: 2, failed: 2, waiting: 3 }));
    }

    #[test]
    fn what_owncast_says_is_shown_as_the_value() {
        let facts = Facts { known: true, private: true, ..Facts::default() };
        let rows = settings(&effective(facts, true));
        for (field, want) in [
            ("identity.public-url", ("https://live.example", "Owncast")),
            ("identity.username", ("ana", "Owncast")),
            ("go-live.message", ("taken", "Owncast")),
            ("go-live.visibility", ("followers", "Owncast")),
            ("followers.approval", ("manual", "Owncast")),
            ("owncast.url", ("http://127.0.0.1:8080", "command line")),
            ("log.level", ("info", "default")),
        ] {
            assert_eq!(value(&rows, field), (want.0.to_owned(), want.1.to_owned()), "{field}");
        }
        let rows = settings(&effective(Facts::default(), false));
        for field in ["identity.public-url", "followers.approval", "go-live.visibility"] {
            assert_eq!(value(&rows, field).0, "(not known yet)", "{field}");
        }
    }

    #[test]
    fn untried_inboxes_and_attempts_wait() {
        let (id, now) = (Ulid(7), Timestamp::UNIX_EPOCH);
        let mut changes = Changes::none();
        changes.put(&Outgoing {
            id,
            kind: OutgoingKind::Create,
            post: None,
            body: String::new(),
            target: Target::Everybody,
            created: now,
            expires: now,
            chunks: 2,
            cursor: 1,
            given_up: None,
        });
        changes.put_raw(kind::FANOUT, &id.to_bytes(), Vec::new());
        // The cursor has passed the first chunk.
        changes.put_raw(kind::CHUNK, &chunk_key(id, 0), vec![InboxState::Waiting as u8; 3]);
        let states = [InboxState::Waiting, InboxState::Reached, InboxState::Retrying, InboxState::Waiting];
        changes.put_raw(kind::CHUNK, &chunk_key(id, 1), states.map(|state| state as u8).to_vec());
        let inbox = "https://peer.example/inbox".to_owned();
        changes.put(&Attempt { number: Some(4098), tries: 1, ..Attempt::personal(now, id, inbox) });
        let mut view = MemoryView::default();
        view.apply(changes);
        assert_eq!(delivered::open(&view), 3);
        let told = fan_outs(&view, &effective(Facts::default(), true));
        assert_eq!(told.len(), 1);
        let want = Tally { waiting: 5, reached: 1, retrying: 1, ..Tally::default() };
        assert_eq!((told[0].kind, told[0].inboxes), (OutgoingKind::Create, want));
    }
}
