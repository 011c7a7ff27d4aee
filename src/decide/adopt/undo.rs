//! Taking it back: what was taken and has not changed since goes, and nothing else. Whoever came here by itself was not taken,
//! though it was given back since.

use jiff::Timestamp;

use super::untouched;
use crate::decide::followers;
use crate::model::adopted::{Imported, SetAside, Taken};
use crate::model::follower::{Follower, FollowerState};
use crate::model::notices::{NoticeKind, Said};
use crate::model::record::{decode, full_key};
use crate::model::{Draft, Record};

/// What was taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// Followers, those set aside included.
    pub followers: u64,
    /// Followers who stay: something has become of them here.
    pub kept: u64,
    /// Posts.
    pub posts: u64,
}

/// Takes back what is untouched among so many followers from `from` on; answers the next to look at. Posts and what was
/// set aside go with the first of them.
pub fn undo(draft: &mut Draft<'_>, from: &str, look: usize, now: Timestamp) -> (Option<String>, Undone) {
    let (mut next, mut seen, mut found) = (None, 0, Vec::new());
    let start = full_key(Follower::KIND, from.as_bytes());
    draft.view().scan_bytes(&[Follower::KIND], &start, &mut |key, value| {
        if seen == look {
            next = key.get(1..).map(|key| String::from_utf8_lossy(key).into_owned());
            return false;
        }
        seen += 1;
        found.extend(decode::<Follower>(value).and_then(|follower| {
            let taken: Taken = draft.view().get(Taken::name_of(&follower.person.actor).as_bytes())?;
            Some((follower, taken))
        }));
        true
    });
    let mut undone = Undone::default();
    for (follower, taken) in found {
        let actor = &follower.person.actor;
        if taken.own || !untouched(&follower, &taken) {
            undone.kept += u64::from(follower.state != FollowerState::Left);
            continue;
        }
        followers::forget(draft, actor, now);
        forget(draft, actor);
        undone.followers += 1;
    }
    if from.is_empty() {
        for aside in draft.view().all::<SetAside>(b"") {
            draft.delete::<SetAside>(&aside.key());
            forget(draft, &aside.row.actor);
            undone.followers += 1;
        }
        for post in draft.view().all::<Imported>(b"") {
            draft.delete::<Imported>(&post.key());
            undone.posts += 1;
        }
    }
    (next, undone)
}

fn forget(draft: &mut Draft<'_>, actor: &str) {
    draft.delete::<Taken>(Taken::name_of(actor).as_bytes());
    draft.delete::<Said>(&Said::key_of(NoticeKind::Follow, actor, None));
}
