//! The state of the whole agent, put together from what its rooms know.

use jiff::Timestamp;

use super::Control;
use super::protocol::{
    DeliveryStatus, IdentityStatus, IdentityWord, ListenStatus, OwncastStatus, SettingRow, Status,
    StreamStatus,
};
use crate::agent::effective::{Effective, IdentityState};
use crate::config::{Approval, Origin, Visibility};
use crate::model::View;
use crate::model::delivery::{InboxState, Outgoing, chunk_key};
use crate::model::follower::FollowerCounts;
use crate::model::record::{full_key, kind};
use crate::store::StoreError;

/// What the store says of itself, read in one look.
struct Stored {
    followers: FollowerCounts,
    waiting: u64,
    blocks: u64,
}

/// Everything at once.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn status(control: &Control, now: Timestamp) -> Result<Status, StoreError> {
    let stored = control
        .store
        .read(|view| Stored {
            followers: view.meta(),
            waiting: waiting(view),
            blocks: count(view, kind::BLOCK),
        })
        .await?;
    let effective = control.effective.borrow().clone();
    let board = control.board.borrow().clone();
    let identity = identity(&effective.identity);
    let store_works = !*control.store.failed().borrow();
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ready: store_works && identity.state == IdentityWord::Settled,
        uptime_seconds: u64::try_from(now.duration_since(control.started).as_secs()).unwrap_or(0),
        identity,
        owncast: OwncastStatus {
            url: effective.config.owncast.url.to_string(),
            reachable: board.reachable,
            problem: board.problem,
            version: board.version,
            webhook: board.webhook,
            websocket: board.websocket,
        },
        stream: StreamStatus { state: board.stream, title: board.title },
        followers: stored.followers,
        deliveries: DeliveryStatus { waiting: stored.waiting },
        blocks: stored.blocks,
        listen: ListenStatus {
            public: control.listening.public.to_string(),
            webhook: control.listening.webhook.to_string(),
            metrics: control.listening.metrics.to_string(),
        },
        settings: settings(&effective),
    })
}

fn identity(state: &IdentityState) -> IdentityStatus {
    match state {
        IdentityState::Waiting(why) => IdentityStatus {
            state: IdentityWord::Waiting,
            why: Some(why.clone()),
            actor: None,
            handle: None,
            key_id: None,
        },
        IdentityState::Settled { addresses, .. } => IdentityStatus {
            state: IdentityWord::Settled,
            why: None,
            actor: Some(addresses.actor()),
            handle: Some(addresses.handle()),
            key_id: Some(addresses.key_id()),
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

/// Attempts that are due at some time, and inboxes that the first pass of a fan-out has not come to. An inbox with an
/// attempt has another state byte than a waiting one, so none is counted twice.
fn waiting(view: &dyn View) -> u64 {
    let mut fanouts = Vec::new();
    view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, _| {
        fanouts.push(key.get(1..).unwrap_or_default().to_vec());
        true
    });
    let mut waiting = count(view, kind::ATTEMPT) + count(view, kind::RESTING);
    for outgoing in fanouts.iter().filter_map(|key| view.get::<Outgoing>(key)) {
        for chunk in outgoing.cursor..outgoing.chunks {
            let states =
                view.get_bytes(&full_key(kind::CHUNK, &chunk_key(outgoing.id, chunk))).unwrap_or_default();
            let untried = states.iter().filter(|byte| InboxState::of(**byte) == InboxState::Waiting).count();
            waiting += untried as u64;
        }
    }
    waiting
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
    use crate::config::{Config, Overrides};
    use crate::model::delivery::{Attempt, OutgoingKind, Target};
    use crate::model::facts::{Facts, Identity};
    use crate::model::view::MemoryView;
    use crate::model::{Addresses, Changes};

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

    fn value(rows: &[SettingRow], field: &str) -> (String, String) {
        let row = rows.iter().find(|row| row.field == field).unwrap();
        (row.value.clone(), row.origin.clone())
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
        });
        changes.put_raw(kind::FANOUT, &id.to_bytes(), Vec::new());
        // The cursor has passed the first chunk.
        changes.put_raw(kind::CHUNK, &chunk_key(id, 0), vec![InboxState::Waiting as u8; 3]);
        let states = [InboxState::Waiting, InboxState::Reached, InboxState::Retrying, InboxState::Waiting];
        changes.put_raw(kind::CHUNK, &chunk_key(id, 1), states.map(|state| state as u8).to_vec());
        let inbox = "https://peer.example/inbox".to_owned();
        changes.put(&Attempt {
            due: now,
            outgoing: id,
            inbox,
            number: Some(4098),
            tries: 1,
            uncertain: false,
        });
        let mut view = MemoryView::default();
        view.apply(changes);
        assert_eq!(waiting(&view), 3);
    }
}
