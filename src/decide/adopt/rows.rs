//! Rows of followers: looked at like any actor, taken once.

use crate::decide::{blocks, followers};
use crate::model::adopted::{Row, SetAside, Taken, Tally};
use crate::model::follower::{Follower, FollowerState};
use crate::model::handle::{Person, host_of, user_of};
use crate::model::notices::NoticeKind;
use crate::model::origin::{OriginError, RemotePolicy, parse_remote, same_origin};
use crate::model::secret::fingerprint;
use crate::model::{Draft, View};
use jiff::Timestamp;
use url::Url;

use super::{Terms, taken_of, told, untouched};

/// Characters of a display name that are kept.
const NAME: usize = 500;

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
    let user = user_of(row.username.split('@').next(), &actor);
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

/// An actor's id as it stands everywhere here. Owncast keeps it as it came, in one of several spellings.
pub fn one_spelling(id: &str) -> String {
    let any = RemotePolicy { allow_http: true, allow_private: true };
    parse_remote(id, &any).map_or_else(|_| id.to_owned(), String::from)
}

/// What is to be done about a row.
enum Verdict {
    /// Nobody here knows of it.
    New,
    /// It changed in Owncast, and nothing happened here.
    Change(Box<Follower>),
    Known,
    /// What became of it here stands. When it left, if that is not remembered by what was taken.
    Kept(Option<Timestamp>),
}

fn verdict(view: &dyn View, row: &Row) -> Verdict {
    let taken: Option<Taken> = view.get(Taken::name_of(&row.actor).as_bytes());
    let known: Option<Follower> = view.get(row.actor.as_bytes());
    match (taken, known) {
        (None, None) => Verdict::New,
        (None, Some(known)) if known.state == FollowerState::Left => match row.since > known.stamp {
            true => Verdict::New,
            false => Verdict::Kept(Some(known.stamp)),
        },
        (None, Some(_)) => Verdict::Known,
        (Some(taken), Some(known)) if known.state != FollowerState::Left => {
            match (untouched(&known, &taken), says_the_same(row, &taken)) {
                (true, true) => Verdict::Known,
                (true, false) => Verdict::Change(Box::new(known)),
                (false, _) => Verdict::Kept(None),
            }
        }
        (Some(taken), _) if view.get::<SetAside>(row.actor.as_bytes()).is_some() => {
            match says_the_same(row, &taken) {
                true => Verdict::Known,
                false => Verdict::New,
            }
        }
        (Some(taken), _) => match taken.left.is_some_and(|left| row.since > left) {
            true => Verdict::New,
            false => Verdict::Kept(None),
        },
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
    let mut row = Row { actor: one_spelling(&row.actor), since: row.since.min(terms.now), ..row.clone() };
    let (mut state, mut since, mut own) = (row.state, row.since, false);
    match verdict(draft.view(), &row) {
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
                let reasons = if misfit.can_be_asked() { &mut tally.reasons } else { &mut tally.unaskable };
                *reasons.entry(misfit.to_string()).or_default() += 1;
            }
        },
        Verdict::Change(known) => {
            let known = *known;
            own = taken_of(draft.view(), &row.actor).is_some_and(|taken| taken.own);
            // Owncast's API does not tell the Follow, and may not tell since when.
            if since == Timestamp::UNIX_EPOCH {
                since = known.stamp;
            }
            // Nor is a Follow that may be forged believed when it comes to a follower who is known.
            if checked == Err(Misfit::ForeignFollow) && state == FollowerState::Approved {
                state = known.parked_from.unwrap_or(known.state);
            }
            let follow_id = row.follow_id.take().or(known.follow_id);
            let changed = Row { follow_id, state, since, ..row.clone() };
            let_in(draft, &changed, known.person, terms);
            tally.changed += 1;
        }
        Verdict::Known => {
            tally.known += 1;
            return seen(draft, &row, None, terms);
        }
        Verdict::Kept(left) => {
            tally.kept += 1;
            return seen(draft, &row, left, terms);
        }
    }
    let said = said(row.state, since);
    draft.put(&Taken {
        who: Taken::name_of(&row.actor),
        row: said,
        state,
        stamp: since,
        left: None,
        run: terms.run,
        own,
    });
}

/// What tells whether a row has changed. Whole seconds: that is what Owncast's table keeps.
pub(super) fn said(state: FollowerState, since: Timestamp) -> String {
    fingerprint(&format!("{state:?}\n{}", since.as_second()))
}

fn says_the_same(row: &Row, taken: &Taken) -> bool {
    let untimed = row.since == Timestamp::UNIX_EPOCH && taken.row == said(row.state, taken.stamp);
    untimed || taken.row == said(row.state, row.since)
}

/// Marks a row as seen. Of whoever came or left here by themselves it is remembered from then on.
fn seen(draft: &mut Draft<'_>, row: &Row, left: Option<Timestamp>, terms: &Terms) {
    let taken = taken_of(draft.view(), &row.actor).unwrap_or_else(|| Taken {
        who: Taken::name_of(&row.actor),
        row: said(row.state, row.since),
        state: row.state,
        stamp: row.since,
        left,
        run: terms.run,
        own: true,
    });
    draft.put(&Taken { run: terms.run, ..taken });
}

/// Writes the follower that a row stands for. Nothing is sent and nothing is said: its server knows.
pub(super) fn let_in(draft: &mut Draft<'_>, row: &Row, person: Person, terms: &Terms) -> FollowerState {
    let rejected = row.state == FollowerState::Rejected;
    let parked = !rejected && blocks::actor_blocked(draft.view(), &person.actor);
    let state = if parked { FollowerState::Parked } else { row.state };
    told(draft, NoticeKind::Follow, &person.actor, terms.now);
    let own = |id: &String| {
        let (id, actor) = (Url::parse(id), Url::parse(&person.actor));
        matches!((id, actor), (Ok(id), Ok(actor)) if same_origin(&id, &actor))
    };
    let follow_id = row.follow_id.clone().filter(own);
    let spelt = row.follow.as_ref().map(|(who, _)| who.clone());
    let spelt = spelt.filter(|who| *who != person.actor && one_spelling(who) == person.actor);
    followers::settle(
        draft,
        &Follower {
            person,
            state,
            parked_from: parked.then_some(row.state),
            moved_to: None,
            follow_id,
            spelt,
            answer: None,
            since: row.since,
            stamp: row.since,
            changed: terms.now,
            given: None,
        },
    );
    state
}

fn set_aside(draft: &mut Draft<'_>, row: &Row, misfit: Misfit, terms: &Terms) {
    told(draft, NoticeKind::Follow, &row.actor, terms.now);
    draft.put(&SetAside {
        row: row.clone(),
        why: misfit.to_string(),
        doubted: misfit == Misfit::ForeignFollow,
        tries: 0,
        next: misfit.can_be_asked().then_some(terms.now),
    });
}
