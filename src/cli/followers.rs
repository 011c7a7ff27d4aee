//! `followers`: who follows, and the operator's answers.

use jiff::Timestamp;

use super::files::{Places, unexpected};
use super::table::Table;
use super::text::{ago, json, line, short};
use super::{Failure, Outcome};
use crate::config::here;
use crate::control::protocol::{Answer, Ask, FollowerPage, FollowerRow, Judged, LARGEST_PAGE};
use crate::model::follower::FollowerState;

/// Characters of a display name that are shown.
const NAME: usize = 40;
/// Characters of a reason that are shown.
const WHY: usize = 60;

/// What to do with followers.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List followers, newest first
    List(ListArgs),
    /// Let a follower in who waits or was rejected
    Approve(WhoArgs),
    /// Refuse a follower, now and whenever they ask again
    Reject(WhoArgs),
    /// Remove a follower, who may follow again
    Remove(WhoArgs),
    /// Write the list in the form in which Mastodon takes and gives lists of accounts
    Export(ExportArgs),
}

/// Arguments of `followers export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// As comma-separated values with Mastodon's columns
    #[arg(long, required = true)]
    pub csv: bool,
    /// Only those in this state
    #[arg(long, value_name = "STATE", default_value = "approved")]
    pub state: State,
}

/// Arguments of `followers list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only those in this state
    #[arg(long, value_name = "STATE")]
    pub state: Option<State>,
    /// How many
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(LARGEST_PAGE)))]
    pub limit: u32,
    /// All of them
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
}

/// Whom an answer is for.
#[derive(Debug, clap::Args)]
pub struct WhoArgs {
    /// Handle (user@peer.example) or actor id (https://peer.example/users/user)
    #[arg(value_name = "WHO")]
    pub who: String,
}

/// Where a follower stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum State {
    /// Gets posts
    Approved,
    /// Waits for your answer
    Pending,
    /// Refused
    Rejected,
    /// Set aside by a block
    Parked,
}

impl From<State> for FollowerState {
    fn from(state: State) -> Self {
        match state {
            State::Approved => FollowerState::Approved,
            State::Pending => FollowerState::Pending,
            State::Rejected => FollowerState::Rejected,
            State::Parked => FollowerState::Parked,
        }
    }
}

fn word(state: FollowerState) -> &'static str {
    match state {
        FollowerState::Approved => "approved",
        FollowerState::Pending => "pending",
        FollowerState::Rejected => "rejected",
        FollowerState::Parked => "parked",
        FollowerState::Left => "left",
    }
}

pub(super) fn followers(places: &Places, command: Command, as_json: bool) -> Outcome {
    let ask = match command {
        Command::List(args) => return list(places, &args, as_json),
        Command::Export(args) => return export(places, &args),
        Command::Approve(WhoArgs { who }) => Ask::Approve { who },
        Command::Reject(WhoArgs { who }) => Ask::Reject { who },
        Command::Remove(WhoArgs { who }) => Ask::Remove { who },
    };
    let Answer::Judged(judged) = places.ask(&ask)? else { return Err(unexpected()) };
    if as_json { json(&judged) } else { Ok(told(&judged)) }
}

/// Every follower in a state, or the newest of them.
fn pages(
    places: &Places,
    state: Option<FollowerState>,
    limit: u32,
    all: bool,
) -> Result<FollowerPage, Failure> {
    let mut page = ask_page(places, Ask::Followers { state, limit, after: None })?;
    while let Some(after) = page.next.take_if(|_| all) {
        let further = ask_page(places, Ask::Followers { state, limit, after: Some(after) })?;
        page.followers.extend(further.followers);
        page.next = further.next;
    }
    Ok(page)
}

/// Mastodon's list of followed accounts, which it imports: the columns behind the address are its defaults.
fn export(places: &Places, args: &ExportArgs) -> Outcome {
    let page = pages(places, Some(args.state.into()), LARGEST_PAGE, true)?;
    Ok(csv(&page.followers))
}

fn csv(followers: &[FollowerRow]) -> String {
    let mut text = "Account address,Show boosts,Notify on new posts,Languages\n".to_owned();
    for FollowerRow { handle, .. } in followers {
        let address = line(handle);
        let plain = !address.contains([',', '"']);
        let field = if plain { address } else { format!("\"{}\"", address.replace('"', "\"\"")) };
        text.push_str(&format!("{field},true,false,\n"));
    }
    text
}

fn list(places: &Places, args: &ListArgs, as_json: bool) -> Outcome {
    let state = args.state.map(FollowerState::from);
    let limit = if args.all { LARGEST_PAGE } else { args.limit };
    let page = pages(places, state, limit, args.all)?;
    if as_json { json(&page) } else { Ok(shown(&page, state, Timestamp::now())) }
}

fn ask_page(places: &Places, ask: Ask) -> Result<FollowerPage, Failure> {
    match places.ask(&ask)? {
        Answer::Followers(page) => Ok(page),
        _ => Err(unexpected()),
    }
}

fn shown(page: &FollowerPage, state: Option<FollowerState>, now: Timestamp) -> String {
    if page.followers.is_empty() {
        return match state {
            None => "Nobody follows yet.\n".to_owned(),
            Some(state) => format!("No follower is {}.\n", word(state)),
        };
    }
    // The name comes last: letters read from right to left would turn around what stands behind them.
    let mut table = Table::new(["STATE", "WHO", "SINCE", "NAME"]);
    for FollowerRow { handle, name, state, since, moved_to, parked, untold, .. } in &page.followers {
        let mut name = short(name.as_deref().unwrap_or_default(), NAME);
        if let Some(target) = moved_to {
            name = format!("{name} (moved to {})", line(target)).trim_start().to_owned();
        }
        if let Some(parked) = parked {
            name = format!("{name} (not reached, set aside {})", ago(now, *parked)).trim_start().to_owned();
        }
        if let Some(why) = untold {
            name = format!("{name} (our answer did not arrive: {})", short(why, WHY)).trim_start().to_owned();
        }
        table.row([word(*state).to_owned(), format!("@{}", line(handle)), ago(now, *since), name]);
    }
    let mut text = table.to_string();
    if page.next.is_some() {
        let number = page.followers.len();
        text.push_str(&format!("The newest {number} of {}; --all shows every one.\n", page.total));
    }
    text
}

fn told(judged: &Judged) -> String {
    let who = format!("@{} ({})", line(&judged.handle), line(&judged.actor));
    match (judged.state, judged.changed) {
        (FollowerState::Approved, true) => format!("Approved {who}. Their server is told.\n"),
        (FollowerState::Rejected, true) => {
            format!("Rejected {who}. Their server is told, and told again if they ask.\n")
        }
        (FollowerState::Left, true) => format!(
            "Removed {who}. Their server is told; they may follow again.\n\
             To keep them out: {}\n",
            here().typed(&format!("block add {}", line(&judged.actor)))
        ),
        (state, _) => format!("{who} is {} already.\n", word(state)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::Position;

    fn row(handle: &str, name: Option<&str>, days: i64) -> FollowerRow {
        let since = Timestamp::from_second(-days * 86_400).unwrap();
        FollowerRow {
            actor: "https://peer.example/users/x".to_owned(),
            handle: handle.to_owned(),
            name: name.map(str::to_owned),
            url: None,
            state: FollowerState::Approved,
            moved_to: None,
            parked: None,
            untold: None,
            since,
            changed: since,
        }
    }

    #[test]
    fn the_list_has_mastodons_columns() {
        let followers = [row("ana@peer.example", Some("Ana, \"A\""), 3), row("a\"b@c.example", None, 0)];
        let want = "\
Account address,Show boosts,Notify on new posts,Languages
ana@peer.example,true,false,
\"a\"\"b@c.example\",true,false,
";
        assert_eq!(csv(&followers), want);
    }

    #[test]
    fn a_page_says_whether_there_are_more() {
        let followers = vec![row("ana@peer.example", Some("Ana"), 3), row("b@c.example", None, 0)];
        let next = Some(Position { since: Timestamp::UNIX_EPOCH, actor: String::new() });
        let page = FollowerPage { total: 120, followers, next };
        let want = "\
STATE     WHO                SINCE         NAME
approved  @ana@peer.example  3 days ago    Ana
approved  @b@c.example       a moment ago
The newest 2 of 120; --all shows every one.
";
        assert_eq!(shown(&page, None, Timestamp::UNIX_EPOCH), want);
        let moved = FollowerRow {
            moved_to: Some("https://new.example/\u{202e}ana".to_owned()),
            ..row("a@b.example", Some("Ana"), 0)
        };
        let page = FollowerPage { total: 1, followers: vec![moved], next: None };
        let text = shown(&page, None, Timestamp::UNIX_EPOCH);
        assert!(text.ends_with("a moment ago  Ana (moved to https://new.example/ana)\n"), "{text}");
        let parked = FollowerRow {
            parked: Some(Timestamp::from_second(-3 * 86_400).unwrap()),
            ..row("a@b.example", None, 30)
        };
        let page = FollowerPage { total: 1, followers: vec![parked], next: None };
        let text = shown(&page, None, Timestamp::UNIX_EPOCH);
        assert!(text.ends_with("(not reached, set aside 3 days ago)\n"), "{text}");
        let untold =
            FollowerRow { untold: Some("status 403\n".to_owned()), ..row("a@b.example", Some("Ana"), 0) };
        let page = FollowerPage { total: 1, followers: vec![untold], next: None };
        let text = shown(&page, None, Timestamp::UNIX_EPOCH);
        assert!(text.ends_with("Ana (our answer did not arrive: status 403)\n"), "{text}");
        let none = FollowerPage { total: 0, followers: Vec::new(), next: None };
        assert_eq!(shown(&none, None, Timestamp::UNIX_EPOCH), "Nobody follows yet.\n");
        let pending = shown(&none, Some(FollowerState::Pending), Timestamp::UNIX_EPOCH);
        assert_eq!(pending, "No follower is pending.\n");
    }

    #[test]
    fn strangers_cannot_forge_rows() {
        let hostile = row("a\u{1b}[A@peer.example", Some("x\nrejected  @victim@peer.example"), 1);
        let page = FollowerPage { total: 1, followers: vec![hostile], next: None };
        let text = shown(&page, None, Timestamp::UNIX_EPOCH);
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn answers_are_told() {
        let mut judged = Judged {
            actor: "https://peer.example/users/ana".to_owned(),
            handle: "ana@peer.example".to_owned(),
            state: FollowerState::Left,
            changed: true,
        };
        assert!(told(&judged).contains("block add https://peer.example/users/ana"));
        (judged.state, judged.changed) = (FollowerState::Approved, false);
        assert_eq!(
            told(&judged),
            "@ana@peer.example (https://peer.example/users/ana) is approved already.\n"
        );
    }
}
