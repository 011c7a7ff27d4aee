//! What an attempt to deliver changes.

use jiff::Timestamp;
use ulid::Ulid;

use super::{blocks, hosts};
use crate::model::delivery::{
    Attempt, CHUNK_SIZE, Claim, InboxState, Outgoing, Tally, Target, WHY, chunk_key, due_of_attempt,
};
use crate::model::follower::DeliveryInbox;
use crate::model::handle::host_of;
use crate::model::host::Resting;
use crate::model::record::{decode, encode, full_key, kind};
use crate::model::{Draft, Record, View};

mod anew;
mod worth;

pub use anew::Anew;
use worth::overtaken;
pub use worth::{Worth, over, owed, still_true, worth, worth_a_retry, worth_there};

/// One inbox that is to get one activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The activity.
    pub outgoing: Ulid,
    /// Where to.
    pub inbox: String,
    /// The inbox's number in the fan-out; `None` for a single delivery.
    pub number: Option<u32>,
    /// Attempts made so far.
    pub tries: u32,
    /// How many of them ended with a refused signature.
    pub unauthorised: u32,
    /// An earlier attempt may have been received.
    pub uncertain: bool,
    /// Full key of the attempt record this came from.
    pub attempt: Option<Vec<u8>>,
    /// What came of the last attempt.
    pub why: Option<Box<str>>,
    /// It was owed when it was put off.
    pub owed: bool,
}

impl Job {
    /// Whether the store must know of it before it is made: its inbox surely does not have the activity so far, and whether
    /// it has afterwards decides who gets the edits.
    pub fn to_begin(&self) -> bool {
        self.attempt.is_some() && self.number.is_some() && !self.uncertain
    }

    /// Whether it was to be done before that time, by whoever was there: a first attempt is due when its activity is made. What
    /// rests is due when its server is well.
    fn was_due_before(&self, time: Timestamp) -> bool {
        let due = match self.attempt.as_deref().and_then(<[u8]>::split_first) {
            None => return true,
            Some((&kind::ATTEMPT, key)) => due_of_attempt(key),
            Some(_) => None,
        };
        due.is_some_and(|due| due < time)
    }

    /// The job of a stored attempt.
    pub fn of(attempt: Attempt) -> Job {
        let key = full_key(Attempt::KIND, &attempt.key());
        Job::from(attempt, key)
    }

    /// The job of an attempt that was set aside.
    pub fn resting(resting: Resting) -> Job {
        let key = full_key(Resting::KIND, &resting.key());
        Job::from(resting.0, key)
    }

    fn from(attempt: Attempt, key: Vec<u8>) -> Job {
        Job {
            outgoing: attempt.outgoing,
            inbox: attempt.inbox,
            number: attempt.number,
            tries: attempt.tries,
            unauthorised: attempt.unauthorised,
            uncertain: attempt.uncertain,
            attempt: Some(key),
            why: attempt.why.map(String::into_boxed_str),
            owed: attempt.owed,
        }
    }

    /// The attempt that is made of this job, after so many attempts in all.
    fn again(&self, due: Timestamp, tries: u32, uncertain: bool) -> Attempt {
        let why = self.why.as_ref().map(|why| why.chars().take(WHY).collect());
        let (inbox, number) = (self.inbox.clone(), self.number);
        let unauthorised = self.unauthorised;
        let (outgoing, owed) = (self.outgoing, false);
        Attempt { due, outgoing, inbox, number, tries, unauthorised, uncertain, why, owed }
    }

    /// The attempt that is made of this job when it is put off, which takes nothing away from what it is owed.
    fn put_off(&self, view: &dyn View, to: Timestamp) -> Attempt {
        let outgoing: Option<Outgoing> = view.get(&self.outgoing.to_bytes());
        let owed = outgoing.is_some_and(|outgoing| outgoing.expires <= to && owed(view, &outgoing, self));
        Attempt { owed, ..self.again(to, self.tries, self.uncertain) }
    }
}

/// Why something was given up whose time was over before it was tried.
const NOT_IN_TIME: &str = "not tried in time";

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Received.
    Reached,
    /// Not received, or nobody knows: to be tried again.
    Retry {
        /// When.
        due: Timestamp,
        /// It may have been received.
        uncertain: bool,
    },
    /// Not tried: something else goes first at this inbox. No attempt is counted.
    Later {
        /// When to look again.
        due: Timestamp,
    },
    /// Not tried: its host is to be left alone. Rests until that is well; no attempt is counted.
    SetAside {
        /// When that was.
        at: Timestamp,
    },
    /// Given up.
    Failed,
    /// Given up at the operator's word, whatever becomes of the stream.
    Dropped,
    /// Not tried: its time seemed to be over. Asked once more when it is written, since a stream may have come back meanwhile.
    Expired {
        /// When that was.
        at: Timestamp,
    },
    /// Not to be sent to this inbox at all.
    Skipped,
}

/// The state of an inbox in a fan-out.
pub fn state_of(view: &dyn View, outgoing: Ulid, number: u32) -> InboxState {
    InboxState::of(byte_of(view, outgoing, number).unwrap_or(0))
}

fn byte_of(view: &dyn View, outgoing: Ulid, number: u32) -> Option<u8> {
    let chunk = view.get_bytes(&full_key(kind::CHUNK, &chunk_key(outgoing, number / CHUNK_SIZE)))?;
    chunk.get((number % CHUNK_SIZE) as usize).copied()
}

/// Whether the first pass of some fan-out has not come to the inbox of this number.
pub fn waits_somewhere(view: &dyn View, number: u32) -> bool {
    let mut waits = false;
    view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, _| {
        let id = key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok());
        waits = id.is_some_and(|id| state_of(view, Ulid::from_bytes(id), number).waits());
        !waits
    });
    waits
}

/// How many deliveries are not settled: attempts that are due at some time or rest, and inboxes that the first pass of a
/// fan-out has not come to. An inbox with an attempt has another state byte than a waiting one, so none is counted twice.
pub fn open(view: &dyn View) -> u64 {
    let (mut open, mut passes) = (0, Vec::new());
    for place in [kind::ATTEMPT, kind::RESTING] {
        view.scan_bytes(&[place], &[place], &mut |_, _| {
            open += 1;
            true
        });
    }
    view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, _| {
        passes.push(key.get(1..).unwrap_or_default().to_vec());
        true
    });
    for outgoing in passes.iter().filter_map(|key| view.get::<Outgoing>(key)) {
        for chunk in outgoing.cursor..outgoing.chunks {
            let key = full_key(kind::CHUNK, &chunk_key(outgoing.id, chunk));
            let mut tally = Tally::default();
            tally.count(&view.get_bytes(&key).unwrap_or_default());
            open += tally.waiting;
        }
    }
    open
}

/// How many inboxes of a fan-out are in which state, counted chunk by chunk.
pub fn tally(view: &dyn View, outgoing: &Outgoing) -> Tally {
    let mut tally = Tally::default();
    for chunk in 0..outgoing.chunks {
        let key = full_key(kind::CHUNK, &chunk_key(outgoing.id, chunk));
        tally.count(&view.get_bytes(&key).unwrap_or_default());
    }
    tally
}

/// True if what a job came from is gone, or was made due at another time: given up or asked for by the operator, or
/// recalled by a block, since the job was taken from the store.
fn taken_back(view: &dyn View, job: &Job) -> bool {
    match (&job.attempt, job.number) {
        (Some(key), _) => view.get_bytes(key).is_none(),
        // What the first pass took waits until this is written.
        (None, Some(number)) => {
            byte_of(view, job.outgoing, number).is_some_and(|byte| !InboxState::of(byte).waits())
        }
        (None, None) => false,
    }
}

/// Writes how the attempt of a job ended that was taken back meanwhile: nothing, but that the activity arrived, or may
/// have.
fn settle_taken_back(draft: &mut Draft<'_>, job: &Job, ending: Ending, anew: &mut Anew<'_>) {
    let state = match ending {
        Ending::Reached => InboxState::Reached,
        Ending::Retry { uncertain: true, .. } => InboxState::Doubtful,
        _ => return,
    };
    let known = job.number.map(|number| state_of(draft.view(), job.outgoing, number));
    if known == Some(InboxState::None) {
        // Whose block recalled it gets nothing more either.
        return;
    }
    let may_be_anew = match known {
        Some(known) => matches!(known, InboxState::Retrying | InboxState::Uncertain),
        None => {
            let outgoing: Option<Outgoing> = draft.view().get(&job.outgoing.to_bytes());
            outgoing.is_some_and(|outgoing| outgoing.given_up.is_none())
        }
    };
    let anew = if may_be_anew { anew.at(draft, job) } else { Vec::new() };
    for (key, attempt) in anew {
        let Some((kind, key)) = key.split_first() else { continue };
        match state {
            InboxState::Reached => draft.delete_raw(*kind, key),
            _ => draft.put_raw(*kind, key, encode(&Attempt { uncertain: true, ..attempt })),
        }
    }
    if state == InboxState::Reached && job.number.is_none() {
        end_single(draft, job, Ending::Reached, None);
    }
    if let Some(number) = job.number
        && let Some(state) = match (state, known) {
            (InboxState::Reached, _) | (_, Some(InboxState::Failed)) => Some(state),
            (_, Some(InboxState::Dropped)) => Some(InboxState::DroppedInDoubt),
            (_, Some(InboxState::Retrying)) => Some(InboxState::Uncertain),
            _ => None,
        }
    {
        mark(draft, job.outgoing, number, state);
    }
}

/// What is to be written of a job whose time seemed to be over at that moment; nothing if it is to be sent after all.
fn expired(view: &dyn View, job: &Job, at: Timestamp) -> Option<Ending> {
    let Some(outgoing) = view.get::<Outgoing>(&job.outgoing.to_bytes()) else { return Some(Ending::Failed) };
    let blocked = blocks::host_blocked(view, &host_of(&job.inbox));
    match worth(view, &outgoing, job, blocked, at) {
        Worth::Send | Worth::Behind => None,
        Worth::Skip => Some(Ending::Skipped),
        Worth::Expired if overtaken(view, &outgoing) => Some(Ending::Skipped),
        Worth::Expired => Some(Ending::Failed),
    }
}

/// Writes how an attempt ended. False if it had been taken back meanwhile, or is to be made after all.
pub fn settle(draft: &mut Draft<'_>, job: &Job, ending: Ending) -> bool {
    settle_one_of(draft, job, ending, &mut Anew::of([job]))
}

/// As [`settle`], for one of many jobs, which share what may have to be looked for.
pub fn settle_one_of(draft: &mut Draft<'_>, job: &Job, ending: Ending, anew: &mut Anew<'_>) -> bool {
    if taken_back(draft.view(), job) {
        settle_taken_back(draft, job, ending, anew);
        return false;
    }
    let (ending, why) = match ending {
        Ending::Expired { at } => (expired(draft.view(), job, at), Some(NOT_IN_TIME)),
        ending => (Some(ending), None),
    };
    let Some(ending) = ending else { return false };
    if let Some((kind, key)) = job.attempt.as_ref().and_then(|key| key.split_first()) {
        draft.delete_raw(*kind, key);
    }
    let ending = match ending {
        Ending::SetAside { at } if !hosts::keeps(draft.view(), &job.again(at, job.tries, job.uncertain)) => {
            Ending::Failed
        }
        ending => ending,
    };
    let state = match ending {
        Ending::Reached => InboxState::Reached,
        Ending::Retry { uncertain, .. } if uncertain || job.uncertain => InboxState::Uncertain,
        Ending::Later { .. } | Ending::SetAside { .. } if job.uncertain => InboxState::Uncertain,
        Ending::Retry { .. } | Ending::Later { .. } | Ending::SetAside { .. } => InboxState::Retrying,
        Ending::Failed if job.uncertain => InboxState::Doubtful,
        Ending::Failed | Ending::Expired { .. } => InboxState::Failed,
        Ending::Dropped if job.uncertain => InboxState::DroppedInDoubt,
        Ending::Dropped => InboxState::Dropped,
        Ending::Skipped => InboxState::None,
    };
    match ending {
        Ending::Retry { due, uncertain } => {
            draft.put(&job.again(due, job.tries + 1, job.uncertain || uncertain));
        }
        Ending::Later { due } => draft.put(&job.put_off(draft.view(), due)),
        Ending::SetAside { at } => hosts::set_aside(draft, job.put_off(draft.view(), at), at),
        Ending::Reached | Ending::Failed | Ending::Dropped | Ending::Expired { .. } | Ending::Skipped => {}
    }
    match job.number {
        Some(number) => mark(draft, job.outgoing, number, state),
        None => end_single(draft, job, ending, job.why.as_deref().or(why)),
    }
    true
}

/// A single delivery that is settled leaves nothing behind, but what the operator should see: that an answer to a
/// follower did not arrive.
fn end_single(draft: &mut Draft<'_>, job: &Job, ending: Ending, why: Option<&str>) {
    let outgoing: Option<Outgoing> = draft.view().get(&job.outgoing.to_bytes());
    let Some(outgoing) = outgoing.filter(|outgoing| matches!(outgoing.target, Target::Inbox(_))) else {
        return;
    };
    match (ending, why) {
        (Ending::Failed | Ending::Dropped, Some(why)) if still_true(draft.view(), &outgoing) => {
            draft.put(&Outgoing { given_up: Some(why.chars().take(WHY).collect()), ..outgoing });
        }
        (Ending::Reached | Ending::Failed | Ending::Dropped | Ending::Skipped, _) => {
            draft.delete::<Outgoing>(&job.outgoing.to_bytes());
        }
        _ => {}
    }
}

/// Writes that an attempt is about to be made again, before it is: a process that dies meanwhile cannot say whether it was,
/// so to the next one the inbox may have the activity. Settled by [`settle`], or taken back by [`not_begun`].
pub fn begin_again(draft: &mut Draft<'_>, job: &Job) {
    in_doubt(draft, job, true);
}

/// Takes back what [`begin_again`] wrote: the attempt was not made.
pub fn not_begun(draft: &mut Draft<'_>, job: &Job) {
    in_doubt(draft, job, job.uncertain);
}

fn in_doubt(draft: &mut Draft<'_>, job: &Job, uncertain: bool) {
    let Some((kind, key)) = job.attempt.as_ref().and_then(|key| key.split_first()) else { return };
    let stored = draft.view().get_bytes(&full_key(*kind, key));
    let Some(attempt) = stored.and_then(|stored| decode::<Attempt>(&stored)) else { return };
    draft.put_raw(*kind, key, encode(&Attempt { uncertain, ..attempt }));
    if let Some(number) = job.number {
        let state = if uncertain { InboxState::Uncertain } else { InboxState::Retrying };
        mark(draft, job.outgoing, number, state);
    }
}

/// Writes one state byte, and moves the cursor past chunks in which nothing waits any more.
pub(super) fn mark(draft: &mut Draft<'_>, outgoing: Ulid, number: u32, state: InboxState) {
    let key = chunk_key(outgoing, number / CHUNK_SIZE);
    let Some(mut states) = draft.view().get_bytes(&full_key(kind::CHUNK, &key)) else { return };
    if let Some(byte) = states.get_mut((number % CHUNK_SIZE) as usize) {
        *byte = state as u8;
    }
    let waits = |states: &[u8]| states.iter().any(|byte| InboxState::of(*byte).waits());
    let done = !waits(&states);
    draft.put_raw(kind::CHUNK, &key, states);
    if !done {
        return;
    }
    let Some(mut record) = draft.view().get::<Outgoing>(&outgoing.to_bytes()) else { return };
    if record.cursor >= record.chunks {
        return;
    }
    while record.cursor < record.chunks {
        let chunk = draft.view().get_bytes(&full_key(kind::CHUNK, &chunk_key(outgoing, record.cursor)));
        if chunk.is_some_and(|states| waits(&states)) {
            break;
        }
        record.cursor += 1;
    }
    if record.cursor == record.chunks {
        draft.delete_raw(kind::FANOUT, &outgoing.to_bytes());
    }
    draft.put(&record);
}

/// Writes that the inboxes of a fan-out below a number may be tried from now on, if `from` is how far it is claimed now;
/// false if not, as after a pass that is done or was opened again. A process that dies cannot say which of them were tried:
/// to the next one each may have the activity.
pub fn claim(draft: &mut Draft<'_>, outgoing: Ulid, from: Claim, below: u32) -> bool {
    let stands = claimed(draft.view(), outgoing) == Some(from);
    if stands {
        draft.put_raw(kind::FANOUT, &outgoing.to_bytes(), Claim { below, ..from }.write());
    }
    stands
}

/// How far the first pass of a fan-out is claimed; `None` if it is done.
pub fn claimed(view: &dyn View, outgoing: Ulid) -> Option<Claim> {
    view.get_bytes(&full_key(kind::FANOUT, &outgoing.to_bytes())).map(|value| Claim::read(&value))
}

/// Up to `most` waiting inboxes of a fan-out from a position on that are `wanted` now; and where to go on, which is the
/// first that was not taken. `None` when there is nothing behind.
pub fn waiting(
    view: &dyn View,
    outgoing: Ulid,
    from: u32,
    most: usize,
    wanted: &mut dyn FnMut(&DeliveryInbox) -> bool,
) -> (Vec<(u32, InboxState, DeliveryInbox)>, Option<u32>) {
    let Some(record) = view.get::<Outgoing>(&outgoing.to_bytes()) else { return (Vec::new(), None) };
    let mut found = Vec::new();
    let mut passed_by = None;
    let mut number = from.max(record.cursor * CHUNK_SIZE);
    while number / CHUNK_SIZE < record.chunks {
        let chunk = number / CHUNK_SIZE;
        let states = view.get_bytes(&full_key(kind::CHUNK, &chunk_key(outgoing, chunk))).unwrap_or_default();
        for (index, &byte) in states.iter().enumerate().skip((number % CHUNK_SIZE) as usize) {
            if !InboxState::of(byte).waits() {
                continue;
            }
            let this = chunk * CHUNK_SIZE + u32::try_from(index).unwrap_or(0);
            if found.len() == most {
                return (found, passed_by.or(Some(this)));
            }
            match view.get(&this.to_be_bytes()) {
                Some(inbox) if wanted(&inbox) => found.push((this, InboxState::of(byte), inbox)),
                Some(_) => passed_by = passed_by.or(Some(this)),
                None => {}
            }
        }
        number = (chunk + 1) * CHUNK_SIZE;
    }
    (found, passed_by)
}
