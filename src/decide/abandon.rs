//! Giving up who we were, at the operator's word: another public URL or username is another actor.

use crate::model::Draft;
use crate::model::facts::{Identity, Profile};
use crate::model::follower::{FollowerCounts, NextInbox, ParkedInboxes};
use crate::model::host::HostCounts;
use crate::model::record::{full_key, kind};
use crate::model::stream::Stream;
use crate::model::view::Meta;

/// Everything that belongs to the actor that was: who follows it, what it said, what is under way. Blocks stay.
const ITS: [u8; 23] = [
    kind::FOLLOWER,
    kind::INBOX,
    kind::INBOX_NUMBER,
    kind::POST,
    kind::ENGAGEMENT,
    kind::ENGAGERS,
    kind::REPORT,
    kind::SEEN,
    kind::OUTGOING,
    kind::CHUNK,
    kind::FANOUT,
    kind::FURTHER,
    kind::ATTEMPT,
    kind::HOST,
    kind::RESTING,
    kind::ALARM,
    kind::NOTICE,
    kind::SAID,
    kind::NEWCOMERS,
    kind::OWNERS_INBOXES,
    kind::IMPORTED,
    kind::TAKEN,
    kind::SET_ASIDE,
];

/// Forgets the settled identity and everything that belongs to it. Returns how many followers are given up.
pub fn abandon(draft: &mut Draft<'_>) -> u64 {
    let counts: FollowerCounts = draft.view().meta();
    let mut keys = Vec::new();
    for kind in ITS {
        draft.view().scan_bytes(&[kind], &[kind], &mut |key, _| {
            keys.push(key.to_vec());
            true
        });
    }
    let names = [
        FollowerCounts::NAME,
        NextInbox::NAME,
        ParkedInboxes::NAME,
        Profile::NAME,
        Stream::NAME,
        HostCounts::NAME,
    ];
    for name in names {
        keys.push(full_key(kind::META, name.as_bytes()));
    }
    for key in keys {
        if let Some((kind, key)) = key.split_first() {
            draft.delete_raw(*kind, key);
        }
    }
    let taken_message = draft.view().meta::<Identity>().taken_message;
    draft.put_meta(&Identity { taken_message, ..Identity::default() });
    counts.approved
}
