//! Whether Owncast's own actor has lived: then other servers know it by Owncast's key.

use super::{Api, OwncastError};

/// Everything that tells so, one in a few words; empty where nobody can know the actor. `has_document`: Owncast serves
/// its actor document.
///
/// # Errors
/// [`OwncastError`].
pub async fn signs(api: &Api, has_document: bool) -> Result<Vec<String>, OwncastError> {
    let mut signs = Vec::new();
    if has_document {
        signs.push("Owncast's federation is on and serves this actor".to_owned());
    }
    for (what, total) in [
        ("follower", api.followers(0, 1).await?.total),
        ("pending follower", api.pending().await?.total),
        ("blocked follower", api.blocked().await?.total),
        ("recorded federation action", api.federation_actions_total().await?),
    ] {
        if total > 0 {
            let plural = if total == 1 { "" } else { "s" };
            signs.push(format!("Owncast has {total} {what}{plural}"));
        }
    }
    Ok(signs)
}
