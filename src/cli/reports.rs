//! `reports`: what other servers report about the stream.

use jiff::Timestamp;

use super::Outcome;
use super::files::{Places, unexpected};
use super::text::{ago, counted, json, line, short, wrapped};
use crate::control::protocol::{Answer, Ask, ReportList, ReportRow, ReportsCleared};

/// Characters of a line at most.
const WIDTH: usize = 80;
/// Visible characters of a report's text that are shown.
const TEXT: usize = 1000;

/// What to do with reports.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List them, newest first; they are kept for 90 days
    List,
    /// Forget them all, once they are read
    Clear,
}

pub(super) fn reports(places: &Places, command: Command, as_json: bool) -> Outcome {
    match command {
        Command::List => {
            let Answer::Reports(list) = places.ask(&Ask::Reports)? else { return Err(unexpected()) };
            if as_json { json(&list) } else { Ok(listed(&list, Timestamp::now())) }
        }
        Command::Clear => {
            let Answer::ReportsCleared(cleared) = places.ask(&Ask::ClearReports)? else {
                return Err(unexpected());
            };
            if as_json { json(&cleared) } else { Ok(forgotten(&cleared)) }
        }
    }
}

fn listed(list: &ReportList, now: Timestamp) -> String {
    if list.reports.is_empty() {
        return "No server has reported anything.\n".to_owned();
    }
    let mut text = String::new();
    for ReportRow { actor, handle, about, text: said, at } in &list.reports {
        text.push_str(&format!("@{} ({}), {}\n", line(handle), line(actor), ago(now, *at)));
        for what in about {
            text.push_str(&format!("  about {}\n", line(what)));
        }
        let said = short(said.as_deref().unwrap_or("(no words)"), TEXT);
        for part in wrapped(&said, WIDTH - 4) {
            text.push_str(&format!("    {part}\n"));
        }
    }
    text
}

fn forgotten(cleared: &ReportsCleared) -> String {
    format!("{} forgotten.\n", counted(cleared.forgotten, "report"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_who_what_and_why() {
        let row = ReportRow {
            actor: "https://peer.example/actor".to_owned(),
            handle: "peer.example@peer.example".to_owned(),
            about: vec!["https://live.example/federation/user/streamer".to_owned()],
            text: Some("spam\n@victim@x.example (forged), \u{1b}[2J now".to_owned()),
            at: Timestamp::UNIX_EPOCH,
        };
        let silent = ReportRow { text: None, ..row.clone() };
        let want = "\
@peer.example@peer.example (https://peer.example/actor), a moment ago
  about https://live.example/federation/user/streamer
    spam @victim@x.example (forged), [2J now
@peer.example@peer.example (https://peer.example/actor), a moment ago
  about https://live.example/federation/user/streamer
    (no words)
";
        assert_eq!(listed(&ReportList { reports: vec![row, silent] }, Timestamp::UNIX_EPOCH), want);
        let none = ReportList { reports: Vec::new() };
        assert_eq!(listed(&none, Timestamp::UNIX_EPOCH), "No server has reported anything.\n");
        assert_eq!(forgotten(&ReportsCleared { forgotten: 1 }), "1 report forgotten.\n");
    }
}
