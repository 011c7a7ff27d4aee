//! Chat notices on their way to be said. Those that come at the same moment share a record: when everybody likes a stream at
//! once, one for each would be half of what is written.

use std::collections::BTreeMap;

use ulid::Ulid;

use crate::model::notices::{Notice, Waiting};
use crate::model::record::{Record as _, encode, full_key, kind};
use crate::model::{Draft, View};

/// Queues a notice.
pub fn add(draft: &mut Draft<'_>, notice: &Notice) {
    let shared = Waiting::shared_key(notice.id);
    let key = full_key(kind::NOTICE, &shared);
    let (key, value) = match draft.view().get_bytes(&key) {
        None => (shared, encode(&Waiting { key: shared, notices: vec![notice.clone()] })),
        Some(others) => match Waiting::and(others, notice) {
            Some(all) => (shared, all),
            None => {
                let alone = notice.id.to_bytes();
                (alone, encode(&Waiting { key: alone, notices: vec![notice.clone()] }))
            }
        },
    };
    draft.put_raw(kind::NOTICE, &key, value);
}

/// Notices that wait, in the order of events: all of the first records in which there are `most`.
pub fn all(view: &dyn View, most: usize) -> Vec<Notice> {
    let mut all = Vec::new();
    view.scan::<Waiting>(b"", &mut |mut waiting| {
        all.append(&mut waiting.notices);
        all.len() < most
    });
    all.sort_by_key(|notice| notice.id);
    all
}

/// Takes notices out of the queue, if they still wait.
pub fn take(draft: &mut Draft<'_>, ids: impl IntoIterator<Item = Ulid>) {
    let mut by_record: BTreeMap<[u8; 16], Vec<Ulid>> = BTreeMap::new();
    for id in ids {
        by_record.entry(Waiting::shared_key(id)).or_default().push(id);
    }
    for (key, ids) in by_record {
        let shared: Option<Waiting> = draft.view().get(&key);
        let before = shared.map(|shared| shared.notices).unwrap_or_default();
        let (gone, left): (Vec<Notice>, Vec<Notice>) =
            before.into_iter().partition(|notice| ids.contains(&notice.id));
        match (gone.is_empty(), left.is_empty()) {
            (true, _) => {}
            (false, true) => draft.delete::<Waiting>(&key),
            (false, false) => draft.put(&Waiting { key, notices: left }),
        }
        for id in ids.iter().filter(|id| gone.iter().all(|notice| notice.id != **id)) {
            let alone = id.to_bytes();
            if draft.view().get_bytes(&full_key(Waiting::KIND, &alone)).is_some() {
                draft.delete::<Waiting>(&alone);
            }
        }
    }
}
