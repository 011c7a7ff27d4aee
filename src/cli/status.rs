//! `status`: how the running agent is.

use std::time::Duration;

use super::Outcome;
use super::files::{Places, unexpected};
use super::table::Table;
use super::text::{counted, json, line, roughly, short};
use crate::agent::board::Way;
use crate::control::protocol::{Answer, Ask, IdentityWord, SettingRow, Status};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show each setting with its effective value and where that came from
    #[arg(long)]
    pub settings: bool,
}

pub(super) fn status(places: &Places, args: &Args, as_json: bool) -> Outcome {
    let Answer::Status(status) = places.ask(&Ask::Status)? else { return Err(unexpected()) };
    if as_json {
        return json(&status);
    }
    let mut text = essentials(&status);
    if args.settings {
        text.push('\n');
        text.push_str(&settings(&status.settings));
    }
    Ok(text)
}

/// Every setting as a row.
pub(super) fn settings(rows: &[SettingRow]) -> String {
    let mut table = Table::new(["SETTING", "VALUE", "FROM"]);
    for row in rows {
        table.row([row.field.clone(), short(&row.value, 60), row.origin.clone()]);
    }
    table.to_string()
}

fn essentials(status: &Status) -> String {
    let mut rows = Table::bare();
    let mut row = |name: &str, value: String| rows.row([name.to_owned(), value]);
    let up = roughly(Duration::from_secs(status.uptime_seconds));
    let ready = if status.ready { "ready" } else { "NOT READY" };
    row("Agent", format!("{ready}, up {up}, version {}", line(&status.version)));
    let identity = &status.identity;
    match identity.state {
        IdentityWord::Settled => {
            row("Handle", format!("@{}", line(identity.handle.as_deref().unwrap_or_default())));
            row("Actor", line(identity.actor.as_deref().unwrap_or_default()));
        }
        IdentityWord::Waiting => {
            row("Identity", format!("waiting: {}", line(identity.why.as_deref().unwrap_or_default())));
        }
    }
    row("Owncast", owncast(status));
    if let Some(problem) = &status.owncast.problem {
        row("", line(problem));
    }
    row("Webhook", way(&status.owncast.webhook));
    row("Websocket", way(&status.owncast.websocket));
    row("Stream", stream(status));
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
    row("Followers", followers);
    row("Deliveries", format!("{} waiting", status.deliveries.waiting));
    row("Blocks", status.blocks.to_string());
    let listen = &status.listen;
    row(
        "Listening",
        format!("public {}, webhook {}, metrics {}", listen.public, listen.webhook, listen.metrics),
    );
    let mut text = rows.to_string();
    if counts.pending > 0 {
        text.push_str(
            "\nTo see who waits: owncast-herald followers list --state pending\n\
             To let one in:    owncast-herald followers approve USER@HOST\n",
        );
    }
    text
}

fn owncast(status: &Status) -> String {
    let owncast = &status.owncast;
    let version = owncast.version.as_ref().map_or_else(String::new, |version| format!(" {}", line(version)));
    let word = if owncast.reachable { "answers" } else { "DOES NOT ANSWER" };
    format!("{}{version} {word}", line(&owncast.url))
}

fn way(way: &Way) -> String {
    match way {
        Way::Untried => "not tried yet".to_owned(),
        Way::Works => "works".to_owned(),
        Way::Broken(why) => format!("DOES NOT WORK, polling instead: {}", line(why)),
        Way::Off(why) => line(why),
    }
}

fn stream(status: &Status) -> String {
    match (status.stream.state.as_str(), status.stream.title.as_str()) {
        ("", _) => "not looked at yet".to_owned(),
        (state, "") => line(state),
        (state, title) => format!("{}: {}", line(state), short(title, 80)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::{
        DeliveryStatus, IdentityStatus, ListenStatus, OwncastStatus, StreamStatus,
    };
    use crate::model::follower::FollowerCounts;

    fn example() -> Status {
        Status {
            version: "0.1.0".to_owned(),
            ready: true,
            uptime_seconds: 3 * 86_400,
            identity: IdentityStatus {
                state: IdentityWord::Settled,
                why: None,
                actor: Some("https://live.example/federation/user/ana".to_owned()),
                handle: Some("ana@live.example".to_owned()),
                key_id: Some("https://live.example/federation/user/ana#main-key".to_owned()),
            },
            owncast: OwncastStatus {
                url: "http://127.0.0.1:8080".to_owned(),
                reachable: true,
                problem: None,
                version: Some("0.2.3".to_owned()),
                webhook: Way::Works,
                websocket: Way::Off("switched off".to_owned()),
            },
            stream: StreamStatus { state: "live".to_owned(), title: "Etching".to_owned() },
            followers: FollowerCounts { approved: 1, pending: 2, rejected: 0, parked: 3 },
            deliveries: DeliveryStatus { waiting: 12 },
            blocks: 4,
            listen: ListenStatus {
                public: "127.0.0.1:8585".to_owned(),
                webhook: "127.0.0.1:8586".to_owned(),
                metrics: "127.0.0.1:8587".to_owned(),
            },
            settings: vec![SettingRow {
                field: "go-live.delay".to_owned(),
                value: "1m".to_owned(),
                origin: "default".to_owned(),
            }],
        }
    }

    #[test]
    fn the_essentials_come_first() {
        let want = "\
Agent       ready, up 3 days, version 0.1.0
Handle      @ana@live.example
Actor       https://live.example/federation/user/ana
Owncast     http://127.0.0.1:8080 0.2.3 answers
Webhook     works
Websocket   switched off
Stream      live: Etching
Followers   1 follower, 2 waiting for approval, 3 set aside by blocks
Deliveries  12 waiting
Blocks      4
Listening   public 127.0.0.1:8585, webhook 127.0.0.1:8586, metrics 127.0.0.1:8587

To see who waits: owncast-herald followers list --state pending
To let one in:    owncast-herald followers approve USER@HOST
";
        assert_eq!(essentials(&example()), want);
    }

    #[test]
    fn what_is_wrong_stands_out() {
        let mut status = example();
        status.ready = false;
        status.identity = IdentityStatus {
            state: IdentityWord::Waiting,
            why: Some("no key\nforged line".to_owned()),
            actor: None,
            handle: None,
            key_id: None,
        };
        status.owncast.reachable = false;
        status.owncast.problem = Some("401: the admin password is wrong".to_owned());
        status.owncast.webhook = Way::Broken("no event arrived".to_owned());
        let text = essentials(&status);
        for part in [
            "NOT READY",
            "waiting: no key forged line",
            "DOES NOT ANSWER",
            "401: the admin password is wrong",
            "DOES NOT WORK, polling instead: no event arrived",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn settings_tell_value_and_origin() {
        assert_eq!(
            settings(&example().settings),
            "SETTING        VALUE  FROM\ngo-live.delay  1m     default\n"
        );
    }
}
