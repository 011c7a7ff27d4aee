//! Pure: what the store holds that is to be sent now.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use ulid::Ulid;

use crate::decide::delivered::{self, Job};
use crate::model::View;
use crate::model::delivery::Attempt;
use crate::model::follower::DeliveryInbox;
use crate::model::handle::host_of;
use crate::model::record::kind;

/// Jobs of one host held in memory at most: thousands of inboxes on a host that never answers must not fill the window
/// and keep everybody else waiting.
pub(super) const HOST_SHARE: usize = 64;

/// How much of the window each host may still take.
pub(super) struct Shares {
    held: HashMap<String, usize>,
}

impl Shares {
    /// Begins with what each host holds already.
    pub(super) fn new(held: HashMap<String, usize>) -> Self {
        Shares { held }
    }

    /// Takes one place for the host of an inbox, if it has one left.
    fn take(&mut self, inbox: &str) -> bool {
        let held = self.held.entry(host_of(inbox)).or_default();
        let free = *held < HOST_SHARE;
        *held += usize::from(free);
        free
    }
}

/// The first pass of a fan-out.
pub(super) struct Pass {
    /// Number of the inbox where reading goes on; `None` when all are read.
    pub(super) next: Option<u32>,
    /// An earlier process may have tried the inboxes below this number, and died before it could say so.
    pub(super) inherited: u32,
    /// This process may try the inboxes below this number.
    pub(super) claimed: u32,
}

/// Attempts that are due, oldest first; and when the next one is that is not.
pub(super) fn due(
    view: &dyn View,
    held: &HashSet<(Ulid, String)>,
    shares: &mut Shares,
    now: Timestamp,
    room: usize,
) -> (Vec<Job>, Option<Timestamp>) {
    let (mut jobs, mut next) = (Vec::new(), None);
    view.scan::<Attempt>(b"", &mut |attempt| {
        if attempt.due > now {
            next = Some(attempt.due);
            return false;
        }
        if !held.contains(&(attempt.outgoing, attempt.inbox.clone())) && shares.take(&attempt.inbox) {
            jobs.push(Job::of(attempt));
        }
        jobs.len() < room
    });
    (jobs, next)
}

/// Waiting inboxes of the fan-outs whose first pass is not done, oldest activity first.
pub(super) fn first_passes(
    view: &dyn View,
    held: &HashSet<(Ulid, String)>,
    shares: &mut Shares,
    passes: &mut HashMap<Ulid, Pass>,
    room: usize,
    jobs: &mut Vec<Job>,
) {
    let mut open = BTreeMap::new();
    view.scan_bytes(&[kind::FANOUT], &[kind::FANOUT], &mut |key, value| {
        let id = key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok());
        open.extend(id.map(|id| (Ulid::from_bytes(id), delivered::claimed(value))));
        true
    });
    passes.retain(|id, _| open.contains_key(id));
    for (id, claimed) in open {
        let pass = passes.entry(id).or_insert(Pass { next: Some(0), inherited: claimed, claimed });
        if claimed < pass.claimed {
            // Opened again: a stream that came back. What is under way is held, and not read again; the others waited or
            // were given up, so none of them has it.
            *pass = Pass { next: Some(0), inherited: 0, claimed };
        }
        let Some(from) = pass.next else { continue };
        let room = room.saturating_sub(jobs.len());
        if room == 0 {
            return;
        }
        let mut wanted =
            |inbox: &DeliveryInbox| !held.contains(&(id, inbox.url.clone())) && shares.take(&inbox.url);
        let (found, next) = delivered::waiting(view, id, from, room, &mut wanted);
        pass.next = next;
        let inherited = pass.inherited;
        jobs.extend(found.into_iter().map(|(number, inbox)| Job {
            outgoing: id,
            inbox: inbox.url,
            number: Some(number),
            tries: 0,
            uncertain: number < inherited,
            attempt: None,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Draft;
    use crate::model::view::MemoryView;

    fn attempt(number: u32, inbox: String) -> Attempt {
        let (due, outgoing) = (Timestamp::UNIX_EPOCH, Ulid(u128::from(number)));
        Attempt { due, outgoing, inbox, number: None, tries: 1, uncertain: false }
    }

    #[test]
    fn one_host_takes_no_more_than_its_share_of_the_window() {
        let mut view = MemoryView::default();
        let mut draft = Draft::new(&view);
        for number in 0..5000 {
            draft.put(&attempt(number, format!("https://slow.example/{number}/inbox")));
        }
        draft.put(&attempt(9000, "https://quick.example/inbox".into()));
        let changes = draft.into_changes();
        view.apply(changes);
        let mut shares = Shares::new(HashMap::from([("slow.example".to_owned(), 4)]));
        let (jobs, _) = due(&view, &HashSet::new(), &mut shares, Timestamp::UNIX_EPOCH, 1000);
        let slow = jobs.iter().filter(|job| job.inbox.contains("slow")).count();
        assert_eq!((slow, jobs.len()), (HOST_SHARE - 4, HOST_SHARE - 3));
    }
}
