//! Which servers verify RFC 9421 only, beyond the end of the process.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::model::host::Rfc9421Only;
use crate::model::{Draft, Record, View};

/// How long a server is asked in that scheme first. Then it is asked as everybody is: it may have been updated.
pub const BELIEVED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// These servers, and until when that is believed of each.
pub type Known = BTreeMap<String, Timestamp>;

/// Whether what is believed until then is believed now. What a clock that was ahead has written is not.
#[must_use]
pub fn holds(until: Timestamp, now: Timestamp) -> bool {
    let left = until.duration_since(now);
    left.is_positive() && left <= BELIEVED_FOR
}

/// What the store knows.
#[must_use]
pub fn known(view: &dyn View) -> Known {
    view.all::<Rfc9421Only>(b"").into_iter().map(|known| (known.host, known.until)).collect()
}

/// Writes what has changed since: these are all that are known now.
pub fn keep(draft: &mut Draft<'_>, known: &Known) {
    let mut missing = known.clone();
    for stored in draft.view().all::<Rfc9421Only>(b"") {
        match missing.remove(&stored.host) {
            Some(until) if until == stored.until => {}
            Some(until) => draft.put(&Rfc9421Only { until, ..stored }),
            None => draft.delete::<Rfc9421Only>(&stored.key()),
        }
    }
    for (host, until) in missing {
        draft.put(&Rfc9421Only { host, until });
    }
}
