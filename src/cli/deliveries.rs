//! `deliveries`: what became of what was sent, and what is on its way.

use jiff::Timestamp;

use super::files::{Places, unexpected};
use super::table::Table;
use super::text::{ago, json, line, moment, roughly, short};
use super::{Failure, Outcome};
use crate::config::here;
use crate::control::protocol::{
    ActivityPage, ActivityReport, ActivityRow, Answer, Ask, DroppedDeliveries, GivenUp, HostReport,
    HostState, LARGEST_REPORT, RetriedDeliveries,
};
use crate::decide::redeliver::word;
use crate::model::delivery::OutgoingKind;

/// Characters of a reason that are shown.
const WHY: usize = 60;

/// What to show, or what to do with what is on its way.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What to do; without it, what is on its way is shown.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to show.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// What to do with what is on its way.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Try now what is to be tried later
    ///
    /// A server that failed too often is asked one thing; the rest follows if it answers. A server that asked to be left
    /// alone for a while is, until then.
    Retry(RetryArgs),
    /// Give up what is on its way
    ///
    /// Without --yes nothing is given up, and it is shown what would be.
    Drop(DropArgs),
}

/// What `deliveries` shows.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// How one activity fares, host by host: its id, or the address of a post
    #[arg(long, value_name = "ID", group = "what")]
    pub activity: Option<String>,
    /// What is known of a host, and what is on its way there
    #[arg(long, value_name = "HOST", group = "what")]
    pub host: Option<String>,
    /// What was given up
    #[arg(long, group = "what")]
    pub failed: bool,
    /// How many rows
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(LARGEST_REPORT)))]
    pub limit: u32,
    /// Only activities older than this one
    #[arg(long, value_name = "ID", conflicts_with = "what")]
    pub before: Option<String>,
}

/// Arguments of `deliveries retry`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub struct RetryArgs {
    /// Of this activity: its id, or the address of a post
    #[arg(long, value_name = "ID", group = "which")]
    pub activity: Option<String>,
    /// To this host
    #[arg(long, value_name = "HOST", group = "which")]
    pub host: Option<String>,
    /// Everything
    #[arg(long, group = "which", conflicts_with_all = ["activity", "host"])]
    pub all: bool,
    /// Also what was given up and is still worth sending
    #[arg(long)]
    pub failed: bool,
}

/// Arguments of `deliveries drop`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub struct DropArgs {
    /// Of this activity: its id, or the address of a post
    #[arg(long, value_name = "ID", group = "which")]
    pub activity: Option<String>,
    /// To this host
    #[arg(long, value_name = "HOST", group = "which")]
    pub host: Option<String>,
    /// Do it
    #[arg(long)]
    pub yes: bool,
}

pub(super) fn deliveries(places: &Places, args: Args, as_json: bool) -> Outcome {
    let now = Timestamp::now();
    let ShowArgs { activity, host, failed, limit, before } = args.show;
    let ask = match (args.command, activity, host) {
        (Some(Command::Retry(args)), ..) => {
            Ask::Retry { activity: args.activity, host: args.host, given_up: args.failed }
        }
        (Some(Command::Drop(args)), ..) => {
            Ask::Drop { activity: args.activity, host: args.host, dry_run: !args.yes }
        }
        (None, Some(activity), _) => Ask::Activity { activity, limit },
        (None, None, Some(host)) => Ask::Host { host, limit },
        (None, None, None) if failed => Ask::GivenUp { limit },
        (None, None, None) => Ask::Deliveries { limit, before },
    };
    let answer = places.ask(&ask)?;
    match answer {
        Answer::Deliveries(page) => shown(&page, as_json, |page| newest(page, now)),
        Answer::Activity(report) => shown(&report, as_json, |report| activity_told(report, now)),
        Answer::Host(report) => shown(&report, as_json, |report| host_told(report, now)),
        Answer::GivenUp(found) => shown(&found, as_json, |found| given_up(found, now)),
        Answer::Retried(retried) => shown(&retried, as_json, |retried| retried_told(retried, now)),
        Answer::Dropped(dropped) => shown(&dropped, as_json, dropped_told),
        _ => Err(unexpected()),
    }
}

fn shown<T: serde::Serialize>(
    answer: &T,
    as_json: bool,
    told: impl FnOnce(&T) -> String,
) -> Result<String, Failure> {
    if as_json { json(answer) } else { Ok(told(answer)) }
}

fn newest(page: &ActivityPage, now: Timestamp) -> String {
    if page.activities.is_empty() {
        return "Nothing has been sent, as far as is remembered.\n".to_owned();
    }
    let mut table = Table::new([
        "ACTIVITY", "WHAT", "MADE", "WAITING", "RETRYING", "UNSURE", "REACHED", "FAILED", "DOUBTFUL",
        "DROPPED",
    ]);
    for row in &page.activities {
        let counts = row.inboxes;
        table.row([
            row.id.clone(),
            word(row.kind).to_owned(),
            ago(now, row.created),
            counts.waiting.to_string(),
            counts.retrying.to_string(),
            counts.uncertain.to_string(),
            counts.reached.to_string(),
            counts.failed.to_string(),
            counts.doubtful.to_string(),
            counts.dropped.to_string(),
        ]);
    }
    let mut text = table.to_string();
    if let Some(next) = &page.next {
        text.push_str(&format!("Older ones: {}\n", here().typed(&format!("deliveries --before {next}"))));
    }
    text
}

fn expiry(row: &ActivityRow, now: Timestamp) -> String {
    let left = row.expires.duration_since(now);
    // A stream of which nobody knows whether it runs is not told of any more.
    let owed = row.kind != OutgoingKind::Create && row.inboxes.open() > 0;
    if left.is_positive() {
        format!("for another {}", roughly(left.unsigned_abs()))
    } else if owed {
        "not any more, but for what came due in time".to_owned()
    } else {
        "not any more".to_owned()
    }
}

fn activity_told(report: &ActivityReport, now: Timestamp) -> String {
    let row = &report.activity;
    let mut rows = Table::bare();
    let mut add = |name: &str, value: String| rows.row([name.to_owned(), value]);
    add("Activity", row.id.clone());
    add("What", word(row.kind).to_owned());
    if let Some(post) = &row.post {
        add("Post", line(post));
    }
    if let Some(to) = &row.to {
        add("To", line(to));
    }
    add("Made", moment(row.created, now));
    add("Is tried", expiry(row, now));
    let counts = row.inboxes;
    add("Reached", format!("{} of {}", counts.reached, counted_inboxes(counts.total())));
    let resting = match row.resting {
        0 => String::new(),
        resting => format!(", {resting} of them when their server is well"),
    };
    add(
        "Open",
        format!(
            "{} not tried, {} to be tried again{resting}",
            counts.waiting,
            counts.retrying + counts.uncertain
        ),
    );
    if counts.uncertain > 0 {
        add("", format!("{} of them may have it", counts.uncertain));
    }
    let (given_up, in_doubt) = (counts.given_up(), counts.given_up_in_doubt());
    add("Given up", format!("{given_up}; at {in_doubt} of them it may have arrived"));
    if counts.dropped > 0 {
        add("", format!("{} of them at your word", counts.dropped));
    }
    let mut text = rows.to_string();
    if report.hosts.is_empty() {
        return text;
    }
    let mut table = Table::new(["HOST", "OPEN", "GIVEN UP", "TRIES", "NEXT", "WHAT IS KNOWN"]);
    for share in &report.hosts {
        table.row([
            line(&share.host),
            share.open.to_string(),
            share.given_up.to_string(),
            share.tries.to_string(),
            when(share.next, share.resting, share.open > 0, now),
            known(share.why.as_deref(), share.refused.as_deref(), share.failures),
        ]);
    }
    text.push('\n');
    text.push_str(&table.to_string());
    text.push_str(&further(report.more, "host", "hosts"));
    text
}

/// What came of the last attempt, or else what may be why there will be no other.
fn known(why: Option<&str>, refused: Option<&str>, failures: u32) -> String {
    let refused = || refused.map(|refused| format!("last refused post: {}", short(refused, WHY)));
    let said = why.map(|why| short(why, WHY)).or_else(refused);
    let failed = (failures > 0).then(|| format!("its server failed {failures} times in a row"));
    said.into_iter().chain(failed).collect::<Vec<_>>().join("; ")
}

fn counted_inboxes(number: u64) -> String {
    format!("{number} {}", if number == 1 { "inbox" } else { "inboxes" })
}

fn further(more: u64, one: &str, many: &str) -> String {
    match more {
        0 => String::new(),
        1 => format!("And one more {one}; --limit shows up to {LARGEST_REPORT}.\n"),
        more => format!("And {more} more {many}; --limit shows up to {LARGEST_REPORT}.\n"),
    }
}

/// When something is tried next.
fn when(next: Option<Timestamp>, rests: bool, open: bool, now: Timestamp) -> String {
    match next.map(|next| next.duration_since(now)) {
        _ if !open => "never".to_owned(),
        Some(left) if left.is_positive() => {
            let seconds = left.as_secs();
            if seconds < 60 {
                format!("in {seconds} s")
            } else {
                format!("in {}", roughly(left.unsigned_abs()))
            }
        }
        None if rests => "when it is well".to_owned(),
        _ => "now".to_owned(),
    }
}

fn host_told(report: &HostReport, now: Timestamp) -> String {
    let mut rows = Table::bare();
    let mut add = |name: &str, value: String| rows.row([name.to_owned(), value]);
    add("Host", line(&report.host));
    let state = match report.state {
        HostState::Well => "nothing bad is known of it",
        HostState::Failing => "it failed lately, and is tried as others are",
        HostState::Shut => "it fails, and is asked one thing at a time",
        HostState::Asked => "it asked to be left alone",
        HostState::Parked => "dead for long: nothing new is kept for it until it speaks",
    };
    add("State", state.to_owned());
    if let Some(since) = report.since {
        add("Failing", format!("{} in a row, the first {}", report.failures, moment(since, now)));
    }
    if let Some(until) = report.until {
        add("Not before", moment(until, now));
    }
    if let Some(parked) = report.parked {
        add("Dead since", moment(parked, now));
    }
    add("Followers", format!("{} in {}", report.followers, counted_inboxes(report.inboxes)));
    add("Open", format!("{} not tried, {} to be tried again", report.untried, report.again));
    let mut text = rows.to_string();
    if report.pending.is_empty() {
        return text;
    }
    let mut table = Table::new(["ACTIVITY", "WHAT", "TRIES", "NEXT", "LAST ANSWER", "INBOX"]);
    for row in &report.pending {
        table.row([
            row.activity.clone(),
            row.kind.map_or("over", word).to_owned(),
            row.tries.to_string(),
            when(row.due, row.due.is_none(), true, now),
            short(row.why.as_deref().unwrap_or_default(), WHY),
            line(&row.inbox),
        ]);
    }
    text.push('\n');
    text.push_str(&table.to_string());
    text.push_str(&further(report.more, "delivery", "deliveries"));
    text
}

fn given_up(found: &GivenUp, now: Timestamp) -> String {
    if found.deliveries.is_empty() {
        return "Nothing was given up, as far as is remembered.\n".to_owned();
    }
    let mut table =
        Table::new(["ACTIVITY", "WHAT", "MADE", "ARRIVED", "WORTH A RETRY", "WHAT IS KNOWN", "INBOX"]);
    for row in &found.deliveries {
        table.row([
            row.activity.clone(),
            word(row.kind).to_owned(),
            ago(now, row.created),
            if row.doubtful { "perhaps" } else { "no" }.to_owned(),
            if row.can_be_retried { "yes" } else { "no, it is over" }.to_owned(),
            if row.dropped {
                "(dropped)".to_owned()
            } else {
                known(row.why.as_deref(), row.refused.as_deref(), row.failures)
            },
            row.inbox.as_deref().map_or_else(|| "(forgotten)".to_owned(), line),
        ]);
    }
    let mut text = table.to_string();
    text.push_str(&further(found.more, "delivery", "deliveries"));
    if found.deliveries.iter().any(|row| row.can_be_retried) {
        let retry = here().typed("deliveries retry --failed --activity ID --host HOST");
        text.push_str(&format!("Try one again: {retry}\n"));
    }
    text
}

fn retried_told(retried: &RetriedDeliveries, now: Timestamp) -> String {
    let mut text = String::new();
    let mut tell = |number: u64, what: &str| {
        if number > 0 {
            text.push_str(&format!("{number} {what}\n"));
        }
    };
    tell(retried.due, "that waited to be tried again are tried now.");
    tell(retried.anew, "that had been given up are tried anew.");
    tell(
        retried.resting,
        "rest for servers that fail; each server is asked now, and gets the rest if it answers.",
    );
    tell(retried.over, "that had been given up stay so: what they tell is over.");
    for (host, until) in &retried.asked {
        text.push_str(&format!("{} asked to be left alone until {}.\n", line(host), moment(*until, now)));
    }
    if text.is_empty() { "Nothing waits to be tried again.\n".to_owned() } else { text }
}

fn dropped_told(dropped: &DroppedDeliveries) -> String {
    if dropped.dropped == 0 {
        return "Nothing of that is on its way.\n".to_owned();
    }
    let kinds: Vec<String> =
        dropped.kinds.iter().map(|(kind, number)| format!("{number} of a {}", line(kind))).collect();
    let kinds = kinds.join(", ");
    if dropped.dry_run {
        format!("Nothing was given up. It would be: {kinds}.\nTo do it, ask again with --yes.\n")
    } else {
        format!("Given up: {kinds}.\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::{InboxState, Tally};

    fn of(kind: OutgoingKind, states: &[InboxState]) -> ActivityReport {
        let mut inboxes = Tally::default();
        states.iter().for_each(|state| inboxes.add(*state));
        let activity = ActivityRow {
            id: "01J".to_owned(),
            kind,
            post: None,
            to: None,
            created: Timestamp::UNIX_EPOCH,
            expires: Timestamp::UNIX_EPOCH,
            first_pass: false,
            inboxes,
            resting: 0,
        };
        ActivityReport { activity, hosts: Vec::new(), more: 0 }
    }

    #[test]
    fn what_was_given_up_at_ones_word_may_have_arrived_too() {
        use InboxState::{Doubtful, Dropped, DroppedInDoubt, Failed};
        let report = of(OutgoingKind::Update, &[Failed, Doubtful, Dropped, DroppedInDoubt, DroppedInDoubt]);
        let text = activity_told(&report, Timestamp::UNIX_EPOCH);
        assert!(text.contains("Given up  5; at 3 of them it may have arrived\n"), "{text}");
        assert!(text.contains("3 of them at your word\n"), "{text}");
    }

    #[test]
    fn what_is_owed_is_not_said_to_be_over() {
        use InboxState::{Reached, Retrying};
        for (kind, state, told) in [
            (OutgoingKind::Update, Retrying, "not any more, but for what came due in time"),
            (OutgoingKind::Update, Reached, "not any more"),
            (OutgoingKind::Create, Retrying, "not any more"),
        ] {
            let text = activity_told(&of(kind, &[state]), Timestamp::UNIX_EPOCH);
            assert!(text.contains(&format!("Is tried  {told}\n")), "{text}");
        }
    }

    #[test]
    fn what_an_inbox_said_of_another_post_is_not_told_as_of_this() {
        for (why, refused, failures, told) in [
            (None, None, 0, ""),
            (Some("status 503"), None, 0, "status 503"),
            (Some("status 503"), Some("status 403"), 2, "status 503; its server failed 2 times in a row"),
            (None, Some("status 403"), 0, "last refused post: status 403"),
            (None, None, 50, "its server failed 50 times in a row"),
        ] {
            assert_eq!(known(why, refused, failures), told);
        }
    }
}
