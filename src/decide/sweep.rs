//! Forgetting: every record about a stranger ends some day, a bounded number at a time.

use std::time::Duration;

use jiff::Timestamp;

use super::delivered::{self, Ending, Job};
use super::{engage, followers, hosts, refusals};
use crate::model::delivery::{Outgoing, Target};
use crate::model::engagement::{Engagement, Seen};
use crate::model::follower::{DeliveryInbox, Follower, FollowerState};
use crate::model::host::{Host, Resting};
use crate::model::notices::Said;
use crate::model::post::{Post, PostState};
use crate::model::record::{decode, full_key, kind};
use crate::model::report::Report;
use crate::model::{Draft, Record, View};

/// A blocked follower can be restored for this long.
pub const PARKED_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// A follower who left is remembered as long as an older Follow could still be valid.
const LEFT_LIFE: Duration = super::seen::SIGNATURE_MEMORY;
/// Who was reached by a post is kept this long behind its stream, for a removal by the operator.
const FANOUT_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A delivery inbox without followers is kept for longer than any fan-out that went there.
const UNUSED_LIFE: Duration = Duration::from_secs(14 * 24 * 3600);
/// What is known of a server is kept this long after it last failed or answered.
const HOST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// That a like or share was told: after 36 hours none is told any more.
const SAID_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Likes and shares can be undone, and a follow is not told again, for this long. Counts outlive it.
const ENGAGED_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Entries looked at in one go: some milliseconds of the writer's time.
pub const LOOK: usize = 1000;
/// Pause between two goes: together more than all the strangers can write whose keys we would fetch.
pub const PAUSE: Duration = Duration::from_secs(1);
/// Memories of strangers that a store may hold, some hundred megabytes; beyond that nothing more is taken until some are over.
pub const MOST: u64 = 2_000_000;

/// Where a sweep stopped: full key of the next entry to look at. Empty to begin anew.
pub type Cursor = Vec<u8>;

/// Looks at up to `look` entries from `cursor` on and removes those whose time is over. Returns where to go on.
pub fn sweep(draft: &mut Draft<'_>, cursor: &Cursor, now: Timestamp, look: usize) -> Cursor {
    let mut next = None;
    let mut over = Vec::new();
    let (mut left, mut unused) = (Vec::new(), Vec::new());
    let (mut late, mut servers, mut engaged) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = 0;
    draft.view().scan_bytes(b"", cursor, &mut |key, value| {
        if seen == look {
            next = Some(key.to_vec());
            return false;
        }
        seen += 1;
        match key.first() {
            Some(&Follower::KIND) => left.extend(decode(value).and_then(|follower| long_gone(follower, now))),
            Some(&Outgoing::KIND) => {
                over.extend(decode(value).iter().flat_map(|outgoing| finished(draft, outgoing, now)));
            }
            Some(&DeliveryInbox::KIND) => {
                unused.extend(decode(value).filter(|inbox| nobody_follows(inbox, now)));
            }
            Some(&Resting::KIND) => {
                late.extend(decode(value).filter(|resting| too_late(draft, resting, now)))
            }
            Some(&Engagement::KIND) => {
                engaged.extend(decode(value).filter(|engagement| stands_for_nothing(engagement, now)));
            }
            Some(&Host::KIND) => servers.extend(decode::<Host>(value)),
            Some(kind) if is_over(*kind, value, now) => over.push(key.to_vec()),
            _ => {}
        }
        true
    });
    for key in over {
        if let Some((kind, key)) = key.split_first() {
            draft.delete_raw(*kind, key);
        }
    }
    for engagement in engaged {
        engage::discard(draft, &engagement);
    }
    for actor in left {
        followers::forget(draft, &actor, now);
    }
    for inbox in unused {
        refusals::forget(draft, &inbox);
    }
    for resting in late {
        delivered::settle(draft, &Job::resting(resting), Ending::Failed);
    }
    for host in servers {
        if older(host.changed, now, HOST_LIFE) {
            hosts::forget(draft, &host);
        } else {
            hosts::mend(draft, &host, now);
        }
    }
    next.unwrap_or_default()
}

/// How many entries from `cursor` on, and before `until` if that is not empty, are memories of strangers.
pub fn memories(view: &dyn View, cursor: &Cursor, until: &Cursor) -> u64 {
    let mut count = 0;
    view.scan_bytes(b"", cursor, &mut |key, _| {
        if !until.is_empty() && key >= until.as_slice() {
            return false;
        }
        count += u64::from(matches!(key.first(), Some(&Seen::KIND | &Said::KIND | &Engagement::KIND)));
        true
    });
    count
}

fn older(since: Timestamp, now: Timestamp, life: Duration) -> bool {
    let age = now.duration_since(since);
    age.is_positive() && age.unsigned_abs() > life
}

/// Memories of strangers that stand alone.
fn is_over(kind: u8, value: &[u8], now: Timestamp) -> bool {
    match kind {
        Seen::KIND => decode::<Seen>(value).is_some_and(|seen| seen.expires <= now),
        Said::KIND => decode::<Said>(value).is_some_and(|said| {
            older(said.at, now, if said.post.is_some() { SAID_LIFE } else { ENGAGED_LIFE })
        }),
        Report::KIND => {
            decode::<Report>(value).is_some_and(|report| older(report.at, now, super::reports::LIFE))
        }
        _ => false,
    }
}

/// True if a like, announce or reply has served its time. One that was taken back needs none; its Undo is remembered for
/// itself.
fn stands_for_nothing(done: &Engagement, now: Timestamp) -> bool {
    older(done.at, now, if done.undone { super::seen::UNDONE_MEMORY } else { ENGAGED_LIFE })
}

/// The actor of a follower record that has served its time.
fn long_gone(follower: Follower, now: Timestamp) -> Option<String> {
    let life = match follower.state {
        FollowerState::Left => LEFT_LIFE,
        FollowerState::Parked => PARKED_LIFE,
        _ => return None,
    };
    older(follower.changed, now, life).then_some(follower.person.actor)
}

/// True if what waits for a server to be well is not worth telling any more.
fn too_late(draft: &Draft<'_>, Resting(attempt): &Resting, now: Timestamp) -> bool {
    let outgoing: Option<Outgoing> = draft.view().get(&attempt.outgoing.to_bytes());
    outgoing.is_none_or(|outgoing| delivered::over(draft.view(), &outgoing, now))
}

/// True if nobody follows through an inbox, and no fan-out asks for it any more.
fn nobody_follows(inbox: &DeliveryInbox, now: Timestamp) -> bool {
    inbox.followers == 0 && older(inbox.changed, now, UNUSED_LIFE)
}

/// Keys of an outgoing activity and its chunks, if nothing will ever ask for them again.
fn finished(draft: &Draft<'_>, outgoing: &Outgoing, now: Timestamp) -> Vec<Vec<u8>> {
    let post: Option<Post> = outgoing.post.and_then(|id| draft.view().get(&id.to_bytes()));
    let needed_from = match (&outgoing.target, post) {
        // A single delivery: gone with its last attempt, at the latest when it expires.
        (Target::Inbox(_), _) | (_, None) => outgoing.expires,
        // A fan-out of a running stream is always needed.
        (_, Some(post)) if post.state == PostState::Live => return Vec::new(),
        (_, Some(post)) => super::seen::later(post.over.unwrap_or(post.published), FANOUT_LIFE),
    };
    if needed_from > now {
        return Vec::new();
    }
    let own = [kind::OUTGOING, kind::FANOUT, kind::FURTHER];
    let mut keys: Vec<Vec<u8>> = own.iter().map(|kind| full_key(*kind, &outgoing.key())).collect();
    keys.extend(
        (0..outgoing.chunks)
            .map(|chunk| full_key(kind::CHUNK, &crate::model::delivery::chunk_key(outgoing.id, chunk))),
    );
    keys
}
