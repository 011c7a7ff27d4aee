//! The proof that an activity is its actor's. Handlers take nothing else.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

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

/// Whom an activity is of, and so how that was proved.
#[derive(Debug)]
enum Who {
    /// The signer.
    Signer(Arc<Person>),
    /// An actor of this id, which is gone.
    Gone(String),
}

/// An activity whose actor is proved. Only [`super::gate`] makes one.
#[derive(Debug)]
pub struct Verified {
    activity: Incoming,
    who: Who,
    host: String,
    stamp: Timestamp,
    signature: String,
    key_id: String,
}

impl Verified {
    /// By signature: `person` is the signer, and the activity names it as its actor.
    pub(super) fn by_signature(
        activity: Incoming,
        person: Arc<Person>,
        host: String,
        stamp: Timestamp,
        request: Unverified,
    ) -> Self {
        let mut hash = openssl::sha::Sha256::new();
        hash.update(&request.signature);
        let digest = hash.finish();
        Verified {
            activity,
            who: Who::Signer(person),
            host,
            stamp,
            signature: STANDARD_NO_PAD.encode(digest.get(..16).unwrap_or(&digest)),
            key_id: request.key_id,
        }
    }

    /// By absence: only for an actor that deletes itself.
    pub(super) fn by_absence(activity: Incoming, actor: String, host: String, stamp: Timestamp) -> Self {
        Verified {
            activity,
            who: Who::Gone(actor),
            host,
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
        match &self.who {
            Who::Signer(person) => &person.actor,
            Who::Gone(actor) => actor,
        }
    }

    /// Host of the actor's id, with its port if it has one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What its document says; `None` if it is gone.
    pub fn person(&self) -> Option<&Person> {
        match &self.who {
            Who::Signer(person) => Some(person),
            Who::Gone(_) => None,
        }
    }

    /// How it was proved.
    pub fn proof(&self) -> Proof {
        match self.who {
            Who::Signer(_) => Proof::Signature,
            Who::Gone(_) => Proof::ActorGone,
        }
    }

    /// Order among the acts of one actor: min(signed date, arrival).
    pub fn stamp(&self) -> Timestamp {
        self.stamp
    }

    /// A digest of the signature; empty if there was none.
    pub fn signature(&self) -> &str {
        &self.signature
    }

    /// The key that signed, as the request names it; empty if there was none.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }
}
