//! Records through bytes and back, keys in the order of the world, and drafts that read as if they were applied.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use ulid::Ulid;

use super::block::{Block, BlockOwner, BlockTarget};
use super::delivery::{
    Attempt, InboxState, Outgoing, OutgoingKind, Target, activity_of_attempt, attempt_key, chunk_key,
};
use super::engagement::{
    Engagement, EngagementKind, Engager, Engagers, Seen, engagement_key, engagements_of,
};
use super::facts::{Facts, Identity, Profile, SocialHandle, Untold};
use super::follower::{DeliveryInbox, Follower, FollowerCounts, FollowerState, InboxNumber, NextInbox};
use super::handle::{Person, host_of};
use super::host::{Host, HostCounts, Resting, activity_of_resting, alarm_key, read_alarm_key};
use super::notices::{Notice, NoticeKind, Said, Waiting};
use super::post::{Audience, Picture, Post, PostState, Shows, Standing};
use super::record::{decode, encode, full_key, kind};
use super::stood::{Before, Stood};
use super::stream::{Clocks, Phase, Session, Stream};
use super::view::{MemoryView, Meta, View};
use super::{Addresses, Changes, Draft, Record};

fn random(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn time() -> impl Strategy<Value = Timestamp> {
    // Years 1970 to 2100 to the nanosecond.
    (0..4_102_444_800i64, 0..1_000_000_000i32).prop_map(|(s, n)| Timestamp::new(s, n).unwrap())
}

fn id() -> impl Strategy<Value = Ulid> {
    any::<u128>().prop_map(Ulid)
}

/// Quotes, newlines, other scripts, emoji: whatever strangers send.
fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}|[\"\\\\\n\r\t\u{0}-\u{1f}/é🦀\u{202e}]{0,8}"
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(text())
}

fn picture() -> impl Strategy<Value = Picture> {
    (text(), any::<u32>(), any::<u32>(), some_text()).prop_map(|(name, width, height, blurhash)| Picture {
        name,
        media_type: "image/jpeg".to_owned(),
        width,
        height,
        blurhash,
        shows: Shows::Preview,
    })
}

fn person() -> impl Strategy<Value = Person> {
    (text(), text(), some_text(), text(), some_text(), some_text()).prop_map(
        |(actor, inbox, shared_inbox, handle, name, url)| Person {
            actor,
            inbox,
            shared_inbox,
            handle,
            name,
            icon: url.clone(),
            url,
        },
    )
}

fn back<R: Record + PartialEq + Clone + std::fmt::Debug>(record: R) -> Result<(), TestCaseError> {
    let bytes = encode(&record);
    prop_assert_eq!(decode::<R>(&bytes), Some(record.clone()));
    let later = String::from_utf8(bytes).unwrap().replacen("{\"v\":1", "{\"v\":2", 1);
    prop_assert_eq!(decode::<R>(later.as_bytes()), None, "a later version is not guessed at");
    let mut view = MemoryView::default();
    let mut changes = Changes::none();
    changes.put(&record);
    view.apply(changes);
    let view: &dyn View = &view;
    prop_assert_eq!(view.get::<R>(&record.key()), Some(record));
    Ok(())
}

fn meta_back<M: Meta + PartialEq + Clone + std::fmt::Debug>(meta: M) -> Result<(), TestCaseError> {
    let mut view = MemoryView::default();
    let mut changes = Changes::none();
    changes.put_meta(&meta);
    view.apply(changes);
    let view: &dyn View = &view;
    prop_assert_eq!(view.meta::<M>(), meta);
    Ok(())
}

const FOLLOWER_STATES: [FollowerState; 5] = [
    FollowerState::Approved,
    FollowerState::Pending,
    FollowerState::Rejected,
    FollowerState::Parked,
    FollowerState::Left,
];
const OUTGOING: [OutgoingKind; 6] = [
    OutgoingKind::Accept,
    OutgoingKind::Reject,
    OutgoingKind::Create,
    OutgoingKind::Update,
    OutgoingKind::Delete,
    OutgoingKind::ActorUpdate,
];
const PHASES: [Phase; 4] = [Phase::Connecting, Phase::Live, Phase::Lost, Phase::Ended];

proptest! {
    #![proptest_config(random(64))]
    #[test]
    fn followers_and_inboxes_come_back(
        person in person(), state in 0..5usize, parked in prop::option::of(0..5usize), follow_id in some_text(),
        answer in any::<Option<u128>>(),
        times in (time(), time(), time()), number in any::<u32>(), count in any::<u64>(), url in text(),
    ) {
        back(Follower {
            person,
            state: FOLLOWER_STATES[state],
            parked_from: parked.map(|state| FOLLOWER_STATES[state]),
            moved_to: None,
            follow_id,
            spelt: answer.map(|_| url.clone()),
            answer: answer.map(Ulid),
            since: times.0,
            stamp: times.1,
            changed: times.2,
            given: answer.map(|_| times.0),
        })?;
        let refusals = answer.map(|_| super::follower::Refusals { count: number, since: times.0, last: times.1, why: url.clone() });
        back(DeliveryInbox {
            followers: count,
            opened_by: answer.map(Ulid),
            refusals,
            ..DeliveryInbox::new(number, url.clone(), times.0)
        })?;
        back(InboxNumber { url, number })?;
        meta_back(NextInbox { next: number })?;
        meta_back(FollowerCounts { approved: count, pending: 1, rejected: u64::MAX, parked: 0 })?;
    }

    #[test]
    fn deliveries_come_back(
        ids in (id(), prop::option::of(id()), id()), what in 0..6usize, to in 0..3u8, body in text(),
        times in (time(), time()), number in prop::option::of(any::<u32>()), tries in any::<u32>(),
        uncertain in any::<bool>(), inbox in text(), why in prop::option::of(text()), owed in any::<bool>(),
    ) {
        let target = match to {
            0 => Target::Inbox(inbox.clone()),
            1 => Target::Everybody,
            _ => Target::ReachedBy(ids.2),
        };
        back(Outgoing {
            id: ids.0, kind: OUTGOING[what], post: ids.1, body, target,
            created: times.0, expires: times.1, chunks: tries, cursor: number.unwrap_or(0), given_up: None,
})?;
        let attempt = Attempt { due: times.0, outgoing: ids.0, inbox, number, tries, unauthorised: tries / 2, uncertain, why, owed };
        back(Resting(attempt.clone()))?;
        back(attempt)?;
    }

    #[test]
    fn servers_that_are_not_well_come_back(
        host in text(), failures in any::<u32>(), changed in time(),
        times in prop::collection::vec(prop::option::of(time()), 5),
    ) {
        back(Host {
            host: host.clone(), failures, since: times[0], until: times[1], asked: times[2], parked: times[3],
            alarm: times[4], changed,
        })?;
        meta_back(HostCounts { shut: u64::from(failures), parked: u64::MAX })?;
        let whole = Timestamp::from_millisecond(changed.as_millisecond()).unwrap();
        let key = alarm_key(changed, &host);
        prop_assert_eq!(read_alarm_key(&key), Some((whole, host.as_str())));
        let next = whole + SignedDuration::from_millis(1);
        prop_assert!(key < alarm_key(next, ""));
    }

    #[test]
    fn posts_and_what_people_do_with_them_come_back(
        ids in (id(), id(), id()), times in (time(), prop::option::of(time())), words in (text(), text(), text()),
        tags in prop::collection::vec(text(), 0..4), picture in prop::option::of(picture()),
        counts in (any::<u64>(), any::<u64>(), any::<u32>()), one in any::<bool>(), which in 0..3usize,
    ) {
        let post = Post {
            id: ids.0, session: ids.1, published: times.0, updated: times.1,
            content: words.0.clone(), live_content: words.1.clone(), template: words.2.clone(),
            language: one.then(|| words.0.clone()), tags, title: words.2.clone(),
            sensitive: one, audience: if one { Audience::Public } else { Audience::Followers },
            picture, alt: words.1.clone(),
            state: [PostState::Live, PostState::Ended, PostState::Deleted][which],
            over: times.1, create: ids.2, last: times.1.map(|_| ids.1), edits: counts.2, likes: counts.0, shares: counts.1,
        };
        let Post { published, audience, state, .. } = post;
        prop_assert_eq!(decode::<Standing>(&encode(&post)), Some(Standing { published, audience, state }));
        let (more, fewer) = (counts.0.saturating_add(1), counts.1.saturating_sub(1));
        for (what, up, counted) in [
            (EngagementKind::Like, true, Some(Post { likes: more, ..post.clone() })),
            (EngagementKind::Announce, false, Some(Post { shares: fewer, ..post.clone() })),
            (EngagementKind::Reply, true, None),
        ] {
            prop_assert_eq!(Post::counted(encode(&post), what, up), counted.as_ref().map(encode));
        }
        back(post)?;
        let about = one.then_some(ids.0);
        let kind = if one { EngagementKind::Like } else { EngagementKind::Announce };
        back(Engagement {
            post: about, kind, actor: words.0.clone(), activity: words.2.clone(),
            signature: words.0.clone(), at: times.0, again: times.1, undone: !one, told: one.then_some(ids.2),
            listed: one.then_some(counts.0),
        })?;
        let engagers = |names: &[&String]| Engagers {
            key: Engagers::key_at(ids.0, counts.0),
            who: names
                .iter()
                .map(|name| Engager { kind, actor: (*name).clone(), inbox: words.1.clone() })
                .collect(),
        };
        let more = Engagers::and(encode(&engagers(&[&words.0])), &engagers(&[&words.2]).who[0]);
        prop_assert_eq!(more, Some(encode(&engagers(&[&words.0, &words.2]))));
        let told = [NoticeKind::Follow, NoticeKind::Like, NoticeKind::Announce][which];
        let notice = Notice {
            id: ids.1, kind: told, actor: words.0.clone(), name: Some(words.1.clone()), handle: words.2.clone(),
            link: words.0.clone(), live_post: one, at: times.0,
        };
        let other = Notice { id: ids.0, name: None, ..notice.clone() };
        let waiting = |notices: &[&Notice]| Waiting {
            key: [0; 16], notices: notices.iter().map(|notice| (*notice).clone()).collect(),
        };
        back(waiting(&[&notice, &other]))?;
        let both = Waiting::and(encode(&waiting(&[&notice])), &other);
        prop_assert_eq!(both, Some(encode(&waiting(&[&notice, &other]))));
        back(Said::of(told, &words.0, about, ids.2, times.0))?;
        // What it is about is in its key alone.
        back(Seen { what: String::new(), leads_to: one.then_some(words.1), undone: times.1, early: one, expires: times.0 })?;
    }

    #[test]
    fn the_rest_comes_back(
        words in (text(), text()), one in any::<bool>(), times in (time(), time(), prop::option::of(time())),
        ids in (id(), prop::option::of(id())), phase in 0..4usize, picture in prop::option::of(picture()),
        connections in prop::collection::vec(time(), 0..4),
    ) {
        let owner = if one { BlockOwner::Owncast } else { BlockOwner::Operator };
        let target = if one { BlockTarget::Domain(words.0.clone()) } else { BlockTarget::Actor(words.0.clone()) };
        back(Block { target, owner, since: times.0 })?;
        let session = Session {
            id: ids.0, phase: PHASES[phase], connections, started: times.0, connected: times.1,
            seen: times.1, gone: times.2, missed: times.2, post: ids.1, title: words.1.clone(),
            told_title: words.0.clone(), told: times.2, returns: 3, skipped: one, closed: !one,
        };
        let clocks = one.then_some(Clocks { ours: times.0, owncasts: times.1 });
        meta_back(Stream { session: one.then_some(session), last_picture: Some(words.1.clone()), clocks })?;
        meta_back(Facts {
            known: one, name: words.0.clone(), tags: vec![words.1.clone()], logo: picture,
            social_handles: vec![SocialHandle { platform: words.0.clone(), url: words.1.clone() }],
            ..Facts::default()
        })?;
        let before = |hash: &String| Some(Before { hash: hash.clone(), early: one });
        meta_back(Stood { connection: times.2, thumbnail: before(&words.0), preview: None })?;
        let untold = Untold { document: words.0.clone(), since: times.0, changed: times.1 };
        meta_back(Profile { told: one.then(|| words.1.clone()), untold: Some(untold), update: ids.1 })?;
        meta_back(Identity {
            addresses: one.then(|| Addresses::new(&words.0, &words.1)),
            published: times.2,
            taken_message: Some(words.0),
        })?;
    }

    #[test]
    fn the_first_attempt_is_the_one_due_first(a in (time(), id(), text()), b in (time(), id(), text())) {
        let millis = |time: Timestamp| time.as_millisecond();
        let (ka, kb) = (attempt_key(a.0, a.1, &a.2), attempt_key(b.0, b.1, &b.2));
        if millis(a.0) != millis(b.0) {
            prop_assert_eq!(ka.cmp(&kb), millis(a.0).cmp(&millis(b.0)));
        } else if a.1 != b.1 {
            prop_assert_eq!(ka.cmp(&kb), a.1.cmp(&b.1));
        }
        let chunk = u32::try_from(millis(a.0) % 70_000).unwrap();
        prop_assert!(chunk_key(a.1, chunk) < chunk_key(a.1, chunk + 1));
    }
}

#[test]
fn what_cannot_be_read_is_nothing() {
    for bytes in [&b""[..], b"null", b"{}", b"{\"v\":1}", b"{\"v\":1,\"number\":\"x\"}", b"[1]", b"\xff\xfe"]
    {
        assert_eq!(decode::<DeliveryInbox>(bytes), None, "{bytes:?}");
        assert_eq!(decode::<FollowerCounts>(bytes), None, "{bytes:?}");
    }
    // A field that a later release adds does no harm to this one.
    let extra =
        br#"{"v":1,"number":3,"url":"u","followers":2,"changed":"1970-01-01T00:00:00Z","colour":"blue"}"#;
    let changed = Timestamp::UNIX_EPOCH;
    assert_eq!(decode(extra), Some(DeliveryInbox { followers: 2, ..DeliveryInbox::new(3, "u", changed) }));
    // One broken entry hides neither its neighbours nor the end.
    let mut view = MemoryView::default();
    let mut changes = Changes::none();
    for number in 0..3u32 {
        changes.put(&DeliveryInbox::new(number, "", Timestamp::UNIX_EPOCH));
    }
    changes.put_raw(kind::INBOX, &1u32.to_be_bytes(), b"broken".to_vec());
    view.apply(changes);
    let view: &dyn View = &view;
    let numbers: Vec<u32> = view.all::<DeliveryInbox>(b"").into_iter().map(|inbox| inbox.number).collect();
    assert_eq!(numbers, [0, 2]);
}

#[test]
fn keys_of_different_things_differ() {
    let (post, other) = (Some(Ulid(7)), Some(Ulid(8)));
    let mut keys = vec![
        engagement_key(post, EngagementKind::Like, "a"),
        engagement_key(post, EngagementKind::Announce, "a"),
        engagement_key(other, EngagementKind::Like, "a"),
        engagement_key(None, EngagementKind::Like, "a"),
        engagement_key(post, EngagementKind::Like, "ab"),
    ];
    assert!(keys[0].starts_with(&engagements_of("a")) && !keys[4].starts_with(&engagements_of("a")));
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 5);
    let domain = BlockTarget::Domain("a.example".to_owned());
    assert_ne!(domain.key(BlockOwner::Owncast), domain.key(BlockOwner::Operator));
    assert_ne!(
        domain.key(BlockOwner::Owncast),
        BlockTarget::Actor("a.example".to_owned()).key(BlockOwner::Owncast)
    );
}

#[test]
fn state_bytes_are_what_they_were() {
    use InboxState::{
        Claimed, Doubtful, Dropped, DroppedInDoubt, Failed, None, Reached, Retrying, Uncertain, Waiting,
    };
    for (byte, state, may_have_it) in [
        (0, None, false),
        (1, Waiting, false),
        (2, Retrying, false),
        (3, Uncertain, true),
        (4, Reached, true),
        (5, Failed, false),
        (6, Doubtful, true),
        (7, Claimed, true),
        (8, Dropped, false),
        (9, DroppedInDoubt, true),
    ] {
        assert_eq!((InboxState::of(byte), state as u8, state.may_have_it()), (state, byte, may_have_it));
    }
    assert_eq!(InboxState::of(10), None);
    assert_eq!(InboxState::of(255), None);
}

#[test]
fn hosts_are_compared_in_one_spelling() {
    for (address, host) in [
        ("https://PEER.example/users/a", "peer.example"),
        ("https://peer.example:443/", "peer.example"),
        ("https://peer.example:8443/", "peer.example:8443"),
        ("http://[2001:DB8::1]:81/", "[2001:db8::1]:81"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("https://user:pass@peer.example/", "peer.example"),
        ("acct:ana@peer.example", ""),
        ("", ""),
    ] {
        assert_eq!(host_of(address), host, "{address}");
    }
}

#[test]
fn ids_of_one_moment_sort_in_the_order_they_were_made() {
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(500_000);
    for entropy in [0, 1, u128::MAX, 1 << 79, (1 << 80) - 1] {
        let mut moment = crate::decide::Moment::new(now, entropy);
        let ids: Vec<Ulid> = (0..100).map(|_| moment.ulid()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{entropy}");
        assert!(ids.iter().all(|id| i64::try_from(id.timestamp_ms()).unwrap() == now.as_millisecond()));
    }
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..3u8, 0..4)
}

fn writes() -> impl Strategy<Value = Vec<(Vec<u8>, Option<u8>)>> {
    prop::collection::vec((key(), prop::option::of(any::<u8>())), 0..25)
}

fn apply(model: &mut Entries, writes: &[(Vec<u8>, Option<u8>)]) {
    for (key, value) in writes {
        let key = full_key(b'x', key);
        match value {
            Some(value) => model.insert(key, vec![*value]),
            None => model.remove(&key),
        };
    }
}

fn changes(writes: &[(Vec<u8>, Option<u8>)]) -> Changes {
    let mut changes = Changes::none();
    for (key, value) in writes {
        match value {
            Some(value) => changes.put_raw(b'x', key, vec![*value]),
            None => changes.delete_raw(b'x', key),
        }
    }
    changes
}

proptest! {
    #![proptest_config(random(400))]
    /// A draft over a draft over a store reads, entry by entry, as the store would with both applied; and applying
    /// them makes it so.
    #[test]
    fn a_draft_reads_as_if_it_were_applied(
        below in writes(), first in writes(), second in writes(),
        prefix in key(), from in key(), most in 0..30usize,
    ) {
        let mut store = MemoryView::default();
        store.apply(changes(&below));
        let mut model = Entries::new();
        for writes in [&below, &first, &second] {
            apply(&mut model, writes);
        }
        let mut lower = Draft::new(&store);
        lower.add(changes(&first));
        let mut upper = Draft::new(&lower);
        upper.add(changes(&second));

        let prefix = full_key(b'x', &prefix);
        let from = [prefix.clone(), from].concat();
        let want: Vec<(Vec<u8>, Vec<u8>)> = model
            .range(from.clone()..)
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .take(most + 1)
            .collect();
        let mut got = Vec::new();
        upper.scan_bytes(&prefix, &from, &mut |key, value| {
            got.push((key.to_vec(), value.to_vec()));
            got.len() <= most
        });
        prop_assert_eq!(got, want);
        for (key, _) in below.iter().chain(&first).chain(&second) {
            let key = full_key(b'x', key);
            prop_assert_eq!(upper.get_bytes(&key), model.get(&key).cloned());
        }

        let (second, first) = (upper.into_changes(), lower.into_changes());
        store.apply(first);
        store.apply(second);
        prop_assert_eq!(store.len(), model.len());
        let mut all = Entries::new();
        store.scan_bytes(b"", b"", &mut |key, value| {
            all.insert(key.to_vec(), value.to_vec());
            true
        });
        prop_assert_eq!(all, model);
    }

    /// In the store an attempt that is due earlier stands first, then the one of the older activity; what rests for a host
    /// stands in the order of the activities. From each key its activity can be read.
    #[test]
    fn what_is_first_in_the_store_goes_first(
        one in (0..3i64, 0..3u128, 0..2usize), other in (0..3i64, 0..3u128, 0..2usize),
    ) {
        let attempt = |(due, id, inbox): (i64, u128, usize)| {
            let inbox = ["https://peer.example/inbox", "https://peer.example/users/z/inbox"][inbox];
            let due = Timestamp::from_millisecond(1_700_000_000_000 + due * 255).unwrap();
            Attempt::personal(due, Ulid((1 << 80) + id * 257), inbox.to_owned())
        };
        let (a, b) = (attempt(one), attempt(other));
        let order = (a.due, a.outgoing, &a.inbox).cmp(&(b.due, b.outgoing, &b.inbox));
        prop_assert_eq!(a.key().cmp(&b.key()), order);
        prop_assert_eq!(activity_of_attempt(&a.key()), Some(a.outgoing));
        let order = (a.outgoing, &a.inbox).cmp(&(b.outgoing, &b.inbox));
        let (a, b) = (Resting(a), Resting(b));
        prop_assert_eq!(a.key().cmp(&b.key()), order);
        prop_assert_eq!(activity_of_resting(&a.key()), Some(a.0.outgoing));
    }
}
