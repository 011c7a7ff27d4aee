//! Rows of followers: looked at like any actor, taken once.

use crate::decide::{blocks, followers};
use crate::model::adopted::{Row, SetAside, Taken, Tally};
use crate::model::follower::{Follower, FollowerState};
use crate::model::handle::{Person, host_of};
use crate::model::notices::NoticeKind;
use crate::model::origin::{OriginError, parse_remote, same_origin};
use crate::model::secret::fingerprint;
use crate::model::{Draft, View};
use url::Url;

use super::{Terms, told, untouched};

/// Characters of a display name that are kept.
const NAME: usize = 500;
/// Characters of a user name that are kept.
const USER: usize = 200;

/// Why a row is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The actor's id cannot be used, and so nobody can be asked.
    #[error("its id cannot be used: {0}")]
    Id(OriginError),
    /// It says to live here.
    #[error("its id is on our own host")]
    OwnHost,
    /// Only the API was at hand, or Owncast never knew one.
    #[error("no inbox is known")]
    NoInbox,
    /// The inbox cannot be used.
    #[error("its inbox cannot be used: {0}")]
    Inbox(OriginError),
    /// The inbox is on another host than the actor.
    #[error("its inbox is on another host")]
    ForeignInbox,
    /// The Follow is not of this actor, not of its host, or not to us: old Owncasts believed forged ones.
    #[error("its Follow does not belong to it")]
    ForeignFollow,
}

impl Misfit {
    /// The actor's own document can decide.
    pub fn can_be_asked(self) -> bool {
        !matches!(self, Misfit::Id(_) | Misfit::OwnHost)
    }
}

/// Looks at a row as at any actor.
///
/// # Errors
/// What is wrong with it.
pub fn check(row: &Row, terms: &Terms) -> Result<Person, Misfit> {
    let actor = parse_remote(&row.actor, &terms.policy).map_err(Misfit::Id)?;
    let own = Url::parse(&terms.addresses.base).ok();
    if own.is_some_and(|own| own.host() == actor.host() && own.port() == actor.port()) {
        return Err(Misfit::OwnHost);
    }
    if row.inbox.is_empty() {
        return Err(Misfit::NoInbox);
    }
    let inbox = parse_remote(&row.inbox, &terms.policy).map_err(Misfit::Inbox)?;
    if !same_origin(&inbox, &actor) {
        return Err(Misfit::ForeignInbox);
    }
    let ours = |object: &str| Url::parse(object).ok() == Url::parse(&terms.addresses.actor()).ok();
    let theirs = |id: &str| parse_remote(id, &terms.policy).is_ok_and(|id| same_origin(&id, &actor));
    let belongs = row.follow.as_ref().is_none_or(|(who, whom)| {
        ours(whom) && parse_remote(who, &terms.policy).is_ok_and(|who| who == actor)
    });
    if !belongs || row.follow_id.as_deref().is_some_and(|id| !theirs(id)) {
        return Err(Misfit::ForeignFollow);
    }
    let address = |text: &Option<String>| text.as_ref().and_then(|url| parse_remote(url, &terms.policy).ok());
    let shared = address(&row.shared_inbox).filter(|shared| same_origin(shared, &actor));
    let user = row.username.split('@').next().filter(|user| !user.is_empty());
    let last = actor.path_segments().and_then(|mut parts| parts.rfind(|part| !part.is_empty()));
    let user: String = user.or(last).unwrap_or_default().chars().take(USER).collect();
    let name = row.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    Ok(Person {
        handle: format!("{user}@{}", host_of(actor.as_str())),
        inbox: inbox.to_string(),
        shared_inbox: shared.map(String::from),
        name: name.map(|name| name.chars().take(NAME).collect()),
        icon: address(&row.icon).map(String::from),
        url: None,
        actor: actor.to_string(),
    })
}

/// What is to be done about a row.
enum Verdict {
    /// Nobody here knows of it.
    New,
    /// It changed in Owncast, and nothing happened here.
    Change(Box<Follower>),
    Known,
    Kept,
}

fn verdict(view: &dyn View, row: &Row, said: &str) -> Verdict {
    let taken: Option<Taken> = view.get(Taken::name_of(&row.actor).as_bytes());
    let known: Option<Follower> = view.get(row.actor.as_bytes());
    let left = |at| if row.since > at { Verdict::New } else { Verdict::Kept };
    match (taken, known) {
        (None, None) => Verdict::New,
        (None, Some(known)) if known.state == FollowerState::Left => left(known.stamp),
        (None, Some(_)) => Verdict::Known,
        (Some(taken), Some(known)) if known.state != FollowerState::Left => {
            match (untouched(&known, &taken), taken.row == said) {
                (true, true) => Verdict::Known,
                (true, false) => Verdict::Change(Box::new(known)),
                (false, _) => Verdict::Kept,
            }
        }
        (Some(taken), _) if view.get::<SetAside>(row.actor.as_bytes()).is_some() => {
            if taken.row == said {
                Verdict::Known
            } else {
                Verdict::New
            }
        }
        (Some(taken), _) => taken.left.map_or(Verdict::Kept, left),
    }
}

/// Takes one row.
pub(super) fn take(draft: &mut Draft<'_>, terms: &Terms, row: &Row, tally: &mut Tally) {
    match row.state {
        FollowerState::Approved => tally.approved += 1,
        FollowerState::Pending => tally.pending += 1,
        _ => tally.rejected += 1,
    }
    let checked = check(row, terms);
    let since = row.since.min(terms.now);
    let actor = checked.as_ref().map_or_else(|_| row.actor.clone(), |person| person.actor.clone());
    let row = Row { actor, since, ..row.clone() };
    let said = said(&row);
    match verdict(draft.view(), &row, &said) {
        Verdict::New => match checked {
            Ok(person) => {
                match let_in(draft, &row, person, terms) {
                    FollowerState::Parked => tally.parked += 1,
                    _ => tally.taken += 1,
                };
            }
            Err(misfit) => {
                set_aside(draft, &row, misfit, terms);
                tally.set_aside += 1;
                *tally.reasons.entry(misfit.to_string()).or_default() += 1;
            }
        },
        Verdict::Change(known) => {
            // Owncast's API does not tell the Follow.
            let known = *known;
            let follow_id = row.follow_id.clone().or(known.follow_id);
            let_in(draft, &Row { follow_id, ..row.clone() }, known.person, terms);
            tally.changed += 1;
        }
        Verdict::Known => {
            tally.known += 1;
            return seen(draft, &row.actor, terms);
        }
        Verdict::Kept => {
            tally.kept += 1;
            return seen(draft, &row.actor, terms);
        }
    }
    draft.put(&Taken {
        who: Taken::name_of(&row.actor),
        row: said,
        state: row.state,
        stamp: row.since,
        left: None,
        run: terms.run,
    });
}

/// What tells whether a row has changed.
fn said(row: &Row) -> String {
    let follow = row.follow_id.as_deref().unwrap_or_default();
    fingerprint(&format!("{:?}\n{follow}\n{}", row.state, row.since))
}

fn seen(draft: &mut Draft<'_>, actor: &str, terms: &Terms) {
    let taken: Option<Taken> = draft.view().get(Taken::name_of(actor).as_bytes());
    if let Some(taken) = taken {
        draft.put(&Taken { run: terms.run, ..taken });
    }
}

/// Writes the follower that a row stands for. Nothing is sent and nothing is said: its server knows.
pub(super) fn let_in(draft: &mut Draft<'_>, row: &Row, person: Person, terms: &Terms) -> FollowerState {
    let rejected = row.state == FollowerState::Rejected;
    let parked = !rejected && blocks::actor_blocked(draft.view(), &person.actor);
    let state = if parked { FollowerState::Parked } else { row.state };
    told(draft, NoticeKind::Follow, &person.actor, row.since);
    let own = |id: &String| {
        let (id, actor) = (Url::parse(id), Url::parse(&person.actor));
        matches!((id, actor), (Ok(id), Ok(actor)) if same_origin(&id, &actor))
    };
    let follow_id = row.follow_id.clone().filter(own);
    followers::settle(
        draft,
        &Follower {
            person,
            state,
            parked_from: parked.then_some(row.state),
            moved_to: None,
            follow_id,
            answer: None,
            since: row.since,
            stamp: row.since,
            changed: terms.now,
        },
    );
    state
}

fn set_aside(draft: &mut Draft<'_>, row: &Row, misfit: Misfit, terms: &Terms) {
    let next = misfit.can_be_asked().then_some(terms.now);
    draft.put(&SetAside { row: row.clone(), why: misfit.to_string(), tries: 0, next });
}
