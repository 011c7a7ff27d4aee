//! What the operator should look at, in words: what is wrong, and what to do.

use jiff::Timestamp;

use super::protocol::KeyChange;
use crate::agent::board::{Board, Way, clock_words};
use crate::agent::effective::{Effective, IdentityState};
use crate::config::here;
use crate::config::reload::OnDisk;
use crate::store::Room;

/// So many errors in a row of the chat websocket are worth the operator's attention.
const LOST_SOCKETS: u32 = 3;

/// What stands before everything else: why nothing is sent at all, and a change of keys that is half done.
pub(super) fn first_of_all(
    running: bool,
    restored: Option<Timestamp>,
    key: Option<KeyChange>,
    now: Timestamp,
) -> Vec<String> {
    let mut first = Vec::new();
    if !running {
        first.push(format!(
            "no agent is running; this is what its store knows. Start it: {}",
            here().service("start")
        ));
    }
    if let Some(since) = restored {
        let days = now.duration_since(since).as_hours() / 24;
        let when = if days < 1 { String::new() } else { format!(" ({days} days ago)") };
        first.push(format!(
            "everything here was restored from a backup{when}, and nothing is sent or announced. Is the old machine \
             stopped? Then: {}",
            here().typed("resume --restored")
        ));
    }
    first.extend(key.map(|key| {
        let how = match key {
            KeyChange::Untold => {
                "followers' servers are to be told of the new one: the agent must be restarted if it was not, and run for a minute".to_owned()
            }
            KeyChange::Telling => format!(
                "followers' servers are told of the new one; those that are away are tried for days ({})",
                here().typed("deliveries")
            ),
            KeyChange::Told => format!(
                "followers' servers know the new one. Now: {}, and restart",
                here().typed("key rotate --finish")
            ),
        };
        format!("a change of the actor's key is under way: {how}")
    }));
    first
}

/// What the operator should look at, the most pressing first. What ends by itself is not among it.
pub(super) fn attention(
    effective: &Effective,
    board: &Board,
    on_disk: &OnDisk,
    room: &Room,
    pending: u64,
    reports: u64,
) -> Vec<String> {
    let mut needed = Vec::new();
    if room.low {
        needed.push(room.to_string());
    }
    if let IdentityState::Waiting(why) = &effective.identity {
        needed.push(why.clone());
    }
    needed.extend(board.problem.clone());
    if let Some(error) = &on_disk.refused {
        needed.push(format!("agent.toml is refused, and what was read before stays: {}", error.one_line()));
    }
    for change in &on_disk.waiting {
        needed.push(format!(
            "{} is {} until a restart, which makes it {} ({})",
            change.field,
            change.from,
            change.to,
            here().service("restart")
        ));
    }
    needed.extend(effective.attention());
    if let Way::Broken(why) = &board.sources.webhook.way {
        needed.push(why.clone());
    }
    // A connection that ends is made again; only one that cannot be made is the operator's matter.
    if let Way::Broken(why) = &board.sources.websocket.way
        && board.sources.websocket.errors >= LOST_SOCKETS
    {
        needed.push(format!("Owncast's chat websocket does not work, and Owncast is asked instead: {why}"));
    }
    needed.extend(board.clock_offset_seconds.map(clock_words));
    if pending > 0 {
        let (wait, follower) = if pending == 1 { ("waits", "follower") } else { ("wait", "followers") };
        needed.push(format!(
            "{pending} {follower} {wait} for your approval: {}",
            here().typed("followers list --state pending")
        ));
    }
    if reports > 0 {
        let (waits, report) = if reports == 1 { ("waits", "report") } else { ("wait", "reports") };
        needed.push(format!(
            "{reports} {report} from other servers {waits} to be read: {}",
            here().typed("reports list")
        ));
    }
    // The same fault may be known in two places.
    let mut seen = std::collections::BTreeSet::new();
    needed.retain(|text| seen.insert(text.clone()));
    needed
}
