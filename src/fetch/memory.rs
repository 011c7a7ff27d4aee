//! What is remembered of actors and keys: bounded, whatever strangers make us look for (C-26).

use std::sync::Arc;

use jiff::Timestamp;
use url::{Position, Url};

use super::{FetchError, RemoteActor};
use crate::bounded::Bounded;
use crate::model::owner::owner_of;

/// Bytes of actors remembered, keys that are documents of their own included: some 2,000 of the usual ones.
pub(super) const ACTORS: usize = 10 << 20;
/// Addresses of keys remembered that are not their owners'.
const OWNERS: usize = 2048;
/// Bytes of failures remembered.
const FAILURES: usize = 1 << 20;

/// Everything here is keyed by addresses without fragment; ids of actors are bounded, and all others stand as digests.
pub(super) struct Memory {
    pub(super) actors: Actors,
    /// Keys with an address of their own: to the actor's id. Those that have proved something apart, as actors are.
    owners: Bounded<Digest, Url>,
    proven_owners: Bounded<Digest, Url>,
    /// The actor with the key that is a document of its own, by the key's address: an actor may have several, and each is
    /// as fresh as its own document.
    pub(super) adopted: Bounded<Digest, Known>,
    pub(super) failures: Bounded<Digest, (FetchError, Timestamp)>,
    /// Addresses that were looked for in vain, really or not, and until when that is not done again.
    pub(super) in_vain: Bounded<Digest, Timestamp>,
}

impl Memory {
    /// One that holds so many bytes of actors.
    pub(super) fn new(actors: usize) -> Self {
        Memory {
            actors: Actors::new(actors),
            owners: Bounded::new(OWNERS),
            proven_owners: Bounded::new(OWNERS),
            adopted: Bounded::new(actors / 4),
            failures: Bounded::new(FAILURES),
            in_vain: Bounded::new(FAILURES / 64),
        }
    }

    /// Whose key has this address, if that is not the actor's own.
    pub(super) fn owner(&mut self, key: &Digest) -> Option<Url> {
        match self.proven_owners.get(key) {
            Some(owner) => Some(owner.clone()),
            None => self.owners.get(key).cloned(),
        }
    }

    pub(super) fn learn_owner(&mut self, key: Digest, owner: Url) {
        if self.proven_owners.get(&key).is_some() {
            self.proven_owners.insert_of(&owner_of(owner.as_str()), 1, key, owner);
        } else {
            self.owners.insert(key, owner);
        }
    }

    /// An actor has proved something with the key of this address.
    pub(super) fn proved(&mut self, actor: &RemoteActor, key: Digest) {
        self.actors.proved(actor.id.as_str());
        if let Some(owner) = self.owners.get(&key).cloned() {
            self.owners.remove(&key);
            self.proven_owners.insert_of(&owner_of(owner.as_str()), 1, key, owner);
        }
    }
}

/// Actors by id. Those who have proved something have a room of their own: anybody can make us read about any number of
/// actors, and those who are known are let in on what is remembered of them when nothing more can be read. One owner may
/// have any number of servers and people who prove something, and makes nobody else's be forgotten.
pub(super) struct Actors {
    proven: Bounded<String, Known>,
    strangers: Bounded<String, Known>,
}

impl Actors {
    fn new(weight: usize) -> Self {
        let strangers = weight / 4;
        Actors { proven: Bounded::new(weight - strangers), strangers: Bounded::new(strangers) }
    }

    pub(super) fn get(&mut self, id: &str) -> Option<&mut Known> {
        match self.proven.get(id) {
            Some(known) => Some(known),
            None => self.strangers.get(id),
        }
    }

    /// Keeps an actor as it was read, among those who have proved something if it did.
    pub(super) fn learn(&mut self, known: Known, proven: bool) {
        let (weight, id) = (known.actor.weight(), known.actor.id.to_string());
        if proven || self.proven.get(&id).is_some() {
            self.strangers.remove(&id);
            self.proven.insert_of(&owner_of(&id), weight, id, known);
        } else {
            self.strangers.insert_weighing(weight, id, known);
        }
    }

    /// An actor has proved something.
    pub(super) fn proved(&mut self, id: &str) {
        if let Some(known) = self.strangers.get(id).cloned() {
            self.learn(known, true);
        }
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.proven.remove(id);
        self.strangers.remove(id);
    }
}

/// What stands for an address where only whether it is the same matters: strangers choose how long addresses are.
pub(super) type Digest = [u8; 32];

/// That of an address, whatever its fragment.
pub(super) fn digest(address: &Url) -> Digest {
    openssl::sha::sha256(address[..Position::AfterQuery].as_bytes())
}

#[derive(Clone)]
pub(super) struct Known {
    pub(super) actor: Arc<RemoteActor>,
    pub(super) fetched_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::origin::RemotePolicy;

    fn known(name: &str) -> Known {
        let id = format!("https://peer.example/users/{name}");
        let pem = crate::activitypub::signature::PrivateKey::generate().unwrap().public_pem().unwrap();
        let document = serde_json::json!({"id": id, "type": "Person", "inbox": format!("{id}/inbox"),
            "publicKey": {"id": format!("{id}#main-key"), "owner": id, "publicKeyPem": pem}});
        let actor = RemoteActor::read(&document, &RemotePolicy::default()).unwrap();
        Known { actor: Arc::new(actor), fetched_at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn one_owner_with_many_servers_does_not_make_us_forget_others() {
        let at = |host: &str| {
            let id = format!("https://{host}/users/a");
            let document = serde_json::json!({"id": id, "type": "Person", "inbox": format!("{id}/inbox")});
            let actor = RemoteActor::read(&document, &RemotePolicy::default()).unwrap();
            Known { actor: Arc::new(actor), fetched_at: Timestamp::UNIX_EPOCH }
        };
        let fan = at("peer.example");
        let mut memory = Memory::new(fan.actor.weight() * 64);
        let of = |host: &str| digest(&Url::parse(&format!("https://{host}/users/a/main-key#k")).unwrap());
        let key = |number: usize| of(&format!("s{number}.evil.example"));
        memory.learn_owner(of("peer.example"), fan.actor.id.clone());
        memory.actors.learn(fan.clone(), false);
        memory.proved(&fan.actor, of("peer.example"));
        for number in 0..2 * OWNERS {
            let evil = at(&format!("s{number}.evil.example"));
            memory.learn_owner(key(number), evil.actor.id.clone());
            memory.actors.learn(evil.clone(), false);
            memory.proved(&evil.actor, key(number));
        }
        assert!(memory.actors.get(fan.actor.id.as_str()).is_some());
        assert_eq!(memory.owner(&of("peer.example")), Some(fan.actor.id.clone()));
        assert!(memory.owner(&key(0)).is_none() && memory.owner(&key(2 * OWNERS - 1)).is_some());
    }

    #[test]
    fn strangers_do_not_make_us_forget_who_has_proved_something() {
        let fan = known("fan");
        let mut actors = Actors::new(fan.actor.weight() * 16);
        actors.learn(fan.clone(), false);
        actors.proved(fan.actor.id.as_str());
        // Twenty different documents are enough to fill what strangers have.
        let strangers: Vec<Known> = (0..20).map(|number| known(&number.to_string())).collect();
        for stranger in &strangers {
            actors.learn(stranger.clone(), false);
        }
        assert!(actors.get(fan.actor.id.as_str()).is_some());
        assert!(actors.get(strangers[0].actor.id.as_str()).is_none());
        assert!(actors.get(strangers[19].actor.id.as_str()).is_some());
        // What is read again stays where it is, and once only.
        actors.learn(Known { fetched_at: Timestamp::MAX, ..fan.clone() }, false);
        assert_eq!(actors.get(fan.actor.id.as_str()).unwrap().fetched_at, Timestamp::MAX);
        actors.remove(fan.actor.id.as_str());
        assert!(actors.get(fan.actor.id.as_str()).is_none());
    }
}
