//! Posts become activities: made, edited, deleted, each with its recipients fixed in the same batch.

use std::time::Duration;

use jiff::Timestamp;
use ulid::Ulid;

use super::seen::later;
use super::{Moment, Rules, delivered, engaged};
use crate::activitypub::{html, vocab};
use crate::model::delivery::{CHUNK_SIZE, Claim, InboxState, Outgoing, OutgoingKind, Target, chunk_key};
use crate::model::facts::Facts;
use crate::model::follower::{DeliveryInbox, NextInbox};
use crate::model::post::{Picture, Post, PostState, Shows};
use crate::model::record::{full_key, kind};
use crate::model::{Draft, View};

/// The language of our own words.
pub const LANGUAGE: &str = "en";
/// A go-live post is not worth sending for longer than this after its stream was last seen to run.
const CREATE_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Edits and removals are tried for this long.
const EDIT_LIFE: Duration = Duration::from_secs(3 * 24 * 3600);

/// What a new post is made from.
pub struct Announcement<'a> {
    /// The session it announces.
    pub session: Ulid,
    /// What the text is made from; empty for the built-in one.
    pub template: &'a str,
    /// The stream's title.
    pub title: &'a str,
    /// The picture, if there is one.
    pub picture: Option<Picture>,
}

/// What a post says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The text, as safe HTML.
    pub content: String,
    /// Hashtags without `#`.
    pub tags: Vec<String>,
    /// Alternative text of the picture.
    pub alt: String,
}

/// The words of a post whose stream runs, and of its picture.
pub fn words(rules: &Rules, facts: &Facts, template: &str, title: &str, picture: Option<&Picture>) -> Words {
    let tags = html::hashtags(&facts.tags, title);
    let url = rules.addresses.watch_page();
    let values = html::GoLive { name: &facts.name, title, summary: &facts.summary, url: &url, tags: &tags };
    Words { content: html::go_live_content(template, &values), alt: alt_text(facts, title, picture), tags }
}

/// Makes the post of a session and queues it to every distinct inbox.
pub fn announce(
    draft: &mut Draft<'_>,
    moment: &mut Moment,
    rules: &Rules,
    facts: &Facts,
    what: Announcement<'_>,
) -> Post {
    let (id, create) = (moment.ulid(), moment.ulid());
    let words = words(rules, facts, what.template, what.title, what.picture.as_ref());
    let post = Post {
        id,
        session: what.session,
        published: moment.now,
        updated: None,
        content: words.content.clone(),
        live_content: words.content,
        template: what.template.to_owned(),
        language: language(rules, what.template),
        tags: words.tags,
        title: what.title.to_owned(),
        sensitive: facts.nsfw,
        audience: rules.audience,
        alt: words.alt,
        picture: what.picture,
        state: PostState::Live,
        over: None,
        create,
        last: None,
        edits: 0,
        likes: 0,
        shares: 0,
    };
    draft.put(&post);
    let body = vocab::note::create(&rules.addresses, &post);
    let chunks = fan_out(draft, create);
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
        given_up: None,
    });
    post
}

/// What a post is written in: what the operator says, or our own words; of his words we know nothing.
fn language(rules: &Rules, template: &str) -> Option<String> {
    if template.trim().is_empty() { Some(LANGUAGE.to_owned()) } else { rules.language.clone() }
}

/// What the picture shows, for those who cannot see it.
fn alt_text(facts: &Facts, title: &str, picture: Option<&Picture>) -> String {
    let shown = match picture.map(|picture| picture.shows) {
        Some(Shows::Logo) => "The logo",
        Some(Shows::Preview) => "A moving preview",
        Some(Shows::Still) | None => "A still",
    };
    match title {
        "" => format!("{shown} of the live stream {}", facts.name),
        title => format!("{shown} of the live stream {}: {title}", facts.name),
    }
}

/// Words a post anew for a title: from what it was made from, and from what Owncast says of itself now.
fn reword(rules: &Rules, facts: &Facts, post: &mut Post, title: &str) {
    let words = words(rules, facts, &post.template, title, post.picture.as_ref());
    post.live_content = words.content;
    post.tags = words.tags;
    post.alt = words.alt;
    title.clone_into(&mut post.title);
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
    reword(rules, facts, &mut post, title);
    post.content = post.live_content.clone();
    post.edits += 1;
    edit(draft, moment, rules, facts, post);
}

/// How a stream ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// Its last title.
    pub title: &'a str,
    /// How long it ran.
    pub lasted: Duration,
}

/// Says in the post that the stream is over and how long it ran, with the last title it had.
pub fn end(
    draft: &mut Draft<'_>,
    moment: &mut Moment,
    rules: &Rules,
    facts: &Facts,
    mut post: Post,
    ended: Ended<'_>,
) {
    if post.title != ended.title {
        reword(rules, facts, &mut post, ended.title);
    }
    post.content = html::ended_content(&post.live_content, ended.lasted);
    post.state = PostState::Ended;
    post.over = Some(moment.now);
    edit(draft, moment, rules, facts, post);
}

/// Marks a post as over without telling anybody.
pub fn end_quietly(draft: &mut Draft<'_>, moment: &Moment, mut post: Post) {
    post.state = PostState::Ended;
    post.over = Some(moment.now);
    draft.put(&post);
}

/// The stream came back: the post says live again, with the title the stream has now.
pub fn resume(
    draft: &mut Draft<'_>,
    moment: &mut Moment,
    rules: &Rules,
    facts: &Facts,
    mut post: Post,
    title: &str,
) {
    post.state = PostState::Live;
    post.over = None;
    reopen(draft, moment, post.create);
    // An operator who keeps posts as they are at the end has nothing to take back.
    if post.content == post.live_content {
        draft.put(&post);
        return;
    }
    if post.title != title {
        reword(rules, facts, &mut post, title);
    }
    post.content = post.live_content.clone();
    edit(draft, moment, rules, facts, post);
}

/// The stream of a post was seen to run: the life of its Create is counted anew, in halves, so that little is written. Where it
/// was over, our clock was set or nobody has looked for long, and whom that has kept it from gets it after all.
pub fn runs_still(draft: &mut Draft<'_>, moment: &Moment, create: Ulid) {
    let Some(record) = draft.view().get::<Outgoing>(&create.to_bytes()) else { return };
    // Further ahead than a whole life it was put by a clock that was ahead.
    let well = later(moment.now, CREATE_LIFE / 2)..=later(moment.now, CREATE_LIFE);
    if record.expires <= moment.now {
        reopen(draft, moment, create);
    } else if !well.contains(&record.expires) {
        draft.put(&Outgoing { expires: later(moment.now, CREATE_LIFE), ..record });
    }
}

/// Lets a Create go out to those whom the end of the stream kept it from. Who refused it is asked once more, and whoever may
/// have it or not gets it for sure. What the operator gave up stays given up.
fn reopen(draft: &mut Draft<'_>, moment: &Moment, create: Ulid) {
    let Some(mut record) = draft.view().get::<Outgoing>(&create.to_bytes()) else { return };
    let mut chunks = Vec::new();
    // The claim of the pass that was open ends with it: that what was claimed may have been sent is kept inbox by inbox.
    let claimed = delivered::claimed(draft.view(), create).map_or(0, |claim| claim.below);
    for chunk in 0..record.chunks {
        let key = full_key(kind::CHUNK, &chunk_key(create, chunk));
        let mut states = draft.view().get_bytes(&key).unwrap_or_default();
        for (byte, number) in states.iter_mut().zip(chunk * CHUNK_SIZE..) {
            let anew = match InboxState::of(*byte) {
                InboxState::Failed => InboxState::Waiting,
                InboxState::Waiting if number < claimed => InboxState::Claimed,
                InboxState::Doubtful => InboxState::Claimed,
                _ => continue,
            };
            // Where nobody knows any more where to send it, nothing would ever come of it.
            if draft.view().get_bytes(&full_key(kind::INBOX, &number.to_be_bytes())).is_some() {
                *byte = anew as u8;
            }
        }
        chunks.push(states);
    }
    // Any number that is not that of an opening before.
    let opening = u32::try_from(moment.now.as_millisecond() & i64::from(u32::MAX)).unwrap_or(1).max(1);
    if open(draft, create, chunks, opening) > 0 {
        record.cursor = 0;
    }
    record.expires = later(moment.now, CREATE_LIFE);
    draft.put(&record);
}

/// Deletes a post everywhere it may have come to.
pub fn delete(draft: &mut Draft<'_>, moment: &mut Moment, rules: &Rules, mut post: Post) {
    post.state = PostState::Deleted;
    post.over = Some(moment.now);
    let at = edited_at(&post, moment.now);
    let id = moment.ulid_at(at);
    post.last = Some(id);
    let body = vocab::note::delete(&rules.addresses, &post, id);
    draft.put(&post);
    let made = Made { id, kind: OutgoingKind::Delete, at, body: body.to_string() };
    send_on(draft, moment, &post, made);
}

/// Stores an edited post and queues its Update. What has not been sent of the Create yet is sent in the new words.
fn edit(draft: &mut Draft<'_>, moment: &mut Moment, rules: &Rules, facts: &Facts, mut post: Post) {
    // What was shown as unsafe once stays so.
    post.sensitive |= facts.nsfw;
    let updated = edited_at(&post, moment.now);
    // Whatever our clock was set to, it is sent behind what was told before.
    let id = moment.ulid_at(updated);
    (post.updated, post.last) = (Some(updated), Some(id));
    draft.put(&post);
    if let Some(mut create) = draft.view().get::<Outgoing>(&post.create.to_bytes()) {
        create.body = vocab::note::create(&rules.addresses, &post).to_string();
        draft.put(&create);
    }
    let body = vocab::note::update(&rules.addresses, &post, id, updated);
    // Dated as the post is, so that an edit that was overtaken by a later one can be told from the last.
    let made = Made { id, kind: OutgoingKind::Update, at: updated, body: body.to_string() };
    send_on(draft, moment, &post, made);
}

/// An activity about a post, ready to be queued.
struct Made {
    id: Ulid,
    kind: OutgoingKind,
    at: Timestamp,
    body: String,
}

/// The date of an edit. Dates are sent in whole seconds, and Mastodon takes an edit only if it is dated later than what
/// it has: an edit within the same second is dated into the next one.
fn edited_at(post: &Post, now: Timestamp) -> Timestamp {
    let last = post.updated.unwrap_or(post.published);
    now.max(Timestamp::from_second(last.as_second().saturating_add(1)).unwrap_or(last))
}

/// Queues an activity about a post to whoever may have the post, and to those who liked or shared it.
fn send_on(draft: &mut Draft<'_>, moment: &Moment, post: &Post, made: Made) {
    let Made { id, kind, at, body } = made;
    let engaged = engaged::inboxes(draft.view(), post.id);
    let mut personal = engaged.clone();
    let create: Option<Outgoing> = draft.view().get(&post.create.to_bytes());
    let mut chunks = Vec::new();
    for chunk in 0..create.map_or(0, |create| create.chunks) {
        let key = full_key(kind::CHUNK, &chunk_key(post.create, chunk));
        let mut states = draft.view().get_bytes(&key).unwrap_or_default();
        for (byte, number) in states.iter_mut().zip(chunk * CHUNK_SIZE..) {
            let state = InboxState::of(*byte);
            if state == InboxState::None {
                continue;
            }
            *byte = InboxState::None as u8;
            // An inbox that nobody follows through is forgotten some day, even while a stream runs.
            let Some(inbox) = draft.view().get::<DeliveryInbox>(&number.to_be_bytes()) else { continue };
            let engaged = engaged.contains(&inbox.url);
            // Where somebody engaged, the post is known; if not from us, the edit goes there on its own.
            if state.may_have_it() || !engaged {
                *byte = InboxState::Waiting as u8;
                personal.remove(&inbox.url);
            }
        }
        chunks.push(states);
    }
    let chunks = open(draft, id, chunks, 0);
    draft.put(&Outgoing {
        id,
        kind,
        post: Some(post.id),
        body,
        target: Target::ReachedBy(post.create),
        created: at,
        expires: later(at, EDIT_LIFE),
        chunks,
        cursor: 0,
        given_up: None,
    });
    engaged::begin(draft, id, personal, moment.now);
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

/// Writes the state bytes of a fan-out to everybody. Returns the number of its chunks.
fn fan_out(draft: &mut Draft<'_>, outgoing: Ulid) -> u32 {
    let next: NextInbox = draft.view().meta();
    let states = recipients(draft.view(), next.next);
    open(draft, outgoing, states.chunks(CHUNK_SIZE as usize).map(<[u8]>::to_vec).collect(), 0)
}

/// Writes chunks of state bytes and that a first pass is to be done; nothing at all if nobody waits in them, since
/// only an outcome closes a fan-out. Returns the number of chunks.
fn open(draft: &mut Draft<'_>, outgoing: Ulid, chunks: Vec<Vec<u8>>, opening: u32) -> u32 {
    if !chunks.iter().flatten().any(|byte| InboxState::of(*byte).waits()) {
        return 0;
    }
    let mut count = 0;
    for states in chunks {
        draft.put_raw(kind::CHUNK, &chunk_key(outgoing, count), states);
        count += 1;
    }
    draft.put_raw(kind::FANOUT, &outgoing.to_bytes(), Claim { below: 0, opening }.write());
    count
}

/// Queues the actor's own document to every distinct inbox: something about it has changed. Answers the Update's id.
pub fn actor_changed(draft: &mut Draft<'_>, moment: &mut Moment, body: impl FnOnce(Ulid) -> String) -> Ulid {
    let id = moment.ulid();
    let chunks = fan_out(draft, id);
    draft.put(&Outgoing {
        id,
        kind: OutgoingKind::ActorUpdate,
        post: None,
        body: body(id),
        target: Target::Everybody,
        created: moment.now,
        expires: later(moment.now, EDIT_LIFE),
        chunks,
        cursor: 0,
        given_up: None,
    });
    id
}

/// How long a stream ran, never negative however clocks were set.
pub fn lasted(started: Timestamp, gone: Timestamp) -> Duration {
    let ran = gone.duration_since(started);
    if ran.is_negative() { Duration::ZERO } else { ran.unsigned_abs() }
}
