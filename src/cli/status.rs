//! `status`: how the running agent is.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use jiff::Timestamp;

use super::files::{Places, unexpected};
use super::table::Table;
use super::text::{ago, counted, json, line, moment, roughly, short, wrapped};
use super::{Failure, Outcome};
use crate::agent::board::{Source, Way};
use crate::config::here;
use crate::control::protocol::{
    Announcement, Answer, Ask, FanOut, IdentityWord, Reach, SessionStatus, SettingRow, SkippedStream, Status,
};
use crate::decide::redeliver::word;
use crate::model::delivery::Tally;
use crate::model::post::{Audience, PostState};
use crate::model::stream::Phase;

/// Characters of a line at most, where words can be broken at all.
const WIDTH: usize = 80;
/// Of those, what the names of the rows take.
const NAMES: usize = 12;
/// Time between two looks of `--watch`,
const AGAIN: Duration = Duration::from_secs(2);
/// and while something goes out to everybody.
const SOON: Duration = Duration::from_millis(500);
/// Characters of a bar.
const BAR: u64 = 30;
/// The settings most asked for; `--settings` shows all.
const IMPORTANT: [&str; 8] = [
    "go-live.enabled",
    "go-live.delay",
    "go-live.message",
    "go-live.image",
    "go-live.on-end",
    "go-live.visibility",
    "followers.approval",
    "notices.when",
];

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show every setting with its effective value and where that came from
    #[arg(long)]
    pub settings: bool,
    /// Show it again every two seconds, until Ctrl-C; where there is no terminal, one line for each change
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
}

pub(super) fn status(places: &Places, args: &Args, as_json: bool) -> Outcome {
    if args.watch {
        return watch(places, args);
    }
    let status = status_of(places.ask(&Ask::Status)?)?;
    let text = if as_json { json(&status)? } else { told(&status, args.settings, Timestamp::now()) };
    if status.running {
        return Ok(text);
    }
    // Told all the same, and the exit code is that of an agent that does not run.
    let told = std::io::stdout().write_all(text.as_bytes());
    Err(Failure { code: if told.is_ok() { 69 } else { 1 }, ..Failure::new("no agent is running") })
}

fn status_of(answer: Answer) -> Result<Box<Status>, Failure> {
    match answer {
        Answer::Status(status) => Ok(status),
        _ => Err(unexpected()),
    }
}

/// Looks again and again. Ends with the first look that fails: an agent that is stopped does not come back unseen. Its store is
/// left to the one that starts next.
fn watch(places: &Places, args: &Args) -> Outcome {
    let mut out = std::io::stdout();
    let draws = out.is_terminal();
    let mut before = String::new();
    loop {
        let (status, now) = (status_of(places.try_ask(&Ask::Status)??)?, Timestamp::now());
        let text = if draws {
            let text = watched(&status, args.settings, now);
            let size = rustix::termios::tcgetwinsize(&out).ok();
            let size = size.map(|size| (size.ws_row.into(), size.ws_col.into()));
            // To the upper left corner, and what is left over of the look before is wiped: no flicker.
            let drawn: String = fitting(&text, size).map(|line| format!("{line}\u{1b}[K\n")).collect();
            format!("\u{1b}[H{drawn}\u{1b}[J")
        } else {
            let news = in_one_line(&status);
            if news == before {
                String::new()
            } else {
                let clock = now.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string();
                before.clone_from(&news);
                format!("{clock} {news}\n")
            }
        };
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            return Ok(String::new());
        }
        let goes_out = !status.deliveries.fan_outs.is_empty();
        std::thread::sleep(if goes_out { SOON } else { AGAIN });
    }
}

/// The lines that are seen at once on a screen of so many rows and columns: what is below them would scroll away what is above.
fn fitting(text: &str, size: Option<(usize, usize)>) -> impl Iterator<Item = &str> {
    // Some terminals do not know.
    let size = size.filter(|(rows, columns)| *rows > 0 && *columns > 0);
    let mut taken = 0;
    text.lines().take_while(move |line| {
        let Some((rows, columns)) = size else { return true };
        taken += line.chars().count().div_ceil(columns).max(1);
        // The last one is where it ends.
        taken < rows
    })
}

/// What changes most, for those who keep what they are told.
fn in_one_line(status: &Status) -> String {
    let ready = if status.ready { "ready" } else { "NOT READY" };
    let mut parts = vec![
        format!("{ready}; stream {}", stream(status)),
        format!("{} need attention", status.attention.len()),
        format!("{} waiting", status.deliveries.waiting),
    ];
    parts.extend(status.deliveries.fan_outs.iter().map(|fan_out| {
        let FanOut { kind, activity, inboxes, .. } = fan_out;
        format!("{} {}: {}", word(*kind), line(activity), progress(inboxes))
    }));
    parts.join("; ")
}

/// How far something is that goes out to everybody.
fn progress(inboxes: &Tally) -> String {
    let mut text = format!("{} of {} reached", inboxes.reached, inboxes.total());
    for (number, word) in [
        (inboxes.waiting, "not tried yet"),
        (inboxes.retrying + inboxes.uncertain, "to be tried again"),
        (inboxes.given_up(), "given up"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {word}"));
        }
    }
    text
}

/// As much of a bar as has been tried.
fn bar(inboxes: &Tally) -> String {
    let (total, tried) = (inboxes.total().max(1), inboxes.total() - inboxes.waiting);
    let full = usize::try_from(tried * BAR / total).unwrap_or(0);
    let empty = usize::try_from(BAR).unwrap_or(0) - full;
    format!("[{}{}] {} %", "#".repeat(full), "-".repeat(empty), tried * 100 / total)
}

/// Every setting as a row.
pub(super) fn settings<'a>(rows: impl IntoIterator<Item = &'a SettingRow>) -> String {
    let mut table = Table::new(["SETTING", "VALUE", "FROM"]);
    for row in rows {
        table.row([row.field.clone(), short(&row.value, 40), row.origin.clone()]);
    }
    table.to_string()
}

fn told(status: &Status, all_settings: bool, now: Timestamp) -> String {
    parts(status, all_settings, now, essentials(status, now, &status.deliveries.fan_outs))
}

/// What is watched comes first, however low the screen is.
fn watched(status: &Status, all_settings: bool, now: Timestamp) -> String {
    let rest = parts(status, all_settings, now, essentials(status, now, &[]));
    let fan_outs = &status.deliveries.fan_outs;
    if fan_outs.is_empty() {
        return rest;
    }
    let mut rows = Rows(Table::bare());
    going_out(&mut rows, "On its way", fan_outs);
    format!("{}\n{rest}", rows.0)
}

fn parts(status: &Status, all_settings: bool, now: Timestamp, essentials: String) -> String {
    let mut text = attention(status);
    for part in [essentials, sources(status, now)] {
        text.push('\n');
        text.push_str(&part);
    }
    text.push('\n');
    if all_settings {
        text.push_str(&settings(&status.settings));
    } else {
        let important = |row: &&SettingRow| IMPORTANT.contains(&row.field.as_str());
        text.push_str(&settings(status.settings.iter().filter(important)));
        text.push_str(&format!("Every setting: {}\n", here().typed("status --settings")));
    }
    text
}

/// What needs the operator comes first, or that nothing does.
fn attention(status: &Status) -> String {
    if status.attention.is_empty() {
        return "Needs attention: nothing\n".to_owned();
    }
    let mut text = "Needs attention:\n".to_owned();
    for needed in &status.attention {
        for (number, part) in wrapped(&line(needed), WIDTH - 4).iter().enumerate() {
            let mark = if number == 0 { "  - " } else { "    " };
            text.push_str(&format!("{mark}{part}\n"));
        }
    }
    text
}

/// Rows of a name and a text, which is broken where it is too long.
struct Rows(Table<2>);

impl Rows {
    fn row(&mut self, name: &str, value: &str) {
        for (number, part) in wrapped(value, WIDTH - NAMES).into_iter().enumerate() {
            let name = if number == 0 { name } else { "" };
            self.0.row([name.to_owned(), part]);
        }
    }
}

/// A bar and a number for each of what goes out to everybody.
fn going_out(rows: &mut Rows, name: &str, fan_outs: &[FanOut]) {
    for (number, fan_out) in fan_outs.iter().enumerate() {
        let name = if number == 0 { name } else { "" };
        rows.row(name, &format!("{} {}", bar(&fan_out.inboxes), word(fan_out.kind)));
        rows.row("", &progress(&fan_out.inboxes));
    }
}

fn essentials(status: &Status, now: Timestamp, fan_outs: &[FanOut]) -> String {
    let mut rows = Rows(Table::bare());
    let up = roughly(Duration::from_secs(status.uptime_seconds));
    let ready = if status.ready { "ready" } else { "NOT READY" };
    rows.row(
        "Agent",
        &match status.running {
            true => format!("{ready}, up {up}, version {}", line(&status.version)),
            false => "NOT RUNNING".to_owned(),
        },
    );
    let identity = &status.identity;
    match identity.state {
        IdentityWord::Settled => {
            rows.row("Handle", &format!("@{}", line(identity.handle.as_deref().unwrap_or_default())));
            rows.row("Actor", &line(identity.actor.as_deref().unwrap_or_default()));
        }
        IdentityWord::Waiting => rows.row("Identity", "NOT SETTLED, see above"),
    }
    rows.row("Owncast", &owncast(status));
    rows.row("Stream", &stream(status));
    if let Some(session) = &status.session {
        for (number, part) in self::session(session, now).iter().enumerate() {
            rows.row(if number == 0 { "Session" } else { "" }, part);
        }
    }
    match &status.announcement {
        Some(announcement) => {
            rows.row("Last post", &line(&announcement.post));
            for part in post(announcement, now) {
                rows.row("", &part);
            }
        }
        None => rows.row("Last post", "none yet"),
    }
    for (number, wish) in wishes(status, now).iter().enumerate() {
        rows.row(if number == 0 { "Wishes" } else { "" }, wish);
    }
    rows.row("Followers", &followers(status));
    rows.row("Deliveries", &format!("{} waiting", status.deliveries.waiting));
    going_out(&mut rows, "", fan_outs);
    rows.row("Blocks", &status.blocks.to_string());
    let listen = &status.listen;
    rows.row(
        "Listening",
        &format!("public {}, webhook {}, metrics {}", listen.public, listen.webhook, listen.metrics),
    );
    rows.0.to_string()
}

fn owncast(status: &Status) -> String {
    let owncast = &status.owncast;
    let version =
        owncast.version.as_ref().map_or_else(String::new, |version| format!(", version {}", line(version)));
    let word = match (owncast.reachable, &owncast.problem) {
        (true, _) => "answers",
        (false, None) => "has not been asked yet",
        (false, Some(_)) => "DOES NOT ANSWER",
    };
    format!("{}{version}, {word}", line(&owncast.url))
}

fn stream(status: &Status) -> String {
    let state = match status.stream.state.as_str() {
        "" => return "not looked at yet".to_owned(),
        // Skipped or paused, it may be so for hours.
        "connecting" => "running, not announced".to_owned(),
        "lost" => "interrupted".to_owned(),
        state => line(state),
    };
    match status.stream.title.as_str() {
        "" => state,
        title => format!("{state}: {}", short(title, 80)),
    }
}

fn session(session: &SessionStatus, now: Timestamp) -> Vec<String> {
    let connections = match session.connections {
        0 | 1 => String::new(),
        many => format!(", {many} connections"),
    };
    let mut parts = vec![format!("since {}{connections}", moment(session.started, now))];
    match (session.phase, session.gone) {
        (Phase::Ended, Some(gone)) => parts.push(format!("until {}", moment(gone, now))),
        (Phase::Lost, Some(gone)) => parts.push(format!("its encoder went away {}", ago(now, gone))),
        _ => {}
    }
    parts
}

fn post(announcement: &Announcement, now: Timestamp) -> Vec<String> {
    let state = match announcement.state {
        PostState::Live => "says that the stream is live",
        PostState::Ended => "says that the stream is over",
        PostState::Deleted => "deleted",
    };
    let audience = match announcement.audience {
        Audience::Public => "public",
        Audience::Followers => "followers only",
    };
    let mut parts = vec![moment(announcement.published, now), format!("{audience}, {state}")];
    if let Some(Reach { reached, failed, waiting }) = announcement.reach {
        parts.push(format!(
            "{reached} reached, {failed} failed, {waiting} waiting; {}, {}",
            counted(announcement.likes, "like"),
            counted(announcement.shares, "share")
        ));
    } else {
        parts.push(format!(
            "{}, {}",
            counted(announcement.likes, "like"),
            counted(announcement.shares, "share")
        ));
    }
    parts
}

/// What the operator wants of the next posts; nothing is said if he wants nothing.
fn wishes(status: &Status, now: Timestamp) -> Vec<String> {
    let wishes = &status.wishes;
    let mut told = Vec::new();
    if wishes.restored.is_some() {
        told.push(format!("nothing is sent or announced before {}", here().typed("resume --restored")));
    }
    if wishes.now {
        told.push("the stream that runs is announced at once".to_owned());
    }
    if let Some(until) = wishes.paused_until {
        told.push(format!("paused until {}", moment(until, now)));
    }
    match wishes.skip {
        Some(SkippedStream::This) => told.push("this stream gets no post".to_owned()),
        Some(SkippedStream::Next) => told.push("the next stream gets no post".to_owned()),
        None => {}
    }
    if let Some(message) = &wishes.message {
        told.push(format!("the next post says: {}", short(message, 200)));
    }
    told
}

fn followers(status: &Status) -> String {
    let counts = status.followers;
    let mut followers = counted(counts.approved, "follower");
    for (number, word) in [
        (counts.pending, "waiting for approval"),
        (counts.parked, "set aside by blocks"),
        (counts.rejected, "rejected"),
    ] {
        if number > 0 {
            followers.push_str(&format!(", {number} {word}"));
        }
    }
    followers
}

fn sources(status: &Status, now: Timestamp) -> String {
    let mut table = Table::new(["SOURCE", "STATE", "LAST SEEN", "LAG", "ERRORS"]);
    let sources = &status.sources;
    for (name, source) in [
        ("status", &sources.status),
        ("admin API", &sources.admin),
        ("webhook", &sources.webhook),
        ("websocket", &sources.websocket),
    ] {
        table.row(source_row(name, source, now));
    }
    let mut text = table.to_string();
    // Reasons stand below the table, which they would tear apart.
    for (name, source) in [("webhook", &sources.webhook), ("websocket", &sources.websocket)] {
        if let Way::Off(why) = &source.way {
            for (number, part) in wrapped(&line(why), WIDTH - NAMES).iter().enumerate() {
                let name = if number == 0 { format!("{name}:") } else { String::new() };
                text.push_str(&format!("{name:NAMES$}{part}\n"));
            }
        }
    }
    text
}

fn source_row(name: &str, source: &Source, now: Timestamp) -> [String; 5] {
    let state = match &source.way {
        Way::Untried => "not tried",
        Way::Works => "works",
        Way::Broken(_) => "BROKEN",
        Way::Off(_) => "not used",
    };
    [
        name.to_owned(),
        state.to_owned(),
        source.seen.map_or_else(|| "never".to_owned(), |seen| ago(now, seen)),
        source.lag_ms.map_or_else(|| "-".to_owned(), |lag| format!("{lag} ms")),
        source.errors.to_string(),
    ]
}

#[cfg(test)]
mod tests;
