//! Why a document could not be had, by what the caller answers.

use thiserror::Error;

use crate::activitypub::signature::SignError;
use crate::model::origin::OriginError;
use crate::net::NetError;

/// Why an actor or key is not available.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FetchError {
    /// The address itself is refused; nothing was asked.
    #[error("the address is refused: {0}")]
    Address(#[from] OriginError),
    /// The address is on our own host (C-28); nothing was asked.
    #[error("the address is on this server itself")]
    OwnHost,
    /// Too many fetches are running or were made lately (C-25): answer 503 with `Retry-After`.
    #[error("too many documents are being fetched; try again in a minute")]
    Busy,
    /// 410, or a Tombstone: it existed and is deleted.
    #[error("the document is gone")]
    Gone,
    /// 404.
    #[error("the document was not found")]
    NotFound,
    /// 401 or 403, or an actor stripped of its inbox: the peer does not talk to us, or not to our signature.
    #[error("the peer denied access to the document")]
    Denied,
    /// Any other status.
    #[error("the peer answered {0}")]
    Status(u16),
    /// A document came and must not be believed; says which rule it breaks.
    #[error("the document is not acceptable: {0}")]
    Rejected(String),
    /// No answer.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Our own request could not be signed.
    #[error("the request could not be signed: {0}")]
    Sign(#[from] SignError),
}

impl FetchError {
    /// Whether asking again later may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy => true,
            Self::Status(status) => matches!(status, 408 | 425 | 429) || *status >= 500,
            Self::Net(error) => error.is_transient(),
            _ => false,
        }
    }

    pub(super) fn rejected(why: impl Into<String>) -> Self {
        Self::Rejected(why.into())
    }

    /// About so many bytes are needed to remember it.
    pub(super) fn weight(&self) -> usize {
        let text = match self {
            Self::Rejected(why) => why.len(),
            Self::Net(_) => 200,
            _ => 0,
        };
        128 + text
    }
}
