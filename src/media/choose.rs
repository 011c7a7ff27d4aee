//! Which picture goes with a post: what the operator asks for where it is there, what is left where it is not.

use std::time::Duration;

use jiff::Timestamp;

use super::freeze::{Naming, Shelf, ShelfError};
use super::recognise::{Age, Hash, REPLACED};
use super::take::{self, Kind, MediaError, Snapshot};
use crate::config::PostImage;
use crate::model::post::Picture;
use crate::model::stood::Stood;
use crate::owncast::Api;

/// What the choice depends on.
#[derive(Debug)]
pub struct Choice<'a> {
    /// What the operator asks for.
    pub image: PostImage,
    /// The logo, frozen.
    pub logo: Option<&'a Picture>,
    /// Hashes of the logo, from [`take::logo`].
    pub logos: &'a [Hash],
    /// What stood there when the connection was first seen.
    pub stood: &'a Stood,
    /// Hash of the last picture that was posted.
    pub posted: Option<&'a str>,
    /// `lastConnectTime` of the running connection.
    pub connected: Option<Timestamp>,
    /// How long it is up.
    pub up: Duration,
    /// How the picture is named.
    pub naming: Naming,
}

/// What was chosen.
#[derive(Debug)]
pub enum Chosen {
    /// A picture of the running stream, or the logo where that is asked for.
    Picture {
        /// The frozen file.
        picture: Picture,
        /// Hash of the bytes as Owncast served them, in hexadecimal.
        source: String,
        /// Why it is not the one that was asked for.
        instead: Option<String>,
    },
    /// None yet, and perhaps never.
    NoneYet {
        /// In words.
        why: String,
        /// Waiting does not help: it cannot be used.
        unusable: bool,
    },
}

/// The pictures of a stream that a setting asks for, the better one first: of a preview that other servers would not
/// take, the still one is left.
pub fn kinds(image: PostImage) -> &'static [Kind] {
    match image {
        PostImage::Thumbnail => &[Kind::Still],
        PostImage::Preview => &[Kind::Moving, Kind::Still],
        PostImage::Logo | PostImage::None => &[],
    }
}

/// Looks for the picture of a post.
///
/// # Errors
/// [`ShelfError`] when it cannot be kept.
pub async fn choose(api: &Api, shelf: &Shelf, choice: &Choice<'_>) -> Result<Chosen, ShelfError> {
    let mut none: Option<(String, bool)> = None;
    if choice.image == PostImage::Logo {
        let Some(logo) = choice.logo else {
            let why = "Owncast's logo cannot be shown".to_owned();
            return Ok(Chosen::NoneYet { why, unusable: false });
        };
        // Its name is the hash of its bytes, but for the ending.
        let source = logo.name.split('.').next().unwrap_or_default().to_owned();
        return Ok(Chosen::Picture { picture: logo.clone(), source, instead: None });
    }
    for kind in kinds(choice.image) {
        let taken = take::snapshot(api, shelf, *kind, choice.logos, &choice.age(*kind), choice.naming).await;
        let (why, unusable) = match taken {
            Ok(Snapshot::Taken { picture, source }) => {
                let instead = none.map(|(why, _)| why);
                return Ok(Chosen::Picture { picture, source: source.to_string(), instead });
            }
            Ok(Snapshot::NotYet(verdict)) => (format!("there is none of this stream yet: {verdict}"), false),
            Err(MediaError::Owncast(error)) => (error.to_string(), false),
            Err(MediaError::Picture(error)) => (error.to_string(), true),
            Err(MediaError::Shelf(error)) => return Err(error),
        };
        none = Some((why, unusable));
        // Owncast makes the moving picture a moment after the still one: that is waited for.
        if *kind == Kind::Moving && choice.up < REPLACED && !unusable {
            break;
        }
    }
    let (why, unusable) = none.unwrap_or_else(|| ("[go-live] image = \"none\"".to_owned(), false));
    Ok(Chosen::NoneYet { why, unusable })
}

impl Choice<'_> {
    fn age(&self, kind: Kind) -> Age {
        let before = match kind {
            _ if self.stood.connection != self.connected => None,
            Kind::Still => self.stood.thumbnail.as_ref(),
            Kind::Moving => self.stood.preview.as_ref(),
        };
        Age {
            first_seen: before.and_then(|before| Some((before.hash.parse().ok()?, before.early))),
            posted: self.posted.and_then(|hash| hash.parse().ok()),
            up: self.up,
        }
    }
}
