//! The proof that an activity is its actor's. Handlers take nothing else.

use crate::activitypub::signature::Unverified;
use crate::activitypub::vocab::read::Incoming;
use crate::model::handle::Person;
use jiff::Timestamp;

/// How it was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The actor's own key signed the request.
    Signature,
    /// The actor's document answers 410: it deletes itself, and its key is gone with it.
    ActorGone,
}

/// An activity whose actor is proved. Only [`super::gate`] makes one.
#[derive(Debug)]
pub struct Verified {
    activity: Incoming,
    actor: String,
    person: Option<Person>,
    proof: Proof,
    stamp: Timestamp,
    signature: String,
    key_id: String,
}

impl Verified {
    /// By signature: `person` is the signer, and the activity names it as its actor.
    pub(super) fn by_signature(
        activity: Incoming,
        person: Person,
        stamp: Timestamp,
        request: Unverified,
    ) -> Self {
        let hash =
            openssl::sha::sha256(&request.signature).iter().map(|byte| format!("{byte:02x}")).collect();
        Verified {
            activity,
            actor: person.actor.clone(),
            person: Some(person),
            proof: Proof::Signature,
            stamp,
            signature: hash,
            key_id: request.key_id,
        }
    }

    /// By absence: only for an actor that deletes itself.
    pub(super) fn by_absence(activity: Incoming, actor: String, stamp: Timestamp) -> Self {
        Verified {
            activity,
            actor,
            person: None,
            proof: Proof::ActorGone,
            stamp,
            signature: String::new(),
            key_id: String::new(),
        }
    }

    /// The activity.
    pub fn activity(&self) -> &Incoming {
        &self.activity
    }

    /// The actor's id, normalised.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// What its document says; `None` if it is gone.
    pub fn person(&self) -> Option<&Person> {
        self.person.as_ref()
    }

    /// How it was proved.
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// Order among the acts of one actor: min(signed date, arrival).
    pub fn stamp(&self) -> Timestamp {
        self.stamp
    }

    /// SHA-256 of the signature, in hexadecimal; empty if there was none.
    pub fn signature(&self) -> &str {
        &self.signature
    }

    /// The key that signed, as the request names it; empty if there was none.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }
}
