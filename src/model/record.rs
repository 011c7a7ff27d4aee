//! How typed records become keys and bytes, and how a decision lists what to change.

use serde::{Serialize, de::DeserializeOwned};

/// One kind of stored thing. Its first key byte is its kind, so that one tree (and one atomic batch) holds all.
pub trait Record: Serialize + DeserializeOwned {
    /// The prefix byte; unique among all kinds, never reused for another.
    const KIND: u8;

    /// The key below the prefix: big-endian numbers first, so that order in the store is order in the world.
    fn key(&self) -> Vec<u8>;
}

/// The prefix bytes in use.
pub mod kind {
    /// Followers by actor id.
    pub const FOLLOWER: u8 = b'F';
    /// Distinct delivery inboxes by their number.
    pub const INBOX: u8 = b'I';
    /// Number of a delivery inbox by its address.
    pub const INBOX_NUMBER: u8 = b'i';
    /// Blocked domains and actors.
    pub const BLOCK: u8 = b'B';
    /// Posts by ULID.
    pub const POST: u8 = b'P';
    /// Likes, announces and replies by actor, post and kind.
    pub const ENGAGEMENT: u8 = b'E';
    /// Who did that with a post, those of about the same millisecond together.
    pub const ENGAGERS: u8 = b'e';
    /// Ids and signatures already handled, with an expiry.
    pub const SEEN: u8 = b'S';
    /// Activities on their way out.
    pub const OUTGOING: u8 = b'O';
    /// State bytes of a fan-out, one per distinct inbox.
    pub const CHUNK: u8 = b'C';
    /// Fan-outs whose first pass is not done: the key is the activity, the value how far it is
    /// [claimed](super::super::delivery::Claim), in two numbers of 4 bytes, big-endian.
    pub const FANOUT: u8 = b'W';
    /// Activities that are not queued to all of those yet who liked, shared or answered a post: the key is the activity, the
    /// value the last inbox they are queued to.
    pub const FURTHER: u8 = b'X';
    /// Single attempts that are due at some time.
    pub const ATTEMPT: u8 = b'Q';
    /// Other servers that are not well, by host.
    pub const HOST: u8 = b'H';
    /// Servers that verify RFC 9421 only, by host.
    pub const SCHEME: u8 = b'h';
    /// Attempts set aside until their host is well again, by host.
    pub const RESTING: u8 = b'R';
    /// When to look at what rests: the key is the time (8 bytes, big-endian milliseconds) and the host, the value empty.
    pub const ALARM: u8 = b'A';
    /// Chat notices waiting to be said, those of one moment together.
    pub const NOTICE: u8 = b'N';
    /// Follows that chat was told of, and what it was told of those who are gone, so that each is said once ever.
    pub const SAID: u8 = b'n';
    /// How many new followers an owner has sent lately, by owner.
    pub const NEWCOMERS: u8 = b'f';
    /// To how many inboxes the followers of an owner's servers lead, by owner.
    pub const OWNERS_INBOXES: u8 = b'o';
    /// Reports for the operator, by server, reporter and activity.
    pub const REPORT: u8 = b'G';
    /// Posts of Owncast's own federation, by what their address has behind `/federation/`.
    pub const IMPORTED: u8 = b'D';
    /// Followers of Owncast's own federation that were taken over, by a digest of the actor.
    pub const TAKEN: u8 = b'J';
    /// Of these, those set aside until the actor's own document was read, by actor id.
    pub const SET_ASIDE: u8 = b'K';
    /// Singletons by name.
    pub const META: u8 = b'M';
}

/// The full store key of a record kind and key part.
pub fn full_key(kind: u8, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(key.len() + 1);
    full.push(kind);
    full.extend_from_slice(key);
    full
}

/// Serialises a record with its version in front: `{"v":1,…}` for objects.
///
/// The version is part of the bytes from the first release on, so that a later one can tell what it reads.
pub fn encode<R: Serialize>(record: &R) -> Vec<u8> {
    const VERSION: &[u8] = b"{\"v\":1";
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(VERSION);
    // Put in front as text: serde's own way of adding a field costs more than all the rest. Records are structs with
    // string keys, for which serde_json cannot fail.
    let written = serde_json::to_writer(&mut bytes, record);
    match bytes.get_mut(VERSION.len()..) {
        Some([brace @ b'{', b'"', ..]) if written.is_ok() => *brace = b',',
        Some([b'{', b'}']) => drop(bytes.remove(VERSION.len())),
        _ => bytes.clear(),
    }
    bytes
}

/// Reads a record back; `None` when the bytes are not of this kind or of a later version.
pub fn decode<R: DeserializeOwned>(bytes: &[u8]) -> Option<R> {
    // The version stands in front, so that the rest is read once and straight into the record.
    let rest = bytes.strip_prefix(b"{\"v\":1")?;
    matches!(rest.first(), Some(b',' | b'}')).then(|| serde_json::from_slice(bytes).ok())?
}

/// How a record ends whose last field is a list.
const LIST_END: &[u8] = b"]}";

/// The bytes of a record with one more item behind those of the list that is its last field, which has one at least; `None`
/// if the record has `full` bytes already.
pub(super) fn with_another(mut record: Vec<u8>, item: &impl Serialize, full: usize) -> Option<Vec<u8>> {
    if record.len() >= full || !record.ends_with(LIST_END) {
        return None;
    }
    record.truncate(record.len() - LIST_END.len());
    record.push(b',');
    serde_json::to_writer(&mut record, item).ok()?;
    record.extend_from_slice(LIST_END);
    Some(record)
}

/// What a decision wants changed, applied as one atomic batch together with everything else in it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Changes {
    writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Changes {
    /// Writes given as full keys with a value, or `None` for a removal.
    pub fn of(writes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Self {
        Changes { writes }
    }

    /// Nothing to change.
    pub fn none() -> Self {
        Changes::default()
    }

    /// Writes a record, replacing one of the same key.
    pub fn put<R: Record>(&mut self, record: &R) {
        self.writes.push((full_key(R::KIND, &record.key()), Some(encode(record))));
    }

    /// Writes raw bytes below a kind: for values that are not JSON.
    pub fn put_raw(&mut self, kind: u8, key: &[u8], value: Vec<u8>) {
        self.writes.push((full_key(kind, key), Some(value)));
    }

    /// Removes a record by its key; removing what is not there is fine.
    pub fn delete<R: Record>(&mut self, key: &[u8]) {
        self.delete_raw(R::KIND, key);
    }

    /// Removes whatever stands at a key.
    pub fn delete_raw(&mut self, kind: u8, key: &[u8]) {
        self.writes.push((full_key(kind, key), None));
    }

    /// Adds another decision's changes behind these.
    pub fn extend(&mut self, other: Changes) {
        self.writes.extend(other.writes);
    }

    /// True when there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The writes in order: full key, and the value or `None` for a removal.
    pub fn into_writes(self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        self.writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_prefixes_of_their_own() {
        let mut all = vec![
            kind::FOLLOWER,
            kind::INBOX,
            kind::INBOX_NUMBER,
            kind::BLOCK,
            kind::POST,
            kind::ENGAGEMENT,
            kind::ENGAGERS,
            kind::SEEN,
            kind::OUTGOING,
            kind::CHUNK,
            kind::FANOUT,
            kind::FURTHER,
            kind::ATTEMPT,
            kind::HOST,
            kind::SCHEME,
            kind::RESTING,
            kind::ALARM,
            kind::NOTICE,
            kind::SAID,
            kind::META,
        ];
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
