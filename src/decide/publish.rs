//! Posts become activities: made, edited, deleted, each with its recipients fixed in the same batch.

use std::time::Duration;

use jiff::Timestamp;
use ulid::Ulid;

use super::seen::later;
use super::{Moment, Rules};
use crate::activitypub::{html, vocab};
use crate::model::delivery::{Attempt, CHUNK_SIZE, InboxState, Outgoing, OutgoingKind, Target, chunk_key};
use crate::model::engagement::{Engagement, engagement_prefix};
use crate::model::facts::Facts;
use crate::model::follower::{DeliveryInbox, NextInbox};
use crate::model::post::{Picture, Post, PostState};
use crate::model::record::{full_key, kind};
use crate::model::{Draft, View};

/// The language posts are marked with: Mastodon and GoToSocial take it from the content map.
pub const LANGUAGE: &str = "en";
/// A go-live post is not worth sending longer than this, even if the stream still runs.
const CREATE_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Edits and removals are tried for this long.
const EDIT_LIFE: Duration = Duration::from_secs(3 * 24 * 3600);
/// Inboxes of people who liked or shared that get an edit besides the recipients of the post.
const ENGAGED_INBOXES: usize = 2000;

/// Makes the post of a session and queues it to every distinct inbox.
pub fn announce(
    draft: &mut Draft<'_>,
    moment: &mut Moment,
    rules: &Rules,
    facts: &Facts,
    session: Ulid,
    title: &str,
    picture: Option<Picture>,
) -> Post {
    let (id, create) = (moment.ulid(), moment.ulid());
    let tags = html::hashtags(&facts.tags, title);
    let content = content(rules, facts, title, &tags);
    let post = Post {
        id,
        session,
        published: moment.now,
        updated: None,
        content: content.clone(),
        live_content: content,
        tags,
        title: title.to_owned(),
        sensitive: facts.nsfw,
        audience: rules.audience,
        alt: alt_text(facts, title),
        picture,
        state: PostState::Live,
        over: None,
        create,
        edits: 0,
        likes: 0,
        shares: 0,
    };
    draft.put(&post);
    let body = vocab::note::create(&rules.addresses, &post, LANGUAGE);
    let next: NextInbox = draft.view().meta();
    let chunks = next.next.div_ceil(CHUNK_SIZE);
    fan_out(draft, create, next.next);
    draft.put(&Outgoing {
        id: create,
        kind: OutgoingKind::Create,
        post: Some(id),
        body: body.to_string(),
        target: Target::Everybody,
        created: moment.now,
        expires: later(moment.now, CREATE_LIFE),
        chunks,
        cursor: 0,
    });
    post
}

/// The text of a post whose stream runs, from the operator's or Owncast's message.
fn content(rules: &Rules, facts: &Facts, title: &str, tags: &[String]) -> String {
    html::go_live_content(
        rules.message.as_deref().unwrap_or_default(),
        &html::GoLive {
            name: &facts.name,
            title,
            summary: &facts.summary,
            url: &rules.addresses.watch_page(),
            tags,
        },
    )
}

fn alt_text(facts: &Facts, title: &str) -> String {
    match title {
        "" => format!("A still of the live stream {}", facts.name),
        title => format!("A still of the live stream {}: {title}", facts.name),
    }
}

/// Gives the post of a running stream its new title.
pub fn retitle(
    draft: &mut Draft<'_>,
    moment: &mut Moment,
    rules: &Rules,
    facts: &Facts,
    mut post: Post,
    title: &str,
) {
    post.tags = html::hashtags(&facts.tags, title);
    post.live_content = content(rules, facts, title, &post.tags);
    post.content = post.live_content.clone();
    title.clone_into(&mut post.title);
    post.edits += 1;
    edit(draft, moment, rules, post);
}

/// Says in the post that the stream is over and how long it ran.
pub fn end(draft: &mut Draft<'_>, moment: &mut Moment, rules: &Rules, mut post: Post, lasted: Duration) {
    post.content = html::ended_content(&post.live_content, lasted);
    post.state = PostState::Ended;
    post.over = Some(moment.now);
    edit(draft, moment, rules, post);
}

/// Marks a post as over without telling anybody.
pub fn end_quietly(draft: &mut Draft<'_>, moment: &Moment, mut post: Post) {
    post.state = PostState::Ended;
    post.over = Some(moment.now);
    draft.put(&post);
}

/// The stream came back: the post says live again.
pub fn resume(draft: &mut Draft<'_>, moment: &mut Moment, rules: &Rules, mut post: Post) {
    post.state = PostState::Live;
    post.over = None;
    // An operator who keeps posts as they are at the end has nothing to take back.
    if post.content == post.live_content {
        draft.put(&post);
        return;
    }
    post.content = post.live_content.clone();
    edit(draft, moment, rules, post);
}

/// Deletes a post everywhere it may have come to.
pub fn delete(draft: &mut Draft<'_>, moment: &mut Moment, rules: &Rules, mut post: Post) {
    post.state = PostState::Deleted;
    post.over = Some(moment.now);
    let id = moment.ulid();
    let body = vocab::note::delete(&rules.addresses, &post, id);
    draft.put(&post);
    send_on(draft, moment, id, OutgoingKind::Delete, &post, body.to_string());
}

/// Stores an edited post and queues its Update. What has not been sent of the Create yet is sent in the new words.
fn edit(draft: &mut Draft<'_>, moment: &mut Moment, rules: &Rules, mut post: Post) {
    let updated = edited_at(&post, moment.now);
    post.updated = Some(updated);
    draft.put(&post);
    if let Some(mut create) = draft.view().get::<Outgoing>(&post.create.to_bytes()) {
        create.body = vocab::note::create(&rules.addresses, &post, LANGUAGE).to_string();
        draft.put(&create);
    }
    let id = moment.ulid();
    let body = vocab::note::update(&rules.addresses, &post, id, updated, LANGUAGE);
    send_on(draft, moment, id, OutgoingKind::Update, &post, body.to_string());
}

/// The date of an edit. Dates are sent in whole seconds, and Mastodon takes an edit only if it is dated later than what
/// it has: an edit within the same second is dated into the next one.
fn edited_at(post: &Post, now: Timestamp) -> Timestamp {
    let last = post.updated.unwrap_or(post.published);
    now.max(Timestamp::from_second(last.as_second().saturating_add(1)).unwrap_or(last))
}

/// Queues an activity about a post to whoever may have the post, and to those who liked or shared it.
fn send_on(draft: &mut Draft<'_>, moment: &Moment, id: Ulid, kind: OutgoingKind, post: &Post, body: String) {
    let create: Option<Outgoing> = draft.view().get(&post.create.to_bytes());
    let chunks = create.as_ref().map_or(0, |create| create.chunks);
    let mut reached_inboxes = std::collections::BTreeSet::new();
    for chunk in 0..chunks {
        let Some(states) = draft.view().get_bytes(&full_key(kind::CHUNK, &chunk_key(post.create, chunk)))
        else {
            continue;
        };
        for (index, &byte) in states.iter().enumerate() {
            if byte != InboxState::None as u8 {
                let number = chunk * CHUNK_SIZE + u32::try_from(index).unwrap_or(0);
                let inbox: Option<DeliveryInbox> = draft.view().get(&number.to_be_bytes());
                reached_inboxes.extend(inbox.map(|inbox| inbox.url));
            }
        }
        let waiting = states
            .iter()
            .map(|&byte| if byte == InboxState::None as u8 { byte } else { InboxState::Waiting as u8 })
            .collect();
        draft.put_raw(kind::CHUNK, &chunk_key(id, chunk), waiting);
    }
    if chunks > 0 {
        draft.put_raw(kind::FANOUT, &id.to_bytes(), Vec::new());
    }
    let mut engaged = std::collections::BTreeSet::new();
    draft.view().scan::<Engagement>(&engagement_prefix(Some(post.id)), &mut |engagement| {
        if !reached_inboxes.contains(&engagement.inbox) {
            engaged.insert(engagement.inbox);
        }
        engaged.len() < ENGAGED_INBOXES
    });
    draft.put(&Outgoing {
        id,
        kind,
        post: Some(post.id),
        body,
        target: Target::ReachedBy(post.create),
        created: moment.now,
        expires: later(moment.now, EDIT_LIFE),
        chunks,
        cursor: 0,
    });
    for inbox in engaged {
        draft.put(&Attempt {
            due: moment.now,
            outgoing: id,
            inbox,
            number: None,
            tries: 0,
            uncertain: false,
        });
    }
}

/// The state byte of every inbox number: waiting where somebody follows through it.
fn recipients(view: &dyn View, numbers: u32) -> Vec<u8> {
    let mut states = vec![InboxState::None as u8; numbers as usize];
    view.scan::<DeliveryInbox>(b"", &mut |inbox| {
        if inbox.followers > 0
            && let Some(state) = states.get_mut(inbox.number as usize)
        {
            *state = InboxState::Waiting as u8;
        }
        true
    });
    states
}

/// Writes the state bytes of a fan-out to everybody, and that its first pass is to be done.
fn fan_out(draft: &mut Draft<'_>, outgoing: Ulid, numbers: u32) {
    let states = recipients(draft.view(), numbers);
    for (states, chunk) in states.chunks(CHUNK_SIZE as usize).zip(0u32..) {
        draft.put_raw(kind::CHUNK, &chunk_key(outgoing, chunk), states.to_vec());
    }
    if numbers > 0 {
        draft.put_raw(kind::FANOUT, &outgoing.to_bytes(), Vec::new());
    }
}

/// Queues the actor's own document to every distinct inbox: something about it has changed.
pub fn actor_changed(draft: &mut Draft<'_>, moment: &mut Moment, body: impl FnOnce(Ulid) -> String) {
    let id = moment.ulid();
    let next: NextInbox = draft.view().meta();
    fan_out(draft, id, next.next);
    draft.put(&Outgoing {
        id,
        kind: OutgoingKind::ActorUpdate,
        post: None,
        body: body(id),
        target: Target::Everybody,
        created: moment.now,
        expires: later(moment.now, EDIT_LIFE),
        chunks: next.next.div_ceil(CHUNK_SIZE),
        cursor: 0,
    });
}

/// How long a stream ran, never negative however clocks were set.
pub fn lasted(started: Timestamp, gone: Timestamp) -> Duration {
    let ran = gone.duration_since(started);
    if ran.is_negative() { Duration::ZERO } else { ran.unsigned_abs() }
}
