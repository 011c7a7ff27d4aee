//! What we made in Owncast, remembered so that a restart finds it instead of making another.

use serde::{Deserialize, Serialize};

use super::provision::Provisioned;
use crate::model::view::Meta;

/// Our webhook's secrets, and what was made with them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// Last part of the webhook's path: whoever knows it can hint at a stream start, nothing more.
    pub path: String,
    /// The webhook's signing secret, used by Owncast 0.3 and later.
    pub secret: String,
    /// What stands in Owncast.
    pub provisioned: Provisioned,
}

impl std::fmt::Debug for Footprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Footprint").field("provisioned", &self.provisioned).finish_non_exhaustive()
    }
}

impl Meta for Footprint {
    const NAME: &'static str = "footprint";
}
