//! Blocks: by whole labels of a domain or by actor, in both directions.

use jiff::Timestamp;

use super::{delivered, followers, hosts};
use crate::model::block::{Block, BlockOwner, BlockTarget, actor_key, domain_key};
use crate::model::delivery::{Attempt, InboxState, Outgoing, Target};
use crate::model::follower::{Follower, FollowerState, InboxNumber};
use crate::model::handle::host_of;
use crate::model::record::full_key;
use crate::model::{Draft, Record, View};

/// Why something cannot be blocked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockProblem {
    /// One label would shut out a whole top-level domain.
    #[error(
        "{0:?} is a single label and would block everything below it; give a whole domain such as peer.example"
    )]
    SingleLabel(String),
    /// Neither a domain nor an actor id.
    #[error("{0:?} is neither a domain (peer.example) nor an actor id (https://peer.example/users/ana)")]
    Unreadable(String),
}

/// Reads what an operator or Owncast names: a domain, or an actor by its id.
pub fn parse(text: &str) -> Result<BlockTarget, BlockProblem> {
    let text = text.trim();
    let unreadable = || BlockProblem::Unreadable(text.to_owned());
    if text.starts_with("https://") || text.starts_with("http://") {
        // Actors are compared by their address in its one normal form.
        let mut url = url::Url::parse(text).map_err(|_| unreadable())?;
        url.set_fragment(None);
        if url.host().is_none() || matches!(url.path(), "" | "/") {
            return Err(unreadable());
        }
        return Ok(BlockTarget::Actor(url.to_string()));
    }
    let bare = text.trim_start_matches("*.").trim_start_matches('@').trim_end_matches('.');
    match url::Host::parse(bare).map_err(|_| unreadable())? {
        url::Host::Domain(domain) if domain.is_empty() || domain.contains(['/', ' ']) => Err(unreadable()),
        url::Host::Domain(domain) if !domain.contains('.') => Err(BlockProblem::SingleLabel(domain)),
        url::Host::Domain(domain) if domain.split('.').any(str::is_empty) => Err(unreadable()),
        // `1` and `0x7f.1` are addresses to a URL, and nothing an operator means.
        url::Host::Ipv4(address) if address.to_string() != bare => Err(unreadable()),
        host => Ok(BlockTarget::Domain(host.to_string())),
    }
}

/// The domain itself and every domain it lies below, the longest first. An IP address only itself.
fn covering(host: &str) -> Vec<&str> {
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    // A dot at the end names the same machine.
    let host = host.trim_end_matches('.');
    if host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[') {
        return vec![host];
    }
    let mut rest = Some(host);
    std::iter::from_fn(|| {
        let this = rest?;
        rest = this.split_once('.').map(|(_, parent)| parent);
        Some(this)
    })
    .collect()
}

/// True if a block of this target would shut this actor out.
pub fn covers(target: &BlockTarget, actor: &str) -> bool {
    match target {
        BlockTarget::Domain(domain) => covering(&host_of(actor)).contains(&domain.as_str()),
        BlockTarget::Actor(blocked) => blocked == actor,
    }
}

fn standing(view: &dyn View, key: impl Fn(BlockOwner) -> Vec<u8>) -> bool {
    [BlockOwner::Owncast, BlockOwner::Operator]
        .into_iter()
        .any(|owner| view.get_bytes(&full_key(Block::KIND, &key(owner))).is_some())
}

/// True if nobody at all is blocked.
pub fn none(view: &dyn View) -> bool {
    let mut none = true;
    view.scan_bytes(&[Block::KIND], &[Block::KIND], &mut |_, _| {
        none = false;
        false
    });
    none
}

/// True if this host, or a domain it lies below, is blocked.
pub fn host_blocked(view: &dyn View, host: &str) -> bool {
    covering(host).into_iter().any(|domain| standing(view, |owner| domain_key(domain, owner)))
}

/// True if this actor or its host is blocked. Also the one question asked before anything is sent to an inbox.
pub fn actor_blocked(view: &dyn View, actor: &str) -> bool {
    actor_of_host_blocked(view, actor, &host_of(actor))
}

/// [`actor_blocked`] where the actor's host is known already.
pub fn actor_of_host_blocked(view: &dyn View, actor: &str, host: &str) -> bool {
    standing(view, |owner| actor_key(actor, owner)) || host_blocked(view, host)
}

/// Adds a block and parks the followers it covers. Returns how many were parked, or `None` if it stood already.
pub fn add(draft: &mut Draft<'_>, target: BlockTarget, owner: BlockOwner, now: Timestamp) -> Option<usize> {
    if draft.view().get_bytes(&full_key(Block::KIND, &target.key(owner))).is_some() {
        return None;
    }
    // What is on its way to a blocked host is stopped at the last look before sending; an actor's own inbox is not
    // told by its address.
    let single = matches!(target, BlockTarget::Actor(_));
    draft.put(&Block { target, owner, since: now });
    let covered = in_state(draft.view(), |follower| {
        matches!(follower.state, FollowerState::Approved | FollowerState::Pending)
            && actor_blocked(draft.view(), &follower.person.actor)
    });
    for actor in &covered {
        followers::change_state(draft, actor, FollowerState::Parked, now);
        if single && let Some(follower) = draft.view().get::<Follower>(actor.as_bytes()) {
            recall(draft, &follower.person.inbox);
        }
    }
    Some(covered.len())
}

/// Lifts a block and restores whom no other block covers. Returns how many, or `None` if it did not stand.
pub fn remove(
    draft: &mut Draft<'_>,
    target: &BlockTarget,
    owner: BlockOwner,
    now: Timestamp,
) -> Option<usize> {
    let key = target.key(owner);
    draft.view().get_bytes(&full_key(Block::KIND, &key))?;
    draft.delete::<Block>(&key);
    let free = in_state(draft.view(), |follower| {
        follower.state == FollowerState::Parked && !actor_blocked(draft.view(), &follower.person.actor)
    });
    for actor in &free {
        let before = draft.view().get::<Follower>(actor.as_bytes()).and_then(|follower| follower.parked_from);
        followers::change_state(draft, actor, before.unwrap_or(FollowerState::Pending), now);
    }
    Some(free.len())
}

/// Forgets the parked followers this block covers, at the operator's word. Those parked by other blocks alone stay.
/// Returns how many.
pub fn purge(draft: &mut Draft<'_>, target: &BlockTarget, now: Timestamp) -> usize {
    let parked = in_state(draft.view(), |follower| {
        follower.state == FollowerState::Parked && covers(target, &follower.person.actor)
    });
    for actor in &parked {
        followers::forget(draft, actor, now);
    }
    parked.len()
}

/// Takes back everything that is on its way to an inbox of one person, and leaves it out of every edit to come.
fn recall(draft: &mut Draft<'_>, inbox: &str) {
    let (mut attempts, mut fan_outs) = (Vec::new(), Vec::new());
    draft.view().scan::<Attempt>(b"", &mut |attempt| {
        if attempt.inbox == inbox {
            attempts.push(attempt);
        }
        true
    });
    for attempt in &attempts {
        draft.delete::<Attempt>(&attempt.key());
    }
    attempts.extend(hosts::recall(draft, inbox));
    for attempt in attempts {
        let outgoing = draft.view().get::<Outgoing>(&attempt.outgoing.to_bytes());
        if outgoing.is_some_and(|outgoing| matches!(outgoing.target, Target::Inbox(_))) {
            draft.delete::<Outgoing>(&attempt.outgoing.to_bytes());
        }
    }
    let Some(known) = draft.view().get::<InboxNumber>(inbox.as_bytes()) else { return };
    draft.view().scan::<Outgoing>(b"", &mut |outgoing| {
        fan_outs.push(outgoing.id);
        true
    });
    for outgoing in fan_outs {
        if delivered::state_of(draft.view(), outgoing, known.number) != InboxState::None {
            delivered::mark(draft, outgoing, known.number, InboxState::None);
        }
    }
}

/// Makes Owncast's entries here equal to Owncast's list. Returns the entries that cannot be used.
pub fn follow_owncast(draft: &mut Draft<'_>, listed: &[String], now: Timestamp) -> Vec<BlockProblem> {
    let mut problems = Vec::new();
    let mut wanted = Vec::new();
    for entry in listed.iter().filter(|entry| !entry.trim().is_empty()) {
        match parse(entry) {
            Ok(target) => wanted.push(target),
            Err(problem) => problems.push(problem),
        }
    }
    let have: Vec<Block> = draft.view().all(b"");
    for gone in have.iter().filter(|b| b.owner == BlockOwner::Owncast && !wanted.contains(&b.target)) {
        remove(draft, &gone.target, BlockOwner::Owncast, now);
    }
    for target in wanted {
        add(draft, target, BlockOwner::Owncast, now);
    }
    problems
}

fn in_state(view: &dyn View, matches: impl Fn(&Follower) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    view.scan::<Follower>(b"", &mut |follower| {
        if matches(&follower) {
            found.push(follower.person.actor);
        }
        true
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::follower::FollowerCounts;
    use crate::model::handle::Person;
    use crate::model::view::MemoryView;

    fn follower(actor: &str) -> Follower {
        let person = Person {
            actor: actor.to_owned(),
            inbox: format!("{actor}/inbox"),
            shared_inbox: None,
            handle: format!("ana@{}", host_of(actor)),
            name: None,
            icon: None,
            url: None,
        };
        let now = Timestamp::UNIX_EPOCH;
        let state = FollowerState::Approved;
        Follower {
            person,
            state,
            parked_from: None,
            moved_to: None,
            follow_id: None,
            spelt: None,
            answer: None,
            since: now,
            stamp: now,
            changed: now,
            given: None,
        }
    }

    #[test]
    fn whole_labels_and_whole_ids_are_covered() {
        let domain = BlockTarget::Domain("peer.example".to_owned());
        for (actor, covered) in [
            ("https://peer.example/u/a", true),
            ("https://x.peer.example:8443/u/a", true),
            ("https://badpeer.example/u/a", false),
            ("https://peer.example.org/u/a", false),
        ] {
            assert_eq!(covers(&domain, actor), covered, "{actor}");
        }
        let one = BlockTarget::Actor("https://peer.example/u/a".to_owned());
        assert!(covers(&one, "https://peer.example/u/a") && !covers(&one, "https://peer.example/u/ab"));
    }

    #[test]
    fn purge_forgets_only_whom_its_own_block_covers() {
        let mut store = MemoryView::default();
        let mut draft = Draft::new(&store);
        let now = Timestamp::UNIX_EPOCH;
        let all = ["https://a.example/u/1", "https://x.a.example/u/2", "https://b.example/u/3"];
        for actor in all {
            followers::settle(&mut draft, &follower(actor));
        }
        let (a, b) = (parse("a.example").unwrap(), parse("b.example").unwrap());
        assert_eq!(add(&mut draft, a.clone(), BlockOwner::Operator, now), Some(2));
        assert_eq!(add(&mut draft, b.clone(), BlockOwner::Owncast, now), Some(1));
        assert_eq!(purge(&mut draft, &a, now), 2);
        let changes = draft.into_changes();
        store.apply(changes);
        let view: &dyn View = &store;
        let counts: FollowerCounts = view.meta();
        assert_eq!((counts.approved, counts.parked), (0, 1));
        assert!(view.get::<Follower>(all[0].as_bytes()).is_none());
        let mut draft = Draft::new(&store);
        assert_eq!(remove(&mut draft, &b, BlockOwner::Owncast, now), Some(1));
        assert_eq!(draft.view().meta::<FollowerCounts>().approved, 1);
    }
}
