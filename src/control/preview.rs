//! The post as it would go out now. The picture is fetched and made ready as for a post, into a folder of its own.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::protocol::{PostPreview, PreviewPicture, Refusal, RefusalCode};
use super::{Control, wishes};
use crate::agent::effective::Effective;
use crate::decide::stream::Offer;
use crate::decide::{publish, wishes as decided};
use crate::media::choose::{Choice, Chosen, choose, kinds};
use crate::media::freeze::{Naming, Shelf};
use crate::media::take;
use crate::model::View;
use crate::model::follower::{DeliveryInbox, FollowerCounts};
use crate::model::post::Picture;
use crate::model::stood::Stood;
use crate::model::stream::Stream;
use crate::owncast::types::Status;

/// Where the picture of the last preview is, below the store.
const FOLDER: &str = "preview";

/// The post that would be made at this moment.
pub(super) async fn preview(control: &Control, now: Timestamp) -> Result<PostPreview, Refusal> {
    let rules = wishes::rules(control)?;
    let effective = Arc::clone(&control.effective.borrow());
    // Without an answer, what Owncast said last has to do.
    let status = control.api.status().await.ok();
    let from_memory = status.is_none();
    let title = status.as_ref().map_or(&effective.facts.stream_title, |status| &status.stream_title).clone();
    let (offer, file, no_picture) = match picture(control, &effective, status.as_ref()).await? {
        Ok((picture, file)) => (Offer::Real { picture, source: String::new() }, Some(file), None),
        Err(why) => (Offer::NoneYet, None, Some(why)),
    };
    let made = control.store.read(move |view| {
        let counts: FollowerCounts = view.meta();
        let post = decided::preview(view, now, &rules, &effective.facts, &title, &offer);
        let shown = post.picture.zip(file).map(|(picture, file)| PreviewPicture {
            bytes: std::fs::metadata(&file).map_or(0, |file| file.len()),
            file,
            media_type: picture.media_type,
            width: picture.width,
            height: picture.height,
            alt: post.alt,
        });
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
            picture: shown,
            no_picture,
            message_for_this_post: post.message_for_this_post,
            running: wishes::running(view, &effective),
            held: wishes::held(view, &rules, now),
        }
    });
    Ok(made.await?)
}

/// The picture and its file, or why there is none.
async fn picture(
    control: &Control,
    effective: &Effective,
    status: Option<&Status>,
) -> Result<Result<(Picture, PathBuf), String>, Refusal> {
    let image = effective.config.go_live.image;
    let Some(status) = status else { return Ok(Err("Owncast does not answer".to_owned())) };
    let of_the_stream = !kinds(image).is_empty();
    if of_the_stream && status.last_connect_time.is_none() {
        return Ok(Err("no stream is running, of which there could be one".to_owned()));
    }
    let broken = |message: String| Refusal { code: RefusalCode::Unavailable, message };
    let folder = effective.config.store.path.clone();
    let opened = tokio::task::spawn_blocking(move || {
        if !of_the_stream {
            return Shelf::open(&folder);
        }
        let scratch = folder.join(FOLDER);
        // The picture of the preview before; there may be none.
        let _ = std::fs::remove_dir_all(&scratch);
        Shelf::open(&scratch)
    });
    let shelf = opened.await.map_err(|error| broken(error.to_string()))?;
    let shelf = shelf.map_err(|error| broken(error.to_string()))?;
    let logos = match of_the_stream {
        true => take::logo(&control.api, &shelf, &[]).await.ok().flatten().map(|logo| logo.hashes),
        false => None,
    };
    let (stood, posted) =
        control.store.read(|view| (view.meta::<Stood>(), view.meta::<Stream>().last_picture)).await?;
    let choice = Choice {
        image,
        logo: effective.facts.logo.as_ref(),
        logos: logos.as_deref().unwrap_or_default(),
        stood: &stood,
        posted: posted.as_deref(),
        connected: status.last_connect_time,
        up: status
            .last_connect_time
            .map_or_else(Default::default, |at| publish::lasted(at, status.server_time)),
        naming: Naming::Content,
    };
    Ok(match choose(&control.api, &shelf, &choice).await {
        Ok(Chosen::Picture { picture, .. }) => {
            let file = shelf.path(&picture.name);
            Ok((picture, file))
        }
        Ok(Chosen::NoneYet { why, .. }) => Err(why),
        Err(error) => return Err(broken(error.to_string())),
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
