//! Takes pictures from Owncast: a stream's picture for a post, and the logo for the profile.

use super::describe::{Budget, DescribeError, Described, describe, describe_moving};
use super::freeze::{Frozen, Naming, Shelf, ShelfError};
use super::recognise::{Age, Format, Hash, Verdict, judge};
use crate::model::post::{Picture, Shows};
use crate::owncast::types::Picture as Source;
use crate::owncast::{Api, OwncastError};

/// Why there is no picture; a post goes out without one then.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// Owncast could not be asked.
    #[error(transparent)]
    Owncast(#[from] OwncastError),
    /// The picture cannot be used.
    #[error(transparent)]
    Picture(#[from] DescribeError),
    /// The folder failed.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
}

/// What a try for a stream's picture brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snapshot {
    /// A picture of this stream, kept.
    Taken {
        /// The kept copy.
        picture: Picture,
        /// Hash of Owncast's bytes.
        source: Hash,
    },
    /// Something else stands there: ask again, Owncast makes one every 20 s.
    NotYet(Verdict),
}

/// Which picture of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `/thumbnail.jpg`.
    Still,
    /// `/preview.gif`.
    Moving,
}

impl Kind {
    fn source(self) -> Source {
        match self {
            Kind::Still => Source::Thumbnail,
            Kind::Moving => Source::Preview,
        }
    }
}

/// Fetches, judges and keeps a picture of the running stream. `logos` are from [`logo`].
///
/// # Errors
/// [`MediaError`].
pub async fn snapshot(
    api: &Api,
    shelf: &Shelf,
    kind: Kind,
    logos: &[Hash],
    age: &Age,
    naming: Naming,
) -> Result<Snapshot, MediaError> {
    let bytes = api.picture(kind.source()).await?.bytes;
    let (expected, shows) = match kind {
        Kind::Still => (Format::Jpeg, Shows::Still),
        Kind::Moving => (Format::Gif, Shows::Preview),
    };
    match judge(&bytes, expected, logos, age) {
        Verdict::Real => {
            let source = Hash::of(&bytes);
            let frozen = keep(shelf, naming, move || match kind {
                Kind::Still => describe(&bytes, Budget::POST),
                Kind::Moving => describe_moving(&bytes),
            });
            Ok(Snapshot::Taken { picture: frozen.await?.into_picture(shows), source })
        }
        verdict => Ok(Snapshot::NotYet(verdict)),
    }
}

/// Hash of what Owncast serves there now.
///
/// # Errors
/// [`OwncastError`].
pub async fn current_hash(api: &Api, kind: Kind) -> Result<Hash, OwncastError> {
    Ok(Hash::of(&api.picture(kind.source()).await?.bytes))
}

/// Owncast's logo, looked at.
#[derive(Debug)]
pub struct Logo {
    /// Hashes of both forms: either may stand in for a thumbnail.
    pub hashes: Vec<Hash>,
    /// A kept copy for the profile. Its name follows its bytes, so that a new logo gets a new address and peers fetch it;
    /// Owncast's own file name stays the same.
    pub picture: Result<Picture, DescribeError>,
}

/// Looks at the logo again; `None` when its bytes are those of `known`. Old copies stay, because peers may still show
/// their addresses.
///
/// # Errors
/// [`MediaError`]; a logo that cannot be shown is none.
pub async fn logo(api: &Api, shelf: &Shelf, known: &[Hash]) -> Result<Option<Logo>, MediaError> {
    let (own, external) = tokio::try_join!(api.picture(Source::Logo), api.picture(Source::LogoExternal))?;
    let mut hashes = vec![Hash::of(&own.bytes), Hash::of(&external.bytes)];
    hashes.dedup();
    if hashes == known {
        return Ok(None);
    }
    let picture = match keep(shelf, Naming::Content, move || describe(&external.bytes, Budget::PROFILE)).await
    {
        Ok(frozen) => Ok(frozen.into_picture(Shows::Logo)),
        Err(MediaError::Picture(problem)) => Err(problem),
        Err(other) => return Err(other),
    };
    Ok(Some(Logo { hashes, picture }))
}

/// Describes and freezes off the runtime's threads. A decoder's panic counts as a damaged picture.
async fn keep(
    shelf: &Shelf,
    naming: Naming,
    describe: impl FnOnce() -> Result<Described, DescribeError> + Send + 'static,
) -> Result<Frozen, MediaError> {
    let shelf = shelf.clone();
    let kept = tokio::task::spawn_blocking(move || -> Result<Frozen, MediaError> {
        Ok(shelf.freeze(&describe()?, naming)?)
    });
    kept.await.map_err(|_| DescribeError::Broken("its decoder gave up".to_owned()))?
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use image::ImageFormat;

    use super::*;
    use crate::media::freeze::Found;
    use crate::media::testing::{encoded, flat, gradient, moving};
    use crate::owncast::testing::{Reply, Server};

    /// An Owncast whose logo and stream picture can be changed; empty bytes are not there.
    async fn owncast() -> (Server, Api, Arc<Mutex<[Bytes; 2]>>) {
        let logo = encoded(&flat(600, 600, [9, 9, 9, 0]), ImageFormat::Png);
        let pictures = Arc::new(Mutex::new([logo.clone(), logo]));
        let inner = pictures.clone();
        let server = Server::start(move |request| {
            let [logo, picture] = inner.lock().unwrap().clone();
            let bytes = if request.target.starts_with("/logo") { logo } else { picture };
            let status = if bytes.is_empty() { 404 } else { 200 };
            Reply::Answer(status, "image/jpeg", bytes.to_vec())
        })
        .await;
        let api = Api::new(server.url.clone(), "admin".to_owned(), "x").unwrap();
        (server, api, pictures)
    }

    #[tokio::test]
    async fn a_snapshot_waits_for_this_streams_first_frame() {
        let (_server, api, pictures) = owncast().await;
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(store.path()).unwrap();
        let old = encoded(&gradient(640, 360), ImageFormat::Jpeg);
        let new = encoded(&gradient(320, 180), ImageFormat::Jpeg);
        let logos = logo(&api, &shelf, &[]).await.unwrap().unwrap().hashes;
        assert_eq!(logos.len(), 1);
        let age = Age { first_seen: Some((Hash::of(&old), true)), ..Age::default() };
        let take = || snapshot(&api, &shelf, Kind::Still, &logos, &age, Naming::Content);
        let show = |bytes: &Bytes| pictures.lock().unwrap()[1] = bytes.clone();

        assert_eq!(take().await.unwrap(), Snapshot::NotYet(Verdict::Logo));
        show(&old);
        assert_eq!(take().await.unwrap(), Snapshot::NotYet(Verdict::Stale));
        show(&new.slice(..new.len() - 9));
        assert_eq!(take().await.unwrap(), Snapshot::NotYet(Verdict::NotAPicture));
        show(&Bytes::new());
        assert!(matches!(take().await, Err(MediaError::Owncast(_))));
        show(&new);
        let Snapshot::Taken { picture, source } = take().await.unwrap() else { panic!() };
        assert_eq!((picture.width, picture.height, picture.shows), (320, 180, Shows::Still));
        assert_eq!(source, current_hash(&api, Kind::Still).await.unwrap());
        assert!(matches!(shelf.read(&picture.name).unwrap(), Found::Picture(bytes, _) if bytes == new));
    }

    #[tokio::test]
    async fn a_preview_moves_or_is_refused() {
        let (_server, api, pictures) = owncast().await;
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(store.path()).unwrap();
        let age = Age { first_seen: Some((Hash::of(b"before"), true)), ..Age::default() };
        let take = || snapshot(&api, &shelf, Kind::Moving, &[], &age, Naming::Unguessable([7; 32]));
        let show = |bytes: Bytes| pictures.lock().unwrap()[1] = bytes;

        show(moving(160, 90, 3));
        let Snapshot::Taken { picture, .. } = take().await.unwrap() else { panic!() };
        assert_eq!((picture.media_type.as_str(), picture.shows), ("image/gif", Shows::Preview));
        assert_eq!(picture.name, format!("{}.gif", "07".repeat(32)));
        show(moving(1300, 720, 1));
        let refused = take().await.unwrap_err();
        assert!(matches!(refused, MediaError::Picture(DescribeError::TooLargeToMove)), "{refused}");
    }

    #[tokio::test]
    async fn a_new_logo_gets_a_new_name() {
        let (_server, api, pictures) = owncast().await;
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(store.path()).unwrap();
        let show = |bytes: Bytes| pictures.lock().unwrap()[0] = bytes;
        let first = logo(&api, &shelf, &[]).await.unwrap().unwrap();
        let shown = first.picture.unwrap();
        assert_eq!((shown.width, shown.media_type.as_str(), shown.shows), (512, "image/png", Shows::Logo));
        assert!(logo(&api, &shelf, &first.hashes).await.unwrap().is_none());

        show(encoded(&gradient(100, 100), ImageFormat::Png));
        let second = logo(&api, &shelf, &first.hashes).await.unwrap().unwrap();
        assert_ne!(second.picture.unwrap().name, shown.name);
        assert!(shelf.holds(&shown.name));

        // Moving, drawn by rules, far too large, torn: none of them stops anything.
        show(moving(100, 100, 2));
        let still = logo(&api, &shelf, &second.hashes).await.unwrap().unwrap().picture.unwrap();
        assert_eq!(still.media_type, "image/jpeg");
        let whole = encoded(&gradient(100, 100), ImageFormat::Png);
        for (bytes, problem) in [
            (Bytes::from_static(b"<svg/>"), "format that is not supported"),
            (encoded(&flat(9000, 1, [1, 2, 3, 255]), ImageFormat::Png), "too large"),
            (whole.slice(..whole.len() / 2), "damaged"),
        ] {
            show(bytes);
            let looked = logo(&api, &shelf, &second.hashes).await.unwrap().unwrap();
            assert!(looked.picture.unwrap_err().to_string().contains(problem), "{problem}");
        }
    }
}
