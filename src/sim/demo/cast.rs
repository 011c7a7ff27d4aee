//! Who plays: people, and the servers they live on.

use std::time::Duration;

use crate::sim::fediverse::{Fediverse, Flavour, Person, Server, SimError};

use super::DemoError;

/// Somebody with an account on one of the servers.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    pub(super) name: &'static str,
    pub(super) person: Person,
}

impl Guest {
    async fn arrive(server: &Server, name: &'static str) -> Result<Guest, SimError> {
        let person = server.person(&name.to_lowercase());
        person.set_display_name(name);
        // Made now, or the key's making would count as time that the agent took.
        person.server().inner.sender(&name.to_lowercase()).await?;
        Ok(Guest { name, person })
    }

    /// Name and software, as in the story.
    pub(super) fn who(&self) -> String {
        format!("{}, {:?}", self.name, self.server().flavour())
    }

    pub(super) fn server(&self) -> &Server {
        self.person.server()
    }

    pub(super) fn failed(&self) -> impl FnOnce(SimError) -> DemoError {
        let who = self.who();
        |cause| DemoError::Peer { who, cause }
    }

    pub(super) fn missed(&self, expected: impl Into<String>, waited: Duration) -> DemoError {
        DemoError::NotObserved { who: self.who(), expected: expected.into(), waited }
    }

    pub(super) fn surprised(&self, expected: impl Into<String>, found: impl Into<String>) -> DemoError {
        DemoError::Unexpected { who: self.who(), expected: expected.into(), found: found.into() }
    }
}

/// Everybody.
pub(super) struct Cast {
    /// Two people of one server: one delivery serves both.
    pub(super) ana: Guest,
    pub(super) ada: Guest,
    pub(super) bo: Guest,
    pub(super) chiyo: Guest,
    pub(super) dina: Guest,
    /// Leaves while the first stream runs.
    pub(super) pia: Guest,
    /// Lives on a server that hangs for a while.
    pub(super) finn: Guest,
    /// Comes while the first stream runs.
    pub(super) gil: Guest,
}

impl Cast {
    pub(super) async fn gather(fediverse: &Fediverse) -> Result<Cast, DemoError> {
        let start = async |flavour: Flavour, name: &'static str| {
            let failed = |cause| DemoError::Peer { who: format!("{flavour:?}"), cause };
            let server = fediverse.server(&format!("{flavour:?}"), flavour).await.map_err(failed)?;
            Guest::arrive(&server, name).await.map_err(failed)
        };
        let ana = start(Flavour::Mastodon, "Ana").await?;
        let ada = Guest::arrive(ana.server(), "Ada").await.map_err(ana.failed())?;
        Ok(Cast {
            ana,
            ada,
            bo: start(Flavour::GoToSocial, "Bo").await?,
            chiyo: start(Flavour::Misskey, "Chiyo").await?,
            dina: start(Flavour::Pleroma, "Dina").await?,
            pia: start(Flavour::Pixelfed, "Pia").await?,
            finn: start(Flavour::Friendica, "Finn").await?,
            gil: start(Flavour::Akkoma, "Gil").await?,
        })
    }

    /// Those who follow before the first stream.
    pub(super) fn early(&self) -> [&Guest; 7] {
        [&self.ana, &self.ada, &self.bo, &self.chiyo, &self.dina, &self.pia, &self.finn]
    }

    /// One person of each server.
    pub(super) fn of_each_server(&self) -> [&Guest; 7] {
        [&self.ana, &self.bo, &self.chiyo, &self.dina, &self.pia, &self.finn, &self.gil]
    }
}
