//! What stood at Owncast's picture addresses when an encoder connected: pictures of the stream before, which Owncast
//! leaves there until it has made the first one of the new.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::view::Meta;

/// A picture that stood there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// Hash of its bytes, in hexadecimal.
    pub hash: String,
    /// It was seen before Owncast makes the first picture of a connection, and so is of an earlier one.
    pub early: bool,
}

/// What was seen first of one connection. It survives a restart, which may come before the first new picture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stood {
    /// `lastConnectTime` of the connection.
    pub connection: Option<Timestamp>,
    /// At the address of the still picture.
    pub thumbnail: Option<Before>,
    /// At the address of the moving one.
    pub preview: Option<Before>,
}

impl Meta for Stood {
    const NAME: &'static str = "stood-before";
}
