//! Pure: what is in memory for all servers of one owner. Names below one's own cost nothing, so whoever has thousands of servers
//! that answer late must not take every place.

use std::collections::HashMap;

/// Jobs of one owner held in memory at most, of some thousands in all: twice what may be under way. So many owners as fill the
/// slow lane hold half of the window.
pub(super) const OWNER_SHARE: usize = 256;
/// Requests to one owner's servers at once. Those that take long have a lane of their own.
const UNDER_WAY: usize = 128;

/// The jobs in memory by owner.
#[derive(Debug, Default)]
pub(super) struct Owners(HashMap<String, Owner>);

#[derive(Debug, Default)]
struct Owner {
    /// In memory, until their outcomes are on disk.
    held: usize,
    /// Of those, how many are under way.
    under_way: usize,
}

impl Owners {
    /// Jobs of an owner in memory.
    pub(super) fn held(&self, owner: &str) -> usize {
        self.0.get(owner).map_or(0, |owner| owner.held)
    }

    /// A job came into memory.
    pub(super) fn takes(&mut self, owner: &str) {
        self.0.entry(owner.to_owned()).or_default().held += 1;
    }

    /// One is out of it, which is not under way.
    pub(super) fn lets_go(&mut self, owner: &str) {
        let Some(known) = self.0.get_mut(owner) else { return };
        known.held = known.held.saturating_sub(1);
        if known.held == 0 {
            self.0.remove(owner);
        }
    }

    /// Whether one more may be under way.
    pub(super) fn has_place(&self, owner: &str) -> bool {
        self.0.get(owner).is_none_or(|owner| owner.under_way < UNDER_WAY)
    }

    /// One that is in memory is under way.
    pub(super) fn begins(&mut self, owner: &str) {
        if let Some(owner) = self.0.get_mut(owner) {
            owner.under_way += 1;
        }
    }

    /// It is no more.
    pub(super) fn ends(&mut self, owner: &str) {
        if let Some(owner) = self.0.get_mut(owner) {
            owner.under_way = owner.under_way.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_and_nothing_is_kept() {
        let mut owners = Owners::default();
        for _ in 0..=UNDER_WAY {
            owners.takes("peer.example");
        }
        for _ in 0..UNDER_WAY {
            assert!(owners.has_place("peer.example"));
            owners.begins("peer.example");
        }
        assert!(!owners.has_place("peer.example") && owners.has_place("other.example"));
        owners.ends("peer.example");
        assert!(owners.has_place("peer.example"));
        assert_eq!((owners.held("peer.example"), owners.held("other.example")), (UNDER_WAY + 1, 0));
        for _ in 0..=UNDER_WAY {
            owners.lets_go("peer.example");
        }
        assert!(owners.0.is_empty());
    }
}
