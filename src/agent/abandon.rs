//! Before anything speaks: whether we may be who configuration says we are.

use super::AgentError;
use super::effective::{another_actor, named_instead};
use crate::config::Config;
use crate::decide::abandon::abandon;
use crate::model::Draft;
use crate::model::facts::{Facts, Identity};
use crate::store::Store;

/// Refuses a configuration that names another actor than the one that is followed, unless its followers are given up. What
/// Owncast names by itself is no reason not to start: the actor goes on as it was, and says so.
pub(super) async fn settle_who_we_are(
    store: &Store,
    config: &Config,
    abandon_followers: bool,
) -> Result<(), AgentError> {
    let (facts, stored): (Facts, Identity) = store.read(|view| (view.meta(), view.meta())).await?;
    let Some(ours) = stored.addresses else { return Ok(()) };
    if !abandon_followers {
        return match named_instead(config, &Facts::default(), &ours) {
            Some(other) => Err(AgentError::AnotherActor(another_actor(&ours, &other))),
            None => Ok(()),
        };
    }
    let Some(other) = named_instead(config, &facts, &ours) else {
        tracing::info!(
            target: "herald::agent",
            actor = ours.actor(),
            "no other public URL or username is known: nobody is given up. --abandon-followers is not needed"
        );
        return Ok(());
    };
    let followers = store
        .commit(|view| {
            let mut draft = Draft::new(view);
            let followers = abandon(&mut draft);
            (draft.into_changes(), followers)
        })
        .await?;
    tracing::warn!(
        target: "herald::agent",
        was = ours.actor(),
        is = other.actor(),
        followers,
        "another actor begins; the followers of the one before are given up"
    );
    Ok(())
}
