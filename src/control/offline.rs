//! The same answers out of the store of an agent that does not run.
//!
//! What is written counts from the next start on. Nothing is sent, and Owncast is not asked.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::protocol::Ask;
use super::{Control, Listening};
use crate::agent::board::Board;
use crate::agent::effective::Effective;
use crate::agent::known_identity;
use crate::config::reload::{Reloader, SharedEnv};
use crate::config::{Config, Overrides};
use crate::model::facts::{Facts, Identity};
use crate::owncast::{Api, OwncastError};
use crate::store::{Store, StoreError};

/// Why a store cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// It cannot be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No client can be made.
    #[error(transparent)]
    Owncast(#[from] OwncastError),
}

/// Whether only a running agent can do this. Without one, `adopt` opens the store for itself.
pub fn needs_agent(ask: &Ask) -> bool {
    matches!(ask, Ask::Reload | Ask::Preview | Ask::Now | Ask::Adopt { .. })
}

/// Whether this changes something.
pub fn changes(ask: &Ask) -> bool {
    match ask {
        Ask::Status
        | Ask::Followers { .. }
        | Ask::Blocks
        | Ask::Reports
        | Ask::Preview
        | Ask::Export
        | Ask::Deliveries { .. }
        | Ask::Activity { .. }
        | Ask::Host { .. }
        | Ask::GivenUp { .. }
        | Ask::Drop { dry_run: true, .. } => false,
        Ask::Approve { .. }
        | Ask::Reject { .. }
        | Ask::Remove { .. }
        | Ask::Block { .. }
        | Ask::Unblock { .. }
        | Ask::ClearReports
        | Ask::Reload
        | Ask::Now
        | Ask::Skip { .. }
        | Ask::Message { .. }
        | Ask::Pause { .. }
        | Ask::Resume { .. }
        | Ask::Retry { .. }
        | Ask::Drop { .. }
        | Ask::Adopt { .. } => true,
    }
}

/// Opens the store of this configuration, as its owner.
///
/// # Errors
/// An agent has it open after all, or it cannot be read.
pub async fn open(config: Config, env: SharedEnv) -> Result<Control, OfflineError> {
    let folder = config.store.path.clone();
    let opened = tokio::task::spawn_blocking(move || Store::open(&folder)).await;
    let store = opened.map_err(|_| StoreError::Closed)??;
    let (facts, stored): (Facts, Identity) = store.read(|view| (view.meta(), view.meta())).await?;
    let identity = known_identity(&stored, &config.identity.key_file);
    // It could not write even if it were asked to.
    let api = Api::read_only(config.owncast.url.url().clone(), config.owncast.admin_user.clone(), "")?;
    let listen = &config.listen;
    let listening = Listening { public: listen.public, webhook: listen.webhook, metrics: listen.metrics };
    let (_, reload, config) = Reloader::new(config, Overrides::default(), env);
    let effective = Effective::new(Arc::clone(&config.borrow()), facts, identity, &stored);
    Ok(Control {
        store,
        effective: watch::channel(Arc::new(effective)).1,
        board: watch::channel(Board::default()).1,
        listening,
        reload,
        started: Timestamp::now(),
        api,
        wake: Arc::new(Notify::new()),
        running: false,
    })
}
