//! Who has proved something: what strangers spend is not taken from those whose signatures were good.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::budget::{Budget, Turn};
use super::{Budgets, FetchError};
use crate::bounded::Bounded;
use crate::model::Source;
use crate::model::owner::owner_of_host;

/// Owners remembered.
const OWNERS: usize = 4096;
/// Clients with a host remembered of each: a large server sends from several addresses.
const CLIENTS: usize = 32;

/// Turns to fetch, for strangers and for clients that have proved signatures of the host that is asked: a server that sends a
/// hundred activities of people whom we do not know yet is none that invents them.
pub(super) struct Turns {
    strangers: Budget,
    proven: Budget,
    /// By owner, so that names below one's own do not make us forget everybody else.
    standing: Mutex<Bounded<String, VecDeque<(Source, String)>>>,
}

impl Turns {
    pub(super) fn new(strangers: Budgets) -> Self {
        Turns {
            strangers: Budget::new(strangers),
            proven: Budget::new(Budgets::of_proven()),
            standing: Mutex::new(Bounded::new(OWNERS)),
        }
    }

    /// Waits for a turn to fetch from `host`, which `source` causes if somebody outside does. Who has proved something has what
    /// strangers have as well.
    pub(super) async fn turn(
        &self,
        host: &str,
        source: Option<Source>,
        now: Timestamp,
    ) -> Result<Turn, FetchError> {
        if self.is_proven(host, source)
            && let Ok(turn) = self.proven.turn(host, source, now).await
        {
            return Ok(turn);
        }
        self.strangers.turn(host, source, now).await
    }

    /// A client brought a signature that was good, by a key of this host.
    pub(super) fn proved(&self, host: &str, source: Source) {
        let owner = owner_of_host(host);
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(clients) = standing.get(&owner) else {
            standing.insert(owner, VecDeque::from([(source, host.to_owned())]));
            return;
        };
        if !has(clients, host, source) {
            clients.truncate(CLIENTS - 1);
            clients.push_front((source, host.to_owned()));
        }
    }

    fn is_proven(&self, host: &str, source: Option<Source>) -> bool {
        let Some(source) = source else { return false };
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.get(&owner_of_host(host)).is_some_and(|clients| has(clients, host, source))
    }
}

fn has(clients: &VecDeque<(Source, String)>, host: &str, source: Source) -> bool {
    clients.iter().any(|(client, of)| *client == source && of == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> Source {
        Source::of([203, 0, 113, last].into())
    }

    #[tokio::test]
    async fn who_proved_something_has_turns_when_strangers_have_none() {
        let all = super::super::Share { at_once: 1, queue: 1, per_minute: 1 };
        let turns = Turns::new(Budgets { all, ..Budgets::default() });
        let now = Timestamp::UNIX_EPOCH;
        drop(turns.turn("victim.example", Some(from(1)), now).await.unwrap());
        turns.proved("peer.example", from(2));
        for (host, client, ok) in [
            ("peer.example", 2, true),
            ("sub.peer.example", 2, false),
            ("peer.example", 1, false),
            ("victim.example", 2, false),
        ] {
            assert_eq!(turns.turn(host, Some(from(client)), now).await.is_ok(), ok, "{host} for {client}");
        }
        assert!(turns.turn("peer.example", None, now).await.is_err());
    }

    #[tokio::test]
    async fn what_strangers_find_slow_is_not_slow_for_who_proved_something() {
        let turns = Turns::new(Budgets { slow_queue: 0, ..Budgets::default() });
        let (now, until) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        turns.proved("peer.example", from(1));
        turns.turn("peer.example", Some(from(2)), now).await.unwrap().is_slow_until(now, until);
        assert!(turns.turn("peer.example", Some(from(3)), now).await.is_err());
        for _ in 0..Budgets::of_proven().slow_queue * 2 {
            assert!(turns.turn("peer.example", Some(from(1)), now).await.is_ok());
        }
        // Nor the other way round.
        let turns = Turns::new(Budgets { slow_queue: 0, ..Budgets::default() });
        turns.proved("peer.example", from(1));
        turns.turn("peer.example", Some(from(1)), now).await.unwrap().is_slow_until(now, until);
        assert!(turns.turn("peer.example", Some(from(2)), now).await.is_ok());
    }

    #[tokio::test]
    async fn who_proved_something_is_no_worse_off_than_a_stranger() {
        let turns = Turns::new(Budgets::default());
        let now = Timestamp::UNIX_EPOCH;
        turns.proved("peer.example", from(1));
        let mut begun = 0;
        while turns.turn("peer.example", Some(from(1)), now).await.is_ok() {
            begun += 1;
        }
        let alone = Budgets::of_proven().source_at_owner.per_minute;
        assert_eq!(begun, alone + Budgets::default().source_at_owner.per_minute);
        // One that has proved something leaves as much to another.
        turns.proved("other.peer.example", from(2));
        assert!(turns.turn("other.peer.example", Some(from(2)), now).await.is_ok());
        assert!(turns.turn("peer.example", Some(from(3)), now).await.is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let turns = Turns::new(Budgets::default());
        for last in 0..=255 {
            turns.proved("peer.example", from(last));
        }
        assert!(turns.is_proven("peer.example", Some(from(255))));
        assert!(!turns.is_proven("peer.example", Some(from(0))));
        for number in 0..2 * OWNERS {
            turns.proved(&format!("p{number}.example"), from(1));
        }
        assert!(turns.standing.lock().unwrap().len() <= OWNERS);
    }
}
