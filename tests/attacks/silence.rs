//! Answers to requests that prove nothing: the same bytes whoever follows, whoever is blocked, and whatever is used up.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use owncast_herald::sim::fediverse::{Answer, Flavour, Person, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::mallory::forged;
use crate::support::wait::{LONG, eventually};
use crate::target::{Target, never_contacted};

/// A whole answer: status line, headers and body, without what differs from answer to answer anyhow.
async fn whole(target: &Target, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(target.stage.agent.host()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LONG, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    let own = |line: &&str| {
        let line = line.to_ascii_lowercase();
        !line.starts_with("date:") && !line.starts_with("x-request-id:")
    };
    answer.split("\r\n").filter(own).collect::<Vec<_>>().join("\r\n")
}

/// From one client of the open internet, as a trusted proxy would say.
fn from(client: &str, request: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(request.to_vec()).unwrap();
    text.replacen("\r\nDate:", &format!("\r\nX-Forwarded-For: {client}\r\nDate:"), 1).into_bytes()
}

/// The same activity in the name of two, apart from their names.
struct Pair<'a> {
    target: &'a Target,
    one: String,
    other: String,
}

impl Pair<'_> {
    async fn same(&self, what: &str, client: &str, request: impl Fn(&str) -> Vec<u8>) -> String {
        let one = whole(self.target, &from(client, &request(&self.one))).await;
        let other = whole(self.target, &from(client, &request(&self.other))).await;
        // Names have one length, so that Content-Length is the same, too.
        assert_eq!(one.replace(&self.one, "<actor>"), other.replace(&self.other, "<actor>"), "{what}");
        one.lines().next().unwrap_or_default().to_owned()
    }

    fn claims(&self, name: &str, fragment: &str) -> Vec<(&'static str, Vec<u8>)> {
        let target = self.target;
        let key = format!("{name}#{fragment}");
        let undo = |inner: Value| target.activity(name, "Undo", inner);
        [
            ("Follow", target.follow_by(name)),
            ("Like", target.like_by(name)),
            ("Announce", target.activity(name, "Announce", json!(target.note))),
            ("Undo of a Follow", undo(target.follow_by(name))),
            ("Undo by id", undo(json!(format!("{name}#follows/1")))),
            ("Block", target.activity(name, "Block", json!(target.stage.actor()))),
            ("Delete of oneself", target.activity(name, "Delete", json!(name))),
            ("Delete of a note", target.activity(name, "Delete", json!(format!("{name}/notes/1")))),
            ("Create", target.activity(name, "Create", json!({"type": "Note", "id": format!("{name}/n")}))),
        ]
        .map(|(kind, activity)| (kind, forged(&target.stage, &key, &activity)))
        .into()
    }
}

async fn block(target: &Target, what: &str) {
    target.stage.agent.cli_json(&["block", "add", what]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_does_not_show() {
    let target = Target::start().await;
    let (fan, eve) = (target.fan.id(), target.home.person("ev").id());
    assert_eq!(fan.len(), eve.len());
    let pair = Pair { target: &target, one: fan.clone(), other: eve.clone() };
    for (number, (kind, _)) in pair.claims(&fan, "main-key").iter().enumerate() {
        pair.same(kind, "203.0.113.1", |name| pair.claims(name, "main-key")[number].1.clone()).await;
        let unsigned = |name: &str| {
            let text = String::from_utf8(pair.claims(name, "main-key")[number].1.clone()).unwrap();
            text.split("Signature:")
                .next()
                .unwrap()
                .to_owned()
                .into_bytes()
                .into_iter()
                .chain(format!("\r\n{}", text.split_once("\r\n\r\n").unwrap().1).into_bytes())
                .collect()
        };
        pair.same(&format!("{kind}, unsigned"), "203.0.113.1", unsigned).await;
    }
    target.unchanged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_blocked_does_not_show() {
    let target = Target::start().await;
    let server = target.stage.server(Flavour::Mastodon).await;
    let (ann, eve) = (server.person("ann"), server.person("eve"));
    // Both follow, so that both are known and so are their keys; then one is blocked.
    target.stage.follow(&ann).await;
    target.stage.follow(&eve).await;
    block(&target, &eve.id()).await;
    let pair = Pair { target: &target, one: ann.id(), other: eve.id() };
    for (number, (kind, _)) in pair.claims(&ann.id(), "main-key").iter().enumerate() {
        for key in ["main-key", "invented"] {
            pair.same(&format!("{kind}, {key}"), "203.0.113.2", |name| {
                pair.claims(name, key)[number].1.clone()
            })
            .await;
        }
    }
    // A well signed Delete of oneself is one of those that are taken whoever it is from.
    for person in [&eve, &ann] {
        let delete = target.activity(&person.id(), "Delete", json!(person.id()));
        let reply = person.custom(&target.stage.inbox(), &delete).await.unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (202, ""), "{person:?}");
    }
    // And what is blocked stays so: the one is gone, of the other something is left to unblock.
    target.stage.wait_followers(1).await;
    target.stage.agent.cli_json(&["block", "remove", &eve.id()]).await;
    target.stage.wait_followers(2).await;
}

/// Of a host that is blocked nobody asks whether it lives, so what a dead one is answered must tell nothing either.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_host_is_answered_as_a_blocked_one() {
    let target = Target::start().await;
    for blocked in ["shut.example", "127.0.0.78"] {
        block(&target, blocked).await;
    }
    for (what, one, other) in [
        ("no such name", "open.example", "shut.example"),
        ("no such name below", "nx.open.example", "nx.shut.example"),
        ("nothing listens", "127.0.0.77:9", "127.0.0.78:9"),
    ] {
        let person = |host: &str| format!("http://{host}/users/eve");
        let pair = Pair { target: &target, one: person(one), other: person(other) };
        for (number, (kind, _)) in pair.claims(&pair.one, "main-key").iter().enumerate() {
            pair.same(&format!("{kind}, {what}"), "203.0.113.5", |name| {
                pair.claims(name, "main-key")[number].1.clone()
            })
            .await;
        }
    }
    target.unchanged().await;
}

/// Where nobody is blocked it is told that a host does not answer for now, of everybody on it; from the first block on
/// it is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_went_away_is_answered_alike_for_who_was_heard_of_and_who_was_not() {
    let target = Target::start().await;
    let eve = target.home.person("ev").id();
    let pair = Pair { target: &target, one: target.fan.id(), other: eve };
    let asked = async |client: &str| {
        let mut answers = std::collections::BTreeSet::new();
        for (number, (kind, _)) in pair.claims(&pair.one, "main-key").iter().enumerate() {
            for key in ["main-key", "invented"] {
                let what = format!("{kind}, {key}");
                let answer = pair.same(&what, client, |name| pair.claims(name, key)[number].1.clone()).await;
                answers.insert(answer);
            }
        }
        answers
    };
    target.home.set_answer(Answer::Refuse).await;
    let away = asked("203.0.113.7").await;
    assert_eq!(away.iter().map(|line| &line[..12]).collect::<Vec<_>>(), ["HTTP/1.1 202", "HTTP/1.1 503"]);
    let follow = forged(&target.stage, &format!("{}#main-key", pair.one), &target.follow_by(&pair.one));
    let told = whole(&target, &from("203.0.113.7", &follow)).await.to_lowercase();
    assert!(told.contains("key-unavailable") && told.contains("\r\nretry-after: 120\r\n"), "{told}");
    block(&target, "shut.example").await;
    let shut = asked("203.0.113.7").await;
    assert_eq!(shut.iter().map(|line| &line[..12]).collect::<Vec<_>>(), ["HTTP/1.1 202", "HTTP/1.1 401"]);
    // Who is known and signs well is taken all the same.
    assert_eq!(target.fan.announce(&target.note).await.unwrap().status, 202);
    target.count(1, 1).await;
}

/// Somebody whose fetches are used up is told so, whoever is asked about.
#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_does_not_tell_who_is_blocked() {
    let target = Target::start().await;
    let (open, shut) =
        (target.stage.server(Flavour::Mastodon).await, target.stage.server(Flavour::Mastodon).await);
    block(&target, &shut.address().ip().to_string()).await;
    // Until they are told that they ask too much: a minute that begins meanwhile makes it more.
    let told = async |server: &Server, client: &str| {
        let mut told = std::collections::BTreeSet::new();
        for number in 100..300 {
            let actor = format!("{}/users/nobody{number}", server.url());
            let request = forged(&target.stage, &format!("{actor}#main-key"), &target.follow_by(&actor));
            let answer = whole(&target, &from(client, &request)).await;
            let busy = answer.starts_with("HTTP/1.1 503");
            assert!(!busy || number >= 120, "{number}: {answer}");
            told.insert(answer.replace(&actor, "<actor>"));
            if busy {
                return told;
            }
        }
        panic!("never told: {told:?}");
    };
    let (about_open, about_shut) = tokio::join!(told(&open, "203.0.113.3"), told(&shut, "198.51.100.4"));
    assert_eq!(about_open.len(), 2, "{about_open:?}");
    assert_eq!(about_open, about_shut);
    never_contacted(&shut);
}

/// Nor whose key we have in memory, because they did something lately: to prove nothing costs the same of everybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_does_not_tell_who_was_heard_of_lately() {
    let target = Target::start().await;
    let (fan, eve) = (target.fan.id(), target.home.person("ev").id());
    let asked = async |actor: &str| {
        let request = forged(&target.stage, &format!("{actor}#main-key"), &target.follow_by(actor));
        let answer = whole(&target, &from("203.0.113.6", &request)).await;
        answer.replace(actor, "<actor>")
    };
    let mut numbers = 0..;
    let mut invented = async || {
        let number = numbers.next().unwrap_or_default();
        asked(&format!("{}/users/nobody{number}", target.home.url())).await
    };
    // Who was looked for in vain is not looked for again, so this is asked once, and not where a minute ends.
    eventually("the first half of a minute", LONG, async || {
        (Timestamp::now().as_second() % 60 < 30).then_some(())
    })
    .await;
    let about = eventually("one minute for all", LONG, async || {
        while !invented().await.starts_with("HTTP/1.1 503") {}
        let about = [asked(&fan).await, asked(&eve).await];
        // Else a minute began meanwhile.
        invented().await.starts_with("HTTP/1.1 503").then_some(about)
    })
    .await;
    assert!(about[0].starts_with("HTTP/1.1 503"), "{about:?}");
    assert_eq!(about[0], about[1]);
    target.unchanged().await;
}

/// A Delete of oneself is answered before it is looked into: the look takes as long as somebody else's server does.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_known_does_not_show_in_the_time_a_delete_takes() {
    let target = Target::start().await;
    let server = target.stage.server(Flavour::Mastodon).await;
    let gone: Vec<Person> = ["al", "bo", "cy"].map(|name| server.person(name)).into();
    for person in &gone {
        target.stage.follow(person).await;
    }
    target.stage.wait_followers(4).await;
    // Their server does not answer any more, or too late.
    server.set_answer(Answer::Hang).await;
    let begun = Instant::now();
    for person in &gone {
        let delete = target.activity(&person.id(), "Delete", json!(person.id()));
        let request = forged(&target.stage, &format!("{}#another-key", person.id()), &delete);
        let answer = whole(&target, &request).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    // A look would wait for as long as a GET may take, each time.
    let looks = 3 * Duration::from_secs(10);
    assert!(begun.elapsed() < looks, "{:?}", begun.elapsed());
    server.set_answer(Answer::Ok).await;
    // Who really goes, goes.
    let asked = server.requests_count();
    for person in &gone[..2] {
        person.delete_self().await.unwrap();
    }
    target.stage.wait_followers(2).await;
    // And a forged Delete makes us look at somebody once, not each time.
    for _ in 0..30 {
        let person = &gone[2];
        let delete = target.activity(&person.id(), "Delete", json!(person.id()));
        let request = forged(&target.stage, &person.key_id(), &delete);
        assert!(whole(&target, &request).await.starts_with("HTTP/1.1 202"));
    }
    let bo = target.stage.server(Flavour::Mastodon).await.person("bo");
    target.stage.follow(&bo).await;
    bo.delete_self().await.unwrap();
    // What came before is looked into by then.
    target.stage.wait_followers(2).await;
    assert!(server.requests_count() - asked < 10, "{:?}", server.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_has_the_same_name_in_the_answer_and_in_the_log() {
    let target = Target::start().await;
    let eve = target.stranger(Flavour::Mastodon).await;
    let request = forged(&target.stage, &eve.key_id(), &target.follow_by(&eve.id()));
    let late = String::from_utf8(request).unwrap();
    let date = late.lines().find(|line| line.starts_with("Date: ")).unwrap().to_owned();
    let late = late.replacen(&date, "Date: Sun, 06 Nov 1994 08:49:37 GMT", 1);
    let mut stream = TcpStream::connect(target.stage.agent.host()).await.unwrap();
    stream.write_all(late.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("a name").to_owned();
    let problem: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(problem["code"], "clock-offset");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("Date is") && detail.contains("behind our clock"), "{detail}");
    let line = eventually("the line", LONG, async || {
        target.stage.agent.log().lines().find(|line| line.contains(&id)).map(str::to_owned)
    })
    .await;
    assert!(line.contains("clock-offset") && line.contains("behind our clock"), "{line}");
}
