//! Posts as a server keeps them: made by Create, changed by Update, ended by Delete.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::judge::{self, object_id};
use super::state::{Inner, KEPT, State};
use super::violation::{Fault, Rule};

const MEDIA_LIMIT: usize = 8 << 20;

/// A picture of a post, fetched when the post arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaSeen {
    /// Its address.
    pub url: String,
    /// `mediaType` of the attachment.
    pub declared: Option<String>,
    /// Whether the fetch is over, well or not.
    pub fetched: bool,
    /// HTTP status; none if there was no answer.
    pub status: Option<u16>,
    /// `Content-Type` of the answer.
    pub content_type: String,
    /// Media type by the first bytes, for JPEG, PNG, GIF and WebP.
    pub recognised: Option<&'static str>,
    /// The bytes, at most 8 MiB.
    pub bytes: Bytes,
}

/// A post as one server shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct PostSeen {
    /// The note's id.
    pub note: String,
    /// Its author's actor id.
    pub author: String,
    /// The Create activity's id; none if the note was fetched for a like or boost.
    pub create: Option<String>,
    /// When it arrived, by the system's clock.
    pub at: Timestamp,
    /// The HTML as shown now.
    pub html: String,
    /// The note object as last taken.
    pub object: Value,
    /// `to` and `cc` of the Create.
    pub audience: (Vec<String>, Vec<String>),
    /// Pictures.
    pub media: Vec<MediaSeen>,
    /// HTML of earlier versions, oldest first; its length is the number of edits shown.
    pub edits: Vec<String>,
    /// Whether it was deleted here.
    pub deleted: bool,
}

/// Media type by the first bytes.
fn recognise(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field).and_then(Value::as_str)
}

fn attachments(note: &Value) -> Vec<MediaSeen> {
    let list = note.get("attachment").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|item| MediaSeen {
            url: text(item, "url").unwrap_or_default().to_owned(),
            declared: text(item, "mediaType").map(str::to_owned),
            ..MediaSeen::default()
        })
        .collect()
}

impl PostSeen {
    /// A post from its note object.
    pub(crate) fn new(note: &Value, activity: Option<&Value>) -> PostSeen {
        PostSeen {
            note: text(note, "id").unwrap_or_default().to_owned(),
            author: text(note, "attributedTo").unwrap_or_default().to_owned(),
            create: activity.and_then(|activity| text(activity, "id")).map(str::to_owned),
            at: Timestamp::now(),
            html: text(note, "content").unwrap_or_default().to_owned(),
            audience: judge::audience(activity.unwrap_or(note)),
            media: attachments(note),
            object: note.clone(),
            edits: Vec::new(),
            deleted: false,
        }
    }
}

/// Applies a Create. Gives the note's id if its pictures are to be fetched.
pub(crate) fn create(state: &mut State, body: &Value) -> Option<String> {
    let id = text(body, "id").unwrap_or_default();
    let note = body.get("object").filter(|object| object.is_object())?;
    for fault in judge::note(body, note) {
        state.blame(id, fault);
    }
    let note_id = text(note, "id")?.to_owned();
    if let Some(known) = state.posts.iter_mut().find(|post| post.note == note_id) {
        // Fetched for a boost before: this is its first delivery.
        if known.create.is_none() && !known.deleted {
            known.create = Some(id.to_owned());
            return None;
        }
        let rule = if known.deleted { Rule::Resurrected } else { Rule::RepeatedCreate };
        let before = known.create.clone().unwrap_or_default();
        state.blame(id, Fault::new(rule, format!("{note_id} came before, by {before}")));
        return None;
    }
    let url = text(note, "url");
    if state.posts.iter().any(|post| url.is_some() && text(&post.object, "url") == url) {
        state.blame(id, Fault::new(Rule::NoteUrl, format!("url {url:?} is that of an earlier note")));
    }
    if state.posts.len() >= KEPT {
        state.posts.remove(0);
    }
    state.posts.push(PostSeen::new(note, Some(body)));
    Some(note_id)
}

/// Applies an Update of a note. Gives the note's id if new pictures are to be fetched.
pub(crate) fn update(state: &mut State, body: &Value, edits_notes: bool) -> Option<String> {
    let id = text(body, "id").unwrap_or_default();
    let note = body.get("object").filter(|object| object.is_object())?;
    for fault in judge::note(body, note) {
        state.blame(id, fault);
    }
    let note_id = text(note, "id")?.to_owned();
    let in_doubt = state.in_doubt;
    let Some(post) = state.posts.iter_mut().find(|post| post.note == note_id) else {
        if !in_doubt {
            state.blame(id, Fault::new(Rule::UnknownUpdate, format!("{note_id} was never delivered here")));
        }
        return None;
    };
    let mut faults = Vec::new();
    if post.deleted {
        faults.push(Fault::new(Rule::Resurrected, format!("{note_id} was deleted")));
    }
    if text(note, "updated").is_none() {
        faults.push(Fault::new(Rule::UpdateShape, "there is no updated"));
    }
    for field in ["published", "attributedTo"] {
        if text(note, field) != text(&post.object, field) {
            faults.push(Fault::new(Rule::UpdateShape, format!("{field} changed")));
        }
    }
    if judge::audience(body) != post.audience {
        faults.push(Fault::new(Rule::UpdateShape, "the audience changed"));
    }
    let stamp = |object: &Value| {
        let at = text(object, "updated").or(text(object, "published"));
        at.and_then(|at| at.parse::<Timestamp>().ok())
    };
    let newer = stamp(note) > stamp(&post.object);
    if !post.deleted && edits_notes && newer {
        let html = text(note, "content").unwrap_or_default().to_owned();
        // Mastodon writes history only when something to be seen changed.
        if html != post.html {
            post.edits.push(std::mem::replace(&mut post.html, html));
        }
        let media = attachments(note);
        let same = |a: &MediaSeen, b: &MediaSeen| a.url == b.url;
        let changed =
            media.len() != post.media.len() || !media.iter().zip(&post.media).all(|(a, b)| same(a, b));
        if changed {
            post.media = media;
        }
        post.object = note.clone();
        for fault in faults {
            state.blame(id, fault);
        }
        return changed.then_some(note_id);
    }
    for fault in faults {
        state.blame(id, fault);
    }
    None
}

/// Applies a Delete of a note.
pub(crate) fn delete(state: &mut State, body: &Value) {
    let id = text(body, "id").unwrap_or_default();
    let actor = text(body, "actor").unwrap_or_default();
    let note_id = object_id(body).unwrap_or_default();
    let in_doubt = state.in_doubt;
    let Some(post) = state.posts.iter_mut().find(|post| post.note == note_id && post.author == actor) else {
        if !in_doubt {
            state.blame(id, Fault::new(Rule::UnknownDelete, format!("{note_id} was never delivered here")));
        }
        return;
    };
    post.deleted = true;
    let delivered = post.create.is_some();
    if delivered && judge::audience(body) != post.audience {
        state.blame(id, Fault::new(Rule::Audience, "the Delete does not repeat the post's to and cc"));
    }
}

/// Fetches a post's pictures that were not fetched yet, at once, as Mastodon does.
pub(crate) async fn fetch_media(inner: Arc<Inner>, note: String) {
    let waiting: Vec<MediaSeen> = {
        let state = inner.lock();
        let post = state.posts.iter().find(|post| post.note == note);
        post.map(|post| post.media.iter().filter(|media| !media.fetched).cloned().collect())
            .unwrap_or_default()
    };
    for mut media in waiting {
        let mut why = None;
        match inner.get(&media.url, "*/*", MEDIA_LIMIT).await {
            Ok(fetched) => {
                media.status = Some(fetched.status);
                media.content_type = fetched.content_type;
                media.recognised = recognise(&fetched.body);
                media.bytes = fetched.body;
            }
            Err(error) => why = Some(error.to_string()),
        }
        media.fetched = true;
        let kind = media.content_type.split(';').next().unwrap_or_default().trim();
        let declared = media.declared.as_deref();
        if why.is_none() && media.status != Some(200) {
            why = Some(format!("answered {:?}", media.status));
        } else if why.is_none()
            && (declared.is_none() || media.recognised != declared || Some(kind) != declared)
        {
            why = Some(format!(
                "mediaType {declared:?}, served as {kind:?}, by its bytes {:?}",
                media.recognised
            ));
        }
        inner.update(|state| {
            if let Some(why) = why {
                state.blame(&media.url, Fault::new(Rule::Media, why));
            }
            let post = state.posts.iter_mut().find(|post| post.note == note);
            let place = post.and_then(|post| post.media.iter_mut().find(|m| m.url == media.url));
            if let Some(place) = place {
                *place = media;
            }
        });
    }
}
