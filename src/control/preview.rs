//! The post as it would go out now. The picture is fetched and made ready as for a post, into a folder of its own.

use std::path::PathBuf;

use jiff::Timestamp;

use super::protocol::{PostPreview, PreviewPicture, Refusal, RefusalCode};
use super::{Control, wishes};
use crate::agent::effective::Effective;
use crate::config::PostImage;
use crate::decide::stream::Offer;
use crate::decide::wishes as decided;
use crate::media::freeze::{Frozen, Naming, Shelf};
use crate::media::recognise::{Hash, Verdict};
use crate::media::take::{self, Known, Snapshot};
use crate::model::View;
use crate::model::follower::{DeliveryInbox, FollowerCounts};
use crate::model::stream::Stream;
use crate::owncast::types::Picture;

/// Where the picture of the last preview is, below the store.
const FOLDER: &str = "preview";

/// The post that would be made at this moment.
pub(super) async fn preview(control: &Control, now: Timestamp) -> Result<PostPreview, Refusal> {
    let rules = wishes::rules(control)?;
    let effective = std::sync::Arc::clone(&control.effective.borrow());
    // A store that remembers more than Owncast tells is the reason for asking: without an answer it has to do.
    let answer = control.api.status().await.ok();
    let from_memory = answer.is_none();
    let title = answer.as_ref().map_or(&effective.facts.stream_title, |status| &status.stream_title).clone();
    let runs = answer.as_ref().is_some_and(|status| status.last_connect_time.is_some());
    let taken = picture(control, &effective, runs, from_memory).await?;
    let (offer, kept, no_picture) = match taken {
        Ok((frozen, file)) => {
            let bytes = frozen.bytes_len;
            // What the bytes were before they were made ready says nothing about the post.
            let offer = Offer::Real { picture: frozen.into(), source: String::new() };
            (offer, Some((file, bytes)), None)
        }
        Err(why) => (Offer::NoneYet, None, Some(why)),
    };
    let made = control.store.read(move |view| {
        let counts: FollowerCounts = view.meta();
        let post = decided::preview(view, now, &rules, &effective.facts, &title, &offer);
        PostPreview {
            text: post.text,
            html: post.content,
            title,
            from_memory,
            tags: post.tags,
            sensitive: post.sensitive,
            audience: post.audience,
            followers: counts.approved,
            inboxes: inboxes(view),
            picture: post.picture.zip(kept).map(|(picture, (file, bytes))| PreviewPicture {
                file,
                media_type: picture.media_type,
                width: picture.width,
                height: picture.height,
                bytes,
                alt: post.alt,
            }),
            no_picture,
            message_for_this_post: post.message_for_this_post,
            running: wishes::running(view, &effective),
            held: wishes::held(view, &rules, now),
        }
    });
    Ok(made.await?)
}

/// The picture in its file, or why there is none.
async fn picture(
    control: &Control,
    effective: &Effective,
    runs: bool,
    from_memory: bool,
) -> Result<Result<(Frozen, PathBuf), String>, Refusal> {
    let which = match effective.config.go_live.image {
        PostImage::Thumbnail => Picture::Thumbnail,
        PostImage::Preview => Picture::Preview,
        PostImage::Logo => Picture::LogoExternal,
        PostImage::None => return Ok(Err("[go-live] image = \"none\"".to_owned())),
    };
    if from_memory {
        return Ok(Err("Owncast does not answer".to_owned()));
    }
    if !runs && which != Picture::LogoExternal {
        return Ok(Err("no stream is running, of which there could be one".to_owned()));
    }
    let folder = effective.config.store.path.join(FOLDER);
    let scratch = folder.clone();
    let opened = tokio::task::spawn_blocking(move || {
        // The picture of the preview before; there may be none.
        let _ = std::fs::remove_dir_all(&scratch);
        Shelf::open(&scratch)
    });
    let broken = |message: String| Refusal { code: RefusalCode::Unavailable, message };
    let shelf = opened.await.map_err(|error| broken(error.to_string()))?;
    let shelf = shelf.map_err(|error| broken(error.to_string()))?;
    let stale = control.store.read(|view| view.meta::<Stream>().last_picture).await?;
    let known = Known {
        logos: take::logo_hashes(&control.api).await.unwrap_or_default(),
        previous_stream_last: stale.and_then(|hex| hex.parse::<Hash>().ok()),
    };
    let taken = take::snapshot(&control.api, &shelf, which, &known, Naming::Content).await;
    Ok(match taken {
        Ok(Snapshot::Taken { frozen, .. }) => {
            let file = shelf.path(&frozen.name);
            Ok((frozen, file))
        }
        Ok(Snapshot::NotYet(verdict)) => Err(match verdict {
            Verdict::Logo => "Owncast shows its logo in place of one so far",
            Verdict::Stale => "Owncast still shows one that has been posted before",
            Verdict::Real | Verdict::NotAPicture => "Owncast has no whole one yet",
        }
        .to_owned()),
        Err(error) => Err(error.to_string()),
    })
}

/// Inboxes that somebody follows through.
fn inboxes(view: &dyn View) -> u64 {
    let mut count = 0;
    view.scan::<DeliveryInbox>(b"", &mut |inbox| {
        count += u64::from(inbox.followers > 0);
        true
    });
    count
}
