//! C-25, C-26: strangers cannot make us work, call others, or grow.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use owncast_herald::sim::fediverse::{Answer, Flavour};
use serde_json::json;

use crate::mallory::{forged, send};
use crate::support::stage::Stage;
use crate::support::wait::{LONG, eventually};
use crate::target::Target;

/// What a server that hangs keeps a turn for, which is what one would wait for who waits for a turn.
const A_TURN: Duration = Duration::from_secs(10);

/// Resident memory of the agent, bytes.
fn resident(stage: &Stage) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.agent.pid().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn c_25_c_26_two_thousand_unknown_keys() {
    let target = Target::start().await;
    let mut hosts = Vec::new();
    for _ in 0..4 {
        hosts.push(target.stage.server(Flavour::Mastodon).await);
    }
    let flood = async |from: usize, many: usize| {
        stream::iter(from..from + many)
            .map(|number| {
                let actor = format!("{}/users/nobody{number}", hosts[number % hosts.len()].url());
                let request = forged(&target.stage, &format!("{actor}#main-key"), &target.follow_by(&actor));
                let stage = &target.stage;
                async move { send(stage, &request).await.status }
            })
            .buffer_unordered(32)
            .collect::<Vec<u16>>()
            .await
    };
    let begun = Instant::now();
    // Once to fill what is to be filled.
    flood(0, 300).await;
    let before = resident(&target.stage);
    let answers = flood(300, 2_000).await;
    assert!(answers.iter().all(|status| matches!(status, 401 | 503)), "{answers:?}");
    // 120 in a minute, of which so many may have begun meanwhile.
    let most = 120 * (3 + begun.elapsed().as_secs() / 60);
    for host in &hosts {
        assert!(host.requests_count() <= most, "{} requests to one host", host.requests_count());
    }
    let grown = resident(&target.stage).saturating_sub(before);
    assert!(grown < 16 << 20, "grown by {grown} bytes");
    // Who is known is served as ever.
    target.fan.announce(&target.note).await.unwrap();
    target.count(1, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_25_keys_of_servers_that_hang_keep_nobody_waiting() {
    let target = Target::start().await;
    let mut requests = Vec::new();
    let mut hosts = Vec::new();
    for number in 0..12 {
        if number % 2 == 0 {
            // These are on the next network: what is one owner's would not take all turns.
            target.stage.fediverse.next_network();
        }
        let host = target.stage.server(Flavour::Mastodon).await;
        host.set_answer(Answer::Hang).await;
        for number in 0..40 {
            let actor = format!("{}/users/nobody{number}", host.url());
            let request = forged(&target.stage, &format!("{actor}#main-key"), &target.follow_by(&actor));
            let text = String::from_utf8(request).unwrap();
            let client = format!("\r\nX-Forwarded-For: 203.0.{number}.113\r\nDate:");
            requests.push(text.replacen("\r\nDate:", &client, 1));
        }
        hosts.push(host);
    }
    target.stage.fediverse.next_network();
    let attack = stream::iter(&requests).for_each_concurrent(None, async |request| {
        let reply = send(&target.stage, request.as_bytes()).await;
        // The key cannot be had, or was not looked for.
        assert!(matches!(reply.status, 401 | 503), "{reply:?}");
    });
    let known = async || {
        let begun = Instant::now();
        for _ in 0..2 {
            let shared = target.fan.announce(&target.note).await.unwrap();
            assert_eq!(shared.status, 202, "{shared:?}");
            let undone = target.fan.undo_announce(&target.note).await.unwrap();
            assert_eq!(undone.status, 202, "{undone:?}");
        }
        begun.elapsed()
    };
    // Without an attack. In one each of the four could wait for a turn, and so could a Follow.
    let alone = known().await;
    let served = async {
        eventually("they take all turns", LONG, async || {
            let asked: u64 = hosts.iter().map(|host| host.requests_count()).sum();
            (asked >= 16).then_some(())
        })
        .await;
        known().await
    };
    let (_, took) = tokio::join!(attack, served);
    assert!(took < A_TURN + 2 * alone, "the known were kept waiting: {took:?}, alone {alone:?}");
    target.unchanged().await;
    // A host that hangs is left alone for a while: who is new has a turn again, though the attack goes on.
    let again = stream::iter(&requests).for_each_concurrent(None, async |request| {
        let reply = send(&target.stage, request.as_bytes()).await;
        assert!(matches!(reply.status, 401 | 503), "{reply:?}");
    });
    let welcomed = async {
        let bob = target.stranger(Flavour::Mastodon).await;
        let begun = Instant::now();
        target.stage.follow(&bob).await;
        begun.elapsed()
    };
    let (_, took) = tokio::join!(again, welcomed);
    assert!(took < A_TURN + 2 * alone, "who is new was kept waiting: {took:?}, alone {alone:?}");
}

/// Anybody can say that somebody who is known is deleted, by as many keys as they like, and the servers of four may hang.
#[tokio::test(flavor = "multi_thread")]
async fn c_25_servers_that_hang_keep_nobody_from_leaving() {
    let target = Target::start().await;
    let mut known = Vec::new();
    for _ in 0..5 {
        // Each is on the next network, which is another owner's.
        target.stage.fediverse.next_network();
        let person = target.stranger(Flavour::Mastodon).await;
        target.stage.follow(&person).await;
        known.push(person);
    }
    let bob = known.pop().unwrap();
    for person in &known {
        person.server().set_answer(Answer::Hang).await;
    }
    for number in 0..70 {
        for person in &known {
            let key = format!("{}/keys/{number}", person.server().url());
            let delete = target.activity(&person.id(), "Delete", json!(person.id()));
            let text = String::from_utf8(forged(&target.stage, &key, &delete)).unwrap();
            let client = format!("\r\nX-Forwarded-For: 203.0.{number}.113\r\nDate:");
            let reply = send(&target.stage, text.replacen("\r\nDate:", &client, 1).as_bytes()).await;
            assert_eq!(reply.status, 202, "{reply:?}");
        }
    }
    bob.delete_self().await.unwrap();
    target.stage.wait_followers(5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_do_not_keep_others_out_for_long() {
    let target = Target::start().await;
    let address = target.stage.agent.host();
    let mut silent = Vec::new();
    for _ in 0..1100 {
        silent.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    let note = target.note.clone();
    eventually("an answer", LONG, async || {
        let asked = tokio::time::timeout(Duration::from_secs(10), reqwest::get(&note));
        asked.await.ok()?.ok().filter(|answer| answer.status() == 200)
    })
    .await;
}
