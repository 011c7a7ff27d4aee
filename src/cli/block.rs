//! `block`: who may neither reach the stream's actor nor be reached by it.

use jiff::Timestamp;

use super::Outcome;
use super::files::{Places, unexpected};
use super::table::Table;
use super::text::{ago, counted, json, line};
use crate::control::protocol::{Answer, Ask, BlockKind, BlockList, BlockRow, Blocked, ListedBy, Unblocked};

/// What to do with blocks.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Block a domain with everything below it, or one person
    Add(AddArgs),
    /// Lift a block that was made here
    Remove(RemoveArgs),
    /// List everything blocked, Owncast's own list included
    List,
}

/// Arguments of `block add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Domain (peer.example), actor id (https://peer.example/users/user), or a follower's handle (user@peer.example)
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// Forget the followers it covers, instead of setting them aside until the block is lifted
    #[arg(long)]
    pub purge: bool,
}

/// Arguments of `block remove`.
#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// Domain, actor id or handle, as the list shows it
    #[arg(value_name = "WHAT")]
    pub what: String,
}

pub(super) fn block(places: &Places, command: Command, as_json: bool) -> Outcome {
    match command {
        Command::Add(AddArgs { what, purge }) => {
            let Answer::Blocked(blocked) = places.ask(&Ask::Block { what, purge })? else {
                return Err(unexpected());
            };
            if as_json { json(&blocked) } else { Ok(added(&blocked)) }
        }
        Command::Remove(RemoveArgs { what }) => {
            let Answer::Unblocked(unblocked) = places.ask(&Ask::Unblock { what })? else {
                return Err(unexpected());
            };
            if as_json { json(&unblocked) } else { Ok(removed(&unblocked)) }
        }
        Command::List => {
            let Answer::Blocks(list) = places.ask(&Ask::Blocks)? else { return Err(unexpected()) };
            if as_json { json(&list) } else { Ok(listed(&list, Timestamp::now())) }
        }
    }
}

fn added(blocked: &Blocked) -> String {
    let target = line(&blocked.target);
    let mut text = match (blocked.changed, blocked.kind) {
        (false, _) => format!("{target} was blocked already.\n"),
        (true, BlockKind::Domain) => format!("Blocked {target} and everything below it.\n"),
        (true, BlockKind::Actor) => format!("Blocked {target}.\n"),
    };
    if blocked.purged > 0 {
        text.push_str(&format!("{} forgotten.\n", counted(blocked.purged, "follower")));
    } else if blocked.parked > 0 {
        let parked = counted(blocked.parked, "follower");
        text.push_str(&format!("{parked} set aside; lifting the block brings them back.\n"));
    }
    text
}

fn removed(unblocked: &Unblocked) -> String {
    let mut text = format!("{} is not blocked here any more.\n", line(&unblocked.target));
    if unblocked.restored > 0 {
        text.push_str(&format!("{} back.\n", counted(unblocked.restored, "follower")));
    }
    if unblocked.still_listed_by_owncast {
        text.push_str("It stays blocked, because it is on Owncast's own list as well.\n");
    }
    text
}

fn listed(list: &BlockList, now: Timestamp) -> String {
    if list.blocks.is_empty() {
        return "Nothing is blocked.\n".to_owned();
    }
    let mut table = Table::new(["BLOCKED", "LISTED BY", "SINCE"]);
    for BlockRow { target, listed_by, since, .. } in &list.blocks {
        let owner = match listed_by {
            ListedBy::Owncast => "Owncast",
            ListedBy::Operator => "you",
        };
        table.row([line(target), owner.to_owned(), ago(now, *since)]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_block_did_is_told() {
        let mut blocked = Blocked {
            target: "peer.example".to_owned(),
            kind: BlockKind::Domain,
            changed: true,
            parked: 2,
            purged: 0,
        };
        let want = "Blocked peer.example and everything below it.\n\
                    2 followers set aside; lifting the block brings them back.\n";
        assert_eq!(added(&blocked), want);
        (blocked.changed, blocked.parked, blocked.purged) = (false, 0, 1);
        assert_eq!(added(&blocked), "peer.example was blocked already.\n1 follower forgotten.\n");
        let unblocked = Unblocked {
            target: "peer.example".to_owned(),
            kind: BlockKind::Domain,
            restored: 1,
            still_listed_by_owncast: true,
        };
        let want = "peer.example is not blocked here any more.\n1 follower back.\n\
                    It stays blocked, because it is on Owncast's own list as well.\n";
        assert_eq!(removed(&unblocked), want);
    }

    #[test]
    fn the_list_tells_whose_each_is() {
        let row = |target: &str, kind, listed_by| BlockRow {
            target: target.to_owned(),
            kind,
            listed_by,
            since: Timestamp::UNIX_EPOCH,
        };
        let blocks = vec![
            row("bad.example", BlockKind::Domain, ListedBy::Owncast),
            row("https://peer.example/users/x", BlockKind::Actor, ListedBy::Operator),
        ];
        let want = "\
BLOCKED                       LISTED BY  SINCE
bad.example                   Owncast    a moment ago
https://peer.example/users/x  you        a moment ago
";
        assert_eq!(listed(&BlockList { blocks }, Timestamp::UNIX_EPOCH), want);
        assert_eq!(listed(&BlockList { blocks: Vec::new() }, Timestamp::UNIX_EPOCH), "Nothing is blocked.\n");
    }
}
