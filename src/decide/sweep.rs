//! Forgetting: every record about a stranger ends some day, a bounded number at a time.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ulid::Ulid;

use super::delivered::{self, Ending, Job};
use super::shares::{Shares, Tally, weight};
use super::{engage, follow, followers, hosts, refusals, schedule, schemes, waiting};
use crate::decide::seen::later;
use crate::model::delivery::{Attempt, Outgoing, OutgoingKind, Target, activity_of_attempt};
use crate::model::engagement::{Engagement, Seen};
use crate::model::follower::{DeliveryInbox, Follower, FollowerState, Newcomers};
use crate::model::host::{Host, Resting, Rfc9421Only, activity_of_resting};
use crate::model::notices::{Said, Waiting};
use crate::model::owner::owner_of;
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
/// What is still true is kept for this long behind its time while somebody is to get it, or to be shown that it did not arrive.
const LATE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

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
/// The same, when there is little room.
pub const LOOK_OF_MANY: usize = 5 * LOOK;
/// Pause between two goes: together more than all the strangers can write whose keys we would fetch.
pub const PAUSE: Duration = Duration::from_secs(1);
/// Memories of strangers that a store may hold, each of a kibibyte at most, as larger ones count for several; of a kibibyte
/// and a half where an inbox is far longer than its actor. That is some two gigabytes in all, and three at worst. Beyond that
/// nothing more is taken until some are over.
pub const MOST: u64 = 2_000_000;
/// Who did something with a post takes about so many bytes among all who did, beside who that is and their inbox.
const LISTED: usize = 100;
/// Where a sweep stopped: full key of the next entry to look at. Empty to begin anew.
pub type Cursor = Vec<u8>;

/// What came of a look.
#[derive(Debug, Default)]
pub struct Swept {
    /// Where to go on.
    pub next: Cursor,
    /// The memories of strangers that are left of what was looked at.
    pub left: Tally,
}

/// How far the sweep has come that goes on for ever, and what it has found.
#[derive(Debug)]
pub struct Round {
    most: u64,
    cursor: Cursor,
    held: Tally,
    shares: Arc<Shares>,
    many: bool,
    full: bool,
}

impl Round {
    /// From the beginning of a store that may hold `most` memories of strangers. From three quarters of that on, and from
    /// an eighth of it for one owner, theirs make way who have left most.
    pub fn new(most: u64) -> Self {
        Round {
            most,
            cursor: Cursor::new(),
            held: Tally::default(),
            shares: Arc::default(),
            many: false,
            full: false,
        }
    }

    /// Where to go on.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Entries to look at next.
    pub fn look(&self) -> usize {
        if self.presses() { LOOK_OF_MANY } else { LOOK }
    }

    /// Who has left too much.
    pub fn shares(&self) -> &Arc<Shares> {
        &self.shares
    }

    /// Whether nothing more is to be taken of anybody.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether everything was looked at and nothing presses: there is time to rest.
    pub fn may_rest(&self) -> bool {
        self.cursor.is_empty() && !self.presses()
    }

    /// Somebody is sent away until there is room.
    fn presses(&self) -> bool {
        self.many || !self.shares.is_empty()
    }

    /// Takes in what came of a look.
    pub fn looked(&mut self, swept: Swept) {
        self.held.add(swept.left);
        self.cursor = swept.next;
        let ended = self.cursor.is_empty();
        if ended || self.held.all() > self.most {
            let many = self.most / 4 * 3;
            self.full = self.held.all() > self.most;
            self.many = self.held.all() > many;
            self.shares = Arc::new(self.held.shares(many, self.most / 8));
        }
        if ended {
            self.held = Tally::default();
        }
    }
}

/// Looks at up to `look` entries from `cursor` on and removes those whose time is over, and of those who have left more
/// than their share, what makes way.
pub fn sweep(draft: &mut Draft<'_>, cursor: &Cursor, now: Timestamp, look: usize, shares: &Shares) -> Swept {
    let (mut next, mut kept) = (None, Tally::default());
    let mut over = Vec::new();
    let (mut left, mut unused, mut untold) = (Vec::new(), Vec::new(), Vec::new());
    let (mut late, mut servers, mut engaged) = (Vec::new(), Vec::new(), Vec::new());
    let (mut ahead, unsettled) = (Vec::new(), OnceCell::new());
    let mut seen = 0;
    draft.view().scan_bytes(b"", cursor, &mut |key, value| {
        if seen == look {
            next = Some(key.to_vec());
            return false;
        }
        seen += 1;
        // True if a memory of this owner stays that takes so many bytes.
        let mut stays = |owner: &str, bytes: usize| {
            let stays = !shares.makes_way(owner, key, now.as_second());
            if stays {
                kept.count(owner, weight(bytes));
            }
            stays
        };
        let bytes = key.len() + value.len();
        match key.first() {
            Some(&Follower::KIND) => {
                left.extend(decode::<Follower>(value).and_then(|follower| {
                    let goes = long_gone(&follower, now)
                        || is_memory(&follower) && !stays(&owner_of(&follower.person.actor), bytes);
                    goes.then_some(follower.person.actor)
                }));
            }
            Some(&Outgoing::KIND) => {
                over.extend(
                    decode(value).iter().flat_map(|outgoing| finished(draft, outgoing, now, &unsettled)),
                );
            }
            Some(&DeliveryInbox::KIND) => {
                unused.extend(decode(value).filter(|inbox| nobody_follows(inbox, now)));
            }
            Some(&Attempt::KIND) => {
                ahead.extend(decode(value).filter(|attempt| too_far_ahead(draft, attempt, now)));
            }
            Some(&Resting::KIND) => {
                late.extend(decode(value).filter(|resting| too_late(draft, resting, now)))
            }
            Some(&Engagement::KIND) => {
                engaged.extend(decode(value).filter(|engagement: &Engagement| {
                    // An inbox is about as long as its actor. Were each taken for the longest that is kept, many a share
                    // would count for two.
                    let listed = engagement.listed.map_or(0, |_| LISTED + 2 * engagement.actor.len());
                    stands_for_nothing(engagement, now)
                        || !stays(&owner_of(&engagement.actor), bytes + listed)
                }));
            }
            Some(&Waiting::KIND) => {
                let notices = decode::<Waiting>(value).map(|waiting| waiting.notices).unwrap_or_default();
                let makes_way = notices.iter().filter(|one| !stays(&owner_of(&one.actor), one.bytes()));
                untold.extend(makes_way.map(|notice| notice.id));
            }
            Some(&Host::KIND) => servers.extend(decode::<Host>(value)),
            Some(kind) if is_over(*kind, value, now) => over.push(key.to_vec()),
            Some(_) => {
                over.extend(whose(key).filter(|owner| !stays(owner, bytes)).map(|_| key.to_vec()));
            }
            None => {}
        }
        true
    });
    for key in over {
        if let Some((kind, key)) = key.split_first() {
            draft.delete_raw(*kind, key);
        }
    }
    for engagement in engaged {
        // The count outlives a year, but not what makes way: it would only ever grow.
        if !stands_for_nothing(&engagement, now) {
            engage::uncount(draft, &engagement);
        }
        engage::discard(draft, &engagement);
    }
    waiting::take(draft, untold);
    for actor in left {
        followers::forget(draft, &actor, now);
    }
    for inbox in unused {
        // What waits for it is given up first, by whoever comes to it.
        if !delivered::waits_somewhere(draft.view(), inbox.number) {
            refusals::forget(draft, &inbox);
        }
    }
    for attempt in ahead {
        draft.delete::<Attempt>(&attempt.key());
        draft.put(&Attempt { due: now, ..attempt });
    }
    for resting in late {
        delivered::settle(draft, &Job::resting(resting), Ending::Expired { at: now });
    }
    for host in servers {
        if older(host.changed, now, HOST_LIFE) {
            hosts::forget(draft, &host);
        } else {
            hosts::mend(draft, &host, now);
        }
    }
    Swept { next: next.unwrap_or_default(), left: kept }
}

/// Whose memory this is, if it is one that stands alone.
fn whose(key: &[u8]) -> Option<String> {
    let (kind, key) = key.split_first()?;
    match *kind {
        Seen::KIND => Some(super::seen::owner(std::str::from_utf8(key).ok()?)),
        Said::KIND => Said::owner_in(key).map(str::to_owned),
        _ => None,
    }
}

/// Whether a follower is only remembered, or asks: who really follows makes way for nobody.
fn is_memory(follower: &Follower) -> bool {
    matches!(follower.state, FollowerState::Left | FollowerState::Pending)
}

fn older(since: Timestamp, now: Timestamp, life: Duration) -> bool {
    let age = now.duration_since(since);
    age.is_positive() && age.unsigned_abs() > life
}

/// What stands alone, and its time is over.
fn is_over(kind: u8, value: &[u8], now: Timestamp) -> bool {
    match kind {
        Seen::KIND => decode::<Seen>(value).is_some_and(|seen| seen.expires <= now),
        Said::KIND => decode::<Said>(value).is_some_and(|said| older(said.at, now, told_life(said.post))),
        Rfc9421Only::KIND => {
            decode::<Rfc9421Only>(value).is_some_and(|known| !schemes::holds(known.until, now))
        }
        Report::KIND => {
            decode::<Report>(value).is_some_and(|report| older(report.at, now, super::reports::LIFE))
        }
        Newcomers::KIND => {
            decode::<Newcomers>(value).is_some_and(|newcomers| older(newcomers.since, now, follow::DAY))
        }
        _ => false,
    }
}

/// True if a like, announce or reply has served its time. One that was taken back only says that it was told, if it was; its
/// Undo is remembered for itself.
fn stands_for_nothing(done: &Engagement, now: Timestamp) -> bool {
    let life = match (done.undone, done.told) {
        (false, _) => ENGAGED_LIFE,
        (true, Some(_)) => told_life(done.post),
        (true, None) => super::seen::UNDONE_MEMORY,
    };
    older(done.at, now, life)
}

/// How long it is remembered that chat was told something about a post, or about the actor itself.
fn told_life(post: Option<Ulid>) -> Duration {
    if post.is_some() { SAID_LIFE } else { ENGAGED_LIFE }
}

/// True if a follower record has served its time.
fn long_gone(follower: &Follower, now: Timestamp) -> bool {
    let life = match follower.state {
        FollowerState::Left => LEFT_LIFE,
        FollowerState::Parked => PARKED_LIFE,
        _ => return false,
    };
    older(follower.changed, now, life)
}

/// True if what waits for a server to be well is not worth telling any more.
fn too_late(draft: &Draft<'_>, resting: &Resting, now: Timestamp) -> bool {
    let view = draft.view();
    let outgoing: Option<Outgoing> = view.get(&resting.0.outgoing.to_bytes());
    outgoing.is_none_or(|outgoing| {
        delivered::over(view, &outgoing, now)
            && !delivered::owed(view, &outgoing, &Job::resting(resting.clone()))
    })
}

/// True if an attempt was made due by a clock that was ahead: it would wait until that time.
fn too_far_ahead(draft: &Draft<'_>, attempt: &Attempt, now: Timestamp) -> bool {
    // Nearly none is, and they are not worth a look at what they are of.
    let kind = || draft.view().get::<Outgoing>(&attempt.outgoing.to_bytes()).map(|outgoing| outgoing.kind);
    let most = |kind| schedule::furthest(kind, attempt.tries);
    attempt.due > later(now, most(OutgoingKind::Create))
        && attempt.due > later(now, most(kind().unwrap_or(OutgoingKind::Create)))
}

/// True if nobody has followed through an inbox for so long that no fan-out asks for it.
fn nobody_follows(inbox: &DeliveryInbox, now: Timestamp) -> bool {
    inbox.followers == 0 && older(inbox.changed, now, UNUSED_LIFE)
}

/// Keys of an outgoing activity and its chunks, if nothing will ever ask for them again.
fn finished(
    draft: &Draft<'_>,
    outgoing: &Outgoing,
    now: Timestamp,
    unsettled: &OnceCell<BTreeSet<Ulid>>,
) -> Vec<Vec<u8>> {
    let post: Option<Post> = outgoing.post.and_then(|id| draft.view().get(&id.to_bytes()));
    let needed_until = match &post {
        // A fan-out of a running stream is always needed.
        Some(post) if post.state == PostState::Live => return Vec::new(),
        Some(post) => later(post.over.unwrap_or(post.published), FANOUT_LIFE),
        None => outgoing.expires,
    };
    let may_be_late = || later(needed_until, LATE_LIFE) > now;
    if needed_until > now || may_be_late() && is_to_be_told(draft.view(), outgoing, post.as_ref(), unsettled)
    {
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

/// Whether what an activity says is still to be told, or to be shown not to have been. A Create says who is to get what was
/// made of its post last.
fn is_to_be_told(
    view: &dyn View,
    outgoing: &Outgoing,
    post: Option<&Post>,
    unsettled: &OnceCell<BTreeSet<Ulid>>,
) -> bool {
    if matches!(outgoing.target, Target::Inbox(_)) {
        return delivered::still_true(view, outgoing);
    }
    let newest = match post {
        Some(post) if outgoing.id == post.create => post.last.and_then(|last| view.get(&last.to_bytes())),
        _ => Some(outgoing.clone()),
    };
    newest.is_some_and(|newest| {
        delivered::still_true(view, &newest)
            && unsettled.get_or_init(|| unsettled_in(view)).contains(&newest.id)
    })
}

/// Activities of which something is to be sent still: their first pass is open, not all who liked a post have theirs queued, or
/// an attempt is due some time or rests.
fn unsettled_in(view: &dyn View) -> BTreeSet<Ulid> {
    let mut unsettled = BTreeSet::new();
    for place in [kind::FANOUT, kind::FURTHER, kind::ATTEMPT, kind::RESTING] {
        view.scan_bytes(&[place], &[place], &mut |key, _| {
            let key = key.get(1..).unwrap_or_default();
            unsettled.extend(match place {
                kind::ATTEMPT => activity_of_attempt(key),
                kind::RESTING => activity_of_resting(key),
                _ => <[u8; 16]>::try_from(key).ok().map(Ulid::from_bytes),
            });
            true
        });
    }
    unsettled
}
