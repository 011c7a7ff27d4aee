//! How far a change of the actor's key is: a next key lies beside the one in use, and followers are told of it.

use super::protocol::KeyChange;
use crate::activitypub::vocab::actor::actor;
use crate::agent::effective::{Effective, IdentityState};
use crate::config::keyfile;
use crate::decide::{delivered, profile};
use crate::model::View;
use crate::model::delivery::Outgoing;
use crate::model::facts::Profile;

/// How far it is; `None` while none is under way.
pub(super) fn key_change(view: &dyn View, effective: &Effective) -> Option<KeyChange> {
    let file = &effective.config.identity.key_file;
    let IdentityState::Settled { addresses, published, public_key } = &effective.identity else {
        return None;
    };
    let next = keyfile::read(&keyfile::next_file(file)).ok()?;
    let announced = keyfile::fingerprint_of_public(public_key);
    if keyfile::fingerprint(&next.pem).ok() != announced {
        // It was made after the start.
        return Some(KeyChange::Untold);
    }
    let document = actor(addresses, &effective.facts, *published, effective.manual_approval(), public_key);
    let known: Profile = view.meta();
    if known.told != Some(profile::digest(&document)) {
        return Some(KeyChange::Untold);
    }
    let update = known.update.and_then(|id| view.get::<Outgoing>(&id.to_bytes()));
    let open = update.is_some_and(|update| delivered::tally(view, &update).open() > 0);
    Some(if open { KeyChange::Telling } else { KeyChange::Told })
}
