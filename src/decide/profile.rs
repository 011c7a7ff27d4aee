//! The actor's own document: when it differs from what followers were told, they are told, once things are quiet.

use std::time::Duration;

use jiff::Timestamp;
use openssl::sha::sha256;
use serde_json::Value;
use ulid::Ulid;

use super::seen::later;
use super::{Moment, publish};
use crate::activitypub::vocab;
use crate::model::facts::{Profile, Untold};
use crate::model::{Addresses, Draft};

/// An operator who changes one thing changes others: what changes within this time goes out together.
pub const QUIET: Duration = Duration::from_secs(30);
/// Somebody who never stops changing things is told of after this long all the same.
pub const AT_MOST: Duration = Duration::from_secs(300);

/// What became of a look at the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Followers know it as it is.
    Known,
    /// It changed; it is looked at again at this moment, if nothing changes before.
    Waits(Timestamp),
    /// An Update is queued to all followers; with its id.
    Told(Ulid),
}

/// Compares the actor's document with what followers were told last. The first one ever is known to everybody who
/// follows later, and told to nobody; one that is changed back in time is no change.
pub fn look(draft: &mut Draft<'_>, moment: &mut Moment, addresses: &Addresses, actor: Value) -> Looked {
    let before: Profile = draft.view().meta();
    let now = moment.now;
    let digest = digest(&actor);
    let mut after = before.clone();
    let looked = match &before.told {
        None => {
            after.told = Some(digest);
            Looked::Known
        }
        Some(told) if *told == digest => {
            after.untold = None;
            Looked::Known
        }
        Some(_) => {
            let untold = after.untold.get_or_insert_with(|| Untold {
                document: digest.clone(),
                since: now,
                changed: now,
            });
            // A clock that was set back must not make anybody wait for longer.
            untold.since = untold.since.min(now);
            untold.changed = untold.changed.min(now);
            if untold.document != digest {
                untold.document.clone_from(&digest);
                untold.changed = now;
            }
            let due = later(untold.changed, QUIET).min(later(untold.since, AT_MOST));
            if now < due {
                Looked::Waits(due)
            } else {
                let update = publish::actor_changed(draft, moment, |id| {
                    vocab::follow::actor_update(addresses, actor, id).to_string()
                });
                after = Profile { told: Some(digest), untold: None, update: Some(update) };
                Looked::Told(update)
            }
        }
    };
    if after != before {
        draft.put_meta(&after);
    }
    looked
}

/// SHA-256 of the document as it is sent, in hexadecimal.
pub fn digest(document: &Value) -> String {
    sha256(document.to_string().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
