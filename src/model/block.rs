//! Who may neither reach us nor be reached.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::{Record, kind};

/// What is blocked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockTarget {
    /// A domain and everything below it, by whole labels: `a.example` covers `x.a.example`, not `ba.example`.
    Domain(String),
    /// One actor, by id.
    Actor(String),
}

/// Whose entry it is; each side removes only its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockOwner {
    /// From Owncast's list of blocked domains; follows that list.
    Owncast,
    /// Made here by the operator.
    Operator,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// What is blocked.
    pub target: BlockTarget,
    /// Whose entry it is.
    pub owner: BlockOwner,
    /// Since when.
    pub since: Timestamp,
}

impl BlockTarget {
    /// The key of an entry of this target and owner.
    pub fn key(&self, owner: BlockOwner) -> Vec<u8> {
        match self {
            BlockTarget::Domain(domain) => domain_key(domain, owner),
            BlockTarget::Actor(actor) => actor_key(actor, owner),
        }
    }
}

/// The key of this owner's block of a domain.
pub fn domain_key(domain: &str, owner: BlockOwner) -> Vec<u8> {
    key(b'd', domain, owner)
}

/// The key of this owner's block of an actor.
pub fn actor_key(actor: &str, owner: BlockOwner) -> Vec<u8> {
    key(b'a', actor, owner)
}

fn key(what: u8, name: &str, owner: BlockOwner) -> Vec<u8> {
    let owner: &[u8] = match owner {
        BlockOwner::Owncast => b"\nc",
        BlockOwner::Operator => b"\no",
    };
    [&[what], name.as_bytes(), owner].concat()
}

impl Record for Block {
    const KIND: u8 = kind::BLOCK;
    fn key(&self) -> Vec<u8> {
        self.target.key(self.owner)
    }
}
