//! Takes pictures from Owncast: a stream's picture for a post, and the logo for the profile.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::describe::{Budget, DescribeError, describe};
use super::freeze::{Frozen, Naming, Shelf, ShelfError};
use super::recognise::{Format, Hash, Verdict, judge};
use crate::owncast::types::Picture;
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
        frozen: Frozen,
        /// Hash of Owncast's bytes.
        source: Hash,
    },
    /// Something else stands there: ask again, Owncast makes one every 20 s.
    NotYet(Verdict),
}

/// What is known to be no picture of this stream.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Hashes of the logo, from [`logo_hashes`].
    pub logos: Vec<Hash>,
    /// Hash of what stood there when this stream connected, from [`current_hash`]: Owncast leaves the last frame
    /// of the stream before.
    pub previous_stream_last: Option<Hash>,
}

/// Fetches, judges and keeps the stream's picture.
///
/// # Errors
/// [`MediaError`].
pub async fn snapshot(
    api: &Api,
    shelf: &Shelf,
    picture: Picture,
    known: &Known,
    naming: Naming,
) -> Result<Snapshot, MediaError> {
    let expected = match picture {
        Picture::Thumbnail => Format::Jpeg,
        Picture::Preview => Format::Gif,
        // The logo is what it is: in the format it has, it is no stand-in for anything.
        Picture::Logo | Picture::LogoExternal => {
            let bytes = api.picture(picture).await?.bytes;
            let source = Hash::of(&bytes);
            return Ok(Snapshot::Taken { frozen: keep(shelf, bytes, Budget::POST, naming).await?, source });
        }
    };
    let bytes = api.picture(picture).await?.bytes;
    match judge(&bytes, expected, &known.logos, known.previous_stream_last) {
        Verdict::Real => {
            let source = Hash::of(&bytes);
            Ok(Snapshot::Taken { frozen: keep(shelf, bytes, Budget::POST, naming).await?, source })
        }
        verdict => Ok(Snapshot::NotYet(verdict)),
    }
}

/// Hash of what Owncast serves there now.
///
/// # Errors
/// [`OwncastError`].
pub async fn current_hash(api: &Api, picture: Picture) -> Result<Hash, OwncastError> {
    Ok(Hash::of(&api.picture(picture).await?.bytes))
}

/// Hashes of the logo in both forms: either may stand in for a thumbnail.
///
/// # Errors
/// [`OwncastError`].
pub async fn logo_hashes(api: &Api) -> Result<Vec<Hash>, OwncastError> {
    let (own, external) =
        tokio::try_join!(current_hash(api, Picture::Logo), current_hash(api, Picture::LogoExternal))?;
    Ok(if own == external { vec![own] } else { vec![own, external] })
}

/// The actor's picture: a kept copy of Owncast's logo. Its name follows its bytes, so that a new logo gets a new
/// address and peers fetch it; Owncast's own file name stays the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfilePicture {
    /// Hash of Owncast's bytes.
    pub source: Hash,
    /// The kept copy.
    pub frozen: Frozen,
}

/// Looks at the logo again; `None` when it is the `known` one and still kept. The old copy stays, because peers may
/// still show its address.
///
/// # Errors
/// [`MediaError`].
pub async fn profile_picture(
    api: &Api,
    shelf: &Shelf,
    known: Option<&ProfilePicture>,
) -> Result<Option<ProfilePicture>, MediaError> {
    let bytes = api.picture(Picture::LogoExternal).await?.bytes;
    let source = Hash::of(&bytes);
    if known.is_some_and(|known| known.source == source && shelf.holds(&known.frozen.name)) {
        return Ok(None);
    }
    let frozen = keep(shelf, bytes, Budget::PROFILE, Naming::Content).await?;
    Ok(Some(ProfilePicture { source, frozen }))
}

/// Describes and freezes off the runtime's threads. A decoder's panic counts as a damaged picture.
async fn keep(shelf: &Shelf, bytes: Bytes, budget: Budget, naming: Naming) -> Result<Frozen, MediaError> {
    let shelf = shelf.clone();
    let kept = tokio::task::spawn_blocking(move || -> Result<Frozen, MediaError> {
        Ok(shelf.freeze(&describe(&bytes, budget)?, naming)?)
    });
    kept.await.map_err(|_| DescribeError::Broken("its decoder gave up".to_owned()))?
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use image::ImageFormat;

    use super::*;
    use crate::media::testing::{encoded, flat, gradient};
    use crate::owncast::testing::{Reply, Server};

    /// An Owncast whose logo and thumbnail can be changed.
    async fn owncast() -> (Server, Api, Arc<Mutex<[Bytes; 2]>>) {
        let logo = encoded(&flat(600, 600, [9, 9, 9, 0]), ImageFormat::Png);
        let pictures = Arc::new(Mutex::new([logo.clone(), logo]));
        let inner = pictures.clone();
        let server = Server::start(move |request| {
            let [logo, thumbnail] = inner.lock().unwrap().clone();
            let bytes = if request.target.starts_with("/logo") { logo } else { thumbnail };
            Reply::Answer(200, "image/jpeg", bytes.to_vec())
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
        let known =
            Known { logos: logo_hashes(&api).await.unwrap(), previous_stream_last: Some(Hash::of(&old)) };
        assert_eq!(known.logos.len(), 1);
        let take = || snapshot(&api, &shelf, Picture::Thumbnail, &known, Naming::Content);
        let show = |bytes: &Bytes| pictures.lock().unwrap()[1] = bytes.clone();

        assert_eq!(take().await.unwrap(), Snapshot::NotYet(Verdict::Logo));
        show(&old);
        assert_eq!(take().await.unwrap(), Snapshot::NotYet(Verdict::Stale));
        show(&new.slice(..new.len() - 9));
        assert_eq!(take().await.unwrap(), Snapshot::NotYet(Verdict::NotAPicture));
        show(&new);
        let Snapshot::Taken { frozen, source } = take().await.unwrap() else { panic!() };
        assert_eq!((frozen.width, frozen.height), (320, 180));
        assert_eq!(source, current_hash(&api, Picture::Thumbnail).await.unwrap());
        assert_eq!(shelf.read(&frozen.name).unwrap().unwrap().0, new);
    }

    #[tokio::test]
    async fn a_new_logo_gets_a_new_name() {
        let (_server, api, pictures) = owncast().await;
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(store.path()).unwrap();
        let first = profile_picture(&api, &shelf, None).await.unwrap().unwrap();
        assert_eq!((first.frozen.width, first.frozen.media_type.as_str()), (512, "image/png"));
        assert_eq!(profile_picture(&api, &shelf, Some(&first)).await.unwrap(), None);

        shelf.remove(&first.frozen.name).unwrap();
        assert_eq!(profile_picture(&api, &shelf, Some(&first)).await.unwrap().as_ref(), Some(&first));

        pictures.lock().unwrap()[0] = encoded(&gradient(100, 100), ImageFormat::Png);
        let second = profile_picture(&api, &shelf, Some(&first)).await.unwrap().unwrap();
        assert_ne!(second.frozen.name, first.frozen.name);
        assert!(shelf.holds(&first.frozen.name));

        pictures.lock().unwrap()[0] = Bytes::from_static(b"<svg/>");
        let unusable = profile_picture(&api, &shelf, Some(&second)).await.unwrap_err();
        assert!(matches!(unusable, MediaError::Picture(DescribeError::Unsupported(Format::Svg))));
    }
}
