//! What was found, in pieces that are handed over one by one.

use serde::Serialize;

use super::found::Found;
use crate::model::Addresses;
use crate::model::adopted::Batch;

/// Bytes of a batch as it is handed over, about; a single post may be larger.
const BYTES: usize = 256 * 1024;
/// Rows of a batch at most: it is one decision, and others wait for it.
const ROWS: usize = 500;

/// Splits what was found. There is always a first batch, which holds what is few: blocks go before followers.
pub fn batches(found: Found, of: &Addresses, run: u64, dry_run: bool) -> Vec<Batch> {
    let mut pile = Pile { batches: Vec::new(), of: of.clone(), run, dry_run, bytes: 0, rows: 0 };
    let Found { followers, documents, accepted, blocked, unreadable: _, wal_is_missing: _, given_back: _ } =
        found;
    blocked.into_iter().for_each(|one| pile.put(one, |batch| &mut batch.blocked));
    followers.into_iter().for_each(|one| pile.put(one, |batch| &mut batch.followers));
    documents.into_iter().for_each(|one| pile.put(one, |batch| &mut batch.documents));
    accepted.into_iter().for_each(|one| pile.put(one, |batch| &mut batch.accepted));
    pile.batches
}

struct Pile {
    batches: Vec<Batch>,
    of: Addresses,
    run: u64,
    dry_run: bool,
    bytes: usize,
    rows: usize,
}

impl Pile {
    fn put<T: Serialize>(&mut self, one: T, place: impl FnOnce(&mut Batch) -> &mut Vec<T>) {
        // What cannot be written as JSON cannot be handed over either; nothing here is such.
        let bytes = serde_json::to_vec(&one).map_or(0, |json| json.len());
        if self.batches.is_empty() || self.rows >= ROWS || self.bytes + bytes > BYTES {
            self.batches.push(Batch::empty(&self.of, self.run, self.dry_run));
            (self.bytes, self.rows) = (0, 0);
        }
        (self.bytes, self.rows) = (self.bytes + bytes, self.rows + 1);
        if let Some(batch) = self.batches.last_mut() {
            place(batch).push(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::{self, LONGEST_REQUEST};
    use crate::model::adopted::Document;
    use jiff::Timestamp;

    #[test]
    fn every_batch_fits_and_nothing_is_lost() {
        let of = Addresses::new("https://live.example", "streamer");
        let document = |length: usize| Document {
            id: format!("https://live.example/federation/{length}"),
            // Doubled by the quotes in it.
            json: "\"".repeat(length),
            at: Timestamp::UNIX_EPOCH,
        };
        let lengths = (0..1200).map(|number| number * 7).chain([256 * 1024, 256 * 1024]);
        let found = Found {
            documents: lengths.clone().map(document).collect(),
            blocked: vec!["bad.example".to_owned()],
            ..Found::default()
        };
        let batches = batches(found.clone(), &of, 1, false);
        assert!(batches.len() > 3);
        let whole: Vec<Document> = batches.iter().flat_map(|batch| batch.documents.clone()).collect();
        assert_eq!(whole, found.documents);
        assert_eq!(batches[0].blocked, found.blocked);
        for batch in batches {
            assert!(batch.documents.len() <= ROWS);
            assert!(protocol::line(&batch).unwrap().len() < LONGEST_REQUEST - 1024);
        }
    }
}
