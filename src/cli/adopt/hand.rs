//! Who carries the steps out: the running agent, or this process as the owner of the store.

use std::path::Path;

use jiff::Timestamp;
use tokio::runtime::Runtime;

use crate::adopt::interrupted;
use crate::adopt::owner::{become_owner_of, would_change};
use crate::cli::Failure;
use crate::cli::files::{Places, unexpected};
use crate::config::Config;
use crate::control::adopt::{Hands, carry_out};
use crate::control::client::ClientError;
use crate::control::protocol::adopt::{Adopted, Adopting};
use crate::control::protocol::{Answer, Ask};
use crate::owncast::Api;
use crate::store::Store;

/// One of the two.
pub(super) enum Hand<'a> {
    /// The agent.
    Agent(&'a Places),
    /// This process, for as long as it has the store.
    Own(Box<Own>),
}

/// The store, opened here.
pub(super) struct Own {
    runtime: Runtime,
    store: Store,
    config: Config,
    api: Option<Api>,
}

impl<'a> Hand<'a> {
    /// Finds the agent. Where none runs, this process opens the store as its owner, and is nobody else from then on.
    pub(super) fn reach(places: &'a Places, store: Option<&Path>) -> Result<Hand<'a>, Failure> {
        if places.finds_agent()? {
            return Ok(Hand::Agent(places));
        }
        Hand::own(places, store, true)
    }

    /// As [`Hand::reach`], for what has to be the same user at its end: root needs the agent for that.
    pub(super) fn reach_unchanged(places: &'a Places, store: Option<&Path>) -> Result<Hand<'a>, Failure> {
        if places.finds_agent()? {
            return Ok(Hand::Agent(places));
        }
        Hand::own(places, store, false)
    }

    fn own(places: &'a Places, store: Option<&Path>, may_change: bool) -> Result<Hand<'a>, Failure> {
        let config = places.own_files(store)?;
        let folder = config.store.path.clone();
        if !may_change && would_change(&folder) {
            return Err(Failure::new(format!(
                "no agent runs, which is asked for its followers; start it ({}). Nothing has changed",
                places.systemctl("start")
            )));
        }
        if !folder.is_dir() {
            return Err(Failure::new(format!(
                "no agent runs, and there is no store in {}; start the service once ({}), or name the agent's \
                 folder with --store DIR",
                folder.display(),
                places.systemctl("start")
            )));
        }
        // Read before: the owner of the store may not be allowed to.
        let api = places.whole(store).ok().and_then(|config| {
            let password = config.owncast.admin_password.get().ok()?.expose().to_owned();
            Api::read_only(config.owncast.url.url().clone(), config.owncast.admin_user.clone(), password).ok()
        });
        become_owner_of(&folder).map_err(|error| {
            Failure::new(format!("the store {} cannot be opened as its owner: {error}", folder.display()))
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
        let store = Store::open(&folder).map_err(|error| Failure::new(error.to_string()))?;
        store.keep_free(config.store.floor());
        Ok(Hand::Own(Box::new(Own { runtime, store, config, api })))
    }

    /// Whether the agent does it.
    pub(super) fn is_agent(&self) -> bool {
        matches!(self, Hand::Agent(_))
    }

    /// Carries out one step.
    pub(super) fn step(&self, step: Adopting) -> Result<Adopted, Failure> {
        match self {
            Hand::Agent(places) => {
                let places = (*places).clone();
                // An agent that is stuck keeps nobody from ending this.
                adopted(interrupted::unless(move || places.ask(&Ask::Adopt { step }))??)
            }
            Hand::Own(_) => self.step_to_the_end(step),
        }
    }

    /// As [`Hand::step`], whatever signal comes: for what was begun and is to be whole.
    pub(super) fn step_to_the_end(&self, step: Adopting) -> Result<Adopted, Failure> {
        match self {
            Hand::Agent(places) => adopted(places.ask(&Ask::Adopt { step })?),
            Hand::Own(own) => {
                let Own { runtime, store, config, api } = &**own;
                let hands = Hands { store, config, effective: None, api: api.as_ref() };
                let done = runtime.block_on(carry_out(&hands, step, Timestamp::now()));
                done.map_err(|refusal| ClientError::Refused(refusal).into())
            }
        }
    }
}

fn adopted(answer: Answer) -> Result<Adopted, Failure> {
    match answer {
        Answer::Adopted(adopted) => Ok(*adopted),
        _ => Err(unexpected()),
    }
}
