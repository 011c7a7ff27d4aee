//! Blocks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a block names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockKind {
    /// A domain and everything below it.
    Domain,
    /// One actor.
    Actor,
}

/// Whose block it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListedBy {
    /// On Owncast's list; removed there.
    Owncast,
    /// Made here.
    Operator,
}

/// A block was made, or stood already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The domain or actor id.
    pub target: String,
    /// Which of them.
    pub kind: BlockKind,
    /// False if it stood before.
    pub changed: bool,
    /// Followers set aside by it.
    pub parked: u64,
    /// Followers forgotten because that was asked for; they are counted in `parked`, too, if this block parked them.
    pub purged: u64,
}

/// A block was lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unblocked {
    /// The domain or actor id.
    pub target: String,
    /// Which of them.
    pub kind: BlockKind,
    /// Followers who are back.
    pub restored: u64,
    /// Owncast's list still holds it, so that nothing has changed in effect.
    pub still_listed_by_owncast: bool,
}

/// Everything blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockList {
    /// Domains first, then actors, each in alphabetical order.
    pub blocks: Vec<BlockRow>,
}

/// One block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRow {
    /// The domain or actor id.
    pub target: String,
    /// Which of them.
    pub kind: BlockKind,
    /// Whose it is.
    pub listed_by: ListedBy,
    /// Since when.
    pub since: Timestamp,
}
