//! What an operator reads.

use super::*;
use crate::agent::board::{Shown, Sources};
use crate::control::protocol::{
    Deliveries, IdentityStatus, ListenStatus, OwncastStatus, StreamStatus, WishList,
};
use crate::model::delivery::OutgoingKind;
use crate::model::follower::FollowerCounts;
use crate::model::host::{HostCounts, Unreached};

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn example() -> Status {
    let mut sources = Sources::default();
    sources.status.came(seconds(99_995), Some(Duration::from_millis(3)));
    sources.admin.failed("401".to_owned());
    sources.webhook.came(seconds(90_000), None);
    sources.websocket.way = Way::Off("held back while a stream is live".to_owned());
    Status {
        version: "0.1.0".to_owned(),
        running: true,
        ready: true,
        uptime_seconds: 3 * 86_400,
        attention: Vec::new(),
        identity: IdentityStatus {
            state: IdentityWord::Settled,
            why: None,
            actor: Some("https://live.example/federation/user/ana".to_owned()),
            handle: Some("ana@live.example".to_owned()),
            key_id: Some("https://live.example/federation/user/ana#main-key".to_owned()),
            key_change: None,
        },
        owncast: OwncastStatus {
            url: "http://127.0.0.1:8080".to_owned(),
            reachable: true,
            problem: None,
            version: Some("0.2.3".to_owned()),
            clock_offset_seconds: None,
            webhook: Some(1),
        },
        stream: StreamStatus { state: "live".to_owned(), title: "Etching".to_owned() },
        session: Some(SessionStatus {
            id: "01J".to_owned(),
            phase: Phase::Live,
            started: seconds(92_800),
            gone: None,
            connections: 2,
        }),
        announcement: Some(Announcement {
            post: "https://live.example/federation/01J".to_owned(),
            published: seconds(92_860),
            updated: None,
            state: PostState::Live,
            audience: Audience::Public,
            title: "Etching".to_owned(),
            likes: 3,
            shares: 1,
            reach: Some(Reach { reached: 40, failed: 1, waiting: 2 }),
        }),
        wishes: WishList::default(),
        sources,
        notices: Shown::default(),
        followers: FollowerCounts { approved: 1, pending: 2, rejected: 0, parked: 3 },
        deliveries: Deliveries {
            waiting: 12,
            hosts: HostCounts::default(),
            unreached: Unreached::default(),
            fan_outs: Vec::new(),
        },
        blocks: 4,
        reports: 0,
        listen: ListenStatus {
            public: "127.0.0.1:8585".to_owned(),
            webhook: "127.0.0.1:8586".to_owned(),
            metrics: "127.0.0.1:8587".to_owned(),
        },
        settings: ["go-live.delay", "log.level"]
            .map(|field| SettingRow {
                field: field.to_owned(),
                value: "1m".to_owned(),
                origin: "default".to_owned(),
            })
            .to_vec(),
    }
}

/// The clock on the wall depends on where the test runs.
fn without_clocks(text: &str) -> String {
    let now = seconds(100_000);
    let clocks = [92_800, 92_860].map(|at| moment(seconds(at), now));
    clocks.iter().fold(text.to_owned(), |text, clock| text.replace(clock, "THEN"))
}

#[test]
fn everything_fits_on_a_screen() {
    let want = "\
Needs attention: nothing

Agent       ready, up 3 days, version 0.1.0
Handle      @ana@live.example
Actor       https://live.example/federation/user/ana
Owncast     http://127.0.0.1:8080, version 0.2.3, answers
Stream      live: Etching
Session     since THEN, 2 connections
Last post   https://live.example/federation/01J
            THEN
            public, says that the stream is live
            40 reached, 1 failed, 2 waiting; 3 likes, 1 share
Followers   1 follower, 2 waiting for approval, 3 set aside by blocks
Deliveries  12 waiting
Blocks      4
Listening   public 127.0.0.1:8585, webhook 127.0.0.1:8586, metrics
            127.0.0.1:8587

SOURCE     STATE     LAST SEEN     LAG   ERRORS
status     works     a moment ago  3 ms  0
admin API  BROKEN    never         -     1
webhook    works     2 hours ago   -     0
websocket  not used  never         -     0
websocket:  held back while a stream is live

SETTING        VALUE  FROM
go-live.delay  1m     default
Every setting: owncast-herald status --settings
";
    assert_eq!(without_clocks(&told(&example(), false, seconds(100_000))), want);
    assert!(told(&example(), true, seconds(100_000)).contains("log.level"));
}

#[test]
fn what_is_wrong_comes_first() {
    let mut status = example();
    status.ready = false;
    status.attention = vec![
        "no key\nforged line".to_owned(),
        "the public URL or username is another one now: that would be another actor, whom nobody follows"
            .to_owned(),
    ];
    status.identity.state = IdentityWord::Waiting;
    (status.owncast.reachable, status.owncast.problem) = (false, Some("refused".to_owned()));
    let text = told(&status, false, seconds(100_000));
    let start = "Needs attention:\n  - no key forged line\n  - the public URL";
    assert!(text.starts_with(start), "{text}");
    for part in ["NOT READY", "NOT SETTLED", "DOES NOT ANSWER"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
}

#[test]
fn wishes_and_a_lost_or_ended_session_are_told() {
    let now = seconds(100_000);
    let mut status = example();
    status.wishes = WishList {
        skip: Some(SkippedStream::Next),
        paused_until: Some(seconds(107_200)),
        message: Some("Come\nand see".to_owned()),
        restored: None,
        now: false,
    };
    if let Some(session) = &mut status.session {
        (session.phase, session.gone) = (Phase::Lost, Some(seconds(99_990)));
    }
    status.stream.state = "connecting".to_owned();
    let text = told(&status, false, now);
    for part in [
        "Wishes      paused until",
        "(in 2 hours)",
        "the next stream gets no post",
        "the next post says: Come and see",
        "its encoder went away a moment ago",
        "Stream      running, not announced",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn settings_tell_value_and_origin() {
    let rows = example().settings;
    let want = "SETTING        VALUE  FROM\ngo-live.delay  1m     default\n";
    assert_eq!(settings(rows.iter().take(1)), want);
}

#[test]
fn what_goes_out_to_everybody_is_a_bar() {
    let mut status = example();
    let inboxes = Tally {
        waiting: 400,
        retrying: 20,
        uncertain: 5,
        reached: 570,
        failed: 3,
        doubtful: 1,
        dropped: 1,
        dropped_in_doubt: 0,
    };
    let activity = "01J".to_owned();
    let created = seconds(99_990);
    let fan_out = FanOut { activity, kind: OutgoingKind::Create, post: None, created, inboxes };
    status.deliveries.waiting = 425;
    status.deliveries.fan_outs = vec![fan_out];
    let text = told(&status, false, seconds(100_000));
    let want = "
Deliveries  425 waiting
            [##################------------] 60 % post
            570 of 1000 reached, 400 not tried yet, 25 to be tried again, 5
            given up
";
    assert!(text.contains(want), "{text}");
    let text = watched(&status, false, seconds(100_000));
    let want = "\
On its way  [##################------------] 60 % post
            570 of 1000 reached, 400 not tried yet, 25 to be tried again, 5
            given up

Needs attention: nothing
";
    assert!(text.starts_with(want) && text.matches("60 %").count() == 1, "{text}");
    let want = "ready; stream live: Etching; 0 need attention; 425 waiting; post 01J: 570 of 1000 reached, \
                400 not tried yet, 25 to be tried again, 5 given up";
    assert_eq!(in_one_line(&status), want);
    assert_eq!(bar(&Tally::default()), format!("[{}] 0 %", "-".repeat(30)));
    let done = Tally { reached: 7, ..Tally::default() };
    assert_eq!(bar(&done), format!("[{}] 100 %", "#".repeat(30)));
}

#[test]
fn no_more_is_drawn_than_fits_on_the_screen() {
    for (size, shown) in [
        (None, 4),
        (Some((0, 0)), 4),
        (Some((24, 80)), 4),
        (Some((5, 80)), 4),
        (Some((4, 80)), 3),
        (Some((7, 4)), 4),
        (Some((6, 4)), 3),
        (Some((5, 4)), 3),
        (Some((3, 4)), 1),
        (Some((1, 80)), 0),
    ] {
        assert_eq!(fitting("one\ntwo and\n\nthree", size).count(), shown, "{size:?}");
    }
}
