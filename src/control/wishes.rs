//! The operator's wishes about posts: each is on disk before it is answered, and answered with what follows from it.

use std::time::Duration;

use jiff::Timestamp;
use ulid::Ulid;

use super::Control;
use super::protocol::{Held, Refusal, RefusalCode, Running, SkippedStream, Wish, WishList, Wished};
use crate::agent::effective::{Effective, IdentityState};
use crate::config::here;
use crate::config::value::{FromText, POST_TEXT_LIMIT, PostText};
use crate::decide::wishes::{Hold, NotNow};
use crate::decide::{Rules, stream, wishes};
use crate::model::post::{Post, PostState};
use crate::model::stream::{Phase, Stream};
use crate::model::wishes::{Skip, Wishes};
use crate::model::{Draft, View};

/// The longest pause. Who wants no posts at all switches them off in the configuration, where that is seen.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 24 * 3600);
/// The shortest.
pub const SHORTEST_PAUSE: Duration = Duration::from_secs(60);

/// How long an announcement by hand is waited for, so that its address can be answered.
const ANNOUNCING: Duration = Duration::from_secs(10);

/// Announces the running stream at once, and answers when its post is made, or after some seconds.
pub(super) async fn announce(control: &Control, now: Timestamp) -> Result<Wished, Refusal> {
    rules(control)?;
    let room = control.store.room();
    if room.low {
        return Err(Refusal { code: RefusalCode::NotYet, message: room.to_string() });
    }
    let wanted = change(control, wishes::now).await?;
    let session = wanted.map_err(|reason| not_now(control, reason))?;
    control.wake.notify_one();
    let mut written = control.store.anything_written();
    let made = async {
        loop {
            let stream: Stream = control.store.read(|view| view.meta()).await?;
            let done = stream.session.is_none_or(|newest| newest.id != session || newest.post.is_some());
            if done || written.changed().await.is_err() {
                return Ok::<(), Refusal>(());
            }
        }
    };
    match tokio::time::timeout(ANNOUNCING, made).await {
        Ok(made) => made?,
        // Owncast does not answer, say. The wish stays.
        Err(_) => tracing::debug!(target: "herald::agent", "a stream is still to be announced by hand"),
    }
    wished(control, Wish::Now, true, now).await
}

pub(super) async fn skip(control: &Control, undo: bool, now: Timestamp) -> Result<Wished, Refusal> {
    if undo {
        let changed = change(control, wishes::unskip).await?;
        control.wake.notify_one();
        return wished(control, Wish::SkipUndone, changed, now).await;
    }
    let changed = change(control, |draft| {
        let before: Wishes = draft.view().meta();
        wishes::skip(draft);
        draft.view().meta::<Wishes>() != before
    });
    let changed = changed.await?;
    wished(control, Wish::Skip, changed, now).await
}

pub(super) async fn message(
    control: &Control,
    text: Option<String>,
    now: Timestamp,
) -> Result<Wished, Refusal> {
    let text = text.map(checked).transpose()?;
    let wish = if text.is_some() { Wish::Message } else { Wish::MessageCleared };
    let changed = change(control, |draft| {
        let before: Wishes = draft.view().meta();
        wishes::message(draft, text);
        draft.view().meta::<Wishes>() != before
    });
    let changed = changed.await?;
    wished(control, wish, changed, now).await
}

pub(super) async fn pause(control: &Control, seconds: u64, now: Timestamp) -> Result<Wished, Refusal> {
    let span = Duration::from_secs(seconds);
    let until = Some(span).filter(|span| (SHORTEST_PAUSE..=LONGEST_PAUSE).contains(span));
    let until = until.and_then(|span| now.checked_add(span).ok()).ok_or_else(|| Refusal {
        code: RefusalCode::Unreadable,
        message:
            "a pause lasts from a minute to 30 days; to have no posts at all, set [go-live] enabled = false"
                .to_owned(),
    })?;
    change(control, move |draft| wishes::pause(draft, until)).await?;
    wished(control, Wish::Pause, true, now).await
}

pub(super) async fn resume(control: &Control, restored: bool, now: Timestamp) -> Result<Wished, Refusal> {
    let ended = change(control, move |draft| match wishes::restored(draft.view()) {
        Some(_) if restored => Ok((Wish::Released, wishes::release(draft))),
        // Whoever means a pause must not let two machines send at once.
        Some(since) => Err(NotNow::Restored(since)),
        None => Ok((Wish::Resume, wishes::resume(draft, now))),
    });
    let (wish, changed) = ended.await?.map_err(|reason| not_now(control, reason))?;
    control.wake.notify_one();
    wished(control, wish, changed, now).await
}

async fn change<R: Send + 'static>(
    control: &Control,
    how: impl FnOnce(&mut Draft<'_>) -> R + Send + 'static,
) -> Result<R, Refusal> {
    let changed = control.store.commit(move |view| {
        let mut draft = Draft::new(view);
        let answer = how(&mut draft);
        (draft.into_changes(), answer)
    });
    Ok(changed.await?)
}

/// A text for one post, which keeps to the same rules as the configured one.
fn checked(text: String) -> Result<String, Refusal> {
    let refuse = |message: String| Refusal { code: RefusalCode::Unreadable, message };
    let text = text.replace("\r\n", "\n");
    let length = text.chars().count();
    if text.trim().is_empty() {
        let clear = here().typed("go-live message --clear");
        return Err(refuse(format!("the text is empty; to go back to the configured one: {clear}")));
    }
    if length > POST_TEXT_LIMIT {
        return Err(refuse(format!(
            "the text has {length} characters; at most {POST_TEXT_LIMIT} are allowed, since servers cut or refuse longer posts"
        )));
    }
    if let Some(found) = text.chars().find(|c| c.is_control() && *c != '\n') {
        return Err(refuse(format!(
            "the text holds the control character U+{:04X}; write it without, on as many lines as you like",
            u32::from(found)
        )));
    }
    PostText::from_text(&text).map(|text| text.0).ok_or_else(|| {
        refuse("in braces the text may name only {name}, {title}, {summary}, {url} and {tags}".to_owned())
    })
}

fn not_now(control: &Control, reason: NotNow) -> Refusal {
    let message = match reason {
        NotNow::NoStream => {
            format!(
                "no stream is running that could be announced; the next one is announced by itself. {} shows what the \
                 agent sees of Owncast",
                here().typed("status")
            )
        }
        NotNow::Announced(post) => {
            let address = control.effective.borrow().addresses().map(|ours| ours.note(post));
            format!("the stream that runs is announced already: {}", address.unwrap_or_default())
        }
        NotNow::Restored(_) => {
            format!(
                "everything here was restored from a backup, and nothing is sent or announced. Is the old machine stopped? \
                 Then: {}",
                here().typed("resume --restored")
            )
        }
    };
    Refusal { code: RefusalCode::NothingToDo, message }
}

/// The rules posts are made by.
pub(super) fn rules(control: &Control) -> Result<Rules, Refusal> {
    let effective = control.effective.borrow();
    match (&effective.identity, effective.rules()) {
        (_, Some(rules)) => Ok(rules),
        (IdentityState::Waiting(why), None) => Err(unsettled(why)),
        (IdentityState::Settled { .. }, None) => Err(unsettled("")),
    }
}

fn unsettled(why: &str) -> Refusal {
    let message = format!("the agent does not know yet who it is, so it can post nothing: {why}");
    Refusal { code: RefusalCode::NotYet, message }
}

async fn wished(control: &Control, wish: Wish, changed: bool, now: Timestamp) -> Result<Wished, Refusal> {
    let effective = std::sync::Arc::clone(&control.effective.borrow());
    let delay = effective.config.go_live.delay;
    let told = control.store.read(move |view| Wished {
        wish,
        changed,
        running: running(view, &effective),
        wishes: list(view, now),
        held: effective.rules().and_then(|rules| held(view, &rules, now)),
        delay_seconds: delay.as_secs(),
    });
    Ok(told.await?)
}

/// The stream that runs, as an operator sees it.
pub(super) fn running(view: &dyn View, effective: &Effective) -> Option<Running> {
    let session = view.meta::<Stream>().session.filter(|session| session.phase != Phase::Ended)?;
    let post = announced(view).and_then(|post| Some(effective.addresses()?.note(post)));
    Some(Running { title: session.title, post })
}

/// The post that says that the running stream is live, or that somebody has deleted.
fn announced(view: &dyn View) -> Option<Ulid> {
    let session = view.meta::<Stream>().session.filter(|session| session.phase != Phase::Ended)?;
    let post: Post = view.get(&session.post?.to_bytes())?;
    (post.state != PostState::Ended).then_some(post.id)
}

/// What keeps the running stream from being announced; the next one, if that is announced or none runs.
pub(super) fn held(view: &dyn View, rules: &Rules, now: Timestamp) -> Option<Held> {
    let hold = match announced(view) {
        Some(_) => stream::hold(&view.meta(), rules, None, now),
        None => wishes::hold(view, rules, now),
    };
    hold.map(|hold| match hold {
        Hold::Off => Held::Off,
        Hold::Skipped => Held::Skip,
        Hold::Paused(until) => Held::Pause { until },
        Hold::Restored(since) => Held::Restored { since },
    })
}

/// What is wished at this moment; a pause that has passed is none.
pub(super) fn list(view: &dyn View, now: Timestamp) -> WishList {
    let Wishes { skip, paused_until, message, restored, now: at_once } = view.meta();
    WishList {
        skip: skip.map(|skip| match skip {
            Skip::Next => SkippedStream::Next,
            Skip::Session(_) => SkippedStream::This,
        }),
        paused_until: paused_until.filter(|until| *until > now),
        message,
        restored,
        now: at_once.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_refused_with_what_is_wrong_with_it() {
        assert_eq!(checked("a\r\nb {title}".to_owned()).unwrap(), "a\nb {title}");
        for (text, part) in [
            (" \n ".to_owned(), "--clear"),
            ("x".repeat(2001), "2001 characters; at most 2000"),
            ("a\u{1b}[2J".to_owned(), "U+001B"),
            ("see {link}".to_owned(), "{title}"),
        ] {
            let refusal = checked(text).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::Unreadable);
            assert!(refusal.message.contains(part), "{refusal}");
        }
    }
}
